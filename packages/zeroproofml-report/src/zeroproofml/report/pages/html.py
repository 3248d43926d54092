"""A page as one HTML file: no script, no address, no font; everything escaped by jinja2."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import jinja2
from markupsafe import Markup

from zeroproofml.report.figures.inline import inline
from zeroproofml.report.figures.style import DARK, FONT, LIGHT
from zeroproofml.report.pages.model import (
    Cell,
    Code,
    Column,
    Figure,
    Notice,
    Page,
    Prose,
    Table,
)
from zeroproofml.scm.errors import SCMValueError

__all__ = ["MOST_PAGE", "render"]

MOST_PAGE = 6_000_000
_OPEN_ROWS = 24
_LONG = 28


def render(page: Page) -> str:
    """The whole page as HTML.

    Args:
        page: what to show.

    Returns:
        A document of at most 6 MB that opens from disk without a network.

    Raises:
        SCMValueError: above 6 MB; points of a figure were not reduced.

    >>> from zeroproofml.report.pages.model import Text
    >>> "&lt;b&gt;" in render(Page("audit", "Claims", Text("<b>")))
    True
    """
    text = _template().render(
        page=page,
        plates=_plates,
        light=LIGHT,
        dark=DARK,
        font=FONT,
        open_rows=_OPEN_ROWS,
        sides_of=_sides,
        cells_of=_cells,
    )
    if len(text.encode()) > MOST_PAGE:
        msg = f"page {page.title!r}: above {MOST_PAGE} bytes; reduce the points of its figures"
        raise SCMValueError(msg)
    return text.rstrip("\n") + "\n"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests |= {
        "table": lambda block: isinstance(block, Table),
        "figure": lambda block: isinstance(block, Figure),
        "notice": lambda block: isinstance(block, Notice),
        "prose": lambda block: isinstance(block, Prose),
        "code": lambda cell: isinstance(cell, Code),
    }
    environment.filters["words"] = _words
    source = resources.files(__package__ or "").joinpath("page.html.j2").read_text("utf-8")
    return environment.from_string(source)


def _sides(columns: tuple[Column, ...]) -> tuple[bool, ...]:
    return tuple(column.align == "left" for column in columns)


def _cells(row: tuple[Cell, ...], sides: tuple[bool, ...]) -> list[tuple[str, bool, str]]:
    """Class, whether it is code, and text of each cell: tables of thousands of rows stay quick."""
    made = []
    for cell, left in zip(row, sides, strict=True):
        words, is_code = str(cell), isinstance(cell, Code)
        side = "l long" if left and not is_code and len(words) > _LONG else "l" if left else ""
        made.append((side, is_code, words))
    return made


def _words(cell: Cell) -> str:
    return str(cell)


def _plates(figure: Figure) -> list[Markup]:
    return [inline(plate, figure.slug, index) for index, plate in enumerate(figure.plates)]
