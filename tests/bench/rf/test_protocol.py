"""A whole seed of the standard protocol: members, equal bytes, refusals, twins, failed arms."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from zeroproofml.benchmarks import config, domains, results, threads
from zeroproofml.benchmarks.domains import rf
from zeroproofml.benchmarks.domains.rf import data, evaluate, protocol, training
from zeroproofml.report import domains as laws
from zeroproofml.report.domains.rf import members, sections
from zeroproofml.report.errors import UsageError
from zeroproofml.scm.errors import TrainingError
from zeroproofml.scm.inference import InferenceConfig, strict_inference

CONTRACT = (
    *("scm_rational", "mlp_abs", "rational_plain", "rational_eps", "knn_score", "two_stage"),
    *("ident_sk", "ident_vf", "ident_aaa", "zero", "oracle"),
)
TWINS = ("rational_plain", "rational_eps", "knn_score", "gate_score")


@pytest.fixture(scope="module")
def contract(produced):
    return produced()


def test_the_producer_is_found_by_name():
    assert domains.producer("rf") is protocol.produce
    assert rf.__doc__


def test_arms_of_each_mode():
    extra = {"contract": set(), "smoke": {"rational_softplus", "gate_score"}}
    extra["paper"] = {*extra["smoke"], "scm_rational_abs", "mlp_rel", "mlp_deep"}
    for mode, more in extra.items():
        assert set(config.resolve("rf", mode=mode).config["arms"]) == {*CONTRACT, *more}
    with pytest.raises(UsageError, match=r"gate_score.*smoke, paper"):
        config.resolve("rf", arms=["scm_rational", "gate_score"])


@pytest.mark.parametrize("twin", TWINS)
def test_a_twin_demands_its_parent(twin):
    with pytest.raises(UsageError, match=f"'{twin}' needs 'scm_rational'") as caught:
        config.resolve("rf", mode="smoke", arms=[twin, "zero"])
    assert caught.value.exit_code == 2


def test_output_is_what_the_law_allows(contract):
    arms = [arm.key for arm in contract.law.arms if arm.key in contract.config["arms"]]
    results.check_output(contract.law, contract.config, contract.output, arms)
    assert set(contract.output.arrays) == set(contract.law.members(contract.settings, arms))
    assert set(contract.output.datasets) == {"train", "validation", "calibration", "test"}
    assert all(np.isfinite(x).all() for x in contract.output.arrays.values())
    assert contract.output.datasets["test"].digest == contract.settings["test_digest"]
    for name, made in contract.output.datasets.items():
        assert (made.arrays is None) == (name != "test")


def test_every_arm_has_every_metric_and_a_reason_for_each_null(contract):
    for found in contract.metrics.values():
        assert set(found.metrics) == set(contract.law.metrics)
        assert {name for name, x in found.metrics.items() if x is None} == set(found.reasons)
        assert all(math.isfinite(x) for x in found.metrics.values() if x is not None)


def test_what_is_said_beside_the_metrics(contract):
    trained = {"scm_rational": 18352, "mlp_abs": 17666, "two_stage": 448}
    for key, made in contract.output.arms.items():
        assert made.n_parameters == trained.get(key, 0)
        assert (made.checkpoint is not None) == (key in trained)
        assert made.n_parameters == sum(x.size for x in (made.checkpoint or {}).values())
        assert made.training["steps"] == (200 if key in ("scm_rational", "mlp_abs") else 0)
    limits = contract.output.arms["scm_rational"].thresholds
    assert (limits["tau_infer"], limits["tau_train"]) == (1e-3, 1 / 30)
    assert (limits["chosen_on"], limits["score_kind"]) == ("protocol", "damping")
    knn = contract.output.arms["knn_score"].thresholds
    assert knn["tau_infer"] == contract.output.arrays["knn_score__threshold"][0] < 0
    assert (knn["chosen_on"], knn["score_kind"]) == ("calibration", "distance")
    for arm in members.IDENT_ARMS:
        assert contract.output.arms[arm].diagnostics == {"fit_failures": 0}


def test_the_sweep_says_what_the_metrics_say(contract):
    for arm in ("scm_rational", "two_stage"):
        sweep = contract.output.arms[arm].diagnostics["tau_sweep"]
        found = contract.metrics[arm].metrics
        assert [point["tau"] for point in sweep] == list(sections.SWEEP)
        for tau, suffix in ((1e-3, ""), (3e-3, "_safe")):
            point = next(point for point in sweep if point["tau"] == tau)
            assert point["recall_neg"] == found[f"bottom_recall_neg{suffix}"]
            assert point["recall_axis"] == found[f"bottom_recall_axis{suffix}"]
            for name in members.BINS:
                assert point["false_bottom"][name] == found[f"false_bottom{suffix}_{name}"]
        for one, other in itertools.pairwise(sweep):
            assert one["recall_neg"] <= other["recall_neg"]
        decades = contract.output.arms[arm].diagnostics["abs_delta_recall"]
        assert sum(row["devices"] for row in decades) == contract.settings["neg"]


def test_stored_decisions_are_those_of_strict_inference(contract):
    """Section 4 once more, from the stored sections and the library alone."""
    arrays, test = contract.output.arrays, contract.output.datasets["test"].arrays
    for arm in ("scm_rational", "two_stage"):
        head = arrays[f"{arm}__sections"]
        omega = np.concatenate([test["omega"], np.ones((16, 288))])
        w, d, a, b = (part[:, :, None] for part in np.moveaxis(head, 2, 0))
        v = omega[:, None, :] / w
        n, below = a + 1j * b * v, 1 - v * v + 1j * d * v
        p, q = n[:, 0] * below[:, 1] + n[:, 1] * below[:, 0], below[:, 0] * below[:, 1]
        lowest = np.maximum(head[:, :, 1].min(axis=1), 0.0)
        lowest[(np.abs(head[:, :, 1]) >= 2).any(axis=1)] = np.nan
        found = strict_inference(
            p, q, InferenceConfig(tau_infer=1e-6), factors=[(lowest[:, None], 1e-3)]
        )
        bottom = arrays[f"{arm}__device_bottom"]
        assert np.array_equal(found.bottom_mask.all(axis=1), bottom)
        alone = found.bottom_mask[:64] & ~bottom[:64, None]
        assert np.array_equal(alone, arrays[f"{arm}__lane_bottom"])
        assert np.array_equal(arrays[f"{arm}__device_cause"] != 0, bottom)


def test_fixed_points(contract):
    """What the oracle and answering zero must get, and what the twins share."""
    found = {arm: made.metrics for arm, made in contract.metrics.items()}
    for name in members.BINS:
        assert found["oracle"][f"rel_err_db_p50_{name}"] == -120
        assert found["zero"][f"rel_err_db_p50_{name}"] == 0
        assert found["oracle"][f"peak_success_{name}"] == 1
    assert found["oracle"]["bottom_auroc"] == 1
    assert found["zero"]["bottom_recall_neg"] == found["rational_plain"]["bottom_recall_neg"] == 0
    assert found["scm_rational"]["division_gap_max"] <= 1e-10
    for arm in ("rational_plain", "knn_score"):
        assert found[arm]["pole_err_hbw_p50_in"] == found["scm_rational"]["pole_err_hbw_p50_in"]


def test_contract_learns(contract):
    for arm, share in (("scm_rational", 0.25), ("mlp_abs", 0.75)):
        history = contract.output.arms[arm].diagnostics["validation_history"]
        assert len(history) == 20
        assert min(history) <= share * history[0]


@pytest.mark.parametrize(
    "few",
    [
        ("scm_rational",),
        ("mlp_abs", "zero"),
        ("scm_rational", "knn_score", "ident_vf", "two_stage"),
    ],
)
def test_an_arm_does_not_see_the_others(produced, contract, few):
    some = produced(arms=few)
    for member, array in some.output.arrays.items():
        assert array.tobytes() == contract.output.arrays[member].tobytes(), member
    for arm in few:
        one, other = some.output.arms[arm], contract.output.arms[arm]
        assert one.diagnostics == other.diagnostics
        for tensor, value in (one.checkpoint or {}).items():
            assert np.array_equal(value, other.checkpoint[tensor])
    for name, made in some.output.datasets.items():
        assert made.digest == contract.output.datasets[name].digest


def test_the_same_seed_twice_gives_the_same_bytes(contract, silent):
    with threads.switched(1, ("torch",)):
        again = protocol.produce(contract.config, 1, silent)
    for member, array in again.arrays.items():
        assert array.tobytes() == contract.output.arrays[member].tobytes(), member
    for name, content in again.files["rf_signal_traces.npz"].items():
        assert content.tobytes() == contract.output.files["rf_signal_traces.npz"][name].tobytes()


def test_another_seed_is_another_world_with_the_same_test_set(produced, contract):
    other = produced(arms=("zero", "oracle", "ident_vf"), seed=2)
    for name, made in other.output.datasets.items():
        same = made.digest == contract.output.datasets[name].digest
        assert same == (name == "test"), name
    key = "ident_vf__response"
    assert not np.array_equal(other.output.arrays[key], contract.output.arrays[key])


def test_arms_of_a_family_start_equal_and_see_one_order():
    recipes = training.RECIPES
    heads = [arm for arm, recipe in recipes.items() if recipe.link]
    assert {recipes[arm].family for arm in heads} == {"hyper"}
    assert {recipes[arm].family for arm in recipes if arm not in heads} == {"mlp", "mlp_deep"}


def test_a_diverged_head_takes_its_twins_with_it(contract, monkeypatch, silent):
    train = training.train

    def diverge(arm, *rest):
        if arm == "scm_rational":
            msg = "scm_rational: loss not finite between steps 1 and 10; the arm has failed"
            raise TrainingError(msg)
        return train(arm, *rest)

    monkeypatch.setattr(training, "train", diverge)
    with threads.switched(1, ("torch",)):
        broken = protocol.produce(contract.config, 1, silent)
    lost = {key for key, made in broken.arms.items() if made.status == "failed"}
    assert lost == {"scm_rational", "rational_plain", "rational_eps", "knn_score"}
    assert "steps 1 and 10" in broken.arms["scm_rational"].reason
    assert broken.arms["knn_score"].reason == "scm_rational has failed"
    arms = [arm.key for arm in contract.law.arms if arm.key in contract.config["arms"]]
    results.check_output(contract.law, contract.config, broken, arms)
    for member, array in broken.arrays.items():
        assert np.array_equal(array, contract.output.arrays[member])
    assert not any(name.partition("__")[0] in lost for name in broken.files["rf_signal_traces.npz"])


def test_a_head_without_finite_sections_is_a_fault(contract):
    bench = evaluate.Bench.of(contract.settings, 1)
    made = evaluate.head_members(bench, lambda f: np.full((len(f), 2, 4), np.inf))
    assert made["device_bottom"].all()
    assert (made["device_cause"] == 2).all()
    assert not made["lane_bottom"].any()
    assert (made["sections"] == 0).all()


def test_distance_scores_against_brute_force(contract):
    bench = evaluate.Bench.of(contract.settings, 1)
    known = data.features(bench.train.devices.design)
    known_std = (known - known.mean(axis=0)) / known.std(axis=0)
    found = evaluate.distances(bench, bench.test["design"])
    for row in range(0, 80, 7):
        mine = data.features(bench.test["design"][row : row + 1])[0]
        mine = (mine - known.mean(axis=0)) / known.std(axis=0)
        apart = sorted(math.dist(mine, other) for other in known_std)
        assert found[row] == pytest.approx(-sum(apart[:5]) / 5, rel=1e-12)
    made = evaluate.neighbour_members(bench)
    scores = evaluate.distances(bench, bench.calibration.design)
    assert made["threshold"][0] == np.quantile(scores, 0.05)


def test_traces_show_what_is_stored(contract):
    files = contract.output.files
    assert set(files) == {"rf_signal_traces.npz", "rf_signal_traces.json"}
    signals, said = files["rf_signal_traces.npz"], files["rf_signal_traces.json"]
    assert said["schema_name"] == "zeroproofml.rf_signal_traces"
    shown = [trace["why"] for trace in said["traces"]]
    assert shown[:4] == ["representative"] * 4
    assert set(shown[4:]) <= {"washout", "invented"}
    assert max(shown.count("washout"), shown.count("invented")) <= 6
    count, test = len(shown), contract.output.datasets["test"].arrays
    for index, trace in enumerate(said["traces"]):
        assert trace["index"] == index
        assert np.array_equal(signals["omega"][index], test["omega"][trace["device"]])
        assert trace["delta"] == test["delta"][trace["device"]]
    for arm in said["arms"]:
        bottom, response = signals[f"{arm}__bottom"], signals[f"{arm}__response"]
        assert response.shape == (count, 288)
        assert response.dtype == np.complex128
        assert (response[bottom] == 0).all()
        assert np.array_equal(signals[f"{arm}__cause"] != 0, bottom)
    assert signals["oracle__response"] == pytest.approx(signals["truth"])
    least = signals["scm_rational__q_min"]
    assert least.shape == (count, 2)
    assert (least[:, 1] > 0).all()


def test_untrained_arms_need_no_torch():
    code = (
        "import sys\n"
        "from zeroproofml.benchmarks.domains.rf import classic, data, evaluate, fits, protocol\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "limit"), [("standard", 10.5), ("classic", 30)])
def test_predictions_of_a_paper_seed_fit_their_budget(name, limit):
    law = laws.get("rf", name)
    found = law.members(law.settings["paper"], [arm.key for arm in law.arms])
    size = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in found.values())
    assert size <= limit * 1e6
