"""The networks: a trunk, a linear head and, for rational arms, two polynomials of the head.

All parameters of a network lie in one flat vector. The trunk's start has a stream without an arm,
so every arm of a seed with the same trunk starts from the same one; heads have the arm's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import linear, relu, silu

from zeroproofml.benchmarks.domains import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

COEFFICIENTS = {"p": 4, "q": 3}
"""Coefficients of P (degree 3, of the second output) and Q (degree 2, of the first)."""
COEFFICIENT_SD = 0.01
SHOCK = 0.01
_TINY = 1e-18


@dataclass(frozen=True)
class Design:
    """Shape of one network.

    ``widths`` are inputs and hidden widths, ``outputs`` the columns of the linear head. ``head``
    says how the first outputs become (P, Q): not at all, as they are (second, first), through
    polynomials, through 1 + a polynomial for Q, or as cosine and sine of one angle.

    >>> Design((10, 64, 64), 2, "rational").n_parameters
    5001
    """

    widths: tuple[int, ...]
    outputs: int
    head: Literal["scalar", "linear", "rational", "anchored", "angle"] = "scalar"
    smooth: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name → shape, in the order of the flat vector.

        >>> list(Design((10, 64), 1).shapes)
        ['hidden1.weight', 'hidden1.bias', 'output.weight', 'output.bias']
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, width) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            shapes[f"hidden{layer + 1}.weight"] = (width, fan_in)
            shapes[f"hidden{layer + 1}.bias"] = (width,)
        shapes["output.weight"] = (self.outputs, self.widths[-1])
        shapes["output.bias"] = (self.outputs,)
        if self.head in ("rational", "anchored"):
            shapes |= {name: (count,) for name, count in COEFFICIENTS.items()}
        return shapes

    @property
    def n_parameters(self) -> int:
        """Number of parameters.

        >>> Design((10, 64, 64), 4).n_parameters
        5124
        """
        return sum(math.prod(shape) for shape in self.shapes.values())

    def initial(
        self, trunk: torch.Generator, own: torch.Generator, *, shock: bool = False
    ) -> torch.Tensor:
        """Flat float32 start: U(±1/√fan_in) for weights and biases, N(0, 0.01²) for coefficients.

        ``shock`` makes Q tiny and nearly constant, so that everything starts as ⊥.

        >>> one = torch.Generator().manual_seed(1)
        >>> Design((10, 64), 1).initial(one, one).shape
        torch.Size([769])
        """
        parts = {}
        for name, shape in self.shapes.items():
            layer, _, _ = name.partition(".")
            if layer in COEFFICIENTS:
                parts[name] = COEFFICIENT_SD * torch.randn(shape, generator=own)
                continue
            source = own if layer == "output" else trunk
            bound = 1.0 / math.sqrt(self.shapes[f"{layer}.weight"][1])
            parts[name] = (2.0 * torch.rand(shape, generator=source) - 1.0) * bound
        if shock:
            parts["q"] *= SHOCK
            parts["output.weight"][0] *= SHOCK
            parts["output.bias"][0] = 0.0
        return torch.cat([part.reshape(-1) for part in parts.values()])

    def named(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of the flat vector by parameter name.

        >>> design = Design((10, 64), 1)
        >>> design.named(torch.zeros(design.n_parameters))["output.bias"].shape
        torch.Size([1])
        """
        return parameters.named(flat, self.shapes)

    def __call__(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Head outputs (B, k) for inputs (B, widths[0])."""
        return linear(self.features(weights, x), weights["output.weight"], weights["output.bias"])

    def features(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Output of the trunk (B, widths[-1])."""
        act = silu if self.smooth else relu
        for layer in range(1, len(self.widths)):
            x = act(linear(x, weights[f"hidden{layer}.weight"], weights[f"hidden{layer}.bias"]))
        return x

    def tuples(
        self, weights: Mapping[str, torch.Tensor], out: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(P, Q), each (B,), of head outputs (B, k), not normalised.

        >>> design = Design((10, 64), 2, "rational")
        >>> weights = {"p": torch.tensor([0.0, 1, 0, 1]), "q": torch.tensor([1.0, 0, 2])}
        >>> p, q = design.tuples(weights, torch.tensor([[3.0, 2.0]]))
        >>> p.item(), q.item()
        (10.0, 19.0)
        """
        if self.head == "angle":
            return out[:, 0].cos(), out[:, 0].sin()
        z_den, z_num = out[:, 0], out[:, 1]
        if self.head == "linear":
            return z_num, z_den
        a0, a1, a2, a3 = weights["p"].unbind()
        b0, b1, b2 = weights["q"].unbind()
        p = a0 + z_num * (a1 + z_num * (a2 + z_num * a3))
        q = b0 + z_den * (b1 + z_den * b2)
        return p, (1.0 + q if self.head == "anchored" else q)


def unit(
    p: torch.Tensor, q: torch.Tensor, *, detach: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """(P, Q) over its norm; ``detach`` makes the norm a constant of differentiation.

    >>> p, q = unit(torch.tensor([3.0]), torch.tensor([4.0]))
    >>> round(p.item(), 6), round(q.item(), 6)
    (0.6, 0.8)
    """
    size = torch.rsqrt(p * p + q * q + _TINY)
    size = size.detach() if detach else size
    return p * size, q * size
