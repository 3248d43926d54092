"""A state machine over the life of a run directory: model and disk agree, no state is a trap."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zeroproofml.report import _fs
from zeroproofml.report.errors import ReportError, RunInvalid
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.rundir import (
    State,
    load_raw_run,
    run_state,
    validate_run_dir,
    verify_run,
)

pytestmark = pytest.mark.slow


class KilledError(BaseException):
    """The process is gone: nothing after this touches the disk."""


class KillAt:
    """A kill before the N-th call that changes the disk; syncs are left out."""

    def __init__(self, at):
        self.left = at

    def __call__(self, operation, path, action, arguments):
        if operation in ("write", "replace", "rename", "mkdir", "remove", "fsync"):
            self.left -= 1
        if self.left <= 0:
            raise KilledError
        return None if operation == "fsync" else action(*arguments)


NEVER = 10**9


@pytest.fixture
def machine(make_toy):
    """The machine's class, closed over the harness of these tests."""

    class Life(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.home = Path(tempfile.mkdtemp(prefix="zpml-states-"))
            self.path = self.home / "run0"
            self.moves = 0
            self.raw = None
            self.sealed_once = False

        def teardown(self):
            shutil.rmtree(self.home)

        def act(self, kind, force=(), kill=NEVER, fail=()):
            toy = make_toy(seeds=(1, 2), fail=frozenset(fail))
            with contextlib.suppress(KilledError), _fs.hooked(KillAt(kill)):
                toy.run(self.path, kind, force)
                if not fail:
                    assert run_state(self.path) in (State.COMPLETE, State.PARTIAL)

        @rule()
        def resume(self):
            self.act("resume")
            assert run_state(self.path) is State.COMPLETE
            manifest = validate_run_dir(self.path)
            self.raw = self.raw or manifest.raw_digest
            assert manifest.raw_digest == self.raw
            self.sealed_once = True

        @rule(kill=st.integers(1, 400))
        def killed_resume(self, kill):
            self.act("resume", kill=kill)

        @rule(kill=st.integers(1, 400), seeds=st.sampled_from([(1,), (2,), (1, 2)]))
        def killed_force(self, kill, seeds):
            if run_state(self.path) is not State.EMPTY:
                self.act("force", force=seeds, kill=kill)

        @rule(seeds=st.sampled_from([(1,), (2,), (1, 2)]))
        def force(self, seeds):
            if run_state(self.path) is not State.EMPTY:
                self.act("force", force=seeds)
                assert run_state(self.path) is State.COMPLETE

        @precondition(lambda self: not self.sealed_once)
        @rule()
        def a_seed_fails(self):
            self.act("resume", fail=(2,))

        @precondition(lambda self: self.path.exists())
        @rule()
        def move(self):
            self.moves += 1
            target = self.home / f"run{self.moves}"
            self.path.rename(target)
            self.path = target

        @precondition(lambda self: self.path.exists())
        @rule()
        def copy_without_workspace(self):
            """A sealed run is whole without its workspace."""
            if run_state(self.path) in (State.COMPLETE, State.PARTIAL):
                shutil.rmtree(self.path / ".zpml", ignore_errors=True)

        @precondition(lambda self: self.path.exists())
        @rule()
        def torn_tail(self):
            if run_state(self.path) is State.RESUMABLE:
                with (self.path / "journal.jsonl").open("ab") as file:
                    file.write(b'{"attempt":')

        @rule()
        def open_and_close(self):
            with contextlib.suppress(ReportError):
                RunWriter.open(self.path).close()

        @invariant()
        def the_state_is_legal_and_has_an_exit(self):
            state = run_state(self.path)
            assert state in (State.EMPTY, State.RESUMABLE, State.COMPLETE, State.PARTIAL)
            if state in (State.COMPLETE, State.PARTIAL):
                assert validate_run_dir(self.path).status == state.value
                assert verify_run(self.path).ok
            elif self.path.exists():
                with pytest.raises(RunInvalid):
                    validate_run_dir(self.path)

        @invariant()
        def a_finished_seed_is_never_lost(self):
            """At every instant one complete result of each finished seed exists."""
            if not self.sealed_once:
                return
            for seed in (1, 2):
                old = self.path / ".zpml/old" / f"seed_{seed}"
                assert (self.path / f"seed_{seed}").is_dir() or old.is_dir()
            if run_state(self.path) in (State.COMPLETE, State.PARTIAL):
                assert set(load_raw_run(self.path).results) == {1, 2}

    return Life


def test_the_life_of_a_run(machine):
    machine.TestCase.settings = settings(
        max_examples=30,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase("runTest").runTest()
