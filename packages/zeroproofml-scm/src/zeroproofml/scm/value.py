"""One element of the common meadow: a finite number, or ⊥ with its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from zeroproofml.scm._execute import execute
from zeroproofml.scm.cause import Cause, describe
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroproofml.scm.optable import Op

__all__ = ["BOTTOM", "Number", "SCMValue", "apply", "read_number"]


def _is_number(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    return isinstance(value, (int, float, complex, np.integer, np.floating, np.complexfloating))


def _as_python(value: Any, name: str) -> float | complex:
    """A Python or NumPy number as float or complex, possibly non-finite."""
    if not _is_number(value):
        msg = f"{name}: {type(value).__name__} is not a number; pass int, float or complex"
        raise SCMTypeError(msg)
    if isinstance(value, (complex, np.complexfloating)):
        return complex(value)
    try:
        return float(value)
    except OverflowError as error:
        msg = f"{name}: the integer is beyond float64; scale it before it becomes an operand"
        raise SCMValueError(msg) from error


def _as_cause(cause: Any) -> Cause:
    if isinstance(cause, (bool, np.bool_)) or not isinstance(cause, (int, np.integer)):
        msg = f"cause: {type(cause).__name__} is not a Cause"
        raise SCMTypeError(msg)
    if not 0 <= cause <= 255:
        msg = f"cause: {int(cause)} is not a combination of Cause flags (0 to 255)"
        raise SCMValueError(msg)
    return Cause(int(cause))


class SCMValue:
    """A finite real or complex number, or ⊥. Immutable and hashable.

    Arithmetic never raises for a numerical reason: 1/0 is ⊥ DIV_ZERO, an overflow ⊥ OVERFLOW, and
    ⊥ absorbs. Two ⊥ are equal whatever their causes.

    Args:
        value: a finite int, float, complex or NumPy number; None for ⊥.
        cause: why it is ⊥; ``Cause.NONE`` exactly when there is a number.

    Raises:
        SCMTypeError: bool, str, Fraction or another type.
        SCMValueError: a non-finite number (see :meth:`from_ieee`), or value and cause disagree.

    >>> SCMValue(1.0) / 0
    SCMValue(⊥ DIV_ZERO)
    >>> SCMValue(3) * 0.5
    SCMValue(1.5)
    """

    __slots__ = ("_cause", "_is_complex", "_value")
    _value: float | complex | None
    _cause: Cause
    _is_complex: bool  # a ⊥ remembers it for to_ieee

    def __init__(self, value: complex | np.number[Any] | None, cause: Cause = Cause.NONE) -> None:
        reason = _as_cause(cause)
        number: float | complex | None = None
        if value is None:
            if not reason:
                msg = "value: None (⊥) needs a cause; use SCMValue.bottom()"
                raise SCMValueError(msg)
        else:
            number = _as_python(value, "value")
            if not np.isfinite(number):
                msg = f"value: {value} is not a finite number; use SCMValue.from_ieee"
                raise SCMValueError(msg)
            if reason:
                msg = f"cause: {describe(reason)} given with a number; ⊥ has value None"
                raise SCMValueError(msg)
        object.__setattr__(self, "_value", number)
        object.__setattr__(self, "_cause", reason)
        object.__setattr__(self, "_is_complex", isinstance(number, complex))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"SCMValue is immutable; {name} cannot be set"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        msg = f"SCMValue is immutable; {name} cannot be deleted"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._value is None:
            return _bottom, (self._cause, self._is_complex)
        return SCMValue, (self._value,)

    @classmethod
    def bottom(cls, cause: Cause = Cause.MASKED) -> SCMValue:
        """⊥ for a stated reason.

        >>> SCMValue.bottom(Cause.DOMAIN)
        SCMValue(⊥ DOMAIN)
        """
        return cls(None, cause)

    @classmethod
    def from_ieee(cls, v: complex | np.number[Any]) -> SCMValue:
        """A number of IEEE arithmetic; NaN and ±inf (in either part) become ⊥ NONFINITE.

        >>> SCMValue.from_ieee(float("nan"))
        SCMValue(⊥ NONFINITE)
        """
        number = _as_python(v, "v")
        if np.isfinite(number):
            return cls(number)
        return _bottom(Cause.NONFINITE, isinstance(number, complex))

    def to_ieee(self) -> float | complex:
        """The number; ⊥ becomes NaN, or nan+nanj if it came of complex numbers.

        >>> BOTTOM.to_ieee()
        nan
        """
        if self._value is None:
            return complex("nan+nanj") if self._is_complex else float("nan")
        return self._value

    @property
    def is_bottom(self) -> bool:
        """Whether this is ⊥."""
        return self._value is None

    @property
    def cause(self) -> Cause:
        """Why it is ⊥; ``Cause.NONE`` for a number."""
        return self._cause

    @property
    def payload(self) -> float | complex:
        """The number.

        Raises:
            BottomError: on ⊥.
        """
        if self._value is None:
            msg = f"payload: the value is ⊥ ({describe(self._cause)}); test is_bottom first"
            raise BottomError(msg)
        return self._value

    def __repr__(self) -> str:
        return (
            f"SCMValue(⊥ {describe(self._cause)})" if self.is_bottom else f"SCMValue({self._value})"
        )

    def __bool__(self) -> NoReturn:
        msg = "the truth of an SCMValue is ambiguous; use .is_bottom or compare the payload"
        raise SCMTypeError(msg)

    def __float__(self) -> float:
        if isinstance(self.payload, complex):
            msg = f"{self!r} is complex; use complex() or .payload.real"
            raise SCMTypeError(msg)
        return self.payload

    def __complex__(self) -> complex:
        return complex(self.payload)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SCMValue):
            return self._value == other._value
        return (
            self._value is not None and bool(self._value == other)
            if _is_number(other)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._value) if self._value is not None else hash("⊥")

    def __add__(self, other: Number) -> SCMValue:
        return _binary("add", self, other)

    def __radd__(self, other: Number) -> SCMValue:
        return _binary("add", other, self)

    def __sub__(self, other: Number) -> SCMValue:
        return _binary("sub", self, other)

    def __rsub__(self, other: Number) -> SCMValue:
        return _binary("sub", other, self)

    def __mul__(self, other: Number) -> SCMValue:
        return _binary("mul", self, other)

    def __rmul__(self, other: Number) -> SCMValue:
        return _binary("mul", other, self)

    def __truediv__(self, other: Number) -> SCMValue:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Number) -> SCMValue:
        return _binary("div", other, self)

    def __pow__(self, other: Number) -> SCMValue:
        return _binary("pow", self, other)

    def __rpow__(self, other: Number) -> SCMValue:
        return _binary("pow", other, self)

    def __neg__(self) -> SCMValue:
        return apply(OPS["neg"], self)

    def __pos__(self) -> SCMValue:
        return self

    def __abs__(self) -> SCMValue:
        if self._value is None:
            return self
        with np.errstate(all="ignore"):
            modulus = float(np.abs(self._value))
        return SCMValue(modulus) if np.isfinite(modulus) else SCMValue.bottom(Cause.OVERFLOW)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """A NumPy scalar beside a value stays scalar; an array beside it makes an SCMArray.

        An array of another framework that has a protocol of its own answers itself.
        """
        scalar = _SCALAR_UFUNCS.get(ufunc)
        if scalar and method == "__call__" and not kwargs and not any(map(_is_array, inputs)):
            return scalar(*inputs)
        from zeroproofml.scm.array import SCMArray

        ours = (SCMValue, SCMArray, np.ndarray, np.generic)
        if any(hasattr(x, "__array_ufunc__") and not isinstance(x, ours) for x in inputs):
            return NotImplemented
        return SCMArray.bottom(()).__array_ufunc__(ufunc, method, *inputs, **kwargs)


Number = SCMValue | int | float | complex
"""What the scalar functions take."""


def read_number(value: Any, name: str) -> SCMValue:
    """A number as a value, a value as it is; non-finite numbers are ⊥ NONFINITE.

    Raises:
        SCMTypeError: anything else, named ``name``.
    """
    return value if isinstance(value, SCMValue) else SCMValue.from_ieee(_as_python(value, name))


def _bottom(cause: Cause, is_complex: bool) -> SCMValue:
    value = SCMValue(None, cause)
    object.__setattr__(value, "_is_complex", is_complex)
    return value


def _is_array(value: object) -> bool:
    return not (isinstance(value, SCMValue) or _is_number(value))


def _binary(name: str, x: object, y: object) -> SCMValue:
    for operand in (x, y):
        if not (isinstance(operand, SCMValue) or _is_number(operand)):
            return cast("SCMValue", NotImplemented)
    return apply(OPS[name], x, y)


def apply(op: Op, *operands: Any) -> SCMValue:
    """Run one operation on scalars: the same row, executor and cause as a lane of an array.

    Args:
        op: a row of ``OPS``.
        operands: SCMValue or numbers; non-finite numbers are ⊥ NONFINITE.

    Raises:
        SCMTypeError: an operand of another type, or a complex exponent.

    >>> apply(OPS["div"], 0, 0)
    SCMValue(⊥ DIV_ZERO)
    """
    values = [read_number(v, name) for v, name in zip(operands, ("x", "y"), strict=False)]
    if op.name == "pow" and values[1]._is_complex:
        msg = "y: a complex exponent is not defined here; pass its real part"
        raise SCMTypeError(msg)
    entry = Cause.NONE
    for value in values:
        entry |= value.cause
    is_complex = any(value._is_complex for value in values)
    if entry:
        return _bottom(entry, is_complex)
    arrays = [np.asarray(value.payload) for value in values]
    nothing = (None,) * len(arrays)
    payload, _, cause = execute(op, arrays, nothing, None, nothing)
    return SCMValue(payload.item()) if cause is None else _bottom(Cause(int(cause)), is_complex)


_SCALAR_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: lambda x, y: apply(OPS["add"], x, y),
    np.subtract: lambda x, y: apply(OPS["sub"], x, y),
    np.multiply: lambda x, y: apply(OPS["mul"], x, y),
    np.divide: lambda x, y: apply(OPS["div"], x, y),
    np.power: lambda x, y: apply(OPS["pow"], x, y),
    np.equal: lambda x, y: y == x if isinstance(y, SCMValue) else x == y,
    np.not_equal: lambda x, y: y != x if isinstance(y, SCMValue) else x != y,
}

BOTTOM = SCMValue.bottom()
"""⊥ for no stated reason."""
