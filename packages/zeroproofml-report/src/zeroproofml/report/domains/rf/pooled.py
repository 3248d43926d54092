"""The domain's derived files: refusal against thresholds and coverage, and failed peaks, over seeds.

`aggregated/rf_refusal.json` and `aggregated/rf_failures.json` are what the figures draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zeroproofml.report import stats
from zeroproofml.report.domains.packaged import head
from zeroproofml.report.domains.ranking import Null, share
from zeroproofml.report.domains.rf import failures, members, scores, sections
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.domains.rf.classic import TestRows
from zeroproofml.report.domains.rf.metrics import losses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.domains.rf.failures import Example
    from zeroproofml.report.rundir import RawRun

REFUSAL = "aggregated/rf_refusal.json"
FAILURES = "aggregated/rf_failures.json"
COVERAGE = tuple(k / 20 for k in range(1, 21))
"""Coverages at which a risk curve is read."""
OPTIMUM = "scm_rational"
"""The arm whose losses, put in their best order, are the bound of the risk curves."""
_RATES = ("recall_neg", "recall_axis", *(f"false_bottom_{name}" for name in members.BINS))


def open_seed(run: RawRun, seed: int, like: TestSet | TestRows | None = None) -> TestSet | TestRows:
    """The test devices of one seed under the run's protocol; ``like`` is another seed of it."""
    settings = cast("Any", run.config.settings)
    arrays = run.arrays(seed)
    if run.config.protocol.name == "classic":
        return TestRows(arrays)
    return TestSet(arrays, settings, like if isinstance(like, TestSet) else None)


def answering(run: RawRun, seed: int) -> list[str]:
    """Arms that gave an answer in this seed, in declared order."""
    made = run.results[seed].arms
    return [a.key for a in run.protocol.arms if a.key in made and made[a.key].status == "ok"]


def aggregates(run: RawRun) -> dict[str, dict[str, Any]]:
    """The derived files of a run: path → plain JSON data."""
    pooled, tests = Pooled(), None
    for seed in sorted(run.results):
        tests = open_seed(run, seed, tests)
        pooled.add(tests, answering(run, seed), seed)
    out = {FAILURES: {**head(run, "rf_failures"), **pooled.failed()}}
    if run.config.protocol.name == "standard":
        out[REFUSAL] = {**head(run, "rf_refusal"), **pooled.refused()}
    return out


class Pooled:
    """What the arms of all seeds add up to."""

    def __init__(self) -> None:
        self._sweeps: dict[str, list[dict[str, list[float | None]]]] = {}
        self._risks: dict[str, list[list[float]]] = {}
        self._points: dict[str, list[tuple[float, float] | None]] = {}
        self._best: list[list[float]] = []
        self._examined: dict[str, int] = {}
        self._found: dict[str, list[Example]] = {}

    def add(self, tests: TestSet | TestRows, arms: Iterable[str], seed: int) -> None:
        """Take the arms of one seed."""
        for arm in arms:
            if arm != "oracle":
                mine = self._found.setdefault(arm, [])
                mine += failures.candidates(tests, arm, seed)
                done = self._examined.get(arm, 0)
                self._examined[arm] = done + failures.examined(tests, arm)
            if isinstance(tests, TestSet):
                self._refusal(tests, arm)

    def _refusal(self, tests: TestSet, arm: str) -> None:
        answer = tests.answer(arm)
        if arm in members.SECTION_ARMS and answer.sections is not None:
            self._sweeps.setdefault(arm, []).append(sweep(tests, answer.sections))
        if answer.score is None or answer.causes is None or arm == "oracle":
            return
        lost, accepted = losses(tests, answer), answer.causes == 0
        self._risks.setdefault(arm, []).append(at_coverage(lost, scores.order(answer.score)))
        risk = share(lost[accepted] > 0)
        point = None if isinstance(risk, Null) else (float(share(accepted)), float(risk))
        self._points.setdefault(arm, []).append(point)
        if arm == OPTIMUM:
            self._best.append(at_coverage(lost, scores.order(-lost)))

    def refused(self) -> dict[str, Any]:
        """Sweeps and risk curves: mean over seeds, and lowest and highest seed."""
        return {
            "tau": list(sections.SWEEP),
            "tau_infer": sections.TAU_INFER,
            "tau_safe": sections.TAU_SAFE,
            "sweeps": {
                arm: {
                    "seeds": len(made),
                    **{rate: _means([each[rate] for each in made]) for rate in _RATES},
                }
                for arm, made in self._sweeps.items()
            },
            "coverage": list(COVERAGE),
            "risks": {
                arm: {**_envelope(made), "chosen": _centre(self._points[arm])}
                for arm, made in self._risks.items()
            },
            "best": _envelope(self._best) if self._best else {},
            "best_of": OPTIMUM,
        }

    def failed(self) -> dict[str, Any]:
        """Counts of failed peaks per arm, and the examples shown."""
        arms = list(self._found)
        everything = [each for found in self._found.values() for each in found]
        picked = {kind: failures.pick(everything, arms, kind) for kind in failures.KINDS}
        return {
            "counts": {
                arm: {
                    "examined": self._examined[arm],
                    **{k: sum(e.kind == k for e in self._found[arm]) for k in failures.KINDS},
                }
                for arm in arms
            },
            "examples": [
                {
                    "kind": each.kind,
                    "arm": each.arm,
                    "seed": each.seed,
                    "device": each.device,
                    "severity": each.severity,
                    "ratio": each.ratio,
                    "offset": each.offset,
                }
                for kind in failures.KINDS
                for each in picked[kind]
            ],
        }


def sweep(tests: TestSet, head: Array) -> dict[str, list[float | None]]:
    """Refused share of the sets without a steady state and of each stable bin, by threshold."""
    codes = {"recall_neg": members.NEG, "recall_axis": members.AXIS}
    codes |= {f"false_bottom_{name}": code for code, name in enumerate(members.BINS)}
    out: dict[str, list[float | None]] = {rate: [] for rate in codes}
    for tau in sections.SWEEP:
        refused = sections.device_cause(head, tau) != 0
        for rate, code in codes.items():
            found = share(refused[tests.sets == code])
            out[rate].append(None if isinstance(found, Null) else found)
    return out


def at_coverage(lost: Array, ranked: Array) -> list[float]:
    """Risk at each of `COVERAGE`, of devices accepted in this order.

    >>> import numpy as np
    >>> at_coverage(np.array([1.0, 0.0]), np.array([1, 0]))[9::10]
    [0.0, 0.5]
    """
    curve = scores.risk_curve(lost, ranked)
    return [float(curve[max(1, round(c * len(curve))) - 1]) for c in COVERAGE]


def _means(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Mean over seeds at each place, null where a seed has none."""
    made: list[float | None] = []
    for column in zip(*columns, strict=True):
        held = [x for x in column if x is not None]
        made.append(stats.mean(held) if len(held) == len(column) else None)
    return made


def _envelope(curves: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    columns = list(zip(*curves, strict=True))
    return {
        "mean": [stats.mean(column) for column in columns],
        "low": [min(column) for column in columns],
        "high": [max(column) for column in columns],
    }


def _centre(points: Sequence[tuple[float, float] | None]) -> list[float] | None:
    """The mean operating point, if every seed has one."""
    held = [point for point in points if point is not None]
    if not held or len(held) < len(points):
        return None
    return [stats.mean([x for x, _ in held]), stats.mean([y for _, y in held])]
