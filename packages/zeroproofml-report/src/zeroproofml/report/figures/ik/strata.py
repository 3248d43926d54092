"""`ik_strata`: skill and harm by distance to the pole, and by the size of the determinant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.ik.strata import DET_NAMES, QUANTITIES
from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.ik.gather import WORDS
from zeroproofml.report.figures.marks import Glyph, Reference, Whisker
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.figures.ik.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

    Cells = Mapping[tuple[str, str, str, str], Mapping[str, Any]]

SLUG = "ik_strata"
SIGMA = ("pole", "d5", "d4", "d3", "d2", "d1", "natural")
_SIGMA_WORDS = ("pole", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "> 0.1", "all")
_DET_WORDS = ("< 10⁻⁶", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹")
_MOST_ARMS = 6
_POLICY_WORDS = {"free": "free", "hyb20": "20 % routed"}


def strata(data: Gathered, aggregate: Mapping[str, Any]) -> Figure | NotDrawn:
    """Drawn from the cells of ``aggregated/ik_strata.json``."""
    cells: Cells = {
        (cell["arm"], cell["robot"], cell["stratum"], cell["policy"]): cell
        for cell in aggregate["cells"]
    }
    present = {key[0] for key in cells}
    learned = [a.key for a in data.protocol.arms if a.role == "learned" and a.key in present]
    analytic = [a.key for a in data.protocol.arms if a.role == "analytic" and a.key in present]
    analytic = [*learned[:1], *analytic][:_MOST_ARMS]
    if not cells:
        return NotDrawn(SLUG, "no seed has the best limited answer to compare with")
    plates: list[Plate] = []
    for robot in data.robots:
        plates += [
            _plate(data, cells, robot, arms, policy, quantity, groups)
            for arms, policy, quantity, groups in (
                (learned, "free", "skill", SIGMA),
                (learned, "hyb20", "skill", SIGMA),
                (learned, "free", "skill", DET_NAMES),
                (learned, "free", "harm", SIGMA),
                (analytic, "free", "skill", SIGMA),
                (learned, "free", "residual", SIGMA),
            )
            if arms
        ]
    if not plates:
        return NotDrawn(SLUG, "neither a learned nor an analytic arm gave an answer")
    rows = [
        _row(robot, arm, policy, stratum, cell)
        for (arm, robot, stratum, policy), cell in cells.items()
        if policy in _POLICY_WORDS and stratum in SIGMA
    ]
    columns = [Column(name, align="left") for name in ("robot", "arm", "policy", "rows by σ_min")]
    columns += [Column(name) for name in ("rows", "skill", "residual", "harm", "coverage")]
    twin = Table(
        "Skill, residual, harm and coverage by distance to the pole",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        "95 % Student-t interval",
        "aggregated/ik_strata.json",
    )
    caption = (
        "Glyph: mean over seeds; bar: 95 % Student-t interval. Skill 1 is the best that the joint "
        "limit allows, 0 is standing still, below 0 is harm. Decades of the smallest singular "
        f"value by their lower edge; {twin.basis}."
    )
    return Figure(SLUG, "By distance to the pole", caption, tuple(plates), twin)


def _plate(
    data: Gathered,
    cells: Cells,
    robot: str,
    arms: Sequence[str],
    policy: str,
    quantity: str,
    groups: Sequence[str],
) -> Plate:
    marks: list[Mark] = []
    held: list[float] = [0.0] if quantity == "harm" else [0.0, 1.0]
    drawn, bottom, n = 0, 0, {}
    for place, stratum in enumerate(groups):
        for index, arm in enumerate(arms):
            cell = cells.get((arm, robot, stratum, policy))
            value = None if cell is None else cell[quantity]
            if cell is None or value is None:
                bottom += 1
                continue
            n[stratum] = cell["rows"]
            x = place + 0.8 * ((index + 0.5) / len(arms) - 0.5)
            interval = cell[f"{quantity}_ci"]
            if interval is not None:
                marks.append(Whisker(interval[0], interval[1], x, data.styles[arm], vertical=True))
                held += interval
            marks.append(Glyph(x, value, data.styles[arm], f"{arm}: {numbers.value(value)}", 4.0))
            held.append(value)
            drawn += 1
    by_det = groups is DET_NAMES
    words = _DET_WORDS if by_det else _SIGMA_WORDS
    ticks = tuple(Tick(float(i), word) for i, word in enumerate(words))
    of = "abs det" if by_det else "smallest singular value"
    analytic = any(arm.role == "analytic" and arm.key in arms for arm in data.protocol.arms)
    counts = ", ".join(numbers.count(n.get(name, 0)) for name in groups)
    lines = (Reference(0.0, "", vertical=False), Reference(1.0, "", vertical=False))
    return Plate(
        "Dots by stratum",
        f"{WORDS[robot]}, {'analytic arms' if analytic else _POLICY_WORDS[policy]}: {quantity}",
        f"{quantity} by {of}",
        Axis(-0.5, len(groups) - 0.5, ticks, f"rows: {counts}", guides=False),
        linear_axis(held),
        SIZE.lines_height,
        Account(len(groups) * len(arms), drawn, bottom={"no value": bottom} if bottom else {}),
        marks=(*(lines[:1] if quantity == "harm" else lines), *marks),
        key=tuple(Key(arm, data.styles[arm]) for arm in arms),
        direction="higher is better ↑" if quantity == "skill" else "lower is better ↓",
    )


def _row(
    robot: str, arm: str, policy: str, stratum: str, cell: Mapping[str, Any]
) -> tuple[Cell, ...]:
    words = {name: _words(cell, name) for name in QUANTITIES}
    names = dict(zip(SIGMA, _SIGMA_WORDS, strict=True))
    shown = (words["skill"], words["residual"], words["harm"], words["coverage"])
    head = (WORDS[robot], Code(arm), _POLICY_WORDS[policy], names[stratum])
    return (*head, numbers.count(cell["rows"]), *shown)


def _words(cell: Mapping[str, Any], name: str) -> str:
    if cell[name] is None:
        return numbers.undefined(cell["reasons"][name])
    if cell[f"{name}_ci"] is None:
        return numbers.value(cell[name])
    return numbers.value_interval(cell[name], *cell[f"{name}_ci"])
