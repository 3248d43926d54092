"""The networks of the classic protocol, as published; starting weights are drawn by NumPy.

Every module maps inputs (B, 3) = (log10 ω, log10 ω0, log10 Q) and ω (B,), float32, to the real and the
imaginary part (B,) of the response and a mask of rows that are ⊥.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import softplus

from zeroproofml.report.domains.rf.classic import LEADING, SINGULAR
from zeroproofml.torch.layers import SCMRationalLayer
from zeroproofml.torch.ops import scm_inv_torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Answer = tuple[Tensor, Tensor, Tensor]

_CHEBYSHEV = 6
_NUMERATOR_SPREAD = 0.01
_HEAD_SCALE = 0.01


def _perceptron(widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers[:-1])


def _divided(above: tuple[Tensor, Tensor], below: tuple[Tensor, Tensor]) -> Answer:
    """Complex quotient in real arithmetic; below 1e-8 a row is ⊥, 0, and its gradient finite.

    What is not finite stays so: it must reach the loss and fail the arm.
    """
    (p, pj), (d, dj) = above, below
    size = d * d + dj * dj
    bottom = size < SINGULAR**2
    inverse, _ = scm_inv_torch(size, bottom)
    re, im = (p * d + pj * dj) * inverse, (pj * d - p * dj) * inverse
    return re.masked_fill(bottom, 0.0), im.masked_fill(bottom, 0.0), bottom


class Transfer(nn.Module):
    """(log10 ω0, log10 Q) → c, r0, r1; H = c/(softplus(r0) + softplus(r1)·s + softplus(1)·s²).

    >>> sum(p.numel() for p in Transfer().parameters())
    17283
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_perceptron((2, 128, 128), nn.SiLU), nn.SiLU())
        self.head = nn.Linear(128, 3)

    def finish(self) -> None:
        """Shrink the last layer and lift the stiffness, once weights are drawn."""
        with torch.no_grad():
            self.head.weight.mul_(_HEAD_SCALE)
            self.head.bias.mul_(_HEAD_SCALE)
            self.head.bias[1] = 1.0

    def coefficients(self, x: Tensor) -> Tensor:
        """(c, a1, a0) (B, 3), scaled to a monic denominator.

        >>> Transfer().coefficients(torch.zeros(1, 3)).shape
        torch.Size([1, 3])
        """
        c, r0, r1 = self.head(self.trunk(x[:, 1:])).unbind(1)
        return torch.stack([c, softplus(r1), softplus(r0)], dim=1) / LEADING

    def forward(self, x: Tensor, omega: Tensor) -> Answer:
        """The response and where it is ⊥."""
        c, r0, r1 = self.head(self.trunk(x[:, 1:])).unbind(1)
        stiff = softplus(r0) - LEADING * omega * omega
        return _divided((c, torch.zeros_like(c)), (stiff, softplus(r1) * omega))


class Rational(nn.Module):
    """All inputs → p0, p1, p2, a0, a1: a quotient of degree 2 over a monic 2, unconstrained.

    >>> sum(p.numel() for p in Rational().parameters())
    17669
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = _perceptron((3, 128, 128, 5), nn.ReLU)

    def forward(self, x: Tensor, omega: Tensor) -> Answer:
        """The response and where it is ⊥."""
        p0, p1, p2, a0, a1 = self.net(x).unbind(1)
        square = omega * omega
        return _divided((p0 - p2 * square, p1 * omega), (a0 - square, a1 * omega))


class Decoupled(nn.Module):
    """All inputs → z; the parts are two independent Chebyshev rationals 6/6 of z.

    >>> sum(p.numel() for p in Decoupled().parameters())
    17181
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = _perceptron((3, 128, 128, 1), nn.ReLU)
        self.re, self.im = (
            SCMRationalLayer(_CHEBYSHEV, _CHEBYSHEV, basis="chebyshev", singular_epsilon=SINGULAR)
            for _ in range(2)
        )

    def forward(self, x: Tensor, omega: Tensor) -> Answer:
        """The response and where it is ⊥; a row is ⊥ as a whole."""
        del omega  # log10 ω is an input already
        z = self.net(x)[:, 0]
        (re, lost_re), (im, lost_im) = self.re(z), self.im(z)
        # The layers answer ⊥ to a z that is not finite; here it must fail the arm instead.
        re, im = re + (z - z), im + (z - z)
        bottom = (lost_re | lost_im) & torch.isfinite(z)
        return re.masked_fill(bottom, 0.0), im.masked_fill(bottom, 0.0), bottom


class Plain(nn.Module):
    """All inputs → both parts.

    >>> sum(p.numel() for p in Plain((256, 256), nn.SiLU).parameters())
    67330
    """

    def __init__(self, hidden: tuple[int, ...], activation: type[nn.Module]) -> None:
        super().__init__()
        self.net = _perceptron((3, *hidden, 2), activation)

    def forward(self, x: Tensor, omega: Tensor) -> Answer:
        """The response; no row is ⊥."""
        del omega
        re, im = self.net(x).unbind(1)
        return re, im, torch.zeros_like(re, dtype=torch.bool)


Network = Transfer | Rational | Decoupled | Plain
_HIDDEN = {
    "mlp_silu": (256, 256),
    "mlp_relu": (256, 256),
    "mlp_deep_silu": (512, 512, 512, 512),
    "mlp_iso_silu": (128, 128),
}
FAMILIES = {
    "scm_transfer": "transfer",
    "scm_transfer_rel": "transfer",
    "rational_transfer": "rational",
    "scm_decoupled": "decoupled",
    "mlp_silu": "mlp",
    "mlp_relu": "mlp",
    "mlp_deep_silu": "mlp_deep",
    "mlp_iso_silu": "mlp_iso",
}
"""Arm → word of its start: arms of one family start from the same draws."""


def build(arm: str, rng: np.random.Generator) -> Network:
    """The network of an arm with its starting weights.

    Linear layers U(±1/√fan_in), weights and biases; numerators of Chebyshev rationals N(0, 0.01²).

    >>> import numpy as np
    >>> build("scm_transfer", np.random.default_rng(0)).head.bias[1].item()
    1.0
    """
    family = FAMILIES[arm]
    net: Network
    if family == "transfer":
        net = Transfer()
    elif family == "rational":
        net = Rational()
    elif family == "decoupled":
        net = Decoupled()
    else:
        net = Plain(_HIDDEN[arm], nn.ReLU if arm == "mlp_relu" else nn.SiLU)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                for part in (module.weight, module.bias):
                    part.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(part.shape))))
            elif isinstance(module, SCMRationalLayer):
                drawn = _NUMERATOR_SPREAD * rng.standard_normal(len(module.numerator))
                module.numerator.copy_(torch.from_numpy(drawn))
    if isinstance(net, Transfer):
        net.finish()
    return net
