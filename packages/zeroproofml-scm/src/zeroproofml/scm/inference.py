"""Strict inference for NumPy, and what happens on the host after it, with every backend.

``strict_inference``, ``gauge_value`` and ``decode_three_way`` are the NumPy fronts of
:mod:`zeroproofml.scm.formulas.strict`. The rest runs outside any trace and takes results of every
framework: fallbacks, the monitor (:mod:`zeroproofml.scm.monitor`) and the sweep over thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import strict
from zeroproofml.scm.formulas.strict import Gauge, InferenceConfig, InferenceResult, ThreeWay, fill
from zeroproofml.scm.monitor import Event, Rate, StrictInferenceMonitor, to_host

__all__ = [
    "Event",
    "InferenceConfig",
    "InferenceResult",
    "Rate",
    "Routed",
    "StrictInferenceMonitor",
    "SweepPoint",
    "TauSweep",
    "ThreeWay",
    "decode_three_way",
    "gauge_value",
    "reject_on_bottom",
    "reject_on_gap",
    "route_to_solver",
    "safe_sentinel",
    "strict_inference",
    "tau_sweep",
    "to_host",
]

_DEFAULT = InferenceConfig()


def strict_inference(
    P: NDArray[Any],
    Q: NDArray[Any],
    config: InferenceConfig = _DEFAULT,
    *,
    factors: Sequence[Any] = (),
    broadcast: bool = False,
) -> InferenceResult:
    """Decode the tuple (P, Q) into the number P/Q, or into ⊥ with its causes.

    All tests are made on every lane and their bits OR-ed: NONFINITE (P, Q or a factor), DIV_ZERO
    (Q = 0), NULL_TUPLE (P = Q = 0), THRESHOLD (Q ≠ 0 and gauge < tau_infer), VALIDITY (a factor is
    0 or below its τ), and OVERFLOW where none of these holds and P/Q is not finite. Comparisons are
    strict, in Q's real dtype.

    Args:
        P: real or complex array; integers become float64.
        Q: P's shape, or P's shape without the last axis (one denominator for each row).
        config: thresholds and gauge.
        factors: arrays V, or pairs (V, τ) with τ >= 0; P's shape, or its last axis 1 or missing.
        broadcast: allow other shapes that broadcast.

    Returns:
        InferenceResult of arrays with P's broadcast shape; ``decoded`` is NaN at ⊥.

    Raises:
        SCMTypeError: anything but NumPy arrays of numbers.
        SCMValueError: shapes that do not fit; a threshold that rounds to 0 in Q's dtype.

    >>> config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
    >>> r = strict_inference(np.array([1.0, 1.0, 1.0]), np.array([2.0, 5e-5, 0.0]), config)
    >>> r.decoded
    array([5.e-01, 2.e+04,    nan])
    >>> r.gap_mask, r.cause
    (array([False,  True, False]), array([0, 0, 4], dtype=uint8))
    """
    P, Q, expanded = strict.prepare(
        P, Q, xp=np, array_type=np.ndarray, factors=factors, broadcast=broadcast
    )
    real = P.dtype.kind == "f" and Q.dtype.kind == "f"
    if real and P.size >= _GATHER_FROM and not expanded:
        return _gathered(P, Q, config)
    result = strict.judge(P, Q, expanded, config, xp=np)
    return InferenceResult(*(np.asarray(x) for x in result))  # 0-d lanes stay arrays


_GATHER_FROM = 4096  # lanes; below it the plain form is not slower
_BLOCK = 32 * 1024  # lanes; three float64 buffers and the masks of a block stay in the L2 cache


def _gathered(P: NDArray[Any], Q: NDArray[Any], config: InferenceConfig) -> InferenceResult:
    """The same decision for many lanes: find the ⊥ lanes in few passes, ask why only there."""
    tau_infer, tau_train = config.effective(Q.dtype)
    p, q = P.ravel(), Q.ravel()
    n = p.size
    decoded = np.empty(n, dtype=np.result_type(P, Q))
    cause = np.zeros(n, dtype=np.uint8)
    bottom, gap = np.empty(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    distance = np.empty(min(n, _BLOCK), dtype=Q.dtype)
    regular, test = np.empty(distance.size, np.bool_), np.empty(distance.size, np.bool_)
    with np.errstate(all="ignore"):
        for start in range(0, n, _BLOCK):
            here = slice(start, min(start + _BLOCK, n))
            k = here.stop - start
            g, ok, t = distance[:k], regular[:k], test[:k]
            np.divide(p[here], q[here], out=decoded[here])
            if config.gauge == "raw":
                np.abs(q[here], out=g)
            else:
                g = strict.measure(p[here], q[here], config.gauge, xp=np)
            np.greater_equal(g, tau_infer, out=ok)  # False for Q = 0 and for NaN
            np.isfinite(decoded[here], out=t)
            ok &= t
            np.less(g, np.inf, out=t)  # P/±inf = 0 would pass
            ok &= t
            np.logical_not(ok, out=bottom[here])
            if tau_train is not None:
                np.less(g, tau_train, out=t)
                np.logical_and(t, ok, out=gap[here])
    lanes = np.flatnonzero(bottom)
    if lanes.size:
        cause[lanes] = strict.judge(p[lanes], q[lanes], (), config, xp=np).cause
        decoded[lanes] = np.nan
    return InferenceResult(*(x.reshape(P.shape) for x in (decoded, bottom, gap, cause)))


def gauge_value(
    P: NDArray[Any], Q: NDArray[Any], gauge: Gauge = "raw", *, broadcast: bool = False
) -> NDArray[Any]:
    """The very number that strict inference compares with its thresholds.

    Args:
        P, Q, broadcast: as for :func:`strict_inference`.
        gauge: "raw" gives |Q|; "l2" gives |Q|/‖(P, Q)‖ in [0, 1]: NaN where a part is not finite,
            0 for (0, 0).

    Returns:
        Array of P's broadcast shape, in Q's real dtype.

    >>> gauge_value(np.array([3.0]), np.array([-4.0]), "l2")
    array([0.8])
    """
    g = strict.gauge_value(P, Q, gauge, xp=np, array_type=np.ndarray, broadcast=broadcast)
    return np.asarray(g)


def decode_three_way(
    P: NDArray[Any],
    Q: NDArray[Any],
    config: InferenceConfig = _DEFAULT,
    *,
    orientation: NDArray[Any] | None = None,
    direction_logits: NDArray[Any] | None = None,
) -> ThreeWay:
    """Strict inference that also says on which side of the range a semantic ⊥ lies.

    Args:
        P, Q, config: as for :func:`strict_inference`.
        orientation: numbers of P's shape; only the sign counts.
        direction_logits: (*P's shape, 2): index 0 below, 1 above; they come before orientation.

    Returns:
        ThreeWay(decoded, bottom_mask, class_id): 1 in range, 0 below, 2 above, −1 unresolved
        (faults, and (0, 0) without a signal). A ⊥ is never "in range".

    >>> P, Q = np.array([1.0, -1.0, 0.0]), np.array([2.0, 0.0, 0.0])
    >>> decode_three_way(P, Q).class_id
    array([ 1,  0, -1], dtype=int8)
    """
    result = strict.decode_three_way(
        P,
        Q,
        config,
        xp=np,
        array_type=np.ndarray,
        orientation=orientation,
        direction_logits=direction_logits,
    )
    return ThreeWay(*(np.asarray(x) for x in result))


def reject_on_bottom(result: InferenceResult) -> tuple[Any, Any]:
    """Accept what is not ⊥.

    Returns:
        (decoded, accept): decoded is NaN wherever accept (bool) is False; in the result's framework.

    >>> r = strict_inference(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    >>> reject_on_bottom(r)
    (array([0.5, nan]), array([ True, False]))
    """
    return result.decoded, ~result.bottom_mask


def reject_on_gap(result: InferenceResult) -> tuple[Any, Any]:
    """Accept what is neither ⊥ nor in the gap.

    Returns:
        (decoded, accept): decoded is NaN wherever accept (bool) is False; in the result's framework.

    >>> config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
    >>> reject_on_gap(strict_inference(np.array([1.0, 1.0]), np.array([2.0, 1e-4]), config))
    (array([0.5, nan]), array([ True, False]))
    """
    accept = ~(result.bottom_mask | result.gap_mask)
    return fill(result.decoded, ~accept, float("nan")), accept


def safe_sentinel(result: InferenceResult, sentinel: float) -> Any:
    """Decoded values with a finite stand-in at ⊥, in the result's framework.

    Raises:
        SCMValueError: the sentinel is not a finite number.

    >>> safe_sentinel(strict_inference(np.array([1.0, 1.0]), np.array([2.0, 0.0])), -1.0)
    array([ 0.5, -1. ])
    """
    number: object = sentinel
    if not isinstance(number, int | float) or not math.isfinite(number):
        msg = f"sentinel must be a finite number, got {sentinel!r}"
        raise SCMValueError(msg)
    return fill(result.decoded, result.bottom_mask, float(sentinel))


class Routed(NamedTuple):
    """Values after a fallback (NaN where still ⊥); which lanes were sent; which came back finite."""

    values: NDArray[Any]
    routed: NDArray[np.bool_]
    solved: NDArray[np.bool_]


def route_to_solver(
    result: InferenceResult,
    inputs: Any,
    solver: Callable[[Any], Any],
    route: Literal["bottom", "fault", "semantic", "gap", "any"] = "bottom",
) -> Routed:
    """Send some lanes to a classical solver; host-side, never traced.

    Args:
        result: of any framework; it is moved to host memory.
        inputs: array whose leading axes have the result's shape; the solver gets inputs[routed].
        solver: called once, and only if a lane is routed; returns one value for each lane it got.
        route: which lanes: "bottom", its parts "fault" and "semantic", "gap", or "any" of bottom
            and gap.

    Returns:
        Routed(values, routed, solved). Where the solver gave no finite number the lane stays or
        becomes ⊥ (NaN) and ``solved`` is False.

    Raises:
        SCMValueError: an unknown route; inputs of another shape; a wrong number of answers.

    >>> r = strict_inference(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    >>> route_to_solver(r, np.array([10.0, 20.0]), lambda x: x + 1.0).values
    array([ 0.5, 21. ])
    """
    masks = {
        "bottom": result.bottom_mask,
        "fault": result.fault_mask,
        "semantic": result.semantic_bottom_mask,
        "gap": result.gap_mask,
        "any": result.bottom_mask | result.gap_mask,
    }
    if route not in masks:
        msg = f"route must be one of {', '.join(masks)}, got {route!r}"
        raise SCMValueError(msg)
    values, routed = np.array(to_host(result.decoded)), np.array(to_host(masks[route]))
    inputs = to_host(inputs)
    if inputs.shape[: routed.ndim] != routed.shape:
        msg = f"inputs {inputs.shape} must begin with the result's shape {routed.shape}"
        raise SCMValueError(msg)
    solved = np.zeros_like(routed)
    wanted = int(np.count_nonzero(routed))
    if wanted:
        answers = to_host(solver(inputs[routed]))
        if answers.shape != (wanted,):
            msg = f"solver must return {wanted} values, one per routed lane, got shape {answers.shape}"
            raise SCMValueError(msg)
        finite = np.isfinite(answers)
        solved[routed] = finite
        values[routed] = np.where(finite, answers, np.nan)
    return Routed(values, routed, solved)


class SweepPoint(NamedTuple):
    """One threshold of a sweep; a rate over an empty class is None.

    ``false_censored``: share of the in-range lanes that are ⊥ (``n_false_censored`` of
    ``n_in_range``). ``false_in_range``: share of the censored lanes that are accepted
    (``n_false_in_range`` of ``n_censored``). ``bottom_rate``: share of all lanes that are ⊥
    (``n_bottom`` of ``n``).
    """

    tau: float
    effective_tau: float
    false_censored: float | None
    false_in_range: float | None
    bottom_rate: float | None
    n_false_censored: int
    n_in_range: int
    n_false_in_range: int
    n_censored: int
    n_bottom: int
    n: int


@dataclass(frozen=True, slots=True)
class TauSweep:
    """The points of a sweep, in the order of the thresholds given.

    >>> P, Q = np.array([1.0, 1.0]), np.array([0.5, 1e-3])
    >>> sweep = tau_sweep(P, Q, np.array([False, True]), [1e-2])
    >>> sweep.to_dict()["points"][0]["false_in_range"]
    0.0
    """

    gauge: Gauge
    dtype: str
    points: tuple[SweepPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: no NaN, no infinity, None for a rate of nothing."""
        return {
            "gauge": self.gauge,
            "dtype": self.dtype,
            "points": [point._asdict() for point in self.points],
        }


def tau_sweep(
    P: Any, Q: Any, is_censored: Any, taus: Iterable[float], *, gauge: Gauge = "raw"
) -> TauSweep:
    """What each deployment threshold would have done to labelled lanes.

    The decision is ``strict_inference`` itself, so NaN is ⊥ and the rounding of τ is the same.

    Args:
        P, Q: as for :func:`strict_inference`; arrays of other frameworks are moved to host memory.
        is_censored: bool, P's shape; True where the truth is out of range.
        taus: thresholds, each finite and > 0.
        gauge: "raw" or "l2".

    Raises:
        SCMTypeError: is_censored is not bool.
        SCMValueError: a threshold out of range or rounding to 0, or unequal shapes.

    >>> P, Q = np.array([1.0, 1.0, np.nan]), np.array([0.5, 1e-3, 1.0])
    >>> point = tau_sweep(P, Q, np.array([False, True, False]), [1e-4]).points[0]
    >>> point.false_censored, point.false_in_range, point.n_bottom
    (0.5, 1.0, 1)
    """
    P, Q, censored = to_host(P), to_host(Q), to_host(is_censored)
    if censored.dtype != np.bool_:
        msg = f"is_censored must be a bool array, not {censored.dtype}"
        raise SCMTypeError(msg)
    points = []
    for tau in taus:
        config = InferenceConfig(tau_infer=tau, gauge=gauge)
        bottom = strict_inference(P, Q, config).bottom_mask
        if bottom.shape != censored.shape:
            msg = f"is_censored {censored.shape} must have P's shape {bottom.shape}"
            raise SCMValueError(msg)
        n, n_censored, n_bottom = (int(k) for k in (bottom.size, censored.sum(), bottom.sum()))
        refused = int(np.count_nonzero(bottom & ~censored))
        passed = int(np.count_nonzero(censored & ~bottom))
        points.append(
            SweepPoint(
                tau=config.tau_infer,
                effective_tau=config.effective(Q.dtype)[0],
                false_censored=_rate(refused, n - n_censored),
                false_in_range=_rate(passed, n_censored),
                bottom_rate=_rate(n_bottom, n),
                n_false_censored=refused,
                n_in_range=n - n_censored,
                n_false_in_range=passed,
                n_censored=n_censored,
                n_bottom=n_bottom,
                n=n,
            )
        )
    return TauSweep(gauge, str(Q.dtype), tuple(points))


def _rate(count: int, n: int) -> float | None:
    return count / n if n else None
