"""A trained arm of one seed: its plan, its tables and streams, its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains.dose import evaluate, losses, training
from zeroproofml.benchmarks.domains.dose.recipes import RECIPES

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.dose.bench import Bench
    from zeroproofml.benchmarks.domains.dose.training import Trained
    from zeroproofml.benchmarks.progress import Progress
    from zeroproofml.benchmarks.seeding import Role
    from zeroproofml.report.domains.dose.arms import DoseArm


class Learned:
    """One arm that is trained; ``n_train`` is the number of training curves it sees."""

    def __init__(self, bench: Bench, arm: DoseArm) -> None:
        self._bench, self._arm = bench, arm
        self.recipe = RECIPES[bench.protocol][arm.key]
        own, settings = bench.schedule(arm), bench.settings
        self.plan = training.Plan(
            own["batch"],
            own["epochs"],
            settings["learning_rate"],
            cosine=settings["schedule"] == "cosine",
            double=bench.protocol == "classic",
        )
        self.n_train: int = settings["train"] if arm.rows is None else arm.rows

    def start(self) -> torch.Tensor:
        """The flat start: a trunk that all arms of the seed share, and the head of the family."""
        trunk = self._stream("init")
        head = self._stream("init", self.recipe.family or self._arm.key)
        return self.recipe.design.initial(trunk, head, shock=self.recipe.shock)

    def train(self, progress: Progress) -> Trained:
        """Train on the first ``n_train`` rows; raises Diverged."""
        return training.train(
            self._arm.key,
            self.recipe,
            self.plan,
            self._table("train", self.n_train),
            self._table("validation"),
            self.start(),
            self._stream("shuffle"),
            progress,
        )

    def answer(self, flat: torch.Tensor, where: str) -> dict[str, Any]:
        """Stored columns on a set of curves, for the parameters ``flat``."""
        weights = self.recipe.design.named(flat)
        outputs = training.answer(self.recipe, weights, self._bench.inputs(where))
        return evaluate.learned(self.recipe, self._arm, *outputs)

    def checkpoint(self, flat: torch.Tensor) -> dict[str, Any]:
        """Parameters by name."""
        named = self.recipe.design.named(flat)
        return {name: value.numpy().copy() for name, value in named.items()}

    def _stream(self, role: Role, arm: str | None = None) -> torch.Generator:
        return seeding.torch_generator(self._bench.seed, "dose", self._bench.stream, role, arm=arm)

    def _table(self, name: str, rows: int | None = None) -> torch.Tensor:
        target = losses.columns(self.recipe, self._bench.curves[name]).astype(np.float32)
        table = np.concatenate([self._bench.inputs(name), target], axis=1)[:rows]
        return torch.from_numpy(table).to(self._bench.device)
