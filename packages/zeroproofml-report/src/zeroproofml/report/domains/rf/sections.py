"""A section head's answer from its stored sections: response, poles, and what is ⊥.

A section array (n, 2, 4) holds for each device and mode k the numbers (ω̂, δ̂, a, b) of

    N_k/D_k = (a + j·b·ω/ω̂) / (1 − (ω/ω̂)² + j·δ̂·ω/ω̂),        Ĥ = N_1/D_1 + N_2/D_2 = P/Q.

The damping δ̂ may cross zero. There the device oscillates and its response does not exist: strict
decoding says ⊥ by the validity factor V = max(min δ̂, 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zeroproofml.report.domains.rf.device import BAND, cluster
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.inference import InferenceConfig, strict_inference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.ranking import Array, Mask

TAU_INFER = 1e-3
"""Threshold on V: Q = 1000, the declared edge of the domain."""
TAU_SAFE = 3e-3
TAU_TRAIN = 1 / 30
"""Edge of the trained range, on V."""
CONFIG = InferenceConfig(tau_infer=1e-6)
"""Threshold on abs Q. No ``tau_train`` here: its gap would be about abs Q."""
EPSILON = 1e-3
SWEEP = (0.0, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
"""Thresholds on V of the sweep; at 0 only V = 0 itself is ⊥."""
_NEAR, _REACH = 33, float(np.sinh(3.0))


class Decoded(NamedTuple):
    """Response (n, m), complex128 with 0 at ⊥, and the cause of every lane (n, m)."""

    response: Array
    cause: Array


def sound(sections: Array) -> Mask:
    """Devices (n,) whose two modes are complex pairs: ω̂ > 0 and abs(δ̂) < 2.

    A head without a finite answer stores zeros, which are no pair either.

    >>> sound(np.array([[[1.0, 0.1, 0.5, 0.0]] * 2, [[1.0, 2.0, 0.5, 0.0]] * 2])).tolist()
    [True, False]
    """
    pair = (sections[:, :, 0] > 0) & (np.abs(sections[:, :, 1]) < 2)
    return np.asarray(pair.all(axis=1))


def score(sections: Array) -> Array:
    """min δ̂ (n,), higher is safer; −inf where a mode is no complex pair.

    >>> score(np.array([[[1.0, 0.1, 0.5, 0.0], [2.0, -0.1, 0.5, 0.0]]])).tolist()
    [-0.1]
    """
    return np.where(sound(sections), sections[:, :, 1].min(axis=1), -np.inf)


def validity(sections: Array) -> Array:
    """V = max(min δ̂, 0) (n,), NaN where a mode is no complex pair: that is a fault.

    >>> validity(np.array([[[1.0, 0.1, 0.5, 0.0], [2.0, -0.1, 0.5, 0.0]]])).tolist()
    [0.0]
    """
    lowest = sections[:, :, 1].min(axis=1)
    return np.where(sound(sections), np.maximum(lowest, 0.0), np.nan)


def device_cause(sections: Array, tau: float = TAU_INFER) -> Array:
    """Cause (n,), uint8, of refusing a device as a whole: V below ``tau``, or a fault; 0 accepts.

    >>> one = [1.0, 1e-4, 0.5, 0.0]
    >>> device_cause(np.array([[one, one], [[1.0, 3.0, 0.5, 0.0], one]])).tolist()
    [128, 2]
    """
    v = validity(sections)
    ones = np.ones(len(v))
    cause: Array = strict_inference(ones, ones, CONFIG, factors=[(v, tau)]).cause
    return cause


def tuples(sections: Array, omega: Array) -> tuple[Array, Array]:
    """P and Q (n, m), complex128, at ω (n, m); NaN for a device that is not sound.

    >>> p, q = tuples(np.array([[[1.0, 0.1, 0.5, 0.0]] * 2]), np.array([[1.0]]))
    >>> p.round(12).tolist(), q.round(12).tolist()
    ([[0.1j]], [[(-0.01+0j)]])
    """
    good = sound(sections)
    w, damping, a, b = (  # 0 is added so that none is -0
        np.where(good[:, None], part, np.nan)[:, :, None]
        for part in np.moveaxis(sections + 0.0, 2, 0)
    )
    n, d = (np.empty((2, *omega.shape), dtype=np.complex128) for _ in range(2))
    with np.errstate(all="ignore"):
        for k in range(2):  # part by part: complex arithmetic with 1j costs twice as much
            ratio = omega / w[:, k]
            n[k].real, n[k].imag = a[:, k], b[:, k] * ratio
            d[k].real, d[k].imag = 1 - ratio * ratio, damping[:, k] * ratio
        return n[0] * d[1] + n[1] * d[0], d[0] * d[1]


def decode(sections: Array, omega: Array, tau: float | None = TAU_INFER) -> Decoded:
    """Strict decoding; with ``tau`` None no device is refused as a whole, faults apart.

    >>> head = np.array([[[1.0, 1e-4, 0.5, 0.0]] * 2])
    >>> [decode(head, np.array([[0.5]]), tau).cause.tolist() for tau in (None, 1e-3)]
    [[[0]], [[128]]]
    """
    p, q = tuples(sections, omega)
    factors = [] if tau is None else [(validity(sections)[:, None], tau)]
    return quotient(p, q, factors)


def quotient(p: Array, q: Array, factors: Sequence[tuple[Array, float]] = ()) -> Decoded:
    """P/Q, strictly decoded.

    >>> quotient(np.array([1.0 + 0j]), np.array([0j])).cause.tolist()
    [4]
    """
    result = strict_inference(p, q, CONFIG, factors=factors)
    return Decoded(result.payload, result.cause)


def divide(p: Array, q: Array, epsilon: float = 0.0) -> Decoded:
    """Plain division, or P·conj(Q)/(abs(Q)² + ε²); only what is not finite is ⊥.

    >>> divide(np.array([1.0 + 0j]), np.array([0j])).cause.tolist()
    [2]
    """
    with np.errstate(all="ignore"):
        size = q.real**2 + q.imag**2 + epsilon**2
        # In this order: NumPy swaps the operands of p * conj(q) where the arrays are large, and a
        # fused product then rounds differently.
        response = np.conj(q) * p / size if epsilon else p / q
    fine = np.isfinite(response)
    cause = np.where(fine, 0, int(Cause.NONFINITE)).astype(np.uint8)
    return Decoded(np.where(fine, response, 0), cause)


def poles(sections: Array) -> tuple[Array, Mask]:
    """Poles above the real axis (n, 2), complex128, and which of them exist (n, 2).

    >>> found, there = poles(np.array([[[1.0, 0.0, 0.5, 0.0], [2.0, 2.5, 0.5, 0.0]]]))
    >>> found.tolist(), there.tolist()
    ([[1j, 0j]], [[True, False]])
    """
    w, damping = sections[:, :, 0], sections[:, :, 1]
    there = (w > 0) & (np.abs(damping) < 2)
    half = np.where(there, damping, 0.0) / 2
    pole = w * (-half + 1j * np.sqrt(1 - half * half))
    return np.where(there, pole, 0), there


def peak_places(sections: Array, band: tuple[float, float] = BAND) -> Array:
    """Frequencies (n, 66) around the predicted poles, 33 each; the band's edge where there is none.

    >>> peak_places(np.array([[[1.0, 0.1, 0.5, 0.0]] * 2])).shape
    (1, 66)
    """
    found, there = poles(sections)
    near = cluster(found, _NEAR, _REACH)
    near = np.where(there[..., None], near, band[0]).reshape(len(sections), 2 * _NEAR)
    return np.clip(near, *band)
