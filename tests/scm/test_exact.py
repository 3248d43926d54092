"""The rational oracle: the field of fractions with ⊥, and rounding to a format."""

from __future__ import annotations

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import exact
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.exact import BOT, round_to
from zeroproofml.scm.optable import OPS

RATIONAL = [name for name, row in OPS.items() if row.rational]
FORMATS = {"float16": (11, 15), "float32": (24, 127), "float64": (53, 1023), "bfloat16": (8, 127)}
FRACTIONS = st.fractions() | st.sampled_from([Fraction(0), Fraction(1), Fraction(-1)])


@given(x=FRACTIONS, y=FRACTIONS)
def test_the_field_operations_are_those_of_fractions(x, y):
    assert exact.add(x, y) == x + y
    assert exact.sub(x, y) == x - y
    assert exact.mul(x, y) == x * y
    assert exact.neg(x) == -x
    assert exact.div(x, y) == (x / y if y else BOT)
    assert exact.inv(y) == (1 / y if y else BOT)
    assert exact.sign(x) == (x > 0) - (x < 0)


@given(x=FRACTIONS, n=st.integers(-9, 9))
def test_pow_takes_integer_exponents(x, n):
    want = BOT if x == 0 and n < 0 else x**n
    for exponent in (n, Fraction(n), float(n)):
        result = exact.pow(x, exponent)
        assert result == want
        assert result is BOT or isinstance(result, Fraction)


@pytest.mark.parametrize("exponent", [0.5, Fraction(1, 3), 5e-324])
@pytest.mark.parametrize("base", [2, 0, BOT])
def test_other_exponents_are_not_rational(base, exponent):
    with pytest.raises(SCMTypeError, match=r"y: .* is not a rational operation"):
        exact.pow(base, exponent)


def test_bottom_absorbs_and_is_one():
    for name in RATIONAL:
        operands = [1] * OPS[name].arity
        for place in range(len(operands)):
            with_bottom = [*operands[:place], BOT, *operands[place + 1 :]]
            assert exact.operation(name)(*with_bottom) is BOT
    assert exact.sign(BOT) is BOT
    assert exact.pow(BOT, 0) is BOT
    assert exact.mul(0, BOT) is BOT
    assert repr(BOT) == "⊥"
    assert type(BOT)() is BOT
    assert copy.deepcopy(BOT) is BOT
    with pytest.raises(SCMTypeError, match="truth"):
        bool(BOT)


def test_names_are_those_of_the_table_and_sign():
    for name in RATIONAL:
        assert exact.operation(name) is getattr(exact, name)
    assert exact.operation("sign") is exact.sign
    for name in set(OPS) - set(RATIONAL):
        with pytest.raises(SCMTypeError, match=f"{name} is not a rational operation"):
            exact.operation(name)


def test_operands_are_converted_exactly():
    tenth = Fraction(3602879701896397, 36028797018963968)
    assert exact.read(0.1) == tenth
    assert exact.add(0.1, 0) == tenth
    assert exact.read(-0.0) == 0
    assert exact.read(5e-324) == Fraction(1, 2**1074)
    assert exact.read(10**400) == 10**400
    for number in (np.float16(0.1), np.float32(0.1), np.longdouble(0.1)):
        assert exact.read(number) == Fraction(*map(int, number.as_integer_ratio()))
    assert exact.read(np.uint64(2**64 - 1)) == 2**64 - 1
    assert exact.read(np.int8(-128)) == -128


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, np.float32("inf"), np.longdouble("nan")]
)
def test_what_is_not_finite_is_bottom(bad):
    assert exact.read(bad) is BOT
    assert exact.mul(0, bad) is BOT
    assert exact.div(1, bad) is BOT
    assert exact.pow(1, bad) is BOT
    assert round_to(bad, "float64") is BOT


@pytest.mark.parametrize("bad", [True, np.True_, "1", None, 1j, np.array([1.0])])
@pytest.mark.parametrize("place", [0, 1])
def test_other_types_are_named(bad, place):
    operands = [1, 1]
    operands[place] = bad
    for name in ("add", "sub", "mul", "div", "pow"):
        with pytest.raises(SCMTypeError, match=rf"^{'xy'[place]}: "):
            exact.operation(name)(*operands)
    with pytest.raises(SCMTypeError, match=r"^q: "):
        round_to(bad, "float16")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_number_of_a_format_rounds_to_itself(dtype):
    bits = np.dtype(dtype).itemsize * 8
    if bits == 16:
        patterns = np.arange(2**16, dtype=np.uint16)
    else:
        word = np.dtype(f"uint{bits}")
        patterns = np.random.default_rng(0).integers(0, 2**bits, 4000, dtype=word)
    numbers = patterns.view(dtype)
    for number in numbers[np.isfinite(numbers)].tolist():
        assert round_to(number, dtype) == Fraction(number)


@pytest.mark.parametrize("dtype", FORMATS)
def test_ties_go_to_even_and_limits_hold(dtype):
    bits, emax = FORMATS[dtype]
    largest = 2 ** (emax - bits + 1) * Fraction(2**bits - 1)
    half_ulp = Fraction(2) ** (emax - bits)
    smallest = Fraction(1, 2 ** (emax + bits - 2))
    tiny = Fraction(1, 2 ** (emax - 1))
    ulp = Fraction(1, 2 ** (bits - 1))
    hair = Fraction(1, 10**999)
    cases = [
        (1 + ulp / 2, 1),
        (1 + ulp / 2 + hair, 1 + ulp),
        (1 + ulp * 3 / 2, 1 + 2 * ulp),
        (1 + ulp * 3 / 2 - hair, 1 + ulp),
        (2 - ulp / 2, 2),
        (2 - ulp / 2 - hair, 2 - ulp),
        (largest, largest),
        (largest + half_ulp - hair, largest),
        (largest + half_ulp, BOT),
        (2 * largest, BOT),
        (smallest, smallest),
        (smallest / 2, 0),
        (smallest / 2 + hair, smallest),
        (smallest * 3 / 2, 2 * smallest),
        (tiny - smallest / 2, tiny),
        (tiny - smallest / 2 - hair, tiny - smallest),
        (hair, 0),
        (1 / hair, BOT),
    ]
    for q, want in cases:
        assert round_to(q, dtype) == want, (q, want)
        assert round_to(-q, dtype) == (BOT if want is BOT else -want)
    assert round_to(BOT, dtype) is BOT
    assert round_to(0, dtype) == 0


@given(q=st.fractions(max_denominator=10**30) | st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_to_double_is_pythons_own(q):
    """CPython divides integers with one correct rounding."""
    assert round_to(q, "float64") == Fraction(float(Fraction(q)))


@given(q=st.fractions(), k=st.integers(-40, 40), dtype=st.sampled_from(list(FORMATS)))
def test_rounding_is_nearest_odd_and_monotone(q, k, dtype):
    q *= Fraction(2) ** k
    r = round_to(q, dtype)
    if r is BOT:
        return
    assert round_to(r, dtype) == r
    assert round_to(-q, dtype) == -r
    bits, emax = FORMATS[dtype]
    above = q + abs(q) / 2**bits + Fraction(1, 2 ** (emax + bits))
    up = round_to(above, dtype)
    assert up is BOT or up >= r
    smallest = Fraction(1, 2 ** (emax + bits - 2))
    assert abs(r - q) <= max(abs(q) / 2**bits, smallest / 2)


def test_unknown_formats_are_named():
    for dtype in ("float128", "double", ""):
        with pytest.raises(SCMValueError, match=r"^dtype: .*bfloat16"):
            round_to(1, dtype)
