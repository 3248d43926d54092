"""The conformance corpus, a leak check for functions of your own, and a pytest plugin.

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
    from zeroproofml.scm.testing.leak import assert_no_leak

__all__ = [
    "Backend",
    "Case",
    "Report",
    "assert_no_leak",
    "load_cases",
    "run_case",
    "run_corpus",
    "tolerance",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    where = "leak" if name == "assert_no_leak" else "corpus"
    return getattr(import_module(f"{__name__}.{where}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
