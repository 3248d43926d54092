"""aggregated/ik_strata.json: every arm, robot, stratum and policy, averaged over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats
from zeroproofml.report.domains.ik.metrics import HARM, skill_of_means
from zeroproofml.report.domains.ik.policies import outcomes
from zeroproofml.report.domains.ik.rows import SETS, RobotRows, answer, thresholds
from zeroproofml.report.domains.packaged import head
from zeroproofml.report.domains.ranking import Null, mean, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.ik.policies import Outcome
    from zeroproofml.report.domains.ranking import Array, Mask, Value
    from zeroproofml.report.rundir import RawRun

DET_EDGES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, math.inf)
DET_NAMES = ("det_below_1e6", "det_1e6", "det_1e5", "det_1e4", "det_1e3", "det_1e2", "det_1e1")
"""Natural rows by abs det J̄: below 1e-6, then decades by their lower edge."""
PATH = "aggregated/ik_strata.json"
QUANTITIES = ("residual", "skill", "harm", "coverage", "routed")


def strata(rows: RobotRows) -> dict[str, Mask]:
    """Row masks by stratum: the seven sets, then the natural rows by decade of abs det J̄."""
    out = {name: rows.rows(name) for name in SETS}
    natural, size = rows.rows("natural"), np.abs(rows.det)
    for name, low, high in zip(DET_NAMES, DET_EDGES, DET_EDGES[1:], strict=False):
        out[name] = natural & (size >= low) & (size < high)
    return out


def seed_cells(
    arrays: Mapping[str, Any], robots: Sequence[str], arms: Sequence[str]
) -> dict[tuple[str, str, str, str], tuple[int, dict[str, Value]]]:
    """(arm, robot, stratum, policy) → (rows, quantities) of one seed."""
    cells = {}
    for robot in robots:
        rows = RobotRows(arrays, robot)
        ideal = rows.residual(answer(arrays, "ideal", robot, rows.kappa).y)
        groups = {name: np.flatnonzero(mask) for name, mask in strata(rows).items()}
        floors = {name: mean(ideal[chosen]) for name, chosen in groups.items()}
        for arm in arms:
            found = answer(arrays, arm, robot, rows.kappa)
            limits = thresholds(found, rows.cal, rows.regular, rows.det)
            for policy, outcome in outcomes(rows, found, limits, ideal).items():
                for stratum, chosen in groups.items():
                    made = _quantities(outcome, chosen, floors[stratum])
                    cells[arm, robot, stratum, policy] = (len(chosen), made)
    return cells


def _quantities(outcome: Outcome, chosen: Array, floor: Value) -> dict[str, Value]:
    residual = outcome.residual[chosen]
    average = mean(residual)
    return {
        "residual": average,
        "skill": skill_of_means(average, floor),
        "harm": share(residual > HARM),
        "coverage": share(outcome.accepted[chosen]),
        "routed": share(outcome.routed[chosen]),
    }


def aggregates(run: RawRun) -> dict[str, dict[str, Any]]:
    """The domain's derived files: file name → plain JSON data.

    A cell averages each quantity over the seeds that have it and gives its t interval; what no seed
    has is null with the reason of the first seed.
    """
    config = run.config
    settings: Any = config.settings
    robots = list(settings["robots"])
    seeds = []
    for seed in sorted(run.results):
        working = [arm for arm, made in run.results[seed].arms.items() if made.status == "ok"]
        if "ideal" in working:
            seeds.append(seed_cells(run.arrays(seed), robots, working))
    keys = dict.fromkeys(key for cells in seeds for key in cells)
    return {
        PATH: {
            **head(run, "ik_strata"),
            "det_edges": [edge for edge in DET_EDGES if math.isfinite(edge)],
            "cells": [_cell(key, [cells[key] for cells in seeds if key in cells]) for key in keys],
        }
    }


def _cell(
    key: tuple[str, str, str, str], seeds: Sequence[tuple[int, dict[str, Value]]]
) -> dict[str, Any]:
    arm, robot, stratum, policy = key
    out: dict[str, Any] = {"arm": arm, "robot": robot, "stratum": stratum, "policy": policy}
    out["rows"], out["seeds"] = sum(n for n, _ in seeds), len(seeds)
    reasons: dict[str, str] = {}
    for name in QUANTITIES:
        values = [made[name] for _, made in seeds]
        numbers = [value for value in values if not isinstance(value, Null)]
        out[name] = stats.mean(numbers) if numbers else None
        interval = stats.t_interval(numbers) if len(numbers) > 1 else None
        out[f"{name}_ci"] = None if interval is None else list(interval)
        if not numbers:
            reasons[name] = next(str(value) for value in values if isinstance(value, Null))
        if interval is None:
            reasons[f"{name}_ci"] = reasons.get(name, "too_few")
    out["reasons"] = reasons
    return out
