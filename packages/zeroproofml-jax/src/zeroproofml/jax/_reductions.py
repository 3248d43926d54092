"""Reductions and matrix products over planes: one ⊥ in the reduced lanes makes the result ⊥."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from zeroproofml.jax._kernels import KERNELS
from zeroproofml.jax._planes import Planes, settle
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

Axis = int | tuple[int, ...] | None

__all__ = [
    "extreme",
    "extreme_valid",
    "lanes",
    "matmul",
    "mean",
    "mean_valid",
    "prod",
    "sum_",
    "sum_valid",
]


def _axes(ndim: int, axis: Axis) -> tuple[int, ...]:
    wanted = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in wanted:
        if not -ndim <= a < ndim:
            msg = f"axis: {a} is out of bounds for {ndim} axes"
            raise SCMValueError(msg)
    return tuple(a % ndim for a in wanted)


def lanes(shape: tuple[int, ...], axis: Axis) -> int:
    """How many lanes go into one result."""
    return math.prod(shape[a] for a in _axes(len(shape), axis))


def _join(cause: jax.Array, axis: Axis, keepdims: bool) -> jax.Array:
    axes = _axes(cause.ndim, axis)
    joined = jax.lax.reduce(cause, jnp.uint8(0), jax.lax.bitwise_or, axes)
    return jnp.expand_dims(joined, axes) if keepdims else joined


def _absorbed(planes: Planes, axis: Axis, keepdims: bool) -> tuple[jax.Array, jax.Array]:
    return jnp.any(planes.mask, axis=axis, keepdims=keepdims), _join(planes.cause, axis, keepdims)


def sum_(planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive sum; an overflow is ⊥ OVERFLOW."""
    _axes(planes.payload.ndim, axis)
    r = jnp.sum(planes.payload, axis=axis, keepdims=keepdims)
    return settle(r, *_absorbed(planes, axis, keepdims))


def prod(planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive product; an overflow is ⊥ OVERFLOW.

    Where the lanes beyond 1 multiply to more than the dtype holds, a partial product may be
    infinite: the result is then a constant of differentiation.
    """
    x = planes.payload
    axes = _axes(x.ndim, axis)
    modulus = jnp.abs(jax.lax.stop_gradient(x))
    growth = jnp.prod(jnp.where(modulus > 1, modulus, 1), axis=axes, keepdims=True)
    off = ~jnp.isfinite(growth)
    fixed = jnp.prod(jax.lax.stop_gradient(x), axis=axes, keepdims=True)
    moving = jnp.prod(jnp.where(off, 1, x), axis=axes, keepdims=True)
    r = jnp.where(off, fixed, moving)
    r = r if keepdims else jnp.squeeze(r, axes)
    return settle(r, *_absorbed(planes, axis, keepdims))


def _real(planes: Planes, name: str) -> None:
    if jnp.iscomplexobj(planes.payload):
        msg = f"{name}: complex numbers have no order; take abs() or .real first"
        raise SCMTypeError(msg)


def extreme(name: str, planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive ``min`` or ``max`` of real lanes."""
    _real(planes, name)
    if lanes(planes.payload.shape, axis) == 0:
        msg = f"{name}: no lanes to reduce (shape {planes.payload.shape}, axis {axis})"
        raise SCMValueError(msg)
    r = getattr(jnp, name)(planes.payload, axis=axis, keepdims=keepdims)
    return settle(r, *_absorbed(planes, axis, keepdims))


def _divide_by_count(total: Planes, count: Any) -> Planes:
    """total / count in at least float32, so that a float16 count cannot overflow."""
    dtype = total.payload.dtype
    wide = jnp.promote_types(dtype, jnp.float32)
    n = jnp.broadcast_to(count, total.payload.shape)
    empty = (n == 0) & ~total.mask
    divisor = jnp.where(n == 0, 1, n).astype(wide)
    r = KERNELS["div"](total.payload.astype(wide), divisor).astype(dtype)
    cause = jnp.where(empty, jnp.uint8(int(Cause.DIV_ZERO)), total.cause)
    return settle(r, total.mask, total.cause)._replace(
        mask=total.mask | empty, cause=cause, payload=jnp.where(total.mask | empty, 0, r)
    )


def mean(planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive mean = sum/n; of nothing: ⊥ DIV_ZERO."""
    total = sum_(planes, axis, keepdims)
    return _divide_by_count(total, lanes(planes.payload.shape, axis))


def _count(planes: Planes, axis: Axis, keepdims: bool) -> jax.Array:
    return jnp.sum(~planes.mask, axis=axis, keepdims=keepdims, dtype=int)


def sum_valid(planes: Planes, axis: Axis, keepdims: bool) -> tuple[Planes, jax.Array]:
    """Sum of the regular lanes, and their number; of none: 0."""
    none = Planes(planes.payload, jnp.zeros_like(planes.mask), jnp.zeros_like(planes.cause))
    return sum_(none, axis, keepdims), _count(planes, axis, keepdims)  # ⊥ holds a zero


def mean_valid(planes: Planes, axis: Axis, keepdims: bool) -> tuple[Planes, jax.Array]:
    """Mean of the regular lanes, and their number; of none: ⊥ DIV_ZERO."""
    total, count = sum_valid(planes, axis, keepdims)
    return _divide_by_count(total, count), count


def extreme_valid(
    name: str, planes: Planes, axis: Axis, keepdims: bool
) -> tuple[Planes, jax.Array]:
    """Extremum of the regular lanes, and their number; of none: ⊥ DOMAIN."""
    _real(planes, name)
    _axes(planes.payload.ndim, axis)
    worst = jnp.inf if name == "min" else -jnp.inf
    candidates = jnp.where(planes.mask, worst, planes.payload)
    r = getattr(jnp, name)(candidates, axis=axis, keepdims=keepdims, initial=worst)
    clear = jnp.zeros(r.shape, bool), jnp.zeros(r.shape, jnp.uint8)
    return settle(r, *clear, Cause.DOMAIN), _count(planes, axis, keepdims)


def matmul(a: Planes, b: Planes) -> Planes:
    """Matrix product: ⊥ where the row of the left or the column of the right holds a ⊥, or where
    the computed value is not finite.

    Raises:
        SCMValueError: shapes that do not fit.
    """
    left, right = a.payload.ndim, b.payload.ndim
    try:
        r = jnp.matmul(a.payload, b.payload)
    except (TypeError, ValueError) as error:
        msg = f"matmul: shapes {a.payload.shape} and {b.payload.shape} do not fit"
        raise SCMValueError(msg) from error
    rows = _join(a.cause, -1, keepdims=left > 1 and right > 1)
    columns = _join(b.cause, -1 if right == 1 else -2, keepdims=left > 1 and right > 1)
    cause = jnp.broadcast_to(rows | columns, r.shape)
    return settle(r, cause != 0, cause)
