"""SCMValue and the scalar functions."""

from __future__ import annotations

import copy
import math
import operator
import pickle  # noqa: TID251 - that values survive it is the behaviour under test
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import ops
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.value import BOTTOM, SCMValue

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_a_value_holds_a_number_or_a_cause():
    x = SCMValue(1.5)
    assert (x.payload, x.is_bottom, x.cause) == (1.5, False, Cause.NONE)
    assert BOTTOM.is_bottom
    assert BOTTOM.cause == Cause.MASKED
    assert SCMValue(None, Cause.DOMAIN).cause is Cause.DOMAIN
    with pytest.raises(BottomError, match="MASKED"):
        _ = BOTTOM.payload


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (3, float),
        (3.5, float),
        (2j, complex),
        (np.float32(0.5), float),
        (np.int8(3), float),
        (np.complex64(1j), complex),
    ],
)
def test_numbers_become_python_floats_and_complexes(number, kind):
    assert type(SCMValue(number).payload) is kind
    assert SCMValue(number).payload == number


@pytest.mark.parametrize(
    "bad", [True, np.True_, "1", Fraction(1, 2), [1.0], np.ones(1), np.array(1.0)], ids=repr
)
def test_other_types_are_refused(bad):
    with pytest.raises(SCMTypeError, match=r"^value: "):
        SCMValue(bad)
    with pytest.raises(SCMTypeError, match=r"^x: "):
        ops.scm_neg(bad)
    with pytest.raises(SCMTypeError, match=r"^y: "):
        ops.scm_add(1.0, bad)


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, complex(0, math.inf), np.float32("nan")]
)
def test_non_finite_numbers_point_at_from_ieee(bad):
    with pytest.raises(SCMValueError, match="from_ieee"):
        SCMValue(bad)
    assert SCMValue.from_ieee(bad).cause == Cause.NONFINITE


def test_value_and_cause_must_agree():
    with pytest.raises(SCMValueError, match="cause"):
        SCMValue(None)
    with pytest.raises(SCMValueError, match="DOMAIN"):
        SCMValue(1.0, Cause.DOMAIN)
    with pytest.raises(SCMValueError, match="cause"):
        SCMValue.bottom(Cause.NONE)
    with pytest.raises(SCMTypeError, match="cause"):
        SCMValue(None, "DOMAIN")
    with pytest.raises(SCMValueError, match="cause"):
        SCMValue(None, 256)
    with pytest.raises(SCMValueError, match="float64"):
        SCMValue(10**400)


def test_to_ieee_gives_nan_and_remembers_complex():
    assert SCMValue(2.0).to_ieee() == 2.0
    assert math.isnan(BOTTOM.to_ieee())
    z = SCMValue.from_ieee(complex(math.nan, 1)).to_ieee()
    assert isinstance(z, complex)
    assert math.isnan(z.real)
    assert math.isnan(z.imag)
    assert isinstance((SCMValue(1j) / 0).to_ieee(), complex)
    assert SCMValue.from_ieee(1 + 2j).to_ieee() == 1 + 2j


def test_a_value_is_frozen():
    x = SCMValue(1.0)
    for name in ("payload", "_value", "new"):
        with pytest.raises(AttributeError):
            setattr(x, name, 2.0)
    with pytest.raises(AttributeError):
        del x._value
    assert x.payload == 1.0


@pytest.mark.parametrize(
    "x", [SCMValue(1.5), SCMValue(2j), BOTTOM, SCMValue.bottom(Cause.DOMAIN | Cause.OVERFLOW)]
)
def test_pickle_and_deepcopy_keep_value_and_cause(x):
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert again == x
        assert again.cause == x.cause
        assert again._is_complex == x._is_complex


def test_equality_ignores_the_cause_and_takes_plain_numbers():
    assert SCMValue(1.0) == 1.0 == SCMValue(1.0) == 1 == SCMValue(1 + 0j)
    assert SCMValue(1.0) == np.float32(1)
    assert np.float64(1) == SCMValue(1.0)
    assert SCMValue(1.0) != 2.0
    assert SCMValue(1.0) != BOTTOM
    assert SCMValue.bottom(Cause.DOMAIN) == BOTTOM
    assert BOTTOM != 0.0
    assert math.nan != BOTTOM
    assert SCMValue(1.0) != "1"
    assert BOTTOM != None  # noqa: E711 - the comparison is the test


@given(FINITE)
def test_hash_agrees_with_equality(x):
    assert hash(SCMValue(x)) == hash(x)
    assert len({SCMValue.bottom(Cause.DOMAIN), SCMValue.bottom(Cause.OVERFLOW), BOTTOM}) == 1
    assert {SCMValue(x): 1}[x] == 1


def test_truth_order_and_conversions():
    with pytest.raises(SCMTypeError, match="truth"):
        bool(SCMValue(1.0))
    with pytest.raises(SCMTypeError, match="truth"):
        bool(BOTTOM)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            compare(SCMValue(1.0), SCMValue(2.0))
        with pytest.raises(TypeError):
            compare(SCMValue(1.0), 2.0)
    assert float(SCMValue(1.5)) == 1.5
    assert complex(SCMValue(1.5)) == 1.5 + 0j
    for convert in (float, complex):
        with pytest.raises(BottomError):
            convert(BOTTOM)
    with pytest.raises(SCMTypeError, match="complex"):
        float(SCMValue(1j))


def test_repr():
    assert repr(SCMValue(1.5)) == "SCMValue(1.5)"
    assert repr(SCMValue(1) / 0) == "SCMValue(⊥ DIV_ZERO)"
    assert repr(SCMValue.bottom(Cause.DIV_ZERO | Cause.OVERFLOW)) == "SCMValue(⊥ DIV_ZERO|OVERFLOW)"


def test_operators_are_the_scalar_functions_and_are_mirrored():
    x = SCMValue(3.0)
    assert (x + 1, 1 + x, x - 1, 1 - x) == (4, 4, 2, -2)
    assert (x * 2, 2 * x, x / 2, 6 / x) == (6, 6, 1.5, 2)
    assert (x**2, 2**x, -x, +x, abs(-x)) == (9, 8, -3, 3, 3)
    assert abs(SCMValue(3 + 4j)) == 5
    assert abs(BOTTOM) is BOTTOM
    assert abs(SCMValue(1.7e308 * (1 + 1j))).cause == Cause.OVERFLOW
    for result in (np.float64(2) + x, np.float32(2) * x, x / np.int64(2)):
        assert type(result) is SCMValue


def test_unsupported_partners_are_type_errors():
    for bad in ("1", [1], None, True, Fraction(1, 2)):
        for compute in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow):
            if compute is operator.pow and isinstance(bad, Fraction):
                continue  # Fraction itself turns into a float there
            with pytest.raises(TypeError):
                compute(SCMValue(1.0), bad)
            with pytest.raises(TypeError):
                compute(bad, SCMValue(1.0))
    assert SCMValue(1.0).__add__("1") is NotImplemented


def test_non_finite_partners_are_bottom():
    assert (SCMValue(1.0) + math.inf).cause == Cause.NONFINITE
    assert (math.nan * SCMValue(0.0)).cause == Cause.NONFINITE


# --- the scalar functions --------------------------------------------------------------------------


def test_acceptance_ten():
    assert repr(ops.scm_add(1e308, 1e308)) == "SCMValue(⊥ OVERFLOW)"
    assert ops.scm_pow(-8.0, 1 / 3).cause == Cause.DOMAIN
    assert SCMValue(1.0) == 1.0


def test_D03_scalar_powers_are_real_and_strict():
    assert ops.scm_pow(-8.0, 1 / 3).is_bottom
    assert ops.scm_pow(1, math.nan).cause == Cause.NONFINITE
    assert ops.scm_pow(math.nan, 0).cause == Cause.NONFINITE
    assert ops.scm_pow(0.0, 0.0) == 1
    assert ops.scm_sqrt(-1.0).cause == Cause.DOMAIN
    assert ops.scm_sqrt(-1 + 0j) == 1j
    with pytest.raises(SCMTypeError, match="exponent"):
        ops.scm_pow(2.0, 1j)
    with pytest.raises(SCMTypeError, match="exponent"):
        ops.scm_pow(2.0, SCMValue(1 + 0j))


def test_D04_every_overflow_is_the_same_bottom():
    """math.exp, ** and * raise three different things, or nothing, when they overflow."""
    big = 1e308
    for x in (
        ops.scm_add(big, big),
        ops.scm_sub(-big, big),
        ops.scm_mul(big, 10),
        ops.scm_div(big, 0.1),
        ops.scm_inv(5e-324),
        ops.scm_pow(10.0, 400),
        ops.scm_pow(10, 400),
        ops.scm_exp(1000),
        ops.scm_sin(0.5 + 800j),
        ops.scm_cos(800j),
    ):
        assert x.cause == Cause.OVERFLOW


@pytest.mark.parametrize(
    ("x", "cause"),
    [
        (lambda: ops.scm_div(1, 0), Cause.DIV_ZERO),
        (lambda: ops.scm_div(0, 0), Cause.DIV_ZERO),
        (lambda: ops.scm_div(0, -0.0), Cause.DIV_ZERO),
        (lambda: ops.scm_inv(0), Cause.DIV_ZERO),
        (lambda: ops.scm_inv(0j), Cause.DIV_ZERO),
        (lambda: ops.scm_pow(0, -1), Cause.DIV_ZERO),
        (lambda: ops.scm_pow(-0.0, -0.5), Cause.DIV_ZERO),
        (lambda: ops.scm_pow(0j, -2), Cause.DIV_ZERO),
        (lambda: ops.scm_pow(-2, 0.5), Cause.DOMAIN),
        (lambda: ops.scm_log(0), Cause.DOMAIN),
        (lambda: ops.scm_log(-1), Cause.DOMAIN),
        (lambda: ops.scm_log(0j), Cause.DOMAIN),
        (lambda: ops.scm_sqrt(-1e-300), Cause.DOMAIN),
        (lambda: ops.scm_div(math.inf, 0), Cause.NONFINITE),
        (lambda: ops.scm_div(BOTTOM, 0), Cause.MASKED),
        (lambda: ops.scm_add(ops.scm_div(1, 0), ops.scm_log(-1)), Cause.DIV_ZERO | Cause.DOMAIN),
    ],
)
def test_causes(x, cause):
    assert x().cause == cause


def test_regular_edges_of_the_scalars():
    assert ops.scm_log(-1 + 0j) == math.pi * 1j
    assert ops.scm_tan(math.pi / 2) == 1.633123935319537e16
    assert ops.scm_pow(-2, 3) == -8
    assert ops.scm_pow(2.0, -1100) == 0
    assert ops.scm_exp(-1000) == 0
    assert ops.scm_div(1, 1e-160) == 1e160


@given(FINITE, FINITE)
def test_field_operations_round_once(x, y):
    for function, compute in (
        (ops.scm_add, operator.add),
        (ops.scm_sub, operator.sub),
        (ops.scm_mul, operator.mul),
    ):
        want = compute(x, y)
        got = function(x, y)
        assert got == want if math.isfinite(want) else got.cause == Cause.OVERFLOW
