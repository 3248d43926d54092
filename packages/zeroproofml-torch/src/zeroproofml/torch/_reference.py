"""The reference of a bundle: which rows are tried, and what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch.inference import InferenceResult, SCMInferenceWrapper

__all__ = [
    "OUTPUTS",
    "Arrays",
    "checked_inputs",
    "dtype_name",
    "expected",
    "lanes",
    "probes",
    "six",
]

OUTPUTS = (
    "decoded",
    "bottom_mask",
    "gap_mask",
    "fault_mask",
    "semantic_bottom_mask",
    "bottom_provenance",
)
MOST_EXAMPLES = 64
MOST_COLUMNS = 64
_DTYPES = (torch.float32, torch.float64, torch.int32, torch.int64, torch.bool)

Arrays = dict[str, NDArray[Any]]


def dtype_name(dtype: torch.dtype) -> str:
    """``float32`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def checked_inputs(given: Tensor | Sequence[Tensor]) -> Arrays:
    """The example inputs by name: arrays with one row axis of equal length in front."""
    tensors: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    if not tensors or len(tensors) > 64:
        msg = "example_inputs must hold 1 to 64 tensors"
        raise SCMValueError(msg)
    for number, tensor in enumerate(tensors):
        name = f"example_inputs[{number}]"
        if not isinstance(tensor, Tensor):
            msg = f"{name} must be a tensor, not {type(tensor).__name__}"
            raise SCMTypeError(msg)
        if tensor.dtype not in _DTYPES:
            msg = f"{name} is {tensor.dtype}; a bundle takes float32, float64, int32, int64, bool"
            raise SCMTypeError(msg)
        if tensor.ndim < 1 or tensor.shape[0] != tensors[0].shape[0]:
            msg = f"{name} has shape {tuple(tensor.shape)}; the first axis is the batch, equal for all"
            raise SCMValueError(msg)
        if tensor.shape[0] == 0:
            msg = f"{name} has no row; give at least one"
            raise SCMValueError(msg)
        if 0 in tensor.shape or tensor.ndim > 8:
            msg = f"{name} has shape {tuple(tensor.shape)}; at most 8 axes, none of them empty"
            raise SCMValueError(msg)
    return {
        f"input_{number}": tensor.detach().cpu().numpy() for number, tensor in enumerate(tensors)
    }


def probes(examples: Arrays) -> Arrays:
    """Examples, then zeros, then ±largest, NaN and ±inf in one column of the first example each."""
    columns = [
        (name, column)
        for name, array in examples.items()
        if array.dtype.kind == "f"
        for column in range(array[0].size)
    ]
    if len(columns) > MOST_COLUMNS:
        spread = np.linspace(0, len(columns) - 1, MOST_COLUMNS).round().astype(int)
        columns = [columns[k] for k in spread]
    made: dict[str, list[NDArray[Any]]] = {
        name: [*array[:MOST_EXAMPLES], np.zeros_like(array[0])] for name, array in examples.items()
    }
    for name, column in columns:
        top = float(np.finfo(examples[name].dtype).max)
        for value in (top, -top, np.nan, np.inf, -np.inf):
            for other, array in examples.items():
                row = array[0].copy()
                if other == name:
                    row.reshape(-1)[column] = value
                made[other].append(row)
    return {name: np.stack(rows) for name, rows in made.items()}


def six(result: InferenceResult) -> tuple[Tensor, ...]:
    """The six outputs of a bundle, in their order."""
    return (
        result.decoded,
        result.bottom_mask,
        result.gap_mask,
        result.fault_mask,
        result.semantic_bottom_mask,
        result.bottom_provenance.to(torch.int64),
    )


def expected(wrapper: SCMInferenceWrapper, rows: Arrays) -> tuple[Arrays, torch.dtype]:
    """What the model in evaluation mode says of some rows, and Q's dtype."""
    inputs = [torch.from_numpy(array) for array in rows.values()]
    _, Q, *_ = wrapper.raw(*inputs)
    result = wrapper(*inputs)
    if result.decoded.dtype not in (torch.float32, torch.float64):
        msg = f"the model decodes to {result.decoded.dtype}; a bundle holds float32 or float64"
        raise SCMTypeError(msg)
    if Q.dtype not in (torch.float32, torch.float64):
        msg = f"Q is {Q.dtype}; a bundle holds float32 or float64"
        raise SCMTypeError(msg)
    n = len(inputs[0])
    if result.decoded.ndim < 1 or result.decoded.shape[0] != n:
        msg = f"P has shape {tuple(result.decoded.shape)} for {n} rows; its first axis is the batch"
        raise SCMValueError(msg)
    return dict(zip(OUTPUTS, (t.numpy() for t in six(result)), strict=True)), Q.dtype


def lanes(wanted: Arrays) -> dict[str, int]:
    """How many lanes of the reference fall into each class; a 0 is a path not exercised."""
    fault, semantic = wanted["fault_mask"], wanted["semantic_bottom_mask"]
    gap = wanted["gap_mask"]
    classes = {
        "finite": ~fault & ~semantic & ~gap,
        "gap": gap,
        "fault": fault & ~semantic,
        "semantic": semantic & ~fault,
        "both": fault & semantic,
    }
    return {name: int(mask.sum()) for name, mask in classes.items()}
