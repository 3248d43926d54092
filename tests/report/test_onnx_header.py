"""The ONNX header: read without onnx, bounded, and blind in no corner."""

import contextlib

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from zeroproofml.report.errors import FileInvalid
from zeroproofml.report.onnx_header import (
    _MESSAGES,
    MAX_DEPTH,
    OnnxHeader,
    TensorInfo,
    read_onnx_header,
)

PROTOS = {
    "Model": "ModelProto",
    "OpsetId": "OperatorSetIdProto",
    "Entry": "StringStringEntryProto",
    "Training": "TrainingInfoProto",
    "Device": "DeviceConfigurationProto",
    "Function": "FunctionProto",
    "Graph": "GraphProto",
    "Quantization": "TensorAnnotation",
    "Node": "NodeProto",
    "Attribute": "AttributeProto",
    "Tensor": "TensorProto",
    "Sparse": "SparseTensorProto",
    "Value": "ValueInfoProto",
    "Type": "TypeProto",
    "Shape": "TensorShapeProto",
}

OPAQUE = {("Node", 10), ("Tensor", 3)}  # messages that hold neither tensors nor graphs


def tensor(name="w", *, external=False):
    made = helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0])
    if external:
        made.ClearField("float_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="weights.bin")
    return made


def value(name, axes=("batch", 2), dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, list(axes))


def model(nodes=(), initializers=(), **more):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"]), *nodes], "g", [value("x")], [value("y")],
        initializer=list(initializers),
    )  # fmt: skip
    more.setdefault("opset_imports", [helper.make_opsetid("", 18)])
    return helper.make_model(graph, ir_version=10, **more)


def read(made):
    return read_onnx_header(made.SerializeToString())


def branch(external):
    """A subgraph inside an attribute, with a tensor of its own."""
    inner = helper.make_graph(
        [], "inner", [], [value("z", [2])], initializer=[tensor("z", external=external)]
    )
    return helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)


def in_function(made, external):
    node = helper.make_node("Constant", [], ["k"], value=tensor("k", external=external))
    function = helper.make_function(
        "mine", "F", ["a"], ["k"], [node], [helper.make_opsetid("", 18)]
    )
    made.functions.append(function)
    return made


def in_sparse(external):
    made = model()
    values = tensor("s", external=external)
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [0, 1])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return made


def in_training(external):
    made = model()
    info = made.training_info.add()
    info.algorithm.initializer.append(tensor("t", external=external))
    return made


def nested(levels, external):
    node = branch(external)
    for _ in range(levels):
        graph = helper.make_graph([node], "g", [], [value("z", [2])])
        node = helper.make_node("If", ["c"], ["o"], then_branch=graph, else_branch=graph)
    return model([node])


PLACES = {
    "graph": lambda e: model(initializers=[tensor(external=e)]),
    "attribute": lambda e: model(
        [helper.make_node("Constant", [], ["k"], value=tensor(external=e))]
    ),
    "subgraph": lambda e: model([branch(e)]),
    "deep subgraph": lambda e: nested(4, e),
    "function": lambda e: in_function(model(), e),
    "sparse": in_sparse,
    "training": in_training,
}


def test_the_tables_are_those_of_onnx():
    for name, proto in PROTOS.items():
        theirs = {field.number: field for field in getattr(onnx, proto).DESCRIPTOR.fields}
        ours = _MESSAGES[name]
        assert set(ours) == set(theirs) - ({7} if name == "Type" else set()), name
        for number, field in ours.items():
            assert field.repeated == theirs[number].is_repeated, (name, number)
            is_message = theirs[number].message_type is not None
            assert is_message == (field.kind in _MESSAGES) or (name, number) in OPAQUE


def test_a_header_is_read():
    made = model(producer_name="me")
    made.metadata_props.add(key="a", value="b")
    assert read(made) == OnnxHeader(
        ir_version=10,
        opsets=[("", 18)],
        inputs=[TensorInfo("x", 1, ("batch", 2))],
        outputs=[TensorInfo("y", 1, ("batch", 2))],
        props=[("a", "b")],
    )


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_at_any_depth(place):
    assert read(PLACES[place](False)).external == []
    assert read(PLACES[place](True)).external != []


def test_an_external_list_without_the_location_flag_counts_too():
    made = tensor()
    made.external_data.add(key="location", value="w")
    assert read(model(initializers=[made])).external == ["w"]


def test_foreign_domains_are_found_at_any_depth():
    assert read(model([helper.make_node("Op", ["x"], ["z"], domain="evil")])).domains == {"evil"}
    inner = helper.make_graph([helper.make_node("Op", [], ["z"], domain="deep")], "i", [], [])
    assert read(model([helper.make_node("If", ["c"], [], then_branch=inner)])).domains == {"deep"}
    found = read(in_function(model(), False))
    assert (found.domains, found.functions) == ({"mine"}, 1)


def field(number, wire, payload):
    key = bytearray()
    n = number << 3 | wire
    while n > 127:
        key.append(n & 127 | 128)
        n >>= 7
    return bytes([*key, n]) + payload


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (field(7, 2, b"\xff\xff\xff\xff\x0f"), "longer than what is left"),
        (field(7, 2, b"\x05\x0a\x7f"), "longer than what is left"),
        (field(1, 0, b"\xff" * 11), "more than 64 bits"),
        (field(1, 0, b"\xff" * 9 + b"\x7f"), "more than 64 bits"),
        (field(1, 0, b"\x80"), "ends inside a number"),
        (field(1, 0, b"\x0a") * 2, "has field 1 twice"),
        (field(7, 2, b"\x00") * 2, "has field 7 twice"),
        (field(99, 0, b"\x01"), "unknown field 99"),
        (field(0, 0, b"\x01"), "unknown field 0"),
        (field(1, 2, b"\x00"), "wire type 2"),
        (field(7, 3, b""), "wire type 3"),
        (field(14, 2, b"\x04\x0a\x02\xff\xfe"), "not UTF-8"),
    ],
)
def test_malformed_protobuf_is_refused(data, words):
    with pytest.raises(FileInvalid, match=words) as caught:
        read_onnx_header(data)
    assert caught.value.code == "onnx"


def test_nesting_is_bounded():
    with pytest.raises(FileInvalid, match=f"deeper than {MAX_DEPTH}"):
        read(nested(12, False))


def test_fields_are_bounded(monkeypatch):
    monkeypatch.setattr("zeroproofml.report.onnx_header.MAX_FIELDS", 1000)
    with pytest.raises(FileInvalid, match="more than 1000 fields"):
        read_onnx_header(field(7, 2, b"\xd0\x0f" + field(1, 2, b"\x00") * 1000))


def test_a_type_of_two_kinds_is_refused():
    one = helper.make_tensor_type_proto(1, [2]).SerializeToString()
    two = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [2])).SerializeToString()
    value_info = field(1, 2, b"\x01x") + field(2, 2, bytes([len(one + two)]) + one + two)
    graph = field(11, 2, bytes([len(value_info)]) + value_info)
    with pytest.raises(FileInvalid, match="two kinds"):
        read_onnx_header(field(7, 2, bytes([len(graph)]) + graph))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_header_or_a_refusal(data):
    with contextlib.suppress(FileInvalid):
        assert isinstance(read_onnx_header(data), OnnxHeader)


@given(st.data())
def test_a_mutated_model_ends_in_a_header_or_a_refusal(data):
    whole = bytearray(PLACES["subgraph"](True).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FileInvalid):
        assert isinstance(read_onnx_header(bytes(whole)), OnnxHeader)
