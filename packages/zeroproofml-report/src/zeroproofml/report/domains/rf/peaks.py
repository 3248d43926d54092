"""Peaks of sampled magnitudes: the highest one, refined between lanes, and maxima that match none.

Magnitudes are in dB, places in ω; rows are devices. A lane that is not to be looked at has −inf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array, Mask

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


class Maxima(NamedTuple):
    """Local maxima of rows, by row and then ascending: row, lane, ω, prominence in dB, each (k,)."""

    row: Array
    lane: Array
    omega: Array
    prominence: Array


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


def maxima(omega: Array, db: Array, least: float = _ROUNDING) -> Maxima:
    """Local maxima of rows (n, m) with at least this prominence.

    Lanes that are not finite are left out; the ends of the band are no maxima; of a plateau the
    middle lane is taken. A prominence is the height above the higher of the two lowest points that
    lie between the maximum and something higher, or the end of the band.

    >>> found = maxima(np.arange(1.0, 6.0)[None], np.array([[0.0, 5.0, 4.0, 9.0, 0.0]]))
    >>> found.lane.tolist(), found.prominence.tolist()
    ([1, 3], [1.0, 9.0])
    """
    seen = np.isfinite(db)
    y = db[seen]  # the rows one after another
    if not len(y):
        none = np.zeros(0, dtype=np.intp)
        return Maxima(none, none, np.zeros(0), np.zeros(0))
    count = np.count_nonzero(seen, axis=1)
    start = (np.cumsum(count) - count)[count > 0]
    peak = _tops(y, start)
    prominence = y[peak] - _saddles(y, start, peak)
    peak, prominence = peak[prominence >= least], prominence[prominence >= least]
    at = np.flatnonzero(seen)[peak]
    row, lane = np.divmod(at, db.shape[1])
    return Maxima(row, lane, omega[row, lane], prominence)


def _tops(y: Array, start: Array) -> Array:
    """Places in ``y`` of all maxima, ascending; ``start`` is where its rows begin."""
    rises, falls = np.zeros(len(y), dtype=bool), np.zeros(len(y), dtype=bool)
    np.greater(y[1:], y[:-1], out=rises[:-1])
    np.less(y[1:], y[:-1], out=falls[:-1])
    rises[start - 1] = falls[start - 1] = False  # nothing is known from one row to the next
    level = ~(rises | falls)
    level[start - 1] = False
    first = np.flatnonzero(rises[:-1] & ~rises[1:]) + 1
    last = first
    if level[first].any():
        turns = np.flatnonzero(~level)
        last = turns[np.searchsorted(turns, first)]
    there = falls[last]
    tops: Array = (first[there] + last[there]) // 2
    return tops


def _saddles(y: Array, start: Array, peak: Array) -> Array:
    """The higher of the lowest points on both sides of each maximum (k,).

    Between two maxima that follow each other a row falls and then rises, so that its lowest point
    there does not depend on where it gets higher than either: one number for each gap will do.
    """
    cuts = np.sort(np.concatenate([start, peak]))
    lowest = np.minimum.reduceat(y, cuts)
    gap, row = np.searchsorted(cuts, peak), np.searchsorted(start, peak, side="right")
    sides = []
    for gaps, step in ((lowest[gap - 1], -1), (lowest[gap], 1)):
        side, open_ = gaps.copy(), np.arange(len(peak))
        other = open_ + step
        while len(open_):  # past every neighbour that is not higher
            inside = (other >= 0) & (other < len(peak))
            open_, other = open_[inside], other[inside]
            passed = (row[other] == row[open_]) & (y[peak[other]] <= y[peak[open_]])
            open_, other = open_[passed], other[passed]
            side[open_] = np.minimum(side[open_], gaps[other])
            other = other + step
        sides.append(side)
    return np.maximum(*sides)


def unmatched(predicted: Maxima, true: Maxima, delta: Array) -> Mask:
    """Which predicted maxima (k,) belong to no true one of their row.

    Pairs are made in the order of their distance, each maximum once, within
    max(1.5·δ·ω, 0.05·ω) of the true place; ``delta`` is that of each row (n,).

    >>> there = Maxima(*(np.array([x]) for x in (0, 0, 1.0, 9.0)))
    >>> said = Maxima(*map(np.array, ([0, 0], [0, 3], [1.04, 1.2], [9.0, 4.0])))
    >>> unmatched(said, there, np.array([0.01])).tolist()
    [False, True]
    """
    first, last = (np.searchsorted(true.row, predicted.row, side) for side in ("left", "right"))
    count = last - first
    mine = np.repeat(np.arange(len(count)), count)
    other = np.arange(len(mine)) + np.repeat(first - np.cumsum(count) + count, count)
    apart = np.abs(predicted.omega[mine] - true.omega[other])
    reach = np.maximum(1.5 * delta, 0.05)[true.row[other]]
    near = np.flatnonzero(apart <= reach * true.omega[other])
    pairs = near[np.lexsort((apart[near], true.row[other[near]]))]
    alone, free = np.ones(len(count), dtype=bool), np.ones(len(true.row), dtype=bool)
    while len(pairs):
        nearest = pairs[np.unique(true.row[other[pairs]], return_index=True)[1]]  # one of each row
        alone[mine[nearest]] = free[other[nearest]] = False
        pairs = pairs[alone[mine[pairs]] & free[other[pairs]]]
    return alone
