"""SCMArray behind NumPy's operators, ufuncs and functions."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import ops
from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

X = np.array([1.0, 0.0, -2.0, np.inf, 4.0, 1e308])
Y = np.array([2.0, 0.0, 0.5, 1.0, np.nan, 1e308])
MX = np.array([0, 0, 0, 0, 1, 0], bool)
MY = np.array([1, 0, 0, 0, 0, 0], bool)

BINARY = {
    "add": (operator.add, np.add),
    "sub": (operator.sub, np.subtract),
    "mul": (operator.mul, np.multiply),
    "div": (operator.truediv, np.divide),
    "pow": (operator.pow, np.power),
}
UNARY = {
    "inv": np.reciprocal,
    "neg": np.negative,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
}


def _agrees(array, pair):
    return (
        type(array) is SCMArray
        and np.array_equal(array.payload, pair[0])
        and np.array_equal(array.mask, pair[1])
        and np.array_equal(array.cause != 0, pair[1])
    )


@pytest.mark.parametrize("name", list(BINARY))
def test_binary_operators_and_ufuncs_are_the_functions(name):
    a, b = SCMArray(X, MX), SCMArray(Y, MY)
    want = getattr(ops, f"scm_{name}_numpy")(X, Y, MX, MY)
    for compute in BINARY[name]:
        assert _agrees(compute(a, b), want)
    mirrored = getattr(ops, f"scm_{name}_numpy")(X, Y, None, MY)
    plain = getattr(ops, f"scm_{name}_numpy")(X, Y, MX, None)
    for compute in BINARY[name]:
        assert _agrees(compute(X, b), mirrored)
        assert _agrees(compute(a, Y), plain)


@pytest.mark.parametrize("name", list(UNARY))
def test_unary_ufuncs_are_the_functions(name):
    want = getattr(ops, f"scm_{name}_numpy")(X, MX)
    assert _agrees(UNARY[name](SCMArray(X, MX)), want)


@pytest.mark.parametrize("number", [2, 2.0, 0, -1, 0.5, np.float64(3), np.inf, 1e300])
@pytest.mark.parametrize("name", list(BINARY))
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_beside_arrays_promote_as_in_the_functions(name, number, dtype):
    x = np.array([1.0, 0.0, -2.0, 300.0], dtype)
    compute = BINARY[name][0]
    function = getattr(ops, f"scm_{name}_numpy")
    for result, want in (
        (compute(SCMArray(x), number), function(x, number)),
        (compute(number, SCMArray(x)), function(number, x)),
    ):
        assert result.dtype == want[0].dtype
        assert np.array_equal(result.mask, want[1])
        assert np.array_equal(result.payload, want[0])


def test_acceptance_twelve_an_expression_keeps_mask_and_cause():
    a, b, c = SCMArray(X, MX), SCMArray(Y, MY), SCMArray(np.array([0.0, 1, 0, 1, 1, 1]))
    sine = ops.scm_sin_numpy(X, MX)
    quotient = ops.scm_div_numpy(Y, c.payload, MY)
    total = ops.scm_add_numpy(sine[0], quotient[0], sine[1], quotient[1])
    result = np.sin(a) + b / c
    assert _agrees(result, total)
    assert np.array_equal(
        result.cause,
        np.sin(a).cause | (b / c).cause | np.where(result.mask & ~sine[1] & ~quotient[1], 16, 0),
    )


def test_extras():
    a = SCMArray([-3.0, 0.0, 2.0, 5.0], cause=[0, 0, 0, 8])
    assert (+a).payload.tolist() == [-3, 0, 2, 0]
    assert abs(a).payload.tolist() == [3, 0, 2, 0]
    assert np.square(a).payload.tolist() == [9, 0, 4, 0]
    assert np.square(SCMArray(1e200)).cause == Cause.OVERFLOW
    assert np.sign(a).payload.tolist() == [-1, 0, 1, 0]
    assert np.conjugate(SCMArray([1 + 2j])).payload.tolist() == [1 - 2j]
    assert np.conjugate(a).payload.tolist() == a.payload.tolist()
    assert np.abs(SCMArray(1.7e308 * (1 + 1j))).cause == Cause.OVERFLOW
    assert np.abs(SCMArray([3 + 4j])).dtype == np.float64
    for ufunc in (np.positive, np.absolute, np.square, np.conjugate, np.sign):
        assert ufunc(a).cause.tolist() == [0, 0, 0, 8]
    finite = np.isfinite(a)
    assert type(finite) is np.ndarray
    assert finite.tolist() == [True, True, True, False]


def test_maximum_and_minimum_absorb_and_are_real():
    a, b = SCMArray([1.0, 5.0, 2.0], cause=[0, 4, 0]), SCMArray([3.0, 1.0, 0.0], cause=[0, 8, 1])
    assert np.maximum(a, b).payload.tolist() == [3, 0, 0]
    assert np.minimum(a, b).cause.tolist() == [0, 12, 1]
    assert np.maximum(a, 1.5).payload.tolist() == [1.5, 0, 2]
    for ufunc in (np.maximum, np.minimum):
        with pytest.raises(SCMTypeError, match="order"):
            ufunc(a, 1j)


@pytest.mark.parametrize(
    "compare", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
)
def test_acceptance_thirteen_a_comparison_with_bottom_is_false(compare):
    a, b = (
        SCMArray([1.0, 2.0, 3.0, 0.0], [0, 1, 0, 0]),
        SCMArray([1.0, 2.0, 4.0, 0.0], [0, 0, 0, 1]),
    )
    result = compare(a, b)
    assert type(result) is np.ndarray
    assert result.dtype == bool
    assert result.tolist() == [compare(1, 1), False, compare(3, 4), False]
    assert compare(a, [1.0, np.nan, np.nan, 0.0]).tolist() == [
        compare(1, 1),
        False,
        False,
        compare(0, 0),
    ]
    assert compare(2.0, a).tolist() == [compare(2, 1), False, compare(2, 3), compare(2, 0)]


def test_complex_numbers_compare_for_equality_only():
    z = SCMArray([1j, 2j])
    assert (z == 1j).tolist() == [True, False]
    with pytest.raises(SCMTypeError, match="order"):
        _ = z < 1j


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ufunc",
    [
        np.arctan,
        np.log2,
        np.log10,
        np.expm1,
        np.cbrt,
        np.sinh,
        np.isnan,
        np.isinf,
        np.signbit,
        np.floor,
        np.rint,
        np.invert,
        np.fabs,
    ],
)
def test_other_unary_ufuncs_are_refused_by_name(ufunc):
    with pytest.raises(SCMTypeError, match=rf"{ufunc.__name__}.*to_ieee"):
        ufunc(SCMArray([1.0]))


@pytest.mark.parametrize(
    "ufunc",
    [
        np.arctan2,
        np.hypot,
        np.floor_divide,
        np.remainder,
        np.fmax,
        np.fmin,
        np.copysign,
        np.logical_and,
        np.float_power,
    ],
)
def test_other_binary_ufuncs_are_refused_by_name(ufunc):
    for operands in ((SCMArray([1.0]), 2.0), (np.ones(1), SCMArray([1.0]))):
        with pytest.raises(SCMTypeError, match=ufunc.__name__):
            ufunc(*operands)


def test_operators_without_a_meaning_are_refused():
    a = SCMArray([1.0])
    for compute in (operator.floordiv, operator.mod, divmod, operator.and_, operator.lshift):
        with pytest.raises(SCMTypeError):
            compute(a, a)
    with pytest.raises(SCMTypeError):
        operator.invert(a)


def test_out_where_and_methods_are_refused():
    a = SCMArray([1.0, 2.0])
    plain = np.zeros(2)
    for call in (
        lambda: np.add(a, a, out=a),
        lambda: np.add(a, 1.0, out=plain),
        lambda: np.add(plain, 1.0, out=(a,)),
        lambda: operator.iadd(a, 1.0),
    ):
        with pytest.raises(SCMTypeError, match="immutable"):
            call()
    with pytest.raises(SCMTypeError, match="where"):
        np.add(a, a, where=np.array([True, False]))
    with pytest.raises(SCMTypeError, match="dtype"):
        np.add(a, a, dtype=np.float32)
    for method in (
        np.add.accumulate,
        np.multiply.accumulate,
        lambda x: np.add.outer(x, x),
        lambda x: np.add.reduceat(x, [0]),
    ):
        with pytest.raises(SCMTypeError):
            method(a)
    with pytest.raises(SCMTypeError, match=r"subtract\.reduce"):
        np.subtract.reduce(a)
    with pytest.raises(SCMTypeError, match=r"reduce.*initial"):
        np.add.reduce(a, initial=0.0)
    assert not plain.any()


@pytest.mark.parametrize(
    "function",
    [
        np.median,
        np.sort,
        np.unique,
        np.cumsum,
        np.dot,
        np.linalg.norm,
        np.nan_to_num,
        np.array_equal,
        np.isclose,
        np.std,
    ],
)
def test_other_functions_are_refused_by_name(function):
    a = SCMArray([1.0, 2.0])
    args = (a, a) if function in {np.dot, np.array_equal, np.isclose} else (a,)
    with pytest.raises(SCMTypeError, match=function.__name__):
        function(*args)


def test_operands_that_are_no_payload_are_refused():
    a = SCMArray([1.0, 2.0])
    for bad in (
        True,
        np.array([True, False]),
        "x",
        None,
        np.ma.masked_array([1.0, 2.0], [True, False]),
    ):
        with pytest.raises(SCMTypeError):
            a + bad
        with pytest.raises(SCMTypeError):
            np.add(bad, a)
    with pytest.raises(SCMTypeError, match="exponent"):
        a**1j
    with pytest.raises(SCMTypeError, match="exponent"):
        a ** SCMArray([1j, 1j])


@pytest.mark.parametrize(
    "compute", [operator.add, operator.truediv, operator.eq, np.maximum, operator.pow]
)
def test_shape_clashes_are_value_errors(compute):
    with pytest.raises(SCMValueError, match=r"\(3,\).*\(2,\)"):
        compute(SCMArray(np.ones(3)), SCMArray(np.ones(2)))


# --- functions -----------------------------------------------------------------------------------


@pytest.fixture
def m():
    return SCMArray(np.arange(6.0).reshape(2, 3), cause=np.array([[0, 4, 0], [8, 0, 1]]))


@pytest.mark.parametrize(
    "move",
    [
        lambda p: np.reshape(p, (3, 2)),
        lambda p: np.reshape(p, -1),
        np.ravel,
        np.transpose,
        lambda p: np.transpose(p, (1, 0)),
        lambda p: np.squeeze(np.expand_dims(p, 0)),
        lambda p: np.expand_dims(p, (0, 2)),
        lambda p: np.broadcast_to(p, (4, 2, 3)),
        lambda p: np.moveaxis(p, 0, 1),
        lambda p: np.take(p, [1, 0, 1], axis=1),
        lambda p: np.take(p, 4),
        lambda p: np.concatenate([p, p]),
        lambda p: np.concatenate([p, p], axis=1),
        lambda p: np.concatenate((p, p), axis=None),
        np.concatenate,
        np.stack,
        lambda p: np.stack([p, p]),
        lambda p: np.stack([p, p], axis=-1),
        lambda p: np.where(np.array([True, False, True]), p, p),
    ],
)
def test_functions_move_every_plane(m, move):
    moved = move(m)
    assert type(moved) is SCMArray
    for plane in ("payload", "mask", "cause"):
        assert np.array_equal(getattr(moved, plane), move(getattr(m, plane)))


def test_concatenate_and_stack_take_plain_arrays_and_promote(m):
    joined = np.concatenate([m, np.array([[np.nan, 1.0, 2.0]])])
    assert joined.cause[2].tolist() == [Cause.NONFINITE, 0, 0]
    assert np.stack([SCMArray(np.ones(1, np.float32)), np.ones(1)]).dtype == np.float64
    with pytest.raises(SCMValueError, match="concatenate"):
        np.concatenate([m, SCMArray([1.0])])
    with pytest.raises(SCMValueError, match="stack"):
        np.stack([m, SCMArray([1.0])])


def test_where_ignores_bottom_of_the_side_not_chosen():
    cond = np.array([True, False, True])
    a, b = SCMArray([1.0, 1.0, 1.0], [0, 1, 0]), SCMArray([2.0, 2.0, 2.0], [1, 0, 0])
    chosen = np.where(cond, a, b)
    assert chosen.payload.tolist() == [1, 2, 1]
    assert not chosen.mask.any()
    assert np.where(~cond, a, b).mask.tolist() == [True, True, False]
    assert np.where(cond, a, -1.0).payload.tolist() == [1, -1, 1]
    assert np.where(True, a, 0.0).mask.tolist() == [False, True, False]
    for bad in (a, [1, 0, 1], np.array([1.0, 0.0, 1.0])):
        with pytest.raises(SCMTypeError):
            np.where(bad, a, b)
    with pytest.raises(SCMValueError):
        np.where(cond, a, SCMArray([1.0, 2.0]))


@given(
    st.lists(st.sampled_from([0.0, 1.0, -1.0, 1e308, np.nan]), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_results_are_canonical_whatever_the_path(values, flags):
    a = SCMArray(values, flags)
    one = SCMArray(np.ones(4))
    for r in (
        a + one,
        a * a,
        one / a,
        a - a,
        np.sqrt(a),
        np.sin(a),
        np.exp(a),
        -a,
        abs(a),
        a**2,
        a**-1,
        np.sign(a),
        np.maximum(a, one),
    ):
        assert np.isfinite(r.payload).all()
        assert (r.payload[r.mask] == 0).all()
        assert np.array_equal(r.cause != 0, r.mask)
        assert not (a.mask & ~r.mask).any()
