"""manifest.json: the seal of a run, written last. Run contract, section 4.1."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zeroproofml.report.contract.base import (
    Count,
    Digest,
    FileModel,
    Model,
    Name,
    ProtocolId,
    RelPath,
    RunId,
    Seed,
    SeedKey,
    Seq,
)
from zeroproofml.report.contract.strict_json import digest

__all__ = ["Deriver", "FileEntry", "Fingerprints", "Kind", "Manifest", "Role", "Seeds"]

Role = Literal["raw", "record", "derived"]
Kind = Literal[
    "result",
    "predictions",
    "checkpoint",
    "commit",
    "dataset",
    "journal",
    "provenance",
    "state",
    "aggregate",
    "claims",
    "metric_log",
    "report",
    "audit",
    "figure",
    "domain",
]


class FileEntry(Model):
    """One file of the run: where it is, what its bytes are, and what it is for."""

    path: RelPath
    size: Count
    sha256: Digest
    role: Role
    kind: Kind
    producer: Annotated[str, Field(pattern=r"^zeroproofml-[a-z]+$")]
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=80)]


class Seeds(Model):
    """The plan and what became of it; ``failed`` maps a seed to its code."""

    planned: Seq[Seed]
    complete: Seq[Seed]
    failed: dict[SeedKey, Name]

    @model_validator(mode="after")
    def _is_a_partition(self) -> Self:
        failed = {int(seed) for seed in self.failed}
        complete = set(self.complete)
        if list(self.complete) != sorted(complete) or len(set(self.planned)) != len(self.planned):
            msg = "complete seeds must be ascending and planned seeds distinct"
            raise ValueError(msg)
        if failed & complete or failed | complete != set(self.planned):
            msg = "complete and failed seeds must be disjoint and make up the plan"
            raise ValueError(msg)
        return self


class Fingerprints(Model):
    """What the seeds were made of, as their commits say."""

    datasets: dict[SeedKey, dict[Name, Digest]]
    code: dict[Annotated[str, Field(pattern=r"^zeroproofml-[a-z]+$")], Digest]
    environments: Seq[Digest]


class Deriver(Model):
    """Who made the derived files. ``derive_version`` changes when any derived byte may change.

    Examples
    --------
    >>> Deriver(package="zeroproofml-report", version="0.1.0", derive_version=1,
    ...         code_digest="sha256:" + 64 * "0").derive_version
    1
    """

    package: Literal["zeroproofml-report"]
    version: Annotated[str, Field(max_length=40)]
    derive_version: Annotated[int, Field(ge=1)]
    code_digest: Digest


class Manifest(FileModel):
    """The seal: every file of the run with its digest, and the two digests of the whole."""

    SCHEMA: ClassVar[str] = "zeroproofml.run_manifest"

    schema_name: Literal["zeroproofml.run_manifest"] = "zeroproofml.run_manifest"
    schema_version: Literal[1] = 1
    run_id: RunId
    generation: Annotated[int, Field(ge=1)]
    previous_root: Digest | None
    status: Literal["complete", "partial"]
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    seeds: Seeds
    fingerprints: Fingerprints
    deriver: Deriver
    files: Seq[FileEntry]
    journal_head: Digest
    raw_digest: Digest
    root_digest: Digest

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.status == "complete") != (not self.seeds.failed):
            msg = "status is complete exactly when no planned seed failed"
            raise ValueError(msg)
        if (self.generation == 1) != (self.previous_root is None):
            msg = "previous_root is null exactly in generation 1"
            raise ValueError(msg)
        paths = [entry.path for entry in self.files]
        if paths != sorted(paths):
            msg = "files are not sorted by path"
            raise ValueError(msg)
        return self

    def computed_root(self) -> str:
        """The digest of everything in this manifest except ``root_digest`` itself."""
        body = self.plain()
        del body["root_digest"]
        return digest(body)
