"""Peaks that an arm washed out or invented, on stable devices that it accepted.

*Washout*: the highest predicted peak has less than half the true height. *Invented*: a predicted
maximum of 3 dB prominence that matches no true one, or a peak of more than twice the height. Every
arm but the oracle is examined, our own first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroproofml.report.domains.rf.answers import TestSet
    from zeroproofml.report.domains.rf.classic import TestRows

Kind = Literal["washout", "invented"]
KINDS: tuple[Kind, ...] = ("washout", "invented")
MOST = 6
"""Examples shown of each kind."""
WASHED, TWICE = 0.5, 2.0
_LEAST = 1e-6


@dataclass(frozen=True)
class Example:
    """One candidate.

    ``device`` counts among the stable test devices, ``severity`` is −ln r or dB, ``ratio`` is r,
    ``offset`` the frequency error of the highest peak in half bandwidths.
    """

    kind: Kind
    arm: str
    seed: int
    device: int
    severity: float
    ratio: float
    offset: float


def examined(tests: TestSet | TestRows, arm: str) -> int:
    """Devices on which ``arm`` can fail: those with a steady state that it accepts."""
    return int(np.count_nonzero(~tests.answer(arm).bottom))


def candidates(tests: TestSet | TestRows, arm: str, seed: int) -> list[Example]:
    """Every failure of ``arm`` in one seed, devices in order, a washout before an invention."""
    answer = tests.answer(arm)
    ratios, invented = answer.curve.ratio, answer.curve.invented
    wrong = (ratios < WASHED) | (ratios > TWICE) | (invented > 0)
    found = []
    for row in np.flatnonzero(~answer.bottom & wrong):
        ratio, offset = float(ratios[row]), float(answer.curve.offset[row])
        about = (arm, seed, int(answer.rows[row]))
        if ratio < WASHED:
            severity = -math.log(max(ratio, _LEAST))
            found.append(Example("washout", *about, severity, ratio, offset))
        false = float(invented[row])
        if false or ratio > TWICE:
            severity = false or 20 * math.log10(ratio)
            found.append(Example("invented", *about, severity, ratio, offset))
    return found


def pick(found: Iterable[Example], arms: Sequence[str], kind: Kind) -> list[Example]:
    """At most six examples of a kind.

    First the worst of each arm in declared order, on a device that is not shown yet; then the worst
    of the rest. A device may come again only in the second pass.

    >>> made = [Example("washout", "a", 1, d, float(d), 0.1, 0.0) for d in range(3)]
    >>> made += [Example("washout", "b", 1, 2, 9.0, 0.1, 0.0)]
    >>> [(e.arm, e.device) for e in pick(made, ["a", "b"], "washout")]
    [('a', 2), ('b', 2), ('a', 1), ('a', 0)]
    """
    ranked = sorted(
        (each for each in found if each.kind == kind),
        key=lambda e: (-e.severity, arms.index(e.arm), e.seed, e.device),
    )
    chosen: list[Example] = []
    shown: set[int] = set()
    for arm in arms:
        if len(chosen) == MOST:
            return chosen
        fresh = (e for e in ranked if e.arm == arm and e.device not in shown)
        if (worst := next(fresh, None)) is not None:
            chosen.append(worst)
            shown.add(worst.device)
    rest = [each for each in ranked if each not in chosen]
    return chosen + rest[: MOST - len(chosen)]
