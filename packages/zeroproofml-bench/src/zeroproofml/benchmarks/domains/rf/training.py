"""Training of the standard protocol: one loop for section heads and MLPs, and the gate's own.

Everything is tensors before the first step; a minibatch is one gather of devices with all their
samples. The optimiser runs over one flat vector. The host reads back twenty times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from zeroproofml.benchmarks.domains import one_cycle
from zeroproofml.benchmarks.domains.adam import FlatAdam
from zeroproofml.benchmarks.domains.rf import data, networks
from zeroproofml.benchmarks.domains.rf.networks import DESIGNS, Design
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.rf.data import Array, Samples
    from zeroproofml.benchmarks.progress import Progress

WARM_UP = 0.1
MAX_NORM = 1.0
LOOKS = 20
"""How often the validation loss is computed; the best of these states is kept."""
FLOOR = 0.01
"""Added to abs(y)² in the relative loss."""
GATE_STEPS, GATE_RATE, GATE_DECAY, GATE_WEIGHT = 300, 3e-3, 1e-4, 4.0


@dataclass(frozen=True)
class Recipe:
    """What an arm is: its family of networks, its link (heads only), and whether loss is relative."""

    family: str
    relative: bool
    link: str = ""


RECIPES = {
    "scm_rational": Recipe("hyper", relative=True, link="linear"),
    "scm_rational_abs": Recipe("hyper", relative=False, link="linear"),
    "rational_softplus": Recipe("hyper", relative=True, link="softplus"),
    "mlp_rel": Recipe("mlp", relative=True),
    "mlp_abs": Recipe("mlp", relative=False),
    "mlp_deep": Recipe("mlp_deep", relative=True),
}


@dataclass
class Table:
    """Samples of a split as tensors of a recipe: ``inputs`` per device, (n, m) planes of the rest."""

    recipe: Recipe
    inputs: torch.Tensor
    omega: torch.Tensor
    re: torch.Tensor
    im: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, recipe: Recipe, split: Samples, device: str = "cpu") -> Table:
        """The table of a split in the dtype of the recipe's network.

        >>> split = data.samples(1, "data.train", 3, 4)
        >>> Table.of(RECIPES["mlp_abs"], split).inputs.shape
        torch.Size([3, 4, 6])
        """
        design = split.devices.design
        head = bool(recipe.link)
        inputs = data.features(design) if head else data.rows(design, split.omega)
        power = split.y.real**2 + split.y.imag**2
        weight = 1 / (power + FLOOR) if recipe.relative else np.ones_like(power)
        dtype = DESIGNS[recipe.family].dtype
        planes = (inputs, split.omega, split.y.real, split.y.imag, weight)
        made = (torch.from_numpy(np.ascontiguousarray(x)).to(device, dtype) for x in planes)
        return cls(recipe, *made)

    def take(self, rows: torch.Tensor) -> Table:
        """The table of some devices."""
        planes = (self.inputs, self.omega, self.re, self.im, self.weight)
        return Table(self.recipe, *(x.index_select(0, rows) for x in planes))

    def loss(self, design: Design, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Mean weighted squared error, and how many lanes were ⊥ (None: cannot be)."""
        out = design(design.named(flat), self.inputs)
        if not self.recipe.link:
            square = (out[..., 0] - self.re).square() + (out[..., 1] - self.im).square()
            return (square * self.weight).mean(), None
        made = networks.sections(out, self.recipe.link)
        re, im, lost = networks.response(made, self.omega)
        square = ((re - self.re).square() + (im - self.im).square()) * self.weight
        count = lost.sum()
        return square.masked_fill(lost, 0.0).sum() / (lost.numel() - count), count


@dataclass(frozen=True)
class Trained:
    """The restored weights (flat) of an arm and how it got there; diagnostics are plain numbers."""

    design: Design
    flat: torch.Tensor
    steps: int
    final_loss: float
    diagnostics: dict[str, Any] = field(default_factory=dict)

    def checkpoint(self) -> dict[str, Any]:
        """Weights by tensor name, as arrays.

        >>> design = DESIGNS["gate"]
        >>> Trained(design, torch.zeros(4609), 0, 0.0).checkpoint()["output.bias"].shape
        (1,)
        """
        return networks.to_numpy(self.design.named(self.flat))


def batches(devices: int, per_step: int, steps: int, rng: np.random.Generator) -> torch.Tensor:
    """Device numbers (steps, per_step): a fresh permutation per pass, its incomplete end dropped.

    >>> made = batches(5, 2, 4, np.random.default_rng(0))
    >>> made.shape, len(set(made[:2].flatten().tolist()))
    (torch.Size([4, 2]), 4)
    """
    each = devices // per_step
    passes = [rng.permutation(devices)[: each * per_step] for _ in range(-(-steps // each))]
    return torch.from_numpy(np.concatenate(passes).reshape(-1, per_step)[:steps].copy())


def train(
    arm: str,
    tables: tuple[Table, Table],
    order: torch.Tensor,
    start: torch.Tensor,
    peak_rate: float,
    progress: Progress,
) -> Trained:
    """Train on the first of ``tables``, watch the second, restore the best of twenty states.

    ``order`` (steps, devices) names the devices of each step, ``start`` is the flat beginning.
    Raises TrainingError if a loss was not finite.
    """
    table, held_out = tables
    design = DESIGNS[table.recipe.family]
    flat = start.clone().to(table.omega.device).requires_grad_()
    value = flat.detach()
    adam = FlatAdam(value)
    steps = len(order)
    rates = one_cycle.rates(steps, peak_rate, WARM_UP)
    momenta = one_cycle.momenta(steps, WARM_UP)
    losses = torch.zeros(steps, dtype=value.dtype, device=value.device)
    lost = torch.zeros((), dtype=torch.int64, device=value.device)
    looks = {(look + 1) * steps // LOOKS for look in range(LOOKS)}
    history: list[float] = []
    best, best_step, last = value.clone(), 0, 0
    for step, rows in enumerate(order.to(value.device), start=1):
        total, count = table.take(rows).loss(design, flat)
        (gradient,) = torch.autograd.grad(total, flat)
        losses[step - 1] = total.detach()
        if count is not None:
            lost += count
        # No loss is read here: a step that went wrong is found at the next look.
        gradient *= (MAX_NORM / (gradient.norm() + 1e-6)).clamp(max=1.0)
        adam.step(gradient, float(rates[step - 1]), float(momenta[step - 1]))
        if step not in looks:
            continue
        with torch.no_grad():
            seen = float(held_out.loss(design, value)[0])
        recent = losses[last:step]
        if not (bool(torch.isfinite(recent).all()) and math.isfinite(seen)):
            msg = f"{arm}: loss not finite between steps {last + 1} and {step}; the arm has failed"
            raise TrainingError(msg)
        if not history or seen < min(history):
            best, best_step = value.clone(), step
        history.append(seen)
        progress.advance(step - last, loss=seen)
        last = step
    lanes = steps * order.shape[1] * table.omega.shape[1]
    tail = losses[-max(steps // LOOKS, 1) :].tolist()
    diagnostics: dict[str, Any] = {
        "validation_history": history,
        "best_step": best_step,
        "rows_seen": lanes,
    }
    if table.recipe.link:
        diagnostics["train_bottom_fraction"] = float(lost) / lanes
    return Trained(design, best.cpu(), steps, math.fsum(tail) / len(tail), diagnostics)


def train_gate(safe: Array, bottom: Array, start: torch.Tensor) -> Trained:
    """The supervised classifier of ⊥ on features of stable and of oscillating devices.

    Raises TrainingError if its loss is not finite.
    """
    design = DESIGNS["gate"]
    x = torch.from_numpy(np.concatenate([safe, bottom])).to(design.dtype)
    label = torch.cat([torch.zeros(len(safe)), torch.ones(len(bottom))])
    heavy = torch.tensor(GATE_WEIGHT)
    flat = start.clone().requires_grad_()
    value = flat.detach()
    adam = FlatAdam(value)
    loss = torch.tensor(math.nan)
    for _ in range(GATE_STEPS):
        logit = design(design.named(flat), x)[:, 0]
        total = binary_cross_entropy_with_logits(logit, label, pos_weight=heavy)
        (gradient,) = torch.autograd.grad(total, flat)
        loss = total.detach()
        adam.step(gradient + GATE_DECAY * value, GATE_RATE)
    last = float(loss)
    if not math.isfinite(last):
        msg = "gate_score: loss not finite; the arm has failed"
        raise TrainingError(msg)
    return Trained(design, value, GATE_STEPS, last)
