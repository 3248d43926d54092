"""The jitted training step: τ, lifting, refusal of what is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zeroproofml.jax import (
    LossConfig,
    ProjectiveRationalMultiHead,
    SCMLoss,
    lift_semantic_targets,
    make_train_step,
)
from zeroproofml.scm.errors import SCMTypeError, SCMValueError


def apply(head, x):
    return head(x, x[:, 0])


def descend(grads, state, params):
    return jax.tree.map(lambda p, g: p - 0.2 * g, params, grads), state + 1


@pytest.fixture
def head():
    return ProjectiveRationalMultiHead.init(jax.random.key(0), 1, 2, 2)


@pytest.fixture
def data():
    x = jnp.linspace(-1, 1, 32, dtype=jnp.float32)[:, None]
    return x, 1 / (x - 0.5 + 1e-3)


def leaves_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_it_learns(head, data):
    step = make_train_step(apply, SCMLoss(), descend, tau_train=(1e-4, 1e-2))
    state, losses = jnp.asarray(0), []
    for key in jax.random.split(jax.random.key(1), 60):
        head, state, total, parts = step(head, state, key, *data)
        losses.append(float(total))
    assert losses[-1] < 0.7 * losses[0]
    assert state == 60
    assert parts["nonfinite_skips"] == 0
    assert set(parts) >= {"fit", "margin", "sign", "coverage", "total", "tau_train"}


def test_a_step_is_the_hand_computed_one(head, data):
    loss = SCMLoss(LossConfig(tau_train=1e-4))
    moved, *_ = make_train_step(apply, loss, descend)(
        head, jnp.asarray(0), jax.random.key(0), *data
    )

    def by_hand(params):
        from zeroproofml.jax import lift_targets

        return loss(apply(params, data[0]), lift_targets(data[1]), tau=1e-4)[0]

    want, _ = descend(jax.jit(jax.grad(by_hand))(head), 0, head)
    for x, y in zip(jax.tree.leaves(moved), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_36_a_step_that_is_not_finite_changes_nothing(head, data, where):
    def poisoned(outputs, targets):
        total = jnp.mean(outputs[0] ** 2)
        if where == "loss":
            return total + jnp.nan
        zero = jnp.sum(outputs[0]) * 0
        return total + jnp.sqrt(zero)  # 0, with an infinite derivative

    step = make_train_step(apply, poisoned, descend)
    after, state, _, parts = step(head, jnp.asarray(3), jax.random.key(0), *data)
    leaves_equal(after, head)
    assert state == 3
    assert parts["nonfinite_skips"] == 1


def test_targets_pass_as_they_are_and_missing_lanes_do_nothing(head):
    x = jnp.asarray([[0.1], [0.2]], jnp.float32)
    labels = jnp.asarray([[0], [6]], jnp.int8)
    step = make_train_step(apply, SCMLoss(), descend)
    results = []
    for unknown in (jnp.nan, 5.0):
        targets = lift_semantic_targets(jnp.asarray([[1.0], [unknown]], jnp.float32), labels)
        results.append(step(head, jnp.asarray(0), jax.random.key(0), x, targets)[0])
    leaves_equal(*results)


@pytest.mark.parametrize("x64", [True, False])
def test_d26_tau_stays_in_its_interval(head, data, x64):
    def plain(outputs, targets):
        return jnp.mean(outputs[0])

    with jax.enable_x64(x64):
        seen = []
        for low, high in ((1e-4, 1e-4), (1e-4, 1.001e-4), (0.0, 1.0)):
            step = make_train_step(apply, plain, descend, tau_train=(low, high))
            for key in jax.random.split(jax.random.key(0), 20):
                tau = step(head, jnp.asarray(0), key, *data)[3]["tau_train"]
                assert low <= float(tau) <= high or low == high
                seen.append(float(tau))
        assert np.std(seen[-20:]) > 0.1


def test_the_loss_gets_what_it_asks_for(head, data):
    asked = {}

    def curious(outputs, targets, tau, inputs):
        asked.update(tau=tau, inputs=inputs.shape)
        return jnp.mean(outputs[0])

    make_train_step(apply, curious, descend)(head, jnp.asarray(0), jax.random.key(0), *data)
    assert asked == {"tau": 1e-4, "inputs": (32, 1)}


@pytest.mark.parametrize(
    ("tau_train", "error"),
    [
        ((1e-3, 1e-4), SCMValueError),
        ((-1.0, 1.0), SCMValueError),
        ((0.0, float("inf")), SCMValueError),
        ((True, 1.0), SCMTypeError),
        (("0", "1"), SCMTypeError),
    ],
)
def test_intervals_that_are_none(tau_train, error):
    with pytest.raises(error, match="tau_train"):
        make_train_step(apply, SCMLoss(), descend, tau_train=tau_train)
