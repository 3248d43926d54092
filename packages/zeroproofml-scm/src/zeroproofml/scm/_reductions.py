"""Sums, products, extrema, means and matrix products over planes.

Plain reductions are **absorptive**: one ⊥ among the reduced lanes makes the result ⊥, with the OR
of their causes. The ``*_valid`` forms reduce the regular lanes only and count them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm._execute import fill
from zeroproofml.scm._planes import Planes
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Axis = int | tuple[int, ...] | None

# Typed loosely: the stubs know reduce() only for constant keepdims.
_ADD: Any = np.add
_ANY: Any = np.logical_or
_JOIN: Any = np.bitwise_or

__all__ = [
    "extreme",
    "extreme_valid",
    "lanes",
    "matmul",
    "mean",
    "mean_valid",
    "reduce",
    "settle",
    "sum_valid",
]


def settle(payload: Any, mask: Any, cause: Any, reason: Cause = Cause.OVERFLOW) -> Planes:
    """Make a computed result canonical: lanes that are not finite become ⊥ for ``reason``."""
    r = np.asarray(payload)
    bad = np.asarray(~np.isfinite(r))
    if mask is not None:
        mask, cause = np.asarray(mask), np.array(cause, np.uint8)
        fresh = bad & ~mask
    elif np.count_nonzero(bad):
        mask, cause, fresh = bad, np.zeros(r.shape, np.uint8), bad
    else:
        return Planes(r, None, None)
    np.copyto(cause, np.uint8(reason), where=fresh)
    mask = np.asarray(mask | bad)
    r = r if r.flags.writeable else r.copy()
    fill(r, mask)
    return Planes(r, mask, cause)


def _absorbed(planes: Planes, axis: Axis, keepdims: bool) -> tuple[Any, Any]:
    if planes.mask is None or planes.cause is None:
        return None, None
    return (
        _ANY.reduce(planes.mask, axis=axis, keepdims=keepdims),
        _JOIN.reduce(planes.cause, axis=axis, keepdims=keepdims),
    )


def lanes(shape: tuple[int, ...], axis: Axis) -> int:
    """How many lanes go into one result."""
    if axis is None:
        return int(np.prod(shape, dtype=np.int64))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return int(np.prod([shape[a] for a in axes], dtype=np.int64))


def reduce(ufunc: np.ufunc, planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive sum or product; an overflow on the way is ⊥ OVERFLOW."""
    with np.errstate(all="ignore"):
        r = ufunc.reduce(planes.payload, axis=axis, keepdims=keepdims)
    return settle(r, *_absorbed(planes, axis, keepdims))


def _real(planes: Planes, name: str) -> None:
    if planes.payload.dtype.kind == "c":
        msg = f"{name}: complex numbers have no order; take abs() or .real first"
        raise SCMTypeError(msg)


def extreme(ufunc: np.ufunc, planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive minimum or maximum of real lanes."""
    name = ufunc.__name__
    _real(planes, name)
    mask, cause = _absorbed(planes, axis, keepdims)
    try:
        r = ufunc.reduce(planes.payload, axis=axis, keepdims=keepdims)
    except np.exceptions.AxisError:
        raise
    except ValueError as error:
        msg = f"{name}: no lanes to reduce (shape {planes.payload.shape}, axis {axis})"
        raise SCMValueError(msg) from error
    return settle(r, mask, cause)


def _divide_by_count(total: Planes, count: Any) -> Planes:
    """total / count in at least double precision, so that a float16 count cannot overflow."""
    dtype = total.payload.dtype
    wide = np.result_type(dtype, np.float64)
    with np.errstate(all="ignore"):
        r = np.asarray(total.payload.astype(wide) / count).astype(dtype)
    mask, cause = total.full_mask(), np.array(total.full_cause())
    empty = np.broadcast_to(np.equal(count, 0), r.shape) & ~mask
    np.copyto(cause, np.uint8(Cause.DIV_ZERO), where=empty)
    return settle(r, mask | empty, cause) if np.any(mask | empty) else settle(r, None, None)


def mean(planes: Planes, axis: Axis, keepdims: bool) -> Planes:
    """Absorptive mean = sum/n; of nothing: ⊥ DIV_ZERO."""
    total = reduce(np.add, planes, axis, keepdims)
    return _divide_by_count(total, lanes(planes.payload.shape, axis))


def _count(planes: Planes, axis: Axis, keepdims: bool) -> NDArray[np.int64]:
    regular = ~planes.full_mask()
    return np.asarray(_ADD.reduce(regular, axis=axis, keepdims=keepdims, dtype=np.int64))


def sum_valid(planes: Planes, axis: Axis, keepdims: bool) -> tuple[Planes, NDArray[np.int64]]:
    """Sum of the regular lanes, and their number; of none: 0."""
    bare = Planes(planes.payload, None, None)  # ⊥ holds a zero
    return reduce(np.add, bare, axis, keepdims), _count(planes, axis, keepdims)


def mean_valid(planes: Planes, axis: Axis, keepdims: bool) -> tuple[Planes, NDArray[np.int64]]:
    """Mean of the regular lanes, and their number; of none: ⊥ DIV_ZERO."""
    total, count = sum_valid(planes, axis, keepdims)
    return _divide_by_count(total, count), count


def extreme_valid(
    ufunc: np.ufunc, planes: Planes, axis: Axis, keepdims: bool
) -> tuple[Planes, NDArray[np.int64]]:
    """Extremum of the regular lanes, and their number; of none: ⊥ DOMAIN."""
    _real(planes, ufunc.__name__)
    worst = np.inf if ufunc is np.minimum else -np.inf
    regular = ~planes.full_mask()
    r = ufunc.reduce(planes.payload, axis=axis, keepdims=keepdims, where=regular, initial=worst)
    return settle(r, None, None, Cause.DOMAIN), _count(planes, axis, keepdims)


def _rows(plane: NDArray[Any], ufunc: np.ufunc) -> Any:
    """One lane per row of a left operand; a vector is one row."""
    joined = ufunc.reduce(plane, axis=-1)
    return joined if plane.ndim == 1 else joined[..., None]


def _columns(plane: NDArray[Any], ufunc: np.ufunc) -> Any:
    """One lane per column of a right operand; a vector is one column."""
    return (
        ufunc.reduce(plane, axis=-1)
        if plane.ndim == 1
        else ufunc.reduce(plane, axis=-2)[..., None, :]
    )


def matmul(a: Planes, b: Planes) -> Planes:
    """Matrix product: ⊥ where the row of the left or the column of the right holds a ⊥, or where
    the computed value is not finite.

    Raises:
        SCMValueError: shapes that do not fit.
    """
    try:
        with np.errstate(all="ignore"):
            r = np.asarray(np.matmul(a.payload, b.payload))
    except ValueError as error:
        msg = f"matmul: shapes {a.payload.shape} and {b.payload.shape} do not fit"
        raise SCMValueError(msg) from error
    if a.mask is None and b.mask is None:
        return settle(r, None, None)
    planes = []
    for left, right, ufunc in (
        (a.full_mask(), b.full_mask(), _ANY),
        (a.full_cause(), b.full_cause(), _JOIN),
    ):
        rows, columns = _rows(left, ufunc), _columns(right, ufunc)
        if left.ndim == 1 and right.ndim > 1:
            columns = columns[..., 0, :]
        if right.ndim == 1 and left.ndim > 1:
            rows = rows[..., 0]
        planes.append(np.broadcast_to(ufunc(rows, columns), r.shape))
    return settle(r, planes[0], planes[1])
