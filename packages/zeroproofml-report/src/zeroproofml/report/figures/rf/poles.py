"""`rf_poles`: where arms put the poles, per Q and along a path through the stability boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zeroproofml.report.domains.rf import device, members, sections, traces
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.figures.axes import linear_axis
from zeroproofml.report.figures.marks import Band, Glyph, Reference, SeedDot, Segment
from zeroproofml.report.figures.plate import Account, Key, Line, Plate, aligned
from zeroproofml.report.figures.rf.source import ARRAYS, SHORT, TRUTH
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.figures.rf.source import Source
    from zeroproofml.report.pages.model import Cell

SLUG = "rf_poles"
ARMS = ("scm_rational", "rational_softplus", "scm_rational_abs", "two_stage", "ident_vf")
REACH = {"in": 2.0, "q100": 4.0, "q300": 10.0, "q1000": 30.0}
"""Half height of each window, in distances of the true pole from the axis."""
_UNSTABLE = ArmStyle("fault", "circle", "")
_SQUARE = SIZE.square_height + 72
"""Height at which one unit is as long up as along."""


class Found(NamedTuple):
    """One learned pole relative to its true one, in distances of that from the axis."""

    arm: str
    seed: int
    x: float
    y: float


def pole_map(source: Source) -> Figure | NotDrawn:
    """One plate per bin of Q, then the damping and the poles along the design path."""
    found: dict[str, list[Found]] = {name: [] for name in members.BINS}
    lost: dict[str, int] = dict.fromkeys(members.BINS, 0)
    paths: dict[str, list[Array]] = {}
    for seed in source.seeds:
        tests = source.tests(seed)
        there = [arm for arm in ARMS if arm in source.arms(seed)]
        if isinstance(tests, TestSet):
            for arm in there:
                _collect(tests, arm, seed, found, lost)
                if arm in members.SECTION_ARMS:
                    paths.setdefault(arm, []).append(tests.member(arm, "path_sections"))
    arms = [arm for arm in ARMS if any(f.arm == arm for made in found.values() for f in made)]
    if not arms:
        return NotDrawn(SLUG, "no arm with poles gave an answer")
    plates = [_window(source, name, found[name], lost[name], arms) for name in members.BINS]
    if paths:
        plates += [_damping(source, paths), _plane(source, paths)]
    twin = Table(
        "Drawn poles, in distances of the true pole from the axis",
        (
            Column("set", align="left"),
            Column("arm", align="left"),
            Column("poles"),
            Column("median distance"),
            Column("greatest distance"),
            Column("right of the axis"),
        ),
        tuple(_rows(found, arms)),
        source.planned,
        source.seeds,
        None,
        ARRAYS,
    )
    caption = (
        "Poles of the representative devices in all seeds, placed relative to their true pole: the "
        "cross at (−1, 0) is every true pole, x = 0 is the stability boundary, one unit is the "
        "distance of the true pole from it; lines join matched pairs, poles right of the axis are "
        "red. Then a path of designs from δ = 0.2 through 0 to −0.05: the least damping of each arm "
        "(thin: seeds), ⊥ below the threshold, and the poles themselves in the plane. No arm was "
        f"given a device with δ ≤ 0. {twin.basis}."
    )
    return Figure(SLUG, "Poles", caption, aligned(plates), twin)


def _collect(
    tests: TestSet, arm: str, seed: int, found: dict[str, list[Found]], lost: dict[str, int]
) -> None:
    poles = tests.poles(arm)
    if poles is None:
        return
    for trace in traces.representatives(tests, tests.settings["representatives"]):
        places = np.flatnonzero(poles.rows == trace.device)
        if not len(places):
            continue
        row = int(places[0])
        there = poles.there[row] & (poles.place[row].imag > 0)
        made, true = poles.place[row][there], tests.true_poles[trace.device]
        if len(made) < len(true):
            lost[trace.group] += len(true)
            continue
        for p, partner in zip(true, _matched(true, made), strict=True):
            size = abs(p.real)
            x, y = partner.real / size, (partner.imag - p.imag) / size
            found[trace.group].append(Found(arm, seed, float(x), float(y)))


def _matched(true: Array, made: Array) -> Array:
    """The partners of two true poles by the assignment of least total distance."""
    total = np.abs(true[0] - made)[:, None] + np.abs(true[1] - made)[None, :]
    np.fill_diagonal(total, np.inf)
    first, second = divmod(int(np.argmin(total)), len(made))
    return made[[first, second]]


def _window(
    source: Source, name: str, found: Sequence[Found], lost: int, arms: Sequence[str]
) -> Plate:
    reach = REACH[name]
    x = linear_axis([-1.0 - reach, -1.0 + reach], caption="Re p / abs(Re p_true)")
    y = linear_axis([-reach, reach])
    marks: list[Mark] = [Reference(0.0, "Re = 0", token="fault")]
    shown = [f for f in found if x.holds(f.x) and y.holds(f.y)]
    marks += [Segment(-1.0, 0.0, f.x, f.y, token="rule") for f in shown]
    for f in shown:
        style = _UNSTABLE if f.x > 0 else source.styles[f.arm]
        marks.append(SeedDot(f.x, f.y, style, f"{f.arm}, seed {f.seed}"))
    marks.append(Glyph(-1.0, 0.0, ArmStyle("ink", "cross", ""), "true pole"))
    outside = len(found) - len(shown)
    return Plate(
        "Complex plane",
        SHORT[name] if name == "in" else f"Q {SHORT[name]}",
        "off in Im p, in abs(Re p_true)"
        + (f"; {numbers.count(outside)} poles outside" if outside else ""),
        x,
        y,
        _SQUARE + SIZE.key_row * -(-(len(arms) + 1) // 2),
        Account(len(found) + lost, len(shown), bottom={"too few poles": lost} if lost else {},
                out_of_range=outside),
        marks=tuple(marks),
        key=(*(Key(arm, _open(source, arm)) for arm in arms), Key("true", ArmStyle("ink", "cross", ""))),
    )  # fmt: skip


def _open(source: Source, arm: str) -> ArmStyle:
    """How the key shows an arm whose poles are open circles."""
    return ArmStyle(source.styles[arm].token, "ring", "")


def _damping(source: Source, paths: dict[str, list[Array]]) -> Plate:
    """Least damping that each arm says along the path against the true one, ⊥ below τ."""
    true = device.path()[1]
    lines: list[Line] = []
    held: list[float] = [float(d) for d in true]
    lanes = lost = 0
    for arm, seeds in paths.items():
        values = np.stack([sections.score(head) for head in seeds])
        lanes += values.size
        lost += int(np.count_nonzero(~np.isfinite(values)))
        for curve in values:
            points = tuple(
                (float(d), float(v) if np.isfinite(v) else None)
                for d, v in zip(true, curve, strict=True)
            )
            held += [v for _, v in points if v is not None]
            lines.append(Line(points, source.styles[arm], arm, 1.0, 0.6))
    lines.append(Line(tuple((float(d), float(d)) for d in true), TRUTH, "truth", 1.6))
    y = linear_axis(held)
    marks: list[Mark] = [
        Band(None, None, None, sections.TAU_INFER, hatch="sem", title="⊥"),
        Reference(sections.TAU_INFER, "⊥ below τ_infer", vertical=False),
        Reference(0.0, "δ = 0", token="fault"),
    ]
    return Plate(
        "Line plot",
        "damping along the design path",
        "least damping that the arm says; thin: one seed",
        linear_axis([float(true.min()), float(true.max())], caption="true δ; ≤ 0: it oscillates"),
        y,
        _SQUARE + SIZE.key_row * -(-(len(paths) + 1) // 2),
        Account(lanes, lanes - lost, bottom={"fault": lost} if lost else {}),
        tuple(lines),
        tuple(marks),
        (
            *(Key(arm, source.styles[arm], line=True) for arm in paths),
            Key("truth", TRUTH, line=True),
        ),
    )


def _plane(source: Source, paths: dict[str, list[Array]]) -> Plate:
    """The poles themselves along the path: true ones as a line, those of the first seed as dots."""
    design, delta = device.path()
    true = device.poles(design, delta)
    learned = {arm: sections.poles(seeds[0]) for arm, seeds in paths.items()}
    held_x, held_y = list(true.real.ravel()), list(true.imag.ravel())
    xs = linear_axis([1.4 * min(held_x), 1.4 * max(held_x)], caption="Re p")
    ys = linear_axis([min(held_y) - 0.3, max(held_y) + 0.3])
    marks: list[Mark] = [Reference(0.0, "Re = 0", token="fault")]
    lanes = drawn = lost = 0
    for arm, (poles, there) in learned.items():
        for p, seen in zip(poles.ravel(), there.ravel(), strict=True):
            lanes += 1
            lost += not seen
            if seen and xs.holds(float(p.real)) and ys.holds(float(p.imag)):
                drawn += 1
                style = _UNSTABLE if p.real > 0 else source.styles[arm]
                marks.append(SeedDot(float(p.real), float(p.imag), style, arm))
    lines = [
        Line(tuple((float(p.real), float(p.imag)) for p in track), TRUTH, "truth", 1.6)
        for track in true.T
    ]
    return Plate(
        "Complex plane",
        "poles along the design path",
        f"Im p; seed {source.seeds[0]}",
        xs,
        ys,
        _SQUARE + SIZE.key_row * -(-(len(paths) + 1) // 2),
        Account(lanes, drawn, bottom={"no pair": lost} if lost else {},
                out_of_range=lanes - drawn - lost),
        tuple(lines),
        tuple(marks),
        (*(Key(arm, _open(source, arm)) for arm in paths), Key("truth", TRUTH, line=True)),
    )  # fmt: skip


def _rows(found: dict[str, list[Found]], arms: Sequence[str]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name, made in found.items():
        for arm in arms:
            mine = [f for f in made if f.arm == arm]
            if not mine:
                continue
            apart = sorted(float(np.hypot(f.x + 1, f.y)) for f in mine)
            middle = apart[(len(apart) - 1) // 2]
            rows.append(
                (
                    SHORT[name],
                    Code(arm),
                    numbers.count(len(mine)),
                    numbers.value(middle),
                    numbers.value(apart[-1]),
                    numbers.count(sum(f.x > 0 for f in mine)),
                )
            )
    return rows
