"""Metric logs in bounded memory: per series exact counts and extremes, and points worth drawing.

A series is one metric of one context in one phase. Its points fall into buckets of neighbouring
records; when there are too many buckets their width doubles and neighbours merge. A bucket keeps its
first, last, least and greatest point and never spans the start of a segment. Buckets of values and
of nulls stay apart as long as their number allows; beyond that they mix, and a mixed bucket is drawn
with a gap between all its points, so that no line ever bridges a null.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from zeroproofml.report.contract import MetricContext, MetricRecord
from zeroproofml.report.errors import FileInvalid
from zeroproofml.scm.cause import Cause

__all__ = [
    "CAUSES",
    "MOST_SEGMENTS",
    "MOST_SERIES",
    "Bucket",
    "Group",
    "Log",
    "Moment",
    "Phase",
    "Series",
    "XKind",
]

MOST_SEGMENTS = 6
"""Segments told apart; the last one collects the rest, drawn as points."""
MOST_SERIES = 20_000
_MOST_BUCKETS = 400
_ALL_BUCKETS = 40_000
_LEAST_BUCKETS = 6

XKind = Literal["step", "epoch", "index"]

CAUSES = {
    "nan": Cause.NONFINITE,
    "infinite": Cause.NONFINITE,
    "overflow": Cause.OVERFLOW,
    "arm_failed": Cause.NONFINITE,
}
"""Reasons that are faults; every other reason is a semantic ⊥."""


class Moment(NamedTuple):
    """Where a record stands: number in its phase, line, step, epoch, and its segments."""

    number: int
    line: int
    step: int | None
    epoch: int | None
    step_segment: int
    epoch_segment: int

    def x(self, kind: XKind) -> int:
        """The place on an axis of that kind, which every record of the phase has."""
        found = {"step": self.step, "epoch": self.epoch, "index": self.number}[kind]
        return self.number if found is None else found

    def segment(self, kind: XKind) -> int:
        """The number of the segment on that axis, from 0; the last one collects the rest."""
        return {"step": self.step_segment, "epoch": self.epoch_segment, "index": 0}[kind]


@dataclass(slots=True)
class Bucket:
    """Neighbouring records of one series: extreme points, first and last null, exact counts."""

    points: list[tuple[Moment, float]]
    nulls: list[tuple[Moment, str]]
    values: int
    faults: int
    semantic: int

    @property
    def size(self) -> int:
        """Records behind the bucket."""
        return self.values + self.faults + self.semantic

    @property
    def segments(self) -> tuple[int, int]:
        """Both segment numbers, equal for all its records."""
        return self.first.step_segment, self.first.epoch_segment

    @property
    def first(self) -> Moment:
        """The moment of its first value, or null."""
        return self.points[0][0] if self.points else self.nulls[0][0]

    @property
    def is_mixed(self) -> bool:
        """True if it holds values and nulls."""
        return bool(self.points and self.nulls)

    def absorb(self, other: Bucket) -> None:
        """Take the following bucket in."""
        held = self.points + other.points
        if len(held) > 4:
            low = min(held, key=lambda p: (p[1], p[0].number))
            high = max(held, key=lambda p: (p[1], -p[0].number))
            wanted = {p[0].number: p for p in (held[0], low, high, held[-1])}
            held = [wanted[number] for number in sorted(wanted)]
        self.points = held
        nulls = self.nulls + other.nulls
        self.nulls = nulls if len(nulls) <= 2 else [nulls[0], nulls[-1]]
        self.values += other.values
        self.faults += other.faults
        self.semantic += other.semantic


@dataclass(slots=True)
class Series:
    """One metric of one context: exact statistics and the buckets to draw."""

    n: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: tuple[Moment, float] | None = None
    last: tuple[Moment, float] | None = None
    low: tuple[Moment, float] | None = None
    high: tuple[Moment, float] | None = None
    buckets: list[Bucket] = field(default_factory=list)
    width: int = 1
    mixes: bool = False

    @property
    def present(self) -> int:
        """Records that name the metric, nulls included."""
        return self.n + self.reasons.total()

    def add(self, moment: Moment, value: float | None, reason: str, most: int) -> None:
        """Take one record in; at most ``most`` buckets stay."""
        if value is None:
            self.reasons[reason] += 1
            fault = reason in CAUSES
            made = Bucket([], [(moment, reason)], 0, int(fault), int(not fault))
        else:
            self.n += 1
            point = (moment, value)
            self.first = self.first or point
            self.last = point
            if self.low is None or value < self.low[1]:
                self.low = point
            if self.high is None or value > self.high[1]:
                self.high = point
            made = Bucket([point], [], 1, 0, 0)
        if self.buckets and self._fit(self.buckets[-1], made):
            self.buckets[-1].absorb(made)
        else:
            self.buckets.append(made)
            self.shrink(most)

    def shrink(self, most: int) -> None:
        """Merge neighbours until at most ``most`` buckets are left, or nothing more can merge."""
        while len(self.buckets) > most and self.width < 2**53:
            self.width *= 2
            self._merge()
            if len(self.buckets) > most and not self.mixes:
                # as many gaps as buckets: doubling the width alone would not help
                self.mixes = True
                self._merge()

    def _merge(self) -> None:
        merged = self.buckets[:1]
        for bucket in self.buckets[1:]:
            if self._fit(merged[-1], bucket):
                merged[-1].absorb(bucket)
            else:
                merged.append(bucket)
        self.buckets = merged

    def _fit(self, before: Bucket, after: Bucket) -> bool:
        return (
            before.size + after.size <= self.width
            and before.segments == after.segments
            and (self.mixes or (bool(before.points) == bool(after.points) and not before.is_mixed))
        )


@dataclass(slots=True)
class Group:
    """One context of a phase: its records, its series, and where its segments start."""

    context: MetricContext
    records: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    starts: dict[XKind, list[int]] = field(
        default_factory=lambda: {"step": [], "epoch": [], "index": []}
    )
    segments: Counter[XKind] = field(default_factory=Counter)
    _last: dict[XKind, int] = field(default_factory=dict)

    def segment(self, kind: XKind, at: int | None, line: int) -> int:
        """The number of the segment that a record belongs to; a new one if it goes back."""
        if at is None:
            return 0
        if kind not in self._last or at <= self._last[kind]:
            self.segments[kind] += 1
            if len(self.starts[kind]) < MOST_SEGMENTS:
                self.starts[kind].append(line)
        self._last[kind] = at
        return min(self.segments[kind], MOST_SEGMENTS) - 1


@dataclass(slots=True)
class Phase:
    """All records of one phase."""

    name: str
    records: int = 0
    groups: dict[tuple[tuple[bool, int, str], ...], Group] = field(default_factory=dict)
    no_step: int | None = None
    no_epoch: int | None = None

    @property
    def x_kind(self) -> XKind:
        """``step`` if every record has one, else ``epoch``, else the index of the record."""
        if self.no_step is None:
            return "step"
        return "epoch" if self.no_epoch is None else "index"

    @property
    def x_words(self) -> str:
        """Which axis was chosen, and why."""
        if self.x_kind == "step":
            return "x is the step: every record of the phase has one"
        if self.x_kind == "epoch":
            return f"x is the epoch: line {self.no_step} has no step"
        return (
            f"x is the index of the record: line {self.no_step} has no step, "
            f"line {self.no_epoch} no epoch"
        )

    @property
    def sorted_groups(self) -> list[Group]:
        """The contexts in sorted order."""
        return [self.groups[key] for key in sorted(self.groups)]

    @property
    def metrics(self) -> list[str]:
        """All metric names, sorted."""
        return sorted({name for group in self.groups.values() for name in group.series})


@dataclass(slots=True)
class Log:
    """Every phase of a log, in order of first appearance."""

    phases: dict[str, Phase] = field(default_factory=dict)
    records: int = 0
    n_series: int = 0
    _most: int = _MOST_BUCKETS

    def add(self, record: MetricRecord, line: int) -> None:
        """Take one record in.

        Args:
            record: a valid record.
            line: its number, from 1.

        Raises:
            FileInvalid: more series than memory is set apart for.

        >>> from zeroproofml.report.contract import MetricContext
        >>> log = Log()
        >>> made = MetricRecord(phase="train", step=3, context=MetricContext(),
        ...                     metrics={"loss": 0.5}, reasons={})
        >>> log.add(made, 1)
        >>> log.phases["train"].metrics
        ['loss']
        """
        self.records += 1
        phase = self.phases.setdefault(record.phase, Phase(record.phase))
        phase.records += 1
        if record.step is None:
            phase.no_step = phase.no_step or line
        if record.epoch is None:
            phase.no_epoch = phase.no_epoch or line
        key = _key(record.context)
        if (group := phase.groups.get(key)) is None:
            group = phase.groups[key] = Group(record.context)
        moment = Moment(
            phase.records,
            line,
            record.step,
            record.epoch,
            group.segment("step", record.step, line),
            group.segment("epoch", record.epoch, line),
        )
        for name, value in record.metrics.items():
            if (series := group.series.get(name)) is None:
                series = group.series[name] = Series()
                self._grow()
            series.add(moment, value, record.reasons.get(name, ""), self._most)
        group.records += 1

    def _grow(self) -> None:
        self.n_series += 1
        if self.n_series > MOST_SERIES:
            msg = f"more than {MOST_SERIES} series (metric by context by phase)"
            raise FileInvalid(msg, code="size", hint="split the log")
        most = max(_LEAST_BUCKETS, min(_MOST_BUCKETS, _ALL_BUCKETS // self.n_series))
        if most * 2 <= self._most or (most == _LEAST_BUCKETS < self._most):
            self._most = most
            for phase in self.phases.values():
                for group in phase.groups.values():
                    for series in group.series.values():
                        series.shrink(most)


def _key(context: MetricContext) -> tuple[tuple[bool, int, str], ...]:
    """Sorts field by field: absent first, seeds as numbers."""
    return tuple(
        (value is not None, value if isinstance(value, int) else 0, str(value))
        for _, value in context
    )
