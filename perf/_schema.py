"""What a result file holds. Numbers are numbers; unknown keys are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from suites.case import Kind, Suite

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")

Positive = Annotated[float, Field(gt=0)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Commit(Model):
    sha: str
    dirty: bool


class Machine(Model):
    system: str
    release: str
    arch: str
    cpu_model: str
    cpu_count: int
    cpu_flags: list[str]
    memory_bytes: int | None
    pinned_core: int | None
    load_before: float | None
    load_after: float | None
    gpu: str | None


class Wall(Model):
    min: Positive
    p05: Positive
    median: Positive
    p95: Positive
    mean: Positive
    std: float


class Cpu(Model):
    min: float
    median: float


class Denominators(Model):
    min: float
    p01: float
    p50: float
    max: float
    below_tau_infer: float
    below_tau_train: float


class Case(Model):
    id: str
    group: str
    suite: Suite
    n: int
    dtype: str
    data_kind: Kind
    impl: str
    backend: str
    samples: int
    inner: int
    wall_ns: Wall
    cpu_ns: Cpu
    lanes_per_s: Positive
    bytes_per_lane: float | None
    compile_s: float | None
    coverage: float | None
    bottom_rate: float | None
    gap_rate: float | None = None  # accepted, but between the thresholds
    denominators: Denominators | None
    note: str | None


class Ratio(Model):
    id: str
    impl: str
    reference: str
    min_ratio: Positive
    paired_median: Positive
    paired_iqr: list[float] = Field(min_length=2, max_length=2)
    aa_floor: Positive
    preempted: bool


class Peer(Model):
    name: str
    version: str | None
    python: str | None
    status: Literal["measured", "unavailable"]
    reason: str | None


class Results(Model):
    """One run of the microbenchmarks; never evidence for a scientific claim."""

    schema_name: Literal["zeroproofml.perf.results"]
    schema_version: Literal[1]
    created_utc: str
    complete: bool
    quick: bool
    argv: list[str]
    seed: int
    commit: Commit | None
    machine: Machine
    versions: dict[str, str | None]
    threads: dict[str, str | None]
    cases: list[Case]
    ratios: list[Ratio]
    peers: list[Peer]


def json_schema() -> dict[str, Any]:
    """The published schema of a result file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:zeroproofml:schema:zeroproofml.perf.results:1",
        **Results.model_json_schema(),
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=1, sort_keys=True) + "\n")
