"""`dose_direction_confusion` and `dose_direction_head`: which side, and how sure |Q| is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.dose.tuples import DECILES
from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.confusion import confusion_plate
from zeroproofml.report.figures.dose.gather import DIAGNOSTICS
from zeroproofml.report.figures.marks import Glyph, Whisker
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

CONFUSION = "dose_direction_confusion"
HEAD = "dose_direction_head"
_TRUE = ("below", "in range", "above")
_SAID = ("below", "a number", "above")
_STYLES = {
    "head": ("by the head", ArmStyle("arm2", "triangle", "")),
    "sign": ("by the sign of P", ArmStyle("arm0", "circle", "7 3")),
}
_REFUSED = ArmStyle("ink", "plus", "2 3")


def direction_confusion(data: Gathered) -> Figure | NotDrawn:
    """Confusion of each headline and reference arm, seeds summed, at the balanced threshold."""
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for arm in data.shown():
        counts = data.arms[arm]["confusion"]["counts"]
        if not any(map(sum, counts)):
            continue
        plates.append(
            confusion_plate(
                arm,
                _TRUE,
                [row[:3] for row in counts],
                refused=[row[3] for row in counts],
                predicted=_SAID,
                lost_words="fault",
            )
        )
        for words, row in zip(_TRUE, counts, strict=True):
            rows.append((Code(arm), words, *(_share(count, sum(row)) for count in row)))
    if not plates:
        return NotDrawn(CONFUSION, "no arm has a balanced threshold")
    columns = [Column("arm", align="left"), Column("truth", align="left")]
    columns += [Column(words) for words in (*_SAID, "fault")]
    twin = Table(
        "True and given class at the balanced threshold, counts of all seeds together",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        DIAGNOSTICS,
    )
    caption = (
        "Frozen test set at the balanced threshold of each seed; a refused curve gets a side, a "
        f"number is one class, a numerical fault has its own hatched column. {twin.basis}."
    )
    return Figure(CONFUSION, "Which side, or a number", caption, tuple(plates), twin)


def direction_head(data: Gathered) -> Figure | NotDrawn:
    """Share of right sides by decile of |Q|, and the share refused there, per headline tuple arm."""
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for arm in data.tuples(("headline",)):
        made = data.arms[arm]["direction"]
        if not any(row["n"] for row in made["deciles"]):
            continue
        plates.append(_plate(arm, made))
        rows += [_row(arm, k, row) for k, row in enumerate(made["deciles"], 1)]
    if not plates:
        return NotDrawn(HEAD, "no headline tuple arm gave an answer to a censored curve")
    columns = [Column("arm", align="left")]
    columns += [Column(words) for words in ("decile", "abs Q from", "to", "curves", "refused")]
    columns += [Column(words) for words, _ in _STYLES.values()]
    twin = Table(
        "Right sides among censored test curves by decile of abs Q",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        "95 % Student-t interval",
        DIAGNOSTICS,
    )
    caption = (
        "Censored curves of the frozen test set in deciles of abs Q, the smallest first; a side is "
        "asked of every one, refused or not. Glyph: mean over seeds, bar: 95 % Student-t interval; "
        f"dotted: share refused at the balanced threshold, seeds together. {twin.basis}."
    )
    return Figure(HEAD, "Sides by size of the denominator", caption, tuple(plates), twin)


def _plate(arm: str, made: Mapping[str, Any]) -> Plate:
    marks: list[Mark] = []
    lines = []
    key = []
    drawn = lost = 0
    deciles = made["deciles"]
    names = [name for name in _STYLES if name in made["sides"]]
    for index, name in enumerate(names):
        words, style = _STYLES[name]
        shift = 0.12 * (index - 0.5 * (len(names) - 1))
        points: list[tuple[float, float | None]] = []
        for k, row in enumerate(deciles, 1):
            share, interval = row[name]["share"], row[name]["interval"]
            points.append((k + shift, share))
            if share is None:
                lost += 1
                continue
            drawn += 1
            if interval is not None:
                low, high = (end if 0.0 <= end <= 1.0 else None for end in interval)
                marks.append(Whisker(low, high, k + shift, style, vertical=True))
            marks.append(Glyph(k + shift, share, style, f"{words}: {numbers.percent(share)}", 4.5))
        lines.append(Line(tuple(points), style, words))
        key.append(Key(words, style, line=True))
    refused: list[tuple[float, float | None]] = [
        (float(k), row["refused"] / row["n"] if row["n"] else None)
        for k, row in enumerate(deciles, 1)
    ]
    lines.append(Line(tuple(refused), _REFUSED, "refused"))
    key.append(Key("refused", _REFUSED, line=True))
    held = sum(share is not None for _, share in refused)
    drawn, lost = drawn + held, lost + len(refused) - held
    ticks = tuple(Tick(float(k), str(k)) for k in range(1, DECILES + 1))
    return Plate(
        "Line plot",
        arm,
        "share of censored curves",
        Axis(0.5, DECILES + 0.5, ticks, "decile of abs Q, smallest first", guides=False),
        linear_axis([0.0, 1.0], label=lambda v: f"{100 * v:g} %", bounds=(0.0, 1.0)),
        SIZE.lines_height + SIZE.key_row * -(-len(key) // 2),
        Account(drawn + lost, drawn, bottom={"no sample": lost} if lost else {}),
        tuple(lines),
        tuple(marks),
        tuple(key),
        "higher is better ↑",
    )


def _row(arm: str, k: int, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for name in _STYLES:
        found = row.get(name)
        if found is None:
            cells.append("no head")
        elif found["share"] is None:
            cells.append("no sample")
        elif found["interval"] is None:
            cells.append(numbers.percent(found["share"]))
        else:
            cells.append(numbers.percent_interval(found["share"], *found["interval"]))
    ends = ["no sample" if row[e] is None else numbers.value(row[e]) for e in ("low", "high")]
    counts = numbers.count(row["n"]), _share(row["refused"], row["n"])
    return (Code(arm), str(k), *ends, *counts, *cells)


def _share(count: int, total: int) -> str:
    return f"{numbers.percent(count / total)} ({numbers.count(count)})" if total else "no sample"
