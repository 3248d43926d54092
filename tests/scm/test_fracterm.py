"""Fracterms keep every ⊥ of the expression they came from (acceptance 16)."""

from __future__ import annotations

import copy
import dataclasses
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import exact
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.exact import BOT
from zeroproofml.scm.fracterm import Fracterm
from zeroproofml.scm.polynomial import TERM_LIMIT, Polynomial

X, Y, A, B, U, V = map(Fracterm.variable, "xyabuv")
ZERO, ONE = Fracterm.constant(0), Fracterm.constant(1)
PX = Polynomial.variable("x")

# name → (the term, the same expression over exact.py), as functions of named values
EXPRESSIONS = {
    "x−x": (X - X, lambda x: exact.sub(x, x)),
    "0x": (0 * X, lambda x: exact.mul(0, x)),
    "x⁰": (X**0, lambda x: exact.pow(x, 0)),
    "x/x": (X / X, lambda x: exact.div(x, x)),
    "1/(1/x)": (1 / (1 / X), lambda x: exact.div(1, exact.div(1, x))),
    "x⁻²": (X**-2, lambda x: exact.pow(x, -2)),
    "(x⁻¹)⁰": ((X.inverse()) ** 0, lambda x: exact.pow(exact.inv(x), 0)),
    "(x/x)⁻¹−1": ((X / X).inverse() - 1, lambda x: exact.sub(exact.inv(exact.div(x, x)), 1)),
    "−(x²/x)": (-(X**2 / X), lambda x: exact.neg(exact.div(exact.mul(x, x), x))),
    "(a/b)/(u/v)": (
        (A / B) / (U / V),
        lambda a, b, u, v: exact.div(exact.div(a, b), exact.div(u, v)),
    ),
    "a/b−u/v": (A / B - U / V, lambda a, b, u, v: exact.sub(exact.div(a, b), exact.div(u, v))),
    "x/(x−y)·(x−y)": (
        X / (X - Y) * (X - Y),
        lambda x, y: exact.mul(exact.div(x, exact.sub(x, y)), exact.sub(x, y)),
    ),
}
NAMED = pytest.mark.parametrize("name", EXPRESSIONS)


def _points(term, n=100):
    """0 and ⊥ for each variable, all 0, all ⊥, and n random points."""
    names, rng = sorted(term.support), random.Random(7)
    for value in (0, BOT, 1, Fraction(-2, 3)):
        yield dict.fromkeys(names, value)
    for name in names:
        for value in (0, BOT):
            yield {**{n: k + 2 for k, n in enumerate(names)}, name: value}
    for _ in range(n):
        yield {n: Fraction(rng.randint(-9, 9), rng.randint(1, 5)) for n in names}


@NAMED
def test_acceptance_16_terms_agree_with_exact_arithmetic(name):
    term, expression = EXPRESSIONS[name]
    seen = set()
    for point in _points(term):
        value = term.evaluate(point)
        assert value == expression(**point), point
        seen.add(value is BOT)
    assert seen == {True, False}


@NAMED
def test_acceptance_16_flatten_and_simplify_agree_with_the_term(name):
    term, _ = EXPRESSIONS[name]
    versions = [
        term.flatten(),
        term.simplify(),
        term.simplify().flatten(),
        term.flatten().simplify(),
    ]
    for other in versions:
        assert other.support == term.support
        assert term.agrees_with(other)
        for point in _points(term):
            assert other.evaluate(point) == term.evaluate(point), (other, point)
    assert term.flatten().guards == frozenset()


def test_D09_flattening_never_forgets_bottom():
    """x − x, 0·x, x/x at x = ⊥, and x/x at 0, whatever is simplified, flattened or built on top."""
    for term in (X - X, 0 * X, X / X, X**0, (X - X) * Y):
        for version in (term, term.simplify(), term.flatten(), term.simplify().flatten() + 0):
            assert "x" in version.support
            assert version.evaluate({"x": BOT, "y": 1}) is BOT
            assert (version * 0 + 1).simplify().evaluate({"x": BOT, "y": 1}) is BOT
            with pytest.raises(KeyError, match="'x'"):
                version.evaluate({"y": 1})
    for version in ((X / X).simplify(), (X / X).flatten(), ((X / X).simplify() ** 0).flatten()):
        assert version.evaluate({"x": 0}) is BOT
        assert version.evaluate({"x": 5}) == 1
    assert not (X - X).agrees_with(ZERO)
    assert not (X / X).agrees_with(ONE)
    assert not (X / X).agrees_with(X**0)
    assert (X - X).agrees_with(0 * X)


def test_D27_a_negative_power_is_an_inverse_and_no_exponent():
    term = X**-3
    assert term == (X**3).inverse()
    for part in (term.numerator, term.denominator, *term.guards):
        assert all(e > 0 for monomial in part.terms for _, e in monomial)
    assert term.evaluate({"x": 2}) == Fraction(1, 8)
    assert term.evaluate({"x": 0}) is BOT
    assert (ZERO**-1).evaluate({}) is BOT
    assert (Fracterm.bottom() ** -1).evaluate({}) is BOT
    assert (Fracterm.bottom() ** 0).evaluate({}) is BOT
    assert (ZERO**0).evaluate({}) == 1


def test_the_rows_of_the_table():
    p = {n: Polynomial.variable(n) for n in "abuv"}
    a, b, u, v = p["a"], p["b"], p["u"], p["v"]
    g, h = Polynomial.variable("g"), Polynomial.variable("h")
    left = Fracterm(a, b, frozenset({g}), frozenset("s"))
    right = Fracterm(u, v, frozenset({h}), frozenset("t"))
    support = frozenset("abuvghst")
    both = frozenset({g, h})
    assert left + right == Fracterm(a * v + u * b, b * v, both, support)
    assert left - right == Fracterm(a * v - u * b, b * v, both, support)
    assert left * right == Fracterm(a * u, b * v, both, support)
    assert left / right == Fracterm(a * v, b * u, both | {v}, support)
    mine = frozenset("abgs")
    assert left.inverse() == Fracterm(b, a, frozenset({g, b}), mine)
    assert left**3 == Fracterm(a**3, b**3, frozenset({g}), mine)
    assert left**0 == Fracterm(Polynomial.constant(1), Polynomial.constant(1), {g, b}, mine)
    assert left**-2 == Fracterm(b**2, a**2, frozenset({g, b**2}), mine)
    one = Polynomial.constant(1)
    assert Fracterm.constant(7) == Fracterm(Polynomial.constant(7), one, frozenset(), frozenset())
    assert Fracterm(PX, one, frozenset(), frozenset({"x"})) == X
    assert Fracterm.bottom() == Fracterm(one, Polynomial.constant(0), frozenset(), frozenset())


def test_simplify_cancels_only_into_guards():
    term = (6 * X**3 * Y / (4 * X * Y**2)).simplify()
    x, y = Polynomial.variable("x"), Polynomial.variable("y")
    assert (term.numerator, term.denominator) == (3 * x**2, 2 * y)
    assert term.guards == {x * y}
    assert term.support == {"x", "y"}
    unguarded = Fracterm(x**2 - 1, x - 1).simplify()  # no common monomial: nothing is cancelled
    assert (unguarded.numerator, unguarded.denominator, unguarded.guards) == (
        x**2 - 1,
        x - 1,
        frozenset(),
    )
    assert Fracterm(-x, -2 * x + Fraction(1, 3)).simplify().denominator == 6 * x - 1


def test_simplify_drops_constant_guards_and_knows_bottom():
    x = Polynomial.variable("x")
    two, none = Polynomial.constant(2), Polynomial.constant(0)
    assert Fracterm(x, two, frozenset({two, x - 1})).simplify().guards == {x - 1}
    bottom = Fracterm(Polynomial.constant(1), none, frozenset(), frozenset({"x"}))
    assert Fracterm(x, two, frozenset({none})).simplify() == bottom
    assert Fracterm(x, none).simplify() == bottom
    assert ((X - X) / (X - X)).simplify() == bottom
    assert ((X - X) / X).simplify().evaluate({"x": 0}) is BOT
    assert ((X - X) / X).simplify().evaluate({"x": 3}) == 0


@st.composite
def _expressions(draw, depth=4):
    """A fracterm and the same expression as a function of a point, built side by side."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        if draw(st.booleans()):
            name = draw(st.sampled_from("xy"))
            return Fracterm.variable(name), lambda point: point[name]
        c = draw(st.fractions(-3, 3, max_denominator=3))
        return Fracterm.constant(c), lambda point: c
    left, f = draw(_expressions(depth=depth - 1))
    op = draw(st.sampled_from(["add", "sub", "mul", "div", "inv", "neg", "pow"]))
    if op == "inv":
        return left.inverse(), lambda point: exact.inv(f(point))
    if op == "neg":
        return -left, lambda point: exact.neg(f(point))
    if op == "pow":
        n = draw(st.integers(-2, 2))
        return left**n, lambda point: exact.pow(f(point), n)
    right, g = draw(_expressions(depth=depth - 2 if depth > 1 else 0))
    term = {
        "add": lambda: left + right,
        "sub": lambda: left - right,
        "mul": lambda: left * right,
        "div": lambda: left / right,
    }[op]()
    return term, lambda point: exact.operation(op)(f(point), g(point))


VALUES = st.sampled_from([Fraction(0), Fraction(1), BOT]) | st.fractions(-4, 4, max_denominator=4)


@given(made=_expressions(), points=st.lists(st.tuples(VALUES, VALUES), min_size=4, max_size=4))
def test_any_expression_agrees_with_exact_arithmetic(made, points):
    term, expression = made
    forms = (term, term.simplify(), term.flatten(), term.simplify().flatten())
    for x, y in [
        *points,
        (Fraction(0), Fraction(1)),
        (Fraction(1), Fraction(0)),
        (BOT, Fraction(1)),
    ]:
        point = {"x": x, "y": y}
        want = expression(point)
        assert [form.evaluate(point) for form in forms] == [want] * 4
    assert term.agrees_with(term.simplify(), trials=4)


def test_agreement_finds_what_differs():
    assert (1 / (X - 1) * (X - 1)).agrees_with((X - 1) / (X - 1))
    assert not (1 / (X - 1) * (X - 1)).agrees_with(X / X)
    assert not (X + Y).agrees_with(X - Y)
    assert not (X * Y).agrees_with(X * Y + 0 / Y)  # differ at y = 0 only
    assert (X * Y / Y).agrees_with(X + 0 / Y)
    assert not X.agrees_with(Y)
    assert X.agrees_with(X, trials=1, seed=3)
    with pytest.raises(SCMTypeError, match=r"^other:"):
        X.agrees_with(1)
    with pytest.raises(SCMValueError, match=r"^trials:"):
        X.agrees_with(X, trials=0)


def test_degree_profile():
    assert ((X**2 * Y + 1) / (X - 3)).degree_profile() == (3, 1)
    assert (X - X).degree_profile() == (-1, 0)
    assert Fracterm.bottom().degree_profile() == (0, -1)


def test_evaluation_reads_exact_values():
    term = X / (Y - Fraction(1, 4))
    assert term.evaluate({"x": 1, "y": 0.5, "unused": None}) == 4
    assert term.evaluate({"x": 1, "y": 0.25}) is BOT
    assert term.evaluate({"x": float("inf"), "y": 0.5}) is BOT
    with pytest.raises(KeyError, match="'y'"):
        term.evaluate({"x": 1})
    with pytest.raises(SCMTypeError, match="'x'"):
        term.evaluate({"x": True, "y": 1})


def test_a_support_wider_than_the_polynomials_is_kept():
    term = Fracterm(PX, support=frozenset({"memory"}))
    assert term.support == {"x", "memory"}
    assert term.evaluate({"x": 1, "memory": BOT}) is BOT
    with pytest.raises(KeyError, match="'memory'"):
        term.evaluate({"x": 1})


@pytest.mark.parametrize("bad", [0.5, True, 1j])
def test_only_exact_operands_build_terms(bad):
    for build in (
        lambda: X + bad,
        lambda: bad - X,
        lambda: bad * X,
        lambda: X / bad,
        lambda: bad / X,
        lambda: X**bad,
        lambda: Fracterm.constant(bad),
    ):
        with pytest.raises(SCMTypeError):
            build()


def test_other_operands_and_parts_are_refused():
    for build in (lambda: X + "1", lambda: [] / X, lambda: X - None, lambda: X * {}):
        with pytest.raises(TypeError):
            build()
    with pytest.raises(SCMTypeError, match=r"^numerator:"):
        Fracterm(1)
    with pytest.raises(SCMTypeError, match=r"^denominator:"):
        Fracterm(PX, 1)
    with pytest.raises(SCMTypeError, match=r"^guards:"):
        Fracterm(PX, PX, frozenset({1}))
    with pytest.raises(SCMTypeError, match=r"^support:"):
        Fracterm(PX, PX, frozenset(), "xy")


def test_int_and_fraction_stand_on_both_sides():
    for value, want in [
        (2 + X, 5),
        (X + 2, 5),
        (2 - X, -1),
        (X - Fraction(1, 2), Fraction(5, 2)),
        (Fraction(1, 3) * X, 1),
        (X / 2, Fraction(3, 2)),
        (2 / X, Fraction(2, 3)),
    ]:
        assert value.evaluate({"x": 3}) == want


def test_it_is_immutable_hashable_and_survives_copying():
    term = (X / Y).simplify()
    with pytest.raises(dataclasses.FrozenInstanceError):
        term.guards = frozenset()
    assert len({term, (X / Y).simplify(), X}) == 2
    assert copy.deepcopy(term) == term
    assert repr(term) == "Fracterm(x / y, guards={}, support={x, y})"


def test_the_limit_is_named():
    wide = Fracterm(Polynomial({((f"v{k}", 1),): 1 for k in range(600)}))
    with pytest.raises(SCMValueError, match=str(TERM_LIMIT)):
        wide * wide
