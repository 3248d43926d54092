"""The checks of a bundle, in their order; each adds its problems and says what it saw.

A check that needs what an earlier one could not give is not run, and says so. Of each file the first
problem is kept: what follows from it would only be noise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract.arrays import read_npy
from zeroproofml.report.contract.bundle import OUTPUTS, BundleMetadata, TensorSpec
from zeroproofml.report.contract.strict_json import dump, parse, sha256
from zeroproofml.report.errors import FileInvalid, Finding, UsageError
from zeroproofml.report.onnx_header import TensorInfo, read_onnx_header
from zeroproofml.scm.errors import ZeroProofError
from zeroproofml.scm.formulas.strict import InferenceConfig, round_threshold

__all__ = ["CHECKS", "METADATA", "MODEL", "SUMS", "NotRun", "Work", "demand_digest", "sums"]

METADATA, MODEL, SUMS = "metadata.json", "model.onnx", "SHA256SUMS"
MOST_ENTRIES = 160
_MOST_METADATA = 2**20
_MOST_MODEL = 2**31 - 1
_MOST_ARRAY = 64 * 2**20
_MOST_ARRAYS = 512 * 2**20
_NAMES = re.compile(r"metadata\.json|model\.onnx|SHA256SUMS|reference/(in|out)put_\d{1,2}\.npy")
_ELEMENTS = {1: "float32", 11: "float64", 6: "int32", 7: "int64", 9: "bool"}
_EXPORT = "export the bundle again"
_RESTORE = "restore the file"


class NotRun(Exception):
    """A check could not be made."""


@dataclass(slots=True)
class Work:
    """What the checks share: the directory, what was read, what was found wrong."""

    tree: Tree
    expect: str | None
    digest: str | None = None
    metadata: BundleMetadata | None = None
    data: dict[str, bytes] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, code: str, path: str, message: str, mend: str = _RESTORE) -> None:
        """Note a problem, unless one of the same file is known."""
        if path not in {finding.path for finding in self.findings}:
            self.findings.append(Finding("error", code, path, "", message, mend))

    def needs_metadata(self) -> BundleMetadata:
        """The metadata, or a reason why the check is not run."""
        if self.metadata is None:
            msg = "the metadata could not be read"
            raise NotRun(msg)
        return self.metadata

    def needs_model(self) -> bytes:
        """The verified bytes of the model, or a reason why the check is not run."""
        if MODEL not in self.data:
            msg = "the model's bytes do not verify"
            raise NotRun(msg)
        return self.data[MODEL]


def demand_digest(expect: str | None) -> None:
    """Refuse what is no digest, before anything is read.

    Raises:
        UsageError: exit 2.

    >>> demand_digest(None)
    """
    if expect is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", expect):
        msg = f"expect: {expect!r:.80} is no digest"
        raise UsageError(msg, hint="give sha256: and 64 digits")


def _entries(work: Work) -> str:
    """Regular files only, known names only, not many."""
    found: list[tuple[str, str]] = []
    for folder in ("", "reference"):
        if folder and ("reference", "dir") not in found:
            break
        prefix = f"{folder}/" if folder else ""
        entries = work.tree.first_names(folder, MOST_ENTRIES + 1)
        found += sorted((prefix + entry.name, entry.kind) for entry in entries)
        if len(found) > MOST_ENTRIES:
            msg = f"holds more than {MOST_ENTRIES} entries"
            work.problem("entries", folder or ".", msg, "remove what does not belong to it")
            return ""
    for name, kind in found:
        if name == "reference":
            if kind != "dir":
                work.problem("path_unsafe", name, f"is a {kind}, not a directory")
        elif not _NAMES.fullmatch(name):
            work.problem("unlisted", name, "does not belong to a bundle", "remove it")
        elif kind != "file":
            work.problem("path_unsafe", name, f"is a {kind}, not a regular file")
        elif (seen := work.tree.stat(name)) is not None:
            work.present[name] = seen.size
    return f"{len(work.present)} regular files"


def _metadata(work: Work) -> str:
    """At most 1 MiB, strict JSON, schema, and the one spelling of these values."""
    try:
        data = work.tree.read(METADATA, limit=_MOST_METADATA)
        work.digest = sha256(data)
        value = parse(data, path=METADATA)
        made = BundleMetadata.from_plain(value, path=METADATA)
    except FileInvalid as error:
        work.problem(error.code, METADATA, _with_pointer(error), error.hint or _RESTORE)
        return ""
    if dump(value) != data:
        work.problem("spelling", METADATA, "is not in the form of a file on disk", _EXPORT)
        return ""
    work.metadata = made
    return f"{made.SCHEMA} v{made.VERSION}"


def _with_pointer(error: FileInvalid) -> str:
    return f"{error.pointer}: {error.message}" if error.pointer else error.message


def _origin(work: Work) -> str:
    """The digest kept elsewhere, if there is one."""
    if work.expect is None:
        msg = "self-consistent, origin not pinned"
        raise NotRun(msg)
    if work.digest is None:
        msg = "the metadata could not be read"
        raise NotRun(msg)
    if work.digest != work.expect:
        words = f"the bundle's digest is {work.digest}, expected {work.expect}"
        work.problem("expect", ".", words, "get the bundle from where the digest comes from")
        return ""
    return "the digest is the expected one"


def _bytes(work: Work) -> str:
    """Sizes before content, then the digest of the bytes that are used; nothing missing."""
    metadata = work.needs_metadata()
    total = 0
    for entry in metadata.files:
        limit = _MOST_MODEL if entry.path == MODEL else _MOST_ARRAY
        size = work.present.get(entry.path)
        if size is None:
            work.problem("missing", entry.path, "is not there")
            continue
        total += 0 if entry.path == MODEL else size
        if size > limit or total > _MOST_ARRAYS:
            work.problem("size", entry.path, f"{size} bytes exceed the limit of {limit}", _EXPORT)
        elif size != entry.size:
            words = f"has {size} bytes, metadata.json says {entry.size}"
            work.problem("size", entry.path, words)
        else:
            _read(work, entry.path, entry.size, entry.sha256)
    listed = {entry.path for entry in metadata.files} | {METADATA, SUMS}
    for name in sorted(work.present.keys() - listed):
        work.problem("unlisted", name, "is not listed in metadata.json", "remove it")
    if len(work.data) != len(metadata.files):
        return ""
    return f"{len(work.data)} files, sizes and sha256"


def _read(work: Work, path: str, size: int, digest: str) -> None:
    try:
        data = work.tree.read(path, limit=size)
    except FileInvalid as error:
        work.problem(error.code, path, error.message, error.hint)
        return
    if sha256(data) != digest:
        work.problem("digest", path, "sha256 does not match metadata.json")
        return
    work.data[path] = data


def sums(metadata: bytes, files: Iterable[tuple[str, str]]) -> bytes:
    """SHA256SUMS in the form of ``sha256sum -c``, sorted by path.

    Args:
        metadata: the bytes of metadata.json.
        files: path and digest of every other file.

    >>> sums(b"", [("model.onnx", "sha256:" + 64 * "0")]).count(b"\\n")
    2
    """
    rows = sorted([(METADATA, sha256(metadata)), *files])
    lines = (f"{digest.removeprefix('sha256:')}  {path}\n" for path, digest in rows)
    return "".join(lines).encode()


def _sums(work: Work) -> str:
    """What the validator would write, byte for byte."""
    metadata = work.needs_metadata()
    try:
        found = work.tree.read(SUMS, limit=_MOST_METADATA)
    except FileInvalid as error:
        work.problem(error.code, SUMS, error.message, error.hint)
        return ""
    if found != sums(dump(metadata.plain()), ((e.path, e.sha256) for e in metadata.files)):
        work.problem("sums", SUMS, "is not what the files give", _EXPORT)
    return "lists every other file"


def _thresholds(work: Work) -> str:
    """The effective threshold is the rounded one, and every threshold fits its dtype."""
    decoding = work.needs_metadata().decoding
    wanted = round_threshold(decoding.tau_infer, decoding.q_dtype)
    if wanted != decoding.tau_infer_effective:
        words = f"tau_infer_effective is {decoding.tau_infer_effective:.17g}, not {wanted:.17g}"
        work.problem("thresholds", METADATA, words, _EXPORT)
        return ""
    try:
        InferenceConfig(decoding.tau_infer, decoding.tau_train, decoding.gauge).effective(
            decoding.q_dtype
        )
    except ZeroProofError as error:
        work.problem("thresholds", METADATA, str(error), _EXPORT)
    return f"every threshold fits {decoding.q_dtype}, tau_infer rounds as told"


def _onnx(work: Work) -> str:
    """The model says what the metadata say, and nothing of it lies elsewhere."""
    metadata, data = work.needs_metadata(), work.needs_model()
    try:
        header = read_onnx_header(data)
    except FileInvalid as error:
        work.problem(error.code, MODEL, error.message, error.hint)
        return ""
    model = metadata.model
    if header.external:
        words = f"tensor {header.external[0]!r:.80} has its data outside the file"
        work.problem("external_data", MODEL, words, _EXPORT)
    foreign = sorted(header.domains - {"", "ai.onnx"})
    foreign += sorted(domain for domain, _ in header.opsets if domain not in ("", "ai.onnx"))
    if foreign or header.functions:
        words = f"uses operators of {foreign[0]!r:.80}" if foreign else "defines functions"
        work.problem("operator_domain", MODEL, words, _EXPORT)
    differing = [
        ("ir_version", header.ir_version, model.ir_version),
        ("opset", [version for _, version in header.opsets], [model.opset]),
        ("inputs", [*map(_told, header.inputs)], [*map(_wanted, model.inputs)]),
        ("outputs", [*map(_told, header.outputs)], [*map(_wanted, model.outputs)]),
    ]
    for name, found, wanted in differing:
        if found != wanted:
            words = f"{name}: {found!r:.160} differ from metadata.json's {wanted!r:.160}"
            work.problem("onnx_header", MODEL, words, _EXPORT)
    if sorted(header.props) != sorted(props(metadata).items()):
        words = "its metadata_props differ from metadata.json's thresholds"
        work.problem("props", MODEL, words, _EXPORT)
    return f"ir version {header.ir_version}, opset {model.opset}, no data outside the file"


def props(metadata: BundleMetadata) -> dict[str, str]:
    """The decision as it stands in the model's own metadata_props."""
    decoding = metadata.decoding
    return {
        "zeroproofml.schema_version": str(metadata.schema_version),
        "zeroproofml.gauge": decoding.gauge,
        "zeroproofml.tau_infer": repr(decoding.tau_infer),
        "zeroproofml.tau_train": json.dumps(decoding.tau_train),
        "zeroproofml.factor_thresholds": json.dumps(list(decoding.factor_thresholds)),
    }


def _told(found: TensorInfo) -> tuple[object, ...]:
    return found.name, _ELEMENTS.get(found.elem_type, found.elem_type), found.shape


def _wanted(spec: TensorSpec) -> tuple[object, ...]:
    return spec.name, spec.dtype, spec.shape


def _arrays(work: Work) -> str:
    """Headers of the reference arrays: dtype, shape, size, never a pickle."""
    metadata = work.needs_metadata()
    for role, specs, made in (
        ("input", metadata.model.inputs, work.inputs),
        ("output", metadata.model.outputs, work.outputs),
    ):
        for number, spec in enumerate(specs):
            path = f"reference/{role}_{number}.npy"
            if path not in work.data:
                continue
            try:
                array = read_npy(work.data[path], path=path)
            except FileInvalid as error:
                work.problem(error.code, path, error.message, error.hint)
                continue
            shape = (metadata.reference.n_rows, *spec.shape[1:])
            if array.dtype.name != spec.dtype or array.shape != shape:
                words = f"is {array.dtype.name}{list(array.shape)}, not {spec.dtype}{list(shape)}"
                work.problem("arrays", path, words, _EXPORT)
                continue
            made[spec.name] = array
    wanted = len(metadata.model.inputs) + len(OUTPUTS)
    if len(work.inputs) + len(work.outputs) < wanted:
        if not any(finding.code == "arrays" for finding in work.findings):
            msg = "the bytes of some arrays do not verify"
            raise NotRun(msg)
        return ""
    return f"{wanted} arrays of {metadata.reference.n_rows} rows"


def _invariants(work: Work) -> str:
    """What strict inference promises of its outputs holds of the stored ones."""
    metadata = work.needs_metadata()
    if len(work.outputs) < len(OUTPUTS):
        msg = "some reference outputs could not be read"
        raise NotRun(msg)
    decoded, bottom, gap, fault, semantic, code = (work.outputs[name] for name in OUTPUTS)
    rules = [
        ("bottom_mask", bottom == (fault | semantic), "⊥ is not fault or semantic"),
        ("gap_mask", ~(gap & bottom), "a ⊥ lane is in the gap"),
        ("bottom_provenance", code == fault + 2 * semantic.astype(np.int64), "has a wrong code"),
        ("decoded", np.isnan(decoded) == bottom, "is not NaN exactly at ⊥"),
        ("decoded", np.isfinite(decoded) != bottom, "is not finite exactly off ⊥"),
    ]
    if metadata.decoding.tau_train is None:
        rules.append(("gap_mask", ~gap, "a lane is in the gap, and there is no tau_train"))
    for name, holds, words in rules:
        if not bool(np.all(holds)):
            path = f"reference/output_{OUTPUTS.index(name)}.npy"
            work.problem("invariant", path, words, _EXPORT)
    told = metadata.reference.lanes.plain()
    found = {key: int(value) for key, value in lane_counts(work.outputs).items()}
    if told != found:
        work.problem("lanes", METADATA, f"lanes are {found}, not {told}", _EXPORT)
    return "⊥, gap, provenance and NaN agree on every lane"


def lane_counts(outputs: dict[str, NDArray[Any]]) -> dict[str, int]:
    """Lanes by class; each is in exactly one."""
    return {name: int(mask.sum()) for name, mask in lane_classes(outputs).items()}


def lane_classes(outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The mask of each class of lanes."""
    fault, semantic, gap = (
        outputs[name] for name in ("fault_mask", "semantic_bottom_mask", "gap_mask")
    )
    bottom = fault | semantic
    return {
        "finite": ~bottom & ~gap,
        "gap": ~bottom & gap,
        "fault": fault & ~semantic,
        "semantic": semantic & ~fault,
        "both": fault & semantic,
    }


def ulp_distance(a: NDArray[Any], b: NDArray[Any]) -> int:
    """The largest distance in units in the last place of two arrays of finite floats.

    >>> ulp_distance(np.array([1.0, 0.0]), np.array([np.nextafter(1.0, 2.0), -0.0]))
    1
    """
    if a.size == 0:
        return 0
    steps = []
    for each in (a, b):
        bits = each.view(np.int64 if each.dtype == np.float64 else np.int32).astype(object)
        lowest = -(2**63) if each.dtype == np.float64 else -(2**31)
        steps.append(np.where(bits < 0, lowest - bits, bits))
    return int(np.max(np.abs(steps[0] - steps[1])))


CHECKS: tuple[tuple[str, Callable[[Work], str]], ...] = (
    ("entries of the directory", _entries),
    ("metadata", _metadata),
    ("origin", _origin),
    ("sizes and digests", _bytes),
    ("SHA256SUMS", _sums),
    ("thresholds", _thresholds),
    ("ONNX header", _onnx),
    ("reference arrays", _arrays),
    ("strict invariants", _invariants),
)
