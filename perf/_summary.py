"""Writing a result: the file itself, a table for people, and the targets that were reached."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import _figures
import _verdicts
import check_ratios
from _schema import Results

PLAIN_SECONDS = 10.0


class Progress:
    """One line per ten seconds on standard error."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._last = 0.0

    def __call__(self, done: int, what: str) -> None:
        now = time.monotonic()
        if done == 0 or now - self._last >= PLAIN_SECONDS:
            self._last = now
            sys.stderr.write(f"perf case {done + 1}/{self._total}: {what}\n")


def _free_path(folder: Path, stamp: str) -> Path:
    path = folder / f"benchmarks_{stamp}.json"
    suffix = 2
    while path.exists():
        path = folder / f"benchmarks_{stamp}_{suffix}.json"
        suffix += 1
    return path


def _time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def _targets(results: Results) -> list[str]:
    ceilings = check_ratios.load_ceilings(check_ratios.CEILINGS)
    lines = [
        "## Targets",
        "",
        "| id | measured | must | goal | verdict |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.id} | {row.measured:.3g} | {row.must:.3g} | {row.goal:.3g} | {row.verdict} |"
        for row in check_ratios.judge_ceilings(results, ceilings)
        if row.verdict != "nothing-measured"
    ]
    return [*lines, ""] if len(lines) > 4 else []


def _marginal_cost(results: Results) -> list[str]:
    """Nanoseconds per ⊥ lane: (new - clean) / number of ⊥ lanes."""
    best = {c.id: c for c in results.cases}
    lines = []
    for case in results.cases:
        if case.data_kind == "new" and case.impl in ("numpy", "SCMArray") and case.bottom_rate:
            clean = best.get(_verdicts.clean_twin(case.id))
            if clean is not None and case.n >= 100_000:
                cost = _verdicts.ns_per_bottom_lane(case, clean)
                lines.append(f"| {case.id} | {cost:.3g} |")
    if not lines:
        return []
    return ["## Cost of one new ⊥ lane", "", "| id | ns |", "|---|---|", *lines, ""]


def summary(results: Results) -> str:
    """The table for people."""
    machine = results.machine
    lines = [
        "# Microbenchmark results",
        "",
        "Implementation speed on one machine; not evidence for a scientific claim.",
        "",
        (
            f"* {machine.cpu_model}, {machine.cpu_count} cores, {machine.system} {machine.arch};"
            f" pinned core: {machine.pinned_core}; load {machine.load_before} to {machine.load_after}"
        ),
        "* " + ", ".join(f"{k} {v}" for k, v in sorted(results.versions.items()) if v),
        (
            f"* commit {results.commit.sha if results.commit else 'unknown'}"
            f"{' (with uncommitted changes)' if results.commit and results.commit.dirty else ''}"
        ),
        f"* complete: {results.complete}; quick: {results.quick}",
        "",
        *_targets(results),
        *_marginal_cost(results),
        *_peer_lines(results),
        "## Every ratio",
        "",
        "| case | time | lanes/s | × reference | A/A floor | B/lane |",
        "|---|---|---|---|---|---|",
    ]
    ratios = {r.id: r for r in results.ratios}
    for case in results.cases:
        ratio = ratios.get(case.id)
        against = f"{ratio.min_ratio:.2f} {ratio.reference}" if ratio else "1 (reference)"
        memory = f"{case.bytes_per_lane:.2f}" if case.bytes_per_lane is not None else "not measured"
        lines.append(
            f"| {case.id} | {_time(case.wall_ns.min)} | {case.lanes_per_s:.3g} | {against} |"
            f" {f'{ratio.aa_floor:.2f}' if ratio else 'reference'} | {memory} |"
        )
    return "\n".join(lines) + "\n"


def _peer_lines(results: Results) -> list[str]:
    if not results.peers:
        return []
    lines = ["## Peers", "", "| package | version | status | remark |", "|---|---|---|---|"]
    lines += [
        f"| {peer.name} | {peer.version or 'unknown'} | {peer.status} | {peer.reason or 'none'} |"
        for peer in results.peers
    ]
    return [*lines, ""]


def write(results: Results, folder: Path) -> Path:
    """Write the result file and its summary; an earlier result is never overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = results.created_utc.replace("-", "").replace(":", "")
    path = _free_path(folder, stamp)
    text = json.dumps(results.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
    with path.open("x", encoding="utf-8") as file:
        file.write(text + "\n")
    (folder / "summary.md").write_text(summary(results), encoding="utf-8")
    figure = _figures.throughput(results)
    if figure is not None:
        (folder / "throughput.svg").write_bytes(figure)
    return path
