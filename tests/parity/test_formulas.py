"""Strict inference, the rational function and tuples in three frameworks: equal, finite, traceable."""

import jax
import numpy as np
import pytest
import torch

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import basis, projective, strict
from zeroproofml.scm.formulas.rational import rational
from zeroproofml.scm.inference import (
    StrictInferenceMonitor,
    reject_on_gap,
    route_to_solver,
    safe_sentinel,
    tau_sweep,
)

NAN, INF = np.nan, np.inf
CONFIG = strict.InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
pytestmark = pytest.mark.usefixtures("x64")
ALL = pytest.mark.parametrize("fw", ["numpy", "torch", "jax"], indirect=True)
DIFFERENTIABLE = pytest.mark.parametrize("fw", ["torch", "torch_func", "jax_jit"], indirect=True)
BOTH = pytest.mark.parametrize("fw", ["torch", "jax"], indirect=True)

# --- strict inference --------------------------------------------------------------------------

TABLE_P = [1, 1, 1, 0, 1, NAN, INF, 1e308, 1, -3]
TABLE_Q = [2, 5e-5, 0, 0, 1e-9, 1, 1e-9, 1e-4, INF, -4]
TABLE_CAUSE = [0, 0, 4, 68, 32, 2, 34, 16, 2, 0]


def decide(fw, config=CONFIG):
    def run(P, Q):
        return strict.strict_inference(
            P, Q, config, xp=fw.xp, array_type=fw.array_type, stop_gradient=fw.stop
        )

    return run


def check_table(fw, result):
    np.testing.assert_array_equal(fw.to_numpy(result.cause), TABLE_CAUSE)
    np.testing.assert_array_equal(fw.to_numpy(result.bottom_mask), np.array(TABLE_CAUSE) != 0)
    np.testing.assert_array_equal(fw.to_numpy(result.gap_mask), np.arange(10) == 1)
    want = [0.5, 2e4] + [NAN] * 7 + [0.75]
    np.testing.assert_array_equal(fw.to_numpy(result.decoded), want)
    np.testing.assert_array_equal(fw.to_numpy(result.payload), np.nan_to_num(want))
    provenance = fw.to_numpy(result.bottom_provenance)
    assert provenance.dtype == np.int8
    np.testing.assert_array_equal(provenance, [0, 0, 2, 2, 2, 1, 3, 1, 1, 0])


@ALL
def test_strict_inference_table(fw):
    check_table(fw, decide(fw)(*fw.arrays(TABLE_P, TABLE_Q)))


@ALL
def test_strict_inference_is_one_decision_for_all_frameworks(fw, frameworks):
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        for gauge in ("raw", "l2"):
            config = strict.InferenceConfig(0.1, 0.3, gauge)
            P, Q = (rng.normal(size=400).astype(dtype) for _ in range(2))
            Q[:4] = [0, NAN, INF, 0.1]
            want = decide(frameworks.numpy, config)(P, Q)
            got = decide(fw, config)(*fw.arrays(P, Q, dtype=dtype))
            for a, b in zip(want, got, strict=True):
                np.testing.assert_array_equal(a, fw.to_numpy(b))


@ALL
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_d28_thresholds_round_to_the_dtype_on_every_framework(fw, dtype, frameworks):
    if fw is frameworks.numpy and dtype == "bfloat16":
        return
    tau = strict.round_threshold(0.1, dtype)
    Q = fw.array([tau, tau * 0.99, tau * 1.01], dtype)
    result = decide(fw, strict.InferenceConfig(0.1))(Q, Q)
    np.testing.assert_array_equal(fw.to_numpy(result.bottom_mask), [False, True, False])
    if dtype == "float16":
        with pytest.raises(SCMValueError, match="rounds to 0 in float16"):
            decide(fw, strict.InferenceConfig(1e-8))(Q, Q)


@ALL
def test_other_frameworks_arrays_are_refused(fw, frameworks):
    foreign = frameworks.torch if fw is not frameworks.torch else frameworks.numpy
    with pytest.raises(SCMTypeError, match="Q must be"):
        decide(fw)(fw.array([1.0]), foreign.array([1.0]))


@pytest.mark.slow
def test_strict_inference_traces(frameworks, compiled):
    P, Q = frameworks.torch.arrays(TABLE_P, TABLE_Q)
    check_table(frameworks.torch, compiled(decide(frameworks.torch))(P, Q))
    check_table(frameworks.torch, torch.func.vmap(decide(frameworks.torch))(P, Q))
    P, Q = frameworks.jax.arrays(TABLE_P, TABLE_Q)
    check_table(frameworks.jax, jax.jit(decide(frameworks.jax))(P, Q))
    check_table(frameworks.jax, jax.vmap(decide(frameworks.jax))(P, Q))
    result = jax.jit(decide(frameworks.jax))(P, Q)
    doubled = jax.tree_util.tree_map(lambda x: x, result)
    assert type(doubled) is strict.InferenceResult
    np.testing.assert_array_equal(doubled.cause, TABLE_CAUSE)


@DIFFERENTIABLE
@pytest.mark.parametrize("gauge", ["raw", "l2"])
def test_gradient_of_decoded_is_finite_and_zero_at_bottom(fw, gauge):
    config = strict.InferenceConfig(1e-200, gauge=gauge)
    P = [2.0, 1.0, NAN, INF, 1e308, 1.0, 0.0, 1e-300]
    Q = [4.0, 0.0, 1.0, 1e-9, 1e-4, 1e-190, 0.0, 1e-190]
    gp, gq = fw.grads(lambda P, Q: fw.xp.sum(decide(fw, config)(P, Q).payload), *fw.arrays(P, Q))
    assert np.isfinite([gp, gq]).all()
    np.testing.assert_array_equal(gp[:7], [0.25, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(gq[:7], [-0.125, 0, 0, 0, 0, 0, 0])


@BOTH
def test_complex_tuples_in_every_framework(fw, frameworks):
    P, Q = np.array([1 + 1j, 3, 1, 1e300 + 1e300j]), np.array([1 + 1j, 4j, 0, 1e300 + 1e300j])
    want = decide(frameworks.numpy)(P, Q)
    P, Q = fw.arrays(P, Q, dtype="complex128")
    got = decide(fw)(P, Q)
    np.testing.assert_array_equal(fw.to_numpy(got.cause), want.cause)
    np.testing.assert_allclose(fw.to_numpy(got.payload), want.payload, rtol=1e-15)
    g = fw.grads(lambda P, Q: fw.xp.sum(fw.xp.abs(decide(fw)(P, Q).payload)), P, Q)
    assert np.isfinite(g).all()


@ALL
def test_three_way_and_gauge_agree(fw):
    P, Q = fw.arrays([1, 1, -1, 0, NAN, 1], [2, 0, 0, 0, 1, 1e-9])
    args = {"xp": fw.xp, "array_type": fw.array_type}
    got = strict.decode_three_way(P, Q, CONFIG, orientation=fw.array([0, -1, 0, 1, 1, 0]), **args)
    np.testing.assert_array_equal(fw.to_numpy(got.class_id), [1, 0, 0, 2, -1, 2])
    assert fw.to_numpy(got.class_id).dtype == np.int8
    g = strict.gauge_value(*fw.arrays([3e200, 0, NAN], [-4e200, 0, 1]), "l2", **args)
    np.testing.assert_array_equal(fw.to_numpy(g), [0.8, 0, NAN])


@ALL
def test_host_side_helpers_take_results_of_every_framework(fw):
    P, Q = fw.arrays([1, 1, 1, NAN], [2, 1e-4, 0, 1])
    result = decide(fw)(P, Q)
    decoded, accept = reject_on_gap(result)
    assert isinstance(decoded, fw.array_type)
    np.testing.assert_array_equal(fw.to_numpy(decoded), [0.5, NAN, NAN, NAN])
    np.testing.assert_array_equal(fw.to_numpy(accept), [True, False, False, False])
    np.testing.assert_array_equal(fw.to_numpy(safe_sentinel(result, -1.0)), [0.5, 1e4, -1, -1])
    routed = route_to_solver(result, fw.array([1, 2, 3, 4]), lambda x: 10 * x)
    np.testing.assert_array_equal(routed.values, [0.5, 1e4, 30, 40])
    monitor = StrictInferenceMonitor()
    monitor.update(result)
    assert monitor.rates()["bottom"].count == 2
    censored = fw.mask([False, False, True, True])
    assert tau_sweep(P, Q, censored, [1e-3]).points[0].n_false_censored == 1


# --- the rational function ---------------------------------------------------------------------


def ratio(fw, **options):
    def run(x, numerator, denominator):
        return rational(x, numerator, denominator, xp=fw.xp, stop_gradient=fw.stop, **options)

    return run


@ALL
@pytest.mark.parametrize("name", ["monomial", "chebyshev"])
def test_rational_agrees(fw, name, frameworks):
    rng = np.random.default_rng(2)
    x, num, den = rng.normal(size=50), rng.normal(size=4), rng.normal(size=3)
    x[:2] = [NAN, 1e200]
    want = ratio(frameworks.numpy, basis=name)(x, num, den)
    got = ratio(fw, basis=name)(*fw.arrays(x, num, den))
    np.testing.assert_array_equal(fw.to_numpy(got[1]), want[1])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(fw.to_numpy(a), b, rtol=1e-13)


@pytest.mark.slow
@BOTH
def test_first_and_second_derivative_of_the_rational_function(fw, frameworks):
    num, den = fw.arrays([1.0, 2.0], [1.0, 3.0])
    transforms = torch.func if fw is frameworks.torch else jax

    def y(x):
        return ratio(fw)(x, num, den)[0]

    x = fw.array(0.5)
    assert float(transforms.grad(y)(x)) == pytest.approx(-0.16, rel=1e-12)
    assert float(transforms.grad(transforms.grad(y))(x)) == pytest.approx(0.384, rel=1e-12)
    assert float(transforms.hessian(y)(x)) == pytest.approx(0.384, rel=1e-12)
    assert float(transforms.jvp(y, (x,), (x * 0 + 1,))[1]) == pytest.approx(-0.16, rel=1e-12)
    many = fw.array([0.5, 0.5])
    got = fw.to_numpy(transforms.vmap(transforms.grad(y))(many))
    np.testing.assert_allclose(got, [-0.16, -0.16], rtol=1e-12)


@DIFFERENTIABLE
@pytest.mark.parametrize("name", ["monomial", "chebyshev"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rational_gradients_are_finite_everywhere(fw, name, dtype):
    top = float(np.finfo(dtype).max)
    x = [0.5, 0.0, 1.0, NAN, INF, -INF, top, top**0.5, top**0.4, top**-0.5, 1e-30, -2.0]
    run = ratio(fw, basis=name, singular_epsilon=0.0)
    for picked in (0, 2, 3):  # payload, P, Q

        def f(*a, picked=picked):
            return fw.xp.sum(run(*a)[picked])

        for num in ([1.0, 2.0, 0.0], [0.0, 0.0, 1e-30], [1e-30, 1e30, 1.0]):
            for den in ([1.0, -1.0], [0.0, 1.0], [1e-25, 0.0], [0.0, 0.0]):
                g = fw.grads(f, *fw.arrays(x, num, den, dtype=dtype))
                for part in g:
                    assert np.isfinite(part).all(), (num, den, picked, g)


@DIFFERENTIABLE
def test_an_all_bottom_batch_has_zero_gradients(fw):
    x, num, den = fw.arrays([NAN, INF, 1.0], [1.0, 1.0], [1.0, -1.0])
    g = fw.grads(lambda *a: fw.xp.sum(ratio(fw)(*a)[0]), x, num, den)
    assert all((part == 0).all() for part in g)
    payload, mask, *_ = ratio(fw)(x, num, den)
    assert fw.to_numpy(mask).all()
    assert not fw.to_numpy(payload).any()


@DIFFERENTIABLE
def test_tuples_keep_their_gradient_at_the_pole(fw):
    x, num, den = fw.arrays([1.0], [1.0], [1.0, -1.0])  # Q = 0
    g = fw.grads(lambda *a: fw.xp.sum(ratio(fw)(*a)[3]), x, num, den)
    np.testing.assert_array_equal(g[0], [-1])
    np.testing.assert_array_equal(g[2], [1, 1])


@pytest.mark.slow
def test_rational_traces(frameworks, compiled):
    args = frameworks.torch.arrays([0.5, 1.0, NAN], [1.0, 2.0], [1.0, -1.0])
    want = ratio(frameworks.torch)(*args)
    for a, b in zip(compiled(ratio(frameworks.torch))(*args), want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    x, num, den = frameworks.jax.arrays([0.5, 1.0, NAN], [1.0, 2.0], [1.0, -1.0])
    payload, mask, *_ = jax.jit(ratio(frameworks.jax))(x, num, den)
    np.testing.assert_array_equal(mask, want[1].numpy())
    np.testing.assert_allclose(payload, want[0].numpy(), rtol=1e-15)


@ALL
def test_callable_basis(fw):
    def even(x, degree):
        return fw.xp.stack([x ** (2 * k) for k in range(degree + 1)], axis=-1)

    got = basis.evaluate(*fw.arrays([1.0, 2.0], [3.0]), even, xp=fw.xp)
    np.testing.assert_array_equal(fw.to_numpy(got), [19])
    payload, mask, *_ = ratio(fw, basis=even)(*fw.arrays([3.0], [1.0, 2.0], [0.0, 1.0]))
    assert fw.to_numpy(payload)[0] == pytest.approx(19 / 9)
    assert not fw.to_numpy(mask)[0]


# --- tuples ------------------------------------------------------------------------------------


@DIFFERENTIABLE
@pytest.mark.parametrize(
    "scale", [("float32", 1.0), ("float32", 1e15), ("float64", 1e200), ("float64", 1e-200)]
)
def test_d15_renormalize_gradients(fw, scale):
    dtype, factor = scale
    P, Q = fw.arrays([3.0 * factor, 0.0, 0.0], [4.0 * factor, 0.0, factor], dtype=dtype)

    def p_hat(P, Q):
        return fw.xp.sum(projective.renormalize(P, Q, xp=fw.xp)[0] * factor)

    gp, gq = fw.grads(p_hat, P, Q)  # ∂P̂/∂P = Q²/‖·‖³, ∂P̂/∂Q = −PQ/‖·‖³
    rtol = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(gp, [16 / 125, 0, 1], rtol=rtol)
    np.testing.assert_allclose(gq, [-12 / 125, 0, 0], rtol=rtol)


@DIFFERENTIABLE
def test_renormalize_with_a_stopped_divisor(fw):
    P, Q = fw.arrays([3.0, 0.0], [4.0, 0.0])
    gp, gq = fw.grads(
        lambda P, Q: fw.xp.sum(projective.renormalize(P, Q, xp=fw.xp, stop_gradient=fw.stop)[0]),
        P,
        Q,
    )
    np.testing.assert_allclose(gp, [0.2, 0], rtol=1e-15)
    np.testing.assert_array_equal(gq, [0, 0])


@DIFFERENTIABLE
def test_decode_and_canonical_gauge_gradients_are_finite(fw):
    P, Q = fw.arrays(
        [2.0, 1.0, 0.0, NAN, 1e200, 1.0, -1e308], [4.0, 0.0, 0.0, 1.0, 1e-200, 1e-160, 1e-300]
    )

    def f(P, Q):
        a = projective.decode(P, Q, xp=fw.xp, stop_gradient=fw.stop)[0]
        P = fw.xp.where(fw.xp.isfinite(P), P, 1.0)
        b = projective.normalize_gauge(
            P, Q, "canonical_denominator", xp=fw.xp, stop_gradient=fw.stop
        )
        return fw.xp.sum(a + b[0] + b[1])

    gp, gq = fw.grads(f, P, Q)
    assert np.isfinite([gp, gq]).all()
    np.testing.assert_array_equal(gp[:3], [0.5, 0, 0])
    np.testing.assert_array_equal(gq[:3], [-0.25, 0, 0])


@ALL
def test_lifting_agrees(fw):
    labels = fw.xp.asarray(np.arange(7, dtype=np.int8))
    values = [2.5, NAN, NAN, NAN, NAN, INF, NAN]
    want = projective.lift_semantic_targets(np.array(values), np.arange(7), xp=np)
    got = projective.lift_semantic_targets(fw.array(values), labels, xp=fw.xp)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a, fw.to_numpy(b))
    with pytest.raises(SCMValueError, match="finite"):
        projective.lift_semantic_targets(fw.array([NAN]), labels[:1], xp=fw.xp)
    got = projective.lift_targets(fw.xp.asarray(np.array([1, 2])), xp=fw.xp)
    np.testing.assert_array_equal(fw.to_numpy(got.numerator), [1.0, 2.0])
    assert fw.to_numpy(got.numerator).dtype == np.float64


def test_lifting_traces(frameworks, compiled):
    labels = np.array([0, 4, 6], np.int8)
    want = projective.lift_semantic_targets(np.array([2.0, NAN, NAN]), labels, xp=np)

    def lift(fw):
        return lambda v, k: projective.lift_semantic_targets(v, k, xp=fw.xp, check=False)

    for fw, trace in ((frameworks.torch, compiled), (frameworks.jax, jax.jit)):
        got = trace(lift(fw))(fw.array([2.0, NAN, NAN]), fw.xp.asarray(labels))
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, fw.to_numpy(b))
