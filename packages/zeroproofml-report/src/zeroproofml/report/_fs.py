"""Every file-system call of report and bench; the one place where tests inject faults.

A :class:`Tree` is a directory that is walked component by component without ever following a
link, so that what was checked is what is opened. Run contract, section 2. Imports no NumPy.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from zeroproofml.report.errors import FileInvalid, StorageError

__all__ = [
    "TEMPORARY",
    "Entry",
    "FileStat",
    "Hook",
    "Tree",
    "free_bytes",
    "hooked",
    "set_hook",
    "what_is",
]

TEMPORARY = ".zpml-tmp-"
"""Names that begin so are left-overs of a killed writer."""

Hook = Callable[[str, str, Callable[..., Any], tuple[Any, ...]], Any]
"""``hook(operation, path, action, arguments)`` stands for ``action(*arguments)``."""

NodeKind = Literal["file", "dir", "link", "other"]

_BLOCK = 2**20
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd and bool(_NOFOLLOW and _DIRECTORY)
_SETTLED_NS = 2 * 10**9
_MOST_HASHED = 10_000

_State = tuple[int, int, int, int, int]
_hashed: dict[_State, tuple[int, str]] = {}
_hook: Hook | None = None


def set_hook(hook: Hook | None) -> None:
    """Let ``hook`` stand before every call of this module; ``None`` takes it away.

    Operations are ``open``, ``read``, ``write``, ``fsync``, ``replace``, ``rename``, ``mkdir``,
    ``remove``, ``list`` and ``stat``. A hook may call ``action(*arguments)``, change the
    arguments (of ``write``: the bytes), or raise.
    """
    global _hook
    _hook = hook


@contextlib.contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """:func:`set_hook` for the length of a ``with`` block."""
    before = _hook
    set_hook(hook)
    try:
        yield
    finally:
        set_hook(before)


def _do(operation: str, path: str, action: Callable[..., Any], *arguments: Any) -> Any:
    try:
        if _hook is None:
            return action(*arguments)
        return _hook(operation, path, action, arguments)
    except FileNotFoundError:
        raise
    except OSError as error:
        msg = f"{operation} failed: {error.strerror or error}"
        hint = "check space and permissions, then resume"
        raise StorageError(msg, path=path, hint=hint) from error


@dataclass(frozen=True)
class Entry:
    """A name in a directory and what stands behind it (a link is never followed)."""

    name: str
    kind: NodeKind


@dataclass(frozen=True)
class FileStat:
    """Which file this is, and in which state."""

    device: int
    inode: int
    mtime_ns: int
    size: int


def _kind(mode: int) -> NodeKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    return "link" if stat.S_ISLNK(mode) else "other"


def _unsafe(path: str, what: str, mend: str = "put the real file there") -> NoReturn:
    raise FileInvalid(what, code="path_unsafe", path=path, hint=mend)


def _check_part(part: str, path: str) -> None:
    if part in ("", ".", "..") or any(c in part for c in "\0\\:"):
        _unsafe(path, "is not a path inside the run")


class _Dir:
    """An open directory: by descriptor, or by path where the system has no ``openat``."""

    def __init__(self, path: Path, fd: int | None) -> None:
        self.path = path
        self.fd = fd

    def at(self, name: str) -> tuple[str | Path, dict[str, int]]:
        return (self.path / name, {}) if self.fd is None else (name, {"dir_fd": self.fd})

    def lstat(self, name: str) -> os.stat_result:
        target, where = self.at(name)
        return os.stat(target, follow_symlinks=False, **where)  # noqa: PTH116

    def open(self, name: str, flags: int, mode: int = 0o644) -> int:
        target, where = self.at(name)
        try:
            fd = os.open(target, flags | _NOFOLLOW | _CLOEXEC | _BINARY | _NONBLOCK, mode, **where)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                _unsafe(name, "is a link or no regular file")
            raise
        if not _NOFOLLOW:  # no O_NOFOLLOW: the file opened must be the one that lstat sees
            seen, opened = self.lstat(name), os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode) or not os.path.samestat(seen, opened):
                os.close(fd)
                _unsafe(name, "is a link or was swapped while it was opened")
        return fd

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


class Tree:
    """A real directory and everything below it, by relative paths with ``/``.

    Every method raises :class:`FileInvalid` (``path_unsafe``) when a component on the way is a
    link or no directory, or the end no regular file; :class:`FileInvalid` (``missing``) when a
    file to read is not there; and :class:`StorageError` when the system refuses.

    Examples
    --------
    >>> import tempfile
    >>> tree = Tree(tempfile.mkdtemp())
    >>> tree.write("notes.txt", b"hello")
    >>> tree.read("notes.txt"), [entry.name for entry in tree.names()]
    (b'hello', ['notes.txt'])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = Path(path)
        except TypeError:
            _unsafe(f"{path!r:.80}", "is no path", "give a string or a path")
        if path == "":  # to the system an empty path is the folder where we are
            _unsafe("''", "the path is empty", "name a directory")
        self.label = self.path.name or str(self.path)
        kind = self._root_kind()
        if kind is None:
            msg = "no such directory"
            raise FileInvalid(msg, code="missing", path=str(path), hint="name another")
        if kind != "dir":
            what = {"file": "a file", "link": "a link"}.get(kind, "a device, pipe or socket")
            msg = f"is {what}, not a directory"
            _unsafe(str(path), msg, "name the directory itself")
        for part in self.path.absolute().parts:
            if "\0" in part:
                _unsafe(str(path), "has a NUL in its name")

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Make a new directory (its parents if need be) and open it.

        Raises
        ------
        FileExistsError
            If the path exists.
        """
        made = Path(path)
        _do("mkdir", str(made.parent), lambda: made.parent.mkdir(parents=True, exist_ok=True))
        try:
            _do("mkdir", str(made), made.mkdir)
        except StorageError as error:
            if isinstance(error.__cause__, FileExistsError):
                raise error.__cause__ from None
            raise
        _sync_path(made.parent)
        return cls(made)

    def _root_kind(self) -> NodeKind | None:
        try:
            return _kind(os.lstat(self.path).st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise StorageError(str(error.strerror), path=str(self.path)) from error

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[_Dir, str]]:
        """The open directory that holds ``path``, and the last component."""
        *parts, name = path.split("/")
        _check_part(name, path)
        with self._directory("/".join(parts), path) as directory:
            yield directory, name

    @contextlib.contextmanager
    def _existing_parent(self, path: str) -> Iterator[tuple[_Dir, str]]:
        """:meth:`_parent` for writers: what is not there is an error of its own."""
        try:
            with self._parent(path) as found:
                yield found
        except FileNotFoundError as error:
            msg = "its folder is not there"
            raise FileInvalid(msg, code="missing", path=path, hint="resume the run") from error

    @contextlib.contextmanager
    def _directory(self, path: str, blame: str = "") -> Iterator[_Dir]:
        here = self._open_root()
        try:
            for part in path.split("/") if path else []:
                _check_part(part, blame or path)
                following = self._step(here, part, blame or path)
                here.close()
                here = following
            yield here
        finally:
            here.close()

    def _open_root(self) -> _Dir:
        if not _HAS_DIR_FD:
            if self._root_kind() != "dir":
                _unsafe(self.label, "is no directory any more")
            return _Dir(self.path, None)
        try:
            return _Dir(self.path, os.open(self.path, os.O_RDONLY | _DIRECTORY | _NOFOLLOW))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(str(error.strerror), path=str(self.path)) from error

    @staticmethod
    def _step(here: _Dir, part: str, blame: str) -> _Dir:
        seen = here.lstat(part)
        if not stat.S_ISDIR(seen.st_mode):
            _unsafe(blame, f"passes through {part!r}, which is a {_kind(seen.st_mode)}")
        if here.fd is None:
            return _Dir(here.path / part, None)
        try:
            fd = os.open(part, os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _CLOEXEC, dir_fd=here.fd)
        except NotADirectoryError:
            _unsafe(blame, f"passes through {part!r}, which was swapped for a link")
        return _Dir(here.path / part, fd)

    def names(self, path: str = "") -> list[Entry]:
        """What the directory ``path`` holds, sorted by name; empty if it does not exist."""

        def listing() -> list[Entry]:
            with self._directory(path) as here:
                found = os.listdir(here.path if here.fd is None else here.fd)  # noqa: PTH208
                return [Entry(name, _kind(here.lstat(name).st_mode)) for name in sorted(found)]

        try:
            return list(_do("list", path, listing))
        except FileNotFoundError:
            return []

    def first_names(self, path: str, most: int) -> list[Entry]:
        """At most ``most`` entries of the directory ``path``, in no order: a hostile directory may
        hold millions, of which no more than these are looked at.
        """

        def listing() -> list[Entry]:
            with (
                self._directory(path) as here,
                os.scandir(here.path if here.fd is None else here.fd) as found,
            ):
                names = [entry.name for entry in itertools.islice(found, most)]
                return [Entry(name, _kind(here.lstat(name).st_mode)) for name in names]

        return list(_do("list", path, listing))

    def kind(self, path: str) -> NodeKind | None:
        """What stands at ``path`` (a link is a ``"link"``); ``None`` if nothing does."""

        def look() -> NodeKind:
            with self._parent(path) as (here, name):
                return _kind(here.lstat(name).st_mode)

        try:
            made: NodeKind = _do("stat", path, look)
        except FileNotFoundError:
            return None
        return made

    def stat(self, path: str) -> FileStat | None:
        """The identity of the regular file at ``path``, or ``None``."""

        def look() -> os.stat_result:
            with self._parent(path) as (here, name):
                return here.lstat(name)

        try:
            seen = _do("stat", path, look)
        except FileNotFoundError:
            return None
        return FileStat(seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_size)

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[tuple[int, int]]:
        def opened() -> int:
            with self._parent(path) as (here, name):
                mode = here.lstat(name).st_mode
                if not stat.S_ISREG(mode):
                    _unsafe(path, f"is a {_kind(mode)}, not a regular file")
                return here.open(name, os.O_RDONLY)

        try:
            fd: int = _do("open", path, opened)
        except FileNotFoundError:
            msg = "is not there"
            raise FileInvalid(msg, code="missing", path=path, hint="restore the file") from None
        try:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                _unsafe(path, "is not a regular file")
            yield fd, seen.st_size
        finally:
            os.close(fd)

    def read(self, path: str, *, limit: int = 64 * 2**20) -> bytes:
        """The bytes of the regular file ``path``, at most ``limit`` of them (else ``size``)."""
        with self._reading(path) as (fd, size):
            parts, total = [], 0
            while size <= limit and (
                block := _do("read", path, os.read, fd, min(_BLOCK, limit + 1 - total))
            ):
                parts.append(block)
                total += len(block)
                size = max(size, total)
            if size > limit:
                msg = f"{size} bytes exceed the limit of {limit}"
                raise FileInvalid(msg, code="size", path=path, hint="restore the file")
            return b"".join(parts)

    def blocks(self, path: str, *, limit: int) -> Iterator[bytes]:
        """The regular file ``path`` in blocks, as long as it was when it was opened.

        What another process appends meanwhile is not read. More than ``limit`` bytes: ``size``.
        """
        with self._reading(path) as (fd, size):
            if size > limit:
                msg = f"{size} bytes exceed the limit of {limit}"
                raise FileInvalid(msg, code="size", path=path, hint="split the file")
            while size and (block := _do("read", path, os.read, fd, min(_BLOCK, size))):
                size -= len(block)
                yield block

    def hash(self, path: str) -> tuple[int, str]:
        """Size in bytes and ``sha256:…`` of the regular file ``path``, in constant memory.

        A file that this process has hashed and that has not changed since is not read again.
        """
        with self._reading(path) as (fd, _):
            state = _settled(fd)
            if state is not None and state in _hashed:
                return _hashed[state]
            made, total = hashlib.sha256(), 0
            while block := _do("read", path, os.read, fd, _BLOCK):
                made.update(block)
                total += len(block)
            found = total, "sha256:" + made.hexdigest()
            if state is not None and len(_hashed) < _MOST_HASHED:
                _hashed[state] = found
            return found

    def write(self, path: str, data: bytes) -> None:
        """Put ``data`` at ``path`` atomically: temporary name, sync, replace, directory sync.

        Missing parent directories are made. A target that is a link or no regular file is an
        error before anything is written, and it is never removed first.
        """
        self.makedirs(path.rpartition("/")[0])
        if (kind := self.kind(path)) not in (None, "file"):
            _unsafe(path, f"is a {kind}, not a regular file")
        temporary = TEMPORARY + secrets.token_hex(8)
        with self._existing_parent(path) as (here, name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            fd: int = _do("open", path, here.open, temporary, flags)
            try:
                try:
                    self._write_all(fd, path, data)
                    _do("fsync", path, os.fsync, fd)
                finally:
                    os.close(fd)
                source, target = here.at(temporary)[0], here.at(name)[0]
                ends = {} if here.fd is None else {"src_dir_fd": here.fd, "dst_dir_fd": here.fd}
                _do("replace", path, lambda: os.replace(source, target, **ends))  # noqa: PTH105
            except Exception:
                with contextlib.suppress(OSError, StorageError):
                    self._unlink(here, temporary, path)
                raise
            self._sync_directory(here, path)

    def append(self, path: str, data: bytes) -> None:
        """Add ``data`` to the end of the regular file ``path`` (made if missing) and sync it."""
        fresh = self.kind(path) is None
        with self._existing_parent(path) as (here, name):
            fd: int = _do("open", path, here.open, name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    _unsafe(path, "is not a regular file")
                self._write_all(fd, path, data)
                _do("fsync", path, os.fsync, fd)
            finally:
                os.close(fd)
            if fresh:
                self._sync_directory(here, path)

    def truncate(self, path: str, size: int) -> None:
        """Cut the regular file ``path`` to ``size`` bytes and sync it."""
        with self._existing_parent(path) as (here, name):
            fd: int = _do("open", path, here.open, name, os.O_WRONLY)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    _unsafe(path, "is not a regular file")
                _do("write", path, lambda data: os.ftruncate(fd, size + len(data)), b"")
                _do("fsync", path, os.fsync, fd)
            finally:
                os.close(fd)

    @staticmethod
    def _write_all(fd: int, path: str, data: bytes) -> None:
        def put(part: bytes) -> None:
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(fd, rest) :]

        _do("write", path, put, data)

    def makedirs(self, path: str, mode: int = 0o777) -> None:
        """Make the directory ``path`` and its parents where missing, each synced."""
        done = ""
        for part in path.split("/") if path else []:
            done = f"{done}/{part}" if done else part
            if (kind := self.kind(done)) == "dir":
                continue
            if kind is not None:
                _unsafe(done, f"is a {kind}, not a directory")
            with self._existing_parent(done) as (here, name):
                target, where = here.at(name)
                try:
                    _do("mkdir", done, lambda t=target, w=where: os.mkdir(t, mode, **w))  # noqa: PTH102
                except StorageError as error:  # another worker may make the same parent just now
                    if not isinstance(error.__cause__, FileExistsError) or self.kind(done) != "dir":
                        raise
                self._sync_directory(here, done)

    def rename(self, source: str, target: str) -> None:
        """Move ``source`` to ``target``, which must not exist; both directories are synced."""
        self.makedirs(target.rpartition("/")[0])
        if self.kind(source) not in ("file", "dir"):
            _unsafe(source, "is not there, or neither file nor directory")
        if self.kind(target) is not None:
            _unsafe(target, "exists already")
        with (
            self._existing_parent(source) as (old, name),
            self._existing_parent(target) as (new, final),
        ):
            ends = {}
            if old.fd is not None and new.fd is not None:
                ends = {"src_dir_fd": old.fd, "dst_dir_fd": new.fd}
            a, b = old.at(name)[0], new.at(final)[0]
            _do("rename", target, lambda: os.rename(a, b, **ends))  # noqa: PTH104
            self._sync_directory(new, target)
            if source.rpartition("/")[0] != target.rpartition("/")[0]:
                self._sync_directory(old, source)

    def remove(self, path: str) -> None:
        """Remove the file or link ``path`` (never what a link points to); absent is fine."""
        with contextlib.suppress(FileNotFoundError), self._parent(path) as (here, name):
            self._unlink(here, name, path)
            self._sync_directory(here, path)

    def remove_tree(self, path: str) -> None:
        """Remove the directory ``path`` with all that it holds; links are removed, not followed."""
        kind = self.kind(path)
        if kind == "dir":
            self._clear(path)
        elif kind is not None:
            self.remove(path)

    def _clear(self, path: str) -> None:
        for entry in self.names(path):
            below = f"{path}/{entry.name}"
            if entry.kind == "dir":
                self._clear(below)
                continue
            with self._parent(below) as (here, name):
                self._unlink(here, name, below)
        with self._parent(path) as (here, name):
            target, where = here.at(name)
            _do("remove", path, lambda: os.rmdir(target, **where))
            self._sync_directory(here, path)  # a removal that is not synced may come back

    def sync(self, path: str = "") -> None:
        """Sync the directory ``path`` itself, so that renames inside it are durable."""
        with self._directory(path) as here:
            self._sync_directory(here, path)

    @staticmethod
    def _unlink(here: _Dir, name: str, path: str) -> None:
        target, where = here.at(name)
        _do("remove", path, lambda: os.unlink(target, **where))

    @staticmethod
    def _sync_directory(here: _Dir, path: str) -> None:
        if here.fd is not None:  # Windows cannot sync a directory; a rename is durable there
            _do("fsync", path.rpartition("/")[0] + "/", os.fsync, here.fd)


def _settled(fd: int) -> _State | None:
    """The state of a file that no write leaves as it is; ``None`` where that cannot be told.

    A write moves the change time, which nobody can set; but file systems have coarse clocks, so a
    change time of just now may hide a second write.
    """
    seen = os.fstat(fd)
    if not _HAS_DIR_FD or time.time_ns() - seen.st_ctime_ns < _SETTLED_NS:
        return None  # Windows has no change time
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _sync_path(path: Path) -> None:
    if _HAS_DIR_FD:
        fd = os.open(path, os.O_RDONLY | _DIRECTORY)
        try:
            _do("fsync", str(path), os.fsync, fd)
        finally:
            os.close(fd)


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Free space, in bytes, of the disk that ``path`` (or its first existing parent) lies on.

    Examples
    --------
    >>> free_bytes("/") > 0
    True
    """
    here = Path(path).absolute()
    while what_is(here) is None:
        here = here.parent
    return shutil.disk_usage(here).free


def what_is(path: str | os.PathLike[str]) -> NodeKind | None:
    """What a word of the command line leads to, links followed; ``None`` if nothing can be there.

    Unlike :meth:`pathlib.Path.exists` it has an answer for every word, also one that is too long.

    Examples
    --------
    >>> what_is("/"), what_is("a" * 5000), what_is("")
    ('dir', None, None)
    """
    try:
        return _kind(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return None
