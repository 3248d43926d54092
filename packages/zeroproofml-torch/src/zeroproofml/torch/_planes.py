"""Payload, mask and cause of a tensor, and what operations do to all three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.value import SCMValue
from zeroproofml.torch._arguments import broadcast, mask_tensor, operands
from zeroproofml.torch._execute import execute

__all__ = ["Planes", "canonical", "each", "operate", "settle", "unify"]


class Planes(NamedTuple):
    """Three tensors of one shape: the payload is 0 and the cause non-zero exactly at ⊥."""

    payload: Tensor
    mask: Tensor
    cause: Tensor


def each(planes: Planes, function: Callable[[Tensor], Tensor]) -> Planes:
    """The same rearrangement of every plane."""
    return Planes(*(function(plane) for plane in planes))


def _flag(where: Tensor, cause: Cause) -> Tensor:
    return where.to(torch.uint8) * int(cause)


def settle(payload: Tensor, mask: Any, cause: Any, reason: Cause = Cause.OVERFLOW) -> Planes:
    """Make a computed result canonical: lanes that are not finite become ⊥ for ``reason``."""
    bad = ~torch.isfinite(payload.detach())
    if mask is None:
        return Planes(torch.where(bad, 0.0, payload), bad, _flag(bad, reason))
    cause = torch.where(mask, cause, _flag(bad, reason))
    mask = mask | bad
    return Planes(torch.where(mask, 0.0, payload), mask, cause)


def _read_cause(cause: Any, shape: tuple[int, ...], device: torch.device) -> Tensor:
    tensor = torch.as_tensor(cause, device=device)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        msg = f"cause is {tensor.dtype}; pass a uint8 tensor of Cause flags"
        raise SCMTypeError(msg)
    if tuple(tensor.shape) != shape:
        msg = f"cause {tuple(tensor.shape)} must have the shape {shape} of payload and mask"
        raise SCMValueError(msg)
    if tensor.dtype != torch.uint8 and not torch.compiler.is_compiling():
        wide = tensor.to(torch.int64)
        if bool(((wide < 0) | (wide > 255)).any()):
            msg = "cause has values beyond 0 to 255, which are no Cause flags"
            raise SCMValueError(msg)
    return tensor.to(torch.uint8)


def canonical(payload: Any, mask: Any = None, cause: Any = None) -> Planes:
    """Read payload, mask and cause, and make them canonical.

    Raises:
        SCMTypeError: wrong dtype of payload, mask or cause.
        SCMValueError: shapes that do not fit, or (outside compilation) a cause that contradicts the
            mask.
    """
    (value,) = operands(("payload",), (payload,))
    given = mask_tensor("mask", mask, value.device)
    shape = tuple(value.shape)
    if given is not None:
        shape = broadcast((shape, given.shape), ("payload", "mask"))
        given = given.expand(shape)
    bad = (~torch.isfinite(value.detach())).expand(shape)
    if cause is not None:
        known = _read_cause(cause, shape, value.device)
        compiling = torch.compiler.is_compiling()
        if given is not None and not compiling and not torch.equal(known != 0, given):
            msg = "cause must be non-zero exactly where the mask is True"
            raise SCMValueError(msg)
    elif given is None:
        return settle(value, None, None, Cause.NONFINITE)
    else:
        known = _flag(given, Cause.MASKED)
    known = torch.where(known == 0, _flag(bad, Cause.NONFINITE), known)
    whole = known != 0
    return Planes(torch.where(whole, 0.0, value.expand(shape)), whole, known)


class _Operand(NamedTuple):
    payload: Any
    mask: Any
    cause: Any  # None: where the payload is not finite


def _read(value: Any) -> _Operand:
    if isinstance(value, Planes):
        return _Operand(value.payload, value.mask, value.cause)
    if isinstance(value, SCMValue):
        if value.is_bottom:
            return _Operand(0.0, True, int(value.cause))
        return _Operand(value.payload, None, None)
    return _Operand(value, None, None)


def _entry(read: Sequence[_Operand], values: Sequence[Tensor]) -> Tensor:
    """The OR of what the operands bring along."""
    brought = []
    for operand, value in zip(read, values, strict=True):
        if operand.cause is None:
            brought.append(_flag(~torch.isfinite(value.detach()), Cause.NONFINITE))
        elif isinstance(operand.cause, Tensor):
            brought.append(operand.cause)
        else:
            brought.append(torch.tensor(operand.cause, dtype=torch.uint8, device=value.device))
    return brought[0] if len(brought) == 1 else brought[0] | brought[1]


def operate(name: str, inputs: Sequence[Any]) -> Planes:
    """One of the thirteen operations, with causes by the rule of joining.

    Args:
        name: key of ``OPS``.
        inputs: Planes, SCMValue, numbers, tensors, lists.
    """
    op = OPS[name]
    read = [_read(value) for value in inputs]
    names = ("x", "y")[: op.arity]
    values = operands(names, [operand.payload for operand in read], real_last=name == "pow")
    payload, mask = execute(name, values, tuple(operand.mask for operand in read))
    entry = _entry(read, values)
    own = _flag(torch.ones_like(mask), Cause.OVERFLOW)
    still = [value.detach() for value in values]
    for reason, fault in reversed(op.faults):
        own = torch.where(fault(torch, still[0].is_complex(), *still), int(reason), own)
    cause = torch.where(mask, torch.where(entry != 0, entry, own), 0)
    return Planes(payload, mask, cause.to(torch.uint8))


def unify(inputs: Sequence[Any]) -> list[Planes]:
    """Operands as planes of one dtype and device; Python numbers take the dtype of the others."""
    read = [_read(value) for value in inputs]
    names = tuple(f"operand {i}" for i in range(len(read)))
    values = operands(names, [operand.payload for operand in read])
    result = []
    for operand, value in zip(read, values, strict=True):
        if isinstance(operand.cause, Tensor):
            result.append(Planes(value, operand.mask, operand.cause))
        elif operand.cause is not None:
            result.append(canonical(value, cause=torch.tensor(operand.cause)))
        else:
            result.append(canonical(value))
    return result
