"""One writer per run directory: an OS lock that any death frees. Run contract, section 5.4."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract.layout import WORKSPACE
from zeroproofml.report.contract.strict_json import dump, parse
from zeroproofml.report.errors import FileInvalid, ReportError, RunLocked, StorageError

__all__ = ["LOCK", "OWNER", "RunLock", "host_id", "is_locked"]

LOCK = f"{WORKSPACE}/lock"
OWNER = f"{WORKSPACE}/owner.json"
_PATIENCE_S = 0.25
"""A reader's look at the lock lasts microseconds; a writer lives for seconds at least."""


def host_id() -> str:
    """16 hexadecimal digits of the hashed host name.

    Examples
    --------
    >>> len(host_id())
    16
    """
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def _boot_id() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None


class RunLock:
    """The lock of one run directory, held from :meth:`acquire` to :meth:`release`."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        RunLocked
            If another process has it; the owner is named as far as it is known.
        """
        self.tree.makedirs(WORKSPACE, 0o700)
        if (kind := self.tree.kind(LOCK)) not in (None, "file"):
            msg = f"is a {kind}, not a regular file"
            raise FileInvalid(msg, code="path_unsafe", path=LOCK, hint="remove it")
        lock = FileLock(self.tree.path / LOCK)
        try:
            lock.acquire(timeout=_PATIENCE_S, poll_interval=0.05)
        except Timeout:
            raise self._locked() from None
        except (OSError, RuntimeError) as error:
            msg = f"cannot be locked: {error}"
            raise StorageError(msg, path=LOCK, hint="check permissions") from error
        self._lock = lock

    def _locked(self) -> RunLocked:
        owner: dict[str, object] | None = None
        with contextlib.suppress(ReportError):
            value = parse(self.tree.read(OWNER, limit=65536), path=OWNER)
            owner = value if isinstance(value, dict) else None
        who = f"process {owner.get('pid')!s:.20}" if owner else "another process"
        here = owner is not None and owner.get("host_id") == host_id()
        where = "on this host" if here else "on another host" if owner else ""
        msg = f"is locked by {who} {where}".rstrip()
        return RunLocked(msg, owner=owner, path=self.tree.label)

    def announce(self, command: str, started_at: str) -> None:
        """Write ``owner.json``; it only informs."""
        owner = {
            "pid": os.getpid(),
            "host_id": host_id(),
            "boot_id": _boot_id(),
            "command": command[:500],
            "started_at": started_at,
        }
        self.tree.write(OWNER, dump(owner))

    def release(self) -> None:
        """Give the lock back; the lock file stays."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def is_locked(tree: Tree) -> bool:
    """Whether a living process writes the run; nothing is created by looking.

    Examples
    --------
    >>> import tempfile
    >>> is_locked(Tree(tempfile.mkdtemp()))
    False
    """
    try:
        if tree.kind(LOCK) != "file":
            return False
    except FileInvalid:
        return False
    lock = FileLock(tree.path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a read-only directory: nobody can be writing it from here
        return False
    lock.release()
    return False
