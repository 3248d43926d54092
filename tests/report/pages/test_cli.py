"""The program: exit codes, one line per mistake, and the re-derivation table of the reports page."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zeroproofml.report import derive, rundir
from zeroproofml.report._fs import Tree
from zeroproofml.report.cli import app
from zeroproofml.report.console import run_app
from zeroproofml.report.contract import PairedStats
from zeroproofml.report.journal import RunWriter

TEN = tuple(range(1, 11))


@pytest.fixture
def program(capsys):
    """Run the program in this process; returns exit code, stdout lines, stderr lines."""

    def run(*arguments):
        code = run_app(app, "zpml-report", [str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def tree(path):
    """Every file below a path with its bytes."""
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in sorted(path.rglob("*"))
        if p.is_file() and ".zpml" not in p.parts
    }


def audit(path):
    """Inode and mtime of everything below a path, the workspace included."""
    return {
        p.relative_to(path).as_posix(): (p.lstat().st_ino, p.lstat().st_mtime_ns)
        for p in path.rglob("*")
    }


def raw(path):
    return {k: v for k, v in tree(path).items() if k.startswith("seed_")}


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from zeroproofml.report.cli import main\n"
        "try: main({args!r})\n"
        "except SystemExit as end: print(end.code)\n"
        "heavy = {{'numpy','pydantic','pygal','jinja2','scipy','rich','torch','jax'}}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    for args in (["--help"], ["benchmark", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(args=args)],
            capture_output=True,
            text=True,
            check=True,
        )
        *_, exit_code, modules = done.stdout.splitlines()
        # typer 0.29 itself loads pydantic to build the options of a command
        allowed = "['pydantic']" if len(args) == 2 else "[]"
        assert exit_code == "0"
        assert modules in ("[]", allowed)


def test_module_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "zeroproofml.report", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("zpml-report ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["benchmark"],
        ["benchmark", "a", "b"],
        ["benchmark", "--no-such-flag", "x"],
        ["benchmark", "no/such/run"],
        ["validate", "no/such/run"],
        ["verify", "no/such/run"],
        ["compare", "no/such/run", "no/other"],
        ["list", "no/such/root"],
        ["benchmark", "nul\0byte"],
    ],
)
def test_usage_errors_are_one_line_and_exit_2(program, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = program(*arguments)
    assert (code, out, len(err)) == (2, [], 1)
    assert list(tmp_path.iterdir()) == []


def test_unexpected_error_is_one_line_and_saves_the_traceback(program, make_run, monkeypatch):
    path = make_run()

    def broken(*args, **kwargs):
        raise KeyError("n")  # noqa: EM101

    monkeypatch.setattr(derive, "derive", broken)
    before = audit(path)
    code, out, err = program("benchmark", path)
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("internal error: KeyError 'n' (traceback saved in ")
    saved = Path(err[0].partition("saved in ")[2].partition(";")[0])
    assert "KeyError" in saved.read_text()
    saved.unlink()
    assert audit(path) == before


def test_old_distribution_stops_every_command(program, make_run, monkeypatch):
    path = make_run()
    from importlib import metadata

    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.6.1" if name == "zeroproofml" else real(name)
    )
    for command in ("benchmark", "validate", "verify", "list"):
        code, out, err = program(command, path)
        assert (code, out, len(err)) == (2, [], 1)
        assert "0.6.1" in err[0]
        assert "pip uninstall zeroproofml" in err[0]
    assert program("--help")[0] == 0


# Section 2 of the reports page, row by row


def test_unchanged_run_is_not_touched(program, make_run):
    path = make_run(mode="paper", seeds=TEN)
    before = audit(path)
    for _ in range(2):
        code, out, err = program("benchmark", path)
        assert (code, out, err) == (0, ["unchanged, generation 1"], [])
    assert audit(path) == before


def test_html_is_added_and_then_sticky(program, make_run):
    path = make_run()
    before = raw(path)
    digest = rundir.validate_run_dir(path).raw_digest
    code, out, _ = program("benchmark", path, "--html-report")
    assert code == 0
    assert f"wrote {path}/RUN_REPORT.html" in out
    manifest = rundir.validate_run_dir(path)
    assert (manifest.generation, manifest.raw_digest) == (2, digest)
    assert manifest.previous_root is not None
    assert raw(path) == before
    assert program("benchmark", path)[1] == ["unchanged, generation 2"]
    (path / "RUN_REPORT.html").unlink()
    code, out, err = program("benchmark", path)
    assert code == 0
    assert (path / "RUN_REPORT.html").exists()
    assert any("RUN_REPORT.html" in line for line in err)


DERIVED = (
    "aggregated/summary.json",
    "aggregated/paired_stats.json",
    "aggregated/claims.json",
    "aggregated/benchmark_metrics.jsonl",
    "RUN_REPORT.md",
    "CLAIM_AUDIT.md",
    "figures/metric_summary.svg",
    "figures/per_seed_metric_distributions.svg",
)


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for how in ("edit", "delete") for name in DERIVED]
    + [("aggregated/summary.json", "empty"), ("aggregated/summary.json", "truncate")],
)
def test_damage_to_a_derived_file_is_undone_and_named(program, make_run, name, how):
    path = make_run()
    before = tree(path)
    victim = path / name
    data = victim.read_bytes()
    if how == "delete":
        victim.unlink()
    else:
        cut = len(data) // 2
        victim.write_bytes(
            {"edit": data.replace(b"1", b"2", 1) + b" ", "empty": b"", "truncate": data[:cut]}[how]
        )
    code, out, err = program("benchmark", path)
    assert code == 0
    assert any(name in line for line in err)
    assert f"wrote {path}/{name}" in out
    after = tree(path)
    derived = {k for k in before if k.startswith(("aggregated", "figures", "RUN", "CLAIM"))}
    assert {k: after[k] for k in derived} == {k: before[k] for k in derived}
    manifest = rundir.validate_run_dir(path)
    assert manifest.generation == 2


@pytest.mark.parametrize(
    "name",
    [
        "seed_1/per_seed_result.json",
        "seed_2/predictions.npz",
        "seed_1/commit.json",
        "provenance.json",
        "journal.jsonl",
        "resume_state.json",
    ],
)
def test_damage_to_a_raw_or_record_file_ends_5_with_nothing_written(program, make_run, name):
    path = make_run()
    victim = path / name
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    before = audit(path)
    code, out, err = program("benchmark", path)
    assert (code, out) == (5, [])
    assert any(name in line for line in err)
    assert len(err) <= 21
    assert audit(path) == before


def test_damaged_run_with_out_gets_a_stop_banner(program, make_run, tmp_path):
    path = make_run(seeds=(1, 2, 3))
    victim = path / "seed_2/predictions.npz"
    victim.write_bytes(victim.read_bytes()[:-1])
    before = audit(path)
    code, out, _ = program("benchmark", path, "--out", tmp_path / "out", "--html-report")
    assert code == 5
    assert out[-1].startswith("damaged")
    for page in ("RUN_REPORT.md", "CLAIM_AUDIT.md"):
        text = (tmp_path / "out" / page).read_text()
        assert text.startswith("# INVALID")
        assert "validation failed" in text
    assert 'role="alert"' in (tmp_path / "out/RUN_REPORT.html").read_text()
    summary = json.loads((tmp_path / "out/aggregated/summary.json").read_text())
    assert summary["seeds"]["complete"] == [1, 3]
    assert audit(path) == before


def test_out_of_a_good_run_equals_its_derived_files(program, make_run, tmp_path):
    path = make_run()
    out = tmp_path / "out"
    before = audit(path)
    code, lines, _ = program("benchmark", path, "--out", out)
    assert code == 0
    assert lines[-1].startswith("derived")
    made = tree(out)
    index = json.loads(made.pop("DERIVED.json"))
    assert index["schema_name"] == "zeroproofml.derived"
    assert {f["path"] for f in index["files"]} == set(made)
    mine = tree(path)
    assert made == {k: mine[k] for k in made}
    assert audit(path) == before
    assert program("benchmark", path, "--out", out)[0] == 0
    code, _, _ = program("benchmark", path, "--out", out, "--html-report")
    assert code == 0
    assert (out / "RUN_REPORT.html").exists()
    program("benchmark", path, "--out", out)
    assert not (out / "RUN_REPORT.html").exists()


def test_out_is_refused_where_it_would_mix(program, make_run, tmp_path):
    path, other = make_run(), make_run()
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("x")
    for out in (path, path / "figures", path.parent, full, tmp_path / "file", other):
        baseline = ["--baseline-run-dir", other] if out == other else []
        code, lines, err = program("benchmark", path, "--out", out, *baseline)
        assert (code, lines, len(err)) == (2, [], 1), out
        assert "--out" in err[0]


def test_resumable_run_asks_to_resume_and_out_shows_what_there_is(program, make_run, tmp_path):
    path = make_run(seeds=(1, 2, 3, 4, 5), commit=(1, 2), seal=False)
    code, out, err = program("benchmark", path)
    assert (code, out, len(err)) == (5, [], 1)
    assert "resume or wait" in err[0]
    code, out, _ = program("benchmark", path, "--out", tmp_path / "out")
    assert code == 5
    assert out[-1].startswith("not sealed")
    page = (tmp_path / "out/RUN_REPORT.md").read_text()
    assert "incomplete: seeds 1, 2 of 5" in page
    assert page.startswith("# INVALID")


def test_locked_run_ends_11(program, make_run, tmp_path):
    path = make_run(seal=False)
    with RunWriter.open(path):
        code, out, err = program("benchmark", path)
        assert (code, out, len(err)) == (11, [], 1)
        assert "locked" in err[0]
        assert program("benchmark", path, "--out", tmp_path / "out")[0] == 5


def test_no_committed_seed_ends_7(program, make_run, tmp_path):
    path = make_run(commit=(), seal=False)
    for extra in ([], ["--out", tmp_path / "out"]):
        code, out, err = program("benchmark", path, *extra)
        assert (code, out, len(err)) == (7, [], 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert program("benchmark", empty)[0] == 7


def test_foreign_directories_end_5(program, tmp_path):
    for name, files in {
        "notes": {"notes.txt": "hello"},
        "old": {"manifest.json": '{"schema_version": "1.0", "schema_name": "benchmark_manifest"}'},
    }.items():
        path = tmp_path / name
        path.mkdir()
        for file, text in files.items():
            (path / file).write_text(text)
        before = audit(path)
        for extra in ([], ["--out", tmp_path / f"out_{name}"]):
            code, out, err = program("benchmark", path, *extra)
            assert (code, out) == (5, [])
            assert len(err) == 1
        assert audit(path) == before
        assert not (tmp_path / f"out_{name}").exists()


def test_microbenchmark_results_are_refused_by_name(program, tmp_path):
    folder = tmp_path / "benchmark_results"
    folder.mkdir()
    file = folder / "results.json"
    file.write_text('{"schema_name": "zeroproofml.perf.results", "schema_version": 1}')
    for path in (folder, file):
        code, _, err = program("benchmark", path)
        assert code == 2
        assert "microbenchmark" in err[0]


# Baselines


def test_baseline_is_embedded_drawn_and_kept(program, make_run):
    base = make_run(mode="paper", seeds=TEN, shift=0.05)
    path = make_run(mode="paper", seeds=TEN[:9])
    code, out, _ = program("benchmark", path, "--baseline-run-dir", base)
    assert code == 0
    assert f"wrote {path}/figures/baseline_delta.svg" in out
    stored = PairedStats.from_bytes((path / "aggregated/paired_stats.json").read_bytes())
    assert stored.baseline.run_id == rundir.validate_run_dir(base).run_id
    mlp = next(c for c in stored.baseline.contrasts if (c.arm, c.metric) == ("mlp", "mae"))
    assert (mlp.n, mlp.dropped) == (9, {"10": "missing"})
    page = (path / "RUN_REPORT.md").read_text()
    assert "baseline: as embedded" in page
    assert str(base) not in page
    shutil.rmtree(base)
    assert program("benchmark", path)[1] == ["unchanged, generation 2"]


def test_embedded_baseline_of_an_edited_file_is_dropped_and_named(program, make_run):
    base, path = make_run(mode="paper", seeds=TEN), make_run(mode="paper", seeds=TEN)
    program("benchmark", path, "--baseline-run-dir", base)
    victim = path / "aggregated/paired_stats.json"
    victim.write_bytes(victim.read_bytes().replace(b"0.5", b"0.6", 1) + b"\n")
    code, _, err = program("benchmark", path)
    assert code == 0
    assert any("baseline is dropped" in line for line in err)
    assert PairedStats.from_bytes(victim.read_bytes()).baseline is None
    assert not (path / "figures/baseline_delta.svg").exists()


def test_baseline_that_measures_something_else_is_refused_before_any_change(
    program, make_run, tmp_path
):
    path = make_run(mode="smoke", seeds=(1, 2))
    before = audit(path)
    others = {
        "mode": make_run(mode="contract", seeds=(1, 2)),
        "protocol": make_run(mode="smoke", protocol="classic"),
        "no such": tmp_path / "absent",
        "itself": path,
    }
    for word, other in others.items():
        code, out, err = program("benchmark", path, "--baseline-run-dir", other)
        assert (code, out, len(err)) == (2, [], 1)
        assert err[0].startswith("--baseline-run-dir: ")
        assert word in err[0]
    broken = make_run(mode="smoke")
    (broken / "RUN_REPORT.md").write_text("edited")
    assert program("benchmark", path, "--baseline-run-dir", broken)[0] == 5
    empty = make_run(mode="smoke", seeds=(3, 4))
    assert program("benchmark", path, "--baseline-run-dir", empty)[0] == 7
    assert audit(path) == before


# Kills


class _Killed(BaseException):
    pass


def _killing(monkeypatch, at):
    """Every change of the disk counts; the one numbered ``at`` never happens."""
    calls = {"n": 0}

    def wrap(real):
        def call(self, *args, **kwargs):
            calls["n"] += 1
            if calls["n"] == at:
                raise _Killed
            return real(self, *args, **kwargs)

        return call

    for name in ("write", "append", "rename", "remove", "remove_tree"):
        monkeypatch.setattr(Tree, name, wrap(getattr(Tree, name)))
    return calls


@pytest.mark.slow
def test_a_kill_at_any_step_of_a_regeneration_is_completed_by_the_next(
    make_run, tmp_path, monkeypatch, program
):
    base = make_run(mode="smoke", seeds=(1, 2), shift=0.1)
    origin = make_run(mode="smoke", seeds=(1, 2))
    assert program("benchmark", origin, "--baseline-run-dir", base)[0] == 0
    (origin / "RUN_REPORT.md").write_text("torn")
    (origin / "figures/metric_summary.svg").unlink()
    whole = tmp_path / "whole"
    shutil.copytree(origin, whole)
    program("benchmark", whole)
    derived = {
        k: v
        for k, v in tree(whole).items()
        if k.startswith(("aggregated", "figures", "RUN", "CLAIM"))
    }
    step = 0
    while True:
        step += 1
        copy = tmp_path / f"copy_{step}"
        shutil.copytree(origin, copy)
        with monkeypatch.context() as patch:
            _killing(patch, step)
            try:
                code = program("benchmark", copy)[0]
            except _Killed:
                code = None
        if code == 0:
            break
        assert rundir.run_state(copy) in (
            rundir.State.DAMAGED,
            rundir.State.RESUMABLE,
            rundir.State.COMPLETE,
        )
        assert raw(copy) == raw(origin)
        assert program("benchmark", copy)[0] == 0, step
        after = tree(copy)
        assert {k: after.get(k) for k in derived} == derived, step
        assert rundir.validate_run_dir(copy).generation in (3, 4)
        shutil.rmtree(copy)
    assert step > 8


@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "directory"])
@pytest.mark.parametrize(
    "name", ["RUN_REPORT.md", "aggregated/summary.json", "figures", "aggregated"]
)
def test_nothing_is_written_through_a_link(program, make_run, tmp_path, kind, name):
    path = make_run()
    victim = tmp_path / "victim"
    target = path / name
    is_dir = target.is_dir()
    if kind == "directory" and is_dir:
        pytest.skip("it is one")
    if is_dir:
        shutil.rmtree(target)
        victim.mkdir()
    else:
        target.unlink()
        victim.write_text("precious")
    if kind == "symlink":
        target.symlink_to(victim)
    elif kind == "dangling":
        target.symlink_to(tmp_path / "nowhere")
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    before = audit(path)
    code, out, err = program("benchmark", path)
    assert (code, out) == (5, [])
    assert any(name in line for line in err)
    assert audit(path) == before
    assert not (tmp_path / "nowhere").exists()
    assert list(victim.iterdir()) == [] if is_dir else victim.read_text() == "precious"


def test_nothing_is_written_through_a_link_in_out(program, make_run, tmp_path):
    path, out, victim = make_run(), tmp_path / "out", tmp_path / "victim"
    program("benchmark", path, "--out", out)
    victim.mkdir()
    shutil.rmtree(out / "figures")
    (out / "figures").symlink_to(victim)
    code, _, err = program("benchmark", path, "--out", out)
    assert code == 5
    assert len(err) == 1
    assert list(victim.iterdir()) == []


def test_read_only_run_is_reported_elsewhere(program, make_run, tmp_path):
    path = make_run()
    for folder in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        folder.chmod(0o555)
    try:
        assert program("benchmark", path)[1] == ["unchanged, generation 1"]
        assert program("benchmark", path, "--out", tmp_path / "out")[0] == 0
    finally:
        for folder in [path, *(p for p in path.rglob("*") if p.is_dir())]:
            folder.chmod(0o755)


# Readers


def test_validate_says_valid_and_gives_json(program, make_run):
    path = make_run()
    code, out, err = program("validate", path)
    assert (code, len(out), err) == (0, 1, [])
    assert "valid, complete" in out[0]
    code, out, _ = program("validate", path, "--json")
    body = json.loads("\n".join(out))
    assert (code, body["schema_name"], body["ok"]) == (0, "zeroproofml.validation", True)
    (path / "RUN_REPORT.md").write_text("edited")
    code, out, err = program("validate", path, "--json")
    assert code == 5
    assert [f["path"] for f in json.loads("\n".join(out))["findings"]] == ["RUN_REPORT.md"]
    assert len(err) == 1


def test_verify_recomputes(program, make_run):
    base, path = make_run(mode="paper", seeds=TEN), make_run(mode="paper", seeds=TEN)
    program("benchmark", path, "--baseline-run-dir", base, "--html-report")
    code, out, err = program("verify", path, "--recompute", "--baseline-run-dir", base)
    assert (code, err) == (0, [])
    assert [line[:5] for line in out[:4]] == ["R1 ok", "R2 ok", "R3 ok", "R4 ok"]
    code, out, _ = program("verify", path, "--root-digest", "sha256:" + 64 * "0", "--json")
    assert code == 5
    assert json.loads("\n".join(out))["ok"] is False


def test_list_shows_every_state(program, make_run, tmp_path):
    make_run(name="runs/a")
    make_run(name="runs/b", seal=False)
    make_run(name="runs/deep/er/c", seed_failed=(2,))
    code, out, _ = program("list", tmp_path / "runs")
    assert code == 0
    assert [line.split()[0].rpartition("/")[2] for line in out[1:]] == ["a", "b", "c"]
    assert [line.split()[4] for line in out[1:]] == ["complete", "resumable", "partial"]
    code, out, _ = program("list", tmp_path / "runs", "--json")
    runs = json.loads("\n".join(out))["runs"]
    assert [(r["complete"], r["planned"]) for r in runs] == [(2, 2), (2, 2), (1, 2)]


def test_compare_prints_one_table_per_metric(program, make_run):
    one, two = make_run(mode="paper", seeds=TEN), make_run(mode="paper", seeds=TEN, shift=0.2)
    code, out, err = program("compare", one, two)
    assert (code, err) == (0, [])
    assert {"mae", "coverage", "worst"} <= set(out)
    code, out, _ = program("compare", one, two, "--json")
    assert json.loads("\n".join(out))["schema_name"] == "zeroproofml.comparison"


def test_what_json_prints_is_what_the_published_schemas_describe(program, make_run, tmp_path):
    from zeroproofml.report import answers
    from zeroproofml.report.contract.published import published

    one, two = make_run(name="all/one"), make_run(name="all/two")
    program("benchmark", one, "--out", tmp_path / "out")
    (two / "CLAIM_AUDIT.md").write_text("edited")
    for model, words in (
        (answers.ValidationAnswer, ["validate", one]),
        (answers.ValidationAnswer, ["validate", two]),
        (answers.VerificationAnswer, ["verify", one, "--recompute"]),
        (answers.Comparison, ["compare", one, one]),
        (answers.RunList, ["list", tmp_path / "all"]),
    ):
        _, out, _ = program(*words, "--json")
        model.from_bytes("\n".join(out).encode())
        assert json.loads(published(model.SCHEMA))["title"] == model.__name__
    answers.DerivedIndex.from_bytes((tmp_path / "out/DERIVED.json").read_bytes())
