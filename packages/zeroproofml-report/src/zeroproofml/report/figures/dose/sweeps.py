"""`dose_threshold_sweeps`: what every threshold would do on calibration, and which one was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.dose.gather import DIAGNOSTICS
from zeroproofml.report.figures.marks import Band, Label, Reference, SeedDot
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "dose_threshold_sweeps"
_RATES = {
    "fp_cens": ("false numbers", ArmStyle("arm1", "square", "")),
    "fn_in": ("lost curves", ArmStyle("arm0", "circle", "7 3")),
    "bottom_rate": ("⊥ rate", ArmStyle("ink", "plus", "2 3")),
}
_SEEDS = {"fp_cens": ("fp_cens", "n_c"), "fn_in": ("fn_in", "n_in"), "bottom_rate": ("bottom", "n")}
_STRIP = (10**-6.6, 10**-6.3, 10**-6.0)
"""Low end, middle and edge of the strip for accept-all on a log axis."""


def threshold_sweeps(data: Gathered) -> Figure | NotDrawn:
    """One plate per headline or reference arm."""
    plates, rows = [], []
    for arm in data.shown():
        made = data.arms[arm]
        if made["sweeps"]["cal"]["mean"]["fp_cens"] is None:
            continue
        if made["sweeps"]["cal"]["mean"]["fn_in"] is None:
            continue
        plates.append(_plate(arm, made))
        rows += _rows(arm, made)
    if not plates:
        return NotDrawn(SLUG, "no arm has calibration curves of both kinds")
    columns = [Column("arm", align="left"), Column("rate", align="left")]
    columns += [Column(label) for label in ("thresholds", "min", "median", "max")]
    columns += [Column("at balanced thresholds"), Column("balanced thresholds")]
    twin = Table(
        "Rates over the grid of thresholds on calibration, mean over seeds",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        DIAGNOSTICS,
    )
    caption = (
        "Calibration curves, on which thresholds are chosen. Thick: mean over seeds; thin: one "
        "seed; dashed line: the balanced threshold of a seed; above the plot of a tuple arm: the "
        "greatest distance in decades that a threshold lets a value have from the gauge's center. "
        "A distance score has a linear axis in decades. The same on test and the exact steps: "
        f"{DIAGNOSTICS}. {twin.basis}."
    )
    return Figure(SLUG, "What a threshold does", caption, tuple(plates), twin)


def _plate(arm: str, made: Mapping[str, Any]) -> Plate:
    log = made["score_kind"] != "distance"
    sweep, t = made["sweeps"]["cal"], made["sweep_t"]
    lines: list[Line] = []
    marks: list[Mark] = []
    if log:
        marks.append(Band(None, _STRIP[2], hatch="sem"))
    lanes = 0
    for name, (words, style) in _RATES.items():
        count, size = _SEEDS[name]
        for seed in sweep["seeds"].values():
            rate = [k / seed[size] for k in seed[count]]
            lines.append(Line(tuple(zip(t, rate, strict=True)), style, "", 0.7, 0.45, ""))
            lanes += len(t)
        mean = sweep["mean"][name]
        lines.append(Line(tuple(zip(t, mean, strict=True)), style, words))
        lanes += len(t)
        if log:
            all_ = sweep["mean"][f"{name}_accept_all"][0]
            marks.append(SeedDot(_STRIP[1], all_, style, f"{words} at accept-all"))
            lanes += 1
    marks += _chosen(made, log)
    if made["gauge"] is not None:
        marks += [
            Label(10.0**k, 1.0, words, anchor="middle", dy=-4.0, muted=True)
            for k, words in ((-4, "10⁴ dec"), (-2, "100 dec"), (-1, "9.9"), (0, "0"))
        ]
    return Plate(
        "Line plot",
        arm,
        "rate on calibration" + (", top: reach in decades" if made["gauge"] is not None else ""),
        _axis(made["score_kind"]),
        linear_axis([0.0, 1.0], label=lambda v: f"{100 * v:g} %", bounds=(0.0, 1.0)),
        SIZE.lines_height + 2 * SIZE.key_row,
        Account(lanes, lanes),
        tuple(lines),
        tuple(marks),
        tuple(Key(words, style, line=True) for words, style in _RATES.values()),
        "lower is better ↓",
    )


def _axis(score: str) -> Axis:
    if score == "distance":
        return linear_axis([-2.0, 2.0], caption="threshold in decades, linear")
    ticks = (Tick(_STRIP[1], "0"), *(Tick(10.0**k, _power(k)) for k in range(-6, 1)))
    return Axis(_STRIP[0], 10**0.12, ticks, f"threshold of a {score} score, log scale", log=True)


def _power(k: int) -> str:
    return "1" if k == 0 else "10" + str(k).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _chosen(made: Mapping[str, Any], log: bool) -> list[Mark]:
    """A line at each seed's balanced threshold; the first one is labelled."""
    marks: list[Mark] = []
    for number, point in enumerate(made["thresholds"]["balanced"]):
        t = point["t"]
        if point["accept_all"] and log:
            t = _STRIP[1]
        if t is None or (log and not _STRIP[0] <= t <= 1.3) or (not log and abs(t) > 2.0):
            continue
        marks.append(Reference(t, "" if number else "balanced", drop=14.0))
    return marks


def _rows(arm: str, made: Mapping[str, Any]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    points = made["thresholds"]["balanced"]
    known = [point["t"] for point in points if point["t"] is not None]
    shown = (
        f"{numbers.value(min(known))} to {numbers.value(max(known))}" if known else "none finite"
    )
    for name, (words, _) in _RATES.items():
        mean = made["sweeps"]["cal"]["mean"][name]
        ordered = sorted(mean)
        cells = [numbers.percent(x) for x in (ordered[0], _median(ordered), ordered[-1])]
        own = made["sweeps"]["cal"]["mean"][f"{name}_balanced"]
        at = "undefined" if own is None else numbers.percent(own[0])
        rows.append((Code(arm), words, numbers.count(len(mean)), *cells, at, shown))
    return rows


def _median(ordered: list[float]) -> float:
    return ordered[len(ordered) // 2]
