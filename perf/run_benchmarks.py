"""Microbenchmarks of the kernels: throughput and ratios, never a scientific claim.

    python perf/run_benchmarks.py [--suite ops] [--quick] [--peer] [--only SUBSTRING]
                                  [--threads N] [--output benchmark_results]

Exit codes: 0 done; 1 a defect of ours; 2 usage; 4 a value check failed; 7 nothing measured;
130 interrupted (what was measured is written and marked incomplete).
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    import _schema
    from suites.case import Case

SUITES = ("ops", "layers", "inference")
ROUNDS = 25
QUICK_ROUNDS = 9
SEED = 1
RUN_DIRECTORY_FILES = ("manifest.json", "journal.jsonl")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run_benchmarks.py",
        description="Microbenchmarks of the kernels: throughput and ratios, never a claim.",
    )
    parser.add_argument("--suite", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="n <= 1e5 and fewer rounds")
    parser.add_argument(
        "--peer", action="store_true", help="also measure other packages, in their own environment"
    )
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="cases whose id holds it")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--output", type=Path, default=Path("benchmark_results"), metavar="DIR")
    options = parser.parse_args(argv)
    if options.threads < 1:
        parser.error("--threads: at least 1")
    if any((options.output / name).exists() for name in RUN_DIRECTORY_FILES):
        parser.error(f"--output: {options.output} is a benchmark run directory; use zpml-report")
    if options.output.exists() and not options.output.is_dir():
        parser.error(f"--output: {options.output} is not a folder")
    return options


def select(options: argparse.Namespace) -> list[Case]:
    """The cases that were asked for."""
    suites = SUITES if options.suite == "all" else (options.suite,)
    modules = [importlib.import_module(f"suites.{name}") for name in suites]
    return [
        case
        for module in modules
        for case in module.cases(quick=options.quick)
        if options.only in case.id
    ]


def case_rows(
    case: Case,
    group: _measure.Group,
    bottom_rate: float | None,
    memory: dict[str, float],
    denominators: _schema.Denominators | None = None,
) -> list[_schema.Case]:
    """One record per implementation."""
    import _schema

    rows = []
    for impl, samples in group.samples.items():
        if impl == _measure.SECOND_REFERENCE:
            continue
        wall = samples.wall
        rows.append(
            _schema.Case(
                id=f"{case.id}/{impl}",
                group=case.id,
                suite=case.suite,
                n=case.n,
                dtype=case.dtype,
                data_kind=case.data_kind,
                impl=impl,
                backend=case.backend,
                samples=len(wall),
                inner=samples.inner,
                wall_ns=_schema.Wall(
                    min=min(wall),
                    p05=_measure.quantile(wall, 0.05),
                    median=statistics.median(wall),
                    p95=_measure.quantile(wall, 0.95),
                    mean=statistics.fmean(wall),
                    std=statistics.stdev(wall),
                ),
                cpu_ns=_schema.Cpu(min=min(samples.cpu), median=statistics.median(samples.cpu)),
                lanes_per_s=case.n / samples.best * 1e9,
                bytes_per_lane=memory.get(impl),
                compile_s=None,
                coverage=None if bottom_rate is None else 1 - bottom_rate,
                bottom_rate=bottom_rate,
                denominators=denominators,
                note=case.note,
            )
        )
    return rows


def denominator_row(q: NDArray[Any]) -> _schema.Denominators:
    """Quantiles of |Q|, and the shares below the thresholds of the inference suite."""
    import numpy as np

    import _schema
    from suites.inference import CONFIG

    modulus = np.abs(q)
    low, middle = np.quantile(modulus, [0.01, 0.5])
    return _schema.Denominators(
        min=float(modulus.min()),
        p01=float(low),
        p50=float(middle),
        max=float(modulus.max()),
        below_tau_infer=float((modulus < CONFIG.tau_infer).mean()),
        below_tau_train=float((modulus < (CONFIG.tau_train or 0.0)).mean()),
    )


def ratio_rows(case: Case, group: _measure.Group) -> list[_schema.Ratio]:
    """One ratio per implementation other than the reference."""
    import _schema

    rows = []
    for impl in group.samples:
        if impl in (case.reference, _measure.SECOND_REFERENCE):
            continue
        ratio = group.ratio(impl)
        rows.append(
            _schema.Ratio(
                id=f"{case.id}/{impl}",
                impl=impl,
                reference=case.reference,
                min_ratio=ratio.min_ratio,
                paired_median=ratio.paired_median,
                paired_iqr=list(ratio.paired_iqr),
                aa_floor=ratio.aa_floor,
                preempted=ratio.preempted,
            )
        )
    return rows


def measure_case(
    case: Case, rounds: int, seed: int
) -> tuple[list[_schema.Case], list[_schema.Ratio]]:
    """Check a case's values, then time it; memory in a separate, untimed pass."""
    built = case.make()
    built.check()
    group = _measure.measure(built.impls, case.reference, rounds=rounds, seed=seed)
    memory = {}
    if case.n >= 100_000:
        memory = {
            name: _measure.peak_bytes(built.impls[name]) / case.n for name in built.measure_memory
        }
    statistics_of_q = None if built.denominators is None else denominator_row(built.denominators)
    return (
        case_rows(case, group, built.bottom_rate, memory, statistics_of_q),
        ratio_rows(case, group),
    )


def main(argv: list[str]) -> int:
    """Run the suites and write the results; returns the exit code."""
    options = parse(argv)
    threads = _measure.limit_threads(options.threads)
    pinned = _measure.pin() if options.threads == 1 else None

    import _machine
    import _schema
    import _summary
    from suites.case import WrongValue

    cases = select(options)
    if not cases:
        sys.stderr.write(f"error: --only {options.only!r} matches no case\n")
        return 7
    load_before = _machine.load()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    rows: list[_schema.Case] = []
    ratios: list[_schema.Ratio] = []
    peers: list[_schema.Peer] = []
    code = 0
    progress = _summary.Progress(len(cases))
    try:
        for k, case in enumerate(cases):
            progress(k, case.id)
            try:
                new_rows, new_ratios = measure_case(case, rounds, SEED + k)
            except WrongValue as wrong:
                sys.stderr.write(f"error: {case.id}: {wrong}\n")
                code = 4
                continue
            rows += new_rows
            ratios += new_ratios
        if options.peer:
            import _peer

            more_rows, more_ratios, peers = _peer.measure(options.only, rounds)
            rows += more_rows
            ratios += more_ratios
    except KeyboardInterrupt:
        code = 130
    if not rows and code == 0:
        code = 7
    results = _schema.Results(
        schema_name="zeroproofml.perf.results",
        schema_version=1,
        created_utc=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        complete=code != 130,
        quick=options.quick,
        argv=argv,
        seed=SEED,
        commit=_machine.commit(),
        machine=_machine.machine(pinned, load_before),
        versions=_machine.versions(),
        threads={
            "blas": threads["OPENBLAS_NUM_THREADS"],
            "openmp": threads["OMP_NUM_THREADS"],
            "torch": str(options.threads),
            "torch_interop": None,
            "xla": threads.get("XLA_FLAGS"),
        },
        cases=rows,
        ratios=ratios,
        peers=peers,
    )
    sys.stdout.write(f"{_summary.write(results, options.output)}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
