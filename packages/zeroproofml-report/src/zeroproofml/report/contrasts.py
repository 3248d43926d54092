"""Cells and paired contrasts: the numbers of a summary and of a comparison, in contract form.

``derive.py`` builds them inside a run and against a baseline, ``compare.py`` between runs; both get
the same rules from here. A difference is always signed so that positive means *arm better*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from zeroproofml.report import stats
from zeroproofml.report.contract import Cell, Contrast, MetricDefinition
from zeroproofml.report.contract.base import Reason

__all__ = [
    "ALPHA",
    "Draft",
    "Value",
    "cell",
    "disagreement",
    "draft",
    "draft_unpaired",
    "finished_family",
    "main_reason",
    "sign_of",
]

ALPHA = 0.05
T = TypeVar("T")

Direction = Literal["higher", "lower", "none"]
_NUMBERS = ("mean_diff", "sd_diff", "ci_t", "ci_bca", "p", "p_floor", "permutations", "hedges_g")


@dataclass(frozen=True, slots=True)
class Value:
    """A metric of one seed: the number, or the reason code why there is none."""

    number: float | None
    reason: Reason | None = None


@dataclass(slots=True)
class Draft:
    """A contrast before its family is known: everything but the adjusted p."""

    fields: dict[str, Any]
    p: float | None
    reasons: dict[str, Reason] = field(default_factory=dict)


def sign_of(direction: Direction) -> float:
    """+1 where higher is better or nothing is, −1 where lower is better.

    >>> sign_of("lower")
    -1.0
    """
    return -1.0 if direction == "lower" else 1.0


def main_reason(values: Sequence[Value]) -> Reason:
    """The commonest reason among nulls; ``missing`` if there is no value at all.

    >>> main_reason([Value(None, "arm_failed"), Value(1.0)])
    'arm_failed'
    """
    codes = [value.reason or "missing" for value in values if value.number is None]
    if not codes:
        return "missing"
    return min(set(codes), key=lambda code: (-codes.count(code), code))


def cell(values: Sequence[Value]) -> Cell:
    """One metric of one arm over its seeds.

    Args:
        values: one per complete seed.

    Returns:
        The contract's cell: every number that n allows, a reason for each that it does not.

    >>> cell([Value(1.0), Value(3.0), Value(None, "empty_set")]).mean
    2.0
    """
    numbers = [value.number for value in values if value.number is not None]
    nulls: dict[Reason, int] = {}
    for value in values:
        if value.number is None:
            code: Reason = value.reason or "missing"
            nulls[code] = nulls.get(code, 0) + 1
    found: dict[str, Any] = {}
    reasons: dict[str, Reason] = {}
    if not numbers:
        code = main_reason(values)
        names = ("mean", "sd", "median", "q25", "q75", "min", "max", "ci_t", "ci_bca")
        return Cell(
            n=0, n_null=len(values), nulls=dict(sorted(nulls.items())),
            **dict.fromkeys(names), reasons=dict.fromkeys(names, code),
        )  # fmt: skip
    _put(found, reasons, "mean", lambda: stats.mean(numbers))
    _put(found, reasons, "sd", lambda: stats.sd(numbers))
    for name, q in (("median", 0.5), ("q25", 0.25), ("q75", 0.75)):
        found[name] = stats.quantile(numbers, q)
    found["min"], found["max"] = min(numbers), max(numbers)
    _put(found, reasons, "ci_t", lambda: stats.t_interval(numbers))
    _put(found, reasons, "ci_bca", lambda: stats.bca_interval(numbers))
    return Cell(
        n=len(numbers),
        n_null=len(values) - len(numbers),
        nulls=dict(sorted(nulls.items())),
        reasons=reasons,
        **found,
    )


def disagreement(ci_t: tuple[float, float] | None, ci_bca: tuple[float, float] | None) -> bool:
    """True if the two intervals stand on different sides of 0.

    >>> disagreement((0.1, 0.5), (-0.1, 0.4)), disagreement((0.1, 0.5), (0.2, 0.4))
    (True, False)
    """
    if ci_t is None or ci_bca is None:
        return False

    def side(interval: tuple[float, float]) -> int:
        return (interval[0] > 0) - (interval[1] < 0)

    return side(ci_t) != side(ci_bca)


def draft(
    arm: str,
    comparator: str,
    metric: str,
    definition: MetricDefinition,
    kind: Literal["declared", "exploratory"],
    mine: Mapping[int, Value],
    theirs: Mapping[int, Value],
    *,
    unequal_data: frozenset[int] = frozenset(),
    test: Callable[[Sequence[float]], stats.SignFlip | None] = stats.sign_flip,
) -> Draft:
    """A paired contrast over the seeds that have both values and the same data.

    Args:
        arm, comparator, metric: keys.
        definition: gives direction and with it the sign of the differences.
        kind: declared (a claim's) or exploratory.
        mine, theirs: value of arm and of comparator by seed.
        unequal_data: seeds whose data differ between the two; they are dropped.
        test: the p-value; a claim with a margin shifts the differences first.

    Returns:
        A draft; :func:`finished_family` adjusts p within its family.

    >>> error = MetricDefinition(
    ...     direction="lower", unit="m", bounds=(0.0, None), kind="error", text="distance"
    ... )
    >>> mine, theirs = {1: Value(1.0), 2: Value(1.0)}, {1: Value(3.0), 2: Value(None, "nan")}
    >>> made = draft("a", "b", "d", error, "exploratory", mine, theirs)
    >>> made.fields["diffs"], made.fields["dropped"]
    ({'1': 2.0}, {'2': 'nan'})
    """
    sign = sign_of(definition.direction)
    diffs: dict[int, float] = {}
    dropped: dict[int, str] = {}
    for seed in sorted(mine.keys() | theirs.keys()):
        a, b = mine.get(seed), theirs.get(seed)
        if a is None or b is None:
            dropped[seed] = "missing"
        elif seed in unequal_data:
            dropped[seed] = "datasets_unequal"
        elif a.number is None or b.number is None:
            dropped[seed] = (a.reason if a.number is None else b.reason) or "missing"
        else:
            d = sign * (a.number - b.number)
            if math.isfinite(d):
                diffs[seed] = d + 0.0  # no negative zero in a file
            else:
                dropped[seed] = "overflow"
    values = list(diffs.values())
    found: dict[str, Any] = {}
    reasons: dict[str, Reason] = {}
    _put(found, reasons, "mean_diff", lambda: stats.mean(values) if values else None)
    _put(found, reasons, "sd_diff", lambda: stats.sd(values))
    _put(found, reasons, "ci_t", lambda: stats.t_interval(values))
    _put(found, reasons, "ci_bca", lambda: stats.bca_interval(values))
    _put(found, reasons, "hedges_g", lambda: stats.hedges_g(values))
    if found["hedges_g"] is None and len(values) >= 2:
        reasons["hedges_g"] = "degenerate"
    _put(found, reasons, "share_better", lambda: stats.share_better(values))
    flip = test(values)
    for name in ("p", "p_floor", "permutations"):
        found[name] = getattr(flip, name, None)
        if flip is None:
            reasons[name] = "too_few"
    found |= {
        "arm": arm,
        "comparator": comparator,
        "metric": metric,
        "direction": definition.direction,
        "kind": kind,
        "n": len(values),
        "diffs": {str(seed): d for seed, d in diffs.items()},
        "dropped": {str(seed): code for seed, code in dropped.items()},
        "method": None if flip is None else flip.method,
    }
    return Draft(found, None if flip is None else flip.p, reasons)


def draft_unpaired(made: Draft, mean_diff: float | None) -> Draft:
    """Turn a contrast into one between runs with different data: a difference of means, no test.

    Args:
        made: the paired draft of the same arms and metric (all its pairs are dropped).
        mean_diff: signed difference of the two means, None if either is missing.

    Returns:
        The draft with every paired number ``not_applicable``.

    >>> made = Draft({"mean_diff": 0.5, "p": 0.1}, 0.1)
    >>> draft_unpaired(made, 2.0).reasons["p"]
    'not_applicable'
    """
    fields = made.fields | dict.fromkeys(_NUMBERS) | {"share_better": None, "method": None}
    reasons: dict[str, Reason] = dict.fromkeys((*_NUMBERS, "share_better"), "not_applicable")
    if mean_diff is not None:
        fields["mean_diff"] = mean_diff
        del reasons["mean_diff"]
    return Draft(fields, None, reasons)


def finished_family(
    drafts: Sequence[Draft], family: str, size: int | None = None
) -> tuple[Contrast, ...]:
    """Adjust p within one family (Holm) and say which side is better.

    A member without a test keeps its place in the family with p = 1: a family never loses members
    because they are inconvenient.

    Args:
        drafts: the members.
        family: its name, stored with each member.
        size: its size if it has further members elsewhere.

    Returns:
        The contrasts, in the order given.

    >>> finished_family([], "nothing")
    ()
    """
    size = len(drafts) if size is None else size
    adjusted = stats.holm([1.0 if d.p is None else d.p for d in drafts], size)
    return tuple(_finish(d, p, family, size) for d, p in zip(drafts, adjusted, strict=True))


def _finish(made: Draft, p_holm: float, family: str, size: int) -> Contrast:
    reasons = dict(made.reasons)
    if made.p is None:
        reasons["p_holm"] = reasons["p"]
    better: Literal["arm", "comparator", "undecided"] | None = None
    interval = made.fields["ci_t"]
    if made.fields["direction"] != "none":
        better = "undecided"
        if interval is not None and made.p is not None and p_holm <= ALPHA:
            if interval[0] > 0:
                better = "arm"
            elif interval[1] < 0:
                better = "comparator"
    return Contrast(
        **made.fields,
        p_holm=None if made.p is None else p_holm,
        family=family,
        family_size=size,
        better=better,
        reasons=reasons,
    )


def _put(
    found: dict[str, Any], reasons: dict[str, Reason], name: str, make: Callable[[], Any]
) -> None:
    """Store a number under the null rule: too few values, or one that doubles cannot hold."""
    code: Reason = "too_few"
    try:
        value = make()
    except OverflowError:
        value, code = None, "overflow"
    ends = value if isinstance(value, tuple) else (value,)
    if value is not None and not all(math.isfinite(end) for end in ends):
        value, code = None, "overflow"
    found[name] = value
    if value is None:
        reasons[name] = code
