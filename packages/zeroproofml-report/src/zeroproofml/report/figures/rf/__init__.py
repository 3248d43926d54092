"""The figures of the RF pack, in page order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.domains.rf.pooled import FAILURES, REFUSAL
from zeroproofml.report.figures.rf.bode import bode
from zeroproofml.report.figures.rf.failed import failed
from zeroproofml.report.figures.rf.poles import pole_map
from zeroproofml.report.figures.rf.q_curve import q_curve
from zeroproofml.report.figures.rf.refusal import coverage_risk, tau_sweep
from zeroproofml.report.figures.rf.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from zeroproofml.report.pages.model import Figure, NotDrawn
    from zeroproofml.report.rundir import RawRun

__all__ = ["figures"]


def figures(run: RawRun, derived: Mapping[str, Any]) -> list[Figure | NotDrawn]:
    """Responses and failed peaks; under standard also Q curve, poles and refusal."""
    source = Source.of(run)
    made = [bode(source), failed(source, derived[FAILURES])]
    if run.config.protocol.name == "classic":
        return made
    refusal = derived[REFUSAL]
    return [
        *made,
        q_curve(source),
        pole_map(source),
        tau_sweep(source, refusal),
        coverage_risk(source, refusal),
    ]
