"""Writing a parity report: the file itself, a page for people, and two figures."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import _figures
from _parity_schema import Cell, Report, Ulps

FILES = ("parity_report.json", "parity_report.md", "coverage_accuracy.svg", "parity_ulp.svg")


def _ulps(found: Ulps | None) -> str:
    return "none" if found is None else f"{found.max:.3g} (p99 {found.p99:.3g})"


def _worst(found: list[Ulps | None]) -> Ulps | None:
    return max((u for u in found if u is not None), key=lambda u: u.max, default=None)


def _operations(report: Report) -> list[str]:
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in report.cells:
        groups[cell.op, cell.backend, cell.dtype].append(cell)
    lines = [
        "## Operations",
        "",
        "Errors in units of eps · max(|want|, tiny); the worst of all classes of lanes.",
        "",
        (
            "| operation | backend | dtype | lanes | masks differ | ULP, NumPy (budget) |"
            " ULP, exact (budget) | causes differ | lanes/s |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (op, backend, dtype), cells in groups.items():
        first = cells[0]
        masks = sum((c.mask_mismatches or 0) + (c.oracle_mask_mismatches or 0) for c in cells)
        causes = [c.cause_mismatches for c in cells if c.cause_mismatches is not None]
        lines.append(
            f"| {op} | {backend} | {dtype} | {sum(c.compared for c in cells)} | {masks} |"
            f" {_ulps(_worst([c.ulp for c in cells]))} ({first.ulp_budget:g}) |"
            f" {_ulps(_worst([c.oracle_ulp for c in cells]))} ({first.oracle_ulp_budget:g}) |"
            f" {sum(causes) if causes else 'none compared'} | {first.lanes_per_s:.3g} |"
        )
    return [*lines, ""]


def _failures(report: Report) -> list[str]:
    failed = [c for c in report.cells if not c.holds]
    if not failed:
        return []
    lines = [
        "## Cells that do not hold",
        "",
        "| cell | masks, NumPy | masks, exact | ULP, NumPy | ULP, exact | causes |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.op} {c.backend} {c.dtype} {c.lane_class} | {c.mask_mismatches} |"
        f" {c.oracle_mask_mismatches} | {_ulps(c.ulp)} of {c.ulp_budget:g} |"
        f" {_ulps(c.oracle_ulp)} of {c.oracle_ulp_budget:g} | {c.cause_mismatches} |"
        for c in failed
    ]
    return [*lines, ""]


def _curve(report: Report) -> list[str]:
    lines = [
        "## Coverage against accuracy",
        "",
        (
            f"One rational head with poles at {', '.join(report.curve.head.poles)},"
            f" {report.curve.head.points} points; relative errors of accepted lanes against exact"
            " rationals."
        ),
        "",
        (
            "| backend | dtype | tau_infer | coverage | error p50 | p95 | max | \\|Q\\| min | p01 |"
            " p50 | max |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for point in report.curve.points:
        error, q = point.relative_error, point.denominators
        errors = [f"{v:.2e}" for v in (error.p50, error.p95, error.max)] if error else ["none"] * 3
        moduli = [f"{v:.2e}" for v in (q.min, q.p01, q.p50, q.max)] if q else ["none"] * 4
        lines.append(
            f"| {point.backend} | {point.dtype} | {point.tau_infer:.0e} | {point.coverage:.4f} | "
            + " | ".join(errors + moduli)
            + " |"
        )
    lines += [
        "",
        "| backend | going down, first threshold where float32 and float64 masks differ | lanes |",
        "|---|---|---|",
    ]
    lines += [
        f"| {d.backend} | {'none' if d.tau_infer is None else f'{d.tau_infer:.0e}'} | {d.lanes} |"
        for d in report.curve.first_difference
    ]
    return [*lines, ""]


def page(report: Report) -> str:
    """The page for people."""
    verdict = report.verdict
    lines = [
        "# Parity of the backends",
        "",
        "Implementation parity on one machine; not evidence for a scientific claim.",
        "",
        (
            f"**{'Parity holds' if verdict.holds else 'Parity does not hold'}** in"
            f" {sum(c.holds for c in report.cells)} of {verdict.cells} cells:"
            f" {verdict.mask_mismatches} masks differ, {verdict.cause_mismatches} causes differ,"
            f" {verdict.over_budget} errors are beyond their budget."
        ),
        "",
        "* " + ", ".join(f"{k} {v}" for k, v in sorted(report.versions.items()) if v),
        (
            f"* commit {report.commit.sha if report.commit else 'unknown'}"
            f"{' (with uncommitted changes)' if report.commit and report.commit.dirty else ''};"
            f" quick: {report.quick}"
        ),
        "",
        "| backend | version | status | remark |",
        "|---|---|---|---|",
        *(
            f"| {b.name} | {b.version or 'none'} | {b.status} | {b.reason or 'none'} |"
            for b in report.backends
        ),
        "",
        *_failures(report),
        *_operations(report),
        *_curve(report),
    ]
    return "\n".join(lines)


def write(report: Report, folder: Path) -> Path:
    """Write the report, its page and its figures; the previous report is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
    contents = (
        (text + "\n").encode(),
        page(report).encode(),
        _figures.coverage_accuracy(report),
        _figures.parity_ulp(report),
    )
    for name, data in zip(FILES, contents, strict=True):
        (folder / name).write_bytes(data)
    return folder / FILES[0]
