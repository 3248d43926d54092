"""The deployment bundle: validate, load, run. Needs neither torch nor onnx.

``load_bundle`` checks everything before anything is used, keeps the verified model bytes, and builds
the runtime from those bytes, never from the path. What is checked, in this order, stands in
``validate_bundle``; the header check is part of it because ONNX Runtime reads external tensor data
from the current directory even of a model given as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroproofml.report import _bundle_checks as checks
from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report.contract.bundle import OUTPUTS, BundleMetadata, CheckResult, Replay
from zeroproofml.report.errors import (
    Finding,
    ReportError,
    RunInvalid,
    UsageError,
)

if TYPE_CHECKING:
    from zeroproofml.report.contract.bundle import TensorSpec

__all__ = [
    "Bundle",
    "BundleInvalid",
    "BundleResult",
    "Inspection",
    "RuntimeMissing",
    "load_bundle",
    "replay",
    "validate_bundle",
]


class BundleInvalid(RunInvalid):
    """A bundle does not validate (exit 5); ``findings`` says why, one by one.

    Examples
    --------
    >>> BundleInvalid("does not validate", path="b").exit_code
    5
    """


class RuntimeMissing(ReportError):
    """onnxruntime is not installed, or cannot run the model (exit 7)."""

    exit_code = 7
    default_code = "runtime"


class BundleResult(NamedTuple):
    """The six outputs of a bundle's model, arrays of one shape."""

    decoded: NDArray[Any]
    bottom_mask: NDArray[np.bool_]
    gap_mask: NDArray[np.bool_]
    fault_mask: NDArray[np.bool_]
    semantic_bottom_mask: NDArray[np.bool_]
    bottom_provenance: NDArray[np.int64]


@dataclass(slots=True)
class Inspection:
    """What a validation found: each check with its verdict, the problems, and what was read."""

    name: str
    pinned: bool
    digest: str | None = None
    metadata: BundleMetadata | None = None
    checks: list[CheckResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    model: bytes = b""
    inputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    outputs: BundleResult | None = None

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings


def validate_bundle(path: str | os.PathLike[str], expect: str | None = None) -> Inspection:
    """Check a bundle: entries, metadata, digest, bytes, SHA256SUMS, thresholds, ONNX, arrays.

    Args:
        path: the bundle's directory.
        expect: a digest kept elsewhere, ``sha256:…``; only it proves origin.

    Returns:
        All checks and problems; the first problem of each file.

    Raises:
        UsageError: no directory of that name, or ``expect`` is no digest.

    >>> validate_bundle("no/such/bundle")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/bundle: no such directory; name a bundle directory
    """
    checks.demand_digest(expect)
    here = Path(path)
    if (kind := what_is(path)) != "dir":
        msg = "is not a directory" if kind else "no such directory"
        raise UsageError(msg, path=str(path), hint="name a bundle directory")
    made = Inspection(here.name, expect is not None)
    work = checks.Work(Tree(path), expect)
    for name, check in checks.CHECKS:
        made.checks.append(_run(work, name, check))
    made.findings = work.findings
    made.digest, made.metadata = work.digest, work.metadata
    if not made.findings:
        made.model, made.inputs = work.data[checks.MODEL], work.inputs
        made.outputs = BundleResult(*(work.outputs[name] for name in OUTPUTS))
    return made


def _run(work: checks.Work, name: str, check: Callable[[checks.Work], str]) -> CheckResult:
    before = len(work.findings)
    try:
        text = check(work)
    except checks.NotRun as error:
        return CheckResult(name=name, verdict="not run", text=str(error))
    if len(work.findings) > before:
        text = "; ".join(finding.code for finding in work.findings[before:])
        return CheckResult(name=name, verdict="failed", text=text)
    return CheckResult(name=name, verdict="passed", text=text)


class Bundle:
    """A verified bundle; made by :func:`load_bundle` only.

    Attributes:
        metadata: the verified metadata.
        digest: the bundle's digest.
        model: the verified bytes of model.onnx.
        reference_inputs, reference_outputs: the smoke test at export.
    """

    def __init__(self, seen: Inspection) -> None:
        if not seen.ok or seen.metadata is None or seen.digest is None or seen.outputs is None:
            msg = "does not validate"
            raise BundleInvalid(msg, findings=seen.findings, path=seen.name)
        self.metadata = seen.metadata
        self.digest = seen.digest
        self.model = seen.model
        self.reference_inputs = seen.inputs
        self.reference_outputs = seen.outputs
        self._session: Any = None

    def runtime(self) -> Any:
        """A new ``onnxruntime.InferenceSession`` on the CPU, from the verified bytes.

        Raises:
            RuntimeMissing: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            msg = "onnxruntime is not installed"
            raise RuntimeMissing(msg, hint="pip install onnxruntime") from error
        return onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> BundleResult:
        """Run the model.

        Args:
            inputs: one array per input: its dtype, its shape, any number of rows.

        Returns:
            The six arrays.

        Raises:
            UsageError: other names, dtypes or shapes.
            RuntimeMissing: onnxruntime is not installed.
        """
        specs = {spec.name: spec for spec in self.metadata.model.inputs}
        if inputs.keys() != specs.keys():
            msg = f"inputs: got {sorted(inputs)}, the model has {sorted(specs)}"
            raise UsageError(msg, hint="name them so")
        rows = {_rows(spec, np.asarray(inputs[name])) for name, spec in specs.items()}
        if len(rows) != 1:
            msg = f"inputs: {sorted(rows)} rows"
            raise UsageError(msg, hint="give every input as many rows")
        if self._session is None:
            self._session = self.runtime()
        found = self._session.run(list(OUTPUTS), {n: np.asarray(inputs[n]) for n in specs})
        return BundleResult(*found)


def _rows(spec: TensorSpec, array: NDArray[Any]) -> int:
    if array.dtype.name != spec.dtype:
        msg = f"inputs: {spec.name} is {array.dtype.name}, the model takes {spec.dtype}"
        raise UsageError(msg, hint="convert it")
    if array.ndim != len(spec.shape) or array.shape[1:] != spec.shape[1:]:
        msg = f"inputs: {spec.name} has shape {array.shape}, the model takes {list(spec.shape)}"
        raise UsageError(msg, hint="reshape it")
    return int(array.shape[0])


def load_bundle(path: str | os.PathLike[str], expect: str | None = None) -> Bundle:
    """Validate a bundle and load what was validated.

    Args:
        path: the bundle's directory.
        expect: a digest kept elsewhere; without it the bundle is self-consistent, its origin open.

    Returns:
        A bundle whose model bytes are the verified ones.

    Raises:
        BundleInvalid: anything at all is wrong; there is no way around the check.
        UsageError: no directory of that name, or ``expect`` is no digest.

    >>> load_bundle(".", expect="abc")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: expect: 'abc' is no digest; give sha256: and 64 digits
    """
    return Bundle(validate_bundle(path, expect))


def replay(bundle: Bundle) -> Replay:
    """The reference inputs through ONNX Runtime, against the stored outputs.

    Args:
        bundle: a verified bundle.

    Returns:
        Lanes whose masks or provenance differ, and the largest ULP distance of finite values.

    Raises:
        RuntimeMissing: onnxruntime is not installed, or the model does not run.
    """
    import importlib.metadata

    try:
        found = bundle.run(bundle.reference_inputs)
    except RuntimeMissing:
        raise
    except Exception as error:
        # onnxruntime raises plain exceptions of its own, one class per status
        msg = f"the model does not run: {error}"
        raise RuntimeMissing(msg, hint="export it again") from error
    stored = bundle.reference_outputs
    differs = np.isnan(found.decoded) != np.isnan(stored.decoded)
    for name in OUTPUTS[1:]:
        differs |= getattr(found, name) != getattr(stored, name)
    both = np.isfinite(found.decoded) & np.isfinite(stored.decoded)
    ulp = checks.ulp_distance(found.decoded[both], stored.decoded[both])
    return Replay(
        onnxruntime=importlib.metadata.version("onnxruntime"),
        mask_differences=int(differs.sum()),
        largest_ulp=ulp,
    )
