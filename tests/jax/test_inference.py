"""Strict inference on JAX: the table, gauges, transformations, and equality with NumPy."""

import copy
import pickle  # noqa: TID251 - the test is that pickling keeps the result

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.jax import (
    Cause,
    InferenceConfig,
    InferenceResult,
    decode_three_way,
    gauge_value,
    strict_inference,
)
from zeroproofml.scm import inference as host
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

CONFIG = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
NAN, INF = np.nan, np.inf


def lanes(*values, dtype=jnp.float64):
    return jnp.asarray(values, dtype)


TABLE = [
    (1, 2, 0.5, False, 0),
    (1, 5e-5, 2e4, True, 0),
    (1, 0, NAN, False, Cause.DIV_ZERO),
    (0, 0, NAN, False, Cause.DIV_ZERO | Cause.NULL_TUPLE),
    (1, 1e-9, NAN, False, Cause.THRESHOLD),
    (NAN, 1, NAN, False, Cause.NONFINITE),
    (INF, 1e-9, NAN, False, Cause.NONFINITE | Cause.THRESHOLD),
    (1, INF, NAN, False, Cause.NONFINITE),
    (1e308, 1e-4, NAN, False, Cause.OVERFLOW),
]
P, Q, DECODED, GAP, CAUSES = (np.array(column) for column in zip(*TABLE, strict=True))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_29_the_table(wrap):
    result = wrap(lambda p, q: strict_inference(p, q, CONFIG))(jnp.asarray(P), jnp.asarray(Q))
    np.testing.assert_array_equal(result.decoded, DECODED)
    np.testing.assert_array_equal(result.gap_mask, GAP)
    np.testing.assert_array_equal(result.cause, CAUSES)
    np.testing.assert_array_equal(result.bottom_mask, CAUSES != 0)
    assert result.cause.dtype == jnp.uint8


def test_29_float32_overflow():
    result = strict_inference(lanes(1e38, dtype=jnp.float32), lanes(1e-3, dtype=jnp.float32))
    assert result.cause[0] == Cause.OVERFLOW


values = st.one_of(
    st.sampled_from([0.0, -0.0, NAN, INF, 1.0, -1.0, 1e-5, 1e-3, 1e-9, 1e308, 1.7e308]),
    st.floats(width=64, allow_subnormal=False),
)


@given(st.lists(st.tuples(values, values), min_size=4, max_size=4), st.sampled_from(["raw", "l2"]))
def test_29_equals_numpy_and_keeps_its_invariants(pairs, gauge):
    config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3, gauge=gauge)
    p, q = (np.array(column) for column in zip(*pairs, strict=True))
    got = strict_inference(jnp.asarray(p), jnp.asarray(q), config)
    want = host.strict_inference(p, q, config)
    score = host.gauge_value(p, q, gauge)
    near = (np.abs(score - 1e-5) < 1e-17) | (np.abs(score - 1e-3) < 1e-15)
    tiny = (want.decoded != 0) & (np.abs(want.decoded) < np.finfo(float).tiny)
    same = ~near & ~tiny if gauge == "l2" else ~tiny  # XLA contracts p² + q² to one rounding
    np.testing.assert_array_equal(np.asarray(got.cause)[same], want.cause[same])
    np.testing.assert_array_equal(np.asarray(got.gap_mask)[same], want.gap_mask[same])
    np.testing.assert_allclose(np.asarray(got.decoded)[same], want.decoded[same], rtol=4e-16)
    bottom = np.asarray(got.bottom_mask)
    np.testing.assert_array_equal(bottom, got.fault_mask | got.semantic_bottom_mask)
    assert not (bottom & got.gap_mask).any()
    np.testing.assert_array_equal(np.isfinite(got.decoded), ~bottom)
    np.testing.assert_array_equal(got.bottom_provenance == 0, ~bottom)
    assert (np.asarray(got.payload)[bottom] == 0).all()
    flipped = strict_inference(-jnp.asarray(p), -jnp.asarray(q), config)
    np.testing.assert_array_equal(flipped.cause, got.cause)
    looser = strict_inference(jnp.asarray(p), jnp.asarray(q), InferenceConfig(1e-9, gauge=gauge))
    assert not (looser.bottom_mask & ~bottom).any()


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("k", [-100, 100])
def test_30_l2_is_scale_free_and_raw_is_not(wrap, k):
    rng = np.random.default_rng(0)
    p, q = jnp.asarray(rng.normal(size=200)), jnp.asarray(rng.normal(size=200) * 1e-2)
    for gauge, same in (("l2", True), ("raw", False)):
        config = InferenceConfig(tau_infer=1e-2, gauge=gauge)
        decide = wrap(lambda p, q, c=config: strict_inference(p, q, c).bottom_mask)
        assert (decide(p, q) == decide(p * 2.0**k, q * 2.0**k)).all() == same


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_the_l2_gauge_of_large_tuples_under_jit(wrap):
    # XLA folds (Q/m)/norm into Q/(m·norm), which overflows: the tuple is scaled by 2ᵏ instead.
    gauge = wrap(lambda p, q: gauge_value(p, q, "l2"))
    np.testing.assert_allclose(
        gauge(lanes(1.7e308, 3e200, 1e-300), lanes(1.7e308, 4e200, 1e-300)),
        [0.5**0.5, 0.8, 0.5**0.5],
    )


def test_a_stored_score_is_the_number_that_is_compared():
    rng = np.random.default_rng(1)
    p, q = jnp.asarray(rng.normal(size=500)), jnp.asarray(rng.normal(size=500))
    for gauge in ("raw", "l2"):
        score = gauge_value(p, q, gauge)
        for tau in np.asarray(score)[::97].tolist():
            got = strict_inference(p, q, InferenceConfig(tau_infer=tau, gauge=gauge)).bottom_mask
            np.testing.assert_array_equal(got, score < tau)


def test_30_d14_thresholds_are_frozen_and_must_survive_rounding():
    with pytest.raises(AttributeError):
        CONFIG.tau_infer = 1.0
    half = jnp.ones(1, jnp.float16)
    with pytest.raises(SCMValueError, match="float16"):
        strict_inference(half, half, InferenceConfig(tau_infer=1e-8))
    with pytest.raises(SCMValueError, match="float16"):
        jax.jit(lambda x: strict_inference(x, x, InferenceConfig(tau_infer=1e-8)))(half)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        q = jnp.asarray([0.1], dtype)
        assert not strict_inference(q, q, InferenceConfig(tau_infer=0.1)).bottom_mask.any()


def test_31_d18_shapes():
    with pytest.raises(SCMValueError):
        strict_inference(jnp.ones(3), jnp.ones((3, 1)))
    with pytest.raises(SCMValueError):
        strict_inference(jnp.ones((3, 2)), jnp.ones(2))
    assert strict_inference(jnp.ones((3, 2)), jnp.ones(2), broadcast=True).decoded.shape == (3, 2)
    rows = strict_inference(jnp.ones((2, 2)), lanes(1.0, 0.0))
    assert rows.bottom_mask.tolist() == [[False, False], [True, True]]
    for bad in (1.0, [1.0], np.ones(1), "1", jnp.asarray([True])):
        with pytest.raises(SCMTypeError):
            strict_inference(bad, jnp.ones(1))
        with pytest.raises(SCMTypeError):
            strict_inference(jnp.ones(1), bad)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_validity_factors(wrap):
    p = jnp.ones((2, 2))
    factors = ((lanes(1.0, 0.0), 0.0), (jnp.asarray([[0.5], [1.0]]), 0.75))
    decide = wrap(lambda p, v, w: strict_inference(p, p, factors=((v, 0.0), (w, 0.75))).cause)
    cause = decide(p, *(V for V, _ in factors))
    assert (cause == Cause.VALIDITY).all()
    assert strict_inference(p, p, factors=[factors[0][0]]).cause[:, 0].tolist() == [0, 128]
    with pytest.raises(SCMValueError, match="factors"):
        strict_inference(p, p, factors=[jnp.ones(3)])
    with pytest.raises(SCMTypeError, match="threshold"):
        strict_inference(p, p, factors=[(p, True)])


def test_complex_tuples():
    result = strict_inference(lanes(1 + 1j, 1, dtype=complex), lanes(1 + 1j, 1e-9j, dtype=complex))
    assert result.cause.tolist() == [0, int(Cause.THRESHOLD)]
    np.testing.assert_allclose(result.decoded[0], 1.0)


def test_14_d22_the_result_is_a_pytree_that_keeps_its_causes():
    result = strict_inference(jnp.asarray(P), jnp.asarray(Q), CONFIG)
    for other in (
        jax.tree.map(lambda leaf: leaf, result),
        jax.jit(lambda r: r)(result),
        pickle.loads(pickle.dumps(result)),
        copy.deepcopy(result),
    ):
        assert isinstance(other, InferenceResult)
        np.testing.assert_array_equal(other.cause, result.cause)
        np.testing.assert_array_equal(other.fault_mask, result.fault_mask)
        np.testing.assert_array_equal(other.bottom_provenance, result.bottom_provenance)
    assert result.bottom_provenance.dtype == jnp.int8


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_gradients_are_finite_and_zero_at_bottom(wrap):
    p, q = jnp.asarray(P), jnp.asarray(Q)
    mask = np.asarray(strict_inference(p, q, CONFIG).bottom_mask)

    def total(p, q):
        return jnp.nansum(strict_inference(p, q, CONFIG).decoded)

    gp, gq = wrap(jax.grad(total, argnums=(0, 1)))(p, q)
    for g in (gp, gq):
        assert np.isfinite(g).all()
        assert (np.asarray(g)[mask] == 0).all()
    np.testing.assert_allclose(gp[0], 0.5)
    np.testing.assert_allclose(gq[0], -0.25)
    np.testing.assert_allclose(jax.hessian(lambda q: total(p[:1], q))(q[:1]), [[0.25]])


def test_32_d19_three_way_never_calls_bottom_in_range():
    three = decode_three_way(jnp.asarray(P), jnp.asarray(Q), CONFIG)
    bottom = np.asarray(three.bottom_mask)
    assert (np.asarray(three.class_id)[bottom] != 1).all()
    assert (np.asarray(three.class_id)[~bottom] == 1).all()
    assert three.class_id.dtype == jnp.int8
    want = host.decode_three_way(P, Q, CONFIG)
    np.testing.assert_array_equal(three.class_id, want.class_id)
    p, q = lanes(1.0, 1.0, 0.0), lanes(0.0, 0.0, 0.0)
    sided = decode_three_way(p, q, orientation=lanes(-1.0, 0.0, 0.0))
    assert sided.class_id.tolist() == [0, 2, -1]
    logits = jnp.asarray([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    decide = jax.jit(lambda p, q, d: decode_three_way(p, q, direction_logits=d).class_id)
    assert decide(p, q, logits).tolist() == [2, 0, 2]


def test_host_side_tools_take_the_results():
    result = strict_inference(jnp.asarray(P), jnp.asarray(Q), CONFIG)
    monitor = host.StrictInferenceMonitor()
    monitor.update(result)
    assert monitor.rates()["bottom"].count == 7
    _, accept = host.reject_on_gap(result)
    assert np.asarray(accept).sum() == 1
    routed = host.route_to_solver(result, np.asarray(P), lambda x: np.full(len(x), np.nan))
    assert not routed.solved.any()
    taus = [1e-9, 1e-5]
    sweep = host.tau_sweep(P, Q, CAUSES != 0, taus)
    for point, tau in zip(sweep.points, taus, strict=True):
        at_tau = strict_inference(jnp.asarray(P), jnp.asarray(Q), InferenceConfig(tau))
        assert point.bottom_rate == np.asarray(at_tau.bottom_mask).mean()
