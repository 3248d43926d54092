"""Risk against coverage: censored curves among the accepted, and error over resolvable curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats
from zeroproofml.report.domains.dose.gate import descending, gate_score, unsafe_shares
from zeroproofml.report.domains.dose.metrics import SHARES

if TYPE_CHECKING:
    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.dose.views import View
    from zeroproofml.report.domains.ranking import Array

__all__ = ["PERCENT", "Curves"]

PERCENT = tuple(range(1, 101))


class Curves:
    """Curves of one arm by seed at coverages of 1 to 100 %, and where its own threshold stands."""

    def __init__(self) -> None:
        self.unsafe: dict[int, list[float | None]] = {}
        self.error: dict[int, list[float | None]] = {}
        self.reached: dict[int, list[float | None]] = {}
        self.chosen: dict[str, list[tuple[float, float]]] = {"unsafe": [], "error": []}

    def add(self, view: View, arm: str) -> None:
        """Take the test set of one seed."""
        truth, given = view.pair(arm, "test")
        self.unsafe[view.seed] = _unsafe(truth, given)
        self.error[view.seed], self.reached[view.seed] = _errors(truth, given)
        made = view.outcome(arm, "test")
        if made is None or not made.accepted.any() or not made.answered.any():
            return
        n = int(np.count_nonzero(made.accepted))
        bad = int(np.count_nonzero(made.accepted & truth.censored))
        self.chosen["unsafe"].append((n / len(truth), bad / n))
        inside = np.abs(given.clipped - truth.position)[made.answered]
        whole = int(np.count_nonzero(truth.in_range))
        self.chosen["error"].append((len(inside) / whole, stats.mean(inside.tolist())))

    def plain(self) -> dict[str, Any]:
        """Means and envelopes over seeds; null where some seed does not reach that coverage."""
        out: dict[str, Any] = {"coverage": [p / 100 for p in PERCENT]}
        for name, seeds in (("unsafe", self.unsafe), ("error", self.error)):
            columns = list(zip(*seeds.values(), strict=True))
            out[name] = {
                "mean": [_over(column, stats.mean) for column in columns],
                "low": [_over(column, min) for column in columns],
                "high": [_over(column, max) for column in columns],
                "chosen": _centre(self.chosen[name], len(seeds)),
            }
        out["reached"] = {
            str(share): [row[place] for row in self.reached.values()]
            for place, share in enumerate(SHARES)
        }
        return out


def _over(column: tuple[float | None, ...], of: Any) -> float | None:
    held = [x for x in column if x is not None]
    return float(of(held)) if held and len(held) == len(column) else None


def _centre(places: list[tuple[float, float]], seeds: int) -> list[float] | None:
    """The mean operating point, if every seed has one."""
    if not places or len(places) != seeds:
        return None
    return [stats.mean([x for x, _ in places]), stats.mean([y for _, y in places])]


def _unsafe(truth: Targets, given: Answer) -> list[float | None]:
    shares = unsafe_shares(gate_score(given), truth.censored)
    most, n = int(np.count_nonzero(given.open)), len(truth)
    wanted = [-(-p * n // 100) for p in PERCENT]
    return [float(shares[k - 1]) if 0 < k <= most else None for k in wanted]


def _errors(truth: Targets, given: Answer) -> tuple[list[float | None], list[float | None]]:
    """Clipped error over the top share of resolvable curves, whole tie groups; and reached shares."""
    inside = truth.in_range
    score, n = gate_score(given)[inside], int(np.count_nonzero(inside))
    error = np.abs(given.clipped - truth.position)[inside]
    if n == 0:
        return [None] * len(PERCENT), [None] * len(SHARES)
    # Within a group by size of the error, so that the sum does not depend on the order of lanes.
    order = np.lexsort((error, -score))
    _, group = descending(score)
    sizes = np.bincount(group)
    ends, sums = np.cumsum(sizes), np.cumsum(error[order])
    most = int(np.count_nonzero(score > -np.inf))
    means: Array = sums[ends - 1] / ends

    def at(percent: int) -> int | None:
        wanted = -(-percent * n // 100)
        return int(np.searchsorted(ends, wanted)) if wanted <= most else None

    curve = [None if (k := at(p)) is None else float(means[k]) for p in PERCENT]
    reached = [None if (k := at(p)) is None else int(ends[k]) / n for p in SHARES]
    return curve, reached
