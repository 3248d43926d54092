"""SCMArray: construction, reading, leaving, shapes, and what it refuses."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - that arrays survive it is the behaviour under test

import numpy as np
import pytest

from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.value import BOTTOM, SCMValue


@pytest.fixture
def a():
    """Regular, ⊥ DIV_ZERO, ⊥ NONFINITE, ⊥ MASKED, regular."""
    return SCMArray([1.0, 2.0, np.nan, 3.0, -0.5], cause=[0, 4, 0, 1, 0])


def _same(x, y):
    return (
        x.dtype == y.dtype
        and np.array_equal(x.payload, y.payload)
        and np.array_equal(x.mask, y.mask)
        and np.array_equal(x.cause, y.cause)
    )


# --- construction ----------------------------------------------------------------------------


def test_construction_canonicalises(a):
    assert a.payload.tolist() == [1, 0, 0, 0, -0.5]
    assert a.mask.tolist() == [False, True, True, True, False]
    assert a.cause.tolist() == [0, 4, 2, 1, 0]
    assert SCMArray([1, 2]).dtype == np.float64
    assert SCMArray(np.array([1], np.uint8)).dtype == np.float64
    assert SCMArray(np.ones(1, np.float16)).dtype == np.float16


def test_a_mask_may_enlarge_the_array():
    x = SCMArray(1.0, [True, False])
    assert x.shape == (2,)
    assert x.cause.tolist() == [Cause.MASKED, 0]


def test_mask_and_cause_must_agree():
    assert SCMArray([1.0, 2.0], [False, True], cause=[0, 8]).cause.tolist() == [0, 8]
    for mask, cause in (([False, True], [8, 0]), ([False, True], [0, 0]), ([False, False], [0, 8])):
        with pytest.raises(SCMValueError, match="cause"):
            SCMArray([1.0, 2.0], mask, cause=cause)
    with pytest.raises(SCMValueError, match="shape"):
        SCMArray([1.0, 2.0], cause=[4])
    with pytest.raises(SCMTypeError, match="cause"):
        SCMArray([1.0], cause=[0.5])
    with pytest.raises(SCMValueError, match="255"):
        SCMArray([1.0], cause=[256])
    with pytest.raises(SCMValueError, match="255"):
        SCMArray([1.0], cause=[-1])


@pytest.mark.parametrize(
    "bad", [True, [True], "a", None, np.array([None]), np.array(["2020"], "M8[D]")]
)
def test_other_payloads_are_refused(bad):
    with pytest.raises(SCMTypeError, match="payload"):
        SCMArray(bad)


def test_bad_masks_and_shapes_are_refused():
    with pytest.raises(SCMTypeError, match="mask"):
        SCMArray([1.0], [0.5])
    with pytest.raises(SCMValueError, match="shapes"):
        SCMArray([1.0, 2.0], [True] * 3)


def test_the_array_owns_its_planes():
    payload, mask = np.array([1.0, 2.0]), np.array([False, True])
    x = SCMArray(payload, mask)
    payload[0], mask[0] = 9, True
    assert x.payload[0] == 1
    assert not x.mask[0]
    assert payload.flags.writeable
    assert mask.flags.writeable


def test_planes_are_read_only_and_items_cannot_be_set(a):
    for plane in (a.payload, a.mask, a.cause, SCMArray([1.0]).mask, SCMArray([1.0]).cause):
        with pytest.raises(ValueError, match="read-only"):
            plane[...] = 0
    with pytest.raises(TypeError):
        a[0] = 1.0
    with pytest.raises(AttributeError):
        a.payload = np.ones(5)


def test_other_makers():
    assert SCMArray.from_ieee([1.0, np.inf]).cause.tolist() == [0, Cause.NONFINITE]
    b = SCMArray.bottom((2, 3), np.complex64, Cause.DOMAIN)
    assert (b.shape, b.dtype, b.causes()) == ((2, 3), np.complex64, {"DOMAIN": 6})
    assert SCMArray.bottom(2).causes() == {"MASKED": 2}
    with pytest.raises(SCMTypeError, match="dtype"):
        SCMArray.bottom(2, int)
    with pytest.raises(SCMValueError, match="cause"):
        SCMArray.bottom(2, cause=Cause.NONE)
    assert _same(SCMArray(b), b)
    assert SCMArray(SCMValue(2.0)).item() == 2
    with pytest.raises(SCMTypeError, match="payload"):
        SCMArray(b, True)


# --- read ----------------------------------------------------------------------------------------


def test_shape_members():
    x = SCMArray(np.ones((2, 3)))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, np.float64)
    assert x.T.shape == (3, 2)
    with pytest.raises(TypeError):
        len(SCMArray(1.0))


def test_real_and_imag_keep_mask_and_cause():
    z = SCMArray([1 + 2j, 3j], cause=[0, 8])
    assert z.real.payload.tolist() == [1, 0]
    assert z.imag.payload.tolist() == [2, 0]
    assert z.imag.cause.tolist() == [0, 8]
    assert z.real.dtype == np.float64
    assert SCMArray([1.0]).imag.payload.tolist() == [0.0]


def test_indexing(a):
    assert a[0].shape == ()
    assert type(a[0]) is SCMArray
    assert a[1].item().cause == Cause.DIV_ZERO
    assert a[-1].item() == -0.5
    assert a[1:3].cause.tolist() == [4, 2]
    assert a[[0, 3]].mask.tolist() == [False, True]
    assert a[~a.mask].payload.tolist() == [1, -0.5]
    assert a[None, ::2].shape == (1, 3)
    assert a[...].shape == (5,)
    m = SCMArray(np.arange(6.0).reshape(2, 3), [[0, 1, 0], [0, 0, 1]])
    assert m[1, 2].item().is_bottom
    assert m[:, 1].mask.tolist() == [True, False]
    with pytest.raises(IndexError):
        a[7]
    with pytest.raises((TypeError, IndexError)):
        a[SCMArray([0.0])]


def test_iteration_gives_the_lanes_of_axis_0(a):
    assert [x.item().is_bottom for x in a] == a.mask.tolist()
    rows = list(SCMArray(np.ones((2, 3))))
    assert [r.shape for r in rows] == [(3,), (3,)]
    with pytest.raises(TypeError, match="0-d"):
        iter(SCMArray(1.0))


def test_item():
    assert SCMArray([[2.0]]).item() == 2.0
    assert SCMArray(1j).item() == 1j
    assert type(SCMArray(np.float32(0.5)).item()) is SCMValue
    with pytest.raises(SCMValueError, match="lanes"):
        SCMArray([1.0, 2.0]).item()
    if np.finfo(np.longdouble).max > np.finfo(float).max:
        huge = SCMArray(np.longdouble("1e400"))
        assert huge.item().cause == Cause.OVERFLOW


def test_D12_to_ieee_keeps_finite_complex_values():
    z = SCMArray([1 + 2j, 3 - 1j], [False, True]).to_ieee()
    assert z[0] == 1 + 2j
    assert np.isnan(z[1].real)
    assert np.isnan(z[1].imag)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (SCMArray([1.0, 0.0, 0.5], [0, 1, 0]), "SCMArray([1.0, ⊥, 0.5])"),
        (SCMArray(1.5), "SCMArray(1.5)"),
        (SCMArray(0.0, True), "SCMArray(⊥)"),
        (SCMArray(np.array([1, 2], np.float32)), "SCMArray([1.0, 2.0], dtype=float32)"),
        (SCMArray(np.array([0.1], np.float32)), "SCMArray([0.1], dtype=float32)"),
        (SCMArray([1j, 0], [0, 1]), "SCMArray([1j, ⊥], dtype=complex128)"),
        (SCMArray([]), "SCMArray([])"),
        (SCMArray(np.ones((0, 3))), "SCMArray([], shape=(0, 3))"),
        (SCMArray([[1.0], [2.0]]), "SCMArray([[1.0],\n          [2.0]])"),
    ],
)
def test_repr(x, said):
    assert repr(x) == said


def test_the_repr_of_a_long_array_is_short():
    text = repr(SCMArray(np.arange(1e5), np.arange(100_000) == 1))
    assert text.startswith("SCMArray([0.0, ⊥, 2.0, ..., ")
    assert len(text) < 100


# --- shape -------------------------------------------------------------------------------------


def test_shape_methods_move_every_plane():
    x = SCMArray(np.arange(6.0).reshape(1, 2, 3), cause=np.array([[[0, 4, 0], [8, 0, 1]]]))
    for moved, like in (
        (x.reshape(3, 2), lambda p: p.reshape(3, 2)),
        (x.reshape((6,)), lambda p: p.reshape(6)),
        (x.reshape(-1), lambda p: p.reshape(-1)),
        (x.ravel(), lambda p: p.ravel()),
        (x.transpose(), lambda p: p.transpose()),
        (x.transpose(0, 2, 1), lambda p: p.transpose(0, 2, 1)),
        (x.transpose((2, 0, 1)), lambda p: p.transpose(2, 0, 1)),
        (x.T, lambda p: p.T),
        (x.squeeze(), lambda p: p.squeeze()),
        (x.squeeze(0), lambda p: p.squeeze(0)),
    ):
        for plane in ("payload", "mask", "cause"):
            assert np.array_equal(getattr(moved, plane), like(getattr(x, plane)))


def test_astype():
    x = SCMArray([1.0, 1e300, 2.0], cause=[0, 0, 8]).astype(np.float32)
    assert x.dtype == np.float32
    assert x.cause.tolist() == [0, Cause.OVERFLOW, 8]
    assert x.payload.tolist() == [1, 0, 0]
    assert SCMArray([1.0]).astype("complex64").dtype == np.complex64
    for bad in (int, bool, str, object):
        with pytest.raises(SCMTypeError, match="dtype"):
            SCMArray([1.0]).astype(bad)
    with pytest.raises(SCMTypeError, match="real"):
        SCMArray([1j]).astype(float)


# --- leave -----------------------------------------------------------------------------------------


def test_filled(a):
    assert a.filled(-1).tolist() == [1, -1, -1, -1, -0.5]
    assert np.isnan(a.filled(np.nan)[1])
    plain = a.filled(0)
    plain[0] = 5  # a copy, writable
    assert a.payload[0] == 1
    for bad in (True, "x", None, [1.0, 2.0], 1j):
        with pytest.raises(SCMTypeError, match="value"):
            a.filled(bad)
    with pytest.raises(SCMValueError, match="float16"):
        SCMArray(np.ones(1, np.float16)).filled(1e9)
    assert SCMArray([1j], [True]).filled(2j).tolist() == [2j]


def test_regular_to_masked_to_ieee(a):
    assert a.regular().tolist() == [1, -0.5]
    assert SCMArray(np.ones((2, 2)), [[0, 1], [0, 0]]).regular().shape == (3,)
    m = a.to_masked()
    assert m.mask.tolist() == a.mask.tolist()
    assert m.compressed().tolist() == [1, -0.5]
    assert np.array_equal(np.isnan(a.to_ieee()), a.mask)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda x: np.array([x, x]),
        lambda x: np.asarray(x, float),
        lambda x: np.ones(5) @ np.asarray(x),
        lambda x: np.testing.assert_array_equal(x, x),
        bool,
        lambda x: [1 if x else 2],
    ],
)
def test_acceptance_twelve_no_silent_conversion(a, convert):
    with pytest.raises(SCMTypeError):
        convert(a)


def test_D12_assignment_into_a_plain_array_is_refused(a):
    plain = np.zeros(5)
    with pytest.raises((SCMTypeError, ValueError)):
        plain[:] = a
    assert not plain.any()


def test_float_and_complex():
    assert float(SCMArray(1.5)) == 1.5
    assert complex(SCMArray(1j)) == 1j
    for convert in (float, complex):
        with pytest.raises(BottomError, match="DIV_ZERO"):
            convert(SCMArray(1.0) / 0)
    with pytest.raises(SCMTypeError, match="0-d"):
        float(SCMArray([1.0]))


# --- measure -----------------------------------------------------------------------------------


def test_measures(a):
    assert a.coverage() == pytest.approx(0.4)
    assert type(a.coverage()) is float
    assert a.any_bottom() is True
    assert SCMArray([1.0]).any_bottom() is False
    assert a.causes() == {"MASKED": 1, "NONFINITE": 1, "DIV_ZERO": 1}
    assert SCMArray([1.0]).causes() == {}
    m = SCMArray(np.ones((2, 2)), [[True, False], [True, True]])
    assert m.coverage(axis=0).tolist() == [0, 0.5]
    assert m.any_bottom(axis=1).tolist() == [True, True]
    assert SCMArray(np.ones((2, 0))).coverage() == 1.0
    assert SCMArray(np.ones((2, 0))).coverage(axis=1).tolist() == [1.0, 1.0]
    assert not SCMArray([]).any_bottom()


def test_explain(a):
    assert a.explain(0) == "regular"
    assert "DIV_ZERO" in a.explain(1)
    assert "zero" in a.explain(1)
    both = (SCMArray(1.0) / 0) + np.log(SCMArray(-1.0))
    assert "DIV_ZERO" in both.explain(())
    assert "DOMAIN" in both.explain(())
    assert SCMArray(np.ones((2, 2))).explain((1, 1)) == "regular"
    with pytest.raises(SCMValueError, match="one"):
        a.explain(slice(2))


# --- keep ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x", [SCMArray([1.0, 2.0]), SCMArray([1j, 0], cause=[0, 12]), SCMArray(0.0, True)]
)
def test_acceptance_fourteen_pickle_and_deepcopy_keep_all_planes(x):
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert _same(again, x)
        assert not again.payload.flags.writeable


def test_it_is_not_hashable(a):
    with pytest.raises(TypeError):
        hash(a)


def test_scalars_beside_arrays():
    a = SCMArray([1.0, 0.0])
    for result in (a + SCMValue(2), SCMValue(2) + a, np.add(SCMValue(2), a)):
        assert type(result) is SCMArray
        assert result.payload.tolist() == [3, 2]
    assert (a * BOTTOM).causes() == {"MASKED": 2}
    mixed = np.array([1.0, 2.0]) / SCMValue(0)
    assert type(mixed) is SCMArray
    assert mixed.causes() == {"DIV_ZERO": 2}
    assert (SCMArray(np.ones(2, np.float32)) * SCMValue(2)).dtype == np.float32
    assert (SCMArray(np.ones(2, np.float32)) * BOTTOM).dtype == np.float32
