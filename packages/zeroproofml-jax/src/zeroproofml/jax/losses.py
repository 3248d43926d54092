"""Losses on projective tuples, bound to JAX.

The mathematics is ``zeroproofml.scm.formulas.losses``, the same code for every framework. Nothing is
divided by Q, so a pole is an ordinary point. Per-lane losses take ``weight`` (≥ 0 or bool, the lanes'
shape) and ``reduction``: "mean" is Σw·loss/Σw, 0 with zero gradients if Σw = 0; "sum"; or "none". A
lane of weight 0 changes neither a value nor a gradient, whatever it holds. Arrays of one call have
one shape, otherwise SCMValueError names both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp

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


def lift_targets(values: jax.Array, mask: jax.Array | None = None) -> Targets:
    """Numbers with IEEE specials as training targets.

    Args:
        values: finite y gives (y, 1); ±inf gives (±1, 0) with orientation ±1; NaN (1, 0), undirected.
        mask: bool, values' shape; True is a ⊥ without a side.

    Raises:
        SCMTypeError: bool values. SCMValueError: unequal shapes.

    >>> lift_targets(jnp.asarray([2.5, -jnp.inf, jnp.nan])).orientation.tolist()
    [0, -1, 0]
    """
    return projective.lift_targets(values, mask, xp=jnp)


def lift_semantic_targets(values: jax.Array, labels: jax.Array) -> Targets:
    """Labelled measurements as training targets.

    Args:
        values: read only where labelled FINITE.
        labels: integers of :class:`Label`, values' shape. MISSING gets weight 0.

    Raises:
        SCMValueError: unequal shapes; outside tracing also a FINITE lane without a finite
            value, or an unknown label.

    >>> lift_semantic_targets(jnp.asarray([2.5, 9.0]), jnp.asarray([0, 6])).weight.tolist()
    [1.0, 0.0]
    """
    # A trace has no values to check.
    check = not any(isinstance(x, jax.core.Tracer) for x in (values, labels))
    return projective.lift_semantic_targets(values, labels, xp=jnp, check=check)


def chordal_loss(
    P: jax.Array,
    Q: jax.Array,
    Yn: jax.Array,
    Yd: jax.Array,
    *,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """Squared sine of the angle between (P, Q) and (Yn, Yd): sign-blind, scale-free, in [0, 1].

    Args:
        P, Q: prediction, real or complex; (0, 0) costs 1 with zero gradients.
        Yn, Yd: target; (0, 0) has weight 0.

    Raises:
        SCMValueError: unequal shapes, or an unknown reduction.

    >>> one, zero = jnp.ones(1), jnp.zeros(1)
    >>> float(chordal_loss(one, zero, zero, one))
    1.0
    """
    value: jax.Array = losses.chordal_loss(P, Q, Yn, Yd, weight=weight, reduction=reduction, xp=jnp)
    return value


def oriented_chordal_loss(
    P: jax.Array,
    Q: jax.Array,
    Yn: jax.Array,
    Yd: jax.Array,
    *,
    undirected: jax.Array | None = None,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """1 − cos of the angle between (P, Q) and (Yn, Yd), in [0, 2]. The recommended loss.

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        undirected: bool; True takes the sign-blind chordal form (a ⊥ target without a side).

    Raises:
        SCMValueError: unequal shapes, or an unknown reduction.

    >>> one, zero = jnp.ones(1), jnp.zeros(1)
    >>> float(oriented_chordal_loss(-one, zero, one, zero))
    2.0
    """
    value: jax.Array = losses.oriented_chordal_loss(
        P, Q, Yn, Yd, undirected=undirected, weight=weight, reduction=reduction, xp=jnp
    )
    return value


def implicit_loss(
    P: jax.Array,
    Q: jax.Array,
    Yn: jax.Array,
    Yd: jax.Array,
    gamma: float = 1e-9,
    detach_scale: bool = False,
    *,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """The cross-multiplied residual of zeroproofml 0.6.1, for comparison; unbounded, of order 1/gamma.

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        gamma: finite, > 0.
        detach_scale: the denominator is a constant of differentiation.

    Raises:
        SCMValueError: gamma out of range, unequal shapes, or an unknown reduction.

    >>> float(implicit_loss(jnp.ones(1), jnp.ones(1), jnp.ones(1), jnp.ones(1)))
    0.0
    """
    value: jax.Array = losses.implicit_loss(
        P,
        Q,
        Yn,
        Yd,
        gamma,
        detach_scale,
        stop_gradient=jax.lax.stop_gradient,
        weight=weight,
        reduction=reduction,
        xp=jnp,
    )
    return value


def margin_loss(
    Q: jax.Array,
    tau: float | jax.Array,
    normalize: Literal["all", "weighted"] = "weighted",
    *,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """relu(τ − |Q|)²; at Q = 0 the derivative of |Q| counts as +1, so the loss still pushes.

    Args:
        Q: denominators, real or complex.
        tau: margin ≥ 0, a number or a 0-d array.
        normalize: divide by Σw, or by the number of lanes.

    Raises:
        SCMValueError: tau out of range, an unknown option, or unequal shapes.

    >>> float(margin_loss(jnp.asarray([0.0, 1.0]), 0.5))
    0.125
    """
    value: jax.Array = losses.margin_loss(
        Q, tau, normalize, weight=weight, reduction=reduction, xp=jnp
    )
    return value


def sign_consistency_loss(
    P: jax.Array,
    Q: jax.Array,
    Yn: jax.Array,
    Yd: jax.Array,
    band: float = 1e-3,
    normalize: Literal["selected", "batch"] = "selected",
    *,
    selected: jax.Array | None = None,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """1 − cos on lanes whose target is at or near infinity (|Yd| ≤ band): are they on the right side?

    Args:
        P, Q, Yn, Yd: as for :func:`chordal_loss`.
        band: finite, ≥ 0.
        normalize: mean over the selection, or over the batch.
        selected: bool; replaces the band.

    Raises:
        SCMValueError: band out of range, an unknown option, or unequal shapes.

    >>> one, zero = jnp.ones(1), jnp.zeros(1)
    >>> float(sign_consistency_loss(-one, zero, one, zero))
    2.0
    """
    value: jax.Array = losses.sign_consistency_loss(
        P,
        Q,
        Yn,
        Yd,
        band,
        normalize,
        selected=selected,
        weight=weight,
        reduction=reduction,
        xp=jnp,
    )
    return value


def soft_coverage_loss(
    Q: jax.Array,
    tau: float | jax.Array,
    temperature: float | jax.Array,
    target: float = 0.95,
    *,
    weight: jax.Array | None = None,
) -> jax.Array:
    """relu(target − mean σ((|Q| − τ)/T))²: a coverage that can be differentiated.

    Args:
        Q: denominators, real or complex.
        tau, temperature: τ ≥ 0, T > 0; numbers or 0-d arrays.
        target: wanted share of lanes, in [0, 1].

    Raises:
        SCMValueError: a parameter out of range, or unequal shapes.

    >>> float(soft_coverage_loss(jnp.asarray([0.5]), 0.5, 0.1, 1.0))
    0.25
    """
    value: jax.Array = losses.soft_coverage_loss(Q, tau, temperature, target, weight=weight, xp=jnp)
    return value


def separation_losses(
    Q: jax.Array,
    is_bottom: jax.Array,
    tau_bottom: float = 1e-2,
    tau_finite: float = 5e-2,
    *,
    weight: jax.Array | None = None,
    reduction: Reduction = "mean",
) -> tuple[jax.Array, jax.Array]:
    """Push |Q| of ⊥ targets below tau_bottom and of finite targets above tau_finite.

    Args:
        Q: denominators, real or complex.
        is_bottom: bool, Q's shape.
        tau_bottom, tau_finite: finite, ≥ 0, tau_finite ≥ tau_bottom.

    Returns:
        (loss over ⊥, loss over finite); the groups never mix, an empty one gives 0.

    Raises:
        SCMValueError: thresholds out of order, or unequal shapes.

    >>> bottom, finite = separation_losses(jnp.asarray([0.51, 0.05]), jnp.asarray([True, False]))
    >>> float(bottom), float(finite)
    (0.25, 0.0)
    """
    bottom, finite = losses.separation_losses(
        Q, is_bottom, tau_bottom, tau_finite, weight=weight, reduction=reduction, xp=jnp
    )
    return bottom, finite


def coverage(mask: jax.Array) -> jax.Array:
    """1 − mean(mask): a metric, without gradient.

    Raises:
        SCMValueError: an empty mask.

    >>> float(coverage(jnp.asarray([True, False, False, False])))
    0.75
    """
    value: jax.Array = losses.coverage(mask, xp=jnp)
    return value


def rejection_penalty(mask: jax.Array, target: float = 0.95) -> jax.Array:
    """relu(target − coverage)²: a metric, without gradient; the loss is :func:`soft_coverage_loss`.

    Raises:
        SCMValueError: an empty mask, or a target outside [0, 1].

    >>> float(rejection_penalty(jnp.asarray([True, False]), 1.0))
    0.25
    """
    value: jax.Array = losses.rejection_penalty(mask, target, xp=jnp)
    return value


def scm_loss(
    P: jax.Array,
    Q: jax.Array,
    targets: Targets,
    config: LossConfig,
    tau: float | jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
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

    >>> targets = lift_targets(jnp.asarray([2.0]))
    >>> total, parts = scm_loss(jnp.asarray([4.0]), jnp.asarray([2.0]), targets, LossConfig())
    >>> float(total)
    0.0
    """
    total, parts = losses.scm_loss(
        P, Q, targets, config, tau, xp=jnp, stop_gradient=jax.lax.stop_gradient
    )
    return total, parts


class SCMLoss:
    """:func:`scm_loss` with its configuration, as the trainer calls it.

    Args:
        config: weights and thresholds.

    >>> loss = SCMLoss(LossConfig(fit="chordal"))
    >>> total, parts = loss((jnp.ones(1), jnp.ones(1)), lift_targets(jnp.ones(1)))
    >>> float(total)
    0.0
    """

    def __init__(self, config: LossConfig | None = None) -> None:
        self.config = LossConfig() if config is None else config

    def __call__(
        self,
        outputs: Any,
        targets: Any,
        tau: float | jax.Array | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(total, parts) of a prediction.

        Args:
            outputs: (P, Q).
            targets: lifted targets of P's shape.
            tau: margin of this step.
            weights: factors on the configured weights, by part: "fit", "margin", "sign",
                "coverage" (a curriculum).

        Raises:
            SCMTypeError: outputs are not a pair of number arrays (a mask is not a Q), or the
                targets are not lifted.
            SCMValueError: an unknown part; unequal shapes.
        """
        if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
            msg = f"outputs must be (P, Q), not {type(outputs).__name__}; return the raw tuple"
            raise SCMTypeError(msg)
        for label, part in zip("PQ", outputs, strict=True):
            if not isinstance(part, jax.Array) or part.dtype == jnp.bool:
                found = part.dtype if isinstance(part, jax.Array) else type(part).__name__
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
