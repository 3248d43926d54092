"""The conformance corpus, the laws, a leak check for functions of your own, a pytest plugin.

Names are loaded when they are first used: the plugin lives here and must cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroproofml.scm.testing.corpus import (
        Backend,
        Case,
        Report,
        load_cases,
        run_case,
        run_corpus,
        tolerance,
    )
    from zeroproofml.scm.testing.laws import (
        LAWS,
        Law,
        Operations,
        array_operations,
        exact_operations,
        scalar_operations,
    )
    from zeroproofml.scm.testing.leak import assert_no_leak

__all__ = [
    "LAWS",
    "Backend",
    "Case",
    "Law",
    "Operations",
    "Report",
    "array_operations",
    "assert_no_leak",
    "exact_operations",
    "load_cases",
    "run_case",
    "run_corpus",
    "scalar_operations",
    "tolerance",
]

_LAWS = {
    "LAWS",
    "Law",
    "Operations",
    "array_operations",
    "exact_operations",
    "scalar_operations",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    where = "laws" if name in _LAWS else "leak" if name == "assert_no_leak" else "corpus"
    return getattr(import_module(f"{__name__}.{where}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
