"""Hand-made result files; and what a measurement pins is set free again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WriteResults = Callable[..., Path]
WriteCeilings = Callable[..., Path]


@pytest.fixture(autouse=True)
def _every_core_again() -> Iterator[None]:
    """A measurement pins its process to one core: the tests after it must not inherit that."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    if before is not None:
        os.sched_setaffinity(0, before)


def _case(
    key: str,
    *,
    wall: float = 1e6,
    cpu: float = 1e6,
    memory: object = None,
    bottom_rate: float | None = 0.01,
) -> dict[str, object]:
    wall_ns = dict.fromkeys(("min", "p05", "median", "p95", "mean"), wall)
    absent = ("compile_s", "coverage", "denominators", "note")
    return {
        "id": key,
        "group": key.rpartition("/")[0],
        "suite": key.partition("/")[0],
        "n": 100_000,
        "dtype": "float64",
        "data_kind": "new",
        "impl": key.rpartition("/")[2],
        "backend": "numpy",
        "samples": 9,
        "inner": 1,
        "wall_ns": {**wall_ns, "std": 0.0},
        "cpu_ns": {"min": cpu, "median": cpu},
        "lanes_per_s": 1.0,
        "bytes_per_lane": memory,
        "bottom_rate": bottom_rate,
        **dict.fromkeys(absent),
    }


@pytest.fixture
def write_results(tmp_path: Path) -> WriteResults:
    """Write a result file whose ratios are `name=(min_ratio, aa_floor, preempted)`.

    Cases are `name={...}` with what differs from a thousand new ⊥ lanes of a hundred thousand, in
    a millisecond of wall clock and of CPU.
    """

    def write(
        ratios: dict[str, tuple[object, float, bool]],
        *,
        quick: bool = False,
        name: str = "benchmarks_20260101T000000Z.json",
        created: str = "2026-01-01T00:00:00Z",
        argv: tuple[str, ...] = (),
        cases: dict[str, dict[str, object]] | None = None,
    ) -> Path:
        data = {
            "schema_name": "zeroproofml.perf.results",
            "schema_version": 1,
            "created_utc": created,
            "complete": True,
            "quick": quick,
            "argv": list(argv),
            "seed": 1,
            "commit": None,
            "machine": {
                "system": "Linux",
                "release": "6",
                "arch": "x86_64",
                "cpu_model": "test",
                "cpu_count": 2,
                "cpu_flags": [],
                "memory_bytes": None,
                "pinned_core": None,
                "load_before": None,
                "load_after": None,
                "gpu": None,
            },
            "versions": {},
            "threads": {},
            "cases": [_case(key, **given) for key, given in (cases or {}).items()],
            "ratios": [
                {
                    "id": key,
                    "impl": "numpy",
                    "reference": "raw",
                    "min_ratio": ratio,
                    "paired_median": 1.0,
                    "paired_iqr": [1.0, 1.0],
                    "aa_floor": floor,
                    "preempted": preempted,
                }
                for key, (ratio, floor, preempted) in ratios.items()
            ],
            "peers": [],
        }
        path = tmp_path / name
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_ceilings(tmp_path: Path) -> WriteCeilings:
    """Write a ceilings file with entries `name=(must, goal)`; `record@quantity` names another
    quantity than a ratio."""

    def write(entries: dict[str, tuple[float, float]], direction: str = "at_most") -> Path:
        data = {
            "schema_name": "zeroproofml.perf.ceilings",
            "schema_version": 1,
            "ratios": {
                key: {
                    "impl": "numpy",
                    "reference": None if "@" in key else "raw",
                    "must": must,
                    "goal": goal,
                    "direction": direction,
                    "quantity": key.partition("@")[2] or "ratio",
                }
                for key, (must, goal) in entries.items()
            },
        }
        path = tmp_path / "ceilings.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return write
