"""Running means of an epoch, kept on the device and read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zeroproofml.scm.formulas.projective import Targets
from zeroproofml.torch.inference import InferenceConfig, strict_inference

__all__ = ["EpochMetrics"]


class EpochMetrics:
    """Lane-weighted means over batches; minima stay minima.

    The loss and its parts are weighted by the targets' weights (a batch of one lane counts as one
    lane); coverage and the denominators by lanes. Batches without a Q count for the loss only.
    """

    def __init__(self, tau_infer: float) -> None:
        self._config = InferenceConfig(tau_infer=tau_infer)
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}
        self._minima: dict[str, Tensor] = {}

    def _add(self, name: str, value: Tensor, weight: Tensor) -> None:
        value, weight = value.detach().double(), weight.detach().double()
        # A batch of weight 0 says nothing, not even NaN.
        share = torch.where(weight == 0, 0.0, value * weight)
        self._sums[name] = self._sums[name] + share if name in self._sums else share
        self._weights[name] = self._weights[name] + weight if name in self._weights else weight

    @torch.no_grad()
    def update(
        self,
        loss: Tensor,
        parts: Mapping[str, Tensor],
        tau: float,
        targets: Targets,
        outputs: Sequence[Tensor] | None,
        factors: Sequence[tuple[Tensor, float]] = (),
    ) -> None:
        """Take in one batch; ``outputs`` is (P, Q), or None for a model without tuples."""
        weight = targets.weight.sum()
        self._add("loss", loss, weight)
        for name, part in parts.items():
            if name != "total":
                self._add(name, part, weight)
        self._add("tau_train", torch.tensor(tau, dtype=torch.float64), torch.ones(()))
        if outputs is None or outputs[1].numel() == 0:
            return
        P, Q = outputs
        bottom = strict_inference(P, Q, self._config, factors=factors).bottom_mask.double()
        lanes = torch.tensor(float(bottom.numel()), dtype=torch.float64, device=bottom.device)
        self._add("bottom_frac", bottom.mean(), lanes)
        size = Q.detach().abs().double()
        self._add("denom_abs_mean", size.mean(), lanes)
        least = size.min()
        known = self._minima.get("denom_abs_min")
        self._minima["denom_abs_min"] = least if known is None else torch.minimum(known, least)

    def read(self) -> dict[str, float]:
        """The metrics so far, in one transfer; NaN for a mean over nothing."""
        means = [self._sums[name].cpu() / self._weights[name].cpu() for name in self._sums]
        values = [*means, *(value.cpu() for value in self._minima.values())]
        if not values:
            return {}
        numbers = torch.stack(values).tolist()
        metrics = dict(zip([*self._sums, *self._minima], numbers, strict=True))
        if "bottom_frac" in metrics:
            metrics["coverage"] = 1.0 - metrics["bottom_frac"]
        return metrics
