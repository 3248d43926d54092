"""What every threshold would do: on a fixed grid, and exactly at the scores that occur.

Counts are kept by seed; the grid of a score in [0, 1] runs to 1, because one that ends earlier never
sees resolvable curves being refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.dose.thresholds import Candidates, Point
    from zeroproofml.report.domains.ranking import Array

__all__ = ["EXACT_POINTS", "Sweep", "exact", "grid"]

EXACT_POINTS = 512
RATES = ("fp_cens", "fn_in", "bottom_rate")


def grid(score: str) -> Array:
    """Thresholds of the fixed grid: decades in tenths from 1e-6 to 1, or −2 to 2 decades.

    >>> len(grid("projective")), float(grid("projective")[-1]), len(grid("distance"))
    (61, 1.0, 81)
    """
    if score == "distance":
        steps: Array = np.arange(-40, 41) / 20.0
        return steps
    powers: Array = 10.0 ** (np.arange(-60, 1) / 10.0)
    return powers


@dataclass
class Sweep:
    """Counts of one arm on one set over the grid, by seed; sizes n_c, n_in, n by seed.

    ``start`` holds the counts at accept-all, which has no place on a log axis; ``chosen`` those at
    the seed's own balanced threshold, which lies between two thresholds of the grid.
    """

    score: str
    fp: dict[int, list[int]] = field(default_factory=dict)
    fn: dict[int, list[int]] = field(default_factory=dict)
    bottom: dict[int, list[int]] = field(default_factory=dict)
    start: dict[int, list[int]] = field(default_factory=dict)
    chosen: dict[int, list[int]] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    vertices: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, seed: int, found: Candidates, balanced: Point, *, with_exact: bool) -> None:
        """Take one seed; ``balanced`` is its point as chosen on calibration."""
        n = found.n_censored + found.n_in_range
        # In float32, as every threshold is compared.
        at = np.searchsorted(found.t[1:-1], grid(self.score).astype(np.float32), side="left") + 1
        fp, fn = found.fp[at], found.fn[at]
        self.fp[seed], self.fn[seed] = fp.tolist(), fn.tolist()
        self.bottom[seed] = (n - fp - (found.n_in_range - fn)).tolist()
        self.start[seed] = _counts(found, 0)
        if isinstance(balanced.t, float):
            self.chosen[seed] = _counts(found, int(np.searchsorted(found.t, balanced.t)))
        self.sizes[seed] = (found.n_censored, found.n_in_range, n)
        if with_exact:
            self.vertices[seed] = exact(found)

    def plain(self) -> dict[str, Any]:
        """Counts and their rates, means over the seeds; a rate of nothing is null."""
        out: dict[str, Any] = {"seeds": {}, "mean": {}}
        for seed, (n_c, n_in, n) in self.sizes.items():
            row: dict[str, Any] = {
                "n_c": n_c,
                "n_in": n_in,
                "n": n,
                "fp_cens": self.fp[seed],
                "fn_in": self.fn[seed],
                "bottom": self.bottom[seed],
                "accept_all": self.start[seed],
            }
            own = {"balanced": self.chosen[seed]} if seed in self.chosen else {}
            out["seeds"][str(seed)] = row | own
        for place, (name, counts) in enumerate(
            zip(RATES, (self.fp, self.fn, self.bottom), strict=True)
        ):
            totals = {seed: sizes[place] for seed, sizes in self.sizes.items()}
            out["mean"][name] = _mean_rates(counts, totals)
            start = {seed: [row[place]] for seed, row in self.start.items()}
            out["mean"][f"{name}_accept_all"] = _mean_rates(start, totals)
            taken = {seed: [row[place]] for seed, row in self.chosen.items()}
            whole = taken if len(taken) == len(totals) else {}
            out["mean"][f"{name}_balanced"] = _mean_rates(whole, totals)
        if self.vertices:
            out["exact"] = {str(seed): made for seed, made in self.vertices.items()}
        return out


def exact(found: Candidates) -> dict[str, Any]:
    """The step function: thresholds and counts at every distinct score, or at 512 of them.

    >>> from zeroproofml.report.domains.dose.thresholds import Candidates
    >>> one = np.arange(1, 4)
    >>> made = exact(Candidates(np.array([-np.inf, 0.5, np.inf]), one, one, 3, 3))
    >>> made["t"], made["fp_cens"], made["of"]
    ([0.5], [2], 1)
    """
    t = found.t[1:-1]
    m = len(t)
    rank = np.arange(m)
    if m > EXACT_POINTS:
        last = EXACT_POINTS - 1
        rank = np.array([round(j * (m - 1) / last) for j in range(EXACT_POINTS)])
    inner = slice(1, -1)
    return {
        "of": m,
        "t": t[rank].tolist(),
        "fp_cens": found.fp[inner][rank].tolist(),
        "fn_in": found.fn[inner][rank].tolist(),
    }


def _counts(found: Candidates, at: int) -> list[int]:
    """False numbers, lost curves and ⊥ at a candidate."""
    fp, fn = int(found.fp[at]), int(found.fn[at])
    return [fp, fn, found.n_censored - fp + fn]


def _mean_rates(counts: Mapping[int, list[int]], totals: Mapping[int, int]) -> list[float] | None:
    if not counts or not all(totals.values()):
        return None
    rates = [[count / totals[seed] for count in row] for seed, row in counts.items()]
    return [stats.mean(column) for column in zip(*rates, strict=True)]
