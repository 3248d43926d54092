"""Plates of a metric log: one metric, up to six curves, segments told apart by dash."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zeroproofml.report._log_series import CAUSES, MOST_SEGMENTS, Bucket, Group, Phase
from zeroproofml.report._log_series import Series as LogSeries
from zeroproofml.report.figures.axes import Axis, linear_axis, log_axis
from zeroproofml.report.figures.lines import CAUSE_WORDS, Series, line_plate
from zeroproofml.report.figures.plate import Account, Plate
from zeroproofml.report.figures.style import ArmStyle, arm_style
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.cause import Cause

__all__ = ["Curve", "curves", "log_plate"]

_DASHES = 7
_LOG_SPAN = 1_000
_LEAST, _MOST = 1e-300, 1e300  # an axis needs some air beyond its ends
_Lane = tuple[int, float | None, str]
_X_WORDS = {"step": "step", "epoch": "epoch", "index": "index of the record"}


@dataclass(frozen=True, slots=True)
class Curve:
    """One segment of one context: what is drawn of it, and how many records stand behind it.

    ``lanes`` are (x, value or None, reason of the null); ``exact`` says that they are all there are.
    """

    metric: str
    label: str
    arm: ArmStyle
    lanes: tuple[_Lane, ...]
    values: int
    faults: int
    semantic: int
    is_loose: bool
    exact: bool


def curves(phase: Phase, metric: str, labels: Mapping[int, str]) -> list[Curve]:
    """The curves of one metric: contexts in sorted order, segments in file order.

    Args:
        phase: its records.
        metric: the metric's name.
        labels: the words of each context, by ``id`` of its group.

    Returns:
        At least one curve per context that names the metric.

    >>> curves(Phase("train"), "loss", {})
    []
    """
    made = []
    for number, group in enumerate(phase.sorted_groups):
        series = group.series.get(metric)
        if series is None:
            continue
        for segment, buckets in _by_segment(phase, series):
            made.append(_curve(phase, metric, group, labels[id(group)], number, segment, buckets))
    return made


def _by_segment(phase: Phase, series: LogSeries) -> list[tuple[int, list[Bucket]]]:
    return [
        (segment, list(buckets))
        for segment, buckets in itertools.groupby(
            series.buckets, key=lambda bucket: bucket.first.segment(phase.x_kind)
        )
    ]


def _curve(
    phase: Phase,
    metric: str,
    group: Group,
    words: str,
    number: int,
    segment: int,
    buckets: list[Bucket],
) -> Curve:
    kind = phase.x_kind
    starts, segments = group.starts[kind], group.segments[kind]
    loose = segment == MOST_SEGMENTS - 1 and segments > MOST_SEGMENTS
    if segments > 1:
        words = f"{words} from line {starts[segment]}".strip()
    if loose:
        words += f", {numbers.count(segments - MOST_SEGMENTS + 1)} segments"
    own = arm_style(number)
    arm = ArmStyle(own.token, own.glyph, arm_style((number + segment) % _DASHES).dash, own.hollow)
    lanes = tuple(lane for bucket in buckets for lane in _lanes(phase, bucket))
    exact = not any(b.is_mixed for b in buckets) and len(lanes) == sum(b.size for b in buckets)
    values, faults = sum(b.values for b in buckets), sum(b.faults for b in buckets)
    semantic = sum(b.semantic for b in buckets)
    words = words or "all records"
    return Curve(metric, words, arm, lanes, values, faults, semantic, loose, exact)


def _lanes(phase: Phase, bucket: Bucket) -> list[_Lane]:
    kind = phase.x_kind
    nulls: list[_Lane] = [(moment.x(kind), None, reason) for moment, reason in bucket.nulls]
    values: list[_Lane] = [(moment.x(kind), value, "") for moment, value in bucket.points]
    if not bucket.is_mixed:
        return nulls or values
    # a gap after every point: nothing bridges a null
    return [lane for value in values for lane in (value, nulls[0])] + nulls[1:]


def log_plate(phase: Phase, metric: str, part: Sequence[Curve], of: Sequence[Curve]) -> Plate:
    """Draw at most six curves of a metric.

    Args:
        phase: its records.
        metric: the metric's name.
        part: the curves to draw.
        of: all curves of the metric: they decide whether y is logarithmic.

    Returns:
        A plate whose account covers every record behind the curves.
    """
    ends = [
        (found.low[1], found.high[1])
        for group in phase.groups.values()
        if (found := group.series.get(metric)) is not None and found.low and found.high
    ]
    low = min((a for a, _ in ends), default=0.0)
    high = max((b for _, b in ends), default=0.0)
    log = low > 0 and high / low > _LOG_SPAN
    drawn = [y for curve in part for _, y, _ in curve.lanes if y is not None]
    words = "value, log scale" if log else "value"
    if len(part) < len(of):
        words += f"; {len(part)} of {len(of)} curves"
    made = line_plate(
        Text(metric),
        words,
        [_series(curve) for curve in part],
        x_caption=_X_WORDS[phase.x_kind],
        log_y=log,
        y_axis=_y_axis(drawn, log),
    )
    keys = [replace(key, words=_counted(curve)) for key, curve in zip(made.key, part, strict=False)]
    return replace(made, account=_account(made, part), key=(*keys, *made.key[len(part) :]))


def _series(curve: Curve) -> Series:
    return Series(
        Text(curve.label),
        curve.arm,
        tuple(float(x) for x, _, _ in curve.lanes),
        tuple(0.0 if y is None else y for _, y, _ in curve.lanes),
        tuple(
            0 if y is not None else int(CAUSES.get(reason, Cause.DOMAIN))
            for _, y, reason in curve.lanes
        ),
        points=curve.is_loose,
    )


def _y_axis(values: list[float], log: bool) -> Axis:
    held = [v for v in values if abs(v) <= _MOST and (not log or v >= _LEAST)]
    if log and held:
        return log_axis(held, caption="log scale")
    return linear_axis(0.0 if abs(v) < _LEAST else v for v in held)


def _account(made: Plate, part: Sequence[Curve]) -> Account:
    """The records behind the curves: what the reading had reduced before is counted here."""
    values = sum(curve.values for curve in part)
    faults, semantic = (sum(getattr(c, name) for c in part) for name in ("faults", "semantic"))
    bottom = {CAUSE_WORDS["fault"]: faults, CAUSE_WORDS["sem"]: semantic}
    drawn, outside = made.account.drawn, made.account.out_of_range
    return Account(
        values + faults + semantic,
        drawn,
        values - drawn - outside,
        {word: n for word, n in bottom.items() if n},
        outside,
    )


def _counted(curve: Curve) -> str:
    nulls = curve.faults + curve.semantic
    return f"{curve.label}, ⊥ {numbers.count(nulls)}" if nulls else curve.label
