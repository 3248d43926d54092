"""Declared claims and their verdicts. Run contract, section 10.

A claim was fixed before the first seed ran and is judged from the copy in provenance, so that
editing the package afterwards changes nothing. Order of judgement: may this run speak at all
(INELIGIBLE), has it enough seeds (UNDERPOWERED), do interval and test agree (SUPPORTED, REFUTED),
otherwise UNDERPOWERED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroproofml.report import stats
from zeroproofml.report.contract import (
    Claim,
    ClaimNumbers,
    ClaimResult,
    Contrast,
    MetricDefinition,
)
from zeroproofml.report.contract.base import Reason
from zeroproofml.report.contract.claims import Verdict, VerdictReason
from zeroproofml.report.contrasts import Draft, Value, draft, finished_family, sign_of

__all__ = ["Circumstances", "Judged", "carries_test", "family_size", "judge"]

FAMILY = "declared claims"

Values = Mapping[str, Mapping[str, Mapping[int, Value]]]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides whether a run may speak for a claim.

    ``values`` is arm → metric → seed → value over the complete seeds; ``partial`` is True if a
    planned seed has no result, ``plan_extended`` if the plan grew after a seed was complete.
    """

    mode: str
    protocol: str
    device: str
    planned: tuple[int, ...]
    partial: bool
    plan_extended: bool
    definitions: Mapping[str, MetricDefinition]
    values: Values


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts in declared order, and the contrasts of the claims that compare two arms."""

    results: tuple[ClaimResult, ...]
    contrasts: tuple[Contrast, ...]
    family_size: int


@dataclass(slots=True)
class _Case:
    """One claim under way."""

    claim: Claim
    reasons: list[VerdictReason]
    d: dict[int, float]
    test: stats.SignFlip | None
    contrast: Draft | None


def carries_test(claim: Claim) -> bool:
    """True for the kinds whose verdict needs a p-value.

    >>> from types import SimpleNamespace
    >>> carries_test(SimpleNamespace(kind="every_seed")), carries_test(SimpleNamespace(kind="bound"))
    (False, True)
    """
    return claim.kind != "every_seed"


def family_size(claims: Sequence[Claim]) -> int:
    """How many declared claims carry a test: the size of the one Holm family of a run.

    >>> family_size([])
    0
    """
    return sum(map(carries_test, claims))


def judge(claims: Sequence[Claim], run: Circumstances) -> Judged:
    """Judge every declared claim.

    Args:
        claims: as declared in provenance.
        run: what the run is and what it measured.

    Returns:
        One result per claim in the same order. An ineligible claim, or one without a p-value,
        takes part in the correction with p = 1.

    >>> run = Circumstances("paper", "standard", "cpu", (1,), False, False, {}, {})
    >>> judge([], run).family_size
    0
    """
    size = family_size(claims)
    cases = [_open(claim, run) for claim in claims]
    tested = [case for case in cases if carries_test(case.claim)]
    p_values = [1.0 if case.reasons or case.test is None else case.test.p for case in tested]
    adjusted = dict(zip(map(id, tested), stats.holm(p_values), strict=True))
    results = tuple(_close(case, adjusted.get(id(case)), size, run) for case in cases)
    drafts = [case.contrast for case in cases if case.contrast is not None]
    return Judged(results, finished_family(drafts, FAMILY, size), size)


def _open(claim: Claim, run: Circumstances) -> _Case:
    reasons: list[VerdictReason] = []
    if run.mode not in claim.eligible_modes:
        reasons.append("mode")
    if run.protocol not in claim.eligible_protocols:
        reasons.append("protocol")
    if claim.devices is not None and run.device not in claim.devices:
        reasons.append("device")
    mine = run.values.get(claim.arm, {}).get(claim.metric)
    theirs = None
    if claim.comparator is not None:
        theirs = run.values.get(claim.comparator, {}).get(claim.metric)
    if mine is None or (claim.comparator is not None and theirs is None):
        reasons.append("arm_absent")
    if run.partial:
        reasons.append("run_partial")
    if run.plan_extended:
        reasons.append("plan_extended")
    if mine is None or (claim.comparator is not None and theirs is None):
        return _Case(claim, reasons, {}, None, None)
    mine, theirs = _filled(mine, claim), None if theirs is None else _filled(theirs, claim)
    if any(v.number is None for side in (mine, theirs or {}) for v in side.values()):
        reasons.append("null_pairs")
    definition = run.definitions[claim.metric]
    if claim.comparator is None or theirs is None:
        bound = claim.bound if claim.bound is not None else 0.0
        sign = sign_of(definition.direction)
        d = {
            seed: sign * (value.number - bound) + 0.0
            for seed, value in sorted(mine.items())
            if value.number is not None and math.isfinite(value.number - bound)
        }
        return _Case(claim, reasons, d, _test(claim, list(d.values())), None)
    made = draft(
        claim.arm,
        claim.comparator,
        claim.metric,
        definition,
        "declared",
        mine,
        theirs,
        test=lambda values: _test(claim, values),
    )
    if reasons:  # an ineligible claim stays in its family with p = 1, and shows no p
        made.p = None
        for name in ("p", "p_floor", "permutations"):
            made.fields[name] = None
            made.reasons[name] = "not_applicable"
        made.fields["method"] = None
    d = {int(seed): value for seed, value in made.fields["diffs"].items()}
    return _Case(claim, reasons, d, _test(claim, list(d.values())), made)


def _filled(values: Mapping[int, Value], claim: Claim) -> dict[int, Value]:
    if claim.missing == "ineligible":
        return dict(values)
    worst = Value(float(claim.missing))
    return {seed: worst if v.number is None else v for seed, v in values.items()}


def _test(claim: Claim, d: Sequence[float]) -> stats.SignFlip | None:
    """The p-value against the claim's margin."""
    if not carries_test(claim):
        return None
    if claim.kind == "equivalence":
        above = stats.sign_flip([x + claim.margin for x in d], "greater")
        below = stats.sign_flip([x - claim.margin for x in d], "less")
        if above is None or below is None:
            return None
        return max(above, below, key=lambda test: test.p)
    shift = claim.margin if claim.kind == "noninferiority" else -claim.margin
    return stats.sign_flip([x + shift for x in d])


def _close(case: _Case, p_holm: float | None, size: int, run: Circumstances) -> ClaimResult:
    claim, d = case.claim, case.d
    values = list(d.values())
    interval = stats.t_interval(values) if carries_test(claim) else None
    if case.reasons:
        verdict: Verdict = "INELIGIBLE"
        reasons: list[VerdictReason] = case.reasons
        p_holm = None
    else:
        verdict, reasons = _verdict(case, interval, p_holm, size, run)
    p = None if case.reasons or case.test is None else case.test.p
    numbers: dict[str, Any] = {
        "estimate": None,
        "interval": interval,
        "p": p,
        "p_holm": None if p is None else p_holm,
    }
    if values:
        numbers["estimate"] = stats.mean(values) if carries_test(claim) else min(values)
    codes: dict[str, Reason] = {}
    for name, number in numbers.items():
        if number is None:
            eligible_test = carries_test(claim) and not case.reasons
            too_few = name == "estimate" or (carries_test(claim) and name == "interval")
            codes[name] = "too_few" if too_few or eligible_test else "not_applicable"
    return ClaimResult(
        id=claim.id,
        verdict=verdict,
        reasons=tuple(reasons),
        numbers=ClaimNumbers(n=len(d), reasons=codes, **numbers),
        seeds=tuple(d),
    )


def _verdict(
    case: _Case,
    interval: tuple[float, float] | None,
    p_holm: float | None,
    size: int,
    run: Circumstances,
) -> tuple[Verdict, list[VerdictReason]]:
    claim = case.claim
    if len(case.d) < claim.min_seeds:
        return "UNDERPOWERED", ["too_few_seeds"]
    if claim.kind == "every_seed":
        holds = len(case.d) == len(run.planned) and min(case.d.values()) >= claim.margin
        return ("SUPPORTED" if holds else "REFUTED"), []
    if case.test is None or interval is None or p_holm is None:
        return "UNDERPOWERED", ["too_few_seeds"]
    if case.test.p_floor > claim.alpha / size:
        return "UNDERPOWERED", ["too_few_seeds"]
    low, high = interval
    margin = claim.margin
    if claim.kind == "equivalence":
        supported = -margin < low and high < margin
        refuted = low >= margin or high <= -margin
    else:
        line = -margin if claim.kind == "noninferiority" else margin
        supported, refuted = low > line, high < line
    if supported and p_holm <= claim.alpha:
        return "SUPPORTED", []
    if refuted:
        return "REFUTED", []
    return "UNDERPOWERED", ["interval_contains_margin"]
