"""per_seed_result.json and commit.json: what one seed measured. Run contract, 4.5 and 4.7."""

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
    RelPath,
    Seed,
    Seq,
    check_reasons,
    null_paths,
)
from zeroproofml.report.contract.strict_json import canonical, digest

__all__ = [
    "ArmResult",
    "ArmTiming",
    "CommittedFile",
    "DatasetRef",
    "MetricSet",
    "SeedCommit",
    "SeedResult",
    "Thresholds",
    "Timing",
    "Training",
]

MAX_DIAGNOSTICS = 256 * 1024
Seconds = Annotated[float, Field(ge=0)]
PackageCode = dict[Annotated[str, Field(pattern=r"^zeroproofml-[a-z]+$")], Digest]


class DatasetRef(Model):
    """A data set by digest; ``file`` only for one that seeds share under ``datasets/``."""

    digest: Digest
    n: Count
    role: Literal["train", "validation", "calibration", "test", "grid"]
    file: RelPath | None

    @model_validator(mode="after")
    def _file_is_named_by_content(self) -> Self:
        if self.file is not None and self.file != f"datasets/{self.digest[7:]}.npz":
            msg = "a shared data set lies under datasets/<its digest>.npz"
            raise ValueError(msg)
        return self


class MetricSet(Model):
    """The name and version of a domain's metric definitions."""

    name: Name
    version: Annotated[int, Field(ge=1)]


class Training(Model):
    """How long an arm was trained: steps, epochs, and the last loss."""

    steps: Count | None
    epochs: Count | None
    final_loss: float | None


class Thresholds(Model):
    """The thresholds of a strict decision, in the gauge named.

    ``tau_infer`` is compared with the score of ``score_kind``, which may be negative.
    """

    tau_train: Annotated[float, Field(ge=0)] | None
    tau_infer: float | None
    singular_epsilon: Annotated[float, Field(ge=0)] | None
    chosen_on: Annotated[str, Field(max_length=200)]
    score_kind: Name
    gauge: Literal["raw", "l2"]


class ArmResult(Model):
    """What one arm gave. ``failed`` means that the method gave nothing usable.

    ``reasons`` covers metrics by name and every other null by its dotted path.

    Examples
    --------
    >>> arm = ArmResult(status="ok", reason=None, n_parameters=2,
    ...     training=Training(steps=10, epochs=None, final_loss=0.5), thresholds=None,
    ...     metrics={"err": 0.25, "auc": None}, diagnostics={},
    ...     reasons={"auc": "empty_set", "thresholds": "not_applicable",
    ...              "training.epochs": "not_applicable"})
    >>> arm.metrics["err"]
    0.25
    """

    status: Literal["ok", "failed"]
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None
    n_parameters: Count
    training: Training
    thresholds: Thresholds | None
    metrics: dict[Name, float | None]
    reasons: dict[DottedKey, Reason]
    diagnostics: dict[str, Json]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.reason is None) != (self.status == "ok"):
            msg = "reason is null exactly when status is ok"
            raise ValueError(msg)
        nulls = {name for name, value in self.metrics.items() if value is None}
        rest = {
            "training": self.training.plain(),
            "thresholds": None if self.thresholds is None else self.thresholds.plain(),
            "diagnostics": self.diagnostics,
        }
        if clash := sorted(self.metrics.keys() & rest.keys()):
            msg = f"metric name {clash[0]} is taken by a field"
            raise ValueError(msg)
        check_reasons(nulls | set(null_paths(rest)), self.reasons)
        if self.status == "failed" and any(
            value is not None or self.reasons[name] != "arm_failed"
            for name, value in self.metrics.items()
        ):
            msg = "every metric of a failed arm is null with reason arm_failed"
            raise ValueError(msg)
        return self


class ArmTiming(Model):
    """Seconds spent in one arm."""

    train_s: Seconds
    evaluate_s: Seconds


class Timing(Model):
    """Volatile: seconds and MB; not part of any digest of the science."""

    data_s: Seconds
    total_s: Seconds
    arms: dict[ArmKey, ArmTiming]
    peak_rss_mb: Seconds | None
    gpu_peak_mb: Seconds | None
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        numbers = ("peak_rss_mb", "gpu_peak_mb")
        check_reasons({k for k in numbers if getattr(self, k) is None}, self.reasons)
        return self


class SeedResult(FileModel):
    """The canonical raw result of one seed: data, arms, metrics, diagnostics, times.

    ``schema_name`` is ``zeroproofml.seed_result.<domain>``.
    """

    SCHEMA: ClassVar[str] = "zeroproofml.seed_result.*"

    schema_name: Annotated[str, Field(pattern=r"^zeroproofml\.seed_result\.[a-z][a-z0-9_]*$")]
    schema_version: Literal[1] = 1
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    seed: Seed
    datasets: dict[Name, DatasetRef]
    metric_set: MetricSet
    arms: dict[ArmKey, ArmResult]
    timing: Timing

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.schema_name != f"zeroproofml.seed_result.{self.domain}":
            msg = "schema_name does not end with the domain"
            raise ValueError(msg)
        if self.timing.arms.keys() != self.arms.keys():
            msg = "timing is not for exactly the arms"
            raise ValueError(msg)
        diagnostics = {key: arm.diagnostics for key, arm in self.arms.items() if arm.diagnostics}
        if diagnostics and len(canonical(diagnostics)) > MAX_DIAGNOSTICS:
            msg = "diagnostics exceed 256 kB; arrays belong in predictions.npz"
            raise ValueError(msg)
        return self

    def result_digest(self) -> str:
        """The digest of the canonical result without ``timing``."""
        body = self.plain()
        del body["timing"]
        return digest(body)


class CommittedFile(Model):
    """A file of a seed directory, relative to it."""

    path: RelPath
    size: Count
    sha256: Digest


class SeedCommit(FileModel):
    """commit.json: the last file written in a seed directory; it makes the seed complete."""

    SCHEMA: ClassVar[str] = "zeroproofml.seed_commit"

    schema_name: Literal["zeroproofml.seed_commit"] = "zeroproofml.seed_commit"
    schema_version: Literal[1] = 1
    seed: Seed
    config_hash: Digest
    code: PackageCode
    environment_digest: Digest
    datasets: dict[Name, Digest]
    result_digest: Digest
    arms: dict[ArmKey, Literal["ok", "failed"]]
    files: Seq[CommittedFile]

    @model_validator(mode="after")
    def _files_are_sorted(self) -> Self:
        paths = [entry.path for entry in self.files]
        if paths != sorted(set(paths)):
            msg = "files must be distinct and sorted by path"
            raise ValueError(msg)
        return self
