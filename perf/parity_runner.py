"""Do the backends agree? Masks, payloads and causes of every operation, and coverage against accuracy.

    python perf/parity_runner.py [--quick] [--require] [--output benchmark_results]

Exit codes: 0 parity holds; 1 a defect of ours; 2 usage; 4 a mask or cause differs, a payload is
beyond its budget, or --require misses a framework; 7 nothing compared; 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _arguments
import _measure

if TYPE_CHECKING:
    import _parity_schema

HERE = Path(__file__).resolve().parent
ROUNDS, QUICK_ROUNDS = 7, 2
SIZE, QUICK_SIZE = (2048, 32), (256, 16)  # distinct lanes, repetitions
# float64 needs x64 in JAX, which holds for a whole process: one process per dtype.
PROCESSES = {"torch": (("float32", "float64"),), "jax": (("float32",), ("float64",))}
OPERATIONS = ("add", "sub", "mul", "div", "pow", "inv", "neg", "log", "exp", "sqrt", "sin", "cos",
              "tan")  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """What a framework's processes left, or why they left nothing."""

    status: str
    reason: str | None
    arrays: dict[str, Any]
    numbers: dict[str, float]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = _arguments.Parser(
        prog="parity_runner.py",
        description="Do the backends agree? Masks, payloads and causes of every operation.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer lanes and rounds")
    parser.add_argument("--require", action="store_true", help="fail where a framework is missing")
    parser.add_argument("--output", type=Path, default=Path("benchmark_results"), metavar="DIR")
    options = parser.parse_args(argv)
    _arguments.demand_output(parser, options.output)
    return options


def is_installed(framework: str) -> bool:
    """Whether both the framework and our package for it can be found."""
    return all(importlib.util.find_spec(n) for n in (framework, f"zeroproofml.{framework}"))


def evaluate(framework: str, n: int, tiles: int, rounds: int) -> Evaluated:
    """Run a framework's processes one after another; NumPy runs here."""
    import numpy as np

    import _parity_worker

    if framework == "numpy":
        made = _parity_worker.evaluate(
            "numpy", n, tiles, rounds, OPERATIONS, ("float32", "float64")
        )
        return Evaluated("compared", None, *made)
    if not is_installed(framework):
        return Evaluated("not_installed", f"pip install zeroproofml-{framework}", {}, {})
    arrays: dict[str, Any] = {}
    numbers: dict[str, float] = {}
    for dtypes in PROCESSES[framework]:
        with tempfile.TemporaryDirectory() as folder:
            words = [framework, folder, str(n), str(tiles), str(rounds)]
            done = subprocess.run(
                [
                    sys.executable,
                    str(HERE / "_parity_worker.py"),
                    *words,
                    ",".join(OPERATIONS),
                    ",".join(dtypes),
                ],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")},
            )
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
                return Evaluated("failed", last[0], {}, {})
            with np.load(Path(folder) / "arrays.npz") as file:
                arrays |= dict(file)
            numbers |= json.loads((Path(folder) / "numbers.json").read_text(encoding="utf-8"))
    return Evaluated("compared", None, arrays, numbers)


def _version(framework: str) -> str | None:
    try:
        return importlib.metadata.version(framework)
    except importlib.metadata.PackageNotFoundError:
        return None


def build(
    found: Mapping[str, Evaluated], options: argparse.Namespace, argv: list[str], tiles: int
) -> _parity_schema.Report:
    """Compare what the frameworks left."""
    import _machine
    import _parity_compare as compare
    import _parity_curve
    import _parity_schema as schema
    from _parity_lanes import CLASSES, DTYPES, SEED
    from _parity_worker import MODES

    head = _parity_curve.load_head()
    backends, cells, points, first = [], [], [], []
    reference = found["numpy"].arrays
    for framework, result in found.items():
        for mode in MODES[framework]:
            name = f"{framework} {mode}"
            backends.append(
                schema.Backend.model_validate(
                    {
                        "name": name,
                        "framework": framework,
                        "mode": mode,
                        "status": result.status,
                        "version": _version(framework),
                        "reason": result.reason,
                    }
                )
            )
            if result.status != "compared":
                continue
            arrays, numbers = result.arrays, result.numbers
            for dtype in DTYPES:
                cells += [
                    compare.cell(name, op, dtype, kind, arrays, reference, numbers)
                    for op in OPERATIONS
                    for kind in CLASSES
                ]
                points += compare.curve_points(name, dtype, arrays)
            first.append(compare.first_difference(name, arrays, arrays))
    return schema.Report(
        schema_name="zeroproofml.perf.parity",
        schema_version=1,
        created_utc=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        quick=options.quick,
        argv=argv,
        seed=SEED,
        tiles=tiles,
        commit=_machine.commit(),
        machine=_machine.machine(None, None),
        versions=_machine.versions(),
        backends=backends,
        cells=cells,
        curve=schema.Curve(
            head=schema.Head(
                numerator=list(head.numerator),
                denominator=list(head.denominator),
                poles=[str(pole) for pole in head.poles],
                points=len(_parity_curve.points()),
            ),
            points=points,
            first_difference=first,
        ),
        verdict=compare.verdict(cells),
    )


def exit_code(report: _parity_schema.Report, require: bool) -> int:
    """0 holds, 1 a worker failed, 4 a difference or a missing framework, 7 nothing compared."""
    states = {b.framework: b.status for b in report.backends if b.framework != "numpy"}
    if "failed" in states.values():
        return 1
    if "compared" not in states.values():
        return 7
    missing = require and "not_installed" in states.values()
    return 4 if missing or not report.verdict.holds else 0


def main(argv: list[str]) -> int:
    """Compare, write the report, say what was found; returns the exit code."""
    options = parse(argv)
    _measure.limit_threads(1)

    import _parity_page

    n, tiles = QUICK_SIZE if options.quick else SIZE
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    found = {}
    try:
        for framework in ("numpy", *PROCESSES):
            sys.stderr.write(f"parity: {framework}\n")
            found[framework] = evaluate(framework, n, tiles, rounds)
    except KeyboardInterrupt:
        return 130
    report = build(found, options, argv, tiles)
    for backend in report.backends:
        if backend.status != "compared":
            sys.stderr.write(f"{backend.status}: {backend.name}: {backend.reason}\n")
    code = exit_code(report, options.require)
    if code == 7:
        sys.stderr.write(
            "error: only NumPy is installed; a parity report needs a second framework\n"
        )
    sys.stdout.write(f"{_parity_page.write(report, options.output)}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
