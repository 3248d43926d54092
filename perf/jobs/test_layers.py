"""The layer cases as pytest-benchmark jobs, at n = 1024."""

from __future__ import annotations

from typing import Any

import pytest

from suites import layers

CASES = {case.id: case for case in layers.cases(quick=True, sizes=(1_024,))}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("side", ["reference", "ours"])
def test_layer(job: Any, name: str, side: str) -> None:
    case = CASES[name]
    job(case, case.reference if side == "reference" else case.backend)
