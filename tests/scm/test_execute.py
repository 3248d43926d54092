"""Inside the executor: the flag probe, the fill, the memory it takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import _execute, ops
from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.optable import OPS

FLAGGED = ("add", "sub", "mul", "div", "inv", "sqrt")
BAD = {
    "add": (1.0, 1.0),
    "sub": (1.0, -1.0),
    "mul": (1.0, 2.0),
    "div": (1.0, 0.0),
    "inv": (0.0,),
    "sqrt": (-1.0,),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FLAGGED)
def test_this_platform_raises_a_flag_for_every_new_bottom_and_for_nothing_else(name, dtype):
    """The grid of performance.md §6: lengths 1 to 1000, strides 1 to 3, one bad lane anywhere."""
    big = np.finfo(dtype).max
    scale = big if name in {"add", "sub", "mul"} else 1.0
    kernel = _execute.kernel_for(name)
    rng = np.random.default_rng(0)
    for n in [*range(1, 40), 63, 64, 65, 127, 128, 255, 256, 511, 1000]:
        for stride in (1, 2, 3):
            operands = [np.ones(n * stride, dtype)[::stride] for _ in BAD[name]]
            assert not _execute._flagged(kernel, operands, np.empty(n, dtype)), (n, stride)
            place = int(rng.integers(n))
            for operand, value in zip(operands, BAD[name], strict=True):
                operand[place] = value * scale if abs(value) == 1 and scale != 1 else value
            out = np.empty(n, dtype)
            assert _execute._flagged(kernel, operands, out), (n, stride, place)
            assert np.flatnonzero(~np.isfinite(out)).tolist() == [place]


def test_the_probe_is_only_used_where_it_was_found_to_work(monkeypatch):
    assert _execute.flags_reliable("div", np.dtype(np.float64))
    monkeypatch.setattr(_execute, "flags_reliable", lambda name, dtype: False)
    monkeypatch.setattr(_execute, "_flagged", None)  # must not be asked
    assert (SCMArray([1.0, 2.0]) / [0.0, 1.0]).mask.tolist() == [True, False]


def test_a_platform_that_misses_a_flag_is_noticed(monkeypatch):
    monkeypatch.setattr(_execute, "_flagged", lambda *args: False)
    assert not _execute.flags_reliable.__wrapped__("div", np.dtype(np.float64))


def test_a_flag_raised_by_a_masked_lane_makes_nothing_bottom():
    a = SCMArray([1.0, 2.0], [False, True])
    b = SCMArray([1.0, 2.0], [False, True])
    r = a / b  # 0/0 under the mask raises the flag
    assert r.payload.tolist() == [1, 0]
    assert r.causes() == {"MASKED": 1}


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "longdouble", "complex64", "complex128"]
)
@given(
    share=st.sampled_from([0.0, 0.01, 0.03, 0.05, 0.5, 1.0]),
    n=st.integers(0, 300),
    step=st.integers(1, 3),
)
def test_fill_writes_zero_under_the_mask_and_nothing_else(share, n, step, dtype):
    rng = np.random.default_rng(n)
    payload = np.full(n * step, -0.0, dtype)[::step]
    payload[rng.random(n) < 0.5] = np.nan
    mask = rng.random(n) < share
    want = payload.copy()
    want[mask] = 0
    _execute.fill(payload, mask)
    assert np.array_equal(payload, want, equal_nan=True)
    assert np.array_equal(np.signbit(payload.real), np.signbit(want.real))  # -0.0 stays


@given(
    n=st.integers(0, 30_000),
    place=st.floats(0, 1, exclude_max=True),
    value=st.sampled_from([np.inf, -np.inf, np.nan]),
    other=st.sampled_from([0.0, -1.0, 5e-324, np.inf, -np.inf]),
)
def test_the_dot_product_probe_never_misses_a_lane(n, place, value, other):
    a, b = np.ones(n), np.full(n, 2.0)
    assert _execute._all_finite(a, b)
    if n:
        i = int(place * n)
        a[i], b[i] = value, other
        with np.errstate(all="ignore"):
            assert not _execute._all_finite(a, b)
            assert not _execute._all_finite(b, a)


def test_a_sum_that_overflows_costs_a_look_and_changes_nothing():
    x = np.full(2000, 1e200)
    with np.errstate(all="ignore"):
        assert not _execute._all_finite(x, x)
    payload, mask = ops.scm_neg_numpy(x)
    assert not mask.any()
    assert (payload == -1e200).all()


@pytest.mark.parametrize("name", ["div", "inv", "exp", "pow", "sub"])
def test_one_bottom_among_many_blocks(name):
    """Clean blocks, a block that is not, blocks in which the probe rests, clean blocks again."""
    n = 500_000
    rng = np.random.default_rng(3)
    for places in ([0], [n - 1], [40_000, 300_000], []):
        operands = [rng.uniform(0.5, 2, n) for _ in range(OPS[name].arity)]
        for operand in operands:
            operand[places] = np.inf  # x/inf, 1/inf, exp(-inf), inf**-inf: finite results too
        if name in {"exp", "pow"}:
            operands[-1][places] = -np.inf
        out = np.ones(n), np.ones(n, bool)
        masks = [None] * len(operands)
        for result in (
            getattr(ops, f"scm_{name}_numpy")(*operands),
            getattr(ops, f"scm_{name}_numpy")(*operands, *masks, out=out),
        ):
            assert np.flatnonzero(result[1]).tolist() == places
            assert (result[0][places] == 0).all()
            assert np.isfinite(result[0]).all()


def _peak(function):
    function()
    tracemalloc.start()
    try:
        result = function()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("density", [0.0, 0.03])
def test_memory_beyond_the_inputs(density):
    n = 1_000_000
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(n), rng.standard_normal(n)
    y[rng.random(n) < density] = 0
    peak, _ = _peak(lambda: ops.scm_div_numpy(x, y))
    assert peak <= 10 * n
    a, b = SCMArray(x), SCMArray(y)
    peak, _ = _peak(lambda: a / b)
    assert peak <= 12 * n


def test_a_clean_result_carries_no_plane_of_zeros():
    r = SCMArray([1.0]) + SCMArray([2.0])
    assert r._planes.mask is None
    assert r._planes.cause is None


def test_every_operation_has_a_kernel():
    for name, op in OPS.items():
        out = np.empty(3)
        _execute.kernel_for(name)(*(np.ones(3),) * op.arity, out=out)
        assert np.isfinite(out).all()
