"""The figures of the DOSE pack, in page order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.figures.dose.borderline import borderline
from zeroproofml.report.figures.dose.gather import gather
from zeroproofml.report.figures.dose.histogram import q_histogram
from zeroproofml.report.figures.dose.risk import coverage_risk
from zeroproofml.report.figures.dose.sides import direction_confusion, direction_head
from zeroproofml.report.figures.dose.sizes import budget, stress
from zeroproofml.report.figures.dose.sweeps import threshold_sweeps
from zeroproofml.report.figures.dose.tradeoff import tradeoff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from zeroproofml.report.pages.model import Figure, NotDrawn
    from zeroproofml.report.rundir import RawRun

__all__ = ["figures"]


def figures(run: RawRun, derived: Mapping[str, Any]) -> list[Figure | NotDrawn]:
    """Every figure of the pack; what cannot be drawn says why."""
    data = gather(run, derived)
    return [
        coverage_risk(data),
        threshold_sweeps(data),
        tradeoff(data),
        direction_confusion(data),
        direction_head(data),
        q_histogram(data),
        borderline(data),
        budget(data),
        stress(data),
    ]
