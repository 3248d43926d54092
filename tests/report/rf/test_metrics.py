"""Metrics of the standard protocol: fixed points, refusal, faults, nulls, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroproofml.report.domains.rf import device, members, metrics, sections
from zeroproofml.report.domains.rf.answers import TestSet as Tests
from zeroproofml.report.domains.rf.pooled import sweep
from zeroproofml.report.errors import FileInvalid
from zeroproofml.scm.cause import Cause

BINS = members.BINS


@pytest.fixture
def measure(rf):
    """(arrays, arm) → metrics of that arm; the nulls are checked to have a reason each."""

    def run(arrays, arm, options=None):
        made = rf.law.seed_metrics(arrays, options or rf.settings, [arm])[arm]
        assert set(made.metrics) == set(rf.law.metrics)
        assert {name for name, x in made.metrics.items() if x is None} == set(made.reasons)
        return made

    return run


@pytest.fixture
def answered(rf, measure):
    """Metrics of an arm that answers this response (n_stable, 288)."""

    def run(response):
        arrays = {**rf.world(), "mlp_abs__response": response.astype(np.complex64)}
        return measure(arrays, "mlp_abs").metrics

    return run


@pytest.fixture
def headed(rf, measure):
    """Metrics of a section arm with these sections (n, 2, 4)."""

    def run(found, arm="scm_rational"):
        world = rf.world()
        return measure({**world, **rf.head(arm, found, world["data__test__omega"])}, arm)

    return run


@pytest.fixture
def exact(rf):
    """Sections of every test device that are the device itself."""
    world = rf.world()
    return rf.exact(world["data__test__design"], world["data__test__delta"])


def each(found, name):
    return [found[f"{name}_{b}"] for b in BINS]


def test_truth_is_the_floor_of_the_error(rf, answered, measure):
    for found in (answered(rf.truth(rf.world())), measure(rf.world(), "oracle").metrics):
        assert each(found, "rel_err_db_p50") == [-120.0] * 4
        assert each(found, "peak_success") == [1.0] * 4
        assert found["false_peak_hallucination_rate"] == 0
        assert found["peak_retention_yield"] == 1


def test_oracle_refuses_exactly_what_has_no_steady_state(rf, measure):
    found = measure(rf.world(), "oracle").metrics
    assert found["bottom_auroc"] == found["bottom_precision"] == 1
    assert found["bottom_recall_neg"] == found["bottom_recall_axis_safe"] == 1
    assert found["excess_aurc"] == found["false_bottom_q5_300"] == found["risk_at_tau"] == 0


def test_answering_zero_is_zero_decibels(rf, measure):
    made = measure(rf.world(), "zero")
    found = made.metrics
    for name in ("rel_err_db_p50", "rel_err_db_p90", "rel_err_db_p50_accepted"):
        assert each(found, name) == [0.0] * 4
    assert found["extrapolation_skill"] == 0
    assert each(found, "peak_success") == [0.0] * 4
    assert found["bottom_recall_neg"] == found["bottom_recall_axis_safe"] == 0
    assert found["extrapolation_mse"] == found["extrapolation_mse_penalised"]
    assert made.reasons["bottom_auroc"] == "not_applicable"
    assert made.reasons["bottom_precision"] == "zero_denominator"


@pytest.mark.parametrize("factor", [0.45, 1.35, 2.5])
def test_scaled_truth(rf, answered, factor):
    found = answered(factor * rf.truth(rf.world()))
    expected = 20 * math.log10(abs(1 - factor))
    for value in each(found, "rel_err_db_p50"):
        assert value == pytest.approx(expected, abs=1e-4)
    assert found["peak_ratio_p50"] == pytest.approx(factor, rel=1e-5)
    assert found["peak_retention_yield"] == 0
    assert found["over_amplitude_rate"] == (factor > 1)
    assert found["false_peak_hallucination_rate"] == 0
    assert found["worst_rel_under_p95"] == pytest.approx(max(0, 1 - factor), abs=1e-5)
    assert found["extrapolation_skill"] == pytest.approx(1 - (1 - factor) ** 2, abs=1e-5)
    assert all(v == pytest.approx(0, abs=1e-3) for v in each(found, "peak_phase_err_deg_p50"))
    for value in each(found, "peak_band_rms_db_p50"):
        assert value == pytest.approx(abs(20 * math.log10(factor)), abs=1e-4)


def test_a_shifted_peak_keeps_its_height_and_fails(rf, answered):
    world = rf.world()
    omega, n = world["data__test__omega"], len(world["data__test__omega"])
    design, delta = world["data__test__design"][:n], world["data__test__delta"][:n]
    # H(ω/(1 + δ)): every peak two half bandwidths further on.
    found = answered(device.response(design, delta, omega / (1 + delta[:, None])))
    assert found["peak_ratio_p50"] == pytest.approx(1, abs=0.01)
    assert each(found, "peak_success") == [0.0] * 4
    assert found["peak_retention_yield"] == 0


def test_an_added_resonance_is_a_false_peak(rf, answered):
    world = rf.world()
    omega, h = world["data__test__omega"], rf.truth(world)
    height = 0.3 * np.abs(h).max(axis=1, keepdims=True)
    x = omega / 4.3
    found = answered(h + height * (0.04j * x) / (1 - x * x + 0.04j * x))
    assert found["false_peak_hallucination_rate"] == 1
    assert found["peak_ratio_p50"] == pytest.approx(1, abs=0.02)


def test_an_exact_head_is_the_device(headed, exact):
    found = headed(exact).metrics
    assert each(found, "rel_err_db_p50") == [-120.0] * 4
    # Coupling shifts δ̂ a little against δ: at the edge, Q = 1000, an exact head may refuse.
    assert each(found, "peak_success") == [1 - v for v in each(found, "false_bottom")]
    assert each(found, "false_bottom")[:3] == [0.0] * 3
    assert all(v < 1e-9 for v in each(found, "pole_err_hbw_p50"))
    assert each(found, "unstable_share") == [0.0] * 4
    assert found["bottom_recall_neg"] == found["bottom_auroc"] == 1
    assert found["false_bottom_q5_300"] == 0
    assert found["gap_rate"] == pytest.approx(0.75, abs=0.05)
    assert found["division_gap_max"] <= 1e-10
    assert found["denominator_log10_ratio_abs_p95"] < 1e-9
    assert found["denominator_min_freq_offset_p95"] == 0
    assert 0 < found["denominator_near_min_width_p50"] < 0.2


def test_refusing_everything_buys_nothing(headed, exact):
    exact[:, 0, 1] = -1.0
    made = headed(exact)
    found = made.metrics
    assert each(found, "rel_err_db_p50") == each(found, "rel_err_db_p90") == [0.0] * 4
    assert found["coverage_rate"] == found["coverage_at_tau"] == 0
    assert found["strict_trigger_rate"] == 1
    assert made.reasons["risk_at_tau"] == made.reasons["in_band_mse"] == "empty_set"
    assert made.reasons["rel_err_db_p50_accepted_in"] == "empty_set"
    assert made.reasons["division_gap_max"] == "empty_set"
    assert found["bottom_recall_neg"] == found["bottom_recall_axis"] == 1
    assert each(found, "peak_success") == [0.0] * 4
    assert found["extrapolation_skill"] == 0
    assert each(found, "unstable_share") == [1.0] * 4


def test_thresholds_are_strict(rf, headed, exact):
    exact[:, :, 1] = 0.5
    tau = sections.TAU_INFER
    exact[:3, 0, 1] = [0.0, np.nextafter(tau, 0), tau]
    assert list(sections.device_cause(exact)[:3] != 0) == [True, True, False]
    assert sections.device_cause(exact)[0] == int(Cause.VALIDITY)
    assert headed(exact).metrics["false_bottom_in"] == 2 / rf.settings["stable"]
    # At τ = 0 only V = 0 is ⊥.
    assert list(sections.device_cause(exact, 0.0)[:3] != 0) == [True, False, False]


def test_a_mode_without_a_pair_is_a_fault(rf, headed, exact):
    exact[:, :, 1] = 0.5
    exact[0, 1, 1], exact[1, 0, 1], exact[2] = 2.0, -2.5, 0.0
    assert list(sections.device_cause(exact)[:4]) == [2, 2, 2, 0]
    assert list(sections.score(exact)[:3]) == [-np.inf] * 3
    found = headed(exact).metrics
    assert found["fault_rate"] == 3 / (4 * rf.settings["stable"])
    assert found["strict_trigger_rate"] == 0
    assert found["coverage_rate"] + found["fault_rate"] == pytest.approx(1)
    assert all(math.isfinite(x) for x in found.values() if x is not None)


def test_a_lane_may_be_bottom_alone(rf, headed, measure, exact):
    exact[:, :, 1] = 0.5
    exact[0, 0, 2] = 1e308  # P overflows where the other mode is large
    exact[0, 0, 3] = 1e308
    found = headed(exact).metrics
    assert 0 < found["fault_rate"] < 1 / (4 * rf.settings["stable"])
    assert found["false_bottom_in"] == 0
    assert found["coverage_rate"] + found["fault_rate"] == pytest.approx(1)
    world = rf.world()
    arrays = {**world, **rf.head("scm_rational", exact, world["data__test__omega"])}
    tests = Tests(arrays, rf.settings)
    lanes = tests.answer("scm_rational").lane_cause
    assert (lanes[0] != 0).any()
    assert (lanes[0] == 0).any()
    assert not (lanes[1:] != 0).any()
    measure(arrays, "rational_plain")


@given(st.integers(0, 10_000), st.floats(0, 1.5))
@settings(max_examples=15)
def test_every_number_lies_in_its_bounds(rf, seed, size):
    world = rf.world()
    found = rf.exact(world["data__test__design"], world["data__test__delta"])
    moved = rf.noisy(found, seed, size)
    arrays = {**world, **rf.head("scm_rational", moved, world["data__test__omega"])}
    arms = ["scm_rational", "rational_plain", "rational_eps", "knn_score", "gate_score"]
    made = rf.law.seed_metrics(arrays, rf.settings, arms)
    for arm in arms:
        for name, value in made[arm].metrics.items():
            low, high = rf.law.metrics[name].bounds
            if value is not None:
                assert math.isfinite(value)
                assert low is None or value >= low
                assert high is None or value <= high
        lanes = [made[arm].metrics[f"{k}_rate"] for k in ("coverage", "strict_trigger", "fault")]
        assert math.fsum(lanes) == pytest.approx(1)
    # On accepted lanes strict division is plain division: what differs is refusal alone.
    assert (made["scm_rational"].metrics["division_gap_max"] or 0) <= 1e-10
    tests = Tests(arrays, rf.settings)
    strict, plain = tests.answer("scm_rational"), tests.answer("rational_plain")
    use = (strict.lane_cause == 0) & (plain.lane_cause == 0)
    assert np.allclose(strict.curve.response[use], plain.curve.response[use], rtol=1e-10)


def test_every_arm_has_every_metric(rf, measure):
    world = rf.world()
    for arm in rf.arms:
        made = measure(world, arm)
        assert all(math.isfinite(x) for x in made.metrics.values() if x is not None)
        poles = arm in (*members.SECTION_ARMS, *members.IDENT_ARMS, *members.SHARED_HEAD, "oracle")
        assert (made.metrics["pole_err_hbw_p50_in"] is None) == (not poles)
        score = arm in (*members.SECTION_ARMS, *members.SCORE_ARMS, "oracle")
        assert (made.metrics["bottom_auroc"] is None) == (not score)
        head = arm in (*members.SECTION_ARMS, *members.SHARED_HEAD)
        assert (made.metrics["denominator_min_abs_p50"] is None) == (not head)
        recall = made.metrics["bottom_recall_neg"]
        assert (recall is None) == (arm in members.IDENT_ARMS)


def test_an_identified_device_without_a_fit_is_bottom(rf, measure):
    made = measure(rf.world(), "ident_aaa")
    n = 4 * rf.settings["ident"]
    assert made.metrics["fault_rate"] == pytest.approx(1 / n)
    assert made.metrics["peak_success_in"] == pytest.approx(1 - 1 / rf.settings["ident"])
    assert made.metrics["rel_err_db_p50_clean"] == -120
    assert made.metrics["rel_err_db_p50_low_noise"] == pytest.approx(-60, abs=1e-3)
    none = {**rf.world()}
    for key in ("sigma0", "sigma3"):
        none[f"ident_aaa__response_{key}"] = none[f"ident_aaa__response_{key}"][:0]
    assert measure(none, "ident_aaa").reasons["rel_err_db_p50_clean"] == "empty_set"


def test_score_arms_refuse_by_their_own_score(rf, measure):
    world = rf.world()
    found = measure(world, "knn_score").metrics
    refused = world["knn_score__score"] < 0
    neg = world["data__test__set"] == members.NEG
    assert found["bottom_recall_neg"] == np.mean(refused[neg])
    assert found["bottom_recall_neg_safe"] is None
    assert found["gap_rate"] is None
    parent, own = (Tests(world, rf.settings).answer(a) for a in ("scm_rational", "knn_score"))
    assert np.array_equal(parent.curve.response, own.curve.response)


@pytest.mark.parametrize("name", ["device_bottom", "device_cause", "lane_bottom"])
def test_a_stored_decision_that_the_sections_do_not_give_is_named(rf, name):
    world = {**rf.world()}
    turned = world[f"two_stage__{name}"].copy()
    turned.flat[0] ^= True
    world[f"two_stage__{name}"] = turned
    with pytest.raises(FileInvalid) as caught:
        rf.law.seed_metrics(world, rf.settings, ["two_stage"])
    assert caught.value.code == "recompute"
    assert caught.value.pointer == f"two_stage__{name}"


def test_members_are_those_of_the_world(rf):
    allowed = rf.law.members(rf.settings, rf.arms)
    stored = {k: v for k, v in rf.world().items() if not k.startswith("data__")}
    assert set(allowed) == set(stored)
    for name, array in stored.items():
        dtype, shape = allowed[name]
        assert np.dtype(dtype) == array.dtype
        assert shape == array.shape


def test_the_sweep_grows_and_meets_the_metrics(rf, measure):
    world = rf.world()
    found = sweep(Tests(world, rf.settings), world["two_stage__sections"])
    assert all(list(rate) == sorted(rate) for rate in found.values())
    at = sections.SWEEP.index(sections.TAU_INFER)
    made = measure(world, "two_stage").metrics
    assert found["recall_neg"][at] == made["bottom_recall_neg"]
    assert found["false_bottom_q1000"][at] == made["false_bottom_q1000"]
    at = sections.SWEEP.index(sections.TAU_SAFE)
    assert found["recall_axis"][at] == made["bottom_recall_axis_safe"]


def test_lost_devices_are_counted_as_if_accepted(rf):
    world = rf.world()
    tests = Tests(world, rf.settings)
    lost = metrics.losses(tests, tests.answer("scm_rational"))
    assert lost[tests.count :].all()
    assert np.array_equal(
        lost[: tests.count] > 0, tests.answer("scm_rational").curve.error_db > -10
    )


def test_the_peak_of_the_grid_is_that_of_a_fine_one(rf):
    world = rf.world()
    tests = Tests(world, rf.settings)
    design, delta = tests.design[: tests.count], tests.delta[: tests.count]
    at, width = tests.devices.peak.omega, tests.devices.half_width
    fine = at[:, None] + width[:, None] * np.linspace(-2, 2, 4001)
    db = 20 * np.log10(np.abs(device.response(design, delta, fine))).max(axis=1)
    assert np.abs(db - tests.devices.peak.db).max() < 0.05
