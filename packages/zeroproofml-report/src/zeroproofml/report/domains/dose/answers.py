"""Stored curves and what an arm answers on them; one decode rule for every arm.

A lane is accepted iff its score reaches the threshold; a refused lane gets the side that its
direction names; a numerical fault is a class of its own and a miss for every other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm.cause import FAULT
from zeroproofml.scm.errors import SCMValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.ranking import Array, Mask

__all__ = [
    "ABOVE",
    "BELOW",
    "FAULTY",
    "IN_RANGE",
    "WINDOW",
    "Answer",
    "Outcome",
    "Targets",
    "accept",
    "answer",
    "counts",
    "refused_as",
    "targets",
]

BELOW, IN_RANGE, ABOVE, FAULTY = 0, 1, 2, 3
WINDOW = (-9.0, -5.0)
_MICRO = 1e6
_EDGES = (-9_000_000, -5_000_000)
_NEAR = 500_000


@dataclass(frozen=True)
class Targets:
    """What is true of n curves: ``label`` (n,) uint8, ``micro`` (n,) int32, ``no_effect`` (n,) bool.

    ``micro`` is L in millionths of a decade of mol/L.
    """

    label: Any
    micro: Any
    no_effect: Any

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def position(self) -> Array:
        """L (n,) in log10 mol/L, float64."""
        position: Array = self.micro / _MICRO
        return position

    @cached_property
    def in_range(self) -> Mask:
        """Curves whose L can be given."""
        return np.asarray(self.label == IN_RANGE)

    @cached_property
    def censored(self) -> Mask:
        """Curves that only have a side."""
        return ~self.in_range

    @cached_property
    def from_edge(self) -> Array:
        """Distance of L (n,) from the nearer edge of the window, int64, in millionths of a decade."""
        micro = self.micro.astype(np.int64)
        near: Array = np.minimum.reduce([np.abs(micro - edge) for edge in _EDGES])
        return near

    @cached_property
    def border(self) -> Mask:
        """Curves with an effect whose L lies within half a decade of an edge of the window."""
        return np.asarray((self.from_edge <= _NEAR) & ~self.no_effect)


@dataclass(frozen=True)
class Answer:
    """What an arm says of n curves, as stored (see ``members``); ``cause`` is that of accept-all."""

    score: Any
    direction: Any
    point: Any
    cause: Any
    q: Any = None
    orient: Any = None
    prob: Any = None

    def __post_init__(self) -> None:
        if not len(self.score) == len(self.direction) == len(self.point) == len(self.cause):
            msg = "answer: score, direction, point and cause must be equally long; store them all"
            raise SCMValueError(msg)

    @cached_property
    def open(self) -> Mask:
        """Lanes that a threshold decides on; the others are ⊥ at every threshold."""
        return np.asarray(self.cause == 0)

    @cached_property
    def fault(self) -> Mask:
        """Lanes that are a numerical fault."""
        return np.asarray((self.cause & np.uint8(FAULT)) != 0)

    @cached_property
    def value(self) -> Array:
        """Decoded L (n,), float64; meaningless where the lane is not open."""
        value: Array = self.point.astype(np.float64)
        return value

    @cached_property
    def clipped(self) -> Array:
        """Decoded L within the window: what an assay would report."""
        clipped: Array = np.clip(self.value, *WINDOW)
        return clipped

    @cached_property
    def refused(self) -> Array:
        """Class (n,) uint8 of every lane if it is refused."""
        return refused_as(self.direction, self.fault)

    @cached_property
    def ascending(self) -> Array:
        """Open lanes (m,) from the lowest score, sorted once for all who need an order.

        Equal scores stand in any order: whoever reads this takes a tie group as a whole.
        """
        there = np.flatnonzero(self.open)
        ascending: Array = there[np.argsort(self.score[there])]
        return ascending

    @cached_property
    def starts(self) -> Array:
        """Where in `ascending` each distinct score begins."""
        return group_starts(self.score[self.ascending])


@dataclass(frozen=True)
class Outcome:
    """Curves, an answer to them, and which lanes are accepted (n,)."""

    targets: Targets
    answer: Answer
    accepted: Mask

    @cached_property
    def predicted(self) -> Any:
        """Class (n,) uint8: 0 below, 1 in range, 2 above, 3 fault."""
        return _either(self.accepted, IN_RANGE, self.answer.refused)

    @cached_property
    def confusion(self) -> Any:
        """Counts (3, 4) int64: true class by row; below, in range, above, fault by column.

        >>> made = targets({"data__cal_label": np.array([0, 1], np.uint8),
        ...     "data__cal_l_microdecades": np.array([-10_000_000, -7_000_000], np.int32),
        ...     "data__cal_no_effect": np.zeros(2, bool)}, "cal")
        >>> one = np.ones(2, np.float32)
        >>> given = Answer(one, one, one, np.zeros(2, np.uint8))
        >>> Outcome(made, given, accept(given, 0.5)).confusion.tolist()
        [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
        """
        return counts(self.targets, self.predicted)

    @cached_property
    def answered(self) -> Mask:
        """Resolvable curves that got a number."""
        return np.asarray(self.accepted & self.targets.in_range)

    @cached_property
    def numbered(self) -> Array:
        """Places (k,) of the answered lanes."""
        return np.flatnonzero(self.answered)


def counts(truth: Targets, predicted: Array) -> Array:
    """Lanes (3, 4) int64 by true class and by ``predicted`` class (n,), uint8."""
    return np.bincount(4 * truth.label + predicted, minlength=12).reshape(3, 4)


def refused_as(direction: Array, fault: Mask) -> Array:
    """Class (n,) uint8 of refused lanes: the side that ``direction`` names, or a fault.

    >>> refused_as(np.array([-1.0, 0.0, 1.0]), np.array([False, False, True])).tolist()
    [0, 2, 3]
    """
    return _either(fault, FAULTY, _either(direction >= 0, ABOVE, BELOW))


def group_starts(ordered: Array) -> Array:
    """Where in sorted numbers (m,) each distinct one begins.

    >>> group_starts(np.array([1.0, 1.0, 3.0])).tolist()
    [0, 2]
    """
    new = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)


def _either(mask: Mask, yes: int, no: Array | int) -> Array:
    """As `numpy.where` of uint8, by products: a mask without a pattern costs that much more."""
    either: Array = mask * np.uint8(yes) + ~mask * np.uint8(no)
    return either


def accept(given: Answer, t: float | str) -> Mask:
    """Lanes (n,) that are accepted at ``t``: a number, ±inf (all, none), or ``"argmax"``.

    The comparison is made in float32, in which scores are stored and thresholds chosen. ``"argmax"``
    accepts where the middle one of three probabilities is the largest.

    >>> one = np.array([0.5, 0.25], np.float32)
    >>> accept(Answer(one, one, one, np.array([0, 0], np.uint8)), 0.5).tolist()
    [True, False]
    """
    if t == "argmax":
        return np.asarray(given.open & (np.argmax(given.prob, axis=1) == IN_RANGE))
    number = float(t)
    if math.isinf(number):
        return np.asarray(given.open & (number < 0))
    return np.asarray(given.open & (given.score >= np.float32(number)))


def targets(arrays: Mapping[str, Any], where: str) -> Targets:
    """Targets of a set: ``cal`` from the seed's own arrays, the others from the shared data sets."""
    key = f"data__{where}_" if where == "cal" else f"data__{where}__"
    return Targets(arrays[key + "label"], arrays[key + "l_microdecades"], arrays[key + "no_effect"])


def answer(arrays: Mapping[str, Any], arm: str, where: str) -> Answer:
    """The stored answer of ``arm`` on a set."""
    key = f"{arm}__{where}_"
    extra = (arrays.get(key + name) for name in ("q", "orient", "prob"))
    return Answer(
        arrays[key + "score"],
        arrays[key + "direction"],
        arrays[key + "point"],
        arrays[key + "cause"],
        *extra,
    )
