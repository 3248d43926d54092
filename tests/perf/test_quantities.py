"""Targets that are no ratio: bytes per lane, the cost of a ⊥ lane, the length of a run."""

from __future__ import annotations

import json

import pytest

import _peer
import _verdicts
import check_ratios
import run_benchmarks

NEW = "ops/div/float64/1e5/new/numpy"
CLEAN = "ops/div/float64/1e5/clean/numpy"
RUN = "harness/quick-all/run"


@pytest.fixture
def verdict(write_results, write_ceilings, capsys):
    """Verdict and exit code of one entry, of a run with the given cases and ratios."""

    def judge(name, limits, cases, ratios=None):
        run = write_results(ratios or {}, cases=cases, quick=True)
        ceilings = write_ceilings({name: limits})
        code = check_ratios.main([str(run), "--ceilings", str(ceilings), "--no-retry"])
        return (capsys.readouterr().out.split() or ["nothing"])[0], code

    return judge


@pytest.mark.parametrize(
    ("memory", "want"),
    [
        (9.0, ("faster", 0)),
        (9.5, ("same", 0)),
        (10.001, ("slower", 4)),  # counted, not timed: no floor
        (None, ("nothing", 7)),
    ],
)
def test_bytes_per_lane(verdict, memory, want) -> None:
    cases = {NEW: {"memory": memory}}
    assert verdict(f"{NEW}@bytes_per_lane", (10.0, 9.1), cases) == want


@pytest.mark.parametrize(
    ("microseconds", "floor", "preempted", "want"),
    [
        (110, 0.01, False, ("faster", 0)),  # 10 ns each of a thousand
        (90, 0.01, False, ("faster", 0)),  # no measurable cost at all
        (130, 0.01, False, ("same", 0)),
        (141, 0.03, False, ("inconclusive", 3)),  # 41 ns, and both sides are unsure by 7
        (180, 0.01, False, ("slower", 4)),
        (180, 0.09, False, ("inconclusive", 3)),
        (110, 0.01, True, ("inconclusive", 3)),
    ],
)
def test_cost_of_a_bottom_lane(verdict, microseconds, floor, preempted, want) -> None:
    cases = {NEW: {"wall": microseconds * 1e3}, CLEAN: {"wall": 100e3, "bottom_rate": 0.0}}
    ratios = {NEW: (1.5, floor, preempted), CLEAN: (1.2, floor, False)}
    assert verdict(f"{NEW}@ns_per_bottom_lane", (40.0, 12.0), cases, ratios) == want


def test_cost_of_a_bottom_lane_needs_both_cases(verdict) -> None:
    name, ratios = f"{NEW}@ns_per_bottom_lane", {NEW: (1.5, 0.03, False)}
    assert verdict(name, (40.0, 12.0), {NEW: {}}, ratios) == ("nothing", 7)
    both = {NEW: {}, CLEAN: {"bottom_rate": 0.0}}
    assert verdict(name, (40.0, 12.0), both, ratios) == ("nothing", 7), "the twin has no floor"


@pytest.mark.parametrize(
    ("wall_s", "cpu_s", "want"),
    [
        (80, 80, ("faster", 0)),
        (120, 110, ("same", 0)),
        (182, 180, ("inconclusive", 3)),
        (200, 199, ("slower", 4)),
        (200, 100, ("inconclusive", 3)),  # it waited for a core
    ],
)
def test_seconds_of_a_whole_run(verdict, wall_s, cpu_s, want) -> None:
    cases = {RUN: {"wall": wall_s * 1e9, "cpu": cpu_s * 1e9}}
    assert verdict(f"{RUN}@seconds", (180.0, 90.0), cases) == want


def test_a_quantity_that_is_a_string_is_refused(verdict, capsys) -> None:
    code = verdict(f"{NEW}@bytes_per_lane", (10.0, 9.1), {NEW: {"memory": "9.0"}})[1]
    assert code == 5


def test_an_unknown_quantity_is_refused(write_results, write_ceilings, capsys) -> None:
    run = write_results({}, cases={NEW: {}})
    ceilings = write_ceilings({f"{NEW}@bytes_per_line": (1.0, 1.0)})
    assert check_ratios.main([str(run), "--ceilings", str(ceilings)]) == 5
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_summary_and_the_verdict_take_the_cost_from_one_place(write_results) -> None:
    cases = {NEW: {"wall": 130e3}, CLEAN: {"wall": 100e3, "bottom_rate": 0.0}}
    results = check_ratios._load(write_results({}, cases=cases), check_ratios.Results)
    new, clean = results.cases
    assert _verdicts.ns_per_bottom_lane(new, clean) == pytest.approx(30)
    import _summary

    assert f"| {NEW} | 30 |" in _summary.summary(results)


def test_failures_are_measured_again_with_their_twins_and_peers(write_results, monkeypatch) -> None:
    peer = "ops/div/float64/1e5/masked/peer:pyarrow"
    ratios = {NEW: (9.0, 0.03, False), CLEAN: (9.0, 0.03, False), peer: (0.1, 0.03, False)}
    run = write_results(ratios, cases={NEW: {}, CLEAN: {"bottom_rate": 0.0}})
    results = check_ratios._load(run, check_ratios.Results)
    asked = []

    def again(case, rounds, seed):
        asked.append((case.id, rounds))
        found = [r for r in results.ratios if r.id == f"{case.id}/numpy"]
        return [], [r.model_copy(update={"min_ratio": 1.0}) for r in found]

    def peers(only, rounds):
        asked.append((only, rounds))
        found = [r for r in results.ratios if r.id == peer]
        return [], [r.model_copy(update={"min_ratio": 2.0}) for r in found], []

    monkeypatch.setattr(run_benchmarks, "measure_case", again)
    monkeypatch.setattr(_peer, "measure", peers)
    monkeypatch.setattr(check_ratios._measure, "limit_threads", lambda _: {})
    names = [f"{NEW}@ns_per_bottom_lane", peer]
    merged = check_ratios._measure_again(names, results)
    assert {r.id: r.min_ratio for r in merged.ratios} == {NEW: 1.0, CLEAN: 1.0, peer: 2.0}
    twice = 2 * run_benchmarks.ROUNDS
    assert set(asked) == {
        (NEW.rpartition("/")[0], twice),
        (CLEAN.rpartition("/")[0], twice),
        (peer.rpartition("/")[0], twice),
    }
    assert json.loads(run.read_text())["ratios"][0]["min_ratio"] == 9.0, "the file stays"
