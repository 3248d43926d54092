"""`ik_route_map`: in the joint plane, which rows the tuple arm answers and which it hands over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.figures.axes import Axis, Tick
from zeroproofml.report.figures.ik.gather import WORDS, Gathered, Route
from zeroproofml.report.figures.marks import Glyph, Segment
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "ik_route_map"
_GRID = 26
_LINES = {"r2": ((None, 0.0),), "ur5": ((0.0, None), (None, 0.0))}
_CAPTIONS = {"r2": ("joint 1, rad", "joint 2, rad"), "ur5": ("joint 3, rad", "joint 5, rad")}
_TICKS = tuple(
    Tick(value, word)
    for value, word in (
        (-math.pi, "−π"),
        (-math.pi / 2, "−π/2"),
        (0.0, "0"),
        (math.pi / 2, "π/2"),
        (math.pi, "π"),
    )
)
_PALE = ArmStyle("rule", "circle", "")
_KINDS = {
    0: ("pole, answered", ArmStyle("fault", "cross", "")),
    1: ("⊥ unreachable", ArmStyle("ink", "triangle", "")),
    2: ("⊥ in range", ArmStyle("arm2", "square", "", hollow=True)),
}


def route_map(data: Gathered) -> Figure | NotDrawn:
    """Rows of the first seed under ``hyb10`` of scm_full, thinned by a fixed grid."""
    if not data.route:
        return NotDrawn(SLUG, "scm_full gave no answer")
    plates = [_plate(data, robot, route) for robot, route in data.route.items()]
    rows: list[tuple[Cell, ...]] = []
    for robot, route in data.route.items():
        rows += [(WORDS[robot], words, numbers.count(n)) for words, n in _counts(route).items()]
    seeds = tuple(sorted({route.seed for route in data.route.values()}))
    twin = Table(
        "Rows by what becomes of them",
        (Column("robot", align="left"), Column("rows", align="left"), Column("count")),
        tuple(rows),
        data.planned,
        seeds,
        None,
        "seed_<n>/predictions.npz",
    )
    caption = (
        "Natural rows when the 10 % of lowest score go to the solver, and pole rows by the kind "
        "of ⊥ that scm_full reads. One row per class and cell of a fixed grid is drawn; the key "
        f"counts all. Lines: where the determinant vanishes. Seed {seeds[0]}."
    )
    return Figure(SLUG, "What is answered and what is routed", caption, tuple(plates), twin)


def _counts(route: Route) -> dict[str, int]:
    out = {
        "answered": int(np.count_nonzero(~route.routed)),
        "routed": int(np.count_nonzero(route.routed)),
    }
    for code, (words, _) in _KINDS.items():
        out[words] = int(np.count_nonzero(route.kind == code))
    return out


def _thinned(points: Array) -> Array:
    """The first row of each cell of a fixed grid."""
    cell = np.floor((points + np.pi) / (2 * np.pi) * _GRID).astype(int)
    _, first = np.unique(cell[:, 0] * 1000 + cell[:, 1], return_index=True)
    return points[np.sort(first)]


def _plate(data: Gathered, robot: str, route: Route) -> Plate:
    mine = data.styles["scm_full"]
    marks: list[Mark] = []
    for x, y in _LINES[robot]:
        for edge in (-math.pi, 0.0, math.pi) if robot == "r2" or x is None else (0.0,):
            ends = (edge, -math.pi, edge, math.pi) if y is None else (-math.pi, edge, math.pi, edge)
            marks.append(Segment(*ends, token="ink", width=1.2, dash="4 3"))
    groups = [
        (route.joints[~route.routed], _PALE, 2.2),
        (route.joints[route.routed], ArmStyle(mine.token, "circle", ""), 2.6),
    ]
    groups += [(route.pole[route.kind == k], style, 3.4) for k, (_, style) in _KINDS.items()]
    drawn = 0
    for points, style, radius in groups:
        kept = _thinned(points)
        drawn += len(kept)
        marks += [Glyph(float(x), float(y), style, "", radius) for x, y in kept]
    counts = _counts(route)
    styles = [_PALE, ArmStyle(mine.token, "circle", ""), *(style for _, style in _KINDS.values())]
    key = tuple(
        Key(f"{words}: {numbers.count(n)}", style)
        for (words, n), style in zip(counts.items(), styles, strict=True)
        if n
    )
    lanes = len(route.joints) + len(route.pole)
    horizontal, vertical = _CAPTIONS[robot]
    return Plate(
        "Map of the joint plane",
        f"{WORDS[robot]}, scm_full, 10 % routed",
        vertical,
        Axis(-math.pi, math.pi, _TICKS, horizontal),
        Axis(-math.pi, math.pi, _TICKS),
        SIZE.square_height,
        Account(lanes, drawn, lanes - drawn),
        marks=tuple(marks),
        key=key,
    )
