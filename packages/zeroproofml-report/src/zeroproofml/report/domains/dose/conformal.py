"""Split conformal prediction from stored arrays: intervals for L, and sets of gate classes.

Calibration curves give the quantiles, test curves the coverage; nothing is trained.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains.dose.gate import gate_score
from zeroproofml.report.domains.ranking import Null, share

if TYPE_CHECKING:
    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.ranking import Array, Value

    Pair = tuple[Targets, Answer]

__all__ = ["LEVEL", "THIRDS", "class_sets", "interval", "thirds"]

LEVEL = 0.9
ALPHA = 0.05
LEAST = 20
THIRDS = ("potent", "middle", "weak")
_CUTS = (-7_666_667, -6_333_333)


def interval(cal: Pair, test: Pair) -> dict[str, Value]:
    """Coverage and width of 90 % intervals on resolvable test curves; see :func:`half_width`.

    A curve whose answer is ⊥ at every threshold has no interval and counts as missed.
    """
    half = half_width(*cal)
    names = ("interval_coverage_90", "interval_width_90")
    if isinstance(half, Null):
        return dict.fromkeys(names, half)
    truth, given = test
    covered = share(_covered(truth, given, half)[truth.in_range])
    width: Value = Null("infinite") if math.isinf(half) else 2 * half
    return dict(zip(names, (covered, width), strict=True))


def half_width(truth: Targets, given: Answer) -> Value:
    """The ⌈0.9(n + 1)⌉-th smallest clipped error of the resolvable calibration curves.

    ``too_few`` below 20 of them; inf if too many have no value.
    """
    error = np.abs(given.clipped - truth.position)
    error = np.where(given.open, error, np.inf)[truth.in_range]
    if len(error) < LEAST:
        return Null("too_few")
    # 0.9 in exact integers: ⌈9(n + 1)/10⌉
    place = -(-9 * (len(error) + 1) // 10) - 1
    return float(np.partition(error, place)[place])


def thirds(cal: Pair, test: Pair) -> dict[str, Value]:
    """Coverage of the same intervals by third of the window, from the potent end."""
    half = half_width(*cal)
    if isinstance(half, Null):
        return dict.fromkeys(THIRDS, half)
    truth, given = test
    covered = _covered(truth, given, half)
    third = np.digitize(truth.micro, _CUTS)
    return {name: share(covered[truth.in_range & (third == k)]) for k, name in enumerate(THIRDS)}


def class_sets(cal: Pair, test: Pair) -> dict[str, Value]:
    """Mondrian sets over {in range, censored} at 95 % per class.

    Returns:
        ``coverage_in_range``, ``coverage_censored``, and the shares of curves whose set is both
        classes (``ambiguous``) or neither (``empty``).
    """
    truth, given = cal
    score = gate_score(given)
    low = _rank(score[truth.in_range])
    high = -_rank(-score[truth.censored])
    truth, given = test
    score = gate_score(given)
    says_in, says_out = score >= low, score <= high
    return {
        "coverage_in_range": share(says_in[truth.in_range]),
        "coverage_censored": share(says_out[truth.censored]),
        "ambiguous": share(says_in & says_out),
        "empty": share(~says_in & ~says_out),
    }


def _rank(score: Array) -> Any:
    """The ⌊0.05(n + 1)⌋-th lowest; −∞, which includes every lane, for rank 0."""
    rank = (len(score) + 1) // 20
    return np.partition(score, rank - 1)[rank - 1] if rank else -np.inf


def _covered(truth: Targets, given: Answer, half: float) -> Any:
    return given.open & (np.abs(given.clipped - truth.position) <= half)
