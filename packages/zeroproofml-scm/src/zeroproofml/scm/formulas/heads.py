"""Heads that yield projective tuples (P, Q) and never divide: rational with a shared Q, and angular."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas._arrays import finite_number, identity, modulus, quiet
from zeroproofml.scm.formulas.basis import Basis, evaluate
from zeroproofml.scm.formulas.rational import _coefficient_growth

__all__ = ["angular_head", "bottom_capability", "check_head", "rational_head", "softplus"]


def check_head(q_anchor: str, q_param: str, q_min: float) -> None:
    """Refuse options of the rational head that do not exist.

    Raises:
        SCMValueError: an unknown anchor or parametrisation, or q_min negative or not finite.

    >>> check_head("ones", "softplus", 0.5)
    """
    if q_anchor not in ("ones", "none"):
        msg = f"q_anchor must be 'ones' or 'none', got {q_anchor!r}"
        raise SCMValueError(msg)
    if q_param not in ("none", "softplus"):
        msg = f"q_param must be 'none' or 'softplus', got {q_param!r}"
        raise SCMValueError(msg)
    finite_number(q_min, "q_min")


def bottom_capability(q_anchor: str, q_param: str, q_min: float, tau_infer: float) -> str:
    """Whether a rational head can ever fall below the deployment threshold.

    >>> bottom_capability("ones", "softplus", 0.0, 1e-6)
    'unreachable_by_construction'
    >>> bottom_capability("ones", "none", 0.0, 1e-6)
    'reachable'
    """
    least = q_min + (1.0 if q_anchor == "ones" else 0.0)
    bounded = q_param == "softplus" and least >= tau_infer
    return "unreachable_by_construction" if bounded else "reachable"


@quiet
def softplus(x: Any, *, xp: Any) -> Any:
    """log(1 + eˣ) without overflow; its derivative at 0 is ½.

    >>> import numpy as np
    >>> softplus(np.array([0.0, 1000.0]), xp=np)
    array([6.93147181e-01, 1.00000000e+03])
    """
    return xp.where(x < 0, 0.0, x) + xp.log1p(xp.exp(-modulus(x, xp=xp)))


def _polynomial(
    weights: Any, x: Any, basis: Basis, stop: Callable[[Any], Any] | None, *, xp: Any
) -> Any:
    """Σ wₖφₖ(x), a constant on lanes where a derivative is not representable."""
    if stop is None:
        return evaluate(weights, x, basis, xp=xp)
    fixed = stop(x)
    value = evaluate(stop(weights), fixed, basis, xp=xp)
    degree = weights.shape[-1] - 1
    growth = _coefficient_growth(fixed, xp.ones_like(value), degree, basis, xp=xp)
    constant = ~xp.isfinite(value) | ~xp.isfinite(growth)
    replaced = evaluate(weights, xp.where(constant, 0.0, x), basis, xp=xp)
    return xp.where(constant, value, replaced)


@quiet
def rational_head(
    z_num: Any,
    z_den: Any,
    num_weights: Any,
    den_weights: Any,
    *,
    xp: Any,
    basis: Basis = "monomial",
    q_anchor: str = "ones",
    q_param: str = "none",
    q_min: float = 0.0,
    stop_gradient: Callable[[Any], Any] | None = None,
    polynomial: Callable[[Any, Any], Any] | None = None,
) -> tuple[Any, Any]:
    """O numerators over one shared denominator per row; no division.

    P = Σ wₒₖφₖ(z_num), δ = Σ vₖφₖ(z_den); "softplus": δ ← softplus(δ) + q_min; "ones": Q = 1 + δ,
    else Q = δ.

    Args:
        z_num: (B, O), real.
        z_den: (B,) or (B, 1), real.
        num_weights: (O, p + 1). den_weights: (q + 1,).
        basis: see :func:`zeroproofml.scm.formulas.basis.evaluate`.
        stop_gradient: the framework's; a lane that is not finite, or whose derivative is not, is
            then a constant.
        polynomial: a framework's own ``(coefficients, x) -> value`` whose derivatives are finite by
            construction; nothing is then computed twice.
        xp: numpy, torch or jax.numpy.

    Returns:
        (P, Q), both (B, O). A non-finite input stays visible as a non-finite part.

    Raises:
        SCMValueError: shapes that do not fit, or unknown options.

    >>> import numpy as np
    >>> w, v = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.0, 2.0])
    >>> P, Q = rational_head(np.array([[3.0, 4.0]]), np.array([0.5]), w, v, xp=np)
    >>> P, Q
    (array([[3., 1.]]), array([[2., 2.]]))
    """
    check_head(q_anchor, q_param, q_min)
    shape, rows, outputs = tuple(z_num.shape), tuple(z_den.shape), num_weights.shape[0]
    if len(shape) != 2 or shape[1] != outputs:
        msg = f"z_num {shape} must be (B, {outputs})"
        raise SCMValueError(msg)
    if rows not in ((shape[0],), (shape[0], 1)):
        msg = f"z_den {rows} must be ({shape[0]},) or ({shape[0]}, 1): one denominator per row"
        raise SCMValueError(msg)
    column = z_den if len(rows) == 2 else z_den[..., None]
    if polynomial is not None:
        P, delta = polynomial(num_weights, z_num), polynomial(den_weights, column)
    else:
        P = _polynomial(num_weights, z_num, basis, stop_gradient, xp=xp)
        delta = _polynomial(den_weights, column, basis, stop_gradient, xp=xp)
    if q_param == "softplus":
        stop = stop_gradient or identity
        bad = ~xp.isfinite(delta)
        delta = xp.where(bad, stop(delta), softplus(xp.where(bad, 0.0, delta), xp=xp) + q_min)
    Q = 1.0 + delta if q_anchor == "ones" else delta
    return P, xp.broadcast_to(Q, shape)


@quiet
def angular_head(phi: Any, *, xp: Any) -> tuple[Any, Any]:
    """(P, Q) = (sin φ, cos φ): a tuple of norm 1, ⊥ at φ = ±π/2 and smooth through it.

    Args:
        phi: angle in radians, real, any shape; a non-finite angle gives a NaN tuple, a constant.
        xp: numpy, torch or jax.numpy.

    >>> import numpy as np
    >>> P, Q = angular_head(np.array([0.0]), xp=np)
    >>> P, Q
    (array([0.]), array([1.]))
    """
    bad = ~xp.isfinite(phi)
    angle = xp.where(bad, 0.0, phi)
    return xp.where(bad, xp.nan, xp.sin(angle)), xp.where(bad, xp.nan, xp.cos(angle))
