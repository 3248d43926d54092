"""The harness suite: its checks refuse what the targets forbid, and it records what tools cost."""

from __future__ import annotations

from pathlib import Path

import pytest

import _schema
import run_benchmarks
from suites import harness
from suites.case import WrongValue


def test_a_process_that_fails_is_not_a_time() -> None:
    with pytest.raises(WrongValue, match="no such thing"):
        harness.process("-c", "raise SystemExit('no such thing')")
    harness.process("-c", "pass")


@pytest.mark.parametrize("command", list(harness.COMMANDS))
def test_help_is_light(command: str) -> None:
    harness.build_help(command).check()


def test_the_array_class_is_light_and_a_heavy_import_is_seen() -> None:
    harness.build_import().check()
    with pytest.raises(WrongValue, match="loads numpy"):
        harness._demand_light("this", "import zeroproofml.scm.array", harness.HEAVY)


def test_one_case_per_row_of_the_table() -> None:
    full = {case.id.removeprefix("harness/") for case in harness.cases(quick=False)}
    assert full >= {"import-scm", "help-bench", "help-report", "json-1e5", "svg-2e3"}
    assert full >= {f"smoke-{domain}" for domain in harness.DOMAINS}
    assert "report-paper" in full
    quick = {case.id.removeprefix("harness/") for case in harness.cases(quick=True)}
    assert not any(name.startswith(("smoke", "report-paper")) for name in quick)


@pytest.mark.parametrize("build", [harness.build_json, harness.build_svg])
def test_values_are_checked_before_they_are_timed(build, monkeypatch) -> None:
    monkeypatch.setattr(harness, "ROWS", 50)
    made = build()
    made.check()
    from zeroproofml.report.contract import strict_json
    from zeroproofml.report.figures import plate

    monkeypatch.setattr(strict_json, "parse", lambda *_, **__: [])
    drawn = iter(range(10))
    monkeypatch.setattr(plate, "plate_id", lambda *_: f"z{next(drawn):010d}")
    with pytest.raises(WrongValue):
        made.check()


@pytest.mark.slow
def test_a_seed_and_a_report_of_a_fixed_run(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(run_benchmarks._measure, "pin", lambda: None)
    for name in ("contract-ik", "report-contract"):
        arguments = ["--quick", "--suite", "harness", "--only", name, "--output", str(tmp_path)]
        assert run_benchmarks.main(arguments) == 0
        path = Path(capsys.readouterr().out.strip())
        results = _schema.Results.model_validate_json(path.read_bytes())
        (row,) = [c for c in results.cases if c.impl != "typer"]
        assert 1e8 < row.cpu_ns.min < 60e9, "a minute is what a seed may take"
        if name == "contract-ik":
            assert "ms per training step" in row.note
