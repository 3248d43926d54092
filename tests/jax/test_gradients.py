"""Derivatives of the thirteen operations: 0 at ⊥, constant at hazards, exact elsewhere, in every mode."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from zeroproofml.jax import ops

MAX = float(np.finfo(float).max)
GRID = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, 1e160, 1e-160, 1e200, 1e-200, 1e103]
GRID += [1e-103, MAX, np.inf, np.nan, np.pi / 2]

# What the specification says of a regular lane that is no hazard, in NumPy.
PARTIALS = {
    "add": [lambda x, y, r: 1 + 0 * x, lambda x, y, r: 1 + 0 * y],
    "sub": [lambda x, y, r: 1 + 0 * x, lambda x, y, r: -1 + 0 * y],
    "mul": [lambda x, y, r: y, lambda x, y, r: x],
    "div": [lambda x, y, r: 1 / y, lambda x, y, r: -r / y],
    "inv": [lambda x, r: -r * r],
    "neg": [lambda x, r: -1 + 0 * x],
    "pow": [lambda x, e, r: e * x ** (e - 1), lambda x, e, r: r * np.log(x)],
    "log": [lambda x, r: 1 / x],
    "exp": [lambda x, r: r],
    "sqrt": [lambda x, r: 0.5 / r],
    "sin": [lambda x, r: np.cos(x)],
    "cos": [lambda x, r: -np.sin(x)],
    "tan": [lambda x, r: 1 + r * r],
}


def _grid(row, dtype):
    table = np.array(list(itertools.product(GRID, repeat=row.arity)))
    operands = [jnp.asarray(table[:, k]).astype(dtype) for k in range(row.arity)]
    if row.name == "pow":
        operands[1] = operands[1].real
    return operands


def _vjp(op, operands, cotangent):
    payload, pull = jax.vjp(lambda *v: op(*v)[0], *operands)
    return pull(cotangent.astype(payload.dtype))


def _jvp(op, operands, position):
    tangents = [jnp.zeros_like(x) for x in operands]
    tangents[position] = jnp.ones_like(operands[position])
    return jax.jvp(lambda *v: op(*v)[0], tuple(operands), tuple(tangents))[1]


def _ordinary(row, dtype):
    """Regular lanes, away from every hazard."""
    rng = np.random.default_rng(11)
    drawn = [rng.uniform(0.2, 2.5, 40) * (-1) ** np.arange(40) for _ in range(row.arity)]
    if row.name in ("log", "sqrt", "pow"):
        drawn[0] = np.abs(drawn[0])
    return [jnp.asarray(x).astype(dtype) for x in drawn]


@pytest.mark.parametrize(
    "dtype", [jnp.float64, jnp.float32, jnp.float16, jnp.bfloat16, jnp.complex128, jnp.complex64]
)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_s16_s17_grid_is_finite_and_zero_where_it_must_be(row, op, dtype, wrap):
    operands = _grid(row, dtype)
    mask = np.asarray(op(*operands)[1])
    pull = wrap(lambda cotangent, *v: _vjp(op, v, cotangent))
    ones = jnp.ones(mask.shape)
    for gradient in pull(ones, *operands):
        assert np.isfinite(gradient).all()
        assert (np.asarray(gradient)[mask] == 0).all()
    for gradient in pull(0 * ones, *operands):
        assert (np.asarray(gradient) == 0).all()
    for poison in (jnp.nan, jnp.inf):
        for gradient in pull(jnp.where(mask, poison, 1.0), *operands):
            assert np.isfinite(gradient).all()
            assert (np.asarray(gradient)[mask] == 0).all()


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_grid_forward_mode_equals_reverse_mode(row, op, wrap):
    operands = _grid(row, jnp.float64)
    gradients = _vjp(op, operands, jnp.ones(operands[0].shape))
    for k, gradient in enumerate(gradients):
        tangent = wrap(lambda *v, k=k: _jvp(op, v, k))(*operands)
        assert np.isfinite(tangent).all()
        np.testing.assert_allclose(tangent, gradient, rtol=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float64, 1e-13), (jnp.float32, 1e-5)])
@pytest.mark.parametrize("mode", ["reverse", "forward", "vmap_grad", "jit_vmap_grad"])
def test_ordinary_lanes_have_the_specified_partials(row, op, dtype, rtol, mode):
    operands = _ordinary(row, dtype)
    host = [np.asarray(x, np.float64) for x in operands]
    result = np.asarray(op(*host)[0])
    if mode == "forward":
        got = [_jvp(op, operands, k) for k in range(row.arity)]
    elif mode == "reverse":
        got = _vjp(op, operands, jnp.ones(operands[0].shape))
    else:
        one = jax.vmap(jax.grad(lambda *v: op(*v)[0], argnums=tuple(range(row.arity))))
        got = (jax.jit(one) if mode == "jit_vmap_grad" else one)(*operands)
    for gradient, partial in zip(got, PARTIALS[row.name], strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, partial(*host, result), rtol=rtol)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_s18_numerical_derivatives_to_second_order(row, op, wrap):
    operands = [x[:2] for x in _ordinary(row, jnp.float64)]
    check_grads(wrap(lambda *v: op(*v)[0]), operands, order=2, modes=("fwd", "rev"))


def test_s18_complex_derivatives(row, op):
    operands = [x[:3] + 0.3j for x in _ordinary(row, jnp.float64)]
    if row.name == "pow":
        operands[1] = operands[1].real
    check_grads(lambda *v: op(*v)[0], operands, order=1, modes=("fwd", "rev"))


def test_hessian_in_every_composition(row, op):
    def total(v):
        return op(*v)[0]

    point = jnp.asarray([1.3, 0.7])[: row.arity]
    hessian = jax.hessian(total)(point)
    for other in (
        jax.jit(jax.hessian(total)),
        jax.jacrev(jax.jacrev(total)),
        jax.jacfwd(jax.jacfwd(total)),
    ):
        np.testing.assert_allclose(other(point), hessian, rtol=1e-12)
    batch = jnp.stack([point, point * 1.1])
    np.testing.assert_allclose(jax.vmap(jax.hessian(total))(batch)[0], hessian, rtol=1e-12)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)


def test_second_derivatives_of_division():
    x, y = 3.0, 2.0
    hessian = jax.hessian(lambda v: ops.scm_div_jax(v[0], v[1])[0])(jnp.asarray([x, y]))
    np.testing.assert_allclose(hessian, [[0, -1 / y**2], [-1 / y**2, 2 * x / y**3]], rtol=1e-15)


# Rule 2: a regular lane whose local derivative is not finite is a constant; its value stays.

HAZARDS = [
    ("div", (1.0, 1e-160), 1e160),
    ("div", (0.0, 1e-200), 0.0),
    ("div", (1e200, 1e-107), 1e200 / 1e-107),
    ("inv", (1e-160,), 1e160),
    ("pow", (0.0, 0.5), 0.0),
    ("pow", (0.0, 0.0), 1.0),
    ("sqrt", (0.0,), 0.0),
    ("sqrt", (-0.0,), 0.0),
]


@pytest.mark.parametrize(("name", "operands", "value"), HAZARDS)
def test_d05_hazards_keep_their_value_and_are_constants(name, operands, value):
    op = getattr(ops, f"scm_{name}_jax")
    point = jnp.asarray(operands)

    def payload(v):
        return op(*v)[0]

    assert not op(*operands)[1]
    np.testing.assert_allclose(payload(point), value, rtol=1e-14)
    for derivative in (
        jax.grad(payload)(point),
        jax.jacfwd(payload)(point),
        jax.hessian(payload)(point),
        jax.jit(jax.grad(payload))(point),
        jax.jvp(payload, (point,), (jnp.ones_like(point),))[1],
    ):
        assert (np.asarray(derivative) == 0).all()


def test_d05_pow_at_its_edges():
    def partials(x, e):
        return tuple(jax.grad(lambda *v: ops.scm_pow_jax(*v)[0], argnums=(0, 1))(x, e))

    assert partials(-2.0, 3.0) == (12.0, 0.0)
    assert partials(-2.0, -1.0) == (-0.25, 0.0)
    assert partials(0.0, 1.0) == (1.0, 0.0)
    assert partials(0.0, 2.0) == (0.0, 0.0)
    assert partials(3.0, 0.0) == (0.0, np.log(3.0))
    assert partials(-8.0, 0.5) == (0.0, 0.0)  # ⊥
    hessian = jax.hessian(lambda v: ops.scm_pow_jax(v[0], v[1])[0])
    assert hessian(jnp.asarray([-2.0, 3.0])).tolist() == [[-12.0, 0.0], [0.0, 0.0]]
    assert hessian(jnp.asarray([0.0, 2.0])).tolist() == [[2.0, 0.0], [0.0, 0.0]]


def test_a_float16_tangent_overflow_is_a_hazard():
    x = jnp.asarray(1.5703125, jnp.float16)  # tan = 2074, its square is beyond float16
    assert ops.scm_tan_jax(x)[0] > 1000
    assert jax.grad(lambda v: ops.scm_tan_jax(v)[0])(x) == 0


def test_d07_the_second_derivative_is_not_lost():
    def y(x):
        top, m = ops.scm_add_jax(1.0, ops.scm_mul_jax(2.0, x)[0])
        low, n = ops.scm_add_jax(1.0, ops.scm_mul_jax(3.0, x)[0])
        return ops.scm_div_jax(top, low, m, n)[0]

    np.testing.assert_allclose(jax.grad(y)(0.5), -0.16, rtol=1e-14)
    np.testing.assert_allclose(jax.grad(jax.grad(y))(0.5), 0.384, rtol=1e-14)
    np.testing.assert_allclose(jax.jit(jax.hessian(y))(0.5), 0.384, rtol=1e-14)


def test_gradients_reduce_over_broadcast_axes():
    x, y = jnp.asarray([[1.0], [2.0]]), jnp.asarray([4.0, 0.0, 2.0])
    gx, gy = jax.grad(lambda *v: ops.scm_div_jax(*v)[0].sum(), argnums=(0, 1))(x, y)
    np.testing.assert_allclose(gx, [[0.75], [0.75]])
    np.testing.assert_allclose(gy, [-3 / 16, 0.0, -3 / 4])


def test_integer_and_python_operands_do_not_disturb_the_gradient():
    np.testing.assert_allclose(jax.grad(lambda x: ops.scm_div_jax(3, x)[0])(2.0), -0.75)
    np.testing.assert_allclose(jax.grad(lambda x: ops.scm_pow_jax(x, 3)[0])(2.0), 12.0)
    gradient = jax.grad(lambda x: ops.scm_mul_jax(np.arange(3), x)[0].sum())(jnp.ones(3))
    np.testing.assert_allclose(gradient, [0.0, 1.0, 2.0])


def test_only_the_asked_partial_is_computed():
    # pow's logarithm and division's second quotient must not appear when nobody asks for them.
    text = str(jax.make_jaxpr(jax.grad(lambda x: ops.scm_pow_jax(x, 3.0)[0]))(2.0))
    both = str(jax.make_jaxpr(jax.grad(lambda x: ops.scm_pow_jax(x, x)[0]))(2.0))
    assert text.count(" log ") < both.count(" log ")


def test_gradients_stay_finite_on_the_last_bit_of_a_hazard():
    # r/y just representable, and r·(1/y) perhaps not: whatever is computed must be finite.
    rng = np.random.default_rng(0)
    y = rng.uniform(1e-3, 1e-2, 4000)
    r = np.nextafter(MAX * y, np.inf) * (1 + rng.integers(-3, 4, 4000) * 2.0**-53)
    pull = jax.jit(jax.grad(lambda x, y: ops.scm_div_jax(x, y)[0].sum(), argnums=(0, 1)))
    for gradient in pull(jnp.asarray(r * y), jnp.asarray(y)):
        assert np.isfinite(gradient).all()
    x = np.sqrt(1 / MAX) * (1 + rng.integers(-99, 100, 4000) * 2.0**-52)
    assert np.isfinite(jax.grad(lambda x: ops.scm_inv_jax(x)[0].sum())(jnp.asarray(x))).all()


def test_the_compiled_division_stays_small():
    # XLA's fusions are the cost on CPU: one division forward, four with the gradient and its test.
    def parts(function, *arguments):
        text = jax.jit(function).lower(*arguments).compile().as_text()
        return text.count(" fusion("), text.count(" divide(")

    x = jnp.ones(1000)
    fusions, divisions = parts(lambda x, y: ops.scm_div_jax(x, y), x, x)
    assert fusions <= 4
    assert divisions == 1
    pull = jax.grad(lambda x, y: ops.scm_div_jax(x, y)[0].sum(), argnums=(0, 1))
    fusions, divisions = parts(pull, x, x)
    assert fusions <= 9
    assert divisions <= 4
