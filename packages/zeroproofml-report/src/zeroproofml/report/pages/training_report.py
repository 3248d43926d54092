"""``TRAINING_REPORT``: the page of a metric log, one section per phase, never mixed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from zeroproofml.report._version import __version__
from zeroproofml.report.contract import MetricContext
from zeroproofml.report.figures import svg
from zeroproofml.report.figures.lines import MOST_ARMS
from zeroproofml.report.figures.plate import draw
from zeroproofml.report.figures.sheet import MOST_PLATE
from zeroproofml.report.figures.training import Curve, curves, log_plate
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import (
    Banner,
    Block,
    Cell,
    Code,
    Column,
    Figure,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Text,
)

if TYPE_CHECKING:
    from zeroproofml.report._log_series import Group, Log, Moment, Phase
    from zeroproofml.report._log_series import Series as LogSeries
    from zeroproofml.report.figures.plate import Plate
    from zeroproofml.report.training_log import Reading

__all__ = ["figures_of", "page"]

_SOURCE = "the metric log"
_TITLES = {
    "train": "Training",
    "eval": "Evaluation",
    "benchmark_seed": "Benchmark, per seed",
    "benchmark_summary": "Benchmark, summary",
    "benchmark_delta": "Benchmark, differences",
}
_PLATES_A_SHEET = 12
_TWIN_ROWS = 60
_MOST_PLATES = 240
_PLATE_BYTES, _ROW_BYTES, _PAGE_BYTES = 4_000_000, 500, 5_200_000


def page(found: Reading) -> Page:
    """The page of a log.

    Args:
        found: the log as it was read.

    Returns:
        A page with a section per phase in order of first appearance.
    """
    budget = _Budget(found.log)
    sections = [Section("lines", "Lines read", tuple(_lines(found)))]
    numbering = itertools.count(1)
    for phase in found.log.phases.values():
        blocks: list[Block] = [*_shared(phase), _table(phase)]
        blocks += _figures(phase, numbering, budget)
        title = _TITLES[phase.name]
        sections.append(Section(f"phase_{phase.name}", f"{title} ({phase.name})", tuple(blocks)))
    if budget.left_out:
        words = (
            f"{numbers.count(budget.left_out)} plates are left out: a page holds at most "
            f"{_MOST_PLATES} and 6 MB. The tables hold every metric."
        )
        sections.append(Section("not_drawn", "Not drawn, and why", (Prose((words,)),)))
    return Page(
        "training_log",
        "Training log",
        Text(found.name),
        _banners(found),
        _facts(found),
        tuple(sections),
    )


def figures_of(made: Page) -> list[Figure]:
    """The figures of a page, in order.

    >>> figures_of(Page("training_log", "t", "s"))
    []
    """
    return [b for section in made.sections for b in section.blocks if isinstance(b, Figure)]


def _banners(found: Reading) -> tuple[Banner, ...]:
    if found.is_valid:
        return ()
    skipped = found.bad + found.foreign
    lines: list[Cell] = [Text(each.words) for each in found.skipped]
    if skipped > len(lines):
        lines.append(f"… and {numbers.count(skipped - len(lines))} more")
    head = f"{numbers.count(skipped)} of {numbers.count(found.lines)} lines are skipped"
    return (Banner("stop", head, tuple(lines)),)


def _facts(found: Reading) -> tuple[tuple[str, Cell], ...]:
    return (
        ("file", Text(found.name)),
        ("size", numbers.binary_size(found.size)),
        ("sha256", Code(found.sha256)),
        ("records", numbers.count(found.log.records)),
        ("phases", ", ".join(found.log.phases) or "none"),
        ("zeroproofml-report", Code(__version__)),
    )


def _lines(found: Reading) -> Iterator[Block]:
    rows = (
        ("records", numbers.count(found.log.records)),
        ("skipped: no record (syntax or schema)", numbers.count(found.bad)),
        ("skipped: another schema or a newer version", numbers.count(found.foreign)),
        ("torn last line, ignored", str(int(found.torn_at is not None))),
    )
    columns = (Column("kind of line", align="left"), Column("lines"))
    yield Table("Lines of the log by kind", columns, rows, 0, (), None, _SOURCE)
    if found.torn_at is not None:
        words = f"The last line is torn: it begins at byte {found.torn_at} and is ignored."
        yield Notice((words,))


def _shared(phase: Phase) -> Iterator[Block]:
    """The fields that all contexts of a phase have in common."""
    contexts = [dict(group.context) for group in phase.groups.values()]
    same = [
        f"{name} {value}"
        for name, value in contexts[0].items()
        if value is not None and all(other[name] == value for other in contexts)
    ]
    if same:
        yield Prose(("All records: ", Text(", ".join(same)), "."))


def _table(phase: Phase) -> Table:
    several = len(phase.groups) > 1
    reasons = sorted(
        {r for g in phase.groups.values() for s in g.series.values() for r in s.reasons}
    )
    columns = [
        Column("metric", align="left"),
        *([Column("context", align="left")] if several else []),
        Column("n"),
        Column("missing"),
        *(Column(f"undefined: {numbers.reason_words(reason)}") for reason in reasons),
        Column("first"),
        Column("last"),
        *(Column(word, phase.x_kind) for word in ("min at", "max at")),
    ]
    labels, groups = context_words(phase), phase.sorted_groups
    rows = []
    for name in phase.metrics:
        for group in groups:
            head: tuple[Cell, ...] = (Text(name),)
            if several:
                head += (Text(labels[id(group)]),)
            rows.append((*head, *_row(phase, group, group.series.get(name), reasons)))
    caption = (
        f"Metrics of phase {phase.name}, {numbers.count(phase.records)} records; missing: "
        "the record does not name the metric, undefined: it does, with a reason and no number"
    )
    return Table(caption, tuple(columns), tuple(rows), 0, (), None, _SOURCE)


def _row(
    phase: Phase, group: Group, series: LogSeries | None, reasons: list[str]
) -> tuple[Cell, ...]:
    if series is None:
        zeros, nothing = ("0",) * len(reasons), ("undefined (missing)",) * 4
        return ("0", numbers.count(group.records), *zeros, *nothing)
    return (
        numbers.count(series.n),
        numbers.count(group.records - series.present),
        *(numbers.count(series.reasons[reason]) for reason in reasons),
        _value(series, series.first),
        _value(series, series.last),
        _at(phase, series, series.low),
        _at(phase, series, series.high),
    )


def _undefined(series: LogSeries) -> str:
    return "undefined (" + ", ".join(map(numbers.reason_words, sorted(series.reasons))) + ")"


def _value(series: LogSeries, point: tuple[Moment, float] | None) -> str:
    return _undefined(series) if point is None else numbers.value(point[1])


def _at(phase: Phase, series: LogSeries, point: tuple[Moment, float] | None) -> str:
    if point is None:
        return _undefined(series)
    return f"{numbers.value(point[1])} at {numbers.count(point[0].x(phase.x_kind))}"


def context_words(phase: Phase) -> dict[int, str]:
    """Each context by the fields in which the contexts of its phase differ; empty if there is one.

    Args:
        phase: its records.

    Returns:
        ``id`` of the group → words.

    >>> from zeroproofml.report._log_series import Phase
    >>> context_words(Phase("train"))
    {}
    """
    contexts = {id(group): dict(group.context) for group in phase.groups.values()}
    names = [
        name
        for name in MetricContext.model_fields
        if len({str(context[name]) for context in contexts.values()}) > 1
    ]
    return {
        key: ", ".join(f"{n} {own[n]}" if own[n] is not None else f"no {n}" for n in names)
        for key, own in contexts.items()
    }


class _Budget:
    """How many plates a page may still take, by number and by bytes."""

    def __init__(self, log: Log) -> None:
        rows = sum(min(2_000, len(p.metrics) * len(p.groups)) for p in log.phases.values())
        self.bytes = max(400_000, min(_PLATE_BYTES, _PAGE_BYTES - _ROW_BYTES * rows))
        self.plates = _MOST_PLATES
        self.left_out = 0

    def takes(self, plate: Plate, slug: str, index: int) -> bool:
        if self.plates > 0:
            size = len(svg.serialize(draw(plate, slug, index)))
            if size <= min(self.bytes, MOST_PLATE):
                self.bytes -= size
                self.plates -= 1
                return True
        self.left_out += 1
        return False


def _figures(phase: Phase, numbering: Iterator[int], budget: _Budget) -> list[Block]:
    """One plate per metric (per six curves of it), twelve plates a sheet."""
    labels = context_words(phase)
    sheets: list[tuple[str, list[Plate], list[Curve]]] = []
    for name in phase.metrics:
        found = curves(phase, name, labels)
        for start in range(0, len(found), MOST_ARMS):
            part = found[start : start + MOST_ARMS]
            if budget.plates <= 0 or budget.bytes <= 0:
                budget.left_out += 1
                continue
            if not sheets or len(sheets[-1][1]) == _PLATES_A_SHEET:
                sheets.append((f"training_{next(numbering)}", [], []))
            slug, plates, drawn = sheets[-1]
            plate = log_plate(phase, name, part, found)
            if budget.takes(plate, slug, len(plates)):
                plates.append(plate)
                drawn += part
    return [_figure(phase, *made) for made in sheets if made[1]]


def _figure(phase: Phase, slug: str, plates: list[Plate], drawn: list[Curve]) -> Figure:
    total = sum(plate.account.drawn + plate.account.reduced for plate in plates)
    shown = sum(plate.account.drawn for plate in plates)
    caption = f"One plate per metric of phase {phase.name}; {phase.x_words}."
    if any(plate.y.log for plate in plates):
        caption += " Plates that say log scale: all values are positive and span over 1000 to 1."
    if shown < total:
        points = f"{numbers.count(shown)} of {numbers.count(total)} points"
        caption += f" Drawn {points}: first, last, least and greatest of neighbouring records."
    if any(curve.is_loose for curve in drawn):
        caption += " Where the axis goes back more than five times the rest is drawn as points."
    return Figure(
        slug, f"Metrics of phase {phase.name}", caption, tuple(plates), _twin(phase, drawn)
    )


def _twin(phase: Phase, drawn: list[Curve]) -> Table:
    head = [Column("metric", align="left"), Column("series", align="left")]
    if all(curve.exact for curve in drawn) and sum(len(c.lanes) for c in drawn) <= _TWIN_ROWS:
        rows: list[tuple[Cell, ...]] = []
        for curve in drawn:
            for x, y, reason in curve.lanes:
                shown = numbers.undefined(reason) if y is None else numbers.value(y)
                rows.append((Text(curve.metric), Text(curve.label), numbers.count(x), shown))
        columns = (*head, Column(phase.x_kind), Column("value"))
        return Table("Drawn values", columns, tuple(rows), 0, (), None, _SOURCE)
    words = "Each series in short; the metric log holds the complete numbers"
    labels = ("n", "min", "median of the drawn", "max", "⊥")
    in_short = (*head, *map(Column, labels))
    return Table(words, in_short, tuple(map(_summary, drawn)), 0, (), None, _SOURCE)


def _summary(curve: Curve) -> tuple[Cell, ...]:
    ys = sorted(y for _, y, _ in curve.lanes if y is not None)
    shown = [numbers.value(v) for v in (ys[0], median(ys), ys[-1])] if ys else ["undefined"] * 3
    head = (Text(curve.metric), Text(curve.label), numbers.count(curve.values))
    return (*head, *shown, numbers.count(curve.faults + curve.semantic))
