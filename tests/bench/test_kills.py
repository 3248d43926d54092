"""Real SIGKILLs at random instants, workers and all; and a state machine over everything at once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zeroproofml.benchmarks import config, run_benchmark, validate_run_dir
from zeroproofml.report import _fs
from zeroproofml.report.errors import ResumeRefused, RunInvalid, UsageError
from zeroproofml.report.regenerate import NothingToReport, regenerate
from zeroproofml.report.rundir import run_state, verify_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fixed_identity")]
KILLS = 100  # of a run, and as many of its resume
FORK_RUNS = Path(__file__).with_name("fork_runs.py")


def go(root, seeds, flag="none", executor="inline", **more):
    made = config.resolve("toy")
    return run_benchmark(made, seeds, root, flag=flag, executor=executor, **more)


@pytest.fixture
def in_a_fork():
    """Start a run of three seeds in a fork of a small process; returns the pid."""
    with subprocess.Popen(
        [sys.executable, FORK_RUNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def start(root, flag):
            server.stdin.write(f"{root} {flag}\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield start
        server.stdin.close()


def kill(pid):
    """Kill it and wait until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)
    except ProcessLookupError:
        return


def settled(root):
    """The state once the kernel has freed the lock: a worker that was being started when its parent
    died holds a copy of the descriptor until it runs its own program."""
    deadline = time.monotonic() + 30
    while (state := run_state(root)) == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    return state


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need fork")
def test_sigkill_at_random_instants(tmp_path, in_a_fork):
    began = time.monotonic()
    clean = go(tmp_path / "clean", [1, 2, 3], executor="process", workers=2).raw_digest
    whole = time.monotonic() - began
    rng = random.Random(20260407)
    states = set()
    for number in range(KILLS):
        root = tmp_path / f"run{number}"
        for flag in ("none", "resume"):  # the resume is killed too
            pid = in_a_fork(root, flag)
            time.sleep(rng.uniform(0.0, whole * (1.2 if flag == "none" else 0.7)))
            kill(pid)
            states.add(str(settled(root)))
        assert go(root, [1, 2, 3], flag="resume").raw_digest == clean
        assert verify_run(root).ok
        shutil.rmtree(root)
    assert states <= {"empty", "resumable", "complete"}
    assert "resumable" in states


class Killed(BaseException):
    """The process is gone."""


class Runs(RuleBasedStateMachine):
    """One directory under run, kill, resume, skip, force, regenerate, move and damage.

    The model knows which seeds are planned and which may be complete; the disk must agree, and
    there must always be a command that ends in a sealed, valid run.
    """

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="zpml-states-"))
        self.root = self.home / "run"
        self.planned = []

    def teardown(self):
        shutil.rmtree(self.home)

    def _try(self, work, kill_at):
        """Do it, or die at the N-th change of the disk; True if it came to its end."""
        count = 0

        def hook(operation, path, action, arguments):
            nonlocal count
            if operation in {"write", "fsync", "replace", "rename", "mkdir", "remove"}:
                count += 1
            if kill_at is not None and count >= kill_at:
                raise Killed
            return action(*arguments)

        try:
            with _fs.hooked(hook):
                work()
        except Killed:
            return False
        return True

    kill = st.one_of(st.none(), st.integers(1, 150))

    @initialize(kill_at=kill)
    def begin(self, kill_at):
        self._try(lambda: go(self.root, [1, 2]), kill_at)
        if self.state() != "empty":
            self.planned = [1, 2]

    def state(self):
        return str(run_state(self.root))

    @precondition(lambda self: self.planned)
    @rule(kill_at=kill)
    def resume(self, kill_at):
        if self._try(lambda: go(self.root, None, flag="resume"), kill_at):
            assert self.state() == "complete"
            assert list(validate_run_dir(self.root).seeds.planned) == self.planned

    @precondition(lambda self: not self.planned)
    @rule()
    def start_again(self):
        go(self.root, [1, 2], flag="resume")
        self.planned = [1, 2]

    @precondition(lambda self: self.planned and len(self.planned) < 5)
    @rule(kill_at=kill)
    def add_a_seed(self, kill_at):
        new = max(self.planned) + 1
        done = self._try(lambda: go(self.root, [new], flag="skip"), kill_at)
        if done:
            self.planned.append(new)
            assert list(validate_run_dir(self.root).seeds.planned) == self.planned
        elif '"plan_extended"' in (self.root / "journal.jsonl").read_text():
            from zeroproofml.report.replay import read_journal

            self.planned = read_journal((self.root / "journal.jsonl").read_bytes())[0].planned

    @precondition(lambda self: self.planned)
    @rule(kill_at=kill, data=st.data())
    def force(self, kill_at, data):
        seed = data.draw(st.sampled_from(self.planned))
        if self._try(lambda: go(self.root, [seed], flag="force"), kill_at):
            assert self.state() == "complete"

    @precondition(lambda self: self.planned)
    @rule(kill_at=kill)
    def report(self, kill_at):
        if self.state() == "complete":
            self._try(lambda: regenerate(str(self.root), html=True), kill_at)
            return
        try:
            self._try(lambda: regenerate(str(self.root), html=True), kill_at)
        except (RunInvalid, NothingToReport):
            return  # an unsealed run that waits for seeds belongs to the benchmark

    @precondition(lambda self: self.planned)
    @rule()
    def move(self):
        target = self.home / f"moved{random.Random(str(self.root)).randrange(10**9)}"
        self.root.rename(target)
        self.root = target

    @precondition(lambda self: self.planned)
    @rule()
    def what_must_be_refused_changes_nothing(self):
        before = {p: p.stat().st_mtime_ns for p in self.root.rglob("*") if ".zpml" not in p.parts}
        with pytest.raises(UsageError):
            go(self.root, self.planned)
        with pytest.raises(ResumeRefused):
            go(self.root, [99], flag="resume")
        with pytest.raises(ResumeRefused):
            run_benchmark(config.resolve("toy", mode="smoke"), None, self.root, flag="skip")
        after = {p: p.stat().st_mtime_ns for p in self.root.rglob("*") if ".zpml" not in p.parts}
        assert after == before

    @precondition(lambda self: self.planned and self.state() == "complete")
    @rule()
    def a_damaged_seed_is_repaired(self):
        path = self.root / f"seed_{self.planned[0]}" / "predictions.npz"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(RunInvalid):
            go(self.root, None, flag="resume")
        go(self.root, None, flag="skip")
        assert verify_run(self.root).ok

    @invariant()
    def no_state_without_an_exit(self):
        if self.root.exists():
            assert self.state() in {"empty", "resumable", "complete"}


TestRuns = Runs.TestCase
TestRuns.settings = settings(
    max_examples=25,
    stateful_step_count=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
