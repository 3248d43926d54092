"""Training losses of the learned arms. J̄ and ê are in the frame of the network.

The Jacobian may be used in training by every arm and is used by none at inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from zeroproofml.benchmarks.domains.ik.analytic import DAMPING
from zeroproofml.benchmarks.domains.ik.networks import epsilons
from zeroproofml.torch.losses import chordal_loss

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.ik.networks import Design

DETECTOR_WEIGHT = 0.1


class Batch(NamedTuple):
    """Columns of a minibatch, float32: features ``x`` (B, 2F), command ``e`` (B, n), ``jac``
    (B, n, n), tuple targets ``p0`` (B, n) and ``q0`` (B, 1), damped label ``y`` (B, n), and
    ``near`` (B, 1), which is 1 where σ_min < 1e-2.
    """

    x: torch.Tensor
    e: torch.Tensor
    jac: torch.Tensor
    p0: torch.Tensor
    q0: torch.Tensor
    y: torch.Tensor
    near: torch.Tensor


def _mean_square(rows: torch.Tensor) -> torch.Tensor:
    # Sum over the vector, mean over the batch (and, for an ensemble, sum over its members, whose
    # parameters do not meet).
    return rows.square().sum() / rows.shape[-2]


def task(y: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Damped task loss: mean of ‖J̄y − ê‖² + 0.05²·‖y‖²; its minimiser is the arm ``dls``.

    >>> one = torch.ones(1, 1)
    >>> batch = Batch(one, one, one[None], one, one, one, one)
    >>> round(float(task(0 * one, batch)), 6), round(float(task(one, batch)), 6)
    (1.0, 0.0025)
    """
    error = (batch.jac * y[..., None, :]).sum(-1) - batch.e
    return _mean_square(error) + DAMPING**2 * _mean_square(y)


def tuple_fit(p: torch.Tensor, q: torch.Tensor, batch: Batch, kappa: float) -> torch.Tensor:
    """Loss of ``scm_full``: ‖P − P₀‖² + (Q − Q₀)² + ‖κJ̄P − Qê‖².

    The last term is the task residual without a division: zero exactly where P/Q solves the row,
    defined at the pole, linear in the tuple. Targets (0, 0) keep full weight.

    >>> one = torch.ones(1, 1)
    >>> batch = Batch(one, one, one[None], one, one, one, one)
    >>> float(tuple_fit(one, one, batch, 1.0)), float(tuple_fit(0 * one, 0 * one, batch, 1.0))
    (0.0, 2.0)
    """
    residual = kappa * (batch.jac * p[:, None, :]).sum(-1) - q * batch.e
    return _mean_square(p - batch.p0) + _mean_square(q - batch.q0) + _mean_square(residual)


def vector_chordal(p: torch.Tensor, q: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Loss of ``scm_chordal``: 1 − cos² between the tuples (P, Q) and (P₀, Q₀), P a vector.

    Targets (0, 0) have weight 0; a prediction (0, 0) costs 1 and has no gradient.

    >>> one = torch.ones(1, 1)
    >>> batch = Batch(one, one, one[None], one, one, one, one)
    >>> float(vector_chordal(one, one, batch)), float(vector_chordal(one, -one, batch))
    (0.0, 1.0)
    """
    inner = (p * batch.p0).sum(-1) + (q * batch.q0)[:, 0]
    size = p.square().sum(-1) + q.square()[:, 0]
    target = batch.p0.square().sum(-1) + batch.q0.square()[:, 0]
    product = size * target
    null = product == 0
    lane = 1.0 - inner.square() / torch.where(null, torch.ones_like(product), product)
    weight = (target > 0).to(lane.dtype)
    return (weight * lane).sum() / weight.sum().clamp(min=1.0)


def loss(arm: str, design: Design, out: torch.Tensor, batch: Batch, kappa: float) -> torch.Tensor:
    """The training loss of ``arm`` for raw network outputs, as a scalar tensor.

    Raises KeyError for an arm that is not trained.
    """
    head, scalars = design.matrix_times(out, batch.e)
    if arm == "mlp_pole":
        detector = binary_cross_entropy_with_logits(scalars, batch.near)
        return task(head, batch) + DETECTOR_WEIGHT * detector
    if arm in ("rational_eps", "eps_ensemble"):
        bottom = softplus(scalars) + epsilons(arm).to(scalars.device)
        return task(kappa * head / bottom, batch)
    if arm == "scm_basic":
        label = batch.y / kappa
        return chordal_loss(head, 1.0 + scalars, label, torch.ones_like(label))
    if arm == "scm_full":
        return tuple_fit(head, scalars, batch, kappa)
    if arm == "scm_chordal":
        return vector_chordal(head, scalars, batch)
    raise KeyError(arm)
