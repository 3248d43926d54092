"""Which arm a preset chooses: on calibration numbers alone, over all planned seeds.

A preset has an operating point, an objective and a tie-break. A candidate takes part if its point is
feasible and its objective defined in every planned seed; what is missing never counts as best or as
worst, it takes the arm out and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zeroproofml.report import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PRESETS", "Entry", "Preset", "Reading", "absent", "indistinguishable", "rank"]


@dataclass(frozen=True, slots=True)
class Preset:
    """An operating point, what is optimised there, and what decides between equals."""

    name: str
    objective: str
    better: Literal["lower", "higher"]
    tie_break: str


PRESETS = (
    Preset("safety_first", "fn_in", "lower", "finite_mae_window"),
    Preset("accuracy_first", "fp_cens", "lower", "finite_mae_window"),
    Preset("direction_aware", "dir_macro_f1", "higher", "fp_cens"),
    Preset("balanced", "cost_1_1", "lower", "finite_mae_window"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One arm in one seed: objective and tie-break, and why there is no objective."""

    objective: float | None
    tie_break: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An arm's place: mean objective and tie-break, or the reason why it is not ranked."""

    arm: str
    mean: float | None
    tie_break: float | None
    reason: str | None

    @property
    def eligible(self) -> bool:
        """Whether the arm can be chosen.

        >>> Entry("a", 0.0, None, None).eligible
        True
        """
        return self.reason is None


def absent(number: float | None) -> bool:
    """Whether there is no number. Zero is one.

    >>> absent(0.0), absent(None)
    (False, True)
    """
    return number is None


def rank(
    preset: Preset,
    readings: Mapping[str, Mapping[int, Reading]],
    planned: Sequence[int],
    shut_out: Mapping[str, str],
) -> list[Entry]:
    """Arms from the best; those that cannot be chosen come last, in their own order.

    Args:
        preset: gives the direction.
        readings: arm → seed → what it reads, at the preset's point.
        planned: every seed of the plan.
        shut_out: arms that are shown but never chosen → reason.

    >>> table = {"a": {1: Reading(0.0, None)}, "b": {1: Reading(None, None, "empty_set")}}
    >>> [(entry.arm, entry.reason) for entry in rank(PRESETS[0], table, (1,), {})]
    [('a', None), ('b', 'empty_set')]
    """
    entries = [_entry(arm, seeds, planned, shut_out.get(arm)) for arm, seeds in readings.items()]
    ranked = sorted((e for e in entries if e.eligible), key=lambda entry: _key(preset, entry))
    return [*ranked, *(e for e in entries if not e.eligible)]


def indistinguishable(
    preset: Preset,
    ranking: Sequence[Entry],
    readings: Mapping[str, Mapping[int, Reading]],
    planned: Sequence[int],
) -> list[str]:
    """Candidates that cannot be told apart from the winner.

    The paired 95 % t interval of the difference in the objective contains 0, or there is none
    because there is one seed.
    """
    candidates = [entry.arm for entry in ranking if entry.eligible]
    if not candidates:
        return []
    best = objectives(readings[candidates[0]], planned)
    found = []
    for arm in candidates[1:]:
        mine = objectives(readings[arm], planned)
        interval = stats.t_interval([a - b for a, b in zip(mine, best, strict=True)])
        if interval is None or interval[0] <= 0 <= interval[1]:
            found.append(arm)
    return found


def objectives(seeds: Mapping[int, Reading], planned: Sequence[int]) -> list[float]:
    """Objectives by planned seed of an arm that has them all.

    >>> objectives({2: Reading(0.0, None), 1: Reading(0.5, None)}, (1, 2))
    [0.5, 0.0]
    """
    return [value for seed in planned if (value := seeds[seed].objective) is not None]


def _entry(
    arm: str, seeds: Mapping[int, Reading], planned: Sequence[int], shut_out: str | None
) -> Entry:
    reason = shut_out
    for seed in planned:
        reading = seeds.get(seed)
        if reason is None and reading is None:
            reason = "missing_seed"
        elif reason is None and reading is not None and absent(reading.objective):
            reason = reading.reason or "missing"
    there = [reading for seed in planned if (reading := seeds.get(seed)) is not None]
    return Entry(
        arm,
        _mean([reading.objective for reading in there]),
        _mean([reading.tie_break for reading in there]),
        reason,
    )


def _mean(numbers: Sequence[float | None]) -> float | None:
    """The mean if every seed has a number."""
    present = [number for number in numbers if number is not None]
    return stats.mean(present) if present and len(present) == len(numbers) else None


def _key(preset: Preset, entry: Entry) -> tuple[float, bool, float, str]:
    if entry.mean is None:
        return (0.0, True, 0.0, entry.arm)
    sign = 1.0 if preset.better == "lower" else -1.0
    tie = entry.tie_break
    return (sign * entry.mean, absent(tie), 0.0 if tie is None else tie, entry.arm)
