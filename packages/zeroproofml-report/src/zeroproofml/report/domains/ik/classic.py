"""The classic protocol: the published law of zeroproofml 0.6.1, for comparison only; no claims.

Finite damped labels on a unit arm with equal links. Beside the published numbers stand the rows
that were never shown, and the error that the hand makes when it follows the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.contract.derived import MetricDefinition
from zeroproofml.report.domains import ArmMetrics, packaged
from zeroproofml.report.domains.ranking import Null, mean, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.ranking import Array, Value

BUCKETS = 5
EDGES = (1e-5, 1e-4, 1e-3, 1e-2)
"""Upper edges of the buckets B0 … B3 of abs sin t2; B4 is the rest."""


def hand(q: Array) -> Array:
    """Hand position (N, 2) of the arm with links 1, 1.

    >>> hand(np.array([[0.0, 0.0]])).tolist()
    [[2.0, 0.0]]
    """
    both = q[:, 0] + q[:, 1]
    return np.stack([np.cos(q[:, 0]) + np.cos(both), np.sin(q[:, 0]) + np.sin(both)], axis=1)


def seed_metrics(
    arrays: Mapping[str, Any], settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Metrics of ``arms`` from the arrays of one seed."""
    del settings
    return {arm: packaged.split(_arm_metrics(arrays, arm)) for arm in arms}


def _arm_metrics(arrays: Mapping[str, Any], arm: str) -> dict[str, Value]:
    q, e, label = arrays["data__q"], arrays["data__e"], arrays["data__label"]
    y = arrays[f"{arm}__y"].astype(np.float64)
    valid = arrays[f"{arm}__cause"] == 0
    square = np.mean((y - label) ** 2, axis=1)
    mse, zero = mean(square[valid]), mean(np.mean(label**2, axis=1))
    out: dict[str, Value] = {
        "mse": mse,
        "mae": mean(np.mean(np.abs(y - label), axis=1)[valid]),
        "coverage": share(valid),
        # A refused row moves nothing: it is paid for here, whatever the columns before say.
        "task_error": mean(np.linalg.norm(hand(q + y) - hand(q) - e, axis=1)),
    }
    if isinstance(mse, Null) or isinstance(zero, Null):
        out["nmse"] = Null("empty_set")
    else:
        out["nmse"] = mse / zero if zero > 0 else Null("zero_denominator")
    for bucket in range(BUCKETS):
        out[f"b{bucket}_mse"] = mean(square[valid & (arrays["data__bucket"] == bucket)])
    tuples = arrays.get(f"{arm}__q")
    out["min_abs_q"] = Null("not_applicable") if tuples is None else float(np.abs(tuples).min())
    return out


def members(
    settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Members that predictions.npz may hold: name → (dtype, shape)."""
    n = settings["test_rows"]
    out: dict[str, tuple[str, tuple[int | None, ...]]] = {
        **{f"data__{name}": ("<f8", (n, 2)) for name in ("q", "e", "label")},
        "data__bucket": ("|i1", (n,)),
        "data__index": ("<i4", (n,)),
    }
    for arm in arms:
        learned = arm in LEARNED
        out[f"{arm}__y"] = ("<f4" if learned else "<f8", (n, 2))
        out[f"{arm}__cause"] = ("|u1", (n,))
        if arm == "scm_basic":
            out[f"{arm}__q"] = ("<f4", (n, 2))
    return out


def _definitions(entries: Sequence[Mapping[str, Any]]) -> dict[str, MetricDefinition]:
    return {
        entry["name"]: MetricDefinition(
            direction=entry["direction"],
            unit=entry["unit"],
            bounds=tuple(entry["bounds"]),
            kind=entry["kind"],
            text=entry["text"],
        )
        for entry in entries
    }


CLASSIC = packaged.load("ik", "classic", _definitions, seed_metrics=seed_metrics, members=members)
LEARNED = frozenset(arm.key for arm in CLASSIC.arms if arm.role == "learned")
