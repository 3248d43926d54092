"""Stored rows of one robot, and what an arm answers on them under each policy.

Nothing here knows kinematics: the Jacobian of every row is stored, the best limited answer is the
arm ``ideal``, and a hybrid is a choice of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains.ranking import quantile
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.inference import InferenceConfig, gauge_value, strict_inference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.ranking import Array, Mask

GAIN = 10.0
NEAR = 1e-2
FLOOR = 1e-6
BUDGETS = (0.05, 0.10, 0.20)
SETS = {"d5": 1, "d4": 2, "d3": 3, "d2": 4, "d1": 5, "natural": 6, "pole": 7}
FLIPS = {"003": 8, "010": 9, "030": 10}
BOTTOM, BY_RANGE = 1, 2
ROBOTS = {"r2": 2, "ur5": 6}
"""Robot key → joints."""


class RobotRows:
    """The data members of one robot: calibration rows first, then all test rows.

    ``sets`` codes, ``label``, ``pair``, ``jac`` (N, n, n), ``e`` (N, n), ``sigma_min`` (N,), ``det``
    (N,), and κ, the size that a decoded tuple is multiplied with.
    """

    def __init__(self, arrays: Mapping[str, Any], robot: str) -> None:
        def member(name: str) -> Any:
            return arrays[f"data__{robot}_{name}"]

        self.robot = robot
        self.sets, self.label, self.pair = member("set"), member("label"), member("pair")
        self.jac, self.e, self.det = member("jac"), member("e"), member("det")
        self.sigma_min = member("sigma")[:, -1]
        self.kappa = float(member("kappa")[0])

    @cached_property
    def cal(self) -> Mask:
        """Calibration rows."""
        return np.asarray(self.sets == 0)

    @cached_property
    def regular(self) -> Mask:
        """Rows with σ_min ≥ 1e-2."""
        return np.asarray(self.sigma_min >= NEAR)

    def rows(self, name: str) -> Mask:
        """Rows of a set by name: ``d5`` … ``d1``, ``natural``, ``pole``."""
        return np.asarray(self.sets == SETS[name])

    def residual(self, y: Array) -> Array:
        """‖J̄·lim(y) − ê‖ (N,): 1 is standing still, lim shortens y to the joint limit."""
        length = np.linalg.norm(y, axis=1)
        return self.error(y * (GAIN / np.maximum(length, GAIN))[:, None])

    def error(self, y: Array) -> Array:
        """‖J̄y − ê‖ (N,) without the limit."""
        size: Array = np.linalg.norm(np.einsum("nij,nj->ni", self.jac, y) - self.e, axis=1)
        return size


@dataclass(frozen=True)
class Answer:
    """What one arm answers on all rows: ``y`` (N, n) with 0 at ⊥, ``cause`` (N,) under ``free``.

    ``score`` (N,), low near the pole, or None; ``p`` (N, n) and ``q`` (N,) or (N, n) of a tuple arm.
    """

    y: Array
    cause: Any
    score: Array | None
    p: Array | None
    q: Array | None

    @property
    def shared(self) -> bool:
        """True for an arm with a vector P and one shared, signed Q."""
        return self.q is not None and self.q.ndim == 1

    @cached_property
    def size(self) -> Array | None:
        """‖P‖ (N,) of an arm with one shared Q."""
        return np.linalg.norm(self.p, axis=1) if self.shared and self.p is not None else None

    def bottom(self) -> Mask:
        """Rows that are ⊥ under ``free``."""
        return np.asarray(self.cause != 0)


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of one arm and robot, from calibration rows only.

    ``pole`` rejects 1 % of the regular rows; ``budget`` maps b to the b-quantile of the score over
    all rows; ``size`` tells the kinds of ⊥ apart; ``sign`` relates sign Q and sign det J̄.
    """

    pole: float
    budget: Mapping[float, float]
    size: float | None
    sign: int | None


def row_cause(lanes: Any) -> Any:
    """Cause of a row (N,) from its lanes (N, n): their OR, NULL_TUPLE only if every lane has it.

    >>> row_cause(np.array([[4, 68], [68, 68], [0, 0]], dtype=np.uint8)).tolist()
    [4, 68, 0]
    """
    null = np.uint8(Cause.NULL_TUPLE)
    every = np.bitwise_and.reduce(lanes, axis=1) & null
    return (np.bitwise_or.reduce(lanes, axis=1) & ~null) | every


def decode(
    p: Array, q: Array, kappa: float, *, tau: float = FLOOR, gauge: str = "raw"
) -> tuple[Array, Any]:
    """Strict decoding of tuples in float64: (y (N, n) with 0 at ⊥, row cause (N,)).

    >>> y, cause = decode(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0.5, 0.0]), 2.0)
    >>> y.tolist(), cause.tolist()
    ([[4.0, 0.0], [0.0, 0.0]], [0, 4])
    """
    config = InferenceConfig(tau_infer=tau, gauge="l2" if gauge == "l2" else "raw")
    p, q = p.astype(np.float64), q.astype(np.float64)
    result = strict_inference(p, q, config)
    cause = row_cause(result.cause)
    return np.where(cause[:, None] == 0, kappa * result.payload, 0.0), cause


def tuple_score(p: Array, q: Array) -> Array:
    """Distance from the pole (N,) that the tuple shows: abs Q, or the least projective one of n.

    >>> tuple_score(np.array([[3.0, 0.0]]), np.array([[4.0, 2.0]])).tolist()
    [0.8]
    """
    p, q = p.astype(np.float64), q.astype(np.float64)
    if q.ndim == 1:
        return np.abs(q)
    projective: Array = np.min(gauge_value(p, q, "l2"), axis=1)
    return projective


def from_rates(y: Array, cause: Any, score: Array | None) -> Answer:
    """The answer of an arm that gives joint rates (N, n) and, where it has one, a score (N,).

    >>> from_rates(np.zeros((1, 2)), np.zeros(1, dtype=np.uint8), None).shared
    False
    """
    score = None if score is None else score.astype(np.float64)
    return Answer(y.astype(np.float64), cause, score, None, None)


def from_tuples(p: Array, q: Array, kappa: float, faults: Any) -> Answer:
    """The answer of an arm that gives tuples; they are decoded here, so they are the whole truth.

    ``faults`` (N,) are the causes of rows whose tuple was not finite and is therefore stored as
    (0, 0), elsewhere 0.

    >>> none = np.zeros(1, dtype=np.uint8)
    >>> from_tuples(np.array([[1.0, 0.0]]), np.array([0.5]), 2.0, none).y.tolist()
    [[4.0, 0.0]]
    """
    p, q = p.astype(np.float64), q.astype(np.float64)
    y, cause = decode(p, q, kappa)
    return Answer(y, np.where(faults != 0, faults, cause), tuple_score(p, q), p, q)


def answer(arrays: Mapping[str, Any], arm: str, robot: str, kappa: float) -> Answer:
    """The stored answer of ``arm``."""
    key = f"{arm}__{robot}_"
    cause = arrays[key + "cause"]
    if key + "q" not in arrays:
        return from_rates(arrays[key + "y"], cause, arrays.get(key + "score"))
    faults = np.where((cause & np.uint8(Cause.NONFINITE)) != 0, cause, np.uint8(0))
    return from_tuples(arrays[key + "p"], arrays[key + "q"], kappa, faults)


def thresholds(found: Answer, cal: Mask, regular: Mask, det: Array) -> Thresholds | None:
    """Thresholds from the rows ``cal``; None for an arm without a score or without such rows."""
    rows = cal & regular
    if found.score is None or not rows.any():
        return None
    pole = float(quantile(found.score[rows], 0.01))
    budget = {b: float(quantile(found.score[cal], b)) for b in BUDGETS}
    size = sign = None
    if found.size is not None and found.q is not None:
        near = cal & (found.score < budget[0.20])
        size = float(quantile(found.size[near], 0.10)) if near.any() else 0.0
        same = np.count_nonzero(np.sign(found.q[rows]) == np.sign(det[rows]))
        opposite = np.count_nonzero(np.sign(found.q[rows]) == -np.sign(det[rows]))
        sign = 1 if same >= opposite else -1
    return Thresholds(pole, budget, size, sign)


def stop_cause(found: Answer, limits: Thresholds) -> Any:
    """Causes (N,) under ``stop``: strict decoding at τ_pole, ⊥ means zero motion."""
    if found.score is None:
        return found.cause
    if found.p is None or found.q is None:
        refused = found.score < limits.pole
        return np.where(refused, found.cause | np.uint8(Cause.THRESHOLD), found.cause)
    # τ_pole of an arm whose Q is dead may be 0, which is no threshold; `free` is then the law.
    gauge = "raw" if found.shared else "l2"
    _, cause = decode(found.p, found.q, 1.0, tau=max(limits.pole, FLOOR), gauge=gauge)
    return np.where((found.cause & np.uint8(Cause.NONFINITE)) != 0, found.cause, cause)


def read_kind(found: Answer, cause: Any, limits: Thresholds) -> Any:
    """0 where the row is answered, 1 where its ⊥ is read as out of range, 2 as in the range (N,)."""
    if found.size is None or limits.size is None:
        msg = "found: an arm without a shared tuple has no kinds of ⊥; ask tuple arms only"
        raise SCMValueError(msg)
    kind = np.where(found.size < limits.size, BY_RANGE, BOTTOM)
    return np.where(cause != 0, kind, 0)
