"""Other packages beside ours, in an environment of their own.

zeroproofml 0.6.1 captures the namespace of these packages, so it never shares an environment with
them: a worker in `perf/.peer/` holds the same seeded inputs, and both sides are sampled in the same
rounds, each timing itself. A raw loop that runs on both sides tells whether the sides compare.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import _inputs
import _measure

HERE = Path(__file__).resolve().parent
PINS = ("zeroproofml==0.6.1", "pandas==2.3.3", "pyarrow==22.0.0")
PEERS = ("zeroproofml", "pandas", "pyarrow")
REMARKS = {
    "pandas": "does less: results are not tested for finiteness",
    "pyarrow": "does less: results are not tested for finiteness",
    "zeroproofml": None,
}
SIDE_FLOOR = 0.05
NO_FLOOR = 1.0  # the sides do not compare, so no difference is believed: every verdict inconclusive
SIZES = (10, 100_000, 1_000_000)
KINDS = ("clean", "new", "masked")


# --- the worker: runs in the other environment, imports nothing of ours -------------------------


def _calls(op: str, inputs: _inputs.Inputs) -> dict[str, Any]:
    """What each installed package calls for this operation."""
    from functools import partial

    import numpy as np

    calls: dict[str, Any] = {"raw": partial(_inputs.raw, op, *inputs.operands)}
    operands = inputs.operands
    masks = [
        np.zeros(x.shape, bool) if m is None else m
        for x, m in zip(operands, inputs.masks, strict=True)
    ]
    try:
        from zeroproof.scm import ops as old  # noqa: TID251 - the peer, in its own environment
    except ImportError:
        pass
    else:
        function = getattr(old, f"scm_{op}_numpy")
        if op == "pow":
            calls["zeroproofml"] = partial(function, *operands, masks[0])
        elif len(operands) == 2:
            calls["zeroproofml"] = partial(function, *operands, mask_x=masks[0], mask_y=masks[1])
        else:
            calls["zeroproofml"] = partial(function, operands[0], masks[0])
    ufunc = _inputs.UFUNC.get(op)
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        arrays = [
            pd.arrays.FloatingArray(x.copy(), m.copy())
            for x, m in zip(operands, masks, strict=True)
        ]
        if op == "inv":
            calls["pandas"] = lambda: 1.0 / arrays[0]
        elif ufunc is not None:
            calls["pandas"] = partial(ufunc, *arrays)
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
    except ImportError:
        pass
    else:
        columns = [pa.array(x, mask=m) for x, m in zip(operands, masks, strict=True)]
        name = {"sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power"}.get(op, op)
        name = {"neg": "negate", "log": "ln"}.get(name, name)
        if op == "div":  # Arrow raises at an integer or float zero; its float kernel needs none
            columns[1] = pa.array(np.where(operands[1] == 0, 1, operands[1]), mask=masks[1])
        if hasattr(pc, name):
            calls["pyarrow"] = partial(getattr(pc, name), *columns)
    return calls


def _masks_differ(calls: dict[str, Any], inputs: _inputs.Inputs) -> dict[str, int]:
    """Lanes where a package's missing lanes are not our ⊥ lanes."""
    import numpy as np

    found = {}
    for name, call in calls.items():
        if name == "zeroproofml":
            mask = np.asarray(call()[1])
        elif name == "pandas":
            mask = np.asarray(call().isna())
        elif name == "pyarrow":
            mask = np.asarray(call().is_null())
        else:
            continue
        found[name] = int((mask != inputs.mask).sum())
    return found


def worker() -> None:
    """Answer requests, one JSON line each, until standard input ends."""
    import importlib.metadata
    import warnings

    warnings.simplefilter("ignore")
    calls: dict[str, Any] = {}
    inner: dict[str, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "versions" in request:
            answer: dict[str, Any] = {}
            for name in PEERS:
                try:
                    answer[name] = importlib.metadata.version(name)
                except importlib.metadata.PackageNotFoundError:
                    answer[name] = None
        elif "prepare" in request:
            case = request["prepare"]
            inputs = _inputs.make(**case)
            calls = _calls(case["op"], inputs)
            inner = {name: _measure.calibrate(call) for name, call in calls.items()}
            answer = {"impls": list(calls), "differ": _masks_differ(calls, inputs)}
        else:
            name = request["sample"]
            calls[name]()
            wall, cpu = _measure.one_sample(calls[name], inner[name])
            answer = {"wall": wall, "cpu": cpu, "inner": inner[name]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


# --- the parent ---------------------------------------------------------------------------------


class Worker:
    """The process in the other environment."""

    def __init__(self, python: Path) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import _peer; _peer.worker()"
        self._process = subprocess.Popen(
            [str(python), "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            msg = f"the peer process ended with exit code {self._process.wait()}"
            raise OSError(msg)
        return dict(json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def _pins() -> list[str]:
    import numpy as np

    return [*PINS, f"numpy=={np.__version__}"]


def environment_folder() -> Path:
    """Where the peers' environment lies, made or not."""
    key = hashlib.sha256(" ".join(_pins()).encode()).hexdigest()[:16]
    return Path(os.environ.get("ZPML_PEER_DIR", HERE / ".peer")) / key


def environment() -> Path:
    """The interpreter of the peers' environment, made on first use.

    Raises:
        OSError: the environment cannot be made (no pip, no index, no space).
    """
    folder = environment_folder()
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.write(f"perf: making the peers' environment in {folder}\n")
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError as error:  # ensurepip is not there, or failed
        msg = f"no environment could be made in {folder}: {error}"
        raise OSError(msg) from error
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *_pins()],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise OSError(reason[0])
    (folder / "complete").touch()
    return python


def _measure_pair(
    case: Any, built: Any, worker_: Worker, rounds: int, seed: int
) -> tuple[_measure.Group, dict[str, int]]:
    op = case.id.split("/")[1]
    answer = worker_.ask(
        prepare={
            "op": op,
            "dtype": case.dtype,
            "n": case.n,
            "kind": case.data_kind,
            "seed": _seed(),
        }
    )
    theirs = {f"peer:{name}": name for name in answer["impls"]}
    ours = dict(built.impls)
    samples = {name: _measure.Samples(_measure.calibrate(fn)) for name, fn in ours.items()}
    samples.update({name: _measure.Samples(1) for name in theirs})
    shuffle = random.Random(seed)
    orders = []
    for _ in range(rounds):
        order = list(samples)
        shuffle.shuffle(order)
        orders.append(tuple(order))
        for name in order:
            if name in theirs:
                sample = worker_.ask(sample=theirs[name])
                wall, cpu = sample["wall"], sample["cpu"]
                samples[name].inner = sample["inner"]
            else:
                ours[name]()
                wall, cpu = _measure.one_sample(ours[name], samples[name].inner)
            samples[name].wall.append(wall)
            samples[name].cpu.append(cpu)
    samples[_measure.SECOND_REFERENCE] = samples.pop("peer:raw")
    return _measure.Group(samples, orders, case.reference), dict(answer["differ"])


def _seed() -> int:
    from suites import ops

    return ops.SEED


def measure(only: str, rounds: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Measure the peers; a peer that cannot be had is reported, never an error.

    Returns:
        Case records, ratio records (each peer's time over ours, so larger is better for us), and
        one record per peer.
    """
    import _schema
    import run_benchmarks
    from suites import ops

    try:
        worker_ = Worker(environment())
        versions = worker_.ask(versions=True)
    except OSError as error:
        reason = " ".join(str(error).split())
        sys.stderr.write(f"perf: peers unavailable: {reason}\n")
        return (
            [],
            [],
            [
                _schema.Peer(name=n, version=None, python=None, status="unavailable", reason=reason)
                for n in PEERS
            ],
        )
    rows: list[Any] = []
    ratios: list[Any] = []
    differ: dict[str, int] = dict.fromkeys(PEERS, 0)
    for k, case in enumerate(ops.cases(quick=False)):
        wanted = case.n in SIZES and case.data_kind in KINDS and case.dtype == "float64"
        if not wanted or only not in case.id or case.id.startswith(("ops/fused", "ops/mask")):
            continue
        group, lanes = _measure_pair(case, case.make(), worker_, rounds, k)
        for name, count in lanes.items():
            differ[name] += count
        floor = abs(group.samples[_measure.SECOND_REFERENCE].best / group.samples["raw"].best - 1)
        note = "the two sides differ by more than 5 %" if floor > SIDE_FLOOR else None
        rows += [
            row.model_copy(update={"note": note})
            for row in run_benchmarks.case_rows(case, group, None, {})
            if row.impl.startswith("peer:")
        ]
        ours = group.samples["numpy"]
        for name, samples in group.samples.items():
            if not name.startswith("peer:"):
                continue
            paired = [a / b for a, b in zip(samples.wall, ours.wall, strict=True)]
            low, high = _measure.quartiles(paired)
            ratios.append(
                _schema.Ratio(
                    id=f"{case.id}/{name}",
                    impl=name,
                    reference="numpy",
                    min_ratio=samples.best / ours.best,
                    paired_median=_measure.quantile(paired, 0.5),
                    paired_iqr=[low, high],
                    aa_floor=NO_FLOOR if floor > SIDE_FLOOR else max(_measure.FLOOR, floor),
                    preempted=samples.preempted or ours.preempted,
                )
            )
    worker_.close()
    return rows, ratios, [_record(name, versions[name], differ[name]) for name in PEERS]


def _record(name: str, version: str | None, lanes: int) -> Any:
    import _schema

    counted = f"{lanes} lanes where its missing lanes are not our ⊥ lanes"
    remark = REMARKS[name]
    return _schema.Peer(
        name=name,
        version=version,
        python=sys.version.split()[0],
        status="measured" if version else "unavailable",
        reason=f"{remark}; {counted}" if remark else counted,
    )
