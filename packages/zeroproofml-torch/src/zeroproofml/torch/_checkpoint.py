"""Checkpoints: tensors in safetensors, everything else in strict JSON. Never pickle.

A checkpoint is a directory with ``model.safetensors``, ``optimizer.safetensors`` and ``state.json``,
written to a sibling and renamed, so that a crash leaves either the old one or the new one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = [
    "SCHEMA",
    "load_model",
    "load_optimizer",
    "outside_parameters",
    "pack",
    "read_state",
    "restore_rng",
    "rng_state",
    "unpack",
    "write_checkpoint",
]

SCHEMA = {"schema_name": "zeroproofml.checkpoint", "schema_version": 1}
_LOG = logging.getLogger(__name__)


def pack(value: Any, where: str = "state") -> Any:
    """Plain JSON values; tuples, counters, non-string keys and non-finite floats are marked.

    Raises:
        SCMTypeError: a value that JSON cannot say (a function, a tensor, an object).

    >>> pack({"betas": (0.9, 0.999), "best": math.inf})
    {'betas': {'$tuple': [0.9, 0.999]}, 'best': {'$float': 'inf'}}
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Counter):
        return {"$counter": [[pack(k, where), n] for k, n in sorted(value.items())]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: pack(item, f"{where}.{key}") for key, item in value.items()}
        return {"$items": [[pack(k, where), pack(v, f"{where}.{k}")] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [pack(item, where) for item in value]}
    if isinstance(value, list):
        return [pack(item, where) for item in value]
    msg = f"{where} holds a {type(value).__name__}, which a checkpoint cannot store without pickle"
    raise SCMTypeError(msg)


def unpack(value: Any) -> Any:
    """The inverse of :func:`pack`.

    >>> unpack(pack((1, {2: math.inf})))
    (1, {2: inf})
    """
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$tuple" in value:
        return tuple(unpack(item) for item in value["$tuple"])
    if "$counter" in value:
        return Counter({unpack(key): n for key, n in value["$counter"]})
    if "$items" in value:
        return {unpack(key): unpack(item) for key, item in value["$items"]}
    return {key: unpack(item) for key, item in value.items()}


def rng_state(generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """The random states that training can draw from, as packed JSON values."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 - the state that user code draws from
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
        "cuda": [state.numpy().tobytes().hex() for state in cuda],
        "numpy": pack([str(kind), [int(k) for k in keys], int(position), int(has_gauss), cached]),
        "python": pack(random.getstate()),
        "generators": [g.get_state().numpy().tobytes().hex() for g in generators],
    }


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def restore_rng(state: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
    """Put the random states back.

    Raises:
        SCMValueError: the loader has another number of generators than when the state was taken.
    """
    if len(state["generators"]) != len(generators):
        msg = f"the loader has {len(generators)} generators, the checkpoint {len(state['generators'])}"
        raise SCMValueError(msg)
    torch.set_rng_state(_bytes(state["torch"]))
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([_bytes(text) for text in state["cuda"]])
    kind, keys, position, has_gauss, cached = unpack(state["numpy"])
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002 - as above
    random.setstate(unpack(state["python"]))
    for generator, text in zip(generators, state["generators"], strict=True):
        generator.set_state(_bytes(text))


def outside_parameters(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, nn.Parameter]:
    """What the optimizer trains beside the model (a loss with parameters, for one), by place."""
    inside = {id(parameter) for parameter in model.parameters()}
    return {
        f"{g}.{i}": parameter
        for g, group in enumerate(optimizer.param_groups)
        for i, parameter in enumerate(group["params"])
        if id(parameter) not in inside
    }


def _plain(tensors: Mapping[str, Any], what: str) -> dict[str, Tensor]:
    plain = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            msg = f"{what} holds {name!r}, which is no tensor; a checkpoint cannot store it"
            raise SCMTypeError(msg)
        plain[name] = tensor.detach().cpu().clone().contiguous()  # shared storage is refused
    return plain


def _split_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    state = optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        plain[str(index)] = {}
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"state.{index}.{name}"] = value
            else:
                plain[str(index)][name] = value
    groups = []
    for g, group in enumerate(state["param_groups"]):
        rest = {}
        for name, value in group.items():
            if isinstance(value, Tensor):
                tensors[f"group.{g}.{name}"] = value
            else:
                rest[name] = value
        groups.append(rest)
    return tensors, {"state": plain, "param_groups": groups}


def write_checkpoint(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """Write the three files to a sibling directory and rename it into place.

    Raises:
        SCMTypeError: a state that cannot be stored without pickle.
        SCMValueError: ``path`` exists and is not a checkpoint.
    """
    target = Path(path)
    if target.exists() and not (target / "state.json").is_file():
        msg = f"{target} exists and is not a checkpoint; choose another path"
        raise SCMValueError(msg)
    tensors, rest = _split_optimizer(optimizer)
    extra = outside_parameters(model, optimizer)
    tensors.update({f"param.{place}": parameter for place, parameter in extra.items()})
    document = {**SCHEMA, **state, "optimizer": pack(rest, "optimizer")}
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
    weights = _plain(model.state_dict(), "the model's state_dict")

    sibling = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(sibling, ignore_errors=True)
    sibling.mkdir(parents=True)
    save_file(weights, sibling / "model.safetensors")
    save_file(_plain(tensors, "the optimizer"), sibling / "optimizer.safetensors")
    (sibling / "state.json").write_text(text, encoding="utf-8")
    for file in sibling.iterdir():
        _sync(file)
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    sibling.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():  # some platforms cannot sync a directory
            raise
    finally:
        os.close(handle)


def read_state(path: str | os.PathLike[str], config_sha256: str, *, strict: bool) -> dict[str, Any]:
    """The state of a checkpoint, its schema and config hash checked.

    Raises:
        SCMValueError: no checkpoint, an unknown schema, or (``strict``) another config.
    """
    file = Path(path) / "state.json"
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} is not a checkpoint: it has no state.json"
        raise SCMValueError(msg) from error
    except ValueError as error:
        msg = f"{file} is not JSON: {error}"
        raise SCMValueError(msg) from error
    found = (state.get("schema_name"), state.get("schema_version"))
    if found != (SCHEMA["schema_name"], SCHEMA["schema_version"]):
        msg = f"{file} has schema {found[0]} v{found[1]}; this package reads {SCHEMA['schema_name']} v1"
        raise SCMValueError(msg)
    if state["config_sha256"] != config_sha256:
        msg = f"{file} was written under another TrainerConfig; use that one, or strict=False"
        if strict:
            raise SCMValueError(msg)
        _LOG.warning("%s was written under another TrainerConfig", file)
    return dict(state)


def load_model(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Put the weights back."""
    model.load_state_dict(load_file(Path(path) / "model.safetensors"))


def load_optimizer(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    packed: Any,
) -> None:
    """Put the optimizer's state and the parameters outside the model back.

    Raises:
        SCMValueError: the checkpoint has other parameters outside the model.
    """
    tensors = load_file(Path(path) / "optimizer.safetensors")
    rest = unpack(packed)
    state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in rest["state"].items()}
    groups = [dict(group) for group in rest["param_groups"]]
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kind, _, place = name.partition(".")
        if kind == "param":
            stored[place] = tensor
            continue
        index, _, key = place.partition(".")
        (state[int(index)] if kind == "state" else groups[int(index)])[key] = tensor
    extra = outside_parameters(model, optimizer)
    if extra.keys() != stored.keys():
        places = _listed(extra.keys() ^ stored.keys())
        msg = f"the optimizer and the checkpoint differ in parameters outside the model: {places}"
        raise SCMValueError(msg)
    with torch.no_grad():
        for place, parameter in extra.items():
            parameter.copy_(stored[place])
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
