"""``SCMTensor``: a tensor of the common meadow that knows why each ⊥ is ⊥."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from zeroproofml.scm.cause import Cause, count_causes, describe
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.value import SCMValue
from zeroproofml.torch import _reductions as reductions
from zeroproofml.torch._dispatch import FUNCTIONS, call
from zeroproofml.torch._operators import Operators
from zeroproofml.torch._planes import Planes, canonical, each, settle, unify
from zeroproofml.torch._text import show

if TYPE_CHECKING:
    import numpy as np

    from zeroproofml.scm.array import SCMArray
    from zeroproofml.torch._reductions import Axis

__all__ = ["SCMTensor"]


class SCMTensor(Operators):
    """Numbers and ⊥ in one tensor: payload, mask and cause.

    Operators and the listed torch functions compute lane by lane and absorb ⊥; every comparison
    with a ⊥ lane is False. It never turns into a plain tensor by itself: leave with :meth:`filled`,
    :meth:`to_ieee` or :meth:`regular`. It is a pytree of three tensors. Inside ``torch.compile``
    write ``torch.matmul(a, b)``: the compiler does not trace ``@`` between foreign objects.

    Args:
        payload: numbers, as for the thirteen operations; NaN and ±inf become ⊥ NONFINITE, integers
            float64. Gradients flow through it.
        mask: True where a lane is ⊥; broadcast against the payload.
        cause: uint8 ``Cause`` flags of the broadcast shape; by default MASKED where masked.

    Raises:
        SCMTypeError: a payload, mask or cause of the wrong type.
        SCMValueError: shapes that do not fit; a cause that contradicts the mask.

    >>> a = SCMTensor([1.0, 2.0, 3.0]) / torch.tensor([2.0, 0.0, 1.0])
    >>> a
    SCMTensor([0.5, ⊥, 3.0])
    >>> a.causes()
    {'DIV_ZERO': 1}
    """

    __slots__ = ("_planes",)
    __array_ufunc__ = None  # NumPy's operators leave the matter to this class
    _planes: Planes

    def __init__(self, payload: Any, mask: Any = None, *, cause: Any = None) -> None:
        if isinstance(payload, (SCMTensor, SCMValue)):
            if mask is not None or cause is not None:
                msg = "payload brings its own mask and cause; pass its .payload to replace them"
                raise SCMTypeError(msg)
            self._planes = unify([_strip(payload)])[0]
        else:
            self._planes = canonical(payload, mask, cause)

    @classmethod
    def _wrap(cls, planes: Planes) -> SCMTensor:
        self = cls.__new__(cls)
        self._planes = planes
        return self

    @classmethod
    def from_ieee(cls, a: Any) -> SCMTensor:
        """A tensor of IEEE numbers; NaN and ±inf become ⊥ NONFINITE.

        >>> SCMTensor.from_ieee([1.0, float("inf")])
        SCMTensor([1.0, ⊥])
        """
        return cls(a)

    @classmethod
    def from_numpy(cls, a: SCMArray) -> SCMTensor:
        """The same lanes as a NumPy ``SCMArray``, copied.

        >>> from zeroproofml.scm.array import SCMArray
        >>> SCMTensor.from_numpy(SCMArray([1.0, 2.0], [False, True]))
        SCMTensor([1.0, ⊥], dtype=float64)
        """
        return cls(a.payload, a.mask.copy(), cause=a.cause.copy())

    @classmethod
    def bottom(
        cls,
        shape: int | tuple[int, ...],
        dtype: torch.dtype | None = None,
        cause: Cause = Cause.MASKED,
        device: torch.device | str | None = None,
    ) -> SCMTensor:
        """A tensor of ⊥; ``dtype`` defaults to torch's.

        Raises:
            SCMTypeError: a dtype that cannot hold a payload. SCMValueError: no cause.

        >>> SCMTensor.bottom(2, cause=Cause.DOMAIN).causes()
        {'DOMAIN': 2}
        """
        reason = SCMValue.bottom(cause).cause
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        payload = torch.zeros(size, dtype=_number_dtype(dtype), device=device)
        causes = torch.full(size, int(reason), dtype=torch.uint8, device=device)
        return cls._wrap(Planes(payload, causes != 0, causes))

    # --- read -----------------------------------------------------------------------------------

    @property
    def payload(self) -> Tensor:
        """The numbers, 0 at ⊥; do not write to it."""
        return self._planes.payload

    @property
    def mask(self) -> Tensor:
        """True at ⊥; do not write to it."""
        return self._planes.mask

    @property
    def cause(self) -> Tensor:
        """``Cause`` flags, uint8, non-zero exactly at ⊥; do not write to it."""
        return self._planes.cause

    @property
    def shape(self) -> torch.Size:
        """Shape."""
        return self.payload.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.payload.dim()

    @property
    def size(self) -> int:
        """Number of lanes (an attribute, as in NumPy)."""
        return self.payload.numel()

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the payload."""
        return self.payload.dtype

    @property
    def device(self) -> torch.device:
        """Where the three tensors are."""
        return self.payload.device

    @property
    def requires_grad(self) -> bool:
        """Whether the payload takes part in differentiation."""
        return self.payload.requires_grad

    @property
    def T(self) -> SCMTensor:
        """The transpose: axes reversed."""
        return self.transpose()

    @property
    def real(self) -> SCMTensor:
        """Real parts."""
        return self._wrap(self._planes._replace(payload=torch.real(self.payload)))

    @property
    def imag(self) -> SCMTensor:
        """Imaginary parts; 0 for real lanes."""
        payload = self.payload
        parts = payload.imag if payload.is_complex() else torch.zeros_like(payload)
        return self._wrap(self._planes._replace(payload=parts))

    def __len__(self) -> int:
        if not self.ndim:  # torch.tensor(x) arrives here
            msg = "a 0-d SCMTensor has no length, and is no plain tensor; use .filled or .to_ieee()"
            raise SCMTypeError(msg)
        return len(self.payload)

    def __iter__(self) -> Iterator[SCMTensor]:
        if not self.ndim:
            msg = "iteration over a 0-d SCMTensor; use .item()"
            raise SCMTypeError(msg)
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> SCMTensor:
        return self._each(lambda plane: plane[index])

    def item(self) -> SCMValue:
        """The only lane as a scalar value.

        Raises:
            SCMValueError: more or fewer lanes than one.

        >>> SCMTensor([2.0]).item()
        SCMValue(2.0)
        """
        if self.size != 1:
            msg = f"item: the tensor has {self.size} lanes; index one first"
            raise SCMValueError(msg)
        if self.mask.item():
            return SCMValue.bottom(Cause(int(self.cause.item())))
        return SCMValue(self.payload.item())

    def __repr__(self) -> str:
        return show(self._planes)

    # --- shape ----------------------------------------------------------------------------------

    def _each(self, function: Callable[[Tensor], Tensor]) -> SCMTensor:
        return self._wrap(each(self._planes, function))

    def reshape(self, *shape: Any) -> SCMTensor:
        """The same lanes in another shape, given as a tuple or as integers.

        >>> SCMTensor([1.0, 2.0]).reshape(2, 1).shape
        torch.Size([2, 1])
        """
        return self._each(lambda plane: plane.reshape(*shape))

    def ravel(self) -> SCMTensor:
        """One axis, in C order.

        >>> SCMTensor([[1.0], [2.0]]).ravel()
        SCMTensor([1.0, 2.0])
        """
        return self._each(torch.ravel)

    def transpose(self, *axes: int) -> SCMTensor:
        """Axes permuted (all of them given, as in NumPy), by default reversed.

        >>> SCMTensor([[1.0, 2.0]]).transpose().shape
        torch.Size([2, 1])
        """
        order = axes or tuple(reversed(range(self.ndim)))
        return self._each(lambda plane: plane.permute(*order) if order else plane)

    def squeeze(self, axis: Axis = None) -> SCMTensor:
        """Without axes of length 1.

        >>> SCMTensor([[1.0, 2.0]]).squeeze().shape
        torch.Size([2])
        """
        return self._each(lambda plane: plane.squeeze() if axis is None else plane.squeeze(axis))

    def astype(self, dtype: torch.dtype) -> SCMTensor:
        """Another floating or complex dtype; a number it cannot hold becomes ⊥ OVERFLOW.

        Raises:
            SCMTypeError: another dtype, or complex to real.

        >>> SCMTensor(torch.tensor([1.0, 1e30])).astype(torch.float16)
        SCMTensor([1.0, ⊥], dtype=float16)
        """
        wanted = _number_dtype(dtype)
        if self.dtype.is_complex and not wanted.is_complex:
            msg = f"astype: {self.dtype} to {wanted} drops the imaginary parts; take .real"
            raise SCMTypeError(msg)
        return self._wrap(settle(self.payload.to(wanted), self.mask, self.cause))

    def to(self, *args: Any, **kwargs: Any) -> SCMTensor:
        """``Tensor.to`` for a device, and for a dtype as :meth:`astype`.

        >>> SCMTensor([1.0]).to("cpu", torch.float64).dtype
        torch.float64
        """
        payload = self.payload.to(*args, **kwargs)
        moved = each(self._planes, lambda plane: plane.to(payload.device))
        wrapped = self._wrap(moved)
        return wrapped if payload.dtype == self.dtype else wrapped.astype(payload.dtype)

    def detach(self) -> SCMTensor:
        """The same lanes without history.

        >>> SCMTensor(torch.ones(1, requires_grad=True)).detach().requires_grad
        False
        """
        return self._wrap(self._planes._replace(payload=self.payload.detach()))

    # --- leave ----------------------------------------------------------------------------------

    def filled(self, value: complex) -> Tensor:
        """The payload with ``value`` at ⊥, as a plain tensor.

        Args:
            value: a number, NaN and inf included; real for a real tensor.

        Raises:
            SCMTypeError: not a number, or complex for a real tensor.

        >>> SCMTensor([1.0, 2.0], [False, True]).filled(-1.0)
        tensor([ 1., -1.])
        """
        kinds = (int, float, complex) if self.dtype.is_complex else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            msg = f"value: pass one number that {self.dtype} can hold"
            raise SCMTypeError(msg)
        return torch.where(self.mask, value, self.payload)

    def to_ieee(self) -> Tensor:
        """A plain tensor with NaN (complex: nan+nanj) at ⊥.

        >>> SCMTensor([1.0, 2.0], [False, True]).to_ieee()
        tensor([1., nan])
        """
        nan = complex("nan+nanj") if self.dtype.is_complex else float("nan")
        return torch.where(self.mask, nan, self.payload)

    def to_numpy(self) -> SCMArray:
        """The same lanes as a NumPy ``SCMArray``.

        Raises:
            SCMTypeError: bfloat16, which NumPy does not have.

        >>> SCMTensor([1.0, 2.0], [False, True]).to_numpy()
        SCMArray([1.0, ⊥], dtype=float32)
        """
        from zeroproofml.scm.array import SCMArray

        payload, mask, cause = (_host(plane) for plane in self._planes)
        return SCMArray(payload, mask, cause=cause)

    def to_masked(self) -> np.ma.MaskedArray[Any, Any]:
        """A ``numpy.ma`` array; the causes are left behind.

        >>> SCMTensor([1.0, 2.0], [False, True]).to_masked().mask
        array([False,  True])
        """
        return self.to_numpy().to_masked()

    def regular(self) -> Tensor:
        """The payloads of the regular lanes, 1-D; outside tracing only.

        >>> SCMTensor([1.0, 2.0, 3.0], [False, True, False]).regular()
        tensor([1., 3.])
        """
        return self.payload[~self.mask]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        msg = "an SCMTensor does not turn into a plain array; use .filled(value) or .to_ieee()"
        raise SCMTypeError(msg)

    def __bool__(self) -> NoReturn:
        msg = "the truth of an SCMTensor is ambiguous; use .mask or a comparison"
        raise SCMTypeError(msg)

    def _only(self) -> SCMValue:
        if self.ndim:
            msg = f"only a 0-d SCMTensor is a number; this one has shape {tuple(self.shape)}"
            raise SCMTypeError(msg)
        value = self.item()
        if value.is_bottom:
            msg = f"the lane is ⊥ ({describe(value.cause)}); test .mask first"
            raise BottomError(msg)
        return value

    def __float__(self) -> float:
        return float(self._only())

    def __complex__(self) -> complex:
        return complex(self._only())

    # --- operators ------------------------------------------------------------------------------

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        plain = [_strip(value) for value in args]
        named = {key: _strip(value) for key, value in (kwargs or {}).items()}
        return _dress(call(func, plain, named))

    def _apply(self, name: str, *operands: Any) -> Any:
        if any(isinstance(value, (str, bytes, dict, set, type(None))) for value in operands):
            return NotImplemented
        return _dress(FUNCTIONS[name](*(_strip(value) for value in operands)))

    def _compare(self, name: str, other: object) -> Any:
        return self._apply(name, self, other)

    # --- reduce ---------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> SCMTensor:
        """Sum; one ⊥ makes it ⊥.

        >>> SCMTensor([1.0, 2.0], [False, True]).sum()
        SCMTensor(⊥)
        """
        return self._wrap(reductions.sum_(self._planes, axis, keepdims))

    def prod(self, axis: Axis = None, keepdims: bool = False) -> SCMTensor:
        """Product; one ⊥ makes it ⊥.

        >>> SCMTensor([2.0, 3.0]).prod()
        SCMTensor(6.0)
        """
        return self._wrap(reductions.prod(self._planes, axis, keepdims))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> SCMTensor:
        """Mean, sum/n; one ⊥ makes it ⊥, and so does n = 0 (DIV_ZERO).

        >>> SCMTensor([2.0, 3.0]).mean()
        SCMTensor(2.5)
        """
        return self._wrap(reductions.mean(self._planes, axis, keepdims))

    def min(self, axis: Axis = None, keepdims: bool = False) -> SCMTensor:
        """Minimum of real lanes; one ⊥ makes it ⊥.

        Raises:
            SCMTypeError: complex lanes. SCMValueError: no lanes.

        >>> SCMTensor([2.0, 3.0]).min()
        SCMTensor(2.0)
        """
        return self._wrap(reductions.extreme("amin", self._planes, axis, keepdims))

    def max(self, axis: Axis = None, keepdims: bool = False) -> SCMTensor:
        """Maximum of real lanes; errors as for :meth:`min`.

        >>> SCMTensor([2.0, 3.0]).max()
        SCMTensor(3.0)
        """
        return self._wrap(reductions.extreme("amax", self._planes, axis, keepdims))

    def sum_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMTensor, Tensor]:
        """Sum of the regular lanes and their number (int64); 0 of none.

        >>> SCMTensor([1.0, 2.0], [False, True]).sum_valid()
        (SCMTensor(1.0), tensor(1))
        """
        return self._counted(reductions.sum_valid(self._planes, axis, keepdims))

    def mean_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMTensor, Tensor]:
        """Mean of the regular lanes and their number; ⊥ DIV_ZERO of none.

        >>> SCMTensor([1.0, 2.0], [False, True]).mean_valid()
        (SCMTensor(1.0), tensor(1))
        """
        return self._counted(reductions.mean_valid(self._planes, axis, keepdims))

    def min_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMTensor, Tensor]:
        """Minimum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> SCMTensor([1.0, 0.0], [False, True]).min_valid()
        (SCMTensor(1.0), tensor(1))
        """
        return self._counted(reductions.extreme_valid("amin", self._planes, axis, keepdims))

    def max_valid(self, axis: Axis = None, keepdims: bool = False) -> tuple[SCMTensor, Tensor]:
        """Maximum of the regular real lanes and their number; ⊥ DOMAIN of none.

        >>> SCMTensor([-1.0, 0.0], [False, True]).max_valid()
        (SCMTensor(-1.0), tensor(1))
        """
        return self._counted(reductions.extreme_valid("amax", self._planes, axis, keepdims))

    def _counted(self, result: tuple[Planes, Tensor]) -> tuple[SCMTensor, Tensor]:
        return self._wrap(result[0]), result[1]

    # --- measure --------------------------------------------------------------------------------

    def coverage(self, axis: Axis = None) -> Tensor:
        """Share of the lanes that are regular, float64; 1.0 of no lanes.

        >>> SCMTensor([1.0, 2.0], [False, True]).coverage()
        tensor(0.5000, dtype=torch.float64)
        """
        regular = SCMTensor._wrap(canonical((~self.mask).to(torch.float64)))
        share = regular.mean(axis)
        return torch.where(share.mask, 1.0, share.payload)

    def any_bottom(self, axis: Axis = None) -> Tensor:
        """Whether any lane is ⊥: a bool tensor.

        >>> SCMTensor([1.0, 2.0], [False, True]).any_bottom()
        tensor(True)
        """
        axes = reductions.axes_of(axis, self.ndim)
        return torch.any(self.mask, dim=axes) if axes else self.mask

    def causes(self) -> dict[str, int]:
        """How many lanes carry each cause; a lane with two counts under both. Outside tracing only.

        >>> (SCMTensor([1.0, 0.0]) / 0.0).causes()
        {'DIV_ZERO': 2}
        """
        return count_causes(_host(self.cause))

    def explain(self, index: Any) -> str:
        """The causes of one lane in words; "regular" if it is not ⊥. Outside tracing only.

        Raises:
            SCMValueError: the index selects more than one lane.

        >>> torch.log(SCMTensor([1.0, -1.0])).explain(1)
        'DOMAIN (the operation is not defined there)'
        """
        from zeroproofml.scm._text import explain

        cause = self.cause[index]
        if cause.dim():
            msg = f"index {index!r} selects {cause.numel()} lanes; explain takes one"
            raise SCMValueError(msg)
        return explain(Cause(int(cause)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, tuple(self._planes)


def _number_dtype(dtype: torch.dtype | None) -> torch.dtype:
    wanted = torch.get_default_dtype() if dtype is None else dtype
    if not wanted.is_floating_point and not wanted.is_complex:
        msg = f"dtype {wanted} cannot hold a payload; pass a floating or complex dtype"
        raise SCMTypeError(msg)
    return wanted


def _host(plane: Tensor) -> Any:
    if plane.dtype == torch.bfloat16:
        msg = "NumPy has no bfloat16; call .astype(torch.float32) first"
        raise SCMTypeError(msg)
    return plane.detach().resolve_conj().cpu().numpy()


def _strip(value: Any) -> Any:
    """Planes for SCMTensors, also inside a list, as ``FUNCTIONS`` take them."""
    if isinstance(value, SCMTensor):
        return value._planes
    if isinstance(value, (list, tuple)) and any(isinstance(item, SCMTensor) for item in value):
        return [_strip(item) for item in value]
    return value


def _dress(result: Any) -> Any:
    return SCMTensor._wrap(result) if isinstance(result, Planes) else result


def _rebuild(payload: Tensor, mask: Tensor, cause: Tensor) -> SCMTensor:
    return SCMTensor._wrap(Planes(payload, mask, cause))


def _flatten(tensor: SCMTensor) -> tuple[list[Any], None]:
    return list(tensor._planes), None


def _unflatten(leaves: Any, context: None) -> SCMTensor:
    # Nothing is checked: transformations put placeholders in the leaves.
    return SCMTensor._wrap(Planes(*leaves))


pytree.register_pytree_node(
    SCMTensor,
    _flatten,
    _unflatten,
    serialized_type_name="zeroproofml.torch.SCMTensor",
)
