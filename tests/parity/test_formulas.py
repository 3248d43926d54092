"""The formulas in three frameworks: equal values, equal gradients, finite by construction, traceable."""

import contextlib
import functools
import warnings
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import basis, losses, projective, strict
from zeroproofml.scm.formulas.norm import norm, softmax
from zeroproofml.scm.formulas.rational import rational
from zeroproofml.scm.inference import (
    StrictInferenceMonitor,
    reject_on_gap,
    route_to_solver,
    safe_sentinel,
    tau_sweep,
)
from zeroproofml.scm.policy import GradientPolicy, apply_policy, gradient_policy, resolve_policy

NAN, INF = np.nan, np.inf
CONFIG = strict.InferenceConfig(tau_infer=1e-5, tau_train=1e-3)


def _torch_numpy(x):
    return (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()


def _torch_autograd(f, *xs):
    leaves = [x.clone().requires_grad_() for x in xs]
    return torch.autograd.grad(f(*leaves), leaves, allow_unused=True, materialize_grads=True)


def _torch_func(f, *xs):
    return torch.func.grad(f, argnums=tuple(range(len(xs))))(*xs)


def _jax_grad(f, *xs):
    return jax.grad(f, argnums=tuple(range(len(xs))))(*xs)


@functools.lru_cache(maxsize=8)
def _jitted_grad(f, n):
    return jax.jit(jax.grad(f, argnums=tuple(range(n))))


def _jax_jit_grad(f, *xs):
    return _jitted_grad(f, len(xs))(*xs)


@dataclass(frozen=True)
class Framework:
    xp: Any
    array_type: type
    stop: Any
    gradient: Any
    to_numpy: Any

    def array(self, values, dtype="float64"):
        return self.xp.asarray(np.asarray(values), dtype=getattr(self.xp, dtype))

    def arrays(self, *rows, dtype="float64"):
        return [self.array(row, dtype) for row in rows]

    def mask(self, values):
        return self.xp.asarray(np.asarray(values, bool))

    def grads(self, f, *xs):
        return [self.to_numpy(g) for g in self.gradient(f, *xs)]


NUMPY = Framework(np, np.ndarray, None, None, np.asarray)
TORCH = Framework(torch, torch.Tensor, torch.Tensor.detach, _torch_autograd, _torch_numpy)
TORCH_FUNC = Framework(torch, torch.Tensor, torch.Tensor.detach, _torch_func, _torch_numpy)
JAX = Framework(jnp, jax.Array, jax.lax.stop_gradient, _jax_grad, np.asarray)
JAX_JIT = Framework(jnp, jax.Array, jax.lax.stop_gradient, _jax_jit_grad, np.asarray)

ALL = pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX], ids=["numpy", "torch", "jax"])
DIFFERENTIABLE = pytest.mark.parametrize(
    "fw", [TORCH, TORCH_FUNC, JAX_JIT], ids=["torch", "torch.func", "jax.jit"]
)
BOTH = pytest.mark.parametrize("fw", [TORCH, JAX], ids=["torch", "jax"])


@pytest.fixture(scope="module", autouse=True)
def _x64_and_quiet_compiler():
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(warnings.catch_warnings())
        # torch 2.13 warns about its own use of torch.jit.script when it first differentiates or compiles
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))
        yield


def compiled(f):
    torch._dynamo.reset()
    return torch.compile(f, fullgraph=True, backend="aot_eager")


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
def test_strict_inference_is_one_decision_for_all_frameworks(fw):
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        for gauge in ("raw", "l2"):
            config = strict.InferenceConfig(0.1, 0.3, gauge)
            P, Q = (rng.normal(size=400).astype(dtype) for _ in range(2))
            Q[:4] = [0, NAN, INF, 0.1]
            want = decide(NUMPY, config)(P, Q)
            got = decide(fw, config)(*fw.arrays(P, Q, dtype=dtype))
            for a, b in zip(want, got, strict=True):
                np.testing.assert_array_equal(a, fw.to_numpy(b))


@ALL
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_d28_thresholds_round_to_the_dtype_on_every_framework(fw, dtype):
    if fw is NUMPY and dtype == "bfloat16":
        return
    tau = strict.round_threshold(0.1, dtype)
    Q = fw.array([tau, tau * 0.99, tau * 1.01], dtype)
    result = decide(fw, strict.InferenceConfig(0.1))(Q, Q)
    np.testing.assert_array_equal(fw.to_numpy(result.bottom_mask), [False, True, False])
    if dtype == "float16":
        with pytest.raises(SCMValueError, match="rounds to 0 in float16"):
            decide(fw, strict.InferenceConfig(1e-8))(Q, Q)


@ALL
def test_other_frameworks_arrays_are_refused(fw):
    foreign = TORCH if fw is not TORCH else NUMPY
    with pytest.raises(SCMTypeError, match="Q must be"):
        decide(fw)(fw.array([1.0]), foreign.array([1.0]))


@pytest.mark.slow
def test_strict_inference_traces():
    P, Q = TORCH.arrays(TABLE_P, TABLE_Q)
    check_table(TORCH, compiled(decide(TORCH))(P, Q))
    check_table(TORCH, torch.func.vmap(decide(TORCH))(P, Q))
    P, Q = JAX.arrays(TABLE_P, TABLE_Q)
    check_table(JAX, jax.jit(decide(JAX))(P, Q))
    check_table(JAX, jax.vmap(decide(JAX))(P, Q))
    result = jax.jit(decide(JAX))(P, Q)
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
def test_complex_tuples_in_every_framework(fw):
    P, Q = np.array([1 + 1j, 3, 1, 1e300 + 1e300j]), np.array([1 + 1j, 4j, 0, 1e300 + 1e300j])
    want = decide(NUMPY)(P, Q)
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
def test_rational_agrees(fw, name):
    rng = np.random.default_rng(2)
    x, num, den = rng.normal(size=50), rng.normal(size=4), rng.normal(size=3)
    x[:2] = [NAN, 1e200]
    want = ratio(NUMPY, basis=name)(x, num, den)
    got = ratio(fw, basis=name)(*fw.arrays(x, num, den))
    np.testing.assert_array_equal(fw.to_numpy(got[1]), want[1])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(fw.to_numpy(a), b, rtol=1e-13)


@pytest.mark.slow
@BOTH
def test_first_and_second_derivative_of_the_rational_function(fw):
    num, den = fw.arrays([1.0, 2.0], [1.0, 3.0])
    transforms = torch.func if fw is TORCH else jax

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
def test_rational_traces():
    args = TORCH.arrays([0.5, 1.0, NAN], [1.0, 2.0], [1.0, -1.0])
    want = ratio(TORCH)(*args)
    for a, b in zip(compiled(ratio(TORCH))(*args), want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    x, num, den = JAX.arrays([0.5, 1.0, NAN], [1.0, 2.0], [1.0, -1.0])
    payload, mask, *_ = jax.jit(ratio(JAX))(x, num, den)
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

TUPLES = {
    "plain": (3.0, 4.0, 1.0, 2.0),
    "null prediction": (0.0, 0.0, 1.0, 2.0),
    "null target": (1.0, 2.0, 0.0, 0.0),
    "at infinity": (1.0, 0.0, -1.0, 0.0),
    "aligned": (2.0, 2.0, 1.0, 1.0),
    "opposite": (-2.0, -2.0, 1.0, 1.0),
    "large": (1e20, 1e20, 1.0, 1.0),
    "small": (1e-20, -1e-20, 1.0, 1.0),
    "far apart": (1e20, 1e-20, 1e-20, 1e20),
}


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


def test_lifting_traces():
    labels = np.array([0, 4, 6], np.int8)
    want = projective.lift_semantic_targets(np.array([2.0, NAN, NAN]), labels, xp=np)

    def lift(fw):
        return lambda v, k: projective.lift_semantic_targets(v, k, xp=fw.xp, check=False)

    for fw, trace in ((TORCH, compiled), (JAX, jax.jit)):
        got = trace(lift(fw))(fw.array([2.0, NAN, NAN]), fw.xp.asarray(labels))
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, fw.to_numpy(b))


# --- losses ------------------------------------------------------------------------------------

TUPLE_LOSSES = {
    "chordal": losses.chordal_loss,
    "oriented": losses.oriented_chordal_loss,
    "implicit": losses.implicit_loss,
    "sign": losses.sign_consistency_loss,
}
EACH_LOSS = pytest.mark.parametrize("loss", TUPLE_LOSSES.values(), ids=TUPLE_LOSSES)


@DIFFERENTIABLE
@EACH_LOSS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", TUPLES.values(), ids=TUPLES)
def test_loss_gradients_are_finite(fw, loss, dtype, case):
    xs = fw.arrays(*([v] for v in case), dtype=dtype)
    value = fw.to_numpy(loss(*xs, xp=fw.xp))
    want = loss(*(np.array([v], dtype) for v in case), xp=np)
    np.testing.assert_allclose(value, want, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-30)
    g = fw.grads(lambda *a: loss(*a, xp=fw.xp), *xs)
    assert np.isfinite(g).all()
    if case in (TUPLES["null prediction"], TUPLES["null target"]):
        assert not np.any(g[:2])


@DIFFERENTIABLE
@EACH_LOSS
def test_loss_gradients_at_the_ends_of_float64(fw, loss):
    for factor in (1e200, 1e-200, 1e-300):
        xs = fw.arrays([3.0 * factor], [4.0 * factor], [2.0 / factor], [1e-4 / factor])
        assert np.isfinite(fw.grads(lambda *a: loss(*a, xp=fw.xp), *xs)).all()


@DIFFERENTIABLE
@EACH_LOSS
def test_loss_gradients_equal_finite_differences(fw, loss):
    point = np.array([[0.3, -1.2], [0.9, 0.4], [0.7, 1.1], [1e-4, 2e-4]])
    g = np.array(fw.grads(lambda *a: loss(*a, xp=fw.xp), *fw.arrays(*point)))[:2]
    want = np.zeros_like(g)
    for i in np.ndindex(2, 2):
        step = np.zeros_like(point)
        step[i] = 1e-6
        high, low = (loss(*(point + s * step), xp=np) for s in (1, -1))
        want[i] = (high - low) / 2e-6
    np.testing.assert_allclose(g, want, rtol=1e-6, atol=1e-9)


@DIFFERENTIABLE
@EACH_LOSS
@pytest.mark.parametrize("junk", [NAN, INF])
def test_d17_a_weight_zero_lane_changes_no_gradient(fw, loss, junk):
    clean = fw.arrays([1.0], [1e-4], [2.0], [1e-4])
    dirty = fw.arrays(*([v, junk] for v in (1.0, 1e-4, 2.0, 1e-4)))
    weight = fw.array([1.0, 0.0])
    want = fw.grads(lambda *a: loss(*a, xp=fw.xp), *clean)
    got = fw.grads(lambda *a: loss(*a, weight=weight, xp=fw.xp), *dirty)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(b, [a[0], 0])
    got = fw.grads(lambda *a: loss(*a, weight=weight * 0, xp=fw.xp), *dirty)
    assert not np.any(got)


@DIFFERENTIABLE
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_d25_losses_of_q_act_at_q_zero(fw, zero):
    xp, Q = fw.xp, fw.array([zero])
    (g,) = fw.grads(lambda Q: losses.margin_loss(Q, 0.5, xp=xp), Q)
    assert g[0] == -1.0  # −2τ
    (g,) = fw.grads(lambda Q: losses.soft_coverage_loss(Q, 0.0, 0.5, 1.0, xp=xp), Q)
    assert g[0] == -0.5  # −2·½·σ'(0)/T
    bottom = fw.mask([True])
    (g,) = fw.grads(lambda Q: losses.separation_losses(Q, bottom, 0.0, xp=xp)[0], Q)
    assert g[0] == 0.0  # already where it should be
    (g,) = fw.grads(lambda Q: losses.separation_losses(Q, ~bottom, 0.0, 0.25, xp=xp)[1], Q)
    assert g[0] == -0.5


@DIFFERENTIABLE
def test_losses_of_complex_tuples_have_finite_gradients(fw):
    values = ([1 + 2j, 0], [2j, 0], [1, 1j], [1, 0])
    for loss in TUPLE_LOSSES.values():
        xs = fw.arrays(*values, dtype="complex128")
        assert np.isfinite(fw.grads(lambda *a, loss=loss: loss(*a, xp=fw.xp), *xs)).all()
    Q = fw.array([0, 3j], "complex128")
    assert np.isfinite(fw.grads(lambda Q: losses.margin_loss(Q, 0.5, xp=fw.xp), Q)).all()


@BOTH
def test_implicit_detached_scale(fw):
    xs = fw.arrays([1.0], [0.5], [0.0], [1.0])  # 1/(¼ + 1e-9)
    stop = fw.stop
    full = fw.grads(lambda *a: losses.implicit_loss(*a, xp=fw.xp, stop_gradient=stop), *xs)
    held = fw.grads(
        lambda *a: losses.implicit_loss(*a, detach_scale=True, xp=fw.xp, stop_gradient=stop), *xs
    )
    assert full[1][0] == pytest.approx(-16.0, rel=1e-6)
    assert held[1][0] == pytest.approx(0.0, abs=1e-12)


def total_loss(fw, fit="oriented"):
    values = [2.0, INF, NAN, -INF, 0.5, 7.0]
    labels = fw.xp.asarray(np.array([0, 5, 1, 4, 0, 6], np.int8))
    targets = projective.lift_semantic_targets(fw.array(values), labels, xp=fw.xp)
    config = losses.LossConfig(fit=fit, coverage_weight=1.0)

    def f(P, Q, tau=None):
        return losses.scm_loss(P, Q, targets, config, tau, xp=fw.xp, stop_gradient=fw.stop)

    return f


HEAD_P = [1.0, 1.0, -1.0, 0.0, 1e-90, NAN]
HEAD_Q = [1e-5, -1e-5, 0.0, 0.0, 3e-90, NAN]


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["oriented", "chordal", "implicit"])
def test_scm_loss_and_its_gradients_agree(fit):
    want, parts = total_loss(NUMPY, fit)(*NUMPY.arrays(HEAD_P, HEAD_Q))
    collected = []
    for fw in (TORCH, TORCH_FUNC, JAX, JAX_JIT):
        f = total_loss(fw, fit)
        total, got = f(*fw.arrays(HEAD_P, HEAD_Q))
        assert float(total) == pytest.approx(float(want), rel=1e-14)
        for name, value in parts.items():
            assert float(got[name]) == pytest.approx(float(value), rel=1e-14)
        g = fw.grads(lambda P, Q, f=f: f(P, Q)[0], *fw.arrays(HEAD_P, HEAD_Q))
        assert np.isfinite(g).all()
        assert g[0][5] == g[1][5] == 0.0  # MISSING
        collected.append(g)
    for g in collected[1:]:
        np.testing.assert_allclose(g, collected[0], rtol=1e-9, atol=1e-150)


@pytest.mark.slow
def test_scm_loss_traces():
    P, Q = TORCH.arrays(HEAD_P, HEAD_Q)
    want = float(total_loss(TORCH)(P, Q)[0])
    loss = total_loss(TORCH)
    f = compiled(lambda P, Q: loss(P, Q)[0])
    P, Q = P.requires_grad_(), Q.requires_grad_()
    value = f(P, Q)
    value.backward()
    assert value.item() == pytest.approx(want, rel=1e-14)
    eager = TORCH.grads(lambda P, Q: total_loss(TORCH)(P, Q)[0], P.detach(), Q.detach())
    np.testing.assert_allclose([P.grad.numpy(), Q.grad.numpy()], eager, rtol=1e-12)
    P, Q = JAX.arrays(HEAD_P, HEAD_Q)
    loss = total_loss(JAX)
    traced_tau = jax.jit(lambda P, Q, tau: loss(P, Q, tau)[0])
    assert float(traced_tau(P, Q, 1e-4)) == pytest.approx(want, rel=1e-14)


@BOTH
def test_parts_carry_no_gradient(fw):
    f = total_loss(fw)
    g = fw.grads(
        lambda P, Q: f(P, Q)[1]["total"] + 0 * fw.xp.sum(P + Q), *fw.arrays([1.0] * 6, [1.0] * 6)
    )
    assert not np.any(g)


@pytest.mark.slow
@BOTH
@EACH_LOSS
def test_losses_under_vmap_and_second_order(fw, loss):
    transforms = torch.func if fw is TORCH else jax
    P, Q, Yn, Yd = fw.arrays([0.3, 0.0], [0.9, 0.0], [0.7, 1.0], [1e-4, 0.0])

    def f(p, q, yn, yd):
        return loss(p, q, yn, yd, xp=fw.xp)

    got = fw.to_numpy(transforms.vmap(transforms.grad(f))(P, Q, Yn, Yd))
    assert np.isfinite(got).all()
    h = fw.to_numpy(transforms.hessian(f)(P, Q, Yn, Yd))
    assert np.isfinite(h).all()
    if loss is losses.chordal_loss:
        assert abs(h).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@BOTH
def test_losses_in_half_precision(fw, dtype):
    xs = fw.arrays([300.0, 0.0, 1e-4], [300.0, 0.0, -1e-4], [1.0] * 3, [0.0] * 3, dtype=dtype)
    for loss in TUPLE_LOSSES.values():
        if loss is losses.implicit_loss and dtype == "float16":
            with pytest.raises(SCMValueError, match="gamma = 1e-09 rounds to 0 in float16"):
                loss(*xs, xp=fw.xp)
            continue
        value = loss(*xs, xp=fw.xp)
        assert value.dtype == xs[0].dtype
        g = fw.gradient(lambda *a, loss=loss: loss(*a, xp=fw.xp), *xs)
        for part in g:
            assert np.isfinite(fw.to_numpy(part).astype(np.float32)).all()


# --- norm and softmax --------------------------------------------------------------------------


@DIFFERENTIABLE
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_d16_norm_gradients(fw, eps):
    x = [[1.0, 7.0, NAN, 1.0], [2.0, 7.0, NAN, NAN], [4.0, 7.0, INF, 3.0], [8.0, 7.0, 0.0, 9.0]]
    mask = np.zeros((4, 4), bool)
    mask[3, 2:] = True
    weight = fw.array(np.arange(16.0).reshape(4, 4))

    def f(x):
        return fw.xp.sum(norm(x, fw.mask(mask), eps, xp=fw.xp)[0] * weight)

    (g,) = fw.grads(f, fw.array(x))
    assert np.isfinite(g).all()
    bottom = norm(np.array(x), mask, eps, xp=np)[1]
    assert not g[bottom].any()
    payload, got = norm(fw.array(x), fw.mask(mask), eps, xp=fw.xp)
    np.testing.assert_array_equal(fw.to_numpy(got), bottom)
    want = norm(np.array(x), mask, eps, xp=np)[0]
    np.testing.assert_allclose(fw.to_numpy(payload), want, rtol=1e-14, atol=1e-15)
    step, numeric = 1e-6, np.zeros(4)
    for i in range(4):
        moved = [np.array(x) for _ in range(2)]
        moved[0][i, 0] += step
        moved[1][i, 0] -= step
        high, low = (
            np.sum(norm(m, mask, eps, xp=np)[0][:, 0] * np.arange(0, 16, 4.0)) for m in moved
        )
        numeric[i] = (high - low) / (2 * step)
    np.testing.assert_allclose(g[:, 0], numeric, atol=1e-8)


@DIFFERENTIABLE
@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_norm_gradients_at_the_ends_of_float64(fw, scale):
    x = np.array([1.0, 2.0, 4.0])
    weight = fw.array([1.0, 0.0, 0.0])
    (g,) = fw.grads(lambda x: fw.xp.sum(norm(x, xp=fw.xp)[0] * weight) * scale, fw.array(x * scale))
    (want,) = fw.grads(lambda x: fw.xp.sum(norm(x, xp=fw.xp)[0] * weight), fw.array(x))
    np.testing.assert_allclose(g, want, rtol=1e-10)


@DIFFERENTIABLE
def test_d16_softmax_gradients(fw):
    x = [[0.0, 1.0, NAN], [0.0, -INF, 2.0], [0.0, NAN, 1.0], [INF, 0.0, 1.0], [-INF] * 3]
    x += [[1e308, -1e308, 0.0]]
    mask = np.zeros((6, 3), bool)
    mask[0, 2] = True
    weight = fw.array(np.arange(18.0).reshape(6, 3))

    def f(x):
        p, _ = softmax(x, fw.mask(mask), xp=fw.xp, stop_gradient=fw.stop)
        return fw.xp.sum(p * weight)

    (g,) = fw.grads(f, fw.array(x))
    assert np.isfinite(g).all()
    assert not g[2:5].any()
    s = np.exp(1) / (1 + np.exp(1))
    np.testing.assert_allclose(g[0], [-s * (1 - s), s * (1 - s), 0], rtol=1e-12)
    got, bottom = softmax(fw.array(x), fw.mask(mask), xp=fw.xp)
    want = softmax(np.array(x), mask, xp=np)
    np.testing.assert_allclose(fw.to_numpy(got), want[0], rtol=1e-15)
    np.testing.assert_array_equal(fw.to_numpy(bottom), want[1])


def test_norm_and_softmax_trace():
    x = [[1.0, 7.0], [2.0, 7.0], [NAN, 7.0]]
    for formula in (norm, softmax):
        want = formula(np.array(x), xp=np)
        for fw, trace in ((TORCH, compiled), (JAX, jax.jit)):
            got = trace(lambda x, fw=fw, formula=formula: formula(x, xp=fw.xp))(fw.array(x))
            np.testing.assert_allclose(fw.to_numpy(got[0]), want[0], rtol=1e-14)
            np.testing.assert_array_equal(fw.to_numpy(got[1]), want[1])


# --- policies ----------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(
    ("policy", "want"),
    [
        (GradientPolicy.CLAMP, [0.5, -1, 1, -1, 0, 0, 0]),
        (GradientPolicy.PROJECT, [0.5, -3, 0, 0, 0, 0, 0]),
        (GradientPolicy.REJECT, [0, 0, 0, 0, 0, 0, 0]),
        (GradientPolicy.PASSTHROUGH, [0.5, -3, INF, -INF, NAN, 7, NAN]),
    ],
)
def test_policy_table(fw, policy, want):
    g, bottom = [0.5, -3.0, INF, -INF, NAN, 7.0, NAN], [False] * 5 + [True] * 2
    got = apply_policy(fw.array(g), fw.mask(bottom), policy, xp=fw.xp)
    np.testing.assert_array_equal(fw.to_numpy(got), want)
    z = fw.array([3 + 4j, NAN], "complex128")
    got = fw.to_numpy(apply_policy(z, fw.mask([False] * 2), GradientPolicy.CLAMP, xp=fw.xp))
    np.testing.assert_allclose(got, [0.6 + 0.8j, 0], rtol=1e-15)


def test_the_policy_context_recompiles():
    def f(g):
        policy = resolve_policy(None, GradientPolicy.PROJECT)
        return apply_policy(g, g > 100, policy, xp=torch)

    traced, g = compiled(f), torch.tensor([3.0])
    assert traced(g)[0] == 3.0
    with gradient_policy(GradientPolicy.REJECT):
        assert traced(g)[0] == 0.0
    with gradient_policy(GradientPolicy.CLAMP):
        assert traced(g)[0] == 1.0
    assert traced(g)[0] == 3.0


def test_cause_bits_are_those_of_the_table():
    assert [int(c) for c in (Cause.DIV_ZERO, Cause.NULL_TUPLE, Cause.THRESHOLD)] == [4, 64, 32]
