"""One seed: compute it, and leave a complete seed directory behind, commit last.

The same function runs in the coordinator (inline), in a process of its own and on a cluster. It
writes in its work directory and nowhere else; what it leaves there is believed only after the
coordinator has verified the commit.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from zeroproofml.report.errors import ReportError, StorageError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroproofml.benchmarks.domains import SeedOutput
    from zeroproofml.benchmarks.progress import Event
    from zeroproofml.report._fs import Tree
    from zeroproofml.report.domains import Protocol

ORPHANED = 3
"""Exit status of a worker whose coordinator is gone."""


@dataclass(frozen=True)
class Task:
    """What a worker needs: the config, the seed, where to write, and under which identities.

    `root` is the run directory, `work` the work directory inside it, with `/`.

    Examples
    --------
    >>> Task.from_json(Task({"domain": "ik"}, 1, "run", ".zpml/work/seed_1.1", {}, "sha256:").to_json()).seed
    1
    """

    config: Mapping[str, Any]
    seed: int
    root: str
    work: str
    code: Mapping[str, str]
    environment_digest: str
    extensions: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The task as one line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """The task of such a line."""
        made = json.loads(text)
        return cls(**{**made, "extensions": tuple(made["extensions"])})


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    `storage` is a full or read-only disk: no seed's fault, it ends the attempt.

    Examples
    --------
    >>> Outcome("failed", "exception", "ValueError: no").kind
    'failed'
    """

    kind: Literal["ok", "failed", "lost", "storage"]
    code: str = ""
    message: str = ""
    path: str = field(default="", kw_only=True)


def run(task: Task, emit: Callable[[Event], None]) -> Outcome:
    """Compute one seed in this process.

    Exceptions of the domain become `failed`: an exception is not retried, since a deterministic
    failure repeats. Only a signal leaves this function as an exception.
    """
    try:
        return _compute(task, emit)
    except StorageError as error:
        return Outcome("storage", error.code, error.message, path=error.path)
    except ReportError as error:
        return Outcome("failed", error.code, one_line(str(error), 2000))
    except Exception as error:  # noqa: BLE001 (whatever a method raises fails its seed, not the run)
        return Outcome("failed", "exception", _message(error))


def _message(error: Exception) -> str:
    """Name, text and place of an exception: one line, no locals, no path of this machine."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return one_line(f"{type(error).__name__}: {error}{place}", 2000)


def _compute(task: Task, emit: Callable[[Event], None]) -> Outcome:
    from zeroproofml.benchmarks import domains, threads
    from zeroproofml.benchmarks.progress import SeedProgress
    from zeroproofml.report import _fs
    from zeroproofml.report import domains as laws

    began = time.monotonic()
    tree = _fs.Tree(task.root)
    if tree.names(task.work):
        return Outcome("lost", "worker_lost", "another worker has written for this attempt")
    tree.makedirs(task.work)
    for path in task.extensions:
        domains.load_file(path)
    config = task.config
    domain, protocol = config["domain"], config["protocol"]["name"]
    law = laws.get(domain, protocol)
    produce = domains.producer(domain, protocol)
    with threads.switched(config["threads"], domains.frameworks(domain)):
        output = produce(config, task.seed, SeedProgress(task.seed, emit))
        _store(task, tree, law, output, began)
    return Outcome("ok")


def _store(task: Task, tree: Tree, law: Protocol, output: SeedOutput, began: float) -> None:
    from zeroproofml.benchmarks import results
    from zeroproofml.report.seeddir import write_seed_dir

    arms = [arm.key for arm in law.arms if arm.key in task.config["arms"]]
    results.check_output(law, task.config, output, arms)
    arrays = results.stored(output)
    write_seed_dir(
        tree,
        task.work,
        result=results.seed_result(task, law, output, arrays, arms, began),
        arrays=arrays,
        code=task.code,
        environment_digest=task.environment_digest,
        checkpoints=results.checkpoints(output),
        extra=results.extra_files(output),
        shared=results.shared(output),
    )


def main() -> None:
    """Entry of a worker process: a task on standard input, events and the outcome on standard output."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not mix with the events
    task = Task.from_json(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_coordinator, daemon=True).start()
    lock = threading.Lock()

    def emit(event: Event) -> None:
        _send(pipe, lock, {"event": event})

    outcome = run(task, emit)
    _send(pipe, lock, {"outcome": asdict(outcome)})


def _send(pipe: TextIO, lock: threading.Lock, message: dict[str, Any]) -> None:
    with lock:
        pipe.write(json.dumps(message, separators=(",", ":")) + "\n")
        pipe.flush()


def _leave_with_the_coordinator() -> None:
    # Standard input ends when the coordinator dies, however it dies: no orphan goes on computing.
    sys.stdin.read()
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
