"""Microbenchmarks of the kernels: throughput and ratios, never a scientific claim.

    python perf/run_benchmarks.py [--suite ops|layers|inference|harness|all] [--quick] [--peer]
                                  [--only SUBSTRING] [--threads N] [--output benchmark_results]

Exit codes: 0 done; 1 a defect of ours; 2 usage; 4 a value check failed; 7 nothing measured;
130 interrupted (what was measured is written and marked incomplete).
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _apart
import _arguments
import _measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    import _schema
    from suites.case import Built, Case

SUITES = ("ops", "layers", "inference", "harness")
ROUNDS = 25
QUICK_ROUNDS = 9
SEED = 1


def parse(argv: list[str]) -> argparse.Namespace:
    parser = _arguments.Parser(
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
    _arguments.demand_output(parser, options.output)
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
    built: Built | None = None,
    memory: Mapping[str, float] | None = None,
) -> list[_schema.Case]:
    """One record per implementation; without `built` of the times alone."""
    import _schema

    rate = built.bottom_rate if built else None
    denominators = None
    if built is not None and built.denominators is not None:
        denominators = denominator_row(built.denominators)
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
                    std=statistics.stdev(wall) if len(wall) > 1 else 0.0,
                ),
                cpu_ns=_schema.Cpu(min=min(samples.cpu), median=statistics.median(samples.cpu)),
                lanes_per_s=case.n / samples.best * 1e9,
                bytes_per_lane=(memory or {}).get(impl),
                compile_s=built.compile_s.get(impl) if built else None,
                coverage=None if rate is None else 1 - rate,
                bottom_rate=rate,
                gap_rate=built.gap_rate if built else None,
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


def ratio_rows(
    case: Case, group: _measure.Group, against: Mapping[str, str] | None = None
) -> list[_schema.Ratio]:
    """One ratio per implementation other than the reference; `against` names other references."""
    import _schema

    rows = []
    for impl in group.samples:
        if impl in (case.reference, _measure.SECOND_REFERENCE):
            continue
        reference = (against or {}).get(impl, case.reference)
        ratio = group.ratio(impl, reference)
        rows.append(
            _schema.Ratio(
                id=f"{case.id}/{impl}",
                impl=impl,
                reference=reference,
                min_ratio=ratio.min_ratio,
                paired_median=ratio.paired_median,
                paired_iqr=list(ratio.paired_iqr),
                aa_floor=ratio.aa_floor,
                preempted=ratio.preempted,
            )
        )
    return rows


def case_rounds(case: Case, quick: bool) -> int:
    """How many rounds a case runs."""
    full, fewer = case.rounds or (ROUNDS, QUICK_ROUNDS)
    return fewer if quick else full


def whole_run(options: argparse.Namespace, wall_ns: float, cpu_ns: float) -> _schema.Case:
    """The run itself as a case: what all suites cost together, with nothing to compare it with."""
    import _schema

    name = f"harness/{'quick' if options.quick else 'full'}-all"
    return _schema.Case(
        id=f"{name}/run",
        group=name,
        suite="harness",
        n=1,
        dtype="none",
        data_kind="clean",
        impl="run",
        backend="python",
        samples=1,
        inner=1,
        wall_ns=_schema.Wall(
            min=wall_ns, p05=wall_ns, median=wall_ns, p95=wall_ns, mean=wall_ns, std=0.0
        ),
        cpu_ns=_schema.Cpu(min=cpu_ns, median=cpu_ns),
        lanes_per_s=1e9 / wall_ns,
        bytes_per_lane=None,
        compile_s=None,
        coverage=None,
        bottom_rate=None,
        denominators=None,
        note="this run of all suites, from its start to the writing of its results",
    )


def measure_case(
    case: Case, rounds: int, seed: int
) -> tuple[list[_schema.Case], list[_schema.Ratio]]:
    """Measure a case here, or in the process that its framework needs."""
    measured_by = _apart.measure if case.backend == "jax" else measure_here
    return measured_by(case, rounds, seed)


def measure_here(
    case: Case, rounds: int, seed: int
) -> tuple[list[_schema.Case], list[_schema.Ratio]]:
    """Check a case's values, then time it; memory in a separate, untimed pass."""
    built = case.make()
    built.check()
    group = _measure.measure(
        built.impls, case.reference, rounds=rounds, seed=seed, fresh=case.fresh
    )
    memory = {}
    if case.n >= 100_000:
        memory = {name: built.peak(built.impls[name]) / case.n for name in built.measure_memory}
    if built.remark is not None:
        case = replace(case, note="; ".join(filter(None, (case.note, built.remark()))))
    return (
        case_rows(case, group, built, memory),
        ratio_rows(case, group, built.against),
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
    started, cpu_started = time.perf_counter_ns(), _measure.cpu_ns()
    rows: list[_schema.Case] = []
    ratios: list[_schema.Ratio] = []
    peers: list[_schema.Peer] = []
    code = 0
    progress = _summary.Progress(len(cases))
    try:
        for k, case in enumerate(cases):
            progress(k, case.id)
            try:
                new_rows, new_ratios = measure_case(
                    case, case_rounds(case, options.quick), SEED + k
                )
            except WrongValue as wrong:
                sys.stderr.write(f"error: {case.id}: {wrong}\n")
                code = 4
                continue
            rows += new_rows
            ratios += new_ratios
        if options.peer:
            import _peer

            try:
                more_rows, more_ratios, peers = _peer.measure(
                    options.only, QUICK_ROUNDS if options.quick else ROUNDS
                )
            except WrongValue as wrong:
                sys.stderr.write(f"error: peers: {wrong}\n")
                code, more_rows, more_ratios = 4, [], []
            rows += more_rows
            ratios += more_ratios
    except KeyboardInterrupt:
        code = 130
    finally:
        _apart.close()
    if not rows and code == 0:
        code = 7
    if options.suite == "all" and not options.only and not options.peer and code != 130:
        wall = time.perf_counter_ns() - started
        rows.append(whole_run(options, float(wall), float(_measure.cpu_ns() - cpu_started)))
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
