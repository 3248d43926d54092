"""Bridges: IEEE, numpy.ma, pandas, Arrow (acceptance 15, S12, D12)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import bridge
from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "longdouble", "complex64", "complex128"]
)
@given(data=st.data())
def test_S12_from_ieee_of_to_ieee_is_the_identity_on_canonical_pairs(
    data, dtype, lanes, is_canonical
):
    x = data.draw(lanes(dtype, 5))
    payload, mask = bridge.from_ieee(x)
    assert is_canonical((payload, mask))
    assert payload.dtype == dtype
    again = bridge.from_ieee(bridge.to_ieee(payload, mask))
    assert np.array_equal(again[0], payload)
    assert np.array_equal(again[1], mask)


def test_D12_finite_complex_values_survive_and_strings_do_not_enter():
    z = np.array([1 + 2j, complex(np.nan, 1), complex(0, np.inf)])
    payload, mask = bridge.from_ieee(z)
    assert mask.tolist() == [False, True, True]
    back = bridge.to_ieee(payload, mask)
    assert back[0] == 1 + 2j
    assert np.isnan(back[1:].real).all()
    assert np.isnan(back[1:].imag).all()
    for bad in ("1.5", ["1.5"], [True], np.array(["2020"], "M8[D]"), None):
        with pytest.raises(SCMTypeError, match=r"^a: "):
            bridge.from_ieee(bad)


def test_ieee_shapes_and_integers():
    payload, mask = bridge.from_ieee(3)
    assert (payload.shape, payload.dtype, mask.shape) == ((), np.float64, ())
    assert np.array_equal(bridge.to_ieee(1.0, [True, False]), [np.nan, 1.0], equal_nan=True)
    assert bridge.to_ieee([1, 2], None).tolist() == [1.0, 2.0]
    with pytest.raises(SCMValueError, match="shapes"):
        bridge.to_ieee([1.0, 2.0], [True] * 3)
    with pytest.raises(SCMTypeError, match="mask"):
        bridge.to_ieee([1.0], [0.5])
    source = np.array([1.0, np.nan])
    bridge.from_ieee(source)
    assert np.isnan(source[1])


# --- numpy.ma ------------------------------------------------------------------------------------


def test_masked_arrays_round_trip():
    ma = np.ma.MaskedArray([[1.0, 2.0], [np.nan, 4.0]], [[False, True], [False, False]])
    x = bridge.from_masked(ma)
    assert x.cause.tolist() == [[0, Cause.MASKED], [Cause.NONFINITE, 0]]
    back = bridge.to_masked(x)
    assert back.mask.tolist() == x.mask.tolist()
    again = bridge.from_masked(back)
    assert np.array_equal(again.payload, x.payload)
    assert np.array_equal(again.mask, x.mask)
    assert bridge.from_masked(np.ma.array([1, 2])).dtype == np.float64
    assert bridge.from_masked(np.ma.array([1j], mask=[True])).dtype == np.complex128


def test_masked_arrays_of_other_things_are_refused():
    for bad in (np.ma.array(["a"]), np.ma.array([True]), np.ma.array(["2020"], dtype="M8[D]")):
        with pytest.raises(SCMTypeError):
            bridge.from_masked(bad)
    with pytest.raises(SCMTypeError, match="ma"):
        bridge.from_masked(np.ones(2))
    for function in (bridge.to_masked, bridge.to_pandas, bridge.to_arrow):
        with pytest.raises(SCMTypeError, match=r"^x: "):
            function(np.ones(2))


# --- pandas ----------------------------------------------------------------------------------------


def test_pandas_float64_round_trips():
    pd = pytest.importorskip("pandas")
    series = pd.Series(pd.array([1.5, None, 2.0], dtype="Float64"))
    x = bridge.from_pandas(series)
    assert x.payload.tolist() == [1.5, 0, 2]
    assert x.cause.tolist() == [0, Cause.MASKED, 0]
    back = bridge.to_pandas(x)
    assert back.dtype == pd.Float64Dtype()
    pd.testing.assert_series_equal(back, series)


def test_pandas_na_is_masked_and_nan_is_nonfinite():
    pd = pytest.importorskip("pandas")
    values = np.array([1.0, np.nan, np.inf, 0.0])
    nullable = pd.arrays.FloatingArray(values, np.array([False, False, False, True]))
    assert bridge.from_pandas(pd.Series(nullable)).cause.tolist() == [0, 2, 2, 1]
    assert bridge.from_pandas(pd.Series(values)).cause.tolist() == [0, 2, 2, 0]


def test_pandas_integers_float32_and_arrow_columns():
    pd = pytest.importorskip("pandas")
    x = bridge.from_pandas(pd.Series([1, None, 3], dtype="Int64"))
    assert (x.dtype, x.cause.tolist()) == (np.float64, [0, 1, 0])
    assert bridge.from_pandas(pd.Series([1, 2], dtype="uint8")).dtype == np.float64
    narrow = bridge.from_pandas(pd.Series([0.5, None], dtype="Float32"))
    assert narrow.dtype == np.float32
    assert bridge.to_pandas(narrow).dtype == pd.Float32Dtype()
    pytest.importorskip("pyarrow")
    assert bridge.from_pandas(pd.Series([1.0, None], dtype="double[pyarrow]")).cause.tolist() == [
        0,
        1,
    ]


def test_pandas_refusals():
    pd = pytest.importorskip("pandas")
    for bad in (
        pd.Series(["a"]),
        pd.Series([True, False]),
        pd.Series([True, None], dtype="boolean"),
        pd.Series(pd.to_datetime(["2020-01-01"])),
        pd.Series(["a"], dtype="category"),
    ):
        with pytest.raises(SCMTypeError, match="series"):
            bridge.from_pandas(bad)
    with pytest.raises(SCMValueError, match="column"):
        bridge.from_pandas(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(SCMTypeError, match="series"):
        bridge.from_pandas(np.ones(2))
    with pytest.raises(SCMValueError, match="1-D"):
        bridge.to_pandas(SCMArray(np.ones((2, 2))))
    with pytest.raises(SCMTypeError, match="complex"):
        bridge.to_pandas(SCMArray([1j]))


# --- Arrow -----------------------------------------------------------------------------------------


def test_arrow_doubles_round_trip():
    pa = pytest.importorskip("pyarrow")
    array = pa.array([1.5, None, 2.0])
    x = bridge.from_arrow(array)
    assert x.payload.tolist() == [1.5, 0, 2]
    assert x.cause.tolist() == [0, Cause.MASKED, 0]
    assert bridge.to_arrow(x).equals(array)
    chunked = pa.chunked_array([[1.5, None], [2.0]])
    assert bridge.from_arrow(chunked).mask.tolist() == [False, True, False]


def test_arrow_types():
    pa = pytest.importorskip("pyarrow")
    assert bridge.from_arrow(pa.array([1, None, 2**62])).dtype == np.float64
    assert bridge.from_arrow(pa.array([1.0, float("nan")])).cause.tolist() == [0, Cause.NONFINITE]
    assert bridge.from_arrow(pa.array([], pa.float32())).dtype == np.float32
    assert bridge.to_arrow(SCMArray(np.ones(1, np.float32))).type == pa.float32()
    assert bridge.to_arrow(SCMArray(np.ones(1, np.longdouble))).type == pa.float64()
    for bad in (pa.array(["a"]), pa.array([True]), pa.array([[1.0]]), pa.array([0], pa.date32())):
        with pytest.raises(SCMTypeError, match="array"):
            bridge.from_arrow(bad)
    with pytest.raises(SCMTypeError, match="array"):
        bridge.from_arrow([1.0])
    with pytest.raises(SCMValueError, match="1-D"):
        bridge.to_arrow(SCMArray(1.0))


@pytest.mark.parametrize(
    ("package", "function"),
    [
        ("pandas", lambda: bridge.from_pandas([1.0])),
        ("pandas", lambda: bridge.to_pandas(SCMArray([1.0]))),
        ("pyarrow", lambda: bridge.from_arrow([1.0])),
        ("pyarrow", lambda: bridge.to_arrow(SCMArray([1.0]))),
    ],
)
def test_an_absent_package_is_named(monkeypatch, package, function):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        function()
