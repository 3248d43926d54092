"""What the figures of the RF pack are drawn from: the run, its styles, and seeds read when needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroproofml.report.domains.rf.pooled import answering, open_seed
from zeroproofml.report.domains.rf.standard import BIN_WORDS
from zeroproofml.report.figures.standard import arm_styles
from zeroproofml.report.figures.style import ArmStyle

if TYPE_CHECKING:
    from zeroproofml.report.domains.rf.answers import TestSet
    from zeroproofml.report.domains.rf.classic import TestRows
    from zeroproofml.report.rundir import RawRun

TRUTH = ArmStyle("ink", "plus", "")
WORDS = {**BIN_WORDS, "extrapolation": "Q above 30"}
SHORT = {"in": "Q 5–30", "q100": "30–100", "q300": "100–300", "q1000": "300–1000"}
"""The four bins of Q as they stand under an axis."""
ARRAYS = "seed_<n>/predictions.npz"


@dataclass
class Source:
    """A run as the figures see it. The test devices of the last seed asked for are kept."""

    run: RawRun
    styles: dict[str, ArmStyle]
    seeds: tuple[int, ...]
    planned: int
    _open: dict[int, TestSet | TestRows] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RawRun) -> Source:
        """Every complete seed of a run."""
        return cls(run, arm_styles(run.protocol), tuple(sorted(run.results)), len(run.planned))

    def tests(self, seed: int) -> TestSet | TestRows:
        """Test devices and answers of a seed."""
        if seed not in self._open:
            last = next(iter(self._open.values()), None)
            self._open = {seed: open_seed(self.run, seed, last)}
        return self._open[seed]

    def arms(self, seed: int) -> list[str]:
        """Arms that answered in this seed, in declared order."""
        return answering(self.run, seed)

    def everywhere(self) -> list[str]:
        """Arms that answered in some seed, in declared order."""
        found = {arm for seed in self.seeds for arm in self.arms(seed)}
        return [arm.key for arm in self.run.protocol.arms if arm.key in found]

    def metric(self, arm: str, name: str) -> dict[int, float | None]:
        """Seed → stored metric of an arm, for the seeds that have the arm."""
        results = self.run.results
        return {s: results[s].arms[arm].metrics[name] for s in self.seeds if arm in self.arms(s)}
