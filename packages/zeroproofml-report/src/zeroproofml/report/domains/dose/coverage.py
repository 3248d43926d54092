"""Risk against coverage: censored curves among the accepted, and error over resolvable curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import stats
from zeroproofml.report.domains.dose.answers import group_starts
from zeroproofml.report.domains.dose.metrics import SHARES, errors
from zeroproofml.report.domains.ranking import mean

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
        inside = errors(made, given.clipped)
        whole = int(np.count_nonzero(truth.in_range))
        self.chosen["error"].append((len(inside) / whole, float(mean(inside))))

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


def _wanted(n: int, most: int) -> Array:
    """How many of ``n`` lanes each percent takes, as far as ``most`` of them reach; ascending."""
    wanted: Array = -(-np.array(PERCENT) * n // 100)
    return wanted[(wanted > 0) & (wanted <= most)]


def _unsafe(truth: Targets, given: Answer) -> list[float | None]:
    """Censored share of the lanes with the highest scores; as ``gate.unsafe_shares`` at 100 places."""
    order, starts = given.ascending, given.starts
    m = len(order)
    k = _wanted(len(truth), m)
    ends = np.append(starts[1:], m)
    passed = np.concatenate([[0], np.cumsum(truth.censored[order])])
    of = np.searchsorted(starts, m - k, side="right") - 1
    first, last = starts[of], ends[of]
    # Inside a tie group every lane counts as the group's mean.
    expected = passed[-1] - passed[last]
    expected = expected + (k - (m - last)) * ((passed[last] - passed[first]) / (last - first))
    return _filled(expected / k)


def _errors(truth: Targets, given: Answer) -> tuple[list[float | None], list[float | None]]:
    """Clipped error over the top share of resolvable curves, whole tie groups; and reached shares."""
    n = int(np.count_nonzero(truth.in_range))
    order = given.ascending[::-1]
    order = order[truth.in_range[order]]
    starts = group_starts(given.score[order])
    ends = np.append(starts[1:], len(order))[: len(starts)]
    error = np.abs(given.clipped[order] - truth.position[order])
    # Within a group by size of the error, so that the sum does not depend on the order of lanes.
    sizes = ends - starts
    group = np.repeat(np.arange(len(starts)), sizes)
    tied = np.flatnonzero(sizes[group] > 1)
    error[tied] = error[tied][np.lexsort((error[tied], group[tied]))]
    means: Array = np.cumsum(error)[ends - 1] / ends
    at = np.searchsorted(ends, _wanted(n, len(order)))
    reached = _filled(ends[at] / max(n, 1))
    return _filled(means[at]), [reached[PERCENT.index(share)] for share in SHARES]


def _filled(values: Array) -> list[float | None]:
    """One value per percent; what is not reached is None."""
    return [*values.tolist(), *[None] * (len(PERCENT) - len(values))]
