"""What becomes of every row under each policy: its residual, whether it is refused, or routed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ik.rows import BUDGETS, stop_cause

if TYPE_CHECKING:
    from zeroproofml.report.domains.ik.rows import Answer, RobotRows, Thresholds
    from zeroproofml.report.domains.ranking import Array, Mask


@dataclass(frozen=True)
class Outcome:
    """Residual (N,), accepted (N,) and routed (N,) rows under one policy."""

    residual: Array
    accepted: Mask
    routed: Mask


def tag(budget: float) -> str:
    """Two digits of a budget in per cent, as they stand in metric names.

    >>> [tag(b) for b in BUDGETS]
    ['05', '10', '20']
    """
    return f"{round(100 * budget):02d}"


def outcomes(
    rows: RobotRows, found: Answer, limits: Thresholds | None, best: Array
) -> dict[str, Outcome]:
    """Outcomes by policy: ``free``; with a score also ``stop``, ``hyb05``, ``hyb10``, ``hyb20``.

    ``best`` (N,) is the residual of the best limited answer, which a routed row takes.
    """
    free = rows.residual(found.y)
    nobody = np.zeros(len(free), dtype=bool)
    out = {"free": Outcome(free, np.asarray(found.cause == 0), nobody)}
    if limits is None or found.score is None:
        return out
    accepted = np.asarray(stop_cause(found, limits) == 0)
    out["stop"] = Outcome(np.where(accepted, free, 1.0), accepted, nobody)
    for budget in BUDGETS:
        routed = np.asarray(found.score < limits.budget[budget])
        hybrid = np.where(routed, best, free)
        out[f"hyb{tag(budget)}"] = Outcome(hybrid, routed | (found.cause == 0), routed)
    return out
