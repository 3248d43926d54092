"""How planes are printed, and how a cause is said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from zeroproofml.scm._planes import Planes

__all__ = ["explain", "show"]

_WORDS = {
    Cause.MASKED: "masked on entry",
    Cause.NONFINITE: "NaN or infinite on entry",
    Cause.DIV_ZERO: "division by zero",
    Cause.DOMAIN: "the operation is not defined there",
    Cause.OVERFLOW: "the result is not representable",
    Cause.THRESHOLD: "the denominator is below its threshold",
    Cause.NULL_TUPLE: "the tuple is (0, 0)",
    Cause.VALIDITY: "a validity factor is below its threshold",
}


def explain(cause: Cause) -> str:
    """A cause in words: every flag with its meaning, or "regular".

    >>> explain(Cause.DIV_ZERO)
    'DIV_ZERO (division by zero)'
    """
    said = [f"{flag.name} ({words})" for flag, words in _WORDS.items() if cause & flag]
    return " and ".join(said) or "regular"


def show(planes: Planes) -> str:
    """The repr of an SCMArray: numbers as NumPy prints them alone, ⊥ for bottom, dtype if not
    float64."""
    payload = planes.payload
    flat, mask = payload.reshape(-1), planes.full_mask().reshape(-1)

    def lane(index: Any) -> str:
        return "⊥" if mask[index] else str(flat[index])

    if not payload.ndim:
        body = lane(0)
    else:  # lanes are printed by number, so that a long array is cut before it is formatted
        numbers = np.arange(payload.size).reshape(payload.shape)
        body = np.array2string(
            numbers, separator=", ", prefix="SCMArray(", formatter={"int_kind": lane}
        )
    shape = f", shape={payload.shape}" if not payload.size and payload.ndim > 1 else ""
    dtype = "" if payload.dtype == np.float64 else f", dtype={payload.dtype}"
    return f"SCMArray({body}{shape}{dtype})"
