"""A run that is complete already: verified, tidied, and given what a report option still asks for."""

from __future__ import annotations

from zeroproofml.benchmarks import finish
from zeroproofml.benchmarks.prepare import Prepared, RunOutcome, exit_code
from zeroproofml.report._fs import Tree
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.regenerate import regenerate
from zeroproofml.report.rundir import load_benchmark_run


def serve(made: Prepared) -> RunOutcome:
    """Verify a complete run and derive what is missing.

    Raises
    ------
    RunInvalid
        It does not validate.
    """
    notes: list[str] = []
    if made.decision.action == "rederive":
        baseline = made.order.baseline
        given = None if baseline is None else str(baseline)
        served = regenerate(str(made.path), html=made.order.html, baseline_run_dir=given)
        notes += [*served.notes, served.verdict]
    else:
        notes.append(made.decision.message)
        _tidy(made)
    run = load_benchmark_run(made.path)
    verdicts = finish.count_verdicts(run.claims)
    manifest = run.manifest
    return RunOutcome(
        made.path,
        manifest.status,
        exit_code(made.order, {}, verdicts),
        manifest.raw_digest,
        manifest.root_digest,
        verdicts,
        notes=tuple(notes),
    )


def _tidy(made: Prepared) -> None:
    """Remove what a kill between the seal and the end of the run left in the workspace."""
    names = {entry.name for entry in Tree(made.path).names(".zpml")}
    if names - {"lock", "quarantine", "crash.txt"}:
        RunWriter.open(made.path, clock=made.order.clock).close()
