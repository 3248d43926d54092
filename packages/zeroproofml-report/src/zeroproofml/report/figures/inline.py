"""A plate inside a page: the same tree as on disk, with its colours as CSS variables.

This is the only place that tells jinja2 not to escape something, and what it passes has just been
walked against the allow-lists of :mod:`svg`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup

from zeroproofml.report.figures import plate, svg
from zeroproofml.report.figures.style import LIGHT

__all__ = ["inline"]

_NAMES = {value: f"var(--{name})" for name, value in LIGHT.items()}
_COLOUR = re.compile("|".join(map(re.escape, _NAMES)))


def inline(drawn: plate.Plate, slug: str, index: int) -> Markup:
    """A plate as markup for a page.

    Exact token values inside ``style`` attributes and elements become variables, which is what
    makes dark mode work; text is left alone, whatever it says.

    Args:
        drawn: the plate.
        slug: the figure's fixed word.
        index: number of the plate within its figure.

    Returns:
        An ``svg`` element without width and height.

    >>> from zeroproofml.report.figures.axes import linear_axis
    >>> axis = linear_axis([0.0, 1.0])
    >>> one = plate.Plate("Line plot", "t", "", axis, axis, 320, plate.Account(0, 0))
    >>> "var(--ink)" in inline(one, "figure", 0)
    True
    """
    root = plate.draw(drawn, slug, index)  # checked there, before the variables go in
    del root.attrib["width"], root.attrib["height"]
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _variables(element.attrib["style"]))
        if element.tag == "style" and element.text:
            element.text = _variables(element.text)
    return Markup(svg.written(root))  # built from a checked tree


@lru_cache(maxsize=1024)  # thousands of marks share a few styles
def _variables(style: str) -> str:
    return _COLOUR.sub(lambda match: _NAMES[match.group()], style)
