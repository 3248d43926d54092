"""How a case becomes a job: its values are checked first, then one implementation is timed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

import _measure
from suites.case import Built, Case

ROUNDS, ITERATIONS, WARMUP = 9, 20, 3
_built: dict[str, Built] = {}


def _checked(case: Case) -> Built:
    """A case with its inputs, checked once in this process."""
    if case.id not in _built:
        made = case.make()
        made.check()
        _built[case.id] = made
    return _built[case.id]


def _precision(case: Case) -> AbstractContextManager[Any]:
    """The x64 of JAX while a case is made and runs: other tests are not to see it."""
    if case.backend != "jax":
        return nullcontext()
    jax: Any = importlib.import_module("jax")
    x64: AbstractContextManager[Any] = jax.enable_x64(case.dtype == "float64")
    return x64


@pytest.fixture
def job(benchmark: Any) -> Callable[[Case, str], None]:
    """Run one implementation of a case, with the paired ratio beside the times."""

    def run(case: Case, impl: str) -> None:
        with _precision(case):
            timed(case, impl)

    def timed(case: Case, impl: str) -> None:
        made = _checked(case)
        benchmark.group = case.id
        if benchmark.enabled and impl != case.reference:
            pair = {name: made.impls[name] for name in (case.reference, impl)}
            ratio = _measure.measure(pair, case.reference, rounds=ROUNDS, seed=1).ratio(impl)
            benchmark.extra_info["paired_ratio"] = ratio.paired_median
            benchmark.extra_info["min_ratio"] = ratio.min_ratio
            benchmark.extra_info["aa_floor"] = ratio.aa_floor
        benchmark.extra_info["bottom_rate"] = made.bottom_rate
        benchmark.pedantic(
            made.impls[impl], rounds=ROUNDS, iterations=ITERATIONS, warmup_rounds=WARMUP
        )

    return run
