"""JSON, strictly: one reader that trusts nothing, one canonical form for digests, one file form.

The limits are those of the run contract, section 2. Only :class:`FileInvalid` leaves the parser.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NoReturn

from zeroproofml.report.errors import FileInvalid

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MAX_STRING",
    "canonical",
    "digest",
    "dump",
    "parse",
    "sha256",
]

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
MAX_STRING = 2**20
MAX_INTEGER = 2**53 - 1

# An unterminated string runs to the end, so that the scan stays linear on hostile input.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_LONG_STRING = re.compile(rb'"[^"]{%d}' % (MAX_STRING + 1))
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_ONLY_DIGITS_AND_POINTS = bytes(
    ord("0") if 48 <= byte <= 57 else byte if byte == ord(".") else ord(" ") for byte in range(256)
)
_CONSTANTS = {None: "null", True: "true", False: "false"}
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def parse(data: bytes, *, path: str = "") -> object:
    """Read one JSON text under every limit of the contract.

    Parameters
    ----------
    data
        The bytes of the file.
    path
        Named in the error.

    Returns
    -------
    object
        ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``.

    Raises
    ------
    FileInvalid
        With code ``json_strict``, for anything that is not strict JSON within the limits.

    Examples
    --------
    >>> parse(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> parse(b'{"a": 1, "a": 2}', path="x.json")
    Traceback (most recent call last):
    zeroproofml.report.errors.FileInvalid: x.json: duplicate key 'a'; restore the file
    """
    reader = _Reader(path)
    if len(data) > MAX_BYTES:
        reader.refuse(f"{len(data)} bytes exceed the limit of {MAX_BYTES}")
    if data[:3] == b"\xef\xbb\xbf":
        reader.refuse("starts with a byte order mark")
    bare = _STRINGS.sub(b"", data)
    _check_depth(bare, reader)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        reader.refuse(f"is not UTF-8 at byte {error.start}")
    try:
        value = json.loads(
            text,
            object_pairs_hook=reader.pairs,
            parse_float=reader.real if _may_overflow(bare) else None,  # a call per number is slow
            parse_int=reader.integer if _may_exceed(bare) else None,
            parse_constant=reader.constant,
        )
    except (ValueError, RecursionError) as error:
        reader.refuse(f"is not JSON: {error}")
    # Without an escape a string is what stands between two quotation marks.
    if b"\\" in data or _LONG_STRING.search(data):
        _check_strings(value, reader)
    return value


class _Reader:
    """The callbacks of one parse; they share the path that errors name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def refuse(self, message: str) -> NoReturn:
        raise FileInvalid(message, code="json_strict", path=self.path, hint="restore the file")

    def pairs(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.refuse(f"duplicate key {key!r:.80}")
                seen.add(key)
        return made

    def real(self, text: str) -> float:
        value = float(text)
        if value - value != 0.0:
            self.refuse(f"number {text:.40} overflows")
        return value

    def integer(self, text: str) -> int:
        if len(text) > 17 or abs(value := int(text)) > MAX_INTEGER:
            self.refuse(f"integer {text:.40} is outside ±(2^53−1)")
        return value

    def constant(self, text: str) -> object:
        self.refuse(f"{text} is not a number of JSON")


def _check_depth(bare: bytes, reader: _Reader) -> None:
    depth = 0
    for byte in bare.translate(None, _NOT_BRACKETS):
        if byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                reader.refuse(f"is nested deeper than {MAX_DEPTH}")
        else:
            depth -= 1


def _may_overflow(bare: bytes) -> bool:
    """True unless every number has fewer than 200 digits in a row and two digits of exponent."""
    alike = bare.translate(_DIGITS_ALIKE)
    return b"e000" in alike or b"e+000" in alike or b"0" * 200 in alike


def _may_exceed(bare: bytes) -> bool:
    """True unless 16 digits in a row stand only behind a decimal point: integers are below 2^53."""
    return b" 0000000000000000" in b" " + bare.translate(_ONLY_DIGITS_AND_POINTS)


def _check_strings(value: object, reader: _Reader) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if len(item) > MAX_STRING // 4 and len(item.encode("utf-8", "replace")) > MAX_STRING:
                reader.refuse("has a string of more than 1 MiB")
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                reader.refuse("has a lone surrogate in a string")
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def canonical(obj: object) -> bytes:
    """The one byte form of a JSON value that digests are taken of.

    Keys sorted by code point, separators ``,`` and ``:``, NFC strings, shortest floats.

    Raises
    ------
    FileInvalid
        With code ``json_strict`` if ``obj`` is not a finite JSON value.

    Examples
    --------
    >>> canonical({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1.0}'
    """
    return _encode(obj, indent=False)


def dump(obj: object) -> bytes:
    r"""The form of ``obj`` as a file: indent 1, sorted keys, LF, a final newline.

    Examples
    --------
    >>> dump({"a": 1})
    b'{\n "a": 1\n}\n'
    """
    return _encode(obj, indent=True) + b"\n"


def sha256(data: bytes) -> str:
    """The digest of bytes as ``sha256:`` and 64 lowercase hexadecimal digits.

    Examples
    --------
    >>> sha256(b"")[:15]
    'sha256:e3b0c442'
    """
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(obj: object) -> str:
    """The digest of the canonical form of ``obj``.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return sha256(canonical(obj))


def _encode(obj: object, indent: bool) -> bytes:
    try:
        return _written(obj, "\n" if indent else "", ": " if indent else ":", 0).encode("utf-8")
    except ValueError as error:
        msg = f"cannot be written as JSON: {error}"
        raise FileInvalid(msg, code="json_strict", hint="give finite numbers and text") from None


def _written(obj: object, line: str, colon: str, depth: int) -> str:
    """The text of ``obj``; ``line`` is what ends a line (``""``: all on one) and begins the next.

    By hand, since the encoder of the standard library is slow as soon as it indents.
    """
    if isinstance(obj, str):
        return _quoted(obj)
    if isinstance(obj, float):
        if obj - obj != 0.0:
            msg = f"{obj!r} is not a number of JSON"
            raise ValueError(msg)
        return float.__repr__(obj)
    if obj is None or isinstance(obj, bool):
        return _CONSTANTS[obj]
    if isinstance(obj, int):
        if abs(obj) > MAX_INTEGER:
            msg = f"integer of {obj.bit_length()} bits is outside ±(2^53−1)"
            raise ValueError(msg)
        return int.__repr__(obj)
    if depth >= MAX_DEPTH:
        msg = f"nested deeper than {MAX_DEPTH}"
        raise ValueError(msg)
    below = f"{line} " if line else ""
    if isinstance(obj, dict | Mapping):  # dict first: it answers faster
        members = {_key(key): value for key, value in obj.items()}
        if len(members) != len(obj):
            msg = "two keys are equal in NFC"
            raise ValueError(msg)
        parts = [
            f"{_quoted_key(key)}{colon}{_written(members[key], below, colon, depth + 1)}"
            for key in sorted(members)
        ]
        return f"{{{below}{f',{below}'.join(parts)}{line}}}" if parts else "{}"
    if isinstance(obj, list | tuple | Sequence) and not isinstance(obj, bytes | bytearray):
        types = set(map(type, obj))
        if types == {float} and all(map(math.isfinite, obj)):  # a column: no calls
            parts = list(map(float.__repr__, obj))
        elif types == {int} and min(obj) >= -MAX_INTEGER and max(obj) <= MAX_INTEGER:
            parts = list(map(int.__repr__, obj))
        else:
            parts = [_written(value, below, colon, depth + 1) for value in obj]
        return f"[{below}{f',{below}'.join(parts)}{line}]" if parts else "[]"
    msg = f"a {type(obj).__name__} is no JSON value"
    raise ValueError(msg)


@lru_cache(maxsize=4096)
def _key(key: object) -> str:
    if not isinstance(key, str):
        msg = f"key {key!r:.80} is not a string"
        raise ValueError(msg)  # noqa: TRY004 - becomes a FileInvalid one level up
    return unicodedata.normalize("NFC", key)


def _quoted(text: str) -> str:
    return encode_basestring(text if text.isascii() else unicodedata.normalize("NFC", text))


_quoted_key = lru_cache(maxsize=4096)(_quoted)
