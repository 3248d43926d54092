"""Hold a microbenchmark result to its ceilings, and optionally to an earlier result.

    python perf/check_ratios.py RUN [--baseline OLD.json] [--ceilings FILE] [--goals] [--no-retry]

RUN is a result file, or a folder of them: then its newest by creation time. Exit codes, the first
that applies: 2 usage; 5 unreadable; 7 nothing in common; 4 slower; 3 inconclusive; 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

import _arguments
import _measure
from _schema import Case, Model, Ratio, Results
from _verdicts import NOISE, Ceiling, clean_twin, judge, measured, record_id

CEILINGS = Path(__file__).with_name("ceilings.json")
AnyModel = TypeVar("AnyModel", bound=Model)
EXIT = {"faster": 0, "same": 0, "slower": 4, "inconclusive": 3, "nothing-measured": 4}


class Ceilings(Model):
    schema_name: Literal["zeroproofml.perf.ceilings"]
    schema_version: Literal[1]
    ratios: dict[str, Ceiling]


@dataclass(frozen=True)
class Row:
    """One verdict."""

    id: str
    verdict: str
    measured: float
    must: float
    goal: float


class Unreadable(Exception):
    """A file that is not what it should be."""


def load_ceilings(path: Path) -> Ceilings:
    """Read the committed ceilings."""
    return _load(path, Ceilings)


def _load(path: Path, model: type[AnyModel]) -> AnyModel:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()
        msg = f"{path}: {' '.join(first[:3])}"
        raise Unreadable(msg) from error


def find_results(path: Path) -> Path:
    """The file itself, or the newest result of a folder."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("benchmarks_*.json"))
    if not files:
        msg = f"{path}: holds no benchmarks_*.json; run perf/run_benchmarks.py first"
        raise Unreadable(msg)
    created = {f: _load(f, Results).created_utc for f in files}
    return max(files, key=lambda f: (created[f], f.name))


def judge_ceilings(results: Results, ceilings: Ceilings) -> list[Row]:
    """One row per ceiling."""
    rows = []
    for name, ceiling in ceilings.ratios.items():
        found = measured(results, name, ceiling)
        verdict = "nothing-measured" if found is None else judge(found, ceiling)
        value = float("nan") if found is None else found.value
        rows.append(Row(name, verdict, value, ceiling.must, ceiling.goal))
    return rows


def judge_baseline(now: Results, then: Results) -> list[Row]:
    """One row per ratio that both runs have."""
    old = {r.id: r for r in then.ratios}
    rows = []
    for ratio in now.ratios:
        before = old.get(ratio.id)
        if before is None:
            continue
        floor = max(ratio.aa_floor, before.aa_floor)
        change = ratio.min_ratio / before.min_ratio
        slower, faster = 1 + max(floor, 0.10), 1 / (1 + max(floor, 0.05))
        if floor > NOISE or ratio.preempted or before.preempted:
            verdict = "inconclusive"
        elif change > slower:
            verdict = "slower"
        else:
            verdict = "faster" if change < faster else "same"
        rows.append(Row(ratio.id, verdict, change, slower, faster))
    return rows


def was_asked_for(name: str, results: Results) -> bool:
    """Whether the run was to measure this id: its suite, its peer, and the length of which runs."""
    words = [part for word in results.argv for part in word.split("=", 1)]
    suite = words[words.index("--suite") + 1] if "--suite" in words else "all"
    if suite not in ("all", name.split("/")[0]):
        return False
    if "/quick-all/" in name:
        return results.quick
    return "/peer:" not in name or "--peer" in words


def _measure_again(ids: Collection[str], results: Results) -> Results:
    """The failing cases once more, with twice the rounds; the run with their records replaced."""
    _measure.limit_threads(1)
    _measure.pin()
    import _peer
    import run_benchmarks

    peers = {record_id(name).rpartition("/")[0] for name in ids if "/peer:" in name}
    ours = {record_id(name).rpartition("/")[0] for name in ids if "/peer:" not in name}
    ours |= {clean_twin(name) for name in ours}  # what the cost of a ⊥ lane is taken from
    options = run_benchmarks.parse([])
    options.quick = results.quick
    cases = {c.id: c for c in results.cases}
    ratios = {r.id: r for r in results.ratios}

    def replace(rows: Iterable[Case], more: Iterable[Ratio]) -> None:
        cases.update({c.id: c for c in rows if c.id in cases})
        ratios.update({r.id: r for r in more if r.id in ratios})

    for case in run_benchmarks.select(options):
        if case.id in ours:
            rounds = 2 * run_benchmarks.case_rounds(case, results.quick)
            replace(*run_benchmarks.measure_case(case, rounds, run_benchmarks.SEED))
    for name in sorted(peers):
        rows, more, _ = _peer.measure(name, 2 * run_benchmarks.ROUNDS)
        replace(rows, more)
    return results.model_copy(
        update={"cases": list(cases.values()), "ratios": list(ratios.values())}
    )


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _arguments.Parser(prog="check_ratios.py", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--baseline", type=Path, metavar="OLD.json")
    parser.add_argument("--ceilings", type=Path, default=CEILINGS)
    parser.add_argument("--goals", action="store_true", help="also list what missed its goal")
    parser.add_argument("--no-retry", action="store_true", help="do not measure failures again")
    options = parser.parse_args(argv)
    for path in (options.run, options.baseline):
        if path is not None and _arguments.is_run_directory(path):
            parser.error(f"{path} is a benchmark run directory; use zpml-report compare")
        if path is not None and not path.exists():
            parser.error(f"{path} does not exist")
    return options


def main(argv: list[str]) -> int:
    """Judge a run; returns the exit code."""
    options = _parse(argv)
    try:
        results = _load(find_results(options.run), Results)
        rows = judge_ceilings(results, load_ceilings(options.ceilings))
        if options.baseline:
            rows += judge_baseline(results, _load(options.baseline, Results))
    except Unreadable as error:
        sys.stderr.write(f"error: {error}\n")
        return 5
    if all(row.verdict == "nothing-measured" for row in rows):
        sys.stderr.write("error: the run and the ceilings have no ratio in common\n")
        return 7
    failing = [row.id for row in rows if row.verdict == "slower"]
    if failing and not options.no_retry:
        for row in rows:
            if row.id in failing:
                sys.stdout.write(f"first attempt: {row.verdict} {row.id} {row.measured:.3g}\n")
        results = _measure_again(failing, results)
        rows = judge_ceilings(results, load_ceilings(options.ceilings))
        if options.baseline:
            rows += judge_baseline(results, _load(options.baseline, Results))
    code = 0
    for row in rows:
        missed = options.goals and row.verdict == "same"
        if row.verdict == "nothing-measured":
            if not results.quick and was_asked_for(row.id, results):
                sys.stdout.write(f"{row.verdict:13} {row.id}\n")
                code = 4
            continue
        sys.stdout.write(
            f"{row.verdict:13} {row.id} {row.measured:.3g} (must {row.must:.3g},"
            f" goal {row.goal:.3g}{', goal missed' if missed else ''})\n"
        )
        if EXIT[row.verdict] == 4 or code == 0:
            code = EXIT[row.verdict]
    absent = sum(row.verdict == "nothing-measured" for row in rows)
    if absent:
        sys.stdout.write(f"{absent} entries were not measured in this run\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
