"""What the RF tests share: seeds of either protocol produced once, and their metrics."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest

from zeroproofml.benchmarks import config, threads
from zeroproofml.report import domains as laws
from zeroproofml.report.domains import with_shared


@pytest.fixture(scope="session")
def metrics_of():
    """(law, settings, SeedOutput) → metrics by arm, as the harness computes them."""

    def run(law, settings, output):
        shared = {n: x.arrays for n, x in output.datasets.items() if x.arrays is not None}
        working = [key for key, made in output.arms.items() if made.status == "ok"]
        return law.seed_metrics(with_shared(output.arrays, shared), settings, working)

    return run


@pytest.fixture(scope="session")
def produced(silent, metrics_of):
    """(mode, arms, seed, protocol) → what came out, each computed once under the run's switches."""
    from zeroproofml.benchmarks.domains import producer

    @functools.cache
    def run(mode="contract", arms=None, seed=1, protocol="standard"):
        made = config.resolve("rf", mode=mode, protocol=protocol, arms=arms)
        with threads.switched(1, ("torch",)):
            output = producer("rf", protocol)(made.config, seed, silent)
        law, settings = laws.get("rf", protocol), made.config["settings"]
        return SimpleNamespace(
            config=made.config,
            law=law,
            settings=settings,
            output=output,
            metrics=metrics_of(law, settings, output),
        )

    return run
