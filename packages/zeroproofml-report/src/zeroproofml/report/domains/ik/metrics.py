"""Metrics of the standard protocol on the rows of one robot, from stored arrays alone.

Every function returns numbers or `Null` reason codes; names carry no robot yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ik.policies import outcomes, tag
from zeroproofml.report.domains.ik.rows import (
    BOTTOM,
    BUDGETS,
    BY_RANGE,
    FLIPS,
    SETS,
    RobotRows,
    read_kind,
    stop_cause,
)
from zeroproofml.report.domains.ranking import (
    Null,
    auroc,
    lowest,
    mean,
    quantile,
    share,
    spearman,
)
from zeroproofml.scm.cause import FAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from zeroproofml.report.domains.ik.policies import Outcome
    from zeroproofml.report.domains.ik.rows import Answer, Thresholds
    from zeroproofml.report.domains.ranking import Array, Mask, Value

    Metrics = dict[str, Value]
    Policies = Mapping[str, Outcome]

NO = Null("not_applicable")
HARM = 1.0 + 1e-9
TINY = 1e-6
FLIP_RATE = 3.0
LEAST_PAIRS = 30
NEAR_SETS = ("d5", "d4", "d3")
_AGAINST = ("skill", "recovered", "routing")
_ROUTING = ("route_rate", "recovered", "recovered_sigma", "recovered_best", "routing_skill")


def skill(residual: Array, best: Array) -> Value:
    """(1 − mean r)/(1 − mean r*): 1 is the best within the joint limit, 0 standing still.

    >>> skill(np.array([0.5]), np.array([0.0])), skill(np.array([0.5]), np.array([1.0]))
    (0.5, 'degenerate')
    """
    return skill_of_means(mean(residual), mean(best))


def skill_of_means(mine: Value, floor: Value) -> Value:
    """The same from the two means.

    >>> skill_of_means(0.25, 0.0)
    0.75
    """
    if isinstance(mine, Null) or isinstance(floor, Null):
        return Null("empty_set")
    if 1 - floor < TINY:
        return Null("degenerate")
    return (1 - mine) / (1 - floor)


def recovered(gain: Array, routed: Mask) -> Value:
    """Share of the avoidable loss that goes when the routed rows take the best answer.

    ``gain`` is r − r* per row. A gate that routes no row has nothing to recover: ``empty_set``.

    >>> recovered(np.array([3.0, 1.0]), np.array([True, False]))
    0.75
    """
    whole = mean(gain)
    if isinstance(whole, Null):
        return whole
    if not routed.any():
        return Null("empty_set")
    if whole < TINY:
        return Null("zero_denominator")
    return float(mean(np.where(routed, gain, 0.0))) / whole


def row_metrics(
    rows: RobotRows, found: Answer, limits: Thresholds | None, best: Array | None
) -> Metrics:
    """All metrics of one arm on one robot's rows; ``best`` is r* of every row (None: not in run)."""
    reference = np.full(len(rows.sets), np.nan) if best is None else best
    policies = outcomes(rows, found, limits, reference)
    out: Metrics = {}
    _by_set(out, rows, policies["free"].residual, reference)
    tested = rows.rows("d1") & ~found.bottom()
    out["exact_p95"] = quantile(rows.error(found.y)[tested], 0.95)
    out["faults"] = float(np.count_nonzero((found.cause[~rows.cal] & np.uint8(FAULT)) != 0))
    _stopped(out, rows, policies, reference)
    _hybrids(out, rows, policies, reference)
    _detector(out, rows, found, limits)
    _kinds(out, rows, found, limits)
    _signs(out, rows, found, limits)
    if best is None:
        lost = [name for name, value in out.items() if name.startswith(_AGAINST) and value != NO]
        out.update(dict.fromkeys(lost, Null("missing")))
    return out


def _by_set(out: Metrics, rows: RobotRows, free: Array, best: Array) -> None:
    for name in SETS:
        mask = rows.rows(name)
        out[f"residual_{name}"] = mean(free[mask])
        out[f"skill_{name}"] = skill(free[mask], best[mask])
        out[f"harm_{name}"] = share(free[mask] > HARM)
    near = np.logical_or.reduce([rows.rows(name) for name in NEAR_SETS])
    out["skill_near"] = skill(free[near], best[near])


def _stopped(out: Metrics, rows: RobotRows, policies: Policies, best: Array) -> None:
    stop, free = policies.get("stop"), policies["free"].residual
    if stop is None:
        out["skill_natural_stop"] = NO
        out.update({f"{kind}_{s}": NO for s in SETS for kind in ("coverage", "residual_acc")})
        return
    for name in SETS:
        mask = rows.rows(name)
        out[f"coverage_{name}"] = share(stop.accepted[mask])
        out[f"residual_acc_{name}"] = mean(free[mask & stop.accepted])
    natural = rows.rows("natural")
    out["skill_natural_stop"] = skill(stop.residual[natural], best[natural])


def _hybrids(out: Metrics, rows: RobotRows, policies: Policies, best: Array) -> None:
    natural = rows.rows("natural")
    gain = (policies["free"].residual - best)[natural]
    for budget in BUDGETS:
        b = tag(budget)
        hybrid = policies.get(f"hyb{b}")
        if hybrid is None:
            out.update({f"{name}_{b}": NO for name in _ROUTING})
            out[f"skill_natural_hyb{b}"] = NO
            continue
        routed = hybrid.routed[natural]
        count = int(np.count_nonzero(routed))
        own, oracle = recovered(gain, routed), recovered(gain, lowest(-gain, count))
        out[f"skill_natural_hyb{b}"] = skill(hybrid.residual[natural], best[natural])
        out[f"route_rate_{b}"] = share(routed)
        out[f"recovered_{b}"] = own
        out[f"recovered_sigma_{b}"] = recovered(gain, lowest(rows.sigma_min[natural], count))
        out[f"recovered_best_{b}"] = oracle
        if isinstance(own, Null) or isinstance(oracle, Null):
            out[f"routing_skill_{b}"] = own
        elif oracle - budget < 0.01:
            out[f"routing_skill_{b}"] = Null("degenerate")
        else:
            out[f"routing_skill_{b}"] = (own - budget) / (oracle - budget)
    widest = f"hyb{tag(BUDGETS[-1])}"
    for name in SETS:
        if name != "natural":
            mask, hybrid = rows.rows(name), policies.get(widest)
            value = NO if hybrid is None else skill(hybrid.residual[mask], best[mask])
            out[f"skill_{name}_{widest}"] = value


def _detector(out: Metrics, rows: RobotRows, found: Answer, limits: Thresholds | None) -> None:
    if found.score is None or limits is None:
        out.update(
            dict.fromkeys(("tpr_pole", "fpr_pole", "auroc_near", "auroc_pole", "q_rank"), NO)
        )
        return
    natural = rows.rows("natural")
    regular = natural & rows.regular
    bottom = rows.rows("pole") & (rows.label == BOTTOM)
    score = found.score
    out["tpr_pole"] = share(score[bottom] < limits.pole)
    out["fpr_pole"] = share(score[regular] < limits.pole)
    out["auroc_near"] = auroc(-score[natural & ~rows.regular], -score[regular])
    out["auroc_pole"] = auroc(-score[bottom], -score[regular])
    out["q_rank"] = spearman(score[natural], np.abs(rows.det[natural]))


def _kinds(out: Metrics, rows: RobotRows, found: Answer, limits: Thresholds | None) -> None:
    if found.size is None or limits is None:
        out["auroc_by_range"] = out["label_accuracy"] = NO
        return
    pole = rows.rows("pole")
    bottom, inside = pole & (rows.label == BOTTOM), pole & (rows.label == BY_RANGE)
    out["auroc_by_range"] = auroc(found.size[bottom], found.size[inside])
    kind = read_kind(found, stop_cause(found, limits), limits)
    regular = np.flatnonzero(rows.rows("natural") & rows.regular)[: np.count_nonzero(pole)]
    recalls = [share(kind[regular] == 0), share(kind[bottom] == BOTTOM)]
    recalls.append(share(kind[inside] == BY_RANGE))
    parts = [value for value in recalls if not isinstance(value, Null)]
    out["label_accuracy"] = sum(parts) / 3 if len(parts) == 3 else Null("empty_set")


def _signs(out: Metrics, rows: RobotRows, found: Answer, limits: Thresholds | None) -> None:
    out["q_sign"] = NO
    if found.shared and found.q is not None and limits is not None and limits.sign is not None:
        mask = rows.rows("natural") & rows.regular
        wanted = limits.sign * np.sign(rows.det[mask])
        out["q_sign"] = share(np.sign(found.q[mask]) == wanted)
    for name, code in FLIPS.items():
        out[f"flip_d{name}"] = _flips(rows, found.y, np.flatnonzero(rows.sets == code))


def _flips(rows: RobotRows, y: Array, ends: NDArray[np.int64]) -> Value:
    """Share of pairs on whose two sides the arm turns the right way along the null direction."""
    order = ends[np.argsort(rows.pair[ends], kind="stable")]
    plus, minus = order[0::2], order[1::2]
    if not len(plus):
        return Null("too_few")
    _, _, vt = np.linalg.svd(rows.jac[plus])
    null = vt[:, -1]
    true = [np.sum(null * _solve(rows.jac[end], rows.e[end]), axis=1) for end in (plus, minus)]
    with np.errstate(invalid="ignore"):
        clear = (np.abs(true[0]) > FLIP_RATE) & (np.abs(true[1]) > FLIP_RATE)
        opposite = np.sign(true[0]) == -np.sign(true[1])
    use = clear & opposite
    if np.count_nonzero(use) < LEAST_PAIRS:
        return Null("too_few")
    right = [
        np.sign(np.sum(null * y[end], axis=1)) == np.sign(wanted)
        for end, wanted in zip((plus, minus), true, strict=True)
    ]
    return share((right[0] & right[1])[use])


def _solve(jac: Array, e: Array) -> Array:
    u, sigma, vt = np.linalg.svd(jac)
    along = np.einsum("nji,nj->ni", u, e)
    # An end that lies on another pole has no rate; 0 takes the pair out.
    good = sigma > np.finfo(float).eps * sigma[:, :1]
    along = np.where(good, along / np.where(good, sigma, 1.0), 0.0)
    rates: Array = np.einsum("nij,ni->nj", vt, along)
    return rates
