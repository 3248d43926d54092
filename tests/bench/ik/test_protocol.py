"""A whole seed: members, equal bytes, fixed points, decoding, failed arms, what smoke must learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zeroproofml.benchmarks import results, threads
from zeroproofml.benchmarks.domains import ik, producer
from zeroproofml.benchmarks.domains.ik import protocol, training
from zeroproofml.report.domains.ik.rows import row_cause
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import TrainingError
from zeroproofml.scm.inference import InferenceConfig, strict_inference

SETS = ("natural", "d5", "d4", "d3", "d2", "d1", "pole")


def metrics_of(law, settings, output):
    arms = [key for key, made in output.arms.items() if made.status == "ok"]
    return law.seed_metrics(output.arrays, settings, arms)


@pytest.fixture(scope="module")
def contract(law, produced):
    settings, output = produced()
    return settings, output, metrics_of(law, settings, output)


def test_the_producer_is_found_by_name():
    assert producer("ik") is protocol.produce
    assert ik.__doc__


def test_output_is_what_the_law_allows(law, contract):
    settings, output, _ = contract
    arms = [arm.key for arm in law.arms]
    results.check_output(law, {"settings": settings}, output, arms)
    assert set(output.arrays) == set(law.members(settings, arms))
    names = {
        f"{r}_{s}"
        for r in ("r2", "ur5")
        for s in ("train", "cal", "strata", "natural", "pole", "flips", "paths")
    }
    assert set(output.datasets) == names
    assert all(np.isfinite(x).all() for x in output.arrays.values())


def test_every_arm_has_every_metric_and_a_reason_for_each_null(law, contract):
    for found in contract[2].values():
        assert set(found.metrics) == set(law.metrics)
        assert {name for name, x in found.metrics.items() if x is None} == set(found.reasons)
        assert all(math.isfinite(x) for x in found.metrics.values() if x is not None)


def test_result_fits_the_contract(law, contract):
    _, output, _ = contract
    for key, made in output.arms.items():
        nulls = {
            f"diagnostics.robots.{robot}.{name}"
            for robot, found in made.diagnostics["robots"].items()
            for name, value in found.items()
            if value is None
        }
        nulls |= {"thresholds", "training.epochs", "training.final_loss"}
        assert set(made.reasons) == nulls
        trained = key in protocol.LEARNED
        assert (made.checkpoint is not None) == trained
        assert made.training["steps"] == (25 if trained else 0)
        assert made.n_parameters == (
            sum(x.size for x in made.checkpoint.values()) if trained else 0
        )
        if trained:
            assert {name.split(".")[0] for name in made.checkpoint} == {"r2", "ur5"}
        for found in made.diagnostics["robots"].values():
            worst = [row["residual"] for row in found["worst"]]
            assert len(worst) == 10
            assert worst == sorted(worst, reverse=True)


def test_same_seed_same_bytes_whatever_else_runs(law, produced, contract, silent):
    settings, output, _ = contract
    few = ("scm_full", "ideal", "mean", "eps_ensemble")
    _, other = produced(arms=few)
    for name, array in other.arrays.items():
        assert np.array_equal(array, output.arrays[name]), name
    for name in other.datasets:
        assert other.datasets[name].digest == output.datasets[name].digest
    for arm in few:
        assert other.arms[arm].diagnostics == output.arms[arm].diagnostics
        for name, tensor in (other.arms[arm].checkpoint or {}).items():
            assert np.array_equal(tensor, output.arms[arm].checkpoint[name])
    with threads.switched(1, ("torch",)):
        again = protocol.produce(
            {"settings": settings, "arms": ["mlp_pole", "ideal"], "device": "cpu"}, 1, silent
        )
    for name, array in again.arrays.items():
        assert np.array_equal(array, output.arrays[name]), name


def test_another_seed_is_another_world(produced, contract):
    _, other = produced(arms=("zero", "ideal"), seed=2)
    for name, made in other.datasets.items():
        assert made.digest != contract[1].datasets[name].digest


@pytest.mark.parametrize(
    "mode", ["contract", "smoke", pytest.param("paper", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("robot", ["r2", "ur5"])
def test_truth_gets_the_ideal_value_and_standing_still_the_floor(
    law, produced, untrained, mode, robot
):
    settings, output = produced(mode, untrained)
    found = metrics_of(law, settings, output)

    def value(arm, metric):
        return found[arm].metrics[f"{robot}_{metric}"]

    near = pytest.approx
    for name in SETS:
        assert value("ideal", f"skill_{name}") == near(1, abs=1e-9)
        assert value("zero", f"residual_{name}") == near(1, abs=1e-9)
        assert value("zero", f"skill_{name}") == near(0, abs=1e-9)
        assert value("zero", f"harm_{name}") == 0
        assert value("ideal", f"harm_{name}") == 0
    for b in ("05", "10", "20"):
        assert value("ideal", f"recovered_{b}") is None
        assert found["ideal"].reasons[f"{robot}_recovered_{b}"] == "zero_denominator"
        assert value("ideal", f"skill_natural_hyb{b}") == near(1, abs=1e-9)
    assert value("inverse", "exact_p95") < 1e-9
    for metric in ("flip_d003", "flip_d010", "flip_d030", "q_sign", "auroc_by_range", "tpr_pole"):
        if value("label_tuple", metric) is None:
            assert (mode, found["label_tuple"].reasons[f"{robot}_{metric}"]) == (
                "contract",
                "too_few",
            )
        else:
            assert value("label_tuple", metric) == near(1, abs=1e-9)
    assert value("label_tuple", "q_rank") == near(1, abs=1e-9)
    assert value("label_tuple", "faults") == 0
    error = output.arrays[f"zero__{robot}_path_err"]
    moving = error[:, -1] > 0.01
    assert value("zero", "path_complete") == near(1 - moving.mean())
    if robot == "r2":
        assert value("ideal", "path_complete") == 1
        assert value("ideal", "path_rmse") < 0.002


def test_no_arm_beats_the_best_limited_answer(contract):
    for arm, found in contract[2].items():
        for name in SETS:
            for robot in ("r2", "ur5"):
                assert found.metrics[f"{robot}_skill_{name}"] <= 1 + 1e-9, (arm, name)


@pytest.mark.parametrize("robot", ["r2", "ur5"])
@pytest.mark.parametrize("arm", ["scm_basic", "scm_full", "scm_chordal", "label_tuple"])
def test_stored_causes_are_those_of_strict_inference(contract, arm, robot):
    arrays = contract[1].arrays
    p, q = (arrays[f"{arm}__{robot}_{name}"].astype(np.float64) for name in "pq")
    lanes = strict_inference(p, q, InferenceConfig()).cause
    assert np.array_equal(arrays[f"{arm}__{robot}_cause"], row_cause(lanes))


@pytest.mark.parametrize("robot", ["r2", "ur5"])
def test_the_true_tuple_names_both_kinds_of_the_pole(contract, robot):
    arrays = contract[1].arrays
    cause, label = arrays[f"label_tuple__{robot}_cause"], arrays[f"data__{robot}_label"]
    assert (cause[label == 1] == Cause.DIV_ZERO).all()
    assert (cause[label == 2] == Cause.DIV_ZERO | Cause.NULL_TUPLE).all()
    assert np.count_nonzero(label == 2) == 40
    assert (arrays[f"inverse__{robot}_cause"] == Cause.DIV_ZERO).sum() == 80


def test_diagnosed_thresholds_are_those_of_the_metrics(law, contract):
    from zeroproofml.report.domains.ik.rows import RobotRows, answer, thresholds

    arrays = contract[1].arrays
    for arm in ("mlp_pole", "scm_full", "scm_basic", "tsvd"):
        for robot in ("r2", "ur5"):
            rows = RobotRows(arrays, robot)
            found = answer(arrays, arm, robot, rows.kappa)
            limits = thresholds(found, rows.cal, rows.regular, rows.det)
            said = contract[1].arms[arm].diagnostics["robots"][robot]
            assert said["tau_pole"] == limits.pole
            assert said["tau_20"] == limits.budget[0.20]
            assert said["tau_range"] == limits.size


def test_a_diverged_arm_fails_alone(law, contract, monkeypatch, silent):
    settings, output, _ = contract
    train = training.train

    def diverge(arm, table, *rest):
        if arm == "scm_full" and table.robot.name == "ur5":
            msg = "scm_full on ur5: loss not finite at step 3; the arm has failed"
            raise TrainingError(msg)
        return train(arm, table, *rest)

    monkeypatch.setattr(training, "train", diverge)
    with threads.switched(1, ("torch",)):
        config = {"settings": settings, "arms": ["ideal", "mlp_pole", "scm_full"], "device": "cpu"}
        broken = protocol.produce(config, 1, silent)
    assert broken.arms["scm_full"].status == "failed"
    assert "step 3" in broken.arms["scm_full"].reason
    assert broken.arms["scm_full"].checkpoint is None
    assert not any(name.startswith("scm_full") for name in broken.arrays)
    assert broken.arms["mlp_pole"].status == "ok"
    for name, array in broken.arrays.items():
        assert np.array_equal(array, output.arrays[name])
    results.check_output(law, {"settings": settings}, broken, config["arms"])
    assert set(metrics_of(law, settings, broken)) == {"ideal", "mlp_pole"}


def test_analytic_arms_need_no_torch():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from zeroproofml.benchmarks.domains.ik import data, protocol, evaluate\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_predictions_of_a_paper_seed_fit_their_budget(law):
    members = law.members(law.settings["paper"], [arm.key for arm in law.arms])
    size = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in members.values())
    assert size <= 24 * 2**20


@pytest.mark.slow
def test_smoke_learns(law, produced):
    """The floors lie well below the pilot; they catch a broken loss, not a bad day."""
    settings, output = produced("smoke")
    found = metrics_of(law, settings, output)

    def value(arm, metric):
        return found[arm].metrics[f"r2_{metric}"]

    floors = {"scm_full": 0.95, "mlp_pole": 0.78, "rational_eps": 0.75}
    floors |= {"scm_basic": 0.60, "scm_chordal": 0.60}
    for arm, floor in floors.items():
        assert value(arm, "skill_natural") >= floor, arm
    assert value("scm_full", "auroc_near") >= 0.98
    assert value("scm_full", "auroc_pole") >= 0.99
    assert value("scm_full", "flip_d010") >= 0.95
    assert value("scm_full", "auroc_by_range") >= 0.95
