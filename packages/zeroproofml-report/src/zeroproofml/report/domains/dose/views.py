"""One pass over the seeds of a run: targets, answers and operating points of every working arm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.dose import answers, members
from zeroproofml.report.domains.dose.answers import Outcome, accept
from zeroproofml.report.domains.dose.arms import DoseArm
from zeroproofml.report.domains.dose.arms import arms as declared
from zeroproofml.report.domains.dose.thresholds import Candidates, published

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroproofml.report.domains.dose.answers import Answer, Targets
    from zeroproofml.report.domains.dose.thresholds import Point
    from zeroproofml.report.rundir import RawRun

__all__ = ["View", "points", "present", "views"]


@dataclass(frozen=True)
class View:
    """One seed: targets by set, and by arm its answers by set and its operating points.

    ``candidates`` are those of calibration, of which the points were chosen.
    """

    seed: int
    truth: dict[str, Targets]
    given: dict[str, dict[str, Answer]]
    candidates: dict[str, Candidates]
    points: dict[str, dict[str, Point]]
    _made: dict[tuple[str, str, str], Outcome] = field(default_factory=dict, init=False)

    def outcome(self, arm: str, where: str, point: str = "balanced") -> Outcome | None:
        """What ``arm`` does on a set at an operating point; None where that has no threshold."""
        found = self.points[arm].get(point)
        if found is None or found.t is None:
            return None
        key = (arm, where, point)
        if key not in self._made:
            given = self.given[arm][where]
            self._made[key] = Outcome(self.truth[where], given, accept(given, found.t))
        return self._made[key]

    def pair(self, arm: str, where: str) -> tuple[Targets, Answer]:
        """Targets and answer of a set."""
        return self.truth[where], self.given[arm][where]


def points(arm: DoseArm, given: Answer, truth: Targets) -> dict[str, Point]:
    """Operating points of an arm from its answers on calibration; ``published`` if it has one."""
    return _points(arm, given, truth, Candidates.of(given, truth))


def present(run: RawRun) -> dict[str, DoseArm]:
    """The arms of a run in declared order."""
    known = declared(run.config.protocol.name)
    return {key: arm for key, arm in known.items() if key in run.config.arms}


def views(run: RawRun) -> Iterator[View]:
    """Every complete seed, one at a time, ascending."""
    known = declared(run.config.protocol.name)
    settings: Any = run.config.settings
    for seed in sorted(run.results):
        made = run.results[seed].arms
        arrays = run.arrays(seed)
        truth = {name: answers.targets(arrays, name) for name in members.sets(settings)}
        given = {
            key: {name: answers.answer(arrays, key, name) for name in truth}
            for key in known
            if key in made and made[key].status == "ok"
        }
        found = {key: Candidates.of(own["cal"], truth["cal"]) for key, own in given.items()}
        chosen = {
            key: _points(known[key], own["cal"], truth["cal"], found[key])
            for key, own in given.items()
        }
        yield View(seed, truth, given, found, chosen)


def _points(arm: DoseArm, given: Answer, truth: Targets, found: Candidates) -> dict[str, Point]:
    known = published(arm, given, truth)
    return found.points() if known is None else found.points() | {"published": known}
