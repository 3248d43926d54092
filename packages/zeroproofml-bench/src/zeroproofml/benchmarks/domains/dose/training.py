"""Training: one loop for every arm, written for speed and for equal bytes.

A set is one float32 table of inputs and targets, permuted once per epoch and then sliced. Nothing
is read back to the host before the last step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zeroproofml.benchmarks.domains.adam import FlatAdam
from zeroproofml.benchmarks.domains.dose import losses
from zeroproofml.benchmarks.domains.dose.data import LADDER
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from typing import Any

    from zeroproofml.benchmarks.domains.dose.data import Curves
    from zeroproofml.benchmarks.domains.dose.recipes import Recipe
    from zeroproofml.benchmarks.progress import Progress


@dataclass(frozen=True)
class Plan:
    """How long and how fast: ``cosine`` lets the rate fall to 0, otherwise it is constant."""

    batch: int
    epochs: int
    rate: float
    cosine: bool
    double: bool = False
    """Loss terms of tuple arms in float64, as published."""

    def rates(self, rows: int) -> list[float]:
        """The learning rate of every step.

        >>> [round(rate, 6) for rate in Plan(2, 1, 2e-3, cosine=True).rates(4)]
        [0.002, 0.001]
        """
        steps = self.epochs * -(-rows // self.batch)
        if not self.cosine:
            return [self.rate] * steps
        return [self.rate * 0.5 * (1.0 + math.cos(math.pi * k / steps)) for k in range(steps)]


def inputs(protocol: str, curves: Curves) -> Any:
    """What networks see of curves, float32: 2E − 1, (n, 10); in ``classic`` (c, E) pairs, (n, 20).

    >>> from zeroproofml.benchmarks.domains.dose import data
    >>> curves = data.draw("classic", 4, np.random.default_rng(0))
    >>> inputs("classic", curves).shape, inputs("classic", curves)[0, ::2].tolist()[::9]
    ((4, 20), [-9.0, -5.0])
    """
    if protocol == "standard":
        return (2e-4 * curves.effect_counts - 1.0).astype(np.float32)
    ladder = np.broadcast_to(LADDER, curves.effects.shape)
    return np.stack([ladder, curves.effects], axis=2).reshape(len(curves), -1).astype(np.float32)


@dataclass(frozen=True)
class Trained:
    """Final weights (flat float32, on the host) and the mean loss of every epoch on both sets."""

    flat: torch.Tensor
    steps: int
    train_loss: list[float]
    validation_loss: list[float]


class Diverged(TrainingError):
    """A loss was not finite; ``train_loss`` and ``validation_loss`` end before it."""

    def __init__(self, message: str, train_loss: list[float], validation_loss: list[float]) -> None:
        super().__init__(message)
        self.train_loss, self.validation_loss = train_loss, validation_loss


def train(
    arm: str,
    recipe: Recipe,
    plan: Plan,
    train_set: torch.Tensor,
    validation_set: torch.Tensor,
    start: torch.Tensor,
    order: torch.Generator,
    progress: Progress,
) -> Trained:
    """Adam over shuffled batches, the short last one kept; the weights of the last epoch count.

    Sets are tables (n, inputs + targets). Raises Diverged if a loss was not finite.
    """
    design, device = recipe.design, train_set.device
    width = design.widths[0]
    flat = start.clone().to(device).requires_grad_()
    value = flat.detach()
    adam = FlatAdam(value)
    rates = plan.rates(len(train_set))
    history = torch.zeros(len(rates), device=device)
    check = torch.zeros(plan.epochs, device=device)
    step = 0
    for epoch in range(plan.epochs):
        shuffled = train_set[torch.randperm(len(train_set), generator=order).to(device)]
        for batch in torch.split(shuffled, plan.batch):
            weights = design.named(flat)
            total = _loss(recipe, plan, weights, batch[:, :width], batch[:, width:])
            (gradient,) = torch.autograd.grad(total, flat)
            history[step] = total.detach()
            adam.step(gradient, rates[step])
            step += 1
        with torch.no_grad():
            weights = design.named(value)
            x, target = validation_set[:, :width], validation_set[:, width:]
            check[epoch] = _loss(recipe, plan, weights, x, target)
        progress.advance(1)
    return _checked(arm, plan, len(train_set), value, history, check)


def _loss(
    recipe: Recipe, plan: Plan, weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    if recipe.side == "detached":
        features = recipe.design.features(weights, x)
        w, b = weights["output.weight"], weights["output.bias"]
        heads = torch.nn.functional.linear(features, w[:2], b[:2])
        sides = torch.nn.functional.linear(features.detach(), w[2:], b[2:])
        out = torch.cat([heads, sides], dim=1)
    else:
        out = recipe.design(weights, x)
    return losses.loss(recipe, weights, out, y.double() if plan.double and recipe.tuples else y)


def _checked(
    arm: str,
    plan: Plan,
    rows: int,
    value: torch.Tensor,
    history: torch.Tensor,
    check: torch.Tensor,
) -> Trained:
    per_epoch = -(-rows // plan.batch)
    sizes = np.full(per_epoch, plan.batch, dtype=float)
    sizes[-1] = rows - plan.batch * (per_epoch - 1)
    batches = history.cpu().double().numpy().reshape(plan.epochs, per_epoch)
    means = [math.fsum(losses * sizes) / rows for losses in batches]
    checks = check.cpu().double().tolist()
    bad = ~np.isfinite(history.cpu().numpy())
    fine = bool(torch.isfinite(value).all())
    if bad.any() or not fine or not np.isfinite(checks).all():
        step = int(np.argmax(bad)) if bad.any() else len(history)
        good = min(step // per_epoch, int(np.sum(np.cumprod(np.isfinite(checks)))))
        msg = f"{arm}: loss not finite at step {step}; the arm has failed"
        raise Diverged(msg, means[:good], checks[:good])
    return Trained(value.cpu(), len(history), means, checks)


def answer(recipe: Recipe, weights: dict[str, torch.Tensor], x: Any) -> tuple[Any, ...]:
    """Head outputs (n, k) for inputs (n, width), and (P, Q) of a tuple arm; float32 arrays."""
    with torch.inference_mode():
        out = recipe.design(weights, torch.from_numpy(x))
        if recipe.tuples:
            return tuple(part.numpy() for part in (out, *recipe.design.tuples(weights, out)))
        if recipe.loss == "pole":
            out = losses.pole(*recipe.design.tuples(weights, out))[:, None]
        return (out.numpy(),)
