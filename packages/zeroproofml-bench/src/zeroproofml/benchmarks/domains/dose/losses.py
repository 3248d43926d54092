"""Training losses, each a mean over the lanes of a batch.

Targets are columns that do not change during training, so they are computed once per arm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import softplus

from zeroproofml.benchmarks.domains.dose.data import ABOVE, BELOW, EDGE, IN_RANGE
from zeroproofml.benchmarks.domains.dose.networks import unit
from zeroproofml.benchmarks.domains.dose.recipes import EPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.dose.data import Array, Curves
    from zeroproofml.benchmarks.domains.dose.recipes import Recipe

_LEAST, _MOST = -5.0, 3.0
_FAR, _NEAR = 0.01, 0.05
_GAMMA = 1e-9


def columns(recipe: Recipe, curves: Curves) -> Array:
    """Target columns (n, m) of an arm: three 0/1 columns of the classes, then the loss's own.

    >>> from zeroproofml.benchmarks.domains.dose import data, recipes
    >>> curves = data.draw("standard", 4, np.random.default_rng(0))
    >>> columns(recipes.STANDARD["scm_oriented"], curves).shape
    (4, 6)
    """
    z = (curves.position - recipe.center) / recipe.scale
    below, inside, above = (curves.label == side for side in (BELOW, IN_RANGE, ABOVE))
    classes = [below, inside, above]
    if recipe.loss == "oriented":
        size = np.sqrt(1.0 + z * z)
        side = np.where(above, 1.0, -1.0)
        yn, yd = np.where(inside, z / size, side), np.where(inside, 1.0 / size, 0.0)
        weight = size**4 if recipe.weighted else np.ones_like(z)
        return np.stack([*classes, yn, yd, np.where(inside, weight, 1.0)], axis=1)
    low, high = recipe.ends
    if recipe.loss == "published":
        low, high = -1.0, 1.0
    target = np.where(inside, z, np.where(below, low, high))
    return np.stack([*classes, target], axis=1)


def loss(
    recipe: Recipe, weights: Mapping[str, torch.Tensor], out: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """The loss of an arm, a scalar, for head outputs ``out`` (B, k) and columns ``target`` (B, m)."""
    if recipe.loss == "clamped":
        return (out[:, 0] - target[:, 3]).square().mean()
    if recipe.loss == "two_stage":
        return _two_stage(out, target)
    if recipe.loss == "tobit":
        return _tobit(out, target)
    p, q = recipe.design.tuples(weights, out)
    if recipe.loss == "pole":
        return (pole(p, q) - target[:, 3]).square().mean()
    # The dtype of the targets is that of the loss terms.
    p, q = unit(p.to(target.dtype), q.to(target.dtype), detach=recipe.detach_norm)
    if recipe.loss == "oriented":
        _, _, _, yn, yd, weight = target.unbind(1)
        return (weight * (1.0 - (p * yn + q * yd))).mean()
    total = _published(recipe, p, q, target)
    return (
        total if recipe.side == "none" else total + _direction(out[:, 2:].to(target.dtype), target)
    )


def pole(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """P/(Q + ε·sign Q): a quotient that is kept away from its pole.

    >>> round(pole(torch.tensor([1.0]), torch.tensor([0.0])).item())
    1000
    """
    return p / (q + EPS * torch.where(q < 0, -1.0, 1.0))


def _some(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the lanes whose 0/1 column is 1, and 0 if there is none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1.0)


def _two_stage(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    logits = out[:, :3]
    entropy = logits.logsumexp(1) - (logits * target[:, :3]).sum(1)
    return entropy.mean() + _some((out[:, 3] - target[:, 3]).square(), target[:, 1])


def scale_of(raw: torch.Tensor) -> torch.Tensor:
    """The width ς of a likelihood arm from its raw output.

    >>> scale_of(torch.tensor([0.0])).item()
    1.0
    """
    return raw.clamp(_LEAST, _MOST).exp()


def _tobit(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """−log likelihood of a normal law that is only seen inside the window."""
    mean = 2.0 * out[:, 0]
    log_width = out[:, 1].clamp(_LEAST, _MOST)
    below, inside, above, z = target.unbind(1)
    over = (-log_width).exp()
    seen = -0.5 * ((z - mean) * over).square() - log_width - 0.5 * np.log(2.0 * np.pi)
    # One tail per lane: above gives Φ((μ − 2)/ς), below Φ((−2 − μ)/ς).
    tail = torch.special.log_ndtr(((above - below) * mean - EDGE) * over)
    return -torch.where(inside > 0, seen, tail).mean()


def _published(
    recipe: Recipe, p: torch.Tensor, q: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """The recipe of zeroproofml 0.6.1 on unit tuples, with its switches."""
    inside, y = target[:, 1], target[:, 3]
    censored = 1.0 - inside
    if recipe.fit == "decoded":
        fit = _some((p / q - y).square(), inside) + _some(q.square(), censored)
    else:
        size = (q * inside).square() + (p * y).square()
        size = size.detach() if recipe.detach_scale else size
        fit = ((p * inside - q * y).square() / (size + _GAMMA)).mean()
    if recipe.margin:
        far = (q.abs() - _FAR).clamp(min=0.0).square()
        near = (_NEAR - q.abs()).clamp(min=0.0).square()
        fit = fit + _some(far, censored) + _some(near, inside)
    if recipe.sign:
        fit = fit + recipe.sign * (censored * (1.0 - p * y)).mean()
    return fit


def _direction(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy of (below, above) on censored lanes, both classes of equal weight."""
    rise = logits[:, 1] - logits[:, 0]
    below = _some(softplus(rise), target[:, 0])
    return 0.5 * (below + _some(softplus(-rise), target[:, 2]))
