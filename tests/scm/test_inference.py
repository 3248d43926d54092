"""Strict inference over NumPy, its fallbacks, the monitor and the sweep."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zeroproofml.scm.cause import FAULT, SEMANTIC, Cause, describe
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import strict
from zeroproofml.scm.inference import (
    InferenceConfig,
    InferenceResult,
    decode_three_way,
    gauge_value,
    reject_on_bottom,
    reject_on_gap,
    route_to_solver,
    safe_sentinel,
    strict_inference,
)

NAN, INF = np.nan, np.inf
CONFIG = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
MANY = 5000  # lanes: enough for the form that works in blocks

parts = st.one_of(
    st.sampled_from([0.0, -0.0, NAN, INF, -INF, 1.0, -1.0, 1e-5, 1e-3, 1e-9, 5e-324, 1e308]),
    st.floats(width=64),
)
planes = st.integers(1, 8).flatmap(
    lambda n: st.tuples(*[npst.arrays(np.float64, (n,), elements=parts) for _ in range(2)])
)


def lanes(*values, dtype=np.float64):
    return np.array(values, dtype)


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "q", "decoded", "gap", "cause"),
    [
        (1, 2, 0.5, False, "NONE"),
        (1, 5e-5, 2e4, True, "NONE"),
        (1, 0, None, False, "DIV_ZERO"),
        (0, 0, None, False, "DIV_ZERO|NULL_TUPLE"),
        (0, -0.0, None, False, "DIV_ZERO|NULL_TUPLE"),
        (1, 1e-9, None, False, "THRESHOLD"),
        (NAN, 1, None, False, "NONFINITE"),
        (1, NAN, None, False, "NONFINITE"),
        (1, INF, None, False, "NONFINITE"),
        (INF, 1e-9, None, False, "NONFINITE|THRESHOLD"),
        (NAN, 0, None, False, "NONFINITE|DIV_ZERO"),
        (1e308, 1e-4, None, False, "OVERFLOW"),
        (-3, -4, 0.75, False, "NONE"),
        (0, 5, 0.0, False, "NONE"),
    ],
)
@pytest.mark.parametrize("count", [1, MANY])
def test_table(p, q, decoded, gap, cause, count):
    r = strict_inference(np.full(count, p, np.float64), np.full(count, q, np.float64), CONFIG)
    assert {describe(c) for c in r.cause} == {cause}
    assert (r.gap_mask == gap).all()
    assert (r.bottom_mask == (decoded is None)).all()
    np.testing.assert_array_equal(r.decoded, np.full(count, NAN if decoded is None else decoded))


def test_overflow_in_float32():
    r = strict_inference(*[lanes(v, dtype=np.float32) for v in (1e38, 1e-3)], CONFIG)
    assert r.cause[0] == Cause.OVERFLOW
    assert r.decoded.dtype == np.float32


@given(planes, st.sampled_from(["raw", "l2"]))
def test_invariants(pair, gauge):
    config = dataclasses.replace(CONFIG, gauge=gauge)
    r = strict_inference(*pair, config)
    np.testing.assert_array_equal(r.bottom_mask, r.fault_mask | r.semantic_bottom_mask)
    np.testing.assert_array_equal(r.bottom_mask, r.cause != 0)
    np.testing.assert_array_equal(np.isfinite(r.decoded), ~r.bottom_mask)
    assert not (r.gap_mask & r.bottom_mask).any()
    assert r.decoded.shape == r.bottom_mask.shape == r.gap_mask.shape == r.cause.shape
    turned = strict_inference(-pair[0], -pair[1], config)
    for a, b in zip(r, turned, strict=True):
        np.testing.assert_array_equal(a, b)


@given(planes, st.sampled_from(["raw", "l2"]))
def test_blocks_and_plain_form_decide_alike(pair, gauge):
    config = dataclasses.replace(CONFIG, gauge=gauge)
    small = strict_inference(*pair, config)
    large = strict_inference(*(np.resize(x, MANY) for x in pair), config)
    for a, b in zip(small, large, strict=True):
        np.testing.assert_array_equal(np.resize(a, MANY), b)
        assert a.dtype == b.dtype


@given(planes, st.lists(st.floats(1e-12, 1e3), min_size=2, max_size=2))
def test_monotone_in_tau_infer(pair, taus):
    low, high = (strict_inference(*pair, InferenceConfig(t)).bottom_mask for t in sorted(taus))
    assert not (low & ~high).any()


@given(
    st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 6)), min_size=2, max_size=2),
    st.integers(-100, 100),
)
def test_l2_masks_are_invariant_under_scaling(values, k):
    config = InferenceConfig(tau_infer=1e-4, tau_train=1e-2, gauge="l2")
    P, Q = (lanes(v) for v in values)
    a, b = (strict_inference(P * 2.0**j, Q * 2.0**j, config) for j in (0, k))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_raw_masks_are_not_invariant_under_scaling():
    P, Q = lanes(1.0), lanes(1e-2)
    assert not strict_inference(P, Q, CONFIG).bottom_mask[0]
    assert strict_inference(P * 2.0**-20, Q * 2.0**-20, CONFIG).bottom_mask[0]


# --- thresholds --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("count", [1, MANY])
def test_d28_every_threshold_is_a_strict_less(dtype, count):
    config = InferenceConfig(tau_infer=0.1, tau_train=0.3)
    edges = np.array([0.1, 0.3], dtype)
    Q = np.concatenate([edges, np.nextafter(edges, dtype(0))]).repeat(count)
    r = strict_inference(np.ones_like(Q), Q, config)
    np.testing.assert_array_equal(r.bottom_mask[::count], [False, False, True, False])
    np.testing.assert_array_equal(r.gap_mask[::count], [True, False, False, True])


def test_d10_an_exact_zero_is_bottom_however_small_tau():
    r = strict_inference(lanes(0.0, 1e-7), lanes(0.0, 1e-7), InferenceConfig(1e-300))
    np.testing.assert_array_equal(r.bottom_mask, [True, False])
    assert r.decoded[1] == 1.0
    V = lanes(0.0, 5e-324)
    r = strict_inference(lanes(1.0, 1.0), lanes(1.0, 1.0), factors=[V])
    np.testing.assert_array_equal(r.cause, [Cause.VALIDITY, 0])


@pytest.mark.parametrize(
    ("value", "dtype", "want"),
    [
        (1e-8, "float16", 0.0),
        (1e-6, "float16", float(np.float16(1e-6))),
        (0.1, "float32", float(np.float32(0.1))),
        (0.1, "complex64", float(np.float32(0.1))),
        (0.1, "float64", 0.1),
        (1e-45, "float32", float(np.float32(1e-45))),
        (65519.0, "float16", 65504.0),
        (65520.0, "float16", INF),
        (0.1, "bfloat16", 0.10009765625),
        (0.1, "longdouble", 0.1),
        (0.0, "float16", 0.0),
    ],
)
def test_round_threshold(value, dtype, want):
    assert strict.round_threshold(value, dtype) == want


@given(st.floats(0, 1e39), st.sampled_from([np.float16, np.float32, np.float64]))
def test_round_threshold_rounds_as_numpy_does(value, dtype):
    with np.errstate(over="ignore"):
        assert strict.round_threshold(value, dtype) == float(dtype(value))


def test_effective_thresholds():
    assert CONFIG.effective(np.float64) == (1e-5, 1e-3)
    assert CONFIG.effective(np.dtype("float32")) == (
        float(np.float32(1e-5)),
        float(np.float32(1e-3)),
    )
    P, Q = (lanes(1.0, dtype=np.float16) for _ in range(2))
    with pytest.raises(SCMValueError, match="tau_infer = 1e-08 rounds to 0 in float16"):
        strict_inference(P, Q, InferenceConfig(1e-8))
    with pytest.raises(SCMValueError, match="rounds to inf"):
        strict_inference(P, Q, InferenceConfig(1e-3, 1e5))


@pytest.mark.parametrize("name", ["tau_infer", "tau_train"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, SCMTypeError),
        ("1e-6", SCMTypeError),
        (1e-6j, SCMTypeError),
        (0.0, SCMValueError),
        (-1e-6, SCMValueError),
        (NAN, SCMValueError),
        (INF, SCMValueError),
    ],
)
def test_config_refuses(name, value, error):
    with pytest.raises(error, match=name):
        InferenceConfig(**{name: value})


def test_config_refuses_a_margin_below_the_threshold_and_an_unknown_gauge():
    with pytest.raises(SCMValueError, match="tau_train"):
        InferenceConfig(1e-3, 1e-4)
    with pytest.raises(SCMTypeError, match="tau_infer"):
        InferenceConfig(None)
    with pytest.raises(SCMValueError, match="gauge"):
        InferenceConfig(gauge="linf")
    assert InferenceConfig(1e-3, 1e-3).tau_train == 1e-3
    assert InferenceConfig(np.float32(0.5)).tau_infer == 0.5


def test_d14_config_is_frozen_hashable_and_round_trips():
    with pytest.raises(AttributeError):
        CONFIG.tau_infer = 1.0
    assert len({CONFIG, InferenceConfig(1e-5, 1e-3)}) == 1
    l2 = InferenceConfig(gauge="l2")
    assert InferenceConfig.from_dict(json.loads(json.dumps(l2.to_dict()))) == l2
    with pytest.raises(SCMValueError, match="tau"):
        InferenceConfig.from_dict({"tau": 1})


# --- shapes, types, factors --------------------------------------------------------------------


def test_d18_shapes():
    P, shared = np.ones((2, 3)), np.array([0.0, 1.0])
    r = strict_inference(P, shared)
    np.testing.assert_array_equal(r.bottom_mask, [[True] * 3, [False] * 3])
    square = strict_inference(np.ones((2, 2)), shared)  # still one denominator for each row
    np.testing.assert_array_equal(square.bottom_mask, [[True, True], [False, False]])
    with pytest.raises(SCMValueError, match=r"\(2,\).*\(2, 1\)"):
        strict_inference(np.ones(2), np.ones((2, 1)))
    with pytest.raises(SCMValueError, match=r"P \(2, 3\) and Q \(3,\)"):
        strict_inference(P, np.ones(3))
    assert strict_inference(P, np.ones(3), broadcast=True).decoded.shape == (2, 3)
    assert strict_inference(np.ones(2), np.ones((2, 1)), broadcast=True).decoded.shape == (2, 2)
    with pytest.raises(SCMValueError, match="broadcast"):
        strict_inference(P, np.ones(4), broadcast=True)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0)])
def test_zero_dimensional_and_empty(shape):
    r = strict_inference(np.ones(shape), np.zeros(shape))
    assert all(type(x) is np.ndarray for x in r)
    assert r.decoded.shape == r.cause.shape == shape
    assert r.cause.dtype == np.uint8
    assert r.bottom_mask.dtype == r.gap_mask.dtype == np.bool_


@pytest.mark.parametrize("junk", [1.0, [1.0], np.float64(1.0), None])
def test_only_arrays_of_numpy(junk):
    with pytest.raises(SCMTypeError, match=r"P must be a numpy\.ndarray"):
        strict_inference(junk, np.ones(1))
    with pytest.raises(SCMTypeError, match=r"Q must be a numpy\.ndarray"):
        strict_inference(np.ones(1), junk)


@pytest.mark.parametrize("dtype", [bool, object, "U1"])
def test_only_arrays_of_numbers(dtype):
    with pytest.raises(SCMTypeError, match="Q must be"):
        strict_inference(np.ones(1), np.ones(1).astype(dtype))


def test_integers_become_float64():
    r = strict_inference(np.array([1, 1]), np.array([2, 0]))
    np.testing.assert_array_equal(r.payload, [0.5, 0])
    assert r.decoded.dtype == np.float64


@pytest.mark.parametrize("count", [1, MANY])
def test_inputs_are_not_written_and_any_layout_works(count):
    P, Q = np.arange(2.0 * count).reshape(count, 2), np.arange(2.0 * count).reshape(count, 2)
    P.flags.writeable = Q.flags.writeable = False
    a = strict_inference(P[::-1, 0], Q[::-1, 0])
    b = strict_inference(P[::-1, 0].copy(), Q[::-1, 0].copy())
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_factors():
    P, Q = np.ones((2, 2)), np.ones((2, 2))
    row = np.array([[0.5], [0.0]])
    for V in (row, row[:, 0], np.broadcast_to(row, (2, 2))):
        r = strict_inference(P, Q, factors=[V])
        np.testing.assert_array_equal(r.cause, [[0, 0], [Cause.VALIDITY] * 2])
    r = strict_inference(P, Q, factors=[(row, 0.5), (row, 0.6)])
    assert (r.cause == Cause.VALIDITY).all()
    assert not strict_inference(P, Q, factors=[(row[:1].repeat(2, 0), 0.5)]).cause.any()
    r = strict_inference(P, Q, factors=[(np.array([NAN, -0.1]), 0.2)])
    np.testing.assert_array_equal(r.cause[:, 0], [Cause.NONFINITE, Cause.VALIDITY])


@pytest.mark.parametrize(
    ("factor", "error"),
    [
        (np.ones(3), SCMValueError),
        ([1.0, 1.0], SCMTypeError),
        (np.ones(2, bool), SCMTypeError),
        ((np.ones(2), -1.0), SCMValueError),
        ((np.ones(2), NAN), SCMValueError),
        ((np.ones(2), True), SCMTypeError),
        ((np.ones(2), "1"), SCMTypeError),
    ],
)
def test_factors_refused(factor, error):
    with pytest.raises(error, match=r"factors\[0\]"):
        strict_inference(np.ones((2, 4)), np.ones((2, 4)), factors=[factor])


def test_complex_tuples_use_moduli():
    P, Q = np.array([1 + 1j, 1j, 1, complex(NAN, 0)]), np.array([1 + 1j, 3e-6 + 4e-6j, 0, 1])
    r = strict_inference(P, Q, InferenceConfig(tau_infer=5.1e-6))
    want = [0, Cause.THRESHOLD, Cause.DIV_ZERO, Cause.NONFINITE]
    np.testing.assert_array_equal(r.cause, want)
    assert r.decoded[0] == 1
    assert not strict_inference(P, Q, InferenceConfig(tau_infer=4.9e-6)).bottom_mask[1]
    assert gauge_value(P, Q).dtype == np.float64


def test_gauge_value_is_the_compared_number():
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(2, 500)).astype(np.float32)
    for gauge in ("raw", "l2"):
        g = gauge_value(P, Q, gauge)
        assert g.dtype == np.float32
        tau = float(g[17])
        bottom = strict_inference(P, Q, InferenceConfig(tau, gauge=gauge)).bottom_mask
        np.testing.assert_array_equal(bottom, g < tau)


def test_gauge_value_by_hand():
    P, Q = lanes(3e200, 0.0, 1.0, NAN, 1.0, 5e-324), lanes(-4e200, 0.0, 0.0, 1.0, INF, 0.0)
    np.testing.assert_allclose(gauge_value(P, Q, "l2"), [0.8, 0, 0, NAN, NAN, 0], rtol=1e-15)
    np.testing.assert_array_equal(gauge_value(P, Q), np.abs(Q))
    big = np.finfo(float).max
    z = np.array([big * (1 + 1j)])
    np.testing.assert_allclose(gauge_value(z, z, "l2"), [math.sqrt(0.5)], rtol=1e-15)
    assert gauge_value(np.ones((2, 3)), np.ones(2)).shape == (2, 3)
    with pytest.raises(SCMValueError, match="gauge"):
        gauge_value(P, Q, "linf")


def test_thresholds_compare_in_the_dtype_of_q():
    P, Q = lanes(1.0), lanes(0.1, dtype=np.float32)
    for shape in ((), (1,), (1, 1)):
        r = strict_inference(P.reshape(shape), Q.reshape(shape), InferenceConfig(0.1))
        assert not r.bottom_mask.any()
        assert r.decoded.dtype == np.float64


# --- the result --------------------------------------------------------------------------------


def test_d22_result_survives_copies_and_carries_its_provenance():
    r = strict_inference(lanes(1, 1, NAN, INF), lanes(1, 0, 1, 1e-9), CONFIG)
    np.testing.assert_array_equal(r.bottom_provenance, [0, 2, 1, 3])
    assert r.bottom_provenance.dtype == np.int8
    np.testing.assert_array_equal(r.payload, [1, 0, 0, 0])
    np.testing.assert_array_equal(r.accept_mask, [True, False, False, False])
    for other in (copy.deepcopy(r), InferenceResult(*(x[...] for x in r))):
        assert type(other) is InferenceResult
        for a, b in zip(r, other, strict=True):
            np.testing.assert_array_equal(a, b)
    reduced = r.__reduce_ex__(4)
    assert reduced[1][0] is InferenceResult
    assert not (FAULT & SEMANTIC)


# --- three ways, fallbacks ---------------------------------------------------------------------


def test_d19_three_way_never_calls_a_bottom_in_range():
    P = lanes(1, 1, -1, 0, 1e308, NAN, -0.0)
    Q = lanes(2, 0, 0, 0, 1e-4, 1, 1e-9)
    decoded, bottom, classes = decode_three_way(P, Q, CONFIG)
    np.testing.assert_array_equal(classes, [1, 2, 0, -1, -1, -1, 2])
    assert classes.dtype == np.int8
    np.testing.assert_array_equal(bottom, classes != 1)
    np.testing.assert_array_equal(np.isnan(decoded), bottom)


@given(planes)
def test_three_way_class_is_one_exactly_on_regular_lanes(pair):
    _, bottom, classes = decode_three_way(*pair, CONFIG)
    np.testing.assert_array_equal(bottom, classes != 1)
    assert set(classes.tolist()) <= {-1, 0, 1, 2}


def test_three_way_signals():
    P, Q = lanes(1, 1, 1, 0, 0, NAN), lanes(0, 0, 0, 0, 0, 0)
    orientation = lanes(-1, 0, NAN, 1, 0, 1)
    np.testing.assert_array_equal(
        decode_three_way(P, Q, orientation=orientation).class_id, [0, 2, 2, 2, -1, -1]
    )
    logits = np.array([[0, 1], [1, 0], [NAN, 0], [1, 0], [0, 1], [0, 1]], dtype=float)
    got = decode_three_way(P, Q, orientation=orientation, direction_logits=logits)
    np.testing.assert_array_equal(got.class_id, [2, 0, 2, 0, 2, -1])
    complex_lane = decode_three_way(np.array([1j]), np.array([0j]))
    assert complex_lane.class_id[0] == -1
    with pytest.raises(SCMValueError, match="orientation"):
        decode_three_way(P, Q, orientation=lanes(1))
    with pytest.raises(SCMValueError, match="direction_logits"):
        decode_three_way(P, Q, direction_logits=P)


@pytest.fixture
def result():
    """regular, gap, semantic, fault"""
    return strict_inference(lanes(1, 1, 1, NAN), lanes(2, 1e-4, 0, 1), CONFIG)


def test_rejections(result):
    decoded, accept = reject_on_bottom(result)
    np.testing.assert_array_equal(decoded, [0.5, 1e4, NAN, NAN])
    np.testing.assert_array_equal(accept, [True, True, False, False])
    decoded, accept = reject_on_gap(result)
    np.testing.assert_array_equal(decoded, [0.5, NAN, NAN, NAN])
    np.testing.assert_array_equal(accept, [True, False, False, False])


def test_safe_sentinel(result):
    np.testing.assert_array_equal(safe_sentinel(result, -1), [0.5, 1e4, -1, -1])
    for wrong in (NAN, INF, "0", None):
        with pytest.raises(SCMValueError, match="sentinel"):
            safe_sentinel(result, wrong)


@pytest.mark.parametrize(
    ("route", "routed"),
    [
        ("bottom", [False, False, True, True]),
        ("semantic", [False, False, True, False]),
        ("fault", [False, False, False, True]),
        ("gap", [False, True, False, False]),
        ("any", [False, True, True, True]),
    ],
)
def test_route(result, route, routed):
    inputs = np.arange(8.0).reshape(4, 2)
    got = route_to_solver(result, inputs, lambda x: x.sum(axis=-1), route)
    np.testing.assert_array_equal(got.routed, routed)
    np.testing.assert_array_equal(got.solved, routed)
    want = np.where(routed, inputs.sum(axis=-1), result.decoded)
    np.testing.assert_array_equal(got.values, want)


def test_route_keeps_bottom_where_the_solver_fails(result):
    got = route_to_solver(result, np.arange(4.0), lambda x: lanes(NAN, 7, INF), "any")
    np.testing.assert_array_equal(got.values, [0.5, NAN, 7, NAN])
    np.testing.assert_array_equal(got.solved, [False, False, True, False])
    np.testing.assert_array_equal(result.decoded, [0.5, 1e4, NAN, NAN])


def test_route_refuses(result):
    with pytest.raises(SCMValueError, match="solver must return 2"):
        route_to_solver(result, np.arange(4.0), lambda x: x[:1])
    with pytest.raises(SCMValueError, match="route"):
        route_to_solver(result, np.arange(4.0), lambda x: x, "all")
    with pytest.raises(SCMValueError, match="inputs"):
        route_to_solver(result, np.arange(3.0), lambda x: x)


def test_route_calls_no_solver_without_lanes():
    r = strict_inference(lanes(1), lanes(1))
    got = route_to_solver(r, lanes(1), lambda x: pytest.fail("called"))
    assert got.values[0] == 1.0
