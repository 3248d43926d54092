"""Pareto fronts over arms, or over arms and operating points: who is beaten in everything, by whom.

Dominance is strict and judged on means over seeds; equal vectors are both on the front. An entry
without one of the objectives in some seed is skipped with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zeroproofml.report import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FRONTS", "Front", "Objective", "Placed", "place"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and its better direction."""

    metric: str
    better: Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Front:
    """A named front; ``points`` are the operating points that enter."""

    name: str
    points: tuple[str, ...]
    objectives: tuple[Objective, ...]


FRONTS = (
    Front(
        "safety_accuracy",
        ("balanced",),
        (
            Objective("fp_cens", "lower"),
            Objective("fn_in", "lower"),
            Objective("macro_f1", "higher"),
        ),
    ),
    Front(
        "direction_regression",
        ("balanced",),
        (Objective("dir_macro_f1", "higher"), Objective("finite_mae", "lower")),
    ),
    Front(
        "safety_coverage",
        ("balanced", "safety_first", "accuracy_first", "direction_aware", "published"),
        (Objective("fp_cens", "lower"), Objective("in_range_accepted", "higher")),
    ),
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry's place: ``front``, ``dominated`` (by whom, and whether clearly) or ``skipped``."""

    name: tuple[str, str]
    status: Literal["front", "dominated", "skipped"]
    means: tuple[float, ...] = ()
    dominated_by: tuple[str, str] | None = None
    clear: bool = False
    reason: str | None = None


def place(
    objectives: Sequence[Objective],
    values: Mapping[tuple[str, str], Sequence[Sequence[float | None]]],
    reasons: Mapping[tuple[str, str], str],
) -> list[Placed]:
    """Every entry's place.

    Args:
        objectives: what counts.
        values: (arm, point) → one series over seeds for each objective; None where undefined.
        reasons: why an entry has an undefined value.

    >>> both = (Objective("fp_cens", "lower"), Objective("fn_in", "lower"))
    >>> made = place(both, {("a", ""): [[0.0], [0.0]], ("b", ""): [[0.1], [0.0]]}, {})
    >>> [(p.name[0], p.status, p.dominated_by) for p in made]
    [('a', 'front', None), ('b', 'dominated', ('a', ''))]
    """
    sign = [1.0 if o.better == "higher" else -1.0 for o in objectives]
    whole: dict[tuple[str, str], list[list[float]]] = {}
    for name, series in values.items():
        held = [[x for x in one if x is not None] for one in series]
        if all(one and len(one) == len(all_) for one, all_ in zip(held, series, strict=True)):
            whole[name] = held
    means = {name: tuple(stats.mean(one) for one in series) for name, series in whole.items()}
    scores = {name: [s * m for s, m in zip(sign, means[name], strict=True)] for name in means}

    def beats(a: Any, b: Any) -> bool:
        pairs = list(zip(scores[a], scores[b], strict=True))
        return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)

    beaten = {name for name in scores if any(beats(other, name) for other in scores)}
    placed = []
    for name in values:
        if name not in whole:
            placed.append(Placed(name, "skipped", reason=reasons.get(name, "missing")))
        elif name not in beaten:
            placed.append(Placed(name, "front", means[name]))
        else:
            # One on the front exists for every beaten entry; the first by name, whatever the order.
            above = [o for o in scores if o not in beaten and beats(o, name)]
            clearly = sorted(o for o in above if _clear(sign, whole[o], whole[name]))
            by = clearly[0] if clearly else min(above)
            placed.append(Placed(name, "dominated", means[name], by, bool(clearly)))
    return placed


def _clear(
    sign: Sequence[float], better: Sequence[Sequence[float]], worse: Sequence[Sequence[float]]
) -> bool:
    """The paired interval favours the dominator in one objective.

    It favours the dominated in none: the dominator's means are nowhere worse.
    """
    found = False
    for s, mine, theirs in zip(sign, better, worse, strict=True):
        interval = stats.t_interval([s * (a - b) for a, b in zip(mine, theirs, strict=True)])
        found = found or (interval is not None and interval[0] > 0)
    return found
