"""Signed Common Meadow arithmetic for NumPy: division by zero is a value, not an accident.

Names are loaded when they are first used: the pytest plugin and the command lines reach
``zeroproofml.scm.errors`` without loading NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zeroproofml.scm._namespace import refuse_capture
from zeroproofml.scm._version import __version__

# fmt: off
# isort: off
if TYPE_CHECKING:
    from zeroproofml.scm.array import SCMArray
    from zeroproofml.scm.bridge import from_ieee, to_ieee
    from zeroproofml.scm.cause import Cause
    from zeroproofml.scm.errors import (
        BottomError, NamespaceConflict, SCMTypeError, SCMValueError, TrainingError, ZeroProofError
    )
    from zeroproofml.scm.inference import InferenceConfig, InferenceResult, strict_inference
    from zeroproofml.scm.ops import (
        scm_add, scm_cos, scm_div, scm_exp, scm_inv, scm_log, scm_mul, scm_neg, scm_pow, scm_sin,
        scm_sqrt, scm_sub, scm_tan
    )
    from zeroproofml.scm.policy import GradientPolicy, gradient_policy
    from zeroproofml.scm.sign import weak_sign
    from zeroproofml.scm.value import BOTTOM, SCMValue

__all__ = [
    "BOTTOM", "BottomError", "Cause", "GradientPolicy", "InferenceConfig", "InferenceResult",
    "NamespaceConflict", "SCMArray", "SCMTypeError", "SCMValue", "SCMValueError", "TrainingError",
    "ZeroProofError", "__version__", "from_ieee", "gradient_policy", "scm_add", "scm_cos",
    "scm_div", "scm_exp", "scm_inv", "scm_log", "scm_mul", "scm_neg", "scm_pow", "scm_sin",
    "scm_sqrt", "scm_sub", "scm_tan", "strict_inference", "to_ieee", "weak_sign",
]

_HOMES = {
    "array": "SCMArray",
    "bridge": "from_ieee to_ieee",
    "cause": "Cause",
    "errors": "BottomError NamespaceConflict SCMTypeError SCMValueError TrainingError ZeroProofError",
    "inference": "InferenceConfig InferenceResult strict_inference",
    "policy": "GradientPolicy gradient_policy",
    "sign": "weak_sign",
    "value": "BOTTOM SCMValue",
}
# fmt: on
# isort: on
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

refuse_capture()


def __getattr__(name: str) -> Any:
    home = _HOME.get(name) or ("ops" if name in __all__ else None)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
