"""Signed Common Meadow arithmetic, layers and losses for PyTorch; names load on first use.

The thirteen array operations stay in ``zeroproofml.torch.ops``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zeroproofml.torch._version import __version__

# fmt: off
# isort: off
if TYPE_CHECKING:
    from zeroproofml.scm.cause import Cause
    from zeroproofml.scm.policy import GradientPolicy, gradient_policy
    from zeroproofml.torch.export import ExportError, export_bundle
    from zeroproofml.torch.inference import (
        InferenceConfig, InferenceResult, SCMInferenceWrapper, decode_three_way,
        gauge_value, strict_inference
    )
    from zeroproofml.torch.layers import (
        AngularProjectiveHead, ProjectiveNormalize, ProjectiveRationalMultiHead, SCMNorm,
        SCMRationalLayer, SCMSoftmax
    )
    from zeroproofml.torch.losses import (
        Label, LossConfig, SCMLoss, Targets, chordal_loss, coverage, implicit_loss,
        lift_semantic_targets, lift_targets, margin_loss, oriented_chordal_loss, rejection_penalty,
        scm_loss, separation_losses, sign_consistency_loss, soft_coverage_loss
    )
    from zeroproofml.torch.tensor import SCMTensor
    from zeroproofml.torch.training import (
        JsonlLogger, LinearRamp, LossCurriculum, SCMTrainer, TrainerConfig, TrainingReport
    )

__all__ = [
    "AngularProjectiveHead", "Cause", "ExportError", "GradientPolicy", "InferenceConfig",
    "InferenceResult", "JsonlLogger", "Label", "LinearRamp", "LossConfig", "LossCurriculum",
    "ProjectiveNormalize", "ProjectiveRationalMultiHead", "SCMInferenceWrapper", "SCMLoss",
    "SCMNorm", "SCMRationalLayer", "SCMSoftmax", "SCMTensor", "SCMTrainer", "Targets",
    "TrainerConfig", "TrainingReport", "__version__", "chordal_loss", "coverage",
    "decode_three_way", "export_bundle", "gauge_value", "gradient_policy", "implicit_loss",
    "lift_semantic_targets", "lift_targets", "margin_loss", "oriented_chordal_loss",
    "rejection_penalty", "scm_loss", "separation_losses", "sign_consistency_loss",
    "soft_coverage_loss", "strict_inference",
]

_HOMES = {
    "zeroproofml.scm.cause": "Cause", "zeroproofml.scm.policy": "GradientPolicy gradient_policy",
    "zeroproofml.torch.export": "ExportError export_bundle",
    "zeroproofml.torch.inference": (
        "InferenceConfig InferenceResult SCMInferenceWrapper decode_three_way gauge_value "
        "strict_inference"
    ),
    "zeroproofml.torch.layers": (
        "AngularProjectiveHead ProjectiveNormalize ProjectiveRationalMultiHead SCMNorm "
        "SCMRationalLayer SCMSoftmax"
    ),
    "zeroproofml.torch.tensor": "SCMTensor",
    "zeroproofml.torch.training": (
        "JsonlLogger LinearRamp LossCurriculum SCMTrainer TrainerConfig TrainingReport"
    ),
}
# fmt: on
# isort: on
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOME.get(name, "zeroproofml.torch.losses")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
