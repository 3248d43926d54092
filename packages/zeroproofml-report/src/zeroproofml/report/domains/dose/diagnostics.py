"""aggregated/dose_diagnostics.json: by arm, what stands behind its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains.dose import lanes
from zeroproofml.report.domains.dose.coverage import Curves
from zeroproofml.report.domains.dose.metrics import SEVEN, STRESS
from zeroproofml.report.domains.dose.operating import cell_of
from zeroproofml.report.domains.dose.sweeps import Sweep, grid
from zeroproofml.report.domains.dose.thresholds import Candidates
from zeroproofml.report.domains.dose.tuples import Denominators, Directions
from zeroproofml.report.domains.dose.views import present
from zeroproofml.report.domains.packaged import head
from zeroproofml.report.domains.ranking import Null

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.dose.arms import DoseArm
    from zeroproofml.report.domains.dose.views import View
    from zeroproofml.report.rundir import RawRun

__all__ = ["PATH", "Diagnosed", "diagnostics"]

PATH = "aggregated/dose_diagnostics.json"
SPLITS = ("cal", "test")
CLASSES = ("below", "in_range", "above")


@dataclass
class _Arm:
    """What is gathered of one arm."""

    declared: DoseArm
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    closest: list[dict[str, Any]] = field(default_factory=list)
    farthest: list[dict[str, Any]] = field(default_factory=list)
    confusion: Any = field(default_factory=lambda: np.zeros((3, 4), np.int64))
    curves: Curves = field(default_factory=Curves)
    denominators: Denominators = field(default_factory=Denominators)
    directions: Directions = field(default_factory=Directions)

    def add(self, view: View, key: str) -> None:
        truth, given = view.pair(key, "test")
        made, point = view.outcome(key, "test"), view.points[key]["balanced"]
        found = {"cal": view.candidates[key], "test": Candidates.of(given, truth)}
        for split in SPLITS:
            sweep = self.sweeps.setdefault(split, Sweep(self.declared.score))
            sweep.add(view.seed, found[split], point, with_exact=self.declared.shown)
        if made is not None:
            self.closest += lanes.closest(view.seed, made, point)
            self.farthest += lanes.farthest(view.seed, made, point)
            self.confusion += made.confusion
        self.curves.add(view, key)
        if self.declared.projective:
            self.denominators.add(truth, given)
            self.directions.add(view, key)

    def plain(self) -> dict[str, Any]:
        """The arm's part of the file."""
        gauge = self.declared.gauge
        out: dict[str, Any] = {
            "role": self.declared.part,
            "score_kind": self.declared.score,
            "gauge": None if gauge is None else gauge.plain(),
            "sweep_t": grid(self.declared.score).tolist(),
            "sweeps": {
                split: {"used_for_choice": split == "cal", **sweep.plain()}
                for split, sweep in self.sweeps.items()
            },
            "borderline": lanes.keep(self.closest, "margin"),
            "far_errors": lanes.keep(self.farthest, "from_edge"),
            "confusion": {
                "rows": list(CLASSES),
                "columns": [*CLASSES, "fault"],
                "counts": self.confusion.tolist(),
                "row_shares": [_shares(row) for row in self.confusion.tolist()],
            },
            "coverage": self.curves.plain(),
        }
        if self.declared.projective:
            out["q_histogram"] = self.denominators.plain()
            out["direction"] = self.directions.plain(cell_of)
        return out


@dataclass
class Diagnosed:
    """Everything gathered, by arm."""

    arms: dict[str, _Arm] = field(default_factory=dict)

    def add(self, run: RawRun, view: View) -> None:
        """Take one seed."""
        known = present(run)
        for key in view.points:
            self.arms.setdefault(key, _Arm(known[key])).add(view, key)


def diagnostics(
    run: RawRun, found: Diagnosed, points: Mapping[tuple[str, str], Mapping[int, Any]]
) -> dict[str, Any]:
    """The file's content; arms in declared order. ``points`` are thresholds by arm and point."""
    arms = {key: found.arms[key].plain() for key in present(run) if key in found.arms}
    for key, made in arms.items():
        made["thresholds"] = {
            point: list(seeds.values()) for (arm, point), seeds in points.items() if arm == key
        }
        made["stress"] = _stress(run, key)
    return {**head(run, "dose_diagnostics"), "arms": arms}


def _stress(run: RawRun, arm: str) -> dict[str, Any]:
    """The seven metrics on each stress set, from the stored results; empty without stress sets."""
    settings: Any = run.config.settings
    out: dict[str, Any] = {}
    for where in STRESS:
        if where not in settings["stress"]:
            continue
        out[where] = {}
        for name in (f"{key}{end}" for end in ("", "_safety") for key in SEVEN):
            seeds = {}
            for seed, result in run.results.items():
                made = result.arms[arm]
                number = made.metrics[f"{where}_{name}"]
                code = made.reasons.get(f"{where}_{name}", "missing")
                seeds[seed] = Null(code) if number is None else number
            out[where][name] = cell_of(seeds)
    return out


def _shares(row: list[int]) -> list[float] | None:
    total = sum(row)
    return [count / total for count in row] if total else None
