"""Losses and targets on JAX: hand values, bounds, weights, gradients; one compiled call per law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zeroproofml.jax import (
    LossConfig,
    SCMLoss,
    Targets,
    chordal_loss,
    coverage,
    implicit_loss,
    lift_semantic_targets,
    lift_targets,
    margin_loss,
    oriented_chordal_loss,
    rejection_penalty,
    scm_loss,
    separation_losses,
    sign_consistency_loss,
    soft_coverage_loss,
)
from zeroproofml.jax import losses as module
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

TUPLE_LOSSES = {
    "chordal": chordal_loss,
    "oriented": oriented_chordal_loss,
    "implicit": implicit_loss,
    "sign": lambda *a, **k: sign_consistency_loss(*a, band=10.0, **k),
}


@pytest.fixture(params=TUPLE_LOSSES)
def loss(request):
    return TUPLE_LOSSES[request.param]


def lanes(*values, dtype=jnp.float64):
    return jnp.asarray(values, dtype)


def test_25_hand_values():
    one, zero = lanes(1.0), lanes(0.0)
    np.testing.assert_allclose(chordal_loss(one, one, zero, one), 0.5)
    assert chordal_loss(-one, zero, one, zero) == 0.0
    assert oriented_chordal_loss(-one, zero, one, zero) == 2.0
    assert oriented_chordal_loss(one, zero, zero, one) == 1.0
    np.testing.assert_allclose(oriented_chordal_loss(one, one, zero, one), 1 - 0.5**0.5)
    np.testing.assert_allclose(implicit_loss(one, lanes(1e-3), zero, one), 1 / (1e-6 + 1e-9))
    np.testing.assert_allclose(margin_loss(lanes(0.0, 0.3, 2.0), 0.5), (0.25 + 0.04) / 3)
    assert sign_consistency_loss(-one, zero, one, zero) == 2.0
    np.testing.assert_allclose(soft_coverage_loss(lanes(0.5), 0.5, 0.1, 1.0), 0.25)
    bottom, finite = separation_losses(lanes(0.51, 0.03), jnp.asarray([True, False]))
    np.testing.assert_allclose([bottom, finite], [0.25, 0.0004])
    assert coverage(jnp.asarray([True, False, False, False])) == 0.75
    np.testing.assert_allclose(rejection_penalty(jnp.asarray([True, False]), 1.0), 0.25)


def test_25_bounds_and_scale(loss):
    rng = np.random.default_rng(0)
    P, Q, Yn, Yd = (jnp.asarray(rng.normal(size=100)) for _ in range(4))
    compute = jax.jit(lambda *a: loss(*a, reduction="none"))
    each = compute(P, Q, Yn, Yd)
    top = {chordal_loss: 1.0, oriented_chordal_loss: 2.0}.get(loss, np.inf)
    assert (each >= 0).all()
    assert (each <= top).all()
    for k in (2.0**100, 2.0**-100):
        np.testing.assert_array_equal(compute(P * k, Q * k, Yn, Yd), each)
        if loss in (chordal_loss, oriented_chordal_loss):
            np.testing.assert_array_equal(compute(P, Q, Yn * k, Yd * k), each)


def test_25_d15_d17_extreme_tuples_have_finite_gradients(loss):
    extremes = [1e20, 0.0, 1.0, -1.0, 1e-30, 3e38]
    P, Q, Yn, Yd = (
        jnp.asarray(column, jnp.float32)
        for column in np.array(np.meshgrid(*[extremes] * 4)).reshape(4, -1)
    )
    value, grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(P, Q, Yn, Yd)
    assert jnp.isfinite(value)
    for g in grads:
        assert jnp.isfinite(g).all()
        assert (g[(P == 0) & (Q == 0)] == 0).all()


def test_25_the_null_prediction_costs_one():
    zero, one = lanes(0.0), lanes(1.0)
    for function in (chordal_loss, oriented_chordal_loss):
        assert function(zero, zero, one, one) == 1.0
        assert function(one, one, zero, zero) == 0.0  # a null target has weight 0


def test_26_a_lane_of_weight_zero_does_not_exist(loss):
    clean = lanes(1.0, 2.0), lanes(0.5, 1.0), lanes(1.0, -1.0), lanes(0.0, 0.1)
    dirty = [jnp.append(x, jnp.nan) for x in clean]
    weight = lanes(1.0, 1.0, 0.0)
    derive = jax.value_and_grad(loss, argnums=(0, 1, 2, 3))
    value, grads = derive(*clean)
    for w in (weight, weight.astype(bool)):
        got, dirty_grads = jax.jit(lambda *a, w=w: derive(*a, weight=w))(*dirty)
        np.testing.assert_allclose(got, value, rtol=1e-15)
        for g, h in zip(grads, dirty_grads, strict=True):
            np.testing.assert_allclose(h[:2], g, rtol=1e-13, atol=1e-300)
            assert h[2] == 0
    empty, nothing = derive(*dirty, weight=jnp.zeros(3))
    assert empty == 0
    assert all((g == 0).all() for g in nothing)
    if loss is not TUPLE_LOSSES["sign"]:  # a NaN target is outside its band
        assert jnp.isnan(derive(*dirty)[0])  # a NaN that counts is not hidden


def test_26_unequal_shapes_are_refused_for_every_argument(loss):
    three = [jnp.ones(3)] * 4
    for position in range(4):
        broken = [*three[:position], jnp.ones((3, 1)), *three[position + 1 :]]
        with pytest.raises(SCMValueError, match="shapes must be equal"):
            loss(*broken)
    with pytest.raises(SCMValueError, match="weight"):
        loss(*three, weight=jnp.ones(2))
    with pytest.raises(SCMValueError, match="reduction"):
        loss(*three, reduction="median")


def test_27_d25_a_denominator_of_zero_is_still_pushed():
    for sign in (0.0, -0.0):
        q = lanes(sign)
        assert jax.grad(lambda q: margin_loss(q, 0.5))(q) == -1.0
        assert jax.grad(lambda q: soft_coverage_loss(q, 0.5, 0.5))(q) < 0
        assert jax.grad(lambda q: separation_losses(q, jnp.asarray([False]))[1])(q) < 0


def test_d25_the_sign_loss_is_not_diluted():
    one, zero = lanes(1.0, 1.0, 1.0, 1.0), lanes(0.0, 1.0, 1.0, 1.0)
    assert sign_consistency_loss(-one, zero * 0, one, zero) == 2.0
    diluted = sign_consistency_loss(-one, zero * 0, one, zero, normalize="batch")
    assert diluted == 0.5
    everything = sign_consistency_loss(-one, one * 0, one, zero, selected=jnp.ones(4, bool))
    assert everything > 1


def test_separate_groups_and_empty_ones():
    q = lanes(0.5, 0.0)
    assert separation_losses(q, jnp.zeros(2, bool))[0] == 0
    assert separation_losses(q, jnp.ones(2, bool))[1] == 0
    with pytest.raises(SCMValueError):
        separation_losses(q, jnp.zeros(2, bool), 0.1, 0.01)
    with pytest.raises(SCMValueError):
        coverage(jnp.zeros(0, bool))


def test_detached_scale_and_complex_tuples():
    arguments = lanes(1.0), lanes(2.0), lanes(3.0), lanes(1.0)
    moving = jax.grad(implicit_loss)(*arguments)
    held = jax.grad(lambda p, *a: implicit_loss(p, *a, detach_scale=True))(*arguments)
    assert moving != held
    z = lanes(1 + 2j, dtype=complex)
    for function in (chordal_loss, oriented_chordal_loss, implicit_loss):
        value = function(z, z + 1, z - 1, z)
        assert value.dtype == jnp.float64
        assert value >= 0


# Targets


def test_37_d24_semantic_targets():
    labels = jnp.asarray([0, 1, 2, 3, 4, 5, 6], jnp.int8)
    values = lanes(2.5, jnp.nan, jnp.inf, 1.0, 1.0, 1.0, jnp.nan)
    t = lift_semantic_targets(values, labels)
    assert t.numerator.tolist() == [2.5, 1, 1, 1, -1, 1, 0]
    assert t.denominator.tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert t.weight.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert t.orientation.tolist() == [0, 0, 0, 0, -1, 1, 0]
    assert t.is_bottom.tolist() == [False, True, True, True, True, True, False]
    traced = jax.jit(lift_semantic_targets)(values, labels)
    for a, b in zip(t, traced, strict=True):
        np.testing.assert_array_equal(a, b)
    gradient = jax.grad(lambda p: scm_loss(p, jnp.ones(7), t, LossConfig())[0])(jnp.ones(7))
    assert gradient[6] == 0
    with pytest.raises(SCMValueError, match="FINITE"):
        lift_semantic_targets(lanes(jnp.nan), jnp.asarray([0]))
    with pytest.raises(SCMValueError, match="labels"):
        lift_semantic_targets(lanes(1.0), jnp.asarray([7]))


def test_37_d24_numbers_as_targets():
    t = lift_targets(lanes(2.5, jnp.inf, -jnp.inf, jnp.nan))
    assert t.numerator.tolist() == [2.5, 1, -1, 1]
    assert t.denominator.tolist() == [1, 0, 0, 0]
    assert t.orientation.tolist() == [0, 1, -1, 0]
    masked = lift_targets(lanes(jnp.inf, 1.0), jnp.asarray([True, True]))
    assert masked.orientation.tolist() == [0, 0]
    assert masked.is_bottom.all()
    assert lift_targets(jnp.asarray([1, 2])).numerator.dtype == jnp.float64
    with pytest.raises(SCMTypeError):
        lift_targets(jnp.asarray([True]))


# The weighted sum


def test_scm_loss_and_its_parts():
    targets = lift_targets(lanes(2.0, jnp.inf, jnp.nan))
    P, Q = lanes(2.0, -1.0, 1.0), lanes(1.0, 0.0, 0.0)
    total, parts = jax.jit(lambda P, Q, t: scm_loss(P, Q, t, LossConfig(coverage_weight=0)))(
        P, Q, targets
    )
    np.testing.assert_allclose(parts["fit"], 2 / 3)  # 0, 2, and sign-blind 0
    assert parts["sign"] == 2.0
    np.testing.assert_allclose(total, 2 / 3 + 2.0 + 0.1 * parts["margin"])
    assert set(parts) == {"fit", "margin", "sign", "coverage", "total"}
    gradient = jax.grad(lambda p: scm_loss(p, Q, targets, LossConfig())[1]["total"])(P)
    assert (gradient == 0).all()  # the parts are reports, not objectives


def test_the_callable_loss_refuses_what_is_no_tuple():
    loss, targets = SCMLoss(LossConfig(fit="chordal")), lift_targets(jnp.ones(2))
    pair = jnp.ones(2), jnp.ones(2)
    assert loss(pair, targets)[0] == 0
    assert loss(pair, targets, tau=0.5)[0] >= 0
    for outputs in (jnp.ones(2), (jnp.ones(2),), (jnp.ones(2), jnp.zeros(2, bool))):
        with pytest.raises(SCMTypeError):
            loss(outputs, targets)
    with pytest.raises(SCMTypeError, match="lift_targets"):
        loss(pair, jnp.ones(2))
    with pytest.raises(SCMValueError, match="part"):
        loss(pair, targets, weights={"speed": 1.0})
    half = loss((-jnp.ones(2), -jnp.ones(2)), targets, weights={"coverage": 0.0, "fit": 0.5})
    assert isinstance(targets, Targets)
    assert half[0] == 0  # chordal is sign-blind


def test_every_loss_takes_numbers_of_one_name():
    # The front only binds the framework: no loss is lost or renamed on the way.
    from zeroproofml.scm.formulas import losses

    assert set(losses.__all__) <= set(module.__all__)
