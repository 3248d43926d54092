"""Small statistics of stored arrays: means, quantiles, ranks. Ties are handled, nothing is sampled.

A number that cannot be given is a `Null`, a string that holds its reason code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]


class Null(str):
    """The reason why a number is not there, such as ``empty_set``."""

    __slots__ = ()


Value = float | Null
_FEW = 512
"""Up to here a list of the numbers is summed faster than an array."""
_HUGE = 2.0**960


def mean(x: Array) -> Value:
    """Mean by exact summation; an empty set has none.

    >>> mean(np.array([1.0, 2.0])), mean(np.array([]))
    (1.5, 'empty_set')
    """
    return total(x) / len(x) if len(x) else Null("empty_set")


def total(x: Array) -> float:
    """The sum as `math.fsum` rounds it, once, whatever the machine; long arrays are never listed.

    Every round cuts all numbers at one place so high that their heads, multiples of one power of
    two, are added without rounding in any order, and goes on with the tails: "ExtractVector" of
    Rump, Ogita and Oishi, SIAM J. Sci. Comput. 31 (2008) 189.

    >>> total(np.array([1e16, 1.0, -1e16])), total(np.full(1000, 0.1)) == math.fsum([0.1] * 1000)
    (1.0, True)
    """
    if len(x) <= _FEW or x.dtype.kind != "f":
        return math.fsum(x.tolist())
    rest, heads = x.astype(np.float64), []
    while (largest := float(np.abs(rest).max())) != 0:
        if not largest < _HUGE:  # or nan: `math.fsum` says what becomes of it
            return math.fsum(x.tolist())
        # With numbers below 2**e and n + 2 <= 2**m, every sum of heads fits into 53 bits.
        cut = math.ldexp(1.0, math.frexp(largest)[1] + len(rest).bit_length() + 1)
        head = (rest + cut) - cut
        heads.append(float(np.sum(head)))
        rest -= head
    return math.fsum(heads)


def share(mask: Mask) -> Value:
    """Share of True.

    >>> share(np.array([True, False])), share(np.array([], dtype=bool))
    (0.5, 'empty_set')
    """
    return float(np.count_nonzero(mask)) / len(mask) if len(mask) else Null("empty_set")


def quantile(x: Array, level: float) -> Value:
    """Type 7 quantile.

    >>> quantile(np.array([0.0, 1.0]), 0.25)
    0.25
    """
    return float(np.quantile(x, level)) if len(x) else Null("empty_set")


def midranks(x: Array) -> Array:
    """Ranks from 1, ties share the mean of their ranks.

    >>> midranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[inverse]


def auroc(positive: Array, negative: Array, least: int = 5) -> Value:
    """Area under the ROC curve of a score that is high for positives, by midranks.

    ``empty_set`` if a class has fewer than ``least`` rows.

    >>> auroc(np.arange(5.0) + 4, np.arange(5.0))
    0.98
    """
    n, m = len(positive), len(negative)
    if min(n, m) < least:
        return Null("empty_set")
    ranks = midranks(np.concatenate([positive, negative]))
    return (math.fsum(ranks[:n].tolist()) - n * (n + 1) / 2) / (n * m)


def spearman(x: Array, y: Array) -> Value:
    """Spearman's rank correlation; ``degenerate`` if one side is constant.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 9.0]))
    1.0
    """
    if not len(x):
        return Null("empty_set")
    a, b = midranks(x), midranks(y)
    a, b = a - (len(x) + 1) / 2, b - (len(x) + 1) / 2
    # Midranks are half-integers: these sums are exact, so a perfect order gives exactly 1.
    square = float(np.sum(a * a)) * float(np.sum(b * b))
    if square == 0:
        return Null("degenerate")
    return float(np.sum(a * b)) / math.sqrt(square)


def lowest(score: Array, count: int) -> Mask:
    """Mask of the ``count`` rows with the lowest score; ties in row order.

    >>> lowest(np.array([3.0, 1.0, 2.0]), 2).tolist()
    [False, True, True]
    """
    mask = np.zeros(len(score), dtype=bool)
    mask[np.argsort(score, kind="stable")[:count]] = True
    return mask
