"""What the public functions accept: payloads, masks and their common shape.

Everything here happens on the host, before tracing: types are judged, Python numbers stay weak,
integers that JAX would truncate become floats. Nothing looks at a value of a JAX array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = ["as_mask", "as_payload", "common_shape"]

_PAYLOAD_DTYPES = (
    jnp.float16,
    jnp.bfloat16,
    jnp.float32,
    jnp.float64,
    jnp.complex64,
    jnp.complex128,
)


def _refuse(name: str, what: str, mend: str) -> SCMTypeError:
    return SCMTypeError(f"{name}: {what} is not a payload; {mend}")


def _number(value: int | float | complex, name: str) -> float | complex:
    """A Python number as a weak float or complex: integers become floats before anything else."""
    if isinstance(value, bool):
        raise _refuse(name, "bool", "pass numbers, and truth values as a mask")
    if not isinstance(value, int):
        return value
    try:
        return float(value)
    except OverflowError:
        msg = f"{name}: the integer is beyond float64; pass a float or a masked lane"
        raise SCMValueError(msg) from None


def _checked(array: Any, name: str) -> Any:
    """The array itself if its dtype is a payload's; the judgement is by dtype alone."""
    dtype = array.dtype
    if dtype == np.bool_:
        raise _refuse(name, "bool", "pass numbers, and truth values as a mask")
    # timedelta64 is an integer to NumPy's type tree.
    if (jnp.issubdtype(dtype, jnp.integer) and dtype.kind != "m") or dtype in _PAYLOAD_DTYPES:
        return array
    raise _refuse(name, f"dtype {dtype}", "pass floating or complex numbers")


def _nested(value: Any, name: str) -> Any:
    """A nested list with every leaf converted on its own, so that no leaf is coerced silently."""
    if isinstance(value, (list, tuple)):
        return [_nested(item, name) for item in value]
    leaf = as_payload(value, name)
    integer = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.integer)
    return leaf.astype(float) if integer else leaf


def as_payload(value: Any, name: str) -> Any:
    """Judge one operand and bring it into a form that ``jax.jit`` takes.

    Args:
        value: JAX or NumPy array, Python or NumPy number, nested list, or what ``asarray`` accepts.
        name: the argument's name, for the message.

    Returns:
        A Python float or complex (weak), or a JAX or NumPy array of a floating, complex or (JAX
        arrays only) integer dtype.

    Raises:
        SCMTypeError: bool, object, string or another dtype that is no payload.
        SCMValueError: an integer beyond float64, or a ragged list.
    """
    if isinstance(value, jax.Array):
        return _checked(value, name)
    if type(value) in (float, complex) or isinstance(value, int):
        return _number(value, name)
    if isinstance(value, (list, tuple)):
        leaves = _nested(value, name)
        try:
            return jnp.asarray(leaves) if leaves else jnp.zeros((0,), dtype=float)
        except (TypeError, ValueError):
            msg = f"{name}: the nested list is ragged; make its rows equally long"
            raise SCMValueError(msg) from None
    if isinstance(value, np.ma.MaskedArray):
        msg = f"{name}: a numpy.ma array would lose its mask here; pass its data and its mask apart"
        raise SCMTypeError(msg)
    if hasattr(value, "__jax_array__"):
        return _checked(jnp.asarray(value), name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor that requires grad
        raise _refuse(name, type(value).__name__, "it does not turn into an array") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array = _checked(array, name)
    # Without x64 JAX would cut int64 to 32 bits, and wrap: the float comes first.
    return array.astype(np.float64) if jnp.issubdtype(array.dtype, jnp.integer) else array


def _truth(value: Any, name: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_truth(item, name) for item in value]
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return bool(value)
    if value is None:
        msg = f"{name}: None is not a truth value; pass bools, or integers (non-zero is True)"
        raise SCMTypeError(msg)
    return as_mask(value, name)


def as_mask(value: Any, name: str) -> Any:
    """Judge one mask; ``None`` stays ``None`` (all False).

    Args:
        value: bool or integer array (non-zero is True), bool, int, nested list of these, or None.
        name: the argument's name, for the message.

    Returns:
        None, or a JAX or NumPy bool array.

    Raises:
        SCMTypeError: a floating, complex, string or object mask.
        SCMValueError: a ragged list.
    """
    if value is None:
        return None
    if isinstance(value, (bool, int)):
        return np.bool_(bool(value))
    if isinstance(value, (list, tuple)):
        try:
            return jnp.asarray(_truth(value, name), dtype=bool)
        except SCMTypeError:
            raise
        except (TypeError, ValueError):
            msg = f"{name}: the nested list is ragged; make its rows equally long"
            raise SCMValueError(msg) from None
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if array.dtype == np.bool_:
        return array
    if jnp.issubdtype(array.dtype, jnp.integer) and array.dtype.kind != "m":
        return array != 0
    msg = f"{name}: dtype {array.dtype} is not a mask; pass bools, or integers (non-zero is True)"
    raise SCMTypeError(msg)


def common_shape(names: Sequence[str], values: Sequence[Any]) -> tuple[int, ...]:
    """The broadcast shape of operands and masks; ``None`` takes no part.

    Raises:
        SCMValueError: the shapes do not broadcast; the message names them all.
    """
    shapes = {n: np.shape(v) for n, v in zip(names, values, strict=True) if v is not None}
    shape, *rest = shapes.values()
    if all(other == shape for other in rest):
        return tuple(shape)
    try:
        return tuple(np.broadcast_shapes(*shapes.values()))
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        msg = f"shapes do not broadcast: {listed}; reshape one of them"
        raise SCMValueError(msg) from None
