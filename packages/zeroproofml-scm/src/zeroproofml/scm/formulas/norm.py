"""Normalisation and softmax with ⊥ lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas._arrays import (
    finite_number,
    floating,
    identity,
    power_of_two_scale,
    quiet,
)

__all__ = ["norm", "softmax"]


def _masked(x: Any, mask: Any, *, xp: Any) -> Any:
    """The mask expanded to x's shape; all False if there is none."""
    if mask is None:
        return xp.zeros_like(x, dtype=xp.bool)
    try:
        return xp.broadcast_to(mask, tuple(x.shape))
    except (ValueError, RuntimeError) as error:
        msg = f"mask {tuple(mask.shape)} must broadcast to x's shape {tuple(x.shape)}"
        raise SCMValueError(msg) from error


@quiet
def norm(x: Any, mask: Any = None, eps: float = 0.0, *, xp: Any) -> tuple[Any, Any]:
    """Centre and scale each column over axis 0: (x − μ)/√(variance + eps), biased variance.

    Only regular lanes count. A column is ⊥ if it has none, or if variance + eps = 0 (with eps = 0:
    a constant column). A ⊥ lane stays ⊥ and touches no other lane, neither its value nor its
    gradient.

    Args:
        x: real floating array (N, …); non-finite lanes are ⊥.
        mask: bool, broadcastable to x's shape.
        eps: finite, >= 0.
        xp: numpy, torch or jax.numpy.

    Returns:
        (payload, mask) of x's shape, canonical.

    Raises:
        SCMValueError: x is 0-d, eps out of range, or a mask that does not fit.

    >>> import numpy as np
    >>> payload, mask = norm(np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]]), xp=np)
    >>> payload.T, mask.T
    (array([[-1.,  1.,  0.],
           [ 0.,  0.,  0.]]), array([[False, False,  True],
           [ True,  True,  True]]))
    """
    finite_number(eps, "eps")
    x = floating(x, "x", xp=xp)
    if len(x.shape) == 0:
        msg = "x must have at least one axis; a single number has no variance"
        raise SCMValueError(msg)
    off = _masked(x, mask, xp=xp) | ~xp.isfinite(x)
    if 0 in tuple(x.shape):
        return xp.zeros_like(x), off
    regular = xp.where(off, 0.0, xp.ones_like(x))
    count = xp.sum(regular, axis=0, keepdims=True)
    share = regular / xp.where(count == 0, 1.0, count)

    def scale_of(z: Any) -> Any:
        s = power_of_two_scale(xp.amax(xp.abs(z), axis=0, keepdims=True), xp=xp)
        # With eps the scale matters only against overflow; without it, against underflow too.
        return xp.where(s > 1, 1.0, s) if eps else s

    # The largest regular value goes to exactly 0: a constant column has variance exactly 0, which
    # subtracting a rounded mean would miss. Two scales: one against overflow of that difference,
    # one so that a narrow column does not underflow.
    first = scale_of(xp.where(off, 0.0, x))
    y = xp.where(off, 0.0, x) * first
    top = xp.amax(xp.where(off, -xp.inf, y), axis=0, keepdims=True)
    y = xp.where(off, 0.0, y - xp.where(count == 0, 0.0, top))
    second = scale_of(y)
    y = y * second
    y = y - xp.sum(y * share, axis=0, keepdims=True)
    spread = xp.sum(xp.where(off, 0.0, y) * y * share, axis=0, keepdims=True)
    if eps:
        s = first * second
        spread = spread + (eps * s) * s
    # With eps > 0 a spread of 0 means that eps vanished beside the scale: every lane is the mean.
    flat = spread == 0
    bottom = off | (count == 0) | (flat if eps == 0.0 else xp.zeros_like(flat))
    dead = bottom | flat
    payload = xp.where(dead, 0.0, y) / xp.sqrt(xp.where(flat, 1.0, spread))
    return xp.where(dead, 0.0, payload), bottom


@quiet
def softmax(
    x: Any,
    mask: Any = None,
    *,
    xp: Any,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Softmax over the last axis; masked and −inf logits get probability 0, the rest sums to 1.

    A row is ⊥ iff an unmasked logit is NaN or +inf, or no logit remains.

    Args:
        x: real floating array (…, K).
        mask: bool, broadcastable to x's shape; True removes a logit.
        xp: numpy, torch or jax.numpy.
        stop_gradient: the framework's; keeps the shift by the row's maximum out of the derivative.

    Returns:
        (payload, mask) of x's shape; the mask is True on whole rows.

    Raises:
        SCMValueError: x is 0-d, or a mask that does not fit.

    >>> import numpy as np
    >>> x = np.array([[0.0, 0.0, 9.0], [0.0, np.nan, 0.0]])
    >>> payload, mask = softmax(x, np.array([[False, False, True], [False] * 3]), xp=np)
    >>> payload
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]])
    >>> mask[:, 0]
    array([False,  True])
    """
    x = floating(x, "x", xp=xp)
    if len(x.shape) == 0:
        msg = "x must have at least one axis; softmax runs over the last one"
        raise SCMValueError(msg)
    if 0 in tuple(x.shape):
        return xp.zeros_like(x), xp.zeros_like(x, dtype=xp.bool)
    live = ~(_masked(x, mask, xp=xp) | (x == -xp.inf))
    row = xp.any(live & ~xp.isfinite(x), axis=-1, keepdims=True)
    row = row | ~xp.any(live, axis=-1, keepdims=True)
    on = live & ~row
    logits = xp.where(on, x, 0.0)
    lowest = xp.where(on, logits, float(xp.finfo(x.dtype).min))
    top = (stop_gradient or identity)(xp.amax(lowest, axis=-1, keepdims=True))
    shifted = xp.where(on, logits - xp.where(row, 0.0, top), 0.0)
    weights = xp.where(on, xp.exp(shifted), 0.0)
    total = xp.sum(weights, axis=-1, keepdims=True)
    payload = weights / xp.where(row, 1.0, total)
    return payload, xp.broadcast_to(row, tuple(x.shape))
