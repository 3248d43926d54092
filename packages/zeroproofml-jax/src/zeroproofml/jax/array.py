"""``SCMArray``: an immutable array of the common meadow on JAX that knows why each ⊥ is ⊥."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from zeroproofml.jax import _reductions as reductions
from zeroproofml.jax._planes import OUTSIDE, Planes, canonical, each, is_traced, read, settle
from zeroproofml.jax._ufuncs import FUNCTIONS, apply_reduce, apply_ufunc, check_index
from zeroproofml.scm import array as host
from zeroproofml.scm.cause import Cause, count_causes
from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.scm.value import SCMValue

__all__ = ["SCMArray"]

Axis = int | tuple[int, ...] | None


class SCMArray(NDArrayOperatorsMixin):
    """Numbers and ⊥ in one array: payload, mask and cause.

    A pytree of three leaves: it passes through ``jit``, ``vmap`` and ``tree_map`` whole. Operators
    and NumPy's functions (``np.sin(a)``; ``jax.numpy`` has no protocol for it) compute with JAX,
    lane by lane, and absorb ⊥; every comparison with a ⊥ lane is False. It never turns into a plain
    array by itself: leave with :meth:`filled`, :meth:`to_ieee` or :meth:`regular`.

    Args:
        payload: real or complex numbers, as for the thirteen operations; NaN and ±inf become ⊥
            NONFINITE, integers float64.
        mask: True where a lane is ⊥; broadcast against the payload.
        cause: uint8 ``Cause`` flags of the broadcast shape; by default MASKED where masked.

    Raises:
        SCMTypeError: a payload, mask or cause of the wrong type.
        SCMValueError: shapes that do not fit; a cause that contradicts the mask.

    >>> a = SCMArray([1.0, 2.0, 3.0]) / [2.0, 0.0, 1.0]
    >>> a.filled(-1.0).tolist(), a.causes()
    ([0.5, -1.0, 3.0], {'DIV_ZERO': 1})
    """

    __slots__ = ("_planes",)
    _planes: Planes

    def __init__(self, payload: Any, mask: Any = None, *, cause: Any = None) -> None:
        if isinstance(payload, (SCMArray, SCMValue)):
            if mask is not None or cause is not None:
                msg = "payload: it brings its own mask and cause; pass its .payload to replace them"
                raise SCMTypeError(msg)
            self._planes = read(payload._planes if isinstance(payload, SCMArray) else payload)
        else:
            self._planes = canonical(payload, mask, cause)

    @classmethod
    def _wrap(cls, planes: Planes) -> SCMArray:
        self = cls.__new__(cls)
        self._planes = planes
        return self

    @classmethod
    def from_ieee(cls, a: Any) -> SCMArray:
        """An array of IEEE numbers; NaN and ±inf become ⊥ NONFINITE.

        >>> SCMArray.from_ieee([1.0, float("inf")]).mask.tolist()
        [False, True]
        """
        return cls(a)

    @classmethod
    def from_numpy(cls, a: Any) -> SCMArray:
        """An SCMArray of ``zeroproofml.scm`` on JAX's default device.

        Raises:
            SCMTypeError: anything else.

        >>> SCMArray.from_numpy(host.SCMArray([1.0, 2.0], [True, False])).causes()
        {'MASKED': 1}
        """
        if not isinstance(a, host.SCMArray):
            msg = f"a: pass a zeroproofml.scm.SCMArray, not {type(a).__name__}"
            raise SCMTypeError(msg)
        return cls(a.payload, a.mask, cause=a.cause)

    @classmethod
    def bottom(
        cls, shape: int | tuple[int, ...], dtype: Any = float, cause: Cause = Cause.MASKED
    ) -> SCMArray:
        """An array of ⊥.

        Args:
            shape: of the array.
            dtype: floating or complex; by default float64 (float32 without x64).
            cause: a non-zero Cause.

        Raises:
            SCMTypeError: another dtype.
            SCMValueError: no cause.

        >>> SCMArray.bottom(2, cause=Cause.DOMAIN).causes()
        {'DOMAIN': 2}
        """
        reason = SCMValue.bottom(cause).cause
        payload = jnp.zeros(shape, _number_dtype(dtype))
        causes = jnp.full(payload.shape, int(reason), jnp.uint8)
        return cls._wrap(Planes(payload, jnp.ones(payload.shape, bool), causes))

    # --- read -----------------------------------------------------------------------------------

    @property
    def payload(self) -> jax.Array:
        """The numbers, 0 at ⊥."""
        plane: jax.Array = self._planes.payload
        return plane

    @property
    def mask(self) -> jax.Array:
        """True at ⊥."""
        plane: jax.Array = self._planes.mask
        return plane

    @property
    def cause(self) -> jax.Array:
        """``Cause`` flags, non-zero exactly at ⊥; uint8."""
        plane: jax.Array = self._planes.cause
        return plane

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
    def dtype(self) -> Any:
        """Dtype of the payload."""
        return self.payload.dtype

    @property
    def T(self) -> SCMArray:
        """The transpose."""
        return self.transpose()

    @property
    def real(self) -> SCMArray:
        """Real parts."""
        return self._wrap(self._planes._replace(payload=self.payload.real))

    @property
    def imag(self) -> SCMArray:
        """Imaginary parts; 0 for real lanes."""
        return self._wrap(self._planes._replace(payload=self.payload.imag))

    def __len__(self) -> int:
        return len(self.payload)

    def __iter__(self) -> Iterator[SCMArray]:
        if not self.ndim:
            msg = "iteration over a 0-d SCMArray; use .item()"
            raise SCMTypeError(msg)
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> SCMArray:
        check_index(self.shape, index)
        parts = zip(self._planes, OUTSIDE, strict=True)
        return self._wrap(Planes(*(p.at[index].get(mode="fill", fill_value=f) for p, f in parts)))

    def item(self) -> SCMValue:
        """The only lane as a scalar value; outside tracing.

        Raises:
            SCMValueError: more or fewer lanes than one.

        >>> SCMArray([2.0]).item()
        SCMValue(2.0)
        """
        return self.to_numpy().item()

    def __repr__(self) -> str:
        if is_traced(*self._planes) or not hasattr(self.payload, "dtype"):
            return f"SCMArray({self.payload}, {self.mask}, {self.cause})"
        text = repr(self.to_numpy())
        return text.replace("float32", "bfloat16") if self.dtype == jnp.bfloat16 else text

    # --- shape ----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> SCMArray:
        """The same lanes in another shape, given as a tuple or as integers.

        >>> SCMArray([1.0, 2.0]).reshape(2, 1).shape
        (2, 1)
        """
        return self._wrap(each(self._planes, lambda plane: plane.reshape(*shape)))

    def ravel(self) -> SCMArray:
        """One axis, in C order.

        >>> SCMArray([[1.0], [2.0]]).ravel().shape
        (2,)
        """
        return self._wrap(each(self._planes, jnp.ravel))

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

    def astype(self, dtype: Any) -> SCMArray:
        """Another floating or complex dtype; a number it cannot hold becomes ⊥ OVERFLOW.

        Raises:
            SCMTypeError: another dtype, or complex to real.

        >>> SCMArray([1.0, 1e30]).astype("float16").causes()
        {'OVERFLOW': 1}
        """
        wanted = _number_dtype(dtype)
        if jnp.iscomplexobj(self.payload) and not jnp.issubdtype(wanted, jnp.complexfloating):
            msg = f"astype: {self.dtype} to {wanted} drops the imaginary parts; take .real"
            raise SCMTypeError(msg)
        return self._wrap(settle(self.payload.astype(wanted), self.mask, self.cause))

    # --- leave ----------------------------------------------------------------------------------

    def filled(self, value: Any) -> jax.Array:
        """The payload with ``value`` at ⊥, as a plain array.

        Args:
            value: a number, NaN and inf included; real for a real array.

        Raises:
            SCMTypeError: not a number, or complex for a real array.

        >>> SCMArray([1.0, 2.0], [False, True]).filled(-1.0).tolist()
        [1.0, -1.0]
        """
        number = isinstance(value, (int, float, complex, np.number)) and not isinstance(value, bool)
        if not number or (jnp.iscomplexobj(value) and not jnp.iscomplexobj(self.payload)):
            msg = f"value: pass one number that {self.dtype} can hold"
            raise SCMTypeError(msg)
        return jnp.where(self.mask, jnp.asarray(value, self.dtype), self.payload)

    def to_ieee(self) -> jax.Array:
        """A plain array with NaN (complex: nan+nanj) at ⊥.

        >>> SCMArray([1.0, 2.0], [False, True]).to_ieee().tolist()
        [1.0, nan]
        """
        complex_ = jnp.iscomplexobj(self.payload)
        return self.filled(complex(np.nan, np.nan) if complex_ else np.nan)

    def to_numpy(self) -> host.SCMArray:
        """The array on the host, as an SCMArray of ``zeroproofml.scm``; bfloat16 becomes float32.

        >>> SCMArray([1.0, 2.0], [False, True]).to_numpy().causes()
        {'MASKED': 1}
        """
        plain = self.payload.astype(jnp.float32) if self.dtype == jnp.bfloat16 else self.payload
        return host.SCMArray(np.asarray(plain), cause=np.asarray(self.cause))

    def to_masked(self) -> np.ma.MaskedArray[Any, Any]:
        """A ``numpy.ma`` array on the host; the causes are left behind.

        >>> SCMArray([1.0, 2.0], [False, True]).to_masked().tolist()
        [1.0, None]
        """
        return self.to_numpy().to_masked()

    def regular(self) -> jax.Array:
        """The payloads of the regular lanes, 1-D; outside tracing, since the shape depends on data.

        >>> SCMArray([1.0, 2.0, 3.0], [False, True, False]).regular().tolist()
        [1.0, 3.0]
        """
        return self.payload[~self.mask]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        msg = "an SCMArray does not turn into a plain array; use .filled(value), .to_ieee() or .payload"
        raise SCMTypeError(msg)

    def __bool__(self) -> NoReturn:
        msg = "the truth of an SCMArray is ambiguous; use .mask or a comparison"
        raise SCMTypeError(msg)

    def __float__(self) -> float:
        return float(self.to_numpy())

    def __complex__(self) -> complex:
        return complex(self.to_numpy())

    # --- NumPy's protocols ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            msg = f"{ufunc.__name__}: an SCMArray is immutable; write a = a + b, without out="
            raise SCMTypeError(msg)
        plain = [_strip(x) for x in inputs]
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
        if func not in FUNCTIONS:
            msg = f"numpy.{func.__name__} does not know ⊥; call it on .to_ieee() or .payload"
            raise SCMTypeError(msg)
        named = {name: _strip(value) for name, value in kwargs.items()}
        return self._wrap(FUNCTIONS[func](*map(_strip, args), **named))

    # --- reduce ---------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Sum; one ⊥ makes it ⊥.

        >>> SCMArray([1.0, 2.0], [False, True]).sum().mask.item()
        True
        """
        return self._wrap(reductions.sum_(self._planes, axis, keepdims))

    def prod(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Product; one ⊥ makes it ⊥.

        >>> SCMArray([2.0, 3.0]).prod().item()
        SCMValue(6.0)
        """
        return self._wrap(reductions.prod(self._planes, axis, keepdims))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Mean, sum/n; one ⊥ makes it ⊥, and so does n = 0 (DIV_ZERO).

        >>> SCMArray([2.0, 3.0]).mean().item()
        SCMValue(2.5)
        """
        return self._wrap(reductions.mean(self._planes, axis, keepdims))

    def min(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Minimum of real lanes; one ⊥ makes it ⊥.

        Raises:
            SCMTypeError: complex lanes.
            SCMValueError: no lanes.

        >>> SCMArray([2.0, 3.0]).min().item()
        SCMValue(2.0)
        """
        return self._wrap(reductions.extreme("min", self._planes, axis, keepdims))

    def max(self, axis: Axis = None, keepdims: bool = False) -> SCMArray:
        """Maximum of real lanes; one ⊥ makes it ⊥.

        Raises:
            SCMTypeError: complex lanes.
            SCMValueError: no lanes.

        >>> SCMArray([2.0, 3.0]).max().item()
        SCMValue(3.0)
        """
        return self._wrap(reductions.extreme("max", self._planes, axis, keepdims))

    def sum_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMArray, jax.Array]:
        """Sum of the regular lanes and their number; 0 of none.

        >>> total, count = SCMArray([1.0, 2.0], [False, True]).sum_valid()
        >>> total.item(), count.item()
        (SCMValue(1.0), 1)
        """
        return self._counted(reductions.sum_valid(self._planes, axis, keepdims))

    def mean_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMArray, jax.Array]:
        """Mean of the regular lanes and their number; ⊥ DIV_ZERO of none.

        >>> mean, count = SCMArray([1.0, 2.0], [False, True]).mean_valid()
        >>> mean.item(), count.item()
        (SCMValue(1.0), 1)
        """
        return self._counted(reductions.mean_valid(self._planes, axis, keepdims))

    def min_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMArray, jax.Array]:
        """Minimum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> least, count = SCMArray([1.0, 0.0], [False, True]).min_valid()
        >>> least.item(), count.item()
        (SCMValue(1.0), 1)
        """
        return self._counted(reductions.extreme_valid("min", self._planes, axis, keepdims))

    def max_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMArray, jax.Array]:
        """Maximum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> most, count = SCMArray([-1.0, 0.0], [False, True]).max_valid()
        >>> most.item(), count.item()
        (SCMValue(-1.0), 1)
        """
        return self._counted(reductions.extreme_valid("max", self._planes, axis, keepdims))

    def _counted(self, result: tuple[Planes, jax.Array]) -> tuple[SCMArray, jax.Array]:
        return self._wrap(result[0]), result[1]

    # --- measure --------------------------------------------------------------------------------

    def coverage(self, axis: Axis = None) -> jax.Array:
        """Share of the lanes that are regular, as a JAX array; 1.0 of no lanes.

        >>> SCMArray([1.0, 2.0], [False, True]).coverage().item()
        0.5
        """
        n = reductions.lanes(self.shape, axis)
        bad = jnp.sum(self.mask, axis=axis, dtype=int)
        return 1.0 - bad / n if n else jnp.ones(bad.shape)

    def any_bottom(self, axis: Axis = None) -> jax.Array:
        """Whether any lane is ⊥, as a JAX bool array.

        >>> SCMArray([1.0, 2.0], [False, True]).any_bottom().item()
        True
        """
        return jnp.any(self.mask, axis=axis)

    def causes(self) -> dict[str, int]:
        """How many lanes carry each cause, outside tracing; a lane with two counts under both.

        >>> (SCMArray([1.0, 0.0]) / 0.0).causes()
        {'DIV_ZERO': 2}
        """
        return count_causes(np.asarray(self.cause))

    def explain(self, index: Any) -> str:
        """The causes of one lane in words, outside tracing; "regular" if it is not ⊥.

        Raises:
            SCMValueError: the index selects more than one lane.

        >>> np.log(SCMArray([1.0, -1.0])).explain(1)
        'DOMAIN (the operation is not defined there)'
        """
        return self.to_numpy().explain(index)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, tuple(self._planes)


def _number_dtype(dtype: Any) -> np.dtype[Any]:
    wanted = jax.dtypes.canonicalize_dtype(dtype)
    if not jnp.issubdtype(wanted, jnp.inexact):
        msg = f"dtype: {wanted} cannot hold a payload; pass a floating or complex dtype"
        raise SCMTypeError(msg)
    return wanted


def _strip(value: Any) -> Any:
    """Planes for SCMArrays, also inside a list, as ``FUNCTIONS`` take them."""
    if isinstance(value, SCMArray):
        return value._planes
    if isinstance(value, (list, tuple)) and any(isinstance(item, SCMArray) for item in value):
        return [_strip(item) for item in value]
    return value


def _rebuild(payload: Any, mask: Any, cause: Any) -> SCMArray:
    """From planes as they are; a trace may put anything in their place."""
    return SCMArray._wrap(Planes(payload, mask, cause))


jax.tree_util.register_pytree_with_keys(
    SCMArray,
    lambda a: (
        [(jax.tree_util.GetAttrKey(n), p) for n, p in a._planes._asdict().items()],
        None,
    ),
    lambda _, planes: _rebuild(*planes),
    lambda a: (tuple(a._planes), None),
)
