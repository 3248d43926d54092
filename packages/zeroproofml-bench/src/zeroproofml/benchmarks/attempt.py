"""One attempt under the lock: open, compute what is missing, derive and seal, or stop in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from zeroproofml.benchmarks import domains, placement, progress, provenance, record, usage
from zeroproofml.benchmarks.cluster import SchedulerLost
from zeroproofml.benchmarks.decide import decide
from zeroproofml.benchmarks.prepare import Prepared, RunOutcome, exit_code, request_of
from zeroproofml.benchmarks.seeds import Seeds
from zeroproofml.benchmarks.signals import EXIT, Interrupted, Stop
from zeroproofml.benchmarks.situation import look
from zeroproofml.benchmarks.worker import Task
from zeroproofml.report.errors import StorageError
from zeroproofml.report.journal import RunWriter
from zeroproofml.scm.errors import ZeroProofError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.executors import Executor
    from zeroproofml.report.contract import Resources
    from zeroproofml.report.contract.base import Json


class Attempt:
    """One attempt under the lock."""

    def __init__(self, made: Prepared) -> None:
        self._made = made
        self._order = made.order
        self._began = time.monotonic(), usage.cpu_s()
        self._executor: Executor | None = None
        self._stop = Stop(self._at_once)
        self._notes: list[str] = []

    def _at_once(self) -> None:
        if self._executor is not None:
            self._executor.kill()
        progress.restore_terminal()

    def run(self) -> RunOutcome:
        try:
            with self._stop.watching():
                return self._connected()
        except StorageError as error:
            raise error.below(str(self._made.path)) from error
        except ZeroProofError:
            raise
        except Exception as error:
            # A defect of ours: the console saves its traceback where the run is.
            error.crash_file = self._made.path / ".zpml" / "crash.txt"  # type: ignore[attr-defined]  # read by the command line
            raise

    def _connected(self) -> RunOutcome:
        """The executor first: a cluster that cannot be is a usage error, before any file."""
        if self._made.decision.run:
            self._connect()
        try:
            with self._writer() as writer:
                if self._made.decision.action not in ("nothing", "rederive"):
                    return self._run(writer)
            # A writer that was killed while it reopened had changed nothing after all.
            from zeroproofml.benchmarks.serve import serve

            return serve(self._made)
        finally:
            if self._executor is not None:
                self._executor.close()

    def _connect(self) -> Executor:
        made = self._made
        if self._executor is None:
            with self._stop.interruptible():
                self._executor = placement.make(
                    made.place, made.path, made.identity, self._order.sink
                )
        return self._executor

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
        decision = decide(found.situation, request_of(order, made.path, found))
        self._made = replace(made, found=found, decision=decision)
        refusal = self._made.refusal()
        if refusal is not None:
            raise refusal

    def _run(self, writer: RunWriter) -> RunOutcome:
        from zeroproofml.benchmarks import finish

        if writer.sealed:
            writer.reopen()
            finish.keep_baseline(writer.tree)
        self._start(writer)
        failed: dict[int, str] = {}
        try:
            todo = self._todo(writer)
            if todo:
                failed = self._compute(writer, todo, self._connect())
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

    def _todo(self, writer: RunWriter) -> list[int]:
        """Seeds to compute: recovery may have adopted some and set others aside."""
        decision, replay = self._made.decision, writer.replay
        todo = [
            seed
            for seed in decision.run
            if seed not in replay.committed or seed in decision.supersede
        ]
        return todo + [seed for seed in replay.missing() if seed not in todo]

    def _compute(
        self, writer: RunWriter, todo: Sequence[int], executor: Executor
    ) -> dict[int, str]:
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
        before = {int(seed): code for seed, code in writer.replay.states().failed.items()}
        order.sink.emit({"event": "deriving"})
        sealed = finish.seal(
            writer,
            html=order.html,
            given=made.baseline,
            gated=order.fail_on_claims,
            exit_code=lambda verdicts: exit_code(order, failed | before, verdicts),
            ended_at=order.clock(),
            used=self._used,
            interruptible=self._stop.interruptible,
        )
        manifest = sealed.manifest
        order.sink.emit({"event": "sealed"})
        return RunOutcome(
            made.path,
            manifest.status,
            exit_code(order, failed | before, sealed.verdicts),
            manifest.raw_digest,
            manifest.root_digest,
            sealed.verdicts,
            failed | before,
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
