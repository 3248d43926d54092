"""The three planes of an array of the common meadow, and how other things become them.

``Planes`` is what ``SCMArray`` is made of and what the modules behind it compute with. A plane of
None says that no lane is ⊥: the clean path carries no array of zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zeroproofml.scm._execute import fill
from zeroproofml.scm._operands import is_weak, read_mask, read_payload
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.value import SCMValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Planes", "canonical", "each", "seal", "unify"]


class Planes(NamedTuple):
    """Canonical payload; mask and cause of its shape, both None where no lane is ⊥."""

    payload: NDArray[Any]
    mask: NDArray[np.bool_] | None
    cause: NDArray[np.uint8] | None

    def full_mask(self) -> NDArray[np.bool_]:
        """The mask as an array."""
        return np.zeros(self.payload.shape, np.bool_) if self.mask is None else self.mask

    def full_cause(self) -> NDArray[np.uint8]:
        """The cause as an array."""
        return np.zeros(self.payload.shape, np.uint8) if self.cause is None else self.cause


def each(planes: Planes, function: Callable[[NDArray[Any]], Any]) -> Planes:
    """The same rearrangement of every plane; a scalar it returns becomes a 0-d array."""
    payload, mask, cause = planes
    return Planes(
        np.asarray(function(payload)),
        None if mask is None else np.asarray(function(mask)),
        None if cause is None else np.asarray(function(cause)),
    )


def _read_cause(cause: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array = np.asarray(cause)
    if array.dtype.kind not in "iu":
        msg = f"cause: {array.dtype} is not a cause; pass a uint8 array of Cause flags"
        raise SCMTypeError(msg)
    if array.shape != shape:
        msg = f"cause: shape {array.shape} where payload and mask give {shape}"
        raise SCMValueError(msg)
    if array.dtype != np.uint8 and array.size and not (array.min() >= 0 and array.max() <= 255):
        msg = "cause: values beyond 0 to 255 are no combination of Cause flags"
        raise SCMValueError(msg)
    return array.astype(np.uint8)


def canonical(payload: Any, mask: Any = None, cause: Any = None, *, copy: bool = True) -> Planes:
    """Read payload, mask and cause, and make them canonical.

    Args:
        payload: anything :func:`read_payload` takes.
        mask: anything :func:`read_mask` takes; broadcast against the payload.
        cause: integers of the broadcast shape, or None: MASKED where masked.
        copy: whether a payload that is canonical already must still be copied.

    Raises:
        SCMTypeError: wrong dtype of payload, mask or cause.
        SCMValueError: shapes that do not fit, or a cause that contradicts the mask.
    """
    array = np.asarray(read_payload(payload, "payload"))
    given = read_mask(mask, "mask")
    try:
        shape = array.shape if given is None else np.broadcast_shapes(array.shape, given.shape)
    except ValueError as error:
        msg = f"shapes do not broadcast: payload {array.shape}, mask {np.shape(mask)}"
        raise SCMValueError(msg) from error
    known = None if cause is None else _read_cause(cause, shape)
    if known is not None and given is None:
        given = np.asarray(known != 0)
    elif (
        known is not None
        and given is not None
        and not np.array_equal(known != 0, np.broadcast_to(given, shape))
    ):
        msg = "cause: it must be non-zero exactly where the mask is True"
        raise SCMValueError(msg)
    finite = np.isfinite(array)
    clean = bool(np.all(finite))
    if clean and (given is None or not np.any(given)):
        whole = array if array.shape == shape else np.broadcast_to(array, shape)
        owned = whole if not copy else np.array(whole)
        return Planes(owned, None, None)
    bad = np.array(np.broadcast_to(~finite, shape))
    if known is None:
        known = np.zeros(shape, np.uint8)
        if given is not None:
            np.copyto(known, np.uint8(Cause.MASKED), where=given)
    np.copyto(known, np.uint8(Cause.NONFINITE), where=bad & (known == 0))
    if given is not None:
        np.logical_or(bad, given, out=bad)
    clean_payload = np.array(np.broadcast_to(array, shape))
    fill(clean_payload, bad)
    return Planes(clean_payload, bad, known)


class _Weak(NamedTuple):
    """A scalar that yields to the arrays' dtype; ⊥ if it has a cause."""

    number: float | complex
    cause: int

    def planes(self, dtype: np.dtype[Any]) -> Planes:
        if dtype.kind == "c" and not isinstance(self.number, complex):
            dtype = np.zeros((), dtype).real.dtype  # a real exponent beside a complex base
        with np.errstate(all="ignore"):  # beyond float32: inf, hence ⊥
            array = np.asarray(self.number, dtype=dtype)
        return canonical(array, cause=np.uint8(self.cause) if self.cause else None, copy=False)


def _weak(value: Any) -> _Weak:
    if not isinstance(value, SCMValue):
        return _Weak(np.asarray(read_payload(value, "operand")).item(), 0)
    if value.is_bottom:
        return _Weak(0j if isinstance(value.to_ieee(), complex) else 0.0, int(value.cause))
    return _Weak(value.payload, 0)


def unify(operands: Sequence[Any]) -> list[Planes]:
    """Operands of one operation as planes; scalars take the dtype of the others.

    Args:
        operands: Planes, SCMValue, numbers, or anything :func:`read_payload` takes.

    Raises:
        SCMTypeError: an operand that is not a payload.
        SCMValueError: an operand that cannot be read.
    """
    if all(type(operand) is Planes for operand in operands):
        return list(operands)
    read: list[Planes | _Weak] = []
    for operand in operands:
        if isinstance(operand, Planes):
            read.append(operand)
        elif isinstance(operand, SCMValue) or is_weak(operand):
            read.append(_weak(operand))
        else:
            read.append(canonical(operand, copy=False))
    if not any(isinstance(r, _Weak) for r in read):
        return [r for r in read if isinstance(r, Planes)]
    dtype = np.result_type(*[r.number if isinstance(r, _Weak) else r.payload.dtype for r in read])
    return [r.planes(dtype) if isinstance(r, _Weak) else r for r in read]


def seal(planes: Planes) -> Planes:
    """The same planes, read-only."""
    payload, mask, cause = planes
    payload.flags.writeable = False
    if mask is not None:
        mask.flags.writeable = False
    if cause is not None:
        cause.flags.writeable = False
    return planes
