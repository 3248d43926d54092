"""``CLAIM_AUDIT.md``: each claim with its numbers, its verdict, and the files it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import (
    Block,
    Cell,
    Code,
    Column,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Text,
    seed_list,
)
from zeroproofml.report.pages.run_report import banners

if TYPE_CHECKING:
    from zeroproofml.report.contract import Claim, ClaimResult, MetricDefinition
    from zeroproofml.report.pages.run_report import Report

__all__ = ["REASONS", "claims_table", "page"]

REASONS = {
    "mode": "this mode is no evidence",
    "protocol": "another protocol",
    "device": "another device",
    "arm_absent": "arm or comparator absent",
    "run_partial": "a planned seed has no result",
    "null_pairs": "a value is undefined",
    "plan_extended": "seeds were added after a look",
    "datasets_unequal": "data differ within a pair",
    "too_few_seeds": "too few seeds",
    "interval_contains_margin": "the interval contains the margin",
}


def page(report: Report) -> Page:
    """The audit of a run's declared claims.

    Args:
        report: the run and everything derived from it.

    Returns:
        A page with one section per claim, in declared order.
    """
    made = report.numbers.claims
    intro = (
        f"{len(made.declared)} claims were declared before the first seed and are judged from that "
        f"copy; {made.family_size} of them carry a test and form one Holm family. Positive "
        "differences always mean that the arm named first is better."
    )
    sections = [Section("declared", "Declared", (Prose((intro,)), claims_table(report)))]
    sections += [
        Section(f"claim_{number}", f"Claim {number}", _claim(claim, result, report))
        for number, (claim, result) in enumerate(
            zip(made.declared, made.results, strict=True), start=1
        )
    ]
    if not made.declared:
        sections = [Section("declared", "Declared", (Notice(("No claim was declared.",)),))]
    config = report.run.config
    return Page(
        "audit",
        "Claim audit",
        f"{config.domain}, {config.protocol.name} v{config.protocol.version}, {config.mode}",
        banners(report),
        (
            ("raw digest", Code(report.run.raw_digest)),
            ("claims digest", Code(made.claims_digest)),
        ),
        tuple(sections),
    )


def claims_table(report: Report) -> Table:
    """All claims at a glance: kind, metric, arms, numbers, verdict.

    Args:
        report: the run and everything derived from it.

    Returns:
        One row per claim, in declared order.
    """
    made = report.numbers.claims
    rows: list[tuple[Cell, ...]] = []
    for claim, result in zip(made.declared, made.results, strict=True):
        definition = report.protocol.metrics.get(claim.metric)
        rows.append(
            (
                Code(claim.id),
                _verdict(result),  # second: a narrow window cuts a wide table at its right
                claim.kind,
                Code(claim.metric),
                _sides(claim),
                _estimate(definition, claim, result),
                _p(result.numbers.p_holm),
            )
        )
    seeds = report.numbers.summary.seeds
    return Table(
        "Judged claims",
        (
            Column("claim", align="left"),
            Column("verdict", align="left"),
            Column("kind", align="left"),
            Column("metric", align="left"),
            Column("arm against", align="left"),
            Column("estimate and t interval"),
            Column("adjusted p"),
        ),
        tuple(rows),
        len(seeds.planned),
        seeds.complete,
        "95 % Student-t interval",
        "aggregated/claims.json",
        tuple(result.numbers.n for result in made.results),
    )


def _claim(claim: Claim, result: ClaimResult, report: Report) -> tuple[Block, ...]:
    definition = report.protocol.metrics.get(claim.metric)
    against: Cell = (
        Code(claim.comparator)
        if claim.comparator is not None
        else f"bound {numbers.value(claim.bound or 0.0)}"
    )
    rows: list[tuple[Cell, Cell]] = [
        ("statement", Text(claim.text)),
        ("metric", Code(claim.metric)),
        ("arm", Code(claim.arm)),
        ("comparator", against),
        ("kind and margin", f"{claim.kind}, margin {numbers.value(claim.margin)}"),
        ("n", f"{result.numbers.n} (declared minimum {claim.min_seeds})"),
        ("test", _test(claim)),
        ("p", _p(result.numbers.p)),
        ("adjusted p", f"{_p(result.numbers.p_holm)} (alpha {numbers.value(claim.alpha)})"),
        ("estimate and interval", _estimate(definition, claim, result)),
        ("verdict", _verdict(result)),
        ("seeds", seed_list(result.seeds) or "none"),
    ]
    rows += [("seed file", Code(f"seed_{seed}/per_seed_result.json")) for seed in result.seeds]
    table = Table(
        "Evidence",
        (Column("item", align="left"), Column("value", align="left")),
        tuple(rows),
        0,
        (),
        None,
        "aggregated/claims.json",
    )
    return (table,)


def _sides(claim: Claim) -> Cell:
    if claim.comparator is not None:
        return Code(f"{claim.arm} : {claim.comparator}")
    return Code(f"{claim.arm} : {numbers.value(claim.bound or 0.0).replace(numbers.MINUS, '-')}")


def _estimate(definition: MetricDefinition | None, claim: Claim, result: ClaimResult) -> str:
    found = result.numbers
    if found.estimate is None:
        return "none"
    rate = definition is not None and definition.kind == "rate"
    if found.interval is None:
        shown = numbers.points(found.estimate) if rate else numbers.difference(found.estimate)
        return f"{shown} (worst seed)" if claim.kind == "every_seed" else f"{shown} [none]"
    if rate:
        return numbers.points_interval(found.estimate, *found.interval)
    return numbers.value_interval(found.estimate, *found.interval)


def _test(claim: Claim) -> str:
    if claim.kind == "every_seed":
        return "none: the value must hold in each planned seed"
    if claim.kind == "equivalence":
        return "two one-sided sign-flip tests against the margin, the larger p"
    return "two-sided sign-flip test of the paired differences against the margin"


def _p(p: float | None) -> str:
    return "none" if p is None else numbers.p_value(p)


def _verdict(result: ClaimResult) -> str:
    if not result.reasons:
        return result.verdict
    return f"{result.verdict}: {', '.join(REASONS[reason] for reason in result.reasons)}"
