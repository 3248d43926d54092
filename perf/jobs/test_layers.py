"""The layer cases as pytest-benchmark jobs, at n = 1024."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from suites import layers

CASES = {case.id: case for case in layers.cases(quick=True, sizes=(1_024,))}


@pytest.fixture(autouse=True, scope="module")
def _same_precision() -> Iterator[None]:
    """A case in float64 turns x64 on for the process; other tests are not to see it."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("side", ["reference", "ours"])
def test_layer(job: Any, name: str, side: str) -> None:
    case = CASES[name]
    job(case, case.reference if side == "reference" else case.backend)
