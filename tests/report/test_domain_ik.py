"""Metrics of the IK domain from stored arrays: fixed points, null codes, ranks, thresholds, claims.

The worlds here are made of random matrices with chosen singular values: the reader needs no robot.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report import claims as judgement
from zeroproofml.report import domains
from zeroproofml.report.contrasts import Value
from zeroproofml.report.domains import ranking
from zeroproofml.report.domains.ik import metrics, paths, rows, standard
from zeroproofml.report.domains.ranking import Null
from zeroproofml.scm.cause import Cause

GAIN = 10.0
JOINTS = {"r2": 2, "ur5": 6}
COUNTS = {0: 2000, 1: 40, 2: 40, 3: 40, 4: 40, 5: 40, 6: 2000, 7: 80, 8: 80, 9: 80, 10: 80}
SIGMA = {0: (-3, 0), 1: (-5, -4), 2: (-4, -3), 3: (-3, -2), 4: (-2, -1), 5: (-0.9, 0), 6: (-3, 0)}
SETTINGS = {"robots": {"r2": {}, "ur5": {}}}


def orthogonal(rng, count, n):
    return np.linalg.qr(rng.standard_normal((count, n, n)))[0]


def best(jac, e):
    """The best limited answer, by plain bisection on the damping."""
    u, s, vt = np.linalg.svd(jac)
    along = np.einsum("nji,nj->ni", u, e)
    s = np.where(s < 1e-12, 0, s)
    low, high = np.full(len(s), -40.0), np.full(len(s), 5.0)

    def answer(log_mu):
        mu = np.exp(log_mu)[:, None]
        return np.einsum("nij,ni->nj", vt, s * along / (s * s + mu))

    with np.errstate(divide="ignore", invalid="ignore"):
        free = np.einsum("nij,ni->nj", vt, np.where(s > 0, along / s, 0))
    for _ in range(60):
        middle = 0.5 * (low + high)
        long = np.linalg.norm(answer(middle), axis=1) > GAIN
        low, high = np.where(long, middle, low), np.where(long, high, middle)
    fits = np.linalg.norm(free, axis=1) <= GAIN
    return np.where(fits[:, None], free, answer(high))


def world(seed=1, robots=("r2", "ur5")):
    """Data members of both robots, and the arms ideal, zero and label_tuple."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for robot in robots:
        n = JOINTS[robot]
        jac, e, sets, label, pair = [], [], [], [], []
        for code, count in COUNTS.items():
            half = count // 2
            sigma = rng.uniform(0.3, 1.2, (count, n))
            u, v = orthogonal(rng, count, n), orthogonal(rng, count, n)
            command = rng.standard_normal((count, n))
            kind, number = np.zeros(count, int), np.full(count, -1)
            if code < 7:
                sigma[:, -1] = 10 ** rng.uniform(*SIGMA[code], count)
            elif code == 7:
                sigma[:, -1] = 0
                kind = np.where(np.arange(count) < half, 1, 2)
                out = u[:, :, -1]
                inside = command - np.sum(out * command, 1, keepdims=True) * out
                command = np.where(kind[:, None] == 1, command + 3 * out, inside)
            else:
                sigma[:half, -1] = 0.01
                sigma[half:] = sigma[:half]
                u[half:], v[half:], command[half:] = u[:half], v[:half], command[:half]
                u[half:, :, -1] *= -1  # the determinant changes its sign across the pole
                command[:] = np.where(
                    np.abs(np.sum(u[:, :, -1:] * command[:, :, None], 1)) < 0.5,
                    command + u[:, :, -1] * np.r_[[1] * half, [-1] * half][:, None],
                    command,
                )
                number = np.tile(np.arange(half), 2) + (code - 8) * half
            jac.append(np.einsum("nij,nj,nkj->nik", u, sigma, v))
            e.append(command / np.linalg.norm(command, axis=1, keepdims=True))
            sets.append(np.full(count, code))
            label.append(kind)
            pair.append(number)
        jac, e, sets, label, pair = map(np.concatenate, (jac, e, sets, label, pair))
        det = np.where(sets == 7, 0, np.linalg.det(jac))
        with np.errstate(all="ignore"):
            p = np.linalg.solve(jac + 1e-9 * (sets == 7)[:, None, None] * np.eye(n), e[:, :, None])
        p = p[:, :, 0] * det[:, None]
        out = np.random.default_rng(0).standard_normal(p.shape)
        p = np.where((label == 1)[:, None], out, np.where((label == 2)[:, None], 0, p))
        key = f"data__{robot}_"
        arrays |= {
            key + "jac": jac,
            key + "e": e,
            key + "set": sets.astype(np.int8),
            key + "label": label.astype(np.int8),
            key + "pair": pair.astype(np.int32),
            key + "sigma": np.linalg.svd(jac, compute_uv=False),
            key + "det": det,
            key + "kappa": np.ones(1),
        }
        arrays |= rates("ideal", robot, best(jac, e), score=arrays[key + "sigma"][:, -1])
        arrays |= rates("zero", robot, np.zeros_like(e))
        arrays |= tuples("label_tuple", robot, p, det)
    return arrays


def rates(arm, robot, y, score=None, cause=None):
    key = f"{arm}__{robot}_"
    cause = np.zeros(len(y), np.uint8) if cause is None else cause
    out = {key + "y": y, key + "cause": cause}
    return out if score is None else out | {key + "score": score.astype(np.float32)}


def tuples(arm, robot, p, q):
    key = f"{arm}__{robot}_"
    _, cause = rows.decode(p, q, 1.0)
    return {key + "p": p, key + "q": q, key + "cause": cause, key + "score": rows.tuple_score(p, q)}


def measure(arrays, arm, robot="r2"):
    return standard.seed_metrics(arrays, {"robots": {robot: {}}}, [arm])[arm]


@pytest.fixture(scope="module")
def arrays():
    return world()


def test_law_is_complete_and_within_its_bounds():
    law = domains.get("ik")
    assert (law.domain, law.name, law.version) == ("ik", "standard", 1)
    assert law.metric_set == ("ik_standard", 1)
    assert law.reference_arm == "mlp_pole"
    assert law.required_arms == ("ideal",)
    assert dict(law.seeds) == {"contract": 1, "smoke": 2, "paper": 10}
    assert len(law.declared_metrics) <= 12
    assert set(law.declared_metrics) <= set(law.metrics)
    arms = {arm.key for arm in law.arms}
    assert arms == {
        "mlp_pole",
        "rational_eps",
        "eps_ensemble",
        "scm_basic",
        "scm_full",
        "scm_chordal",
        "tsvd",
        "dls",
        "dls_manip",
        "sdls",
        "zero",
        "mean",
        "inverse",
        "label_tuple",
        "ideal",
    }
    for claim in law.claims:
        assert claim.metric in law.metrics
        assert {claim.arm, claim.comparator} <= arms | {None}
        assert claim.eligible_modes == ("paper",)
        assert claim.min_seeds == 10
    assert judgement.family_size(law.claims) == 12


def test_settings_are_the_table_of_the_protocol():
    law = domains.get("ik")
    names = ("train", "cal", "strata", "natural", "pole", "flips", "paths", "path_steps", "steps")
    table = {
        ("contract", "r2"): (2000, 400, 40, 400, 80, 40, 4, 60, 20),
        ("contract", "ur5"): (500, 400, 40, 400, 80, 40, 4, 60, 5),
        ("smoke", "r2"): (20000, 4000, 200, 2000, 400, 200, 16, 300, 1500),
        ("smoke", "ur5"): (4000, 4000, 200, 2000, 400, 200, 16, 300, 100),
        ("paper", "r2"): (20000, 4000, 500, 4000, 1000, 500, 48, 600, 6000),
        ("paper", "ur5"): (20000, 4000, 500, 4000, 1000, 500, 48, 600, 10000),
    }
    for (mode, robot), sizes in table.items():
        assert law.settings[mode]["robots"][robot] == dict(zip(names, sizes, strict=True))


def test_the_claims_are_those_of_the_protocol():
    claims = {claim.id: claim for claim in domains.get("ik").claims}
    margins = {key: (claim.kind, claim.metric, claim.margin) for key, claim in claims.items()}
    assert margins == {
        "sanity_ideal_r2": ("every_seed", "r2_skill_natural", 0),
        "sanity_ideal_ur5": ("every_seed", "ur5_skill_natural", 0),
        "pole_found": ("bound", "r2_tpr_pole", 0),
        "pole_not_invented": ("bound", "r2_fpr_pole", 0),
        "side_known": ("superiority", "r2_flip_d003", 0.05),
        "kind_known": ("bound", "r2_auroc_by_range", 0),
        "regular_r2": ("superiority", "r2_skill_d1", 0.02),
        "crossing_r2": ("superiority", "r2_path_rmse_hyb10", 0.0005),
        "regular_ur5": ("superiority", "ur5_skill_d1", 0.02),
        "routing_ur5": ("superiority", "ur5_routing_skill_20", 0.2),
        "detector_ur5": ("noninferiority", "ur5_auroc_near", 0.03),
        "hybrid_ur5": ("noninferiority", "ur5_skill_natural_hyb20", 0.02),
        "ungated_ur5": ("superiority", "ur5_skill_natural", 0),
        "harmless_ur5": ("bound", "ur5_skill_near", 0),
    }
    bounds = {key: claim.bound for key, claim in claims.items() if claim.bound is not None}
    assert bounds == {
        "sanity_ideal_r2": 1 - 1e-9,
        "sanity_ideal_ur5": 1 - 1e-9,
        "pole_found": 0.99,
        "pole_not_invented": 0.02,
        "kind_known": 0.99,
        "harmless_ur5": 0,
    }


@pytest.mark.parametrize("robot", ["r2", "ur5"])
def test_fixed_points(arrays, robot):
    ideal = measure(arrays, "ideal", robot).metrics
    zero = measure(arrays, "zero", robot).metrics
    true = measure(arrays, "label_tuple", robot)
    for name in ("natural", "d5", "d4", "d3", "d2", "d1", "pole"):
        assert ideal[f"{robot}_skill_{name}"] == pytest.approx(1, abs=1e-12)
        assert zero[f"{robot}_residual_{name}"] == pytest.approx(1, abs=1e-12)
        assert zero[f"{robot}_skill_{name}"] == pytest.approx(0, abs=1e-12)
        assert zero[f"{robot}_harm_{name}"] == 0
    for name in ("q_rank", "q_sign", "auroc_by_range", "tpr_pole", "flip_d003", "flip_d010"):
        assert true.metrics[f"{robot}_{name}"] == pytest.approx(1, abs=1e-12), name
    assert set(ideal) == {name for name in domains.get("ik").metrics if name.startswith(robot)}


def test_an_arm_that_refuses_all(arrays):
    n = len(arrays["data__r2_e"])
    made = arrays | tuples("scm_full", "r2", np.ones((n, 2)), np.zeros(n))
    found = measure(made, "scm_full")
    value, reason = found.metrics, found.reasons
    for name in ("natural", "d5", "d1", "pole"):
        assert value[f"r2_coverage_{name}"] == 0
        assert value[f"r2_residual_acc_{name}"] is None
        assert reason[f"r2_residual_acc_{name}"] == "empty_set"
        assert value[f"r2_residual_{name}"] == 1
    assert value["r2_skill_natural_stop"] == 0
    for b in ("05", "10", "20"):
        assert value[f"r2_route_rate_{b}"] == 0
        for name in ("recovered", "recovered_sigma", "recovered_best", "routing_skill"):
            assert reason[f"r2_{name}_{b}"] == "empty_set"
    assert reason["r2_q_rank"] == "degenerate"
    assert reason["r2_exact_p95"] == "empty_set"


def test_an_arm_without_a_score_has_no_gate(arrays):
    found = measure(arrays, "zero")
    for name in (
        "coverage_natural",
        "skill_natural_stop",
        "skill_natural_hyb20",
        "tpr_pole",
        "auroc_near",
        "q_rank",
        "q_sign",
        "recovered_10",
        "route_rate_10",
        "label_accuracy",
    ):
        assert found.reasons[f"r2_{name}"] == "not_applicable"
    assert found.reasons["r2_path_rmse"] == "not_applicable"


def test_ideal_cannot_recover_anything(arrays):
    found = measure(arrays, "ideal")
    for b in ("05", "10", "20"):
        for name in ("recovered", "recovered_sigma", "recovered_best", "routing_skill"):
            assert found.reasons[f"r2_{name}_{b}"] == "zero_denominator"
    assert found.reasons["r2_auroc_by_range"] == "not_applicable"


def test_empty_sets_and_too_few_rows(arrays):
    keep = ~np.isin(arrays["data__r2_set"], (1, 8, 9, 10)) & (arrays["data__r2_label"] != 1)
    keep &= (arrays["data__r2_sigma"][:, -1] >= 1e-2) | (arrays["data__r2_set"] != 6)
    fewer = {name: x[keep] if len(x) == len(keep) else x for name, x in arrays.items()}
    found = measure(fewer, "label_tuple")
    assert found.reasons["r2_residual_d5"] == "empty_set"
    assert found.reasons["r2_skill_d5"] == "empty_set"
    assert found.reasons["r2_harm_d5"] == "empty_set"
    assert found.reasons["r2_flip_d003"] == "too_few"
    assert found.reasons["r2_auroc_near"] == "empty_set"
    assert found.reasons["r2_auroc_pole"] == "empty_set"
    assert found.reasons["r2_auroc_by_range"] == "empty_set"
    assert found.reasons["r2_tpr_pole"] == "empty_set"
    assert found.reasons["r2_label_accuracy"] == "empty_set"
    assert found.metrics["r2_skill_near"] is not None


def test_skill_is_degenerate_where_nothing_can_be_won():
    assert metrics.skill(np.array([0.5]), np.array([1.0])) == "degenerate"
    assert metrics.skill(np.array([]), np.array([])) == "empty_set"


def test_a_fault_is_counted_and_disturbs_no_other_arm(arrays):
    n = len(arrays["data__r2_e"])
    p, q = arrays["label_tuple__r2_p"].copy(), arrays["label_tuple__r2_q"].copy()
    broken = np.flatnonzero(arrays["data__r2_set"] == 6)[:3]
    p[broken], q[broken] = 0, 0
    made = arrays | tuples("scm_full", "r2", p, q)
    made["scm_full__r2_cause"][broken] = Cause.NONFINITE
    both = standard.seed_metrics(made, {"robots": {"r2": {}}}, ["scm_full", "label_tuple"])
    assert both["scm_full"].metrics["r2_faults"] == 3
    assert both["label_tuple"] == measure(arrays, "label_tuple")
    assert both["label_tuple"].metrics["r2_faults"] == 0
    answered = rows.answer(made, "scm_full", "r2", 1.0)
    assert (answered.cause[broken] == Cause.NONFINITE).all()
    assert (answered.y[broken] == 0).all()
    assert len(answered.y) == n


def test_a_gate_that_routes_every_row_is_ideal(arrays):
    """τ_b is a quantile of cal: a score that is lower on every test row routes them all."""
    cal = arrays["data__r2_set"] == 0
    y = np.random.default_rng(0).standard_normal(arrays["data__r2_e"].shape)
    made = arrays | rates("mlp_pole", "r2", y, np.where(cal, np.arange(len(cal)), -1.0))
    found = measure(made, "mlp_pole").metrics
    for name in ("natural", "d5", "d4", "d3", "d2", "d1", "pole"):
        assert found[f"r2_skill_{name}_hyb20"] == pytest.approx(1, abs=1e-12)
    assert found["r2_route_rate_20"] == 1
    assert found["r2_recovered_20"] == pytest.approx(1, abs=1e-12)
    assert found["r2_coverage_natural"] == 0


def test_thresholds_use_calibration_rows_only(arrays):
    def limits(made):
        view = rows.RobotRows(made, "r2")
        found = rows.answer(made, "scm_full", "r2", view.kappa)
        return rows.thresholds(found, view.cal, view.regular, view.det)

    p, q = arrays["label_tuple__r2_p"].copy(), arrays["label_tuple__r2_q"].copy()
    first = limits(arrays | tuples("scm_full", "r2", p, q))
    test = arrays["data__r2_set"] != 0
    rng = np.random.default_rng(1)
    p[test] = rng.standard_normal(p[test].shape) * 100
    q[test] = -rng.standard_normal(q[test].shape)
    assert limits(arrays | tuples("scm_full", "r2", p, q)) == first
    p[np.flatnonzero(~test)[:30]] *= 3
    q[np.flatnonzero(~test)[:30]] *= 3
    assert limits(arrays | tuples("scm_full", "r2", p, q)) != first


def test_thresholds_are_the_declared_quantiles(arrays):
    view = rows.RobotRows(arrays, "r2")
    found = rows.answer(arrays, "label_tuple", "r2", 1.0)
    made = rows.thresholds(found, view.cal, view.regular, view.det)
    score = np.abs(arrays["label_tuple__r2_q"])
    cal = arrays["data__r2_set"] == 0
    regular = cal & (arrays["data__r2_sigma"][:, -1] >= 1e-2)
    assert made.pole == np.quantile(score[regular], 0.01)
    assert made.budget == {b: np.quantile(score[cal], b) for b in (0.05, 0.10, 0.20)}
    near = cal & (score < made.budget[0.20])
    size = np.linalg.norm(arrays["label_tuple__r2_p"], axis=1)
    assert made.size == np.quantile(size[near], 0.10)
    assert made.sign == 1


def test_residual_applies_the_limit_and_bottom_stands_still(arrays):
    view = rows.RobotRows(arrays, "r2")
    y = np.full_like(arrays["data__r2_e"], 300.0)
    limited = y * (10 / np.linalg.norm(y, axis=1, keepdims=True))
    expected = [
        np.linalg.norm(j @ r - e)
        for j, r, e in zip(arrays["data__r2_jac"], limited, arrays["data__r2_e"], strict=True)
    ]
    assert np.allclose(view.residual(y), expected, rtol=1e-12)
    assert view.residual(0 * y) == pytest.approx(1.0)


def test_recovered_compares_equal_shares(arrays):
    """By hand: four rows, gains 4, 3, 2, 1 of which two are routed."""
    gain = np.array([4.0, 3.0, 2.0, 1.0])
    assert metrics.recovered(gain, np.array([True, False, False, True])) == 0.5
    assert metrics.recovered(gain, ranking.lowest(-gain, 2)) == 0.7
    assert metrics.recovered(np.zeros(4), np.ones(4, dtype=bool)) == "zero_denominator"
    n = len(arrays["data__r2_e"])
    score = np.random.default_rng(0).random(n)
    found = measure(arrays | rates("mlp_pole", "r2", np.zeros((n, 2)), score), "mlp_pole").metrics
    own, oracle = found["r2_recovered_20"], found["r2_recovered_best_20"]
    assert found["r2_routing_skill_20"] == pytest.approx((own - 0.2) / (oracle - 0.2))
    assert abs(found["r2_routing_skill_20"]) < 0.35  # a score that knows nothing


def test_flips_need_both_ends_right(arrays):
    y = arrays["ideal__r2_y"].copy()
    assert measure(arrays | rates("dls", "r2", y), "dls").metrics["r2_flip_d010"] == 1
    ends = np.flatnonzero(arrays["data__r2_set"] == 9)
    y[ends[40:50]] *= -1  # ten − ends turn the wrong way
    value = measure(arrays | rates("dls", "r2", y), "dls").metrics["r2_flip_d010"]
    assert value == pytest.approx(30 / 40)
    y[ends] = 0
    assert measure(arrays | rates("dls", "r2", y), "dls").metrics["r2_flip_d010"] == 0


def test_a_negated_gauge_keeps_its_sign_metric(arrays):
    p, q = -arrays["label_tuple__r2_p"], -arrays["label_tuple__r2_q"]
    found = measure(arrays | tuples("scm_full", "r2", p, q), "scm_full").metrics
    assert found["r2_q_sign"] == 1
    assert found["r2_skill_d1"] == pytest.approx(
        measure(arrays, "label_tuple").metrics["r2_skill_d1"]
    )


def test_label_accuracy_weighs_the_classes_equally(arrays):
    p, q = arrays["label_tuple__r2_p"].copy(), arrays["label_tuple__r2_q"].copy()
    full = measure(arrays, "label_tuple").metrics["r2_label_accuracy"]
    by_range = np.flatnonzero(arrays["data__r2_label"] == 2)
    p[by_range[:20]] = 1.0  # half of the class is now read as out of range
    half = measure(arrays | tuples("scm_full", "r2", p, q), "scm_full").metrics["r2_label_accuracy"]
    assert half == pytest.approx(full - 0.5 / 3)


def test_row_cause_is_the_or_with_null_only_if_every_lane_has_it():
    null = Cause.DIV_ZERO | Cause.NULL_TUPLE
    lanes = np.array([[null, null], [null, Cause.DIV_ZERO], [0, Cause.THRESHOLD], [0, 0]], np.uint8)
    assert rows.row_cause(lanes).tolist() == [null, Cause.DIV_ZERO, Cause.THRESHOLD, 0]


def test_path_metrics_by_hand():
    error = np.array([[0, 0.3, 0.4, 0.009], [0, 0, 0, 0.02]])
    state = np.array([[0, 1, 1, 0], [2, 2, 4, 5]], np.uint8)
    found = paths.of_paths(error, state)
    assert found["rmse"] == pytest.approx(math.sqrt((0.09 + 0.16 + 0.009**2 + 0.0004) / 8))
    assert found["max_p50"] == pytest.approx(0.21)
    assert found["complete"] == 0.5
    assert found["routed"] == 3 / 8
    assert found["saturated"] == 2 / 8
    assert found["switches"] == pytest.approx(4 / (8 / 200))
    none = paths.of_paths(np.zeros((0, 5), np.float32), np.zeros((0, 5), np.uint8))
    assert set(none.values()) == {Null("empty_set")}


some = st.lists(st.integers(-5, 5).map(float), min_size=5, max_size=40)


@given(some, some)
def test_auroc_is_the_mann_whitney_statistic(positive, negative):
    expected = scipy.stats.mannwhitneyu(positive, negative).statistic
    value = ranking.auroc(np.array(positive), np.array(negative))
    assert value == pytest.approx(expected / (len(positive) * len(negative)), abs=1e-12)


@given(some)
def test_midranks_and_spearman_are_scipy_s(x):
    x = np.array(x)
    y = np.roll(x, 1) + 0.5 * x
    assert np.array_equal(ranking.midranks(x), scipy.stats.rankdata(x))
    value = ranking.spearman(x, y)
    if len(set(x.tolist())) == 1 or len(set(y.tolist())) == 1:
        assert value == "degenerate"
    else:
        assert value == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


@given(some, st.floats(0, 1))
def test_quantile_is_type_seven(x, level):
    assert ranking.quantile(np.array(x), level) == np.quantile(x, level)


def test_auroc_needs_five_rows_of_each_class():
    assert ranking.auroc(np.zeros(4), np.zeros(9)) == "empty_set"
    assert ranking.auroc(np.zeros(5), np.zeros(5)) == 0.5


def test_a_tuple_arm_s_stop_is_strict_inference_at_its_threshold(arrays):
    from zeroproofml.scm.inference import InferenceConfig, strict_inference

    view = rows.RobotRows(arrays, "ur5")
    found = rows.answer(arrays, "label_tuple", "ur5", 1.0)
    limits = rows.thresholds(found, view.cal, view.regular, view.det)
    lanes = strict_inference(found.p, found.q, InferenceConfig(tau_infer=limits.pole)).cause
    assert np.array_equal(rows.stop_cause(found, limits), rows.row_cause(lanes))
    q = np.repeat(found.q[:, None], 6, axis=1)  # one Q per output: the l2 gauge decides
    each = dataclasses.replace(found, q=q, score=rows.tuple_score(found.p, q))
    own = rows.thresholds(each, view.cal, view.regular, view.det)
    lanes = strict_inference(found.p, q, InferenceConfig(tau_infer=own.pole, gauge="l2")).cause
    assert np.array_equal(rows.stop_cause(each, own), rows.row_cause(lanes))


@pytest.fixture(scope="module")
def seeds():
    return {seed: world(seed) for seed in range(1, 11)}


def synthetic(seeds, tuple_arm):
    """Values of a run in which scm_full is `tuple_arm` and mlp_pole a damped guess."""
    values = {}
    for seed, made in seeds.items():
        rng, run = np.random.default_rng(seed), dict(made)
        for robot in ("r2", "ur5"):
            e = made[f"data__{robot}_e"]
            if tuple_arm == "zero":
                run |= tuples("scm_full", robot, np.zeros_like(e), np.ones(len(e)))
            else:
                key = f"{tuple_arm}__{robot}_"
                run |= tuples("scm_full", robot, made[key + "p"], made[key + "q"])
            # A random part of the best answer, and a score that knows nothing.
            y = made[f"ideal__{robot}_y"] * rng.random((len(e), 1))
            flip = made[f"data__{robot}_set"] == 8
            y = np.where(flip[:, None], -y, y)
            run |= rates("mlp_pole", robot, y, rng.random(len(y)))
            for arm, error in (("scm_full", 0.001), ("mlp_pole", 0.004)):
                noise = error * (1 + 0.1 * rng.random((4, 20)))
                run[f"{arm}__{robot}_path_err_hyb10"] = noise.astype(np.float32)
                run[f"{arm}__{robot}_path_state_hyb10"] = np.zeros((4, 20), np.uint8)
        found = standard.seed_metrics(run, SETTINGS, ["scm_full", "mlp_pole", "ideal"])
        for arm, numbers in found.items():
            for name, number in numbers.metrics.items():
                value = Value(number, numbers.reasons.get(name))
                values.setdefault(arm, {}).setdefault(name, {})[seed] = value
    return values


def verdicts(values, mode="paper"):
    law = domains.get("ik")
    circumstances = judgement.Circumstances(
        mode, "standard", "cpu", tuple(range(1, 11)), False, False, law.metrics, values
    )
    return {made.id: made.verdict for made in judgement.judge(law.claims, circumstances).results}


def test_every_claim_can_be_supported(seeds):
    found = verdicts(synthetic(seeds, "label_tuple"))
    assert set(found.values()) == {"SUPPORTED"}, found


def test_standing_still_is_refuted(seeds):
    found = verdicts(synthetic(seeds, "zero"))
    for claim in ("regular_r2", "regular_ur5", "ungated_ur5", "hybrid_ur5", "side_known"):
        assert found[claim] == "REFUTED"
    assert found["pole_found"] == "REFUTED"
    assert found["sanity_ideal_r2"] == "SUPPORTED"


@pytest.mark.parametrize("mode", ["contract", "smoke"])
def test_small_modes_are_ineligible(seeds, mode):
    one = {
        arm: {name: dict(list(by.items())[:1]) for name, by in found.items()}
        for arm, found in synthetic(dict(list(seeds.items())[:1]), "label_tuple").items()
    }
    assert set(verdicts(one, mode).values()) == {"INELIGIBLE"}
