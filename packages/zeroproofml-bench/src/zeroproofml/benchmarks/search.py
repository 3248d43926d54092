"""Names of new run directories, and the run that `--resume` without `--out-root` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.benchmarks.situation import Found, look
from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report.errors import ReportError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from zeroproofml.benchmarks.config import Resolved
    from zeroproofml.benchmarks.situation import Identity


def fresh(home: Path, resolved: Resolved, now: datetime) -> Path:
    """`run_<UTC yyyymmdd_hhmmss>_<first seven digits of config_hash>` under `home`.

    A second run in the same second gets `_2`, the next `_3`.
    """
    digits = resolved.config_hash.removeprefix("sha256:")[:7]
    name = f"run_{now:%Y%m%d_%H%M%S}_{digits}"
    number, path = 1, home / name
    while what_is(path) is not None:
        number += 1
        path = home / f"{name}_{number}"
    return path


def newest(home: Path, mine: Identity) -> tuple[Path | None, tuple[str, ...]]:
    """The newest resumable or partial run under `home` that this command may continue.

    Returns
    -------
    path, passed_over
        None if there is no such run; one line per candidate that was passed over.
    """
    try:
        names = [entry.name for entry in Tree(home).names() if entry.kind == "dir"]
    except ReportError:
        return None, ()
    found = [(home / name, look(home / name, mine)) for name in names]
    found = [item for item in found if item[1].situation.state not in ("empty", "foreign")]
    passed: list[str] = []
    for path, seen in sorted(
        found, key=lambda item: (_created(item[1]), item[0].name), reverse=True
    ):
        reason = _unfit(seen)
        if reason is None:
            return path, tuple(passed)
        passed.append(f"passed over {path}: {reason}")
    return None, tuple(passed)


def _created(seen: Found) -> str:
    if seen.replay is not None and seen.replay.events:
        return seen.replay.events[0].time
    return ""


def _unfit(seen: Found) -> str | None:
    situation = seen.situation
    if situation.state in ("complete", "damaged"):
        return situation.state
    if situation.domain_difference is not None:
        return situation.domain_difference.line()
    if situation.differences:
        return situation.differences[0].line()
    return None
