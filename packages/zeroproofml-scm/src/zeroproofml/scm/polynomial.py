"""Polynomials in several variables with rational coefficients: exact, immutable, hashable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import gcd, lcm
from types import MappingProxyType
from typing import Any, NoReturn

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.exact import BOT, Bottom, Exact, Operand, read

__all__ = ["TERM_LIMIT", "Monomial", "Polynomial"]

TERM_LIMIT = 100_000
"""A polynomial with more terms is refused: it would rather fill the memory than be evaluated."""

Monomial = tuple[tuple[str, int], ...]
"""Variables with their exponents, by name, no exponent 0; () is the constant monomial."""


class Polynomial:
    """A polynomial over the rationals. No term is zero, and the order of terms is canonical.

    Args:
        terms: monomial → coefficient (int or Fraction). A monomial is a tuple of
            ``(name, exponent)``; a name that occurs twice adds its exponents.

    Raises:
        SCMTypeError: a coefficient, name or exponent of another type.
        SCMValueError: a negative exponent, an empty name, more than ``TERM_LIMIT`` terms.

    >>> x, y = Polynomial.variable("x"), Polynomial.variable("y")
    >>> (x + y) ** 2 - 2 * x * y
    Polynomial(x² + y²)
    >>> Polynomial({(("x", -1),): 1})
    Traceback (most recent call last):
    zeroproofml.scm.errors.SCMValueError: terms: x has the exponent -1; a polynomial has none below 0
    """

    __slots__ = ("_hash", "_terms")
    _terms: Mapping[Monomial, Fraction]
    _hash: int

    def __init__(self, terms: Mapping[Monomial, int | Fraction]) -> None:
        collected: dict[Monomial, Fraction] = {}
        for monomial, coefficient in terms.items():
            key = _monomial(monomial)
            collected[key] = collected.get(key, Fraction(0)) + _coefficient(coefficient, "terms")
        self._settle(collected)

    def _settle(self, collected: Mapping[Monomial, Fraction]) -> None:
        kept = sorted((m, c) for m, c in collected.items() if c)
        _within_limit(len(kept))
        object.__setattr__(self, "_terms", MappingProxyType(dict(kept)))
        object.__setattr__(self, "_hash", hash(tuple(kept)))

    @classmethod
    def _of(cls, collected: Mapping[Monomial, Fraction]) -> Polynomial:
        """From canonical monomials, without reading them again."""
        self = cls.__new__(cls)
        self._settle(collected)
        return self

    @classmethod
    def constant(cls, c: int | Fraction) -> Polynomial:
        """A number as a polynomial.

        >>> Polynomial.constant(Fraction(1, 2))
        Polynomial(1/2)
        """
        return cls._of({(): _coefficient(c, "c")})

    @classmethod
    def variable(cls, name: str) -> Polynomial:
        """One variable.

        >>> Polynomial.variable("x").degree
        1
        """
        return cls({((name, 1),): 1})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"a Polynomial is immutable; {name} cannot be set"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        msg = f"a Polynomial is immutable; {name} cannot be deleted"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[Any, ...]:
        return Polynomial, (dict(self._terms),)

    @property
    def terms(self) -> Mapping[Monomial, Fraction]:
        """Monomial → coefficient, read-only; none is zero."""
        return self._terms

    @property
    def degree(self) -> int:
        """The total degree; −1 for the zero polynomial."""
        return max((sum(e for _, e in monomial) for monomial in self._terms), default=-1)

    @property
    def variables(self) -> frozenset[str]:
        """The variables that occur."""
        return frozenset(name for monomial in self._terms for name, _ in monomial)

    @property
    def is_constant(self) -> bool:
        """Whether it is a number."""
        return self.degree <= 0

    def __bool__(self) -> bool:
        return bool(self._terms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polynomial):
            return NotImplemented
        return self._terms == other._terms

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Polynomial({self})"

    def __str__(self) -> str:
        """Terms by falling degree: ``2x²y − x + 1/2``."""
        ordered = sorted(self._terms.items(), key=lambda term: (-sum(e for _, e in term[0]), term))
        text = " ".join(_term(monomial, coefficient) for monomial, coefficient in ordered)
        return text.removeprefix("+ ").replace("− ", "−", 1 if text.startswith("−") else 0) or "0"

    def __add__(self, other: object) -> Polynomial:
        right = _lift(other)
        if right is None:
            return NotImplemented
        collected = dict(self._terms)
        for monomial, coefficient in right._terms.items():
            collected[monomial] = collected.get(monomial, Fraction(0)) + coefficient
        return Polynomial._of(collected)

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        return Polynomial._of({monomial: -c for monomial, c in self._terms.items()})

    def __sub__(self, other: object) -> Polynomial:
        right = _lift(other)
        return NotImplemented if right is None else self + -right

    def __rsub__(self, other: object) -> Polynomial:
        return -self + other

    def __mul__(self, other: object) -> Polynomial:
        right = _lift(other)
        if right is None:
            return NotImplemented
        return Polynomial._of(_product(self._terms, right._terms))

    __rmul__ = __mul__

    def __pow__(self, n: object) -> Polynomial:
        exponent = whole(n, "n")
        if exponent < 0:
            msg = f"n: a polynomial has no power {exponent}; invert a Fracterm"
            raise SCMValueError(msg)
        power, square = Polynomial.constant(1), self
        while exponent:
            if exponent & 1:
                power = power * square
            exponent >>= 1
            if exponent:
                square = square * square
        return power

    def evaluate(self, assign: Mapping[str, Operand]) -> Exact:
        """The value at a point; ⊥ if a variable that occurs is ⊥.

        Args:
            assign: name → int, Fraction, float (exactly; NaN and inf are ⊥) or ``BOT``. Further
                names are allowed.

        Raises:
            KeyError: a variable is missing; the error names it.
            SCMTypeError: a value of another type.

        >>> (Polynomial.variable("x") ** 2 + 1).evaluate({"x": Fraction(1, 2)})
        Fraction(5, 4)
        """
        point = {name: value_of(name, assign) for name in sorted(self.variables)}
        regular = {name: v for name, v in point.items() if not isinstance(v, Bottom)}
        return self.at(regular) if len(regular) == len(point) else BOT

    def at(self, point: Mapping[str, Fraction]) -> Fraction:
        """The value at a point of fractions that has every variable.

        >>> (Polynomial.variable("x") ** 2 + 1).at({"x": Fraction(3)})
        Fraction(10, 1)
        """
        total = Fraction(0)
        for monomial, coefficient in self._terms.items():
            for name, exponent in monomial:
                coefficient *= point[name] ** exponent
            total += coefficient
        return total

    def common_monomial(self) -> dict[str, int]:
        """The variables that divide every term, with their exponents; {} for 0.

        >>> x, y = Polynomial.variable("x"), Polynomial.variable("y")
        >>> (x**3 * y + x**2).common_monomial()
        {'x': 2}
        """
        monomials: Iterator[Monomial] = iter(self._terms)
        common = dict(next(monomials, ()))
        for monomial in monomials:
            exponents = dict(monomial)
            common = {n: min(e, exponents[n]) for n, e in common.items() if n in exponents}
        return common

    def without(self, monomial: Mapping[str, int]) -> Polynomial:
        """The quotient by a monomial that divides every term.

        >>> x = Polynomial.variable("x")
        >>> (x**3 + x).without({"x": 1})
        Polynomial(x² + 1)
        """
        return Polynomial._of(
            {
                tuple((n, e - k) for n, e in m if (k := monomial.get(n, 0)) != e): c
                for m, c in self._terms.items()
            }
        )


def content(*polynomials: Polynomial) -> Fraction:
    """The largest rational that divides every coefficient into coprime integers; 0 if all are 0.

    >>> content(4 * Polynomial.variable("x") + Fraction(2, 3), Polynomial.constant(6))
    Fraction(2, 3)
    """
    coefficients = [c for polynomial in polynomials for c in polynomial.terms.values()]
    return Fraction(
        gcd(*(c.numerator for c in coefficients)), lcm(*(c.denominator for c in coefficients))
    )


def whole(n: object, name: str) -> int:
    """An int as it is; bool and everything else is an error that names the argument.

    >>> whole(3, "n")
    3
    """
    if isinstance(n, bool) or not isinstance(n, int):
        msg = f"{name}: {type(n).__name__} is not an integer; only whole powers are rational"
        raise SCMTypeError(msg)
    return n


def value_of(name: str, assign: Mapping[str, Operand]) -> Exact:
    """The value of a variable in an assignment.

    Raises:
        KeyError: it is missing; the error names it.
        SCMTypeError: a value that is not exact.

    >>> value_of("x", {"x": 0.5})
    Fraction(1, 2)
    """
    if name not in assign:
        msg = f"assign: the variable {name!r} has no value"
        raise KeyError(msg)
    return read(assign[name], f"assign[{name!r}]")


def _coefficient(value: Any, name: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, Fraction)):
        msg = f"{name}: {type(value).__name__} is not an exact coefficient; pass int or Fraction"
        raise SCMTypeError(msg)
    return Fraction(value)


def _monomial(monomial: Iterable[tuple[Any, Any]]) -> Monomial:
    exponents: dict[str, int] = {}
    for name, exponent in monomial:
        if not isinstance(name, str):
            msg = f"terms: {name!r} is not the name of a variable; pass a str"
            raise SCMTypeError(msg)
        if not name:
            msg = "terms: a variable needs a name"
            raise SCMValueError(msg)
        if whole(exponent, f"terms: the exponent of {name}") < 0:
            msg = f"terms: {name} has the exponent {exponent}; a polynomial has none below 0"
            raise SCMValueError(msg)
        exponents[name] = exponents.get(name, 0) + exponent
    return tuple(sorted((name, e) for name, e in exponents.items() if e))


def _product(
    a: Mapping[Monomial, Fraction], b: Mapping[Monomial, Fraction]
) -> dict[Monomial, Fraction]:
    """Every term by every term, on integers: exponents side by side in one, coefficients scaled."""
    names = sorted({name for monomial in (*a, *b) for name, _ in monomial})
    top = max((e for monomial in (*a, *b) for _, e in monomial), default=0)
    width = (2 * top).bit_length()
    place = {name: k * width for k, name in enumerate(names)}

    def packed(terms: Mapping[Monomial, Fraction]) -> tuple[list[tuple[int, int]], int]:
        scale = lcm(*(c.denominator for c in terms.values()))
        return [
            (sum(e << place[n] for n, e in m), c.numerator * (scale // c.denominator))
            for m, c in terms.items()
        ], scale

    (left, left_scale), (right, right_scale) = packed(a), packed(b)
    collected: defaultdict[int, int] = defaultdict(int)
    for key, coefficient in left:
        for other, weight in right:
            collected[key + other] += coefficient * weight
        _within_limit(len(collected))  # while it grows, not after the memory is full
    ones, scale = (1 << width) - 1, left_scale * right_scale
    return {
        tuple((n, e) for n, k in place.items() if (e := key >> k & ones)): Fraction(c, scale)
        for key, c in collected.items()
    }


def _lift(value: object) -> Polynomial | None:
    if isinstance(value, Polynomial):
        return value
    if isinstance(value, (bool, float, complex)):
        msg = f"{type(value).__name__} is not an exact coefficient; pass int or Fraction"
        raise SCMTypeError(msg)
    return Polynomial.constant(value) if isinstance(value, (int, Fraction)) else None


def _within_limit(terms: int) -> None:
    if terms > TERM_LIMIT:
        msg = f"the polynomial has more than {TERM_LIMIT} terms; simplify() before going on"
        raise SCMValueError(msg)


_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _term(monomial: Monomial, coefficient: Fraction) -> str:
    powers = "·".join(n if e == 1 else n + str(e).translate(_SUPERSCRIPT) for n, e in monomial)
    size = abs(coefficient)
    number = "" if size == 1 and powers else str(size)
    return f"{'+' if coefficient > 0 else '−'} {number}{'·' if number and powers else ''}{powers}"
