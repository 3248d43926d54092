"""Dense CPU tensors in ordinary eager mode, where less work reaches the same values.

NumPy reads such a tensor without a copy, and tests and fills it in few passes. Operations that the
hardware computes and rounds itself run there altogether, because NumPy's value is then torch's, bit
for bit; of the others the value is torch's. Every function here is a shortcut: the caller has the form that runs
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zeroproofml.scm._execute import execute, fill, finish
from zeroproofml.scm.optable import Op

__all__ = ["is_plain", "norm", "quotient_gradient", "run", "transformed"]

# torch's float64 sqrt is an ulp off in some lanes, and does not belong here.
_EXACT = frozenset({"add", "sub", "mul", "div", "inv", "neg"})
_LANES = 32_768  # of one block: its operands stay in L2
_ONE_THREAD = 131_072  # lanes from which more than two threads of torch win


def is_plain(*tensors: Tensor) -> bool:
    """Whether these are dense CPU tensors of one real dtype that nothing traces or transforms."""
    if torch.compiler.is_compiling():  # first: tracing folds the rest away
        return False
    first = tensors[0]
    dtype = first.dtype
    return (
        dtype in (torch.float32, torch.float64)
        and all(
            type(t) in (Tensor, nn.Parameter)
            and t.device.type == "cpu"
            and t.layout == torch.strided
            and t.dtype == dtype
            and not t.is_neg()
            for t in tensors
        )
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # public, yet not exported
        and not transformed(first)
    )


def transformed(value: Tensor) -> bool:
    """Whether a functorch, forward-mode or dispatch level is active.

    These queries are private to torch: where a name is missing, nobody takes a shortcut.
    """
    try:
        return (
            torch._C._functorch.maybe_current_level() is not None
            or torch._C._functorch.is_legacy_batchedtensor(value)
            or torch.autograd.forward_ad._current_level >= 0
            or torch._C._len_torch_dispatch_stack() > 0
        )
    except AttributeError:
        return True


def norm(value: Tensor) -> float:
    """At least every modulus in it, and half the price of the largest one.

    The second term stands for entries whose square vanishes.
    """
    smallest = torch.finfo(value.dtype).tiny
    return float(torch.linalg.vector_norm(value)) + math.sqrt(smallest)


def run(
    op: Op, kernel: Callable[..., Tensor], mask: Tensor | None, values: Sequence[Tensor]
) -> tuple[Tensor, Tensor] | None:
    """``(payload, mask)`` of a row, or None where this is not the way."""
    if not is_plain(*values) or not _one_thread(values[0]):
        return None
    if mask is not None and (type(mask) is not Tensor or mask.device.type != "cpu"):
        return None
    views = [value.numpy() for value in values]
    given = None if mask is None else mask.numpy()
    if op.name in _EXACT:
        result, bottom = execute(op, views, (given,) * op.arity)
        return torch.from_numpy(result), torch.from_numpy(bottom)
    payload = kernel(*values)
    bottom = np.zeros(payload.shape, np.bool_)
    with np.errstate(all="ignore"):
        finish(payload.numpy(), bottom, views, op.check, (given,), True)
    return payload, torch.from_numpy(bottom)


def _one_thread(value: Tensor) -> bool:
    return value.numel() <= _ONE_THREAD or torch.get_num_threads() <= 2


def quotient_gradient(
    grad: Tensor, y: Tensor, result: Tensor, bottom: Tensor, second: bool
) -> tuple[Tensor, Tensor | None] | None:
    """The cotangents of x and (if ``second``) y for result = x/y, or None where this is not the way.

    Not the way is also a lane at which 1/y² or result/y could leave the finite numbers: whether it
    is a constant is decided elsewhere.
    """
    if not is_plain(grad, y, result) or not _one_thread(y):
        return None
    g, divisor, r, m = (t.reshape(-1).numpy() for t in (grad, y, result, bottom))
    by_x = np.empty_like(divisor)
    by_y = np.empty_like(divisor) if second else None
    scratch = np.empty(min(_LANES, divisor.size), divisor.dtype)
    limit = float(np.finfo(divisor.dtype).max) / 2
    with np.errstate(all="ignore"):
        for start in range(0, divisor.size, _LANES):
            cut = slice(start, start + _LANES)
            absent = m[cut] if np.count_nonzero(m[cut]) else None
            inverse = _largest_inverse(divisor[cut], absent, scratch)
            largest = norm(torch.from_numpy(r[cut]))
            if not inverse * max(inverse, largest) < limit:
                return None
            to = by_x[cut]
            np.divide(g[cut], divisor[cut], to)
            if absent is not None:
                fill(to, absent)
            if by_y is not None:
                np.multiply(to, r[cut], by_y[cut])
                np.subtract(0.0, by_y[cut], by_y[cut])  # a negative zero looks odd in a gradient
    shape = y.shape
    return (
        torch.from_numpy(by_x).view(shape),
        None if by_y is None else torch.from_numpy(by_y).view(shape),
    )


def _largest_inverse(
    y: NDArray[np.floating], absent: NDArray[np.bool_] | None, scratch: NDArray[np.floating]
) -> float:
    """At least every 1/|y| at the lanes that are present."""
    scratch = scratch[: y.size]
    if absent is None:
        return 1.0 / float(np.absolute(y, scratch).min())  # y = 0 is ⊥, hence absent
    np.divide(1.0, y, scratch)
    fill(scratch, absent)
    return norm(torch.from_numpy(scratch))
