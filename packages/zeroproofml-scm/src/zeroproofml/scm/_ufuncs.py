"""Which NumPy ufuncs and functions an ``SCMArray`` answers, and how.

The thirteen operations go through the executor; a few extras are written here. Whatever is not
listed is refused by name: a function that does not know ⊥ must not see a payload.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm import _reductions as reductions
from zeroproofml.scm._execute import execute
from zeroproofml.scm._kernels import SHORT_POWERS
from zeroproofml.scm._operands import is_weak
from zeroproofml.scm._planes import Planes, each, unify
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS, Op
from zeroproofml.scm.sign import sign_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["apply_function", "apply_reduce", "apply_ufunc"]

_OPERATIONS: dict[np.ufunc, Op] = {
    np.add: OPS["add"],
    np.subtract: OPS["sub"],
    np.multiply: OPS["mul"],
    np.divide: OPS["div"],
    np.power: OPS["pow"],
    np.reciprocal: OPS["inv"],
    np.negative: OPS["neg"],
    np.log: OPS["log"],
    np.exp: OPS["exp"],
    np.sqrt: OPS["sqrt"],
    np.sin: OPS["sin"],
    np.cos: OPS["cos"],
    np.tan: OPS["tan"],
}
_COMPARISONS = frozenset(
    {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
)


def _operate(op: Op, inputs: Sequence[Any]) -> Planes:
    planes = unify(inputs)
    if op.name == "pow" and planes[1].payload.dtype.kind == "c":
        msg = "y: a complex exponent is not defined here; pass its real part"
        raise SCMTypeError(msg)
    payloads, masks, causes = map(list, zip(*planes, strict=True))
    if op.name == "pow" and is_weak(inputs[1]) and inputs[1] in SHORT_POWERS:
        payloads[1] = float(inputs[1].real)
    try:
        result = execute(op, payloads, masks, None, causes)
    except ValueError as error:
        shapes = " and ".join(str(p.payload.shape) for p in planes)
        msg = f"shapes do not broadcast: {shapes}; reshape one of them"
        raise SCMValueError(msg) from error
    return Planes(*result)


def _absolute(x: Planes) -> Planes:
    with np.errstate(all="ignore"):
        r = np.abs(x.payload)
    return reductions.settle(r, x.mask, x.cause)  # a complex modulus may overflow


def _sign(x: Planes) -> Planes:
    with np.errstate(all="ignore"):
        return x._replace(payload=np.asarray(sign_payload(x.payload)))


def _extremum(ufunc: np.ufunc) -> Callable[[Planes, Planes], Planes]:
    def apply(x: Planes, y: Planes) -> Planes:
        if "c" in (x.payload.dtype.kind, y.payload.dtype.kind):
            msg = f"{ufunc.__name__}: complex numbers have no order; take abs() or .real first"
            raise SCMTypeError(msg)
        r = np.asarray(ufunc(x.payload, y.payload))
        if x.mask is None and y.mask is None:
            return Planes(r, None, None)
        mask = np.asarray(x.full_mask() | y.full_mask())
        return reductions.settle(r, mask, x.full_cause() | y.full_cause())

    return apply


_EXTRAS: dict[np.ufunc, Callable[..., Planes]] = {
    np.positive: lambda x: x,
    np.absolute: _absolute,
    np.square: lambda x: _operate(OPS["mul"], (x, x)),
    np.conjugate: lambda x: each(x, lambda p: p.conj() if p.dtype.kind == "c" else p),
    np.sign: _sign,
    np.maximum: _extremum(np.maximum),
    np.minimum: _extremum(np.minimum),
    np.matmul: reductions.matmul,
}


def _compare(ufunc: np.ufunc, x: Planes, y: Planes) -> NDArray[np.bool_]:
    if ufunc not in {np.equal, np.not_equal} and "c" in (
        x.payload.dtype.kind,
        y.payload.dtype.kind,
    ):
        msg = f"{ufunc.__name__}: complex numbers have no order; compare abs() or .real"
        raise SCMTypeError(msg)
    r = np.asarray(ufunc(x.payload, y.payload))
    for planes in (x, y):
        if planes.mask is not None:
            r = np.asarray(r & ~planes.mask)
    return r


def _checked(function: Callable[..., Any], planes: Sequence[Planes]) -> Any:
    try:
        return function(*planes)
    except SCMValueError:
        raise
    except ValueError as error:
        shapes = " and ".join(str(p.payload.shape) for p in planes)
        msg = f"shapes do not broadcast: {shapes}; reshape one of them"
        raise SCMValueError(msg) from error


def apply_ufunc(ufunc: np.ufunc, inputs: Sequence[Any]) -> Planes | NDArray[np.bool_]:
    """Call a listed ufunc on planes, arrays, numbers and SCMValues.

    Raises:
        SCMTypeError: a ufunc that is not listed, or an operand that is not a payload.
        SCMValueError: shapes that do not fit.
    """
    op = _OPERATIONS.get(ufunc)
    if op is not None:
        return _operate(op, inputs)
    if ufunc in _EXTRAS:
        result: Planes = _checked(_EXTRAS[ufunc], unify(inputs))
        return result
    if ufunc in _COMPARISONS:
        compared: NDArray[np.bool_] = _checked(lambda x, y: _compare(ufunc, x, y), unify(inputs))
        return compared
    if ufunc is np.isfinite:
        return np.asarray(~unify(inputs)[0].full_mask())
    msg = f"numpy.{ufunc.__name__} does not know ⊥; call it on .to_ieee() or .payload"
    raise SCMTypeError(msg)


def apply_reduce(ufunc: np.ufunc, planes: Planes, axis: Any = 0, keepdims: bool = False) -> Planes:
    """``add.reduce``, ``multiply.reduce``, ``maximum.reduce``, ``minimum.reduce``.

    Raises:
        SCMTypeError: the reduction of another ufunc.
    """
    if ufunc in {np.add, np.multiply}:
        return reductions.reduce(ufunc, planes, axis, keepdims)
    if ufunc in {np.maximum, np.minimum}:
        return reductions.extreme(ufunc, planes, axis, keepdims)
    msg = f"numpy.{ufunc.__name__}.reduce does not know ⊥; call it on .to_ieee() or .payload"
    raise SCMTypeError(msg)


def _join(function: Callable[..., Any], arrays: Sequence[Any], axis: Any) -> Planes:
    if isinstance(arrays, Planes):  # one array stands for the lanes of its axis 0
        whole, take = arrays, operator.itemgetter
        arrays = [each(whole, take(i)) for i in range(len(whole.payload))]
    planes = unify(list(arrays))

    def joined(parts: list[Any]) -> Any:
        try:
            return function(parts, axis=axis)
        except np.exceptions.AxisError:
            raise
        except ValueError as error:
            shapes = ", ".join(str(p.payload.shape) for p in planes)
            msg = f"{function.__name__}: shapes {shapes} do not fit along axis {axis}"
            raise SCMValueError(msg) from error

    payload = joined([p.payload for p in planes])
    if all(p.mask is None for p in planes):
        return Planes(payload, None, None)
    masks, causes = [p.full_mask() for p in planes], [p.full_cause() for p in planes]
    return Planes(payload, joined(masks), joined(causes))


def _where(condition: Any, x: Any, y: Any) -> Planes:
    chosen = np.asarray(condition)
    if chosen.dtype != np.bool_:
        msg = f"where: the condition is {chosen.dtype}; pass a plain bool array"
        raise SCMTypeError(msg)

    def select(a: Planes, b: Planes) -> Planes:
        payload = np.asarray(np.where(chosen, a.payload, b.payload))
        if a.mask is None and b.mask is None:
            return Planes(payload, None, None)
        mask = np.asarray(np.where(chosen, a.full_mask(), b.full_mask()))
        cause = np.asarray(np.where(chosen, a.full_cause(), b.full_cause()))
        return Planes(payload, mask, cause)

    result: Planes = _checked(select, unify([x, y]))
    return result


def _per_plane(function: Callable[..., Any]) -> Callable[..., Planes]:
    def apply(a: Planes, *args: Any, **kwargs: Any) -> Planes:
        return each(a, lambda plane: function(plane, *args, **kwargs))

    return apply


def _concatenate(arrays: Sequence[Any], axis: Any = 0) -> Planes:
    return _join(np.concatenate, arrays, axis)


def _stack(arrays: Sequence[Any], axis: Any = 0) -> Planes:
    return _join(np.stack, arrays, axis)


def _reduction(function: Callable[..., Planes], *ufunc: np.ufunc) -> Callable[..., Planes]:
    def reduced(a: Planes, axis: Any = None, keepdims: bool = False) -> Planes:
        return function(*ufunc, a, axis, keepdims)

    return reduced


_FUNCTIONS: dict[Any, Callable[..., Planes]] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.where: _where,
    np.reshape: _per_plane(np.reshape),
    np.ravel: _per_plane(np.ravel),
    np.transpose: _per_plane(np.transpose),
    np.squeeze: _per_plane(np.squeeze),
    np.expand_dims: _per_plane(np.expand_dims),
    np.broadcast_to: _per_plane(np.broadcast_to),
    np.moveaxis: _per_plane(np.moveaxis),
    np.take: _per_plane(np.take),
    np.sum: _reduction(reductions.reduce, np.add),
    np.prod: _reduction(reductions.reduce, np.multiply),
    np.mean: _reduction(reductions.mean),
    np.min: _reduction(reductions.extreme, np.minimum),
    np.max: _reduction(reductions.extreme, np.maximum),
}


def apply_function(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Planes:
    """Call a listed NumPy function on planes.

    Raises:
        SCMTypeError: a function, or an option of it, that is not listed.
    """
    if function not in _FUNCTIONS:
        msg = f"numpy.{function.__name__} does not know ⊥; call it on .to_ieee() or .payload"
        raise SCMTypeError(msg)
    try:
        return _FUNCTIONS[function](*args, **kwargs)
    except SCMTypeError:
        raise
    except TypeError as error:  # an option such as out= or dtype=
        msg = f"numpy.{function.__name__} on an SCMArray: {error}"
        raise SCMTypeError(msg) from error
