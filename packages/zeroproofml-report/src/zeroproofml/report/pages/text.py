"""Strings on their way to a page: cleaned once, on entry, whatever wrote them.

Three kinds of string meet a renderer. ``Text`` came out of a file: it is cleaned here, and every
renderer writes it so that nothing in it can act. ``Code`` is a digest, a path of the run contract or
a version of ours: a narrow alphabet, refused otherwise. A plain ``str`` is our own wording.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from zeroproofml.scm.errors import SCMValueError

__all__ = ["Code", "Text", "clean"]

_LIMIT = 200
_KEPT = 160
_STACK = 4
# letters and marks that show nothing: fillers, and the joiner that keeps marks apart
_INVISIBLE = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0})
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 :._/+=,()~<>-]*")


@dataclass(frozen=True, slots=True)
class Text:
    """A string from a file, cleaned.

    >>> Text("a\\tb\\u202ec").value
    'a b\\\\u{202E}c'
    """

    value: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", clean(self.value))

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Code:
    """A digest, path or version made by this project, shown as code.

    >>> Code("seed_1/commit.json").value
    'seed_1/commit.json'
    """

    value: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.value):
            msg = f"Code: {clean(self.value)!r} holds a character that code never has; use Text"
            raise SCMValueError(msg)

    def __str__(self) -> str:
        return self.value


def clean(raw: str) -> str:
    """Make every character of a string visible and harmless, and the string short.

    NFC; tab and newline become a space; controls, lone surrogates, noncharacters, bidi controls,
    zero-width and private-use characters, and the fifth and later mark on one letter become
    visible as ``\\u{202E}``. More than 200 characters become the first 160 and a count.

    Args:
        raw: any string, also one that UTF-8 cannot encode.

    Returns:
        At most about 200 characters that XML, HTML and a terminal can show as they stand.

    >>> clean("x" * 201)[-18:]
    '… (+41 characters)'
    """
    shown: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", raw):
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if char in "\t\n":
            shown.append(" ")
        elif _must_show(ord(char), category) or marks > _STACK:
            shown.append(f"\\u{{{ord(char):04X}}}")
        else:
            shown.append(char)
    if sum(map(len, shown)) <= _LIMIT:
        return "".join(shown)
    kept = length = 0
    while length + len(shown[kept]) <= _KEPT:
        length += len(shown[kept])
        kept += 1
    return "".join(shown[:kept]) + f"… (+{len(shown) - kept} characters)"


def _must_show(code: int, category: str) -> bool:
    return (
        category in _HIDDEN_CATEGORIES
        or code in _INVISIBLE
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )
