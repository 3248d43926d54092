"""What a seed result says of an arm's thresholds: plain data, and a reason for every null."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.dose.arms import DoseArm
    from zeroproofml.report.domains.dose.thresholds import Point

__all__ = ["REFUSE_ALL", "accept_all", "diagnostics", "inference_tau", "limit", "thresholds"]

REFUSE_ALL = 2.0
"""A threshold that no unit tuple reaches."""


def accept_all() -> float:
    """The smallest positive normal float32: only an exact zero stays ⊥.

    >>> accept_all()
    1.1754943508222875e-38
    """
    return float(np.finfo(np.float32).tiny)


def inference_tau(point: Point) -> float | None:
    """The ``tau_infer`` of a point of a projective arm; None where nothing qualifies.

    >>> from zeroproofml.report.domains.dose.thresholds import Point
    >>> inference_tau(Point("balanced", float("inf"), 0, 1, 1, 1))
    2.0
    """
    if point.accept_all:
        return accept_all()
    return REFUSE_ALL if point.refuse_all else point.number


def limit(arm: DoseArm, point: Point) -> float | None:
    """Greatest distance of an accepted value from the gauge's center, in decades; None if unbounded.

    >>> from zeroproofml.report.domains.dose.arms import arms
    >>> from zeroproofml.report.domains.dose.thresholds import Point
    >>> round(limit(arms("standard")["scm_original"], Point("published", 0.025, 0, 0, 1, 1)), 1)
    40.0
    """
    if arm.gauge is None or point.number is None:
        return None
    found = arm.gauge.limit(point.number)
    return None if math.isinf(found) else found


def diagnostics(arm: DoseArm, points: Mapping[str, Point]) -> tuple[dict[str, Any], dict[str, str]]:
    """Role, kind of score, gauge and operating points of an arm.

    Returns:
        The data, and reason codes by dotted path from ``diagnostics``.

    >>> from zeroproofml.report.domains.dose.arms import arms
    >>> from zeroproofml.report.domains.dose.thresholds import Point
    >>> point = Point("balanced", 0.5, 1, 0, 100, 50)
    >>> made, reasons = diagnostics(arms("standard")["tobit"], {"balanced": point})
    >>> made["operating_points"]["balanced"]["calibration"]["fp"], sorted(reasons)[0]
    (0.01, 'diagnostics.gauge')
    """
    out: dict[str, Any] = {
        "role": arm.part,
        "score_kind": arm.score,
        "gauge": None if arm.gauge is None else arm.gauge.plain(),
    }
    reasons: dict[str, str] = {}
    if arm.gauge is None:
        reasons["diagnostics.gauge"] = "not_applicable"
    out["operating_points"] = {}
    for name, point in points.items():
        made, mine = _point(arm, point)
        out["operating_points"][name] = made
        reasons.update({f"diagnostics.operating_points.{name}.{k}": c for k, c in mine.items()})
    return out, reasons


def thresholds(
    arm: DoseArm, points: Mapping[str, Point]
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The contract's thresholds of a projective arm, and reason codes by dotted path.

    >>> from zeroproofml.report.domains.dose.arms import arms
    >>> thresholds(arms("standard")["tobit"], {})
    (None, {'thresholds': 'not_applicable'})
    """
    if not arm.projective:
        return None, {"thresholds": "not_applicable"}
    tau = inference_tau(points["balanced"])
    margin = None
    if tau is not None and arm.tau_train is not None:
        margin = max(tau, arm.tau_train)
    made = {
        "tau_train": margin,
        "tau_infer": tau,
        "singular_epsilon": None,
        "chosen_on": "calibration",
        "score_kind": arm.score,
        "gauge": "l2",
    }
    nulls = {f"thresholds.{key}": "not_applicable" for key, v in made.items() if v is None}
    return made, nulls


def _point(arm: DoseArm, point: Point) -> tuple[dict[str, Any], dict[str, str]]:
    status = "chosen" if point.feasible else "infeasible"
    if point.name == "published":
        status = "published"
    made: dict[str, Any] = {
        "status": status,
        "t": point.number,
        "accept_all": point.accept_all,
        "refuse_all": point.refuse_all,
        "tau_limit_decades": limit(arm, point),
    }
    reasons: dict[str, str] = {}
    if point.number is None:
        endless = point.accept_all or point.refuse_all
        reasons["t"] = "infinite" if endless else "not_applicable"
    if made["tau_limit_decades"] is None:
        unbounded = arm.gauge is not None and (point.accept_all or point.number is not None)
        reasons["tau_limit_decades"] = "infinite" if unbounded else "not_applicable"
    sizes = {"n_c": point.n_censored, "n_in": point.n_in_range}
    events = {"fp": point.false_numbers, "fn": point.refusals}
    made["calibration"] = dict(sizes)
    for (name, count), n in zip(events.items(), sizes.values(), strict=True):
        known = point.feasible and n > 0
        bound = stats.clopper_pearson_upper(count, n) if known else None
        made["calibration"] |= {name: count / n if known else None, f"u_{name}": bound}
        if not known:
            code = "empty_set" if point.feasible else "not_applicable"
            reasons |= {f"calibration.{name}": code, f"calibration.u_{name}": code}
    return made, reasons
