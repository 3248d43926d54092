"""SVG trees: building nodes, the filter with its allow-lists, and the one way to bytes.

Whatever pygal or a mark produced is copied node by node into a fresh tree; an element, attribute or
style that is not on the lists stops the rendering. So no script, link, event handler or foreign URL
can reach a file, whatever an upstream version adds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = [
    "Node",
    "check",
    "node",
    "number",
    "rounded_path",
    "serialize",
    "shorten",
    "text_node",
    "text_width",
    "written",
]

Node = ET.Element

ELEMENTS = frozenset(
    {"svg", "g", "path", "rect", "circle", "text", "title", "desc", "defs", "style", "pattern"}
)
ATTRIBUTES = frozenset(
    {
        "xmlns",
        "id",
        "class",
        "d",
        "x",
        "y",
        "width",
        "height",
        "cx",
        "cy",
        "r",
        "transform",
        "viewBox",
        "style",
        "role",
        "aria-labelledby",
        "patternUnits",
        "patternTransform",
    }
)
_ID = re.compile(r"z[0-9a-f]{10}(-[a-z0-9]{1,12})?|sheet(-[a-z]{1,12})?")
_CLASSES = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*")
_IDREFS = re.compile(rf"(?:{_ID.pattern})( (?:{_ID.pattern}))*")
_GEOMETRY = re.compile(r"[-+MLHVZAzmlhvaTtranslterotascale0-9eE ,.()]*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?%?")
_LOCAL_URL = re.compile(r"url\(#z[0-9a-f]{10}-[a-z0-9]{1,12}\)")
_STYLE = re.compile(r"[#a-zA-Z0-9 .,:;%\"()_{}>-]*")
_FORBIDDEN_STYLE = re.compile(r"url|import|expression|@|\\|/|<", re.IGNORECASE)
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ROUNDED = re.compile(r"(-?\d+\.\d+(?:e[-+]?\d+)?)")


def node(
    parent: Node | None, tag: str, attributes: Mapping[str, object] | None = None, **more: object
) -> Node:
    """Make a node; numbers are rounded to two decimals, ``class_`` means ``class``.

    >>> ET.tostring(node(None, "circle", r=1.23456, class_="dot")).decode()
    '<circle r="1.23" class="dot" />'
    """
    given = {**(attributes or {}), **more}
    plain = {
        key.rstrip("_"): number(value) if isinstance(value, int | float) else str(value)
        for key, value in given.items()
    }
    return Node(tag, plain) if parent is None else ET.SubElement(parent, tag, plain)


def text_node(
    parent: Node,
    x: float,
    y: float,
    words: str | Text,
    *,
    class_: str,
    width: float | None = None,
    size: float = SIZE.text,
) -> Node:
    """A line of text; shortened to ``width`` units, the full text then stands in ``title``.

    >>> group = node(None, "g")
    >>> made = text_node(group, 0, 0, "abcdefghij", class_="t", width=40)
    >>> made.text, made.tail, made[0].text
    (None, None, 'abcdefghij')
    >>> made[0].tail
    'abcd…'
    """
    full = str(words)
    shown = full if width is None else shorten(full, width, size)
    made = node(parent, "text", x=x, y=y, class_=class_)
    if shown == full:
        made.text = full
    else:
        title = node(made, "title")
        title.text = full
        title.tail = shown
    return made


def number(value: float) -> str:
    """A coordinate: at most two decimals, no exponent, no negative zero.

    >>> number(1.0), number(-0.001), number(2.345)
    ('1', '0', '2.35')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown in {"-0", ""} else shown


def rounded_path(path: str) -> str:
    """Round every number of a path or transform.

    >>> rounded_path("M0.000000 1.234567 h3.500000")
    'M0 1.23 h3.5'
    """
    pieces = _ROUNDED.split(path)
    pieces[1::2] = map(_rounded, pieces[1::2])
    return "".join(pieces)


@lru_cache(maxsize=4096)  # the lines of a plate share their places along x
def _rounded(digits: str) -> str:
    return number(float(digits))


def text_width(words: str, size: float = SIZE.text) -> float:
    """Estimated width in user units: 0.56 em a character, 1 em for wide ones.

    >>> round(text_width("ab", 10), 6)
    11.2
    """
    return sum(size if east_asian_width(char) in "WF" else SIZE.em * size for char in words)


def shorten(words: str, width: float, size: float = SIZE.text) -> str:
    """As much of the text as fits, with an ellipsis if it was cut.

    >>> shorten("scm_rational", 60, 14)
    'scm_ra…'
    """
    if text_width(words, size) <= width:
        return words
    kept = words
    while kept and text_width(kept + "…", size) > width:
        kept = kept[:-1]
    return kept + "…"


def check(root: Node) -> Node:
    """Walk a tree against the allow-lists.

    Args:
        root: tree without namespace prefixes.

    Returns:
        The same tree.

    Raises:
        SCMValueError: for the first element, attribute or value that is not allowed.

    >>> check(node(None, "script"))
    Traceback (most recent call last):
    zeroproofml.scm.errors.SCMValueError: figure: element 'script' is not on the allow-list; mend the code that drew it
    """
    seen: set[str] = set()
    for element in root.iter():
        tag = element.tag
        if tag not in ELEMENTS:  # a comment or instruction has a function as its tag
            _refuse(f"element {tag!r}")
        for content in (element.text or "", element.tail or ""):
            if _ILLEGAL.search(content):
                _refuse(f"a character in {tag!r} that XML forbids")
        for key, value in element.attrib.items():
            _check_attribute(tag, key, value)
        if (name := element.get("id")) is not None:
            if name in seen:
                _refuse(f"id {name!r} twice")
            seen.add(name)
        if tag == "style" and not _is_style(element.text or ""):
            _refuse("a style")
    return root


def serialize(root: Node) -> bytes:
    """Check a tree and write it: UTF-8, no declaration, one element per line, a final newline.

    >>> serialize(node(None, "circle", r=1)).decode().rstrip()
    '<circle r="1"/>'
    """
    return (written(check(root)) + "\n").encode()


def written(root: Node) -> str:
    """A checked tree as a string.

    >>> written(node(None, "circle", r=1))
    '<circle r="1"/>'
    """
    pieces: list[str] = []
    _write(root, pieces.append)
    return "".join(pieces)


def _write(element: Node, put: Callable[[str], None]) -> None:
    attributes = "".join(f' {key}="{_attribute(value)}"' for key, value in element.attrib.items())
    if len(element) == 0 and not element.text:
        put(f"<{element.tag}{attributes}/>")
        return
    put(f"<{element.tag}{attributes}>")
    if element.text:
        put(_content(element.text))
    # a line break between elements keeps diffs short; inside text it would be drawn as a space
    separator = "" if element.tag == "text" else "\n"
    for child in element:
        put(separator)
        _write(child, put)
        if child.tail:
            put(_content(child.tail))
    if len(element):
        put(separator)
    put(f"</{element.tag}>")


def _content(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(words: str) -> str:
    return _content(words).replace('"', "&quot;")


def _check_attribute(tag: str, key: str, value: str) -> None:
    if key not in ATTRIBUTES:
        _refuse(f"attribute {key!r} of {tag!r}")
    if key == "xmlns":
        good = value == "http://www.w3.org/2000/svg"
    elif key == "id":
        good = _ID.fullmatch(value) is not None
    elif key == "aria-labelledby":
        good = _IDREFS.fullmatch(value) is not None
    elif key == "class":
        good = _CLASSES.fullmatch(value) is not None
    elif key == "style":
        good = _is_style(value)
    elif key in {"d", "transform", "patternTransform", "viewBox"}:
        good = _GEOMETRY.fullmatch(value) is not None
    elif key in {"role", "patternUnits"}:
        good = value in {"img", "userSpaceOnUse"}
    else:
        good = _NUMBER.fullmatch(value) is not None
    if not good:
        _refuse(f"value of {key!r} in {tag!r}")


@lru_cache(maxsize=1024)  # thousands of marks share a few styles
def _is_style(style: str) -> bool:
    rest = _LOCAL_URL.sub("", style)
    forbidden = _FORBIDDEN_STYLE.search(rest) is not None
    return not forbidden and _STYLE.fullmatch(rest.replace("\n", " ")) is not None


def _refuse(what: str) -> None:
    msg = f"figure: {what} is not on the allow-list; mend the code that drew it"
    raise SCMValueError(msg)
