"""JAX cases run in processes of their own, and come back as records."""

from __future__ import annotations

import importlib.util
import sys

import pytest

import _apart
import run_benchmarks
from suites import ops
from suites.case import WrongValue

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")


@pytest.fixture(scope="module")
def cases():
    found = {c.id: c for c in ops.cases(quick=False, sizes=(10,)) if c.backend == "jax"}
    yield found
    _apart.close()
    assert not _apart._running


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_precisions_are_measured(cases, dtype) -> None:
    before = sys.modules.get("jax")
    rows, ratios = run_benchmarks.measure_case(cases[f"ops/div-jax/{dtype}/10/new"], 3, 1)
    assert [r.id for r in ratios] == [f"ops/div-jax/{dtype}/10/new/jax"]
    assert {r.impl for r in rows} == {"raw", "jax"}
    assert all(r.compile_s is not None and r.compile_s > 0 for r in rows)
    assert all(r.dtype == dtype and r.bottom_rate is not None and r.samples == 3 for r in rows)
    assert sys.modules.get("jax") is before, "this process does not import it"


def test_a_failed_check_comes_back_as_one(cases, monkeypatch) -> None:
    # a process for float32 that is asked for a float64 case makes another result
    process = _apart._process("float32")
    monkeypatch.setitem(_apart._running, "float64", process)
    with pytest.raises(WrongValue, match="x64"):
        _apart.measure(cases["ops/div-jax/float64/10/new"], 3, 1)
    monkeypatch.delitem(_apart._running, "float64")


def test_a_process_that_ends_is_an_error(cases) -> None:
    process = _apart._process("float32")
    process.kill()
    process.wait()
    with pytest.raises(ChildProcessError, match="ended with exit code"):
        _apart.measure(cases["ops/div-jax/float32/10/new"], 3, 1)
