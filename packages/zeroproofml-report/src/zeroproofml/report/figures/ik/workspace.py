"""`ik_workspace`: where in the workspace an arm is good, and where it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.figures.axes import Axis, linear_axis
from zeroproofml.report.figures.heat import Cells, ColourBar
from zeroproofml.report.figures.ik.gather import MAPPED, WORDS, Gathered, Mapped
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "ik_workspace"
_CELLS = 24
_LEAST = 3
_HIGH = 1.5
_CAPTIONS = {"r2": ("hand x, m", "hand y, m"), "ur5": ("distance from the axis, m", "hand z, m")}


@dataclass(frozen=True)
class _Map:
    """One arm and robot on the grid: cells by [column][row], None where there are too few rows."""

    x: Array
    y: Array
    residual: list[list[float | None]]
    refused: list[list[float | None]]
    rows: int
    drawn: int


def workspace(data: Gathered) -> Figure | NotDrawn:
    """Median residual and share of ⊥ per cell of the hand's position, all seeds together."""
    plates: list[Plate] = []
    table: list[tuple[Cell, ...]] = []
    for robot in data.robots:
        found = [arm for arm in MAPPED if (robot, arm) in data.mapped]
        maps = {arm: _map(data.mapped[robot, arm]) for arm in found}
        plates += [_plate(robot, arm, made, refusals=False) for arm, made in maps.items()]
        plates += [_plate(robot, arm, made, refusals=True) for arm, made in maps.items()]
        table += [_row(robot, arm, made) for arm, made in maps.items()]
    if not plates:
        return NotDrawn(SLUG, "neither scm_full nor mlp_pole gave an answer")
    columns = [Column("robot", align="left"), Column("arm", align="left"), Column("rows")]
    columns += [Column("cells drawn"), Column("cells refused by the majority")]
    columns += [Column("median residual, 5 % of cells"), Column("half"), Column("95 %")]
    twin = Table(
        "Cells of the workspace, natural rows of all seeds",
        tuple(columns),
        tuple(table),
        data.planned,
        data.seeds,
        None,
        "seed_<n>/predictions.npz",
    )
    caption = (
        "Natural rows by hand position, 24 × 24 cells. Colour: median residual of the free answer "
        "(1 is standing still), or the share of rows refused when halting is allowed. Hatched: "
        "most rows of the cell are refused. Blank: fewer than 3 rows."
    )
    return Figure(SLUG, "Residual and refusal over the workspace", caption, tuple(plates), twin)


def _map(mapped: Mapped) -> _Map:
    place = np.concatenate(mapped.place)
    residual, refused = np.concatenate(mapped.residual), np.concatenate(mapped.refused)
    edges = []
    for axis in (0, 1):
        low, high = float(place[:, axis].min()), float(place[:, axis].max())
        high = high if high > low else low + 1.0
        edges.append(np.linspace(low, high, _CELLS + 1))
    index = [
        np.clip(np.searchsorted(edge, place[:, axis], side="right") - 1, 0, _CELLS - 1)
        for axis, edge in enumerate(edges)
    ]
    cell = index[0] * _CELLS + index[1]
    medians: list[list[float | None]] = [[None] * _CELLS for _ in range(_CELLS)]
    shares: list[list[float | None]] = [[None] * _CELLS for _ in range(_CELLS)]
    drawn = 0
    for number in np.unique(cell):
        rows = cell == number
        count = int(np.count_nonzero(rows))
        if count >= _LEAST:
            i, j = divmod(int(number), _CELLS)
            medians[i][j] = float(np.median(residual[rows]))
            shares[i][j] = float(np.count_nonzero(refused[rows])) / count
            drawn += count
    return _Map(edges[0], edges[1], medians, shares, len(place), drawn)


def _plate(robot: str, arm: str, made: _Map, *, refusals: bool) -> Plate:
    values = made.refused if refusals else made.residual
    high = 1.0 if refusals else _HIGH
    hatched = frozenset(
        (i, j)
        for i, column in enumerate(made.refused)
        for j, share in enumerate(column)
        if share is not None and share > 0.5 and not refusals
    )
    x, y = (tuple(edge.tolist()) for edge in (made.x, made.y))
    marks: tuple[Mark, ...] = (
        Cells(x, y, tuple(map(tuple, values)), 0.0, high, hatched),
        ColourBar(0.0, high, percent=refusals),
    )
    horizontal, vertical = _CAPTIONS[robot]
    key = (Key("most rows refused", hatch="sem"),) if hatched else ()
    title = f"{WORDS[robot]}, {arm}: {'share of ⊥' if refusals else 'median residual'}"
    return Plate(
        "Heat map",
        title,
        vertical,
        _tight(made.x, horizontal),
        _tight(made.y, ""),
        SIZE.square_height,
        Account(made.rows, made.drawn, out_of_range=made.rows - made.drawn),
        marks=marks,
        key=key,
        direction="" if refusals else "lower is better ↓",
        right=SIZE.right_bar,
    )


def _tight(edges: Array, caption: str) -> Axis:
    low, high = float(edges[0]), float(edges[-1])
    return linear_axis([low, high], caption=caption, bounds=(low, high), most=5)


def _row(robot: str, arm: str, made: _Map) -> tuple[Cell, ...]:
    medians = [value for column in made.residual for value in column if value is not None]
    refused = sum(share is not None and share > 0.5 for column in made.refused for share in column)
    quantiles = ["none"] * 3
    if medians:
        quantiles = [numbers.value(float(q)) for q in np.quantile(medians, (0.05, 0.5, 0.95))]
    counts = [numbers.count(n) for n in (made.rows, len(medians), refused)]
    return (WORDS[robot], Code(arm), *counts, *quantiles)
