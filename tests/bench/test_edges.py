"""Odd words and odd places of `zpml-bench`: what is wrong is named, in one line, before any file."""

import contextlib
import io
import json
import os
import sys

import pytest

from zeroproofml.benchmarks import config, prepare, progress, provenance, run_benchmark
from zeroproofml.report import _fs
from zeroproofml.report.errors import StorageError, UsageError

LONG = "a" * 300
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def words(tmp_path, capfd, monkeypatch):
    """Run the program in this process and an empty folder; exit code, stdout, the line of stderr."""
    from zeroproofml.benchmarks import cli
    from zeroproofml.report import console

    def run(*given):
        if "toy" not in {command.name for command in cli.app.registered_commands}:
            cli._add("toy", "milliseconds")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["zpml-bench", *given])
        code = console.run_app(cli.app, "zpml-bench", given)
        out, err = capfd.readouterr()
        assert len(err.splitlines()) <= 1, err
        return code, out, err

    return run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--seeds", "3-1"], "--seeds: 3-1 runs backwards; write 1-3"),
        (["--seeds", "1-20000"], "--seeds: 1-20000 is 20000 seeds; give 1 to 10000"),
        (["--seeds", "5", "--start-seed", "0"], "--start-seed: 0 is no seed"),
        (["--seeds", "2", "--start-seed", "2147483647"], "--start-seed: 2 seeds from 2147483647"),
        (["--out-root", "file"], "file: is a file, not a directory; choose another --out-root"),
        (["--out-root", "link"], "link: is a link, not a directory; choose another --out-root"),
        (["--out-root", "gone"], "gone: is a link, not a directory; choose another --out-root"),
        (["--out-root", "file/run"], "--out-root: file on the way to file/run is not a directory"),
        (["--out-root", LONG], "File name too long; choose another --out-root"),
        (["--out-root", f"{LONG}/run"], "File name too long; choose another --out-root"),
        (["--out-root", "full"], "full: holds files that are no run; choose another --out-root"),
        (["--baseline-run-dir", ""], "--baseline-run-dir: is empty"),
        (["--baseline-run-dir", "none"], "--baseline-run-dir: none: no such directory"),
        (["--baseline-run-dir", "file"], "--baseline-run-dir: file: is not a directory"),
        (["--baseline-run-dir", LONG], "--baseline-run-dir: "),
    ],
)
def test_a_mistake_is_named(words, tmp_path, given, said):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    (tmp_path / "link").symlink_to("full")
    (tmp_path / "gone").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = words("toy", *given)
    assert (code, out) == (2, "")
    assert said in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("address", ["", "here", "xyz://a:1"])
def test_a_scheduler_that_is_no_address_is_refused_before_anything_starts(words, tmp_path, address):
    pytest.importorskip("distributed", reason="extra [dask] is not installed")
    code, out, err = words("toy", "--executor", "dask", "--scheduler", address)
    assert (code, out) == (2, "")
    assert err.startswith("--scheduler: ")
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_given_in_python_must_be_a_directory(tmp_path):
    order = prepare.Order(config.resolve("toy"), baseline=tmp_path / "none")
    with pytest.raises(UsageError, match="--baseline-run-dir"):
        prepare.prepare(order)


def test_the_version(capsys):
    from zeroproofml.benchmarks import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"zpml-bench {cli.__version__}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is UTF-8")
def test_a_run_may_lie_below_a_name_that_is_no_utf8(program, tmp_path):
    name = os.fsdecode(b"r\xff1")
    utf8 = {"PYTHONIOENCODING": "utf-8:strict"}
    code, out, err = program("toy", "--out-root", name, **utf8)
    assert code == 0, err
    assert "complete" in out
    record = json.loads((tmp_path / name / "provenance.json").read_text())
    assert record["attempts"][0]["argv"][-1] == "r\\udcff1"
    assert program("toy", "--out-root", name, "--resume", **utf8)[0] == 0
    assert provenance.argv(["a", name]) == ["a", "r\\udcff1"]


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_hides_the_cursor_only_while_it_is_drawn(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = _Terminal()
    sink = progress.make("auto", "ik", out)
    sink.emit({"event": "seed_started", "seed": 1, "done": 0, "total": 1})
    assert HIDE not in out.getvalue()  # a refusal up to here leaves the terminal as it was
    sink.emit({"event": "phase", "seed": 1, "arm": "scm", "done": 0, "total": 10})
    assert HIDE in out.getvalue()
    sink.emit({"event": "finished"})
    assert out.getvalue().rfind(SHOW) > out.getvalue().rfind(HIDE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("flags", [(), ("--dry-run",)], ids=["refused", "dry"])
def test_a_refusal_leaves_the_cursor_of_a_terminal(program, launch, flags):
    import pty

    assert program("toy", "--out-root", "run")[0] == 0
    ours, theirs = pty.openpty()
    process = launch("toy", "--out-root", "run", *flags, TERM="xterm", stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its last process
        while part := os.read(ours, 4096):
            said += part
    os.close(ours)
    assert process.wait(60) == 2
    assert HIDE.encode() not in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_end_without_order_shows_the_cursor(monkeypatch):
    import pty

    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        progress.restore_terminal(stream)
        assert os.read(ours, 100) == SHOW.encode()
    os.close(ours)


def test_a_full_disk_is_named_with_its_whole_path(tmp_path, capfd, monkeypatch):
    def full(operation, path, action, arguments):
        if operation == "write" and path.startswith("aggregated/"):
            raise OSError(28, "No space left on device")
        return action(*arguments)

    with _fs.hooked(full), pytest.raises(StorageError) as caught:
        run_benchmark(config.resolve("toy"), [1], tmp_path / "run", executor="inline")
    assert caught.value.path.startswith(f"{tmp_path}/run/aggregated/")
    made = run_benchmark(config.resolve("toy"), None, tmp_path / "run", flag="resume")
    assert made.status == "complete"

    def closed(operation, path, action, arguments):
        if operation == "mkdir":
            raise OSError(30, "Read-only file system")
        return action(*arguments)

    with _fs.hooked(closed), pytest.raises(StorageError) as caught:
        run_benchmark(config.resolve("toy"), [1], tmp_path / "new" / "run", executor="inline")
    assert str(tmp_path / "new") in str(caught.value)
