"""Strict inference and exported heads as pytest-benchmark jobs, at n = 1000."""

from __future__ import annotations

from typing import Any

import pytest

from suites import inference

CASES = {case.id: case for case in inference.cases(quick=True, sizes=(1_000,))}
STRICT = [name for name in CASES if "/strict/" in name]
HEADS = [name for name in CASES if "/head/" in name]


@pytest.mark.parametrize("impl", ["raw", "numpy"])
@pytest.mark.parametrize("name", STRICT)
def test_strict_inference(job: Any, name: str, impl: str) -> None:
    job(CASES[name], impl)


@pytest.mark.slow  # compiles and exports
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's tracer and exporter
@pytest.mark.parametrize("impl", ["torch", "compiled", "onnx"])
@pytest.mark.parametrize("name", HEADS)
def test_head(job: Any, name: str, impl: str) -> None:
    job(CASES[name], impl)
