"""Losses on projective tuples, bound to torch.

The mathematics is ``zeroproofml.scm.formulas.losses``, the same code for every framework. Nothing is
divided by Q, so a pole is an ordinary point. Per-lane losses take ``weight`` (≥ 0 or bool, the lanes'
shape) and ``reduction``: "mean" is Σw·loss/Σw, 0 with zero gradients if Σw = 0; "sum"; or "none". A
lane of weight 0 changes neither a value nor a gradient, whatever it holds. Tensors of one call have
one shape, otherwise SCMValueError names both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import losses, projective
from zeroproofml.scm.formulas.losses import LossConfig, Reduction
from zeroproofml.scm.formulas.projective import Label, Targets

__all__ = [
    "Label",
    "LossConfig",
    "SCMLoss",
    "Targets",
    "chordal_loss",
    "coverage",
    "implicit_loss",
    "lift_semantic_targets",
    "lift_targets",
    "margin_loss",
    "oriented_chordal_loss",
    "rejection_penalty",
    "scm_loss",
    "separation_losses",
    "sign_consistency_loss",
    "soft_coverage_loss",
]


def lift_targets(values: Tensor, mask: Tensor | None = None) -> Targets:
    """Numbers with IEEE specials as training targets.

    Args:
        values: finite y gives (y, 1); ±inf gives (±1, 0) with orientation ±1; NaN (1, 0), undirected.
        mask: bool, values' shape; True is a ⊥ without a side.

    Raises:
        SCMTypeError: bool values. SCMValueError: unequal shapes.

    >>> lift_targets(torch.tensor([2.5, -torch.inf, torch.nan])).orientation
    tensor([ 0, -1,  0], dtype=torch.int8)
    """
    return projective.lift_targets(values, mask, xp=torch)


def lift_semantic_targets(values: Tensor, labels: Tensor) -> Targets:
    """Labelled measurements as training targets.

    Args:
        values: read only where labelled FINITE.
        labels: integers of :class:`Label`, values' shape. MISSING gets weight 0.

    Raises:
        SCMValueError: unequal shapes; outside ``torch.compile`` also a FINITE lane without a finite
            value, or an unknown label.

    >>> lift_semantic_targets(torch.tensor([2.5, 9.0]), torch.tensor([0, 6])).weight
    tensor([1., 0.])
    """
    check = not torch.compiler.is_compiling()
    return projective.lift_semantic_targets(values, labels, xp=torch, check=check)


def chordal_loss(
    P: Tensor,
    Q: Tensor,
    Yn: Tensor,
    Yd: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared sine of the angle between (P, Q) and (Yn, Yd): sign-blind, scale-free, in [0, 1].

    Args:
        P, Q: prediction, real or complex; (0, 0) costs 1 with zero gradients.
        Yn, Yd: target; (0, 0) has weight 0.

    Raises:
        SCMValueError: unequal shapes, or an unknown reduction.

    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> chordal_loss(one, zero, zero, one)
    tensor(1.)
    """
    value: Tensor = losses.chordal_loss(P, Q, Yn, Yd, weight=weight, reduction=reduction, xp=torch)
    return value


def oriented_chordal_loss(
    P: Tensor,
    Q: Tensor,
    Yn: Tensor,
    Yd: Tensor,
    *,
    undirected: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 − cos of the angle between (P, Q) and (Yn, Yd), in [0, 2]. The recommended loss.

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        undirected: bool; True takes the sign-blind chordal form (a ⊥ target without a side).

    Raises:
        SCMValueError: unequal shapes, or an unknown reduction.

    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> oriented_chordal_loss(-one, zero, one, zero)
    tensor(2.)
    """
    value: Tensor = losses.oriented_chordal_loss(
        P, Q, Yn, Yd, undirected=undirected, weight=weight, reduction=reduction, xp=torch
    )
    return value


def implicit_loss(
    P: Tensor,
    Q: Tensor,
    Yn: Tensor,
    Yd: Tensor,
    gamma: float = 1e-9,
    detach_scale: bool = False,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-multiplied residual of zeroproofml 0.6.1, for comparison; unbounded, of order 1/gamma.

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        gamma: finite, > 0.
        detach_scale: the denominator is a constant of differentiation.

    Raises:
        SCMValueError: gamma out of range, unequal shapes, or an unknown reduction.

    >>> implicit_loss(torch.ones(1), torch.ones(1), torch.ones(1), torch.ones(1))
    tensor(0.)
    """
    value: Tensor = losses.implicit_loss(
        P,
        Q,
        Yn,
        Yd,
        gamma,
        detach_scale,
        stop_gradient=Tensor.detach,
        weight=weight,
        reduction=reduction,
        xp=torch,
    )
    return value


def margin_loss(
    Q: Tensor,
    tau: float | Tensor,
    normalize: Literal["all", "weighted"] = "weighted",
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """relu(τ − |Q|)²; at Q = 0 the derivative of |Q| counts as +1, so the loss still pushes.

    Args:
        Q: denominators, real or complex.
        tau: margin ≥ 0, a number or a 0-d tensor.
        normalize: divide by Σw, or by the number of lanes.

    Raises:
        SCMValueError: tau out of range, an unknown option, or unequal shapes.

    >>> margin_loss(torch.tensor([0.0, 1.0]), 0.5)
    tensor(0.1250)
    """
    value: Tensor = losses.margin_loss(
        Q, tau, normalize, weight=weight, reduction=reduction, xp=torch
    )
    return value


def sign_consistency_loss(
    P: Tensor,
    Q: Tensor,
    Yn: Tensor,
    Yd: Tensor,
    band: float = 1e-3,
    normalize: Literal["selected", "batch"] = "selected",
    *,
    selected: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 − cos on lanes whose target is at or near infinity (|Yd| ≤ band): are they on the right side?

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        band: finite, ≥ 0.
        normalize: mean over the selection, or over the batch.
        selected: bool; replaces the band.

    Raises:
        SCMValueError: band out of range, an unknown option, or unequal shapes.

    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> sign_consistency_loss(-one, zero, one, zero)
    tensor(2.)
    """
    value: Tensor = losses.sign_consistency_loss(
        P,
        Q,
        Yn,
        Yd,
        band,
        normalize,
        selected=selected,
        weight=weight,
        reduction=reduction,
        xp=torch,
    )
    return value


def soft_coverage_loss(
    Q: Tensor,
    tau: float | Tensor,
    temperature: float | Tensor,
    target: float = 0.95,
    *,
    weight: Tensor | None = None,
) -> Tensor:
    """relu(target − mean σ((|Q| − τ)/T))²: a coverage that can be differentiated.

    Args:
        Q: denominators, real or complex.
        tau, temperature: τ ≥ 0, T > 0; numbers or 0-d tensors.
        target: wanted share of lanes, in [0, 1].

    Raises:
        SCMValueError: a parameter out of range, or unequal shapes.

    >>> soft_coverage_loss(torch.tensor([0.5]), 0.5, 0.1, 1.0)
    tensor(0.2500)
    """
    value: Tensor = losses.soft_coverage_loss(Q, tau, temperature, target, weight=weight, xp=torch)
    return value


def separation_losses(
    Q: Tensor,
    is_bottom: Tensor,
    tau_bottom: float = 1e-2,
    tau_finite: float = 5e-2,
    *,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> tuple[Tensor, Tensor]:
    """Push |Q| of ⊥ targets below tau_bottom and of finite targets above tau_finite.

    Args:
        Q: denominators, real or complex.
        is_bottom: bool, Q's shape.
        tau_bottom, tau_finite: finite, ≥ 0, tau_finite ≥ tau_bottom.

    Returns:
        (loss over ⊥, loss over finite); the groups never mix, an empty one gives 0.

    Raises:
        SCMValueError: thresholds out of order, or unequal shapes.

    >>> separation_losses(torch.tensor([0.51, 0.05]), torch.tensor([True, False]))
    (tensor(0.2500), tensor(0.))
    """
    bottom, finite = losses.separation_losses(
        Q, is_bottom, tau_bottom, tau_finite, weight=weight, reduction=reduction, xp=torch
    )
    return bottom, finite


def coverage(mask: Tensor) -> Tensor:
    """1 − mean(mask): a metric, without gradient.

    Raises:
        SCMValueError: an empty mask.

    >>> coverage(torch.tensor([True, False, False, False]))
    tensor(0.7500)
    """
    value: Tensor = losses.coverage(mask, xp=torch)
    return value


def rejection_penalty(mask: Tensor, target: float = 0.95) -> Tensor:
    """relu(target − coverage)²: a metric, without gradient; the loss is :func:`soft_coverage_loss`.

    Raises:
        SCMValueError: an empty mask, or a target outside [0, 1].

    >>> rejection_penalty(torch.tensor([True, False]), 1.0)
    tensor(0.2500)
    """
    value: Tensor = losses.rejection_penalty(mask, target, xp=torch)
    return value


def scm_loss(
    P: Tensor,
    Q: Tensor,
    targets: Targets,
    config: LossConfig,
    tau: float | Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of fit, margin, sign and coverage.

    Args:
        P, Q: predictions, the targets' shape.
        targets: from :func:`lift_targets` or :func:`lift_semantic_targets`.
        config: weights and thresholds; a term of weight 0 is skipped.
        tau: margin of this step, also the coverage's temperature; None takes ``config.tau_train``.

    Returns:
        (total, parts); parts holds fit, margin, sign, coverage and total, detached.

    Raises:
        SCMValueError: unequal shapes; tau = 0 with a coverage term.

    >>> targets = lift_targets(torch.tensor([2.0]))
    >>> total, parts = scm_loss(torch.tensor([4.0]), torch.tensor([2.0]), targets, LossConfig())
    >>> total
    tensor(0.)
    """
    total, parts = losses.scm_loss(
        P, Q, targets, config, tau, xp=torch, stop_gradient=Tensor.detach
    )
    return total, parts


class SCMLoss:
    """:func:`scm_loss` with its configuration, as the trainer calls it.

    Args:
        config: weights and thresholds.

    >>> loss = SCMLoss(LossConfig(fit="chordal"))
    >>> total, parts = loss((torch.ones(1), torch.ones(1)), lift_targets(torch.ones(1)))
    >>> total
    tensor(0.)
    """

    def __init__(self, config: LossConfig | None = None) -> None:
        self.config = LossConfig() if config is None else config

    def __call__(
        self,
        outputs: Any,
        targets: Any,
        tau: float | Tensor | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(total, parts) of a prediction.

        Args:
            outputs: (P, Q).
            targets: lifted targets of P's shape.
            tau: margin of this step.
            weights: factors on the configured weights, by part: "fit", "margin", "sign",
                "coverage" (a curriculum).

        Raises:
            SCMTypeError: outputs are not a pair of number tensors (a mask is not a Q), or the
                targets are not lifted.
            SCMValueError: an unknown part; unequal shapes.
        """
        if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
            msg = f"outputs must be (P, Q), not {type(outputs).__name__}; return the raw tuple"
            raise SCMTypeError(msg)
        for label, part in zip("PQ", outputs, strict=True):
            if not isinstance(part, Tensor) or part.dtype == torch.bool:
                found = part.dtype if isinstance(part, Tensor) else type(part).__name__
                msg = f"{label} is {found}; outputs must be (P, Q), not (payload, mask)"
                raise SCMTypeError(msg)
        if not isinstance(targets, Targets):
            msg = f"targets must be Targets, not {type(targets).__name__}; use lift_targets"
            raise SCMTypeError(msg)
        P, Q = outputs
        return scm_loss(P, Q, targets, self._scaled(weights), tau)

    def _scaled(self, weights: Mapping[str, float] | None) -> LossConfig:
        if not weights:
            return self.config
        known = {f.name for f in fields(LossConfig) if f.name.endswith("_weight")}
        changes: dict[str, Any] = {}
        for part, factor in weights.items():
            name = f"{part}_weight"
            if name not in known:
                parts = ", ".join(sorted(label.removesuffix("_weight") for label in known))
                msg = f"weights has no part {part!r}; the parts are {parts}"
                raise SCMValueError(msg)
            changes[name] = getattr(self.config, name) * factor
        return replace(self.config, **changes)
