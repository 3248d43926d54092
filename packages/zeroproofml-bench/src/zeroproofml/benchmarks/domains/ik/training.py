"""Training: one loop for every arm, written for speed and for equal bytes.

All rows live in one float32 table; a minibatch is one gather. The optimiser runs over one flat
parameter vector. Nothing is read back to the host before the last step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zeroproofml.benchmarks.domains import one_cycle
from zeroproofml.benchmarks.domains.adam import FlatAdam
from zeroproofml.benchmarks.domains.ik import analytic, losses, networks
from zeroproofml.benchmarks.domains.ik.networks import Design
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.ik.analytic import Problem
    from zeroproofml.benchmarks.domains.ik.kinematics import Array, Robot
    from zeroproofml.benchmarks.progress import Progress

PEAK_RATE = 2e-3
WARM_UP = 0.05
BATCH = 256
NEAR = 1e-2
_REPORT_EVERY = 100
_FINAL = 100


def schedule(steps: int) -> Array:
    """One-cycle learning rates (steps,) with 5 % of the steps to warm up.

    >>> round(1e3 * float(schedule(100).max()), 6)
    2.0
    """
    return one_cycle.rates(steps, PEAK_RATE, WARM_UP)


@dataclass
class TrainingTable:
    """All train rows of one robot as one float32 table, with the tuple scales that they define."""

    robot: Robot
    columns: torch.Tensor
    widths: tuple[int, ...]
    kappa: float
    scale: float

    @classmethod
    def of(cls, robot: Robot, q: Array, problem: Problem, device: str = "cpu") -> TrainingTable:
        """Features, commands, Jacobians and every label of every arm, in the network's frame.

        >>> from zeroproofml.benchmarks.domains.ik import kinematics as kin
        >>> q = np.array([[0.1, 1.0], [0.2, 2.0]])
        >>> problem = analytic.Problem.of(kin.jacobian(kin.R2, q), np.eye(2))
        >>> TrainingTable.of(kin.R2, q, problem).columns.shape
        torch.Size([2, 18])
        """
        kappa, scale = analytic.tuple_scale(problem)
        p0, q0 = analytic.tuple_targets(problem, kappa, scale)
        jac = networks.to_network_frame(robot, q, problem.jac)
        parts = [
            networks.features(robot, q),
            networks.to_network_frame(robot, q, problem.e),
            jac.reshape(len(q), -1),
            p0,
            q0[:, None],
            analytic.damped(problem),
            (problem.sigma[:, -1:] < NEAR).astype(float),
        ]
        table = np.concatenate(parts, axis=1).astype(np.float32)
        widths = tuple(part.shape[1] for part in parts)
        return cls(robot, torch.from_numpy(table).to(device), widths, kappa, scale)

    def batch(self, rows: torch.Tensor) -> losses.Batch:
        """The minibatch of the row numbers ``rows`` (B,), in one gather."""
        taken = self.columns.index_select(0, rows)
        x, e, jac, p0, q0, y, near = torch.split_with_sizes(taken, self.widths, dim=1)
        n = e.shape[1]
        return losses.Batch(x, e, jac.view(-1, n, n), p0, q0, y, near)


@dataclass(frozen=True)
class Trained:
    """Weights of one arm and robot (flat float32) and the mean loss of the last steps."""

    design: Design
    flat: torch.Tensor
    final_loss: float


def minibatches(rows: int, steps: int, rng: np.random.Generator) -> torch.Tensor:
    """Row numbers (steps, 256), drawn with replacement; the same for all arms.

    >>> minibatches(10, 3, np.random.default_rng(0)).shape
    torch.Size([3, 256])
    """
    return torch.from_numpy(rng.integers(0, rows, (steps, BATCH)))


def train(
    arm: str,
    table: TrainingTable,
    indices: torch.Tensor,
    start: torch.Tensor,
    progress: Progress,
) -> Trained:
    """Adam (default betas) under the one-cycle schedule, one step per row of ``indices``.

    Raises TrainingError if a loss was not finite.
    """
    design = Design.of(arm, table.robot.name)
    flat = start.clone().to(table.columns.device).requires_grad_()
    value = flat.detach()
    adam = FlatAdam(value)
    history = torch.zeros(len(indices), device=value.device)
    rates = schedule(len(indices))
    for step, rows in enumerate(indices.to(value.device)):
        batch = table.batch(rows)
        out = design(design.named(flat), batch.x)
        total = losses.loss(arm, design, out, batch, table.kappa)
        (gradient,) = torch.autograd.grad(total, flat)
        history[step] = total.detach()
        adam.step(gradient, float(rates[step]))
        if (step + 1) % _REPORT_EVERY == 0:
            progress.advance(_REPORT_EVERY)
    progress.advance(len(indices) % _REPORT_EVERY)
    final = math.fsum(history[-_FINAL:].tolist()) / min(_FINAL, len(indices))
    wrong = ~torch.isfinite(history)
    if bool(wrong.any()) or not bool(torch.isfinite(value).all()):
        step = int(wrong.nonzero()[0]) if bool(wrong.any()) else len(indices)
        msg = f"{arm} on {table.robot.name}: loss not finite at step {step}; the arm has failed"
        raise TrainingError(msg)
    return Trained(design, value.cpu(), final)
