"""In and out of the common meadow: IEEE arrays, ``numpy.ma``, pandas, Arrow.

pandas and pyarrow are imported inside the functions that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm._execute import fill
from zeroproofml.scm._operands import read_mask, read_payload
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from zeroproofml.scm.array import SCMArray

__all__ = [
    "from_arrow",
    "from_ieee",
    "from_masked",
    "from_pandas",
    "to_arrow",
    "to_ieee",
    "to_masked",
    "to_pandas",
]


def from_ieee(a: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Split an IEEE array into a canonical payload and a mask.

    Args:
        a: real or complex numbers of any shape; integers become float64.

    Returns:
        ``(payload, mask)``: the mask is True at NaN and ±inf (in either part), the payload 0 there.

    Raises:
        SCMTypeError: bool, strings, datetimes or objects.

    >>> from_ieee([1.0, float("nan"), float("inf")])
    (array([1., 0., 0.]), array([False,  True,  True]))
    """
    payload = np.array(read_payload(a, "a"))
    mask = np.asarray(~np.isfinite(payload))
    fill(payload, mask)
    return payload, mask


def to_ieee(payload: ArrayLike, mask: ArrayLike | None) -> NDArray[Any]:
    """Join a payload and a mask into an IEEE array, NaN (complex: nan+nanj) at ⊥.

    Args:
        payload: real or complex numbers; integers become float64.
        mask: True at ⊥; broadcast against the payload. None = no ⊥.

    Raises:
        SCMTypeError: a payload or mask of the wrong type.
        SCMValueError: shapes that do not broadcast.

    >>> to_ieee([1.0, 0.0], [False, True])
    array([ 1., nan])
    """
    array = np.asarray(read_payload(payload, "payload"))
    given = read_mask(mask, "mask")
    if given is None:
        return np.array(array)
    try:
        shape = np.broadcast_shapes(array.shape, given.shape)
    except ValueError as error:
        msg = f"shapes do not broadcast: payload {array.shape}, mask {given.shape}"
        raise SCMValueError(msg) from error
    joined = np.array(np.broadcast_to(array, shape))
    hole = complex("nan+nanj") if array.dtype.kind == "c" else float("nan")
    np.copyto(joined, hole, where=given)
    return joined


def _array_of(payload: Any, mask: Any) -> SCMArray:
    """⊥ MASKED where masked, NONFINITE where a number that is there is none."""
    from zeroproofml.scm.array import SCMArray

    return SCMArray(payload, mask)


def from_masked(ma: Any) -> SCMArray:
    """A ``numpy.ma`` array: masked ↔ ⊥ MASKED, NaN or inf → ⊥ NONFINITE.

    Raises:
        SCMTypeError: not a masked array, or one of bool, strings, datetimes or objects.

    >>> import numpy as np
    >>> from_masked(np.ma.masked_equal([1.0, 2.0], 2.0))
    SCMArray([1.0, ⊥])
    """
    if not isinstance(ma, np.ma.MaskedArray):
        msg = f"ma: {type(ma).__name__} is not a numpy.ma array; use SCMArray(a, mask)"
        raise SCMTypeError(msg)
    return _array_of(np.asarray(ma.data), np.ma.getmaskarray(ma))


def to_masked(x: SCMArray) -> np.ma.MaskedArray[Any, Any]:
    """A ``numpy.ma`` array, masked at ⊥; the causes are left behind.

    Raises:
        SCMTypeError: not an SCMArray.

    >>> from zeroproofml.scm.array import SCMArray
    >>> to_masked(SCMArray([1.0, 2.0], [False, True])).mask
    array([False,  True])
    """
    _require(x)
    return np.ma.MaskedArray(np.array(x.payload), mask=np.array(x.mask))


def _require(x: Any, *, flat: bool = False) -> None:
    from zeroproofml.scm.array import SCMArray

    if not isinstance(x, SCMArray):
        msg = f"x: {type(x).__name__} is not an SCMArray"
        raise SCMTypeError(msg)
    if flat and x.ndim != 1:
        msg = f"x: shape {x.shape} is not 1-D; ravel it first"
        raise SCMValueError(msg)
    if flat and x.dtype.kind == "c":
        msg = f"x: {x.dtype} has no column type; convert .real and .imag apart"
        raise SCMTypeError(msg)


def _load(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        msg = f"this bridge needs {package}: pip install {package}"
        raise ImportError(msg, name=package) from error


def from_pandas(series: pd.Series[Any]) -> SCMArray:
    """A pandas Series of numbers, nullable or not: NA ↔ ⊥ MASKED, NaN → ⊥ NONFINITE.

    Raises:
        SCMTypeError: not a Series, or one of bool, strings, datetimes or objects.
        SCMValueError: not 1-D.
        ImportError: pandas is not installed.

    >>> import pandas as pd
    >>> from_pandas(pd.Series([1.5, None], dtype="Float64"))
    SCMArray([1.5, ⊥])
    """
    pd = _load("pandas")
    if np.ndim(series) != 1:
        msg = f"series: {np.ndim(series)}-D; pass one column"
        raise SCMValueError(msg)
    if not isinstance(series, pd.Series):
        msg = f"series: {type(series).__name__} is not a pandas Series"
        raise SCMTypeError(msg)
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype) or not pd.api.types.is_numeric_dtype(dtype):
        msg = f"series: dtype {dtype} is not a payload; pass a column of numbers"
        raise SCMTypeError(msg)
    if isinstance(dtype, np.dtype):
        return _array_of(series.to_numpy(), None)
    if isinstance(dtype, pd.ArrowDtype):
        return from_arrow(series.array.__arrow_array__())
    # In a nullable column NaN is a number like any other; only NA is missing. isna() knows.
    missing = np.asarray(series.array._mask) if hasattr(series.array, "_mask") else series.isna()
    wanted = np.float32 if dtype == pd.Float32Dtype() else np.float64
    return _array_of(series.to_numpy(dtype=wanted, na_value=np.nan), np.asarray(missing))


def to_pandas(x: SCMArray) -> pd.Series[Any]:
    """A nullable Float64 (or Float32) Series, NA at ⊥; the causes are left behind.

    Raises:
        SCMTypeError: not an SCMArray, or complex.
        SCMValueError: not 1-D.
        ImportError: pandas is not installed.

    >>> from zeroproofml.scm.array import SCMArray
    >>> to_pandas(SCMArray([1.5, 0.0], [False, True])).tolist()
    [1.5, <NA>]
    """
    _require(x, flat=True)
    pd = _load("pandas")
    wanted = np.float32 if x.dtype == np.float32 else np.float64
    wide = _fit(x, wanted)
    return pd.Series(pd.arrays.FloatingArray(np.array(wide.payload), np.array(wide.mask)))


def _fit(x: SCMArray, dtype: Any) -> SCMArray:
    """float16 and long double in the column type; what does not fit is ⊥ there."""
    return x if x.dtype == dtype else x.astype(dtype)


def from_arrow(array: pa.Array | pa.ChunkedArray) -> SCMArray:
    """An Arrow array of numbers: null ↔ ⊥ MASKED, NaN → ⊥ NONFINITE.

    Raises:
        SCMTypeError: not an Arrow array, or one of bool, strings, dates or nested values.
        ImportError: pyarrow is not installed.

    >>> import pyarrow as pa
    >>> from_arrow(pa.array([1.5, None]))
    SCMArray([1.5, ⊥])
    """
    pa = _load("pyarrow")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not isinstance(array, pa.Array):
        msg = f"array: {type(array).__name__} is not a pyarrow Array"
        raise SCMTypeError(msg)
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        msg = f"array: {array.type} is not a payload; pass a column of numbers"
        raise SCMTypeError(msg)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    zero = pa.scalar(0, array.type)
    return _array_of(array.fill_null(zero).to_numpy(zero_copy_only=False), missing)


def to_arrow(x: SCMArray) -> pa.Array:
    """An Arrow array of the payload's dtype (long double: double), null at ⊥.

    Raises:
        SCMTypeError: not an SCMArray, or complex.
        SCMValueError: not 1-D.
        ImportError: pyarrow is not installed.

    >>> from zeroproofml.scm.array import SCMArray
    >>> to_arrow(SCMArray([1.5, 0.0], [False, True])).to_pylist()
    [1.5, None]
    """
    _require(x, flat=True)
    pa = _load("pyarrow")
    fits = x if x.dtype.itemsize <= 8 else x.astype(np.float64)
    return pa.array(fits.payload, mask=np.array(fits.mask))
