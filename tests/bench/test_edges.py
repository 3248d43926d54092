"""Odd words and odd places of `zpml-bench`: what is wrong is named, in one line, before any file."""

import json
import os
import sys

import pytest

from zeroproofml.benchmarks import config, prepare, provenance
from zeroproofml.report.errors import UsageError

LONG = "a" * 300


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
