"""The networks of the learned arms: shapes, initial weights, and the rational section head.

Every arm is one perceptron with SiLU between its layers. Weights are drawn by NumPy in float64 and
copied, so that no torch generator decides about a number. Arms of one family start equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import linear, silu, softplus

from zeroproofml.benchmarks.domains import parameters
from zeroproofml.torch.ops import scm_inv_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

OFFSETS = (-0.3, 0.3)
"""Shift of ln ω̂ of the two modes: without it they would start, and stay, equal."""
SINGULAR = 1e-8
"""Smallest abs D of a mode in training; a lane below it has weight 0."""
_LAST = 0.1


@dataclass(frozen=True)
class Design:
    """Layer widths of a perceptron, input first; ``skip`` adds a linear map without bias.

    >>> DESIGNS["hyper"].n_parameters, DESIGNS["mlp"].n_parameters
    (18352, 17666)
    """

    widths: tuple[int, ...]
    dtype: torch.dtype
    skip: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name → shape, in the order of the flat vector.

        >>> list(DESIGNS["gate"].shapes)[-2:]
        ['output.weight', 'output.bias']
        """
        last = len(self.widths) - 2
        out: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, fan_out) in enumerate(
            zip(self.widths[:-1], self.widths[1:], strict=True)
        ):
            name = "output" if layer == last else f"hidden{layer + 1}"
            out[f"{name}.weight"] = (fan_out, fan_in)
            out[f"{name}.bias"] = (fan_out,)
        if self.skip:
            out["skip.weight"] = (self.widths[-1], self.widths[0])
        return out

    @property
    def n_parameters(self) -> int:
        """Number of parameters.

        >>> DESIGNS["mlp_deep"].n_parameters, DESIGNS["gate"].n_parameters
        (199682, 4609)
        """
        return sum(math.prod(shape) for shape in self.shapes.values())

    def initial(self, rng: np.random.Generator) -> torch.Tensor:
        """Flat start: hidden weights U(±√(3/fan_in)), output U(±0.1/√fan_in), the rest zero.

        >>> DESIGNS["gate"].initial(np.random.default_rng(0)).shape
        torch.Size([4609])
        """
        parts = []
        for name, shape in self.shapes.items():
            if name.endswith("bias") or name == "skip.weight":
                parts.append(np.zeros(math.prod(shape)))
                continue
            bound = (
                _LAST / math.sqrt(shape[1]) if name == "output.weight" else math.sqrt(3 / shape[1])
            )
            parts.append(rng.uniform(-bound, bound, shape).ravel())
        return torch.from_numpy(np.concatenate(parts)).to(self.dtype)

    def named(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of the flat vector by parameter name.

        >>> DESIGNS["hyper"].named(torch.zeros(18352))["skip.weight"].shape
        torch.Size([8, 5])
        """
        return parameters.named(flat, self.shapes)

    def __call__(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Outputs (…, out) for inputs (…, in) of the design's dtype."""
        h = x
        for layer in range(1, len(self.widths) - 1):
            h = silu(linear(h, weights[f"hidden{layer}.weight"], weights[f"hidden{layer}.bias"]))
        out = linear(h, weights["output.weight"], weights["output.bias"])
        if self.skip:
            out = out + linear(x, weights["skip.weight"])
        return out


DESIGNS = {
    "hyper": Design((5, 128, 128, 8), torch.float64, skip=True),
    "mlp": Design((6, 128, 128, 2), torch.float32),
    "mlp_deep": Design((6, 256, 256, 256, 256, 2), torch.float32),
    "gate": Design((5, 64, 64, 1), torch.float32),
}
"""Network of each family."""


def sections(o: torch.Tensor, link: str) -> torch.Tensor:
    """Sections (n, 2, 4) = (ω̂, δ̂, a, b) of two modes from raw outputs ``o`` (n, 8).

    Damping 0.1·(1 + o) with the ``linear`` link may cross zero, so that ⊥ is a region of the output
    space; 0.8·softplus(o − 2) is positive whatever the network says.

    >>> made = sections(torch.zeros(1, 8, dtype=torch.float64), "linear")[0]
    >>> [[round(x, 4) for x in mode] for mode in made.tolist()]
    [[0.7408, 0.1, 0.5, 0.0], [1.3499, 0.1, 0.5, 0.0]]
    """
    shift = torch.tensor(OFFSETS, dtype=o.dtype, device=o.device)
    omega = torch.exp(0.5 * o[:, 0:2] + shift)
    damping = 0.1 * (1 + o[:, 2:4]) if link == "linear" else 0.8 * softplus(o[:, 2:4] - 2)
    return torch.stack([omega, damping, 0.5 + o[:, 4:6], 0.1 * o[:, 6:8]], dim=-1)


def response(
    made: torch.Tensor, omega: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Re and Im (n, m) of Σ N_k/D_k at ω (n, m), and where a mode is ⊥ there.

    Real arithmetic: one masked reciprocal of abs(D)² serves both parts. A ⊥ lane is 0 and its
    gradient is finite.

    >>> one = torch.tensor([[[1.0, 0.0, 1.0, 0.0], [2.0, 0.1, 0.0, 0.0]]], dtype=torch.float64)
    >>> re, im, bottom = response(one, torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    >>> re.tolist(), im.tolist(), bottom.tolist()
    ([[1.0, 0.0]], [[0.0, 0.0]], [[False, True]])
    """
    w, d, a, b = made.unsqueeze(-1).unbind(2)
    v = omega[:, None, :] / w
    square = v * v
    stiff, loss = 1 - square, d * v
    size = stiff * stiff + loss * loss
    near = size < SINGULAR**2
    inverse, _ = scm_inv_torch(size, near)
    slope = b * v
    re = ((a * stiff + slope * loss) * inverse).sum(1)
    im = ((slope * stiff - a * loss) * inverse).sum(1)
    # What is not finite is no ⊥ of a design: it must reach the loss and fail the arm.
    lost = near.any(1)
    return re.masked_fill(lost, 0.0), im.masked_fill(lost, 0.0), lost


def to_numpy(named: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Tensors as arrays, for a checkpoint.

    >>> to_numpy({"bias": torch.zeros(2)})["bias"].tolist()
    [0.0, 0.0]
    """
    return {name: value.detach().cpu().numpy().copy() for name, value in named.items()}
