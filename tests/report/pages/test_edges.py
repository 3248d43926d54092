"""The edge of the program: odd words, odd names, Ctrl-C, defects. One line each, and the right code."""

import json
import os
import signal
import subprocess
import sys

import pytest
import typer

from zeroproofml.report import _fs, rundir
from zeroproofml.report.cli import app
from zeroproofml.report.console import leave, run_app

LONG = "a" * 300
ODD = os.fsdecode(b"r\xff1")


@pytest.fixture
def program(capsys, tmp_path, monkeypatch):
    """Run the program in this process and an empty folder; exit code, stdout, stderr lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, program=app):
        code = run_app(program, "zpml-report", [str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err.splitlines()

    return run


def command(work):
    made = typer.Typer(rich_markup_mode=None, add_completion=False)
    made.command()(work)
    return made


@pytest.mark.parametrize("word", ["", LONG, "nothing/here"])
@pytest.mark.parametrize(
    "words",
    [["validate"], ["verify"], ["list"], ["benchmark"], ["compare", "."], ["bundle"]],
    ids=" ".join,
)
def test_a_word_that_names_no_directory_is_a_mistake(program, words, word):
    code, out, err = program(*words, word)
    assert (code, out, len(err)) == (2, "", 1), err


@pytest.mark.parametrize("word", ["", LONG, "nothing/here", "file"])
def test_a_baseline_that_is_no_directory_is_a_mistake_that_names_the_flag(
    program, make_run, tmp_path, word
):
    (tmp_path / "file").write_text("{}")
    run = make_run()
    for words in (["benchmark", run], ["verify", run]):
        code, out, err = program(*words, "--baseline-run-dir", word)
        assert (code, out, len(err)) == (2, "", 1)
        assert err[0].startswith("--baseline-run-dir: ")
    rundir.validate_run_dir(run)


@pytest.mark.parametrize("place", ["other/x", "other/aggregated/pages", ""])
def test_no_page_is_written_into_a_run(program, make_run, tmp_path, place):
    run, other = make_run(), make_run(name="other")
    log = other / "aggregated/benchmark_metrics.jsonl"
    for words in (["benchmark", run, "--out", place], ["training-log", log, "--out", place]):
        code, out, err = program(*words)
        assert (code, out, len(err)) == (2, "", 1)
        assert "--out" in err[0]
    code, _, err = program("training-log", log)  # its sibling would lie inside the run
    assert code == 2
    assert "lies inside the run other" in err[0]
    rundir.validate_run_dir(other)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_stands_in_the_place_of_a_run_is_named(program, make_run, tmp_path, kind):
    place = tmp_path / "place"
    if kind == "link":
        place.symlink_to(make_run())
        code, out, err = program("validate", place)
        assert code == 5
        assert "is a link, not a directory; name the directory itself" in err[0]
        code, out, err = program("verify", place, "--json")
        assert code == 5
        assert json.loads(out)["findings"][0]["code"] == "path_unsafe"
    else:
        os.mkfifo(place)
        assert program("validate", place)[0] == 2


def test_a_name_that_is_no_utf8_is_shown_escaped(program, make_run, tmp_path):
    run = make_run(name=ODD)
    code, out, _ = program("validate", run)
    assert code == 0
    assert "r\\udcff1: valid" in out
    code, out, _ = program("list", tmp_path, "--json")
    assert code == 0
    assert json.loads(out)["runs"][0]["path"].endswith("r\\udcff1")
    (run / os.fsdecode(b"\xfe")).write_text("extra")
    for name in ("validate", "verify"):
        code, out, err = program(name, run, "--json")
        assert code == 5
        assert "\\udcfe" in json.loads(out)["findings"][0]["path"]
        assert "\\udcfe" in err[0]


@pytest.mark.parametrize("word", ["abc", "sha256:00", "sha256:" + "g" * 64, ""])
def test_a_pin_that_is_no_digest_is_a_mistake_not_a_verdict(program, make_run, word):
    code, out, err = program("verify", make_run(), "--root-digest", word)
    assert (code, out, len(err)) == (2, "", 1)
    assert "sha256: and 64" in err[0]


def test_the_embedded_baseline_is_compared_without_recomputation(program, make_run):
    run, base, other = make_run(), make_run(shift=0.1), make_run(shift=0.2)
    assert program("benchmark", run, "--baseline-run-dir", base)[0] == 0
    code, out, _ = program("verify", run, "--baseline-run-dir", base)
    assert code == 0
    assert "the embedded baseline is the run given" in out
    code, _, err = program("verify", run, "--baseline-run-dir", other)
    assert code == 5
    assert "/baseline/raw_digest" in err[0]
    assert program("verify", base, "--baseline-run-dir", other)[0] == 5


def test_what_cannot_be_read_has_no_digest_to_show(program, tmp_path):
    code, out, _ = program("verify", tmp_path)
    assert code == 5
    assert out.splitlines()[-1] == f"{tmp_path}: not verified"


def test_ctrl_c_is_one_line(program):
    def work() -> None:
        raise KeyboardInterrupt

    assert program(program=command(work)) == (130, "", ["interrupted"])


def test_ctrl_c_after_the_end_changes_nothing():
    code = (
        "import atexit, sys, time, typer\n"
        "from zeroproofml.report.console import leave\n"
        "def slow(): print('closing', flush=True); time.sleep(1.5)\n"
        "atexit.register(slow)\n"
        "app = typer.Typer(rich_markup_mode=None, add_completion=False)\n"
        "app.command()(lambda: 3)\n"
        "leave(app, 'p', '1', [])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "closing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 3


def test_the_version_is_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        leave(app, "zpml-report", "1.2.3", ["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == "zpml-report 1.2.3\n"


def test_a_guess_is_a_question(program):
    assert program("verfy")[2] == [
        "No such command 'verfy'. Did you mean 'verify'? see zpml-report --help"
    ]


def test_a_traceback_has_a_place_even_before_the_run_exists(program, tmp_path, monkeypatch):
    def work() -> None:
        error = KeyError("n")
        error.crash_file = tmp_path / "not/there/crash.txt"
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = program(program=command(work))
    assert code == 1
    [saved] = tmp_path.glob("zpml-crash-*.txt")
    assert str(saved) in err[0]
    assert "KeyError" in saved.read_text()


@pytest.mark.parametrize("name", ["--help", "benchmark", "verify", "compare", "list"])
def test_no_line_of_help_is_cut(program, name):
    out = program(*([name] if name == "--help" else [name, "--help"]))[1]
    assert "..." not in out.replace("{BASELINE}...", "").replace("[ARGS]...", "")
    assert "[[" not in out


def test_a_run_on_a_closed_disk_is_named_with_its_path_and_the_way_out(program, make_run, tmp_path):
    run = make_run()

    def closed(operation, path, action, arguments):
        if operation in ("write", "mkdir", "replace"):
            raise OSError(30, "Read-only file system")
        return action(*arguments)

    with _fs.hooked(closed):
        code, out, err = program("benchmark", run, "--html-report")
        assert (code, out) == (1, "")
        assert err[0].startswith(f"{run}/")
        assert "--out" in err[0]
        code, _, err = program("benchmark", run, "--html-report", "--out", tmp_path / "away")
        assert code == 1
        assert err[0].startswith(f"{tmp_path}: mkdir failed")
    rundir.validate_run_dir(run)


def test_what_was_set_aside_is_information(program, make_run):
    run = make_run()
    assert program("validate", run)[2] == []
    (run / ".zpml/quarantine/seed_1").mkdir(parents=True)
    (run / ".zpml/crash.txt").write_text("KeyError")
    code, out, err = program("validate", run, "--json")
    assert code == 0
    assert {f["path"] for f in json.loads(out)["findings"]} == {
        ".zpml/quarantine",
        ".zpml/crash.txt",
    }
    assert all(line.startswith("info unlisted .zpml/") for line in err)
    code, out, _ = program("verify", run, "--recompute")
    assert code == 0
    assert "unchanged" in program("benchmark", run)[1]
