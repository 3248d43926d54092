"""`ik_risk`: what is gained by handing a share of the rows to the analytic solver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.figures.axes import linear_axis
from zeroproofml.report.figures.ik.gather import SHARES, WORDS, Gathered
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.pages.model import Cell

SLUG = "ik_risk"
_AT = (0, 5, 10, 20, 30, 50)
_BEST = ArmStyle("ink", "plus", "2 2")
_RANDOM = ArmStyle("ink", "plus", "9 4")


def risk(data: Gathered) -> Figure | NotDrawn:
    """Mean residual on natural rows against the routed share, by each learned arm's own score."""
    learned = [arm.key for arm in data.protocol.arms if arm.role == "learned"]
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for robot in data.robots:
        curves = {
            arm: np.mean(data.risk[robot, arm], axis=0)
            for arm in learned
            if (robot, arm) in data.risk
        }
        if not curves:
            continue
        plates.append(_own(data, robot, curves))
        plates += [
            _bounds(data, robot, arm, curves[arm])
            for arm in ("scm_full", "mlp_pole")
            if arm in curves
        ]
        for arm, curve in curves.items():
            best = np.mean(data.bounds[robot, arm], axis=0)
            own = [numbers.value(float(curve[k])) for k in _AT]
            rows.append((WORDS[robot], Code(arm), "own score", *own))
            ideal = [numbers.value(float(best[k])) for k in _AT]
            rows.append((WORDS[robot], Code(arm), "best order", *ideal))
    if not plates:
        return NotDrawn(SLUG, "no learned arm gave an answer")
    columns = [Column(name, align="left") for name in ("robot", "arm", "order of routing")]
    columns += [Column(f"{share} % routed") for share in _AT]
    twin = Table(
        "Mean residual on natural rows by routed share, mean over seeds",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        "seed_<n>/predictions.npz",
    )
    caption = (
        "Rows are handed to the best limited solver in the order of the arm's own score (line), "
        "of their true avoidable loss (dots), or at random (dashes). Mean over seeds; "
        f"{twin.basis}."
    )
    return Figure(SLUG, "Residual against routed share", caption, tuple(plates), twin)


def _line(curve: Array, style: ArmStyle, words: str) -> Line:
    points = tuple((share, float(y)) for share, y in zip(SHARES, curve, strict=True))
    return Line(points, style, words)


def _plate(robot: str, title: str, lines: list[Line]) -> Plate:
    held = [y for line in lines for _, y in line.points if y is not None]
    lanes = len(lines) * len(SHARES)
    return Plate(
        "Line chart",
        f"{WORDS[robot]}: {title}",
        "mean residual, natural rows",
        linear_axis(
            list(SHARES),
            caption="share of rows routed",
            label=lambda v: f"{100 * v:.0f} %",
            bounds=(0.0, SHARES[-1]),
        ),
        linear_axis([0.0, *held], bounds=(0.0, None)),
        SIZE.lines_height,
        Account(lanes, lanes),
        lines=tuple(lines),
        key=tuple(Key(line.label, line.arm, line=True) for line in lines),
        direction="lower is better ↓",
    )


def _own(data: Gathered, robot: str, curves: dict[str, Array]) -> Plate:
    lines = [_line(curve, data.styles[arm], arm) for arm, curve in curves.items()]
    return _plate(robot, "each arm's own score", lines)


def _bounds(data: Gathered, robot: str, arm: str, own: Array) -> Plate:
    best = np.mean(data.bounds[robot, arm], axis=0)
    # Routing at random recovers in proportion: a straight line to the residual of all-routed.
    floor = float(np.mean(data.floor[robot]))
    random = own[0] + (floor - own[0]) * np.array(SHARES)
    lines = [
        _line(own, data.styles[arm], f"{arm}: own score"),
        _line(best, _BEST, "best order"),
        _line(random, _RANDOM, "at random"),
    ]
    return _plate(robot, f"{arm} and its bounds", lines)
