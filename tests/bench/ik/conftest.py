"""What the IK tests share: seeds of the contract mode produced once."""

from __future__ import annotations

import functools

import pytest

from zeroproofml.benchmarks import threads
from zeroproofml.report import domains as laws

FREE = ("tsvd", "dls", "dls_manip", "sdls", "zero", "mean", "inverse", "label_tuple", "ideal")


@pytest.fixture(scope="session")
def law():
    """The standard protocol."""
    return laws.get("ik")


@pytest.fixture(scope="session")
def produced(law, silent):
    """(mode, arms, seed) → (settings, SeedOutput), each computed once under the run's switches."""
    from zeroproofml.benchmarks.domains.ik.protocol import produce

    @functools.cache
    def run(mode="contract", arms=None, seed=1):
        settings = law.settings[mode]
        keys = sorted(arms or [arm.key for arm in law.arms])
        with threads.switched(1, ("torch",)):
            config = {"settings": settings, "arms": keys, "device": "cpu"}
            return settings, produce(config, seed, silent)

    return run


@pytest.fixture(scope="session")
def untrained():
    """Keys of the arms that are not trained."""
    return FREE
