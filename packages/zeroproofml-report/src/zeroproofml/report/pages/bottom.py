"""⊥ accounting: how many lanes of each arm are ⊥, for which cause, and how many lie in the gap.

A domain stores the cause of every lane beside its predictions, as ``<arm>__…cause`` (bit flags of
``zeroproofml.scm.cause``); the sum over those arrays needs no domain knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.figures.standard import present_arms
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Block, Cell, Code, Column, Notice, Table
from zeroproofml.scm.cause import FAULT, SEMANTIC, count_causes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.rundir import RawRun

__all__ = ["blocks"]


def blocks(run: RawRun, protocol: Protocol) -> list[Block]:
    """The accounting of a run.

    Args:
        run: raw files; the arrays of one seed are open at a time.
        protocol: gives the order of the arms.

    Returns:
        One table, and a notice for arms that store no cause.
    """
    totals: dict[str, dict[str, int]] = {}
    causes: dict[str, dict[str, int]] = {}
    for seed in sorted(run.results):
        arrays = run.arrays(seed)
        for arm in run.config.arms:
            _add(arm, arrays, totals, causes)
    keys = [arm.key for arm in present_arms(protocol, run.config.arms)]
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        if key in totals:
            found = totals[key]
            by_cause = ", ".join(f"{name} {numbers.count(n)}" for name, n in causes[key].items())
            lanes = found["lanes"]
            share = numbers.percent(found["bottom"] / lanes) if lanes else "no lane"
            rows.append(
                (
                    Code(key),
                    numbers.count(lanes),
                    numbers.count(found["bottom"]),
                    share,
                    numbers.count(found["fault"]),
                    numbers.count(found["semantic"]),
                    numbers.count(found["gap"]) if found["gap_known"] else "not stored",
                    by_cause or "none",
                )
            )
    if not rows:
        return []
    table = Table(
        "Lanes by cause, all seeds together",
        (
            Column("arm", align="left"),
            Column("lanes"),
            Column("⊥"),
            Column("⊥ share"),
            Column("fault"),
            Column("semantic"),
            Column("gap"),
            Column("lanes by cause", align="left"),
        ),
        tuple(rows),
        len(run.planned),
        tuple(sorted(run.results)),
        None,
        "predictions.npz of each seed",
    )
    silent = [key for key in keys if key not in totals]
    note = (
        "A lane with two causes counts under both, and under fault as well as semantic if it has one "
        "of each."
    )
    if "bottom_rate" in protocol.metrics:
        note += (
            " Causes are those before any threshold: what the arm's own threshold refuses is counted "
            "by the metric bottom_rate."
        )
    if silent:
        note += f" No cause is stored for: {', '.join(silent)}."
    return [table, Notice((note,))]


def _add(
    arm: str,
    arrays: Mapping[str, NDArray[np.generic]],
    totals: dict[str, dict[str, int]],
    causes: dict[str, dict[str, int]],
) -> None:
    for name in sorted(arrays):
        if not name.startswith(f"{arm}__"):
            continue
        array = np.asarray(arrays[name])
        if name.endswith("cause") and array.dtype == np.uint8:
            found = totals.setdefault(
                arm,
                dict.fromkeys(("lanes", "bottom", "fault", "semantic", "gap", "gap_known"), 0),
            )
            found["lanes"] += array.size
            found["bottom"] += int(np.count_nonzero(array))
            found["fault"] += int(np.count_nonzero(array & int(FAULT)))
            found["semantic"] += int(np.count_nonzero(array & int(SEMANTIC)))
            counts = causes.setdefault(arm, {})
            for cause, n in count_causes(array).items():
                counts[cause] = counts.get(cause, 0) + n
        elif name.endswith(("gap", "gap_mask")) and array.dtype == np.bool_ and arm in totals:
            totals[arm]["gap"] += int(np.count_nonzero(array))
            totals[arm]["gap_known"] = 1
