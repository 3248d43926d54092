"""A whole seed of either protocol: members, equal bytes, failed arms, what modes must learn."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from zeroproofml.benchmarks import config, domains, results, run_benchmark, threads
from zeroproofml.benchmarks.domains import dose
from zeroproofml.benchmarks.domains.dose import protocol, training
from zeroproofml.report import domains as laws
from zeroproofml.report.domains.dose.answers import accept, answer, targets
from zeroproofml.report.domains.dose.arms import arms as declared
from zeroproofml.report.rundir import validate_run_dir, verify_run

PROTOCOLS = ("standard", "classic")


def check(made):
    arms = [arm.key for arm in made.law.arms if arm.key in made.config["arms"]]
    results.check_output(made.law, made.config, made.output, arms)


def test_the_producer_is_found_by_name():
    for name in PROTOCOLS:
        assert domains.producer("dose", name) is protocol.produce
    assert dose.__doc__


@pytest.mark.parametrize("name", PROTOCOLS)
def test_output_is_what_the_law_allows(produced, name):
    made = produced(protocol=name)
    check(made)
    arms = [key for key in made.config["arms"] if made.output.arms[key].status == "ok"]
    members = made.law.members(made.config["settings"], arms)
    assert set(made.output.arrays) == set(members)
    assert set(made.output.datasets) == {"train", "calibration", "validation", "test"}
    stored = {name for name, x in made.output.datasets.items() if x.arrays is not None}
    assert stored == {"test"}
    for array in made.output.arrays.values():
        assert np.isfinite(array).all()


def test_budget_arms_and_stress_sets_are_for_paper_runs():
    settings = laws.get("dose").settings
    for mode, extra in (("contract", 0), ("smoke", 0), ("paper", 8)):
        made = config.resolve("dose", mode=mode)
        assert len(made.config["arms"]) == 15 + extra
        assert set(settings[mode]["stress"]) == ({"noise2", "outlier"} if extra else set())


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_arm_has_every_metric_and_a_reason_for_each_null(produced, name):
    made = produced(protocol=name)
    for found in made.metrics.values():
        assert set(found.metrics) == set(made.law.metrics)
        assert {key for key, x in found.metrics.items() if x is None} == set(found.reasons)
        assert all(math.isfinite(x) for x in found.metrics.values() if x is not None)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_said_beside_the_metrics(produced, name):
    made = produced(protocol=name)
    size = made.config["settings"]["test"]
    for key, out in made.output.arms.items():
        arm, said = declared(name)[key], out.diagnostics
        trained = key not in protocol.UNTRAINED
        assert (out.checkpoint is not None) == trained
        assert out.n_parameters == (sum(x.size for x in (out.checkpoint or {}).values()))
        assert said["role"] == arm.part
        assert said["score_kind"] == arm.score
        assert said["n_train"] == (512 if trained else 0)
        assert (said["gauge"] is None) == (not arm.projective)
        assert np.sum(said["confusion"]) == size
        if trained:
            assert out.training["epochs"] == 1
            assert out.training["final_loss"] == said["learning_curve"]["train"][-1]
            assert len(said["learning_curve"]["validation"]) == 1
        if arm.projective:
            assert out.thresholds["tau_infer"] > 0
            assert said["gauge"]["unit"] == "log10 mol/L"
            for point in said["operating_points"].values():
                assert (point["tau_limit_decades"] is None) == (point["t"] is None)
        else:
            assert out.thresholds is None


def test_metrics_decide_by_the_stored_numbers(produced):
    made = produced()
    truth = targets(made.arrays, "test")
    for key, out in made.output.arms.items():
        found = out.diagnostics["operating_points"]["balanced"]
        t = found["t"]
        if found["accept_all"] or found["refuse_all"]:
            t = -math.inf if found["accept_all"] else math.inf
        accepted = accept(answer(made.arrays, key, "test"), t)
        assert made.metrics[key].metrics["fp_cens"] == accepted[truth.censored].mean(), key
        table = np.array(out.diagnostics["confusion"])
        assert table[[0, 2], 1].sum() == accepted[truth.censored].sum()


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("standard", ("bayes_oracle", "scm_oriented", "two_stage", "hill_fit")),
        ("classic", ("bayes_oracle", "zeroproofml_scm_nosign", "twostage_iso")),
    ],
)
def test_an_arm_does_not_see_the_others(produced, name, few):
    every, some = produced(protocol=name), produced(arms=few, protocol=name)
    for member, array in some.output.arrays.items():
        assert array.tobytes() == every.output.arrays[member].tobytes(), member
    for data in some.output.datasets:
        assert some.output.datasets[data].digest == every.output.datasets[data].digest
    for arm in few:
        one, other = some.output.arms[arm], every.output.arms[arm]
        assert one.diagnostics == other.diagnostics
        for tensor, value in (one.checkpoint or {}).items():
            assert np.array_equal(value, other.checkpoint[tensor])


def test_the_same_seed_twice_gives_the_same_bytes(produced, silent):
    made = produced()
    with threads.switched(1, ("torch",)):
        again = protocol.produce(made.config, 1, silent)
    for member, array in again.arrays.items():
        assert array.tobytes() == made.output.arrays[member].tobytes(), member


def test_another_seed_is_another_world_with_the_same_test_set(produced):
    one, two = produced(), produced(arms=("bayes_oracle", "constant"), seed=2)
    for name, made in two.output.datasets.items():
        same = made.digest == one.output.datasets[name].digest
        assert same == (name == "test"), name


def test_a_diverged_arm_fails_alone(produced, monkeypatch, silent):
    whole = produced()
    train = training.train

    def diverge(arm, *rest):
        if arm == "scm_oriented":
            msg = "scm_oriented: loss not finite at step 3; the arm has failed"
            raise training.Diverged(msg, [], [])
        return train(arm, *rest)

    monkeypatch.setattr(training, "train", diverge)
    arms = ["bayes_oracle", "scm_oriented", "tobit"]
    made = config.resolve("dose", arms=arms)
    with threads.switched(1, ("torch",)):
        broken = protocol.produce(made.config, 1, silent)
    out = broken.arms["scm_oriented"]
    assert out.status == "failed"
    assert "step 3" in out.reason
    assert out.diagnostics["diverged"] is True
    assert out.checkpoint is None
    assert not any(member.startswith("scm_oriented__") for member in broken.arrays)
    for member, array in broken.arrays.items():
        assert np.array_equal(array, whole.output.arrays[member])
    results.check_output(made.protocol, made.config, broken, arms)


def test_a_run_with_a_diverged_arm_is_sealed(monkeypatch, tmp_path):
    train = training.train

    def diverge(arm, *rest):
        if arm == "scm_oriented":
            msg = "scm_oriented: loss not finite at step 3; the arm has failed"
            raise training.Diverged(msg, [], [])
        return train(arm, *rest)

    monkeypatch.setattr(training, "train", diverge)
    made = config.resolve("dose", arms=["bayes_oracle", "scm_oriented", "tobit", "two_stage"])
    assert run_benchmark(made, [1], tmp_path / "run", executor="inline").exit_code == 0
    assert verify_run(tmp_path / "run", recompute=True).ok


def test_untrained_arms_need_no_torch():
    code = (
        "import sys\n"
        "from zeroproofml.benchmarks.domains.dose import bayes, bench, evaluate, protocol\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_predictions_of_a_paper_seed_fit_their_budget():
    for name in PROTOCOLS:
        law = laws.get("dose", name)
        keys = [arm.key for arm in law.arms]
        members = law.members(law.settings["paper"], keys)
        size = sum(np.dtype(d).itemsize * math.prod(shape) for d, shape in members.values())
        assert size / len(keys) <= 1.5e6


SLACK = 2
"""These machines are shared."""
FILES = {
    "RUN_REPORT.md",
    "CLAIM_AUDIT.md",
    *(f"aggregated/dose_{name}" for name in ("operating_points.json", "operating_points.md")),
    *(f"aggregated/dose_{name}" for name in ("pareto_front.json", "pareto_front.md")),
    "aggregated/dose_diagnostics.json",
    *(
        f"figures/dose_{name}.svg"
        for name in (
            *("threshold_sweeps", "tradeoff", "direction_confusion"),
            *("direction_head", "q_histogram", "borderline"),
        )
    ),
    "figures/coverage_risk.svg",
}


def there(path):
    return {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    """A contract run of the command line, and its wall time."""
    path = tmp_path_factory.mktemp("dose") / "run"
    command = [sys.executable, "-m", "zeroproofml.benchmarks", "dose", "--out-root", str(path)]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return path, time.monotonic() - began


def test_contract_run(contract):
    path, wall = contract
    assert wall <= SLACK * 10
    assert there(path) >= FILES
    validate_run_dir(path)
    report = (path / "RUN_REPORT.md").read_text()
    for slug in ("dose_budget", "dose_stress"):
        assert f"figures/{slug}.svg" not in there(path)
        assert slug in report, "a figure that is not drawn is listed with its reason"
    result = json.loads((path / "seed_1/per_seed_result.json").read_text())
    assert len(result["arms"]) == 15
    verdicts = {
        claim["verdict"]
        for claim in json.loads((path / "aggregated/claims.json").read_text())["results"]
    }
    assert verdicts == {"INELIGIBLE"}


def test_contract_run_recomputes(contract):
    found = verify_run(contract[0], recompute=True)
    assert found.ok
    assert not [finding for finding in found.findings if finding.severity == "error"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A smoke run of the command line with both seeds, and its wall time."""
    path = tmp_path_factory.mktemp("dose") / "smoke"
    command = [sys.executable, "-m", "zeroproofml.benchmarks", "dose", "--mode", "smoke"]
    began = time.monotonic()
    subprocess.run([*command, "--out-root", str(path)], check=True, capture_output=True)
    return path, time.monotonic() - began


@pytest.mark.slow
def test_smoke_learns(smoke):
    path, wall = smoke
    assert wall <= SLACK * 60
    floors = {"two_stage": 0.975, "tobit": 0.97, "scm_oriented": 0.97, "clamped_mlp": 0.93}
    for seed in (1, 2):
        result = json.loads((path / f"seed_{seed}/per_seed_result.json").read_text())["arms"]
        for arm, floor in {**floors, "bayes_oracle": 0.985}.items():
            assert result[arm]["metrics"]["macro_f1"] >= floor, (seed, arm)
        ours = result["scm_oriented"]["metrics"]
        assert ours["finite_mae_window"] <= 0.11
        assert ours["swap_rate"] <= 0.002
        assert ours["collapse"] == 0


@pytest.mark.slow
def test_smoke_prefers_ours_to_a_constant(smoke):
    made = json.loads((smoke[0] / "aggregated/dose_operating_points.json").read_text())
    for name, preset in made["presets"].items():
        ranks = {entry["arm"]: entry for entry in preset["ranking"]}
        ours, trivial = ranks["scm_oriented"], ranks["constant"]
        if ours["eligible"] and trivial["eligible"]:
            assert ours["rank"] < trivial["rank"], name
    assert any(
        {entry["arm"]: entry["eligible"] for entry in preset["ranking"]}["scm_oriented"]
        for preset in made["presets"].values()
    )


@pytest.mark.slow
def test_collapse_is_visible(smoke):
    """The published loss loses the direction, and the report's first table says so."""
    path = smoke[0]
    for seed in (1, 2):
        result = json.loads((path / f"seed_{seed}/per_seed_result.json").read_text())["arms"]
        assert result["scm_original"]["metrics"]["swap_rate"] >= 0.2
        assert result["scm_original"]["metrics"]["collapse"] == 1
    _, _, rest = (path / "RUN_REPORT.md").read_text().partition("**Mean over seeds.**")
    first, _, _ = rest.partition("\n**")
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in first.splitlines()]
    for metric in ("`swap_rate`", "`collapse`"):
        assert [metric, "2", "`scm_original`"] in rows


@pytest.mark.slow
def test_process_and_inline_give_the_same_bytes(contract, tmp_path):
    made = config.resolve("dose")
    there = run_benchmark(made, [1], tmp_path / "run", executor="process")
    assert there.raw_digest == validate_run_dir(contract[0]).raw_digest


@pytest.mark.slow
def test_classic_paper_seed(produced):
    """A law with three empty bands is learnt by everyone who may; a scalar cannot be decoded."""
    arms = ("bayes_oracle", "twostage_iso", "clampedmlp")
    made = produced("paper", arms, 2, "classic")
    found = {arm: made.metrics[arm].metrics for arm in arms}
    ceiling = found["bayes_oracle"]["macro_f1"]
    assert ceiling == pytest.approx(0.9061, abs=0.01)
    assert found["twostage_iso"]["macro_f1"] == pytest.approx(ceiling, abs=0.005)
    published = found["clampedmlp"]["fp_cens_published"]
    assert published >= 0.95
    assert found["clampedmlp"]["fp_cens"] <= published - 0.5
