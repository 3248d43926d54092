"""From an order to a decision: identities, directory, what is there, what will happen.

`prepare` reads, checks and decides; it writes nothing, so every usage error ends here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import domains, placement, provenance, record, search
from zeroproofml.benchmarks.config import Resolved
from zeroproofml.benchmarks.decide import Decision, Flag, Request, decide
from zeroproofml.benchmarks.progress import NullSink
from zeroproofml.benchmarks.situation import Found, Identity, look
from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report._output import demand_directory
from zeroproofml.report.errors import (
    ReportError,
    ResumeRefused,
    RunInvalid,
    RunLocked,
    UsageError,
)
from zeroproofml.report.journal import utc_now
from zeroproofml.report.lock import RunLock

if TYPE_CHECKING:
    from zeroproofml.benchmarks.progress import Sink
    from zeroproofml.report.contract import Environment
    from zeroproofml.report.rundir import BenchmarkRun

RESULTS = Path("results") / "benchmarks"


@dataclass(frozen=True)
class Order:
    """What is asked of the runner, with every word already checked."""

    resolved: Resolved
    seeds: tuple[int, ...] | None = None
    out_root: Path | None = None
    flag: Flag = "none"
    html: bool = False
    baseline: Path | None = None
    executor: str | None = None
    workers: int | None = None
    scheduler: str | None = None
    fail_on_claims: bool = False
    accelerators: dict[str, Any] | None = None
    argv: tuple[str, ...] = ()
    sink: Sink = field(default_factory=NullSink)
    clock: Callable[[], str] = utc_now
    run_id: Callable[[], str] = record.new_run_id


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended."""

    path: Path
    status: str
    """complete, partial, resumable or interrupted."""
    exit_code: int
    raw_digest: str | None = None
    root_digest: str | None = None
    verdicts: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A request that can be carried out: where, under which identity, and what will happen."""

    order: Order
    path: Path
    identity: Identity
    environment: Environment
    found: Found
    decision: Decision
    baseline: BenchmarkRun | None
    passed_over: tuple[str, ...] = ()

    @property
    def place(self) -> placement.Placement:
        """Which executor, how many workers, which scheduler."""
        order = self.order
        return placement.choose(
            order.executor,
            order.workers,
            order.scheduler,
            seeds=len(self.decision.run),
            device=order.resolved.config["device"],
        )

    def refusal(self) -> ReportError | None:
        """The typed error of a decision that refuses, or None."""
        made = self.decision
        if made.action != "refuse":
            return None
        return _refusal(self.path, made)


def _refusal(path: Path, made: Decision) -> ReportError:
    where = str(path)
    if made.exit_code == 11:
        try:
            RunLock(Tree(path)).acquire()
        except RunLocked as error:
            return error
        return RunLocked(made.message, path=where)
    if made.exit_code == 6:
        lines = [each.line() for each in made.differences]
        return ResumeRefused(made.message, differences=lines, path=where, hint=made.mend)
    if made.exit_code == 5:
        return RunInvalid(made.message, path=where, hint=made.mend)
    return UsageError(made.message, path=where, hint=made.mend)


def prepare(order: Order) -> Prepared:
    """Read, check and decide; writes nothing.

    Raises
    ------
    UsageError
        A word, a baseline or an executor that cannot be.
    RunInvalid
        A baseline that does not validate.
    ReportError
        What the domain itself refuses (`domains.check`).
    """
    config = order.resolved.config
    domains.producer(config["domain"], config["protocol"]["name"])
    frameworks = domains.frameworks(config["domain"])
    environment = provenance.environment(config, frameworks, order.accelerators)
    code = provenance.code(frameworks)
    identity = Identity(order.resolved, code, environment.identity)
    baseline = None if order.baseline is None else _baseline(str(order.baseline), order)
    passed: tuple[str, ...] = ()
    path = order.out_root
    if path is None and order.flag == "resume":
        path, passed = search.newest(RESULTS / config["domain"], identity)
    if path is None:
        path = search.fresh(RESULTS / config["domain"], order.resolved, datetime.now(UTC))
    _demand_place(path)
    found = look(path, identity)
    decision = decide(found.situation, request_of(order, path, found))
    made = Prepared(order, path, identity, environment, found, decision, baseline, passed)
    place = made.place  # an executor that cannot be is a usage error, before anything exists
    if decision.action in ("start", "continue", "reopen"):
        domains.check(config)
        placement.check_space(path, order.resolved, len(decision.run))
        placement.check(place)
    return made


def _demand_place(path: Path) -> None:
    """Refuse a run directory that lies inside a file."""
    for above in path.absolute().parents:
        kind = what_is(above)
        if kind not in (None, "dir"):
            msg = f"--out-root: {above.name} on the way to {path} is not a directory"
            raise UsageError(msg, hint="choose another --out-root")
        if kind == "dir":
            return


def request_of(order: Order, path: Path, found: Found) -> Request:
    """What is asked of the run that was found, in the words of the decision table."""
    unserved = False
    if found.situation.state == "complete":
        tree = Tree(path)
        unserved = order.html and tree.kind("RUN_REPORT.html") is None
        unserved = unserved or order.baseline is not None
    return Request(order.flag, order.seeds, order.resolved.default_seeds, unserved)


def _baseline(given: str, order: Order) -> BenchmarkRun:
    from zeroproofml.report.rundir import load_benchmark_run

    demand_directory(given, "--baseline-run-dir")
    run = load_benchmark_run(given)
    config = order.resolved.config
    theirs = run.provenance.config
    mine = (config["domain"], config["mode"], config["protocol"])
    other = (theirs.domain, theirs.mode, theirs.protocol.plain())
    for key, ours, its in zip(("domain", "mode", "protocol"), mine, other, strict=True):
        if ours != its:
            msg = f"--baseline-run-dir: {key} differs ({its} there, {ours} here)"
            raise UsageError(msg, hint="compare runs of one kind")
    return run


def exit_code(order: Order, failed: Mapping[int, str], verdicts: Mapping[str, int]) -> int:
    """Of a run that was sealed: 3 with failed seeds, 4 if the gate on claims is shut, else 0."""
    if failed:
        return 3
    gate = any(count for verdict, count in verdicts.items() if verdict != "SUPPORTED")
    return 4 if order.fail_on_claims and gate else 0
