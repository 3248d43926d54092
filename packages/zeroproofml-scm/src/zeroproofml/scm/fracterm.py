"""Fracterms: expressions of the common meadow as one fraction that never forgets where it is ⊥.

Cancelling makes x/x equal 1 and x − x equal 0, which is wrong at x = 0 and at x = ⊥. A
:class:`Fracterm` carries what an honest cancellation needs: *guards*, polynomials whose zeros are
⊥, and the *support*, variables that make it ⊥ when they are. Source: J. A. Bergstra and
J. V. Tucker, "On the axioms of common meadows: fracterm calculus, flattening and incompleteness",
Comput. J. 66(7), 2023.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.exact import BOT, Bottom, Exact, Operand
from zeroproofml.scm.polynomial import Polynomial, content, value_of, whole

__all__ = ["Fracterm"]

_ZERO, _ONE = Polynomial.constant(0), Polynomial.constant(1)


@dataclass(frozen=True, slots=True)
class Fracterm:
    """P/Q with guards and support: ⊥ if a variable of the support is ⊥, Q = 0, or a guard is 0.

    Expressions are written with ``+ - * / **`` and :meth:`inverse` on fracterms, int and Fraction;
    ``==`` compares the four parts, :meth:`agrees_with` the meaning.

    Args:
        numerator: P.
        denominator: Q.
        guards: polynomials that must not vanish.
        support: names of variables; those that occur in P, Q and the guards are always added.

    Raises:
        SCMTypeError: a part of another type, or a float operand.
        SCMValueError: more than ``TERM_LIMIT`` terms in a polynomial.

    >>> x = Fracterm.variable("x")
    >>> y = (1 / (1 / x)).simplify()
    >>> y
    Fracterm(x / 1, guards={x}, support={x})
    >>> y.evaluate({"x": 3}), y.evaluate({"x": 0}), (x - x).evaluate({"x": BOT})
    (Fraction(3, 1), ⊥, ⊥)
    """

    numerator: Polynomial
    denominator: Polynomial = _ONE
    guards: frozenset[Polynomial] = field(default=frozenset())
    support: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        parts: list[tuple[str, object]] = [("guards", guard) for guard in self.guards]
        parts += [("numerator", self.numerator), ("denominator", self.denominator)]
        for name, part in parts:
            if not isinstance(part, Polynomial):
                msg = f"{name}: {type(part).__name__} is not a Polynomial"
                raise SCMTypeError(msg)
        names: Any = self.support
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            msg = "support: pass a set of the names of variables"
            raise SCMTypeError(msg)
        occurring = (p.variables for p in (self.numerator, self.denominator, *self.guards))
        object.__setattr__(self, "guards", frozenset(self.guards))
        object.__setattr__(self, "support", frozenset(self.support).union(*occurring))

    @classmethod
    def constant(cls, c: int | Fraction) -> Fracterm:
        """A number.

        >>> Fracterm.constant(2) / 3
        Fracterm(2 / 3, guards={1}, support={})
        """
        return cls(Polynomial.constant(c))

    @classmethod
    def variable(cls, name: str) -> Fracterm:
        """A variable, which may be ⊥.

        >>> Fracterm.variable("x").support
        frozenset({'x'})
        """
        return cls(Polynomial.variable(name))

    @classmethod
    def bottom(cls) -> Fracterm:
        """⊥: 1/0.

        >>> Fracterm.bottom().evaluate({})
        ⊥
        """
        return cls(_ONE, _ZERO)

    def __repr__(self) -> str:
        guards = ", ".join(sorted(map(str, self.guards)))
        top, bottom = (
            f"({p})" if len(p.terms) > 1 else str(p) for p in (self.numerator, self.denominator)
        )
        support = ", ".join(sorted(self.support))
        return f"Fracterm({top} / {bottom}, guards={{{guards}}}, support={{{support}}})"

    def _with(
        self, other: Fracterm, numerator: Polynomial, denominator: Polynomial, *guards: Polynomial
    ) -> Fracterm:
        united = self.guards | other.guards | frozenset(guards)
        return Fracterm(numerator, denominator, united, self.support | other.support)

    def __add__(self, other: object) -> Fracterm:
        right = _lift(other)
        if right is None:
            return NotImplemented
        a, b, u, v = self.numerator, self.denominator, right.numerator, right.denominator
        return self._with(right, a * v + u * b, b * v)

    __radd__ = __add__

    def __neg__(self) -> Fracterm:
        return self._with(self, -self.numerator, self.denominator)

    def __sub__(self, other: object) -> Fracterm:
        right = _lift(other)
        return NotImplemented if right is None else self + -right

    def __rsub__(self, other: object) -> Fracterm:
        return -self + other

    def __mul__(self, other: object) -> Fracterm:
        right = _lift(other)
        if right is None:
            return NotImplemented
        return self._with(
            right, self.numerator * right.numerator, self.denominator * right.denominator
        )

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Fracterm:
        right = _lift(other)
        if right is None:
            return NotImplemented
        a, b, u, v = self.numerator, self.denominator, right.numerator, right.denominator
        return self._with(right, a * v, b * u, v)

    def __rtruediv__(self, other: object) -> Fracterm:
        left = _lift(other)
        return NotImplemented if left is None else left / self

    def __pow__(self, n: object) -> Fracterm:
        exponent = whole(n, "n")
        if exponent < 0:
            return (self**-exponent).inverse()
        if not exponent:
            return self._with(self, _ONE, _ONE, self.denominator)
        return self._with(self, self.numerator**exponent, self.denominator**exponent)

    def inverse(self) -> Fracterm:
        """1 over it, ⊥ also where it was ⊥.

        >>> Fracterm.variable("x").inverse().evaluate({"x": 0})
        ⊥
        """
        return self._with(self, self.denominator, self.numerator, self.denominator)

    def simplify(self) -> Fracterm:
        """The same meaning in smaller parts.

        The coefficients become coprime integers; a common monomial of P and Q is cancelled and kept
        as a guard; guards that are non-zero numbers are dropped. A term that is ⊥ everywhere
        becomes 1/0. The support stays.

        >>> x = Fracterm.variable("x")
        >>> (6 * x**2 / (4 * x)).simplify()
        Fracterm(3·x / 2, guards={x}, support={x})
        """
        p, q = self.numerator, self.denominator
        if not q or not all(self.guards):
            return Fracterm(_ONE, _ZERO, frozenset(), self.support)
        guards = frozenset(guard for guard in self.guards if not guard.is_constant)
        common = q.common_monomial()
        if p:  # every monomial divides 0
            shared = p.common_monomial()
            common = {n: min(e, shared[n]) for n, e in common.items() if n in shared}
        if common:
            p, q = p.without(common), q.without(common)
            guards |= {Polynomial({tuple(common.items()): 1})}
        return Fracterm(*_coprime(p, q), guards, self.support)

    def flatten(self) -> Fracterm:
        """One fraction without guards: (P·G)/(Q·G), where G is the product of the guards.

        >>> x = Fracterm.variable("x")
        >>> (1 / (1 / x)).simplify().flatten()
        Fracterm(x² / x, guards={}, support={x})
        """
        product = prod(sorted(self.guards, key=str), start=_ONE)
        return Fracterm(
            self.numerator * product, self.denominator * product, frozenset(), self.support
        )

    def evaluate(self, assign: Mapping[str, Operand]) -> Exact:
        """The value at a point, exactly.

        Args:
            assign: name → int, Fraction, float (exactly; NaN and inf are ⊥) or ``BOT``, for every
                variable of the support. Further names are allowed.

        Raises:
            KeyError: a variable of the support is missing; the error names it.
            SCMTypeError: a value of another type.

        >>> x, y = Fracterm.variable("x"), Fracterm.variable("y")
        >>> (x / y).evaluate({"x": 1, "y": 0.25}), (0 * x).evaluate({"x": BOT})
        (Fraction(4, 1), ⊥)
        """
        values = {name: value_of(name, assign) for name in sorted(self.support)}
        point = {name: v for name, v in values.items() if not isinstance(v, Bottom)}
        if len(point) < len(values) or not all(guard.at(point) for guard in self.guards):
            return BOT
        denominator = self.denominator.at(point)
        return self.numerator.at(point) / denominator if denominator else BOT

    def agrees_with(self, other: Any, trials: int = 64, seed: int = 0) -> bool:
        """Whether two fracterms have equal values wherever this looks.

        It looks where each variable of either support is 0 or ⊥ in turn, and at random points
        whose coordinates are rationals, 0 and ⊥ among them. False is a proof, True is evidence.

        Args:
            other: the other one.
            trials: number of random points.
            seed: of the points.

        Raises:
            SCMTypeError: other is not a Fracterm.
            SCMValueError: trials below 1.

        >>> x = Fracterm.variable("x")
        >>> (x - x).agrees_with(0 * x), (x - x).agrees_with(Fracterm.constant(0))
        (True, False)
        """
        if not isinstance(other, Fracterm):
            msg = f"other: {type(other).__name__} is not a Fracterm"
            raise SCMTypeError(msg)
        if whole(trials, "trials") < 1:
            msg = f"trials: {trials} points show nothing; pass at least 1"
            raise SCMValueError(msg)
        rng = random.Random(seed)
        names = sorted(self.support | other.support)
        ones = dict.fromkeys(names, Fraction(1))
        special: list[Mapping[str, Exact]] = [
            {**base, name: value}
            for name in names
            for value in (Fraction(0), BOT)
            for base in (ones, {n: _ordinary(rng) for n in names})
        ]
        random_points = ({n: _coordinate(rng) for n in names} for _ in range(trials))
        return all(self.evaluate(p) == other.evaluate(p) for p in (*special, *random_points))

    def degree_profile(self) -> tuple[int, int]:
        """The total degrees of P and Q; −1 for the zero polynomial.

        >>> x = Fracterm.variable("x")
        >>> (1 / (1 + x**2)).degree_profile()
        (0, 2)
        """
        return self.numerator.degree, self.denominator.degree


def _lift(value: object) -> Fracterm | None:
    if isinstance(value, Fracterm):
        return value
    if isinstance(value, (bool, float, complex)):
        msg = f"{type(value).__name__} is not exact; write a Fraction or an int"
        raise SCMTypeError(msg)
    return Fracterm.constant(value) if isinstance(value, (int, Fraction)) else None


def _coprime(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """P and Q over one rational, such that all coefficients are coprime integers."""
    factor = 1 / content(p, q)
    if q.terms[max(q.terms)] < 0:  # one sign for equal fractions
        factor = -factor
    return p * factor, q * factor


def _ordinary(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(1, 99) * rng.choice((-1, 1)), rng.randint(1, 9))


def _coordinate(rng: random.Random) -> Exact:
    """Small integers often, where guards tend to vanish; ⊥ now and then."""
    kind = rng.randrange(16)
    if kind == 0:
        return BOT
    return Fraction(rng.randint(-3, 3)) if kind < 8 else _ordinary(rng)
