"""Seeds on a dask.distributed cluster (extra `[dask]`).

A cluster worker only launches: each seed still gets a fresh interpreter of its own, exactly as
with the process executor, so that the bytes cannot depend on what a worker did before or on how
many threads it has. Coordinator and workers must share the run directory and our code; a nonce
file that only the coordinator knows proves the first, digests the second.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import secrets
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import executors, provenance
from zeroproofml.benchmarks.executors import converse, spawn
from zeroproofml.benchmarks.worker import Outcome, Task
from zeroproofml.report import _fs
from zeroproofml.report.errors import ReportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from zeroproofml.benchmarks.progress import Event

CONNECT_S = 10
_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
GUARD = ".zpml/work/guard"


class MissingExtra(ReportError):
    """An optional package that this command needs is not installed (exit 7)."""

    exit_code = 7
    default_code = "missing_extra"


class SchedulerLost(ReportError):
    """The cluster's scheduler is gone: the run is interrupted and resumable (exit 130)."""

    exit_code = 130
    default_code = "interrupted"


def require(address: str | None = None) -> None:
    """Check that dask.distributed is installed, and that it can read the scheduler's address.

    Raises
    ------
    MissingExtra
        It is not installed.
    UsageError
        That is no address.
    """
    if importlib.util.find_spec("distributed") is None:
        msg = "--executor: dask needs dask.distributed"
        raise MissingExtra(msg, hint="pip install 'zeroproofml-bench[dask]'")
    if address is None:
        return
    try:  # its client, given such a word, fails half built and complains when it is collected
        _imported()[1].comm.get_address_host_port(address)
    except (NotImplementedError, ValueError):
        msg = f"--scheduler: {address!r} is no address"
        raise UsageError(msg, hint="write one such as tcp://127.0.0.1:8786") from None


def _imported() -> tuple[Any, Any]:
    """The modules dask and distributed; the second reads the first's settings when imported."""
    dask: Any = importlib.import_module("dask")
    # Its loggers print tracebacks for what is handled here.
    dask.config.set({"logging": dict.fromkeys(_LOGGERS, "critical")})
    return dask, importlib.import_module("distributed")


class DaskExecutor:
    """Seeds as tasks of a cluster: an existing scheduler, or a local one started here."""

    name = "dask"

    def __init__(
        self,
        workers: int,
        address: str | None,
        thread_count: int,
        emit: Callable[[Event], None],
    ) -> None:
        require(address)
        dask, distributed = _imported()
        del emit  # events of a remote seed stay there; the runner reports its start and its end
        self.workers = workers
        self._threads = thread_count
        self._cluster: Any = None
        # A worker that dies takes its seed with it once, not three times on three machines.
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            if address is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None
                )
        try:
            self._client: Any = distributed.Client(
                self._cluster or address, timeout=f"{CONNECT_S}s", set_as_default=False
            )
        except (OSError, ValueError) as error:
            msg = f"--scheduler: {address} does not answer ({type(error).__name__})"
            raise UsageError(msg, hint="start it, or leave --scheduler out") from None
        self._futures: dict[int, Any] = {}
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._guard: tuple[_fs.Tree, str] | None = None
        self._next = 0

    def check(self, folder: Path, code: Mapping[str, str], frameworks: tuple[str, ...]) -> None:
        """See that every worker reads `folder` and has our code.

        Raises
        ------
        UsageError
            A worker does not, or there is none.
        """
        nonce = secrets.token_hex(16)
        tree, name = _fs.Tree(folder), f"{_fs.TEMPORARY}nonce-{nonce[:12]}"
        tree.write(name, nonce.encode())
        try:
            answers = self._client.run(_introduce, str(folder.resolve()), name, frameworks)
        finally:
            tree.remove(name)
        if not answers:
            msg = "--scheduler: the cluster has no worker"
            raise UsageError(msg, hint="start workers first")
        for worker, (seen, theirs) in sorted(answers.items()):
            if seen != nonce:
                msg = f"--executor: worker {worker} cannot read {folder}"
                raise UsageError(msg, hint="use a folder that all workers share")
            if theirs != dict(code):
                odd = sorted(name for name in code if theirs.get(name) != code[name])
                msg = f"--executor: worker {worker} has other code of {', '.join(odd)}"
                raise UsageError(msg, hint="install the same versions everywhere")

    def begin(self, tree: _fs.Tree) -> None:
        """Write the file whose removal tells launched seeds to stop."""
        tree.write(GUARD, b"remove this file to stop the seeds of this attempt\n")
        self._guard = (tree, GUARD)

    def submit(self, task: Task) -> int:
        """Send a task to the cluster."""
        self._next += 1
        handle = self._next
        future = self._client.submit(
            _launch,
            task.to_json(),
            self._threads,
            pure=False,
            retries=0,
            key=f"zpml-{secrets.token_hex(8)}",
        )
        self._futures[handle] = future
        future.add_done_callback(lambda _: self._done.put(handle))
        return handle

    def as_completed(self, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Outcomes of the tasks that ended.

        Raises
        ------
        SchedulerLost
            The connection to the scheduler is gone.
        """
        wait = timeout
        while self._futures:
            try:
                handle = self._done.get(timeout=wait)
            except queue.Empty:
                if self._client.status not in ("running", "connecting"):
                    msg = "--scheduler: the scheduler is gone"
                    raise SchedulerLost(msg, hint="resume when it is back") from None
                return
            wait = 0.0
            future = self._futures.pop(handle, None)
            if future is not None:
                yield handle, self._outcome(future)

    def _outcome(self, future: Any) -> Outcome:
        if future.status == "finished":
            return Outcome(**future.result())
        if self._client.status != "running":
            msg = "--scheduler: the scheduler is gone"
            raise SchedulerLost(msg, hint="resume when it is back")
        return Outcome("lost", "worker_lost", f"the cluster says {future.status}")

    def cancel(self, handle: int) -> None:
        """Take a task back from the cluster."""
        future = self._futures.pop(handle, None)
        if future is not None:
            future.cancel()

    def close(self) -> None:
        """Tell launched seeds to stop, and leave (or end) the cluster."""
        self._release()
        for future in self._futures.values():
            future.cancel()
        self._futures = {}
        self._client.close(timeout=executors.GRACE_S)
        if self._cluster is not None:
            self._cluster.close(timeout=executors.GRACE_S)

    def kill(self) -> None:
        """Tell launched seeds to stop; the cluster's own processes end with this one."""
        self._release()

    def _release(self) -> None:
        if self._guard is not None:
            (tree, path), self._guard = self._guard, None
            tree.remove(path)


def _introduce(folder: str, name: str, frameworks: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """On a worker: what it reads under `name`, and the digests of its code."""
    try:
        seen = _fs.Tree(folder).read(name).decode("ascii", "replace")
    except ReportError:
        seen = ""
    return seen, provenance.code(frameworks)


def _launch(text: str, thread_count: int) -> dict[str, Any]:
    """On a worker: run the task in an interpreter of its own, until the guard file is removed."""
    task = Task.from_json(text)
    tree = _fs.Tree(task.root)
    process = spawn(thread_count)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            if tree.kind(GUARD) is None:
                executors.stop([process])
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        return asdict(converse(process, task, lambda _: None))
    finally:
        ended.set()
