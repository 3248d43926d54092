"""Signed Common Meadow arithmetic, layers and losses for JAX.

Names are loaded when they are first used. The thirteen operations are in ``zeroproofml.jax.ops``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.jax._version import __version__

if TYPE_CHECKING:
    from zeroproofml.jax.array import SCMArray
    from zeroproofml.jax.inference import (
        InferenceConfig,
        InferenceResult,
        decode_three_way,
        gauge_value,
        strict_inference,
    )
    from zeroproofml.jax.layers import (
        AngularProjectiveHead,
        ProjectiveNormalize,
        ProjectiveRationalMultiHead,
        SCMNorm,
        SCMRationalLayer,
        SCMSoftmax,
    )
    from zeroproofml.jax.losses import (
        Label,
        LossConfig,
        SCMLoss,
        Targets,
        chordal_loss,
        coverage,
        implicit_loss,
        lift_semantic_targets,
        lift_targets,
        margin_loss,
        oriented_chordal_loss,
        rejection_penalty,
        scm_loss,
        separation_losses,
        sign_consistency_loss,
        soft_coverage_loss,
    )
    from zeroproofml.jax.training import make_train_step
    from zeroproofml.scm.cause import Cause
    from zeroproofml.scm.policy import GradientPolicy, gradient_policy

__all__ = [
    "AngularProjectiveHead",
    "Cause",
    "GradientPolicy",
    "InferenceConfig",
    "InferenceResult",
    "Label",
    "LossConfig",
    "ProjectiveNormalize",
    "ProjectiveRationalMultiHead",
    "SCMArray",
    "SCMLoss",
    "SCMNorm",
    "SCMRationalLayer",
    "SCMSoftmax",
    "Targets",
    "__version__",
    "chordal_loss",
    "coverage",
    "decode_three_way",
    "gauge_value",
    "gradient_policy",
    "implicit_loss",
    "lift_semantic_targets",
    "lift_targets",
    "make_train_step",
    "margin_loss",
    "oriented_chordal_loss",
    "rejection_penalty",
    "scm_loss",
    "separation_losses",
    "sign_consistency_loss",
    "soft_coverage_loss",
    "strict_inference",
]

_ELSEWHERE = {
    "Cause": "zeroproofml.scm.cause",
    "GradientPolicy": "zeroproofml.scm.policy",
    "InferenceConfig": "zeroproofml.jax.inference",
    "InferenceResult": "zeroproofml.jax.inference",
    "SCMArray": "zeroproofml.jax.array",
    "decode_three_way": "zeroproofml.jax.inference",
    "gauge_value": "zeroproofml.jax.inference",
    "gradient_policy": "zeroproofml.scm.policy",
    "make_train_step": "zeroproofml.jax.training",
    "strict_inference": "zeroproofml.jax.inference",
    **dict.fromkeys(
        (
            "AngularProjectiveHead",
            "ProjectiveNormalize",
            "ProjectiveRationalMultiHead",
            "SCMNorm",
            "SCMRationalLayer",
            "SCMSoftmax",
        ),
        "zeroproofml.jax.layers",
    ),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE.get(name, "zeroproofml.jax.losses")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
