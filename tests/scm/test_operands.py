"""What is read as a payload, a mask or an output, on every NumPy function alike."""

from __future__ import annotations

import datetime
from fractions import Fraction

import numpy as np
import pytest

from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.errors import SCMTypeError, SCMValueError, ZeroProofError
from zeroproofml.scm.optable import OPS

EVERY = pytest.mark.parametrize("name", list(OPS))


def _operands(name, x):
    return (x, np.full(np.shape(x), 2.0))[: OPS[name].arity]


# --- payloads ----------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    "bad",
    [
        True,
        np.True_,
        np.array([True, False]),
        [True, False],
        [1.0, True],
        [[1.0], [np.True_]],
        "1.0",
        ["1.0"],
        None,
        np.array([1.0, None]),
        np.array([Fraction(1, 2)]),
        np.array(["2020-01-01"], "datetime64[D]"),
        datetime.timedelta(1),
        {"a": 1},
        np.ma.masked_array([1.0], [True]),
        SCMArray([1.0]),
    ],
    ids=repr,
)
def test_what_is_no_payload_is_refused_by_name(call, name, bad):
    with pytest.raises(SCMTypeError, match=r"^x: "):
        call(name, bad, *(np.ones(1),) * (OPS[name].arity - 1))
    if OPS[name].arity == 2:
        with pytest.raises(SCMTypeError, match=r"^y: "):
            call(name, np.ones(1), bad)


def test_errors_are_zero_proof_errors_on_one_line(call):
    for bad in (True, "a", [[1.0], [1.0, 2.0]], 10**400):
        with pytest.raises(ZeroProofError) as caught:
            call("add", bad, 1.0)
        assert "\n" not in str(caught.value)


def test_an_integer_beyond_float64_is_a_value_error(call):
    for huge in (10**400, [10**400], -(10**400)):
        with pytest.raises(SCMValueError, match=r"^x: .*beyond float64"):
            call("neg", huge)
    assert call("neg", 10**30)[0] == -1e30
    assert call("neg", [10**30, 1])[0].tolist() == [-1e30, -1.0]


def test_a_ragged_list_is_a_value_error(call):
    with pytest.raises(SCMValueError, match=r"^y: "):
        call("add", 1.0, [[1.0], [1.0, 2.0]])


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "longdouble", "complex64", "complex128"]
)
@EVERY
def test_floating_and_complex_dtypes_stay(call, name, dtype):
    x = np.array([1.0, 0.5], dtype)
    payload, mask = call(name, x, *((x.real,) if name == "pow" else (x,))[: OPS[name].arity - 1])
    assert payload.dtype == dtype
    assert mask.dtype == np.bool_


@pytest.mark.parametrize(
    ("x", "y", "want"),
    [
        (np.ones(2, "float32"), 2.0, "float32"),
        (np.ones(2, "float32"), 2, "float32"),
        (2, np.ones(2, "float16"), "float16"),
        (np.ones(2, "float32"), np.float64(2), "float64"),
        (np.ones(2, "float32"), np.array(2.0), "float64"),
        (np.ones(2, "float32"), np.ones(2, "int8"), "float64"),
        (np.ones(2, "float16"), np.ones(2, "float32"), "float32"),
        (np.ones(2, "float32"), 1j, "complex64"),
        (np.ones(2, "float64"), np.ones(2, "complex64"), "complex128"),
        (np.ones(2, "longdouble"), np.ones(2, "int64"), "longdouble"),
        (np.ones(2, "int8"), 2, "float64"),
        (np.ones(2, ">f4"), np.ones(2, ">f4"), "float32"),
        (1, 2, "float64"),
        (1.0, 2.0, "float64"),
        ([1, 2], [3.0, 4.0], "float64"),
    ],
)
def test_promotion(call, x, y, want):
    payload, _ = call("add", x, y)
    assert payload.dtype == want
    assert payload.dtype.isnative


def test_overflow_is_judged_in_the_dtype_of_the_result(call):
    half = np.array([300.0], np.float16)
    assert call("mul", half, half)[1].all()
    assert not call("mul", half.astype(np.float32), half)[1].any()
    assert call("mul", np.ones(1, np.float32), 1e300)[1].all()  # 1e300 is not a float32
    wide = np.array([1e308], np.longdouble)
    assert (
        not call("mul", wide, wide)[1].any() or np.finfo(np.longdouble).max == np.finfo(float).max
    )


def test_a_complex_base_keeps_its_width_beside_a_real_exponent(call):
    assert call("pow", np.ones(1, "complex64"), np.ones(1, "float32"))[0].dtype == "complex64"
    assert call("pow", np.ones(1, "complex64"), 3)[0].dtype == "complex64"
    assert call("pow", np.ones(1, "complex64"), np.ones(1))[0].dtype == "complex128"
    assert call("pow", 1j, 2)[0].dtype == "complex128"


# --- masks -------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    "mask",
    [
        np.array([True, False]),
        [True, False],
        (1, 0),
        np.array([2, 0]),
        np.array([-1, 0], np.int8),
        np.array([1, 0], np.uint8),
    ],
    ids=repr,
)
def test_masks_of_every_kind(call, name, mask):
    x = np.array([0.5, 0.5])
    payload, bottom = call(name, *_operands(name, x), masks=(mask,))
    assert bottom.tolist() == [True, False]
    assert payload[0] == 0 != payload[1]


@pytest.mark.parametrize("mask", [True, np.True_, 1, np.array(True), [True]])
def test_scalar_masks_broadcast(call, mask):
    assert call("add", np.ones(3), np.ones(3), masks=(mask,))[1].tolist() == [True] * 3
    assert call("exp", np.ones(3), mask=mask)[1].tolist() == [True] * 3


@EVERY
@pytest.mark.parametrize(
    "bad", [0.0, [0.0, 1.0], np.zeros(2), 1j, "no", [None, True], np.zeros(2, object)], ids=repr
)
def test_float_complex_and_object_masks_are_refused_by_name(call, name, bad):
    x = np.ones(2)
    first = "mask" if OPS[name].arity == 1 else "mask_x"
    with pytest.raises(SCMTypeError, match=f"^{first}: "):
        call(name, *_operands(name, x), **{first: bad})
    if OPS[name].arity == 2:
        with pytest.raises(SCMTypeError, match=r"^mask_y: "):
            call(name, x, x, masks=(None, bad))


@pytest.mark.parametrize("name", ["add", "pow", "sqrt"])
def test_a_mask_may_enlarge_the_result(call, name):
    mask = np.array([[True, False], [False, False], [True, True]])
    for x in (np.float64(4.0), np.array([4.0, 9.0])):
        operands = (x, 2.0)[: OPS[name].arity]
        payload, bottom = call(name, *operands, masks=(mask,))
        assert payload.shape == bottom.shape == (3, 2)
        assert np.array_equal(bottom, mask)
        assert (payload[~mask] != 0).all()


def test_empty_list_masks_are_masks(call):
    payload, mask = call("add", [], [], masks=([], []))
    assert payload.shape == mask.shape == (0,)
    assert mask.dtype == np.bool_


# --- shapes and layouts --------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3), (2, 1, 4)])
def test_shapes_are_kept_and_results_are_arrays(call, name, shape):
    payload, mask = call(name, *_operands(name, np.full(shape, 0.5)))
    assert type(payload) is type(mask) is np.ndarray
    assert payload.shape == mask.shape == shape
    assert (
        call(name, *_operands(name, np.zeros(shape)), masks=(np.ones(shape, bool),))[1].shape
        == shape
    )


@EVERY
def test_strided_reversed_read_only_and_fortran_operands(call, equal_pairs, name):
    rng = np.random.default_rng(1)
    base = rng.choice([0.0, 1.0, -2.0, 0.25, np.inf, 1e308], (8, 12))
    other = rng.choice([0.0, 1.0, 2.0, -1.0], (8, 12))
    gaps = rng.random((8, 12)) < 0.2
    views = [
        lambda a: a[::2, ::3],
        lambda a: a[::-1, ::-1],
        np.asfortranarray,
        lambda a: a.T,
        lambda a: np.broadcast_to(a[0], (8, 12)),
    ]
    for view in views:
        x, y, m = view(base), view(other), view(gaps)
        x.flags.writeable = y.flags.writeable = m.flags.writeable = False
        operands, masks = (x, y)[: OPS[name].arity], (m, m)[: OPS[name].arity]
        plain = (
            [np.ascontiguousarray(a) for a in operands],
            [np.ascontiguousarray(a) for a in masks],
        )
        got, want = call(name, *operands, masks=masks), call(name, *plain[0], masks=plain[1])
        assert np.array_equal(got[1], want[1])
        np.testing.assert_allclose(got[0], want[0], rtol=4e-16 if name not in {"pow"} else 2e-15)


# --- out -----------------------------------------------------------------------------------------


def _fresh(shape, dtype=np.float64):
    return np.full(shape, 7, dtype), np.ones(shape, bool)


@EVERY
def test_out_receives_the_result_and_is_returned(call, equal_pairs, name):
    x = np.array([0.0, 1.0, -2.0, np.inf, 1e308])
    operands = _operands(name, x)
    want = call(name, *operands)
    out = _fresh(5)
    got = call(name, *operands, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    assert equal_pairs(out, want)


@EVERY
def test_out_may_alias_the_inputs_wholly_and_partly(call, equal_pairs, name):
    rng = np.random.default_rng(2)
    arity = OPS[name].arity
    buffer = rng.choice([0.0, 1.0, 4.0, -0.5, np.inf], 12)
    flags = rng.random(12) < 0.3
    for shift in (0, 1, -1):
        store, gaps = buffer.copy(), flags.copy()
        x, y, m = store[1:11], store[10:0:-1], gaps[1:11]
        operands, masks = (x, y)[:arity], (m, m[::-1])[:arity]
        want = call(name, *[a.copy() for a in operands], masks=[a.copy() for a in masks])
        out = store[1 + shift : 11 + shift], gaps[1 + shift : 11 + shift]
        got = call(name, *operands, masks=masks, out=out)
        assert got[0] is out[0]
        assert got[1] is out[1]
        assert equal_pairs(out, want)


@pytest.mark.parametrize(
    ("out", "error", "which"),
    [
        ((np.zeros(3, np.float32), np.zeros(3, bool)), SCMTypeError, "out payload: dtype"),
        ((np.zeros(3), np.zeros(3, np.int8)), SCMTypeError, "out mask: dtype"),
        ((np.zeros(4), np.zeros(3, bool)), SCMValueError, "out payload: shape"),
        ((np.zeros(3), np.zeros((1, 3), bool)), SCMValueError, "out mask: shape"),
        ((np.zeros(3), None), SCMTypeError, "out mask"),
        (np.zeros(3), SCMTypeError, "pair"),
        ([np.zeros(3), np.zeros(3, bool)], SCMTypeError, "pair"),
        ((np.broadcast_to(0.0, 3), np.zeros(3, bool)), SCMValueError, "out payload: .*read-only"),
    ],
)
def test_a_wrong_out_raises_before_anything_is_written(call, out, error, which):
    with pytest.raises(error, match=which):
        call("add", np.ones(3), np.ones(3), out=out)
    arrays = out if isinstance(out, (tuple, list)) else [out]
    assert not any(np.any(a) for a in arrays if a is not None)


def test_out_payload_and_mask_may_not_share_memory(call):
    raw = np.zeros(24, np.uint8)
    with pytest.raises(SCMValueError, match="share memory"):
        call("add", np.ones(3), np.ones(3), out=(raw.view(np.float64), raw[:3].view(bool)))


def test_out_works_for_0d_empty_blocks_and_strides(call):
    for shape in ((), (0,), (3, 2)):
        out = _fresh(shape)
        call("div", np.ones(shape), np.zeros(shape), out=out)
        assert out[1].all()
        assert not out[0].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("n", [40, 150_000])
def test_out_may_be_strided(call, dtype, n):
    """NumPy 2.4's isfinite writes wrong lanes into a strided bool output."""
    y = np.ones(n, dtype)
    y[3] = 0
    want = np.arange(n) == 3
    for payload, mask in (
        (np.zeros((n, 2), dtype)[:, 0], np.zeros(2 * n, bool)[::2]),
        (np.zeros(n, dtype), np.ones(3 * n, bool)[::3]),
        (np.zeros(n, dtype), np.ones(n, bool)[::-1]),
        (np.zeros(n, dtype)[::-1], np.ones(n, bool)),
    ):
        call("div", np.ones(n, dtype), y, out=(payload, mask))
        assert np.array_equal(mask, want)
        assert np.array_equal(payload, ~want)


def test_out_may_mix_memory_orders(call):
    y = np.arange(600.0).reshape(20, 30) % 7
    out = np.zeros((20, 30), order="F"), np.zeros((20, 30), bool)
    call("inv", y, out=out)
    assert np.array_equal(out[1], y == 0)
    out = np.zeros((20, 30)), np.zeros((20, 30), bool, order="F")
    call("inv", np.asfortranarray(y), out=out)
    assert np.array_equal(out[1], y == 0)


@EVERY
def test_out_is_keyword_only(name):
    from zeroproofml.scm import ops

    with pytest.raises(TypeError):
        getattr(ops, f"scm_{name}_numpy")(
            *([np.ones(1)] * OPS[name].arity), *[None] * OPS[name].arity, _fresh(1)
        )
