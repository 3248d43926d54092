"""A trained network as a solver: float32 inside, decoded in float64 by the strict rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import softplus

from zeroproofml.benchmarks.domains.ik import networks
from zeroproofml.report.domains.ik.rows import Answer, decode, from_rates, from_tuples
from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.ik.kinematics import Array, Robot
    from zeroproofml.benchmarks.domains.ik.networks import Design

LOWEST = float(np.finfo(np.float32).min)
_BLOCK = 65536


@dataclass(frozen=True)
class Solver:
    """One learned arm of one robot after training; ``kappa`` is the size of a decoded unit tuple."""

    arm: str
    robot: Robot
    design: Design
    flat: torch.Tensor
    kappa: float

    @property
    def is_tuple(self) -> bool:
        """True for an arm whose answer is a tuple (P, Q)."""
        return self.arm.startswith("scm_")

    def checkpoint(self) -> dict[str, Any]:
        """Final weights by tensor name, with the robot in front.

        >>> from zeroproofml.benchmarks.domains.ik.kinematics import R2
        >>> design = networks.Design.of("scm_full", "r2")
        >>> solver = Solver("scm_full", R2, design, torch.zeros(design.n_parameters), 1.0)
        >>> solver.checkpoint()["r2.output.bias"].shape
        (5,)
        """
        named = self.design.named(self.flat)
        return {f"{self.robot.name}.{name}": value.numpy().copy() for name, value in named.items()}

    def __call__(self, q: Array, e: Array) -> Answer:
        """The answer for poses q (N, n) and unit commands e (N, m) in the base frame."""
        e = networks.to_network_frame(self.robot, q, e)
        inputs = [networks.features(self.robot, q), e]
        x, command = (torch.from_numpy(part.astype(np.float32)) for part in inputs)
        weights = self.design.named(self.flat)
        with torch.inference_mode():
            blocks = [
                self._heads(self.design(weights, x[i : i + _BLOCK]), command[i : i + _BLOCK])
                for i in range(0, max(len(x), 1), _BLOCK)
            ]
        first, second = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return self._tuples(first, second) if self.is_tuple else _rates(first, second)

    def _heads(self, out: torch.Tensor, command: torch.Tensor) -> tuple[Any, Any]:
        """(P, Q) of a tuple arm, (rates, score) of another, float32."""
        head, scalars = self.design.matrix_times(out, command)
        if self.arm == "scm_basic":
            return head.numpy(), (1.0 + scalars).numpy()
        if self.is_tuple:
            return head.numpy(), scalars[:, 0].numpy()
        if self.arm == "mlp_pole":
            return head.numpy(), -scalars[:, 0].numpy()
        bottom = softplus(scalars) + networks.epsilons(self.arm)
        rates = self.kappa * head / bottom
        if self.design.members:
            rates, bottom = rates.mean(0), bottom.mean(0)
        return rates.numpy(), bottom[:, 0].numpy()

    def _tuples(self, p: Any, q: Any) -> Answer:
        lanes = q if q.ndim == 2 else q[:, None]
        fine = np.isfinite(p).all(axis=1) & np.isfinite(lanes).all(axis=1)
        if fine.all():
            return from_tuples(p, q, self.kappa, np.zeros(len(p), dtype=np.uint8))
        _, cause = decode(p, q, self.kappa)
        clear = fine if q.ndim == 1 else fine[:, None]
        faults = np.where(fine, np.uint8(0), cause)
        return from_tuples(
            np.where(fine[:, None], p, 0.0), np.where(clear, q, 0.0), self.kappa, faults
        )


def _rates(y: Any, score: Any) -> Answer:
    fine = np.isfinite(y).all(axis=1) & np.isfinite(score)
    cause = np.where(fine, np.uint8(0), np.uint8(Cause.NONFINITE))
    # A fault has the lowest score there is: every gate turns it away.
    return from_rates(np.where(fine[:, None], y, 0.0), cause, np.where(fine, score, LOWEST))
