"""Fewer points that draw the same line: first, last, least and greatest of each bucket, in order."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MOST_POINTS", "reduce_line", "shares"]

MOST_POINTS = 2_000

Point = tuple[float, float | None]


def reduce_line(points: Sequence[Point], most: int) -> tuple[tuple[Point, ...], int]:
    """Reduce a line to about ``most`` points; no bucket spans a gap.

    Args:
        points: in drawing order; y is None at a gap.
        most: points to keep, gaps not counted.

    Returns:
        The kept points (gaps stay gaps) and how many were left out.

    >>> kept, dropped = reduce_line([(float(i), float(i % 7)) for i in range(1000)], 40)
    >>> len(kept) <= 40, kept[0], kept[-1], len(kept) + dropped
    (True, (0.0, 0.0), (999.0, 5.0), 1000)
    """
    runs = _runs(points)
    total = sum(len(run) for run in runs)
    if total <= most:
        return tuple(points), 0
    kept: list[Point] = []
    for number, run in enumerate(runs):
        if number:
            kept.append((run[0][0], None))
        kept += _thin(run, max(4, most * len(run) // total))
    drawn = sum(y is not None for _, y in kept)
    return tuple(kept), total - drawn


def shares(lengths: Sequence[int], most: int = MOST_POINTS) -> list[int]:
    """How many of ``most`` points each series may draw: equal parts, what one spares goes on.

    >>> shares([10, 5000, 5000], 2000)
    [10, 995, 995]
    """
    left, given = most, [0] * len(lengths)
    for rank, index in enumerate(sorted(range(len(lengths)), key=lambda i: (lengths[i], i))):
        part = min(lengths[index], left // (len(lengths) - rank))
        given[index] = part
        left -= part
    return given


def _runs(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = []
    open_run = False
    for x, y in points:
        if y is None:
            open_run = False
        elif open_run:
            runs[-1].append((x, y))
        else:
            runs.append([(x, y)])
            open_run = True
    return runs


def _thin(run: list[tuple[float, float]], most: int) -> list[Point]:
    if len(run) <= most:
        return list(run)
    buckets = max(1, most // 4)
    kept: list[Point] = []
    for number in range(buckets):
        bucket = range(number * len(run) // buckets, (number + 1) * len(run) // buckets)
        lowest = min(bucket, key=lambda i: (run[i][1], i))
        highest = max(bucket, key=lambda i: (run[i][1], -i))
        kept += [run[i] for i in sorted({bucket[0], bucket[-1], lowest, highest})]
    return kept
