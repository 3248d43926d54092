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
from zeroproofml.report.contract.seed import SeedCommit, SeedResult
from zeroproofml.report.contract.strict_json import digest, sha256
from zeroproofml.report.domains import with_shared
from zeroproofml.report.errors import FileInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.benchmarks.domains import ArmOutput, SeedOutput
    from zeroproofml.benchmarks.worker import Task
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


def predictions(output: SeedOutput, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Add predictions.npz (and the domain's further arrays) to `files`; the arrays as stored."""
    files[PREDICTIONS] = npz.write_npz(output.arrays)
    for name, extra in output.files.items():
        files[name] = npz.write_npz(extra)
    return dict(npz.read_npz(files[PREDICTIONS], path=PREDICTIONS))


def shared_datasets(output: SeedOutput) -> dict[str, bytes]:
    """Data sets that seeds share, as `datasets/<sha256>.npz` → bytes.

    Raises
    ------
    FileInvalid
        Code `dataset`, if a digest is not that of the numbers.
    """
    found = {}
    for name, dataset in output.datasets.items():
        if dataset.arrays is None:
            continue
        if npz.array_digest(dataset.arrays) != dataset.digest:
            msg = f"data set {name}: its digest is not that of its numbers"
            raise FileInvalid(msg, code="dataset")
        found[_dataset_file(dataset.digest)] = npz.write_npz(dataset.arrays)
    return found


def _dataset_file(named: str) -> str:
    return f"datasets/{named.removeprefix('sha256:')}.npz"


def checkpoints(output: SeedOutput, files: dict[str, bytes]) -> None:
    """Add `checkpoints/<arm>.safetensors` of every trained arm to `files`.

    Raises
    ------
    FileInvalid
        Code `arrays`, if the header is longer than a reader accepts.
    """
    for arm, made in output.arms.items():
        if made.checkpoint is None:
            continue
        from safetensors.numpy import save

        tensors = {name: np.ascontiguousarray(made.checkpoint[name]) for name in made.checkpoint}
        data = save(tensors)
        path = f"checkpoints/{arm}.safetensors"
        if int.from_bytes(data[:8], "little") > MAX_HEADER:
            msg = "the header is longer than 1 MiB; use shorter tensor names"
            raise FileInvalid(msg, code="arrays", path=path)
        files[path] = data


def seed_result(
    task: Task,
    law: Protocol,
    output: SeedOutput,
    arrays: Mapping[str, np.ndarray],
    arms: Sequence[str],
    began: float,
) -> SeedResult:
    """The canonical result of one seed; `began` is the worker's monotonic clock at its start."""
    shared = {
        name: each.arrays for name, each in output.datasets.items() if each.arrays is not None
    }
    working = [arm for arm in arms if output.arms[arm].status == "ok"]
    measured = law.seed_metrics(with_shared(arrays, shared), task.config["settings"], working)
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
                    "file": None if each.arrays is None else _dataset_file(each.digest),
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


def seed_commit(task: Task, result: SeedResult, files: Mapping[str, bytes]) -> SeedCommit:
    """The commit that makes a seed complete: identities, result digest, every file's digest."""
    return SeedCommit.model_validate(
        {
            "seed": task.seed,
            "config_hash": result.config_hash,
            "code": dict(task.code),
            "environment_digest": task.environment_digest,
            "datasets": {name: each.digest for name, each in result.datasets.items()},
            "result_digest": result.result_digest(),
            "arms": {name: arm.status for name, arm in result.arms.items()},
            "files": [
                {"path": name, "size": len(data), "sha256": sha256(data)}
                for name, data in sorted(files.items())
            ],
        }
    )
