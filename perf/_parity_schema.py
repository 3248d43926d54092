"""What a parity report holds. Numbers are numbers; unknown keys are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from _parity_lanes import LaneClass
from _schema import Commit, Machine, Model

SCHEMA_FILE = Path(__file__).with_name("parity.schema.json")

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Dtype = Literal["float32", "float64"]


class Backend(Model):
    """One way to compute; `reason` says why it is not compared."""

    name: str
    framework: Literal["numpy", "torch", "jax"]
    mode: Literal["eager", "compiled", "jit"]
    status: Literal["compared", "not_installed", "failed"]
    version: str | None
    reason: str | None


class Ulps(Model):
    """Errors in units of eps · max(|want|, tiny), over the lanes that are regular on both sides."""

    max: NotNegative
    p99: NotNegative


class Cell(Model):
    """One operation, backend, dtype and class of lanes.

    `mask_mismatches`, `ulp` and `cause_mismatches` are against NumPy (null for NumPy itself), those
    with `oracle_` against exact rationals (null where the operation leaves them).
    """

    op: str
    backend: str
    dtype: Dtype
    lane_class: LaneClass
    lanes: Count
    compared: Count
    mask_mismatches: Count | None
    ulp: Ulps | None
    ulp_budget: NotNegative
    oracle_lanes: Count
    oracle_mask_mismatches: Count | None
    oracle_ulp: Ulps | None
    oracle_ulp_budget: NotNegative
    cause_mismatches: Count | None
    lanes_per_s: Positive
    first_call_s: NotNegative | None
    holds: bool
    note: str | None


class Errors(Model):
    """Relative errors of the accepted lanes."""

    p50: NotNegative
    p95: NotNegative
    max: NotNegative


class Quantiles(Model):
    """|Q| of the accepted lanes."""

    min: NotNegative
    p01: NotNegative
    p50: NotNegative
    max: NotNegative


class CurvePoint(Model):
    """One backend, dtype and threshold; null where no lane was accepted."""

    backend: str
    dtype: Dtype
    tau_infer: Positive
    coverage: Share
    accepted_on_pole: Count
    relative_error: Errors | None
    denominators: Quantiles | None


class FirstDifference(Model):
    """Going down, the first threshold at which float32 and float64 masks differ, and on how many lanes."""

    backend: str
    tau_infer: Positive | None
    lanes: Count


class Head(Model):
    numerator: list[float]
    denominator: list[float]
    poles: list[str]
    points: Count


class Curve(Model):
    head: Head
    points: list[CurvePoint]
    first_difference: list[FirstDifference]


class Verdict(Model):
    """Sums over the cells."""

    holds: bool
    mask_mismatches: Count
    cause_mismatches: Count
    over_budget: Count
    cells: Count


class Report(Model):
    """Whether the backends agree; implementation parity, never evidence for a claim."""

    schema_name: Literal["zeroproofml.perf.parity"]
    schema_version: Literal[1]
    created_utc: str
    quick: bool
    argv: list[str]
    seed: int
    tiles: Count
    commit: Commit | None
    machine: Machine
    versions: dict[str, str | None]
    backends: list[Backend]
    cells: list[Cell]
    curve: Curve
    verdict: Verdict


def json_schema() -> dict[str, Any]:
    """The published schema of a parity report."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:zeroproofml:schema:zeroproofml.perf.parity:1",
        **Report.model_json_schema(),
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=1, sort_keys=True) + "\n")
