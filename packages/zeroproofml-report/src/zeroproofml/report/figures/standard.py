"""The standard figures of a benchmark page, from the stored summary and contrasts.

Drawing computes no statistic: means and intervals are those of ``aggregated/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from zeroproofml.report.figures.dots import Row, Scale, SeedValue, dot_plate, seed_plate, wants_log
from zeroproofml.report.figures.plate import aligned
from zeroproofml.report.figures.style import ArmStyle, arm_style
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import (
    Cell,
    Code,
    Column,
    Figure,
    IntervalKind,
    NotDrawn,
    Table,
    Text,
)

if TYPE_CHECKING:
    from zeroproofml.report.contract import Baseline, Contrast, MetricDefinition, Summary
    from zeroproofml.report.contract import Cell as StoredCell
    from zeroproofml.report.domains import Arm, Protocol

__all__ = [
    "DIRECTION",
    "arm_styles",
    "baseline_delta",
    "cell_words",
    "difference_words",
    "metric_summary",
    "number_words",
    "per_seed",
    "present_arms",
    "unit_words",
]

T_INTERVAL: IntervalKind = "95 % Student-t interval"
DIRECTION = {"higher": "higher is better ↑", "lower": "lower is better ↓", "none": ""}
T = TypeVar("T")
SUMMARY = "aggregated/summary.json"
PAIRED = "aggregated/paired_stats.json"


def arm_styles(protocol: Protocol) -> dict[str, ArmStyle]:
    """Style of every arm by its place in the declared order, whatever arms a run has."""
    return {arm.key: arm_style(index) for index, arm in enumerate(protocol.arms)}


def present_arms(protocol: Protocol, keys: Sequence[str] | Mapping[str, object]) -> list[Arm]:
    """The arms of a run in declared order."""
    return [arm for arm in protocol.arms if arm.key in keys]


def unit_words(definition: MetricDefinition) -> str:
    """The unit as a page writes it; a rate is in per cent, a pure number has none.

    >>> from zeroproofml.report.contract import MetricDefinition
    >>> unit_words(MetricDefinition(
    ...     direction="lower", unit="m", bounds=(0.0, None), kind="error", text="distance"
    ... ))
    'm'
    """
    if definition.kind == "rate":
        return "%"
    return "" if definition.unit in {"", "1", "-"} else definition.unit


def number_words(definition: MetricDefinition, value: float) -> str:
    """One value of a metric without its interval.

    >>> from zeroproofml.report.contract import MetricDefinition
    >>> number_words(MetricDefinition(
    ...     direction="higher", unit="1", bounds=(0.0, 1.0), kind="rate", text="share"
    ... ), 0.25)
    '25.0 %'
    """
    if definition.kind == "rate":
        return numbers.percent(value)
    if definition.kind == "count" and value == int(value):
        return numbers.count(int(value))
    return numbers.value(value)


def cell_words(definition: MetricDefinition, stored: StoredCell) -> str:
    """Mean and t interval of a cell in one string.

    >>> from zeroproofml.report.contract import MetricDefinition
    >>> from zeroproofml.report.contrasts import Value, cell
    >>> cell_words(MetricDefinition(
    ...     direction="lower", unit="m", bounds=(0.0, None), kind="error", text="distance"
    ... ), cell([Value(1.0), Value(1.2), Value(1.4)]))
    '1.20 [0.70, 1.70]'
    """
    if stored.mean is None:
        return numbers.undefined(stored.reasons["mean"])
    if stored.ci_t is None:
        return f"{number_words(definition, stored.mean)} [none (n = {stored.n})]"
    if definition.kind == "rate":
        return numbers.percent_interval(stored.mean, *stored.ci_t)
    return numbers.value_interval(stored.mean, *stored.ci_t)


def interval_words(
    definition: MetricDefinition, interval: tuple[float, float] | None, n: int
) -> str:
    """An interval alone, for the second column."""
    if interval is None:
        return f"none (n = {n})"
    low, high = interval
    if definition.kind == "rate":
        return f"[{numbers.percent(low)}, {numbers.percent(high)}]"
    return numbers.value_interval((low + high) / 2, low, high).partition(" ")[2]


def difference_words(definition: MetricDefinition, contrast: Contrast) -> str:
    """Mean difference and its t interval."""
    if contrast.mean_diff is None:
        return numbers.undefined(contrast.reasons["mean_diff"])
    rate = definition.kind == "rate"
    if contrast.ci_t is None:
        shown = (
            numbers.points(contrast.mean_diff) if rate else numbers.difference(contrast.mean_diff)
        )
        return f"{shown} [none (n = {contrast.n})]"
    if rate:
        return numbers.points_interval(contrast.mean_diff, *contrast.ci_t)
    return numbers.value_interval(contrast.mean_diff, *contrast.ci_t)


def metric_summary(summary: Summary, protocol: Protocol) -> Figure | NotDrawn:
    """One plate per declared metric: mean, interval and seeds of each arm."""
    plates = []
    rows: list[tuple[Cell, ...]] = []
    row_n: list[int | None] = []
    arms = present_arms(protocol, summary.cells)
    for metric in _declared(summary, protocol):
        definition = summary.metric_definitions[metric]
        shown = [arm for arm in arms if metric in summary.cells[arm.key]]
        plates.append(
            dot_plate(
                _scale(metric, definition, _values(summary, metric)),
                tuple(_row(summary, protocol, arm, metric) for arm in shown),
            )
        )
        for arm in shown:
            stored = summary.cells[arm.key][metric]
            rows.append(
                (
                    Code(metric),
                    Code(arm.key),
                    cell_words(definition, stored),
                    interval_words(definition, stored.ci_bca, stored.n),
                    numbers.count(stored.n_null),
                )
            )
            row_n.append(stored.n)
    if not plates:
        return NotDrawn("metric_summary", "no declared metric was measured")
    seeds = summary.seeds
    table = Table(
        "Mean over seeds",
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            Column("mean and t interval"),
            Column("BCa interval"),
            Column("⊥ seeds"),
        ),
        tuple(rows),
        len(seeds.planned),
        seeds.complete,
        T_INTERVAL,
        SUMMARY,
        tuple(row_n),
    )
    caption = (
        "Glyph: mean over seeds; bar: 95 % Student-t interval; open circle: one seed. "
        "A dashed line marks a floor or ceiling, a hatched row a mean that does not exist. "
        f"{table.basis}."
    )
    return Figure("metric_summary", "Means over seeds", caption, aligned(plates), table)


def per_seed(summary: Summary, protocol: Protocol) -> Figure | NotDrawn:
    """One plate per declared metric: every seed of each arm, joined across arms."""
    slug = "per_seed_metric_distributions"
    plates = []
    rows: list[tuple[Cell, ...]] = []
    arms = present_arms(protocol, summary.cells)
    for metric in _declared(summary, protocol):
        definition = summary.metric_definitions[metric]
        shown = [arm for arm in arms if metric in summary.cells[arm.key]]
        scale = _scale(metric, definition, _values(summary, metric))
        made = tuple(_row(summary, protocol, arm, metric) for arm in shown)
        plates.append(seed_plate(scale, made))
        rows += [
            (
                Code(metric),
                Code(str(row.label)),
                *(_seed_words(definition, seed) for seed in row.seeds),
            )
            for row in made
        ]
    if not plates:
        return NotDrawn(slug, "no declared metric was measured")
    seeds = summary.seeds
    table = Table(
        "Every seed",
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            *(Column(f"seed {seed}") for seed in seeds.complete),
        ),
        tuple(rows),
        len(seeds.planned),
        seeds.complete,
        None,
        SUMMARY,
    )
    caption = (
        "Open circle: one seed; hairline: the same seed in neighbouring arms; tick: median; "
        f"box from eight seeds on: quartiles. {table.basis}."
    )
    return Figure(slug, "Seeds one by one", caption, aligned(plates), table)


def baseline_delta(
    baseline: Baseline | None, summary: Summary, protocol: Protocol
) -> Figure | NotDrawn:
    """One plate per declared metric: this run less the baseline, paired by seed."""
    slug = "baseline_delta"
    if baseline is None:
        return NotDrawn(slug, "no baseline run was given")
    styles = arm_styles(protocol)
    margins = {
        claim.metric: claim.margin for claim in protocol.claims if claim.kind == "equivalence"
    }
    plates = []
    rows: list[tuple[Cell, ...]] = []
    for metric in _declared(summary, protocol):
        definition = summary.metric_definitions[metric]
        found = {c.arm: c for c in baseline.contrasts if c.metric == metric}
        shown = present_arms(protocol, found)
        if not shown:
            continue
        made = []
        for arm in shown:
            contrast = found[arm.key]
            seeds = tuple(SeedValue(int(seed), d) for seed, d in _by_seed(contrast.diffs)) + tuple(
                SeedValue(int(s), None, "missing") for s, _ in _by_seed(contrast.dropped)
            )
            made.append(
                Row(
                    arm.key,
                    styles[arm.key],
                    seeds,
                    contrast.mean_diff,
                    contrast.ci_t,
                    contrast.reasons.get("mean_diff", "missing"),
                )
            )
            unpaired = ", ".join(seed for seed, _ in _by_seed(contrast.dropped)) or "none"
            rows.append(
                (
                    Code(metric),
                    Code(arm.key),
                    numbers.count(contrast.n),
                    unpaired,
                    difference_words(definition, contrast),
                    "none" if contrast.p_holm is None else numbers.p_value(contrast.p_holm),
                    contrast.better or "no direction",
                )
            )
        directed = definition.direction != "none"
        rate = definition.kind == "rate"
        plates.append(
            dot_plate(
                Scale(
                    metric,
                    "better by, paired by seed" if directed else "difference, paired by seed",
                    unit="percentage points" if rate else Text(unit_words(definition) or "no unit"),
                    points=rate,
                ),
                tuple(made),
                zero=("worse", "better") if directed else ("lower", "higher"),
                margin=margins.get(metric),
            )
        )
    if not plates:
        return NotDrawn(slug, "the baseline shares no arm with a declared metric")
    table = Table(
        "This run less the baseline",
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            Column("pairs"),
            Column("unpaired seeds", align="left"),
            Column("mean difference and t interval"),
            Column("adjusted p"),
            Column("verdict", align="left"),
        ),
        tuple(rows),
        len(summary.seeds.planned),
        summary.seeds.complete,
        T_INTERVAL,
        PAIRED,
    )
    caption = (
        "Glyph: mean of the paired differences, positive where this run is better; bar: 95 % "
        "Student-t interval; open circle: one seed; pale band: declared equivalence margin."
    )
    return Figure(slug, "Difference to the baseline", caption, aligned(plates), table)


def _declared(summary: Summary, protocol: Protocol) -> list[str]:
    measured = {metric for cells in summary.cells.values() for metric in cells}
    return [m for m in protocol.declared_metrics if m in measured]


def _values(summary: Summary, metric: str) -> list[float]:
    return [
        value
        for arms in summary.per_seed.values()
        for arm in arms.values()
        if (value := arm.metrics.get(metric)) is not None
    ]


def _scale(metric: str, definition: MetricDefinition, values: list[float]) -> Scale:
    log = definition.kind == "error" and wants_log(values)
    return Scale(
        metric,
        Text(definition.text),
        DIRECTION[definition.direction],
        "share" if definition.kind == "rate" else Text(unit_words(definition) or "no unit"),
        percent=definition.kind == "rate",
        log=log,
        bounds=definition.bounds,
    )


def _row(summary: Summary, protocol: Protocol, arm: Arm, metric: str) -> Row:
    stored = summary.cells[arm.key][metric]
    seeds = []
    for seed in summary.seeds.complete:
        values = summary.per_seed[str(seed)].get(arm.key)
        value = None if values is None else values.metrics.get(metric)
        reason = "missing" if values is None else values.reasons.get(metric, "missing")
        seeds.append(SeedValue(seed, value, "" if value is not None else reason))
    return Row(
        arm.key,
        arm_styles(protocol)[arm.key],
        tuple(seeds),
        stored.mean,
        stored.ci_t,
        stored.reasons.get("mean", "missing"),
        arm.role in {"floor", "ceiling"},
    )


def _seed_words(definition: MetricDefinition, seed: SeedValue) -> str:
    if seed.value is None:
        return numbers.undefined(seed.reason)
    return number_words(definition, seed.value)


def _by_seed(values: Mapping[str, T]) -> list[tuple[str, T]]:
    return sorted(values.items(), key=lambda item: int(item[0]))
