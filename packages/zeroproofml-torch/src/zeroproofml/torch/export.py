"""Export of a strict model as a deployment bundle: ONNX, metadata, and a reference that was replayed.

The bundle holds the whole decision: six outputs per lane and the thresholds inside the model's own
properties. Nothing is written under the target's name before ONNX Runtime has repeated the reference,
fault rows included. Needs the extra ``export``; importing this module does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zeroproofml.scm._version import __version__ as scm_version
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas.strict import InferenceConfig
from zeroproofml.torch._onnx import ExportError, as_onnx, check_same, session_of
from zeroproofml.torch._reference import Arrays, checked_inputs, dtype_name, expected, lanes, probes
from zeroproofml.torch._version import __version__
from zeroproofml.torch.inference import SCMInferenceWrapper

__all__ = ["ExportError", "export_bundle"]

_IDS = ("preprocessing_id", "postprocessing_id", "fallback_policy_id", "normalization")
_RUN = ("run_id", "raw_digest", "domain", "arm", "seed")


def export_bundle(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    out_dir: str | os.PathLike[str],
    *,
    config: InferenceConfig,
    factor_thresholds: Sequence[float] = (),
    ids: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> tuple[Path, str]:
    """Write a deployment bundle that ``zeroproofml.report`` validates and loads.

    The reference consists of the examples (at most 64 rows) and of rows with zeros, the largest
    finite numbers, NaN and infinities in each input column in turn. ONNX Runtime must give the masks
    of the model in evaluation mode bit for bit, for the whole batch, for every row alone, and for no
    row; ``decoded`` within 4 ULP of its own P/Q, and P and Q within rounding of torch's.

    Args:
        model: returns (P, Q) or (P, Q, *factors), real; in any mode, which is put back.
        example_inputs: tensors with the batch first, at least one row; float32 or float64, or
            integers.
        out_dir: the new bundle; its parent is made if missing.
        config: thresholds and gauge.
        factor_thresholds: τ ≥ 0 of each factor.
        ids: what surrounds the model: preprocessing_id, postprocessing_id, fallback_policy_id, and
            normalization ``{input: {"mean": […], "scale": […]}}``.
        run: where the weights come from: run_id, raw_digest, domain, arm, seed.
        overwrite: replace an existing bundle; it stays whole until the new one is in place.

    Returns:
        The bundle's path and its digest. Keep the digest elsewhere: only it proves origin.

    Raises:
        ExportError: the model cannot be exported, or ONNX Runtime does not repeat the reference.
        SCMTypeError, SCMValueError: inputs, outputs, ids or thresholds that a bundle cannot hold.
        FileExistsError: the target exists and ``overwrite`` is not set.

    >>> export_bundle(nn.Identity(), torch.ones(0, 2), "bundle", config=InferenceConfig())
    Traceback (most recent call last):
    zeroproofml.scm.errors.SCMValueError: example_inputs[0] has no row; give at least one
    """
    examples = checked_inputs(example_inputs)
    contracts, origin = _fields(ids, _IDS, "ids"), None
    if run is not None:
        origin = _fields(run, _RUN, "run")
        if missing := [name for name, value in origin.items() if value is None]:
            msg = f"run lacks {missing[0]!r}; give {', '.join(_RUN)}"
            raise SCMValueError(msg)
    target = Path(out_dir)
    if (target.exists() or target.is_symlink()) and not overwrite:
        msg = f"{target} exists; name another directory or pass overwrite=True"
        raise FileExistsError(msg)
    wrapper = _wrapped(model, config, factor_thresholds)
    modes = {module: module.training for module in wrapper.modules()}
    wrapper.eval()
    try:
        with torch.no_grad():
            rows = probes(examples)
            wanted, q_dtype = expected(wrapper, rows)
            _demand_normalization(contracts["normalization"], [*rows])
            properties = _properties(config, wrapper.factor_thresholds)
            onnx_model, probe, specs = as_onnx(wrapper, rows, wanted, properties)
            largest = check_same(onnx_model, probe, wrapper, rows)
    finally:
        for module, training in modes.items():
            module.training = training
    files = {"model.onnx": (onnx_model, "model")}
    for role, arrays in (("input", rows), ("output", wanted)):
        for number, array in enumerate(arrays.values()):
            files[f"reference/{role}_{number}.npy"] = (_npy(array), f"reference_{role}")
    effective, _ = config.effective(q_dtype)
    described = {
        "schema_name": "zeroproofml.bundle",
        "schema_version": 1,
        "created_utc": _now(),
        "producer": _producer(),
        "source": None,
        "run": origin,
        "files": [
            {"path": path, "size": len(data), "sha256": _sha256(data), "role": role}
            for path, (data, role) in sorted(files.items())
        ],
        "model": specs,
        "decoding": {
            "mode": "strict",
            "gauge": config.gauge,
            "tau_infer": config.tau_infer,
            "tau_infer_effective": effective,
            "q_dtype": dtype_name(q_dtype),
            "tau_train": config.tau_train,
            "factor_thresholds": list(wrapper.factor_thresholds),
        },
        "contracts": contracts,
        "reference": {
            "n_rows": len(next(iter(rows.values()))),
            "lanes": lanes(wanted),
            "tolerance": {"decoded_ulp": 4, "masks": "exact"},
            "largest_ulp": largest,
        },
    }
    text = json.dumps(described, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    data = {path: content for path, (content, _) in files.items()}
    data["metadata.json"] = (text + "\n").encode()
    data["SHA256SUMS"] = _sums(data)
    _put(target, data, wanted, rows)
    return target, _sha256(data["metadata.json"])


def _wrapped(
    model: nn.Module, config: InferenceConfig, factor_thresholds: Sequence[float]
) -> SCMInferenceWrapper:
    if not isinstance(model, SCMInferenceWrapper):
        return SCMInferenceWrapper(model, config, factor_thresholds=factor_thresholds)
    if (model.config, model.factor_thresholds) != (config, tuple(map(float, factor_thresholds))):
        msg = "config and factor_thresholds differ from the wrapper's; pass those of the wrapper"
        raise SCMValueError(msg)
    return model


def _fields(given: Mapping[str, Any] | None, known: tuple[str, ...], name: str) -> dict[str, Any]:
    """Every known field, null where it was not given; JSON's own types only."""
    held = dict(given or {})
    if unknown := sorted(held.keys() - set(known)):
        msg = f"{name} has no field {unknown[0]!r}; the fields are {', '.join(known)}"
        raise SCMValueError(msg)
    for key, value in held.items():
        wanted: type = int if key == "seed" else dict if key == "normalization" else str
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            msg = f"{name}[{key!r}] must be a {wanted.__name__}, not {type(value).__name__}"
            raise SCMTypeError(msg)
        if isinstance(value, str) and not 0 < len(value) <= 200:
            msg = f"{name}[{key!r}] must have 1 to 200 characters"
            raise SCMValueError(msg)
    return {key: held.get(key) for key in known}


def _demand_normalization(given: dict[str, Any] | None, inputs: list[str]) -> None:
    """Bring a normalisation to plain lists of floats, in place."""
    for name, parts in (given or {}).items():
        if name not in inputs or not isinstance(parts, Mapping) or set(parts) != {"mean", "scale"}:
            msg = f"ids['normalization'] must map inputs ({', '.join(inputs)}) to mean and scale"
            raise SCMValueError(msg)
        held = {key: [float(x) for x in np.asarray(parts[key]).ravel()] for key in parts}
        mean, scale = held["mean"], held["scale"]
        sound = np.isfinite([*mean, *scale]).all() and min(scale, default=0.0) > 0
        if not sound or len(mean) != len(scale):
            msg = f"ids['normalization'][{name!r}]: as many finite means as positive scales"
            raise SCMValueError(msg)
        given[name] = held  # type: ignore[index]  # the loop runs over it, so it is there


def _properties(config: InferenceConfig, factors: Sequence[float]) -> dict[str, str]:
    """The decision inside the ONNX file: a threshold edited in JSON alone shows."""
    return {
        "zeroproofml.schema_version": "1",
        "zeroproofml.gauge": config.gauge,
        "zeroproofml.tau_infer": repr(config.tau_infer),
        "zeroproofml.tau_train": json.dumps(config.tau_train),
        "zeroproofml.factor_thresholds": json.dumps(list(factors)),
    }


def _now() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _producer() -> dict[str, str]:
    return {
        "zeroproofml_torch": __version__,
        "zeroproofml_scm": scm_version,
        "torch": str(torch.__version__),
        "onnx": metadata.version("onnx"),
        "onnxruntime": metadata.version("onnxruntime"),
        "python": platform.python_version(),
    }


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _sums(data: Mapping[str, bytes]) -> bytes:
    rows = (f"{hashlib.sha256(data[path]).hexdigest()}  {path}\n" for path in sorted(data))
    return "".join(rows).encode()


def _npy(array: Any) -> bytes:
    out = BytesIO()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(out, np.ascontiguousarray(little), version=(1, 0), allow_pickle=False)
    return out.getvalue()


def _put(target: Path, data: Mapping[str, bytes], wanted: Arrays, rows: Arrays) -> None:
    """Stage beside the target, read back, rename; an old bundle is deleted last."""
    parent = target.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(8)
    stage, aside = parent / f".zpml-tmp-{mark}", parent / f".zpml-tmp-{mark}-old"
    try:
        (stage / "reference").mkdir(parents=True)
        for path, content in data.items():
            with (stage / path).open("xb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        _read_back(stage, data, wanted, rows)
        for folder in (stage / "reference", stage):
            _sync(folder)
        replaced = target.exists() or target.is_symlink()
        if replaced:
            target.rename(aside)
        try:
            stage.rename(target)
        except BaseException:
            if replaced:  # an interrupt between the two renames must not cost the old bundle
                aside.rename(target)
            raise
        _sync(parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    if aside.is_symlink() or aside.is_file():
        aside.unlink()
    elif aside.exists():
        shutil.rmtree(aside)


def _read_back(stage: Path, data: Mapping[str, bytes], wanted: Arrays, rows: Arrays) -> None:
    """What lies on the disk is what was meant, and it runs."""
    there = {path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file()}
    if there != data.keys() or any((stage / p).read_bytes() != data[p] for p in data):
        msg = f"{stage.parent}: what was written does not read back; check the disk"
        raise ExportError(msg)
    session = session_of((stage / "model.onnx").read_bytes())
    found = session.run([*wanted], dict(rows))
    for name, array in zip(wanted, found, strict=True):
        stored = np.load(
            stage / f"reference/output_{[*wanted].index(name)}.npy", allow_pickle=False
        )
        if name != "decoded" and not np.array_equal(stored, array):
            msg = f"{name}: the stored reference does not replay; export again"
            raise ExportError(msg)


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot sync a directory
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
