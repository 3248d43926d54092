"""Adam over one flat parameter vector: a few fused passes per step, no loop over tensors."""

from __future__ import annotations

import math

import torch

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class FlatAdam:
    """Adam (Kingma and Ba 2015) without weight decay; ``value`` is a detached flat vector.

    >>> value = torch.ones(2)
    >>> FlatAdam(value).step(torch.tensor([1.0, -1.0]), 0.5)
    >>> [round(x, 6) for x in value.tolist()]
    [0.5, 1.5]
    """

    def __init__(self, value: torch.Tensor) -> None:
        self._value = value
        self._first, self._second = torch.zeros_like(value), torch.zeros_like(value)
        self._steps = 0

    def step(self, gradient: torch.Tensor, rate: float, beta1: float = BETA1) -> None:
        """Change the vector in place by one step of size ``rate``; ``beta1`` is that of this step."""
        self._steps += 1
        self._first.lerp_(gradient, 1 - beta1)
        self._second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        bias1, bias2 = 1 - beta1**self._steps, 1 - BETA2**self._steps
        spread = self._second.sqrt().div_(math.sqrt(bias2)).add_(EPS)
        self._value.addcdiv_(self._first, spread, value=-rate / bias1)
