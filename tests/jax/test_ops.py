"""Values, masks, shapes and refusals of the thirteen operations."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.jax import ops
from zeroproofml.scm import exact
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.testing import Backend, assert_no_leak, load_cases

EAGER = Backend.load("zeroproofml.jax.ops:scm_{op}_jax", put=jnp.asarray)
JITTED = Backend(
    "jax", {name: jax.jit(fn) for name, fn in EAGER.functions.items()}, put=jnp.asarray
)
CASES = [case for case in load_cases() if EAGER.takes(case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_corpus(case):
    assert EAGER.run(case) is None


@pytest.mark.slow
def test_corpus_under_jit():
    assert [case.id for case in CASES if JITTED.run(case)] == []


def _lanes(arity):
    values = [0.0, 1.0, -2.5, 3e200, 1e-200, np.inf, np.nan, -1.0, 0.5]
    grid = np.array(list(itertools.product(values, repeat=arity)))
    return [jnp.asarray(grid[:, k]) for k in range(arity)]


def _masks(operands, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.random(x.shape) < 0.3) for x in operands]


def _same(a, b):
    assert a[0].dtype == b[0].dtype
    assert a[1].dtype == b[1].dtype == bool
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


# The mask, law by law (S01 to S11, S14, S15)


def test_s01_s02_strict_and_canonical(row, op):
    operands = _lanes(row.arity)
    masks = _masks(operands)
    payload, mask = op(*operands, *masks)
    entry = np.logical_or.reduce(
        [m | ~np.isfinite(x) for x, m in zip(operands, masks, strict=True)]
    )
    assert np.asarray(mask)[entry].all()
    assert np.isfinite(payload).all()
    assert (np.asarray(payload)[np.asarray(mask)] == 0).all()


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 0.0, -1e308])
def test_s03_masked_payload_is_irrelevant(row, op, garbage):
    operands = _lanes(row.arity)
    masks = _masks(operands)
    filled = [jnp.where(m, garbage, x) for x, m in zip(operands, masks, strict=True)]
    _same(op(*operands, *masks), op(*filled, *masks))


def test_s04_canonicalising_twice_is_once(row, op):
    once = op(*_lanes(row.arity), *_masks(_lanes(row.arity)))
    again = ops.scm_add_jax(once[0], 0.0, once[1])
    _same(once, again)


def test_s05_more_mask_in_more_mask_out(row, op):
    operands = _lanes(row.arity)
    some = _masks(operands)
    more = [m | n for m, n in zip(some, _masks(operands, seed=1), strict=True)]
    assert not (op(*operands, *some)[1] & ~op(*operands, *more)[1]).any()


def test_s06_lanes_are_independent(row, op):
    operands = _lanes(row.arity)
    order = np.random.default_rng(0).permutation(operands[0].size)
    payload, mask = op(*operands)
    _same((payload[order], mask[order]), op(*[x[order] for x in operands]))


def test_s07_broadcast_is_expand(row, op):
    operands = _lanes(row.arity)
    if row.arity == 1:
        mask = jnp.asarray([[False], [True]])
        wide = jnp.broadcast_to(operands[0], (2, operands[0].size))
        _same(op(operands[0], mask), op(wide, jnp.broadcast_to(mask, wide.shape)))
    else:
        x, y = operands[0][::7][:, None], operands[1][:5]
        shape = (x.shape[0], 5)
        _same(op(x, y), op(jnp.broadcast_to(x, shape), jnp.broadcast_to(y, shape)))


def test_s08_s09_none_is_no_mask_and_keywords_are_positions(row, op):
    operands = _lanes(row.arity)
    none = [jnp.zeros(x.shape, dtype=bool) for x in operands]
    masks = _masks(operands)
    names = ("mask",) if row.arity == 1 else ("mask_x", "mask_y")
    _same(op(*operands), op(*operands, *none))
    _same(op(*operands, *masks), op(*operands, **dict(zip(names, masks, strict=True))))


def test_s10_zero_dimensional_and_empty(row, op):
    payload, mask = op(*[jnp.asarray(2.0)] * row.arity)
    assert isinstance(payload, jax.Array)
    assert isinstance(mask, jax.Array)
    assert payload.shape == mask.shape == ()
    lane = op(*[jnp.asarray([2.0])] * row.arity)
    _same((payload[None], mask[None]), lane)
    payload, mask = op(*[jnp.zeros((0, 3))] * row.arity)
    assert payload.shape == mask.shape == (0, 3)
    payload, mask = op(*[[]] * row.arity, *[[]] * row.arity)
    assert payload.shape == mask.shape == (0,)


def test_s11_s14_inputs_untouched_and_strides_do_not_matter(row, op):
    host = [np.asarray(x).copy() for x in _lanes(row.arity)]
    before = [x.copy() for x in host]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        straight = op(*host)
        reverse = op(*[x[::-1] for x in host])
    for x, kept in zip(host, before, strict=True):
        assert x.tobytes() == kept.tobytes()
    _same((straight[0][::-1], straight[1][::-1]), reverse)
    for x in host:
        x.flags.writeable = False
    _same(straight, op(*host))


def test_s15_jit_and_vmap_are_the_operation(row, op):
    operands, masks = _lanes(row.arity), _masks(_lanes(row.arity))
    eager = op(*operands, *masks)
    _same(eager, jax.jit(op)(*operands, *masks))
    _same(eager, jax.vmap(op)(*operands, *masks))
    _same(eager, jax.jit(jax.vmap(op))(*operands, *masks))


def test_a_constant_divisor_under_jit_divides():
    # XLA would multiply by the rounded reciprocal: 49 · (1/49) is not 1.
    x = jnp.arange(1.0, 400.0)
    want = np.arange(1.0, 400.0) / 49.0
    for divide in (
        lambda v: ops.scm_div_jax(v, 49.0),
        lambda v: ops.scm_div_jax(v, jnp.full(399, 49.0)),
        lambda v: ops.scm_div_jax(v, np.full(399, 49.0)),
    ):
        np.testing.assert_array_equal(jax.jit(divide)(x)[0], want)


FIELD = [row.name for row in OPS.values() if row.rational and row.name != "pow"]


@pytest.mark.parametrize("name", FIELD)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_field_operations_are_correctly_rounded(name, dtype):
    limits = np.finfo(dtype)
    rng = np.random.default_rng(3)
    count, arity = 400, OPS[name].arity
    spread = min(limits.maxexp - 1, 500)
    drawn = rng.normal(size=(arity, count)) * np.exp2(rng.uniform(-spread, spread, (arity, count)))
    with np.errstate(over="ignore"):
        operands = [x[np.isfinite(drawn.astype(dtype)).all(axis=0)] for x in drawn.astype(dtype)]
    payload, mask = getattr(ops, f"scm_{name}_jax")(*operands)
    for k in range(operands[0].size):
        parts = [float(x[k]) for x in operands]
        want = exact.round_to(getattr(exact, name)(*parts), dtype)
        if any(0 < abs(v) < limits.tiny for v in parts):
            continue
        if want is exact.BOT:
            assert mask[k]
        elif want == 0 or abs(want) >= limits.tiny:
            assert not mask[k]
            assert float(payload[k]) == float(want)


@given(
    st.lists(st.floats(width=64, allow_subnormal=False), min_size=4, max_size=4),
    st.sampled_from(FIELD),
)
def test_backends_agree_on_any_float(values, name):
    from zeroproofml.scm import ops as host

    operands = [np.array(values[:2]), np.array(values[2:])][: OPS[name].arity]
    got = getattr(ops, f"scm_{name}_jax")(*operands)
    want = getattr(host, f"scm_{name}_numpy")(*operands)
    tiny = np.finfo(float).tiny
    seen = want[1] | (want[0] == 0) | (np.abs(want[0]) >= tiny)
    np.testing.assert_array_equal(np.asarray(got[1])[seen], want[1][seen])
    np.testing.assert_array_equal(np.asarray(got[0])[seen], want[0][seen])


# Dtypes


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint64"])
@pytest.mark.parametrize("put", [np.asarray, jnp.asarray])
def test_integers_become_float64(row, op, dtype, put):
    payload, mask = op(*[put(np.array([1, 2], dtype=dtype))] * row.arity)
    assert payload.dtype == jnp.float64
    assert not mask.any()


def test_d02_integers_do_not_wrap():
    sixteen = np.array([16], np.uint8)
    assert ops.scm_div_jax(sixteen, sixteen)[0].item() == 1.0
    assert ops.scm_mul_jax(sixteen, sixteen)[0].item() == 256.0
    assert ops.scm_add_jax(2**63 - 1, 1)[0].item() == 9.223372036854775808e18
    assert ops.scm_neg_jax(np.int8(-128))[0].item() == 128.0


@pytest.mark.parametrize(
    "dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64, jnp.complex64, jnp.complex128]
)
def test_floating_dtypes_stay_and_python_numbers_are_weak(row, op, dtype):
    x = jnp.asarray([0.5, 1.5], dtype=dtype)
    if row.arity == 1:
        assert op(x)[0].dtype == dtype
    else:
        assert op(x, 2.0)[0].dtype == dtype
        assert op(x, 2)[0].dtype == dtype
        assert op(x, jnp.asarray([2, 2]))[0].dtype == jnp.result_type(dtype, jnp.float64)
        if row.name != "pow":
            assert op(2.0, x)[0].dtype == dtype


def test_zero_dimensional_arrays_are_not_weak():
    x = jnp.asarray([1.0], jnp.float32)
    assert ops.scm_add_jax(x, np.float64(1.0))[0].dtype == jnp.float64
    assert ops.scm_add_jax(x, jnp.zeros((), jnp.float64))[0].dtype == jnp.float64


def test_overflow_is_judged_in_the_result_dtype():
    big = jnp.asarray([300.0, 1.0], jnp.float16)
    for multiply in (ops.scm_mul_jax, jax.jit(ops.scm_mul_jax)):
        assert multiply(big, big)[1].tolist() == [True, False]
    big = jnp.asarray([3e38, 1.0], jnp.bfloat16)
    assert jax.jit(ops.scm_add_jax)(big, big)[1].tolist() == [True, False]


def test_d01_a_derivative_that_overflows_masks_nothing():
    quotient, mask = ops.scm_inv_jax([1e-160, 1e160])
    assert quotient.tolist() == [1e160, 1e-160]
    assert not mask.any()
    assert not ops.scm_div_jax([0.0], [1e-200])[1].any()
    assert not ops.scm_inv_jax(jnp.asarray([0.003], jnp.float16))[1].any()


def test_d03_pow_stays_real_and_absorbs():
    payload, mask = ops.scm_pow_jax([-8.0, 1.0, 2.0, 0.0], [1 / 3, np.nan, -np.inf, 0.0])
    assert mask.tolist() == [True, True, True, False]
    assert payload.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_d13_complex_exponents_are_refused_and_zero_to_zero_is_one():
    for exponent in (1j, np.array([1j]), jnp.asarray([1j]), [1.0, 1j]):
        with pytest.raises(SCMTypeError, match=r"^y: "):
            ops.scm_pow_jax(2.0, exponent)
    payload, mask = ops.scm_pow_jax(jnp.zeros(1, complex), 0.0)
    assert payload.tolist() == [1.0]
    assert not mask.any()


def test_d29_lists_and_python_numbers_are_taken_everywhere(row, op):
    listed = op(*[[0.5, 2.0]] * row.arity)
    _same(listed, op(*[jnp.asarray([0.5, 2.0])] * row.arity))
    assert op(*[2] * row.arity)[0].dtype == jnp.float64
    assert op(*[[[1, 2], [3, 4]]] * row.arity)[0].shape == (2, 2)


# Complex values


def _ulps(got, want):
    return (
        np.abs(np.asarray(got).astype(np.clongdouble) - want) / np.abs(want) / np.finfo(float).eps
    )


@pytest.mark.parametrize("name", ["log", "exp", "sqrt", "sin", "cos", "tan"])
def test_complex_values_are_within_8_eps(name):
    rng = np.random.default_rng(5)
    scale = np.exp2(rng.integers(-6, 6, 3000))
    z = (rng.normal(size=3000) + 1j * rng.normal(size=3000)) * scale
    want = getattr(np, name)(z.astype(np.clongdouble))
    payload, mask = getattr(ops, f"scm_{name}_jax")(z)
    assert not mask.any()
    assert _ulps(payload, want).max() < 8


def test_complex_log_near_the_unit_circle():
    z = np.exp(1j * np.linspace(0, 6, 50)) * np.linspace(0.1, 3, 90)[:, None]
    payload, _ = ops.scm_log_jax(z)
    assert _ulps(payload, np.log(z.astype(np.clongdouble))).max() < 8


def test_complex_waves_overflow_no_sooner_than_their_parts():
    # e^710 is not representable, cosh 710 is.
    for name in ("sin", "cos"):
        z = np.array([0.8 + 710j, 0.8 - 710j, 0.8 + 711j])
        payload, mask = getattr(ops, f"scm_{name}_jax")(z)
        assert mask.tolist() == [False, False, True]
        want = getattr(np, name)(z[:2].astype(np.clongdouble))
        assert _ulps(payload[:2], want).max() < 8
    z = np.array([709.9 + 0.7853981633974483j])
    payload, mask = ops.scm_exp_jax(z)
    assert not mask.any()
    assert _ulps(payload, np.exp(z.astype(np.clongdouble))).max() < 8


def test_complex_quotients_that_overflow_on_the_way():
    payload, mask = ops.scm_div_jax([1e300 + 1e300j, 1e308 + 1e308j], [1e300 + 1e300j, 1e308 - 0j])
    assert not mask.any()
    np.testing.assert_allclose(payload, [1, 1 + 1j], rtol=1e-15)


# Masks


@pytest.mark.parametrize(
    "mask",
    [
        [True, False],
        np.array([True, False]),
        np.array([3, 0]),
        jnp.asarray([True, False]),
        jnp.asarray([-1, 0]),
        np.array([1, 0], np.uint8),
        [1, 0],
        (True, False),
    ],
)
def test_masks_of_every_kind(mask):
    payload, out = ops.scm_neg_jax([1.0, 2.0], mask)
    assert out.tolist() == [True, False]
    assert payload.tolist() == [0.0, -2.0]


@pytest.mark.parametrize("mask", [True, np.True_, 1, jnp.asarray(True), np.array(True)])
def test_scalar_masks(mask):
    assert ops.scm_neg_jax([1.0, 2.0], mask)[1].tolist() == [True, True]


def test_a_mask_enlarges_the_result():
    payload, mask = ops.scm_div_jax(1.0, 2.0, None, [[True], [False]])
    assert payload.tolist() == [[0.0], [0.5]]
    assert mask.tolist() == [[True], [False]]


# Refusals


@pytest.mark.parametrize(
    "value",
    [True, np.True_, [True, False], [1.0, True], np.array([True]), jnp.asarray([True])],
)
def test_bool_payloads_are_refused_by_name(row, op, value):
    for position in range(row.arity):
        operands = [1.0] * row.arity
        operands[position] = value
        with pytest.raises(SCMTypeError, match=f"^{'xy'[position]}: bool"):
            op(*operands)


@pytest.mark.parametrize("value", ["1", None, object(), np.array(["a"]), np.array([None]), {}])
def test_what_is_no_number_is_refused(op, row, value):
    with pytest.raises(SCMTypeError, match=r"^x: "):
        op(*[value] * row.arity)


def test_numpy_masked_arrays_are_refused():
    with pytest.raises(SCMTypeError, match="mask"):
        ops.scm_neg_jax(np.ma.array([1.0], mask=[True]))


@pytest.mark.parametrize("mask", [0.0, [0.0, 1.0], np.array([0.0, 1.0]), jnp.asarray([1j, 0])])
def test_floating_masks_are_refused_by_name(row, op, mask):
    names = ("mask",) if row.arity == 1 else ("mask_x", "mask_y")
    for name in names:
        with pytest.raises(SCMTypeError, match=f"^{name}: "):
            op(*[[1.0, 2.0]] * row.arity, **{name: mask})


def test_shapes_that_do_not_broadcast_are_all_named():
    with pytest.raises(SCMValueError, match=r"x \(3,\), y \(2,\), mask_y \(1,\)"):
        ops.scm_div_jax([1.0, 2.0, 3.0], [1.0, 2.0], None, [True])
    with pytest.raises(SCMValueError, match=r"x \(2,\), mask \(3,\)"):
        ops.scm_neg_jax([1.0, 2.0], [True, False, True])


def test_impossible_numbers_are_refused():
    assert ops.scm_neg_jax(2**100)[0].item() == -(2.0**100)
    for value in (10**400, [1.0, 10**400]):
        with pytest.raises(SCMValueError, match=r"^x: .*beyond float64"):
            ops.scm_neg_jax(value)
    with pytest.raises(SCMValueError, match=r"^x: .*ragged"):
        ops.scm_neg_jax([[1.0], [1.0, 2.0]])


# Weak sign


def test_weak_sign_of_reals():
    payload, mask = ops.weak_sign_jax([-3.0, 0.0, -0.0, 1e308, np.nan, np.inf], [False] * 6)
    assert payload.tolist() == [-1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert mask.tolist() == [False, False, False, False, True, True]


def test_d11_complex_weak_sign_has_modulus_one_everywhere():
    z = np.array([3 + 4j, 1.7e308 + 1.7e308j, 1e-300 - 1e-300j, -5, 2.3e-308j])
    payload, mask = ops.weak_sign_jax(z)
    assert not mask.any()
    np.testing.assert_allclose(np.abs(payload), 1, rtol=2 * np.finfo(float).eps)
    assert payload[0] == 0.6 + 0.8j


def test_weak_sign_differentiates_finitely():
    def part(z):
        return jnp.sum(ops.weak_sign_jax(z)[0].imag)

    z = jnp.asarray([3 + 4j, 0j, 1e-200 + 1e-200j, np.nan])
    gradient = jax.grad(part)(z)
    assert jnp.isfinite(gradient).all()
    assert gradient[1] == gradient[3] == 0
    assert abs(gradient[2]) > 1e199  # 1/|z|: large, and not thrown away
    assert (jax.grad(lambda x: ops.weak_sign_jax(x)[0].sum())(jnp.asarray([2.0, 0.0])) == 0).all()


# Leaks


def test_no_leak_through_any_operation(row, op):
    assert_no_leak(op, *[np.array([1.0, 0.0, -2.5, 1e200, 1e-200, np.nan])] * row.arity, xp=jnp)
