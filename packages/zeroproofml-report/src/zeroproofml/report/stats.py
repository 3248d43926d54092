"""Statistics over seeds: intervals, the paired sign-flip test, Holm's correction, effect sizes.

Every stored number is the same on every machine: sums are exactly rounded (``math.fsum``) or
compensated in a fixed order, resampling reads the raw 64-bit output of PCG64 (the one stream that
NumPy promises to keep), and the three special functions are rounded to twelve digits, since their
last bits belong to the maths library.

Nothing here decides what is compared with what: that is ``derive.py``, ``claims.py``, ``compare.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from zeroproofml.scm.errors import SCMValueError

__all__ = [
    "BCA_MIN_N",
    "EXACT_MAX_N",
    "LEVEL",
    "RESAMPLES",
    "SignFlip",
    "bca_interval",
    "clopper_pearson",
    "clopper_pearson_upper",
    "hedges_g",
    "holm",
    "mean",
    "quantile",
    "resample_rows",
    "sd",
    "share_better",
    "sign_flip",
    "t_interval",
]

LEVEL = 0.95
RESAMPLES = 9_999
BCA_MIN_N = 8
EXACT_MAX_N = 20
DRAWS = 99_999

_BCA_ENTROPY = 0x5A504D4C_42434131  # "ZPMLBCA1"
_FLIP_ENTROPY = 0x5A504D4C_464C4950  # "ZPMLFLIP"
_CACHED_CELLS = 400 * RESAMPLES
_TIE = 1e-12

Alternative = Literal["two-sided", "greater", "less"]
Interval = tuple[float, float]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean with an exactly rounded sum.

    Args:
        values: at least one finite number.

    Returns:
        ``fsum(values) / n``.

    >>> mean([0.1] * 10)
    0.1
    """
    _demand(values, 1)
    return math.fsum(values) / len(values)


def sd(values: Sequence[float]) -> float | None:
    """Standard deviation with divisor n − 1.

    Args:
        values: finite numbers.

    Returns:
        The deviation, or None for fewer than two values.

    >>> sd([1.0, 3.0])
    1.4142135623730951
    >>> sd([1.0]) is None
    True
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return 0.0  # fsum(x)/n can miss x by one bit: three equal seeds must not get a spread
    centre = mean(values)
    deviations = [x - centre for x in values]
    # a power of two is exact: squares of very large or small deviations stay representable
    scale = math.frexp(max(map(abs, deviations)))[1]
    scaled = [math.ldexp(d, -scale) for d in deviations]
    spread = math.sqrt(math.fsum(d * d for d in scaled) / (len(values) - 1))
    return math.ldexp(spread, scale)


def quantile(values: Sequence[float], q: float) -> float:
    """Type-7 quantile (linear between order statistics), the default of R and NumPy.

    Args:
        values: at least one finite number, in any order.
        q: probability in [0, 1].

    Returns:
        The quantile.

    >>> quantile([4.0, 1.0, 2.0, 3.0], 0.5)
    2.5
    """
    _demand(values, 1)
    return _quantile_sorted(sorted(values), q)


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's t interval of the mean.

    Args:
        values: finite numbers, one per seed.
        level: coverage, 0.95 unless a claim declares another alpha.

    Returns:
        (low, high), the point [mean, mean] if all values are equal, None for fewer than two.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 6), round(high, 6)
    (-0.484138, 4.484138)
    """
    spread = sd(values)
    if spread is None:
        return None
    centre = mean(values)
    half = _t_quantile(0.5 + level / 2, len(values) - 1) * spread / math.sqrt(len(values))
    return centre - half, centre + half


def bca_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Bias-corrected accelerated bootstrap interval of the mean (Efron 1987).

    9,999 resamples from one index matrix per n, shared by everything that has n values, so that
    two cells differ by their data and never by their draws.

    Args:
        values: finite numbers, one per seed.
        level: coverage.

    Returns:
        (low, high), or None for fewer than eight values (its coverage is poor there).

    >>> bca_interval([1.0, 2.0, 3.0]) is None
    True
    >>> bca_interval([2.0] * 8)
    (2.0, 2.0)
    """
    n = len(values)
    if n < BCA_MIN_N:
        return None
    centre = mean(values)
    if min(values) == max(values):
        return centre, centre
    return _bca(tuple(values), level)


@lru_cache(maxsize=10_000)
def _bca(values: tuple[float, ...], level: float) -> Interval:
    """The interval of values that differ; the same values come back in several tables."""
    centre = mean(values)
    means = _resampled_means(np.asarray(values, dtype=np.float64))
    below = int(np.count_nonzero(means < centre))
    equal = int(np.count_nonzero(means == centre))
    share = (below + equal / 2) / RESAMPLES
    z0 = _normal_quantile(min(max(share, 1 / RESAMPLES), 1 - 1 / RESAMPLES))
    largest = max(abs(x - centre) for x in values)
    if not math.isfinite(largest):
        msg = "deviations from the mean exceed the largest double"
        raise OverflowError(msg)
    deviations = [(x - centre) / largest for x in values]  # so that no cube underflows
    square = math.fsum(d * d for d in deviations)
    cube = math.fsum(d * d * d for d in deviations)
    acceleration = cube / (6 * square * math.sqrt(square))
    ordered = np.sort(means)
    bounds = []
    for probability in ((1 - level) / 2, (1 + level) / 2):
        z = z0 + _normal_quantile(probability)
        adjusted = _normal_cdf(z0 + z / (1 - acceleration * z))
        bounds.append(_quantile_sorted(ordered, adjusted))
    return bounds[0], bounds[1]


@dataclass(frozen=True, slots=True)
class SignFlip:
    """A sign-flip p-value, the least p that this n could give, and how it was found."""

    p: float
    p_floor: float
    method: Literal["exact", "sampled"]
    permutations: int


def sign_flip(
    differences: Sequence[float], alternative: Alternative = "two-sided"
) -> SignFlip | None:
    """Sign-flip (permutation) test that paired differences are symmetric around 0.

    Up to n = 20 every one of the 2^n sign patterns is counted: the half sums of both halves are
    enumerated and matched by bisection, which is exact and takes 2^(n/2) steps. Above, 99,999
    draws. Sums that differ from the observed one by less than 1e-12·Σ|d| count as ties.

    Args:
        differences: finite paired differences, one per seed.
        alternative: "two-sided" compares abs(Σd); "greater" and "less" compare Σd.

    Returns:
        The test, or None for fewer than two differences.

    >>> sign_flip([1.0, 2.0, 3.0]).p
    0.25
    >>> sign_flip([1.0, 2.0, 3.0], "greater").p
    0.125
    """
    n = len(differences)
    if n < 2:
        return None
    d = [-x for x in differences] if alternative == "less" else [float(x) for x in differences]
    both = alternative == "two-sided"
    observed = abs(math.fsum(d)) if both else math.fsum(d)
    tolerance = _TIE * math.fsum(abs(x) for x in d)
    if n <= EXACT_MAX_N:
        floor = 2.0 ** (1 - n) if both else 2.0**-n
        return SignFlip(_exact(d, observed - tolerance, both=both), floor, "exact", 2**n)
    hits = _sampled(np.asarray(d), observed - tolerance, both=both)
    return SignFlip((1 + hits) / (1 + DRAWS), 1 / (1 + DRAWS), "sampled", DRAWS)


def holm(p_values: Sequence[float], size: int | None = None) -> list[float]:
    """Holm's step-down adjustment within one family, in the order given.

    Args:
        p_values: p of the members that carry a test.
        size: size of the family if it is larger; members without a test enter with p = 1.

    Returns:
        Adjusted p-values, each at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    >>> holm([0.01], size=5)
    [0.05]
    """
    family = len(p_values) if size is None else size
    if family < len(p_values):
        msg = f"size: {family} is smaller than the number of p-values ({len(p_values)})"
        raise SCMValueError(msg)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: (p_values[i], i))):
        running = max(running, min(1.0, (family - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def hedges_g(differences: Sequence[float]) -> float | None:
    """Standardised mean difference with the small-sample correction 1 − 3/(4(n−1) − 1).

    Args:
        differences: finite paired differences.

    Returns:
        The effect, or None for fewer than two differences or a spread of 0.

    >>> round(hedges_g([1.0, 2.0, 3.0]), 6)
    1.142857
    >>> hedges_g([1.0, 1.0]) is None
    True
    """
    spread = sd(differences)
    if not spread:
        return None
    return mean(differences) / spread * (1 - 3 / (4 * (len(differences) - 1) - 1))


def share_better(differences: Sequence[float]) -> float | None:
    """Share of differences above 0, ties counted half.

    Args:
        differences: finite paired differences.

    Returns:
        A number in [0, 1], or None without differences.

    >>> share_better([1.0, 0.0, -1.0, 2.0])
    0.625
    """
    if not differences:
        return None
    return math.fsum(1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d in differences) / len(
        differences
    )


def clopper_pearson(events: int, n: int, level: float = LEVEL) -> Interval:
    """Exact two-sided interval of a rate (Clopper and Pearson 1934).

    Args:
        events: how often it happened, 0 to n.
        n: how often it could, at least 1.
        level: coverage.

    Returns:
        (low, high) within [0, 1].

    >>> low, high = clopper_pearson(0, 1000)
    >>> low, round(1000 * high, 2)
    (0.0, 3.68)
    """
    tail = (1 - level) / 2
    high = clopper_pearson_upper(events, n, 1 - tail)
    if events == 0:
        return 0.0, high
    return _twelve_digits(float(special.betaincinv(events, n - events + 1, tail))), high


def clopper_pearson_upper(events: int, n: int, level: float = LEVEL) -> float:
    """Exact one-sided upper bound of a rate.

    Args:
        events: how often it happened, 0 to n.
        n: how often it could, at least 1.
        level: confidence.

    Returns:
        The rate at which as few events as these have probability 1 − level; 1 if all happened.

    >>> round(clopper_pearson_upper(0, 299), 6), clopper_pearson_upper(5, 5)
    (0.009969, 1.0)
    """
    if not 0 <= events <= n or n < 1:
        msg = f"events: {events} of {n} is no share; give 0 to n of at least one"
        raise SCMValueError(msg)
    if events == n:
        return 1.0
    return _twelve_digits(float(special.betaincinv(events + 1, n - events, level)))


def resample_rows(n: int) -> Iterator[NDArray[np.int64]]:
    """The index matrix of the bootstrap for n values, one row per drawn position.

    Row i holds, for each of the 9,999 resamples, which value stands at position i. An index is
    ``((u >> 32) * n) >> 32`` of a raw 64-bit word u, in exact integers.

    Args:
        n: number of values, 1 to 2^31 − 1.

    Yields:
        n arrays of shape (9999,), int64, entries in [0, n).

    >>> rows = list(resample_rows(3))
    >>> len(rows), rows[0].shape, int(min(r.min() for r in rows)), int(max(r.max() for r in rows))
    (3, (9999,), 0, 2)
    """
    if n * RESAMPLES <= _CACHED_CELLS:
        yield from _cached_rows(n)
    else:  # a matrix for thousands of seeds would take gigabytes: made again for each cell instead
        yield from _drawn_rows(n)


def _drawn_rows(n: int) -> Iterator[NDArray[np.int64]]:
    words = np.random.PCG64(np.random.SeedSequence(_BCA_ENTROPY, spawn_key=(n,)))
    for _ in range(n):
        high = words.random_raw(RESAMPLES) >> np.uint64(32)
        yield ((high * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


@lru_cache(maxsize=4)
def _cached_rows(n: int) -> tuple[NDArray[np.int64], ...]:
    return tuple(_drawn_rows(n))


def _resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bootstrap means, summed with error compensation (Knuth's two-sum) position by position."""
    total, lost, rest = _first_sums(values)
    new, part, x = np.empty_like(total), np.empty_like(total), np.empty_like(total)
    for row in rest:
        np.take(values, row, out=x, mode="clip")  # clip: the other modes copy `out` first
        np.add(total, x, out=new)
        np.subtract(new, total, out=part)
        x -= part
        np.subtract(new, part, out=part)
        np.subtract(total, part, out=part)
        part += x
        lost += part
        total, new = new, total
    total += lost
    total /= len(values)
    return total


def _first_sums(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], Iterator[NDArray[np.int64]]]:
    """Sums over the first three positions and what rounding lost of them, and the other positions.

    Few values have fewer ordered triples than there are resamples: each is summed once.
    """
    n, rows = len(values), resample_rows(len(values))
    if n**3 > RESAMPLES:
        return np.zeros(RESAMPLES), np.zeros(RESAMPLES), rows
    total, lost = values + 0.0, np.zeros(n)
    for _ in range(2):
        start = np.repeat(total, n)
        x = np.tile(values, len(total))
        total = start + x
        part = total - start
        lost = np.repeat(lost, n) + ((start - (total - part)) + (x - part))
    triple = _triples(n)
    return total[triple], lost[triple], islice(rows, 3, None)


@lru_cache(maxsize=4)
def _triples(n: int) -> NDArray[np.int64]:
    first, second, third = islice(resample_rows(n), 3)
    return (first * n + second) * n + third


def _exact(d: Sequence[float], threshold: float, *, both: bool) -> float:
    if both and threshold <= 0:
        return 1.0
    half = len(d) // 2
    left, right = _signed_sums(d[:half]), np.sort(_signed_sums(d[half:]))
    hits = len(right) * len(left) - int(np.searchsorted(right, threshold - left).sum())
    if both:
        hits += int(np.searchsorted(right, -threshold - left, side="right").sum())
    return hits / 2.0 ** len(d)


def _signed_sums(d: Sequence[float]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for x in d:
        sums = np.concatenate([sums + x, sums - x])
    return sums


def _sampled(d: NDArray[np.float64], threshold: float, *, both: bool) -> int:
    words = np.random.PCG64(np.random.SeedSequence(_FLIP_ENTROPY, spawn_key=(len(d),)))
    total = np.zeros(DRAWS)
    lost = np.zeros(DRAWS)
    bits = np.zeros(DRAWS, dtype=np.uint64)
    for position, x in enumerate(d):
        if position % 64 == 0:
            bits = words.random_raw(DRAWS)
        sign = np.where(bits >> np.uint64(position % 64) & np.uint64(1), x, -x)
        new = total + sign
        part = new - total
        lost += (total - (new - part)) + (sign - part)
        total = new
    sums = total + lost
    return int(np.count_nonzero(np.abs(sums) >= threshold if both else sums >= threshold))


def _quantile_sorted(ordered: Sequence[float] | NDArray[np.float64], q: float) -> float:
    position = q * (len(ordered) - 1)
    lower = min(int(position), len(ordered) - 1)
    upper = min(lower + 1, len(ordered) - 1)
    low, high = float(ordered[lower]), float(ordered[upper])
    part = position - lower
    step = high - low
    return low + part * step if math.isfinite(step) else low * (1 - part) + high * part


def _twelve_digits(x: float) -> float:
    return float(f"{x:.11e}")


@lru_cache(maxsize=1024)
def _t_quantile(probability: float, df: int) -> float:
    return _twelve_digits(float(special.stdtrit(df, probability)))


def _normal_quantile(probability: float) -> float:
    return _twelve_digits(float(special.ndtri(probability)))


def _normal_cdf(z: float) -> float:
    return _twelve_digits(float(special.ndtr(z)))


def _demand(values: Sequence[float], least: int) -> None:
    if len(values) < least:
        msg = f"values: {len(values)} given, at least {least} needed; test for an empty set first"
        raise SCMValueError(msg)
