"""Projective tuples (P, Q): the number P/Q before anyone divides.

(P, Q) and (kP, kQ) are the same number; (1, 0) is the point at infinity, (0, 0) is no number. Norms
are computed on tuples scaled by an exact power of two, so 1e±200 works, scaling a tuple by 2ᵏ
changes no bit of a result, and no derivative runs through the scale.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas._arrays import (
    abs2,
    finite_number,
    floating,
    identity,
    is_complex,
    largest_part,
    power_of_two_scale,
    quiet,
    quotient,
    same_shape,
)

__all__ = [
    "Label",
    "Targets",
    "decode",
    "encode",
    "lift_semantic_targets",
    "lift_targets",
    "normalize_gauge",
    "projectively_equal",
    "renormalize",
    "unit_tuple",
]


class Label(enum.IntEnum):
    """What a training target says; stored as int8."""

    FINITE = 0
    BOTTOM = 1
    DOMAIN_INVALID = 2
    FAULT = 3
    CENSORED_BELOW = 4
    CENSORED_ABOVE = 5
    MISSING = 6


class Targets(NamedTuple):
    """Targets as tuples, all of one shape.

    Attributes:
        numerator, denominator: (y, 1) for a number, (±1, 0) for ⊥, (0, 1) where nothing is known.
        weight: 1, or 0 where nothing is known; real.
        orientation: +1, −1, or 0 for a ⊥ without a side (int8).
        is_bottom: bool; the target is ⊥.
    """

    numerator: Any
    denominator: Any
    weight: Any
    orientation: Any
    is_bottom: Any


def _scaled(P: Any, Q: Any, *, xp: Any) -> tuple[Any, Any, Any, Any]:
    """(P·s, Q·s, s, null): the null tuple becomes the constant (1, 0)."""
    P, Q = floating(P, "P", xp=xp), floating(Q, "Q", xp=xp)
    m = xp.maximum(largest_part(P, xp=xp), largest_part(Q, xp=xp))
    s = power_of_two_scale(m, xp=xp)
    null = m == 0
    return xp.where(null, 1.0, P) * s, xp.where(null, 0.0, Q) * s, s, null


@quiet
def unit_tuple(P: Any, Q: Any, *, xp: Any) -> tuple[Any, Any, Any]:
    """(P, Q) divided by its norm.

    Args:
        P, Q: real or complex, one shape.
        xp: numpy, torch or jax.numpy.

    Returns:
        (P̂, Q̂, null): |P̂|² + |Q̂|² = 1; where ``null`` (bool) the tuple was (0, 0) and (1, 0),
        a constant, stands in for it. A non-finite part gives NaN.

    >>> import numpy as np
    >>> unit_tuple(np.array([3e200, 0.0]), np.array([4e200, 0.0]), xp=np)
    (array([0.6, 1. ]), array([0.8, 0. ]), array([False,  True]))
    """
    p, q, _, null = _scaled(P, Q, xp=xp)
    norm = xp.sqrt(abs2(p, xp=xp) + abs2(q, xp=xp))
    return p / norm, q / norm, null


@quiet
def encode(payload: Any, mask: Any = None, *, xp: Any) -> tuple[Any, Any]:
    """A canonical pair as a tuple: (v, 1) where regular, (1, 0) where ⊥.

    Args:
        payload: real or complex array; a non-finite value is ⊥.
        mask: bool, broadcastable with payload; None for no masked lane.
        xp: numpy, torch or jax.numpy.

    >>> import numpy as np
    >>> encode(np.array([2.0, 5.0]), np.array([False, True]), xp=np)
    (array([2., 1.]), array([1., 0.]))
    """
    payload = floating(payload, "payload", xp=xp)
    bottom = ~xp.isfinite(payload)
    bottom = bottom if mask is None else bottom | mask
    numerator = xp.where(bottom, 1.0, payload)
    return numerator, xp.where(bottom, 0.0, xp.ones_like(numerator))


@quiet
def decode(
    P: Any, Q: Any, *, xp: Any, stop_gradient: Callable[[Any], Any] | None = None
) -> tuple[Any, Any]:
    """P/Q as a canonical pair, by the rules of division.

    Args:
        P, Q: real or complex, one shape.
        xp: numpy, torch or jax.numpy.
        stop_gradient: the framework's; see :mod:`zeroproofml.scm.formulas`.

    Returns:
        (payload, mask): ⊥ where Q = 0, a part is not finite, or the quotient overflows.

    >>> import numpy as np
    >>> decode(np.array([1.0, 1.0]), np.array([4.0, 0.0]), xp=np)
    (array([0.25, 0.  ]), array([False,  True]))
    """
    P, Q = floating(P, "P", xp=xp), floating(Q, "Q", xp=xp)
    same_shape(P=P, Q=Q)
    undefined = ~xp.isfinite(P) | ~xp.isfinite(Q) | (Q == 0)
    return quotient(P, Q, undefined, xp=xp, stop_gradient=stop_gradient)


@quiet
def renormalize(
    P: Any,
    Q: Any,
    gamma: float = 0.0,
    *,
    xp: Any,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Divide both members by ‖(P, Q)‖ + gamma; (0, 0) stays, with zero gradients.

    Args:
        P, Q: real or complex, one shape.
        gamma: finite, >= 0.
        xp: numpy, torch or jax.numpy.
        stop_gradient: if given, the divisor is a constant of differentiation.

    Raises:
        SCMValueError: gamma negative or not finite; unequal shapes.

    >>> import numpy as np
    >>> renormalize(np.array([1e20], np.float32), np.array([1.0], np.float32), xp=np)
    (array([1.], dtype=float32), array([1.e-20], dtype=float32))
    """
    finite_number(gamma, "gamma")
    same_shape(P=P, Q=Q)
    p, q, s, null = _scaled(P, Q, xp=xp)
    norm = xp.sqrt(abs2(p, xp=xp) + abs2(q, xp=xp))
    # (‖·‖ + gamma)·s with ‖·‖·s at hand; gamma·s overflows only where gamma swallows the tuple.
    divisor = (stop_gradient or identity)(norm + gamma * s if gamma else norm)
    return xp.where(null, 0.0, p / divisor), xp.where(null, 0.0, q / divisor)


@quiet
def projectively_equal(P1: Any, Q1: Any, P2: Any, Q2: Any, atol: float = 1e-8, *, xp: Any) -> Any:
    """Whether two tuples are the same number: |P̂₁Q̂₂ − P̂₂Q̂₁| ≤ atol on unit tuples.

    Args:
        P1, Q1, P2, Q2: real or complex, one shape.
        atol: finite, >= 0.
        xp: numpy, torch or jax.numpy.

    Returns:
        bool array; False where a tuple is (0, 0) or has a non-finite part.

    >>> import numpy as np
    >>> one, two, zero = np.array([1.0]), np.array([2.0]), np.array([0.0])
    >>> projectively_equal(one, two, -two, -two - two, xp=np)
    array([ True])
    >>> projectively_equal(zero, zero, one, one, xp=np)
    array([False])
    """
    finite_number(atol, "atol")
    same_shape(P1=P1, Q1=Q1, P2=P2, Q2=Q2)
    p1, q1, null1 = unit_tuple(P1, Q1, xp=xp)
    p2, q2, null2 = unit_tuple(P2, Q2, xp=xp)
    return (xp.abs(p1 * q2 - p2 * q1) <= atol) & ~null1 & ~null2


@quiet
def normalize_gauge(
    P: Any,
    Q: Any,
    gauge: Literal["unit_l2", "canonical_denominator"] = "unit_l2",
    gamma: float = 0.0,
    *,
    xp: Any,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Choose one representative of each tuple.

    Args:
        P, Q: real or complex, one shape.
        gauge: "unit_l2" divides by the norm + gamma (:func:`renormalize`, differentiated through
            the norm); "canonical_denominator" gives (P/Q, 1) where that is finite, else (s(P), 0)
            with the weak sign s. (0, 0) stays.
        gamma: for "unit_l2".
        stop_gradient: the framework's; guards the derivative of P/Q.

    Raises:
        SCMValueError: an unknown gauge; see also :func:`renormalize`.

    >>> import numpy as np
    >>> P, Q = np.array([3.0, -2.0, 0.0]), np.array([2.0, 0.0, 0.0])
    >>> normalize_gauge(P, Q, "canonical_denominator", xp=np)
    (array([ 1.5, -1. ,  0. ]), array([1., 0., 0.]))
    """
    if gauge not in ("unit_l2", "canonical_denominator"):
        msg = f"gauge must be 'unit_l2' or 'canonical_denominator', got {gauge!r}"
        raise SCMValueError(msg)
    if gauge == "unit_l2":
        return renormalize(P, Q, gamma, xp=xp)
    payload, mask = decode(P, Q, xp=xp, stop_gradient=stop_gradient)
    sign, _, _ = unit_tuple(P, xp.zeros_like(P), xp=xp)
    sign = xp.where(P == 0, 0.0, (stop_gradient or identity)(sign))
    return xp.where(mask, sign, payload), xp.where(mask, 0.0, xp.ones_like(payload))


@quiet
def lift_targets(values: Any, mask: Any = None, *, xp: Any) -> Targets:
    """Numbers with IEEE specials as training targets.

    Args:
        values: real or complex array; integers become float64. Finite y gives (y, 1); ±inf gives
            (±1, 0) with orientation ±1; NaN, and a complex value with a non-finite part, give
            (1, 0) with orientation 0: a ⊥ without a side.
        mask: bool, values' shape; a masked lane is a ⊥ without a side, whatever its value.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMTypeError: bool values.
        SCMValueError: unequal shapes.

    >>> import numpy as np
    >>> t = lift_targets(np.array([2.5, -np.inf, np.nan]), xp=np)
    >>> t.numerator, t.denominator, t.orientation
    (array([ 2.5, -1. ,  1. ]), array([1., 0., 0.]), array([ 0, -1,  0], dtype=int8))
    """
    values = floating(values, "values", xp=xp)
    same_shape(values=values, mask=mask)
    bottom = ~xp.isfinite(values)
    bottom = bottom if mask is None else bottom | mask
    none = xp.zeros_like(bottom, dtype=xp.int8)
    if is_complex(values):
        side = none
    else:
        directed = bottom & xp.isinf(values)
        directed = directed if mask is None else directed & ~mask
        side = xp.where(directed, xp.where(values > 0, none + 1, none - 1), none)
    return _targets(values, bottom, side, xp.zeros_like(bottom), xp=xp)


@quiet
def lift_semantic_targets(values: Any, labels: Any, *, xp: Any, check: bool = True) -> Targets:
    """Labelled measurements as training targets.

    Args:
        values: real or complex array; only the lanes labelled FINITE are read.
        labels: integers of :class:`Label`, values' shape. FINITE gives (y, 1); BOTTOM,
            DOMAIN_INVALID and FAULT (1, 0) with orientation 0; CENSORED_BELOW (−1, 0) and
            CENSORED_ABOVE (1, 0) with orientation ∓1; MISSING (0, 1) with weight 0.
        xp: numpy, torch or jax.numpy.
        check: look at the values; a front passes False inside a trace, which has none.

    Raises:
        SCMTypeError: bool values.
        SCMValueError: a FINITE lane without a finite value, an unknown label, unequal shapes.

    >>> import numpy as np
    >>> t = lift_semantic_targets(np.array([2.5, np.nan]), np.array([0, 6], np.int8), xp=np)
    >>> t.numerator, t.denominator, t.weight
    (array([2.5, 0. ]), array([1., 1.]), array([1., 0.]))
    """
    values = floating(values, "values", xp=xp)
    same_shape(values=values, labels=labels)
    if check:
        if bool(xp.any((labels < 0) | (labels > int(max(Label))))):
            msg = f"labels must be Label values 0 to {int(max(Label))}"
            raise SCMValueError(msg)
        if bool(xp.any((labels == int(Label.FINITE)) & ~xp.isfinite(values))):
            msg = "values must be finite where labels are FINITE; label those lanes otherwise"
            raise SCMValueError(msg)
    missing = labels == int(Label.MISSING)
    bottom = ~missing & (labels != int(Label.FINITE))
    none = xp.zeros_like(bottom, dtype=xp.int8)
    side = xp.where(labels == int(Label.CENSORED_ABOVE), none + 1, none)
    side = xp.where(labels == int(Label.CENSORED_BELOW), none - 1, side)
    return _targets(values, bottom, side, missing, xp=xp)


def _targets(values: Any, bottom: Any, side: Any, missing: Any, *, xp: Any) -> Targets:
    numerator = xp.where(bottom | missing, 0.0, values)
    one = xp.ones_like(numerator)
    numerator = xp.where(bottom, xp.where(side < 0, -one, one), numerator)
    real_one = xp.real(one) if is_complex(one) else one
    return Targets(
        numerator, xp.where(bottom, 0.0, one), xp.where(missing, 0.0, real_one), side, bottom
    )
