"""Tuples and targets, over NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import projective
from zeroproofml.scm.formulas.projective import Label

NAN, INF = np.nan, np.inf
# No part of a tuple leaves the normal range when it is scaled by 2^±100.
part = st.one_of(st.just(0.0), st.floats(1e-250, 1e250), st.floats(-1e250, -1e-250))


def arrays(*lists, dtype=np.float64):
    return [np.array(values, dtype) for values in lists]


def test_encode_then_decode_is_the_identity_on_canonical_pairs():
    payload, mask = np.array([2.5, 0.0, -1e300, 0.0]), np.array([False, True, False, False])
    numerator, denominator = projective.encode(payload, mask, xp=np)
    np.testing.assert_array_equal(numerator, [2.5, 1, -1e300, 0])
    np.testing.assert_array_equal(denominator, [1, 0, 1, 1])
    back, bottom = projective.decode(numerator, denominator, xp=np)
    np.testing.assert_array_equal(back, payload)
    np.testing.assert_array_equal(bottom, mask)


def test_encode_takes_non_finite_payloads_as_bottom():
    numerator, denominator = projective.encode(np.array([NAN, INF]), xp=np)
    np.testing.assert_array_equal(numerator, [1, 1])
    np.testing.assert_array_equal(denominator, [0, 0])


@pytest.mark.parametrize(
    ("p", "q", "want"),
    [
        (1.0, 1e-160, 1e160),
        (0.0, 5e-324, 0.0),
        (1.0, 5e-324, None),
        (1.0, 0.0, None),
        (0.0, 0.0, None),
        (1.0, INF, None),
        (NAN, 1.0, None),
    ],
)
def test_decode_follows_the_rules_of_division(p, q, want):
    payload, mask = projective.decode(np.array([p]), np.array([q]), xp=np)
    assert mask[0] == (want is None)
    assert payload[0] == (want or 0.0)


def test_decode_of_complex_tuples_is_right_at_the_limits():
    P, Q = np.array([1e300 * (1 + 1j), 1e-310]), np.array([1e300 * (1 + 1j), 1e-310 * (1 + 1j)])
    payload, mask = projective.decode(P, Q, xp=np)
    assert not mask.any()
    np.testing.assert_allclose(payload, [1, 0.5 - 0.5j], rtol=1e-14)
    top = np.finfo(np.float64).max  # here only the unscaled quotient is right
    payload, mask = projective.decode(np.array([0.75 * top]), np.array([0.4 + 0.4j]), xp=np)
    assert not mask.any()
    np.testing.assert_allclose(payload / top, [0.9375 - 0.9375j], rtol=1e-14)


def test_d15_renormalize_does_not_lose_large_or_small_tuples():
    P, Q = arrays([1e20, 1e-30, 3.0], [1.0, 1e-30, 4.0], dtype=np.float32)
    p, q = projective.renormalize(P, Q, xp=np)
    np.testing.assert_allclose(p, [1, np.sqrt(0.5), 0.6], rtol=2e-7)
    np.testing.assert_allclose(q, [1e-20, np.sqrt(0.5), 0.8], rtol=2e-7)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 5e-324])
def test_renormalize_at_the_ends_of_float64(scale):
    p, q = projective.renormalize(*arrays([scale], [-scale]), xp=np)
    np.testing.assert_allclose([p[0], q[0]], [np.sqrt(0.5), -np.sqrt(0.5)], rtol=1e-15)


def test_d15_renormalize_keeps_the_null_tuple():
    p, q = projective.renormalize(*arrays([0.0], [-0.0]), xp=np)
    assert p[0] == 0.0
    assert q[0] == 0.0


def test_renormalize_adds_gamma_to_the_norm():
    p, q = projective.renormalize(*arrays([3.0], [4.0]), 5.0, xp=np)
    np.testing.assert_allclose([p[0], q[0]], [0.3, 0.4], rtol=1e-15)


@pytest.mark.parametrize("gamma", [-1e-9, INF, NAN])
def test_renormalize_refuses_a_bad_gamma(gamma):
    with pytest.raises(SCMValueError, match="gamma"):
        projective.renormalize(*arrays([1.0], [1.0]), gamma, xp=np)


@given(p=part, q=part.filter(bool), k=st.integers(-100, 100))
def test_unit_tuples_have_norm_one_and_forget_the_scale(p, q, k):
    factor = 2.0**k
    one = projective.unit_tuple(*arrays([p], [q]), xp=np)
    other = projective.unit_tuple(*arrays([p * factor], [q * factor]), xp=np)
    assert one[0][0] == other[0][0]
    assert one[1][0] == other[1][0]
    assert one[0][0] ** 2 + one[1][0] ** 2 == pytest.approx(1, abs=1e-15)


def test_d15_the_null_tuple_equals_nothing():
    P, Q = arrays([0.0, 0.0, 1.0], [0.0, 0.0, NAN])
    P2, Q2 = arrays([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert not projective.projectively_equal(P, Q, P2, Q2, xp=np).any()
    assert not projective.projectively_equal(P2, Q2, P, Q, xp=np).any()


def test_projectively_equal_ignores_scale_and_sign():
    P, Q = arrays([1.0, 1e200, 1.0, 1.0], [2.0, 2e200, 0.0, 1.0])
    P2, Q2 = arrays([-3.0, 1.0, -1.0, 1.001], [-6.0, 2.0, 0.0, 1.0])
    got = projective.projectively_equal(P, Q, P2, Q2, xp=np)
    np.testing.assert_array_equal(got, [True, True, True, False])


def test_canonical_denominator():
    P, Q = arrays([3, -2, 0, 1, -1e300, 0], [2, 0, 0, -4, 1e-300, 5])
    p, q = projective.normalize_gauge(P, Q, "canonical_denominator", xp=np)
    np.testing.assert_array_equal(p, [1.5, -1, 0, -0.25, -1, 0])
    np.testing.assert_array_equal(q, [1, 0, 0, 1, 0, 1])


def test_canonical_denominator_of_complex_tuples_keeps_the_direction():
    P, Q = np.array([3 + 4j, 2j]), np.array([0j, 1j])
    p, q = projective.normalize_gauge(P, Q, "canonical_denominator", xp=np)
    np.testing.assert_allclose(p, [0.6 + 0.8j, 2], rtol=1e-15)
    np.testing.assert_array_equal(q, [0, 1])


def test_unknown_gauge():
    with pytest.raises(SCMValueError, match="gauge"):
        projective.normalize_gauge(*arrays([1.0], [1.0]), "l2", xp=np)


def test_lift_targets():
    t = projective.lift_targets(
        np.array([2.5, INF, -INF, NAN, 7.0, INF]), np.array([False] * 4 + [True] * 2), xp=np
    )
    np.testing.assert_array_equal(t.numerator, [2.5, 1, -1, 1, 1, 1])
    np.testing.assert_array_equal(t.denominator, [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(t.weight, np.ones(6))
    np.testing.assert_array_equal(t.orientation, [0, 1, -1, 0, 0, 0])
    np.testing.assert_array_equal(t.is_bottom, [False] + [True] * 5)


def test_lift_targets_of_integers_and_complex_numbers():
    assert projective.lift_targets(np.array([1, 2]), xp=np).numerator.dtype == np.float64
    t = projective.lift_targets(np.array([1 + 2j, complex(INF, 0)]), xp=np)
    np.testing.assert_array_equal(t.numerator, [1 + 2j, 1])
    np.testing.assert_array_equal(t.orientation, [0, 0])
    assert t.weight.dtype == np.float64
    with pytest.raises(SCMTypeError, match="values"):
        projective.lift_targets(np.array([True]), xp=np)


def test_d24_lift_semantic_targets():
    labels = np.array([label.value for label in Label], dtype=np.int8)
    values = np.array([2.5, NAN, NAN, NAN, NAN, INF, NAN])
    t = projective.lift_semantic_targets(values, labels, xp=np)
    np.testing.assert_array_equal(t.numerator, [2.5, 1, 1, 1, -1, 1, 0])
    np.testing.assert_array_equal(t.denominator, [1, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(t.weight, [1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(t.orientation, [0, 0, 0, 0, -1, 1, 0])
    np.testing.assert_array_equal(t.is_bottom, [False] + [True] * 5 + [False])


@pytest.mark.parametrize(
    ("values", "labels", "match"),
    [
        ([NAN], [0], "finite"),
        ([1.0], [7], "labels"),
        ([1.0], [-1], "labels"),
        ([1.0, 2.0], [0], "shapes"),
    ],
)
def test_lift_semantic_targets_refuses(values, labels, match):
    with pytest.raises(SCMValueError, match=match):
        projective.lift_semantic_targets(np.array(values), np.array(labels, np.int8), xp=np)
