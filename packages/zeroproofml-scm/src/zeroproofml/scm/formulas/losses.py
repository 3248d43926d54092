"""Losses on tuples: nothing is divided by Q, so a pole is an ordinary point.

Every per-lane loss takes ``weight`` (>= 0 or bool, the lanes' shape) and ``reduction``. A lane of
weight 0 is selected out before any arithmetic: a NaN there changes neither the value nor a
gradient. A NaN on a weighted lane gives NaN; training refuses it.

Written û = (P, Q)/‖(P, Q)‖ and ŷ = (Yn, Yd)/‖(Yn, Yd)‖ below. All of them are real, also for complex
tuples, and do not change by a bit when a tuple is scaled by a power of two (except the margins).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas._arrays import (
    abs2,
    dtype_name,
    finite_number,
    identity,
    is_complex,
    modulus,
    quiet,
    same_shape,
)
from zeroproofml.scm.formulas.projective import Targets, _scaled, unit_tuple
from zeroproofml.scm.formulas.strict import round_threshold

__all__ = [
    "LossConfig",
    "chordal_loss",
    "coverage",
    "implicit_loss",
    "margin_loss",
    "oriented_chordal_loss",
    "rejection_penalty",
    "scm_loss",
    "separation_losses",
    "sign_consistency_loss",
    "soft_coverage_loss",
]

Reduction = Literal["mean", "sum", "none"]
StopGradient = Callable[[Any], Any]


def _weights(weight: Any, like: Any, *, xp: Any) -> Any:
    """The weights in the real dtype of ``like``."""
    one = xp.ones_like(xp.real(like) if is_complex(like) else like)
    if weight is None:
        return one
    return xp.where(weight, one, 0.0) if str(weight.dtype).endswith("bool") else weight * one


def _ratio(total: Any, weight: Any, *, xp: Any) -> Any:
    """total/weight, and a constant 0 where the weight is 0: the mean over nothing."""
    empty = weight == 0
    return xp.where(empty, 0.0, xp.where(empty, 0.0, total) / xp.where(empty, 1.0, weight))


def _reduce(loss: Any, weight: Any, reduction: Reduction, *, xp: Any) -> Any:
    if reduction not in ("mean", "sum", "none"):
        msg = f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        raise SCMValueError(msg)
    weighted = loss * weight
    if reduction == "none":
        return weighted
    total = xp.sum(weighted)
    return total if reduction == "sum" else _ratio(total, xp.sum(weight), xp=xp)


def _lanes(
    P: Any, Q: Any, Yn: Any, Yd: Any, weight: Any, *, xp: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Check the shapes; on lanes of weight 0 put (0, 1), and give targets (0, 0) weight 0."""
    same_shape(P=P, Q=Q, Yn=Yn, Yd=Yd, weight=weight)
    w = _weights(weight, P, xp=xp)
    w = xp.where((Yn == 0) & (Yd == 0), 0.0, w)
    off = w == 0
    return (
        xp.where(off, 0.0, P),
        xp.where(off, 1.0, Q),
        xp.where(off, 0.0, Yn),
        xp.where(off, 1.0, Yd),
        w,
    )


def _at_most(x: Any, top: float, *, xp: Any) -> Any:
    """Round-off above the bound of a bounded loss is cut; the true derivative is 0 there."""
    return xp.where(x > top, top, x)


def _chordal(p: Any, q: Any, yn: Any, yd: Any, null: Any, *, xp: Any) -> Any:
    cross = abs2(p * yd - q * yn, xp=xp)
    return xp.where(null, 1.0, _at_most(cross, 1.0, xp=xp))


def _oriented(p: Any, q: Any, yn: Any, yd: Any, null: Any, *, xp: Any) -> Any:
    half = 0.5 * (abs2(p - yn, xp=xp) + abs2(q - yd, xp=xp))
    return xp.where(null, 1.0, _at_most(half, 2.0, xp=xp))


def _units(P: Any, Q: Any, Yn: Any, Yd: Any, *, xp: Any) -> tuple[Any, Any, Any, Any, Any]:
    p, q, null = unit_tuple(P, Q, xp=xp)
    yn, yd, _ = unit_tuple(Yn, Yd, xp=xp)
    return p, q, yn, yd, null


def _oriented_lanes(
    P: Any, Q: Any, Yn: Any, Yd: Any, undirected: Any, weight: Any, *, xp: Any
) -> tuple[Any, Any]:
    """Loss and weight of each lane; the sign-blind form where undirected."""
    P, Q, Yn, Yd, w = _lanes(P, Q, Yn, Yd, weight, xp=xp)
    units = _units(P, Q, Yn, Yd, xp=xp)
    loss = _oriented(*units, xp=xp)
    if undirected is not None:
        loss = xp.where(undirected, _chordal(*units, xp=xp), loss)
    return loss, w


@quiet
def chordal_loss(
    P: Any,
    Q: Any,
    Yn: Any,
    Yd: Any,
    *,
    xp: Any,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """(P̂·Ŷd − Q̂·Ŷn)², the squared sine of the angle between the tuples: sign-blind, in [0, 1].

    Args:
        P, Q: predictions, real or complex; (0, 0) costs 1 and has zero gradients.
        Yn, Yd: targets of the same shape; (0, 0) has weight 0.
        weight: >= 0 or bool, same shape.
        reduction: "mean" is Σw·loss/Σw (0 if Σw = 0), "sum" Σw·loss, "none" w·loss per lane.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: unequal shapes, or an unknown reduction.

    >>> import numpy as np
    >>> one, zero = np.array([1.0]), np.array([0.0])
    >>> float(chordal_loss(one, zero, zero, one, xp=np))
    1.0
    """
    P, Q, Yn, Yd, w = _lanes(P, Q, Yn, Yd, weight, xp=xp)
    return _reduce(_chordal(*_units(P, Q, Yn, Yd, xp=xp), xp=xp), w, reduction, xp=xp)


@quiet
def oriented_chordal_loss(
    P: Any,
    Q: Any,
    Yn: Any,
    Yd: Any,
    *,
    xp: Any,
    undirected: Any = None,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """½‖û − ŷ‖² = 1 − cos: 0 aligned, 1 orthogonal, 2 opposite. The recommended loss.

    Args:
        P, Q, Yn, Yd, weight, reduction: as for :func:`chordal_loss`.
        undirected: bool, same shape; where True the sign-blind chordal form is used (a ⊥ target
            without a side: (1, 0) and (−1, 0) are equally right).
        xp: numpy, torch or jax.numpy.

    >>> import numpy as np
    >>> one, zero = np.array([1.0]), np.array([0.0])
    >>> float(oriented_chordal_loss(-one, zero, one, zero, xp=np))
    2.0
    """
    same_shape(P=P, undirected=undirected)
    loss, w = _oriented_lanes(P, Q, Yn, Yd, undirected, weight, xp=xp)
    return _reduce(loss, w, reduction, xp=xp)


def _over_largest(P: Any, Q: Any, *, xp: Any) -> tuple[Any, Any]:
    """(P, Q)/m with m = max(|P|, |Q|), differentiable in m; the null tuple stays (0, 0)."""
    p, q, _, null = _scaled(P, Q, xp=xp)
    larger = xp.where(abs2(p, xp=xp) >= abs2(q, xp=xp), p, q)
    m = modulus(larger, xp=xp)
    return xp.where(null, 0.0, p / m), q / m


@quiet
def implicit_loss(
    P: Any,
    Q: Any,
    Yn: Any,
    Yd: Any,
    gamma: float = 1e-9,
    detach_scale: bool = False,
    *,
    xp: Any,
    stop_gradient: StopGradient | None = None,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """|P·Yd − Q·Yn|² / (|Q·Yd|² + |P·Yn|² + gamma), each tuple first divided by its larger modulus.

    Unbounded (of order 1/gamma), for comparison with zeroproofml 0.6.1, from which it differs only
    where gamma or an overflow dominated there.

    Args:
        P, Q, Yn, Yd, weight, reduction: as for :func:`chordal_loss`.
        gamma: finite, > 0.
        detach_scale: the denominator becomes a constant of differentiation.
        stop_gradient: the framework's; used by ``detach_scale`` only.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: gamma out of range, or rounding to 0 in the dtype; see also :func:`chordal_loss`.

    >>> import numpy as np
    >>> one, zero = np.array([1.0]), np.array([0.0])
    >>> round(float(implicit_loss(one, 2 * one, zero, one, xp=np)), 6)
    0.25
    """
    finite_number(gamma, "gamma", above=True)
    P, Q, Yn, Yd, w = _lanes(P, Q, Yn, Yd, weight, xp=xp)
    if round_threshold(float(gamma), P.dtype) == 0.0:  # 0/0 for a null tuple
        msg = f"gamma = {gamma:g} rounds to 0 in {dtype_name(P.dtype)}; use a wider dtype"
        raise SCMValueError(msg)
    p, q = _over_largest(P, Q, xp=xp)
    yn, yd = _over_largest(Yn, Yd, xp=xp)
    scale = abs2(q * yd, xp=xp) + abs2(p * yn, xp=xp) + gamma
    if detach_scale:
        scale = (stop_gradient or identity)(scale)
    return _reduce(abs2(p * yd - q * yn, xp=xp) / scale, w, reduction, xp=xp)


def _above_zero(x: Any, *, xp: Any) -> Any:
    """relu that keeps NaN."""
    return xp.where(x < 0, 0.0, x)


def _weighted(x: Any, weight: Any, stand_in: float, *, xp: Any) -> tuple[Any, Any]:
    w = _weights(weight, x, xp=xp)
    return xp.where(w == 0, stand_in, x), w


@quiet
def margin_loss(
    Q: Any,
    tau: Any,
    normalize: Literal["all", "weighted"] = "weighted",
    *,
    xp: Any,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """relu(τ − |Q|)², which pushes |Q| above τ; at Q = ±0 the derivative of |Q| counts as +1.

    Args:
        Q: denominators, real or complex.
        tau: margin >= 0, a number or a (traced) scalar.
        normalize: "weighted" divides the sum by Σw, "all" by the number of lanes.
        weight, reduction: as for :func:`chordal_loss`.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: tau negative or not finite; unequal shapes; an unknown normalize.

    >>> import numpy as np
    >>> float(margin_loss(np.array([0.0, 1.0]), 0.5, xp=np))
    0.125
    """
    finite_number(tau, "tau")
    if normalize not in ("all", "weighted"):
        msg = f"normalize must be 'all' or 'weighted', got {normalize!r}"
        raise SCMValueError(msg)
    same_shape(Q=Q, weight=weight)
    Q, w = _weighted(Q, weight, 1.0, xp=xp)
    short = _above_zero(tau - modulus(Q, xp=xp), xp=xp)
    loss = short * short
    if normalize == "weighted" or reduction != "mean":
        return _reduce(loss, w, reduction, xp=xp)
    return _ratio(_reduce(loss, w, "sum", xp=xp), xp.sum(xp.ones_like(w)), xp=xp)


@quiet
def sign_consistency_loss(
    P: Any,
    Q: Any,
    Yn: Any,
    Yd: Any,
    band: float = 1e-3,
    normalize: Literal["selected", "batch"] = "selected",
    *,
    xp: Any,
    selected: Any = None,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """1 − cos(û, ŷ) on the lanes whose target is at or near infinity: on which side do they lie?

    Args:
        P, Q, Yn, Yd, weight, reduction: as for :func:`chordal_loss`.
        band: lanes with |Yd| <= band are selected; finite, >= 0.
        normalize: "selected" takes the mean over the selection (0 if empty), "batch" over all lanes.
        selected: bool, same shape; replaces the band.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: band out of range, an unknown normalize, unequal shapes.

    >>> import numpy as np
    >>> P, Q = np.array([-1.0, 1.0]), np.array([0.0, 1.0])
    >>> float(sign_consistency_loss(P, Q, np.array([1.0, 5.0]), np.array([0.0, 1.0]), xp=np))
    2.0
    """
    finite_number(band, "band")
    if normalize not in ("selected", "batch"):
        msg = f"normalize must be 'selected' or 'batch', got {normalize!r}"
        raise SCMValueError(msg)
    same_shape(P=P, Q=Q, Yn=Yn, Yd=Yd, weight=weight, selected=selected)
    chosen = xp.abs(Yd) <= band if selected is None else selected
    w = _weights(weight, P, xp=xp)
    loss, here = _oriented_lanes(P, Q, Yn, Yd, None, xp.where(chosen, w, 0.0), xp=xp)
    if normalize == "selected" or reduction != "mean":
        return _reduce(loss, here, reduction, xp=xp)
    return _ratio(_reduce(loss, here, "sum", xp=xp), xp.sum(w), xp=xp)


@quiet
def soft_coverage_loss(
    Q: Any,
    tau: Any,
    temperature: Any,
    target: float = 0.95,
    *,
    xp: Any,
    weight: Any = None,
) -> Any:
    """relu(target − mean σ((|Q| − τ)/T))²: a coverage that can be differentiated.

    Args:
        Q: denominators, real or complex; the derivative of |Q| at 0 counts as +1.
        tau: threshold >= 0; temperature: T > 0; numbers or (traced) scalars.
        target: wanted share of lanes, in [0, 1].
        weight: >= 0 or bool, Q's shape; the mean is weighted, and the loss is 0 if Σw = 0.
        xp: numpy, torch or jax.numpy.

    Returns:
        One number (0-d).

    Raises:
        SCMValueError: a parameter out of range, or unequal shapes.

    >>> import numpy as np
    >>> float(soft_coverage_loss(np.array([0.5]), 0.5, 0.1, 1.0, xp=np))
    0.25
    """
    finite_number(tau, "tau")
    finite_number(temperature, "temperature", above=True)
    _share(target)
    same_shape(Q=Q, weight=weight)
    Q, w = _weighted(Q, weight, 1.0, xp=xp)
    # σ(z) = ½(1 + tanh(z/2)): the frameworks share tanh, and it saturates without overflow.
    soft = 0.5 * (1.0 + xp.tanh(0.5 * ((modulus(Q, xp=xp) - tau) / temperature)))
    total = xp.sum(w)
    empty = total == 0
    short = _above_zero(target - _ratio(xp.sum(soft * w), total, xp=xp), xp=xp)
    return xp.where(empty, 0.0, xp.where(empty, 0.0, short) * short)


@quiet
def separation_losses(
    Q: Any,
    is_bottom: Any,
    tau_bottom: float = 1e-2,
    tau_finite: float = 5e-2,
    *,
    xp: Any,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> tuple[Any, Any]:
    """Push |Q| of ⊥ targets below tau_bottom and of finite targets above tau_finite.

    Args:
        Q: denominators, real or complex.
        is_bottom: bool, Q's shape.
        tau_bottom, tau_finite: finite, >= 0, tau_finite >= tau_bottom.
        weight, reduction: as for :func:`chordal_loss`, within each group.
        xp: numpy, torch or jax.numpy.

    Returns:
        (mean over ⊥ of relu(|Q| − tau_bottom)², mean over finite of relu(tau_finite − |Q|)²);
        the groups never mix, and an empty group gives 0.

    Raises:
        SCMValueError: thresholds out of order, or unequal shapes.

    >>> import numpy as np
    >>> a, b = separation_losses(np.array([0.51, 0.01]), np.array([True, False]), xp=np)
    >>> round(float(a), 6), round(float(b), 6)
    (0.25, 0.0016)
    """
    finite_number(tau_bottom, "tau_bottom")
    finite_number(tau_finite, "tau_finite")
    if tau_finite < tau_bottom:
        msg = f"tau_finite {tau_finite:g} must be >= tau_bottom {tau_bottom:g}"
        raise SCMValueError(msg)
    same_shape(Q=Q, is_bottom=is_bottom, weight=weight)
    Q, w = _weighted(Q, weight, 1.0, xp=xp)
    w_bottom, w_finite = xp.where(is_bottom, w, 0.0), xp.where(is_bottom, 0.0, w)
    over = _above_zero(modulus(xp.where(is_bottom, Q, 1.0), xp=xp) - tau_bottom, xp=xp)
    short = _above_zero(tau_finite - modulus(xp.where(is_bottom, 1.0, Q), xp=xp), xp=xp)
    return (
        _reduce(over * over, w_bottom, reduction, xp=xp),
        _reduce(short * short, w_finite, reduction, xp=xp),
    )


def _share(target: float) -> None:
    finite_number(target, "target")
    if target > 1:
        msg = f"target must be a share in [0, 1], got {target}"
        raise SCMValueError(msg)


@quiet
def coverage(mask: Any, *, xp: Any) -> Any:
    """1 − mean(mask), the share of regular lanes: a metric, without gradient.

    Args:
        mask: bool, not empty; True where ⊥.
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: an empty mask.

    >>> import numpy as np
    >>> float(coverage(np.array([True, False, False, False]), xp=np))
    0.75
    """
    if 0 in tuple(mask.shape):
        msg = "mask is empty; the coverage of nothing is not defined"
        raise SCMValueError(msg)
    return 1.0 - xp.mean(xp.where(mask, 1.0, 0.0))


@quiet
def rejection_penalty(mask: Any, target: float = 0.95, *, xp: Any) -> Any:
    """relu(target − coverage)²: a metric, without gradient; see :func:`soft_coverage_loss` for a loss.

    Args:
        mask: bool, not empty; True where ⊥.
        target: wanted coverage, in [0, 1].
        xp: numpy, torch or jax.numpy.

    Raises:
        SCMValueError: an empty mask, or a target out of range.

    >>> import numpy as np
    >>> float(rejection_penalty(np.array([True, False]), 1.0, xp=np))
    0.25
    """
    _share(target)
    short = _above_zero(target - coverage(mask, xp=xp), xp=xp)
    return short * short


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights and thresholds of :func:`scm_loss`; frozen, all numbers finite and >= 0.

    Raises:
        SCMTypeError, SCMValueError: a field of the wrong type or out of range.

    >>> LossConfig(fit="chordal", sign_weight=0.0).margin_weight
    0.1
    """

    fit: Literal["oriented", "chordal", "implicit"] = "oriented"
    fit_weight: float = 1.0
    margin_weight: float = 0.1
    sign_weight: float = 1.0
    coverage_weight: float = 0.01
    tau_train: float = 1e-4
    sign_band: float = 1e-3
    target_coverage: float = 0.95
    gamma: float = 1e-9

    def __post_init__(self) -> None:
        if self.fit not in ("oriented", "chordal", "implicit"):
            msg = f"fit must be 'oriented', 'chordal' or 'implicit', got {self.fit!r}"
            raise SCMValueError(msg)
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            finite_number(value, field.name)
            object.__setattr__(self, field.name, float(value))
        _share(self.target_coverage)


@quiet
def scm_loss(
    P: Any,
    Q: Any,
    targets: Targets,
    config: LossConfig,
    tau: Any = None,
    *,
    xp: Any,
    stop_gradient: StopGradient | None = None,
) -> tuple[Any, dict[str, Any]]:
    """The weighted sum of fit, margin, sign and coverage.

    The margin counts on finite targets only, the sign only where the target has a side; a ⊥ target
    without a side is fitted by the sign-blind form. A term of weight 0 is not computed.

    Args:
        P, Q: predictions, the targets' shape.
        targets: from ``lift_targets`` or ``lift_semantic_targets``.
        config: weights and thresholds.
        tau: margin of this step (a number or a scalar array), also the temperature of the
            coverage; None takes ``config.tau_train``.
        stop_gradient: the framework's; the parts go through it.
        xp: numpy, torch or jax.numpy.

    Returns:
        (total, parts): parts has the keys fit, margin, sign, coverage and total, unweighted apart
        from the total; a term that was skipped is 0.

    Raises:
        SCMValueError: unequal shapes; tau = 0 with a coverage term (it is a temperature).

    >>> import numpy as np
    >>> from zeroproofml.scm.formulas.projective import lift_targets
    >>> targets = lift_targets(np.array([2.0, np.inf]), xp=np)
    >>> P, Q = np.array([2.0, -1.0]), np.array([1.0, 0.0])
    >>> total, parts = scm_loss(P, Q, targets, LossConfig(coverage_weight=0.0), xp=np)
    >>> float(parts["fit"]), float(parts["sign"]), float(total)
    (1.0, 2.0, 3.0)
    """
    tau = config.tau_train if tau is None else tau
    Yn, Yd, weight = targets.numerator, targets.denominator, targets.weight
    same_shape(P=P, Q=Q, **targets._asdict())
    directed = targets.orientation != 0
    selected = directed & (xp.abs(Yd) <= config.sign_band)
    terms: dict[str, Any] = {}
    oriented = config.fit == "oriented" and config.fit_weight
    if oriented:
        undirected = targets.is_bottom & ~directed
        lanes, w = _oriented_lanes(P, Q, Yn, Yd, undirected, weight, xp=xp)
        terms["fit"] = _reduce(lanes, w, "mean", xp=xp)
    elif config.fit_weight and config.fit == "chordal":
        terms["fit"] = chordal_loss(P, Q, Yn, Yd, weight=weight, xp=xp)
    elif config.fit_weight:
        terms["fit"] = implicit_loss(P, Q, Yn, Yd, config.gamma, weight=weight, xp=xp)
    if config.margin_weight:
        finite = xp.where(targets.is_bottom, 0.0, weight)
        terms["margin"] = margin_loss(Q, tau, weight=finite, xp=xp)
    if config.sign_weight and oriented:  # a lane with a side has the oriented loss already
        here, w = xp.where(selected, lanes, 0.0), xp.where(selected, w, 0.0)
        terms["sign"] = _reduce(here, w, "mean", xp=xp)
    elif config.sign_weight:
        terms["sign"] = sign_consistency_loss(P, Q, Yn, Yd, selected=selected, weight=weight, xp=xp)
    if config.coverage_weight:
        terms["coverage"] = soft_coverage_loss(
            Q, tau, tau, config.target_coverage, weight=weight, xp=xp
        )
    stop = stop_gradient or identity
    total: Any = xp.zeros_like(xp.sum(_weights(None, P, xp=xp)))
    parts = dict.fromkeys(("fit", "margin", "sign", "coverage"), total)
    for name, term in terms.items():
        total = total + getattr(config, f"{name}_weight") * term
        parts[name] = stop(term)
    return total, {**parts, "total": stop(total)}
