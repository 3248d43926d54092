"""Signed Common Meadow arithmetic, layers and losses for JAX.

Names are loaded when they are first used. The thirteen operations are in ``zeroproofml.jax.ops``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zeroproofml.jax._version import __version__

# fmt: off
# isort: off
if TYPE_CHECKING:
    from zeroproofml.jax.array import SCMArray
    from zeroproofml.jax.inference import (
        InferenceConfig, InferenceResult, decode_three_way, gauge_value, strict_inference
    )
    from zeroproofml.jax.layers import (
        AngularProjectiveHead, ProjectiveNormalize, ProjectiveRationalMultiHead, SCMNorm,
        SCMRationalLayer, SCMSoftmax
    )
    from zeroproofml.jax.losses import (
        Label, LossConfig, SCMLoss, Targets, chordal_loss, coverage, implicit_loss,
        lift_semantic_targets, lift_targets, margin_loss, oriented_chordal_loss,
        rejection_penalty, scm_loss, separation_losses, sign_consistency_loss,
        soft_coverage_loss
    )
    from zeroproofml.jax.training import make_train_step
    from zeroproofml.scm.cause import Cause
    from zeroproofml.scm.policy import GradientPolicy, gradient_policy

__all__ = [
    "AngularProjectiveHead", "Cause", "GradientPolicy", "InferenceConfig", "InferenceResult",
    "Label", "LossConfig", "ProjectiveNormalize", "ProjectiveRationalMultiHead", "SCMArray",
    "SCMLoss", "SCMNorm", "SCMRationalLayer", "SCMSoftmax", "Targets", "__version__",
    "chordal_loss", "coverage", "decode_three_way", "gauge_value", "gradient_policy",
    "implicit_loss", "lift_semantic_targets", "lift_targets", "make_train_step", "margin_loss",
    "oriented_chordal_loss", "rejection_penalty", "scm_loss", "separation_losses",
    "sign_consistency_loss", "soft_coverage_loss", "strict_inference",
]

_HOMES = {
    "zeroproofml.jax.array": "SCMArray",
    "zeroproofml.jax.inference": (
        "InferenceConfig InferenceResult decode_three_way gauge_value strict_inference"
    ),
    "zeroproofml.jax.layers": (
        "AngularProjectiveHead ProjectiveNormalize ProjectiveRationalMultiHead SCMNorm "
        "SCMRationalLayer SCMSoftmax"
    ),
    "zeroproofml.jax.training": "make_train_step",
    "zeroproofml.scm.cause": "Cause",
    "zeroproofml.scm.policy": "GradientPolicy gradient_policy",
}
# fmt: on
# isort: on
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOME.get(name, "zeroproofml.jax.losses")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
