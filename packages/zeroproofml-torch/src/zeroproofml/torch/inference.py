"""Strict inference on torch tensors: decode (P, Q) once, at the boundary, and say why a lane is ⊥.

The decision itself is ``zeroproofml.scm.formulas.strict``, the same code for every framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zeroproofml.scm import inference
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import strict
from zeroproofml.scm.formulas.strict import InferenceConfig, InferenceResult, ThreeWay
from zeroproofml.torch import _eager
from zeroproofml.torch._execute import apply
from zeroproofml.torch._rules import RULES

__all__ = [
    "InferenceConfig",
    "InferenceResult",
    "SCMInferenceWrapper",
    "ThreeWay",
    "decode_three_way",
    "gauge_value",
    "strict_inference",
]

_DEFAULT = InferenceConfig()


def strict_inference(
    P: Tensor,
    Q: Tensor,
    config: InferenceConfig = _DEFAULT,
    *,
    factors: Sequence[Any] = (),
    broadcast: bool = False,
) -> InferenceResult:
    """Decode P/Q where it can be trusted; elsewhere say ⊥ and why.

    Args:
        P: numerator, real or complex, any shape.
        Q: denominator of the same shape, or without P's last axis (one denominator per row).
        config: thresholds and gauge; static under ``torch.compile``.
        factors: validity factors V, or pairs (V, τ): a lane with V = 0 or |V| < τ is ⊥. Each
            has P's shape, or P's last axis 1 or missing.
        broadcast: allow any shapes of P and Q that broadcast.

    Returns:
        ``decoded`` (NaN at ⊥), ``bottom_mask``, ``gap_mask`` and ``cause`` (uint8), of P's broadcast
        shape. The gradient of ``decoded`` is finite, and 0 at ⊥.

    Raises:
        SCMTypeError: P, Q or a factor is not a floating, complex or integer tensor.
        SCMValueError: other shapes; a threshold that rounds to 0 in Q's dtype.

    >>> P, Q = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([2.0, 1e-9, 0.0])
    >>> result = strict_inference(P, Q)
    >>> result.decoded
    tensor([0.5000,    nan,    nan])
    >>> result.cause
    tensor([ 0, 32,  4], dtype=torch.uint8)
    """
    if not factors:
        P, Q, _ = strict.prepare(P, Q, xp=torch, array_type=Tensor, broadcast=broadcast)
        if _eager.is_plain(P, Q):
            return _on_views(P, Q, config)
    return strict.strict_inference(
        P,
        Q,
        config,
        xp=torch,
        array_type=Tensor,
        factors=factors,
        broadcast=broadcast,
        stop_gradient=Tensor.detach,
    )


def _on_views(P: Tensor, Q: Tensor, config: InferenceConfig) -> InferenceResult:
    """The same result by NumPy's front, which asks for causes only at ⊥ lanes."""
    found = inference.strict_inference(P.detach().numpy(), Q.detach().numpy(), config)
    decoded, bottom, gap, cause = map(torch.from_numpy, found)
    if torch.is_grad_enabled() and (P.requires_grad or Q.requires_grad):
        payload, _ = apply(RULES["div"], bottom, P, Q)
        decoded = payload.masked_fill(bottom, torch.nan)
    return InferenceResult(decoded, bottom, gap, cause)


def gauge_value(
    P: Tensor, Q: Tensor, gauge: strict.Gauge = "raw", *, broadcast: bool = False
) -> Tensor:
    """The number that strict inference compares with its thresholds: |Q|, or |Q|/‖(P, Q)‖.

    Args:
        P, Q: as for :func:`strict_inference`.
        gauge: "raw" or "l2".

    Returns:
        Real tensor of P's broadcast shape; with "l2" NaN where a part is not finite.

    >>> gauge_value(torch.tensor([3.0]), torch.tensor([4.0]), "l2")
    tensor([0.8000])
    """
    value: Tensor = strict.gauge_value(
        P, Q, gauge, xp=torch, array_type=Tensor, broadcast=broadcast
    )
    return value


def decode_three_way(
    P: Tensor,
    Q: Tensor,
    config: InferenceConfig = _DEFAULT,
    *,
    orientation: Tensor | None = None,
    direction_logits: Tensor | None = None,
) -> ThreeWay:
    """Strict inference that also says on which side of the range a semantic ⊥ lies.

    Args:
        P, Q, config: as for :func:`strict_inference`.
        orientation: P's broadcast shape; the sign decides (below the logits, above the sign of P).
        direction_logits: (*P's broadcast shape, 2), index 0 below, 1 above.

    Returns:
        ``decoded``, ``bottom_mask``, and ``class_id`` int8: 1 in range, 0 below, 2 above, −1
        unresolved. A ⊥ lane is never 1.

    Raises:
        SCMTypeError, SCMValueError: as :func:`strict_inference`; shapes of the two signals.

    >>> P, Q = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([2.0, 0.0, 0.0])
    >>> decode_three_way(P, Q).class_id
    tensor([1, 0, 2], dtype=torch.int8)
    """
    return strict.decode_three_way(
        P,
        Q,
        config,
        xp=torch,
        array_type=Tensor,
        orientation=orientation,
        direction_logits=direction_logits,
        stop_gradient=Tensor.detach,
    )


class SCMInferenceWrapper(nn.Module):
    """A module that yields (P, Q) in training and an :class:`InferenceResult` in evaluation.

    Args:
        module: returns ``(P, Q)``, plus one validity factor V per entry of ``factor_thresholds``.
        config: thresholds and gauge.
        factor_thresholds: τ ≥ 0 of each factor.

    Raises:
        SCMValueError: a factor threshold that is negative or not finite.

    >>> class Head(nn.Module):
    ...     def forward(self, x):
    ...         return torch.ones_like(x), x
    >>> wrapper = SCMInferenceWrapper(Head(), InferenceConfig(tau_infer=0.5)).eval()
    >>> wrapper(torch.tensor([0.25, 4.0])).decoded
    tensor([   nan, 0.2500])
    """

    def __init__(
        self,
        module: nn.Module,
        config: InferenceConfig = _DEFAULT,
        *,
        factor_thresholds: Sequence[float] = (),
    ) -> None:
        super().__init__()
        for tau in factor_thresholds:
            if isinstance(tau, bool) or not isinstance(tau, (int, float)):
                msg = f"factor_thresholds must be numbers, not {tau!r}"
                raise SCMTypeError(msg)
            if not 0.0 <= tau < float("inf"):
                msg = f"factor_thresholds must be finite and >= 0, got {tau}"
                raise SCMValueError(msg)
        self.module = module
        self.config = config
        self.factor_thresholds = tuple(float(tau) for tau in factor_thresholds)

    def raw(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        """The module's (P, Q, *factors), in either mode.

        Raises:
            SCMTypeError: another number of members, or one that is not a tensor, or is bool (a mask
                is not a denominator).
        """
        outputs = self.module(*args, **kwargs)
        wanted = 2 + len(self.factor_thresholds)
        if not isinstance(outputs, (tuple, list)) or len(outputs) != wanted:
            found = f"{len(outputs)} members" if isinstance(outputs, (tuple, list)) else "no tuple"
            msg = (
                f"the module must return (P, Q) and {wanted - 2} factors, not {found}; "
                "pass factor_thresholds, or return the projective pair"
            )
            raise SCMTypeError(msg)
        for index, member in enumerate(outputs):
            if not isinstance(member, Tensor) or member.dtype == torch.bool:
                kind = member.dtype if isinstance(member, Tensor) else type(member).__name__
                msg = f"member {index} of the module's output is {kind}; a mask is not a tuple part"
                raise SCMTypeError(msg)
        return tuple(outputs)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...] | InferenceResult:
        """(P, Q, *factors) while ``self.training``, else the result of strict inference."""
        P, Q, *factors = self.raw(*args, **kwargs)
        if self.training:
            return (P, Q, *factors)
        pairs = list(zip(factors, self.factor_thresholds, strict=True))
        return strict_inference(P, Q, self.config, factors=pairs)
