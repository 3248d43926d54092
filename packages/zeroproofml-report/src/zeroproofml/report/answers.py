"""What the commands answer, as models: published schemas for everything that ``--json`` prints."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zeroproofml.report.contract.base import (
    ArmKey,
    Count,
    Digest,
    FileModel,
    Json,
    Model,
    Name,
    ProtocolId,
    RelPath,
    RunId,
    Seed,
    Seq,
    Time,
)
from zeroproofml.report.contract.derived import Contrast
from zeroproofml.report.contract.manifest import Deriver

__all__ = [
    "BaselineComparison",
    "Comparison",
    "DerivedFile",
    "DerivedIndex",
    "DerivedOptions",
    "Difference",
    "FindingRecord",
    "LinkResult",
    "PageIndex",
    "RunList",
    "RunRef",
    "RunRow",
    "ValidationAnswer",
    "VerificationAnswer",
]


class RunRef(Model):
    """Which run: its identities and its complete seeds."""

    run_id: RunId
    raw_digest: Digest
    root_digest: Digest
    domain: Name
    mode: Name
    protocol: ProtocolId
    seeds: Seq[Seed]


class Difference(Model):
    """One key in which two runs differ, with both values as text."""

    baseline: RunId
    key: Annotated[str, Field(max_length=200)]
    target: Json
    other: Json


class BaselineComparison(Model):
    """A run against one baseline; the Holm family is the table of one metric."""

    baseline: RunRef
    same_run: bool
    mismatches: Seq[str]
    arms: Seq[ArmKey]
    metrics: Seq[Name]
    contrasts: Seq[Contrast]
    target_means: dict[ArmKey, dict[Name, float | None]]
    baseline_means: dict[ArmKey, dict[Name, float | None]]
    seeds_only_in: dict[Literal["target", "baseline"], Seq[Seed]]
    arms_only_in: dict[Literal["target", "baseline"], Seq[ArmKey]]


class Comparison(FileModel):
    """The answer of ``compare``: a target, its baselines, what differs, and all contrasts.

    ``mismatches`` comes first in the text form: what should have agreed and does not.
    """

    SCHEMA: ClassVar[str] = "zeroproofml.comparison"

    schema_name: Literal["zeroproofml.comparison"] = "zeroproofml.comparison"
    schema_version: Literal[1] = 1
    target: RunRef
    baselines: Seq[BaselineComparison]
    differences: Seq[Difference]


class DerivedFile(Model):
    """One file of an output directory."""

    path: RelPath
    size: Count
    sha256: Digest


class DerivedOptions(Model):
    """What the derivation was asked for."""

    html: bool
    baseline: RunId | None


class DerivedIndex(FileModel):
    """``DERIVED.json``: what an output directory holds and which run it was made from."""

    SCHEMA: ClassVar[str] = "zeroproofml.derived"

    schema_name: Literal["zeroproofml.derived"] = "zeroproofml.derived"
    schema_version: Literal[1] = 1
    run_id: RunId
    raw_digest: Digest
    deriver: Deriver
    options: DerivedOptions
    files: Annotated[Seq[DerivedFile], Field(max_length=10_000)]


class PageIndex(FileModel):
    """``DERIVED.json`` of a page about a bundle or a metric log: what it holds, made from what.

    ``source`` is the bundle's digest (null where its metadata could not be read) or that of the log.
    """

    SCHEMA: ClassVar[str] = "zeroproofml.derived_page"

    schema_name: Literal["zeroproofml.derived_page"] = "zeroproofml.derived_page"
    schema_version: Literal[1] = 1
    kind: Literal["bundle", "training_log"]
    source: Digest | None
    version: str
    html: bool
    files: Annotated[Seq[DerivedFile], Field(max_length=10_000)]


class FindingRecord(Model):
    """One finding of a validation."""

    severity: Literal["error", "info"]
    code: str
    path: str
    pointer: str
    message: str
    mend: str


class ValidationAnswer(FileModel):
    """The answer of ``validate --json``; identities are null where no manifest could be read."""

    SCHEMA: ClassVar[str] = "zeroproofml.validation"

    schema_name: Literal["zeroproofml.validation"] = "zeroproofml.validation"
    schema_version: Literal[1] = 1
    ok: bool
    run_id: RunId | None
    status: Literal["complete", "partial"] | None
    domain: Name | None
    mode: Name | None
    raw_digest: Digest | None
    root_digest: Digest | None
    generation: Count | None
    findings: Seq[FindingRecord]


class LinkResult(Model):
    """One link of a recomputation."""

    name: Literal["R1", "R2", "R3", "R4"]
    status: Literal["ok", "broken", "not_checked"]
    largest_deviation: float
    text: str


class VerificationAnswer(FileModel):
    """The answer of ``verify --json``."""

    SCHEMA: ClassVar[str] = "zeroproofml.verification"

    schema_name: Literal["zeroproofml.verification"] = "zeroproofml.verification"
    schema_version: Literal[1] = 1
    ok: bool
    raw_digest: Digest | None
    root_digest: Digest | None
    findings: Seq[FindingRecord]
    links: Seq[LinkResult]
    notes: Seq[str]


class RunRow(Model):
    """One run of a list; what its record does not tell is null."""

    path: str
    domain: Name | None
    mode: Name | None
    protocol: str | None
    state: Literal["empty", "running", "resumable", "complete", "partial", "damaged", "foreign"]
    complete: Count | None
    planned: Count | None
    raw_digest: Digest | None
    created: Time | None


class RunList(FileModel):
    """The answer of ``list --json``."""

    SCHEMA: ClassVar[str] = "zeroproofml.run_list"

    schema_name: Literal["zeroproofml.run_list"] = "zeroproofml.run_list"
    schema_version: Literal[1] = 1
    runs: Seq[RunRow]
