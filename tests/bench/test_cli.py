"""The program as a user meets it: words, exit codes, one line per mistake, kill and Ctrl-C."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zeroproofml.benchmarks import config, run_benchmark, validate_run_dir
from zeroproofml.report.errors import RunLocked
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.regenerate import regenerate
from zeroproofml.report.rundir import run_state, verify_run

SECOND_OF_THREE = {"TOY_SLEEP": "2:60"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The raw digest of an uninterrupted run of seeds 1, 2 and 3."""
    from zeroproofml.benchmarks import domains

    domains.load_file(Path(__file__).with_name("toy_domain.py"))
    root = tmp_path_factory.mktemp("clean") / "run"
    return run_benchmark(config.resolve("toy"), [1, 2, 3], root, executor="inline").raw_digest


def files(root):
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def wait_for(condition, process=None, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended early: {process.communicate()}")
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.01)


def begun(root, seed, attempt=1):
    journal = root / "journal.jsonl"
    text = f'"attempt":{attempt},"data":{{"seed":{seed}}},"event":"seed_started"'
    return lambda: journal.exists() and text in journal.read_text()


class TestWords:
    def test_stdout_ends_as_the_contract_says(self, program, tmp_path):
        code, out, err = program("toy", "--seeds", 2, "--out-root", "run")
        manifest = validate_run_dir(tmp_path / "run")
        assert code == 0
        lines = out.splitlines()
        assert lines[0] == "starting run"
        assert lines[-5:] == [
            "run",
            "complete",
            "claims: SUPPORTED 0, REFUTED 0, UNDERPOWERED 0, INELIGIBLE 1",
            f"raw {manifest.raw_digest}",
            f"root {manifest.root_digest}",
        ]
        assert "--resume --out-root run" in err

    def test_the_hint_goes_on_with_the_same_run(self, program):
        import shlex

        words = ("toy", "--arms", "zero,ridge", "--protocol", "classic", "--out-root", "a run")
        code, _, err = program(*words)
        assert code == 0
        [hint] = [line for line in err.splitlines() if line.startswith("if it is interrupted")]
        again = shlex.split(hint.partition(": ")[2])
        assert again[0] == "zpml-bench"
        code, out, err = program(*again[1:])
        assert (code, out.splitlines()[0]) == (0, "resuming a run (1 of 1 seeds complete)"), err

    def test_the_default_directory(self, program, tmp_path):
        code, out, _ = program("toy")
        assert code == 0
        [made] = (tmp_path / "results/benchmarks/toy").iterdir()
        digits = config.resolve("toy").config_hash[7:14]
        assert made.name.startswith("run_20")
        assert made.name.endswith(f"_{digits}")
        assert f"results/benchmarks/toy/{made.name}" in out

    @pytest.mark.parametrize(
        "words",
        [
            ["toy", "--seeds", "0"],
            ["toy", "--seeds", "-3"],
            ["toy", "--seeds", "abc"],
            ["toy", "--seeds", "1e23"],
            ["toy", "--seeds", ""],
            ["toy", "--seeds", "1,2", "--start-seed", "4"],
            ["toy", "--start-seed", "x"],
            ["toy", "--mode", "papers"],
            ["toy", "--protocol", "other"],
            ["toy", "--device", "tpu"],
            ["toy", "--arms", "nothing"],
            ["toy", "--arms", ""],
            ["toy", "--executor", "threads"],
            ["toy", "--workers", "0"],
            ["toy", "--scheduler", "tcp://x:1"],
            ["toy", "--progress", "loud"],
            ["toy", "--baseline-run-dir", "nowhere"],
            ["toy", "--resume", "--force-rerun"],
            ["toy", "--out-root", ""],
            ["toy", "-v", "-q"],
            ["toy", "--bogus"],
            ["toy", "extra"],
            ["chess"],
        ],
        ids=" ".join,
    )
    def test_a_mistake_is_one_line_and_leaves_no_file(self, words, tmp_path, capfd, monkeypatch):
        from zeroproofml.benchmarks import cli
        from zeroproofml.report import console

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["zpml-bench", *words])
        program = _with_toy(cli)
        code = console.run_app(program, "zpml-bench", words)
        out, err = capfd.readouterr()
        assert code in (2, 5) if "--baseline-run-dir" in words else code == 2
        assert len(err.splitlines()) == 1, err
        assert "Traceback" not in err
        assert out == ""
        assert list(tmp_path.iterdir()) == []

    def test_a_domain_without_a_producer_names_those_that_can_run(
        self, tmp_path, capfd, monkeypatch
    ):
        from zeroproofml.benchmarks import cli, domains
        from zeroproofml.report import console

        monkeypatch.chdir(tmp_path)
        real = domains._exists
        monkeypatch.setattr(domains, "_exists", lambda name: name != "rf" and real(name))
        assert console.run_app(_with_toy(cli), "zpml-bench", ["rf"]) == 2
        assert "ik, toy" in capfd.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_cuda_without_cuda(self, tmp_path, capfd, monkeypatch):
        from zeroproofml.benchmarks import cli, hardware
        from zeroproofml.report import console

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(hardware, "_ask_torch", lambda: None)
        assert console.run_app(_with_toy(cli), "zpml-bench", ["toy", "--device", "cuda"]) == 2
        assert "--device cpu" in capfd.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_baseline_that_is_no_run_is_exit_5(self, tmp_path, capfd, monkeypatch):
        from zeroproofml.benchmarks import cli
        from zeroproofml.report import console

        (tmp_path / "base").mkdir()
        (tmp_path / "base/manifest.json").write_text("{}")
        monkeypatch.chdir(tmp_path)
        words = ["toy", "--baseline-run-dir", "base", "--out-root", "run"]
        assert console.run_app(_with_toy(cli), "zpml-bench", words) == 5
        assert "manifest.json" in capfd.readouterr().err
        assert not (tmp_path / "run").exists()

    def test_a_read_only_place_is_exit_1_with_the_path(self, tmp_path, capfd, monkeypatch):
        from zeroproofml.benchmarks import cli
        from zeroproofml.report import _fs, console

        def closed(operation, path, action, arguments):
            if operation == "mkdir":
                raise OSError(30, "Read-only file system")
            return action(*arguments)

        monkeypatch.chdir(tmp_path)
        with _fs.hooked(closed):
            words = ["toy", "--out-root", "closed/run", "--progress", "none"]
            assert console.run_app(_with_toy(cli), "zpml-bench", words) == 1
        err = capfd.readouterr().err
        assert "closed" in err.splitlines()[-1]
        assert "Read-only" in err
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []

    def test_dry_run_writes_nothing_and_exits_as_the_run_would(self, program, tmp_path):
        code, out, _ = program("toy", "--seeds", 2, "--out-root", "run", "--dry-run")
        assert code == 0
        said = dict(line.split(": ", 1) for line in out.splitlines())
        assert said["decision"] == "start"
        assert said["seeds"] == "1,2"
        assert said["config_hash"] == config.resolve("toy").config_hash
        assert json.loads(said["config"]) == config.resolve("toy").config
        assert not (tmp_path / "run").exists()
        program("toy", "--out-root", "run")
        before = files(tmp_path / "run")
        assert program("toy", "--out-root", "run", "--dry-run")[0] == 2
        refused = ("toy", "--mode", "smoke", "--out-root", "run", "--resume", "--dry-run")
        assert program(*refused)[0] == 6
        assert files(tmp_path / "run") == before

    def test_help_is_quick_and_loads_nothing_heavy(self):
        code = (
            "import sys; sys.argv = ['zpml-bench', 'ik', '--help']\n"
            "from zeroproofml.benchmarks.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: print(end.code)\n"
            "heavy = {'numpy', 'scipy', 'torch', 'jax', 'pydantic', 'pygal', 'rich'}\n"
            "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-2:] == ["0", "[]"]
        for flag in ("--mode", "--skip-complete-seeds", "--fail-on-claims", "--dry-run"):
            assert flag in done.stdout

    def test_importing_the_package_loads_nothing_heavy(self):
        code = (
            "import sys, zeroproofml.benchmarks as b\n"
            "assert 'run_benchmark' in dir(b)\n"
            "print(sorted({'numpy', 'torch', 'pydantic'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"

    def test_the_module_is_the_same_program(self):
        helps = [
            subprocess.run(
                [sys.executable, *start, "--help"], capture_output=True, text=True, check=True
            ).stdout
            for start in (
                ["-m", "zeroproofml.benchmarks"],
                ["-c", "from zeroproofml.benchmarks.cli import main; main()"],
            )
        ]
        assert helps[0] == helps[1]
        for command in ("dose", "rf", "ik", "validate", "verify", "compare", "list"):
            assert f"\n  {command}" in helps[0]

    def test_the_coordinator_never_imports_torch(self, tmp_path, toy):
        code = (
            "import sys; from zeroproofml.benchmarks import domains, config, run_benchmark\n"
            f"domains.load_file({str(toy)!r})\n"
            "run_benchmark(config.resolve('toy'), [1, 2], 'run', executor='process')\n"
            "print('torch' in sys.modules, 'rich' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout.strip() == "False False"

    def test_two_hash_seeds_give_the_same_raw_digest(self, program):
        raws = set()
        for number in (1, 2):
            code, out, _ = program("toy", "--out-root", f"r{number}", PYTHONHASHSEED=str(number))
            assert code == 0
            raws.add(out.splitlines()[-2])
        assert len(raws) == 1

    def test_progress_as_json_ends_with_finished(self, program):
        code, _, err = program("toy", "--seeds", 2, "--out-root", "run", "--progress", "json")
        lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        assert code == 0
        assert {line["schema_name"] for line in lines} == {"zeroproofml.progress"}
        assert all(
            set(line) - {"schema_name", "schema_version"}
            == {"event", "seed", "arm", "done", "total", "elapsed_s", "eta_s"}
            for line in lines
        )
        assert lines[-1]["event"] == "finished"
        assert [line["event"] for line in lines].count("finished") == 1
        assert sum(line["event"] == "seed_committed" for line in lines) == 2

    def test_quiet_leaves_the_result(self, program):
        code, out, err = program("toy", "--out-root", "run", "-q")
        assert (code, err) == (0, "")
        assert out.splitlines()[-1].startswith("root sha256:")

    def test_claims_that_are_not_supported_fail_the_gate(self, program, tmp_path):
        words = ("toy", "--out-root", "run", "--fail-on-claims")
        assert program(*words)[0] == 4
        record = json.loads((tmp_path / "run/provenance.json").read_text())
        assert record["attempts"][0]["exit_code"] == 4
        assert program(*words, "--resume")[0] == 4

    def test_failed_seeds_are_exit_3_and_named(self, program):
        code, out, err = program("toy", "--seeds", 2, "--out-root", "run", TOY_RAISE="2")
        assert code == 3
        assert "partial" in out
        assert "seed 2 failed: exception" in err
        assert "Traceback" not in err

    def test_a_defect_of_ours_is_one_line_and_a_saved_traceback(self, program, tmp_path):
        (tmp_path / "sitecustomize.py").write_text(
            "import zeroproofml.benchmarks.finish as f\n"
            "def broken(*a, **k): secret = 'local value'; raise KeyError('defect')\n"
            "f.seal = broken\n"
        )
        code, _, err = program("toy", "--out-root", "run", PYTHONPATH=str(tmp_path))
        assert code == 1
        assert "Traceback" not in err
        assert "crash.txt" in err.splitlines()[-1]
        saved = (tmp_path / "run/.zpml/crash.txt").read_text()
        assert "KeyError" in saved
        assert "local value" not in saved.replace("secret = 'local value'", "")
        assert program("toy", "--out-root", "run", "--resume")[0] == 0


@pytest.mark.slow
class TestKill:
    def test_kill_in_seed_2_of_3_then_resume(self, launch, program, tmp_path, clean):
        # T15: killed, resumed and killed again, three times.
        root = tmp_path / "run"
        words = ("toy", "--seeds", 3, "--out-root", root, "--executor", "process")
        for attempt in range(3):
            more = ("--resume",) if attempt else ()
            process = launch(*words, "--workers", 1, *more, **SECOND_OF_THREE)
            wait_for(begun(root, 2, attempt + 1), process)
            process.kill()
            process.wait()
            wait_for(lambda: run_state(root) == "resumable")
        code, out, _ = program(*words[:1], "--out-root", root, "--resume")
        assert code == 0
        assert out.splitlines()[0] == f"resuming {root} (1 of 3 seeds complete)"
        assert out.splitlines()[-2] == f"raw {clean}"
        assert verify_run(root, recompute=True).ok

    def test_resume_without_out_root_finds_the_newest(self, launch, program, tmp_path, clean):
        assert program("toy")[0] == 0  # a complete run is passed over
        process = launch("toy", "--seeds", 3, "--executor", "process", **SECOND_OF_THREE)
        home = tmp_path / "results/benchmarks/toy"
        wait_for(lambda: len(list(home.iterdir())) == 2, process)
        newest = max(home.iterdir(), key=lambda path: path.stat().st_ctime)
        wait_for(begun(newest, 2), process)
        code, _, err = program("toy", "--resume")
        assert code == 11, err
        process.kill()
        process.wait()
        wait_for(lambda: run_state(newest) == "resumable")
        code, out, err = program("toy", "--resume")
        assert code == 0
        assert out.startswith("resuming results/benchmarks/toy/run_")
        assert out.splitlines()[-2] == f"raw {clean}"
        code, out, err = program("toy", "--resume")
        assert out.startswith("starting ")
        assert "passed over" in err
        assert "complete" in err

    @pytest.mark.parametrize("executor", ["inline", "process"])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_cancels_in_order(self, launch, program, tmp_path, clean, executor, number):
        root = tmp_path / "run"
        words = ("toy", "--seeds", 3, "--out-root", root, "--executor", executor)
        process = launch(*words, **SECOND_OF_THREE)
        wait_for(begun(root, 2), process)
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert f"--resume --out-root {root}" in err
        assert out.splitlines()[-1] == "interrupted"
        last = json.loads((root / "journal.jsonl").read_text().splitlines()[-1])
        assert last["event"] == "interrupted"
        assert json.loads((root / "provenance.json").read_text())["attempts"][0]["exit_code"] == 130
        assert run_state(root) == "resumable"
        code, out, _ = program("toy", "--out-root", root, "--resume")
        assert (code, out.splitlines()[-2]) == (0, f"raw {clean}")

    def test_a_second_ctrl_c_stops_at_once(self, launch, program, tmp_path, clean):
        root = tmp_path / "run"
        words = ("toy", "--seeds", 3, "--out-root", root, "--executor", "process", "--workers", 1)
        process = launch(*words, "--progress", "json", TOY_STUBBORN="2")
        for line in process.stderr:
            if '"stubborn"' in line:
                break
        children = _children(process.pid)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # it gives its worker five seconds
        process.send_signal(signal.SIGINT)
        assert process.wait(3) == 130
        wait_for(lambda: not any(_alive(child) for child in children))
        assert run_state(root) == "resumable"
        code, out, _ = program("toy", "--out-root", root, "--resume")
        assert (code, out.splitlines()[-2]) == (0, f"raw {clean}")

    def test_ctrl_c_on_the_terminal_reaches_the_coordinator_alone(self, launch, tmp_path):
        root = tmp_path / "run"
        process = launch(
            "toy", "--seeds", 2, "--out-root", root, "--executor", "process", TOY_SLEEP="1:60;2:60"
        )
        wait_for(begun(root, 2), process)
        time.sleep(0.3)
        children = _children(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        wait_for(lambda: not any(_alive(child) for child in children))
        events = [json.loads(line) for line in (root / "journal.jsonl").read_text().splitlines()]
        assert not any(event["event"] in ("seed_lost", "seed_failed") for event in events)

    def test_the_workers_of_a_killed_coordinator_end(self, launch, tmp_path):
        root = tmp_path / "run"
        process = launch(
            "toy", "--seeds", 2, "--out-root", root, "--executor", "process", TOY_SLEEP="1:60;2:60"
        )
        wait_for(begun(root, 2), process)
        time.sleep(0.3)
        children = _children(process.pid)
        assert children
        process.kill()
        process.wait()
        wait_for(lambda: not any(_alive(child) for child in children))

    def test_two_processes_one_directory(self, launch, program, tmp_path):
        # T23: the second one leaves the first one alone.
        root = tmp_path / "run"
        gate = tmp_path / "gate"
        process = launch("toy", "--seeds", 2, "--out-root", root, TOY_WAIT=f"1:{gate}")
        wait_for(begun(root, 1), process)
        for flag in ("", "--resume", "--skip-complete-seeds", "--force-rerun"):
            words = [flag] if flag else []
            code, out, err = program("toy", "--seeds", 2, "--out-root", root, *words)
            assert code == 11, (flag, err)
            assert f"process {process.pid}" in err
            assert out == ""
        with pytest.raises(RunLocked):
            regenerate(str(root))
        gate.touch()
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert verify_run(root, recompute=True).ok

    def test_a_busy_sealed_run_is_exit_11(self, program, tmp_path):
        root = tmp_path / "run"
        assert program("toy", "--out-root", root)[0] == 0
        with RunWriter.open(root, command="somebody"):
            assert program("toy", "--out-root", root, "--resume")[0] == 11


def _children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _with_toy(cli):
    """The program with a command for the toy domain, without changing the program."""
    if "toy" not in {command.name for command in cli.app.registered_commands}:
        cli._add("toy", "milliseconds")
    return cli.app
