"""What the figures of the DOSE pack are drawn from: the derived numbers, and cells of the results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zeroproofml.report import domains
from zeroproofml.report.contrasts import Value, cell
from zeroproofml.report.domains.dose import diagnostics, fronts, operating
from zeroproofml.report.domains.dose.arms import arms as declared
from zeroproofml.report.figures.standard import arm_styles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.contract import Cell
    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.domains.dose.arms import DoseArm
    from zeroproofml.report.figures.style import ArmStyle
    from zeroproofml.report.rundir import RawRun

__all__ = ["DIAGNOSTICS", "Gathered", "gather", "split"]

DIAGNOSTICS = diagnostics.PATH
SHOWN = ("headline", "reference")
MOST_ARMS = 6


@dataclass(frozen=True)
class Gathered:
    """Derived numbers by file, arms as declared, styles, and the seeds behind it all."""

    run: RawRun
    law: Protocol
    known: Mapping[str, DoseArm]
    styles: Mapping[str, ArmStyle]
    planned: int
    seeds: tuple[int, ...]
    arms: Mapping[str, Any]
    operating: Mapping[str, Any]
    fronts: Mapping[str, Any]

    def shown(self) -> list[str]:
        """Headline and reference arms that gave an answer, in declared order."""
        return [key for key in self.arms if self.known[key].part in SHOWN]

    def tuples(self, parts: Sequence[str]) -> list[str]:
        """Tuple arms of these parts that gave an answer."""
        return [k for k in self.arms if self.known[k].projective and self.known[k].part in parts]

    def style(self, arm: str, *, hollow: bool = False) -> ArmStyle:
        """How an arm is drawn; hollow where it is beaten."""
        return replace(self.styles[arm], hollow=True) if hollow else self.styles[arm]

    def cell(self, arm: str, metric: str) -> Cell:
        """A metric over seeds, from the stored results."""
        values = []
        for result in self.run.results.values():
            made = result.arms[arm]
            number = made.metrics[metric]
            values.append(Value(number, None if number is not None else made.reasons[metric]))
        return cell(values)


def gather(run: RawRun, derived: Mapping[str, Any]) -> Gathered:
    """The numbers of a run that its figures show."""
    law = domains.get("dose", run.config.protocol.name)
    return Gathered(
        run,
        law,
        declared(law.name),
        arm_styles(law),
        len(run.planned),
        tuple(sorted(run.results)),
        derived[diagnostics.PATH]["arms"],
        derived[operating.PATH],
        derived[fronts.PATH]["fronts"],
    )


def split(arms: Sequence[str]) -> list[list[str]]:
    """Arms in groups that one plate can hold, as equal as they come.

    >>> [len(group) for group in split(list("abcdefghi"))]
    [5, 4]
    """
    plates = -(-len(arms) // MOST_ARMS)
    size = -(-len(arms) // plates) if plates else 1
    return [list(arms[i : i + size]) for i in range(0, len(arms), size)]
