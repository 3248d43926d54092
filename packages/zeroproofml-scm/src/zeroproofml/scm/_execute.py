"""The NumPy executor: compute once straight into the output, check once, mask, fill.

Two kinds of operands:

* **open** (the ``scm_*_numpy`` functions): payloads may hold anything. One evaluation, one finite
  test of the result, one more of each operand whose finiteness does not show there.
* **canonical** (``SCMArray``): payloads are finite and 0 under the mask. A new non-finite lane then
  cannot appear without the hardware raising a status flag, which NumPy reads after every loop
  anyway; flags untouched means that every lane is regular, and no pass over the data is needed.

``np.where``, safe operands and second evaluations cost a pass each; none is used. Every call sets
its own error state: worker threads start with the defaults.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from zeroproofml.scm._kernels import SHORT_POWERS, kernel_for, real_kernel_for
from zeroproofml.scm._operands import check_out, is_weak, resolve
from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from zeroproofml.scm.optable import Op

    Plane = NDArray[Any]
    Mask = NDArray[np.bool_]

__all__ = ["execute", "fill", "finish"]

_BOOL = np.dtype(np.bool_)
_SET_BYTES = 1024 * 1024  # the operands and the result of a block stay in L2
_WHOLE_BYTES = 1024 * 1024  # up to here blocks only cost calls
_INT_OF_SIZE = {2: np.int16, 4: np.int32, 8: np.int64}
_SMALL = 1000  # below it, calls cost more than passes
_ROW = 8192  # lanes of one dot product
_REST = 7  # blocks without a probe after one that is not clean
_PROBED = "fd"  # dtypes whose dot product is fast
_BOTH = (True, True)
_SPARSE = 25  # below one ⊥ in 25 lanes a masked copy beats clearing bits everywhere


def fill(payload: Plane, mask: Mask) -> None:
    """Write 0 into the masked lanes of a payload, in place.

    A masked copy costs two mispredicted branches per ⊥ lane; above a few per cent it is cheaper to
    AND the bits of every lane with a widened mask, which touches no good lane's bits.
    """
    bad = np.count_nonzero(mask)
    if not bad:
        return
    integer = _INT_OF_SIZE.get(payload.itemsize)
    dense = bad * _SPARSE > payload.size > _SMALL
    if dense and integer is not None and payload.dtype.kind == "f" and mask.shape == payload.shape:
        bits = payload.view(integer)
        bits &= np.subtract(mask.view(np.int8), 1, dtype=integer)
    else:
        np.copyto(payload, 0, where=mask)


def _all_finite(a: Plane, b: Plane) -> bool:
    """Whether a and b are finite in every lane, told by one pass of dot products.

    A non-finite factor leaves a non-finite product (inf·0 is NaN), and a sum of products is finite
    only if all of them are. The converse fails when the sum overflows, which costs a second look.
    Rows of 8192: a longer dot product would enter threaded BLAS.
    """
    n = a.size
    if n <= _ROW:
        return math.isfinite(a.dot(b))
    if not math.isfinite(a[:_ROW].dot(b[:_ROW])):  # where ⊥ is common, one row tells
        return False
    cut = n - n % _ROW
    rows = np.vecdot(a[_ROW:cut].reshape(-1, _ROW), b[_ROW:cut].reshape(-1, _ROW))
    if np.count_nonzero(np.isfinite(rows)) < rows.size:
        return False
    return cut == n or math.isfinite(a[cut:].dot(b[cut:]))


def _is_clean(r: Plane, operands: Sequence[Plane], checks: Sequence[bool]) -> bool:
    """Whether a probe shows every lane regular; False also where there is no probe."""
    if r.dtype.char not in _PROBED or not (r.ndim and r.flags.c_contiguous):
        return False
    if r.ndim == 1 and not any(checks):
        return _all_finite(r, r)
    witnesses = [r]
    for operand, check in zip(operands, checks, strict=True):
        if check:
            if operand.shape != r.shape or not operand.flags.c_contiguous:
                return False
            witnesses.append(operand)
    if r.ndim > 1:
        witnesses = [w.reshape(-1) for w in witnesses]
    if len(witnesses) % 2:
        witnesses.append(witnesses[-1])
    return all(map(_all_finite, witnesses[::2], witnesses[1::2]))


def _check_into(
    r: Plane,
    m: Mask,
    operands: Sequence[Plane],
    checks: Sequence[bool],
    masks: Sequence[Mask | None],
) -> None:
    """m := ⊥ of r, given what shows in r, what does not, and the masks."""
    if r.flags.c_contiguous and m.flags.c_contiguous:
        np.isfinite(r, out=m)
    else:  # NumPy 2.4's vector loop writes wrong lanes into a strided bool output
        np.copyto(m, np.isfinite(r))
    for operand, check in zip(operands, checks, strict=True):
        if check:
            np.logical_and(m, np.isfinite(operand), out=m)
    inverted = False
    for mask in masks:
        if mask is None:
            continue
        if inverted:
            np.logical_or(m, mask, out=m)
        else:  # ~finite | mask in one pass
            np.less_equal(m, mask, out=m)
            inverted = True
    if not inverted:
        np.logical_not(m, out=m)


def finish(
    r: Plane,
    m: Mask,
    operands: Sequence[Plane],
    checks: Sequence[bool],
    masks: Sequence[Mask | None],
    probe: bool,
) -> bool:
    """Mask and fill a computed r; m comes in all False. True if the probe found r clean."""
    if probe and _is_clean(r, operands, checks):
        given = [mask for mask in masks if mask is not None]
        if given:
            np.logical_or(given[0], given[-1], out=m)
            fill(r, m)
        return True
    _check_into(r, m, operands, checks, masks)
    fill(r, m)
    return False


def _flat(array: Plane | None, shape: tuple[int, ...]) -> Plane | bool | None:
    """A 1-D view to slice, the array itself if it is 0-d or None, or False if it cannot be cut."""
    if array is None or array.ndim == 0:
        return array
    if array.shape == shape and array.flags.c_contiguous:
        return array.reshape(-1)
    return False


def _block_lanes(arity: int, r: Plane) -> int:
    """Lanes of a block, in whole rows of the probe."""
    return _SET_BYTES // ((arity + 1) * r.itemsize) // _ROW * _ROW


def _run_blocks(
    kernel: Callable[..., Plane],
    operands: Sequence[Plane],
    checks: Sequence[bool],
    masks: Sequence[Mask | None],
    r: Plane,
    m: Mask,
) -> None:
    """Compute, test and fill block by block, so that test and fill find each block in cache.

    m comes in all False. Clean blocks never touch it, so that fresh zero pages stay lazy. After a
    block that is not clean the probe rests: ⊥ comes in runs, and a failed probe is a lost pass.
    """
    step = _block_lanes(len(operands), r)
    parts = [_flat(array, r.shape) for array in (*operands, *masks, r, m)]
    if r.nbytes <= _WHOLE_BYTES or any(part is False for part in parts):
        kernel(*operands, out=r)
        finish(r, m, operands, checks, masks, True)
        return
    arity = len(operands)
    rest = 0
    for start in range(0, r.size, step):
        cut = slice(start, start + step)
        block: list[Any] = [
            part[cut] if isinstance(part, np.ndarray) and part.ndim else part for part in parts
        ]
        kernel(*block[:arity], out=block[-2])
        clean = finish(block[-2], block[-1], block[:arity], checks, block[arity:-2], probe=not rest)
        rest = rest - 1 if rest else (0 if clean else _REST)


def _run_unmasked(
    kernel: Callable[..., Plane],
    operands: Sequence[Plane],
    check: Sequence[bool],
    r: Plane,
    m: Mask,
) -> None:
    """:func:`_run_blocks` for plain operands without masks, where each call between two kernels
    shows: a block is clean or it is tested, and there is nothing to merge."""
    step = _block_lanes(len(operands), r)
    xs, flat, mask = [x.reshape(-1) for x in operands], r.reshape(-1), m.reshape(-1)
    rest = 0
    for start in range(0, flat.size, step):
        cut = slice(start, start + step)
        block = [x[cut] for x in xs]
        part = flat[cut]
        kernel(*block, part)
        if rest:
            rest -= 1
        elif _all_finite(part, block[-1] if check[-1] else part) and (
            check != _BOTH or _all_finite(block[0], part)
        ):
            continue
        else:
            rest = _REST
        _check_into(part, mask[cut], block, check, ())
        fill(part, mask[cut])


def _is_mask_of(mask: Any, shape: tuple[int, ...]) -> bool:
    return type(mask) is np.ndarray and mask.dtype is _BOOL and mask.shape == shape


def _is_plain(operands: Sequence[Any], masks: Sequence[Any]) -> bool:
    """Plain arrays of one native float dtype and one shape, masks None or bool: nothing to read."""
    first, last = operands[0], operands[-1]
    if type(first) is not np.ndarray or type(last) is not np.ndarray:
        return False
    dtype, shape = first.dtype, first.shape
    if dtype.char not in _PROBED or not dtype.isnative or not shape:
        return False
    if last.dtype is not dtype or last.shape != shape:
        return False
    first, last = masks[0], masks[-1]
    return (first is None or _is_mask_of(first, shape)) and (
        last is None or last is first or _is_mask_of(last, shape)
    )


def _execute_small(
    op: Op, operands: Sequence[Plane], masks: Sequence[Mask | None]
) -> tuple[Plane, Mask]:
    """Plain operands of few lanes, where every call counts more than any pass."""
    check, first, last = op.check, masks[0], masks[-1]
    with np.errstate(all="ignore"):
        r = real_kernel_for(op.name)(*operands)
        if first is None and last is None and r.ndim == 1:
            seen = operands[-1] if check[-1] else r  # only pow must show its first operand too
            if math.isfinite(r.dot(seen)) and (
                check != _BOTH or math.isfinite(operands[0].dot(seen))
            ):
                return r, np.zeros(r.shape, np.bool_)
        m = np.isfinite(r)
        if check[-1]:
            np.logical_and(m, np.isfinite(operands[-1]), m)
        if check == _BOTH:
            np.logical_and(m, np.isfinite(operands[0]), m)
        if first is not None:
            np.less_equal(m, first, m)  # ~finite | mask
            if last is not None and last is not first:
                np.logical_or(m, last, m)
        elif last is not None:
            np.less_equal(m, last, m)
        else:
            np.logical_not(m, m)
        if np.count_nonzero(m):
            r[m] = 0.0
    return r, m


def _execute_plain(
    op: Op, operands: Sequence[Plane], masks: Sequence[Mask | None]
) -> tuple[Plane, Mask]:
    kernel, first = real_kernel_for(op.name), operands[0]
    m = np.zeros(first.shape, np.bool_)
    with np.errstate(all="ignore"):
        if first.nbytes <= _WHOLE_BYTES:
            r = kernel(*operands)
            finish(r, m, operands, op.check, masks, True)
        else:
            r = np.empty_like(first)
            if masks[0] is masks[-1] is None and all(x.flags.c_contiguous for x in operands):
                _run_unmasked(kernel, operands, op.check, r, m)
            else:
                _run_blocks(kernel, operands, op.check, masks, r, m)
    return r, m


def _execute_open(
    op: Op, operands: Sequence[Any], masks: Sequence[Any], out: Any
) -> tuple[Plane, Mask]:
    kernel = kernel_for(op.name)
    with np.errstate(all="ignore"):
        arrays, read, shape, dtype = resolve(op.name, operands, masks)
        checks = op.checks(dtype.kind == "c")
        if op.name == "pow" and is_weak(operands[1]) and operands[1] in SHORT_POWERS:
            kernel, arrays, checks = SHORT_POWERS[operands[1]], arrays[:1], (True,)
        overlap = False
        if out is not None:
            payload, mask = check_out(out, shape, dtype)
            inputs = [a for a in (*arrays, *read) if a is not None]
            overlap = any(np.may_share_memory(o, a) for o in (payload, mask) for a in inputs)
        if out is None or overlap:
            r, m = np.empty(shape, dtype), np.zeros(shape, np.bool_)
        else:
            r, m = payload, mask
            m.fill(False)
        _run_blocks(kernel, arrays, checks, read, r, m)
        if overlap:
            np.copyto(payload, r)
            np.copyto(mask, m)
    return out if out is not None else (r, m)


class _Recorder:
    """Remembers that a status flag was raised; one fresh object per call."""

    __slots__ = ("raised",)

    def __init__(self) -> None:
        self.raised = False

    def __call__(self, error: str, flag: int) -> None:
        self.raised = True


# Flags are a probe only for the operations that the hardware computes and rounds itself.
_FLAGGED = frozenset({"add", "sub", "mul", "div", "inv", "sqrt"})
# Real operations that map every finite number to a finite number.
_TOTAL = frozenset({"neg", "sin", "cos"})


@functools.cache
def flags_reliable(name: str, dtype: np.dtype[Any]) -> bool:
    """Whether this machine raises a flag for each way in which an operation leaves the numbers.

    Asked once per operation and dtype in a process: 64 lanes, one of them ⊥, at several places, so
    that vector bodies and scalar tails both answer; and a clean call that must raise nothing.
    """
    big = np.finfo(dtype).max
    bad: dict[str, tuple[float, ...]] = {
        "add": (big, big),
        "sub": (big, -big),
        "mul": (big, 2.0),
        "div": (1.0, 0.0),
        "inv": (0.0,),
        "sqrt": (-1.0,),
    }
    kernel = kernel_for(name)
    for place in (None, 0, 31, 62, 63):
        operands = [np.ones(64, dtype) for _ in bad[name]]
        if place is not None:
            for operand, value in zip(operands, bad[name], strict=True):
                operand[place] = value
        if _flagged(kernel, operands, np.empty(64, dtype)) is not (place is not None):
            return False
    return True


def _flagged(kernel: Callable[..., Plane], operands: Sequence[Plane], r: Plane) -> bool:
    recorder = _Recorder()
    with np.errstate(divide="call", over="call", invalid="call", under="ignore", call=recorder):
        kernel(*operands, out=r)
    return recorder.raised


def _join(planes: Sequence[Plane | None], shape: tuple[int, ...]) -> Plane | None:
    """OR of the planes that exist; None if none does."""
    joined: Plane | None = None
    for plane in planes:
        if plane is not None:
            joined = plane if joined is None else np.asarray(joined | plane)
    if joined is not None and joined.shape != shape:
        joined = np.broadcast_to(joined, shape)
    return joined


def classify(op: Op, operands: Sequence[Any], shape: tuple[int, ...], lanes: Plane) -> Any:
    """Causes of newly ⊥ lanes: the first fault that holds, else OVERFLOW.

    Args:
        op: the operation.
        operands: canonical payloads that broadcast to ``shape``.
        shape: of the result.
        lanes: flat indices of lanes in that shape, none of them ⊥ on entry.

    Returns:
        uint8 causes of the lanes, or one for all.
    """
    overflow = np.uint8(Cause.OVERFLOW)
    if not op.faults:
        return overflow
    gathered = [
        (p if p.shape == shape else np.broadcast_to(p, shape)).reshape(-1)[lanes]
        for p in (q if isinstance(q, np.ndarray) else np.asarray(q) for q in operands)
    ]
    is_complex = any(p.dtype.kind == "c" for p in gathered)
    causes = np.empty(lanes.shape, np.uint8)
    causes.fill(overflow)
    for cause, predicate in reversed(op.faults):
        causes[predicate(np, is_complex, *gathered)] = int(cause)
    return causes


def _execute_canonical(
    op: Op,
    operands: Sequence[Any],
    masks: Sequence[Mask | None],
    causes: Sequence[NDArray[np.uint8] | None],
) -> tuple[Plane, Mask | None, NDArray[np.uint8] | None]:
    kernel, taken = kernel_for(op.name), operands
    if op.name == "pow" and isinstance(operands[1], float):  # only a short power is not an array
        kernel, taken = SHORT_POWERS[operands[1]], operands[:1]
    first, last = taken[0], taken[-1]
    shape = first.shape
    if first.dtype is last.dtype and shape == last.shape:
        r = np.empty_like(first)
    else:
        shape = np.broadcast_shapes(shape, last.shape)
        r = np.empty(shape, np.result_type(first, last))
    if (
        r.size > _SMALL
        and op.name in _FLAGGED
        and r.dtype.char in _PROBED
        and flags_reliable(op.name, r.dtype)
    ):
        look = _flagged(kernel, taken, r)
    else:
        with np.errstate(all="ignore"):
            kernel(*taken, out=r)
            total = op.name in _TOTAL and r.dtype.kind == "f"
            look = not total and not _is_clean(r, (), ())
    mask = cause = None
    if masks[0] is not None or masks[-1] is not None:
        mask, cause = _join(masks, shape), _join(causes, shape)
    if look:
        bad = np.asarray(np.isfinite(r))
        np.logical_not(bad, out=bad)
        lanes = (bad if mask is None else np.asarray(bad > mask)).reshape(-1).nonzero()[0]
        if lanes.size:
            found = np.zeros(shape, np.uint8) if cause is None else np.array(cause)
            found.reshape(-1)[lanes] = classify(op, operands, shape, lanes)
            cause = found
            if mask is None:
                r.reshape(-1)[lanes] = 0
                return r, bad, cause
            mask = np.asarray(np.logical_or(bad, mask, out=bad))
    if mask is not None and (look or not op.fixes_zero):
        fill(r, mask)
    return r, mask, cause


@overload
def execute(
    op: Op, operands: Sequence[Any], masks: Sequence[Any], out: Any = None, causes: None = None
) -> tuple[Plane, Mask]: ...


@overload
def execute(
    op: Op,
    operands: Sequence[Any],
    masks: Sequence[Any],
    out: None,
    causes: Sequence[NDArray[np.uint8] | None],
) -> tuple[Plane, Mask | None, NDArray[np.uint8] | None]: ...


def execute(
    op: Op,
    operands: Sequence[Any],
    masks: Sequence[Any],
    out: Any = None,
    causes: Sequence[NDArray[np.uint8] | None] | None = None,
) -> Any:
    """Run one row of ``OPS``.

    Args:
        op: the row.
        operands: open operands (anything :func:`resolve` reads); with ``causes``, canonical arrays
            (pow's y may also be a float of ``SHORT_POWERS``).
        masks: one per operand, or None.
        out: ``(payload, mask)`` to write into, for open operands.
        causes: entry causes, one plane or None per operand. Giving them says that the operands are
            canonical; only then are causes computed.

    Returns:
        ``(payload, mask)``; with ``causes``, ``(payload, mask, cause)``, where a None plane means
        that no lane is ⊥.

    Raises:
        SCMTypeError: an operand, mask or output of the wrong type.
        SCMValueError: shapes that do not fit; values that cannot be read.
    """
    if causes is not None:
        return _execute_canonical(op, operands, masks, causes)
    if out is None and _is_plain(operands, masks):
        run = _execute_small if operands[0].size <= _SMALL else _execute_plain
        return run(op, operands, masks)
    return _execute_open(op, operands, masks, out)
