"""JAX cases in processes of their own, one per precision: x64 holds for a whole process.

Each case is built, checked and timed there as it would be here; back come its records. A process
serves all cases of its precision, so that JAX is imported twice in a run and not once per case.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import _schema
    from suites.case import Case

HERE = Path(__file__).resolve().parent
_running: dict[str, subprocess.Popen[str]] = {}


def _process(dtype: str) -> subprocess.Popen[str]:
    if dtype not in _running:
        _running[dtype] = subprocess.Popen(
            [sys.executable, str(HERE / "_apart.py"), dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")},
        )
    return _running[dtype]


def measure(case: Case, rounds: int, seed: int) -> tuple[list[_schema.Case], list[_schema.Ratio]]:
    """Measure one case in the process of its precision.

    Raises:
        WrongValue: its value check failed there.
        ChildProcessError: the process ended; what it said stands on standard error.
    """
    import _schema
    from suites.case import WrongValue

    process = _process(case.dtype)
    assert process.stdin is not None
    assert process.stdout is not None
    request = {"suite": case.suite, "id": case.id, "rounds": rounds, "seed": seed}
    line = ""
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        pass  # it is gone: no answer, as below
    if not line:
        msg = f"{case.id}: the process for {case.dtype} ended with exit code {process.wait()}"
        raise ChildProcessError(msg)
    answer = json.loads(line)
    if "wrong" in answer:
        raise WrongValue(answer["wrong"])
    return (
        [_schema.Case.model_validate(row) for row in answer["cases"]],
        [_schema.Ratio.model_validate(row) for row in answer["ratios"]],
    )


@atexit.register
def close() -> None:
    """End the processes; their CPU time counts only after that."""
    while _running:
        _, process = _running.popitem()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a process that ended took not all of it
            process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import run_benchmarks
    from suites.case import WrongValue

    cases = importlib.import_module(f"suites.{request['suite']}").cases(quick=False)
    case = next(c for c in cases if c.id == request["id"])
    try:
        rows, ratios = run_benchmarks.measure_here(case, request["rounds"], request["seed"])
    except WrongValue as wrong:
        return {"wrong": str(wrong)}
    return {
        "cases": [row.model_dump(mode="json") for row in rows],
        "ratios": [ratio.model_dump(mode="json") for ratio in ratios],
    }


def serve(dtype: str) -> None:
    """Answer requests, one JSON line each, until standard input ends."""
    jax: Any = importlib.import_module("jax")  # its functions are untyped
    jax.config.update("jax_enable_x64", dtype == "float64")
    gc.freeze()  # what the import left is for ever; no collection between cases need walk it
    try:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        return  # the parent was interrupted too, and says so


if __name__ == "__main__":
    serve(sys.argv[1])
