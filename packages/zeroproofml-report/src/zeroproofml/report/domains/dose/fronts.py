"""aggregated/dose_pareto_front: the declared fronts of a run, on the frozen test set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report import stats
from zeroproofml.report.domains.dose.pareto import FRONTS, place
from zeroproofml.report.domains.dose.views import present
from zeroproofml.report.domains.packaged import head
from zeroproofml.report.domains.ranking import Null

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.dose.operating import Gathered
    from zeroproofml.report.domains.dose.pareto import Front, Placed
    from zeroproofml.report.rundir import RawRun

__all__ = ["PATH", "pareto_front"]

PATH = "aggregated/dose_pareto_front.json"


def pareto_front(run: RawRun, gathered: Gathered) -> dict[str, Any]:
    """The file's content: every front with the place of each headline and reference entry."""
    fronts = {front.name: _front(run, gathered, front) for front in FRONTS}
    return {**head(run, "dose_pareto_front"), "fronts": fronts}


def _front(run: RawRun, gathered: Gathered, front: Front) -> dict[str, Any]:
    known = present(run)
    shown = [key for key, arm in known.items() if arm.shown]
    values: dict[tuple[str, str], list[list[float | None]]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for arm in shown:
        for point in front.points:
            if point == "published" and known[arm].published is None:
                continue
            seeds = gathered.test.get((arm, point), {})
            rows = [seeds.get(seed) for seed in sorted(run.results)]
            columns = [[_number(row, o.metric) for row in rows] for o in front.objectives]
            lost = [x for column in columns for x in column if isinstance(x, Null)]
            if lost or not rows:
                reasons[arm, point] = str(lost[0]) if lost else "missing_seed"
            values[arm, point] = [
                [None if isinstance(x, Null) else x for x in column] for column in columns
            ]
    placed = place(front.objectives, values, reasons)
    return {
        "objectives": [{"metric": o.metric, "better": o.better} for o in front.objectives],
        "entries": [
            _entry(front, each, known[each.name[0]].part, values[each.name]) for each in placed
        ],
    }


def _number(row: Any, metric: str) -> float | Null:
    if row is None:
        return Null("arm_failed")
    if metric == "in_range_accepted":
        lost: float | Null = row["fn_in"]
        return lost if isinstance(lost, Null) else 1.0 - lost
    found: float | Null = row[metric]
    return Null("infeasible") if found == "not_applicable" else found


def _entry(
    front: Front, placed: Placed, part: str, series: Sequence[Sequence[float | None]]
) -> dict[str, Any]:
    by: Sequence[str] | None = placed.dominated_by
    means = placed.means or (None,) * len(front.objectives)
    intervals: list[list[float] | None] = [None] * len(front.objectives)
    if placed.means:
        found = [stats.t_interval([x for x in one if x is not None]) for one in series]
        intervals = [None if pair is None else list(pair) for pair in found]
    return {
        "arm": placed.name[0],
        "point": placed.name[1],
        "role": part,
        "status": placed.status,
        "means": {o.metric: m for o, m in zip(front.objectives, means, strict=True)},
        "intervals": {o.metric: i for o, i in zip(front.objectives, intervals, strict=True)},
        "dominated_by": None if by is None else {"arm": by[0], "point": by[1]},
        "clear": placed.clear,
        "reason": placed.reason,
    }
