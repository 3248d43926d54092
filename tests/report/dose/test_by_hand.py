"""Ten curves, every metric of the gate, the sides and the values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zeroproofml.report.domains.dose import conformal, metrics
from zeroproofml.report.domains.dose.answers import Targets
from zeroproofml.report.domains.dose.arms import arms
from zeroproofml.report.domains.dose.thresholds import Point
from zeroproofml.scm.cause import Cause

# label, L, no effect, score, direction, given L, cause
LANES = (
    (0, -11.0, 0, 0.10, -1, -10.0, 0),
    (0, -9.2, 0, 0.80, -1, -9.1, 0),
    (0, -10.0, 0, 0.20, 1, -10.0, 0),
    (1, -8.0, 0, 0.90, 1, -7.75, 0),
    (1, -6.0, 0, 0.70, 1, -4.0, 0),
    (1, -8.75, 0, 0.30, -1, -8.0, 0),
    (1, -5.25, 0, 0.60, 1, -5.0, 0),
    (2, -4.0, 0, 0.00, 1, 0.0, int(Cause.NONFINITE)),
    (2, -3.0, 0, 0.05, 1, -3.0, 0),
    (2, -9.0, 1, 0.40, 1, -6.0, 0),
)
TAKEN = {
    "balanced": 0.5,
    "safety_first": 0.85,
    "accuracy_first": 0.25,
    "direction_aware": 0.65,
    "cost_5": 0.65,
    "cost_20": 0.85,
}


def targets(label, position, flat):
    micro = np.rint(1e6 * np.asarray(position)).astype(np.int32)
    return Targets(np.asarray(label, np.uint8), micro, np.asarray(flat, bool))


@pytest.fixture
def found(make):
    """Metrics of an arm whose answers on calibration, test and one stress set are `LANES`."""
    label, position, flat, score, side, point, cause = zip(*LANES, strict=True)
    pair = targets(label, position, flat), make.answer(score, side, point, cause)
    points = {name: Point(name, t, 0, 0, 6, 4) for name, t in TAKEN.items()}
    return metrics.arm_metrics(arms("standard")["hill_fit"], pair, pair, {"noise2": pair}, points)


def test_rates_costs_and_classes(found):
    expected = {
        "fp_cens": 1 / 6,
        "fn_in": 1 / 4,
        "cost_1_1": 1 / 6 + 1 / 4,
        "cost_5_1": 5 / 6 + 2 / 4,  # at its own threshold: two numbers are right, one is false
        "cost_20_1": 3 / 4,  # at its own threshold: one number, and it is right
        "accept_rate": 0.4,
        "bottom_rate": 0.6,
        "fault_rate": 0.1,
        "swap_rate": 1 / 6,
        "f1_below": 2 / 5,
        "f1_in": 6 / 8,
        "f1_above": 4 / 6,
        "dir_accuracy_refused": 3 / 5,  # the fault is no right side, the false number no refusal
        "fp_border": 1,  # of one: the flat curve at an edge has no L
        "fn_border": 1 / 2,
        "collapse": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["gap_rate"] == found["antipodal_rate"] == "not_applicable"


def test_values(found):
    expected = {
        "finite_mae": (0.25 + 2 + 0.25) / 3,
        "finite_mae_window": (0.25 + 1 + 0.25) / 3,
        "finite_p95": 0.25 + 0.9 * 0.75,  # type 7, of 0.25, 0.25, 1
        "mae_at_50": (0.25 + 1) / 2,
        "mae_at_80": (0.25 + 1 + 0.25 + 0.75) / 4,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["interval_width_90"] == "too_few"


def test_gate_over_all_thresholds(found):
    unsafe = [0, 1 / 2, 1 / 3, 1 / 4, 2 / 5, 2 / 6, 3 / 7, 4 / 8, 5 / 9, 6 / 10]
    precision = [1, 2 / 3, 3 / 4, 4 / 6]
    assert found["auroc_gate"] == pytest.approx((6 + 5 + 4 + 5) / 24)
    assert found["aurc_unsafe"] == pytest.approx(sum(unsafe) / 10)
    assert found["auprc_gate"] == pytest.approx(sum(precision) / 4)


def test_suffixes_are_the_other_points_and_prefixes_the_stress_sets(found):
    assert (found["fp_cens_safety"], found["fn_in_safety"]) == (0, 3 / 4)
    assert (found["fp_cens_accuracy"], found["fn_in_accuracy"]) == (2 / 6, 0)
    assert (found["fp_cens_direction"], found["fn_in_direction"]) == (1 / 6, 2 / 4)
    assert found["fp_cens_published"] == "not_applicable"
    assert (found["noise2_fp_cens"], found["noise2_fp_cens_safety"]) == (1 / 6, 0)
    assert found["outlier_fp_cens"] == "empty_set"


def test_beside_the_oracle():
    mine = {"cost_1_1": 0.5, "finite_mae_window": 0.25, "dir_macro_f1": 0.75}
    oracle = {"cost_1_1": 0.25, "finite_mae_window": 0.125, "dir_macro_f1": 1.0}
    made = metrics.beside_oracle(mine, oracle)
    assert made == {"excess_cost_1_1": 0.25, "mae_ratio_bayes": 2, "excess_dir_macro_f1": 0.25}
    assert set(metrics.beside_oracle(mine, None).values()) == {"missing"}


def test_one_lane_and_all_tied(make):
    points = {name: Point(name, 0.5, 0, 0, 1, 1) for name in TAKEN}
    arm = arms("standard")["hill_fit"]
    one = targets([1], [-7], [0]), make.answer([1], [1], [-7])
    made = metrics.arm_metrics(arm, one, one, {}, points)
    assert (made["auroc_gate"], made["auprc_gate"], made["fp_cens"]) == ("empty_set",) * 3
    assert (made["fn_in"], made["aurc_unsafe"], made["mae_at_50"]) == (0, 0, 0)
    tied = (
        targets([1, 0, 2, 2], [-7, -10, -3, -2], [0] * 4),
        make.answer([1] * 4, [1] * 4, [-7] * 4),
    )
    made = metrics.arm_metrics(arm, tied, tied, {}, points)
    assert (made["auroc_gate"], made["auprc_gate"], made["aurc_unsafe"]) == (0.5, 0.25, 0.75)
    assert made["fp_cens"] == made["accept_rate"] == made["collapse"] == 1


def test_thirds_of_the_window(make):
    cal = targets([1] * 20, [-7.0] * 20, [0] * 20), make.answer([1] * 20, [1] * 20, [-6.875] * 20)
    place = np.array([-7.7, -7.6, -6.4, -6.3])
    test = (
        targets([1] * 4, place, [0] * 4),
        make.answer([1] * 4, [1] * 4, place + np.array([1, 0, 0, 1])),
    )
    assert conformal.thirds(cal, test) == {"potent": 0, "middle": 1, "weak": 0}
