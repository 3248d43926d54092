"""Metrics of one arm on the curves of one seed, from stored arrays alone.

Every function returns numbers or `Null` reason codes. Zero is a value and never a missing one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.dose import conformal
from zeroproofml.report.domains.dose.answers import ABOVE, BELOW, IN_RANGE, Outcome, accept
from zeroproofml.report.domains.dose.gate import auprc, aurc_unsafe, gate_score, top_share
from zeroproofml.report.domains.ranking import Null, auroc, mean, quantile, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.dose.arms import DoseArm
    from zeroproofml.report.domains.dose.thresholds import Point
    from zeroproofml.report.domains.ranking import Array, Mask, Value

    Metrics = dict[str, Value]
    Table = Sequence[Sequence[int]]

__all__ = [
    "SEVEN",
    "SHARES",
    "arm_metrics",
    "beside_oracle",
    "dir_f1",
    "errors",
    "seven",
    "swap_rate",
]

NO = Null("not_applicable")
SEVEN = (
    *("fp_cens", "fn_in", "macro_f1", "finite_mae_window"),
    *("dir_macro_f1", "swap_rate", "accept_rate"),
)
"""The metrics that are given at every operating point and on every set."""
SHARES = (50, 80, 90, 95, 100)
SUFFIXES = {
    "_safety": "safety_first",
    "_accuracy": "accuracy_first",
    "_direction": "direction_aware",
    "_published": "published",
}
STRESS = ("noise2", "outlier")
_BINS = 15
_LEAST_PROBABILITY = 1e-12
_COLLAPSED = 0.05


def seven(made: Outcome | None) -> Metrics:
    """The seven metrics of an outcome; all ``not_applicable`` where there is no threshold.

    >>> seven(None)["fn_in"]
    'not_applicable'
    """
    if made is None:
        return dict.fromkeys(SEVEN, NO)
    table = made.confusion.tolist()
    sizes = [sum(row) for row in table]
    n_in, n_c = sizes[IN_RANGE], sizes[BELOW] + sizes[ABOVE]
    # A lane is predicted in range iff it is accepted.
    right, wrong = table[IN_RANGE][IN_RANGE], table[BELOW][IN_RANGE] + table[ABOVE][IN_RANGE]
    return {
        "fp_cens": _ratio(wrong, n_c),
        "fn_in": _ratio(n_in - right, n_in),
        "macro_f1": _average(class_f1(made)) if all(sizes) else Null("empty_set"),
        "finite_mae_window": mean(errors(made, made.answer.clipped)),
        "dir_macro_f1": dir_f1(table),
        "swap_rate": swap_rate(table),
        "accept_rate": _ratio(right + wrong, n_in + n_c),
    }


def errors(made: Outcome, value: Array) -> Array:
    """Absolute errors of ``value`` over the resolvable curves that got a number, in decades."""
    at = made.numbered
    found: Array = np.abs(value[at] - made.targets.position[at])
    return found


def class_f1(made: Outcome) -> tuple[Value, Value, Value]:
    """F1 of below, in range, above; a fault is a miss for the true class.

    >>> from zeroproofml.report.domains.dose.answers import Answer, Targets
    >>> y = Targets(np.array([0, 1], np.uint8), np.zeros(2, np.int32), np.zeros(2, bool))
    >>> d = np.array([-1, 1], np.float32)
    >>> class_f1(Outcome(y, Answer(d, d, d, np.zeros(2, np.uint8)), np.array([False, True])))
    (1.0, 1.0, 'zero_denominator')
    """
    table = made.confusion.tolist()
    below, inside, above = (_f1(table, k) for k in (BELOW, IN_RANGE, ABOVE))
    return below, inside, above


def dir_f1(table: Table) -> Value:
    """Mean F1 of the two sides over the censored lanes; anything but a side is a miss.

    Args:
        table: counts as in ``Outcome.confusion``; what it says of resolvable lanes is not read.

    >>> dir_f1([[1, 0, 0, 0], [9, 9, 9, 9], [0, 1, 0, 0]])
    0.5
    """
    if not (sum(table[BELOW]) and sum(table[ABOVE])):
        return Null("empty_set")
    censored = (table[BELOW], (0, 0, 0, 0), table[ABOVE])
    return _average((_f1(censored, BELOW), _f1(censored, ABOVE)))


def swap_rate(table: Table) -> Value:
    """Share of the censored lanes that get the wrong side.

    >>> swap_rate([[1, 0, 1, 0], [9, 9, 9, 9], [0, 1, 1, 0]])
    0.25
    """
    wrong = table[BELOW][ABOVE] + table[ABOVE][BELOW]
    return _ratio(wrong, sum(table[BELOW]) + sum(table[ABOVE]))


def arm_metrics(
    arm: DoseArm,
    cal: tuple[Targets, Answer],
    test: tuple[Targets, Answer],
    stress: Mapping[str, tuple[Targets, Answer]],
    points: Mapping[str, Point],
    *,
    law: str = "standard",
) -> Metrics:
    """Every metric of one arm but those that need the oracle beside it.

    Args:
        arm: what it declares.
        cal, test: targets and answers.
        stress: the same by name, for the stress sets of the mode; empty sets may be absent.
        points: operating points; ``published`` only if the arm has one.
        law: the protocol; ``classic`` has no stress sets and no curves beyond an edge near it.
    """
    truth, given = test
    cut = {name: _outcome(truth, given, point) for name, point in points.items()}
    out: Metrics = seven(cut["balanced"])
    for suffix, name in SUFFIXES.items():
        out.update({f"{key}{suffix}": v for key, v in seven(cut.get(name)).items()})
    for where in STRESS:
        for suffix, name in (("", "balanced"), ("_safety", "safety_first")):
            made = _outcome(*stress[where], points[name]) if where in stress else None
            values = seven(made)
            if where not in stress and law == "standard":
                values = dict.fromkeys(SEVEN, Null("empty_set"))
            out.update({f"{where}_{key}{suffix}": v for key, v in values.items()})
    for metric, name, weight in (
        ("cost_1_1", "balanced", 1.0),
        ("cost_5_1", "cost_5", 5.0),
        ("cost_20_1", "cost_20", 20.0),
    ):
        at = seven(cut[name])
        out[metric] = _cost(at["fp_cens"], at["fn_in"], weight)
    _balanced(out, arm, cut["balanced"])
    if law == "classic":
        out["fp_border"] = out["fn_border"] = Null("empty_set")
    _gate(out, truth, given)
    _probabilities(out, truth, given)
    out.update(conformal.interval(cal, test))
    return out


def beside_oracle(mine: Metrics, oracle: Metrics | None) -> Metrics:
    """The metrics that compare with the exact posterior in the same seed.

    >>> values = {"cost_1_1": 0.5, "dir_macro_f1": 1.0, "finite_mae_window": 0.0}
    >>> beside_oracle(values, values)["mae_ratio_bayes"]
    'zero_denominator'
    """
    names = ("cost_1_1", "finite_mae_window", "dir_macro_f1")
    found: list[Value] = []
    for name in names:
        a: Value = mine[name]
        b: Value = Null("missing") if oracle is None else oracle[name]
        if isinstance(a, Null) or isinstance(b, Null):
            found.append(a if isinstance(a, Null) else b)
        elif name == "finite_mae_window":
            found.append(a / b if b > 0 else Null("zero_denominator"))
        else:
            found.append(a - b if name == "cost_1_1" else b - a)
    keys = ("excess_cost_1_1", "mae_ratio_bayes", "excess_dir_macro_f1")
    return dict(zip(keys, found, strict=True))


def _outcome(truth: Targets, given: Answer, point: Point) -> Outcome | None:
    return None if point.t is None else Outcome(truth, given, accept(given, point.t))


def _ratio(count: int, n: int) -> Value:
    return count / n if n else Null("empty_set")


def _f1(table: Table, k: int) -> Value:
    hits = table[k][k]
    weight = sum(table[k]) + sum(row[k] for row in table)
    return 2 * hits / weight if weight else Null("zero_denominator")


def _average(parts: tuple[Value, ...]) -> Value:
    numbers = [part for part in parts if not isinstance(part, Null)]
    if len(numbers) < len(parts):
        return Null("zero_denominator")
    return math.fsum(numbers) / len(numbers)


def _cost(fp: Value, fn: Value, weight: float) -> Value:
    if isinstance(fp, Null):
        return fp
    return fn if isinstance(fn, Null) else weight * fp + fn


def _balanced(out: Metrics, arm: DoseArm, made: Outcome | None) -> None:
    """What is given at the balanced threshold alone."""
    names = ("f1_below", "f1_in", "f1_above", "finite_mae", "finite_p95", "dir_accuracy_refused")
    rates = ("bottom_rate", "fault_rate", "gap_rate", "collapse", "antipodal_rate")
    out.update(dict.fromkeys((*names, *rates, "fp_border", "fn_border"), NO))
    if made is None:
        return
    truth, given = made.targets, made.answer
    out["f1_below"], out["f1_in"], out["f1_above"] = class_f1(made)
    out["finite_mae"] = mean(errors(made, given.value))
    out["finite_p95"] = quantile(errors(made, given.clipped), 0.95)
    refused = truth.censored & ~made.accepted
    out["dir_accuracy_refused"] = share((made.predicted == truth.label)[refused])
    out["bottom_rate"], out["fault_rate"] = share(~made.accepted), share(given.fault)
    out["fp_border"] = share(made.accepted[truth.censored & truth.border])
    out["fn_border"] = share(~made.accepted[truth.in_range & truth.border])
    rate, sides = out["accept_rate"], (out["f1_below"], out["f1_above"])
    lost = any(not isinstance(f1, Null) and f1 < _COLLAPSED for f1 in sides)
    out["collapse"] = rate if isinstance(rate, Null) else float(rate in (0.0, 1.0) or lost)
    if arm.tau_train is not None:
        # As strict inference counts the gap: below the margin, which is never below the threshold.
        gap = made.accepted & (given.score < np.float32(arm.tau_train))
        out["gap_rate"] = share(gap)
    if arm.projective:
        out["antipodal_rate"] = share((given.q < 0)[made.accepted])


def _gate(out: Metrics, truth: Targets, given: Answer) -> None:
    score = gate_score(given)
    out["auroc_gate"] = auroc(score[truth.in_range], score[truth.censored], least=1)
    out["auprc_gate"] = auprc(score, truth.in_range)
    out["aurc_unsafe"] = aurc_unsafe(score, truth.censored)
    inside = truth.in_range
    error = np.abs(given.clipped - truth.position)[inside]
    for percent in SHARES:
        top = top_share(score[inside], percent)
        out[f"mae_at_{percent}"] = top if isinstance(top, Null) else mean(error[top])


def _probabilities(out: Metrics, truth: Targets, given: Answer) -> None:
    if given.prob is None:
        out.update(dict.fromkeys(("brier", "log_score", "ece"), NO))
        return
    prob = given.prob.astype(np.float64)
    lanes = np.arange(len(truth))
    of_truth = prob[lanes, truth.label]
    square = np.sum(prob * prob, axis=1) - 2.0 * of_truth + 1.0
    out["brier"] = mean(square)
    out["log_score"] = mean(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)))
    out["ece"] = _ece(prob, truth.label)


def _ece(prob: Array, label: Array) -> Value:
    """Distance of confidence and accuracy over bins of equal mass; equal confidences share a bin."""
    if not len(label):
        return Null("empty_set")
    confidence, right = prob.max(axis=1), prob.argmax(axis=1) == label
    edges = np.quantile(confidence, np.arange(1, _BINS) / _BINS)
    which = np.searchsorted(edges, confidence, side="right")
    gaps = []
    for k in range(_BINS):
        held: Mask = which == k
        believed, found = mean(confidence[held]), share(right[held])
        if not isinstance(believed, Null) and not isinstance(found, Null):
            gaps.append(np.count_nonzero(held) / len(label) * abs(found - believed))
    return float(mean(np.array(gaps))) * len(gaps)
