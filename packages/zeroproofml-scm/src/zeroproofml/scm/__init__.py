"""Signed Common Meadow arithmetic for NumPy: division by zero is a value, not an accident.

Names are loaded when they are first used: the pytest plugin and the command lines reach
``zeroproofml.scm.errors`` without loading NumPy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from zeroproofml.scm._version import __version__

if TYPE_CHECKING:
    from zeroproofml.scm.inference import InferenceConfig, InferenceResult, strict_inference

    from zeroproofml.scm.array import SCMArray
    from zeroproofml.scm.bridge import from_ieee, to_ieee
    from zeroproofml.scm.cause import Cause
    from zeroproofml.scm.errors import (
        BottomError,
        NamespaceConflict,
        SCMTypeError,
        SCMValueError,
        TrainingError,
        ZeroProofError,
    )
    from zeroproofml.scm.ops import (
        scm_add,
        scm_cos,
        scm_div,
        scm_exp,
        scm_inv,
        scm_log,
        scm_mul,
        scm_neg,
        scm_pow,
        scm_sin,
        scm_sqrt,
        scm_sub,
        scm_tan,
    )
    from zeroproofml.scm.policy import GradientPolicy, gradient_policy
    from zeroproofml.scm.sign import weak_sign
    from zeroproofml.scm.value import BOTTOM, SCMValue

__all__ = [
    "BOTTOM",
    "BottomError",
    "Cause",
    "GradientPolicy",
    "InferenceConfig",
    "InferenceResult",
    "NamespaceConflict",
    "SCMArray",
    "SCMTypeError",
    "SCMValue",
    "SCMValueError",
    "TrainingError",
    "ZeroProofError",
    "__version__",
    "from_ieee",
    "gradient_policy",
    "scm_add",
    "scm_cos",
    "scm_div",
    "scm_exp",
    "scm_inv",
    "scm_log",
    "scm_mul",
    "scm_neg",
    "scm_pow",
    "scm_sin",
    "scm_sqrt",
    "scm_sub",
    "scm_tan",
    "strict_inference",
    "to_ieee",
    "weak_sign",
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
    "ops": "scm_add scm_sub scm_mul scm_div scm_pow scm_inv scm_neg scm_log scm_exp scm_sqrt "
    "scm_sin scm_cos scm_tan",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def _refuse_capture() -> None:
    """Notice a regular package called ``zeroproofml``: it has a file, and a namespace has none."""
    captor = getattr(sys.modules["zeroproofml"], "__file__", None)
    if captor is None:
        return
    from importlib import metadata

    from zeroproofml.scm.errors import NamespaceConflict

    try:
        what = f"zeroproofml {metadata.version('zeroproofml')}"
    except metadata.PackageNotFoundError:
        what = "another package"
    msg = (
        f"{what} at {captor} captures the namespace of zeroproofml-scm; "
        "run: pip uninstall zeroproofml, then reinstall zeroproofml-scm and its siblings"
    )
    raise NamespaceConflict(msg)


_refuse_capture()


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
