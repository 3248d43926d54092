"""SCMArray on JAX: the members of zeroproofml.scm.SCMArray, with the same results, and transformations."""

import copy
import operator
import pickle  # noqa: TID251 - the test is that pickling keeps the planes

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.jax import SCMArray
from zeroproofml.scm import BottomError, Cause, SCMTypeError, SCMValue, SCMValueError
from zeroproofml.scm import SCMArray as HostArray

A = [[1.0, -2.0, 0.5], [0.0, np.nan, 3.0]]
MASK = [[False, True, False], [False, False, False]]
B = [[2.0, 1.0, 0.0], [0.0, 5.0, -1.0]]
BIG = [1e308, 1e308, 1.0]


def _equal(got, want):
    """A JAX result against the host's."""
    if isinstance(want, tuple):
        for g, w in zip(got, want, strict=True):
            _equal(g, w)
    elif isinstance(want, HostArray):
        assert isinstance(got, SCMArray)
        np.testing.assert_array_equal(got.mask, want.mask)
        np.testing.assert_array_equal(got.cause, want.cause)
        assert got.cause.dtype == jnp.uint8
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.payload, want.payload, rtol=1e-14)
        assert got.shape == want.shape
    else:
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-15)
        assert np.shape(got) == np.shape(want)


OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "rdiv": lambda a, b: 1.0 / b,
    "list": lambda a, b: [1.0, 2.0, 3.0] - b,
    "ndarray": lambda a, b: np.ones(3) / b,
    "value": lambda a, b: a + SCMValue.bottom(Cause.DOMAIN),
    "pow": lambda a, b: a**b,
    "rpow": lambda a, b: 2**b,
    "neg": lambda a, b: -a,
    "pos": lambda a, b: +a,
    "abs": lambda a, b: abs(a),
    "reciprocal": lambda a, b: np.reciprocal(b),
    "log": lambda a, b: np.log(b),
    "exp": lambda a, b: np.exp(1000 * b),
    "sqrt": lambda a, b: np.sqrt(b),
    "sin": lambda a, b: np.sin(a),
    "cos": lambda a, b: np.cos(a),
    "tan": lambda a, b: np.tan(a),
    "square": lambda a, b: np.square(a),
    "conjugate": lambda a, b: np.conjugate(a),
    "sign": lambda a, b: np.sign(b),
    "maximum": lambda a, b: np.maximum(a, b),
    "minimum": lambda a, b: np.minimum(a, 0.5),
    "isfinite": lambda a, b: np.isfinite(a),
    "chain": lambda a, b: np.sin(a) + b / np.log(b),
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= 0.5,
    "gt": lambda a, b: b > a,
    "ge": lambda a, b: 0 >= b,  # noqa: SIM300
    "reshape": lambda a, b: a.reshape(3, 2),
    "reshape_tuple": lambda a, b: np.reshape(a, (6,)),
    "ravel": lambda a, b: a.ravel(),
    "np_ravel": lambda a, b: np.ravel(a),
    "T": lambda a, b: a.T,
    "transpose": lambda a, b: a.transpose(1, 0),
    "np_transpose": lambda a, b: np.transpose(a),
    "squeeze": lambda a, b: np.expand_dims(a, 0).squeeze(),
    "squeeze_axis": lambda a, b: np.squeeze(np.expand_dims(a, 1), axis=1),
    "real": lambda a, b: a.real,
    "imag": lambda a, b: a.imag,
    "astype": lambda a, b: (a * 1e300).astype("float32"),
    "complex": lambda a, b: a.astype("complex128") * 1j,
    "row": lambda a, b: a[1],
    "lane": lambda a, b: a[0, 1],
    "slice": lambda a, b: a[:, ::-1],
    "fancy": lambda a, b: a[:, [0, 2]],
    "boolean": lambda a, b: a[np.array([True, False])],
    "newaxis": lambda a, b: a[None, ..., 0],
    "take": lambda a, b: np.take(a, np.array([0, 2]), axis=1),
    "concatenate": lambda a, b: np.concatenate([a, b], axis=1),
    "stack": lambda a, b: np.stack([a, b]),
    "where": lambda a, b: np.where(np.array([True, False, True]), a, b),
    "broadcast_to": lambda a, b: np.broadcast_to(a, (2, 2, 3)),
    "moveaxis": lambda a, b: np.moveaxis(a, 0, 1),
    "sum": lambda a, b: (a.sum(), a.sum(axis=0), a.sum(axis=1, keepdims=True), np.sum(b)),
    "prod": lambda a, b: (a.prod(axis=0), b.prod(), np.prod(b, axis=1)),
    "mean": lambda a, b: (a.mean(axis=0), b.mean(), np.mean(b, axis=(0, 1))),
    "min": lambda a, b: (a.min(axis=0), b.min(), np.min(b, axis=1)),
    "max": lambda a, b: (a.max(axis=0), b.max(), np.max(b)),
    "reduce": lambda a, b: (np.add.reduce(a), np.multiply.reduce(b, axis=1)),
    "reduce_order": lambda a, b: (np.maximum.reduce(a), np.minimum.reduce(b, keepdims=True)),
    "sum_valid": lambda a, b: (*a.sum_valid(), *a.sum_valid(axis=0, keepdims=True)),
    "mean_valid": lambda a, b: (*a.mean_valid(), *a.mean_valid(axis=0)),
    "min_valid": lambda a, b: (*a.min_valid(), *a.min_valid(axis=0)),
    "max_valid": lambda a, b: (*a.max_valid(), *a.max_valid(axis=0)),
    "matmul": lambda a, b: a @ b.T,
    "matvec": lambda a, b: b @ a[0],
    "vecmat": lambda a, b: a[0] @ b.T,
    "dot": lambda a, b: a[0] @ b[0],
    "rmatmul": lambda a, b: np.ones((2, 2)) @ a,
    "batched": lambda a, b: np.stack([a, b]) @ b.T,
    "coverage": lambda a, b: (a.coverage(), a.coverage(axis=0)),
    "any_bottom": lambda a, b: (a.any_bottom(), a.any_bottom(axis=1)),
    "filled": lambda a, b: a.filled(-7.0),
    "to_ieee": lambda a, b: a.to_ieee(),
    "regular": lambda a, b: a.regular(),
    "iteration": lambda a, b: tuple(a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_members_agree_with_the_host(name):
    function = OPERATIONS[name]
    want = function(HostArray(A, MASK), HostArray(B))
    _equal(function(SCMArray(A, MASK), SCMArray(B)), want)
    if name not in ("regular", "iteration"):  # data-dependent, or a tuple of host objects
        _equal(jax.jit(function)(SCMArray(A, MASK), SCMArray(B)), want)


@given(
    st.lists(
        st.sampled_from([0.0, 1.0, -2.0, 1e200, -1e308, np.nan, np.inf]), min_size=6, max_size=6
    ),
    st.lists(st.sampled_from([0, 0, 0, 1, 4, 8, 16, 130]), min_size=6, max_size=6),
    st.sampled_from(
        ["add", "div", "pow", "sqrt", "sum", "mean", "mean_valid", "min_valid", "matmul"]
    ),
)
def test_members_agree_on_any_planes(values, causes, name):
    # A cause already there stays, whatever the payload is.
    planes = np.reshape(values, (2, 3)), np.reshape(np.array(causes, np.uint8), (2, 3))
    want = OPERATIONS[name](HostArray(planes[0], cause=planes[1]), HostArray(B))
    _equal(OPERATIONS[name](SCMArray(planes[0], cause=planes[1]), SCMArray(B)), want)


def test_11_causes_join():
    x, y = SCMArray(1.0) / 0.0, np.log(SCMArray(-1.0))
    assert (x + y).cause == Cause.DIV_ZERO | Cause.DOMAIN
    masked = SCMArray(1.0, True)
    assert (masked / 0.0).cause == Cause.MASKED
    assert (SCMArray(BIG) + BIG).causes() == {"OVERFLOW": 2}
    assert SCMArray([1.0]).causes() == {}
    assert (x + y).explain(()) == (
        "DIV_ZERO (division by zero) and DOMAIN (the operation is not defined there)"
    )


def test_s22_cause_and_mask_are_one(row):
    payload = np.array([0.0, 1.0, -2.5, 1e200, 1e-200, np.inf, np.nan])
    ufunc = {"inv": np.reciprocal, "neg": np.negative, "div": np.divide, "pow": np.power}
    ufunc |= {"add": np.add, "sub": np.subtract, "mul": np.multiply}
    operands = [SCMArray(payload, payload == 1), SCMArray(payload[::-1])][: row.arity]
    result = ufunc.get(row.name, getattr(np, row.name, None))(*operands)
    np.testing.assert_array_equal(result.cause != 0, result.mask)


def test_12_it_never_becomes_a_plain_array():
    a = SCMArray([1.0, 0.0])
    for convert in (np.asarray, np.array, jnp.asarray, jnp.array, lambda x: jnp.sin(x)):
        with pytest.raises(TypeError):
            convert(a)
    with pytest.raises(SCMTypeError, match="filled"):
        np.asarray(a)
    for unlisted in (lambda: np.arctan(a), lambda: np.add.accumulate(a), lambda: np.cumsum(a)):
        with pytest.raises(SCMTypeError, match=r"does not know ⊥"):
            unlisted()
    with pytest.raises(SCMTypeError, match="immutable"):
        a += 1
    with pytest.raises(SCMTypeError, match="ambiguous"):
        bool(a)
    with pytest.raises(TypeError):
        hash(a)


def test_numbers_leave_only_by_name():
    assert float(SCMArray(2.5)) == 2.5
    assert complex(SCMArray(1j)) == 1j
    assert SCMArray([3.0]).item() == SCMValue(3.0)
    with pytest.raises(BottomError):
        float(SCMArray(1.0, True))
    with pytest.raises(SCMTypeError):
        float(SCMArray([1.0]))
    with pytest.raises(SCMValueError):
        SCMArray([1.0, 2.0]).item()
    with pytest.raises(SCMTypeError):
        SCMArray([1.0]).filled(1j)
    with pytest.raises(SCMTypeError):
        SCMArray([1.0]).filled("0")


def test_jax_arrays_on_the_left_defer():
    a = SCMArray([1.0, 0.0])
    for result in (jnp.ones(2) / a, jax.jit(lambda x, a: x / a)(jnp.ones(2), a)):
        assert isinstance(result, SCMArray)
        assert result.mask.tolist() == [False, True]
    assert (jnp.ones((2, 2)) @ a).payload.tolist() == [1.0, 1.0]
    assert (jnp.ones(2) == a).tolist() == [True, False]


def test_13_comparisons_with_bottom_are_false():
    a = SCMArray([1.0, 2.0], [True, False])
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        assert not compare(a, a)[0]
    assert (a == 2.0).tolist() == [False, True]
    z = SCMArray([1j])
    assert (z == 1j).tolist() == [True]
    with pytest.raises(SCMTypeError, match="no order"):
        _ = z < z
    with pytest.raises(SCMTypeError, match="no order"):
        z.min()


def test_13_reductions_of_nothing_and_of_bottom():
    empty, lost = SCMArray(np.zeros((0, 2))), SCMArray([1.0, 2.0], True)
    assert empty.mean().cause == Cause.DIV_ZERO
    assert empty.sum().item() == 0.0
    assert empty.coverage() == 1.0
    for reduce in (empty.min, empty.max):
        with pytest.raises(SCMValueError, match="no lanes"):
            reduce()
    mean, count = lost.mean_valid()
    assert mean.cause == Cause.DIV_ZERO
    assert count == 0
    assert lost.min_valid()[0].cause == Cause.DOMAIN
    assert lost.sum_valid()[0].item() == 0.0
    assert SCMArray(BIG).sum().cause == Cause.OVERFLOW
    assert (SCMArray([[1.0, 2.0]]) @ SCMArray([[1.0], [np.nan]])).causes() == {"NONFINITE": 1}


def test_13_matmul_absorbs_rows_and_columns():
    left = SCMArray(np.ones((3, 2)), [[True, False], [False, False], [False, False]])
    right = SCMArray(np.ones((2, 3)), cause=np.array([[0, 4, 0], [0, 0, 0]], np.uint8))
    product = left @ right
    np.testing.assert_array_equal(product.cause, [[1, 5, 1], [0, 4, 0], [0, 4, 0]])
    assert product.payload[1, 0] == 2.0
    with pytest.raises(SCMValueError, match="matmul"):
        _ = left @ left


def test_14_pickle_deepcopy_tree_map_and_jit_keep_three_planes():
    a = SCMArray(A, MASK) / B
    copies = [
        pickle.loads(pickle.dumps(a)),
        copy.deepcopy(a),
        copy.copy(a),
        jax.tree.map(lambda leaf: leaf, a),
        jax.jit(lambda x: x)(a),
        SCMArray.from_numpy(a.to_numpy()),
        SCMArray(a),
    ]
    for other in copies:
        assert isinstance(other, SCMArray)
        for plane in ("payload", "mask", "cause"):
            np.testing.assert_array_equal(getattr(other, plane), getattr(a, plane))
    assert len(jax.tree.leaves(a)) == 3
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(a)]
    assert paths == [".payload", ".mask", ".cause"]
    jax.tree.map(lambda leaf: object(), a)  # unflatten validates nothing
    assert jax.tree.unflatten(jax.tree.structure(a), [1, 2, 3]).payload == 1


def test_34_transformations_of_functions_of_arrays():
    def loss(x):
        return (np.sqrt(SCMArray(x)) / 2.0).sum_valid()[0].payload

    x = jnp.asarray([4.0, -1.0, 0.0, np.nan])
    np.testing.assert_allclose(jax.grad(loss)(x), [0.125, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(x), [0.125, 0.0, 0.0, 0.0])
    batch = SCMArray(A, MASK)
    rows = jax.vmap(lambda row: row / 2.0)(batch)
    assert isinstance(rows, SCMArray)
    np.testing.assert_array_equal(rows.cause, batch.cause)
    total = jax.vmap(lambda row: row.sum())(batch)
    np.testing.assert_array_equal(total.cause, [1, 2])
    carried, _ = jax.lax.scan(lambda c, row: (c + row.sum(), None), SCMArray(0.0), SCMArray(B))
    assert carried.item() == 7.0


@pytest.mark.parametrize(
    "reduce",
    [
        lambda a: a.sum(),
        lambda a: a.prod(),
        lambda a: a.mean(),
        lambda a: a.min(),
        lambda a: a.sum_valid()[0],
        lambda a: a.mean_valid()[0],
        lambda a: a.max_valid()[0],
        lambda a: a @ a,
        lambda a: abs(a).sum_valid()[0],
    ],
)
@pytest.mark.parametrize(
    "x",
    [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1e200, 1e200, 1e-300], [0.0, 0.0, 2.0], [np.nan] * 3],
)
def test_gradients_through_reductions_are_finite_and_zero_at_bottom(reduce, x):
    x = jnp.asarray(x)
    gradient = jax.grad(lambda v: reduce(SCMArray(v)).payload)(x)
    assert jnp.isfinite(gradient).all()
    assert (gradient[~jnp.isfinite(x)] == 0).all()
    if reduce(SCMArray(x)).mask:
        assert (gradient == 0).all()


def test_construction():
    a = SCMArray([1, 2], [True, False])
    assert a.dtype == jnp.float64
    assert a.cause.tolist() == [1, 0]
    assert SCMArray([np.inf, 1.0]).cause.tolist() == [2, 0]
    assert SCMArray([np.inf, 1.0], [True, False]).cause.tolist() == [1, 0]
    assert SCMArray([5.0, 1.0], cause=np.array([8, 0], np.uint8)).payload.tolist() == [0.0, 1.0]
    assert SCMArray(1.0, [[True], [False]]).shape == (2, 1)
    assert SCMArray(SCMValue.bottom(Cause.DOMAIN)).cause == 8
    assert SCMArray.bottom((2,), jnp.float32).dtype == jnp.float32
    assert len(SCMArray([1.0, 2.0])) == 2
    assert SCMArray([[1.0]]).ndim == SCMArray([[1.0]]).size + 1 == 2
    for bad in (True, ["a"], None, np.array([True])):
        with pytest.raises(SCMTypeError):
            SCMArray(bad)
    with pytest.raises(SCMTypeError, match="cause"):
        SCMArray([1.0], cause=[0.5])
    with pytest.raises(SCMTypeError, match="brings its own"):
        SCMArray(a, [True, True])
    with pytest.raises(SCMTypeError, match="dtype"):
        SCMArray.bottom(2, int)
    with pytest.raises(SCMTypeError, match="imaginary"):
        SCMArray([1j]).astype(float)
    with pytest.raises(SCMTypeError, match=r"zeroproofml\.scm\.SCMArray"):
        SCMArray.from_numpy(np.ones(2))
    with pytest.raises(SCMValueError, match="exactly where"):
        SCMArray([1.0], [True], cause=np.array([0], np.uint8))
    with pytest.raises(SCMValueError, match="shape"):
        SCMArray([1.0], cause=np.array([0, 0], np.uint8))
    with pytest.raises(SCMValueError, match="255"):
        SCMArray([1.0], cause=np.array([256]))
    with pytest.raises(SCMValueError, match="broadcast"):
        _ = SCMArray([1.0, 2.0]) + SCMArray([1.0, 2.0, 3.0])


def test_in_a_trace_a_contradiction_becomes_bottom():
    made = jax.jit(lambda p, m, c: SCMArray(p, m, cause=c))
    a = made(jnp.ones(3), jnp.asarray([True, False, False]), jnp.asarray([0, 8, 0], jnp.uint8))
    assert a.cause.tolist() == [1, 8, 0]
    assert a.mask.tolist() == [True, True, False]


def test_an_index_beyond_the_end_is_an_error_or_bottom_and_never_a_neighbour():
    a = SCMArray([1.0, 2.0, 3.0])
    for index in (3, -4, np.array([0, 7]), jnp.asarray(3)):
        with pytest.raises(IndexError):
            a[index]
    with pytest.raises(IndexError):
        np.take(a, 5)
    traced = jax.jit(lambda x, i: (x[i], np.take(x, i)))
    for lane in traced(a, jnp.asarray(7)):
        assert lane.cause == Cause.MASKED
    assert traced(a, jnp.asarray(-1))[0].item() == 3.0


def test_where_ignores_bottom_on_the_other_side():
    a, b = SCMArray([1.0, 2.0], [True, False]), SCMArray([3.0, np.nan])
    chosen = np.where(np.array([False, True]), a, b)
    assert chosen.payload.tolist() == [3.0, 2.0]
    assert not chosen.mask.any()
    with pytest.raises(SCMTypeError, match="condition"):
        np.where(np.array([0, 1]), a, b)


def test_repr_prints_bottom_and_survives_a_trace():
    assert repr(SCMArray([1.0, np.nan, 0.5])) == "SCMArray([1.0, ⊥, 0.5])"
    assert "bfloat16" in repr(SCMArray(jnp.ones(1, jnp.bfloat16)))
    seen = []
    jax.jit(lambda a: seen.append(repr(a)) or a)(SCMArray([1.0]))
    assert seen[0].startswith("SCMArray(")


def test_mixed_dtypes_promote_and_python_numbers_are_weak():
    a = SCMArray(jnp.asarray([1.0, 2.0], jnp.float32))
    assert (a + 1.0).dtype == jnp.float32
    assert (2 * a).dtype == jnp.float32
    assert (a + np.ones(2)).dtype == jnp.float64
    assert (a + 1e300).causes() == {"NONFINITE": 2}
    assert (a + SCMValue(1.0)).dtype == jnp.float32
    assert np.concatenate([a, SCMArray([1.0])]).dtype == jnp.float64
    with pytest.raises(SCMTypeError, match="complex exponent"):
        _ = a**1j
