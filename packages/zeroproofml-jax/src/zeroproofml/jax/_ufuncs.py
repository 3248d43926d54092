"""Which NumPy ufuncs and functions an ``SCMArray`` answers, and how.

``jax.numpy`` has no protocol for strangers' arrays, NumPy has: ``np.sin(a)`` on an SCMArray arrives
here and computes with JAX, inside a trace too. Whatever is not listed is refused by name: a function
that does not know ⊥ must not see a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zeroproofml.jax import _reductions as reductions
from zeroproofml.jax._execute import sign
from zeroproofml.jax._operands import common_shape
from zeroproofml.jax._planes import OUTSIDE, Planes, each, is_traced, operate, read, settle
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = ["FUNCTIONS", "apply_reduce", "apply_ufunc", "check_index"]

_OPERATIONS: Mapping[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.divide: "div",
    np.power: "pow",
    np.reciprocal: "inv",
    np.negative: "neg",
    np.log: "log",
    np.exp: "exp",
    np.sqrt: "sqrt",
    np.sin: "sin",
    np.cos: "cos",
    np.tan: "tan",
}
_COMPARISONS: Mapping[np.ufunc, Callable[..., jax.Array]] = {
    np.equal: jnp.equal,
    np.not_equal: jnp.not_equal,
    np.less: jnp.less,
    np.less_equal: jnp.less_equal,
    np.greater: jnp.greater,
    np.greater_equal: jnp.greater_equal,
}


def _no_order(name: str, *operands: Planes) -> None:
    if any(jnp.iscomplexobj(p.payload) for p in operands):
        msg = f"{name}: complex numbers have no order; take abs() or .real first"
        raise SCMTypeError(msg)


def _absolute(x: Planes) -> Planes:
    zero = x.payload == 0  # |z| has no derivative at 0
    modulus = jnp.where(zero, 0, jnp.abs(jnp.where(zero, 1, x.payload)))
    return settle(modulus, x.mask, x.cause)  # a complex modulus may overflow


def _sign(x: Planes) -> Planes:
    return Planes(sign(x.payload, x.mask)[0], x.mask, x.cause)


def _extremum(function: Callable[..., Any], x: Planes, y: Planes) -> Planes:
    _no_order(function.__name__, x, y)
    cause = x.cause | y.cause
    return settle(function(x.payload, y.payload), cause != 0, cause)


_EXTRAS: Mapping[np.ufunc, Callable[..., Planes]] = {
    np.positive: lambda x: x,
    np.absolute: _absolute,
    np.square: lambda x: operate("mul", (x, x)),
    np.conjugate: lambda x: x._replace(payload=jnp.conj(x.payload)),
    np.sign: _sign,
    np.maximum: partial(_extremum, jnp.maximum),
    np.minimum: partial(_extremum, jnp.minimum),
    np.matmul: reductions.matmul,
}


def _fitting(operands: Sequence[Any]) -> list[Planes]:
    planes = [read(operand) for operand in operands]
    common_shape(("x", "y")[: len(planes)], [p.payload for p in planes])
    return planes


def apply_ufunc(ufunc: np.ufunc, inputs: Sequence[Any]) -> Planes | jax.Array:
    """Call a listed ufunc on planes, arrays, numbers and SCMValues.

    Raises:
        SCMTypeError: a ufunc that is not listed, or an operand that is not a payload.
        SCMValueError: shapes that do not fit.
    """
    name = _OPERATIONS.get(ufunc)
    if name is not None:
        return operate(name, tuple(inputs))
    if ufunc is np.matmul:
        return reductions.matmul(read(inputs[0]), read(inputs[1]))
    if ufunc in _EXTRAS:
        return _EXTRAS[ufunc](*_fitting(inputs))
    if ufunc in _COMPARISONS:
        x, y = _fitting(inputs)
        if ufunc not in (np.equal, np.not_equal):
            _no_order(ufunc.__name__, x, y)
        holds: jax.Array = _COMPARISONS[ufunc](x.payload, y.payload) & ~x.mask & ~y.mask
        return holds
    if ufunc is np.isfinite:
        regular: jax.Array = ~read(inputs[0]).mask
        return regular
    msg = f"numpy.{ufunc.__name__} does not know ⊥; call it on .to_ieee() or .payload"
    raise SCMTypeError(msg)


def apply_reduce(ufunc: np.ufunc, planes: Planes, axis: Any = 0, keepdims: bool = False) -> Planes:
    """``add.reduce``, ``multiply.reduce``, ``maximum.reduce``, ``minimum.reduce``.

    Raises:
        SCMTypeError: the reduction of another ufunc.
    """
    if ufunc is np.add:
        return reductions.sum_(planes, axis, keepdims)
    if ufunc is np.multiply:
        return reductions.prod(planes, axis, keepdims)
    if ufunc in (np.maximum, np.minimum):
        return reductions.extreme(ufunc.__name__[:3], planes, axis, keepdims)
    msg = f"numpy.{ufunc.__name__}.reduce does not know ⊥; call it on .to_ieee() or .payload"
    raise SCMTypeError(msg)


def check_index(shape: tuple[int, ...], index: Any) -> None:
    """Let NumPy judge an index that is known: JAX would clamp it to the last lane, silently.

    Raises:
        IndexError: as NumPy.
    """
    if not is_traced(index):
        plain = jax.tree.map(lambda i: np.asarray(i) if isinstance(i, jax.Array) else i, index)
        np.broadcast_to(np.empty(()), shape)[plain]


def _join(function: Callable[..., Any], arrays: Sequence[Any], axis: int = 0) -> Planes:
    planes = [read(array) for array in arrays]
    dtype = jnp.result_type(*[p.payload for p in planes])
    try:
        payload = function([p.payload.astype(dtype) for p in planes], axis=axis)
    except (TypeError, ValueError) as error:
        shapes = ", ".join(str(p.payload.shape) for p in planes)
        msg = f"{function.__name__}: shapes {shapes} do not fit along axis {axis}"
        raise SCMValueError(msg) from error
    masks, causes = [p.mask for p in planes], [p.cause for p in planes]
    return Planes(payload, function(masks, axis=axis), function(causes, axis=axis))


def _where(condition: Any, x: Any, y: Any) -> Planes:
    chosen = jnp.asarray(condition)
    if chosen.dtype != bool:
        msg = f"where: the condition is {chosen.dtype}; pass a plain bool array"
        raise SCMTypeError(msg)
    a, b = read(x), read(y)
    common_shape(("condition", "x", "y"), [chosen, a.payload, b.payload])
    return Planes(*(jnp.where(chosen, p, q) for p, q in zip(a, b, strict=True)))


def _take(a: Planes, indices: Any, axis: int | None = None) -> Planes:
    if not is_traced(indices):
        np.take(np.broadcast_to(np.empty(()), a.payload.shape), np.asarray(indices), axis)
    parts = zip(a, OUTSIDE, strict=True)
    return Planes(*(jnp.take(p, indices, axis, mode="fill", fill_value=f) for p, f in parts))


def _per_plane(function: Callable[..., Any]) -> Callable[..., Planes]:
    def apply(a: Planes, *args: Any, **kwargs: Any) -> Planes:
        return each(a, lambda plane: function(plane, *args, **kwargs))

    return apply


def _reduced(function: Callable[..., Planes]) -> Callable[..., Planes]:
    def apply(a: Planes, axis: Any = None, keepdims: bool = False) -> Planes:
        return function(a, axis, keepdims)

    return apply


FUNCTIONS: Mapping[Any, Callable[..., Planes]] = MappingProxyType(
    {
        np.concatenate: partial(_join, jnp.concatenate),
        np.stack: partial(_join, jnp.stack),
        np.where: _where,
        np.reshape: _per_plane(jnp.reshape),
        np.ravel: _per_plane(jnp.ravel),
        np.transpose: _per_plane(jnp.transpose),
        np.squeeze: _per_plane(jnp.squeeze),
        np.expand_dims: _per_plane(jnp.expand_dims),
        np.broadcast_to: _per_plane(jnp.broadcast_to),
        np.moveaxis: _per_plane(jnp.moveaxis),
        np.take: _take,
        np.sum: _reduced(reductions.sum_),
        np.prod: _reduced(reductions.prod),
        np.mean: _reduced(reductions.mean),
        np.min: _reduced(partial(reductions.extreme, "min")),
        np.max: _reduced(partial(reductions.extreme, "max")),
    }
)
"""NumPy functions that take SCMArrays, over planes."""
