"""Polynomials: a ring, canonical, exact, and never with a negative exponent."""

from __future__ import annotations

import copy
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.exact import BOT
from zeroproofml.scm.polynomial import TERM_LIMIT, Polynomial, content

X, Y = Polynomial.variable("x"), Polynomial.variable("y")
SMALL = st.fractions(-9, 9, max_denominator=6)
MONOMIALS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3)), max_size=3).map(tuple)
POLYNOMIALS = st.dictionaries(MONOMIALS, SMALL, max_size=5).map(Polynomial)
POINTS = st.fixed_dictionaries(dict.fromkeys("xyz", SMALL))


@given(p=POLYNOMIALS, q=POLYNOMIALS, n=st.integers(0, 4), point=POINTS)
def test_evaluation_is_a_homomorphism(p, q, n, point):
    a, b = p.evaluate(point), q.evaluate(point)
    assert (p + q).evaluate(point) == a + b
    assert (p - q).evaluate(point) == a - b
    assert (p * q).evaluate(point) == a * b
    assert (-p).evaluate(point) == -a
    assert (p**n).evaluate(point) == a**n
    assert (2 + p).evaluate(point) == (p + 2).evaluate(point) == a + 2
    assert (Fraction(1, 2) - p).evaluate(point) == Fraction(1, 2) - a
    assert (p * 3).evaluate(point) == (3 * p).evaluate(point) == 3 * a


@given(p=POLYNOMIALS, q=POLYNOMIALS, r=POLYNOMIALS)
def test_equal_polynomials_are_one_key(p, q, r):
    for same, other in [(p + q, q + p), (p * q, q * p), (p * (q + r), p * q + p * r)]:
        assert same == other
        assert hash(same) == hash(other)
        assert str(same) == str(other)
        assert list(same.terms) == list(other.terms)
    assert p - p == Polynomial({}) == Polynomial.constant(0)
    assert Polynomial(p.terms) == p


@given(p=POLYNOMIALS, q=POLYNOMIALS)
def test_degree_is_that_of_a_field(p, q):
    if p and q:
        assert (p * q).degree == p.degree + q.degree
    assert (p + q).degree <= max(p.degree, q.degree)
    assert (p * q).variables <= p.variables | q.variables


def test_terms_are_canonical():
    p = Polynomial({(("y", 1), ("x", 2)): 1, (("x", 1), ("y", 1), ("x", 1)): 2, (("z", 3),): 0})
    assert dict(p.terms) == {(("x", 2), ("y", 1)): 3}
    assert p.variables == {"x", "y"}
    assert dict(Polynomial({(("x", 0),): 5}).terms) == {(): Fraction(5)}
    assert (Polynomial.constant(1), X) == (X**0, X**1)
    assert Polynomial({}).degree == -1
    assert not Polynomial({})
    assert Polynomial.constant(Fraction(2, 4)).degree == 0
    assert str(2 * X**2 * Y - X + Fraction(1, 2)) == "2·x²·y − x + 1/2"
    assert str(-X - 1) == "−x − 1"
    assert str(Polynomial({})) == "0"


def test_D27_no_negative_exponents():
    for bad in (-1, -7):
        with pytest.raises(SCMValueError, match=f"x has the exponent {bad}"):
            Polynomial({(("x", bad),): 1})
        with pytest.raises(SCMValueError, match=f"no power {bad}"):
            X**bad
    with pytest.raises(SCMValueError, match="y"):  # also where the sum of exponents is not negative
        Polynomial({(("y", 3), ("y", -1)): 1})


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({(("x", 1.0),): 1}, "exponent of x"),
        ({(("x", True),): 1}, "exponent of x"),
        ({((3, 1),): 1}, "name"),
        ({(("x", 1),): 0.5}, "coefficient"),
        ({(("x", 1),): True}, "coefficient"),
    ],
)
def test_types_are_checked(terms, said):
    with pytest.raises(SCMTypeError, match=said):
        Polynomial(terms)


def test_operands_are_exact():
    for bad in (0.5, True, 1j):
        with pytest.raises(SCMTypeError, match="exact"):
            X + bad
        with pytest.raises(SCMTypeError, match="exact"):
            bad * X
    with pytest.raises(TypeError):
        X + "1"
    with pytest.raises(SCMTypeError, match=r"n:"):
        X**0.5
    with pytest.raises(SCMTypeError, match=r"^c:"):
        Polynomial.constant(0.5)
    with pytest.raises(SCMValueError, match="name"):
        Polynomial.variable("")


def test_evaluation_reads_exact_values():
    p = X**2 + Y
    assert p.evaluate({"x": 0.5, "y": 1, "unused": "?"}) == Fraction(5, 4)
    assert p.evaluate({"x": BOT, "y": 1}) is BOT
    assert p.evaluate({"x": 1, "y": float("nan")}) is BOT
    assert Polynomial.constant(3).evaluate({"x": BOT}) == 3
    with pytest.raises(KeyError, match="'y'"):
        p.evaluate({"x": 1})
    with pytest.raises(SCMTypeError, match="'x'"):
        p.evaluate({"x": "1", "y": 1})


@given(p=POLYNOMIALS, q=POLYNOMIALS)
def test_content_and_common_monomial_divide(p, q):
    g = content(p, q)
    assert (g == 0) == (not p and not q)
    if g:
        coefficients = [c / g for r in (p, q) for c in r.terms.values()]
        assert all(c.denominator == 1 for c in coefficients)
        assert content(p * (1 / g), q * (1 / g)) == 1
    common = p.common_monomial()
    quotient = p.without(common)
    assert quotient * Polynomial({tuple(common.items()): 1}) == p
    assert quotient.common_monomial() == {}


def test_it_is_immutable_and_survives_copying():
    p = X * Y - 1
    with pytest.raises(AttributeError, match="immutable"):
        p._terms = {}
    with pytest.raises(AttributeError, match="immutable"):
        del p._terms
    with pytest.raises(TypeError):
        p.terms[()] = 0
    assert copy.deepcopy(p) == p


def test_too_many_terms_are_refused_while_they_grow():
    wide = Polynomial({((f"v{k}", 1),): 1 for k in range(600)})
    with pytest.raises(SCMValueError, match=str(TERM_LIMIT)):
        wide * wide
    with pytest.raises(SCMValueError, match=str(TERM_LIMIT)):
        Polynomial({(("x", k),): 1 for k in range(TERM_LIMIT + 1)})
    at_the_limit = Polynomial({(("x", k),): 1 for k in range(TERM_LIMIT)})
    with pytest.raises(SCMValueError, match=str(TERM_LIMIT)):
        at_the_limit + Y
