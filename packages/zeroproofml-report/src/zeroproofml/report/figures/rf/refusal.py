"""`rf_tau_sweep` and `coverage_risk`: what is refused, and what is lost among the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.rf import members
from zeroproofml.report.figures.axes import linear_axis
from zeroproofml.report.figures.coverage import AT, RiskCurve, risk_plate
from zeroproofml.report.figures.lines import Series, line_plate
from zeroproofml.report.figures.marks import Reference
from zeroproofml.report.figures.plate import aligned
from zeroproofml.report.figures.rf.source import SHORT
from zeroproofml.report.figures.style import ARMS, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.plate import Plate
    from zeroproofml.report.figures.rf.source import Source
    from zeroproofml.report.pages.model import Cell

_RATES = {
    "recall_neg": "oscillating",
    "recall_axis": "on the axis",
    **{f"false_bottom_{name}": SHORT[name] for name in members.BINS},
}
_BEST = ArmStyle("ink", "plus", "2 2")


def tau_sweep(source: Source, data: Mapping[str, Any]) -> Figure | NotDrawn:
    """One plate per arm that refuses by its damping: refused share of every set against τ."""
    slug = "rf_tau_sweep"
    if not data["sweeps"]:
        return NotDrawn(slug, "no arm that refuses by its damping gave an answer")
    tau = data["tau"]
    plates = [_sweep(arm, made, data) for arm, made in data["sweeps"].items()]
    rows: list[tuple[Cell, ...]] = [
        (Code(arm), words, *(_percent(value) for value in made[rate]))
        for arm, made in data["sweeps"].items()
        for rate, words in _RATES.items()
    ]
    twin = Table(
        "Refused share by threshold on the damping, mean over seeds",
        (
            Column("arm", align="left"),
            Column("devices", align="left"),
            *(Column(f"τ = {t:g}") for t in tau),
        ),
        tuple(rows),
        source.planned,
        source.seeds,
        None,
        "aggregated/rf_refusal.json",
    )
    caption = (
        "Refused share of the devices without a steady state (wanted: all) and of the stable ones "
        "by Q (wanted: none). At 0, on the hatched strip, only a damping of 0 or less is refused. "
        f"The thresholds are fixed by the protocol. Mean over seeds; {twin.basis}."
    )
    return Figure(slug, "What a threshold on the damping refuses", caption, aligned(plates), twin)


def _sweep(arm: str, made: Mapping[str, Any], data: Mapping[str, Any]) -> Plate:
    lines = []
    for style, (rate, words) in zip(ARMS, _RATES.items(), strict=False):
        held = [(t, v) for t, v in zip(data["tau"], made[rate], strict=True) if v is not None]
        xs, ys = zip(*held, strict=True) if held else ((), ())
        lines.append(Series(words, style, tuple(xs), tuple(ys)))
    return line_plate(
        arm,
        "refused share",
        lines,
        x_caption="threshold τ on V",
        log_x=True,
        y_axis=linear_axis([0.0, 1.0], label=lambda v: f"{100 * v:g} %", bounds=(0.0, 1.0)),
        references=(
            Reference(data["tau_infer"], "τ_infer"),
            Reference(data["tau_safe"], "safe", drop=15.0),
        ),
    )


def coverage_risk(source: Source, data: Mapping[str, Any]) -> Figure | NotDrawn:
    """Share of lost devices against the share of devices accepted, arms that have a score."""
    slug = "coverage_risk"
    drawn = [arm for arm in data["risks"] if arm != "scm_rational_abs"]
    if not drawn:
        return NotDrawn(slug, "no arm that scores designs gave an answer")
    curves = [_curve(arm, source.styles[arm], data["risks"][arm], data) for arm in drawn]
    if data["best"]:
        curves.append(_curve("best order", _BEST, {**data["best"], "chosen": None}, data))
    plate = risk_plate(
        "lost devices among the accepted",
        "no steady state, or a relative error above −10 dB",
        curves,
        percent=True,
    )
    rows = [_row(Code(arm), data["risks"][arm], data) for arm in data["risks"]]
    if data["best"]:
        rows.append(
            _row(f"best order of {data['best_of']}", {**data["best"], "chosen": None}, data)
        )
    columns = [Column("order", align="left")]
    columns += [Column(f"at {numbers.percent(at)}") for at in (*AT, 1.0)]
    twin = Table(
        "Lost share of the accepted test devices, mean over seeds",
        (*columns, Column("at the fixed threshold")),
        tuple(rows),
        source.planned,
        source.seeds,
        None,
        "aggregated/rf_refusal.json",
    )
    caption = (
        "Devices are accepted from the highest score on: damping, distance to the training designs "
        "(knn_score), or a classifier that was given labelled oscillating designs (gate_score). "
        "Line: mean over seeds, pale: lowest to highest seed, large glyph: the threshold fixed in "
        f"advance; dotted: {data['best_of']} with its losses in the best order. {twin.basis}."
    )
    return Figure(slug, "Coverage and risk", caption, (plate,), twin)


def _curve(
    words: str, style: ArmStyle, made: Mapping[str, Any], data: Mapping[str, Any]
) -> RiskCurve:
    chosen = made["chosen"]
    return RiskCurve(
        words,
        style,
        tuple(data["coverage"]),
        tuple(made["mean"]),
        tuple(made["low"]),
        tuple(made["high"]),
        None if chosen is None else (chosen[0], chosen[1]),
    )


def _row(name: Cell, made: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Cell, ...]:
    places = [data["coverage"].index(at) for at in (*AT, 1.0)]
    chosen = made["chosen"]
    own = "none"
    if chosen is not None:
        own = f"{numbers.percent(chosen[1])} at {numbers.percent(chosen[0])}"
    return (name, *(numbers.percent(made["mean"][place]) for place in places), own)


def _percent(value: float | None) -> str:
    return "no device" if value is None else numbers.percent(value)
