"""Seeds on a real local dask scheduler: equal bytes, lost workers, a lost scheduler, checks."""

import json
import signal
import subprocess
import sys
import time

import pytest

from zeroproofml.benchmarks import cluster, config, placement, run_benchmark
from zeroproofml.report.errors import UsageError
from zeroproofml.report.rundir import run_state, verify_run


@pytest.fixture
def clean(tmp_path):
    return run_benchmark(
        config.resolve("toy"), [1, 2, 3], tmp_path / "clean", executor="inline"
    ).raw_digest


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers of their own; yields (address, scheduler process, workers)."""
    where = tmp_path / "scheduler.json"
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    processes = [
        subprocess.Popen(
            [*start, "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(where)],
            **quiet,
        )
    ]
    try:
        address = None
        deadline = time.monotonic() + 60
        while address is None and time.monotonic() < deadline:
            try:
                address = json.loads(where.read_text())["address"]
            except (OSError, ValueError):
                time.sleep(0.05)
        assert address is not None
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard"]
        processes += [
            subprocess.Popen([*worker, "--nthreads", "1", "--no-nanny"], **quiet) for _ in range(2)
        ]
        yield address, processes[0], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_local_cluster_gives_the_same_bytes(program, tmp_path, clean):
    words = ("toy", "--seeds", 3, "--out-root", "run", "--executor", "dask", "--workers", 2)
    code, out, err = program(*words)
    assert (code, out.splitlines()[-2]) == (0, f"raw {clean}"), err
    assert verify_run(tmp_path / "run", recompute=True).ok
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert record["attempts"][0]["executor"] == {
        "name": "dask",
        "workers": 2,
        "scheduler": "local",
    }
    assert {path.name for path in (tmp_path / "run/.zpml").iterdir()} == {"lock"}


@pytest.mark.slow
def test_a_seed_whose_interpreter_dies_is_resubmitted(program, tmp_path, clean, scheduler):
    address, *_ = scheduler
    words = ("toy", "--seeds", 3, "--out-root", "run", "--executor", "dask")
    marker = tmp_path / "marker"
    code, out, err = program(
        *words, "--scheduler", address, "--workers", 2, TOY_KILL=f"2:{marker}*1"
    )
    assert (code, out.splitlines()[-2]) == (0, f"raw {clean}"), err


@pytest.mark.slow
def test_a_lost_scheduler_is_an_interruption(launch, program, tmp_path, clean, scheduler):
    address, boss, _ = scheduler
    root = tmp_path / "run"
    gate = tmp_path / "gate"
    process = launch(
        "toy", "--seeds", 3, "--out-root", root, "--executor", "dask", "--workers", 1,
        "--scheduler", address, TOY_WAIT=f"2:{gate}",
    )  # fmt: skip
    journal = root / "journal.jsonl"
    text = '"data":{"seed":2},"event":"seed_started"'
    deadline = time.monotonic() + 60
    while not (journal.exists() and text in journal.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    boss.send_signal(signal.SIGKILL)
    boss.wait()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert run_state(root) == "resumable"
    code, out, _ = program("toy", "--out-root", root, "--resume", "--executor", "inline")
    gate.touch()
    assert (code, out.splitlines()[-2]) == (0, f"raw {clean}")


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_a_usage_error(program, tmp_path):
    words = ("toy", "--out-root", "run", "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9")
    code, _, err = program(*words)
    assert code == 2
    assert "--scheduler" in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


class _Client:
    """What `check` asks of a client: run a function on every worker."""

    def __init__(self, change):
        self.change = change

    def run(self, function, folder, name, frameworks):
        seen, code = function(folder, name, frameworks)
        return self.change({"tcp://worker:1": (seen, code)})


def _executor(change):
    made = object.__new__(cluster.DaskExecutor)
    made._client = _Client(change)
    return made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda answers: {}, "no worker"),
        (lambda answers: {k: ("", code) for k, (_, code) in answers.items()}, "cannot read"),
        (
            lambda answers: {
                k: (seen, {**code, "zeroproofml-scm": "sha256:" + "0" * 64})
                for k, (seen, code) in answers.items()
            },
            "other code of zeroproofml-scm",
        ),
    ],
)
def test_workers_must_share_the_folder_and_the_code(tmp_path, change, words):
    from zeroproofml.benchmarks import provenance

    code = provenance.code(())
    with pytest.raises(UsageError, match=words):
        _executor(change).check(tmp_path, code, ())
    _executor(lambda answers: answers).check(tmp_path, code, ())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_exit_7(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(cluster.MissingExtra, match=r"\[dask\]") as caught:
        run_benchmark(config.resolve("toy"), [1], tmp_path / "run", executor="dask")
    assert caught.value.exit_code == 7
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "seeds", "device", "made"),
    [
        ((None, None, None), 1, "cpu", ("inline", 1)),
        ((None, None, None), 4, "cuda", ("process", 1)),
        (("process", 3, None), 1, "cpu", ("process", 3)),
        (("dask", None, "tcp://x:1"), 3, "cuda", ("dask", 1)),
    ],
)
def test_placement(given, seeds, device, made):
    found = placement.choose(*given, seeds=seeds, device=device)
    assert (found.name, found.workers) == made


def test_a_scheduler_address_is_not_recorded():
    place = placement.choose("dask", 1, "tcp://secret.host:8786", seeds=1, device="cpu")
    assert place.scheduler_kind == "address"


def test_by_default_there_are_no_more_workers_than_cores(monkeypatch):
    monkeypatch.setattr(placement.hardware, "cores", lambda: 4)
    assert placement.choose(None, None, None, seeds=10, device="cpu").workers == 4
    assert placement.choose(None, None, None, seeds=3, device="cpu").workers == 3
