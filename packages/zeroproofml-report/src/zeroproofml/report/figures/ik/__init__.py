"""The figures of the IK pack, in page order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.domains.ik.strata import PATH
from zeroproofml.report.figures.ik.gather import gather
from zeroproofml.report.figures.ik.risk import risk
from zeroproofml.report.figures.ik.route import route_map
from zeroproofml.report.figures.ik.strata import strata
from zeroproofml.report.figures.ik.timeline import timeline
from zeroproofml.report.figures.ik.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from zeroproofml.report.pages.model import Figure, NotDrawn
    from zeroproofml.report.rundir import RawRun

__all__ = ["figures"]


def figures(run: RawRun, derived: Mapping[str, Any]) -> list[Figure | NotDrawn]:
    """Workspace, strata, route map, timeline, risk; what cannot be drawn says why."""
    data = gather(run)
    return [
        workspace(data),
        strata(data, derived[PATH]),
        route_map(data),
        timeline(data),
        risk(data),
    ]
