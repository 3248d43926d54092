"""Reductions and matrix products: one ⊥ absorbs, unless the regular lanes are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

PLAIN = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "min": np.min, "max": np.max}


@pytest.fixture
def m():
    return SCMArray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], cause=np.array([[0, 4, 0], [0, 8, 0]]))


@pytest.mark.parametrize("name", list(PLAIN))
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_without_bottom_they_are_numpys(name, axis, keepdims):
    x = np.array([[1.0, 2.5, 3.0], [4.0, -5.0, 6.0]])
    result = getattr(SCMArray(x), name)(axis=axis, keepdims=keepdims)
    want = PLAIN[name](x, axis=axis, keepdims=keepdims)
    assert type(result) is SCMArray
    assert result.shape == want.shape
    assert not result.mask.any()
    np.testing.assert_allclose(result.payload, want, rtol=1e-15)


@pytest.mark.parametrize("name", list(PLAIN))
def test_one_bottom_absorbs_with_the_or_of_the_causes(m, name):
    assert getattr(m, name)().cause == Cause.DIV_ZERO | Cause.DOMAIN
    assert getattr(m, name)(axis=0).cause.tolist() == [0, 12, 0]
    assert getattr(m, name)(axis=1).cause.tolist() == [4, 8]
    assert getattr(m, name)(axis=1, keepdims=True).shape == (2, 1)
    assert getattr(m, name)(axis=0).payload[1] == 0


def test_the_ufunc_methods_and_numpys_functions_are_the_same(m):
    for ufunc, name in (
        (np.add, "sum"),
        (np.multiply, "prod"),
        (np.minimum, "min"),
        (np.maximum, "max"),
    ):
        assert ufunc.reduce(m).cause.tolist() == [0, 12, 0]  # axis 0 by default, as in NumPy
        assert ufunc.reduce(m, axis=None).cause == 12
        assert ufunc.reduce(m, axis=1, keepdims=True).shape == (2, 1)
        assert np.array_equal(ufunc.reduce(m).payload, getattr(m, name)(axis=0).payload)
    for name, function in PLAIN.items():
        assert np.array_equal(function(m, axis=0).payload, getattr(m, name)(axis=0).payload)
        assert function(m).cause == 12
    for options in ({"dtype": np.float32}, {"out": np.zeros(3)}, {"initial": 1.0}):
        with pytest.raises(SCMTypeError, match=rf"numpy\.sum.*{next(iter(options))}"):
            np.sum(m, **options)


def test_an_overflow_is_bottom_overflow():
    big = SCMArray([1e308, 1e308])
    assert big.sum().cause == Cause.OVERFLOW
    assert big.mean().cause == Cause.OVERFLOW
    assert big.prod().cause == Cause.OVERFLOW
    assert SCMArray([1e308, 1e308], [True, False]).sum().cause == Cause.MASKED
    assert SCMArray(np.full(300, 300.0, np.float16)).sum().cause == Cause.OVERFLOW


def test_a_float16_mean_of_many_lanes():
    n = 70_000  # beyond the largest float16
    x = SCMArray(np.where(np.arange(n) % 2, 0.5, 0.0).astype(np.float16))
    result = x.mean()
    assert result.dtype == np.float16
    assert float(result) == pytest.approx(0.25, rel=1e-3)
    assert float(x.mean_valid()[0]) == pytest.approx(0.25, rel=1e-3)


def test_of_nothing():
    nothing = SCMArray(np.ones((0, 2)))
    assert nothing.sum().item() == 0
    assert nothing.prod().item() == 1
    assert nothing.mean().cause == Cause.DIV_ZERO
    assert nothing.mean(axis=0).cause.tolist() == [4, 4]
    assert nothing.mean(axis=1).shape == (0,)
    for name in ("min", "max"):
        with pytest.raises(SCMValueError, match="no lanes"):
            getattr(nothing, name)()
        assert getattr(nothing, name)(axis=1).shape == (0,)


def test_complex_lanes_have_sums_but_no_order():
    z = SCMArray([1j, 2.0])
    assert z.sum().item() == 2 + 1j
    assert z.mean().item() == 1 + 0.5j
    for name in ("min", "max", "min_valid", "max_valid"):
        with pytest.raises(SCMTypeError, match="order"):
            getattr(z, name)()


def test_valid_forms_see_the_regular_lanes_only(m):
    total, count = m.sum_valid()
    assert (total.item(), count) == (14, 4)
    assert total.item().cause == 0
    mean, count = m.mean_valid(axis=0)
    assert mean.payload.tolist() == [2.5, 0, 4.5]
    assert mean.cause.tolist() == [0, Cause.DIV_ZERO, 0]
    assert count.tolist() == [2, 0, 2]
    low, count = m.min_valid(axis=0)
    high, _ = m.max_valid(axis=0)
    assert low.payload.tolist() == [1, 0, 3]
    assert high.payload.tolist() == [4, 0, 6]
    assert low.cause.tolist() == high.cause.tolist() == [0, Cause.DOMAIN, 0]
    assert m.max_valid(axis=1, keepdims=True)[0].shape == (2, 1)
    assert m.max_valid(axis=1, keepdims=True)[1].shape == (2, 1)
    negative = SCMArray([-1.0, 5.0], [False, True])
    assert negative.max_valid()[0].item() == -1  # the 0 under the mask does not count


def test_acceptance_thirteen_of_all_bottom():
    a = SCMArray.bottom(3, cause=Cause.DOMAIN)
    assert a.sum().cause == Cause.DOMAIN
    mean, count = a.mean_valid()
    assert mean.cause == Cause.DIV_ZERO
    assert count == 0
    total, count = a.sum_valid()
    assert (total.item(), count) == (0, 0)
    assert a.min_valid()[0].cause == a.max_valid()[0].cause == Cause.DOMAIN
    assert SCMArray([1.0, 2.0], [True, False]).sum().item().is_bottom


def test_valid_forms_overflow_too():
    assert SCMArray([1e308, 1e308, 1.0], [0, 0, 1]).sum_valid()[0].cause == Cause.OVERFLOW
    assert SCMArray([1e308, 1e308, 1.0], [0, 0, 1]).mean_valid()[0].cause == Cause.OVERFLOW


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_valid_forms_equal_numpy_over_the_compressed_lanes(values, flags):
    a = SCMArray(values, flags)
    lanes = np.array(values)[~np.array(flags)]
    total, count = a.sum_valid()
    assert count == lanes.size
    assert float(total) == pytest.approx(lanes.sum(), rel=1e-12, abs=1e-6)
    if lanes.size:
        assert float(a.min_valid()[0]) == lanes.min()
        assert float(a.max_valid()[0]) == lanes.max()
        assert float(a.mean_valid()[0]) == pytest.approx(lanes.mean(), rel=1e-12, abs=1e-6)
    assert a.sum().item().is_bottom == any(flags)


# --- matrix products -------------------------------------------------------------------------------


def _reference(a, b):
    """The definition, lane by lane, for two matrices."""
    mask = a.mask.any(axis=1)[:, None] | b.mask.any(axis=0)[None, :]
    cause = (
        np.bitwise_or.reduce(a.cause, axis=1)[:, None]
        | np.bitwise_or.reduce(b.cause, axis=0)[None, :]
    )
    return np.where(mask, 0, a.payload @ b.payload), mask, cause


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 1000))
def test_matmul_absorbs_per_row_and_column(n, k, m, seed):
    rng = np.random.default_rng(seed)
    a = SCMArray(rng.integers(-3, 4, (n, k)), cause=rng.choice([0, 0, 0, 4, 8], (n, k)))
    b = SCMArray(rng.integers(-3, 4, (k, m)), cause=rng.choice([0, 0, 0, 1], (k, m)))
    for result in (a @ b, np.matmul(a, b)):
        payload, mask, cause = _reference(a, b)
        assert np.array_equal(result.payload, payload)
        assert np.array_equal(result.mask, mask)
        assert np.array_equal(result.cause, cause)


def test_matmul_of_vectors_and_batches():
    v, w = SCMArray([1.0, 2.0]), SCMArray([1.0, 1.0], [False, True])
    m = SCMArray([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])
    assert (v @ v).shape == ()
    assert (v @ v).item() == 5
    assert (v @ w).item().is_bottom
    assert (m @ v).mask.tolist() == [True, False]
    assert (v @ m).mask.tolist() == [True, False]
    assert (w @ m).mask.tolist() == [True, True]
    assert (m @ w).mask.tolist() == [True, True]
    batch = SCMArray(np.ones((3, 2, 2)), np.arange(12).reshape(3, 2, 2) == 0)
    assert (batch @ m).shape == (3, 2, 2)
    assert (batch @ m).mask.sum() == 6 + 1  # column 0 everywhere, and row 0 of batch 0
    assert (batch @ v).mask.tolist() == [[True, False], [False, False], [False, False]]
    assert (v @ batch).mask.tolist() == [[True, False], [False, False], [False, False]]
    assert (np.ones((2, 2)) @ m).mask.tolist() == [[True, False], [True, False]]


def test_matmul_overflow_and_clashes():
    big = SCMArray([[1e308, 1e308], [1.0, 1.0]])
    assert (big @ SCMArray([2.0, 2.0])).cause.tolist() == [Cause.OVERFLOW, 0]
    with pytest.raises(SCMValueError, match="matmul"):
        big @ SCMArray([1.0, 2.0, 3.0])
    with pytest.raises(SCMValueError, match="matmul"):
        SCMArray(1.0) @ big
