"""What an arm of this domain declares beside its name: part, kind of score, gauge, margins, columns."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from zeroproofml.scm.errors import SCMValueError

__all__ = ["UNIT", "DoseArm", "Gauge", "arms"]

UNIT = "log10 mol/L"
Part = Literal["headline", "reference", "ablation", "budget"]
Score = Literal["projective", "probability", "distance"]


@dataclass(frozen=True, slots=True)
class Gauge:
    """How a tuple is read as a concentration: L = center + scale · P/Q, in log10 mol/L.

    Raises:
        SCMValueError: a scale that is not positive, or a number that is not finite.
    """

    center: float
    scale: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.scale) and self.scale > 0):
            msg = f"gauge: center {self.center} and scale {self.scale} must be finite, scale > 0"
            raise SCMValueError(msg)

    def limit(self, t: float) -> float:
        """Greatest distance of a decoded value from the center, in decades, at threshold ``t`` ≤ 1.

        On the unit circle |Q| = 1/√(1 + z²), so a threshold is a limit on the decoded value.

        >>> round(Gauge(-7.0, 1.0).limit(0.4472136), 3), round(Gauge(0.0, 1.0).limit(0.025), 1)
        (2.0, 40.0)
        """
        return self.scale * math.sqrt(max(0.0, 1.0 / (t * t) - 1.0)) if t > 0 else math.inf

    def plain(self) -> dict[str, float | str]:
        """As it stands beside every stored threshold.

        >>> Gauge(-7.0, 1.0).plain()
        {'center': -7.0, 'scale': 1.0, 'unit': 'log10 mol/L'}
        """
        return {"center": self.center, "scale": self.scale, "unit": UNIT}


@dataclass(frozen=True, slots=True)
class DoseArm:
    """One arm of a protocol.

    Args:
        key: its name in runs.
        part: headline arms are candidates of the presets, the reference is the exact posterior.
        score: ``projective`` |Q|/‖(P, Q)‖ in [0, 1], ``probability``, or ``distance`` in decades.
        gauge: of a projective arm; a threshold on its score means nothing without one.
        tau_train: training margin; an accepted lane below it lies in the gap.
        published: the published decision, a threshold or ``"argmax"`` of three probabilities.
        stores: columns beyond score, direction, point and cause.
        rows: training curves if not those of the mode.

    Raises:
        SCMValueError: a projective arm without a gauge, or a gauge on another arm.
    """

    key: str
    part: Part
    score: Score
    gauge: Gauge | None
    tau_train: float | None = None
    published: float | Literal["argmax"] | None = None
    stores: tuple[str, ...] = ()
    rows: int | None = None

    def __post_init__(self) -> None:
        if (self.score == "projective") != (self.gauge is not None):
            msg = f"{self.key}: a gauge belongs to every projective arm and to no other; fix it"
            raise SCMValueError(msg)

    @property
    def projective(self) -> bool:
        """Whether the arm gives tuples (P, Q).

        >>> arms("standard")["scm_oriented"].projective, arms("standard")["tobit"].projective
        (True, False)
        """
        return self.score == "projective"

    @property
    def shown(self) -> bool:
        """Whether the arm stands in presets and fronts.

        >>> arms("standard")["tobit"].shown, arms("standard")["tobit_2k"].shown
        (True, False)
        """
        return self.part in ("headline", "reference")

    @property
    def columns(self) -> tuple[str, ...]:
        """Stored columns beyond the four that every arm has.

        >>> arms("standard")["scm_dirhead"].columns, arms("standard")["tobit"].columns
        (('q', 'orient'), ('prob', 'sd'))
        """
        return ("q", *self.stores) if self.projective else self.stores


@cache
def arms(protocol: str) -> dict[str, DoseArm]:
    """Every arm of a protocol in declared order.

    >>> [key for key, arm in arms("standard").items() if arm.part == "reference"]
    ['bayes_oracle']
    """
    source = resources.files("zeroproofml.report.domains") / "data" / f"dose_{protocol}_v1.json"
    entries = json.loads(source.read_text(encoding="utf-8"))["arms"]
    return {
        entry["key"]: DoseArm(
            entry["key"],
            entry["part"],
            entry["score"],
            None if entry["gauge"] is None else Gauge(**entry["gauge"]),
            entry["tau_train"],
            entry["published"],
            tuple(entry["stores"]),
            entry["rows"],
        )
        for entry in entries
    }
