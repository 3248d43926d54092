"""The decode rule and every metric by hand: small cases, empty sets, ties, order of lanes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report import domains
from zeroproofml.report.domains.dose import conformal, gate, metrics
from zeroproofml.report.domains.dose.answers import Outcome, Targets, accept
from zeroproofml.report.domains.dose.arms import arms
from zeroproofml.report.domains.dose.protocol import points
from zeroproofml.report.domains.ranking import Null
from zeroproofml.scm.cause import Cause

NONFINITE = int(Cause.NONFINITE)


def curves(label, position=None, no_effect=None):
    n = len(label)
    micro = np.zeros(n) if position is None else np.asarray(position) * 1e6
    flat = np.zeros(n, bool) if no_effect is None else np.asarray(no_effect, bool)
    return Targets(np.asarray(label, np.uint8), np.rint(micro).astype(np.int32), flat)


def outcome(make, y, accepted, direction, point=None, cause=None):
    point = y.position if point is None else point
    made = make.answer(np.asarray(accepted, float), direction, point, cause)
    return Outcome(y, made, accept(made, 0.5))


def test_the_decode_rule(make):
    score = np.array([0.5, 0.4999, 0.9, 0.0, 0.7], np.float32)
    cause = [0, 0, NONFINITE, int(Cause.DIV_ZERO), int(Cause.OVERFLOW)]
    made = make.answer(score, [1, -1, -1, 0.0, 1], np.zeros(5), cause)
    y = curves([1, 0, 0, 2, 2])
    assert Outcome(y, made, accept(made, 0.5)).predicted.tolist() == [1, 0, 3, 2, 3]
    assert accept(made, -math.inf).tolist() == [True, True, False, False, False]
    assert not accept(made, math.inf).any()
    assert accept(made, float(score[1])).tolist()[:2] == [True, True]
    assert accept(made, float(np.nextafter(score[1], np.float32(1)))).tolist()[:2] == [True, False]


@pytest.mark.parametrize("t", [0.1, 0.7])
def test_a_wider_copy_of_a_score_moves_no_lane(make, t):
    """As a double 0.1 lies below its own float32 copy, and 0.7 above."""
    made = make.answer([t], [1.0], [-7.0])
    assert float(made.score[0]) != t
    assert accept(made, t).all()
    assert accept(made, float(made.score[0])).all()


def test_a_zero_denominator_is_refused_at_accept_all_and_counted(make, world, settings):
    def some(y, rng):
        made = make.perfect(y, rng)
        cause = np.where(np.arange(len(y)) % 10 == 0, int(Cause.DIV_ZERO), 0).astype(np.uint8)
        return make.answer(made.score, made.direction, made.point, cause)

    found = measured(world, settings, {"scm_oriented": some, "bayes_oracle": "perfect"})
    assert found["scm_oriented"].metrics["fault_rate"] == 0
    assert found["scm_oriented"].metrics["fn_in"] == pytest.approx(0.1, abs=0.03)
    assert found["scm_oriented"].metrics["swap_rate"] == 0
    assert found["scm_oriented"].reasons["mae_at_100"] == "too_few"
    assert "mae_at_80" in found["scm_oriented"].metrics


def measured(world, settings, behaviours, protocol="standard", stress=(), **more):
    law = domains.get("dose", protocol)
    arrays = world(behaviours, protocol=protocol, stress=stress, **more)
    sizes = more.get("sizes") or {
        "cal": len(arrays["data__cal_label"]),
        "test": len(arrays["data__test__label"]),
    }
    return law.seed_metrics(arrays, settings(sizes, stress), list(behaviours))


def test_the_seven_by_hand(make):
    y = curves([0, 0, 1, 1, 1, 2, 2, 2], [-11, -10, -8, -7, -6, -4, -3, -2])
    accepted = [0, 1, 1, 1, 0, 0, 0, 0]
    side = [-1, -1, 1, 1, 1, 1, -1, 1]
    point = y.position + np.array([0, 0, 0.25, -0.5, 0, 0, 0, 0])
    found = metrics.seven(outcome(make, y, accepted, side, point, [0] * 7 + [NONFINITE]))
    assert found["fp_cens"] == 1 / 5
    assert found["fn_in"] == 1 / 3
    assert found["swap_rate"] == 1 / 5
    assert found["accept_rate"] == 3 / 8
    assert found["finite_mae_window"] == 0.375
    # below: 1 hit, 1 taken for it, 1 missed; in: 2, 1, 1; above: 1, 1, 2 (one a fault)
    assert found["macro_f1"] == pytest.approx((2 / 4 + 4 / 6 + 2 / 5) / 3)
    # over the censored alone: the resolvable lane that was sent above does not count
    assert found["dir_macro_f1"] == pytest.approx((2 / 4 + 2 / 4) / 2)


def test_answers_are_clipped_to_the_window_but_not_as_decoded(make):
    y = curves([1, 1, 0], [-6, -8, -11])
    made = outcome(make, y, [1, 1, 0], [1, 1, -1], [40.0, -8.5, -20.0])
    assert metrics.seven(made)["finite_mae_window"] == 0.75
    assert float(np.mean(metrics.errors(made, made.answer.value))) == 23.25


def test_empty_sets_have_their_reasons(make):
    inside = metrics.seven(outcome(make, curves([1, 1]), [1, 1], [1, 1]))
    assert [inside[k] for k in ("fp_cens", "swap_rate", "dir_macro_f1", "macro_f1")] == [
        Null("empty_set")
    ] * 4
    assert inside["fn_in"] == 0
    one_side = metrics.seven(outcome(make, curves([0, 1]), [0, 1], [-1, 1]))
    assert (one_side["dir_macro_f1"], one_side["macro_f1"]) == ("empty_set", "empty_set")
    assert one_side["fp_cens"] == 0
    outside = metrics.seven(outcome(make, curves([0, 2]), [0, 0], [-1, 1]))
    assert (outside["fn_in"], outside["finite_mae_window"]) == ("empty_set", "empty_set")
    assert outside["dir_macro_f1"] == 1
    none = metrics.seven(outcome(make, curves([1, 0]), [0, 0], [1, -1]))
    assert none["finite_mae_window"] == "empty_set"
    f1 = metrics.class_f1(outcome(make, curves([1]), [1], [1]))
    assert f1 == ("zero_denominator", 1.0, "zero_denominator")
    lane = metrics.seven(outcome(make, curves([]), [], []))
    assert set(lane.values()) == {Null("empty_set")}


def test_a_perfect_arm_has_zeros_not_nulls(world, settings):
    found = measured(world, settings, {"tobit": "perfect", "bayes_oracle": "perfect"})["tobit"]
    zero = ("fp_cens", "fn_in", "cost_1_1", "cost_5_1", "cost_20_1", "excess_cost_1_1", "collapse")
    zero += ("finite_mae", "finite_mae_window", "finite_p95", "swap_rate", "fp_border", "fn_border")
    zero += ("fault_rate", "interval_width_90", "excess_dir_macro_f1", "mae_at_100")
    for name in zero:
        assert found.metrics[name] == 0, name
    one = ("macro_f1", "dir_macro_f1", "f1_below", "f1_in", "f1_above", "auroc_gate", "auprc_gate")
    assert [found.metrics[name] for name in (*one, "interval_coverage_90")] == [1] * 8
    assert found.reasons["mae_ratio_bayes"] == "zero_denominator"
    assert set(found.reasons) == {k for k, v in found.metrics.items() if v is None}
    assert set(found.metrics) == set(domains.get("dose").metrics)


def test_a_point_that_nothing_qualifies_for_is_not_applicable(world, settings):
    behaviours = {"two_stage": "silent", "bayes_oracle": "good"}
    found = measured(world, settings, behaviours)["two_stage"]
    assert found.metrics["fn_in"] == 1
    assert found.metrics["fp_cens_safety"] == 0
    assert found.reasons["fn_in_accuracy"] == "not_applicable"
    assert found.reasons["macro_f1_direction"] == "not_applicable"
    assert found.metrics["collapse"] == 1
    assert found.reasons["gap_rate"] == "not_applicable"
    assert found.reasons["noise2_fp_cens"] == "empty_set"


def test_arms_without_tuples_or_probabilities_say_so(world, settings):
    behaviours = {"clamped_mlp": "good", "scm_flat_molar": "good", "bayes_oracle": "good"}
    found = measured(world, settings, behaviours)
    for name in ("antipodal_rate", "gap_rate", "brier", "log_score", "ece"):
        assert found["clamped_mlp"].reasons[name] == "not_applicable"
    assert found["scm_flat_molar"].reasons["gap_rate"] == "not_applicable"
    assert found["scm_flat_molar"].metrics["antipodal_rate"] == 0


def test_gap_and_antipodal_lanes_are_counted(make, world, settings):
    def tuples(y, rng):
        made = make.perfect(y, rng)
        score = np.where(y.in_range, np.where(np.arange(len(y)) % 2 == 0, 0.44, 1.0), 0.01)
        return make.answer(score, made.direction, made.point)

    arrays = world({"scm_oriented": tuples, "bayes_oracle": "perfect"})
    arrays["scm_oriented__test_q"] = -arrays["scm_oriented__test_q"]
    made = settings()
    found = domains.get("dose").seed_metrics(arrays, made, ["scm_oriented"])["scm_oriented"].metrics
    inside = np.mean(arrays["data__test__label"] == 1)
    assert found["accept_rate"] == pytest.approx(inside)
    assert found["gap_rate"] == pytest.approx(inside / 2, abs=0.03)
    assert found["antipodal_rate"] == 1


def test_collapse_is_visible(make, world, settings):
    def one_sided(y, rng):
        made = make.perfect(y, rng)
        return make.answer(made.score, np.ones(len(y)), made.point)

    behaviours = {"scm_original": one_sided, "tobit": "perfect", "bayes_oracle": "perfect"}
    found = measured(world, settings, behaviours)
    assert found["scm_original"].metrics["collapse"] == 1
    assert found["scm_original"].metrics["swap_rate"] > 0.2
    assert found["tobit"].metrics["collapse"] == 0
    assert (
        measured(world, settings, {"constant": "eager", "bayes_oracle": "good"})[
            "constant"
        ].metrics["collapse"]
        == 1
    )


def test_values_do_not_depend_on_the_order_of_lanes(world, settings):
    behaviours = {"tobit": "fair", "scm_dirhead": "good", "bayes_oracle": "good"}
    arrays = world(behaviours, stress=("noise2",))
    first = domains.get("dose").seed_metrics(arrays, settings(stress=("noise2",)), list(behaviours))
    rng = np.random.default_rng(0)
    shuffled = {}
    for where in ("cal", "test", "noise2"):
        n = len(arrays[f"tobit__{where}_score"])
        order = rng.permutation(n)
        for name, x in arrays.items():
            if f"__{where}_" in name:
                shuffled[name] = x[order]
    assert shuffled.keys() == arrays.keys()
    again = domains.get("dose").seed_metrics(
        shuffled, settings(stress=("noise2",)), list(behaviours)
    )
    assert again == first


def test_published_decisions(world, settings):
    behaviours = {
        "clamped_mlp": "eager",
        "tobit": "good",
        "hill_fit": "good",
        "bayes_oracle": "good",
    }
    found = measured(world, settings, behaviours)
    assert found["clamped_mlp"].metrics["fp_cens_published"] == 1
    assert found["hill_fit"].reasons["fp_cens_published"] == "not_applicable"
    assert 0 < found["tobit"].metrics["accept_rate_published"] < 1
    classic = measured(
        world, settings, {"clampedmlp": "eager", "bayes_oracle": "good"}, protocol="classic"
    )["clampedmlp"]
    assert classic.metrics["fp_cens_published"] >= 0.95
    assert classic.reasons["fn_border"] == "empty_set"
    assert classic.reasons["noise2_fp_cens"] == "not_applicable"


def test_border_is_half_a_decade_on_both_sides_of_an_edge():
    y = curves([0, 0, 1, 1, 2, 2], [-9.5, -9.500001, -8.5, -7, -4.6, -4.6], [0, 0, 0, 0, 0, 1])
    assert y.border.tolist() == [True, False, True, False, True, False]


def test_risk_over_coverage_by_hand():
    score = np.array([5.0, 4.0, 4.0, 1.0])
    bad = np.array([False, True, False, True])
    assert gate.unsafe_shares(score, bad).tolist() == [0, 0.25, 1 / 3, 0.5]
    assert gate.auprc(score, ~bad) == pytest.approx((1 + 2 / 3) / 2)
    top = gate.top_share(score, 50)
    assert top.tolist() == [True, True, True, False]
    assert gate.top_share(np.array([1.0, -np.inf]), 100) == "too_few"


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_average_precision_is_that_of_its_definition(rows):
    score = np.array([float(s) for s, _ in rows])
    positive = np.array([p for _, p in rows])
    value = gate.auprc(score, positive)
    if positive.all() or not positive.any():
        assert value == "empty_set"
        return
    total, before = 0.0, 0.0
    for t in sorted(set(score.tolist()), reverse=True):
        taken = score >= t
        recall = (taken & positive).sum() / positive.sum()
        total += (recall - before) * (taken & positive).sum() / taken.sum()
        before = recall
    assert value == pytest.approx(total, abs=1e-12)


def test_probabilities_by_hand(make, world, settings):
    arrays = world({"tobit": "good", "bayes_oracle": "good"})
    n = len(arrays["data__test__label"])
    arrays["tobit__test_prob"] = np.tile(np.float32([0.25, 0.5, 0.25]), (n, 1))
    found = domains.get("dose").seed_metrics(arrays, settings(), ["tobit"])["tobit"].metrics
    label = arrays["data__test__label"]
    inside = np.mean(label == 1)
    brier = np.where(label == 1, 0.375, 0.25**2 + 0.5**2 + 0.75**2)
    assert found["brier"] == pytest.approx(brier.mean())
    log = -(inside * math.log(0.5) + (1 - inside) * math.log(0.25))
    assert found["log_score"] == pytest.approx(log)
    assert found["ece"] == pytest.approx(abs(inside - 0.5))
    arrays["tobit__test_prob"] = np.eye(3, dtype=np.float32)[label]
    found = domains.get("dose").seed_metrics(arrays, settings(), ["tobit"])["tobit"].metrics
    assert (found["brier"], found["log_score"], found["ece"]) == (0, 0, 0)
    arrays["tobit__test_prob"] = np.eye(3, dtype=np.float32)[(label + 1) % 3]
    found = domains.get("dose").seed_metrics(arrays, settings(), ["tobit"])["tobit"].metrics
    assert found["log_score"] == pytest.approx(-math.log(1e-12))


def test_conformal_intervals(make):
    n = 199
    y = curves([1] * n, np.full(n, -7.0))
    given_ = make.answer(np.ones(n), np.ones(n), -7 + np.arange(1, n + 1) / 256)
    assert conformal.half_width(y, given_) == pytest.approx(180 / 256)
    made = conformal.interval((y, given_), (y, given_))
    assert made["interval_coverage_90"] == 180 / 199
    assert made["interval_width_90"] == pytest.approx(360 / 256)
    few = curves([1] * 19, np.full(19, -7.0))
    short = make.answer(np.ones(19), np.ones(19), np.full(19, -7.0))
    assert conformal.interval((few, short), (y, given_))["interval_width_90"] == "too_few"
    lost = make.answer(np.ones(n), np.ones(n), np.full(n, -7.0), np.full(n, NONFINITE))
    made = conformal.interval((y, lost), (y, lost))
    assert (made["interval_coverage_90"], made["interval_width_90"]) == (0, "infinite")


def test_class_sets_keep_their_coverage(make, world):
    arrays = world({"tobit": "fair"}, sizes={"cal": 4000, "test": 4000})
    from zeroproofml.report.domains.dose import answers

    cal, test = (
        (answers.targets(arrays, w), answers.answer(arrays, "tobit", w)) for w in ("cal", "test")
    )
    found = conformal.class_sets(cal, test)
    assert found["coverage_in_range"] == pytest.approx(0.95, abs=0.02)
    assert found["coverage_censored"] == pytest.approx(0.95, abs=0.02)
    assert min(found["empty"], found["ambiguous"]) == 0
    # 39 of each class: the second lowest of one and the second highest of the other.
    y, score = curves([1] * 39 + [0] * 39), np.r_[np.arange(39), np.arange(39) - 30.0]
    given_ = make.answer(score, score, score)
    probe = make.answer([0.9, 1, 7, 7.1], np.ones(4), np.ones(4))
    made = conformal.class_sets((y, given_), (curves([1, 1, 0, 0]), probe))
    assert (made["coverage_in_range"], made["coverage_censored"]) == (0.5, 0.5)
    tiny = (curves([1, 0]), make.answer([1, 0], [1, -1], [-7, -7]))
    assert conformal.class_sets(tiny, tiny)["ambiguous"] == 1


def test_points_of_an_arm_are_those_of_its_calibration_curves(world):
    from zeroproofml.report.domains.dose import answers

    arrays = world({"scm_oriented": "fair"})
    arm = arms("standard")["scm_oriented"]

    def made(arrays):
        return points(
            arm, answers.answer(arrays, "scm_oriented", "cal"), answers.targets(arrays, "cal")
        )

    first = made(arrays)
    rng = np.random.default_rng(0)
    arrays["scm_oriented__test_score"] = rng.random(1000).astype(np.float32)
    arrays["data__test__label"] = rng.integers(0, 3, 1000).astype(np.uint8)
    assert made(arrays) == first
