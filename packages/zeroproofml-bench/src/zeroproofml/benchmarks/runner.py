"""From a request to a sealed run: look, decide, lock, compute, derive, seal.

`prepare` reads and decides; `Prepared.execute` does. Every usage error ends in `prepare`, before
anything exists on disk. Once a seed is committed, a kill at any instant leaves the run resumable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import (
    domains,
    hardware,
    placement,
    provenance,
    record,
    search,
    usage,
)
from zeroproofml.benchmarks.attempt import Seeds
from zeroproofml.benchmarks.cluster import SchedulerLost
from zeroproofml.benchmarks.config import Resolved, check_seeds
from zeroproofml.benchmarks.decide import Decision, Flag, Request, decide
from zeroproofml.benchmarks.progress import NullSink
from zeroproofml.benchmarks.signals import EXIT, Interrupted, Stop
from zeroproofml.benchmarks.situation import Found, Identity, look
from zeroproofml.benchmarks.worker import Task
from zeroproofml.report._fs import Tree
from zeroproofml.report.errors import (
    ReportError,
    ResumeRefused,
    RunInvalid,
    RunLocked,
    UsageError,
)
from zeroproofml.report.journal import RunWriter, utc_now
from zeroproofml.report.lock import RunLock
from zeroproofml.scm.errors import ZeroProofError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.executors import Executor
    from zeroproofml.benchmarks.progress import Sink
    from zeroproofml.report.contract import Environment, Manifest, Resources
    from zeroproofml.report.contract.base import Json
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

    def execute(self) -> RunOutcome:
        """Carry the decision out.

        Raises
        ------
        UsageError, ResumeRefused, RunLocked, RunInvalid, StorageError
            As the decision says, or what the disk says.
        """
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        if self.decision.action in ("nothing", "rederive"):
            return _serve(self)
        return _Attempt(self).run()


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
    """
    config = order.resolved.config
    domains.producer(config["domain"], config["protocol"]["name"])
    frameworks = domains.frameworks(config["domain"])
    environment = provenance.environment(config, frameworks, order.accelerators)
    code = provenance.code(frameworks)
    identity = Identity(order.resolved, code, environment.identity)
    baseline = None if order.baseline is None else _baseline(order)
    passed: tuple[str, ...] = ()
    path = order.out_root
    if path is None and order.flag == "resume":
        path, passed = search.newest(RESULTS / config["domain"], identity)
    if path is None:
        path = RESULTS / config["domain"] / search.fresh_name(order.resolved, datetime.now(UTC))
    found = look(path, identity)
    decision = decide(found.situation, _request(order, path, found))
    made = Prepared(order, path, identity, environment, found, decision, baseline, passed)
    place = made.place  # an executor that cannot be is a usage error, before anything exists
    if decision.action in ("start", "continue", "reopen"):
        placement.check_space(path, order.resolved, len(decision.run))
        placement.check(place)
    return made


def _request(order: Order, path: Path, found: Found) -> Request:
    unserved = False
    if found.situation.state == "complete":
        tree = Tree(path)
        unserved = order.html and tree.kind("RUN_REPORT.html") is None
        unserved = unserved or order.baseline is not None
    return Request(order.flag, order.seeds, order.resolved.default_seeds, unserved)


def _baseline(order: Order) -> BenchmarkRun:
    from zeroproofml.report.rundir import load_benchmark_run

    run = load_benchmark_run(str(order.baseline))
    config = order.resolved.config
    theirs = run.provenance.config
    mine = (config["domain"], config["mode"], config["protocol"])
    other = (theirs.domain, theirs.mode, theirs.protocol.plain())
    for key, ours, its in zip(("domain", "mode", "protocol"), mine, other, strict=True):
        if ours != its:
            msg = f"--baseline-run-dir: {key} differs ({its} there, {ours} here)"
            raise UsageError(msg, hint="compare runs of one kind")
    return run


class _Attempt:
    """One attempt under the lock."""

    def __init__(self, made: Prepared) -> None:
        self._made = made
        self._order = made.order
        self._began = time.monotonic(), usage.cpu_s()
        self._executor: Executor | None = None
        self._stop = Stop(self._at_once)
        self._notes: list[str] = list(made.passed_over)

    def _at_once(self) -> None:
        if self._executor is not None:
            self._executor.kill()

    def run(self) -> RunOutcome:
        order = self._order
        try:
            with self._stop.watching():
                return self._connected()
        except ZeroProofError:
            raise
        except Exception as error:
            # A defect of ours: the console saves its traceback where the run is.
            error.crash_file = self._made.path / ".zpml" / "crash.txt"  # type: ignore[attr-defined]
            raise
        finally:
            order.sink.emit({"event": "finished"})

    def _connected(self) -> RunOutcome:
        """The executor first: a cluster that cannot be is a usage error, before any file."""
        made = self._made
        if made.decision.run:
            with self._stop.interruptible():
                self._executor = placement.make(
                    made.place, made.path, made.identity, self._order.sink
                )
        try:
            with self._writer() as writer:
                return self._run(writer)
        finally:
            if self._executor is not None:
                self._executor.close()

    def _writer(self) -> RunWriter:
        """The lock, and a second look under it: the disk may have changed since the first."""
        made, order = self._made, self._order
        command = " ".join(provenance.argv(order.argv))
        if made.decision.action == "start":
            fresh = record.initial(
                order.resolved,
                made.decision.planned,
                provenance.source(),
                order.run_id(),
                order.clock(),
            )
            return RunWriter.create(made.path, fresh, command=command, clock=order.clock)
        writer = RunWriter.open(made.path, command=command, clock=order.clock)
        try:
            self._look_again()
        except BaseException:
            writer.close()
            raise
        return writer

    def _look_again(self) -> None:
        made, order = self._made, self._order
        found = look(made.path, made.identity, holding_lock=True)
        decision = decide(found.situation, _request(order, made.path, found))
        self._made = replace(made, found=found, decision=decision)
        refusal = self._made.refusal()
        if refusal is not None:
            raise refusal

    def _run(self, writer: RunWriter) -> RunOutcome:
        from zeroproofml.benchmarks import finish

        decision = self._made.decision
        if decision.action == "reopen" and writer.sealed:
            writer.reopen()
            finish.keep_baseline(writer.tree)
        self._start(writer)
        failed: dict[int, str] = {}
        try:
            if self._executor is not None:
                failed = self._compute(writer, self._executor)
            self._stop.check()
            if not writer.replay.committed:
                return self._nothing_measured(writer, failed)
            return self._seal(writer, failed)
        except SchedulerLost as lost:
            self._notes.append(str(lost))
            return self._interrupted(writer)
        except Interrupted:
            return self._interrupted(writer)

    def _start(self, writer: RunWriter) -> None:
        made, order = self._made, self._order
        place, decision = made.place, made.decision
        before = writer.provenance
        following = record.attempt(
            writer.attempt + 1,
            order.flag,
            started_at=order.clock(),
            argv=order.argv,
            executor={
                "name": place.name,
                "workers": place.workers,
                "scheduler": place.scheduler_kind,
            },
            environment=made.environment,
            code=made.identity.code,
            seeds_at_start=sorted(writer.replay.committed),
        )
        asked = decision.run if order.flag == "force" else decision.planned
        provenance_now = record.begun(before, following, decision.planned)
        writer.start_attempt(following.kind, list(asked), provenance_now)
        grown: list[Json] = [s for s in decision.planned if s not in writer.replay.planned]
        if grown:
            writer.append("plan_extended", {"seeds": grown})
        notes = writer.recover(made.identity.code, made.identity.environment.digest())
        self._notes += notes

    def _compute(self, writer: RunWriter, executor: Executor) -> dict[int, str]:
        made, order = self._made, self._order
        task = Task(
            config=order.resolved.config,
            seed=0,
            root=str(made.path.resolve()),
            work="",
            code=dict(made.identity.code),
            environment_digest=made.identity.environment.digest(),
            extensions=domains.extensions(),
        )
        # What recovery adopted or set aside may differ from what was seen before the lock.
        todo = [
            seed
            for seed in made.decision.run
            if seed not in writer.replay.committed or seed in made.decision.supersede
        ]
        todo += [
            seed
            for seed in writer.replay.planned
            if seed not in writer.replay.committed
            and seed not in writer.replay.failed
            and seed not in todo
        ]
        executor.begin(writer.tree)
        seeds = Seeds(
            writer,
            executor,
            task,
            self._stop,
            order.sink,
            total=len(writer.replay.planned),
            done=len(set(writer.replay.committed) - set(todo)),
        )
        seeds.run(todo)
        executor.close()
        if made.decision.differences:
            # The old result of such a seed was made differently: the run cannot keep it.
            for seed in seeds.failed.keys() & writer.replay.committed.keys():
                writer.quarantine(seed, "made under another identity; its rerun failed")
        return seeds.failed

    def _seal(self, writer: RunWriter, failed: dict[int, str]) -> RunOutcome:
        from zeroproofml.benchmarks import finish

        made, order = self._made, self._order
        order.sink.emit({"event": "deriving"})
        sealed = finish.seal(
            writer,
            html=order.html,
            given=made.baseline,
            gated=order.fail_on_claims,
            exit_code=lambda verdicts: _exit_code(order, writer, failed, verdicts),
            ended_at=order.clock(),
            used=self._used,
        )
        manifest = sealed.manifest
        order.sink.emit({"event": "sealed"})
        return RunOutcome(
            made.path,
            manifest.status,
            _exit_code(order, writer, failed, sealed.verdicts),
            manifest.raw_digest,
            manifest.root_digest,
            sealed.verdicts,
            {int(seed): code for seed, code in manifest.seeds.failed.items()} | failed,
            tuple(self._notes),
        )

    def _nothing_measured(self, writer: RunWriter, failed: dict[int, str]) -> RunOutcome:
        writer.append("attempt_finished")
        self._close_record(writer, 7)
        return RunOutcome(self._made.path, "resumable", 7, failed=failed, notes=tuple(self._notes))

    def _interrupted(self, writer: RunWriter) -> RunOutcome:
        if self._executor is not None:
            self._executor.close()
        if not writer.sealed:
            writer.append("interrupted")
            self._close_record(writer, EXIT)
        return RunOutcome(self._made.path, "interrupted", EXIT, notes=tuple(self._notes))

    def _close_record(self, writer: RunWriter, exit_code: int) -> None:
        writer.write_provenance(
            record.ended(
                writer.provenance,
                writer.replay.made_in,
                exit_code=exit_code,
                ended_at=self._order.clock(),
                used=self._used(0),
            )
        )
        writer.write_resume_state()

    def _used(self, written: int) -> Resources:
        wall, cpu = self._began
        return record.resources(
            wall_s=time.monotonic() - wall,
            cpu_s=max(0.0, usage.cpu_s() - cpu),
            peak_rss_mb=usage.peak_rss_mb(),
            gpu_peak_mb=usage.gpu_peak_mb(),
            written=written,
        )


def _exit_code(
    order: Order, writer: RunWriter, failed: Mapping[int, str], verdicts: Mapping[str, int]
) -> int:
    if failed or writer.replay.states().failed:
        return 3
    gate = any(count for verdict, count in verdicts.items() if verdict != "SUPPORTED")
    return 4 if order.fail_on_claims and gate else 0


def _serve(made: Prepared) -> RunOutcome:
    """A complete run: verify it, derive what a report option still asks for."""
    from zeroproofml.benchmarks import finish
    from zeroproofml.report.regenerate import regenerate
    from zeroproofml.report.rundir import load_benchmark_run

    notes = [*made.passed_over]
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
    manifest: Manifest = run.manifest
    gate = any(count for verdict, count in verdicts.items() if verdict != "SUPPORTED")
    made.order.sink.emit({"event": "finished"})
    return RunOutcome(
        made.path,
        manifest.status,
        4 if made.order.fail_on_claims and gate else 0,
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
    return prepare(order).execute()
