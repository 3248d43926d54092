"""`rf_q_curve`: how error, peaks and false refusals grow with Q, arm by arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.contrasts import Value, cell
from zeroproofml.report.domains.rf import members
from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.marks import Glyph, Reference, SeedDot
from zeroproofml.report.figures.plate import Account, Key, Line, Plate, aligned
from zeroproofml.report.figures.rf.source import SHORT
from zeroproofml.report.figures.standard import DIRECTION, cell_words
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.contract.derived import Cell as Stored
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.figures.rf.source import Source
    from zeroproofml.report.pages.model import Cell

SLUG = "rf_q_curve"
_METRICS = {
    "rel_err_db_p50": "median relative error, dB; a refused device counts 0",
    "peak_success": "share of peaks within 1 dB and half a bandwidth",
    "false_bottom": "refused share of stable devices",
}
_GROUPS = (
    ("trained", "learned"),
    ("twins, two stages", "hybrid"),
    ("given 128 samples", "analytic"),
)
_MOST = 6


def q_curve(source: Source) -> Figure | NotDrawn:
    """Per metric: x is the bin of Q, one line per arm through its means, seeds as circles."""
    arms = [arm for arm in source.run.protocol.arms if arm.key in source.everywhere()]
    plates: list[Plate] = []
    for metric, words in _METRICS.items():
        for title, role in _GROUPS:
            keys = [a.key for a in arms if a.role == role and _refuses(source, a.key, metric)]
            for start in range(0, len(keys), _MOST):
                part = keys[start : start + _MOST]
                plates.append(_plate(source, metric, words, title, part))
    if not plates:
        return NotDrawn(SLUG, "neither a learned arm, nor a twin, nor a fit gave an answer")
    rows: list[tuple[Cell, ...]] = [
        (Code(metric), Code(arm.key), *_cells(source, metric, arm.key))
        for metric in _METRICS
        for arm in arms
        if _refuses(source, arm.key, metric)
    ]
    twin = Table(
        "Error, peaks and false refusals by Q",
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            *(Column(SHORT[name]) for name in members.BINS),
        ),
        tuple(rows),
        source.planned,
        source.seeds,
        "95 % Student-t interval",
        "aggregated/summary.json",
    )
    caption = (
        "Lines join the means over seeds, open circles are seeds. Trained on Q 5 to 30; the other "
        "bins lie beyond. Dashed: answering zero. Arms named ident_ were given 128 samples of the "
        f"very device, an easier question. {twin.basis}."
    )
    return Figure(SLUG, "Beyond the trained Q", caption, aligned(plates), twin)


def _refuses(source: Source, arm: str, metric: str) -> bool:
    """False for the refusals of an arm that cannot refuse: a line at 0 would say nothing."""
    if metric != "false_bottom":
        return True
    return any(v is not None for v in source.metric(arm, "bottom_auroc").values())


def _plate(source: Source, metric: str, words: str, title: str, arms: Sequence[str]) -> Plate:
    lines: list[Line] = []
    marks: list[Mark] = []
    lanes = lost = 0
    held: list[float] = [0.0]
    for number, arm in enumerate(arms):
        style, points = source.styles[arm], []
        shift = 0.5 * ((number + 0.5) / len(arms) - 0.5)
        for place, name in enumerate(members.BINS):
            values = source.metric(arm, f"{metric}_{name}")
            there = {seed: v for seed, v in values.items() if v is not None}
            lanes, lost = lanes + len(values), lost + len(values) - len(there)
            held += there.values()
            x = place + shift
            marks += [SeedDot(x, v, style, f"{arm}, seed {seed}") for seed, v in there.items()]
            mean = _cell(source, arm, f"{metric}_{name}").mean
            points.append((x, mean))
            if mean is not None:
                marks.append(Glyph(x, mean, style, arm, 4.0))
        lines.append(Line(tuple(points), style, arm))
    zero = source.run.protocol.metrics[f"{metric}_in"]
    over: list[Mark] = []
    if metric == "rel_err_db_p50":
        over.append(Reference(0.0, "zero", vertical=False))
    percent = zero.kind == "rate"
    label = (lambda v: f"{100 * v:g} %") if percent else None
    ticks = tuple(Tick(float(i), SHORT[name]) for i, name in enumerate(members.BINS))
    return Plate(
        "Line plot",
        f"{metric}: {title}",
        words,
        Axis(-0.5, len(members.BINS) - 0.5, ticks, "Q of the device", guides=False),
        linear_axis(held, label=label, bounds=(0.0, 1.0) if percent else (None, None)),
        SIZE.lines_height + SIZE.key_row * -(-len(arms) // 2),
        Account(lanes, lanes - lost, bottom={"no value": lost} if lost else {}),
        tuple(lines),
        (*over, *marks),
        tuple(Key(arm, source.styles[arm], line=True) for arm in arms),
        DIRECTION[zero.direction],
    )


def _cell(source: Source, arm: str, name: str) -> Stored:
    """The same statistics as in the summary: a null counts as a seed without a value."""
    results = source.run.results
    return cell(
        [
            Value(results[s].arms[arm].metrics[name], results[s].arms[arm].reasons.get(name))
            if arm in results[s].arms
            else Value(None)
            for s in source.seeds
        ]
    )


def _cells(source: Source, metric: str, arm: str) -> list[str]:
    law = source.run.protocol.metrics
    names = [f"{metric}_{name}" for name in members.BINS]
    return [cell_words(law[name], _cell(source, arm, name)) for name in names]
