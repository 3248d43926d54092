"""The DOSE, RF and IK benchmarks of ZeroProofML as auditable, resumable runs.

Names are loaded when they are first used: importing this package loads neither numpy nor torch.
"""

from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks._version import __version__

if TYPE_CHECKING:
    from zeroproofml.benchmarks.config import resolve as resolve_config
    from zeroproofml.benchmarks.runner import RunOutcome, run_benchmark
    from zeroproofml.report.compare import compare_benchmark_runs
    from zeroproofml.report.rundir import load_benchmark_run, validate_run_dir

__all__ = [
    "RunOutcome",
    "__version__",
    "compare_benchmark_runs",
    "load_benchmark_run",
    "resolve_config",
    "run_benchmark",
    "validate_run_dir",
]

_HOMES = {
    "RunOutcome": ("zeroproofml.benchmarks.runner", "RunOutcome"),
    "compare_benchmark_runs": ("zeroproofml.report.compare", "compare_benchmark_runs"),
    "load_benchmark_run": ("zeroproofml.report.rundir", "load_benchmark_run"),
    "resolve_config": ("zeroproofml.benchmarks.config", "resolve"),
    "run_benchmark": ("zeroproofml.benchmarks.runner", "run_benchmark"),
    "validate_run_dir": ("zeroproofml.report.rundir", "validate_run_dir"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
