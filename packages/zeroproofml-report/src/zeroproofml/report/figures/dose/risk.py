"""`coverage_risk`: unsafe numbers and error of L against the share of curves answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.coverage import AT, RiskCurve, risk_plate
from zeroproofml.report.figures.dose.gather import DIAGNOSTICS, split
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.pages.model import Cell

SLUG = "coverage_risk"
_KINDS = {
    "unsafe": ("unsafe numbers", "share of censored curves among the accepted", True),
    "error": ("error of L", "clipped mean absolute error in decades, resolvable curves", False),
}


def coverage_risk(data: Gathered) -> Figure | NotDrawn:
    """Two plates for every six headline or reference arms."""
    arms = data.shown()
    plates = []
    for group in split(arms):
        for kind, (title, words, percent) in _KINDS.items():
            curves = [_curve(data, arm, kind) for arm in group]
            plates.append(
                risk_plate(title, words, curves, percent=percent, log=True if percent else None)
            )
    if not plates:
        return NotDrawn(SLUG, "no headline arm gave an answer")
    rows = [_row(data.arms[arm]["coverage"], arm, kind) for kind in _KINDS for arm in arms]
    columns = [Column("risk", align="left"), Column("arm", align="left")]
    columns += [Column(f"at {numbers.percent(at)}") for at in (*AT, 1.0)]
    columns.append(Column("at the balanced threshold"))
    twin = Table(
        "Risk at fixed coverages on the frozen test set, mean over seeds",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        None,
        DIAGNOSTICS,
    )
    caption = (
        "Curves are accepted from the highest score on; a tie group is accepted as a whole. Unsafe "
        "numbers: over all curves, log scale, exact zeros on the strip. Error: over the resolvable "
        "curves. Line: mean over seeds, pale: lowest to highest seed, large glyph: the balanced "
        "threshold; hatched box at the foot: coverages that an arm does not reach in every seed, "
        f"since some curve is ⊥ at any threshold. {twin.basis}."
    )
    return Figure(SLUG, "Coverage and risk", caption, tuple(plates), twin)


def _curve(data: Gathered, arm: str, kind: str) -> RiskCurve:
    found = data.arms[arm]["coverage"]
    chosen = found[kind]["chosen"]
    return RiskCurve(
        arm,
        data.style(arm),
        tuple(found["coverage"]),
        tuple(found[kind]["mean"]),
        tuple(found[kind]["low"]),
        tuple(found[kind]["high"]),
        None if chosen is None else (chosen[0], chosen[1]),
    )


def _row(found: Mapping[str, Any], arm: str, kind: str) -> tuple[Cell, ...]:
    title, _, percent = _KINDS[kind]
    shown = numbers.percent if percent else numbers.value
    means = found[kind]["mean"]
    cells = []
    for at in (*AT, 1.0):
        mean = means[round(100 * at) - 1]
        cells.append("not reached" if mean is None else shown(mean))
    chosen = found[kind]["chosen"]
    own = "none" if chosen is None else f"{shown(chosen[1])} at {numbers.percent(chosen[0])}"
    return (title, Code(arm), *cells, own)
