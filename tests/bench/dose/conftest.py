"""What the DOSE tests share: seeds of either protocol produced once, and their metrics."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from zeroproofml.benchmarks import config, threads
from zeroproofml.benchmarks.domains.dose import data
from zeroproofml.report import domains as laws
from zeroproofml.report.domains import with_shared


@pytest.fixture(scope="session")
def produced(silent):
    """(mode, arms, seed, protocol) → what came out, each computed once under the run's switches."""
    from zeroproofml.benchmarks.domains.dose.protocol import produce

    @functools.cache
    def run(mode="contract", arms=None, seed=1, protocol="standard"):
        made = config.resolve("dose", mode=mode, protocol=protocol, arms=arms)
        with threads.switched(1, ("torch",)):
            output = produce(made.config, seed, silent)
        law = laws.get("dose", protocol)
        shared = {n: x.arrays for n, x in output.datasets.items() if x.arrays is not None}
        arrays = with_shared(output.arrays, shared)
        working = [key for key, out in output.arms.items() if out.status == "ok"]
        metrics = law.seed_metrics(arrays, made.config["settings"], working)
        return SimpleNamespace(
            config=made.config, law=law, output=output, arrays=arrays, metrics=metrics
        )

    return run


@pytest.fixture(scope="session")
def hundred():
    """A hundred curves of every class."""
    curves = data.draw("standard", 100, np.random.default_rng(5))
    assert set(curves.label) == {0, 1, 2}
    return curves
