"""npz without pickle: round trips, one byte form, and the attacks T13 and T27."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeroproofml.report.contract.arrays import array_digest, read_npz, write_npz
from zeroproofml.report.contract.tensors import check_safetensors
from zeroproofml.report.errors import FileInvalid

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"]


@st.composite
def arrays(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    elements = None
    if dtype.kind in "fc":
        elements = {"allow_nan": False, "allow_infinity": False}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **(elements or {}))))


@given(st.dictionaries(st.sampled_from(["a__x", "b__y", "data__z"]), arrays()))
def test_round_trip_is_bit_equal(members):
    read = read_npz(write_npz(members))
    assert read.keys() == members.keys()
    for name, array in members.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes("C")
        assert not read[name].flags.writeable


@given(st.dictionaries(st.sampled_from(["a__x", "b__y", "data__z"]), arrays(), min_size=1))
def test_bytes_depend_on_the_numbers_only(members):
    swapped = {
        name: np.asfortranarray(array.astype(array.dtype.newbyteorder(">")))
        for name, array in reversed(members.items())
    }
    swapped = {name: array.reshape(members[name].shape) for name, array in swapped.items()}
    assert write_npz(members) == write_npz(swapped)
    assert array_digest(members) == array_digest(swapped)


def test_numpy_reads_what_is_written():
    data = write_npz({"a__x": np.arange(3.0), "data__m": np.array([True, False])})
    with np.load(io.BytesIO(data), allow_pickle=False) as read:
        assert read["a__x"].tolist() == [0.0, 1.0, 2.0]
        assert read["data__m"].tolist() == [True, False]


def test_digest_sees_name_dtype_shape_and_value():
    x = np.zeros(4)
    seen = {
        array_digest({"x": x}),
        array_digest({"y": x}),
        array_digest({"x": x.astype("f4")}),
        array_digest({"x": x.reshape(2, 2)}),
        array_digest({"x": -x}),
        array_digest({"x": x, "y": x}),
        array_digest({}),
    }
    assert len(seen) == 7


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1, 2], dtype="M8[s]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([1.0], dtype="f2"),
        np.array([1.0], dtype=np.longdouble),
        np.array([np.nan]),
        np.array([np.inf], "f4"),
        np.array([1j * np.inf]),
    ],
    ids=lambda a: a.dtype.str,
)
def test_what_is_never_written(array):
    with pytest.raises(FileInvalid) as caught:
        write_npz({"a__x": array})
    assert caught.value.code == "arrays"


@pytest.mark.parametrize("name", ["../x", "A", "", "a b", "x" * 200, "a.npy", "é"])
def test_impossible_member_names(name):
    with pytest.raises(FileInvalid):
        write_npz({name: np.zeros(1)})


def npy(array, **kwargs):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **kwargs)
    return out.getvalue()


def zipped(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as container:
        for name, body in members:
            container.writestr(zipfile.ZipInfo(name), body, compress_type=compression)
    return out.getvalue()


def plain_header(descr="'<f8'", shape="(1,)", order="False", length=118):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    return (
        b"\x93NUMPY\x01\x00"
        + length.to_bytes(2, "little")
        + text.ljust(length - 1).encode()
        + (b"\n")
    )


GOOD = npy(np.zeros(1))
HOSTILE = {
    "no zip": b"nothing",
    "empty": b"",
    "pickled member": zipped([("a__x.npy", npy(np.array([{}]), allow_pickle=True))]),
    "raw pickle": zipped([("a__x.npy", b"\x80\x04K\x01.")]),
    "not an array": zipped([("a__x.npy", b"hello")]),
    "foreign name": zipped([("../a.npy", GOOD)]),
    "no suffix": zipped([("a__x", GOOD)]),
    "compressed": zipped([("a__x.npy", npy(np.zeros(100_000)))], zipfile.ZIP_DEFLATED),
    "bomb": zipped([("a__x.npy", bytes(2**27))], zipfile.ZIP_DEFLATED),
    "object dtype": zipped([("a__x.npy", plain_header("'|O'") + bytes(8))]),
    "structured": zipped([("a__x.npy", plain_header("[('a', '<f8')]") + bytes(8))]),
    "big endian": zipped([("a__x.npy", plain_header("'>f8'") + bytes(8))]),
    "fortran": zipped([("a__x.npy", plain_header(order="True") + bytes(8))]),
    "huge shape": zipped([("a__x.npy", plain_header(shape="(99999999999,)") + bytes(8))]),
    "overflowing shape": zipped(
        [("a__x.npy", plain_header(shape="(4294967296, 4294967296,)") + bytes(8))]
    ),
    "negative shape": zipped([("a__x.npy", plain_header(shape="(-1,)") + bytes(8))]),
    "shape of code": zipped([("a__x.npy", plain_header(shape="(exit(),)") + bytes(8))]),
    "short data": zipped([("a__x.npy", plain_header() + bytes(7))]),
    "long data": zipped([("a__x.npy", plain_header() + bytes(9))]),
    "header beyond": zipped([("a__x.npy", plain_header()[:40])]),
    "huge header": zipped([("a__x.npy", plain_header(length=20_000) + bytes(8))]),
    "nan": zipped([("a__x.npy", npy(np.array([np.nan])))]),
    "odd boolean": zipped([("a__x.npy", plain_header("'|b1'") + b"\x02")]),
    "too many": zipped([(f"a__x{i}.npy", GOOD) for i in range(4097)]),
    "comment": zipped([("a__x.npy", GOOD)])[:-2] + b"\x01\x00!",
    "prefix": b"MZ" + write_npz({"a__x": np.zeros(1)}),
    "suffix": write_npz({"a__x": np.zeros(1)}) + b"!",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name):
    with pytest.raises(FileInvalid) as caught:
        read_npz(HOSTILE[name], path="p.npz")
    assert caught.value.code == "arrays"
    assert caught.value.path == "p.npz"


def test_duplicate_members_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([("a__x.npy", GOOD), ("a__x.npy", GOOD)])
    with pytest.raises(FileInvalid, match="twice"):
        read_npz(data)


def test_overlapping_members_are_refused():
    data = bytearray(write_npz({"a__x": np.zeros(8), "b__y": np.ones(8)}))
    second = data.rindex(b"PK\1\2")
    struct.pack_into("<L", data, second + 42, 0)  # both entries now name the first member
    with pytest.raises(FileInvalid, match="overlaps"):
        read_npz(bytes(data))


def test_flags_of_encryption_are_refused():
    data = bytearray(write_npz({"a__x": np.zeros(8)}))
    data[data.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(FileInvalid, match="encrypted"):
        read_npz(bytes(data))


def test_every_flipped_byte_is_seen_or_harmless():
    members = {"a__x": np.arange(4.0), "b__y": np.arange(3)}
    data = write_npz(members)
    for index in range(len(data)):
        bad = bytearray(data)
        bad[index] ^= 0x40
        try:
            read = read_npz(bytes(bad))
        except FileInvalid:
            continue
        assert all(read[name].tobytes() == array.tobytes() for name, array in members.items())


def test_a_bomb_costs_no_memory():
    tracemalloc.start()
    with pytest.raises(FileInvalid):
        read_npz(HOSTILE["bomb"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@given(st.binary(max_size=300))
def test_one_exception_type_for_any_bytes(data):
    with pytest.raises(FileInvalid):
        read_npz(data)


def tensors(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + body


def test_safetensors_written_by_the_library_are_read():
    numpy = pytest.importorskip("safetensors.numpy")
    data = numpy.save({"w": np.zeros((2, 3), "f4"), "b": np.ones(3)}, metadata={"arm": "scm"})
    assert check_safetensors(data) == {"w": ("F32", (2, 3)), "b": ("F64", (3,))}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        (2**40).to_bytes(8, "little") + b"{}",
        tensors(b"[]"),
        tensors(b'{"a":1}'),
        tensors(b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', bytes(7)),
        tensors(b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', bytes(9)),
        tensors(b'{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        tensors(b'{"a":{"dtype":"F64","shape":[-1],"data_offsets":[8,0]}}', bytes(8)),
        tensors(b'{"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}}', bytes(8)),
        tensors(b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,8]}}', bytes(8)),
        tensors(
            b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
            b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
            bytes(3),
        ),
        tensors(b'{"__metadata__":{"a":"1","b":"2"}}'),
        tensors(b'{"a":{},"a":{}}'),
    ],
)
def test_hostile_safetensors_are_refused(data):
    with pytest.raises(FileInvalid) as caught:
        check_safetensors(data, path="seed_1/checkpoints/scm.safetensors")
    assert caught.value.code == "arrays"
    assert caught.value.path.endswith("scm.safetensors")
