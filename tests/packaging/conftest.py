"""Where the five packages lie."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = {"scm": "scm", "torch": "torch", "jax": "jax", "report": "report", "bench": "benchmarks"}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[str, Path]:
    """Distribution suffix -> directory of its import package."""
    return {
        dist: ROOT / f"packages/zeroproofml-{dist}/src/zeroproofml/{sub}"
        for dist, sub in MEMBERS.items()
    }
