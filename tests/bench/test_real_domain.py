"""A real domain through every executor: what torch computes must not depend on where it runs."""

import pytest

from zeroproofml.benchmarks import config, run_benchmark
from zeroproofml.report.contract.arrays import read_npz
from zeroproofml.report.rundir import verify_run

pytestmark = pytest.mark.slow
ARMS = ["zero", "dls", "ideal", "mlp_pole", "scm_full"]


def test_ik_inline_and_process_give_the_same_bytes(tmp_path):
    made = config.resolve("ik", arms=ARMS)
    here = run_benchmark(made, [5], tmp_path / "a", executor="inline")
    there = run_benchmark(made, [5], tmp_path / "b", executor="process")
    assert here.exit_code == there.exit_code == 0
    assert here.raw_digest == there.raw_digest
    assert verify_run(tmp_path / "b", recompute=True).ok


def test_ik_arms_do_not_see_each_other(tmp_path):
    every = config.resolve("ik", arms=ARMS)
    few = config.resolve("ik", arms=["ideal", "mlp_pole"])
    run_benchmark(every, [5], tmp_path / "a", executor="inline")
    run_benchmark(few, [5], tmp_path / "b", executor="inline")
    one, two = (
        read_npz((tmp_path / name / "seed_5/predictions.npz").read_bytes()) for name in "ab"
    )
    assert set(two) < set(one)
    for name, array in two.items():
        assert array.tobytes() == one[name].tobytes(), name
    weights = [
        (tmp_path / name / "seed_5/checkpoints/mlp_pole.safetensors").read_bytes() for name in "ab"
    ]
    assert weights[0] == weights[1]
