"""From what a caller may pass to tensors of one dtype: the operand rules of the thirteen operations.

Everything here also runs under ``torch.compile``: plain Python on types and sizes, no exception used
as control flow on the tensor path.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = ["broadcast", "complex_of", "mask_tensor", "operands", "real_of"]

_FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = (torch.complex64, torch.complex128)
_INTEGER = (
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)


def complex_of(dtype: torch.dtype) -> torch.dtype:
    """The complex dtype that holds a real one (half precision has none of its own: complex64)."""
    if dtype in _COMPLEX:
        return dtype
    return torch.complex128 if dtype == torch.float64 else torch.complex64


def real_of(dtype: torch.dtype) -> torch.dtype:
    """The real dtype of a complex one; a real dtype is returned as it is."""
    if dtype == torch.complex128:
        return torch.float64
    return torch.float32 if dtype == torch.complex64 else dtype


def broadcast(shapes: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[int, ...]:
    """The common shape, or SCMValueError naming all of them."""
    result: list[int] = []
    for position in range(max(len(shape) for shape in shapes)):
        size = 1
        for shape in shapes:
            if position >= len(shape) or shape[-1 - position] == 1:
                continue
            if size not in (1, shape[-1 - position]):
                pairs = zip(names, shapes, strict=True)
                listed = ", ".join(f"{name} {tuple(each)}" for name, each in pairs)
                msg = f"shapes do not broadcast: {listed}; reshape one of them"
                raise SCMValueError(msg)
            size = shape[-1 - position]
        result.append(size)
    return tuple(reversed(result))


def _refuse(name: str, found: str) -> SCMTypeError:
    return SCMTypeError(
        f"{name} is {found}; pass a floating or complex tensor, numbers or lists of them"
    )


def _from_numpy(name: str, value: np.ndarray[Any, Any] | np.generic) -> Tensor:
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 8 * (
        2 if array.dtype.kind == "c" else 1
    ):
        raise _refuse(name, f"an array of {array.dtype}")
    # Always a copy: torch warns about read-only arrays and refuses negative strides and foreign
    # byte orders.
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _from_list(name: str, value: Any) -> Tensor:
    leaves = list(_leaves(value))
    if any(isinstance(leaf, Tensor) for leaf in leaves):  # torch would drop their gradients
        return _stacked(name, value)
    if any(isinstance(leaf, np.ndarray) for leaf in leaves):  # torch warns about lists of arrays
        return _from_numpy(name, np.asarray(value))
    try:
        return torch.asarray(value)
    except (TypeError, RuntimeError, ValueError, OverflowError) as error:
        problem = str(error).splitlines()[0]
    try:  # integers beyond int64 end here
        array = np.asarray(value)
    except ValueError as error:
        msg = f"{name} is a ragged list: {problem}; give rows of equal length"
        raise SCMValueError(msg) from error
    if any(type(leaf) not in (int, float) and not isinstance(leaf, np.integer) for leaf in leaves):
        raise _refuse(name, f"of type {type(value).__name__}")
    return torch.from_numpy(np.array([_float(name, leaf) for leaf in leaves])).reshape(array.shape)


def _stacked(name: str, value: Any) -> Tensor:
    """A list with tensors in it, as one tensor that still depends on them."""
    rows = [
        _stacked(name, item) if isinstance(item, (list, tuple)) else torch.as_tensor(item)
        for item in value
    ]
    if any(row.shape != rows[0].shape for row in rows):
        msg = f"{name} is a ragged list; give rows of equal length"
        raise SCMValueError(msg)
    dtype = functools.reduce(torch.promote_types, [row.dtype for row in rows])
    return torch.stack([row.to(dtype) for row in rows])


def _float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        msg = f"{name} is an integer beyond float64; scale it before the call"
        raise SCMValueError(msg) from error


def _is_weak(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, np.generic)


def _from_object(name: str, value: Any) -> Tensor:
    """What is neither a tensor nor a list: NumPy arrays, arrays of other frameworks, buffers."""
    if isinstance(value, np.ma.MaskedArray):
        msg = f"{name} is a numpy.ma array, whose mask would be lost; pass its data and its mask"
        raise SCMTypeError(msg)
    try:  # not torch.asarray, which reads the bytes of a buffer as numbers
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _refuse(name, f"of type {type(value).__name__}") from error
    return _from_numpy(name, array)


def _payload(name: str, value: Any) -> Tensor:
    """A tensor of a supported dtype; integers are float64 from here on."""
    if isinstance(value, Tensor):
        tensor = value
    elif isinstance(value, (list, tuple)):
        # torch would turn [True, 2.0] into [1.0, 2.0] silently.
        if any(_is_bool(leaf) for leaf in _leaves(value)):
            raise _refuse(name, "a list with bool in it")
        tensor = _from_list(name, value)
    else:
        tensor = _from_object(name, value)
    if tensor.dtype in _FLOATING or tensor.dtype in _COMPLEX:
        return tensor
    if tensor.dtype in _INTEGER:
        return tensor.to(torch.float64)
    raise _refuse(name, f"a tensor of {tensor.dtype}")


def _is_bool(leaf: Any) -> bool:
    return isinstance(leaf, bool) or getattr(leaf, "dtype", None) in (torch.bool, np.bool_)


def operands(
    names: Sequence[str], values: Sequence[Any], *, real_last: bool = False
) -> tuple[Tensor, ...]:
    """Tensors of one dtype and device; with ``real_last`` the last one (pow's exponent) stays real.

    Python numbers are weak: they take the dtype of the tensors beside them. A call with Python
    numbers only uses torch's default dtype, or float64 if one of them is an integer.
    """
    weak = [_is_weak(value) for value in values]
    tensors: list[Any] = []
    for name, value, is_weak in zip(names, values, weak, strict=True):
        if isinstance(value, bool):
            raise _refuse(name, "a bool")
        if is_weak:
            tensors.append(_float(name, value) if isinstance(value, int) else value)
        else:
            tensors.append(_payload(name, value))
    if real_last and _is_complex(tensors[-1]):
        msg = f"{names[-1]} is complex; pow takes a real exponent"
        raise SCMTypeError(msg)

    dtype: torch.dtype | None = None
    device: torch.device | None = None
    for value, tensor, is_weak in zip(values, tensors, weak, strict=True):
        if is_weak:
            continue
        dtype = tensor.dtype if dtype is None else torch.promote_types(dtype, tensor.dtype)
        if device is None and isinstance(value, Tensor):
            device = value.device
    if dtype is None:
        integers = any(isinstance(value, int) for value in values)
        dtype = torch.float64 if integers else torch.get_default_dtype()
    if any(_is_complex(tensor) for tensor in tensors):
        dtype = complex_of(dtype)

    result = []
    for position, (tensor, is_weak) in enumerate(zip(tensors, weak, strict=True)):
        own = real_of(dtype) if real_last and position == len(tensors) - 1 else dtype
        if is_weak:  # by way of double precision: torch refuses to fill a half with 70000.
            wide = torch.complex128 if isinstance(tensor, complex) else torch.float64
            tensor = torch.tensor(tensor, dtype=wide, device=device)
        elif tensor.dtype == own and (device is None or tensor.device == device):
            result.append(tensor)
            continue
        result.append(tensor.to(dtype=own, device=device))
    return tuple(result)


def _is_complex(value: Any) -> bool:
    return value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex)


def mask_tensor(name: str, value: Any, device: torch.device) -> Tensor | None:
    """A bool tensor, or None. Integers count as True where they are not 0."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        tensor = value
    elif isinstance(value, (bool, int, np.bool_)):
        tensor = torch.tensor(bool(value), device=device)
    elif isinstance(value, (list, tuple)):
        tensor = _from_list(name, value).to(device)
        if tensor.numel() == 0:  # an empty list says nothing about its dtype
            tensor = tensor.to(torch.bool)
    else:
        tensor = _from_object(name, value).to(device)
    if tensor.dtype == torch.bool:
        return tensor
    if tensor.dtype in _INTEGER:
        return tensor.to(torch.bool)
    msg = f"{name} has dtype {tensor.dtype}; a mask is bool, or integer with non-zero meaning True"
    raise SCMTypeError(msg)
