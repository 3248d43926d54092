"""The operation cases as pytest-benchmark jobs; in an ordinary test run each executes once, at
n = 1000, for its values."""

from __future__ import annotations

from typing import Any

import pytest

from suites import ops

CASES = {
    case.id: case
    for case in ops.cases(quick=True)
    if case.n == 1_000 and case.dtype == "float64" and case.id.split("/")[1] != "mask"
}


@pytest.mark.parametrize("impl", ["raw", "numpy", "SCMArray"])
@pytest.mark.parametrize("name", CASES)
def test_operation(job: Any, name: str, impl: str) -> None:
    job(CASES[name], impl)
