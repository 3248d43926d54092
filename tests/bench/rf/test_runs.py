"""Whole runs from the command line: files, floors, wall time, verification, every executor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from zeroproofml.benchmarks import config, run_benchmark
from zeroproofml.benchmarks.domains.rf import training
from zeroproofml.report.contract.arrays import read_npz, write_npz
from zeroproofml.report.rundir import validate_run_dir, verify_run
from zeroproofml.scm.errors import TrainingError

SLACK = 2
"""These machines are shared."""
SEED_FILES = {"predictions.npz", "per_seed_result.json", "commit.json"}
SEED_FILES |= {"rf_signal_traces.npz", "rf_signal_traces.json"}
PACK = {"rf_bode_seed_1", "rf_failures", "rf_poles", "rf_q_curve", "rf_tau_sweep", "coverage_risk"}


def there(path):
    return {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}


def launch(path, *words):
    """A run of the command line in a process of its own: the directory and the wall time."""
    command = [sys.executable, "-m", "zeroproofml.benchmarks", "rf", *words]
    began = time.monotonic()
    made = subprocess.run(
        [*command, "--out-root", str(path)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return path, time.monotonic() - began


def results_of(path, seed=1):
    return json.loads((path / f"seed_{seed}/per_seed_result.json").read_text())["arms"]


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return launch(tmp_path_factory.mktemp("rf") / "contract")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    return launch(tmp_path_factory.mktemp("rf") / "smoke", "--mode", "smoke")


def test_contract_run(contract):
    path, wall = contract
    assert wall <= SLACK * 10
    validate_run_dir(path)
    files = there(path)
    assert files >= {f"seed_1/{name}" for name in SEED_FILES}
    assert files >= {f"figures/{slug}.svg" for slug in PACK}
    weights = {name for name in files if name.endswith(".safetensors")}
    names = ("scm_rational", "mlp_abs", "two_stage")
    assert weights == {f"seed_1/checkpoints/{name}.safetensors" for name in names}
    verdicts = {
        claim["verdict"]
        for claim in json.loads((path / "aggregated/claims.json").read_text())["results"]
    }
    assert verdicts == {"INELIGIBLE"}


def test_contract_floors(contract):
    """Asserted on the stored results: the run itself ends 0 whatever it measures."""
    arms = results_of(contract[0])
    assert arms["oracle"]["metrics"]["rel_err_db_p50_in"] == -120
    assert arms["oracle"]["metrics"]["bottom_auroc"] == 1
    assert arms["zero"]["metrics"]["rel_err_db_p50_in"] == 0
    for arm, share in (("scm_rational", 0.25), ("mlp_abs", 0.75)):
        history = arms[arm]["diagnostics"]["validation_history"]
        assert min(history) <= share * history[0]


def test_contract_run_recomputes_without_torch(contract):
    code = (
        "import sys\n"
        "from zeroproofml.report.rundir import verify_run\n"
        f"found = verify_run({str(contract[0])!r}, recompute=True)\n"
        "assert found.ok, found.findings\n"
        "assert [link.largest_deviation for link in found.links] == [0.0] * 4\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_array_that_is_gone_is_missed_by_name(contract, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(contract[0], copy)
    where = copy / "seed_1/predictions.npz"
    arrays = read_npz(where.read_bytes())
    kept = "mlp_abs__response"
    where.write_bytes(write_npz({kept: arrays[kept]}))
    found = verify_run(copy)
    named = {finding.pointer for finding in found.findings if finding.code == "arrays"}
    assert named == set(arrays) - {kept}


def test_twins_demand_their_parent_on_the_command_line(tmp_path):
    command = [sys.executable, "-m", "zeroproofml.benchmarks", "rf", "--arms", "rational_plain"]
    made = subprocess.run(
        [*command, "--out-root", str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert "needs 'scm_rational'" in made.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_without_its_head_is_sealed(monkeypatch, tmp_path):
    train = training.train

    def diverge(arm, *rest):
        if arm == "scm_rational":
            msg = "scm_rational: loss not finite between steps 1 and 10; the arm has failed"
            raise TrainingError(msg)
        return train(arm, *rest)

    monkeypatch.setattr(training, "train", diverge)
    run = run_benchmark(config.resolve("rf"), [1], tmp_path / "run", executor="inline")
    assert run.exit_code == 0
    assert verify_run(tmp_path / "run", recompute=True).ok


@pytest.mark.parametrize("arms", [["zero", "oracle"], ["ident_vf"], ["mlp_abs", "two_stage"]])
def test_a_run_of_few_arms_is_sealed(arms, tmp_path):
    """Tables, contrasts and figures survive arms without poles, denominator or refusal."""
    run = run_benchmark(config.resolve("rf", arms=arms), [3], tmp_path / "run", executor="inline")
    assert run.exit_code == 0
    assert verify_run(tmp_path / "run", recompute=True).ok


@pytest.mark.slow
def test_classic_contract_run(tmp_path):
    path, wall = launch(tmp_path / "run", "--protocol", "classic")
    assert wall <= SLACK * 10
    assert verify_run(path, recompute=True).ok
    files = there(path)
    assert files >= {f"seed_1/{name}" for name in SEED_FILES}
    assert files >= {"figures/rf_bode_seed_1.svg", "figures/rf_failures.svg"}
    assert json.loads((path / "aggregated/claims.json").read_text())["results"] == []


@pytest.mark.slow
def test_smoke_learns(smoke):
    path, wall = smoke
    assert wall <= SLACK * 60
    assert verify_run(path, recompute=True).ok
    assert there(path) >= {f"figures/{slug}.svg" for slug in PACK}
    for seed in (1, 2):
        arms = {arm: made["metrics"] for arm, made in results_of(path, seed).items()}
        ours = arms["scm_rational"]
        assert ours["rel_err_db_p50_in"] <= -14
        assert ours["rel_err_db_p50_in"] <= arms["mlp_abs"]["rel_err_db_p50_in"] - 5
        assert ours["bottom_auroc"] >= 0.80
        assert arms["rational_softplus"]["bottom_recall_neg"] <= 0.05
        assert arms["rational_plain"]["bottom_recall_neg"] == 0
        assert ours["division_gap_max"] <= 1e-10
    sets = {
        json.loads((path / f"seed_{seed}/per_seed_result.json").read_text())["datasets"]["test"][
            "file"
        ]
        for seed in (1, 2)
    }
    assert len(sets) == 1
    assert (path / sets.pop()).is_file()


@pytest.mark.slow
def test_process_and_inline_give_the_same_bytes(contract, tmp_path):
    made = config.resolve("rf")
    here = run_benchmark(made, [1], tmp_path / "run", executor="process")
    assert here.raw_digest == validate_run_dir(contract[0]).raw_digest
    one, two = (
        read_npz((path / "seed_1/rf_signal_traces.npz").read_bytes())
        for path in (contract[0], tmp_path / "run")
    )
    assert all(np.array_equal(one[name], two[name]) for name in one)
