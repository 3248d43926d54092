"""Operating points: thresholds chosen on calibration curves, by one procedure for every arm.

Candidates are accept-all, every distinct score of a calibration lane, and refuse-all. Equal scores
move together, so a tie group is never split. A point with a risk budget takes the first threshold
whose one-sided 95 % Clopper–Pearson bound meets it: on fresh curves the budget is then missed in at
most 5 % of calibration draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from zeroproofml.report import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.dose.arms import DoseArm

__all__ = ["BUDGETS", "COSTS", "POINTS", "Candidates", "Point", "operating_points", "published"]

COSTS = {"balanced": 1, "cost_5": 5, "cost_20": 20}
"""Points that minimise weight · FP + FN → weight."""
BUDGETS = {"safety_first": 0.01, "accuracy_first": 0.01, "direction_aware": 0.05}
"""Points that keep a bound: of FP the first, of FN the others."""
POINTS = ("balanced", "safety_first", "accuracy_first", "direction_aware", "cost_5", "cost_20")


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point of one arm and seed.

    ``t`` is ±inf for refuse-all and accept-all, None where nothing qualifies, ``"argmax"`` for that
    published rule. The rest are counts on calibration: numbers for censored curves, refused
    resolvable ones, and how many there are of each.
    """

    name: str
    t: float | Literal["argmax"] | None
    false_numbers: int
    refusals: int
    n_censored: int
    n_in_range: int

    @property
    def feasible(self) -> bool:
        """Whether a threshold qualifies."""
        return self.t is not None

    @property
    def accept_all(self) -> bool:
        """Whether every lane that has a value is accepted."""
        return self.t == -math.inf

    @property
    def refuse_all(self) -> bool:
        """Whether nothing is accepted."""
        return self.t == math.inf

    @property
    def number(self) -> float | None:
        """The threshold if it is a finite number.

        >>> Point("balanced", math.inf, 0, 1, 1, 1).number is None
        True
        """
        return None if isinstance(self.t, str) or self.t is None or math.isinf(self.t) else self.t


@dataclass(frozen=True)
class Candidates:
    """Ascending candidates and what each costs on calibration.

    ``t`` (m + 2,) float64, from −inf to +inf; ``fp`` and ``fn`` (m + 2,) int64 count accepted
    censored and refused resolvable lanes.
    """

    t: NDArray[np.float64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    n_censored: int
    n_in_range: int

    @classmethod
    def of(cls, given: Answer, truth: Targets) -> Candidates:
        """Candidates from scores and labels of calibration lanes.

        >>> from zeroproofml.report.domains.dose.answers import Answer, Targets
        >>> g = np.array([0.2, 0.2, 0.9], np.float32)
        >>> y = Targets(np.array([0, 1, 1], np.uint8), np.zeros(3, np.int32), np.zeros(3, bool))
        >>> made = Candidates.of(Answer(g, g, g, np.zeros(3, np.uint8)), y)
        >>> made.fp.tolist(), made.fn.tolist()
        ([1, 1, 0, 0], [0, 0, 1, 2])
        """
        order, starts = given.ascending, given.starts
        distinct = given.score[order[starts]].astype(np.float64)
        # A candidate accepts the lanes of this order from its own place on.
        places = np.concatenate([[0], starts, [len(order)]]).astype(np.int64)
        passed = np.concatenate([[0], np.cumsum(truth.in_range[order])]).astype(np.int64)
        inside = passed[-1] - passed[places]
        n_in = int(np.count_nonzero(truth.in_range))
        t = np.concatenate([[-np.inf], distinct, [np.inf]])
        return cls(t, len(order) - places - inside, n_in - inside, len(truth) - n_in, n_in)

    def point(self, name: str, index: int | None) -> Point:
        """The point at a candidate, or one that nothing qualifies for.

        >>> one = np.zeros(1, np.int64)
        >>> Candidates(np.array([-np.inf]), one, one, 1, 1).point("balanced", None).feasible
        False
        """
        sizes = (self.n_censored, self.n_in_range)
        if index is None:
            return Point(name, None, 0, 0, *sizes)
        return Point(name, float(self.t[index]), int(self.fp[index]), int(self.fn[index]), *sizes)

    @cached_property
    def _both(self) -> bool:
        return self.n_censored > 0 and self.n_in_range > 0

    def cheapest(self, weight: int) -> int | None:
        """Where weight · FP + FN is least; the lower middle one of equal candidates.

        Compared as integers over the common denominator, so that equal costs are equal.
        """
        if not self._both:
            return None
        cost = weight * self.fp * self.n_in_range + self.fn * self.n_censored
        ties = np.flatnonzero(cost == cost.min())
        return int(ties[(len(ties) - 1) // 2])

    def safest(self, budget: float) -> int | None:
        """The lowest threshold whose bound of FP is within the budget."""
        most = _most_events(self.n_censored, budget)
        if most is None or not self._both:
            return None
        return int(np.argmax(self.fp <= most))

    def keenest(self, budget: float) -> int | None:
        """The highest threshold whose bound of FN is within the budget."""
        most = _most_events(self.n_in_range, budget)
        fits = np.flatnonzero(self.fn <= (-1 if most is None else most))
        return int(fits[-1]) if len(fits) and self._both else None

    def points(self) -> dict[str, Point]:
        """The operating points by name."""
        made = {name: self.point(name, self.cheapest(weight)) for name, weight in COSTS.items()}
        for name, budget in BUDGETS.items():
            index = self.safest(budget) if name == "safety_first" else self.keenest(budget)
            made[name] = self.point(name, index)
        return {name: made[name] for name in POINTS}


def operating_points(given: Answer, truth: Targets) -> dict[str, Point]:
    """The points of an arm from its answers to the calibration curves, by name.

    >>> from zeroproofml.report.domains.dose.answers import Answer, Targets
    >>> g = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> y = Targets((g > 0.5).astype(np.uint8), np.zeros(1000, np.int32), np.zeros(1000, bool))
    >>> made = operating_points(Answer(g, g, g, np.zeros(1000, np.uint8)), y)
    >>> round(made["balanced"].t, 2), made["safety_first"].false_numbers
    (0.5, 1)
    """
    return Candidates.of(given, truth).points()


def published(arm: DoseArm, given: Answer, truth: Targets) -> Point | None:
    """The arm's published decision and what it costs on calibration; None if it has none."""
    from zeroproofml.report.domains.dose.answers import accept

    if arm.published is None:
        return None
    accepted = accept(given, arm.published)
    return Point(
        "published",
        arm.published,
        int(np.count_nonzero(accepted & truth.censored)),
        int(np.count_nonzero(~accepted & truth.in_range)),
        int(np.count_nonzero(truth.censored)),
        int(np.count_nonzero(truth.in_range)),
    )


@cache
def _most_events(n: int, budget: float) -> int | None:
    """The most events among ``n`` whose upper bound is within ``budget``; None if not even 0."""
    if n == 0 or stats.clopper_pearson_upper(0, n) > budget:
        return None
    low, high = 0, n  # the bound at n is 1
    while high - low > 1:
        middle = (low + high) // 2
        if stats.clopper_pearson_upper(middle, n) <= budget:
            low = middle
        else:
            high = middle
    return low
