"""Presets and fronts: who is chosen, who never is, and that only calibration decides."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report.domains.dose import aggregates, fronts, operating, presets
from zeroproofml.report.domains.dose.pareto import FRONTS, Objective, place
from zeroproofml.report.domains.dose.presets import PRESETS, Reading

SEEDS = (1, 2, 3)
BY_NAME = {preset.name: preset for preset in PRESETS}
ARMS = {
    "tobit": "perfect",
    "two_stage": "good",
    "scm_oriented": "silent",
    "clamped_mlp": "fair",
    "constant": "eager",
    "bayes_oracle": "good",
}


@pytest.fixture
def derived(world, run_of):
    """Derived numbers of a run of these arms over three seeds."""

    def build(behaviours=ARMS, seeds=SEEDS, change=lambda seed, arrays: arrays, **more):
        by_seed = {seed: change(seed, world(behaviours, seed)) for seed in seeds}
        run = run_of(by_seed, list(behaviours), **more)
        made = aggregates.aggregates(run)
        return made[operating.PATH]["presets"], made[fronts.PATH]["fronts"], run

    return build


def test_a_perfect_arm_is_chosen_everywhere_and_alone_on_every_front(derived):
    chosen, found, _ = derived()
    assert {name: preset["arm"] for name, preset in chosen.items()} == dict.fromkeys(
        BY_NAME, "tobit"
    )
    for name in ("safety_accuracy", "direction_regression"):
        front = [e["arm"] for e in found[name]["entries"] if e["status"] == "front"]
        assert front == ["tobit"]
    cover = [e["arm"] for e in found["safety_coverage"]["entries"] if e["status"] == "front"]
    assert set(cover) == {"tobit"}
    assert chosen["balanced"]["calibration"] == 0
    assert chosen["balanced"]["if_chosen_on_test"]["optimism"] == 0
    exact = chosen["safety_first"]["test"]["fp_cens"]["test_interval"]
    assert exact[0] == 0
    assert 0 < exact[1] < 0.01


def test_the_thresholds_of_a_chosen_tuple_arm_come_with_their_gauge(derived):
    chosen, _, _ = derived({"scm_oriented": "perfect", "bayes_oracle": "good"})
    for preset in chosen.values():
        assert preset["arm"] == "scm_oriented"
        assert preset["gauge"] == {"center": -7.0, "scale": 1.0, "unit": "log10 mol/L"}
        for point in preset["thresholds"]:
            if point["t"] is not None:
                limit = (1 / point["t"] ** 2 - 1) ** 0.5
                assert point["tau_limit_decades"] == pytest.approx(limit)


def test_an_arm_that_refuses_everything_is_chosen_by_none(derived):
    chosen, found, _ = derived()
    for preset in chosen.values():
        assert preset["arm"] != "scm_oriented"
    ranked = [e["arm"] for e in chosen["safety_first"]["ranking"] if e["eligible"]]
    # The answer of an arm without a score that tells anything is to refuse all: equally bad.
    assert set(ranked[-2:]) == {"scm_oriented", "constant"}
    assert chosen["safety_first"]["ranking"][len(ranked) - 1]["calibration_mean"] == 1
    for name in ("accuracy_first", "direction_aware"):
        reasons = {e["arm"]: e["reason"] for e in chosen[name]["ranking"]}
        assert reasons["scm_oriented"] == "infeasible"
    entry = next(e for e in found["safety_accuracy"]["entries"] if e["arm"] == "scm_oriented")
    assert entry["status"] == "dominated"


def test_an_arm_that_accepts_everything(derived):
    chosen, _, _ = derived()
    ranked = [e["arm"] for e in chosen["accuracy_first"]["ranking"] if e["eligible"]]
    assert ranked[-1] == "constant"
    # With no threshold but accept-all, safety has nothing to offer it.
    preset = BY_NAME["safety_first"]
    readings = {
        "good": {seed: Reading(0.1, 0.05) for seed in SEEDS},
        "all": {seed: Reading(None, None, "infeasible") for seed in SEEDS},
    }
    entries = presets.rank(preset, readings, SEEDS, {})
    assert [(e.arm, e.reason) for e in entries] == [("good", None), ("all", "infeasible")]


def test_zero_taken_for_missing_would_lose_the_perfect_arm(derived, monkeypatch):
    monkeypatch.setattr(presets, "absent", lambda number: not number)
    chosen, _, _ = derived()
    assert {preset.get("arm") for preset in chosen.values()} != {"tobit"}
    with pytest.raises(AssertionError):
        test_a_perfect_arm_is_chosen_everywhere_and_alone_on_every_front(derived)


def test_an_arm_without_numbers_is_listed_with_its_reason_and_never_placed(derived):
    chosen, found, _ = derived(failed=("clamped_mlp",))
    for preset in chosen.values():
        entry = next(e for e in preset["ranking"] if e["arm"] == "clamped_mlp")
        assert (entry["eligible"], entry["rank"], entry["reason"]) == (False, None, "arm_failed")
        assert entry["calibration_mean"] is None
    for front in found.values():
        for entry in front["entries"]:
            if entry["arm"] == "clamped_mlp":
                assert (entry["status"], entry["dominated_by"]) == ("skipped", None)
                assert entry["reason"] == "arm_failed"


def test_the_reference_is_shown_and_never_chosen(derived):
    chosen, _, _ = derived({"two_stage": "fair", "bayes_oracle": "perfect"})
    for preset in chosen.values():
        assert preset["arm"] == "two_stage"
        last = preset["ranking"][-1]
        assert (last["arm"], last["reason"]) == ("bayes_oracle", "reference")


def test_only_calibration_chooses(derived):
    """two_stage is better on calibration, tobit perfect on test: the choice is two_stage."""

    def swapped(seed, arrays):
        first = {
            k: v for k, v in arrays.items() if not k.startswith(("tobit__test", "two_stage__test"))
        }
        for name in [k for k in arrays if k.startswith("tobit__test")]:
            twin = name.replace("tobit", "two_stage")
            if twin in arrays:
                first[name], first[twin] = arrays[twin], arrays[name]
            else:
                first[name] = arrays[name]
        return first

    behaviours = {"tobit": "good", "two_stage": "perfect", "bayes_oracle": "good"}
    chosen, _, _ = derived(behaviours, change=swapped)
    assert {preset["arm"] for preset in chosen.values()} == {"two_stage"}
    test = chosen["balanced"]["if_chosen_on_test"]
    assert test["arm"] == "tobit"
    assert test["optimism"] > 0


def test_swapping_test_labels_changes_no_choice(derived):
    def relabelled(seed, arrays):
        label = arrays["data__test__label"]
        return arrays | {"data__test__label": ((label + 1) % 3).astype(np.uint8)}

    first, _, _ = derived()
    second, _, _ = derived(change=relabelled)
    for name, preset in first.items():
        assert second[name]["arm"] == preset["arm"]
        assert second[name]["ranking"] == preset["ranking"]
        assert second[name]["thresholds"] == preset["thresholds"]
        assert second[name]["test"] != preset["test"]


def test_a_missing_planned_seed_leaves_nothing_to_choose(derived):
    chosen, _, _ = derived(planned=(1, 2, 3, 4))
    for preset in chosen.values():
        assert preset["status"] == "unavailable"
        assert preset["reason"]
        reasons = {e["reason"] for e in preset["ranking"]}
        assert reasons <= {"missing_seed", "reference", "infeasible"}


def test_candidates_that_cannot_be_told_apart():
    preset = BY_NAME["balanced"]
    rng = random.Random(0)
    base = [0.10 + rng.gauss(0, 0.01) for _ in range(10)]
    seeds = tuple(range(1, 11))

    def column(shift, spread=0.0):
        return {
            s: Reading(b + shift + rng.gauss(0, spread), 0.1)
            for s, b in zip(seeds, base, strict=True)
        }

    readings = {"best": column(0.0), "near": column(0.001, 0.02), "far": column(0.05, 0.001)}
    ranking = presets.rank(preset, readings, seeds, {})
    first = ranking[0].arm
    apart = presets.indistinguishable(preset, ranking, readings, seeds)
    assert "far" not in apart
    assert {first, *apart} == {"best", "near"}
    twins = {"a": readings["best"], "b": readings["best"]}
    ranking = presets.rank(preset, twins, seeds, {})
    assert presets.indistinguishable(preset, ranking, twins, seeds) == ["b"]  # [0, 0] contains 0
    one = {arm: {1: rows[1]} for arm, rows in readings.items()}
    ranking = presets.rank(preset, one, (1,), {})
    assert len(presets.indistinguishable(preset, ranking, one, (1,))) == 2


def test_ties_go_to_the_tie_break_and_then_to_the_name():
    preset = BY_NAME["direction_aware"]
    readings = {
        "b": {1: Reading(0.9, 0.2)},
        "c": {1: Reading(0.9, 0.1)},
        "a": {1: Reading(0.9, 0.2)},
        "d": {1: Reading(0.8, 0.0)},
        "e": {1: Reading(0.9, None)},
    }
    assert [e.arm for e in presets.rank(preset, readings, (1,), {})] == ["c", "a", "b", "e", "d"]


vectors = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=7)


@given(vectors)
def test_fronts_are_what_nobody_beats_whatever_the_order(rows):
    objectives = FRONTS[0].objectives
    values = {(f"a{i}", ""): [[float(x)] for x in row] for i, row in enumerate(rows)}

    def beats(a, b):
        lower = [(a[0], b[0]), (a[1], b[1]), (-a[2], -b[2])]
        return all(x <= y for x, y in lower) and any(x < y for x, y in lower)

    seen = []
    for order in itertools.islice(itertools.permutations(values), 6):
        made = {p.name: p for p in place(objectives, {k: values[k] for k in order}, {})}
        for i, row in enumerate(rows):
            beaten = any(beats(other, row) for other in rows)
            found = made[f"a{i}", ""]
            assert found.status == ("dominated" if beaten else "front")
            if beaten:
                by = rows[int(found.dominated_by[0][1:])]
                assert beats(by, row)
                assert made[found.dominated_by].status == "front"
        seen.append(made)
    assert all(made == seen[0] for made in seen)


def test_equal_vectors_are_both_on_the_front_and_a_null_is_skipped():
    both = (Objective("fp_cens", "lower"), Objective("macro_f1", "higher"))
    values = {
        ("a", "balanced"): [[0.1, 0.2], [0.9, 0.9]],
        ("b", "balanced"): [[0.2, 0.1], [0.9, 0.9]],
        ("c", "balanced"): [[0.0, None], [1.0, 1.0]],
        ("d", "balanced"): [[0.3, 0.3], [0.5, 0.6]],
    }
    made = {p.name[0]: p for p in place(both, values, {("c", "balanced"): "empty_set"})}
    assert [made[k].status for k in "abcd"] == ["front", "front", "skipped", "dominated"]
    assert made["c"].reason == "empty_set"
    assert not made["d"].clear  # two seeds that differ by luck


def test_clear_needs_an_interval_that_excludes_zero_and_none_against():
    lower = (Objective("fp_cens", "lower"), Objective("fn_in", "lower"))
    noise = [0.001, -0.001, 0.0005, -0.0005, 0.0]
    values = {
        ("a", ""): [[0.1 + x for x in noise], [0.1] * 5],
        ("b", ""): [[0.2 - x for x in noise], [0.1] * 5],
    }
    made = {p.name[0]: p for p in place(lower, values, {})}
    assert made["b"].dominated_by == ("a", "")
    assert made["b"].clear
    # Equal means that are exactly equal speak for neither; one that is worse speaks against.
    values["b", ""][1] = [0.1 + 1e-9] * 5
    values["a", ""][0] = [0.2 - 1e-9 + 10 * x for x in noise]
    values["b", ""][0] = [0.2] * 5
    made = {p.name[0]: p for p in place(lower, values, {})}
    assert (made["b"].status, made["b"].clear) == ("dominated", True)
    values["b", ""][1] = [0.1 + 1e-9 + x for x in noise]
    made = {p.name[0]: p for p in place(lower, values, {})}
    assert (made["b"].status, made["b"].clear) == ("dominated", False)


def test_a_published_point_enters_its_front_once(derived):
    _, found, _ = derived()
    points = [e["point"] for e in found["safety_coverage"]["entries"] if e["arm"] == "constant"]
    assert points == ["balanced", "safety_first", "accuracy_first", "direction_aware"]
    points = [e["point"] for e in found["safety_coverage"]["entries"] if e["arm"] == "tobit"]
    assert points[-1] == "published"
