"""Paired timing: all implementations of a group in the same rounds, in a fresh random order.

The statistic is the minimum of the wall clock, because preemption only ever adds. The reference is
measured twice under two names; what these two differ by (the A/A pair) is the floor below which no
difference is believed. This file knows nothing of zeroproofml.
"""

from __future__ import annotations

import gc
import math
import os
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

SAMPLE_NS = 500_000
SECOND_REFERENCE = "(reference again)"
PREEMPTED = 1.2
FLOOR = 0.03


@dataclass
class Samples:
    """One implementation's rounds; times are per call, in nanoseconds."""

    inner: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.wall)

    @property
    def preempted(self) -> bool:
        """Whether even the best sample spent much of its wall time waiting for a core."""
        k = min(range(len(self.wall)), key=self.wall.__getitem__)
        return self.cpu[k] > 0 and self.wall[k] / self.cpu[k] > PREEMPTED


@dataclass(frozen=True)
class Ratio:
    """One implementation against the reference of its group."""

    min_ratio: float
    paired_median: float
    paired_iqr: tuple[float, float]
    aa_floor: float
    preempted: bool


@dataclass(frozen=True)
class Group:
    """The rounds of one group, and the order in which each round ran."""

    samples: dict[str, Samples]
    orders: list[tuple[str, ...]]
    reference: str

    def ratio(self, impl: str, against: str | None = None) -> Ratio:
        """One implementation against another, the reference unless named; the floor is the twins'."""
        ours, base = self.samples[impl], self.samples[against or self.reference]
        again, first = self.samples[SECOND_REFERENCE], self.samples[self.reference]
        paired = sorted(a / b for a, b in zip(ours.wall, base.wall, strict=True))
        twins = [a / b for a, b in zip(again.wall, first.wall, strict=True)]
        low, high = quartiles(paired)
        twin_low, twin_high = quartiles(twins)
        return Ratio(
            min_ratio=ours.best / base.best,
            paired_median=statistics.median(paired),
            paired_iqr=(low, high),
            aa_floor=max(FLOOR, abs(again.best / first.best - 1), (twin_high - twin_low) / 2),
            preempted=ours.preempted or base.preempted,
        )


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Lower and upper quartile, by linear interpolation."""
    return quantile(values, 0.25), quantile(values, 0.75)


def quantile(values: Sequence[float], q: float) -> float:
    """The type-7 quantile of at least one value."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@contextmanager
def _quiet() -> Iterator[None]:
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def cpu_ns() -> int:
    """CPU time of this process and of the children that it has waited for."""
    times = os.times()  # in ticks of 10 ms, which is enough for whole processes
    return time.process_time_ns() + round((times.children_user + times.children_system) * 1e9)


def one_sample(fn: Callable[[], object], inner: int) -> tuple[float, float]:
    """Wall and CPU nanoseconds per call, over `inner` calls in a row."""
    cpu = cpu_ns()
    wall = time.perf_counter_ns()
    for _ in range(inner):
        fn()
    wall = time.perf_counter_ns() - wall
    return wall / inner, (cpu_ns() - cpu) / inner


def calibrate(fn: Callable[[], object]) -> int:
    """How often to repeat a call so that one sample lasts at least half a millisecond."""
    fn()
    inner = 1
    while inner < 1 << 20:
        wall = one_sample(fn, inner)[0] * inner
        if wall >= SAMPLE_NS:
            return inner
        inner = max(inner + 1, min(inner * 10, math.ceil(inner * SAMPLE_NS / max(wall, 1) * 1.1)))
    return inner


def measure(
    impls: Mapping[str, Callable[[], object]],
    reference: str,
    *,
    rounds: int,
    seed: int,
    fresh: bool = False,
) -> Group:
    """Time a group.

    Args:
        impls: name -> a call without arguments; the reference among them.
        reference: the name that ratios divide by.
        rounds: how many rounds; each runs every implementation once.
        seed: of the orders; equal seeds give equal orders.
        fresh: every call is a process of its own: it is not repeated within a sample, and not
            warmed, because nothing of one call is left to the next.
    """
    calls = {**impls, SECOND_REFERENCE: impls[reference]}
    shuffle = random.Random(seed)
    with _quiet():
        samples = {name: Samples(1 if fresh else calibrate(fn)) for name, fn in calls.items()}
        samples[SECOND_REFERENCE].inner = samples[reference].inner
        orders = []
        for _ in range(rounds):
            order = list(calls)
            shuffle.shuffle(order)
            orders.append(tuple(order))
            for name in order:
                if not fresh:
                    calls[name]()  # the previous one's freed pages are not this one's cost
                wall, cpu = one_sample(calls[name], samples[name].inner)
                samples[name].wall.append(wall)
                samples[name].cpu.append(cpu)
    return Group(samples, orders, reference)


def peak_bytes(fn: Callable[[], object]) -> int:
    """Peak memory of one call beyond what stood before it, as Python's allocators see it."""
    fn()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = fn()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return peak - before


def pin() -> int | None:
    """Keep this process on one core where the system allows it; the core, or None."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def limit_threads(count: int) -> dict[str, str]:
    """Set the thread counts of the numeric libraries; call before they are imported."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
    values = dict.fromkeys(names, str(count))
    if count == 1:
        values["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ.update(values)
    return values
