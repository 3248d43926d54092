"""Where seeds are computed: in this process, or in one process per seed.

`submit` queues a task, `as_completed` hands back what ended, `cancel` stops one. A worker that
dies without an outcome is `lost`, never silently retried: that decision is the runner's.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from zeroproofml.benchmarks import threads, worker
from zeroproofml.benchmarks.worker import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zeroproofml.benchmarks.progress import Event
    from zeroproofml.report._fs import Tree

GRACE_S = 5.0
"""How long a cancelled worker may take before it is killed."""


class Executor(Protocol):
    """What the runner needs of a place where seeds are computed."""

    @property
    def name(self) -> str:
        """`inline`, `process` or `dask`."""

    @property
    def workers(self) -> int:
        """How many seeds it computes at a time."""

    def begin(self, tree: Tree) -> None:
        """Called once, with the locked run directory, before the first task."""

    def submit(self, task: Task) -> int:
        """Queue a task; the handle names it."""

    def as_completed(self, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """What ended; waits at most `timeout` seconds for the first."""

    def cancel(self, handle: int) -> None:
        """Stop a task; it will not complete."""

    def close(self) -> None:
        """Stop everything, in order."""

    def kill(self) -> None:
        """Stop everything, at once."""


class InlineExecutor:
    """Computes in this process, one task per `as_completed`.

    Examples
    --------
    >>> list(InlineExecutor(lambda event: None).as_completed(0.0))
    []
    """

    name = "inline"
    workers = 1

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._waiting: deque[tuple[int, Task]] = deque()
        self._next = 0

    def begin(self, tree: Tree) -> None:
        """Nothing to prepare."""

    def submit(self, task: Task) -> int:
        """Queue a task."""
        self._next += 1
        self._waiting.append((self._next, task))
        return self._next

    def as_completed(self, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Compute the next task; there is nothing to wait for."""
        if self._waiting:
            handle, task = self._waiting.popleft()
            yield handle, worker.run(task, self._emit)

    def cancel(self, handle: int) -> None:
        """Forget a task that has not begun."""
        self._waiting = deque(item for item in self._waiting if item[0] != handle)

    def close(self) -> None:
        """Forget all tasks."""
        self._waiting.clear()

    def kill(self) -> None:
        """Forget all tasks."""
        self._waiting.clear()


def spawn(thread_count: int) -> subprocess.Popen[str]:
    """A fresh interpreter that waits for one task on its standard input."""
    # A session of its own: Ctrl-C on the terminal reaches the coordinator alone, which then
    # stops its workers in order. -P: a file in the working directory shadows no package.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "zeroproofml.benchmarks.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **threads.environment(thread_count)},
        start_new_session=True,
    )


def converse(process: subprocess.Popen[str], task: Task, emit: Callable[[Event], None]) -> Outcome:
    """Give the task to a spawned process, pass its events on, and wait for its end."""
    outcome = None
    try:
        if process.stdin is None or process.stdout is None:
            msg = "no pipe to the worker"
            raise OSError(msg)  # noqa: TRY301 (the same end as a pipe that breaks)
        process.stdin.write(task.to_json() + "\n")
        process.stdin.flush()
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "event" in message:
                emit(message["event"])
            else:
                outcome = Outcome(**message["outcome"])
    except (OSError, ValueError):
        process.kill()  # a pipe broke or a line was cut short: this worker is lost
    status = process.wait()
    for pipe in (process.stdin, process.stdout):
        _close(pipe)
    lost = Outcome("lost", "worker_lost", f"the worker ended with status {status}")
    return outcome or lost


def stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Terminate processes; those that still run after five seconds are killed."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:  # the reader is gone; there is nothing left to flush to
        return


class ProcessExecutor:
    """One fresh interpreter per seed, at most `workers` at a time.

    No pool: in a pool one dead worker breaks every other seed's future, and a worker that has
    computed a seed is not in the state in which the next one should start.
    """

    name = "process"

    def __init__(self, workers: int, thread_count: int, emit: Callable[[Event], None]) -> None:
        self.workers = workers
        self._threads = thread_count
        self._emit = emit
        self._waiting: deque[tuple[int, Task]] = deque()
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._done: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._next = 0

    def begin(self, tree: Tree) -> None:
        """Nothing to prepare."""

    def submit(self, task: Task) -> int:
        """Queue a task, and start it if a place is free."""
        self._next += 1
        self._waiting.append((self._next, task))
        self._fill()
        return self._next

    def as_completed(self, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Outcomes of the workers that ended."""
        wait = timeout
        while self._running:
            try:
                handle, outcome = self._done.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.0
            known = self._running.pop(handle, None) is not None
            self._fill()
            if known:  # otherwise it was cancelled
                yield handle, outcome

    def cancel(self, handle: int) -> None:
        """Stop a task: terminate its worker, and kill it if it does not end in five seconds."""
        self._waiting = deque(item for item in self._waiting if item[0] != handle)
        process = self._running.pop(handle, None)
        if process is not None:
            stop([process])

    def close(self) -> None:
        """Stop all workers, within five seconds and then by force."""
        self._waiting.clear()
        processes, self._running = list(self._running.values()), {}
        stop(processes)

    def kill(self) -> None:
        """Kill all workers at once (second signal)."""
        for process in self._running.values():
            process.kill()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.workers:
            handle, task = self._waiting.popleft()
            process = self._running[handle] = spawn(self._threads)
            listener = threading.Thread(
                target=self._listen, args=(handle, process, task), daemon=True
            )
            listener.start()

    def _listen(self, handle: int, process: subprocess.Popen[str], task: Task) -> None:
        self._done.put((handle, converse(process, task, self._emit)))
