"""Dot plots: one row per arm, the mean with its interval, and every seed as an open circle."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from zeroproofml.report import stats
from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import Axis, linear_axis, log_axis, row_axis
from zeroproofml.report.figures.marks import (
    Band,
    Glyph,
    Label,
    Mark,
    Reference,
    SeedDot,
    Segment,
    UndefinedRow,
    Whisker,
)
from zeroproofml.report.figures.plate import Account, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text

__all__ = ["Row", "Scale", "SeedValue", "dot_plate", "seed_plate", "wants_log"]

_MOST_TICKS = 5
_BOX_FROM = 8
_FAR = 1e3
_SAME = 0.02


@dataclass(frozen=True, slots=True)
class SeedValue:
    """One seed's value, or the reason code why it has none."""

    seed: int
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm: its stored mean and interval, its seeds, and whether it is a floor or ceiling."""

    label: str | Text
    arm: ArmStyle
    seeds: tuple[SeedValue, ...]
    mean: float | None = None
    interval: tuple[float, float] | None = None
    reason: str = "missing"
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """What is measured: title, words and direction under it, unit at the axis, form."""

    title: str | Text
    caption: str | Text
    direction: str = ""
    unit: str | Text = ""
    percent: bool = False
    points: bool = False
    log: bool = False
    bounds: tuple[float | None, float | None] = (None, None)


def wants_log(values: list[float]) -> bool:
    """True if all values are positive and span more than two decades.

    >>> wants_log([0.001, 1.0]), wants_log([0.0, 1.0]), wants_log([1.0, 5.0])
    (True, False, False)
    """
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100


def dot_plate(
    scale: Scale,
    rows: tuple[Row, ...],
    *,
    zero: tuple[str, str] | None = None,
    margin: float | None = None,
) -> Plate:
    """Means with intervals, and the seeds under them.

    Args:
        scale: what is measured.
        rows: arms in declared order.
        zero: draw a line at 0, with these words at the left and the right end of the axis.
        margin: a declared equivalence margin, drawn as a pale band around 0.

    Returns:
        A plate of height 96 + 32 per arm (16 more per reference label).

    >>> from zeroproofml.report.figures.style import arm_style
    >>> row = Row("scm", arm_style(0), (SeedValue(1, 0.5), SeedValue(2, None, "nan")), 0.5)
    >>> made = dot_plate(Scale("mae", "mean absolute error"), (row,))
    >>> made.height, made.account.drawn, dict(made.account.bottom)
    (128, 1, {'not a number': 1})
    """
    extra = [0.0] if zero else []
    if margin is not None:
        extra += [-margin, margin]
    x = _axis(scale, _held(rows, scale.log), extra)
    heads = _heads(rows, x)
    levels = 1 + max((level for _, _, level in heads), default=-1) + (1 if zero else 0)
    y = row_axis([row.label for row in rows], extra_top=0.5 * levels)
    marks: list[Mark] = []
    if margin is not None:
        marks.append(Band(-margin, margin))
    if zero:
        marks.append(Reference(0.0, "", dash=""))
        top = 0.5 + 0.5 * levels
        marks += [
            Label(x.low, top, f"← {zero[0]}", dx=4, dy=SIZE.inner),
            Label(x.high, top, f"{zero[1]} →", anchor="end", dx=-4, dy=SIZE.inner),
        ]
    marks += [
        Reference(value, words, drop=16.0 * (level + (1 if zero else 0)))
        for value, words, level in heads
    ]
    for index, row in enumerate(rows):
        marks += _row_marks(row, -float(index), x, scale)
    return Plate(
        "Dot plot",
        scale.title,
        scale.caption,
        x,
        y,
        SIZE.dots_base + SIZE.row * len(rows) + 16 * levels,
        _account(rows, x),
        marks=tuple(marks),
        direction=scale.direction,
    )


def seed_plate(scale: Scale, rows: tuple[Row, ...]) -> Plate:
    """Every seed as a circle, hairlines between the same seed of neighbouring arms, a median tick.

    From eight seeds on the quartile box is drawn as well.

    Args:
        scale: what is measured.
        rows: arms in declared order.

    Returns:
        A plate of height 96 + 32 per arm.

    >>> from zeroproofml.report.figures.style import arm_style
    >>> row = Row("scm", arm_style(0), (SeedValue(1, 0.5), SeedValue(2, 0.7)))
    >>> seed_plate(Scale("mae", "mean absolute error"), (row,)).account.lanes
    2
    """
    x = _axis(scale, _held(rows, scale.log), [])
    marks: list[Mark] = []
    for index, (upper, lower) in enumerate(itertools.pairwise(rows)):
        below = {s.seed: s.value for s in lower.seeds}
        marks += [
            Segment(s.value, -float(index), other, -float(index) - 1, token="rule")
            for s in upper.seeds
            if s.value is not None
            and (other := below.get(s.seed)) is not None
            and x.holds(s.value)
            and x.holds(other)
        ]
    for index, row in enumerate(rows):
        marks += _distribution(row, -float(index), x, scale)
    return Plate(
        "Dot plot of seeds",
        scale.title,
        scale.caption,
        x,
        row_axis([row.label for row in rows]),
        SIZE.dots_base + SIZE.row * len(rows),
        _account(rows, x),
        marks=tuple(marks),
        direction=scale.direction,
    )


def _held(rows: tuple[Row, ...], log: bool) -> list[float]:
    """What the axis must hold: all rows, but floors and ceilings only where they lie near.

    A ceiling that is exact to rounding would leave all others on one spot of a log axis.
    """
    own = [v for row in rows if not row.reference for v in _numbers(row)]
    positive = [v for v in own if v > 0]
    if not own or (log and not positive):
        return [v for row in rows for v in _numbers(row)]
    low, high = min(positive if log else own), max(own)
    if log:
        reach = max(high / low, 10.0) if high / low < _FAR else _FAR
        ends = low / reach, high * reach
    else:
        reach = (high - low) * 2 or abs(high) or 1.0
        ends = low - reach, high + reach
    near = [
        v
        for row in rows
        if row.reference and all(ends[0] <= v <= ends[1] for v in _numbers(row))
        for v in _numbers(row)
    ]
    return own + near


def _numbers(row: Row) -> list[float]:
    seeds = [s.value for s in row.seeds if s.value is not None]
    return seeds if row.mean is None else [*seeds, row.mean, *(row.interval or ())]


def _heads(rows: tuple[Row, ...], x: Axis) -> list[tuple[float, str, int]]:
    """Reference lines as (value, label, level): equal ones share a line, labels never overlap."""
    merged: list[tuple[float, list[str]]] = []
    for row in rows:
        if not row.reference or row.mean is None or not x.holds(row.mean):
            continue
        place = x.place(row.mean)
        same = next((names for v, names in merged if abs(x.place(v) - place) < _SAME), None)
        if same is None:
            merged.append((row.mean, [str(row.label)]))
        else:
            same.append(str(row.label))
    taken: list[list[tuple[float, float]]] = []
    found = []
    for value, names in merged:
        words = ", ".join(names)
        width = (svg.text_width(words, SIZE.inner) + 12) / (SIZE.width - 120)
        place = x.place(value)
        start = place if place < 0.5 else place - width
        level = 0
        while level < len(taken) and any(start < b and a < start + width for a, b in taken[level]):
            level += 1
        if level == len(taken):
            taken.append([])
        taken[level].append((start, start + width))
        found.append((value, words, level))
    return found


def _axis(scale: Scale, held: list[float], others: list[float]) -> Axis:
    unit = str(scale.unit)
    if scale.log:
        positive = [v for v in [*held, *others] if v > 0]
        return log_axis(
            positive or [1.0], caption=f"{unit}, log scale" if unit else "log scale", most=5
        )
    label = None
    if scale.percent or scale.points:
        suffix = " %" if scale.percent else " pp"
        label = lambda v: _bare(v * 100) + suffix  # noqa: E731
    return linear_axis(
        [*held, *others],
        caption=scale.unit,
        most=_MOST_TICKS,
        label=label,
        bounds=(None, None) if held and _crosses(scale, held) else scale.bounds,
    )


def _crosses(scale: Scale, values: list[float]) -> bool:
    low, high = scale.bounds
    return (low is not None and min(values) < low) or (high is not None and max(values) > high)


def _bare(x: float) -> str:
    shown = numbers.value(x)
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def _row_marks(row: Row, y: float, x: Axis, scale: Scale) -> list[Mark]:
    if row.mean is None:
        return [UndefinedRow(y, f"undefined: {numbers.reason_words(row.reason)}")]
    if not x.holds(row.mean):
        return _beyond(row.mean, y, x, scale)
    drop = y - SIZE.seed_drop
    marks: list[Mark] = [
        SeedDot(s.value, drop, row.arm, f"seed {s.seed}: {numbers.value(s.value)}")
        for s in row.seeds
        if s.value is not None and x.holds(s.value)
    ]
    if row.interval is not None:
        low, high = (end if x.holds(end) else None for end in row.interval)
        marks.append(Whisker(low, high, y, row.arm))
    marks.append(Glyph(row.mean, y, row.arm, f"{row.label}: {numbers.value(row.mean)}"))
    taken = [row.mean, *(row.interval or ())]
    return marks + _lost_seeds(row, y, x, taken)


def _distribution(row: Row, y: float, x: Axis, scale: Scale) -> list[Mark]:
    values = [s.value for s in row.seeds if s.value is not None]
    if not values:
        reason = row.seeds[0].reason if row.seeds else "missing"
        return [UndefinedRow(y, f"undefined: {numbers.reason_words(reason)}")]
    marks: list[Mark] = []
    middle = stats.quantile(values, 0.5)
    if not x.holds(middle):
        return _beyond(middle, y, x, scale)
    if len(values) >= _BOX_FROM:
        low, high = stats.quantile(values, 0.25), stats.quantile(values, 0.75)
        marks.append(Band(low, high, y - 0.25, y + 0.25, token=row.arm.token, outline=True))
    marks.append(Segment(middle, y - 0.3, middle, y + 0.3, token=row.arm.token, width=2.0))
    marks += [SeedDot(s.value, y, row.arm, str(s.seed)) for s in row.seeds if s.value is not None]
    return marks + _lost_seeds(row, y, x, values)


def _beyond(value: float, y: float, x: Axis, scale: Scale) -> list[Mark]:
    """A value that the axis does not hold, as words at the edge where it lies."""
    words = numbers.percent(value) if scale.percent else numbers.value(value)
    if value < x.low:
        return [Label(x.low, y, f"← {words}", dx=4, dy=4)]
    return [Label(x.high, y, f"{words} →", anchor="end", dx=-4, dy=4)]


def _lost_seeds(row: Row, y: float, x: Axis, taken: list[float]) -> list[Mark]:
    """How many seeds have no value, where the row's own marks leave room for it."""
    lost = sum(s.value is None for s in row.seeds)
    if not lost:
        return []
    words = f"⊥ in {lost} of {len(row.seeds)} seeds"
    places = [x.place(v) for v in taken if x.holds(v)]
    room = svg.text_width(words, SIZE.inner) / (SIZE.width / 2)
    left = min(places) > 1 - max(places)
    if min(places) < room and max(places) > 1 - room:
        y -= SIZE.seed_drop  # beside the seeds: the bar takes the whole row
        seeds = [x.place(s.value) for s in row.seeds if s.value is not None]
        left = min(seeds) > 1 - max(seeds)
    if left:
        return [Label(x.low, y, words, dx=4, dy=4, muted=True)]
    return [Label(x.high, y, words, anchor="end", dx=-4, dy=4, muted=True)]


def _account(rows: tuple[Row, ...], x: Axis) -> Account:
    bottom: dict[str, int] = {}
    outside = 0
    for row in rows:
        for seed in row.seeds:
            if seed.value is None:
                words = numbers.reason_words(seed.reason or row.reason)
                bottom[words] = bottom.get(words, 0) + 1
            elif not x.holds(seed.value):
                outside += 1
    lanes = sum(len(row.seeds) for row in rows)
    drawn = lanes - sum(bottom.values()) - outside
    return Account(lanes, drawn, bottom=bottom, out_of_range=outside)
