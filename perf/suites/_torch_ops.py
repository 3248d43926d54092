"""The operations in Torch, and the peak memory of a Torch call."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial

import torch

import _inputs
import _measure
from suites.case import FRAMEWORK_ULPS, Built, compare
from zeroproofml.torch import ops

NAMES = {
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "inv": "reciprocal",
    "neg": "negative",
}

gc.freeze()  # what importing Torch left is for ever; no collection between cases need walk it
PROFILED_FROM = 1_000_000  # profiling takes long; bytes per lane hardly depend on n


def peak_bytes(fn: Callable[[], object]) -> int:
    """Peak memory of one call beyond what stood before it: what Torch's CPU allocator counts, and
    what NumPy allocates on its behalf."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it writes to standard error otherwise
    fn()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        kept = fn()
    assert profile.profiler is not None
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: int(e.start_ns())):
        held += event.nbytes()
        peak = max(peak, held)
    del kept
    return peak + _measure.peak_bytes(fn)


def build(op: str, dtype: str, n: int, kind: _inputs.Kind, seed: int) -> Built:
    """One operation against the bare operator, both without a derivative."""
    torch.set_num_threads(1)
    inputs = _inputs.make(op, dtype, n, kind, seed)
    operands = [torch.from_numpy(x) for x in inputs.operands]
    masks = [torch.from_numpy(m) for m in inputs.masks if m is not None]
    ours = partial(getattr(ops, f"scm_{op}_torch"), *operands, *masks)
    raw = partial(getattr(torch, NAMES.get(op, op)), *operands)

    def check() -> None:
        compare("torch", ours(), inputs, FRAMEWORK_ULPS.get(op, 0))

    rate = float(inputs.mask.mean())
    profiled = ("torch",) if n >= PROFILED_FROM else ()
    return Built({"raw": raw, "torch": ours}, check, rate, profiled, peak_bytes)
