"""One line of a metric log (JSONL), of a run or of training. Run contract, section 4.9."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zeroproofml.report.contract.base import (
    ArmKey,
    Count,
    DottedKey,
    FileModel,
    Json,
    Model,
    Name,
    Reason,
    RunId,
    Seed,
    check_reasons,
)

__all__ = ["MetricContext", "MetricRecord"]


class MetricContext(Model):
    """What a record is about; every field is optional and absent when unknown."""

    domain: Name | None = None
    mode: Name | None = None
    protocol: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/[1-9][0-9]*$")] | None = None
    arm: ArmKey | None = None
    comparator: ArmKey | None = None
    seed: Seed | None = None
    run_id: RunId | None = None
    statistic: Literal["mean", "median"] | None = None

    @model_validator(mode="after")
    def _absent_is_not_null(self) -> Self:
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                msg = f"context.{name} is null; leave it out instead"
                raise ValueError(msg)
        return self


class MetricRecord(FileModel):
    """Numbers of one moment: of a step, an epoch, a seed, or a whole run.

    Examples
    --------
    >>> record = MetricRecord(phase="train", step=3, context=MetricContext(arm="mlp"),
    ...                       metrics={"loss": 0.5}, reasons={})
    >>> sorted(record.plain())[:3]
    ['context', 'metrics', 'phase']
    """

    SCHEMA: ClassVar[str] = "zeroproofml.metric_log"

    schema_name: Literal["zeroproofml.metric_log"] = "zeroproofml.metric_log"
    schema_version: Literal[1] = 1
    phase: Literal["train", "eval", "benchmark_seed", "benchmark_summary", "benchmark_delta"]
    step: Count | None = None
    epoch: Count | None = None
    context: MetricContext
    metrics: dict[Name, float | None]
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for name in ("step", "epoch"):
            if name in self.model_fields_set and getattr(self, name) is None:
                msg = f"{name} is null; leave it out instead"
                raise ValueError(msg)
        check_reasons({k for k, v in self.metrics.items() if v is None}, self.reasons)
        context = self.context
        if self.phase in ("train", "eval"):
            if self.step is None and self.epoch is None:
                msg = f"a record of phase {self.phase} needs step or epoch"
                raise ValueError(msg)
            return self
        needed = ["domain", "mode", "protocol", "arm"]
        needed += ["comparator"] if self.phase == "benchmark_delta" else []
        for name in needed:
            if getattr(context, name) is None:
                msg = f"a record of phase {self.phase} needs context.{name}"
                raise ValueError(msg)
        if self.phase == "benchmark_seed" and (self.step is None or self.step != context.seed):
            msg = "a record of phase benchmark_seed has step = context.seed"
            raise ValueError(msg)
        return self

    def plain(self) -> dict[str, Json]:
        """The record as plain data; absent fields stay absent."""
        body = self.model_dump(mode="json", exclude_unset=True)
        return {**body, "schema_name": self.schema_name, "schema_version": self.schema_version}
