"""The operation cases as pytest-benchmark jobs; in an ordinary test run each executes once, at
n = 1000, for its values."""

from __future__ import annotations

from typing import Any

import pytest

from suites import ops

CASES = {
    case.id: case
    for case in ops.cases(quick=True, sizes=(1_000,))
    if case.dtype == "float64" and case.id.split("/")[1] != "mask"
}
JOBS = [
    (name, impl)
    for name, case in CASES.items()
    for impl in ("raw", case.backend, *(["SCMArray"] if case.backend == "numpy" else []))
]


@pytest.mark.parametrize(("name", "impl"), JOBS)
def test_operation(job: Any, name: str, impl: str) -> None:
    job(CASES[name], impl)
