"""One attempt: seeds through an executor, one by one into the run, each announced in the journal.

The coordinator keeps at most as many seeds in flight as there are workers, so that `seed_started`
means what it says. Workers never touch the journal or the contract's names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zeroproofml.benchmarks.worker import Outcome, Task
from zeroproofml.report.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.benchmarks.executors import Executor
    from zeroproofml.benchmarks.progress import Event, Sink
    from zeroproofml.benchmarks.signals import Stop
    from zeroproofml.report.journal import RunWriter

WAIT_S = 0.2
"""How often a waiting coordinator looks whether it was asked to stop."""


@dataclass
class Seeds:
    """Runs seeds and commits them; `failed` says which did not succeed, and why."""

    writer: RunWriter
    executor: Executor
    task: Task
    stop: Stop
    sink: Sink
    total: int
    done: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    _flying: dict[int, tuple[int, str]] = field(default_factory=dict)
    _lost: set[int] = field(default_factory=set)

    def run(self, seeds: Sequence[int]) -> None:
        """Compute and commit `seeds`.

        Raises
        ------
        Interrupted
            The run was asked to stop; what is committed stays.
        StorageError
            The disk is full or read-only.
        """
        waiting = list(seeds)
        while waiting or self._flying:
            self.stop.check()
            while waiting and len(self._flying) < self.executor.workers:
                self._start(waiting.pop(0))
            for handle, outcome in self._completed():
                seed, work = self._flying.pop(handle)
                self._take(seed, work, outcome)
                self.stop.check()

    def _completed(self) -> list[tuple[int, Outcome]]:
        if self.executor.name != "inline":
            return list(self.executor.as_completed(WAIT_S))
        with self.stop.interruptible():  # a seed that is computed here may be thrown away whole
            return list(self.executor.as_completed(WAIT_S))

    def _start(self, seed: int) -> None:
        self.writer.append("seed_started", {"seed": seed})
        self._say("seed_started", seed)
        work = self.writer.work_dir(seed)
        handle = self.executor.submit(replace(self.task, seed=seed, work=work))
        self._flying[handle] = (seed, work)

    def _take(self, seed: int, work: str, outcome: Outcome) -> None:
        if outcome.kind == "ok":
            self.writer.adopt_or_commit(seed, work)
            self.done += 1
            self._say("seed_committed", seed)
        elif outcome.kind == "storage":
            raise StorageError(outcome.message, path=outcome.path, hint="free space, then --resume")
        elif outcome.kind == "lost" and seed not in self._lost:
            self._lost.add(seed)
            self.writer.append("seed_lost", {"seed": seed})
            self._say("seed_lost", seed, outcome.message)
            self._start(seed)
        else:
            if outcome.kind == "lost":
                self.writer.append("seed_lost", {"seed": seed})
            message = outcome.message[:2000]
            self.writer.append(
                "seed_failed", {"seed": seed, "code": outcome.code, "message": message}
            )
            self.failed[seed] = outcome.code
            self._say("seed_failed", seed, message)

    def _say(self, kind: str, seed: int, message: str | None = None) -> None:
        event: Event = {"event": kind, "seed": seed, "done": self.done, "total": self.total}
        if message:
            event["message"] = message
        self.sink.emit(event)
