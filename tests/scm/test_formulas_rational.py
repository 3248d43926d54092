"""Bases and the rational function, over NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas import basis
from zeroproofml.scm.formulas.rational import rational

NAN, INF = np.nan, np.inf


def test_monomial_and_chebyshev():
    x = np.array([[2.0], [-0.5]])
    np.testing.assert_array_equal(
        basis.monomial(x, 3, xp=np), [[[1, 2, 4, 8]], [[1, -0.5, 0.25, -0.125]]]
    )
    np.testing.assert_array_equal(
        basis.chebyshev(x, 3, xp=np), [[[1, 2, 7, 26]], [[1, -0.5, -0.5, 1]]]
    )
    assert basis.monomial(x, 0, xp=np).shape == (2, 1, 1)


@pytest.mark.parametrize("build", [basis.monomial, basis.chebyshev])
def test_d27_negative_degrees_are_refused(build):
    with pytest.raises(SCMValueError, match="degree"):
        build(np.ones(2), -1, xp=np)


@pytest.mark.parametrize("name", ["monomial", "chebyshev"])
@given(coefficients=st.lists(st.floats(-10, 10), min_size=1, max_size=7), x=st.floats(-1.5, 1.5))
def test_evaluate_equals_the_sum_over_the_basis(name, coefficients, x):
    c, point = np.array(coefficients), np.array([x])
    want = basis.basis_matrix(point, len(c) - 1, name, xp=np) @ c
    np.testing.assert_allclose(basis.evaluate(c, point, name, xp=np), want, atol=1e-10)


def test_chebyshev_equals_cosines():
    angle = np.linspace(0.0, 3.0, 7)
    c = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    got = basis.evaluate(c, np.cos(angle), "chebyshev", xp=np)
    np.testing.assert_allclose(got, np.cos(5 * angle), atol=1e-14)


def test_horner_defines_the_overflow():
    # x² alone would overflow; Horner never forms it: (0·x + 1)·x + 0
    got = basis.evaluate(np.array([0.0, 1.0, 0.0]), np.array([1e200]), xp=np)
    assert got[0] == 1e200
    assert not np.isfinite(basis.evaluate(np.array([0.0, 0.0, 1.0]), np.array([1e200]), xp=np))[0]


def test_callable_basis_and_leading_axes():
    def even(x, degree):
        return np.stack([x ** (2 * k) for k in range(degree + 1)], axis=-1)

    got = basis.evaluate(np.array([1.0, 2.0]), np.array([3.0]), even, xp=np)
    assert got[0] == 19.0
    per_output = np.array([[1.0, 0.0], [0.0, 2.0]])
    got = basis.evaluate(per_output, np.array([[3.0, 4.0], [5.0, 6.0]]), xp=np)
    np.testing.assert_array_equal(got, [[1, 8], [1, 12]])


def test_evaluate_refuses():
    with pytest.raises(SCMValueError, match="basis"):
        basis.evaluate(np.ones(2), np.ones(2), "legendre", xp=np)
    with pytest.raises(SCMValueError, match="coefficients"):
        basis.evaluate(np.ones(0), np.ones(2), xp=np)


def test_rational_value():
    payload, mask, P, Q = rational(
        np.array([0.5]), np.array([1.0, 2.0]), np.array([1.0, 3.0]), xp=np
    )
    assert (payload[0], mask[0], P[0], Q[0]) == (0.8, False, 2.0, 2.5)


@pytest.mark.parametrize(
    ("x", "numerator", "denominator", "epsilon", "bottom"),
    [
        (1.0, [1.0], [0.25], 0.25, False),  # |Q| = epsilon exactly
        (1.0, [1.0], [-0.25], 0.25, False),
        (1.0, [1.0], [0.2499], 0.25, True),
        (1.0, [1.0], [1.0, -1.0], 0.0, True),  # Q = 0
        (0.0, [0.0], [0.0], 0.0, True),
        (1.0, [1.0], [5e-324], 0.0, True),  # the quotient overflows
        (1.0, [1.0], [1e-160], 0.0, False),  # only its derivative would
        (1e200, [0.0, 0.0, 1.0], [1.0], 0.0, True),  # P overflows
        (1e200, [1.0], [0.0, 0.0, 1.0], 0.0, True),  # Q overflows: 1/inf = 0 is no value
        (NAN, [1.0], [1.0], 0.0, True),
        (INF, [1.0], [1.0], 0.0, True),  # a constant of x = inf is ⊥ all the same
    ],
)
def test_rational_is_bottom_where_the_definition_says(x, numerator, denominator, epsilon, bottom):
    payload, mask, P, Q = rational(
        np.array([x]),
        np.array(numerator),
        np.array(denominator),
        singular_epsilon=epsilon,
        xp=np,
    )
    assert mask[0] == bottom
    assert np.isfinite([payload[0], P[0], Q[0]]).all()
    assert not bottom or payload[0] == 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_d28_singular_epsilon_is_compared_strictly_in_the_dtype_of_q(dtype):
    Q = np.array([0.1], dtype)
    mask = rational(np.ones(1, dtype), Q * 0 + 1, Q, singular_epsilon=0.1, xp=np)[1]
    assert not mask[0]
    below = np.nextafter(Q, dtype(0))
    assert rational(np.ones(1, dtype), Q * 0 + 1, below, singular_epsilon=0.1, xp=np)[1][0]


def test_d10_the_threshold_is_on_q_not_on_a_validity():
    x = np.array([1e-7])
    payload, mask, *_ = rational(
        x, np.array([0.0, 1.0]), np.array([0.0, 1.0]), singular_epsilon=0.0, xp=np
    )
    assert payload[0] == 1.0
    assert not mask[0]
    assert rational(x * 0, np.array([0.0, 1.0]), np.array([0.0, 1.0]), xp=np)[1][0]


def test_rational_mask_and_stand_in_tuples():
    x = np.array([1.0, 2.0, NAN])
    payload, mask, P, Q = rational(
        x, np.array([1.0]), np.array([2.0]), mask=np.array([False, True, False]), xp=np
    )
    np.testing.assert_array_equal(payload, [0.5, 0, 0])
    np.testing.assert_array_equal(mask, [False, True, True])
    np.testing.assert_array_equal(P, [1, 0, 0])
    np.testing.assert_array_equal(Q, [2, 0, 0])


@pytest.mark.parametrize("epsilon", [-1e-9, NAN, INF])
def test_rational_refuses_a_bad_epsilon(epsilon):
    with pytest.raises(SCMValueError, match="singular_epsilon"):
        rational(np.ones(1), np.ones(1), np.ones(1), singular_epsilon=epsilon, xp=np)
