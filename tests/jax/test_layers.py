"""Layers on JAX: values, ⊥, gradients in every mode, policies, and the pytree contract."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from zeroproofml.jax import (
    AngularProjectiveHead,
    GradientPolicy,
    ProjectiveNormalize,
    ProjectiveRationalMultiHead,
    SCMNorm,
    SCMRationalLayer,
    SCMSoftmax,
    gradient_policy,
    strict_inference,
)
from zeroproofml.jax.policy import apply_policy, gate, sanitise
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

POLICIES = list(GradientPolicy)


def rational(numerator, denominator, **options):
    return SCMRationalLayer(jnp.asarray(numerator), jnp.asarray(denominator), **options)


@pytest.fixture
def simple():
    """(1 + 2x)/(1 + 3x)."""
    return rational([1.0, 2.0], [1.0, 3.0])


LAYERS = {
    "rational": (lambda key: SCMRationalLayer.init(key, 3, 2), lambda f, x: f(x)[0]),
    "chebyshev": (
        lambda key: SCMRationalLayer.init(key, 3, 2, basis="chebyshev"),
        lambda f, x: f(x)[0],
    ),
    "multihead": (
        lambda key: ProjectiveRationalMultiHead.init(key, 3, 2, 2),
        lambda f, x: jnp.concatenate(f(x, x[:, 0])),
    ),
    "softplus": (
        lambda key: ProjectiveRationalMultiHead.init(key, 3, 2, 2, q_param="softplus", q_min=0.1),
        lambda f, x: jnp.concatenate(f(x, x[:, :1])),
    ),
    "angular": (
        lambda key: AngularProjectiveHead.init(key, 3, 2),
        lambda f, x: jnp.concatenate(f(x)),
    ),
    "normalize": (lambda key: ProjectiveNormalize(), lambda f, x: jnp.concatenate(f(x, x + 1))),
    "canonical": (
        lambda key: ProjectiveNormalize("canonical_denominator"),
        lambda f, x: jnp.concatenate(f(x, x + 1)),
    ),
    "norm": (lambda key: SCMNorm(), lambda f, x: f(x)[0]),
    "norm_eps": (lambda key: SCMNorm(1e-3), lambda f, x: f(x)[0]),
    "softmax": (lambda key: SCMSoftmax(), lambda f, x: f(x)[0]),
}
X = np.array([[0.3, -0.7, 1.1], [2.0, 0.4, -0.2], [-1.3, 0.9, 0.6], [0.1, 0.2, 0.3]])


@pytest.fixture(params=LAYERS)
def built(request):
    """(layer with float64 parameters, function of layer and x)."""
    make, apply = LAYERS[request.param]
    layer = make(jax.random.key(1))
    # Drawn parameters are near 0: move them to where the layer does something.
    leaves, tree = jax.tree.flatten(layer)
    rng = np.random.default_rng(2)
    moved = [jnp.asarray(np.asarray(p, float) + 0.3 * rng.normal(size=p.shape)) for p in leaves]
    return jax.tree.unflatten(tree, moved), apply


# 34: every layer is a pytree that passes every transformation.


def test_34_layers_are_pytrees(built):
    layer, apply = built
    mapped = jax.tree.map(lambda leaf: leaf * 1, layer)
    assert type(mapped) is type(layer)
    np.testing.assert_array_equal(apply(mapped, X), apply(layer, X))
    np.testing.assert_array_equal(apply(copy.deepcopy(layer), X), apply(layer, X))
    jax.tree.map(lambda leaf: object(), layer)  # unflatten validates nothing
    with pytest.raises(AttributeError):
        layer.gradient_policy = None


def test_34_jit_vmap_and_grad(built):
    layer, apply = built
    x = jnp.asarray(X)
    plain = apply(layer, x)
    np.testing.assert_allclose(jax.jit(apply)(layer, x), plain, rtol=1e-13, atol=1e-15)
    batch = jnp.stack([x, 2 * x])
    np.testing.assert_allclose(
        jax.vmap(apply, in_axes=(None, 0))(layer, batch)[1], apply(layer, 2 * x), rtol=1e-13
    )

    def loss(layer, x):
        return jnp.sum(apply(layer, x) ** 2)

    eager = jax.grad(loss, argnums=(0, 1))(layer, x)
    jitted = jax.jit(jax.grad(loss, argnums=(0, 1)))(layer, x)
    for g, h in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        assert jnp.isfinite(g).all()
        np.testing.assert_allclose(g, h, rtol=1e-10, atol=1e-12)
    rows = jax.vmap(jax.grad(loss, argnums=1), in_axes=(None, 0))(layer, batch)
    np.testing.assert_allclose(rows[0], eager[1], rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_18_numerical_derivatives(built):
    layer, apply = built
    check_grads(
        jax.jit(apply), (layer, jnp.asarray(X)), order=2, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4
    )


def test_34_init_is_deterministic():
    for make, _ in LAYERS.values():
        one, same = make(jax.random.key(3)), make(jax.random.key(3))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == jnp.float32
    other = SCMRationalLayer.init(jax.random.key(4), 3, 2, dtype=jnp.float64)
    assert other.numerator.dtype == other.denominator.dtype == jnp.float64
    assert not (other.numerator == SCMRationalLayer.init(jax.random.key(3), 3, 2).numerator).all()


def test_initial_values():
    layer = SCMRationalLayer.init(jax.random.key(0), 49, 2)
    assert layer.denominator.tolist() == [1.0, 0.0, 0.0]
    assert 0.006 < jnp.std(layer.numerator) < 0.014
    head = ProjectiveRationalMultiHead.init(jax.random.key(0), 100, 9, 99)
    assert head.num_weights.shape == (100, 10)
    assert head.den_weights.shape == (100,)
    assert 0.008 < jnp.std(head.num_weights) < 0.012
    angular = AngularProjectiveHead.init(jax.random.key(0), 7, 2)
    assert (angular.bias == 0).all()
    P, Q = angular(jnp.zeros((3, 7)))
    assert (P == 0).all()
    assert (Q == 1).all()


# The rational layer


def test_19_d07_analytic_derivatives(simple):
    def y(x):
        return simple(x)[0]

    x = jnp.asarray(0.5)
    np.testing.assert_allclose(y(x), 0.8)
    np.testing.assert_allclose(jax.grad(y)(x), -0.16, rtol=1e-14)
    np.testing.assert_allclose(jax.jvp(y, (x,), (1.0,))[1], -0.16, rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(jax.grad(y))(jnp.full(3, 0.5)), -0.16, rtol=1e-14)
    for second in (jax.hessian(y), jax.jacrev(jax.jacrev(y)), jax.jit(jax.hessian(y))):
        np.testing.assert_allclose(second(x), 0.384, rtol=1e-13)


def test_24_the_threshold_is_strict():
    x = jnp.asarray([0.25, 0.125])
    payload, mask = rational([1.0], [0.0, 1.0], singular_epsilon=0.25)(x)
    assert mask.tolist() == [False, True]
    assert payload.tolist() == [4.0, 0.0]
    payload, mask = rational([1.0], [0.0, 1.0], singular_epsilon=0.0)(jnp.asarray([0.0, 1e-300]))
    assert mask.tolist() == [True, False]
    # 1/x² overflows and masks nothing.
    payload, mask = rational([1.0], [0.0, 1.0], singular_epsilon=0.0)(jnp.asarray([1e-160]))
    assert not mask.any()
    assert payload.tolist() == [1e160]


@pytest.mark.parametrize("policy", POLICIES)
def test_23_a_batch_of_bottom(policy):
    layer = rational([1.0, 1.0], [0.0, 0.0], gradient_policy=policy)
    x = jnp.asarray([1.0, np.nan, 0.0])
    payload, mask = layer(x)
    assert (payload == 0).all()
    assert mask.all()
    grads = jax.grad(lambda f, x: jnp.sum(f(x)[0]), argnums=(0, 1))(layer, x)
    assert all((g == 0).all() for g in jax.tree.leaves(grads))


def test_bottom_lanes_do_not_touch_the_parameters_gradient():
    layer = rational([1.0, 2.0], [1.0, -1.0])

    def loss(f, x, mask):
        return jnp.sum(f(x, mask)[0])

    dirty = jnp.asarray([0.5, 1.0, np.nan, 1e200, 7.0])
    gradient = jax.grad(loss)(layer, dirty, jnp.asarray([False] * 4 + [True]))
    clean = jax.grad(loss)(layer, jnp.asarray([0.5, 1e200]), jnp.zeros(2, bool))
    for g, c in zip(jax.tree.leaves(gradient), jax.tree.leaves(clean), strict=True):
        assert jnp.isfinite(g).all()
        np.testing.assert_allclose(g, c)


def test_callable_bases_and_dtypes():
    def powers(x, degree):
        return jnp.stack([x**k for k in range(degree + 1)], axis=-1)

    x = jnp.asarray([0.5, 2.0])
    own = rational([1.0, 2.0], [1.0, 3.0], basis=powers)
    np.testing.assert_allclose(own(x)[0], rational([1.0, 2.0], [1.0, 3.0])(x)[0])
    np.testing.assert_allclose(jax.jit(lambda f, x: f(x)[0])(own, x), own(x)[0])
    layer = SCMRationalLayer.init(jax.random.key(0), 2, 1)
    assert layer(jnp.asarray([1, 2]))[0].dtype == jnp.float32
    assert layer(np.array([1.0]))[0].dtype == jnp.float64
    assert layer(jnp.ones((2, 3), jnp.float16))[0].shape == (2, 3)
    assert layer(jnp.asarray(2.0))[1].shape == ()


def test_masks_of_a_layer(simple):
    x = jnp.ones((2, 3))
    payload, mask = simple(x, jnp.asarray([[True], [False]]))
    assert mask.tolist() == [[True] * 3, [False] * 3]
    assert (payload[0] == 0).all()
    assert simple(x, [True, False, False])[1][:, 0].all()


# Refusals


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(jnp.asarray([1j])),
        lambda f: f(jnp.asarray([True])),
        lambda f: f([1.0]),
        lambda f: f("x"),
        lambda f: f(jnp.ones(2), jnp.ones(2)),
        lambda f: SCMNorm()(jnp.asarray([1j])),
        lambda f: SCMSoftmax()(jnp.asarray([True])),
        lambda f: AngularProjectiveHead.init(jax.random.key(0), 1)(jnp.asarray([1j])),
        lambda f: SCMRationalLayer.init(jax.random.key(0), 1.5, 1),
        lambda f: SCMRationalLayer.init(jax.random.key(0), True, 1),
        lambda f: SCMRationalLayer.init(jax.random.key(0), 1, 1, gradient_policy="project"),
    ],
)
def test_wrong_types(simple, call):
    with pytest.raises(SCMTypeError):
        call(simple)


@pytest.mark.parametrize(
    "call",
    [
        lambda key: SCMRationalLayer.init(key, -1, 1),
        lambda key: SCMRationalLayer.init(key, 1, 1, basis="legendre"),
        lambda key: SCMRationalLayer.init(key, 1, 1, singular_epsilon=-1.0),
        lambda key: SCMRationalLayer.init(key, 1, 1, singular_epsilon=float("nan")),
        lambda key: SCMRationalLayer.init(key, 1, 1)(jnp.ones(3), jnp.zeros(2, bool)),
        lambda key: SCMRationalLayer.init(key, 1, 1)(jnp.ones(3), jnp.zeros((2, 3), bool)),
        lambda key: ProjectiveRationalMultiHead.init(key, 0, 1, 1),
        lambda key: ProjectiveRationalMultiHead.init(key, 1, 1, 1, q_anchor="two"),
        lambda key: ProjectiveRationalMultiHead.init(key, 1, 1, 1, q_param="relu"),
        lambda key: ProjectiveRationalMultiHead.init(key, 1, 1, 1, q_min=-1.0),
        lambda key: ProjectiveRationalMultiHead.init(key, 2, 1, 1)(jnp.ones((4, 3)), jnp.ones(4)),
        lambda key: AngularProjectiveHead.init(key, 2, theta_scale=0.0),
        lambda key: AngularProjectiveHead.init(key, 2)(jnp.ones((4, 3))),
        lambda key: ProjectiveNormalize("max")(jnp.ones(1), jnp.ones(1)),
        lambda key: ProjectiveNormalize(gamma=-1.0)(jnp.ones(1), jnp.ones(1)),
        lambda key: ProjectiveNormalize()(jnp.ones(2), jnp.ones(3)),
        lambda key: SCMNorm(-1.0)(jnp.ones((2, 2))),
    ],
)
def test_wrong_values(call):
    with pytest.raises(SCMValueError):
        call(jax.random.key(0))


# Heads


def test_d18_one_denominator_per_row():
    head = ProjectiveRationalMultiHead(
        jnp.asarray([[0.0, 1.0], [1.0, 0.0]]), jnp.asarray([0.0, 2.0])
    )
    z = jnp.asarray([[3.0, 4.0], [5.0, 6.0]])
    for z_den in (jnp.asarray([0.5, 1.0]), jnp.asarray([[0.5], [1.0]])):
        P, Q = head(z, z_den)
        assert P.tolist() == [[3.0, 1.0], [5.0, 1.0]]
        assert Q.tolist() == [[2.0, 2.0], [3.0, 3.0]]
    with pytest.raises(SCMValueError, match="z_den"):
        head(z, jnp.ones((2, 2)))


def test_bottom_capability():
    def capability(tau=1e-6, **options):
        head = ProjectiveRationalMultiHead.init(jax.random.key(0), 1, 1, 1, **options)
        return head.bottom_capability(tau)

    never = "unreachable_by_construction"
    assert capability() == "reachable"
    assert capability(q_param="softplus") == never
    assert capability(q_param="softplus", q_anchor="none") == "reachable"
    assert capability(q_param="softplus", q_anchor="none", q_min=1e-6) == never


def test_the_angular_head_passes_its_pole_smoothly():
    head = AngularProjectiveHead(jnp.asarray([[1.0]]), jnp.asarray([0.0]), theta_scale=0.5)
    f = jnp.asarray([[np.pi], [0.0], [np.nan]])
    P, Q = head(f)
    np.testing.assert_allclose(P[:2, 0], [1.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(Q[:2, 0], [0.0, 1.0], atol=1e-15)
    assert strict_inference(P, Q).bottom_mask[:, 0].tolist() == [True, False, True]
    gradient = jax.grad(lambda h, f: jnp.sum(h(f)[1][:2]))(head, f)
    assert jnp.isfinite(gradient.weight).all()
    np.testing.assert_allclose(gradient.weight, [[-0.5 * np.pi]])


# Norm and softmax


def test_28_d16_norm_keeps_bottom_to_itself():
    x = jnp.asarray([[1.0, 7.0, np.nan], [3.0, 7.0, np.inf], [np.nan, 7.0, 2.0], [5.0, 7.0, 1.0]])
    mask = jnp.asarray([[False] * 3] * 3 + [[True, False, True]])
    layer = SCMNorm()
    payload, out = layer(x, mask)
    assert out.T.tolist() == [[False, False, True, True], [True] * 4, [True] * 4]
    np.testing.assert_allclose(payload[:2, 0], [-1.0, 1.0])
    gradient = jax.grad(lambda v: jnp.sum(layer(v, mask)[0] * jnp.arange(12.0).reshape(4, 3)))(x)
    assert jnp.isfinite(gradient).all()
    alone = jax.grad(lambda v: jnp.sum(layer(v)[0][:, 0] * jnp.asarray([0.0, 3.0])))(x[:2, :1])
    np.testing.assert_allclose(gradient[:2, 0], alone[:, 0], atol=1e-15)
    assert (gradient[2:] == 0).all()


def test_28_d16_softmax():
    x = jnp.asarray([[0.0, 1.0, 9.0], [0.0, np.nan, 0.0], [-np.inf, 2.0, 2.0], [1.0, 2.0, 3.0]])
    mask = jnp.asarray([[False, False, True], [False] * 3, [False] * 3, [True] * 3])
    payload, out = SCMSoftmax()(x, mask)
    assert out[:, 0].tolist() == [False, True, False, True]
    np.testing.assert_allclose(payload[0], [1 / (1 + np.e), np.e / (1 + np.e), 0.0])
    np.testing.assert_allclose(payload[2], [0.0, 0.5, 0.5])
    assert (payload[1] == 0).all()
    gradient = jax.grad(lambda v: jnp.sum(SCMSoftmax()(v, mask)[0][:, 0]))(x)
    assert jnp.isfinite(gradient).all()
    assert (gradient[jnp.asarray([1, 3])] == 0).all()
    masked_nan = SCMSoftmax()(jnp.asarray([0.0, np.nan, 0.0]), [False, True, False])
    assert masked_nan[0].tolist() == [0.5, 0.0, 0.5]


# Policies

COTANGENT = [3.0, -0.25, np.nan, np.inf, 5.0]
BOTTOM = [False, False, False, False, True]


@pytest.mark.parametrize(
    ("policy", "want"),
    [
        (GradientPolicy.CLAMP, [1.0, -0.25, 0.0, 1.0, 0.0]),
        (GradientPolicy.PROJECT, [3.0, -0.25, 0.0, 0.0, 0.0]),
        (GradientPolicy.REJECT, [0.0, 0.0, 0.0, 0.0, 0.0]),
        (GradientPolicy.PASSTHROUGH, COTANGENT),
    ],
)
def test_22_d08_the_table_of_policies(policy, want):
    got = apply_policy(jnp.asarray(COTANGENT), jnp.asarray(BOTTOM), policy, xp=jnp)
    np.testing.assert_array_equal(got, want)


def test_22_complex_cotangents_are_bounded_in_modulus():
    g = jnp.asarray([3 + 4j, 0.3 + 0.4j, 1e308 + 1e308j, np.nan])
    got = apply_policy(g, jnp.zeros(4, bool), GradientPolicy.CLAMP, xp=jnp)
    np.testing.assert_allclose(np.abs(got), [1.0, 0.5, 1.0, 0.0], rtol=1e-15)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_gates_obey_their_policy(wrap):
    value, mask = jnp.ones(5), jnp.asarray(BOTTOM)

    def pulled(policy, put=gate):
        pull = jax.vjp(lambda v: put(v, mask, policy), value)[1]
        return wrap(lambda c: pull(c)[0])(jnp.asarray(COTANGENT)).tolist()

    assert pulled(GradientPolicy.CLAMP) == [1.0, -0.25, 0.0, 1.0, 0.0]
    assert pulled(GradientPolicy.REJECT) == [0.0] * 5
    # A select by the mask: a non-finite cotangent of a regular lane passes, that of ⊥ does not.
    np.testing.assert_array_equal(pulled(GradientPolicy.PROJECT), [*COTANGENT[:4], 0.0])
    np.testing.assert_array_equal(pulled(GradientPolicy.PASSTHROUGH), COTANGENT)
    np.testing.assert_array_equal(pulled(GradientPolicy.CLAMP, sanitise), [*COTANGENT[:4], 0.0])


def test_clamp_has_no_forward_mode_and_says_so(simple):
    layer = rational([1.0, 2.0], [1.0, 3.0], gradient_policy=GradientPolicy.CLAMP)
    x = jnp.asarray([0.5])
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda v: layer(v)[0], (x,), (x,))
    gradient = jax.vmap(jax.grad(lambda v: 100 * layer(v)[0]))(x)
    np.testing.assert_allclose(gradient, [-0.16])


def test_21_the_policy_is_a_field_and_the_context_is_not_read(simple):
    def gradient(layer):
        return jax.grad(lambda v: jnp.sum(layer(v)[0]))(jnp.asarray([0.5]))

    with gradient_policy(GradientPolicy.REJECT):
        np.testing.assert_allclose(gradient(simple), [-0.16])
    reject = rational([1.0, 2.0], [1.0, 3.0], gradient_policy=GradientPolicy.REJECT)
    assert gradient(reject) == 0
    assert simple.gradient_policy is GradientPolicy.PROJECT
    for make, _ in LAYERS.values():
        assert (
            getattr(make(jax.random.key(0)), "gradient_policy", GradientPolicy.PROJECT) == "project"
        )


def test_d06_a_jit_cache_tells_policies_apart():
    step = jax.jit(lambda f, x: jax.grad(lambda v: jnp.sum(f(v)[0]))(x))
    x = jnp.asarray([0.5])
    for policy, want in ((GradientPolicy.PROJECT, -0.16), (GradientPolicy.REJECT, 0.0)):
        layer = rational([1.0, 2.0], [1.0, 3.0], gradient_policy=policy)
        np.testing.assert_allclose(step(layer, x), [want])
