"""`dose_q_histogram`: where |Q| lies by true class; exact zeros and faults are counted on a strip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.dose.gather import DIAGNOSTICS
from zeroproofml.report.figures.marks import Band, Label, Reference
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "dose_q_histogram"
_CLASSES = {
    "in_range": ("in range", ArmStyle("arm0", "circle", "")),
    "below": ("below", ArmStyle("arm1", "square", "7 3")),
    "above": ("above", ArmStyle("arm2", "triangle", "2 3")),
    "no_effect": ("no effect", ArmStyle("arm3", "diamond", "9 3 2 3")),
}
_LOW, _MIDDLE, _EDGE, _FIRST = 1e-10, 10**-9.5, 1e-9, 10**-8.5
"""The strip from 1e-10 to 1e-9; the first bin, below 1e-8, is drawn from 1e-8.5 on."""
_TICKS = {-8: "10⁻⁸", -6: "10⁻⁶", -4: "10⁻⁴", -2: "10⁻²", 0: "1"}


def q_histogram(data: Gathered) -> Figure | NotDrawn:
    """One plate per tuple arm but those of the training-size axis."""
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for arm in data.tuples(("headline", "ablation")):
        made = data.arms[arm]
        plates.append(_plate(data, arm, made))
        rows += [_row(arm, name, made["q_histogram"]) for name in _CLASSES]
    if not plates:
        return NotDrawn(SLUG, "no tuple arm gave an answer")
    columns = [Column("arm", align="left"), Column("class", align="left")]
    columns += [Column(w) for w in ("curves", "exactly 0", "fault", "fullest bin", "its share")]
    twin = Table(
        "abs Q of test curves, counts of all seeds together",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        DIAGNOSTICS,
    )
    caption = (
        "abs Q of the unit tuple on the frozen test set in half decades, seeds together; the first "
        "bin holds everything below 1e-8; hatched strip: exact zeros and faults with their number. "
        "Lines: the balanced threshold of the first seed, and the training margin. Linear bins: "
        f"{DIAGNOSTICS}. {twin.basis}."
    )
    return Figure(SLUG, "Size of the denominator", caption, tuple(plates), twin)


def _plate(data: Gathered, arm: str, made: Mapping[str, Any]) -> Plate:
    found = made["q_histogram"]
    edges = [_FIRST, *found["log_edges"][1:]]
    marks: list[Mark] = [Band(None, _EDGE, hatch="sem")]
    lines, key, highest = [], [], 0.0
    drawn = zeros = faults = 0
    for row, (name, (words, style)) in enumerate(_CLASSES.items()):
        counts, lost = found["log"][name], found["zeros"][name] + found["faults"][name]
        total = sum(counts) + lost
        shares = [count / total if total else 0.0 for count in counts]
        highest = max(highest, *shares)
        points: list[tuple[float, float | None]] = [(edges[0], 0.0)]
        for j, share in enumerate(shares):
            points += [(edges[j], share), (edges[j + 1], share)]
        lines.append(Line((*points, (edges[-1], 0.0)), style, words))
        key.append(Key(f"{words}{f', ⊥ {numbers.count(lost)}' if lost else ''}", style, line=True))
        if lost:
            marks.append(Label(_MIDDLE, 0.0, numbers.count(lost), "middle", dy=-8.0 - 16 * row))
        drawn += sum(counts)
        zeros, faults = zeros + found["zeros"][name], faults + found["faults"][name]
    marks += _thresholds(data, arm, made)
    ticks = (Tick(_MIDDLE, "0, ⊥"), *(Tick(10.0**k, words) for k, words in _TICKS.items()))
    return Plate(
        "Histogram",
        arm,
        "share of the class",
        Axis(_LOW, 1.6, ticks, "abs Q, log scale", log=True),
        linear_axis([0.0, highest or 1.0], label=lambda v: f"{100 * v:g} %", bounds=(0.0, None)),
        SIZE.lines_height + SIZE.key_row * -(-len(key) // 2),
        Account(
            drawn + zeros + faults,
            drawn,
            bottom={w: n for w, n in (("zero", zeros), ("fault", faults)) if n},
        ),
        tuple(lines),
        tuple(marks),
        tuple(key),
    )


def _thresholds(data: Gathered, arm: str, made: Mapping[str, Any]) -> list[Mark]:
    marks: list[Mark] = []
    points = made["thresholds"]["balanced"]
    t = points[0]["t"] if points else None
    if t is not None and t >= 1e-8:
        marks.append(Reference(t, "tau_infer"))
    margin = data.known[arm].tau_train
    if margin is not None:
        marks.append(Reference(margin, "tau_train", token="axis", dash="2 3", drop=16.0))
    return marks


def _row(arm: str, name: str, found: Mapping[str, Any]) -> tuple[Cell, ...]:
    counts = found["log"][name]
    lost = found["zeros"][name], found["faults"][name]
    total = sum(counts) + sum(lost)
    cells: list[Cell] = [numbers.count(n) for n in (total, *lost)]
    if not any(counts):
        return (Code(arm), _CLASSES[name][0], *cells, "none", "no sample")
    best = counts.index(max(counts))
    low, high = found["log_edges"][best], found["log_edges"][best + 1]
    span = f"{numbers.value(low)} to {numbers.value(high)}"
    return (Code(arm), _CLASSES[name][0], *cells, span, numbers.percent(counts[best] / total))
