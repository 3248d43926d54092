"""Trained arms of the standard protocol: from a seed's data to weights, from weights to answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains.rf import data, networks, training
from zeroproofml.benchmarks.domains.rf.networks import DESIGNS
from zeroproofml.benchmarks.domains.rf.training import RECIPES, Table, Trained
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.rf.data import Array
    from zeroproofml.benchmarks.domains.rf.evaluate import Bench
    from zeroproofml.benchmarks.progress import Progress

_BLOCK = 32
"""Devices per forward pass of an MLP over the judge's grid."""


@dataclass
class Trainer:
    """Trains the arms of one seed; arms of one family share their start and their order."""

    bench: Bench
    device: str

    def __call__(self, arm: str, progress: Progress) -> Trained:
        """Train one arm; TrainingError if it diverges."""
        settings, seed = self.bench.settings, self.bench.seed
        if arm == "gate_score":
            stable, bottom = self.bench.train.devices.design, self.bench.bottom.design
            start = DESIGNS["gate"].initial(_init(seed, "gate"))
            return training.train_gate(data.features(stable), data.features(bottom), start)
        recipe = RECIPES[arm]
        per_step = settings["heads_per_step" if recipe.link else "mlps_per_step"]
        order = training.batches(
            settings["train"],
            per_step,
            settings["steps"],
            seeding.generator(seed, "rf", data.PROTOCOL, "shuffle", arm=recipe.family),
        )
        start = DESIGNS[recipe.family].initial(_init(seed, recipe.family))
        splits = (self.bench.train, self.bench.validation)
        train, held_out = (Table.of(recipe, split, self.device) for split in splits)
        rate = settings["learning_rate"]
        return training.train(arm, (train, held_out), order, start, rate, progress)


def _init(seed: int, family: str) -> np.random.Generator:
    return seeding.generator(seed, "rf", data.PROTOCOL, "init", arm=family)


def head(arm: str, trained: Trained, features: Array) -> Array:
    """Sections (n, 2, 4) of a trained section head for features (n, 5)."""
    with torch.inference_mode():
        weights = trained.design.named(trained.flat)
        out = trained.design(weights, torch.from_numpy(features).to(trained.design.dtype))
        made: Array = networks.sections(out, RECIPES[arm].link).numpy()
    return made


def response(arm: str, trained: Trained, design: Array, omega: Array) -> Array:
    """Response, complex64 (n, m), of a trained MLP at ω (n, m).

    Raises TrainingError if a number is not finite: the arm has no way to refuse.
    """
    weights = trained.design.named(trained.flat)
    parts = []
    with torch.inference_mode():
        for first in range(0, len(design), _BLOCK):
            some = slice(first, first + _BLOCK)
            rows = data.rows(design[some], omega[some]).astype(np.float32)
            out = trained.design(weights, torch.from_numpy(rows)).numpy()
            parts.append(out[..., 0] + 1j * out[..., 1])
    made: Array = np.concatenate(parts).astype(np.complex64)
    if not np.isfinite(made).all():
        msg = f"{arm}: an answer is not finite; the arm has failed"
        raise TrainingError(msg)
    return made


def gate_score(trained: Trained, design: Array) -> Array:
    """Score (n,) of the classifier: minus the logit of having no answer."""
    with torch.inference_mode():
        x = torch.from_numpy(data.features(design)).to(trained.design.dtype)
        out = trained.design(trained.design.named(trained.flat), x)[:, 0]
    made: Array = -out.numpy().astype(np.float64)
    if not np.isfinite(made).all():
        msg = "gate_score: a score is not finite; the arm has failed"
        raise TrainingError(msg)
    return made
