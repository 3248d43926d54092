"""Reading operands: what may be a payload, a mask, or an output, and of which dtype and shape.

Everything that is not two plain arrays of one dtype and shape passes through here before the
executor sees it. Reading never copies an array that is already usable, and never writes to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import numpy as np

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Resolved", "check_out", "is_weak", "read_mask", "read_payload", "resolve"]

_BOOL = np.dtype(np.bool_)
_FLOAT64 = np.dtype(np.float64)


class Resolved(NamedTuple):
    """Operands ready for the executor: arrays of their own dtypes, masks or None, and the result's
    shape and dtype."""

    operands: tuple[NDArray[Any], ...]
    masks: tuple[NDArray[np.bool_] | None, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_weak(value: object) -> TypeGuard[int | float | complex]:
    """Whether a value is a Python number, whose dtype yields to any array's (NEP 50)."""
    return isinstance(value, (int, float, complex)) and not isinstance(value, (bool, np.generic))


def _refuse(name: str, what: str) -> SCMTypeError:
    return SCMTypeError(f"{name}: {what} is not a payload; pass floating or complex numbers")


def _read_weak(value: complex, name: str) -> float | complex:
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError as error:
            msg = f"{name}: the integer is beyond float64; scale it before it becomes an operand"
            raise SCMValueError(msg) from error
    return value


def _check_items(value: Any, name: str) -> None:
    """Refuse a bool inside a list: NumPy would turn [True, 2.0] into [1.0, 2.0] silently.

    None (NaN to NumPy) and what merely converts to a float are no numbers either.
    """
    if isinstance(value, (list, tuple)):
        for item in value:
            _check_items(item, name)
    elif isinstance(value, bool) or getattr(value, "dtype", None) == _BOOL:
        raise _refuse(name, "bool")
    elif not (is_weak(value) or hasattr(value, "__array__")):
        raise _refuse(name, f"a list of {type(value).__name__}")


def _read_sequence(value: Any, name: str) -> NDArray[Any]:
    _check_items(value, name)
    try:
        array = np.asarray(value)
    except ValueError as error:
        msg = f"{name}: the nested lists have unequal lengths; pass a rectangular array"
        raise SCMValueError(msg) from error
    if array.dtype.kind != "O":
        return array
    try:  # integers beyond int64 arrive as objects
        return np.asarray(value, dtype=np.float64)
    except OverflowError as error:
        msg = f"{name}: an integer is beyond float64; scale it before it becomes an operand"
        raise SCMValueError(msg) from error
    except (TypeError, ValueError) as error:
        raise _refuse(name, "a list of objects") from error


def read_payload(value: Any, name: str) -> NDArray[Any] | float | complex:
    """An operand as a floating or complex array, or as a Python number that is weak.

    Integers, signed or unsigned, become float64 here, before anything else happens to them.

    Args:
        value: array, number, nested list, or anything ``numpy.asarray`` accepts.
        name: what to call it in an error.

    Raises:
        SCMTypeError: bool, object, string, datetime, or a masked array.
        SCMValueError: a ragged list, or an integer beyond float64.

    >>> read_payload([1, 2], "x")
    array([1., 2.])
    >>> read_payload(3, "x")
    3.0
    """
    if is_weak(value):
        return _read_weak(value, name)
    if isinstance(value, np.ma.MaskedArray):
        msg = f"{name}: a numpy.ma array would lose its mask here; use SCMArray via bridge.from_masked"
        raise SCMTypeError(msg)
    if isinstance(value, (list, tuple)):
        array = _read_sequence(value, name)
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            msg = f"{name}: not readable as an array; pass a rectangular array of numbers"
            raise SCMValueError(msg) from error
        except (TypeError, RuntimeError) as error:  # an SCMArray, a tensor that requires grad
            msg = f"{name}: {type(value).__name__} does not turn into a plain array: {error}"
            raise SCMTypeError(msg) from error
    kind = array.dtype.kind
    if kind in "fc":
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if kind in "iu":
        return array.astype(np.float64)
    raise _refuse(name, str(array.dtype))


def read_mask(value: Any, name: str) -> NDArray[np.bool_] | None:
    """A mask as a bool array, or None.

    Args:
        value: None, bool or integer array (non-zero = True), bool scalar, or a list of these.
        name: what to call it in an error.

    Raises:
        SCMTypeError: any other dtype.
        SCMValueError: a ragged list.

    >>> read_mask([0, 2], "mask")
    array([False,  True])
    """
    if value is None:
        return None
    try:
        array = np.asarray(bool(value) if isinstance(value, int) else value)
    except ValueError as error:
        msg = f"{name}: not readable as an array; pass a bool array"
        raise SCMValueError(msg) from error
    except (TypeError, RuntimeError) as error:
        msg = f"{name}: {type(value).__name__} is not a mask; pass a bool array"
        raise SCMTypeError(msg) from error
    if array.dtype == _BOOL:
        return array
    if array.dtype.kind in "iu" or (array.size == 0 and isinstance(value, (list, tuple))):
        return array.astype(_BOOL)
    msg = f"{name}: {array.dtype} is not a mask; pass a bool array"
    raise SCMTypeError(msg)


def _names(arity: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (("x",), ("mask",)) if arity == 1 else (("x", "y"), ("mask_x", "mask_y"))


def _common_shape(names: Sequence[str], arrays: Sequence[Any]) -> tuple[int, ...]:
    shapes: list[tuple[int, ...]] = [np.shape(array) for array in arrays if array is not None]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        said = ", ".join(
            f"{name} {np.shape(array)}"
            for name, array in zip(names, arrays, strict=True)
            if array is not None
        )
        msg = f"shapes do not broadcast: {said}; reshape one of them"
        raise SCMValueError(msg) from error


def _as_array(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A weak number in the dtype that the others decided; an array as it is."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, complex) or dtype.kind != "c":
        return np.asarray(value, dtype=dtype)
    return np.asarray(value, dtype=np.empty(0, dtype).real.dtype)


def resolve(name: str, operands: Sequence[Any], masks: Sequence[Any]) -> Resolved:
    """Read all operands and masks of one operation.

    Call it inside ``errstate``: a weak number that overflows the arrays' dtype becomes inf, and
    so ⊥ on entry, without a warning.

    Args:
        name: the operation; only ``pow`` has a rule of its own (a real exponent).
        operands: x, or x and y.
        masks: one mask or None per operand.

    Raises:
        SCMTypeError: an operand, a mask or an exponent of the wrong type.
        SCMValueError: shapes that do not broadcast; unreadable values.
    """
    payload_names, mask_names = _names(len(operands))
    payloads = [read_payload(v, n) for v, n in zip(operands, payload_names, strict=True)]
    read = tuple(read_mask(v, n) for v, n in zip(masks, mask_names, strict=True))
    if name == "pow":
        exponent = payloads[1]
        if isinstance(exponent, complex) or (
            isinstance(exponent, np.ndarray) and exponent.dtype.kind == "c"
        ):
            msg = "y: a complex exponent is not defined here; pass its real part"
            raise SCMTypeError(msg)
    dtype: np.dtype[Any] = np.result_type(
        *[p.dtype if isinstance(p, np.ndarray) else p for p in payloads]
    )
    shape = _common_shape((*payload_names, *mask_names), (*payloads, *read))
    return Resolved(tuple(_as_array(p, dtype) for p in payloads), read, shape, dtype)


def check_out(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The two arrays of ``out``, checked before anything is written.

    Raises:
        SCMTypeError: not a pair of arrays, or the wrong dtype.
        SCMValueError: the wrong shape, read-only, or one memory for both.
    """
    if not (isinstance(out, tuple) and len(out) == 2):
        msg = "out: pass a pair of arrays (payload, mask)"
        raise SCMTypeError(msg)
    for which, array, wanted in zip(("payload", "mask"), out, (dtype, _BOOL), strict=True):
        if not isinstance(array, np.ndarray):
            msg = f"out {which}: {type(array).__name__} is not an array"
            raise SCMTypeError(msg)
        if array.dtype != wanted:
            msg = f"out {which}: dtype {array.dtype} where the result is {wanted}"
            raise SCMTypeError(msg)
        if array.shape != shape:
            msg = f"out {which}: shape {array.shape} where the result is {shape}"
            raise SCMValueError(msg)
        if not array.flags.writeable:
            msg = f"out {which}: the array is read-only; pass a writable one"
            raise SCMValueError(msg)
    payload, mask = out
    if np.may_share_memory(payload, mask):
        msg = "out: payload and mask share memory; pass two separate arrays"
        raise SCMValueError(msg)
    return payload, mask
