"""Which executor runs the seeds, whether it can, and whether the disk has room."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.benchmarks import cluster, domains, executors, hardware
from zeroproofml.report import _fs
from zeroproofml.report.errors import FileInvalid, StorageError, UsageError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.config import Resolved
    from zeroproofml.benchmarks.executors import Executor
    from zeroproofml.benchmarks.progress import Event, Sink
    from zeroproofml.benchmarks.situation import Identity

EXECUTORS = ("inline", "process", "dask")
RESERVE = 32 * 2**20
"""Bytes that must stay free beside the arrays: reports, checkpoints, journal."""


@dataclass(frozen=True)
class Placement:
    """Executor, workers at a time, and the scheduler's address (dask only)."""

    name: str
    workers: int
    scheduler: str | None = None

    @property
    def scheduler_kind(self) -> str | None:
        """`local` or `address` for dask (an address is a path of this site, so not recorded)."""
        if self.name != "dask":
            return None
        return "local" if self.scheduler is None else "address"


def choose(
    name: str | None, workers: int | None, scheduler: str | None, *, seeds: int, device: str
) -> Placement:
    """Resolve the three flags.

    Raises
    ------
    UsageError
        An unknown executor, fewer than one worker, or a scheduler without dask.

    Examples
    --------
    >>> choose(None, None, None, seeds=1, device="cpu").name
    'inline'
    >>> choose(None, 3, None, seeds=10, device="cpu")
    Placement(name='process', workers=3, scheduler=None)
    """
    if name is not None and name not in EXECUTORS:
        msg = f"--executor: {name!r} is unknown; use one of {', '.join(EXECUTORS)}"
        raise UsageError(msg)
    name = name or ("process" if seeds > 1 else "inline")
    if scheduler is not None and name != "dask":
        msg = "--scheduler: goes with --executor dask; add it or drop --scheduler"
        raise UsageError(msg)
    if workers is not None and not 1 <= workers <= 4096:
        msg = f"--workers: {workers} is no number of workers; give 1 to 4096"
        raise UsageError(msg)
    if name == "inline":
        if workers not in (None, 1):
            msg = f"--workers: the inline executor has one, not {workers}; use --executor process"
            raise UsageError(msg)
        return Placement("inline", 1)
    default = 1 if device == "cuda" else max(1, min(seeds, hardware.cores()))
    return Placement(name, workers or default, scheduler)


def check(place: Placement) -> None:
    """See that the executor can be had.

    Raises
    ------
    MissingExtra
        dask.distributed is not installed.
    UsageError
        The scheduler's address is none.
    """
    if place.name == "dask":
        cluster.require(place.scheduler)


def check_space(path: Path, resolved: Resolved, seeds: int) -> None:
    """See that the disk has room for the arrays of `seeds` seeds.

    Raises
    ------
    StorageError
        It has not.
    """
    members = resolved.protocol.members(resolved.config["settings"], resolved.arms)
    known = (
        prod(size for size in shape if size is not None) * np.dtype(dtype).itemsize
        for dtype, shape in members.values()
    )
    needed = RESERVE + seeds * sum(known)
    free = _fs.free_bytes(path)
    if free < needed:
        msg = f"needs about {needed // 10**6} MB and the disk has {free // 10**6} MB"
        raise StorageError(msg, path=str(path), hint="free space or choose another --out-root")


def make(place: Placement, path: Path, identity: Identity, sink: Sink) -> Executor:
    """The executor, connected and checked; the run at `path` need not exist yet.

    Raises
    ------
    UsageError
        A cluster that does not answer, cannot read the folder, or has other code.
    """
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:  # workers report from threads of their own
            sink.emit(event)

    config = identity.resolved.config
    threads = int(config["threads"])
    if place.name == "inline":
        return executors.InlineExecutor(emit)
    if place.name == "process":
        return executors.ProcessExecutor(place.workers, threads, emit)
    made = cluster.DaskExecutor(place.workers, place.scheduler, threads, emit)
    try:
        made.check(_existing(path), identity.code, domains.frameworks(config["domain"]))
    except BaseException:
        made.close()
        raise
    return made


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    for here in (path.absolute(), *path.absolute().parents):
        try:
            return _fs.Tree(here).path
        except FileInvalid:
            continue  # not there yet
    return path
