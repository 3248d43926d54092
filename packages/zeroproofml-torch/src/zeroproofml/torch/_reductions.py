"""Sums, products, extrema, means and matrix products over planes.

Plain reductions are **absorptive**: one ⊥ among the reduced lanes makes the result ⊥, with the OR
of their causes. The ``*_valid`` forms reduce the regular lanes only and count them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch._planes import Planes, settle, unify

__all__ = [
    "Axis",
    "axes_of",
    "extreme",
    "extreme_valid",
    "matmul",
    "mean",
    "mean_valid",
    "prod",
    "sum_",
    "sum_valid",
]

Axis = int | tuple[int, ...] | None


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The reduced axes, non-negative, in ascending order.

    Raises:
        SCMValueError: an axis that does not exist, or is named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    chosen = tuple(sorted(a + ndim if a < 0 else a for a in given))
    if any(not 0 <= a < ndim for a in chosen) or len(set(chosen)) != len(chosen):
        msg = f"axis {axis} does not fit {ndim} axes"
        raise SCMValueError(msg)
    return chosen


def _lanes(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[a] for a in axes)


def _over(function: Callable[..., Tensor], x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return function(x, dim=axes, keepdim=keep) if axes else x


def _join(cause: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """The OR of causes; torch reduces bools, not bits."""
    if not axes:
        return cause
    joined: Tensor | None = None
    for flag in Cause:
        if not flag:
            continue
        found = torch.any((cause & int(flag)) != 0, dim=axes, keepdim=keep)
        bit = found.to(torch.uint8) * int(flag)
        joined = bit if joined is None else joined | bit
    return cause if joined is None else joined


def _absorbed(planes: Planes, axes: tuple[int, ...], keep: bool) -> tuple[Tensor, Tensor]:
    cause = _join(planes.cause, axes, keep)
    return cause != 0, cause


def _real(planes: Planes, name: str) -> None:
    if planes.payload.is_complex():
        msg = f"{name}: complex numbers have no order; take abs() or .real first"
        raise SCMTypeError(msg)


def sum_(planes: Planes, axis: Axis, keep: bool) -> Planes:
    """Absorptive sum."""
    axes = axes_of(axis, planes.payload.dim())
    total = _over(torch.sum, planes.payload, axes, keep)
    return settle(total, *_absorbed(planes, axes, keep))


def _product(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    for a in axes:
        x = torch.prod(x, dim=a, keepdim=True)
    return x


def prod(planes: Planes, axis: Axis, keep: bool) -> Planes:
    """Absorptive product; what overflows is a constant, its derivative would be 0·inf."""
    axes = axes_of(axis, planes.payload.dim())
    mask, cause = _absorbed(planes, axes, True)
    value = _product(planes.payload.detach(), axes)
    off = mask | ~torch.isfinite(value)
    result = settle(
        torch.where(off, value, _product(torch.where(off, 1.0, planes.payload), axes)), mask, cause
    )
    if keep or not axes:
        return result
    return Planes(*(torch.squeeze(plane, dim=axes) for plane in result))


def _divide(total: Planes, count: Tensor | int) -> Planes:
    n = torch.as_tensor(count, device=total.mask.device).expand(total.mask.shape)
    empty = (n == 0) & ~total.mask
    share = total.payload / torch.where(n == 0, 1, n).to(total.payload.real.dtype)
    return Planes(
        torch.where(empty, 0.0, share),
        total.mask | empty,
        torch.where(empty, int(Cause.DIV_ZERO), total.cause),
    )


def mean(planes: Planes, axis: Axis, keep: bool) -> Planes:
    """Absorptive mean = sum/n; of nothing: ⊥ DIV_ZERO."""
    axes = axes_of(axis, planes.payload.dim())
    return _divide(sum_(planes, axis, keep), _lanes(tuple(planes.payload.shape), axes))


def _count(planes: Planes, axes: tuple[int, ...], keep: bool) -> Tensor:
    return _over(torch.sum, (~planes.mask).to(torch.int64), axes, keep)


def sum_valid(planes: Planes, axis: Axis, keep: bool) -> tuple[Planes, Tensor]:
    """Sum of the regular lanes, and their number; of none: 0."""
    axes = axes_of(axis, planes.payload.dim())
    total = _over(torch.sum, planes.payload, axes, keep)  # ⊥ holds a zero
    return settle(total, None, None), _count(planes, axes, keep)


def mean_valid(planes: Planes, axis: Axis, keep: bool) -> tuple[Planes, Tensor]:
    """Mean of the regular lanes, and their number; of none: ⊥ DIV_ZERO."""
    total, count = sum_valid(planes, axis, keep)
    return _divide(total, count), count


def extreme(name: str, planes: Planes, axis: Axis, keep: bool) -> Planes:
    """Absorptive ``amin`` or ``amax`` of real lanes."""
    _real(planes, name)
    axes = axes_of(axis, planes.payload.dim())
    if _lanes(tuple(planes.payload.shape), axes) == 0:
        msg = f"{name}: no lanes to reduce (shape {tuple(planes.payload.shape)}, axis {axis})"
        raise SCMValueError(msg)
    value = _over(getattr(torch, name), planes.payload, axes, keep)
    return settle(value, *_absorbed(planes, axes, keep))


def extreme_valid(name: str, planes: Planes, axis: Axis, keep: bool) -> tuple[Planes, Tensor]:
    """Extremum of the regular lanes, and their number; of none: ⊥ DOMAIN."""
    _real(planes, name)
    axes = axes_of(axis, planes.payload.dim())
    count = _count(planes, axes, keep)
    worst = math.inf if name == "amin" else -math.inf
    if _lanes(tuple(planes.payload.shape), axes) == 0:
        value = torch.full_like(count, worst, dtype=planes.payload.dtype)
    else:
        filled = torch.where(planes.mask, worst, planes.payload)
        value = _over(getattr(torch, name), filled, axes, keep)
    return settle(value, None, None, Cause.DOMAIN), count


def _lines(plane: Tensor, axis: int, join: Callable[[Tensor, int], Tensor]) -> Tensor:
    """One entry per row of a left (axis −1) or column of a right (axis −2) operand."""
    if plane.dim() == 1:
        return join(plane, -1)
    return join(plane, axis).unsqueeze(axis)


def _join_one(cause: Tensor, axis: int) -> Tensor:
    return _join(cause, (axis % cause.dim(),), False)


def matmul(x: Any, y: Any) -> Planes:
    """Matrix product: ⊥ where the row of the left or the column of the right holds a ⊥, or where
    the computed value is not finite.

    Raises:
        SCMValueError: shapes that do not fit.
    """
    a, b = unify([x, y])
    left, right = a.payload, b.payload
    inner = right.shape[-2 if right.dim() > 1 else -1] if right.dim() else None
    if not left.dim() or inner is None or left.shape[-1] != inner:
        msg = f"matmul: shapes {tuple(left.shape)} and {tuple(right.shape)} do not fit"
        raise SCMValueError(msg)
    value = torch.matmul(left, right)
    rows, columns = _lines(a.cause, -1, _join_one), _lines(b.cause, -2, _join_one)
    if left.dim() == 1 and right.dim() > 1:
        columns = columns.squeeze(-2)
    if right.dim() == 1 and left.dim() > 1:
        rows = rows.squeeze(-1)
    if left.dim() == 1 and right.dim() > 1:
        rows = rows.reshape(())
    cause = (rows | columns).expand(value.shape)
    return settle(value, cause != 0, cause)
