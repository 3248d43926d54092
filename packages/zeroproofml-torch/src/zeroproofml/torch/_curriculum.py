"""Weights of a loss that change with the epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zeroproofml.scm.errors import SCMValueError

__all__ = ["LinearRamp", "LossCurriculum"]


@dataclass(frozen=True, slots=True)
class LinearRamp:
    """A factor that goes from ``start`` to ``end`` between two epochs, and stays at either side.

    Raises:
        SCMValueError: factors negative or not finite, or epochs out of order.

    >>> ramp = LinearRamp(0.0, 1.0, start_epoch=2, end_epoch=4)
    >>> [ramp(epoch) for epoch in range(6)]
    [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
    """

    start: float
    end: float
    start_epoch: int = 0
    end_epoch: int = 1

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                msg = f"{name} must be finite and >= 0, got {value}"
                raise SCMValueError(msg)
        if not 0 <= self.start_epoch < self.end_epoch:
            msg = (
                f"start_epoch {self.start_epoch} must be >= 0 and before end_epoch {self.end_epoch}"
            )
            raise SCMValueError(msg)

    def __call__(self, epoch: int) -> float:
        """The factor in an epoch (from 0)."""
        share = (epoch - self.start_epoch) / (self.end_epoch - self.start_epoch)
        share = min(max(share, 0.0), 1.0)
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True, slots=True)
class LossCurriculum:
    """Factors on the weights of a ``LossConfig``, by part: fit, margin, sign, coverage.

    >>> LossCurriculum({"margin": LinearRamp(0.0, 1.0, 0, 2)}).weights(1)
    {'margin': 0.5}
    """

    ramps: Mapping[str, LinearRamp]

    def weights(self, epoch: int) -> dict[str, float]:
        """The factor of each part in an epoch (from 0)."""
        return {part: ramp(epoch) for part, ramp in self.ramps.items()}
