"""Attacks on a sealed run: every byte, every kind of name, every limit. Section 15, T2 to T28."""

import contextlib
import json
import os
import shutil
import socket

import numpy as np
import pytest

from zeroproofml.report.contract.arrays import read_npz, write_npz
from zeroproofml.report.contract.strict_json import dump, parse
from zeroproofml.report.errors import RunInvalid, ZeroProofError
from zeroproofml.report.rundir import (
    State,
    load_benchmark_run,
    run_state,
    validate_run_dir,
    verify_run,
)


def findings(path):
    with pytest.raises(RunInvalid) as caught:
        validate_run_dir(path)
    assert caught.value.exit_code == 5
    assert all("\n" not in finding.line() for finding in caught.value.findings)
    with pytest.raises(RunInvalid):
        load_benchmark_run(path)
    return caught.value.findings


def files(path):
    return sorted(
        p.relative_to(path).as_posix()
        for p in path.rglob("*")
        if p.is_file() and ".zpml" not in p.parts
    )


def named(found, name):
    return {finding.code for finding in found if finding.path == name}


def edit(path, change):
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(dump(value))


def test_a_clean_run_has_no_finding(toy_run):
    assert validate_run_dir(toy_run).status == "complete"
    assert verify_run(toy_run).findings == ()
    assert run_state(toy_run) is State.COMPLETE


@pytest.mark.slow
def test_every_file_every_byte(toy_run):
    """The sweep over bytes: flips, cuts, growth, deletion, and a swap with its neighbour."""
    everything = files(toy_run)
    assert len(everything) > 20
    for name, neighbour in zip(everything, everything[1:] + everything[:1], strict=True):
        target = toy_run / name
        good = target.read_bytes()
        spread = {0, len(good) - 1, *(len(good) * i // 64 for i in range(64))}
        damaged = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in sorted(spread)]
        damaged += [good[:-1], good + b"!", good + b"\n", b"", (toy_run / neighbour).read_bytes()]
        for data in damaged:
            if data == good:
                continue
            target.write_bytes(data)
            assert named(findings(toy_run), name), name
        target.unlink()
        assert named(findings(toy_run), name) & {"missing", "open"}, name
        target.write_bytes(good)
    validate_run_dir(toy_run)


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "directory", "socket"])
def test_no_file_may_be_anything_else(toy_run, tmp_path, kind):
    """T11: every file of the run, and its folders, replaced by something that is no file."""
    outside = tmp_path / "copy"
    shutil.copytree(toy_run, outside)
    folders = ["seed_1", "seed_1/checkpoints", "figures", "aggregated", "datasets"]
    for name in [*files(toy_run), *folders]:
        target = toy_run / name
        shutil.move(target, tmp_path / "aside")
        if kind == "link":
            target.symlink_to(outside / name)
        elif kind == "dangling":
            target.symlink_to(tmp_path / "nowhere")
        elif kind == "pipe":
            os.mkfifo(target)
        elif kind == "directory":
            target.mkdir()
        else:
            made = socket.socket(socket.AF_UNIX)
            with contextlib.chdir(target.parent):  # a socket's path may not be long
                made.bind(target.name)
            made.close()
        found = findings(toy_run)
        codes = {code for f in found if f.path.startswith(name) for code in [f.code]}
        assert codes & {"path_unsafe", "unlisted", "missing", "open"}, (name, found)
        if kind not in ("directory",):
            assert "path_unsafe" in codes, (name, found)
        shutil.rmtree(target) if kind == "directory" else target.unlink()
        shutil.move(tmp_path / "aside", target)
    validate_run_dir(toy_run)


def test_the_root_may_not_be_a_link(toy_run, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(toy_run)
    assert {f.code for f in findings(link)} == {"path_unsafe"}


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "seed_1/more.json", "seed_1/x.exe", "seed_4/commit.json", "seed_04/a.json"),
        *("figures/x.png", "figures/new.svg", "aggregated/a.json", "datasets/a.npz", ".hidden"),
        *("seed_1/checkpoints/scm.pt", "seed_1/checkpoints/mlp.safetensors", "a b.json"),
        *("CON.json", "figures/e\u0301.svg", "runs/inner/manifest.json"),
    ],
)
def test_extra_files_are_unlisted(toy_run, name):
    """T13."""
    (toy_run / name).parent.mkdir(parents=True, exist_ok=True)
    (toy_run / name).write_bytes(b"{}")
    found = findings(toy_run)
    assert named(found, name) & {"unlisted", "path_unsafe"}
    assert run_state(toy_run) is State.DAMAGED


def test_extra_empty_folders_are_unlisted(toy_run):
    (toy_run / "seed_9").mkdir()
    assert named(findings(toy_run), "seed_9") == {"unlisted"}


def test_what_file_managers_drop_is_information(toy_run):
    for name in (".DS_Store", "seed_1/Thumbs.db", "figures/desktop.ini"):
        (toy_run / name).write_bytes(b"\x00")
    assert validate_run_dir(toy_run)
    found = verify_run(toy_run).findings
    assert [f.severity for f in found if f.code == "unlisted"] == ["info"] * 3


def test_the_workspace_is_not_evidence(toy_run):
    (toy_run / ".zpml/quarantine").mkdir()
    (toy_run / ".zpml/quarantine/x").write_bytes(b"x")
    (toy_run / ".zpml/crash.txt").write_bytes(b"x")
    validate_run_dir(toy_run)
    shutil.rmtree(toy_run / ".zpml")
    validate_run_dir(toy_run)


BAD_JSON = {
    "not utf-8": b'{"schema_name": "\xff"}',
    "bom": b"\xef\xbb\xbf{}",
    "empty": b"",
    "deep": b"[" * 100_000,
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
    "nan": b'{"schema_version": NaN}',
    "overflow": b'{"a": 1e999}',
    "duplicate": b'{"a": 1, "a": 2}',
    "list": b"[]",
    "null": b"null",
    "text": b'"hello"',
    "foreign": b'{"schema_name": "other", "schema_version": 1}',
}
JSON_FILES = (
    *("manifest.json", "provenance.json", "resume_state.json", "journal.jsonl"),
    *("seed_1/per_seed_result.json", "seed_1/commit.json", "aggregated/summary.json"),
    *("aggregated/paired_stats.json", "aggregated/claims.json"),
    "aggregated/benchmark_metrics.jsonl",
)


@pytest.mark.parametrize("name", JSON_FILES)
def test_broken_json_is_named(toy_run, name):
    """T8 and T9: one exception type, the file named, whatever the bytes are."""
    for label, data in BAD_JSON.items():
        (toy_run / name).write_bytes(data)
        codes = named(findings(toy_run), name)
        wanted = {"json_strict", "schema", "schema_foreign", "journal_chain"}
        if label == "empty" and name.endswith("metrics.jsonl"):
            wanted = {"size"}  # a log without a line is a log
        assert codes & wanted, (label, codes)
        assert isinstance(run_state(toy_run), State)
        verified = verify_run(toy_run)
        assert verified.exit_code == 5


def test_a_giant_file_is_refused_unread(toy_run):
    with (toy_run / "aggregated/summary.json").open("wb") as file:
        file.truncate(65 * 2**20)
    assert named(findings(toy_run), "aggregated/summary.json")


@pytest.mark.parametrize(
    "bad",
    ["../victim", "/etc/passwd", "a\\b", "a\0b", "CON", "e\u0301.svg", "seed_1/../x", "x" * 300],
)
def test_unsafe_paths_in_the_manifest(toy_run, bad):
    """T10."""
    edit(toy_run / "manifest.json", lambda m: m["files"][-1].update(path=bad))
    found = findings(toy_run)
    assert named(found, "manifest.json") & {"schema", "path_unsafe"}


def test_one_path_under_two_kinds_and_case_twins(toy_run, reseal):
    def twice(manifest):
        manifest["files"].append(dict(manifest["files"][0], kind="figure"))
        manifest["files"].sort(key=lambda entry: entry["path"])

    edit(toy_run / "manifest.json", twice)
    reseal.manifest_only(toy_run)
    codes = {f.code for f in findings(toy_run)}
    assert "alias" in codes
    assert "kind" in codes

    def twin(manifest):
        entry = next(e for e in manifest["files"] if e["path"].startswith("figures/"))
        manifest["files"].append(dict(entry, path=entry["path"].replace("metric", "Metric")))
        manifest["files"].sort(key=lambda entry: entry["path"])

    edit(toy_run / "manifest.json", twin)
    reseal.manifest_only(toy_run)
    assert "alias" in {f.code for f in findings(toy_run)}


def test_a_foreign_and_an_older_tool_are_named(tmp_path):
    """T32."""
    run = tmp_path / "old"
    run.mkdir()
    (run / "manifest.json").write_bytes(b'{"version": "0.6.1", "files": []}')
    found = findings(run)
    assert "schema_foreign" in {f.code for f in found}
    assert any("0.6.1" in f.line() and "not comparable" in f.line() for f in found)
    assert run_state(run) is State.FOREIGN


def test_an_unsealed_run_is_open(toy_run):
    (toy_run / "manifest.json").unlink()
    assert "open" in {f.code for f in findings(toy_run)}
    assert run_state(toy_run) is State.RESUMABLE


def test_edits_with_redone_digests(toy_run, reseal):
    """T5 to T7: what validation alone cannot see, a recomputation or a pin does."""
    root, raw = (lambda m: (m.root_digest, m.raw_digest))(validate_run_dir(toy_run))
    result = toy_run / "seed_2/per_seed_result.json"
    summary = toy_run / "aggregated/summary.json"

    def better(value):
        value["arms"]["scm"]["metrics"]["mae"] = 0.001

    edit(result, better)
    edit(summary, lambda v: v["per_seed"]["2"]["scm"]["metrics"].update(mae=0.001))
    reseal(toy_run)
    assert validate_run_dir(toy_run)
    assert verify_run(toy_run).ok
    links = verify_run(toy_run, recompute=True)
    assert links.exit_code == 5
    assert links.links[0].name == "R1"
    assert links.links[0].status == "broken"
    pointers = {f.pointer for f in links.findings if f.code == "recompute"}
    assert "/arms/scm/metrics/mae" in pointers
    pinned = verify_run(toy_run, root_digest=root)
    assert {f.code for f in pinned.findings} == {"pin"}
    assert pinned.exit_code == 5
    assert verify_run(toy_run, root_digest=raw).exit_code == 5


def test_the_pin(toy_run, make_toy):
    manifest = validate_run_dir(toy_run)
    assert verify_run(toy_run, root_digest=manifest.root_digest).ok
    again = verify_run(toy_run, root_digest=manifest.raw_digest)
    assert again.ok
    assert any("science matches" in note for note in again.notes)
    make_toy().run(toy_run, "force", [1])
    assert verify_run(toy_run, root_digest=manifest.raw_digest).ok
    assert not verify_run(toy_run, root_digest=manifest.root_digest).ok


def test_mode_forged_to_paper(toy_run, reseal):
    """T7: contract becomes paper in every file, all digests redone."""
    for name in [*JSON_FILES, "seed_2/per_seed_result.json", "seed_3/per_seed_result.json"]:
        data = (toy_run / name).read_bytes()
        data = data.replace(b'"mode": "contract"', b'"mode": "paper"')
        (toy_run / name).write_bytes(data.replace(b'"mode":"contract"', b'"mode":"paper"'))
    reseal(toy_run)
    found = findings(toy_run)
    assert any(f.code == "inconsistent" and "settings" in f.message for f in found)


def test_arrays_that_are_not_what_the_config_says(toy_run, reseal):
    """T13, T27: members, dtypes, shapes and pickles, with every digest redone."""
    target = toy_run / "seed_1/predictions.npz"
    good = read_npz(target.read_bytes())
    cases = {
        "extra": {**good, "scm__more": np.zeros(1)},
        "less": {k: v for k, v in good.items() if k != "scm__y"},
        "dtype": {**good, "scm__y": good["scm__y"].astype("f4")},
        "shape": {**good, "scm__y": good["scm__y"][:4]},
    }
    for label, arrays in cases.items():
        target.write_bytes(write_npz(arrays))
        reseal(toy_run)
        found = verify_run(toy_run)
        assert found.exit_code == 5, label
        assert "arrays" in {f.code for f in found.findings}, label
    target.write_bytes(b"\x80\x04K\x01.")
    reseal(toy_run)
    assert "arrays" in {f.code for f in verify_run(toy_run).findings}
    assert verify_run(toy_run, recompute=True).exit_code == 5


def test_a_shared_data_set_must_be_what_its_name_says(toy_run, reseal):
    shared = next((toy_run / "datasets").iterdir())
    shared.write_bytes(write_npz({"x": np.full(5, 0.25)}))
    reseal(toy_run)
    assert "dataset" in {f.code for f in verify_run(toy_run).findings}


def test_a_checkpoint_is_looked_into(toy_run, reseal):
    (toy_run / "seed_1/checkpoints/scm.safetensors").write_bytes(b"\x00" * 64)
    reseal(toy_run)
    found = verify_run(toy_run).findings
    assert {(f.code, f.path) for f in found} == {("arrays", "seed_1/checkpoints/scm.safetensors")}


def test_settings_of_no_protocol(toy_run, reseal):
    edit(toy_run / "provenance.json", lambda v: v["config"]["settings"].update(noise=0.2))
    reseal(toy_run)
    assert any("settings" in f.message for f in findings(toy_run))


def test_a_run_that_is_rewritten_while_it_is_read_is_read_again(toy_run, monkeypatch):
    from zeroproofml.report import rundir

    original, calls = rundir.inspect, []

    def slow(tree):
        seen = original(tree)
        calls.append(1)
        manifest = toy_run / "manifest.json"
        data = manifest.read_bytes()
        manifest.unlink()
        manifest.write_bytes(data)
        os.utime(manifest, ns=(len(calls), len(calls)))
        return seen

    monkeypatch.setattr(rundir, "inspect", slow)
    found = findings(toy_run)
    assert {f.code for f in found} == {"open"}
    assert len(calls) >= 2


def test_loading_gives_read_only_arrays(toy_run):
    run = load_benchmark_run(toy_run)
    assert run.seed(2).seed == 2
    arrays = run.arrays(2)
    assert {"data__y", "scm__y", "data__grid__x"} <= arrays.keys()
    with pytest.raises(ValueError, match="read-only"):
        arrays["scm__y"][0] = 1.0
    for wrong in (9, "2", None):
        with pytest.raises(RunInvalid):
            run.seed(wrong)
    (toy_run / "seed_2/predictions.npz").write_bytes(write_npz({"scm__y": np.zeros(1)}))
    with pytest.raises(RunInvalid, match="changed"):
        run.arrays(2)


@pytest.mark.parametrize("bad", ["", ".", "no/such", "a\0b", "x" * 5000, "/dev/null", "/"])
def test_any_path_gives_a_typed_error_or_a_state(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (validate_run_dir, load_benchmark_run):
        with pytest.raises(RunInvalid):
            call(bad)
    if bad not in ("", ".", "/"):
        with pytest.raises(RunInvalid):
            verify_run(bad)
    with contextlib.suppress(ZeroProofError):
        assert isinstance(run_state(bad), State)


def test_a_moved_run_is_the_same_run(toy_run, tmp_path):
    before = validate_run_dir(toy_run)
    target = tmp_path / "elsewhere with space é"
    shutil.move(toy_run, target)
    assert validate_run_dir(target) == before
    assert parse((target / "manifest.json").read_bytes())["run_id"] == before.run_id
