"""provenance.json: how, where and from what a run was made. Run contract, section 4.2."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zeroproofml.report.contract.base import (
    ArmKey,
    Count,
    Digest,
    DottedKey,
    FileModel,
    Json,
    Model,
    Name,
    ProtocolId,
    Reason,
    RunId,
    Seed,
    SeedKey,
    Seq,
    Time,
    check_reasons,
    null_paths,
)
from zeroproofml.report.contract.claims import Claim
from zeroproofml.report.contract.strict_json import digest

__all__ = [
    "Attempt",
    "AttemptKind",
    "Blas",
    "Clock",
    "Environment",
    "EnvironmentIdentity",
    "Executor",
    "Gpu",
    "Plan",
    "Provenance",
    "Python",
    "Resources",
    "RunConfig",
    "Source",
    "System",
]

AttemptKind = Literal["initial", "resume", "skip", "force"]
Text = Annotated[str, Field(max_length=4096)]
Real = Annotated[float, Field(ge=0)]


class RunConfig(Model):
    """Everything that decides the raw bytes besides seed, code and environment; hashed."""

    domain: Name
    mode: Name
    protocol: ProtocolId
    device: Text
    arms: Seq[ArmKey]
    dtype: Text
    threads: Annotated[int, Field(ge=1)]
    settings: dict[str, Json]

    @model_validator(mode="after")
    def _arms_are_sorted(self) -> Self:
        if not self.arms or list(self.arms) != sorted(set(self.arms)):
            msg = "arms must be distinct, sorted and at least one"
            raise ValueError(msg)
        return self

    def hash(self) -> str:
        """``config_hash``: the digest of the canonical config."""
        return digest(self.plain())


class Plan(Model):
    """What was planned, and claimed, before the first seed ran."""

    seeds: Seq[Seed]
    claims: Seq[Claim]
    claims_digest: Digest

    @model_validator(mode="after")
    def _digest_is_that_of_the_claims(self) -> Self:
        if self.claims_digest != digest([claim.plain() for claim in self.claims]):
            msg = "claims_digest is not the digest of the claims"
            raise ValueError(msg)
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            msg = "planned seeds must be distinct and at least one"
            raise ValueError(msg)
        return self


class EnvironmentIdentity(Model):
    """The part of the environment that can change a raw byte; ``environment_digest`` is of this.

    ``packages`` holds numpy, scipy and the frameworks used; ``cuda`` and ``gpu`` are null on CPU.
    """

    python: Text
    system: Text
    machine: Text
    packages: dict[Text, Text]
    cuda: Text | None
    gpu: Text | None
    threads: Annotated[int, Field(ge=1)]
    determinism: dict[Text, bool | int | str]

    def digest(self) -> str:
        """``environment_digest``."""
        return digest(self.plain())


class Python(Model):
    """The interpreter."""

    version: Text
    implementation: Text
    build: Text | None


class System(Model):
    """The machine, without its name."""

    os: Text
    release: Text | None
    arch: Text
    cpu_model: Text | None
    cpu_count: Count | None
    affinity: Count | None
    memory_mb: Count | None


class Blas(Model):
    """One linear-algebra library that was loaded."""

    library: Text
    version: Text | None
    threads: Count | None


class Gpu(Model):
    """One accelerator."""

    model: Text
    memory_mb: Count | None
    driver: Text | None


class Clock(Model):
    """How time was measured."""

    timezone: Text | None
    monotonic: Text | None


class Environment(Model):
    """Where an attempt ran. Unknown is null, with its reason under the dotted path."""

    identity: EnvironmentIdentity
    packages: dict[Text, Text]
    python: Python
    system: System
    blas: Seq[Blas]
    gpu: Seq[Gpu]
    env: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], Text]
    clock: Clock
    host_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        check_reasons(set(null_paths(self.model_dump(exclude={"reasons"}))), self.reasons)
        allowed = {"PYTHONHASHSEED", "TZ", "LANG", "LC_ALL"} | {
            "CUBLAS_WORKSPACE_CONFIG",
            "CUDA_VISIBLE_DEVICES",
        }
        for name in self.env:
            if not (name in allowed or name.endswith("_NUM_THREADS") or name.startswith("ZPML_")):
                msg = f"environment variable {name} is not on the allow-list"
                raise ValueError(msg)
        return self


class Executor(Model):
    """How seeds were spread: the executor, its workers, and the kind of scheduler if any."""

    name: Literal["inline", "process", "dask"]
    workers: Annotated[int, Field(ge=1)]
    scheduler: Text | None


class Attempt(Model):
    """One start of the command; ``ended_at`` and ``exit_code`` stay null if it was killed."""

    attempt: Annotated[int, Field(ge=1)]
    kind: AttemptKind
    started_at: Time
    ended_at: Time | None
    exit_code: Annotated[int, Field(ge=0, le=255)] | None
    argv: Seq[Text]
    cwd: Text
    executor: Executor
    environment: Environment
    code: dict[Annotated[str, Field(pattern=r"^zeroproofml-[a-z]+$")], Digest]
    seeds_at_start: Seq[Seed]


class Source(Model):
    """The commit the code came from, or null and why it is not known."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")] | None
    dirty: bool | None
    diff_sha256: Digest | None
    how: Literal["pep610", "git"] | None
    reasons: dict[DottedKey, Reason | Literal["installed"]]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        check_reasons(set(null_paths(self.model_dump(exclude={"reasons"}))), dict(self.reasons))
        return self


class Resources(Model):
    """What an attempt used: seconds, MB (10^6 bytes) and bytes; null with a reason after a kill."""

    wall_s: Real | None
    cpu_s: Real | None
    peak_rss_mb: Real | None
    gpu_peak_mb: Real | None
    bytes_written: Count | None
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        check_reasons(set(null_paths(self.model_dump(exclude={"reasons"}))), self.reasons)
        return self


class Provenance(FileModel):
    """The record of a run: config, plan, attempts, source, and who made which seed."""

    SCHEMA: ClassVar[str] = "zeroproofml.provenance"

    schema_name: Literal["zeroproofml.provenance"] = "zeroproofml.provenance"
    schema_version: Literal[1] = 1
    run_id: RunId
    created_at: Time
    config: RunConfig
    config_hash: Digest
    plan: Plan
    attempts: Seq[Attempt]
    source: Source
    seeds_environment: dict[SeedKey, Annotated[int, Field(ge=1)]]
    resources: dict[SeedKey, Resources]
    """By attempt number, as text."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        numbers = [attempt.attempt for attempt in self.attempts]
        if numbers != list(range(1, len(numbers) + 1)):
            msg = "attempts must be numbered 1, 2, 3, …"
            raise ValueError(msg)
        if max(self.seeds_environment.values(), default=0) > len(numbers):
            msg = "seeds_environment names an attempt that is not recorded"
            raise ValueError(msg)
        if not {int(key) for key in self.resources} <= set(numbers):
            msg = "resources names an attempt that is not recorded"
            raise ValueError(msg)
        return self
