"""A run directory that is the same in every process: ten IK seeds of a mode's sizes, hardly trained.

    python perf/_fixed_run.py build FOLDER MODE
    python perf/_fixed_run.py report FOLDER OUT

One seed is computed with a single training step; the other nine are the same predictions, moved a
little. So a report has every array, table and figure of a real run, for a fraction of its time.
What such a run says about any method is nothing.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zeroproofml.report import domains as laws

SEEDS = 10
STEPS = 1
JITTER = 1e-6


def _hardly_trained(mode: str) -> None:
    """In this process the mode has its own sizes, but one training step."""
    law = laws.get("ik")
    settings = copy.deepcopy(dict(law.settings[mode]))
    for robot in settings["robots"].values():
        robot["steps"] = STEPS
    laws.register(replace(law, settings={**law.settings, mode: settings}))


def build(folder: Path, mode: str) -> None:
    """Make the run."""
    import numpy as np

    from zeroproofml.benchmarks import run_benchmark
    from zeroproofml.benchmarks.config import resolve
    from zeroproofml.benchmarks.domains.ik import protocol

    _hardly_trained(mode)
    compute = protocol.PRODUCERS["standard"]
    first: list[Any] = []

    def moved(config: Mapping[str, Any], seed: int, progress: Any) -> Any:
        if not first:
            first.append(compute(config, seed, progress))
        rng = np.random.default_rng(seed)
        arrays = {
            name: (values * (1 + JITTER * rng.standard_normal(values.shape))).astype(values.dtype)
            if values.dtype.kind == "f" and not name.startswith("data__")
            else values
            for name, values in first[0].arrays.items()
        }
        return replace(first[0], arrays=arrays)

    protocol.PRODUCERS["standard"] = moved
    run_benchmark(resolve("ik", mode=mode), range(1, SEEDS + 1), folder, executor="inline")


def report(folder: Path, out: Path) -> int:
    """Validate the run, derive everything again, render: what `zpml-report benchmark` does."""
    from zeroproofml.report.regenerate import regenerate

    config = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["config"]
    _hardly_trained(config["mode"])
    return regenerate(str(folder), out=str(out)).exit_code


def main(argv: list[str]) -> int:
    """Build, or report."""
    what, folder, word = argv
    if what == "build":
        build(Path(folder), word)
        return 0
    return report(Path(folder), Path(word))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
