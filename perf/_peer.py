"""Other packages beside ours, in an environment of their own.

zeroproofml 0.6.1 captures the namespace of these packages, so it never shares an environment with
them: a worker in `perf/.peer/` holds the same seeded inputs, and both sides are sampled in the same
rounds, each timing itself. A raw loop that runs on both sides tells whether the sides compare.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _measure
from _peer_worker import PEERS

HERE = Path(__file__).resolve().parent
PINS = ("zeroproofml==0.6.1", "pandas==2.3.3", "pyarrow==22.0.0")
REMARKS = {
    "pandas": "does less: results are not tested for finiteness",
    "pyarrow": "does less: results are not tested for finiteness",
    "zeroproofml": None,
}
SIDE_FLOOR = 0.05
NO_FLOOR = 1.0  # the sides do not compare, so no difference is believed: every verdict inconclusive
SIZES = (10, 100_000, 1_000_000)
TORCH_CASES = ("div-forward-torch", "div-gradient-torch", "rational8-gradient-torch")
KINDS = ("clean", "new", "masked")


class Worker:
    """The process in the other environment."""

    def __init__(self, python: Path) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import _peer_worker; _peer_worker.serve()"
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
        with contextlib.suppress(BrokenPipeError):  # it is gone: no answer, as below
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            msg = f"the peer process ended with exit code {self._process.wait()}"
            raise OSError(msg)
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process, which may have ended already."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
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


@dataclass(frozen=True)
class Pairing:
    """One of our cases, what the other side is asked to make, and the implementation of ours."""

    case: Any
    maker: str
    given: dict[str, Any]
    ours: str


def _operations(only: str) -> Iterator[Pairing]:
    from suites import ops

    for case in ops.cases(quick=False, sizes=SIZES):
        op = case.id.split("/")[1]
        wanted = case.data_kind in KINDS and case.dtype == "float64" and case.backend == "numpy"
        if wanted and only in case.id and op not in ("fused", "mask"):
            given = {"op": op, "dtype": case.dtype, "n": case.n, "kind": case.data_kind}
            yield Pairing(case, "operation", {**given, "seed": ops.SEED}, "numpy")


def _torch_cases(only: str) -> Iterator[Pairing]:
    """Division and the rational layer with this environment's Torch, where it has one."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    from suites import layers

    for case in layers.cases(quick=False):
        name = case.id.split("/")[1]
        if name not in TORCH_CASES or only not in case.id:
            continue
        from suites import _torch_layers  # imports Torch, for these cases only

        given = {
            "folder": str(Path(found.origin).parents[1]),
            "n": case.n,
            "seed": _torch_layers.SEED,
        }
        if name != "rational8-gradient-torch":
            given |= {"kind": case.data_kind, "gradient": "gradient" in name}
            yield Pairing(case, "torch_division", given, "torch")
        else:
            layer = _torch_layers.rational_layer(8, "monomial")
            rows = {"numerator": layer.numerator, "denominator": layer.denominator}
            given |= {name: row.detach().tolist() for name, row in rows.items()}
            yield Pairing(case, "torch_rational", given, "torch")


def _measure_pair(
    pairing: Pairing, worker: Worker, rounds: int, seed: int
) -> tuple[_measure.Group, dict[str, int]]:
    answer = worker.ask(prepare=pairing.maker, given=pairing.given)
    theirs = {f"peer:{name}": name for name in answer["impls"]}
    built = pairing.case.make()
    built.check()
    ours = {name: built.impls[name] for name in (pairing.case.reference, pairing.ours)}
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
                sample = worker.ask(sample=theirs[name])
                wall, cpu = sample["wall"], sample["cpu"]
                samples[name].inner = sample["inner"]
            else:
                ours[name]()
                wall, cpu = _measure.one_sample(ours[name], samples[name].inner)
            samples[name].wall.append(wall)
            samples[name].cpu.append(cpu)
    samples[_measure.SECOND_REFERENCE] = samples.pop("peer:raw")
    return _measure.Group(samples, orders, pairing.case.reference), dict(answer["differ"])


def _ratio_rows(pairing: Pairing, group: _measure.Group, floor: float) -> list[Any]:
    """Each peer's time over ours: larger is better for us."""
    import _schema

    ours = group.samples[pairing.ours]
    rows = []
    for name, samples in group.samples.items():
        if not name.startswith("peer:"):
            continue
        paired = [a / b for a, b in zip(samples.wall, ours.wall, strict=True)]
        rows.append(
            _schema.Ratio(
                id=f"{pairing.case.id}/{name}",
                impl=name,
                reference=pairing.ours,
                min_ratio=samples.best / ours.best,
                paired_median=_measure.quantile(paired, 0.5),
                paired_iqr=list(_measure.quartiles(paired)),
                aa_floor=NO_FLOOR if floor > SIDE_FLOOR else max(_measure.FLOOR, floor),
                preempted=samples.preempted or ours.preempted,
            )
        )
    return rows


def measure(only: str, rounds: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Measure the peers; a peer that cannot be had is reported, never an error.

    Returns:
        Case records, ratio records (each peer's time over ours, so larger is better for us), and
        one record per peer.
    """
    import run_benchmarks

    rows: list[Any] = []
    ratios: list[Any] = []
    differ: dict[str, int] = dict.fromkeys(PEERS, 0)
    try:
        with contextlib.closing(Worker(environment())) as worker:
            versions = worker.ask(versions=True)
            for k, pairing in enumerate((*_operations(only), *_torch_cases(only))):
                group, lanes = _measure_pair(pairing, worker, rounds, k)
                for name, count in lanes.items():
                    differ[name] += count
                twin, first = (
                    group.samples[_measure.SECOND_REFERENCE],
                    group.samples[group.reference],
                )
                floor = abs(twin.best / first.best - 1)
                note = "the two sides differ by more than 5 %" if floor > SIDE_FLOOR else None
                rows += [
                    row.model_copy(update={"note": note})
                    for row in run_benchmarks.case_rows(pairing.case, group)
                    if row.impl.startswith("peer:")
                ]
                ratios += _ratio_rows(pairing, group, floor)
    except OSError as error:
        reason = " ".join(str(error).split())
        sys.stderr.write(f"perf: peers unavailable: {reason}\n")
        return rows, ratios, [_unavailable(name, reason) for name in PEERS]
    return rows, ratios, [_record(name, versions[name], differ[name]) for name in PEERS]


def _unavailable(name: str, reason: str) -> Any:
    import _schema

    return _schema.Peer(name=name, version=None, python=None, status="unavailable", reason=reason)


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
