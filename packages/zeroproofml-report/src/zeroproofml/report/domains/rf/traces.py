"""A selection of responses for people and plots: representatives, and the worst failures of a seed.

No number is derived from it. What is selected is a function of the stored arrays alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from zeroproofml.report.domains.rf import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.domains.rf.answers import TestSet
    from zeroproofml.report.domains.rf.classic import TestRows

    Tests: TypeAlias = TestSet | TestRows

SCHEMA = "zeroproofml.rf_signal_traces"
RULE = (
    "per set the middle device by Q, or three at fixed ranks; then at most six washed-out and six "
    "invented peaks"
)
GRID = "log-spaced over the band, joined with 64 points around each true pole"


@dataclass(frozen=True)
class Trace:
    """One selected device; ``why`` is representative, washout or invented, ``arm`` whose failure."""

    device: int
    group: str
    why: str
    arm: str | None = None


def representatives(tests: Tests, count: int) -> list[Trace]:
    """``count`` (1 or 3) devices of each set, by rank of Q; ties by index."""
    made = []
    q = 1 / tests.damping
    for name, mask in tests.groups.items():
        rows = np.flatnonzero(mask)
        order = rows[np.argsort(q[rows], kind="stable")]
        if len(order):
            ranks = tests.ranks if count == len(tests.ranks) else tests.ranks[1:2]
            places = (min(int(share * len(order)), len(order) - 1) for share in ranks)
            made += [Trace(int(order[place]), name, "representative") for place in places]
    return made


def select(tests: Tests, arms: Sequence[str], seed: int, count: int) -> list[Trace]:
    """Representatives, then the failure examples of ``arms`` (declared order) in this seed."""
    own = [arm for arm in arms if arm != "oracle" and tests.has(arm)]
    found = [example for arm in own for example in failures.candidates(tests, arm, seed)]
    made = representatives(tests, count)
    for kind in failures.KINDS:
        for example in failures.pick(found, own, kind):
            made.append(Trace(example.device, _group(tests, example.device), kind, example.arm))
    return made


def _group(tests: Tests, device: int) -> str:
    return next(name for name, mask in tests.groups.items() if mask[device])


def stored(
    tests: Tests, arms: Sequence[str], seed: int, count: int
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Members of ``rf_signal_traces.npz`` and the body of ``rf_signal_traces.json`` of one seed."""
    chosen = select(tests, arms, seed, count)
    rows = np.array([trace.device for trace in chosen], dtype=np.int64)
    devices = tests.devices.take(rows)
    there = [arm for arm in arms if tests.has(arm) and _covers(tests, arm, rows)]
    arrays: dict[str, Array] = {"omega": devices.omega, "truth": devices.truth}
    for arm in there:
        answer = tests.answer(arm)
        cause = answer.lane_cause[rows]
        arrays[f"{arm}__response"] = np.where(cause != 0, 0, answer.curve.response[rows])
        arrays[f"{arm}__bottom"] = np.asarray(cause != 0)
        arrays[f"{arm}__cause"] = cause
        size = answer.curve.denominator
        if size is not None and np.isfinite(size[rows]).all():
            at = np.argmin(size[rows], axis=1)
            each = np.arange(len(rows))
            arrays[f"{arm}__q_min"] = np.stack([devices.omega[each, at], size[rows][each, at]], 1)
    document = {
        "schema_name": SCHEMA,
        "schema_version": 1,
        "seed": seed,
        "arms": there,
        "rule": RULE,
        "grid": GRID,
        "traces": [
            {
                "index": index,
                "device": trace.device,
                "set": trace.group,
                "delta": float(devices.delta[index]),
                "q": float(1 / devices.delta[index]),
                "true_poles": [[float(p.real), float(p.imag)] for p in devices.poles[index]],
                "true_peak": {
                    "omega": float(devices.peak.omega[index]),
                    "db": float(devices.peak.db[index]),
                },
                "why": trace.why,
                "arm": trace.arm,
            }
            for index, trace in enumerate(chosen)
        ],
    }
    return arrays, document


def _covers(tests: Tests, arm: str, rows: Array) -> bool:
    return bool(np.isin(rows, tests.answer(arm).rows).all())
