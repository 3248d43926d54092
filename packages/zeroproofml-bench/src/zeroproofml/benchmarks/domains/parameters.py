"""Parameters of a network as one flat vector, which an optimiser steps through in one call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping


def named(flat: torch.Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Views of a flat vector (Σ sizes,) by parameter name, in the order of `shapes`.

    Examples
    --------
    >>> named(torch.arange(3.0), {"weight": (1, 2), "bias": (1,)})
    {'weight': tensor([[0., 1.]]), 'bias': tensor([2.])}
    """
    parts = torch.split_with_sizes(flat, [math.prod(shape) for shape in shapes.values()])
    return {
        name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
