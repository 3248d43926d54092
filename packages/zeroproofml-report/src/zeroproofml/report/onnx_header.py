"""What an ONNX file says of itself, read without onnx: a bounded protobuf reader.

Every message is walked by a table of its fields. A field that the table does not know, a wire type
that does not belong to it, a singular field that occurs twice (readers would disagree which counts),
a length beyond its message, too many fields or too deep a nesting: each is refused. Weights are
skipped by their length, so that time follows the number of fields, not of bytes. Field numbers are
those of onnx.proto3, IR version 13.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NoReturn

from zeroproofml.report.errors import FileInvalid

__all__ = ["MAX_DEPTH", "MAX_FIELDS", "OnnxHeader", "TensorInfo", "read_onnx_header"]

MAX_DEPTH = 32
MAX_FIELDS = 5_000_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Kind = Literal["int", "bytes", "text", "number", "packed"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, element type (ONNX number) and axes (number, name, or None) of an input or output."""

    name: str
    elem_type: int
    shape: tuple[int | str | None, ...]


@dataclass(slots=True)
class OnnxHeader:
    """What the bundle's metadata can be compared with.

    ``external`` and ``domains`` name where a tensor lies outside the file and which foreign operator
    domains occur, at any depth.
    """

    ir_version: int = 0
    opsets: list[tuple[str, int]] = field(default_factory=list)
    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    props: list[tuple[str, str]] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    functions: int = 0


@dataclass(frozen=True, slots=True)
class _Field:
    kind: Kind | str  # a scalar kind, or the name of a message
    repeated: bool = False


def _table(scalars: dict[int, Kind], lists: dict[int, str], ones: dict[int, str]) -> _Fields:
    made = {number: _Field(kind) for number, kind in scalars.items()}
    made |= {number: _Field(kind, True) for number, kind in lists.items()}
    return made | {number: _Field(kind) for number, kind in ones.items()}


_Fields = dict[int, _Field]

_MESSAGES: dict[str, _Fields] = {
    "Model": _table(
        {1: "int", 2: "bytes", 3: "bytes", 4: "bytes", 5: "int", 6: "bytes"},
        {8: "OpsetId", 14: "Entry", 20: "Training", 25: "Function", 26: "Device"},
        {7: "Graph"},
    ),
    "OpsetId": _table({1: "text", 2: "int"}, {}, {}),
    "Entry": _table({1: "text", 2: "text"}, {}, {}),
    "Training": _table({}, {3: "Entry", 4: "Entry"}, {1: "Graph", 2: "Graph"}),
    "Device": _table({1: "bytes", 2: "int"}, {3: "bytes"}, {}),
    "Function": _table(
        {1: "bytes", 8: "bytes", 10: "text", 13: "bytes"},
        {4: "bytes", 5: "bytes", 6: "bytes", 7: "Node", 9: "OpsetId", 11: "Attribute",
         12: "Value", 14: "Entry"},
        {},
    ),
    "Graph": _table(
        {2: "bytes", 10: "bytes"},
        {1: "Node", 5: "Tensor", 11: "Value", 12: "Value", 13: "Value", 14: "Quantization",
         15: "Sparse", 16: "Entry"},
        {},
    ),
    "Quantization": _table({1: "bytes"}, {2: "Entry"}, {}),
    "Node": _table(
        {3: "bytes", 4: "bytes", 6: "bytes", 7: "text", 8: "bytes"},
        {1: "bytes", 2: "bytes", 5: "Attribute", 9: "Entry", 10: "bytes"},
        {},
    ),
    "Attribute": _table(
        {1: "bytes", 2: "number", 3: "int", 4: "bytes", 13: "bytes", 20: "int", 21: "bytes"},
        {7: "packed", 8: "packed", 9: "bytes", 10: "Tensor", 11: "Graph", 15: "Type",
         23: "Sparse"},
        {5: "Tensor", 6: "Graph", 14: "Type", 22: "Sparse"},
    ),
    "Tensor": _table(
        {2: "int", 3: "bytes", 8: "text", 9: "bytes", 12: "bytes", 14: "int"},
        {1: "packed", 4: "packed", 5: "packed", 6: "bytes", 7: "packed", 10: "packed",
         11: "packed", 13: "Entry", 16: "Entry"},
        {},
    ),
    "Sparse": _table({}, {3: "packed"}, {1: "Tensor", 2: "Tensor"}),
    "Value": _table({1: "text", 3: "bytes"}, {4: "Entry"}, {2: "Type"}),
    "Type": _table({6: "bytes"}, {}, {1: "TensorType", 4: "Inner", 5: "MapType", 8: "TensorType",
                                      9: "Inner"}),
    "Inner": _table({}, {}, {1: "Type"}),
    "MapType": _table({1: "int"}, {}, {2: "Type"}),
    "TensorType": _table({1: "int"}, {}, {2: "Shape"}),
    "Shape": _table({}, {1: "Dim"}, {}),
    "Dim": _table({1: "int", 2: "text", 3: "bytes"}, {}, {}),
}  # fmt: skip

_Value = int | str | None


@dataclass(slots=True)
class _Message:
    """The fields of a small message that somebody asks for."""

    values: dict[int, _Value] = field(default_factory=dict)
    children: dict[int, list[_Message]] = field(default_factory=dict)

    def text(self, number: int) -> str:
        found = self.values.get(number)
        return found if isinstance(found, str) else ""

    def integer(self, number: int) -> int:
        found = self.values.get(number)
        return found if isinstance(found, int) else 0

    def child(self, number: int) -> _Message:
        return self.children.get(number, [_Message()])[0]


def read_onnx_header(data: bytes, *, path: str = "model.onnx") -> OnnxHeader:
    """Read the header of an ONNX model and look into every corner for what must not be there.

    Args:
        data: the whole file.
        path: named in the error.

    Returns:
        The header; what it says is not judged here.

    Raises:
        FileInvalid: code ``onnx``: no ONNX model, or one beyond the limits.

    >>> read_onnx_header(bytes([0x08, 10])).ir_version
    10
    >>> read_onnx_header(b"\\x08")
    Traceback (most recent call last):
    zeroproofml.report.errors.FileInvalid: model.onnx: Model ends inside a number; export it again
    """
    reader = _Reader(data, path)
    model = reader.message("Model", 0, len(data), 0)
    made = reader.header
    made.ir_version = model.integer(1)
    made.opsets = [(each.text(1), each.integer(2)) for each in model.children.get(8, [])]
    made.props = [(each.text(1), each.text(2)) for each in model.children.get(14, [])]
    made.functions = len(model.children.get(25, []))
    graph = model.child(7)
    made.inputs = [_tensor_info(each) for each in graph.children.get(11, [])]
    made.outputs = [_tensor_info(each) for each in graph.children.get(12, [])]
    return made


def _tensor_info(value: _Message) -> TensorInfo:
    tensor = value.child(2).child(1)
    axes: list[int | str | None] = []
    for dim in tensor.child(2).children.get(1, []):
        if 2 in dim.values and 1 not in dim.values:
            axes.append(dim.text(2))
        else:
            axes.append(dim.integer(1) if 1 in dim.values and 2 not in dim.values else None)
    return TensorInfo(value.text(1), tensor.integer(1), tuple(axes))


# what is kept of a message once it has been walked; everything else is only looked into
_KEPT = {"Model", "OpsetId", "Entry", "Value", "Type", "TensorType", "Shape", "Dim"}
_KEPT_OF_GRAPH = {11, 12}


class _Reader:
    def __init__(self, data: bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.fields = 0
        self.header = OnnxHeader()

    def refuse(self, message: str) -> NoReturn:
        raise FileInvalid(message, code="onnx", path=self.path, hint="export it again")

    def message(self, name: str, at: int, end: int, depth: int) -> _Message:
        """Walk one message; keep its scalars and the children that are asked for."""
        if depth > MAX_DEPTH:
            self.refuse(f"is nested deeper than {MAX_DEPTH}")
        table = _MESSAGES[name]
        made = _Message()
        seen: set[int] = set()
        while at < end:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                self.refuse(f"has more than {MAX_FIELDS} fields")
            key, at = self.varint(at, end, name)
            number, wire = key >> 3, key & 7
            if (known := table.get(number)) is None:
                self.refuse(f"{name} has an unknown field {number}")
            if not known.repeated:
                if number in seen:
                    self.refuse(f"{name} has field {number} twice")
                seen.add(number)
            at = self.value(name, made, number, known.kind, wire, at, end, depth)
        self.judge(name, made)
        return made

    def value(
        self,
        name: str,
        made: _Message,
        number: int,
        kind: str,
        wire: int,
        at: int,
        end: int,
        depth: int,
    ) -> int:
        """Take one value; returns where the next field begins."""
        if wire == _BYTES and kind not in ("int", "number"):
            length, at = self.varint(at, end, name)
            stop = at + length
            if stop > end:
                self.refuse(f"{name}: field {number} is longer than what is left")
            if kind == "text":
                made.values[number] = self.text(at, stop, name)
            elif kind in ("bytes", "packed"):
                made.values[number] = None
            else:
                child = self.message(kind, at, stop, depth + 1)
                if name in _KEPT or name == "Tensor" or number in _KEPT_OF_GRAPH:
                    made.children.setdefault(number, []).append(child)
            return stop
        if wire == _VARINT and kind in ("int", "packed"):
            value, at = self.varint(at, end, name)
            made.values[number] = value - (1 << 64) if value >> 63 else value
            return at
        if wire in (_FIXED32, _FIXED64) and kind in ("number", "packed"):
            stop = at + (4 if wire == _FIXED32 else 8)
            if stop > end:
                self.refuse(f"{name} ends inside a number")
            return stop
        return self.refuse(f"{name}: field {number} has wire type {wire}")

    def varint(self, at: int, end: int, name: str) -> tuple[int, int]:
        made = shift = 0
        while at < end:
            byte = self.data[at]
            at += 1
            made |= (byte & 0x7F) << shift
            if byte < 0x80:
                if made >> 64:
                    self.refuse(f"{name} has a number of more than 64 bits")
                return made, at
            shift += 7
            if shift > 63:
                self.refuse(f"{name} has a number of more than 64 bits")
        return self.refuse(f"{name} ends inside a number")

    def text(self, at: int, stop: int, name: str) -> str:
        if stop - at > 4096:
            self.refuse(f"{name} has a name of more than 4096 bytes")
        try:
            return self.data[at:stop].decode("utf-8")
        except UnicodeDecodeError:
            return self.refuse(f"{name} has a name that is not UTF-8")

    def judge(self, name: str, made: _Message) -> None:
        """Note what must not be in a bundle: data outside the file, operators of others."""
        if name == "Tensor" and (made.values.get(14, 0) != 0 or 13 in made.children):
            if len(self.header.external) < 20:
                self.header.external.append(made.text(8))
        elif name == "Node" and made.text(7) not in ("", "ai.onnx"):
            self.header.domains.add(made.text(7))
        elif name == "Function":
            self.header.domains.add(made.text(10))
        elif name == "Type" and len(made.children) > 1:
            self.refuse("Type is of two kinds at once")
