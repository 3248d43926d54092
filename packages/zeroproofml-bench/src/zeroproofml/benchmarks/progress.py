"""What a run says while it works: one event, four ways to show it, always on standard error.

A domain sees only `Progress` (start, advance, finish). The runner and the workers turn that into
events (plain dicts, so they cross a pipe as JSON lines) and hand them to a `Sink`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

MODES = ("auto", "plain", "json", "none")
Event = dict[str, Any]
"""Keys: event, seed, arm, done, total, elapsed_s, eta_s, info (each but the first may be None)."""


class Progress(Protocol):
    """What a domain calls while it computes one seed."""

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a phase (`"data"` or an arm key) of `total` units."""

    def advance(self, n: int = 1, **info: float | str) -> None:
        """Report `n` more units and, if wanted, a loss or an epoch."""

    def finish(self) -> None:
        """End the phase."""


class Sink(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Show one event."""


class SeedProgress:
    """`Progress` for one seed: phases become events, at most ten `advance` events per second.

    Examples
    --------
    >>> seen = []
    >>> progress = SeedProgress(3, seen.append)
    >>> progress.start("scm_full", 2); progress.advance(2, loss=0.5); progress.finish()
    >>> [(e["event"], e["seed"], e["arm"], e["done"]) for e in seen]
    [('phase', 3, 'scm_full', 0), ('advance', 3, 'scm_full', 2), ('phase_done', 3, 'scm_full', 2)]
    """

    def __init__(self, seed: int, emit: Callable[[Event], None]) -> None:
        self._seed, self._emit = seed, emit
        self._arm: str | None = None
        self._total: int | None = None
        self._done, self._began, self._last = 0, 0.0, 0.0

    def start(self, label: str, total: int | None = None) -> None:
        self._arm, self._total, self._done = label, total, 0
        self._began, self._last = time.monotonic(), float("-inf")
        self._send("phase", {})

    def advance(self, n: int = 1, **info: float | str) -> None:
        self._done += n
        now = time.monotonic()
        if now - self._last >= 0.1:
            self._last = now
            self._send("advance", dict(info))

    def finish(self) -> None:
        self._send("phase_done", {})
        self._arm = None

    def _send(self, kind: str, info: Event) -> None:
        elapsed = time.monotonic() - self._began
        left = None
        if self._total and 0 < self._done <= self._total:
            left = elapsed * (self._total - self._done) / self._done
        self._emit(
            {
                "event": kind,
                "seed": self._seed,
                "arm": self._arm,
                "done": self._done,
                "total": self._total,
                "elapsed_s": round(elapsed, 3),
                "eta_s": None if left is None else round(left, 3),
                "info": info,
            }
        )


def make(mode: str, label: str, stream: TextIO | None = None) -> Sink:
    """Sink for `--progress`; `auto` draws a bar on a terminal and plain lines elsewhere.

    Raises
    ------
    UsageError
        a mode that is not one of `MODES`.
    """
    stream = stream if stream is not None else sys.stderr
    if mode not in MODES:
        msg = f"--progress: {mode!r} is unknown; use one of {', '.join(MODES)}"
        raise UsageError(msg)
    if mode == "json":
        return JsonSink(stream)
    if mode == "none":
        return NullSink()
    if mode == "auto" and stream.isatty():
        return BarSink(label, stream)
    return PlainSink(label, stream)


class NullSink:
    """Says nothing.

    Examples
    --------
    >>> NullSink().emit({"event": "finished"})
    """

    def emit(self, event: Event) -> None:
        """Drop the event."""


class JsonSink:
    """One `zeroproofml.progress` v1 object per line.

    Examples
    --------
    >>> JsonSink(sys.stdout).emit({"event": "finished", "seed": None})
    {"arm":null,"done":null,"elapsed_s":null,"eta_s":null,"event":"finished","schema_name":"zeroproofml.progress","schema_version":1,"seed":null,"total":null}
    """

    KEYS = ("event", "seed", "arm", "done", "total", "elapsed_s", "eta_s")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def emit(self, event: Event) -> None:
        """Write the event's fixed keys."""
        line: Event = {"schema_name": "zeroproofml.progress", "schema_version": 1}
        line.update({key: event.get(key) for key in self.KEYS})
        self._stream.write(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n")
        self._stream.flush()


class PlainSink:
    """One line per event, and at most one line per ten seconds for a phase that runs on.

    Examples
    --------
    >>> PlainSink("ik", sys.stdout).emit({"event": "seed_started", "seed": 3, "done": 1, "total": 20})
    ik seed 3 (1/20): started
    """

    EVERY_S = 10.0

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._last: dict[tuple[object, object], float] = {}

    def emit(self, event: Event) -> None:
        """Write the event unless its phase spoke less than ten seconds ago."""
        key = event.get("seed"), event.get("arm")
        now = time.monotonic()
        if event["event"] == "phase":
            self._last[key] = now  # a phase that is over within ten seconds needs no line
            return
        if event["event"] == "phase_done":
            self._last.pop(key, None)
            return
        if event["event"] == "advance":
            if now - self._last.get(key, 0.0) < self.EVERY_S:
                return
            self._last[key] = now
        self._stream.write(f"{self._label} {describe(event)}\n")
        self._stream.flush()


class BarSink:
    """A rich bar per running seed; rich is imported here and nowhere else."""

    def __init__(self, label: str, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._label = label
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._tasks: dict[object, Any] = {}

    def emit(self, event: Event) -> None:
        """Move, add or remove a bar; other events are printed above the bars."""
        kind, seed = event["event"], event.get("seed")
        if kind in ("phase", "advance", "phase_done"):
            self._bar.start()  # not before: what is refused must not leave a hidden cursor behind
            if seed not in self._tasks:
                self._tasks[seed] = self._bar.add_task("", note="")
            self._bar.update(
                self._tasks[seed],
                description=f"{self._label} seed {seed} {event.get('arm') or ''}",
                completed=event.get("done") or 0,
                total=event.get("total"),
                note=_info(event),
            )
            return
        if kind in ("seed_committed", "seed_failed", "seed_lost") and seed in self._tasks:
            self._bar.remove_task(self._tasks.pop(seed))
        if kind == "finished":
            self._bar.stop()
            return
        self._bar.console.print(f"{self._label} {describe(event)}", highlight=False, markup=False)


def restore_terminal(stream: TextIO | None = None) -> None:
    """Show the cursor again, which a bar had hidden: for a process that ends without any order.

    Examples
    --------
    >>> restore_terminal(sys.stdout)  # no terminal: nothing is written
    """
    stream = stream if stream is not None else sys.stderr
    if stream.isatty() and os.environ.get("TERM") not in (None, "dumb"):
        os.write(stream.fileno(), b"\x1b[?25h")  # no lock of the bar may be waited for


def describe(event: Event) -> str:
    """One event as words.

    Examples
    --------
    >>> describe({"event": "advance", "seed": 3, "arm": "scm", "done": 4, "total": 10,
    ...           "eta_s": 130.0, "info": {"loss": 0.132}})
    'seed 3 arm scm: 4/10, loss 0.132, eta 2m10s'
    """
    kind = str(event["event"])
    seed, arm = event.get("seed"), event.get("arm")
    done, total = event.get("done"), event.get("total")
    if kind == "advance":
        parts = [f"{done}/{total}" if total else f"{done}", _info(event)]
        if event.get("eta_s") is not None:
            parts.append(f"eta {_duration(event['eta_s'])}")
        where = f"arm {arm}" if arm != "data" else "data"
        return f"seed {seed} {where}: {', '.join(part for part in parts if part)}"
    words = kind.removeprefix("seed_").replace("_", " ")
    message = f": {event['message']}" if event.get("message") else ""
    if seed is None:
        return f"{words}{message}"
    count = f" ({done}/{total})" if total else ""
    return f"seed {seed}{count}: {words}{message}"


def _info(event: Event) -> str:
    info = event.get("info") or {}
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in info.items()
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
