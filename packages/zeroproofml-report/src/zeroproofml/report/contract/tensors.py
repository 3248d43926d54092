"""The header of a safetensors file, read without the safetensors package."""

import re
from math import prod

from zeroproofml.report.contract.strict_json import parse
from zeroproofml.report.errors import FileInvalid

__all__ = ["check_safetensors"]

_MAX_HEADER = 2**20
_SIZES = {
    "BOOL": 1,
    "I8": 1,
    "U8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def check_safetensors(data: bytes, *, path: str = "") -> dict[str, tuple[str, tuple[int, ...]]]:
    """Check a safetensors file and return name → (dtype, shape) of its tensors.

    Tensors must fill the data exactly, without gap or overlap; the header is at most 1 MiB and
    holds at most one metadata entry (the order of several is not fixed by the format).

    Raises
    ------
    FileInvalid
        Code ``arrays``.

    Examples
    --------
    >>> header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    >>> check_safetensors(len(header).to_bytes(8, "little") + header + bytes(8))
    {'w': ('F32', (2,))}
    """
    try:
        return _check(data, path)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"has a header that is not that of safetensors ({type(error).__name__})"
        raise FileInvalid(msg, code="arrays", path=path, hint="restore the file") from None
    except FileInvalid as error:
        raise FileInvalid(
            error.message, code="arrays", path=path, pointer=error.pointer, hint="restore the file"
        ) from None


def _check(data: bytes, path: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_MAX_HEADER, len(data) - 8):
        msg = "has an oversized or torn header"
        raise FileInvalid(msg, path=path)
    header = parse(data[8 : 8 + length], path=path)
    if not isinstance(header, dict):
        msg = "has a header that is no object"
        raise FileInvalid(msg, path=path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or len(metadata) > 1:
        msg = "has more than one metadata entry"
        raise FileInvalid(msg, path=path)
    found, spans = {}, []
    for name, tensor in header.items():
        shape, (start, end) = tuple(tensor["shape"]), tensor["data_offsets"]
        size = _SIZES[tensor["dtype"]]
        numbers = (*shape, start, end)
        if not _NAME.fullmatch(name) or tensor.keys() != {"dtype", "shape", "data_offsets"}:
            msg = f"has an unknown entry {name!r:.80}"
            raise FileInvalid(msg, path=path)
        if any(type(n) is not int or n < 0 for n in numbers) or prod(shape) * size != end - start:
            msg = f"tensor {name} has a shape that is not its size"
            raise FileInvalid(msg, path=path)
        found[name] = (str(tensor["dtype"]), shape)
        spans.append((start, end))
    at = 0
    for start, end in sorted(spans):
        if start != at:
            msg = "has tensors that overlap or leave a gap"
            raise FileInvalid(msg, path=path)
        at = end
    if at != len(data) - 8 - length:
        msg = "has bytes that belong to no tensor"
        raise FileInvalid(msg, path=path)
    return found
