"""Operating points: exhaustive search, budgets, ties, and the exact binomial bound behind them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report import stats
from zeroproofml.report.domains.dose import record, thresholds
from zeroproofml.report.domains.dose.answers import Targets, accept
from zeroproofml.report.domains.dose.arms import DoseArm, Gauge, arms
from zeroproofml.report.domains.dose.thresholds import Point
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.inference import InferenceConfig, gauge_value, strict_inference


def bound(k, n):
    """Clopper and Pearson by bisection on the binomial law itself."""
    if k == n:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if scipy.stats.binom.cdf(k, n, middle) > 0.05 else (low, middle)
    return low


def within(k, n, budget):
    """Counts whose bound is within the budget: so few are improbable at the budget itself."""
    return (k < n) & (scipy.stats.binom.cdf(k, n, budget) <= 0.05)


def lanes(rng, n, levels=None):
    """Scores and labels; with `levels` only so many distinct scores."""
    label = rng.integers(0, 3, n).astype(np.uint8)
    score = (label == 1) * 2.0 + rng.normal(0, 1, n)
    if levels:
        score = np.clip(np.round(score * 2) / 2, -1, levels / 2 - 1.5)
    return score, Targets(label, np.zeros(n, np.int32), np.zeros(n, bool))


def brute(score, y):
    """Every candidate with its counts, by comparing every lane with it."""
    inside = y.label == 1
    found = []
    for t in [-math.inf, *sorted(set(score.tolist())), math.inf]:
        taken = score >= t
        found.append((t, int((taken & ~inside).sum()), int((~taken & inside).sum())))
    return found, int((~inside).sum()), int(inside.sum())


@pytest.mark.parametrize(("n", "levels"), [(60, None), (400, None), (900, 5), (2500, 9)])
def test_an_exhaustive_search_finds_the_same_thresholds(make, n, levels):
    for seed in range(50):
        rng = np.random.default_rng([seed, n])
        score, y = lanes(rng, n, levels)
        got = thresholds.operating_points(make.answer(score, score, score), y)
        score = score.astype(np.float32)
        every, n_c, n_in = brute(score, y)
        for name, weight in (("balanced", 1), ("cost_5", 5), ("cost_20", 20)):
            costs = [weight * fp * n_in + fn * n_c for _, fp, fn in every]
            ties = [t for (t, _, _), cost in zip(every, costs, strict=True) if cost == min(costs)]
            assert got[name].t == ties[(len(ties) - 1) // 2]
        fps, fns = (np.array([entry[i] for entry in every]) for i in (1, 2))
        safe = np.array([entry[0] for entry in every])[within(fps, n_c, 0.01)]
        assert got["safety_first"].t == (safe[0] if len(safe) else None)
        for name, budget in (("accuracy_first", 0.01), ("direction_aware", 0.05)):
            keen = np.array([entry[0] for entry in every])[within(fns, n_in, budget)]
            assert got[name].t == (keen[-1] if len(keen) else None)
        for point in got.values():
            if point.t is not None:
                assert (point.t, point.false_numbers, point.refusals) in every


@given(st.integers(1, 400), st.data())
def test_the_bound_is_the_binomial_one_and_grows_with_the_count(n, data):
    k = data.draw(st.integers(0, n))
    upper = stats.clopper_pearson_upper(k, n)
    assert upper == pytest.approx(bound(k, n), abs=1e-9)
    if k:
        assert upper > stats.clopper_pearson_upper(k - 1, n)
    low, high = stats.clopper_pearson(k, n)
    exact = scipy.stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert (low, high) == (pytest.approx(exact.low, abs=1e-9), pytest.approx(exact.high, abs=1e-9))


def test_nothing_in_n_gives_three_point_seven_over_n():
    low, high = stats.clopper_pearson(0, 30_000)
    assert low == 0
    assert high == pytest.approx(3.69 / 30_000, rel=1e-3)
    with pytest.raises(SCMValueError, match="of 0 is no share"):
        stats.clopper_pearson_upper(0, 0)


def test_a_tie_group_is_never_split(make):
    rng = np.random.default_rng(0)
    score, y = lanes(rng, 3000, levels=5)
    given_ = make.answer(score, score, score)
    assert len(np.unique(given_.score)) <= 5
    for point in thresholds.operating_points(given_, y).values():
        if point.number is not None:
            taken = accept(given_, point.number)
            for value in np.unique(given_.score):
                group = taken[given_.score == value]
                assert group.all() or not group.any()


def test_order_of_lanes_and_scale_of_scores(make):
    rng = np.random.default_rng(3)
    score, y = lanes(rng, 4000)
    first = thresholds.operating_points(make.answer(score, score, score), y)
    order = rng.permutation(len(score))
    moved = Targets(y.label[order], y.micro, y.no_effect)
    shuffled = score[order]
    assert thresholds.operating_points(make.answer(shuffled, shuffled, shuffled), moved) == first
    twice = thresholds.operating_points(make.answer(2 * score, score, score), y)
    for name, point in twice.items():
        assert point == dataclasses.replace(first[name], t=2 * first[name].t)


def test_the_budget_holds_on_fresh_curves(make):
    """6,000 calibration lanes of two normal laws: the true rate is known in closed form."""
    missed = 0
    for seed in range(1000):
        rng = np.random.default_rng([seed, 7])
        label = np.where(np.arange(6000) % 3 == 1, 1, 0).astype(np.uint8)
        score = rng.normal(0, 1, 6000) + 3.0 * (label == 1)
        y = Targets(label, np.zeros(6000, np.int32), np.zeros(6000, bool))
        found = thresholds.Candidates.of(make.answer(score, score, score), y)
        t = found.t[found.safest(0.01)]
        missed += scipy.stats.norm.sf(t) > 0.01
    assert 0 < missed <= 65


def test_lanes_without_a_value_are_refused_at_every_threshold(make):
    score = np.array([0.9, 0.8, 0.0, 0.7, 0.2] * 200)
    label = np.array([1, 1, 1, 0, 0] * 200, np.uint8)
    cause = np.where(score == 0, int(Cause.DIV_ZERO), 0)
    y = Targets(label, np.zeros(1000, np.int32), np.zeros(1000, bool))
    found = thresholds.Candidates.of(make.answer(score, score, score, cause), y)
    assert found.fn[0] == 200
    assert not accept(make.answer(score, score, score, cause), -math.inf)[2]
    assert 0.0 not in found.t


def test_calibration_of_one_kind_has_no_points(make):
    score, y = lanes(np.random.default_rng(0), 50)
    for label in (0, 1):
        one = Targets(np.full(50, label, np.uint8), y.micro, y.no_effect)
        made = thresholds.operating_points(make.answer(score, score, score), one)
        assert not any(point.feasible for point in made.values())


def test_small_sets_are_infeasible_not_lucky(make):
    score, y = lanes(np.random.default_rng(0), 90)
    made = thresholds.operating_points(make.answer(score, score, score), y)
    assert not made["safety_first"].feasible
    assert made["balanced"].feasible


def test_a_threshold_without_a_gauge_is_refused():
    with pytest.raises(SCMValueError, match="a gauge belongs to every projective arm"):
        DoseArm("scm", "headline", "projective", None)
    with pytest.raises(SCMValueError, match="a gauge belongs to every projective arm"):
        DoseArm("mlp", "headline", "distance", Gauge(-7.0, 1.0))
    with pytest.raises(SCMValueError, match="scale > 0"):
        Gauge(-7.0, 0.0)


def test_a_threshold_is_a_limit_in_decades():
    assert Gauge(-7.0, 1.0).limit(0.4472) == pytest.approx(2.000, abs=5e-4)
    assert Gauge(-7.0, 1.0).limit(0.42) == pytest.approx(2.16, abs=5e-3)
    assert Gauge(0.0, 1.0).limit(0.025) == pytest.approx(40, abs=0.02)
    assert Gauge(0.0, 1.0).limit(1.0) == 0


def test_a_change_of_gauge_keeps_values_and_changes_scores():
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=500), rng.normal(size=500)
    (c, s), (c2, s2) = (-7.0, 1.0), (0.0, 2.0)
    # L = c + sP/Q: with Q' = s'Q and P' = sP + (c − c')Q, c' + s'P'/Q' is the same number.
    p2, q2 = s * p + (c - c2) * q, s2 * q
    everything = InferenceConfig(tau_infer=record.accept_all(), gauge="l2")
    first = c + s * strict_inference(p, q, everything).decoded
    second = c2 + s2 * strict_inference(p2, q2, everything).decoded
    assert np.allclose(first, second, rtol=1e-9)
    assert not np.allclose(gauge_value(p, q, "l2"), gauge_value(p2, q2, "l2"), atol=0.05)


def test_what_is_stored_of_points_has_a_reason_for_every_null():
    from zeroproofml.report.contract.base import null_paths

    scm, tobit = arms("standard")["scm_oriented"], arms("standard")["tobit"]
    points = {
        "balanced": Point("balanced", 0.4472135901451111, 3, 1, 100, 50),
        "safety_first": Point("safety_first", None, 0, 0, 100, 50),
        "accuracy_first": Point("accuracy_first", -math.inf, 100, 0, 100, 50),
        "direction_aware": Point("direction_aware", math.inf, 0, 50, 100, 50),
        "published": Point("published", "argmax", 1, 1, 100, 50),
    }
    for arm in (scm, tobit):
        made, reasons = record.diagnostics(arm, points)
        assert set(null_paths({"diagnostics": made})) == set(reasons)
        made, reasons = record.thresholds(arm, points)
        assert set(null_paths({"thresholds": made})) == set(reasons)
    stored = record.diagnostics(scm, points)[0]
    assert stored["gauge"] == {"center": -7.0, "scale": 1.0, "unit": "log10 mol/L"}
    assert stored["operating_points"]["balanced"]["tau_limit_decades"] == pytest.approx(2.0)
    assert stored["operating_points"]["safety_first"]["status"] == "infeasible"
    assert stored["operating_points"]["accuracy_first"]["accept_all"]
    made = record.thresholds(scm, points)[0]
    assert (made["gauge"], made["chosen_on"]) == ("l2", "calibration")
    assert made["tau_train"] >= made["tau_infer"]
    taus = [record.inference_tau(points[name]) for name in ("accuracy_first", "direction_aware")]
    assert taus == [record.accept_all(), 2.0]
    InferenceConfig(tau_infer=taus[0], gauge="l2").effective("float32")
