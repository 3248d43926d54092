"""The operations in JAX under jit; float64 needs x64, which holds for a whole process."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

import _inputs
from suites.case import FRAMEWORK_ULPS, Built, WrongValue, compare
from zeroproofml.jax import ops

MEMORY_FROM = 1_000_000  # asking compiles again; bytes per lane hardly depend on n

jax: Any = importlib.import_module("jax")  # its functions are untyped
NAMES = {"sub": "subtract", "mul": "multiply", "div": "divide", "inv": "reciprocal",
         "pow": "power", "neg": "negative"}  # fmt: skip


def put(values: np.ndarray[Any, Any]) -> Any:
    """An array of JAX, of the same precision."""
    if values.dtype == np.float64 and not jax.config.jax_enable_x64:
        msg = "jax: float64 needs a process with x64; a float32 result differs"
        raise WrongValue(msg)
    return jnp.asarray(values)


def _run(function: Callable[..., Any], *given: Any) -> Any:
    return jax.block_until_ready(function(*given))


def compiled(function: Callable[..., Any], *given: Any) -> tuple[Callable[[], Any], float]:
    """The jitted call, compiled now, and the seconds that compiling took."""
    jitted = jax.jit(function)
    start = time.perf_counter()
    _run(jitted, *given)
    return partial(_run, jitted, *given), time.perf_counter() - start


def peak_bytes(call: Callable[[], object]) -> int:
    """Outputs and temporaries of a call that :func:`compiled` made, as XLA planned them."""
    assert isinstance(call, partial)
    jitted, *given = call.args
    plan = jitted.lower(*given).compile().memory_analysis()
    return int(plan.output_size_in_bytes + plan.temp_size_in_bytes)


def build(op: str, dtype: str, n: int, kind: _inputs.Kind, seed: int) -> Built:
    """One operation against the bare operator, both under jit."""
    inputs = _inputs.make(op, dtype, n, kind, seed)
    operands = [put(x) for x in inputs.operands]
    masks = [put(m) for m in inputs.masks if m is not None]
    raw, raw_s = compiled(getattr(jnp, NAMES.get(op, op)), *operands)
    ours, ours_s = compiled(getattr(ops, f"scm_{op}_jax"), *operands, *masks)

    def check() -> None:
        compare("jax", ours(), inputs, FRAMEWORK_ULPS.get(op, 0))

    rate = float(inputs.mask.mean())
    counted = ("jax",) if n >= MEMORY_FROM else ()
    took = {"raw": raw_s, "jax": ours_s}
    return Built({"raw": raw, "jax": ours}, check, rate, counted, peak_bytes, compile_s=took)
