"""Losses, normalisation, softmax and policies in three frameworks: equal, finite, traceable."""

import jax
import numpy as np
import pytest
import torch

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas import losses, projective
from zeroproofml.scm.formulas.norm import norm, softmax
from zeroproofml.scm.policy import GradientPolicy, apply_policy, gradient_policy, resolve_policy

NAN, INF = np.nan, np.inf
pytestmark = pytest.mark.usefixtures("x64")
ALL = pytest.mark.parametrize("fw", ["numpy", "torch", "jax"], indirect=True)
DIFFERENTIABLE = pytest.mark.parametrize("fw", ["torch", "torch_func", "jax_jit"], indirect=True)
BOTH = pytest.mark.parametrize("fw", ["torch", "jax"], indirect=True)

# --- losses ------------------------------------------------------------------------------------

TUPLE_LOSSES = {
    "chordal": losses.chordal_loss,
    "oriented": losses.oriented_chordal_loss,
    "implicit": losses.implicit_loss,
    "sign": losses.sign_consistency_loss,
}
EACH_LOSS = pytest.mark.parametrize("loss", TUPLE_LOSSES.values(), ids=TUPLE_LOSSES)


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
def test_scm_loss_and_its_gradients_agree(fit, frameworks):
    want, parts = total_loss(frameworks.numpy, fit)(*frameworks.numpy.arrays(HEAD_P, HEAD_Q))
    collected = []
    for fw in (frameworks.torch, frameworks.torch_func, frameworks.jax, frameworks.jax_jit):
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
def test_scm_loss_traces(frameworks, compiled):
    P, Q = frameworks.torch.arrays(HEAD_P, HEAD_Q)
    want = float(total_loss(frameworks.torch)(P, Q)[0])
    loss = total_loss(frameworks.torch)
    f = compiled(lambda P, Q: loss(P, Q)[0])
    P, Q = P.requires_grad_(), Q.requires_grad_()
    value = f(P, Q)
    value.backward()
    assert value.item() == pytest.approx(want, rel=1e-14)
    eager = frameworks.torch.grads(
        lambda P, Q: total_loss(frameworks.torch)(P, Q)[0], P.detach(), Q.detach()
    )
    np.testing.assert_allclose([P.grad.numpy(), Q.grad.numpy()], eager, rtol=1e-12)
    P, Q = frameworks.jax.arrays(HEAD_P, HEAD_Q)
    loss = total_loss(frameworks.jax)
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
def test_losses_under_vmap_and_second_order(fw, loss, frameworks):
    transforms = torch.func if fw is frameworks.torch else jax
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


def test_norm_and_softmax_trace(frameworks, compiled):
    x = [[1.0, 7.0], [2.0, 7.0], [NAN, 7.0]]
    for formula in (norm, softmax):
        want = formula(np.array(x), xp=np)
        for fw, trace in ((frameworks.torch, compiled), (frameworks.jax, jax.jit)):
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


def test_the_policy_context_recompiles(compiled):
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
