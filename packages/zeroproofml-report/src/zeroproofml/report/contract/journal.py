"""journal.jsonl and resume_state.json: what happened, in order. Run contract, 4.3 and 4.4."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zeroproofml.report.contract.base import (
    Count,
    Digest,
    FileModel,
    Json,
    Model,
    Name,
    ProtocolId,
    RunId,
    Seed,
    SeedKey,
    Seq,
    Time,
)
from zeroproofml.report.contract.manifest import Deriver
from zeroproofml.report.contract.provenance import AttemptKind

__all__ = ["EVENT_DATA", "AttemptState", "Event", "JournalEvent", "ResumeState", "SeedStates"]

Event = Literal[
    "created",
    "attempt_started",
    "seed_started",
    "seed_committed",
    "seed_failed",
    "seed_lost",
    "seed_quarantined",
    "plan_extended",
    "interrupted",
    "derived",
    "attempt_finished",
    "sealing",
    "reopened",
    "superseded",
    "regenerated",
    "journal_repaired",
]


class _Nothing(Model):
    pass


class _Created(Model):
    run_id: RunId
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    seeds: Seq[Seed]


class _AttemptStarted(Model):
    kind: AttemptKind
    seeds: Seq[Seed]


class _Seed(Model):
    seed: Seed


class _SeedCommitted(_Seed):
    commit_digest: Digest


class _SeedFailed(_Seed):
    code: Name
    message: Annotated[str, Field(max_length=2000)]


class _SeedQuarantined(_Seed):
    reason: Annotated[str, Field(max_length=2000)]
    to: Annotated[str, Field(max_length=240)]


class _PlanExtended(Model):
    seeds: Seq[Seed]


class _Sealing(Model):
    generation: Annotated[int, Field(ge=1)]
    raw_digest: Digest


class _Reopened(Model):
    root: Digest


class _Superseded(_Seed):
    result_digest: Digest


class _Regenerated(Model):
    deriver: Deriver


class _Repaired(Model):
    bytes: Annotated[int, Field(ge=0)]


EVENT_DATA: dict[str, type[Model]] = {
    "created": _Created,
    "attempt_started": _AttemptStarted,
    "seed_started": _Seed,
    "seed_committed": _SeedCommitted,
    "seed_failed": _SeedFailed,
    "seed_lost": _Seed,
    "seed_quarantined": _SeedQuarantined,
    "plan_extended": _PlanExtended,
    "interrupted": _Nothing,
    "derived": _Nothing,
    "attempt_finished": _Nothing,
    "sealing": _Sealing,
    "reopened": _Reopened,
    "superseded": _Superseded,
    "regenerated": _Regenerated,
    "journal_repaired": _Repaired,
}
"""The model of ``data`` for each event."""


class JournalEvent(FileModel):
    """One line of the journal. ``prev`` is the digest of the line before (first: of run_id)."""

    SCHEMA: ClassVar[str] = "zeroproofml.journal"

    schema_name: Literal["zeroproofml.journal"] = "zeroproofml.journal"
    schema_version: Literal[1] = 1
    seq: Annotated[int, Field(ge=1)]
    prev: Digest
    time: Time
    attempt: Count
    event: Event
    data: dict[str, Json]

    @model_validator(mode="after")
    def _data_fits_the_event(self) -> Self:
        EVENT_DATA[self.event].model_validate(self.data)
        return self


class SeedStates(Model):
    """Where each planned seed stands."""

    planned: Seq[Seed]
    complete: Seq[Seed]
    failed: dict[SeedKey, Name]
    quarantined: Seq[Seed]


class AttemptState(Model):
    """One attempt, and what was complete when it began."""

    attempt: Annotated[int, Field(ge=1)]
    kind: AttemptKind
    started_at: Time
    completed_at_start: Seq[Seed]


class ResumeState(FileModel):
    """resume_state.json: a snapshot that is a pure function of the journal."""

    SCHEMA: ClassVar[str] = "zeroproofml.resume_state"

    schema_name: Literal["zeroproofml.resume_state"] = "zeroproofml.resume_state"
    schema_version: Literal[1] = 1
    run_id: RunId
    config_hash: Digest
    seeds: SeedStates
    attempts: Seq[AttemptState]
    journal_seq: Annotated[int, Field(ge=1)]
    journal_head: Digest
