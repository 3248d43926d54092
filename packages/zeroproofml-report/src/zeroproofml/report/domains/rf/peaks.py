"""Peaks of sampled magnitudes: the highest one, refined between lanes, and maxima that match none.

Magnitudes are in dB, places in ω; rows are devices. A lane that is not to be looked at has −inf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import find_peaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.ranking import Array

FLOOR = 1e-6
"""Smallest amplitude that is told apart from none: −120 dB."""
LARGEST = 1e100
"""Amplitudes beyond count as this one, so that no square of a finite answer is infinite."""
PROMINENCE = 3.0
"""Least height, in dB, of a predicted maximum above the saddle to a higher one."""
_ROUNDING = 1e-6
_SAME = 1e-9


class Peak(NamedTuple):
    """Highest point of each row: dB (n,), ω (n,), lane (n,); −inf dB where a row has no lane."""

    db: Array
    omega: Array
    lane: Array


class Maximum(NamedTuple):
    """A local maximum: lane, ω, and prominence in dB."""

    lane: int
    omega: float
    prominence: float


def amplitude(z: Array) -> Array:
    """abs z, at most 1e100.

    >>> amplitude(np.array([3 + 4j, 1e308 + 1e308j])).tolist()
    [5.0, 1e+100]
    """
    with np.errstate(over="ignore"):
        size: Array = np.minimum(np.abs(z), LARGEST)
    return size


def decibels(response: Array, bottom: Array | None = None) -> Array:
    """20·log10 of the amplitude, not below −120; −inf on the lanes of ``bottom``.

    >>> decibels(np.array([10.0, 0.0, 1.0]), np.array([False, False, True])).tolist()
    [20.0, -120.0, -inf]
    """
    db: Array = 20 * np.log10(np.maximum(amplitude(response), FLOOR))
    return db if bottom is None else np.where(bottom, -np.inf, db)


def highest(omega: Array, db: Array) -> Peak:
    """Highest point of each row (n, m), refined by a parabola through three points in (ln ω, dB).

    Points of the same ω count once. At the ends of the band, and beside a lane of −inf, the highest
    sample itself is the peak.

    >>> x = np.array([[-0.1, 0.0, 0.2]])
    >>> peak = highest(np.exp(x), 3.0 - (x - 0.05) ** 2)
    >>> round(float(peak.db[0]), 9), round(float(np.log(peak.omega[0])), 9), int(peak.lane[0])
    (3.0, 0.05, 1)
    """
    rows = np.arange(len(omega))
    lane = np.argmax(db, axis=1)
    top, at = db[rows, lane], omega[rows, lane]
    # Nearly equal points are one point: a slope between them would be rounding.
    left = np.count_nonzero(omega < (at * (1 - _SAME))[:, None], axis=1) - 1
    right = omega.shape[1] - np.count_nonzero(omega > (at * (1 + _SAME))[:, None], axis=1)
    inside = (left >= 0) & (right < omega.shape[1])
    left, right = np.maximum(left, 0), np.minimum(right, omega.shape[1] - 1)
    inside &= np.isfinite(db[rows, left]) & np.isfinite(db[rows, right])
    before = np.where(inside, np.log(at) - np.log(omega[rows, left]), 1.0)
    after = np.where(inside, np.log(omega[rows, right]) - np.log(at), 1.0)
    rise = np.where(inside, top - np.where(inside, db[rows, left], 0), 0.0) / before
    fall = np.where(inside, np.where(inside, db[rows, right], 0) - top, 0.0) / after
    bend = (fall - rise) / (before + after)
    slope = (rise * after + fall * before) / (before + after)
    curved = inside & (bend < 0)
    shift = np.where(curved, -slope / (2 * np.where(curved, bend, 1.0)), 0.0)
    return Peak(np.where(curved, top + slope * shift / 2, top), at * np.exp(shift), lane)


def maxima(omega: Array, db: Array, least: float = _ROUNDING) -> list[Maximum]:
    """Local maxima of one row (m,) with at least this prominence, ascending in ω.

    Lanes of −inf are left out; the ends of the band are no maxima.

    >>> found = maxima(np.arange(1.0, 6.0), np.array([0.0, 5.0, 4.0, 9.0, 0.0]))
    >>> [(m.lane, m.prominence) for m in found]
    [(1, 1.0), (3, 9.0)]
    """
    seen = np.flatnonzero(np.isfinite(db))
    if len(seen) < 3:
        return []
    lanes, about = find_peaks(db[seen], prominence=least)
    return [
        Maximum(int(seen[i]), float(omega[seen[i]]), float(height))
        for i, height in zip(lanes, about["prominences"], strict=True)
    ]


def unmatched(predicted: Sequence[Maximum], true: Sequence[Maximum], delta: float) -> list[Maximum]:
    """Predicted maxima that belong to no true one.

    Pairs are made in the order of their distance, each maximum once, within
    max(1.5·δ·ω, 0.05·ω) of the true place.

    >>> there = [Maximum(0, 1.0, 9.0)]
    >>> unmatched([Maximum(0, 1.04, 9.0), Maximum(3, 1.2, 4.0)], there, 0.01)
    [Maximum(lane=3, omega=1.2, prominence=4.0)]
    """
    reach = max(1.5 * delta, 0.05)
    pairs = sorted(
        (abs(mine.omega - other.omega), i, j)
        for i, mine in enumerate(predicted)
        for j, other in enumerate(true)
        if abs(mine.omega - other.omega) <= reach * other.omega
    )
    taken: set[int] = set()
    used: set[int] = set()
    for _, i, j in pairs:
        if i not in taken and j not in used:
            taken.add(i)
            used.add(j)
    return [each for i, each in enumerate(predicted) if i not in taken]
