"""The run contract of ZeroProofML benchmarks: validate, derive, verify, report.

Names are loaded when they are used: importing this package loads neither NumPy nor pydantic.
"""

import importlib
from typing import TYPE_CHECKING

from zeroproofml.report._version import __version__

if TYPE_CHECKING:
    from zeroproofml.report.compare import Comparison, compare_benchmark_runs
    from zeroproofml.report.errors import (
        ComparisonRefused,
        FileInvalid,
        Finding,
        ReportError,
        ResumeRefused,
        RunInvalid,
        RunLocked,
        StorageError,
        UsageError,
    )
    from zeroproofml.report.rundir import (
        BenchmarkRun,
        State,
        Verification,
        load_benchmark_run,
        run_state,
        validate_run_dir,
        verify_run,
    )

_NAMES = {
    "compare": ("Comparison", "compare_benchmark_runs"),
    "errors": (
        *("ComparisonRefused", "FileInvalid", "Finding", "ReportError", "ResumeRefused"),
        *("RunInvalid", "RunLocked", "StorageError", "UsageError"),
    ),
    "rundir": (
        *("BenchmarkRun", "State", "Verification", "load_benchmark_run"),
        *("run_state", "validate_run_dir", "verify_run"),
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "BenchmarkRun",
    "Comparison",
    "ComparisonRefused",
    "FileInvalid",
    "Finding",
    "ReportError",
    "ResumeRefused",
    "RunInvalid",
    "RunLocked",
    "State",
    "StorageError",
    "UsageError",
    "Verification",
    "__version__",
    "compare_benchmark_runs",
    "load_benchmark_run",
    "run_state",
    "validate_run_dir",
    "verify_run",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
