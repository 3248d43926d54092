"""The three planes of an array of the common meadow, as JAX arrays, and the operations on them.

Everything here traces. A scalar that yields to the arrays' dtype is a weak JAX array.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zeroproofml.jax._execute import cores, promote
from zeroproofml.jax._operands import as_mask, as_payload, common_shape
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.value import SCMValue

__all__ = ["OUTSIDE", "Planes", "canonical", "each", "is_traced", "operate", "read", "settle"]


class Planes(NamedTuple):
    """Canonical payload, mask and cause, of one shape."""

    payload: Any
    mask: Any
    cause: Any


OUTSIDE = Planes(0, True, int(Cause.MASKED))
"""What a traced index beyond the end yields: ⊥, and never a neighbour's number."""


def is_traced(*values: Any) -> bool:
    """Whether a value is known only to a trace."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def each(planes: Planes, function: Callable[..., Any]) -> Planes:
    """The same rearrangement of every plane."""
    return Planes(*(function(plane) for plane in planes))


def settle(payload: Any, mask: Any, cause: Any, reason: Cause = Cause.OVERFLOW) -> Planes:
    """Make a computed result canonical: lanes that are not finite become ⊥ for ``reason``."""
    bad = ~jnp.isfinite(payload)
    cause = jnp.where(bad & ~mask, jnp.uint8(int(reason)), cause)
    return Planes(jnp.where(mask | bad, 0, payload), mask | bad, cause)


def _read_cause(cause: Any, shape: tuple[int, ...]) -> jax.Array:
    array = cause if isinstance(cause, jax.Array) else np.asarray(cause)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        msg = f"cause: {array.dtype} is not a cause; pass a uint8 array of Cause flags"
        raise SCMTypeError(msg)
    if array.shape != shape:
        msg = f"cause: shape {array.shape} where payload and mask give {shape}"
        raise SCMValueError(msg)
    if (
        array.dtype != jnp.uint8
        and not is_traced(array)
        and not ((array >= 0) & (array < 256)).all()
    ):
        msg = "cause: values beyond 0 to 255 are no combination of Cause flags"
        raise SCMValueError(msg)
    return jnp.asarray(array).astype(jnp.uint8)


@np.errstate(all="ignore")  # without x64 a float64 beyond float32 is cut, and becomes ⊥
def canonical(payload: Any, mask: Any = None, cause: Any = None) -> Planes:
    """Read payload, mask and cause, and make them canonical.

    A trace has no values: there a lane that is masked without a cause gets MASKED, and one with a
    cause becomes ⊥, where outside a trace the contradiction is refused.

    Args:
        payload: anything the thirteen operations take.
        mask: a mask, or None; broadcast against the payload.
        cause: integers of the broadcast shape, or None: MASKED where masked.

    Raises:
        SCMTypeError: wrong dtype of payload, mask or cause.
        SCMValueError: shapes that do not fit, or a cause that contradicts the mask.
    """
    value, given = as_payload(payload, "payload"), as_mask(mask, "mask")
    shape = common_shape(("payload", "mask"), (value, given))
    integer = jnp.issubdtype(jnp.result_type(value), jnp.integer)
    array = jnp.asarray(value, dtype=float) if integer else jnp.asarray(value)
    array = jnp.broadcast_to(array, shape)
    bad = ~jnp.isfinite(array)
    hidden = jnp.zeros(shape, bool) if given is None else jnp.broadcast_to(given, shape)
    known = jnp.zeros(shape, jnp.uint8) if cause is None else _read_cause(cause, shape)
    if cause is not None:
        if given is not None and not is_traced(known, hidden) and ((known != 0) != hidden).any():
            msg = "cause: it must be non-zero exactly where the mask is True"
            raise SCMValueError(msg)
        hidden = hidden | (known != 0)
    known = jnp.where(hidden & (known == 0), jnp.uint8(int(Cause.MASKED)), known)
    known = jnp.where(bad & (known == 0), jnp.uint8(int(Cause.NONFINITE)), known)
    return Planes(jnp.where(hidden | bad, jnp.zeros_like(array), array), hidden | bad, known)


def read(operand: Any) -> Planes:
    """One operand of an operation as planes: Planes, SCMValue, or anything that is a payload."""
    if isinstance(operand, Planes):
        return operand
    if isinstance(operand, SCMValue):
        if operand.is_bottom:
            return canonical(0.0, True, np.uint8(operand.cause))
        return canonical(operand.payload)
    return canonical(operand)


def _entry(value: jax.Array, plane: Any, shape: tuple[int, ...]) -> jax.Array:
    """The cause on entry; a number beyond the result's dtype is not finite there."""
    plane = jnp.broadcast_to(plane, shape)
    lost = ~jnp.isfinite(value) & (plane == 0)
    return jnp.where(lost, jnp.uint8(int(Cause.NONFINITE)), plane)


@partial(jax.jit, static_argnames=("name", "shape"))
def _operate(
    name: str, shape: tuple[int, ...], payloads: tuple[Any, ...], causes: tuple[Any, ...]
) -> Planes:
    row = OPS[name]
    values = [jnp.broadcast_to(v, shape) for v in promote(name, payloads)]
    entry = jnp.zeros(shape, jnp.uint8)
    for value, plane in zip(values, causes, strict=True):
        entry = entry | _entry(value, plane, shape)
    payload, bottom = cores(name)(entry != 0, *values)
    reason = jnp.full(shape, int(Cause.OVERFLOW), jnp.uint8)
    for cause, undefined in reversed(row.faults):
        fault = undefined(jnp, jnp.iscomplexobj(values[0]), *values)
        reason = jnp.where(fault, jnp.uint8(int(cause)), reason)
    return Planes(payload, bottom, jnp.where(bottom & (entry == 0), reason, entry))


def operate(name: str, operands: tuple[Any, ...]) -> Planes:
    """One of the thirteen operations, with causes by the rule of joining.

    Raises:
        SCMTypeError: an operand that is no payload, or a complex exponent.
        SCMValueError: shapes that do not broadcast.
    """
    planes = [read(operand) for operand in operands]
    payloads = tuple(p.payload for p in planes)
    if name == "pow" and jnp.iscomplexobj(payloads[1]):
        msg = "y: a complex exponent is not defined here; pass its real part"
        raise SCMTypeError(msg)
    shape = common_shape(("x", "y")[: len(planes)], payloads)
    result: Planes = _operate(name, shape, payloads, tuple(p.cause for p in planes))
    return result
