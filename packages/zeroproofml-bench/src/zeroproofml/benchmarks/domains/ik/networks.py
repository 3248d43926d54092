"""The networks of the learned arms: joint angles in, a matrix and a few scalars out.

The answer of inverse kinematics is linear in the command, so a network reads only q and emits an
n×n matrix that multiplies ê. Every arm has the same inputs, the same trunk and (within 4 %) the
same number of parameters; what differs is how the scalars are read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import linear, silu

from zeroproofml.benchmarks.domains import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.ik.kinematics import Array, Robot

HIDDEN = {"r2": 64, "ur5": 128}
ENSEMBLE_HIDDEN = {"r2": 34, "ur5": 65}
ENSEMBLE_EPS = (1e-3, 1e-2, 1e-1)
EPS = 1e-2
OUTPUT_GAIN = 0.3

# Sums of consecutive joints with parallel axes, as rows over the joints. The Jacobian of the UR5
# depends neither on q6 nor, in the frame turned by q1, on q1.
_SUMS = {
    "r2": ((1, 0), (0, 1), (1, 1)),
    "ur5": (
        (0, 1, 0, 0, 0, 0),
        (0, 0, 1, 0, 0, 0),
        (0, 0, 0, 1, 0, 0),
        (0, 1, 1, 0, 0, 0),
        (0, 0, 1, 1, 0, 0),
        (0, 1, 1, 1, 0, 0),
        (0, 0, 0, 0, 1, 0),
    ),
}


def features(robot: Robot, q: Array) -> Array:
    """Cosines, then sines, of the sums of parallel joints: (N, 2F).

    >>> from zeroproofml.benchmarks.domains.ik.kinematics import R2
    >>> features(R2, np.zeros((1, 2))).tolist()
    [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
    """
    # Written as sums, not as a matrix product: each row's bytes are then its own.
    angles = np.stack(
        [sum(q[:, j] for j, used in enumerate(row) if used) for row in _SUMS[robot.name]],
        axis=-1,
    )
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)


def to_network_frame(robot: Robot, q: Array, vectors: Array) -> Array:
    """Task-space columns (N, m) or (N, m, k) turned by Rz(−q1), both blocks; a planar arm's as is.

    >>> from zeroproofml.benchmarks.domains.ik.kinematics import UR5
    >>> q = np.array([[np.pi / 2, 0, 0, 0, 0, 0]])
    >>> to_network_frame(UR5, q, np.array([[0.0, 1, 0, 0, 0, 1]])).round(12).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    if robot.planar:
        return vectors
    c, s = np.cos(q[:, 0]), np.sin(q[:, 0])
    if vectors.ndim == 3:
        c, s = c[:, None], s[:, None]
    out = vectors.copy()
    for first in (0, 3):
        x, y = vectors[:, first], vectors[:, first + 1]
        out[:, first], out[:, first + 1] = c * x + s * y, c * y - s * x
    return out


@dataclass(frozen=True)
class Design:
    """Shapes of one network: ``members`` is 0 for a single one, otherwise the ensemble's size.

    >>> Design.of("scm_full", "r2").n_parameters, Design.of("eps_ensemble", "ur5").n_parameters
    (4933, 23121)
    """

    joints: int
    inputs: int
    hidden: int
    outputs: int
    members: int = 0

    @classmethod
    def of(cls, arm: str, robot: str) -> Design:
        """The design of a learned arm for a robot.

        >>> Design.of("scm_basic", "ur5").outputs
        42
        """
        sums = _SUMS[robot]
        n = len(sums[0])
        if arm == "eps_ensemble":
            members = len(ENSEMBLE_EPS)
            return cls(n, 2 * len(sums), ENSEMBLE_HIDDEN[robot], n * n + 1, members)
        scalars = n if arm == "scm_basic" else 1
        return cls(n, 2 * len(sums), HIDDEN[robot], n * n + scalars)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name → shape, in the order of the flat vector.

        >>> list(Design.of("scm_full", "r2").shapes)[:2]
        ['hidden1.weight', 'hidden1.bias']
        """
        lead = (self.members,) if self.members else ()
        sizes = {"hidden1": self.inputs, "hidden2": self.hidden, "output": self.hidden}
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, fan_in in sizes.items():
            width = self.outputs if layer == "output" else self.hidden
            shapes[f"{layer}.weight"] = (*lead, width, fan_in)
            shapes[f"{layer}.bias"] = (*lead, width)
        return shapes

    @property
    def n_parameters(self) -> int:
        """Number of parameters, all members together.

        >>> Design.of("scm_basic", "r2").n_parameters
        4998
        """
        return sum(math.prod(shape) for shape in self.shapes.values())

    def initial(self, generator: torch.Generator) -> torch.Tensor:
        """Flat float32 start: weights U(±√(3/fan_in)), 0.3 of that at the output, biases 0.

        >>> Design.of("scm_full", "r2").initial(torch.Generator().manual_seed(0)).shape
        torch.Size([4933])
        """
        parts = []
        for name, shape in self.shapes.items():
            if name.endswith("bias"):
                parts.append(torch.zeros(math.prod(shape)))
                continue
            bound = math.sqrt(3.0 / shape[-1]) * (OUTPUT_GAIN if name == "output.weight" else 1.0)
            uniform = torch.rand(math.prod(shape), generator=generator)
            parts.append((2.0 * uniform - 1.0) * bound)
        return torch.cat(parts)

    def named(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of the flat vector by parameter name.

        >>> design = Design.of("scm_full", "r2")
        >>> design.named(torch.zeros(design.n_parameters))["output.bias"].shape
        torch.Size([5])
        """
        return parameters.named(flat, self.shapes)

    def __call__(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Raw outputs (B, out), or (members, B, out), for features (B, 2F)."""
        w1, b1, w2, b2, w3, b3 = weights.values()
        if not self.members:
            return linear(silu(linear(silu(linear(x, w1, b1)), w2, b2)), w3, b3)
        h = x.expand(self.members, *x.shape)
        for weight, bias in ((w1, b1), (w2, b2)):
            h = silu(torch.baddbmm(bias[:, None, :], h, weight.mT))
        return torch.baddbmm(b3[:, None, :], h, w3.mT)

    def matrix_times(self, out: torch.Tensor, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Split raw outputs into (A·ê, scalars): (…, B, n) and (…, B, k).

        >>> design = Design.of("scm_full", "r2")
        >>> p, q = design.matrix_times(torch.tensor([[1.0, 2, 3, 4, 5]]), torch.tensor([[1.0, 0]]))
        >>> p.tolist(), q.tolist()
        ([[1.0, 3.0]], [[5.0]])
        """
        n = self.joints
        matrix = out[..., : n * n].view(*out.shape[:-1], n, n)
        return (matrix * e[:, None, :]).sum(-1), out[..., n * n :]


def epsilons(arm: str) -> torch.Tensor:
    """ε of the rational arms: one number, or (members, 1, 1) for the ensemble.

    >>> epsilons("rational_eps").shape, epsilons("eps_ensemble").shape
    (torch.Size([]), torch.Size([3, 1, 1]))
    """
    if arm == "eps_ensemble":
        return torch.tensor(ENSEMBLE_EPS).view(-1, 1, 1)
    return torch.tensor(EPS)
