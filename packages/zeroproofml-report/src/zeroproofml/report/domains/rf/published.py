"""The published numbers of the classic protocol beside two-sided ones, and what they leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report import stats
from zeroproofml.report.contrasts import Value, cell
from zeroproofml.report.domains.rf.classic import EDGE
from zeroproofml.report.figures.standard import cell_words
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Table

if TYPE_CHECKING:
    from zeroproofml.report.pages.model import Cell
    from zeroproofml.report.rundir import RawRun

PATH = "aggregated/rf_published.md"
_METRICS = {
    "published_peak_retention_yield": "published yield",
    "peak_retention_yield": "two-sided yield",
    "peak_retention_yield_in": "the same, Q up to 30",
    "peak_retention_yield_extrapolation": "the same, Q above 30",
    "published_pointwise_mse": "published error",
    "extrapolation_skill": "skill above Q 30",
    "coverage_rate": "coverage",
}


def published(run: RawRun) -> Table:
    """One row per arm; the caption says what floor the published yield has, and why no claim stands."""
    law = run.protocol
    seeds = tuple(sorted(run.results))
    shares = [float(np.mean(run.arrays(seed)["data__q"] <= EDGE)) for seed in seeds]
    floor = numbers.percent(stats.mean(shares)) if shares else "unknown"
    rows: list[tuple[Cell, ...]] = []
    for arm in (arm.key for arm in law.arms if any(arm.key in run.results[s].arms for s in seeds)):
        cells = []
        for name in _METRICS:
            made = [run.results[s].arms[arm] for s in seeds if arm in run.results[s].arms]
            values = [Value(one.metrics[name], one.reasons.get(name)) for one in made]
            cells.append(cell_words(law.metrics[name], cell(values)))
        rows.append((Code(arm), *cells))
    return Table(
        f"Published numbers. The published yield asks for 0.9 of the true peak, however large or "
        f"misplaced the answer: an arm that is right up to Q = 30 has at least the trained share of "
        f"the test set, {floor}. Coverage is 1 by construction: the published denominator stays "
        "above 5e-4, its threshold is 1e-8. The law has no device without an answer, and its test "
        "set changes with the seed, so this protocol declares no claim",
        (Column("arm", align="left"), *(Column(words) for words in _METRICS.values())),
        tuple(rows),
        len(run.planned),
        seeds,
        "95 % Student-t interval",
        "aggregated/summary.json",
    )
