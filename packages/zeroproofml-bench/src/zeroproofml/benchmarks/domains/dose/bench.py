"""What the arms of one seed share: every set of curves, inputs, targets and exact posteriors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks.domains import Dataset
from zeroproofml.benchmarks.domains.dose import bayes, data
from zeroproofml.report.domains.dose.answers import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.dose.data import Curves
    from zeroproofml.benchmarks.seeding import Role
    from zeroproofml.report.domains.dose.arms import DoseArm

_OF_SEED: dict[str, Role] = {
    "train": "data.train",
    "calibration": "data.calibration",
    "validation": "data.validation",
}


@dataclass
class Bench:
    """One seed of a protocol. ``answered`` are the sets that every arm answers, by stored name."""

    protocol: str
    version: int
    seed: int
    settings: Mapping[str, Any]
    device: str
    curves: dict[str, Curves]
    answered: dict[str, Curves]
    _posteriors: dict[str, bayes.Posterior] = field(default_factory=dict)
    _inputs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, Any], seed: int) -> Bench:
        """Draw every set; the frozen ones must have the digests of the settings."""
        name, version = config["protocol"]["name"], config["protocol"]["version"]
        settings = config["settings"]
        frozen = data.test_sets(name, version, settings)
        own = {
            key: data.of_seed(name, version, role, seed, settings[key])
            for key, role in _OF_SEED.items()
        }
        answered = {"cal": own["calibration"], **frozen}
        device = config.get("device", "cpu")
        return cls(name, version, seed, settings, device, {**own, **frozen}, answered)

    @property
    def stream(self) -> str:
        """Protocol and version, as streams name them."""
        return f"{self.protocol}/{self.version}"

    def datasets(self) -> dict[str, Dataset]:
        """The data sets of the seed; the frozen ones are shared between seeds."""
        made = {}
        for name, curves in self.curves.items():
            own = name in _OF_SEED
            role: Any = name if own else "test"
            shared = None if own else curves.arrays()
            made[name] = Dataset(data.digest(curves), len(curves), role, shared)
        return made

    def schedule(self, arm: DoseArm) -> Mapping[str, Any]:
        """Batch and epochs of an arm: the mode's, or those of its own number of training curves."""
        if arm.rows is None:
            return self.settings
        own: Mapping[str, Any] = self.settings["budget"][str(arm.rows)]
        return own

    def posterior(self, where: str) -> bayes.Posterior:
        """The exact posterior of a set, computed once."""
        if where not in self._posteriors:
            effects = self.answered[where].effects
            self._posteriors[where] = bayes.posterior(self.protocol, effects)
        return self._posteriors[where]

    def inputs(self, name: str) -> Any:
        """What networks see of a set, computed once."""
        from zeroproofml.benchmarks.domains.dose import training

        if name not in self._inputs:
            curves = self.answered[name] if name in self.answered else self.curves[name]
            self._inputs[name] = training.inputs(self.protocol, curves)
        return self._inputs[name]

    def targets(self, where: str) -> Targets:
        """The truth of a set, as the metrics see it."""
        curves = self.answered[where]
        return Targets(curves.label, curves.l_microdecades, curves.no_effect)
