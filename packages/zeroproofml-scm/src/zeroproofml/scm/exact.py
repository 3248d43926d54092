"""The rational oracle: the field operations over exact fractions and ⊥, and rounding to a dtype.

A value is a ``Fraction`` or :data:`BOT`. Nothing here rounds, overflows or imports NumPy, so it can
referee what does: for finite operands an operation of a dtype must equal
``round_to(exact operation, dtype)``, ⊥ exactly where that is ⊥.

The operations are those of the common meadow of the rationals (J. A. Bergstra and A. Ponse,
"Division by zero in common meadows", arXiv:1406.6878) with the weak sign of signed meadows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isfinite, ldexp
from numbers import Rational, Real
from types import MappingProxyType
from typing import Any, Final, final

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = [
    "BOT",
    "Bottom",
    "Exact",
    "Operand",
    "add",
    "div",
    "inv",
    "mul",
    "neg",
    "operation",
    "pow",
    "read",
    "round_to",
    "sign",
    "sub",
]


@final
class Bottom:
    """The type of :data:`BOT`, its only instance.

    >>> Bottom() is BOT
    True
    """

    __slots__ = ()
    _instance: Bottom | None = None

    def __new__(cls) -> Bottom:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "⊥"

    def __bool__(self) -> bool:
        msg = "the truth of ⊥ is ambiguous; compare with `is BOT`"
        raise SCMTypeError(msg)

    def __reduce__(self) -> str:
        return "BOT"  # copies and pickles are the same object


BOT: Final = Bottom()
"""⊥: one, unsigned, absorbing."""

Exact = Fraction | Bottom
"""What the operations return."""
Operand = int | float | Fraction | Bottom
"""What they take; NumPy's real numbers too."""


def read(value: Any, name: str = "value") -> Exact:
    """A number as an exact value.

    Args:
        value: int, Fraction, :data:`BOT`, or a float (also a NumPy one), which is converted
            exactly; NaN and ±inf are ⊥.
        name: the argument that an error names.

    Raises:
        SCMTypeError: bool, complex, str or another type.

    >>> read(0.5), read(float("nan"))
    (Fraction(1, 2), ⊥)
    """
    if isinstance(value, (Fraction, Bottom)):
        return value
    if isinstance(value, float):
        return Fraction(value) if isfinite(value) else BOT
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"{name}: {type(value).__name__} is not exact; pass int, float, Fraction or BOT"
        raise SCMTypeError(msg)
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    try:
        numerator, denominator = value.as_integer_ratio()  # type: ignore[attr-defined] # NumPy's have it
    except (OverflowError, ValueError):  # ±inf, NaN
        return BOT
    return Fraction(int(numerator), int(denominator))


def add(x: Operand, y: Operand) -> Exact:
    """x + y.

    >>> add(1, Fraction(1, 3))
    Fraction(4, 3)
    """
    a, b = read(x, "x"), read(y, "y")
    return BOT if isinstance(a, Bottom) or isinstance(b, Bottom) else a + b


def sub(x: Operand, y: Operand) -> Exact:
    """x − y.

    >>> sub(BOT, BOT)
    ⊥
    """
    a, b = read(x, "x"), read(y, "y")
    return BOT if isinstance(a, Bottom) or isinstance(b, Bottom) else a - b


def mul(x: Operand, y: Operand) -> Exact:
    """x · y.

    >>> mul(0, BOT)
    ⊥
    """
    a, b = read(x, "x"), read(y, "y")
    return BOT if isinstance(a, Bottom) or isinstance(b, Bottom) else a * b


def div(x: Operand, y: Operand) -> Exact:
    """x / y; ⊥ where y = 0.

    >>> div(1, 3), div(0, 0)
    (Fraction(1, 3), ⊥)
    """
    a, b = read(x, "x"), read(y, "y")
    return BOT if isinstance(a, Bottom) or isinstance(b, Bottom) or not b else a / b


def inv(x: Operand) -> Exact:
    """1 / x; ⊥ where x = 0.

    >>> inv(-4)
    Fraction(-1, 4)
    """
    return div(1, x)


def neg(x: Operand) -> Exact:
    """−x.

    >>> neg(BOT)
    ⊥
    """
    a = read(x, "x")
    return BOT if isinstance(a, Bottom) else -a


def pow(x: Operand, y: Operand) -> Exact:  # noqa: A001 - the name of the row in OPS
    """x ** y with an integer exponent; 0⁰ = 1, and 0 to a negative power is ⊥.

    Raises:
        SCMTypeError: an exponent that is neither an integer nor ⊥.

    >>> pow(Fraction(2, 3), -2), pow(0, 0), pow(BOT, 0)
    (Fraction(9, 4), Fraction(1, 1), ⊥)
    """
    a, e = read(x, "x"), read(y, "y")
    if isinstance(e, Bottom):
        return BOT
    if e.denominator != 1:
        msg = f"y: to the power {e} is not a rational operation; pass an integer exponent"
        raise SCMTypeError(msg)
    if isinstance(a, Bottom) or (not a and e < 0):
        return BOT
    return Fraction(a**e.numerator)


def sign(x: Operand) -> Exact:
    """The weak sign: x/|x|, and 0 for 0.

    >>> sign(Fraction(-7, 3)), sign(0), sign(BOT)
    (Fraction(-1, 1), Fraction(0, 1), ⊥)
    """
    a = read(x, "x")
    return BOT if isinstance(a, Bottom) else Fraction((a > 0) - (a < 0))


_OPERATIONS: Mapping[str, Callable[..., Exact]] = MappingProxyType(
    {
        "add": add,
        "sub": sub,
        "mul": mul,
        "div": div,
        "inv": inv,
        "neg": neg,
        "pow": pow,
        "sign": sign,
    }
)


def operation(name: str) -> Callable[..., Exact]:
    """The exact operation of a name in ``OPS``, or of ``"sign"``.

    Raises:
        SCMTypeError: an operation that leaves the rationals.

    >>> operation("mul")(2, 3)
    Fraction(6, 1)
    >>> operation("log")
    Traceback (most recent call last):
    zeroproofml.scm.errors.SCMTypeError: log is not a rational operation; there are add, sub, mul, div, inv, neg, pow, sign
    """
    if name not in _OPERATIONS:
        msg = f"{name} is not a rational operation; there are {', '.join(_OPERATIONS)}"
        raise SCMTypeError(msg)
    return _OPERATIONS[name]


_FORMATS = MappingProxyType(  # bits of the significand, largest exponent
    {"float16": (11, 15), "float32": (24, 127), "float64": (53, 1023), "bfloat16": (8, 127)}
)


def round_to(q: Operand, dtype: str) -> Exact:
    """Round to the nearest number of a binary format, ties to even (IEEE 754, §4.3.1).

    Args:
        q: an exact value.
        dtype: ``"float16"``, ``"float32"``, ``"float64"`` or ``"bfloat16"``.

    Returns:
        The rounded number: a subnormal or 0 below the normal range (−0.0 is 0), ⊥ where it would
        be 2^(emax+1) or more.

    Raises:
        SCMTypeError: q is not an exact value.
        SCMValueError: another dtype.

    >>> round_to(Fraction(1, 3), "bfloat16")
    Fraction(171, 512)
    >>> round_to(65519, "float16"), round_to(65520, "float16")
    (Fraction(65504, 1), ⊥)
    """
    if dtype not in _FORMATS:
        msg = f"dtype: {dtype!r} is not a binary format; there are {', '.join(_FORMATS)}"
        raise SCMValueError(msg)
    value = read(q, "q")
    if isinstance(value, Bottom) or not value:
        return value
    bits, emax = _FORMATS[dtype]
    numerator, denominator = abs(value.numerator), value.denominator
    exponent = numerator.bit_length() - denominator.bit_length()  # floor(log2) or one more
    if _below(numerator, denominator, exponent):
        exponent -= 1
    step = max(exponent, 1 - emax) - bits + 1  # one unit in the last place is 2^step
    numerator <<= max(-step, 0)
    denominator <<= max(step, 0)
    units, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and units & 1):
        units += 1
    if units.bit_length() + step > emax + 1:
        return BOT
    # Every number of these formats is a double, and a double becomes a Fraction without a gcd.
    return Fraction(ldexp(units if value > 0 else -units, step))


def _below(numerator: int, denominator: int, exponent: int) -> bool:
    """Whether numerator / denominator < 2^exponent."""
    return numerator << max(-exponent, 0) < denominator << max(exponent, 0)
