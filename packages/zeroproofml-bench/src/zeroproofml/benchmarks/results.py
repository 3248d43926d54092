"""From what a domain computed to the files of a seed: checked, in the contract's models.

Metrics are computed here and nowhere in a domain, from the arrays as they were stored and by the
function that a later verification calls, so that its first link holds by construction.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import usage
from zeroproofml.report.contract import arrays as npz
from zeroproofml.report.contract.seed import SeedResult
from zeroproofml.report.contract.strict_json import digest, dump
from zeroproofml.report.domains import with_shared
from zeroproofml.report.errors import FileInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.benchmarks.domains import ArmOutput, SeedOutput
    from zeroproofml.benchmarks.worker import Task
    from zeroproofml.report.contract.arrays import Array
    from zeroproofml.report.domains import Protocol

PREDICTIONS = "predictions.npz"
MAX_HEADER = 2**20
"""Longest safetensors header that a reader accepts."""


def check_output(
    law: Protocol, config: Mapping[str, Any], output: SeedOutput, arms: Sequence[str]
) -> None:
    """Refuse output that a verification would refuse later: arms, members, dtypes, shapes.

    Raises
    ------
    FileInvalid
        Code `arrays`, naming the arm or the member.
    """
    if set(output.arms) != set(arms):
        odd = sorted(set(output.arms) ^ set(arms))
        msg = f"the domain gave other arms than the config: {', '.join(odd)}"
        raise FileInvalid(msg, code="arrays", path=PREDICTIONS)
    allowed = law.members(config["settings"], arms)
    for name, array in output.arrays.items():
        if name not in allowed:
            msg = f"{name} is no member of {law.domain} {law.name}"
            raise FileInvalid(msg, code="arrays", path=PREDICTIONS)
        dtype, shape = allowed[name]
        fits = len(shape) == array.ndim and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if np.dtype(dtype) != array.dtype or not fits:
            msg = f"{name} is {array.dtype}{list(array.shape)}, not {dtype}{list(shape)}"
            raise FileInvalid(msg, code="arrays", path=PREDICTIONS)
    failed = {arm for arm in arms if output.arms[arm].status == "failed"}
    for name in allowed:
        if name not in output.arrays and name.partition("__")[0] not in failed:
            msg = f"{name} is missing"
            raise FileInvalid(msg, code="arrays", path=PREDICTIONS)


def stored(output: SeedOutput) -> dict[str, Array]:
    """The arrays in the form in which they are stored: what metrics are computed from."""
    return {
        name: npz.check_array(name, array, path=PREDICTIONS)
        for name, array in output.arrays.items()
    }


def shared(output: SeedOutput) -> dict[str, Mapping[str, Array]]:
    """Data sets that the domain shares between seeds, by name."""
    return {name: each.arrays for name, each in output.datasets.items() if each.arrays is not None}


def extra_files(output: SeedOutput) -> dict[str, bytes]:
    """What a domain adds to a seed's directory, as bytes."""
    return {
        name: dump(_jsonable(content)) if name.endswith(".json") else npz.write_npz(content)
        for name, content in output.files.items()
    }


def checkpoints(output: SeedOutput) -> dict[str, bytes]:
    """Arm → bytes of its safetensors file, for every arm that has weights.

    Raises
    ------
    FileInvalid
        Code `arrays`, if the header is longer than a reader accepts.
    """
    found = {}
    for arm, made in output.arms.items():
        if made.checkpoint is None:
            continue
        from safetensors.numpy import save

        tensors = {name: np.ascontiguousarray(made.checkpoint[name]) for name in made.checkpoint}
        data = save(tensors)
        if int.from_bytes(data[:8], "little") > MAX_HEADER:
            msg = "the header is longer than 1 MiB; use shorter tensor names"
            raise FileInvalid(msg, code="arrays", path=f"checkpoints/{arm}.safetensors")
        found[arm] = data
    return found


def seed_result(
    task: Task,
    law: Protocol,
    output: SeedOutput,
    arrays: Mapping[str, Array],
    arms: Sequence[str],
    began: float,
) -> SeedResult:
    """The canonical result of one seed; `began` is the worker's monotonic clock at its start."""
    working = [arm for arm in arms if output.arms[arm].status == "ok"]
    measured = law.seed_metrics(
        with_shared(arrays, shared(output)), task.config["settings"], working
    )
    config = task.config
    return SeedResult.model_validate(
        {
            "schema_name": f"zeroproofml.seed_result.{law.domain}",
            "domain": law.domain,
            "mode": config["mode"],
            "protocol": dict(config["protocol"]),
            "config_hash": digest(config),
            "seed": task.seed,
            "datasets": {
                name: {
                    "digest": each.digest,
                    "n": each.n,
                    "role": each.role,
                    "file": None
                    if each.arrays is None
                    else f"datasets/{each.digest.removeprefix('sha256:')}.npz",
                }
                for name, each in output.datasets.items()
            },
            "metric_set": {"name": law.metric_set[0], "version": law.metric_set[1]},
            "arms": {arm: _arm(law, output.arms[arm], measured.get(arm)) for arm in arms},
            "timing": _timing(output, arms, began),
        }
    )


def _arm(law: Protocol, made: ArmOutput, measured: Any) -> dict[str, Any]:
    if made.status == "failed":
        metrics: dict[str, float | None] = dict.fromkeys(law.metrics)
        reasons = dict.fromkeys(law.metrics, "arm_failed")
    else:
        metrics, reasons = dict(measured.metrics), dict(measured.reasons)
    return {
        "status": made.status,
        "reason": made.reason,
        "n_parameters": made.n_parameters,
        "training": dict(made.training),
        "thresholds": None if made.thresholds is None else dict(made.thresholds),
        "metrics": metrics,
        "reasons": {**made.reasons, **reasons},
        "diagnostics": _jsonable(made.diagnostics),
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "items"):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value


def _timing(output: SeedOutput, arms: Sequence[str], began: float) -> dict[str, Any]:
    peak, gpu = usage.peak_rss_mb(), usage.gpu_peak_mb()
    known = {"peak_rss_mb": peak, "gpu_peak_mb": gpu}
    return {
        "data_s": output.data_s,
        "total_s": time.monotonic() - began,
        "arms": {
            arm: {
                "train_s": output.arms[arm].train_s,
                "evaluate_s": output.arms[arm].evaluate_s,
            }
            for arm in arms
        },
        **known,
        "reasons": {
            name: "missing" if name == "peak_rss_mb" else "not_applicable"
            for name, value in known.items()
            if value is None
        },
    }
