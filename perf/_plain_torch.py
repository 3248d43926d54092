"""Plain Torch formulas that both sides of a comparison run; nothing of ours is imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch


def points(n: int, seed: int) -> torch.Tensor:
    """Float32 points in [0, 1) that want a gradient; NumPy draws them, the same everywhere."""
    return torch.from_numpy(np.random.default_rng(seed).random(n, np.float32)).requires_grad_()


def horner(row: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The polynomial with coefficients `row`, lowest first."""
    total = row[-1]
    for k in range(len(row) - 2, -1, -1):
        total = total * x + row[k]
    return total


def rational(numerator: torch.Tensor, denominator: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """P/Q by Horner, without checks."""
    return horner(numerator, x) / horner(denominator, x)


def gradient(formula: Callable[[], torch.Tensor], leaves: Sequence[torch.Tensor]) -> Any:
    """Forward and backward, with ones as cotangent."""
    value = formula()
    return torch.autograd.grad(value, leaves, torch.ones_like(value))
