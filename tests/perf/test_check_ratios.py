"""Every verdict and every exit code of the ratio gate, from hand-made files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import check_ratios

CASE = "ops/div/float64/1e6/clean/numpy"


@pytest.mark.parametrize(
    ("ratio", "floor", "preempted", "verdict", "code"),
    [
        (1.10, 0.03, False, "faster", 0),
        (1.50, 0.03, False, "same", 0),
        (1.97, 0.05, False, "inconclusive", 3),  # above must, but inside the floor
        (2.20, 0.03, False, "slower", 4),
        (1.10, 0.30, False, "inconclusive", 3),  # A/A noise of 30 %
        (1.10, 0.03, True, "inconclusive", 3),
    ],
)
def test_verdicts(
    write_results, write_ceilings, capsys, ratio, floor, preempted, verdict, code
) -> None:
    run = write_results({CASE: (ratio, floor, preempted)})
    ceilings = write_ceilings({CASE: (1.9, 1.45)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings), "--no-retry"]) == code
    assert capsys.readouterr().out.startswith(verdict)


def test_at_least_is_the_mirror_image(write_results, write_ceilings) -> None:
    for ratio, code in ((30.0, 0), (20.0, 0), (10.0, 4)):
        run = write_results({CASE: (ratio, 0.03, False)})
        ceilings = write_ceilings({CASE: (15.0, 25.0)}, direction="at_least")
        assert check_ratios.main([str(run), "--ceilings", str(ceilings), "--no-retry"]) == code


def test_an_empty_intersection_is_a_failure(write_results, write_ceilings) -> None:
    run = write_results({"ops/other": (1.0, 0.03, False)})
    ceilings = write_ceilings({CASE: (1.9, 1.45)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings)]) == 7


def test_an_absent_entry_fails_unless_the_run_was_quick(write_results, write_ceilings) -> None:
    ceilings = write_ceilings({CASE: (1.9, 1.45), "ops/absent/numpy": (2.0, 1.0)})
    full = write_results({CASE: (1.5, 0.03, False)})
    assert check_ratios.main([str(full), "--ceilings", str(ceilings)]) == 4
    quick = write_results({CASE: (1.5, 0.03, False)}, quick=True)
    assert check_ratios.main([str(quick), "--ceilings", str(ceilings)]) == 0


@pytest.mark.parametrize(
    ("argv", "absent", "code"),
    [
        (("--suite", "ops"), "layers/div-forward-torch/float64/1e6/new/torch", 0),
        (("--suite=ops",), "layers/div-forward-torch/float64/1e6/new/torch", 0),
        (("--suite", "ops"), "ops/absent/numpy", 4),
        ((), "layers/div-forward-torch/float64/1e6/new/torch", 4),
        ((), "harness/quick-all/run@seconds", 0),
        ((), "ops/div/float64/1e6/new/numpy@bytes_per_lane", 4),
        ((), "ops/div/float64/1e6/new/peer:zeroproofml", 0),
        (("--peer",), "ops/div/float64/1e6/new/peer:zeroproofml", 4),
    ],
)
def test_only_what_was_asked_for_is_missed(
    write_results, write_ceilings, capsys, argv, absent, code
) -> None:
    run = write_results({CASE: (1.5, 0.03, False)}, argv=argv)
    ceilings = write_ceilings({CASE: (1.9, 1.45), absent: (2.0, 1.0)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings)]) == code
    assert (f"nothing-measured {absent}" in " ".join(capsys.readouterr().out.split())) == bool(code)


def test_a_folder_with_a_broken_result_is_unreadable(tmp_path: Path, capsys) -> None:
    (tmp_path / "benchmarks_a.json").write_text("{")
    assert check_ratios.main([str(tmp_path)]) == 5
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_directory_is_the_wrong_tool(tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/journal.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit) as stop:
        check_ratios.main([str(tmp_path / "run")])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "zpml-report" in line


def test_statistics_that_are_strings_are_refused(write_results, write_ceilings, capsys) -> None:
    run = write_results({CASE: ("1.5", 0.03, False)})
    ceilings = write_ceilings({CASE: (1.9, 1.45)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings)]) == 5
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_means_its_newest_result(write_results, write_ceilings, tmp_path) -> None:
    write_results({CASE: (9.0, 0.03, False)}, name="benchmarks_b.json")
    write_results(
        {CASE: (1.5, 0.03, False)}, name="benchmarks_a.json", created="2026-02-01T00:00:00Z"
    )
    ceilings = write_ceilings({CASE: (1.9, 1.45)})
    assert check_ratios.main([str(tmp_path), "--ceilings", str(ceilings), "--no-retry"]) == 0


def test_a_retry_turns_a_one_off_into_a_pass(
    write_results, write_ceilings, monkeypatch, capsys
) -> None:
    run = write_results({CASE: (2.5, 0.03, False)})
    ceilings = write_ceilings({CASE: (1.9, 1.45)})
    good = check_ratios._load(write_results({CASE: (1.5, 0.03, False)}), check_ratios.Results)
    monkeypatch.setattr(check_ratios, "_measure_again", lambda ids, _: good)
    run = write_results({CASE: (2.5, 0.03, False)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings)]) == 0
    out = capsys.readouterr().out
    assert "first attempt: slower" in out, "both attempts are printed"
    assert "\nsame" in out


@pytest.mark.parametrize(("now", "code"), [(1.0, 0), (1.05, 0), (1.2, 4), (0.8, 0)])
def test_against_a_baseline(write_results, write_ceilings, now, code) -> None:
    ceilings = write_ceilings({CASE: (9.0, 0.1)})
    old = write_results({CASE: (1.0, 0.03, False)}, name="old.json")
    run = write_results({CASE: (now, 0.03, False)})
    arguments = [str(run), "--baseline", str(old), "--ceilings", str(ceilings), "--no-retry"]
    assert check_ratios.main(arguments) == code


def test_the_committed_ceilings_are_well_formed() -> None:
    ceilings = check_ratios.load_ceilings(check_ratios.CEILINGS)
    assert len(ceilings.ratios) > 40
    for name, ceiling in ceilings.ratios.items():
        record, _, quantity = name.partition("@")
        assert record.endswith(f"/{ceiling.impl}")
        assert quantity == ("" if ceiling.quantity == "ratio" else ceiling.quantity)
        assert (ceiling.reference is None) == bool(quantity), "a ratio has a reference"
        if ceiling.direction == "at_most":
            assert ceiling.goal <= ceiling.must, name
        else:
            assert ceiling.goal >= ceiling.must, name


def test_the_published_schema_is_the_models(tmp_path: Path) -> None:
    import _schema

    stored = json.loads(_schema.SCHEMA_FILE.read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(_schema.json_schema()))
