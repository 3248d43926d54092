"""`ik_timeline`: one path through a pole, second by second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ik.paths import RATE, ROUTED, SATURATED, STOPPED
from zeroproofml.report.figures.axes import linear_axis, log_axis
from zeroproofml.report.figures.ik.gather import WORDS, Gathered, Timeline
from zeroproofml.report.figures.marks import Band, Label, Reference
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.figures.axes import Axis
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "ik_timeline"
_POLICIES = {"": "free", "_hyb10": "10 % routed"}
_MOST = 300


def timeline(data: Gathered) -> Figure | NotDrawn:
    """Tracking error, distance to the pole and states of the path of median difficulty."""
    if not data.timeline:
        return NotDrawn(SLUG, "scm_full drove no path")
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for robot, made in data.timeline.items():
        plates += [_errors(data, robot, made), _states(data, robot, made)]
        for (arm, policy), error in made.error.items():
            state = made.state[arm, policy]
            shares = [float(np.mean(state & bit != 0)) for bit in (ROUTED, STOPPED, SATURATED)]
            values = [numbers.value(float(x)) for x in (error.max(), error[-1])]
            words = [numbers.percent(share) for share in shares]
            rows.append((WORDS[robot], Code(arm), _POLICIES[policy], *values, *words))
    seeds = tuple(sorted({made.seed for made in data.timeline.values()}))
    columns = [Column(name, align="left") for name in ("robot", "arm", "policy")]
    columns += [Column("largest error", "lengths"), Column("final error", "lengths")]
    columns += [Column(name) for name in ("routed", "stopped", "at the limit")]
    twin = Table(
        "Tracking error and states along the drawn paths",
        tuple(columns),
        tuple(rows),
        data.planned,
        seeds,
        None,
        "seed_<n>/predictions.npz",
    )
    caption = (
        "The path on which the largest error of scm_full is the median over the stored paths of "
        f"seed {seeds[0]}; it crosses its pole at time 0. Errors in characteristic lengths. "
        "Strips: hatched where the robot stands still, coloured where a row is routed, grey where "
        "the joint limit holds."
    )
    return Figure(SLUG, "One path through a pole", caption, tuple(plates), twin)


def _style(data: Gathered, arm: str, policy: str) -> ArmStyle:
    if arm == "ideal":
        return ArmStyle("ink", "plus", "")
    base = data.styles[arm]
    return ArmStyle(base.token, base.glyph, "3 3", base.hollow) if policy else base


def _times(count: int) -> Array:
    return (np.arange(count) - 0.5 * (count - 1)) / RATE


def _kept(count: int) -> Array:
    """At most 300 evenly spaced samples, first and last among them."""
    return np.unique(np.round(np.linspace(0, count - 1, min(count, _MOST))).astype(int))


def _time_axis(count: int) -> Axis:
    times = _times(count)
    return linear_axis([float(times[0]), float(times[-1])], caption="time from the pole, s")


def _errors(data: Gathered, robot: str, made: Timeline) -> Plate:
    count = len(made.sigma)
    times, kept = _times(count), _kept(count)
    lines, key, held = [], [], [0.0]
    for (arm, policy), error in made.error.items():
        style = _style(data, arm, policy)
        points = tuple((float(times[i]), float(error[i])) for i in kept)
        lines.append(Line(points, style, f"{arm}, {_POLICIES[policy]}"))
        key.append(Key(f"{arm}, {_POLICIES[policy]}", style, line=True))
        held += [y for _, y in points]
    lanes = count * len(lines)
    drawn = len(kept) * len(lines)
    return Plate(
        "Line chart",
        f"{WORDS[robot]}: tracking error, path {made.path}",
        "position error, characteristic lengths",
        _time_axis(count),
        linear_axis(held, bounds=(0.0, None)),
        SIZE.lines_height,
        Account(lanes, drawn, lanes - drawn),
        lines=tuple(lines),
        marks=(Reference(0.0, "pole"),),
        key=tuple(key),
        direction="lower is better ↓",
    )


def _states(data: Gathered, robot: str, made: Timeline) -> Plate:
    count = len(made.sigma)
    times, kept = _times(count), _kept(count)
    floor = np.maximum(made.sigma, 1e-9)
    low, high = float(floor.min()), float(floor.max())
    # Room for the strips: one decade and a half below the curve, in the scale of the plot.
    span = max(np.log10(high / low), 1.0)
    base = low / 10 ** (0.9 * span)
    axis = log_axis([base, high])
    marks: list[Mark] = [Reference(0.0, "pole")]
    step = 0.5 / RATE
    for number, (arm, policy) in enumerate(made.state):
        head = base * 10 ** (span * (0.76 - 0.2 * number))
        top = base * 10 ** (span * (0.74 - 0.2 * number))
        bottom = base * 10 ** (span * (0.68 - 0.2 * number))
        state, style = made.state[arm, policy], _style(data, arm, policy)
        for bit, band in (
            (SATURATED, {"token": "axis", "opacity": 0.5}),
            (ROUTED, {"token": style.token, "opacity": 0.9}),
            (STOPPED, {"hatch": "sem"}),
        ):
            for start, end in _spans(state & bit != 0):
                x0, x1 = float(times[start]) - step, float(times[end]) + step
                marks.append(Band(x0, x1, bottom, top, **band))
        words = f"{arm}, {_POLICIES[policy]}"
        marks.append(Label(float(times[0]), head, words, dx=4, muted=True))
    points = tuple((float(times[i]), float(floor[i])) for i in kept)
    curve = Line(points, ArmStyle("ink", "plus", ""), "smallest singular value")
    return Plate(
        "Line chart",
        f"{WORDS[robot]}: distance to the pole, states",
        "smallest singular value of the reference",
        _time_axis(count),
        axis,
        SIZE.lines_height,
        Account(count, len(kept), count - len(kept)),
        lines=(curve,),
        marks=tuple(marks),
    )


def _spans(mask: Array) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]
