"""The deployment bundle: its metadata, and the verdict on it. Reports page, section 8."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zeroproofml.report.contract.base import (
    ArmKey,
    Count,
    Digest,
    FileModel,
    Model,
    Name,
    RelPath,
    RunId,
    Seed,
    Seq,
)

__all__ = [
    "OUTPUTS",
    "BundleContracts",
    "BundleDecoding",
    "BundleFile",
    "BundleFinding",
    "BundleMetadata",
    "BundleModel",
    "BundleProducer",
    "BundleReference",
    "BundleRun",
    "BundleSource",
    "BundleValidation",
    "CheckResult",
    "LaneCounts",
    "Normalization",
    "Replay",
    "TensorSpec",
    "Tolerance",
]

OUTPUTS = (
    "decoded",
    "bottom_mask",
    "gap_mask",
    "fault_mask",
    "semantic_bottom_mask",
    "bottom_provenance",
)
"""Outputs of a bundle's model, in this order."""

Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ$")]
Identifier = Annotated[str, Field(min_length=1, max_length=200)]
TensorName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
RealDtype = Literal["float32", "float64"]
Dtype = Literal["float32", "float64", "int32", "int64", "bool"]
Positive = Annotated[float, Field(gt=0)]
Threshold = Annotated[float, Field(ge=0)]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]


class BundleProducer(Model):
    """Versions of what made the bundle."""

    zeroproofml_torch: Version
    zeroproofml_scm: Version
    torch: Version
    onnx: Version
    onnxruntime: Version
    python: Version


class BundleSource(Model):
    """The commit that the exporting code stood on."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
    dirty: bool


class BundleRun(Model):
    """The benchmark run that the model was trained in."""

    run_id: RunId
    raw_digest: Digest
    domain: Name
    arm: ArmKey
    seed: Seed


class BundleFile(Model):
    """One file beside metadata.json and SHA256SUMS."""

    path: RelPath
    size: Count
    sha256: Digest
    role: Literal["model", "reference_input", "reference_output"]


class TensorSpec(Model):
    """An input or output: the first axis is the batch, the others are fixed."""

    name: TensorName
    dtype: Dtype
    shape: Annotated[Seq[Size | Literal["batch"]], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _batch_first_and_only_there(self) -> Self:
        if self.shape[0] != "batch" or "batch" in self.shape[1:]:
            msg = f"{self.name}: the first axis is 'batch', and no other"
            raise ValueError(msg)
        return self


class BundleModel(Model):
    """What model.onnx says of itself."""

    ir_version: Annotated[int, Field(ge=8, le=64)]
    opset: Literal[18]
    inputs: Annotated[Seq[TensorSpec], Field(min_length=1, max_length=64)]
    outputs: Annotated[Seq[TensorSpec], Field(min_length=6, max_length=6)]

    @model_validator(mode="after")
    def _six_outputs(self) -> Self:
        if tuple(each.name for each in self.outputs) != OUTPUTS:
            msg = f"outputs must be {', '.join(OUTPUTS)} in this order"
            raise ValueError(msg)
        dtypes = [each.dtype for each in self.outputs]
        if dtypes[0] not in ("float32", "float64") or dtypes[1:] != [*["bool"] * 4, "int64"]:
            msg = "outputs must be one float, four bool and one int64"
            raise ValueError(msg)
        if len({each.shape for each in self.outputs}) != 1:
            msg = "outputs must have one shape"
            raise ValueError(msg)
        if len({each.name for each in self.inputs}) != len(self.inputs):
            msg = "two inputs have one name"
            raise ValueError(msg)
        return self


class BundleDecoding(Model):
    """The decision: gauge and thresholds."""

    mode: Literal["strict"]
    gauge: Literal["raw", "l2"]
    tau_infer: Positive
    tau_infer_effective: Positive
    q_dtype: RealDtype
    tau_train: Positive | None
    factor_thresholds: Annotated[Seq[Threshold], Field(max_length=64)]

    @model_validator(mode="after")
    def _margin_above_threshold(self) -> Self:
        if self.tau_train is not None and self.tau_train < self.tau_infer:
            msg = "tau_train is below tau_infer"
            raise ValueError(msg)
        return self


class Normalization(Model):
    """(x − mean)/scale of one input, column by column, done by the caller before the model."""

    mean: Annotated[Seq[float], Field(min_length=1, max_length=100_000)]
    scale: Annotated[Seq[Positive], Field(min_length=1, max_length=100_000)]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(self.mean) != len(self.scale):
            msg = "mean and scale must be equally long"
            raise ValueError(msg)
        return self


class BundleContracts(Model):
    """What surrounds the model: free identifiers, and the normalisation of its inputs."""

    preprocessing_id: Identifier | None
    postprocessing_id: Identifier | None
    fallback_policy_id: Identifier | None
    normalization: dict[TensorName, Normalization] | None


class LaneCounts(Model):
    """Lanes of the reference by class; each lane is in exactly one."""

    finite: Count
    gap: Count
    fault: Count
    semantic: Count
    both: Count


class Tolerance(Model):
    """How closely two runtimes must agree."""

    decoded_ulp: Literal[4]
    masks: Literal["exact"]


class BundleReference(Model):
    """The smoke test at export.

    The tolerance is that of ``decoded`` from the quotient of P and Q as the runtime computed them;
    ``largest_ulp`` is the distance from torch's ``decoded``, rounding of P and Q included.
    """

    n_rows: Annotated[int, Field(ge=1, le=100_000)]
    lanes: LaneCounts
    tolerance: Tolerance
    largest_ulp: Count


class BundleMetadata(FileModel):
    """``metadata.json`` of a bundle; the digest of its bytes is the digest of the bundle."""

    SCHEMA: ClassVar[str] = "zeroproofml.bundle"

    schema_name: Literal["zeroproofml.bundle"] = "zeroproofml.bundle"
    schema_version: Literal[1] = 1
    created_utc: Moment
    producer: BundleProducer
    source: BundleSource | None
    run: BundleRun | None
    files: Annotated[Seq[BundleFile], Field(min_length=8, max_length=158)]
    model: BundleModel
    decoding: BundleDecoding
    contracts: BundleContracts
    reference: BundleReference

    @model_validator(mode="after")
    def _files_and_names_fit(self) -> Self:
        wanted = {"model.onnx": "model"}
        wanted |= {
            f"reference/input_{i}.npy": "reference_input" for i in range(len(self.model.inputs))
        }
        wanted |= {f"reference/output_{j}.npy": "reference_output" for j in range(len(OUTPUTS))}
        if [(e.path, e.role) for e in self.files] != sorted(wanted.items()):
            msg = "files must be model.onnx and one array per input and output, sorted by path"
            raise ValueError(msg)
        unknown = set(self.contracts.normalization or {}) - {e.name for e in self.model.inputs}
        if unknown:
            msg = f"normalization names no input of the model: {min(unknown)}"
            raise ValueError(msg)
        return self


class BundleFinding(Model):
    """One problem: code, file, what is wrong, the mend."""

    code: Name
    path: str
    message: str
    mend: str


class CheckResult(Model):
    """One check of a validation: passed, failed, or not run and why."""

    name: str
    verdict: Literal["passed", "failed", "not run"]
    text: str


class Replay(Model):
    """The reference inputs through ONNX Runtime here, against the stored outputs."""

    onnxruntime: Version
    mask_differences: Count
    largest_ulp: Count


class BundleValidation(FileModel):
    """``validation.json``: what was checked of a bundle, and what came out.

    Examples
    --------
    >>> made = BundleValidation(ok=False, bundle_digest=None, pinned=False, checks=(),
    ...                         findings=(), replay=None)
    >>> made.plain()["schema_name"]
    'zeroproofml.bundle_validation'
    """

    SCHEMA: ClassVar[str] = "zeroproofml.bundle_validation"

    schema_name: Literal["zeroproofml.bundle_validation"] = "zeroproofml.bundle_validation"
    schema_version: Literal[1] = 1
    ok: bool
    bundle_digest: Digest | None
    pinned: bool
    checks: Seq[CheckResult]
    findings: Seq[BundleFinding]
    replay: Replay | None
