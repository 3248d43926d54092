"""Runs of the toy domain in this process: equal bytes, the table of decisions on real disks."""

import hashlib
import json
from pathlib import Path

import pytest

from zeroproofml.benchmarks import config, domains, provenance, run_benchmark, validate_run_dir
from zeroproofml.report import _fs
from zeroproofml.report.contract.arrays import read_npz
from zeroproofml.report.errors import (
    ResumeRefused,
    RunInvalid,
    RunLocked,
    StorageError,
    UsageError,
)
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.rundir import run_state, verify_run


def toy(**words):
    return config.resolve("toy", **words)


def snapshot(root):
    """Every file outside the workspace, by digest: equal snapshots mean that nothing moved."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file() and ".zpml" not in path.parts
    }


def events(root):
    return [json.loads(line)["event"] for line in (root / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def sealed(tmp_path):
    """A complete run of seeds 1 and 2."""
    outcome = run_benchmark(toy(), [1, 2], tmp_path / "sealed", executor="inline")
    assert outcome.exit_code == 0
    return outcome.path


@pytest.fixture
def clean(tmp_path):
    """The raw digest of an uninterrupted run of seeds 1, 2 and 3."""
    return run_benchmark(toy(), [1, 2, 3], tmp_path / "clean", executor="inline").raw_digest


@pytest.fixture
def toy_twin(tmp_path_factory, toy):
    """The toy domain under a second name."""
    home = tmp_path_factory.mktemp("twin")
    path = home / "twin_domain.py"
    path.write_text(toy.read_text().replace('DOMAIN = "toy"', 'DOMAIN = "twin"'))
    domains.load_file(path)


class TestFresh:
    def test_the_directory_has_exactly_the_contract_paths(self, sealed):
        names = set(snapshot(sealed))
        figures = {name for name in names if name.startswith("figures/")}
        seeds = {
            f"seed_{n}/{file}"
            for n in (1, 2)
            for file in (
                "per_seed_result.json",
                "predictions.npz",
                "commit.json",
                "checkpoints/ridge.safetensors",
            )
        }
        assert figures
        assert names - figures - seeds == {
            "manifest.json",
            "provenance.json",
            "journal.jsonl",
            "resume_state.json",
            "aggregated/summary.json",
            "aggregated/paired_stats.json",
            "aggregated/claims.json",
            "aggregated/benchmark_metrics.jsonl",
            "RUN_REPORT.md",
            "CLAIM_AUDIT.md",
        }
        assert {path.name for path in (sealed / ".zpml").iterdir()} == {"lock"}

    def test_it_verifies_down_to_the_recomputation(self, sealed):
        assert validate_run_dir(sealed).status == "complete"
        found = verify_run(sealed, recompute=True)
        assert found.ok, found.findings

    def test_the_journal_tells_the_order_of_the_contract(self, sealed):
        assert events(sealed) == [
            "created",
            "attempt_started",
            *["seed_started", "seed_committed"] * 2,
            "derived",
            "attempt_finished",
            "sealing",
        ]

    def test_provenance_says_who_made_what(self, sealed):
        record = json.loads((sealed / "provenance.json").read_text())
        [attempt] = record["attempts"]
        assert attempt["exit_code"] == 0
        assert attempt["ended_at"] > attempt["started_at"]
        assert attempt["executor"] == {"name": "inline", "workers": 1, "scheduler": None}
        assert record["seeds_environment"] == {"1": 1, "2": 1}
        assert record["resources"]["1"]["bytes_written"] > 0
        assert record["plan"]["claims"][0]["id"] == "ridge_beats_zero"
        text = json.dumps(record)
        assert str(Path.home()) not in text
        assert str(sealed.parent) not in text

    def test_the_same_command_twice_gives_the_same_raw_digest(self, tmp_path):
        one = run_benchmark(toy(), [1, 3], tmp_path / "a")
        two = run_benchmark(toy(), [1, 3], tmp_path / "b", executor="inline")
        assert one.raw_digest == two.raw_digest
        assert one.root_digest != two.root_digest
        for path, digest in snapshot(tmp_path / "a").items():
            if path.startswith("aggregated/"):
                assert digest == snapshot(tmp_path / "b")[path], path

    def test_inline_equals_process(self, tmp_path):
        one = run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        two = run_benchmark(toy(), [1, 2, 3], tmp_path / "b", executor="process", workers=2)
        assert one.raw_digest == two.raw_digest

    def test_the_order_of_arms_does_not_matter(self, tmp_path):
        one = run_benchmark(toy(arms=["zero", "ridge", "truth"]), [1], tmp_path / "a")
        two = run_benchmark(toy(arms=["truth", "ridge", "zero"]), [1], tmp_path / "b")
        assert one.raw_digest == two.raw_digest

    def test_a_subset_of_arms_has_equal_arrays(self, tmp_path):
        run_benchmark(toy(), [1], tmp_path / "a")
        run_benchmark(toy(arms=["ridge", "zero"]), [1], tmp_path / "b")
        all_arms, some = (
            read_npz((tmp_path / name / "seed_1/predictions.npz").read_bytes()) for name in "ab"
        )
        assert set(some) == {"data__target", "ridge__y", "zero__y"}
        for name, array in some.items():
            assert (all_arms[name] == array).all()
        weights = [
            (tmp_path / name / "seed_1/checkpoints/ridge.safetensors").read_bytes() for name in "ab"
        ]
        assert weights[0] == weights[1]

    def test_seeds_are_the_modes_unless_given(self, tmp_path):
        run_benchmark(toy(mode="smoke"), out_root=tmp_path / "a", executor="inline")
        assert validate_run_dir(tmp_path / "a").seeds.planned == (1, 2)

    def test_shared_data_lies_once_beside_the_seeds(self, tmp_path):
        run_benchmark(toy(protocol="classic"), [1, 2], tmp_path / "a", executor="inline")
        [shared] = (tmp_path / "a" / "datasets").iterdir()
        for seed in (1, 2):
            result = json.loads((tmp_path / f"a/seed_{seed}/per_seed_result.json").read_text())
            assert result["datasets"]["test"]["file"] == f"datasets/{shared.name}"
            assert result["datasets"]["train"]["file"] is None
        assert verify_run(tmp_path / "a", recompute=True).ok

    def test_html_report_is_written_when_asked_and_stays(self, tmp_path, monkeypatch):
        run_benchmark(toy(), [1], tmp_path / "a", html_report=True)
        assert "RUN_REPORT.html" in snapshot(tmp_path / "a")
        run_benchmark(toy(), [2], tmp_path / "a", flag="skip")
        assert "RUN_REPORT.html" in snapshot(tmp_path / "a")


class TestFailures:
    def test_a_failed_seed_gives_a_partial_run_and_exit_3(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TOY_RAISE", "2")
        outcome = run_benchmark(toy(), [1, 2], tmp_path / "a", executor="inline")
        assert (outcome.status, outcome.exit_code) == ("partial", 3)
        assert outcome.failed == {2: "exception"}
        manifest = validate_run_dir(tmp_path / "a")
        assert manifest.seeds.failed == {"2": "exception"}
        assert manifest.seeds.complete == (1,)
        assert not (tmp_path / "a/seed_2").exists()

    def test_a_partial_run_is_completed_by_resume(self, tmp_path, monkeypatch, clean):
        monkeypatch.setenv("TOY_RAISE", "2")
        run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        monkeypatch.delenv("TOY_RAISE")
        outcome = run_benchmark(toy(), None, tmp_path / "a", flag="resume")
        assert (outcome.status, outcome.exit_code) == ("complete", 0)
        assert outcome.raw_digest == clean
        manifest = validate_run_dir(tmp_path / "a")
        assert manifest.generation == 2
        assert manifest.previous_root is not None

    def test_a_failed_arm_is_a_complete_seed_with_null_metrics(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TOY_FAIL_ARM", "1")
        outcome = run_benchmark(toy(), [1, 2], tmp_path / "a", executor="inline")
        assert (outcome.status, outcome.exit_code) == ("complete", 0)
        arm = json.loads((tmp_path / "a/seed_1/per_seed_result.json").read_text())["arms"]["ridge"]
        assert arm["status"] == "failed"
        assert set(arm["metrics"].values()) == {None}
        assert {arm["reasons"][name] for name in arm["metrics"]} == {"arm_failed"}
        assert verify_run(tmp_path / "a", recompute=True).ok

    def test_nothing_measured_is_exit_7_and_resumable(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TOY_RAISE", "1")
        outcome = run_benchmark(toy(), [1], tmp_path / "a")
        assert (outcome.status, outcome.exit_code) == ("resumable", 7)
        monkeypatch.delenv("TOY_RAISE")
        assert run_benchmark(toy(), None, tmp_path / "a", flag="resume").exit_code == 0

    def test_a_lost_worker_is_resubmitted_once(self, tmp_path, monkeypatch, clean):
        monkeypatch.setenv("TOY_KILL", f"2:{tmp_path / 'marker'}*1")
        outcome = run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="process", workers=2)
        assert (outcome.exit_code, outcome.raw_digest) == (0, clean)
        assert events(tmp_path / "a").count("seed_lost") == 1

    def test_a_worker_that_dies_twice_fails_its_seed(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TOY_KILL", f"2:{tmp_path / 'marker'}*9")
        outcome = run_benchmark(toy(), [1, 2], tmp_path / "a", executor="process", workers=2)
        assert (outcome.exit_code, outcome.failed) == (3, {2: "worker_lost"})
        assert len((tmp_path / "marker").read_text().splitlines()) == 2

    def test_all_workers_dead_is_exit_7(self, tmp_path, monkeypatch):
        marker = tmp_path / "marker"
        monkeypatch.setenv("TOY_KILL", f"1:{marker}*9;2:{marker}*9")
        outcome = run_benchmark(toy(), [1, 2], tmp_path / "a", executor="process")
        assert outcome.exit_code == 7

    def test_a_full_disk_names_the_path_and_leaves_the_run_resumable(self, tmp_path, clean):
        def full(operation, path, action, arguments):
            if operation == "write" and "seed_2" in path:
                raise OSError(28, "No space left on device")
            return action(*arguments)

        with _fs.hooked(full), pytest.raises(StorageError, match=r"seed_2.*No space") as caught:
            run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        assert caught.value.exit_code == 1
        assert run_state(tmp_path / "a") == "resumable"
        outcome = run_benchmark(toy(), None, tmp_path / "a", flag="resume", executor="inline")
        assert outcome.raw_digest == clean

    def test_no_room_is_said_before_anything_exists(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_fs, "free_bytes", lambda path: 1000)
        with pytest.raises(StorageError, match="MB"):
            run_benchmark(toy(), [1], tmp_path / "a")
        assert not (tmp_path / "a").exists()


class TestExisting:
    def test_without_a_flag_an_existing_run_is_refused(self, sealed):
        before = snapshot(sealed)
        with pytest.raises(UsageError, match="--force-rerun"):
            run_benchmark(toy(), [1, 2], sealed)
        assert snapshot(sealed) == before

    @pytest.mark.parametrize("flag", ["resume", "skip"])
    def test_a_complete_run_is_already_complete(self, sealed, flag):
        before = snapshot(sealed)
        outcome = run_benchmark(toy(), None, sealed, flag=flag)
        assert outcome.exit_code == 0
        assert "already complete" in outcome.notes
        assert snapshot(sealed) == before

    def test_resume_serves_a_report_option_and_nothing_else(self, sealed):
        # T16: a complete run, with html
        before = snapshot(sealed)
        outcome = run_benchmark(toy(), None, sealed, flag="resume", html_report=True)
        after = snapshot(sealed)
        assert outcome.exit_code == 0
        assert set(after) - set(before) == {"RUN_REPORT.html"}
        changed = {name for name in before if after[name] != before[name]}
        assert changed == {"manifest.json", "journal.jsonl", "resume_state.json"}
        assert validate_run_dir(sealed).generation == 2
        again = run_benchmark(toy(), None, sealed, flag="resume", html_report=True)
        assert "already complete" in again.notes
        assert snapshot(sealed) == after

    @pytest.mark.parametrize("flag", ["none", "resume", "skip", "force"])
    def test_another_domain_is_refused_even_with_force(self, tmp_path, toy_twin, flag):
        # T19
        run_benchmark(config.resolve("twin"), [1], tmp_path / "a")
        before = snapshot(tmp_path / "a")
        with pytest.raises(ResumeRefused, match="run has twin, this command toy") as caught:
            run_benchmark(toy(), [1], tmp_path / "a", flag=flag)
        assert caught.value.exit_code == 6
        assert snapshot(tmp_path / "a") == before

    def test_a_baseline_survives_a_reopening(self, tmp_path, monkeypatch):
        base = run_benchmark(toy(), [1, 2], tmp_path / "base", executor="inline")
        run_benchmark(toy(), [1, 2], tmp_path / "a", executor="inline", baseline_run_dir=base.path)
        run_benchmark(toy(), [2], tmp_path / "a", flag="force")
        stored = json.loads((tmp_path / "a/aggregated/paired_stats.json").read_text())
        assert stored["baseline"]["raw_digest"] == base.raw_digest
        assert verify_run(tmp_path / "a", recompute=True).ok

    def test_a_rerun_that_fails_keeps_the_earlier_result(self, sealed, monkeypatch):
        before = (sealed / "seed_2/commit.json").read_bytes()
        monkeypatch.setenv("TOY_RAISE", "2")
        outcome = run_benchmark(toy(), [2], sealed, flag="force")
        assert outcome.exit_code == 3
        assert outcome.failed == {2: "exception"}
        assert (sealed / "seed_2/commit.json").read_bytes() == before
        assert verify_run(sealed, recompute=True).ok

    def test_a_rerun_that_fails_under_other_code_cannot_keep_it(self, sealed, monkeypatch):
        real = provenance.code
        other = {"zeroproofml-scm": "sha256:" + "0" * 64}
        monkeypatch.setattr(provenance, "code", lambda frameworks: {**real(frameworks), **other})
        monkeypatch.setenv("TOY_RAISE", "2")
        outcome = run_benchmark(toy(), None, sealed, flag="force", executor="inline")
        assert (outcome.status, outcome.exit_code) == ("partial", 3)
        assert validate_run_dir(sealed).seeds.complete == (1,)
        assert (sealed / ".zpml/quarantine/seed_2").is_dir()

    def test_committed_seeds_are_not_read_again_while_others_are_computed(self, tmp_path):
        # Section 14: hashed when they are committed, at the resume and at the seal.
        seen, between = [], []

        def watch(operation, path, action, arguments):
            if operation == "open" and path.startswith("seed_1/"):
                seen.append(path)
            if path == "seed_3" and operation == "rename":
                between.append(len(seen))
            return action(*arguments)

        with _fs.hooked(watch):
            run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        assert between == [0]

    def test_resume_with_other_seeds_or_another_config_is_refused(self, sealed):
        before = snapshot(sealed)
        with pytest.raises(ResumeRefused, match="seeds"):
            run_benchmark(toy(), [1, 2, 3], sealed, flag="resume")
        with pytest.raises(ResumeRefused) as caught:
            run_benchmark(toy(mode="paper"), None, sealed, flag="resume")
        assert any("config.mode: run has contract" in line for line in caught.value.differences)
        assert caught.value.exit_code == 6
        assert snapshot(sealed) == before

    def test_skip_adds_seeds_and_claims_become_ineligible(self, sealed, clean):
        outcome = run_benchmark(toy(), [3], sealed, flag="skip")
        assert outcome.raw_digest == clean
        assert validate_run_dir(sealed).seeds.planned == (1, 2, 3)
        claims = json.loads((sealed / "aggregated/claims.json").read_text())
        assert "plan_extended" in claims["results"][0]["reasons"]

    def test_force_of_seed_2_keeps_seed_1(self, sealed):
        commit = (sealed / "seed_1/commit.json").read_bytes()
        before = validate_run_dir(sealed)
        outcome = run_benchmark(toy(), [2], sealed, flag="force")
        after = validate_run_dir(sealed)
        assert after.seeds.complete == (1, 2)
        assert (after.generation, after.previous_root) == (2, before.root_digest)
        assert outcome.raw_digest == before.raw_digest
        assert (sealed / "seed_1/commit.json").read_bytes() == commit
        assert "superseded" in events(sealed)

    def test_a_moved_run_and_a_copy_resume(self, tmp_path, monkeypatch, clean):
        import shutil

        monkeypatch.setenv("TOY_RAISE", "2")
        run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        monkeypatch.delenv("TOY_RAISE")
        shutil.copytree(tmp_path / "a", tmp_path / "copy")
        (tmp_path / "a").rename(tmp_path / "moved")
        for name in ("copy", "moved"):
            outcome = run_benchmark(toy(), None, tmp_path / name, flag="resume")
            assert outcome.raw_digest == clean

    def test_an_edited_seed_of_an_unsealed_run_is_set_aside_and_rerun(
        self, tmp_path, monkeypatch, clean
    ):
        # T3: edit a metric, then --skip-complete-seeds.
        monkeypatch.setenv("TOY_RAISE", "3")
        run_benchmark(toy(), [1, 2, 3], tmp_path / "a", executor="inline")
        monkeypatch.delenv("TOY_RAISE")
        _unseal(tmp_path / "a")
        result = tmp_path / "a/seed_2/per_seed_result.json"
        result.write_text(result.read_text().replace('"err": ', '"err": 1', 1))
        outcome = run_benchmark(toy(), None, tmp_path / "a", flag="skip", executor="inline")
        assert outcome.raw_digest == clean
        assert (tmp_path / "a/.zpml/quarantine/seed_2").is_dir()
        assert any("seed_2" in note for note in outcome.notes)

    def test_an_edited_seed_of_a_sealed_run(self, sealed):
        (sealed / "seed_2/predictions.npz").write_bytes(b"edited")
        with pytest.raises(RunInvalid, match="seed_2") as caught:
            run_benchmark(toy(), None, sealed, flag="resume")
        assert caught.value.exit_code == 5
        with pytest.raises(RunInvalid, match="seed_2"):
            run_benchmark(toy(), [1], sealed, flag="force")
        outcome = run_benchmark(toy(), None, sealed, flag="skip")
        assert outcome.status == "complete"
        assert verify_run(sealed, recompute=True).ok

    def test_edited_evidence_is_final(self, sealed):
        path = sealed / "provenance.json"
        path.write_text(path.read_text().replace("contract", "contracT", 1))
        before = snapshot(sealed)
        for flag in ("resume", "skip", "force"):
            with pytest.raises(RunInvalid):
                run_benchmark(toy(), None, sealed, flag=flag)
        assert snapshot(sealed) == before

    @pytest.mark.parametrize("flag", ["none", "resume", "skip", "force"])
    def test_a_foreign_directory_is_never_touched(self, tmp_path, flag):
        (tmp_path / "a").mkdir()
        (tmp_path / "a/thesis.tex").write_text("mine")
        with pytest.raises(UsageError, match="no run"):
            run_benchmark(toy(), [1], tmp_path / "a", flag=flag)
        assert snapshot(tmp_path / "a").keys() == {"thesis.tex"}

    def test_changed_code_or_numpy_between_attempts_is_named(self, tmp_path, monkeypatch):
        # T33
        monkeypatch.setenv("TOY_RAISE", "2")
        run_benchmark(toy(), [1, 2], tmp_path / "a", executor="inline")
        monkeypatch.delenv("TOY_RAISE")
        real_code, real_packages = provenance.code, provenance._packages
        monkeypatch.setattr(
            provenance,
            "code",
            lambda frameworks: {**real_code(frameworks), "zeroproofml-scm": "sha256:" + "0" * 64},
        )
        with pytest.raises(ResumeRefused, match=r"code\.zeroproofml-scm"):
            run_benchmark(toy(), None, tmp_path / "a", flag="resume")
        monkeypatch.setattr(provenance, "code", real_code)
        monkeypatch.setattr(provenance, "_packages", lambda: {**real_packages(), "numpy": "9.9"})
        with pytest.raises(ResumeRefused, match=r"environment\.packages\.numpy.*9\.9"):
            run_benchmark(toy(), None, tmp_path / "a", flag="resume")

    def test_force_under_other_code_needs_every_seed_and_then_works(self, sealed, monkeypatch):
        real = provenance.code
        other = "sha256:" + "0" * 64
        monkeypatch.setattr(
            provenance, "code", lambda frameworks: {**real(frameworks), "zeroproofml-scm": other}
        )
        with pytest.raises(ResumeRefused):
            run_benchmark(toy(), [2], sealed, flag="force")
        outcome = run_benchmark(toy(), [1, 2], sealed, flag="force", executor="inline")
        assert outcome.status == "complete"
        assert validate_run_dir(sealed).fingerprints.code["zeroproofml-scm"] == other

    def test_a_locked_run_is_left_alone(self, sealed):
        before = snapshot(sealed)
        with RunWriter.open(sealed, command="somebody"):
            for flag in ("none", "resume", "skip", "force"):
                with pytest.raises(RunLocked, match="process") as caught:
                    run_benchmark(toy(), None, sealed, flag=flag)
                assert caught.value.exit_code == 11
                assert caught.value.owner["command"] == "somebody"
        assert snapshot(sealed) == before

    @pytest.mark.parametrize("edit", ["edit", "delete"])
    def test_a_shared_data_set_is_never_made_again_over_its_name(self, tmp_path, monkeypatch, edit):
        # T20: resume with seed 2 missing
        monkeypatch.setenv("TOY_RAISE", "2")
        run_benchmark(toy(protocol="classic"), [1, 2], tmp_path / "a", executor="inline")
        monkeypatch.delenv("TOY_RAISE")
        [shared] = (tmp_path / "a" / "datasets").iterdir()
        if edit == "edit":
            shared.write_bytes(shared.read_bytes()[:-1] + b"\1")
        else:
            shared.unlink()
        with pytest.raises(RunInvalid, match="datasets"):
            run_benchmark(toy(protocol="classic"), None, tmp_path / "a", flag="resume")


def _unseal(root):
    with RunWriter.open(root) as writer:
        writer.reopen()


@pytest.mark.parametrize(
    "words",
    [
        {"executor": "threads"},
        {"workers": 0},
        {"workers": 2, "executor": "inline"},
        {"scheduler": "tcp://nowhere:1"},
        {"baseline_run_dir": "nowhere"},
        {"seeds": [0]},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": ["1"]},
    ],
    ids=str,
)
def test_usage_errors_leave_no_file(tmp_path, words):
    given = {"seeds": [1], **words}
    with pytest.raises((UsageError, RunInvalid)):
        run_benchmark(toy(), given.pop("seeds"), tmp_path / "x" / "run", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_is_compared_and_a_mismatched_one_refused(tmp_path):
    base = run_benchmark(toy(), [1, 2], tmp_path / "base", executor="inline")
    run_benchmark(toy(), [1, 2], tmp_path / "a", executor="inline", baseline_run_dir=base.path)
    stored = json.loads((tmp_path / "a/aggregated/paired_stats.json").read_text())
    assert stored["baseline"]["raw_digest"] == base.raw_digest
    with pytest.raises(UsageError, match="mode differs"):
        run_benchmark(toy(mode="smoke"), [1], tmp_path / "b", baseline_run_dir=base.path)
    assert not (tmp_path / "b").exists()
