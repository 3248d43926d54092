"""`dose_borderline`: the test curves whose score lies nearest to the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.axes import linear_axis, row_axis
from zeroproofml.report.figures.dose.gather import DIAGNOSTICS
from zeroproofml.report.figures.marks import Glyph, Reference
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table
from zeroproofml.scm.cause import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "dose_borderline"
_CLASSES = ("below", "in range", "above", "fault")
_RIGHT = ArmStyle("arm0", "circle", "")
_WRONG = ArmStyle("fault", "square", "")


def borderline(data: Gathered) -> Figure | NotDrawn:
    """One plate per headline or reference arm that has a threshold."""
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for arm in data.shown():
        lanes = data.arms[arm]["borderline"]
        if lanes:
            plates.append(_plate(arm, lanes))
            rows += [_row(arm, lane) for lane in lanes]
    if not plates:
        return NotDrawn(SLUG, "no arm has a finite balanced threshold")
    left = [Column("arm", align="left"), Column("seed"), Column("curve")]
    numbers_ = [Column(w) for w in ("score", "margin", "true L", "given L")]
    words = [Column(w, align="left") for w in ("truth", "answer", "cause")]
    twin = Table(
        "Test curves nearest to the balanced threshold",
        (*left, *numbers_, *words),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        DIAGNOSTICS,
    )
    caption = (
        "The 20 curves of all seeds with the least distance between score and balanced threshold, "
        "by true class; right of the line they got a number. Squares are errors. The errors that "
        f"lie farthest from a window edge: {DIAGNOSTICS}. {twin.basis}."
    )
    return Figure(SLUG, "Closest decisions", caption, tuple(plates), twin)


def _plate(arm: str, lanes: Sequence[Mapping[str, Any]]) -> Plate:
    marks: list[Mark] = [Reference(0.0, "threshold")]
    seen: dict[int, int] = {}
    for lane in lanes:
        label = lane["label"]
        # Equal margins would hide each other: each lane of a class gets a height of its own.
        height = -label + 0.05 * ((seen.get(label, 0) * 3) % 11 - 5)
        seen[label] = seen.get(label, 0) + 1
        style = _RIGHT if lane["predicted"] == label else _WRONG
        words = f"seed {lane['seed']}, curve {lane['id']}"
        marks.append(Glyph(lane["margin"], height, style, words, 4.0))
    margins = [0.0, *(lane["margin"] for lane in lanes)]
    return Plate(
        "Dot plot",
        arm,
        "truth by row",
        linear_axis(margins, caption="score less threshold", most=4),
        row_axis(_CLASSES[:3]),
        SIZE.dots_base + 3 * 2 * SIZE.row + SIZE.key_row + 24,
        Account(len(lanes), len(lanes)),
        marks=tuple(marks),
        key=(Key("right", _RIGHT), Key("wrong", _WRONG)),
    )


def _row(arm: str, lane: Mapping[str, Any]) -> tuple[Cell, ...]:
    told = "no effect" if lane["l"] is None else numbers.value(lane["l"])
    given = "refused" if lane["decoded"] is None else numbers.value(lane["decoded"])
    score, margin = numbers.value(lane["score"]), numbers.difference(lane["margin"])
    head = (Code(arm), str(lane["seed"]), numbers.count(lane["id"]), score, margin, told, given)
    answer = "a number" if lane["predicted"] == 1 else _CLASSES[lane["predicted"]]
    cause = "below threshold" if lane["predicted"] != 1 and not lane["cause"] else "none"
    if lane["cause"]:
        cause = describe(lane["cause"])
    return (*head, _CLASSES[lane["label"]], answer, cause)
