"""The domain's derived files, from one pass over the seeds of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report import domains
from zeroproofml.report.domains.dose import diagnostics, fronts, operating
from zeroproofml.report.domains.dose.tables import front_tables, preset_tables
from zeroproofml.report.domains.dose.views import views

if TYPE_CHECKING:
    from typing import Any

    from zeroproofml.report.rundir import RawRun

__all__ = ["aggregates"]


def _numbers(run: RawRun) -> dict[str, dict[str, Any]]:
    """Contents of the three JSON files by path."""
    gathered, diagnosed = operating.Gathered(), diagnostics.Diagnosed()
    for view in views(run):
        gathered.add(run, view)
        diagnosed.add(run, view)
    return {
        operating.PATH: operating.operating_points(run, gathered),
        fronts.PATH: fronts.pareto_front(run, gathered),
        diagnostics.PATH: diagnostics.diagnostics(run, diagnosed, gathered.points),
    }


def aggregates(run: RawRun) -> dict[str, object]:
    """The JSON files and the tables that repeat what a reader needs of them."""
    made: dict[str, object] = {**_numbers(run)}
    law = domains.get("dose", run.config.protocol.name)
    for path, build in ((operating.PATH, preset_tables), (fronts.PATH, front_tables)):
        data: Any = made[path]
        made[path.replace(".json", ".md")] = build(run, law, data)
    return made
