"""What a trainer is told, and what it tells."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.policy import GradientPolicy

__all__ = ["Progress", "TrainerConfig", "TrainingReport"]

_CHOICES = {
    "amp": ("off", "float16", "bfloat16"),
    "on_nonfinite": ("raise", "skip"),
    "scheduler_cadence": ("update", "batch", "epoch", "validation"),
}


class Progress(Protocol):
    """Whoever wants to watch; see ``zeroproofml.benchmarks.progress``."""

    def start(self, label: str, total: int | None = None) -> None:
        """A phase begins."""

    def advance(self, n: int = 1, **info: Any) -> None:
        """Some of it is done."""

    def finish(self) -> None:
        """The phase ends."""


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """How to train; frozen, and part of a checkpoint's identity.

    Attributes:
        max_epochs: epochs of a whole run.
        accumulation_steps: batches per update; a trailing group may have fewer.
        amp: "off", "float16" (with loss scaling: a scaled gradient that overflows is a skipped
            group, as ever with float16) or "bfloat16".
        tau_train: range (lo, hi) of the margin, drawn uniformly for each batch.
        tau_infer: threshold at which coverage is measured.
        coverage_floor: stop when the validation coverage stays below; None never stops.
        coverage_patience: for how many epochs running.
        policy: gradient policy around the forward pass; None leaves it to context and layers.
        device: where model and batches go.
        on_nonfinite: "raise" a TrainingError with the weights untouched, or "skip" the group.
        max_skips: skipped groups in a row before a TrainingError.
        seed: of the draws of τ.
        scheduler_cadence: when the scheduler steps.

    Raises:
        SCMTypeError: a field of the wrong type. SCMValueError: a field out of range.

    >>> TrainerConfig(tau_train=(1e-4, 1e-2)).tau_train
    (0.0001, 0.01)
    """

    max_epochs: int = 1
    accumulation_steps: int = 1
    amp: Literal["off", "float16", "bfloat16"] = "off"
    tau_train: tuple[float, float] = (1e-4, 1e-4)
    tau_infer: float = 1e-6
    coverage_floor: float | None = None
    coverage_patience: int = 3
    policy: GradientPolicy | None = None
    device: str = "cpu"
    on_nonfinite: Literal["raise", "skip"] = "raise"
    max_skips: int = 10
    seed: int = 0
    scheduler_cadence: Literal["update", "batch", "epoch", "validation"] = "update"

    def __post_init__(self) -> None:
        for name, least in (
            ("max_epochs", 1),
            ("accumulation_steps", 1),
            ("coverage_patience", 1),
            ("max_skips", 0),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                msg = f"{name} must be an integer, not {value!r}"
                raise SCMTypeError(msg)
            if value < least:
                msg = f"{name} must be >= {least}, got {value}"
                raise SCMValueError(msg)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                msg = f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                raise SCMValueError(msg)
        policy: object = self.policy
        if policy is not None and not isinstance(policy, GradientPolicy):
            msg = f"policy must be a GradientPolicy or None, not {self.policy!r}"
            raise SCMTypeError(msg)
        lo, hi = (float(value) for value in self.tau_train)
        if not 0.0 <= lo <= hi < math.inf:
            msg = f"tau_train must be 0 <= lo <= hi < inf, got {self.tau_train}"
            raise SCMValueError(msg)
        object.__setattr__(self, "tau_train", (lo, hi))
        if not 0.0 < self.tau_infer < math.inf:
            msg = f"tau_infer must be finite and > 0, got {self.tau_infer}"
            raise SCMValueError(msg)
        if self.coverage_floor is not None and not 0.0 <= self.coverage_floor <= 1.0:
            msg = f"coverage_floor must lie in [0, 1], got {self.coverage_floor}"
            raise SCMValueError(msg)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        plain = asdict(self)
        plain["policy"] = None if self.policy is None else self.policy.value
        plain["tau_train"] = list(self.tau_train)
        return plain

    def sha256(self) -> str:
        """The digest of the fields, as a checkpoint stores it."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What ``fit`` did.

    Attributes:
        epochs: epochs finished since the start of the run, resumed ones included.
        steps: weight updates, likewise.
        history: one dict of metrics per epoch of this call; validation metrics with ``val_``.
        nonfinite_skips: groups dropped.
        stopped: None, or why training ended before ``max_epochs``.
    """

    epochs: int
    steps: int
    history: tuple[dict[str, float], ...]
    nonfinite_skips: int
    stopped: str | None
