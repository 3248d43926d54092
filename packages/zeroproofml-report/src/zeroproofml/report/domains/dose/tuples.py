"""The denominators of tuple arms: where |Q| lies, and which side P names by size of |Q|."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats
from zeroproofml.report.domains.dose.answers import ABOVE, BELOW, IN_RANGE, counts, refused_as
from zeroproofml.report.domains.dose.metrics import dir_f1, swap_rate
from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.dose.views import View
    from zeroproofml.report.domains.ranking import Array, Mask, Value

__all__ = ["DECILES", "SUBSETS", "Denominators", "Directions", "linear_edges", "log_edges"]

SUBSETS = ("all", "in_range", "below", "above", "no_effect")
DECILES = 10


def log_edges() -> Array:
    """Edges of the logarithmic histogram: 0, then half decades from 1e-8 to 1.

    >>> len(log_edges()), float(log_edges()[0]), float(log_edges()[-1])
    (18, 0.0, 1.0)
    """
    return np.concatenate([[0.0], 10.0 ** (-8.0 + np.arange(17) / 2.0)])


def linear_edges() -> Array:
    """Edges of the linear histogram: 50 bins on [0, 1].

    >>> len(linear_edges())
    51
    """
    edges: Array = np.arange(51) / 50.0
    return edges


class Denominators:
    """Histograms of |Q| of one arm, summed over seeds; exact zeros and faults stand apart."""

    def __init__(self) -> None:
        self.log = {name: np.zeros(17, np.int64) for name in SUBSETS}
        self.linear = {name: np.zeros(50, np.int64) for name in SUBSETS}
        self.zeros = dict.fromkeys(SUBSETS, 0)
        self.faults = dict.fromkeys(SUBSETS, 0)

    def add(self, truth: Targets, given: Answer) -> None:
        """Take the test set of one seed."""
        size = given.score.astype(np.float64)
        zero = ((given.cause & np.uint8(Cause.DIV_ZERO)) != 0) | (size == 0)
        zero &= ~given.fault
        there = ~zero & ~given.fault
        for name, mask in _subsets(truth).items():
            inside = np.sort(size[np.flatnonzero(mask & there)])
            self.log[name] += _histogram(inside, log_edges())
            self.linear[name] += _histogram(inside, linear_edges())
            self.zeros[name] += int(np.count_nonzero(mask & zero))
            self.faults[name] += int(np.count_nonzero(mask & given.fault))

    def plain(self) -> dict[str, Any]:
        """Counts by subset.

        >>> Denominators().plain()["zeros"]["all"]
        0
        """
        return {
            "log_edges": log_edges().tolist(),
            "log": {name: counts.tolist() for name, counts in self.log.items()},
            "linear_edges": linear_edges().tolist(),
            "linear": {name: counts.tolist() for name, counts in self.linear.items()},
            "zeros": dict(self.zeros),
            "faults": dict(self.faults),
        }


class Directions:
    """Sides of censored test curves: by a direction head where there is one, and by the sign of P."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, dict[int, Value]]] = {}
        self.agreement = np.zeros((2, 2), np.int64)
        self.deciles: dict[int, list[dict[str, int]]] = {}
        self.edges: dict[int, list[float]] = {}

    def add(self, view: View, arm: str) -> None:
        """Take one seed."""
        truth, given = view.pair(arm, "test")
        made = view.outcome(arm, "test")
        censored = truth.censored
        sign = given.direction if given.orient is None else given.orient
        votes = {"sign": refused_as(sign, given.fault)}
        if given.orient is not None:
            votes = {"head": given.refused, **votes}
        for name, said in votes.items():
            mine = self.sides.setdefault(name, {"dir_macro_f1": {}, "swap_rate": {}})
            table = counts(truth, said).tolist()
            mine["dir_macro_f1"][view.seed] = dir_f1(table)
            mine["swap_rate"][view.seed] = swap_rate(table)
        if "head" in votes:
            sound = censored & ~given.fault
            pair = votes["head"][sound] // 2 * 2 + votes["sign"][sound] // 2
            self.agreement += np.bincount(pair.astype(np.int64), minlength=4).reshape(2, 2)
        refused = censored if made is None else censored & ~made.accepted
        self._by_decile(view.seed, truth, given, refused, votes)

    def _by_decile(
        self, seed: int, truth: Targets, given: Answer, refused: Mask, votes: dict[str, Array]
    ) -> None:
        censored = truth.censored
        if not censored.any():
            self.deciles[seed], self.edges[seed] = [], []
            return
        size = given.score.astype(np.float64)
        ordered = np.sort(size[censored])
        edges = np.quantile(ordered, np.arange(DECILES + 1) / DECILES)

        def by_decile(lanes: Mask) -> list[int]:
            # Equal values share a decile, so that the order of lanes is irrelevant.
            mine = np.sort(size[np.flatnonzero(lanes)])
            below = np.searchsorted(mine, edges[1:-1], side="left")
            counted: list[int] = np.diff(below, prepend=0, append=len(mine)).tolist()
            return counted

        columns = {"n": by_decile(censored), "refused": by_decile(refused)}
        for name, said in votes.items():
            columns[name] = by_decile(censored & (said == truth.label))
        self.deciles[seed] = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
        self.edges[seed] = edges.tolist()

    def plain(self, cell: Any) -> dict[str, Any]:
        """Cells over seeds, counts by decile summed, shares of right sides with their intervals."""
        return {
            "sides": {
                name: {metric: cell(seeds) for metric, seeds in rows.items()}
                for name, rows in self.sides.items()
            },
            "agreement": self.agreement.tolist() if "head" in self.sides else None,
            "deciles": [self._decile(k) for k in range(DECILES)],
        }

    def _decile(self, k: int) -> dict[str, Any]:
        rows = [rows[k] for rows in self.deciles.values() if rows]
        edges = [(e[k], e[k + 1]) for e in self.edges.values() if e]
        out: dict[str, Any] = {
            "low": stats.mean([low for low, _ in edges]) if edges else None,
            "high": stats.mean([high for _, high in edges]) if edges else None,
            "n": sum(row["n"] for row in rows),
            "refused": sum(row["refused"] for row in rows),
        }
        for name in self.sides:
            shares = [row[name] / row["n"] for row in rows if row["n"]]
            interval = stats.t_interval(shares) if len(shares) > 1 else None
            out[name] = {
                "correct": sum(row[name] for row in rows),
                "share": stats.mean(shares) if shares else None,
                "interval": None if interval is None else list(interval),
            }
        return out


def _histogram(ordered: Array, edges: Array) -> Array:
    """As `numpy.histogram` of sorted numbers: the last bin holds its upper edge, none what is out."""
    inner = np.searchsorted(ordered, edges[:-1], side="left")
    return np.diff(inner, append=np.searchsorted(ordered, edges[-1], side="right"))


def _subsets(truth: Targets) -> dict[str, Mask]:
    """Sides without the curves that have no effect: those are a subset of their own."""
    active = ~truth.no_effect
    return {
        "all": np.ones(len(truth), dtype=bool),
        "in_range": np.asarray(truth.label == IN_RANGE),
        "below": np.asarray(truth.label == BELOW),
        "above": np.asarray((truth.label == ABOVE) & active),
        "no_effect": np.asarray(truth.no_effect),
    }
