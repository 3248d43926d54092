"""What a domain hands to the runner, and where its producers are found.

A producer computes one seed: `(settings, seed, progress) -> SeedOutput`, where `settings` is the
run's config (`config["settings"]` holds the domain's own, `config["arms"]` the arms to compute).
It writes no file and computes no metric: the worker stores its arrays, and the metrics come from
`zeroproofml.report.domains`, the same functions that a verification calls.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from zeroproofml.benchmarks.progress import Progress

__all__ = [
    "ArmOutput",
    "Dataset",
    "Producer",
    "SeedOutput",
    "available",
    "check",
    "extensions",
    "frameworks",
    "load_file",
    "producer",
]

DOMAINS = ("dose", "rf", "ik")
_extensions: dict[str, ModuleType] = {}


@dataclass
class Dataset:
    """One data set of a seed.

    `digest` is `report.contract.arrays.array_digest` of the numbers, `n` counts rows. `arrays` is
    given only where a domain shares the set between seeds: it is then stored once, as
    `datasets/<sha256>.npz`.

    Examples
    --------
    >>> Dataset(digest="sha256:" + "0" * 64, n=200, role="train").arrays is None
    True
    """

    digest: str
    n: int
    role: Literal["train", "validation", "calibration", "test", "grid"]
    arrays: Mapping[str, np.ndarray] | None = None


@dataclass
class ArmOutput:
    """One arm of a seed, without its metrics: those are computed from the stored arrays.

    `status` is `"failed"` when the *method* gave no usable output (diverged, solver refused); any
    other trouble is an exception and fails the seed. `reasons` names the code of each null that
    is no metric by its dotted path (`"thresholds"`, `"training.epochs"`).

    Examples
    --------
    >>> ArmOutput(n_parameters=0, reasons={"thresholds": "not_applicable"}).status
    'ok'
    """

    status: Literal["ok", "failed"] = "ok"
    reason: str | None = None
    n_parameters: int = 0
    training: Mapping[str, float | None] = field(
        default_factory=lambda: {"steps": 0, "epochs": None, "final_loss": None}
    )
    thresholds: Mapping[str, Any] | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Mapping[str, np.ndarray] | None = None
    train_s: float = 0.0
    evaluate_s: float = 0.0


@dataclass
class SeedOutput:
    """Everything that one seed produced.

    `arrays` are the members of `predictions.npz`: `"<arm>__<array>"` and `"data__<array>"`.
    `files` are the domain's own, beside the predictions: name ending in `.npz` → arrays, name ending
    in `.json` → a document.

    Examples
    --------
    >>> SeedOutput(datasets={}, arrays={}, arms={}).data_s
    0.0
    """

    datasets: Mapping[str, Dataset]
    arrays: Mapping[str, np.ndarray]
    arms: Mapping[str, ArmOutput]
    data_s: float = 0.0
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Producer = Callable[[Mapping[str, Any], int, "Progress"], SeedOutput]


def producer(domain: str, protocol: str = "standard") -> Producer:
    """The function that computes one seed of a protocol.

    Raises
    ------
    UsageError
        no such domain or protocol can be run here; the message lists those that can.
    """
    found = getattr(_module(domain), "PRODUCERS", {}).get(protocol)
    if found is None:
        known = ", ".join(sorted(_module(domain).PRODUCERS))
        msg = f"--protocol: {domain} has no protocol {protocol!r}; use one of {known}"
        raise UsageError(msg)
    made: Producer = found
    return made


def frameworks(domain: str) -> tuple[str, ...]:
    """Which of torch and jax the domain's seeds use (its `FRAMEWORKS`, torch if it says nothing).

    Raises
    ------
    UsageError
        no such domain can be run here.
    """
    return tuple(getattr(_module(domain), "FRAMEWORKS", ("torch",)))


def check(config: Mapping[str, Any]) -> None:
    """Let the domain refuse a run before anything exists: its module's `check(config)`, if any.

    Raises
    ------
    ReportError
        whatever the domain finds, such as a frozen data set that comes out otherwise here.
    """
    found = getattr(_module(config["domain"]), "check", None)
    if found is not None:
        found(config)


def available() -> tuple[str, ...]:
    """Domains that can be run, in the order of the documentation.

    Examples
    --------
    >>> "nothing" in available()
    False
    """
    built_in = (name for name in DOMAINS if _exists(name))
    return (*built_in, *(name for name in _extensions if name not in DOMAINS))


def load_file(path: str | Path) -> None:
    """Make a domain known that lies in one Python file outside this package.

    The file defines `DOMAIN` and `PRODUCERS` (as a built-in `protocol.py` does) and registers its
    protocols with `zeroproofml.report.domains.register` when it is executed. Its path travels
    with every task, so that workers in other processes load it too.

    Raises
    ------
    UsageError
        the file cannot be loaded or lacks one of the two names.
    """
    where = Path(path).resolve()
    name = f"zeroproofml_domain_{where.stem}"
    if getattr(sys.modules.get(name), "__file__", None) == str(where):
        return
    spec = importlib.util.spec_from_file_location(name, where)
    if spec is None or spec.loader is None or not where.is_file():
        msg = f"{where}: no Python file of a domain; give the path of one"
        raise UsageError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, "DOMAIN") or not hasattr(module, "PRODUCERS"):
        msg = f"{where}: defines no DOMAIN or no PRODUCERS; see zeroproofml.benchmarks.domains"
        raise UsageError(msg)
    _extensions[module.DOMAIN] = module


def extensions() -> tuple[str, ...]:
    """Paths of the files that `load_file` made known in this process."""
    return tuple(str(module.__file__) for module in _extensions.values())


def _exists(domain: str) -> bool:
    return (Path(__file__).parent / domain / "protocol.py").is_file()


def _module(domain: str) -> ModuleType:
    if domain in _extensions:
        return _extensions[domain]
    if domain in DOMAINS and _exists(domain):
        return importlib.import_module(f"zeroproofml.benchmarks.domains.{domain}.protocol")
    have = ", ".join(available()) or "none yet"
    msg = f"domain: {domain!r} cannot be run by this version; available: {have}"
    raise UsageError(msg)
