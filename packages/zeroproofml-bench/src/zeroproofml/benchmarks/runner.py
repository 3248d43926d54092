"""Run a benchmark: prepare, then carry the decision out.

Once a seed is committed, a kill at any instant leaves the run resumable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from zeroproofml.benchmarks import hardware
from zeroproofml.benchmarks.attempt import Attempt
from zeroproofml.benchmarks.config import Resolved, check_seeds
from zeroproofml.benchmarks.prepare import Order, Prepared, RunOutcome, prepare
from zeroproofml.benchmarks.progress import NullSink
from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.decide import Flag
    from zeroproofml.benchmarks.progress import Sink

__all__ = ["RunOutcome", "execute", "run_benchmark"]


def execute(made: Prepared) -> RunOutcome:
    """Carry a prepared order out.

    Raises
    ------
    UsageError, ResumeRefused, RunLocked, RunInvalid, StorageError
        As the decision says, or what the disk says.
    """
    refusal = made.refusal()
    if refusal is not None:
        raise refusal
    try:
        if made.decision.action in ("nothing", "rederive"):
            from zeroproofml.benchmarks.serve import serve

            return serve(made)
        return Attempt(made).run()
    finally:
        made.order.sink.emit({"event": "finished"})


def run_benchmark(
    config: Resolved,
    seeds: Iterable[int] | None = None,
    out_root: str | Path | None = None,
    *,
    flag: Flag = "none",
    html_report: bool = False,
    baseline_run_dir: str | Path | None = None,
    executor: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    fail_on_claims: bool = False,
    progress: Sink | None = None,
) -> RunOutcome:
    """Run a benchmark into a directory, as `zpml-bench` does.

    Parameters
    ----------
    config
        From `resolve_config`.
    seeds
        Default: the mode's, or the plan of the run that is continued.
    out_root
        Default: a new directory under `results/benchmarks/<domain>`.
    flag
        `"none"`, `"resume"`, `"skip"` (complete seeds) or `"force"` (rerun).

    Raises
    ------
    UsageError
        What is asked cannot be; nothing was written.
    ResumeRefused
        The directory holds a run that this command may not continue; see `.differences`.
    RunLocked
        Another process writes there; see `.owner`.

    Examples
    --------
    >>> run_benchmark.__name__  # a run is made in the README's example
    'run_benchmark'
    """
    device, accelerators = hardware.choose_device(config.config["device"])
    if device != config.config["device"]:
        msg = "config: device auto is resolved before hashing; use resolve_config"
        raise UsageError(msg)
    order = Order(
        resolved=config,
        seeds=None if seeds is None else check_seeds(seeds),
        out_root=None if out_root is None else Path(out_root),
        flag=flag,
        html=html_report,
        baseline=None if baseline_run_dir is None else Path(baseline_run_dir),
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        fail_on_claims=fail_on_claims,
        accelerators=accelerators,
        argv=tuple(sys.argv),
        sink=progress or NullSink(),
    )
    return execute(prepare(order))
