"""A figure as one SVG file: its plates in two columns on white ground."""

from __future__ import annotations

from zeroproofml.report.figures import plate, svg
from zeroproofml.report.figures.style import FONT, LIGHT, SIZE
from zeroproofml.report.pages.model import Figure
from zeroproofml.scm.errors import SCMValueError

__all__ = ["MOST_PLATE", "MOST_SHEET", "sheet"]

MOST_PLATE = 400_000
MOST_SHEET = 2_000_000
_CAPTION = 13
_LINE = 18


def sheet(figure: Figure) -> bytes:
    """The bytes of ``figures/<slug>.svg``.

    Args:
        figure: at least one plate.

    Returns:
        UTF-8 SVG, the same bytes for the same figure everywhere.

    Raises:
        SCMValueError: a plate above 400 kB or a sheet above 2 MB: points were not reduced.

    >>> from zeroproofml.report.figures.axes import linear_axis
    >>> from zeroproofml.report.pages.model import Column, Table
    >>> axis = linear_axis([0.0, 1.0])
    >>> one = plate.Plate("Line plot", "t", "", axis, axis, 320, plate.Account(0, 0))
    >>> twin = Table("t", (Column("a"),), (), 0, (), None, "x.json")
    >>> sheet(Figure("figure", "t", "c", (one,), twin))[:9]
    b'<svg aria'
    """
    columns = min(2, len(figure.plates))
    width = SIZE.sheet_width if columns == 2 else SIZE.width
    caption = _wrapped(figure.caption, width)
    top = 32 + _LINE * len(caption) + 8
    drawn = [plate.draw(p, figure.slug, i) for i, p in enumerate(figure.plates)]
    rows = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
    heights = [max(float(each.get("height", "0")) for each in row) for row in rows]
    height = top + sum(heights) + SIZE.sheet_gap * (len(rows) - 1)
    root = svg.node(
        None,
        "svg",
        {"aria-labelledby": "sheet-t sheet-d"},
        xmlns="http://www.w3.org/2000/svg",
        id="sheet",
        viewBox=f"0 0 {width} {svg.number(height)}",
        width=width,
        height=height,
        role="img",
    )
    svg.node(root, "title", id="sheet-t").text = figure.title
    svg.node(root, "desc", id="sheet-d").text = figure.caption
    style = (
        f"#sheet .sheet{{font:600 {SIZE.sheet_title}px {FONT};fill:{LIGHT['ink']}}}\n"
        f"#sheet .caption{{font:{_CAPTION}px {FONT};fill:{LIGHT['muted']}}}"
    )
    svg.node(root, "style").text = style
    svg.node(root, "rect", width=width, height=height, style=f"fill:{LIGHT['ground']}")
    svg.text_node(root, 2, 20, figure.title, class_="sheet")
    for number, words in enumerate(caption):
        svg.text_node(root, 2, 42 + _LINE * number, words, class_="caption")
    y = float(top)
    for row, row_height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            if len(svg.written(each).encode()) > MOST_PLATE:  # checked when it was drawn
                _too_big(figure, "a plate", MOST_PLATE)
            each.set("x", svg.number(column * (SIZE.width + SIZE.sheet_gap)))
            each.set("y", svg.number(y))
            root.append(each)
        y += row_height + SIZE.sheet_gap
    data = svg.serialize(root)
    if len(data) > MOST_SHEET:
        _too_big(figure, "the sheet", MOST_SHEET)
    return data


def _wrapped(words: str, width: float) -> list[str]:
    lines = [""]
    for word in words.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if svg.text_width(longer, _CAPTION * 0.92) > width - 4 and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _too_big(figure: Figure, what: str, limit: int) -> None:
    msg = f"figure {figure.slug}: {what} is above {limit} bytes; reduce its points"
    raise SCMValueError(msg)
