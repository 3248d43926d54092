"""Heat maps: a value per cell on one shared ramp, ⊥ cells hatched, empty cells blank."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import Axis, linear_axis
from zeroproofml.report.figures.heat import Cells, ColourBar
from zeroproofml.report.figures.lines import CAUSE_WORDS
from zeroproofml.report.figures.marks import Canvas, HatchKind, Mark
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = ["MapCell", "map_plate"]


@dataclass(frozen=True, slots=True)
class MapCell:
    """One cell: its value, or the kind of ⊥, or neither where it has no sample; ``n`` lanes."""

    value: float | None = None
    bottom: HatchKind | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class _Hatches:
    """The ⊥ cells, one path per kind."""

    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    kinds: tuple[tuple[HatchKind | None, ...], ...]

    def draw(self, canvas: Canvas) -> None:
        """Add the hatched cells."""
        boxes: dict[HatchKind, list[str]] = {}
        for row, (y0, y1) in zip(self.kinds, itertools.pairwise(self.y_edges), strict=True):
            for kind, (x0, x1) in zip(row, itertools.pairwise(self.x_edges), strict=True):
                if kind is None:
                    continue
                left, right, top, foot = map(
                    svg.number, (canvas.x(x0), canvas.x(x1), canvas.y(y1), canvas.y(y0))
                )
                boxes.setdefault(kind, []).append(f"M{left} {top}H{right}V{foot}H{left}Z")
        for kind, paths in sorted(boxes.items()):
            svg.node(canvas.group, "path", d="".join(paths), style=canvas.hatch(kind))


def map_plate(
    title: str | Text,
    caption: str | Text,
    x_edges: Sequence[float],
    y_edges: Sequence[float],
    cells: Sequence[Sequence[MapCell]],
    *,
    x_caption: str | Text = "",
    bounds: tuple[float, float] | None = None,
    direction: str = "",
    over: tuple[Mark, ...] = (),
) -> Plate:
    """A heat map.

    Args:
        title, caption, direction: as on every plate.
        x_edges, y_edges: cell edges, one more than cells, at most 49.
        cells: rows from the bottom; each as long as there are columns.
        x_caption: what stands under the axis.
        bounds: ends of the ramp, shared between plates; those of the values by default.
        over: marks above the cells.

    Returns:
        A plate of height 400 and its key; values beyond ``bounds`` are drawn in the end colours.

    >>> body = [[MapCell(0.5, n=3), MapCell(bottom="sem", n=2)]]
    >>> map_plate("error", "m", [0, 1, 2], [0, 1], body).account.bottom
    {'semantic': 2}
    """
    if len(cells) != len(y_edges) - 1 or any(len(row) != len(x_edges) - 1 for row in cells):
        msg = "map_plate: cells need one row per y interval and one column per x interval"
        raise SCMValueError(msg)
    flat = [cell for row in cells for cell in row]
    values = [cell.value for cell in flat if cell.value is not None and cell.bottom is None]
    low, high = bounds or ((min(values), max(values)) if values else (0.0, 1.0))
    if low == high:
        high = low + 1.0
    values_by_column = tuple(
        tuple(None if row[i].bottom else row[i].value for row in cells)
        for i in range(len(x_edges) - 1)
    )
    kinds = sorted({cell.bottom for cell in flat if cell.bottom is not None})
    key = [Key(f"⊥ {CAUSE_WORDS[kind]}", hatch=kind) for kind in kinds]
    if any(cell.value is None and cell.bottom is None for cell in flat):
        key.append(Key("blank: no sample"))
    bottom: dict[str, int] = {}
    for cell in flat:
        if cell.bottom is not None:
            word = CAUSE_WORDS[cell.bottom]
            bottom[word] = bottom.get(word, 0) + cell.n
    drawn = sum(c.n for c in flat if c.value is not None and c.bottom is None)
    return Plate(
        "Heat map",
        title,
        caption,
        _edge_axis(x_edges, x_caption),
        _edge_axis(y_edges, ""),
        SIZE.square_height + SIZE.key_row * -(-len(key) // 2),
        Account(drawn + sum(bottom.values()), drawn, bottom=bottom),
        marks=(
            Cells(tuple(x_edges), tuple(y_edges), values_by_column, low, high),
            _Hatches(
                tuple(x_edges),
                tuple(y_edges),
                tuple(tuple(cell.bottom for cell in row) for row in cells),
            ),
            ColourBar(low, high),
            *over,
        ),
        key=tuple(key),
        direction=direction,
        right=SIZE.right_bar,
    )


def _edge_axis(edges: Sequence[float], caption: str | Text) -> Axis:
    made = linear_axis(edges, caption=caption)
    low, high = min(edges), max(edges)
    ticks = tuple(tick for tick in made.ticks if low <= tick.value <= high)
    return Axis(low, high, ticks, caption, guides=False)
