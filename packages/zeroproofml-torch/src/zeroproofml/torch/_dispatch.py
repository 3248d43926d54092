"""Which torch functions an ``SCMTensor`` answers, and how; whatever is not listed is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch import _reductions as reductions
from zeroproofml.torch._arguments import broadcast
from zeroproofml.torch._planes import Planes, each, operate, settle, unify
from zeroproofml.torch.ops import weak_sign_torch

__all__ = ["FUNCTIONS", "call"]


def _operation(name: str) -> Callable[..., Planes]:
    def run(*inputs: Any) -> Planes:
        return operate(name, inputs)

    return run


def _absolute(x: Planes) -> Planes:
    return settle(torch.abs(x.payload), x.mask, x.cause)  # a complex modulus may overflow


def _sign(x: Planes) -> Planes:
    return x._replace(payload=weak_sign_torch(x.payload)[0])


def _square(x: Planes) -> Planes:
    return operate("mul", (x, x))


def _conj(x: Planes) -> Planes:
    # A lazy conjugate is refused by numpy(), and so is its imaginary part.
    return x._replace(payload=x.payload.conj().resolve_conj())


def _real_pair(name: str, x: Any, y: Any) -> list[Planes]:
    pair = unify([x, y])
    if pair[0].payload.is_complex():
        msg = f"{name}: complex numbers have no order; take abs() or .real first"
        raise SCMTypeError(msg)
    _common(pair)
    return pair


def _common(planes: Sequence[Planes]) -> tuple[int, ...]:
    names = tuple(f"operand {i}" for i in range(len(planes)))
    return broadcast([each_.payload.shape for each_ in planes], names)


def _extremum(name: str) -> Callable[..., Planes]:
    def run(x: Any, y: Any) -> Planes:
        a, b = _real_pair(name, x, y)
        value = getattr(torch, name)(a.payload, b.payload)
        cause = a.cause | b.cause
        return settle(value, cause != 0, cause)

    return run


def _comparison(name: str) -> Callable[..., Tensor]:
    def run(x: Any, y: Any) -> Tensor:
        if name in ("eq", "ne"):
            a, b = unify([x, y])
            _common((a, b))
        else:
            a, b = _real_pair(name, x, y)
        found: Tensor = getattr(torch, name)(a.payload, b.payload)
        return found & ~a.mask & ~b.mask

    return run


def _isfinite(x: Planes) -> Tensor:
    return ~x.mask


def _where(condition: Any, x: Any, y: Any) -> Planes:
    if not isinstance(condition, Tensor) or condition.dtype != torch.bool:
        msg = "where: the condition must be a plain bool tensor"
        raise SCMTypeError(msg)
    a, b = unify([x, y])
    shapes = (condition.shape, a.payload.shape, b.payload.shape)
    broadcast(shapes, ("condition", "operand 0", "operand 1"))
    return Planes(*(torch.where(condition, p, q) for p, q in zip(a, b, strict=True)))


def _joined(function: Callable[..., Tensor]) -> Callable[..., Planes]:
    def run(tensors: Sequence[Any], dim: int = 0) -> Planes:
        planes = unify(list(tensors))
        try:
            return Planes(*(function(list(plane), dim=dim) for plane in zip(*planes, strict=True)))
        except (RuntimeError, IndexError) as error:
            shapes = ", ".join(str(tuple(p.payload.shape)) for p in planes)
            msg = f"{function.__name__}: shapes {shapes} do not fit along dim {dim}"
            raise SCMValueError(msg) from error

    return run


def _reshape(x: Planes, *shape: Any) -> Planes:
    return each(x, lambda plane: torch.reshape(plane, shape[0] if len(shape) == 1 else shape))


def _sum(x: Planes, dim: Any = None, keepdim: bool = False) -> Planes:
    return reductions.sum_(x, dim, keepdim)


def _mean(x: Planes, dim: Any = None, keepdim: bool = False) -> Planes:
    return reductions.mean(x, dim, keepdim)


def _extreme(name: str) -> Callable[..., Planes]:
    def run(x: Planes, dim: Any = None, keepdim: bool = False) -> Planes:
        return reductions.extreme(name, x, None if dim == () else dim, keepdim)

    return run


_SPELLINGS = {
    "add": "add",
    "sub": "sub subtract",
    "mul": "mul multiply",
    "div": "div divide true_divide",
    "inv": "reciprocal",
    "neg": "neg negative",
    "pow": "pow",
    "log": "log",
    "exp": "exp",
    "sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{torch_: _operation(name) for name, all_ in _SPELLINGS.items() for torch_ in all_.split()},
    **{name: _comparison(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{name: _extremum(name) for name in ("maximum", "minimum")},
    **{name: _extreme(name) for name in ("amin", "amax")},
    "positive": lambda x: x,
    "abs": _absolute,
    "absolute": _absolute,
    "square": _square,
    "conj": _conj,
    "sign": _sign,
    "sgn": _sign,
    "isfinite": _isfinite,
    "where": _where,
    "stack": _joined(torch.stack),
    "cat": _joined(torch.cat),
    "concat": _joined(torch.cat),
    "concatenate": _joined(torch.cat),
    "reshape": _reshape,
    "sum": _sum,
    "mean": _mean,
    "matmul": reductions.matmul,
}
"""torch's name of a function, or of a tensor method behind an operator → what it does on planes."""


def call(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a torch function on planes.

    Raises:
        SCMTypeError: a function, or an option, that is not listed.
    """
    name = getattr(function, "__name__", str(function))
    known = FUNCTIONS.get(name)
    if known is None:
        msg = f"torch.{name} does not know ⊥; call it on .to_ieee() or .payload"
        raise SCMTypeError(msg)
    extra = {key: value for key, value in kwargs.items() if value is not None}
    places = [extra.pop(key) for key in ("input", "tensors", "other", "exponent") if key in extra]
    if not extra.keys() <= {"dim", "keepdim"}:
        names = ", ".join(sorted(extra))
        msg = f"torch.{name} with {names} does not know ⊥; leave the option out"
        raise SCMTypeError(msg)
    try:
        return known(*args, *places, **extra)
    except TypeError as error:
        if isinstance(error, SCMTypeError):
            raise
        msg = f"torch.{name} does not take these arguments for ⊥-aware tensors: {error}"
        raise SCMTypeError(msg) from error
