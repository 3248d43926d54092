"""Steps V1 to V5 of validation: layout, form, bytes, agreement, state. Section 8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract import (
    ClaimsFile,
    Manifest,
    MetricRecord,
    PairedStats,
    Provenance,
    ResumeState,
    SeedCommit,
    SeedResult,
    Summary,
)
from zeroproofml.report.contract.base import FileModel
from zeroproofml.report.contract.layout import (
    IGNORED,
    MANIFEST,
    WORKSPACE,
    classify,
    raw_digest,
    seed_of,
)
from zeroproofml.report.contract.paths import is_safe_path, twins
from zeroproofml.report.contract.strict_json import MAX_BYTES, parse, sha256
from zeroproofml.report.errors import FileInvalid, Finding, ReportError
from zeroproofml.report.replay import JOURNAL, Replay, read_journal
from zeroproofml.report.seeddir import Hashes, read_seed_dir, walk

__all__ = ["Inspection", "inspect", "sealed_bytes"]

M = TypeVar("M", bound=FileModel)

_RESTORE = "restore the file"
_MAX_ENTRIES = 200_000


@dataclass
class Inspection:
    """All that validation read, and all that it found."""

    findings: list[Finding] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    hashes: Hashes = field(default_factory=dict)
    manifest: Manifest | None = None
    provenance: Provenance | None = None
    replay: Replay | None = None
    state: ResumeState | None = None
    results: dict[int, SeedResult] = field(default_factory=dict)
    commits: dict[int, SeedCommit] = field(default_factory=dict)
    summary: Summary | None = None
    paired: PairedStats | None = None
    claims: ClaimsFile | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the run invalid."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def error(self, code: str, path: str, message: str, mend: str = _RESTORE) -> None:
        """Note an error."""
        self.findings.append(Finding("error", code, path, "", message, mend))

    def info(self, code: str, path: str, message: str) -> None:
        """Note something worth knowing."""
        self.findings.append(Finding("info", code, path, "", message, ""))


def inspect(tree: Tree) -> Inspection:
    """Validate the run in ``tree``: every step, every finding."""
    from zeroproofml.report._agreement import agreement

    seen = sealed_bytes(tree)
    if seen.manifest is not None:
        _forms(tree, seen)
        agreement(seen)
    unique = dict.fromkeys(seen.findings)
    seen.findings = sorted(unique, key=lambda f: (f.severity, f.path, f.code, f.pointer))
    return seen


def sealed_bytes(tree: Tree) -> Inspection:
    """The part of validation that looks at names and bytes only: V1, V3 and V5."""
    seen = Inspection()
    _layout(tree, seen)
    if MANIFEST not in seen.present:
        seen.error("open", MANIFEST, "the run is not sealed", "resume or wait")
        return seen
    try:
        data = tree.read(MANIFEST, limit=MAX_BYTES)
        seen.manifest = Manifest.from_bytes(data, path=MANIFEST)
    except FileInvalid as error:
        if error.code in ("schema_foreign", "schema_newer"):
            seen.findings.clear()  # another contract gave these files their names
        seen.findings.append(error.finding())
        return seen
    if seen.manifest.to_bytes() != data:  # no digest covers its layout, so the layout is fixed
        seen.error("json_strict", MANIFEST, "is not in the file form of the contract")
    _listed(seen, seen.manifest)
    _bytes(tree, seen, seen.manifest)
    return seen


def _layout(tree: Tree, seen: Inspection) -> None:
    directories = []
    for count, (path, kind) in enumerate(_walk_run(tree)):
        if count > _MAX_ENTRIES:
            seen.error("unlisted", "", f"more than {_MAX_ENTRIES} entries", "name a run directory")
            return
        name = path.rpartition("/")[2]
        if kind in ("link", "other"):
            seen.error("path_unsafe", path, f"is a {_WORDS[kind]}", "put the real file there")
        elif path == WORKSPACE:
            if kind != "dir":
                seen.error("path_unsafe", path, "is not a directory", "remove it")
                continue
            for entry in tree.names(path):
                if entry.name in _ASIDE:
                    what = "was set aside by a writer, is no evidence and not read"
                    seen.info("unlisted", f"{path}/{entry.name}", what)
        elif kind == "dir":
            directories.append(path)
        elif name in IGNORED:
            seen.info("unlisted", path, "left by a file manager, not read")
        elif not is_safe_path(path):
            seen.error("path_unsafe", path, "is not a legal name", "remove it")
        elif path != MANIFEST and classify(path) is None:
            seen.error("unlisted", path, "is not a file of a run", "move it elsewhere")
        else:
            seen.present.append(path)
    for path in directories:
        if path in (MANIFEST, JOURNAL) or classify(path) is not None:
            seen.error("path_unsafe", path, "is a directory, not a regular file", _RESTORE)
        elif not any(file.startswith(f"{path}/") for file in seen.present):
            seen.error("unlisted", path, "is not a folder of a run", "move it elsewhere")
    for first, second in twins([*seen.present, *directories]):
        seen.error("alias", second, f"is {first} on some systems", "rename one")


_ASIDE = {"quarantine", "crash.txt"}
_WORDS = {"link": "link", "other": "device, pipe or socket"}


def _walk_run(tree: Tree) -> Iterator[tuple[str, str]]:
    """Every entry of the run, not looking into the workspace."""
    for entry in tree.names():
        yield entry.name, entry.kind
        if entry.kind == "dir" and entry.name != WORKSPACE:
            for path, kind in walk(tree, entry.name, depth=16):
                yield f"{entry.name}/{path}", kind


def _listed(seen: Inspection, manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    for path in sorted(
        {path for path in paths if paths.count(path) > 1} if _repeats(paths) else ()
    ):
        seen.error("alias", path, "is listed twice in manifest.json")
    for first, second in twins(paths):
        seen.error("alias", second, f"and {first} in manifest.json are one file on some systems")
    for entry in manifest.files:
        found = classify(entry.path)
        if found is None:
            seen.error("unlisted", entry.path, "is listed in manifest.json and no file of a run")
        elif (entry.role, entry.kind, entry.producer, entry.media_type) != (
            found.role,
            found.kind,
            found.producer,
            found.media_type,
        ):
            seen.error("kind", entry.path, "has another role or kind in manifest.json")
    present, listed = set(seen.present) - {MANIFEST}, set(paths)
    for path in sorted(present - listed):
        seen.error("unlisted", path, "is not listed in manifest.json", "move it elsewhere")
    for path in sorted(listed - present):
        if not any(f.path == path and f.code == "path_unsafe" for f in seen.findings):
            seen.error("missing", path, "is listed in manifest.json and absent")


def _repeats(paths: Sequence[str]) -> bool:
    return len(set(paths)) != len(paths)


def _bytes(tree: Tree, seen: Inspection, manifest: Manifest) -> None:
    present = set(seen.present)
    for entry in manifest.files:
        if entry.path not in present:
            continue
        try:
            if entry.path not in seen.hashes:
                seen.hashes[entry.path] = tree.hash(entry.path)
        except ReportError as error:
            seen.findings.append(error.finding(entry.path))
            continue
        size, sha = seen.hashes[entry.path]
        if size != entry.size:
            seen.error("size", entry.path, "size does not match manifest.json")
        elif sha != entry.sha256:
            seen.error("digest", entry.path, "sha256 does not match manifest.json")
    if manifest.root_digest != manifest.computed_root():
        seen.error("root_digest", MANIFEST, "root_digest is not that of the manifest")


def _forms(tree: Tree, seen: Inspection) -> None:
    """V2: read every file that has a model; what was read is what was hashed."""
    present = set(seen.present)
    seen.provenance = _model(tree, seen, "provenance.json", Provenance)
    seen.state = _model(tree, seen, "resume_state.json", ResumeState)
    seen.summary = _model(tree, seen, "aggregated/summary.json", Summary)
    seen.paired = _model(tree, seen, "aggregated/paired_stats.json", PairedStats)
    seen.claims = _model(tree, seen, "aggregated/claims.json", ClaimsFile)
    if (data := _read(tree, seen, JOURNAL)) is not None:
        try:
            replay, torn = read_journal(data)
            if torn or not replay.events:
                what = "ends in a torn line" if torn else "holds no event"
                seen.error("journal_chain", JOURNAL, what)
            if replay.events:
                seen.replay = replay
        except FileInvalid as error:
            seen.findings.append(error.finding())
    if (data := _read(tree, seen, "aggregated/benchmark_metrics.jsonl")) is not None:
        _metric_log(data, seen)
    for name in sorted({path.split("/")[0] for path in present if path.startswith("seed_")}):
        if (seed := seed_of(name)) is not None:
            read = read_seed_dir(tree, name, seed=seed, hashes=seen.hashes)
            seen.findings += read.findings
            if read.commit is not None:
                seen.commits[seed] = read.commit
            if read.result is not None:
                seen.results[seed] = read.result
    for path in seen.present:
        found = classify(path)
        if found is not None and found.kind == "domain" and path.endswith(".json"):
            _domain_json(tree, seen, path)
    manifest = seen.manifest
    if (
        manifest is not None
        and seen.commits.keys() == set(manifest.seeds.complete)
        and manifest.raw_digest != raw_digest(manifest.config_hash, seen.commits)
    ):
        seen.error("raw_digest", MANIFEST, "raw_digest is not that of the seeds")


def _read(tree: Tree, seen: Inspection, path: str) -> bytes | None:
    if path not in seen.present:
        if not any(finding.path == path for finding in seen.findings):
            seen.error("missing", path, "is absent")
        return None
    try:
        data = tree.read(path, limit=MAX_BYTES)
    except ReportError as error:
        seen.findings.append(error.finding(path))
        return None
    if (len(data), sha256(data)) != seen.hashes.get(path, (len(data), sha256(data))):
        seen.error("digest", path, "changed while it was read", "validate again")
    return data


def _model(tree: Tree, seen: Inspection, path: str, model: type[M]) -> M | None:
    data = _read(tree, seen, path)
    if data is None:
        return None
    try:
        return model.from_bytes(data, path=path)
    except FileInvalid as error:
        seen.findings.append(error.finding())
        return None


def _metric_log(data: bytes, seen: Inspection) -> None:
    path = "aggregated/benchmark_metrics.jsonl"
    lines = data.split(b"\n")
    if lines.pop():
        seen.error("json_strict", path, "ends in a torn line")
    for number, line in enumerate(lines, 1):
        try:
            MetricRecord.from_bytes(line, path=path)
        except FileInvalid as error:
            seen.findings.append(
                Finding("error", error.code, path, f"/{number}", error.message, _RESTORE)
            )
            return


def _domain_json(tree: Tree, seen: Inspection, path: str) -> None:
    data = _read(tree, seen, path)
    if data is None:
        return
    try:
        value = parse(data, path=path)
    except FileInvalid as error:
        seen.findings.append(error.finding())
        return
    if not isinstance(value, dict):
        seen.error("schema", path, "is not a JSON object")
        return
    name, version = value.get("schema_name"), value.get("schema_version")
    if not isinstance(name, str) or not name.startswith("zeroproofml."):
        seen.error("schema_foreign", path, f"schema_name is {name!r:.80}")
    elif type(version) is not int or version < 1:
        seen.error("schema", path, f"schema_version is {version!r:.40}")
