"""Kills, faults and lost writes at every step of a run, a resume, a forced rerun.

Run contract, section 16: whatever happens at the N-th change of the disk, the directory is empty,
resumable, partial or complete, and one more `--resume` ends sealed, valid, with the bytes of a run
that nothing ever happened to.
"""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from zeroproofml.benchmarks import config, run_benchmark, validate_run_dir
from zeroproofml.report import _fs
from zeroproofml.report.errors import ReportError
from zeroproofml.report.rundir import run_state, verify_run

SEEDS = (1, 2)
CHANGES = {"write", "fsync", "replace", "rename", "mkdir", "remove"}
FAULTS = {"open", "write", "fsync", "replace", "rename", "mkdir"}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fixed_identity")]


class Killed(BaseException):
    """The process is gone: nothing after this call happens."""


def go(root, flag="none", seeds=SEEDS, **more):
    return run_benchmark(config.resolve("toy"), seeds, root, flag=flag, executor="inline", **more)


def content(root):
    """What must be equal: seeds less `timing` (and what hangs on its digest), and aggregates."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or not name.startswith(("seed_", "aggregated/", "datasets/")):
            continue
        data = path.read_bytes()
        if name.endswith("per_seed_result.json"):
            result = json.loads(data)
            del result["timing"]
            data = json.dumps(result, sort_keys=True).encode()
        if name.endswith("commit.json"):
            commit = json.loads(data)
            commit["files"] = [f for f in commit["files"] if "result" not in f["path"]]
            data = json.dumps(commit, sort_keys=True).encode()
        found[name] = data
    return found


class Sweep:
    """A hook that counts the calls of some kinds and lets something happen at the N-th."""

    def __init__(self, kinds, at, happens):
        self.kinds, self.at, self.happens = kinds, at, happens
        self.count, self.dead = 0, False

    def __call__(self, operation, path, action, arguments):
        if self.dead:
            raise Killed
        if operation not in self.kinds:
            return action(*arguments)
        self.count += 1
        if self.count != self.at:
            return self.plain(operation, action, arguments)
        return self.happens(self, operation, action, arguments)

    def plain(self, operation, action, arguments):
        return action(*arguments)


def kill(sweep, operation, action, arguments):
    action(*arguments)
    sweep.dead = True
    raise Killed


def kill_half(sweep, operation, action, arguments):
    if operation == "write":
        action(arguments[0][: len(arguments[0]) // 2])
    sweep.dead = True
    raise Killed


def eio(sweep, operation, action, arguments):
    raise OSError(errno.EIO, "Input/output error")


def enospc(sweep, operation, action, arguments):
    if operation == "write":
        action(arguments[0][: len(arguments[0]) // 2])
    raise OSError(errno.ENOSPC, "No space left on device")


class Durable(Sweep):
    """Also knows what would be on the disk if the power went: only what was synced."""

    def __init__(self, kinds, at, root):
        super().__init__(kinds, at, kill)
        self.root = root
        self.files, self.folders = {}, {}
        self._remember(root)

    def __call__(self, operation, path, action, arguments):
        made = super().__call__(operation, path, action, arguments)
        # A new file or folder may get the number of one that is gone, but not its content.
        if operation == "open" and len(arguments) > 1 and arguments[1] & os.O_EXCL:
            self._forget(os.fstat(made).st_ino)
        if operation == "mkdir" and (self.root / path).is_dir():
            self._forget((self.root / path).stat().st_ino)
        return made

    def _forget(self, inode):
        self.files.pop(inode, None)
        self.folders.pop(inode, None)

    def _remember(self, path):
        """What is there at the start is durable."""
        if not path.exists():
            return
        self.folders[path.stat().st_ino] = {p.name: p.lstat().st_ino for p in path.iterdir()}
        for entry in path.iterdir():
            if entry.is_dir():
                self._remember(entry)
            else:
                self.files[entry.stat().st_ino] = entry.read_bytes()

    def plain(self, operation, action, arguments):
        made = action(*arguments)
        self._synced(operation, arguments)
        return made

    def _synced(self, operation, arguments):
        if operation != "fsync":
            return
        seen = os.fstat(arguments[0])
        where = Path(f"/proc/self/fd/{arguments[0]}")
        if stat.S_ISDIR(seen.st_mode):
            names = os.listdir(arguments[0])  # noqa: PTH208 (by descriptor)
            self.folders[seen.st_ino] = {
                name: os.stat(name, dir_fd=arguments[0], follow_symlinks=False).st_ino
                for name in names
            }
        else:
            self.files[seen.st_ino] = where.read_bytes()

    def rebuild(self, root, inode, folders):
        """Write under `root` what is durable of the folder `inode`."""
        root.mkdir(exist_ok=True)
        for name, number in self.folders.get(inode, {}).items():
            if number in folders:
                self.rebuild(root / name, number, folders)
            else:
                (root / name).write_bytes(self.files.get(number, b""))


def attempt(work, sweep):
    """Run `work` under the hook; the ways in which it may end."""
    with _fs.hooked(sweep):
        try:
            work()
        except Killed:
            return "killed"
        except ReportError:
            return "refused"
    return "done"


def settle(root, clean):
    """The state is one with an exit, and the exit leads to the bytes of a clean run."""
    assert run_state(root) in {"empty", "resumable", "complete", "partial"}
    outcome = go(root, flag="resume")
    assert outcome.status == "complete", outcome
    assert validate_run_dir(root).raw_digest == outcome.raw_digest
    assert content(root) == clean
    left = {path.name for path in (root / ".zpml").iterdir()}
    assert left <= {"lock", "quarantine"}
    assert not list(root.rglob(".zpml-tmp-*"))


@pytest.fixture(scope="module")
def clean(tmp_path_factory, fixed_identity):
    root = tmp_path_factory.mktemp("clean") / "run"
    go(root)
    return content(root)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, fixed_identity):
    """Where each scenario starts: nothing, a run killed in seed 2, a sealed run."""
    home = tmp_path_factory.mktemp("bases")

    def second_seed(operation, path, action, arguments):
        if "seed_2" in path:
            raise Killed
        return action(*arguments)

    with pytest.raises(Killed), _fs.hooked(second_seed):
        go(home / "resume")
    go(home / "force")
    return {"run": None, "resume": home / "resume", "force": home / "force"}


WORK = {
    "run": lambda root: go(root),
    "resume": lambda root: go(root, flag="resume"),
    "force": lambda root: go(root, flag="force", seeds=(2,)),
}


def start(bases, scenario, root):
    if bases[scenario] is not None:
        shutil.copytree(bases[scenario], root)


def length(bases, scenario, root, kinds):
    """How many calls of these kinds the undisturbed scenario makes."""
    start(bases, scenario, root)
    sweep = Sweep(kinds, 0, None)
    assert attempt(lambda: WORK[scenario](root), sweep) == "done"
    return sweep.count


@pytest.mark.parametrize("happens", [kill, kill_half], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("scenario", "step"), [("run", 2), ("resume", 3), ("force", 2)])
def test_kill_at_every_change(tmp_path, bases, clean, scenario, step, happens):
    total = length(bases, scenario, tmp_path / "count", CHANGES)
    assert total > 40
    for at in range(1 + (happens is kill), total + 1, step):
        root = tmp_path / f"n{at}"
        start(bases, scenario, root)
        ended = attempt(lambda root=root: WORK[scenario](root), Sweep(CHANGES, at, happens))
        assert ended == "killed", at
        settle(root, clean)
        shutil.rmtree(root)


@pytest.mark.parametrize(("scenario", "step"), [("run", 4), ("resume", 5), ("force", 4)])
@pytest.mark.parametrize("happens", [eio, enospc], ids=lambda f: f.__name__)
def test_a_fault_at_every_call(tmp_path, bases, clean, scenario, step, happens):
    total = length(bases, scenario, tmp_path / "count", FAULTS)
    for at in range(1 + (happens is eio), total + 1, step):
        root = tmp_path / f"n{at}"
        start(bases, scenario, root)
        attempt(lambda root=root: WORK[scenario](root), Sweep(FAULTS, at, happens))
        settle(root, clean)
        shutil.rmtree(root)


@pytest.mark.parametrize(("scenario", "step"), [("run", 3), ("resume", 3), ("force", 3)])
@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs /proc to read what was synced"
)
def test_what_was_not_synced_is_lost(tmp_path, bases, clean, scenario, step):
    total = length(bases, scenario, tmp_path / "count", CHANGES)
    for at in range(2, total + 1, step):
        root = tmp_path / f"n{at}"
        start(bases, scenario, root)
        sweep = Durable(CHANGES, at, root)
        assert attempt(lambda root=root: WORK[scenario](root), sweep) == "killed"
        if not root.exists():
            continue
        inode = root.stat().st_ino
        folders = {path.stat().st_ino for path in root.rglob("*") if path.is_dir()} | set(
            sweep.folders
        )
        after = tmp_path / f"after{at}"
        sweep.rebuild(after, inode, folders)
        settle(after, clean)
        shutil.rmtree(root)
        shutil.rmtree(after)


def test_a_killed_resume_of_a_killed_run(tmp_path, bases, clean):
    first = length(bases, "run", tmp_path / "count", CHANGES)
    for at in range(3, first, first // 6):
        base = tmp_path / f"base{at}"
        assert attempt(lambda base=base: go(base), Sweep(CHANGES, at, kill)) == "killed"
        for then in (1, 4, 9, 17, 31, 60):
            root = tmp_path / "again"
            if base.exists():
                shutil.copytree(base, root)
            attempt(lambda root=root: go(root, flag="resume"), Sweep(CHANGES, then, kill))
            settle(root, clean)
            shutil.rmtree(root)


def test_at_every_instant_of_a_forced_rerun_a_result_of_each_seed_exists(tmp_path, bases):
    # T21: the old result under its name, or set aside, or the new one under its name.
    root = tmp_path / "run"
    start(bases, "force", root)
    missing = []

    def watch(operation, path, action, arguments):
        for seed in SEEDS:
            places = (root / f"seed_{seed}", root / ".zpml" / "old" / f"seed_{seed}")
            if not any((place / "commit.json").is_file() for place in places):
                missing.append((operation, path, seed))
        return action(*arguments)

    with _fs.hooked(watch):
        go(root, flag="force")
    assert missing == []
    assert verify_run(root, recompute=True).ok


def test_one_sync_per_journal_event(tmp_path):
    # Section 14: the cost of an event is one fsync.
    syncs, lines = [], []

    def count(operation, path, action, arguments):
        if path == "journal.jsonl" and operation == "fsync":
            syncs.append(path)
        return action(*arguments)

    with _fs.hooked(count):
        go(tmp_path / "run")
    lines = (tmp_path / "run/journal.jsonl").read_text().splitlines()
    assert len(syncs) == len(lines)
