"""The operation cases as pytest-benchmark jobs; in an ordinary test run each executes once, at
n = 1000, for its values."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from suites import ops
from suites.case import Built, Case

CASES = {
    case.id: case
    for case in ops.cases(quick=True)
    if case.n == 1_000 and case.dtype == "float64" and case.id.split("/")[1] != "mask"
}


@cache
def built(name: str) -> Built:
    made = CASES[name].make()
    made.check()
    return made


@pytest.mark.parametrize("impl", ["raw", "numpy", "SCMArray"])
@pytest.mark.parametrize("name", CASES)
def test_operation(benchmark: Any, name: str, impl: str) -> None:
    case: Case = CASES[name]
    benchmark.group = case.id
    benchmark.extra_info["bottom_rate"] = built(name).bottom_rate
    benchmark.pedantic(built(name).impls[impl], rounds=9, iterations=100, warmup_rounds=3)
