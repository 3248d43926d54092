"""summary.json and paired_stats.json: the derived numbers. Run contract, section 4.8."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from zeroproofml.report.contract.base import (
    ArmKey,
    Count,
    Digest,
    DottedKey,
    FileModel,
    Interval,
    Model,
    Name,
    ProtocolId,
    Reason,
    RunId,
    SeedKey,
    Seq,
    check_reasons,
)
from zeroproofml.report.contract.manifest import Seeds

__all__ = [
    "ArmValues",
    "Baseline",
    "Cell",
    "Contrast",
    "MetricDefinition",
    "PairedStats",
    "Summary",
]

DeriveVersion = Annotated[int, Field(ge=1)]
Unit = Annotated[float, Field(ge=0, le=1)]


def _bounds(pair: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    if pair[0] is not None and pair[1] is not None and pair[0] >= pair[1]:
        msg = "the lower bound is not below the upper bound"
        raise ValueError(msg)
    return pair


Bounds = Annotated[
    tuple[float | None, float | None],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    AfterValidator(_bounds),
]
"""``[lo, hi]``; null where there is no bound (a definition, not a missing number)."""


class MetricDefinition(Model):
    """What a metric is: the better direction, unit, bounds, kind, and one line of text.

    Examples
    --------
    >>> MetricDefinition(direction="lower", unit="m", bounds=(0.0, None), kind="error",
    ...                  text="distance to the target").kind
    'error'
    """

    direction: Literal["higher", "lower", "none"]
    unit: Annotated[str, Field(max_length=40)]
    bounds: Bounds
    kind: Literal["rate", "error", "score", "count"]
    text: Annotated[str, Field(min_length=1, max_length=500)]


class Cell(Model):
    """One metric of one arm over the seeds; quantiles are type 7."""

    n: Count
    n_null: Count
    nulls: dict[Reason, Annotated[int, Field(ge=1)]]
    mean: float | None
    sd: float | None
    median: float | None
    q25: float | None
    q75: float | None
    min: float | None
    max: float | None
    ci_t: Interval | None
    ci_bca: Interval | None
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        names = ("mean", "sd", "median", "q25", "q75", "min", "max", "ci_t", "ci_bca")
        check_reasons({k for k in names if getattr(self, k) is None}, self.reasons)
        if sum(self.nulls.values()) != self.n_null:
            msg = "nulls do not add up to n_null"
            raise ValueError(msg)
        return self


class ArmValues(Model):
    """The metrics of one arm in one seed."""

    metrics: dict[Name, float | None]
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        check_reasons({k for k, v in self.metrics.items() if v is None}, self.reasons)
        return self


class Summary(FileModel):
    """aggregated/summary.json: definitions, every seed's values, and one cell per arm and metric."""

    SCHEMA: ClassVar[str] = "zeroproofml.benchmark_summary"

    schema_name: Literal["zeroproofml.benchmark_summary"] = "zeroproofml.benchmark_summary"
    schema_version: Literal[1] = 1
    derive_version: DeriveVersion
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    raw_digest: Digest
    seeds: Seeds
    metric_definitions: dict[Name, MetricDefinition]
    per_seed: dict[SeedKey, dict[ArmKey, ArmValues]]
    cells: dict[ArmKey, dict[Name, Cell]]


class Contrast(Model):
    """Arm against comparator over pairs of seeds; a positive difference: the arm is better."""

    arm: ArmKey
    comparator: ArmKey
    metric: Name
    direction: Literal["higher", "lower", "none"]
    kind: Literal["declared", "exploratory"]
    n: Count
    diffs: dict[SeedKey, float]
    dropped: dict[SeedKey, Name]
    mean_diff: float | None
    sd_diff: float | None
    ci_t: Interval | None
    ci_bca: Interval | None
    p: Unit | None
    p_holm: Unit | None
    p_floor: Unit | None
    family: Annotated[str, Field(max_length=200)]
    family_size: Count
    method: Literal["exact", "sampled"] | None
    permutations: Count | None
    hedges_g: float | None
    share_better: Unit | None
    better: Literal["arm", "comparator", "undecided"] | None
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        names = (
            *("mean_diff", "sd_diff", "ci_t", "ci_bca", "p", "p_holm", "p_floor"),
            *("permutations", "hedges_g", "share_better"),
        )
        check_reasons({k for k in names if getattr(self, k) is None}, self.reasons)
        if self.n != len(self.diffs) or self.diffs.keys() & self.dropped.keys():
            msg = "n is the number of diffs, and a seed is either paired or dropped"
            raise ValueError(msg)
        return self


class Baseline(Model):
    """Another run's values, embedded so that this run stays self-contained."""

    run_id: RunId
    raw_digest: Digest
    root_digest: Digest
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    mismatches: Seq[Annotated[str, Field(max_length=500)]]
    values: dict[ArmKey, dict[Name, dict[SeedKey, float | None]]]
    contrasts: Seq[Contrast]


class PairedStats(FileModel):
    """aggregated/paired_stats.json: contrasts inside the run, and against a baseline if given."""

    SCHEMA: ClassVar[str] = "zeroproofml.paired_stats"

    schema_name: Literal["zeroproofml.paired_stats"] = "zeroproofml.paired_stats"
    schema_version: Literal[1] = 1
    derive_version: DeriveVersion
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    raw_digest: Digest
    reference_arm: ArmKey | None
    within_run: Seq[Contrast]
    baseline: Baseline | None
