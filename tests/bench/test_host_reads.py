"""Training never waits for the device step by step: at most one read per epoch, in every domain."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from zeroproofml import benchmarks
from zeroproofml.benchmarks import config, threads
from zeroproofml.benchmarks.domains import producer

READS = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__")
DOMAINS = "zeroproofml.benchmarks.domains"


def lengthen(settings: dict, times: int) -> None:
    """As many epochs or steps more, whatever the domain calls them."""
    for key in ("epochs", "steps"):
        if key in settings:
            settings[key] *= times
    for robot in settings.get("robots", {}).values():
        robot["steps"] *= times


def added_epochs(settings: dict, longer: dict) -> int:
    """The fewest passes over the data that any training of the longer settings has more."""
    if "epochs" in settings:
        return longer["epochs"] - settings["epochs"]
    if "robots" in settings:
        return min(
            (longer["robots"][name]["steps"] - robot["steps"]) * settings["batch"] // robot["train"]
            for name, robot in settings["robots"].items()
        )
    per_pass = settings["train"] // settings["mlps_per_step"]
    return (longer["steps"] - settings["steps"]) // per_pass


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch):
    """Count the reads inside a module's training; returns the counts, one per call."""
    active: list[int] = []

    def counted(real):
        def method(self, *given, **named):
            if active:
                active[-1] += 1
            return real(self, *given, **named)

        return method

    for name in READS:
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))

    def watch(module: ModuleType, name: str = "train") -> list[int]:
        done: list[int] = []
        real = getattr(module, name)

        def train(*given, **named):
            active.append(0)
            try:
                return real(*given, **named)
            finally:
                done.append(active.pop())

        monkeypatch.setattr(module, name, train)
        return done

    return watch


def test_the_counter_counts(reads) -> None:
    module = ModuleType("looping")

    def train() -> None:
        value = torch.ones(3)
        for one in value:
            float(one)
            int(one)
            one.item()
            bool(one > 0)
        value.tolist()

    module.train = train
    counts = reads(module)
    module.train()
    torch.ones(1).item()
    assert counts[0] >= 13
    assert len(counts) == 1


def test_no_data_loader_collates_row_by_row() -> None:
    sources = sorted(Path(benchmarks.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert [path.name for path in sources if "torch.utils.data" in path.read_text("utf-8")] == []


@pytest.mark.parametrize(
    ("domain", "protocol", "module", "arms", "times"),
    [
        ("dose", "standard", "training", ("bayes_oracle", "scm_oriented", "clamped_mlp"), 4),
        ("dose", "classic", "training", ("bayes_oracle", "zeroproofml_scm", "clampedmlp"), 4),
        ("rf", "standard", "training", ("scm_rational", "mlp_abs"), 3),
        ("rf", "classic", "classic_training", ("scm_transfer", "mlp_silu"), 3),
        ("ik", "standard", "training", ("ideal", "scm_full", "mlp_pole"), 8),
        ("ik", "classic", "classic_training", ("scm_basic", "mlp_iso"), 4),
    ],
)
def test_at_most_one_read_per_epoch(domain, protocol, module, arms, times, silent, reads) -> None:
    counts = reads(importlib.import_module(f"{DOMAINS}.{domain}.{module}"))
    made = config.resolve(domain, mode="contract", protocol=protocol, arms=arms)
    longer = copy.deepcopy(made.config)
    lengthen(longer["settings"], times)
    with threads.switched(1, ("torch",)):
        producer(domain, protocol)(made.config, 1, silent)
        short = list(counts)
        counts.clear()
        producer(domain, protocol)(longer, 1, silent)
    assert len(counts) == len(short) >= 2, "every learned arm was trained"
    more = added_epochs(made.config["settings"], longer["settings"])
    assert more >= 3
    for before, after in zip(short, counts, strict=True):
        assert after - before <= more, f"{before} reads, then {after} for {more} epochs more"


def test_the_gate_of_rf_reads_its_loss_once(reads) -> None:
    training = importlib.import_module(f"{DOMAINS}.rf.training")
    counts = reads(training, "train_gate")
    rng = np.random.default_rng(0)
    start = training.DESIGNS["gate"].initial(rng)
    made = training.train_gate(rng.random((6, 5)), 1 + rng.random((4, 5)), start)
    assert made.steps > 1
    assert counts == [1]
