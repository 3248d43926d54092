"""How well a score tells resolvable from censored curves, over all thresholds at once.

Equal scores belong together: every number here is the same for any order of the lanes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ranking import Null, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zeroproofml.report.domains.dose.answers import Answer
    from zeroproofml.report.domains.ranking import Array, Mask, Value

__all__ = ["auprc", "aurc_unsafe", "descending", "gate_score", "top_share"]


def gate_score(given: Answer) -> Array:
    """Scores (n,) float64; −inf for a lane that is ⊥ at every threshold.

    >>> from zeroproofml.report.domains.dose.answers import Answer
    >>> g = np.array([0.5, 0.0], np.float32)
    >>> gate_score(Answer(g, g, g, np.array([0, 4], np.uint8))).tolist()
    [0.5, -inf]
    """
    return np.where(given.open, given.score.astype(np.float64), -np.inf)


def descending(score: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distinct scores from the highest, and the group of every lane in that order.

    >>> descending(np.array([1.0, 3.0, 1.0]))[1].tolist()
    [1, 0, 1]
    """
    distinct, group = np.unique(-score, return_inverse=True)
    return -distinct, group


def auprc(score: Array, positive: Mask) -> Value:
    """Area under the precision-recall curve as a step sum over whole tie groups.

    >>> auprc(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    total = int(np.count_nonzero(positive))
    if total in (0, len(positive)):
        return Null("empty_set")
    distinct, group = descending(score)
    sizes = np.bincount(group, minlength=len(distinct))
    hits = np.bincount(group[positive], minlength=len(distinct))
    precision = np.cumsum(hits) / np.cumsum(sizes)
    return math.fsum((hits * precision).tolist()) / total


def aurc_unsafe(score: Array, censored: Mask) -> Value:
    """Share of censored lanes among the accepted ones, mean over coverages 1/n … n/n.

    Lanes are accepted from the highest score; inside a tie group every lane counts as the group's
    mean.

    >>> aurc_unsafe(np.array([3.0, 2.0]), np.array([False, True]))
    0.25
    >>> aurc_unsafe(np.array([2.0, 2.0]), np.array([False, True]))
    0.5
    """
    if not len(score):
        return Null("empty_set")
    return mean(unsafe_shares(score, censored))


def unsafe_shares(score: Array, censored: Mask) -> Array:
    """Share of censored lanes among the k with the highest score, for k = 1 … n.

    >>> unsafe_shares(np.array([1.0, 2.0]), np.array([True, False])).tolist()
    [0.0, 0.5]
    """
    distinct, group = descending(score)
    sizes = np.bincount(group, minlength=len(distinct))
    bad = np.bincount(group[censored], minlength=len(distinct))
    before, bad_before = np.cumsum(sizes) - sizes, np.cumsum(bad) - bad
    k = np.arange(1, len(score) + 1)
    of = np.repeat(np.arange(len(distinct)), sizes)
    expected = bad_before[of] + (k - before[of]) * (bad / sizes)[of]
    shares: Array = expected / k
    return shares


def top_share(score: Array, percent: int) -> Mask | Null:
    """Lanes (n,) of the highest ``percent`` % of scores, the last tie group taken whole.

    ``too_few`` if so many lanes have no value at all that the share cannot be reached.

    >>> top_share(np.array([3.0, 1.0, 1.0, 0.0]), 50).tolist()
    [True, True, True, False]
    """
    n = len(score)
    if n == 0:
        return Null("empty_set")
    wanted = -(-percent * n // 100)
    threshold = np.sort(score)[n - wanted]
    if threshold == -np.inf:
        return Null("too_few")
    return np.asarray(score >= threshold)
