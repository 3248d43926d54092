"""Arrays as files: npz without compression, without pickle, with one possible byte form.

The reader does not use :func:`numpy.load`: it walks the container itself, so that nothing is
allocated that the file's own size does not account for. Run contract, section 4.6.
"""

import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from zeroproofml.report.errors import FileInvalid

__all__ = ["Array", "array_digest", "check_array", "read_npy", "read_npz", "write_npz"]

Array = NDArray[Any]

_DTYPES = frozenset(
    {"|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f4", "<f8", "<c8", "<c16"}
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
_HEADER = re.compile(
    rb"\{'descr': '([<|=>][a-zA-Z][0-9]{0,4})', 'fortran_order': False, "
    rb"'shape': \(((?:[0-9]{1,12},? ?){0,8})\), \} *\n"
)
_MAX_MEMBERS = 4096
_MAX_HEADER = 10_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED = 0x1


def check_array(name: str, array: Array, *, path: str = "") -> Array:
    """``array`` in the stored form: little-endian, C order, an allowed dtype, finite floats.

    Raises
    ------
    FileInvalid
        Code ``arrays``; object and text dtypes are refused here, before anything is written.

    Examples
    --------
    >>> import numpy as np
    >>> check_array("a__y", np.arange(3, dtype=">i4")).dtype.str
    '<i4'
    """
    if not _NAME.fullmatch(name):
        _refuse(path, name[:80], "is not a member name", "use [a-z][a-z0-9_]*")
    array = np.asarray(array)
    little = array.dtype.newbyteorder("<") if array.dtype.kind in "biufc" else array.dtype
    if little.str not in _DTYPES:
        _refuse(path, name, f"has dtype {array.dtype}", "store bool, int, float32/64 or complex")
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        _refuse(path, name, "holds nan or inf", "store payload 0 and a mask with its cause")
    return np.asarray(array, dtype=little, order="C")


def write_npz(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of an npz file: members sorted, stored, fixed time; equal arrays, equal bytes.

    Parameters
    ----------
    arrays
        Member name (without ``.npy``) to array: b1, i1–i8, u1–u8, f4, f8, c8 or c16.

    Raises
    ------
    FileInvalid
        Code ``arrays``: object dtype, a float that is not finite, or an impossible name.

    Examples
    --------
    >>> import numpy as np
    >>> data = write_npz({"mlp__y": np.zeros(2), "data__x": np.ones(2)})
    >>> list(read_npz(data, path="predictions.npz"))
    ['data__x', 'mlp__y']
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=False) as container:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            container.writestr(entry, _npy(check_array(name, arrays[name])))
    return out.getvalue()


def _npy(array: Array) -> bytes:
    out = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(out, header)
    return out.getvalue() + array.tobytes("C")


def array_digest(arrays: Mapping[str, Array]) -> str:
    """The digest of the numbers themselves: name, dtype, shape and C-order bytes, by name.

    Independent of the container, so it names a data set wherever it is stored.

    Examples
    --------
    >>> import numpy as np
    >>> array_digest({"x": np.zeros(2)}) == array_digest({"x": np.zeros(2, dtype=">f8")})
    True
    """
    made = hashlib.sha256()
    for name in sorted(arrays):
        array = check_array(name, arrays[name])
        shape = ",".join(map(str, array.shape))
        made.update(f"{name}\0{array.dtype.str}\0{shape}\0".encode())
        made.update(array.tobytes("C"))
    return "sha256:" + made.hexdigest()


def read_npz(data: bytes, *, path: str = "") -> dict[str, Array]:
    """Read an npz file that may be hostile; arrays come back read-only.

    Raises
    ------
    FileInvalid
        Code ``arrays``: pickles, object dtypes, compression, encryption, duplicate or overlapping
        members, sizes that do not agree, values that are not finite, trailing or hidden bytes.

    Examples
    --------
    >>> import numpy as np
    >>> read_npz(write_npz({"a__y": np.arange(2.0)}), path="p.npz")["a__y"]
    array([0., 1.])
    >>> read_npz(b"PK", path="p.npz")
    Traceback (most recent call last):
    zeroproofml.report.errors.FileInvalid: p.npz: is not an npz file; restore the file
    """
    found: dict[str, Array] = {}
    for name, start, size, crc in _members(data, path):
        if not name.endswith(".npy") or not _NAME.fullmatch(name[:-4]):
            _refuse(path, name[:80], "is not a member name")
        if name[:-4] in found:
            _refuse(path, name[:-4], "occurs twice")
        body = memoryview(data)[start : start + size]
        if zlib.crc32(body) != crc:
            _refuse(path, name[:-4], "does not match its checksum")
        found[name[:-4]] = _read_npy(body, name[:-4], path)
    return found


def _members(data: bytes, path: str) -> list[tuple[str, int, int, int]]:
    """Name, offset, size and crc of each member; every byte of the file is accounted for."""
    end = len(data) - _END.size
    if end < 0:
        _refuse(path, "", "is not an npz file")
    magic, disk, start_disk, count, total, size, offset, comment = _END.unpack_from(data, end)
    if magic != b"PK\5\6" or disk or start_disk or count != total or comment:
        _refuse(path, "", "is not an npz file")
    if count > _MAX_MEMBERS or offset + size != end:
        _refuse(path, "", "has a directory that does not fit the file")
    members = []
    at, expected = offset, 0
    for _ in range(count):
        if at + _CENTRAL.size > end:
            _refuse(path, "", "has a torn directory")
        row = _CENTRAL.unpack_from(data, at)
        flags, method, crc, packed, plain = row[3], row[4], row[7], row[8], row[9]
        name_size, extra, note, local = row[10], row[11], row[12], row[16]
        name = data[at + _CENTRAL.size : at + _CENTRAL.size + name_size]
        at += _CENTRAL.size + name_size
        if row[0] != b"PK\1\2" or extra or note or at > end:
            _refuse(path, "", "has a torn directory")
        label = name.decode("ascii", "backslashreplace")
        if flags & _ENCRYPTED or method or flags or packed != plain:
            _refuse(path, label[:80], "is compressed or encrypted")
        # Members lie one after another without gap or overlap: the sum of sizes bounds memory.
        if local != expected or local + _LOCAL.size + name_size + plain > offset:
            _refuse(path, label[:80], "overlaps another member or leaves a gap")
        head = _LOCAL.unpack_from(data, local)
        same = (b"PK\3\4", flags, method, crc, packed, plain, name_size, 0)
        if (head[0], head[2], head[3], *head[6:]) != same or (
            data[local + _LOCAL.size : local + _LOCAL.size + name_size] != name
        ):
            _refuse(path, label[:80], "has two different headers")
        members.append((label, local + _LOCAL.size + name_size, plain, crc))
        expected = local + _LOCAL.size + name_size + plain
    if at != end or expected != offset:
        _refuse(path, "", "has bytes that belong to no member")
    return members


def read_npy(data: bytes, *, path: str = "") -> Array:
    """Read one ``.npy`` file that may be hostile; nan and inf may occur, the array is read-only.

    Raises
    ------
    FileInvalid
        Code ``arrays``: a pickle, an object dtype, a shape that is not the file's size.

    Examples
    --------
    >>> read_npy(b"PK", path="x.npy")
    Traceback (most recent call last):
    zeroproofml.report.errors.FileInvalid: x.npy: is not an array of format 1.0; restore the file
    """
    return _read_npy(memoryview(data), "", path, finite=False)


def _read_npy(body: memoryview, name: str, path: str, *, finite: bool = True) -> Array:
    if bytes(body[:8]) != b"\x93NUMPY\x01\x00" or len(body) < 10:
        _refuse(path, name, "is not an array of format 1.0")
    length = int.from_bytes(body[8:10], "little")
    if length > _MAX_HEADER or 10 + length > len(body):
        _refuse(path, name, "has an oversized header")
    header = _HEADER.fullmatch(bytes(body[10 : 10 + length]))
    if header is None:
        _refuse(path, name, "has a header that is not that of a plain array in C order")
    descr = header[1].decode()
    shape = tuple(int(part) for part in header[2].split(b",") if part.strip())
    if descr not in _DTYPES:
        _refuse(path, name, f"has dtype {descr}")
    dtype = np.dtype(descr)
    if prod(shape) * dtype.itemsize != len(body) - 10 - length:
        _refuse(path, name, "declares a shape that is not the member's size")
    array = np.frombuffer(body, dtype=dtype, offset=10 + length).reshape(shape).copy()
    if finite and dtype.kind in "fc" and not np.isfinite(array).all():
        _refuse(path, name, "holds nan or inf")
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        _refuse(path, name, "holds a boolean that is neither 0 nor 1")
    array.flags.writeable = False
    return array


def _refuse(path: str, pointer: str, message: str, hint: str = "restore the file") -> NoReturn:
    raise FileInvalid(message, code="arrays", path=path, pointer=pointer, hint=hint)
