"""Sweeps: a failure, a kill, a half write or lost writes at every file-system call of a writer.

After each the directory is empty, resumable or sealed; the same command again ends sealed and
valid, with the raw digest and the bytes of an undisturbed run. Run contract, sections 16 and T21.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from zeroproofml.report import _fs
from zeroproofml.report.contract import Deriver
from zeroproofml.report.contract.strict_json import dump, parse
from zeroproofml.report.errors import ReportError
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.rundir import State, run_state, validate_run_dir

pytestmark = pytest.mark.slow

ALLOWED = {State.EMPTY, State.RESUMABLE, State.COMPLETE, State.PARTIAL}
MUTATING = {"open", "write", "fsync", "replace", "rename", "mkdir", "remove"}


class KilledError(BaseException):
    """The process is gone: nothing after this may touch the disk."""


class Fault:
    """Lets the N-th mutating call fail in one of several ways; counts all of them."""

    def __init__(self, at=None, how="EIO"):
        self.at, self.how, self.count, self.dead = at, how, 0, False

    def __call__(self, operation, path, action, arguments):
        if self.dead:
            raise KilledError
        if operation not in MUTATING:
            return action(*arguments)
        self.count += 1
        if self.count == self.at:
            if self.how == "half" and operation == "write":
                data = arguments[-1]
                action(*arguments[:-1], data[: len(data) // 2])
            if self.how in ("EIO", "ENOSPC"):
                raise OSError(getattr(errno, self.how), os.strerror(getattr(errno, self.how)))
            if self.how == "after" and operation != "fsync":
                action(*arguments)
            self.dead = True
            raise KilledError
        if operation == "fsync":  # the disk of a test needs no flush
            return None
        return action(*arguments)


def snapshot(path):
    """Raw files less times, and aggregates: what two equal runs share byte by byte."""
    found = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if not file.is_file() or not name.startswith(("seed_", "datasets/", "aggregated/")):
            continue
        data = file.read_bytes()
        if name.endswith("per_seed_result.json"):
            data = dump({k: v for k, v in parse(data).items() if k != "timing"})
        found[name] = data
    return found


def fresh(make_toy, path):
    make_toy(seeds=(1, 2)).run(path)


def resumed(make_toy, path):
    make_toy(seeds=(1, 2)).run(path, "resume")


def forced(make_toy, path):
    make_toy(seeds=(1, 2)).run(path, "force", [2])


def regenerated(make_toy, path):
    """What a report with other options does: reopen, replace derived files, re-seal."""
    toy = make_toy(seeds=(1, 2))
    with RunWriter.open(path, clock=toy.clock) as writer:
        files = toy.derive(writer.raw_run())
        files["RUN_REPORT.html"] = b"<!doctype html>\n"
        if writer.sealed:
            writer.reopen()
        writer.write_derived(files)
        manifest = parse((path / ".zpml/old/manifest.json").read_bytes())
        writer.append("regenerated", {"deriver": manifest["deriver"]})
        writer.seal(Deriver(**manifest["deriver"]))


@pytest.fixture(scope="module")
def disk():
    """A memory disk where there is one: the sweeps make some thousand runs."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        yield Path(name)


@pytest.fixture
def before(make_toy, disk, request):
    """A directory in the state that an act starts from, and the bytes of a clean run."""
    act = request.param
    base = disk / act.__name__
    clean = disk / "clean"
    if not clean.exists():
        fresh(make_toy, clean)
    if not base.exists():
        base.mkdir()
        if act is resumed:
            with pytest.raises(KilledError), _fs.hooked(Fault(95, "kill")):
                fresh(make_toy, base / "run")
            assert run_state(base / "run") is State.RESUMABLE
        elif act is not fresh:
            shutil.copytree(clean, base / "run")
    return act, base, snapshot(clean), validate_run_dir(clean).raw_digest


def trial(base, number):
    path = base.parent / "trial" / str(number)
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    if (base / "run").exists():
        shutil.copytree(base / "run", path)
    return path


def settle(make_toy, path, expected, raw_digest, label):
    """The state is a legal one, and ``--resume`` ends as if nothing had happened."""
    state = run_state(path)
    assert state in ALLOWED, (label, state)
    make_toy(seeds=(1, 2)).run(path)
    manifest = validate_run_dir(path)
    assert manifest.raw_digest == raw_digest, label
    assert snapshot(path) == expected, label
    assert not list(path.rglob(".zpml-tmp-*")), label
    assert {entry.name for entry in (path / ".zpml").iterdir()} <= {
        "lock",
        "quarantine",
        "owner.json",
    }, label


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "half", "kill", "after"])
@pytest.mark.parametrize("before", [fresh, resumed, forced, regenerated], indirect=True)
def test_fault_at_every_call(make_toy, before, how):
    act, base, expected, raw_digest = before
    counter = Fault()
    with _fs.hooked(counter):
        act(make_toy, trial(base, 0))
    assert counter.count > 20
    for number in range(1, counter.count + 1):
        if how in ("half", "ENOSPC") and number % 3:
            continue  # same code paths as the others; a third of them keeps the sweep short
        path = trial(base, number)
        fault = Fault(number, how)
        with _fs.hooked(fault), contextlib.suppress(KilledError, ReportError):
            act(make_toy, path)
        assert fault.count >= number
        settle(make_toy, path, expected, raw_digest, (act.__name__, how, number))


def test_kill_of_the_resume(make_toy, disk):
    """A killed run, its resume killed too, then a resume: every pair on a grid."""
    clean = disk / "clean2"
    fresh(make_toy, clean)
    expected, raw_digest = snapshot(clean), validate_run_dir(clean).raw_digest
    counter = Fault()
    with _fs.hooked(counter):
        fresh(make_toy, disk / "count")
    for first in range(1, counter.count, 17):
        for second in range(1, counter.count, 13):
            path = disk / "pair"
            shutil.rmtree(path, ignore_errors=True)
            for at in (first, second):
                with contextlib.suppress(KilledError), _fs.hooked(Fault(at, "kill")):
                    fresh(make_toy, path)
            settle(make_toy, path, expected, raw_digest, (first, second))


class Lossy:
    """A disk that keeps only what was synced: file contents by fsync, names by directory fsync."""

    def __init__(self, root, at):
        self.root, self.at, self.count = root, at, 0
        self.contents, self.entries = {}, {}

    def __call__(self, operation, path, action, arguments):
        if operation in MUTATING:
            self.count += 1
            if self.count == self.at:
                raise KilledError
        if self.count >= self.at:
            raise KilledError
        if operation != "fsync":
            return action(*arguments)
        seen = os.fstat(arguments[0])
        key = (seen.st_dev, seen.st_ino)
        if stat.S_ISDIR(seen.st_mode):
            with os.scandir(arguments[0]) as entries:
                self.entries[key] = {
                    entry.name: (entry.stat(follow_symlinks=False).st_dev, entry.inode())
                    for entry in entries
                }
        else:
            self.contents[key] = Path(f"/proc/self/fd/{arguments[0]}").read_bytes()
        return None

    def restore(self, key, target):
        """Write out what would be on the disk after the power came back."""
        target.mkdir()
        for name, inner in self.entries.get(key, {}).items():
            if inner in self.contents:
                (target / name).write_bytes(self.contents[inner])
            elif inner in self.entries or inner in self.directories:
                self.restore(inner, target / name)
            else:
                (target / name).write_bytes(b"")  # a name that was synced before its content

    @property
    def directories(self):
        return {
            (seen.st_dev, seen.st_ino)
            for seen in (path.stat() for path in self.root.rglob("*") if path.is_dir())
        }


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to read a descriptor")
def test_lost_writes_after_a_power_cut(make_toy, disk):
    clean = disk / "clean3"
    fresh(make_toy, clean)
    expected, raw_digest = snapshot(clean), validate_run_dir(clean).raw_digest
    counter = Fault()
    with _fs.hooked(counter):
        fresh(make_toy, disk / "count3")
    for number in range(1, counter.count + 2):
        base = disk / "power"
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        lossy = Lossy(base, number)
        with contextlib.suppress(KilledError), _fs.hooked(lossy):
            fresh(make_toy, base / "run")
        after = disk / "after"
        shutil.rmtree(after, ignore_errors=True)
        seen = base.stat()
        lossy.restore((seen.st_dev, seen.st_ino), after)
        settle(make_toy, after / "run", expected, raw_digest, number)
