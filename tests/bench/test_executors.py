"""Workers: what they leave behind, how they end, and that nothing outlives its coordinator."""

import os
import signal
import subprocess
import sys
import time

import pytest

from zeroproofml.benchmarks import config, executors, threads, worker
from zeroproofml.benchmarks.executors import InlineExecutor, ProcessExecutor
from zeroproofml.report import _fs
from zeroproofml.report.seeddir import read_seed_dir

NOTHING = "sha256:" + "0" * 64


@pytest.fixture
def task(tmp_path, toy):
    def make(seed, root=None, attempt=1):
        root = tmp_path / "run" if root is None else root
        root.mkdir(exist_ok=True)
        return worker.Task(
            config.resolve("toy").config,
            seed,
            str(root),
            f".zpml/work/seed_{seed}.{attempt}",
            {"zeroproofml-scm": NOTHING},
            NOTHING,
            (str(toy),),
        )

    return make


def collect(executor, count):
    done = []
    deadline = time.monotonic() + 60
    while len(done) < count and time.monotonic() < deadline:
        done += executor.as_completed(0.5)
    executor.close()
    return done


def seed_digest(root, seed):
    read = read_seed_dir(_fs.Tree(root), f".zpml/work/seed_{seed}.1", seed=seed, staged=True)
    assert read.findings == ()
    files = {f.path: f.sha256 for f in read.commit.files if f.path != "per_seed_result.json"}
    return read.commit.result_digest, files


def test_inline_and_process_leave_the_same_bytes(tmp_path, task):
    inline = InlineExecutor(lambda event: None)
    process = ProcessExecutor(2, 1, lambda event: None)
    for seed in (1, 2):
        inline.submit(task(seed, tmp_path / "a"))
        process.submit(task(seed, tmp_path / "b"))
    assert {outcome.kind for _, outcome in collect(inline, 2)} == {"ok"}
    assert {outcome.kind for _, outcome in collect(process, 2)} == {"ok"}
    for seed in (1, 2):
        assert seed_digest(tmp_path / "a", seed) == seed_digest(tmp_path / "b", seed)


def test_events_come_through_the_pipe(task):
    seen = []
    executor = ProcessExecutor(1, 1, seen.append)
    executor.submit(task(4))
    collect(executor, 1)
    assert [e["arm"] for e in seen if e["event"] == "phase"] == ["ridge", "truth", "zero"]
    assert {e["seed"] for e in seen} == {4}


@pytest.mark.parametrize("make", [InlineExecutor, lambda emit: ProcessExecutor(1, 1, emit)])
def test_an_exception_of_the_domain_fails_the_seed(make, task, monkeypatch):
    monkeypatch.setenv("TOY_RAISE", "1")
    executor = make(lambda event: None)
    handle = executor.submit(task(1))
    [(got, outcome)] = collect(executor, 1)
    assert got == handle
    assert (outcome.kind, outcome.code) == ("failed", "exception")
    assert "the toy was told to raise" in outcome.message
    assert "\n" not in outcome.message
    assert os.sep not in outcome.message


def test_a_killed_worker_is_lost_and_the_others_go_on(tmp_path, task, monkeypatch):
    monkeypatch.setenv("TOY_KILL", f"2:{tmp_path / 'marker'}*9")
    executor = ProcessExecutor(2, 1, lambda event: None)
    handles = {executor.submit(task(seed)): seed for seed in (1, 2, 3)}
    done = {handles[handle]: outcome for handle, outcome in collect(executor, 3)}
    assert {seed: outcome.kind for seed, outcome in done.items()} == {1: "ok", 2: "lost", 3: "ok"}
    assert done[2].code == "worker_lost"


def test_a_full_disk_is_no_fault_of_the_seed(task):
    def full(operation, path, action, arguments):
        if operation == "write":
            raise OSError(28, "No space left on device")
        return action(*arguments)

    executor = InlineExecutor(lambda event: None)
    executor.submit(task(1))
    with _fs.hooked(full):
        [(_, outcome)] = list(executor.as_completed(0))
    assert outcome.kind == "storage"
    assert "No space left" in outcome.message
    assert outcome.path


def test_at_most_so_many_workers_at_a_time(task, monkeypatch):
    monkeypatch.setenv("TOY_SLEEP", "1:0.3;2:0.3;3:0.3")
    executor = ProcessExecutor(2, 1, lambda event: None)
    for seed in (1, 2, 3):
        executor.submit(task(seed))
    assert len(executor._running) == 2
    assert len(collect(executor, 3)) == 3


def test_cancel_and_close_end_the_processes(task, monkeypatch):
    monkeypatch.setenv("TOY_SLEEP", "1:60;2:60")
    executor = ProcessExecutor(2, 1, lambda event: None)
    first = executor.submit(task(1))
    executor.submit(task(2))
    processes = list(executor._running.values())
    executor.cancel(first)
    assert processes[0].poll() is not None
    assert processes[1].poll() is None
    executor.close()
    assert processes[1].poll() is not None
    assert list(executor.as_completed(0.1)) == []


def test_a_worker_that_ignores_the_request_is_killed(monkeypatch):
    monkeypatch.setattr(executors, "GRACE_S", 0.5)
    code = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    executors.stop([process])
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL


def test_a_worker_ends_when_its_coordinator_dies(task, monkeypatch):
    monkeypatch.setenv("TOY_SLEEP", "1:60")
    process = executors.spawn(1)
    process.stdin.write(task(1).to_json() + "\n")
    process.stdin.flush()
    assert process.stdout.readline()  # it computes
    process.stdin.close()  # what the kernel does when the coordinator is killed
    assert process.wait(20) == worker.ORPHANED
    process.stdout.close()


def test_two_workers_never_share_a_work_directory(task):
    executor = InlineExecutor(lambda event: None)
    executor.submit(task(1))
    executor.submit(task(1))
    outcomes = [outcome for _, outcome in collect(executor, 2)]
    assert [outcome.kind for outcome in outcomes] == ["ok", "lost"]


def test_thread_counts_are_held_and_put_back(monkeypatch):
    import numpy  # noqa: F401 (its OpenBLAS is what is counted)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = threads.blas()
    with threads.switched(1, ()):
        assert all(library["threads"] == 1 for library in threads.blas())
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert threads.blas() == before
    assert "OMP_NUM_THREADS" not in os.environ


def test_torch_is_switched_to_determinism_and_back():
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with threads.switched(1, ("torch",)):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
