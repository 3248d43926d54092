"""The weak sign s(x) = x/|x|, s(0) = 0, s(⊥) = ⊥, and a tracker that remembers an orientation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm._execute import fill
from zeroproofml.scm._operands import resolve
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.value import Number, SCMValue, read_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["OrientationTracker", "weak_sign", "weak_sign_numpy"]


def sign_payload(z: NDArray[Any]) -> NDArray[Any]:
    """The weak sign of finite numbers.

    Real numbers by comparison. Complex numbers are divided by their larger part first, so that the
    modulus neither overflows near MAX nor loses its bits among subnormals.
    """
    if z.dtype.kind != "c":
        signs: NDArray[Any] = np.sign(z)
        return signs
    largest = np.asarray(np.maximum(np.abs(z.real), np.abs(z.imag)))
    np.copyto(largest, 1, where=largest == 0)
    scaled = np.empty_like(z)
    # part by part: a complex quotient by a subnormal overflows inside NumPy
    scaled.real, scaled.imag = z.real / largest, z.imag / largest
    modulus = np.asarray(np.hypot(scaled.real, scaled.imag))
    np.copyto(modulus, 1, where=modulus == 0)
    scaled.real /= modulus
    scaled.imag /= modulus
    return scaled


def weak_sign_numpy(
    x: ArrayLike, mask: ArrayLike | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Weak sign of every lane: x/|x|, and 0 for 0.

    Args:
        x: real or complex payload, as for the thirteen operations.
        mask: True where x is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; complex signs have modulus 1 within 2 eps.

    Raises:
        SCMTypeError: an operand or mask of the wrong type.
        SCMValueError: shapes that do not broadcast.

    >>> weak_sign_numpy([-3.0, 0.0, float("nan")])
    (array([-1.,  0.,  0.]), array([False, False,  True]))
    """
    with np.errstate(all="ignore"):
        (array,), (given,), shape, _ = resolve("sign", (x,), (mask,))
        bad = np.asarray(~np.isfinite(np.broadcast_to(array, shape)))
        if given is not None:
            np.logical_or(bad, given, out=bad)
        finite = np.array(np.broadcast_to(array, shape))
        fill(finite, bad)
        return np.asarray(sign_payload(finite)), bad


def weak_sign(x: Number) -> SCMValue:
    """Weak sign of a number or value; ⊥ stays ⊥ with its cause.

    Raises:
        SCMTypeError: x is neither a number nor an SCMValue.

    >>> weak_sign(-2.5), weak_sign(3 + 4j)
    (SCMValue(-1.0), SCMValue((0.6+0.8j)))
    """
    value = read_number(x, "x")
    if value.is_bottom:
        return value
    return SCMValue(sign_payload(np.asarray(value.payload)).item())


def _threshold(value: Any, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        msg = f"{name}: {type(value).__name__} is not a real number"
        raise SCMTypeError(msg)
    if not (np.isfinite(value) and value >= 0):
        msg = f"{name}: {value} must be finite and not negative"
        raise SCMValueError(msg)
    return float(value)


class OrientationTracker:
    """The orientation of a signal that passes through zero, with hysteresis.

    Near zero the sign of a signal says nothing; the tracker keeps the last orientation until the
    signal is clearly on a side again.

    Args:
        epsilon: up to this modulus, inclusive, the signal has no side of its own.
        hysteresis: with a last orientation, the modulus must reach ``epsilon·(1 + hysteresis)`` to
            change it.
        last: the orientation to start from: a number of modulus 1, or None.

    Raises:
        SCMTypeError: a threshold or ``last`` that is not a number.
        SCMValueError: a negative or non-finite threshold, or a ``last`` whose modulus is not 1.

    >>> tracker = OrientationTracker(epsilon=1.0, hysteresis=0.5)
    >>> [tracker.update(x).payload for x in (0.5, 2, 1, -1.2, -1.5, -0.9, 0.9)]
    [0.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
    """

    __slots__ = ("_last", "epsilon", "hysteresis")

    def __init__(
        self, epsilon: float = 1e-9, hysteresis: float = 0.25, last: Number | None = None
    ) -> None:
        self.epsilon = _threshold(epsilon, "epsilon")
        self.hysteresis = _threshold(hysteresis, "hysteresis")
        self._last: SCMValue | None = None
        if last is not None:
            value = read_number(last, "last")
            if value.is_bottom or abs(abs(value.payload) - 1) > 4 * np.finfo(np.float64).eps:
                msg = f"last: {last!r} is not an orientation; its modulus must be 1"
                raise SCMValueError(msg)
            self._last = value

    @property
    def last(self) -> SCMValue | None:
        """The orientation that is kept, or None before the first."""
        return self._last

    def reset(self) -> None:
        """Forget the last orientation."""
        self._last = None

    def update(self, x: Number) -> SCMValue:
        """The orientation after seeing x; ⊥ gives ⊥ and changes nothing.

        Raises:
            SCMTypeError: x is neither a number nor an SCMValue.
        """
        value = read_number(x, "x")
        if value.is_bottom:
            return value
        with np.errstate(all="ignore"):  # a modulus beyond MAX is inf, and clearly on a side
            modulus = float(np.abs(value.payload))
        if modulus <= self.epsilon:
            return SCMValue(0.0) if self._last is None else self._last
        if self._last is not None and modulus < self.epsilon * (1 + self.hysteresis):
            return self._last
        self._last = weak_sign(value)
        return self._last
