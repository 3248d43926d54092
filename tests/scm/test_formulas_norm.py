"""Normalisation and softmax, over NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas.norm import norm, softmax

NAN, INF = np.nan, np.inf


def test_norm_by_hand():
    payload, mask = norm(np.array([[1.0], [2.0], [3.0], [6.0]]), xp=np)  # mean 3, variance 3.5
    np.testing.assert_allclose(payload[:, 0], np.array([-2, -1, 0, 3]) / np.sqrt(3.5), atol=1e-15)
    assert not mask.any()
    payload, _ = norm(np.array([1.0, 3.0]), eps=3.0, xp=np)  # variance 1
    np.testing.assert_allclose(payload, [-0.5, 0.5], rtol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0, 1e300, 5e-324])
def test_d16_a_constant_column_is_bottom_without_eps_and_zero_with_it(value):
    column = np.full((3, 1), value)
    payload, mask = norm(column, xp=np)
    assert mask.all()
    assert not payload.any()
    payload, mask = norm(column, eps=1e-5, xp=np)
    assert not mask.any()
    assert not payload.any()


def test_d16_a_bottom_lane_touches_no_other():
    x = np.array([[1.0, 5.0], [NAN, 6.0], [3.0, 9.0], [INF, 0.0]])
    mask = np.zeros_like(x, dtype=bool)
    mask[0, 1] = True
    payload, bottom = norm(x, mask, xp=np)
    np.testing.assert_array_equal(
        bottom, [[False, True], [True, False], [False, False], [True, False]]
    )
    np.testing.assert_allclose(payload[[0, 2], 0], [-1, 1], rtol=1e-15)
    np.testing.assert_allclose(payload[1:, 1], norm(x[1:, 1], xp=np)[0], rtol=1e-15)
    assert payload[1, 0] == payload[3, 0] == payload[0, 1] == 0.0


def test_norm_of_an_all_bottom_column():
    payload, mask = norm(np.array([[NAN, 1.0], [NAN, 2.0]]), xp=np)
    np.testing.assert_array_equal(mask, [[True, False], [True, False]])
    np.testing.assert_allclose(payload, [[0, -1], [0, 1]], rtol=1e-15)


@pytest.mark.parametrize("k", [-1000, -300, 0, 300, 1020])
def test_norm_is_scale_invariant_without_eps(k):
    x = np.array([1.0, 2.0, 4.5])
    np.testing.assert_array_equal(norm(x * 2.0**k, xp=np)[0], norm(x, xp=np)[0])


def test_norm_with_eps_at_the_limits():
    payload, mask = norm(np.array([1e-200, 3e-200]), eps=1e-4, xp=np)
    np.testing.assert_allclose(payload, [-1e-198, 1e-198], rtol=1e-14)
    payload, mask = norm(np.array([-1.7e308, 1.7e308]), eps=1.0, xp=np)
    np.testing.assert_allclose(payload, [-1, 1], rtol=1e-15)
    assert not mask.any()


@given(
    x=npst.arrays(np.float64, (5, 2), elements=st.floats(-1e3, 1e3).map(lambda v: round(v, 3))),
    mask=npst.arrays(np.bool_, (5, 2)),
)
def test_norm_has_mean_zero_and_variance_one(x, mask):
    payload, bottom = norm(x, mask, xp=np)
    assert np.isfinite(payload).all()
    assert not payload[bottom].any()
    for column in range(2):
        lanes = payload[~bottom[:, column], column]
        if lanes.size:
            assert lanes.mean() == pytest.approx(0, abs=1e-7)
            assert lanes.var() == pytest.approx(1, abs=1e-7)


def test_norm_refuses():
    with pytest.raises(SCMValueError, match="axis"):
        norm(np.array(1.0), xp=np)
    with pytest.raises(SCMValueError, match="eps"):
        norm(np.ones(2), eps=-1.0, xp=np)
    with pytest.raises(SCMValueError, match="mask"):
        norm(np.ones((2, 3)), np.zeros(2, bool), xp=np)


def test_softmax_by_hand():
    payload, mask = softmax(np.array([0.0, np.log(3.0)]), xp=np)
    np.testing.assert_allclose(payload, [0.25, 0.75], rtol=1e-15)
    assert not mask.any()


def test_d16_softmax_rows():
    x = np.array(
        [
            [0.0, 0.0, NAN],  # the NaN is masked
            [0.0, -INF, 0.0],
            [0.0, NAN, 0.0],
            [0.0, INF, 0.0],
            [-INF, -INF, -INF],
            [0.0, 0.0, 0.0],  # all masked
            [1e308, -1e308, 1e308],
        ]
    )
    mask = np.zeros_like(x, dtype=bool)
    mask[0, 2] = True
    mask[5] = True
    payload, bottom = softmax(x, mask, xp=np)
    np.testing.assert_array_equal(bottom[:, 0], [False, False, True, True, True, True, False])
    np.testing.assert_array_equal(bottom, np.repeat(bottom[:, :1], 3, axis=1))
    np.testing.assert_array_equal(
        payload,
        [[0.5, 0.5, 0], [0.5, 0, 0.5], [0] * 3, [0] * 3, [0] * 3, [0] * 3, [0.5, 0, 0.5]],
    )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_in_empty_out(shape):
    for formula in (norm, softmax):
        payload, mask = formula(np.zeros(shape), xp=np)
        assert payload.shape == mask.shape == shape
        assert mask.dtype == np.bool_
