"""``SCMArray``: an immutable array of the common meadow that knows why each ⊥ is ⊥."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from zeroproofml.scm import _reductions as reductions
from zeroproofml.scm._planes import Planes, canonical, each, seal, unify
from zeroproofml.scm._text import explain, show
from zeroproofml.scm._ufuncs import apply_function, apply_reduce, apply_ufunc
from zeroproofml.scm.bridge import to_ieee
from zeroproofml.scm.cause import Cause, count_causes
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.value import SCMValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Axis = int | tuple[int, ...] | None
    Counted = tuple["SCMArray", NDArray[np.int64]]

__all__ = ["SCMArray"]


class SCMArray(NDArrayOperatorsMixin):
    """Numbers and ⊥ in one array: payload, mask and cause.

    Operators and the listed ufuncs compute lane by lane and absorb ⊥; every comparison with a ⊥
    lane is False. It never turns into a plain array by itself: leave with :meth:`filled`,
    :meth:`to_ieee` or :meth:`regular`.

    Args:
        payload: real or complex numbers, as for the thirteen operations; NaN and ±inf become ⊥
            NONFINITE, integers float64.
        mask: True where a lane is ⊥; broadcast against the payload.
        cause: uint8 ``Cause`` flags of the broadcast shape; by default MASKED where masked.

    Raises:
        SCMTypeError: a payload, mask or cause of the wrong type.
        SCMValueError: shapes that do not fit; a cause that contradicts the mask.

    >>> a = SCMArray([1.0, 2.0, 3.0]) / [2.0, 0.0, 1.0]
    >>> a
    SCMArray([0.5, ⊥, 3.0])
    >>> a.causes()
    {'DIV_ZERO': 1}
    """

    __slots__ = ("_planes",)
    _planes: Planes

    def __init__(
        self,
        payload: ArrayLike | SCMArray | SCMValue,
        mask: ArrayLike | None = None,
        *,
        cause: ArrayLike | None = None,
    ) -> None:
        if isinstance(payload, (SCMArray, SCMValue)):
            if mask is not None or cause is not None:
                msg = "payload: it brings its own mask and cause; pass its .payload to replace them"
                raise SCMTypeError(msg)
            planes = payload._planes if isinstance(payload, SCMArray) else unify([payload])[0]
        else:
            planes = canonical(payload, mask, cause)
        self._planes = seal(planes)

    @classmethod
    def _wrap(cls, planes: Planes) -> SCMArray:
        self = cls.__new__(cls)
        self._planes = seal(planes)
        return self

    @classmethod
    def from_ieee(cls, a: ArrayLike) -> SCMArray:
        """An array of IEEE numbers; NaN and ±inf become ⊥ NONFINITE.

        >>> SCMArray.from_ieee([1.0, float("inf")])
        SCMArray([1.0, ⊥])
        """
        return cls(a)

    @classmethod
    def bottom(
        cls,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = np.float64,
        cause: Cause = Cause.MASKED,
    ) -> SCMArray:
        """An array of ⊥.

        Args:
            shape: of the array.
            dtype: floating or complex.
            cause: a non-zero Cause.

        Raises:
            SCMTypeError: another dtype.
            SCMValueError: no cause.

        >>> SCMArray.bottom(2, cause=Cause.DOMAIN).causes()
        {'DOMAIN': 2}
        """
        reason = SCMValue.bottom(cause).cause
        payload = np.zeros(shape, _number_dtype(dtype))
        mask, causes = np.ones(shape, np.bool_), np.full(shape, int(reason), np.uint8)
        return cls._wrap(Planes(payload, mask, causes))

    # --- read -----------------------------------------------------------------------------------

    @property
    def payload(self) -> NDArray[Any]:
        """The numbers, 0 at ⊥; read-only."""
        return self._planes.payload

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True at ⊥; read-only."""
        mask = self._planes.full_mask()
        mask.flags.writeable = False
        return mask

    @property
    def cause(self) -> NDArray[np.uint8]:
        """``Cause`` flags, non-zero exactly at ⊥; read-only."""
        cause = self._planes.full_cause()
        cause.flags.writeable = False
        return cause

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""
        return self.payload.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.payload.ndim

    @property
    def size(self) -> int:
        """Number of lanes."""
        return self.payload.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the payload."""
        return self.payload.dtype

    @property
    def T(self) -> SCMArray:
        """The transpose."""
        return self.transpose()

    @property
    def real(self) -> SCMArray:
        """Real parts."""
        return self._wrap(self._planes._replace(payload=np.array(self.payload.real)))

    @property
    def imag(self) -> SCMArray:
        """Imaginary parts; 0 for real lanes."""
        return self._wrap(self._planes._replace(payload=np.array(self.payload.imag)))

    def __len__(self) -> int:
        return len(self.payload)

    def __iter__(self) -> Iterator[SCMArray]:
        if not self.ndim:
            msg = "iteration over a 0-d SCMArray; use .item()"
            raise SCMTypeError(msg)
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> SCMArray:
        return self._wrap(each(self._planes, lambda plane: plane[index]))

    def item(self) -> SCMValue:
        """The only lane as a scalar value.

        Raises:
            SCMValueError: more or fewer lanes than one.

        >>> SCMArray([2.0]).item()
        SCMValue(2.0)
        """
        if self.size != 1:
            msg = f"item: the array has {self.size} lanes; index one first"
            raise SCMValueError(msg)
        if self.mask.item():
            return SCMValue.bottom(Cause(self.cause.item()))
        number: Any = self.payload.reshape(())[()]
        value = SCMValue.from_ieee(number)  # a long double may lie beyond float64
        return SCMValue.bottom(Cause.OVERFLOW) if value.is_bottom else value

    def __repr__(self) -> str:
        return show(self._planes)

    # --- shape ----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> SCMArray:
        """The same lanes in another shape, given as a tuple or as integers.

        >>> SCMArray([1.0, 2.0]).reshape(2, 1).shape
        (2, 1)
        """
        return self._wrap(each(self._planes, lambda plane: plane.reshape(*shape)))

    def ravel(self) -> SCMArray:
        """One axis, in C order.

        >>> SCMArray([[1.0], [2.0]]).ravel()
        SCMArray([1.0, 2.0])
        """
        return self._wrap(each(self._planes, np.ravel))

    def transpose(self, *axes: Any) -> SCMArray:
        """Axes permuted, by default reversed.

        >>> SCMArray([[1.0, 2.0]]).transpose().shape
        (2, 1)
        """
        return self._wrap(each(self._planes, lambda plane: plane.transpose(*axes)))

    def squeeze(self, axis: Axis = None) -> SCMArray:
        """Without axes of length 1.

        >>> SCMArray([[1.0, 2.0]]).squeeze().shape
        (2,)
        """
        return self._wrap(each(self._planes, lambda plane: plane.squeeze(axis)))

    def astype(self, dtype: DTypeLike) -> SCMArray:
        """Another floating or complex dtype; a number it cannot hold becomes ⊥ OVERFLOW.

        Raises:
            SCMTypeError: another dtype, or complex to real.

        >>> SCMArray([1.0, 1e300]).astype("float32")
        SCMArray([1.0, ⊥], dtype=float32)
        """
        wanted = _number_dtype(dtype)
        if self.dtype.kind == "c" and wanted.kind != "c":
            msg = f"astype: {self.dtype} to {wanted} drops the imaginary parts; take .real"
            raise SCMTypeError(msg)
        with np.errstate(all="ignore"):
            payload = self.payload.astype(wanted)
        _, mask, cause = self._planes
        return self._wrap(reductions.settle(payload, mask, cause))

    # --- leave ----------------------------------------------------------------------------------

    def filled(self, value: complex) -> NDArray[Any]:
        """The payload with ``value`` at ⊥, as a new plain array.

        Args:
            value: a number, NaN and inf included; real for a real array.

        Raises:
            SCMTypeError: not a number, or complex for a real array.
            SCMValueError: a finite number that the dtype cannot hold.

        >>> SCMArray([1.0, 2.0], [False, True]).filled(-1.0)
        array([ 1., -1.])
        """
        number = np.asarray(value)
        allowed = "iuf" if self.dtype.kind == "f" else "iufc"
        if number.dtype.kind not in allowed or number.ndim:
            msg = f"value: pass one number of a kind that {self.dtype} can hold"
            raise SCMTypeError(msg)
        with np.errstate(all="ignore"):
            fitted = number.astype(self.dtype)
        if np.isfinite(number) and not np.isfinite(fitted):
            msg = f"value: {value} is beyond {self.dtype}; use a smaller one or astype first"
            raise SCMValueError(msg)
        plain = np.array(self.payload)
        np.copyto(plain, fitted, where=self.mask)
        return plain

    def to_ieee(self) -> NDArray[Any]:
        """A plain array with NaN (complex: nan+nanj) at ⊥.

        >>> SCMArray([1.0, 2.0], [False, True]).to_ieee()
        array([ 1., nan])
        """
        return to_ieee(self.payload, self.mask)

    def regular(self) -> NDArray[Any]:
        """The payloads of the regular lanes, 1-D.

        >>> SCMArray([1.0, 2.0, 3.0], [False, True, False]).regular()
        array([1., 3.])
        """
        return self.payload[~self.mask]

    def to_masked(self) -> np.ma.MaskedArray[Any, Any]:
        """A ``numpy.ma`` array; the causes are left behind.

        >>> SCMArray([1.0, 2.0], [False, True]).to_masked().tolist()
        [1.0, None]
        """
        from zeroproofml.scm.bridge import to_masked

        return to_masked(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        msg = "an SCMArray does not turn into a plain array; use .filled(value), .to_ieee() or .payload"
        raise SCMTypeError(msg)

    def __bool__(self) -> NoReturn:
        msg = "the truth of an SCMArray is ambiguous; use .mask or a comparison"
        raise SCMTypeError(msg)

    def _only(self) -> SCMValue:
        if self.ndim:
            msg = f"only a 0-d SCMArray is a number; this one has shape {self.shape}"
            raise SCMTypeError(msg)
        if self.mask.item():
            msg = f"the lane is ⊥ ({self.explain(())}); test .mask first"
            raise BottomError(msg)
        return self.item()

    def __float__(self) -> float:
        return float(self._only())

    def __complex__(self) -> complex:
        return complex(self._only())

    # --- NumPy ----------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            msg = f"{ufunc.__name__}: an SCMArray is immutable; write a = a + b, without out="
            raise SCMTypeError(msg)
        plain = [x._planes if isinstance(x, SCMArray) else x for x in inputs]
        if (
            method == "reduce"
            and isinstance(plain[0], Planes)
            and kwargs.keys() <= {"axis", "keepdims"}
        ):
            return self._wrap(apply_reduce(ufunc, plain[0], **kwargs))
        if method != "__call__" or kwargs:
            what = "".join(f" {name}=" for name in kwargs)
            where = "" if method == "__call__" else f".{method}"
            msg = f"numpy.{ufunc.__name__}{where}{what} does not know ⊥; call it on .to_ieee()"
            raise SCMTypeError(msg)
        result = apply_ufunc(ufunc, plain)
        return self._wrap(result) if isinstance(result, Planes) else result

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        stripped = {name: _strip(value) for name, value in kwargs.items()}
        return self._wrap(apply_function(func, [_strip(arg) for arg in args], stripped))

    # --- reduce ---------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Sum; one ⊥ makes it ⊥.

        >>> SCMArray([1.0, 2.0], [False, True]).sum()
        SCMArray(⊥)
        """
        return self._wrap(reductions.reduce(np.add, self._planes, axis, keepdims))

    def prod(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Product; one ⊥ makes it ⊥.

        >>> SCMArray([2.0, 3.0]).prod()
        SCMArray(6.0)
        """
        return self._wrap(reductions.reduce(np.multiply, self._planes, axis, keepdims))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Mean, sum/n; one ⊥ makes it ⊥, and so does n = 0 (DIV_ZERO).

        >>> SCMArray([2.0, 3.0]).mean()
        SCMArray(2.5)
        """
        return self._wrap(reductions.mean(self._planes, axis, keepdims))

    def min(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Minimum of real lanes; one ⊥ makes it ⊥.

        Raises:
            SCMTypeError: complex lanes.
            SCMValueError: no lanes.

        >>> SCMArray([2.0, 3.0]).min()
        SCMArray(2.0)
        """
        return self._wrap(reductions.extreme(np.minimum, self._planes, axis, keepdims))

    def max(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Maximum of real lanes; one ⊥ makes it ⊥.

        Raises:
            SCMTypeError: complex lanes.
            SCMValueError: no lanes.

        >>> SCMArray([2.0, 3.0]).max()
        SCMArray(3.0)
        """
        return self._wrap(reductions.extreme(np.maximum, self._planes, axis, keepdims))

    def sum_valid(self, axis: Axis = None, keepdims: bool = False) -> Counted:
        """Sum of the regular lanes and their number (int64); 0 of none.

        >>> SCMArray([1.0, 2.0], [False, True]).sum_valid()
        (SCMArray(1.0), array(1))
        """
        return self._counted(reductions.sum_valid(self._planes, axis, keepdims))

    def mean_valid(self, axis: Axis = None, keepdims: bool = False) -> Counted:
        """Mean of the regular lanes and their number; ⊥ DIV_ZERO of none.

        >>> SCMArray([1.0, 2.0], [False, True]).mean_valid()
        (SCMArray(1.0), array(1))
        """
        return self._counted(reductions.mean_valid(self._planes, axis, keepdims))

    def min_valid(self, axis: Axis = None, keepdims: bool = False) -> Counted:
        """Minimum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> SCMArray([1.0, 0.0], [False, True]).min_valid()
        (SCMArray(1.0), array(1))
        """
        return self._counted(reductions.extreme_valid(np.minimum, self._planes, axis, keepdims))

    def max_valid(self, axis: Axis = None, keepdims: bool = False) -> Counted:
        """Maximum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> SCMArray([-1.0, 0.0], [False, True]).max_valid()
        (SCMArray(-1.0), array(1))
        """
        return self._counted(reductions.extreme_valid(np.maximum, self._planes, axis, keepdims))

    def _counted(self, result: tuple[Planes, NDArray[np.int64]]) -> Counted:
        return self._wrap(result[0]), result[1]

    # --- measure --------------------------------------------------------------------------------

    def coverage(self, axis: Axis = None) -> float | NDArray[np.float64]:
        """Share of the lanes that are regular; 1.0 of no lanes.

        Returns:
            A float, or with ``axis`` an array of float64.

        >>> SCMArray([1.0, 2.0], [False, True]).coverage()
        0.5
        """
        lanes = reductions.lanes(self.shape, axis)
        bad = np.asarray(np.add.reduce(self.mask, axis=axis, dtype=np.int64))
        share = 1.0 - bad / lanes if lanes else np.ones(bad.shape)
        return float(share) if axis is None else np.asarray(share)

    def any_bottom(self, axis: Axis = None) -> bool | NDArray[np.bool_]:
        """Whether any lane is ⊥: a bool, or with ``axis`` a bool array.

        >>> SCMArray([1.0, 2.0], [False, True]).any_bottom()
        True
        """
        found = np.logical_or.reduce(self.mask, axis=axis)
        return bool(found) if axis is None else np.asarray(found)

    def causes(self) -> dict[str, int]:
        """How many lanes carry each cause; a lane with two counts under both.

        >>> (SCMArray([1.0, 0.0]) / 0.0).causes()
        {'DIV_ZERO': 2}
        """
        return {} if self._planes.cause is None else count_causes(self._planes.cause)

    def explain(self, index: SupportsIndex | tuple[SupportsIndex, ...]) -> str:
        """The causes of one lane in words; "regular" if it is not ⊥.

        Raises:
            SCMValueError: the index selects more than one lane.

        >>> np.log(SCMArray([1.0, -1.0])).explain(1)
        'DOMAIN (the operation is not defined there)'
        """
        cause = self.cause[index]
        if np.ndim(cause):
            msg = f"index: {index!r} selects {np.size(cause)} lanes; explain takes one"
            raise SCMValueError(msg)
        return explain(Cause(int(cause)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, tuple(self._planes)


def _number_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    wanted = np.dtype(dtype)
    if wanted.kind not in "fc":
        msg = f"dtype: {wanted} cannot hold a payload; pass a floating or complex dtype"
        raise SCMTypeError(msg)
    return wanted.newbyteorder("=")


def _strip(value: Any) -> Any:
    """Planes for SCMArrays, also inside a list, as ``apply_function`` takes them."""
    if isinstance(value, SCMArray):
        return value._planes
    if isinstance(value, (list, tuple)) and any(isinstance(item, SCMArray) for item in value):
        return [_strip(item) for item in value]
    return value


def _rebuild(payload: Any, mask: Any, cause: Any) -> SCMArray:
    return SCMArray._wrap(Planes(payload, mask, cause))
