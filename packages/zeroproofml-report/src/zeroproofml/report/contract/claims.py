"""Claims as declared and as judged. Run contract, sections 4.8 and 10."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

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
    Seed,
    Seq,
    check_reasons,
)

__all__ = [
    "Claim",
    "ClaimKind",
    "ClaimNumbers",
    "ClaimResult",
    "ClaimsFile",
    "Verdict",
    "VerdictReason",
]

ClaimKind = Literal["superiority", "noninferiority", "equivalence", "bound", "every_seed"]
Verdict = Literal["SUPPORTED", "REFUTED", "UNDERPOWERED", "INELIGIBLE"]
VerdictReason = Literal[
    "mode",
    "protocol",
    "device",
    "arm_absent",
    "run_partial",
    "null_pairs",
    "plan_extended",
    "datasets_unequal",
    "too_few_seeds",
    "interval_contains_margin",
]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Unit = Annotated[float, Field(ge=0, le=1)]


class Claim(Model):
    """A statement about arms and a metric, fixed before any seed ran.

    ``comparator`` is an arm, or null when ``bound`` is the number compared with.

    Examples
    --------
    >>> Claim(id="c1", text="arm a beats arm b", kind="superiority", metric="err", arm="a",
    ...       comparator="b", bound=None, margin=0.0, alpha=0.05, min_seeds=10,
    ...       eligible_modes=("paper",), eligible_protocols=("standard",), devices=None,
    ...       missing="ineligible").kind
    'superiority'
    """

    id: Name
    text: Text
    kind: ClaimKind
    metric: Name
    arm: ArmKey
    comparator: ArmKey | None
    bound: float | None
    margin: Annotated[float, Field(ge=0)]
    alpha: Annotated[float, Field(gt=0, lt=1)]
    min_seeds: Annotated[int, Field(ge=1)]
    eligible_modes: Seq[Name]
    eligible_protocols: Seq[Name]
    devices: Seq[Name] | None
    """Null: any device."""
    missing: Literal["ineligible"] | float
    """What a missing value counts as: the claim is ineligible, or this finite worst value."""

    @model_validator(mode="after")
    def _is_well_posed(self) -> Self:
        needs_bound = self.kind in ("bound", "every_seed")
        if needs_bound != (self.bound is not None) or needs_bound != (self.comparator is None):
            msg = f"a claim of kind {self.kind} takes a {'bound' if needs_bound else 'comparator'}"
            raise ValueError(msg)
        if self.comparator == self.arm:
            msg = "an arm is not compared with itself"
            raise ValueError(msg)
        return self


class ClaimNumbers(Model):
    """The numbers that a verdict rests on; null ones have their reason."""

    n: Count
    estimate: float | None
    interval: Interval | None
    p: Unit | None
    p_holm: Unit | None
    reasons: dict[DottedKey, Reason]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        numbers = ("estimate", "interval", "p", "p_holm")
        check_reasons({k for k in numbers if getattr(self, k) is None}, self.reasons)
        return self


class ClaimResult(Model):
    """A claim's verdict, why, and from which seeds."""

    id: Name
    verdict: Verdict
    reasons: Seq[VerdictReason]
    numbers: ClaimNumbers
    seeds: Seq[Seed]


class ClaimsFile(FileModel):
    """aggregated/claims.json: the declared claims verbatim and their verdicts."""

    SCHEMA: ClassVar[str] = "zeroproofml.claims"

    schema_name: Literal["zeroproofml.claims"] = "zeroproofml.claims"
    schema_version: Literal[1] = 1
    derive_version: Annotated[int, Field(ge=1)]
    domain: Name
    mode: Name
    protocol: ProtocolId
    config_hash: Digest
    raw_digest: Digest
    declared: Seq[Claim]
    claims_digest: Digest
    family_size: Count
    results: Seq[ClaimResult]

    @model_validator(mode="after")
    def _one_result_each(self) -> Self:
        if [claim.id for claim in self.declared] != [result.id for result in self.results]:
            msg = "results must be those of the declared claims, in their order"
            raise ValueError(msg)
        return self
