"""The rational function P(x)/Q(x) with its ⊥ lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from zeroproofml.scm.formulas._arrays import (
    finite_number,
    identity,
    not_finite,
    quiet,
    quotient,
)
from zeroproofml.scm.formulas.basis import Basis, basis_matrix, evaluate
from zeroproofml.scm.formulas.strict import round_threshold

__all__ = ["Kernels", "rational"]


def _coefficient_growth(x: Any, cotangent: Any, degree: int, basis: Basis, *, xp: Any) -> Any:
    """An upper bound of |cotangent·φₖ(x)|, k ≤ degree, built by the products that backward builds."""
    if callable(basis):
        return cotangent * xp.sum(xp.abs(basis_matrix(x, degree, basis, xp=xp)), axis=-1)
    step = xp.abs(x) if basis == "monomial" else 2 * xp.abs(x)
    step = xp.where(step < 1, 1.0, step)
    for _ in range(degree):
        cotangent = cotangent * step
    return cotangent


class Kernels(NamedTuple):
    """A framework's own parts of :func:`rational`, whose derivatives are finite by construction.

    Attributes:
        evaluate: ``(coefficients, x) -> polynomial`` by the same recurrence as
            :func:`zeroproofml.scm.formulas.basis.evaluate`.
        divide: ``(P, Q, undefined) -> (payload, mask)`` by the rules of division.
    """

    evaluate: Callable[[Any, Any], Any]
    divide: Callable[[Any, Any, Any], tuple[Any, Any]]


@quiet
def rational(
    x: Any,
    numerator: Any,
    denominator: Any,
    *,
    xp: Any,
    basis: Basis = "monomial",
    singular_epsilon: float = 1e-6,
    mask: Any = None,
    stop_gradient: Callable[[Any], Any] | None = None,
    guard: Callable[[Any, Any], Any] | None = None,
    kernels: Kernels | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Evaluate P(x)/Q(x).

    A lane is ⊥ iff it is masked, x is not finite, P or Q is not finite, Q = 0, |Q| <
    singular_epsilon, or the quotient is not finite. No derivative enters: a regular lane whose
    derivative (by x or by a coefficient) is not representable keeps its value and is a constant.

    Args:
        x: real floating array of any shape.
        numerator, denominator: coefficients, lowest degree first, (..., degree + 1); leading axes
            broadcast against x.
        basis: see :func:`zeroproofml.scm.formulas.basis.evaluate`.
        singular_epsilon: forward threshold, finite and >= 0, rounded to the real dtype of Q.
        mask: bool, shape of x; True where x is ⊥.
        stop_gradient: the framework's; without it nothing is prepared for differentiation.
        guard: a layer's gradient gate, ``guard(value, undefined) -> value``, put on P and Q before
            the quotient: a finite cotangent can still overflow on its way through 1/Q.
        kernels: a framework's own evaluation and division with safe derivatives; nothing is then
            computed twice, once for the value and once for the derivative.
        xp: numpy, torch or jax.numpy.

    Returns:
        (payload, mask, P, Q), all of the broadcast shape. The pair is canonical. P and Q are the
        null tuple (0, 0) where x is ⊥ or one of them is not finite; where only the quotient fails
        they keep their values and gradients, so that a loss on tuples still acts at Q = 0.

    Raises:
        SCMValueError: singular_epsilon negative or not finite; a basis that does not exist.

    >>> import numpy as np
    >>> x = np.array([0.5, 1.0, np.nan])
    >>> payload, mask, P, Q = rational(x, np.array([1.0]), np.array([1.0, -1.0]), xp=np)
    >>> payload, mask
    (array([2., 0., 0.]), array([False,  True,  True]))
    """
    finite_number(singular_epsilon, "singular_epsilon")
    stop = stop_gradient or identity
    absent = not_finite(x) if mask is None else mask | not_finite(x)
    point = xp.where(absent, 0.0, x if kernels else stop(x))
    if kernels is not None:
        P, Q = kernels.evaluate(numerator, point), kernels.evaluate(denominator, point)
    else:
        P = evaluate(stop(numerator), point, basis, xp=xp)
        Q = evaluate(stop(denominator), point, basis, xp=xp)
    p, q = (stop(P), stop(Q)) if kernels else (P, Q)
    broken = absent | not_finite(p) | not_finite(q)
    distance = xp.abs(q)
    undefined = broken | (q == 0) | (distance < round_threshold(singular_epsilon, distance.dtype))
    if kernels is not None:
        payload, bottom = kernels.divide(P, Q, undefined)
        return payload, bottom, xp.where(broken, 0.0, P), xp.where(broken, 0.0, Q)
    if stop_gradient is None:
        payload, bottom = quotient(P, Q, undefined, xp=xp)
        return payload, bottom, xp.where(broken, 0.0, P), xp.where(broken, 0.0, Q)

    inverse = 1 / xp.where(undefined, 1.0, distance)
    cotangent = inverse + xp.abs(P) * inverse * inverse
    cotangent = xp.where(cotangent < 1, 1.0, cotangent)  # P and Q are results too
    degree = max(numerator.shape[-1], denominator.shape[-1]) - 1
    growth = _coefficient_growth(point, cotangent, degree, basis, xp=xp)
    constant = broken | not_finite(growth)
    point = xp.where(constant, 0.0, x)
    P0, Q0 = xp.where(broken, 0.0, P), xp.where(broken, 0.0, Q)
    P = xp.where(constant, P0, evaluate(numerator, point, basis, xp=xp))
    Q = xp.where(constant, Q0, evaluate(denominator, point, basis, xp=xp))
    if guard is not None:
        P, Q = guard(P, undefined), guard(Q, undefined)
    payload, bottom = quotient(P, Q, undefined, xp=xp, stop_gradient=stop)
    return payload, bottom, P, Q
