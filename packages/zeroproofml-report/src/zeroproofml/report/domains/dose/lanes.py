"""Single test curves worth a look: the closest decisions, and the errors that ambiguity excuses least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zeroproofml.report.domains.dose.answers import Outcome
    from zeroproofml.report.domains.dose.thresholds import Point
    from zeroproofml.report.domains.ranking import Array

__all__ = ["KEPT", "PER_SEED", "closest", "farthest", "keep"]

PER_SEED = 12
KEPT = 20


def closest(seed: int, made: Outcome, point: Point) -> list[dict[str, Any]]:
    """The 12 lanes of one seed with the least |score − t|; equal margins by sample number.

    Empty where the threshold is no number: there is nothing to be close to.
    """
    if point.number is None:
        return []
    margin = made.answer.score.astype(np.float64) - point.number
    # Lanes without a value have no margin: they are ⊥ at every threshold.
    there = np.flatnonzero(made.answer.open)
    order = there[_first(np.abs(margin[there]))]
    return [_lane(seed, made, int(i), float(margin[i])) for i in order]


def farthest(seed: int, made: Outcome, point: Point) -> list[dict[str, Any]]:
    """The 12 misclassified lanes of one seed whose L lies farthest from an edge of the window.

    Curves without an effect have no L and are not among them; the confusion counts them.
    """
    distance = made.targets.from_edge
    wrong = np.flatnonzero((made.predicted != made.targets.label) & ~made.targets.no_effect)
    order = wrong[_first(-distance[wrong])]
    rows = []
    for i in order:
        number = point.number
        known = number is not None and bool(made.answer.open[i])
        margin = float(made.answer.score[i]) - number if known and number is not None else None
        rows.append(_lane(seed, made, int(i), margin) | {"from_edge": float(distance[i]) / 1e6})
    return rows


def keep(rows: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """The 20 rows of all seeds with the least |margin| or the greatest distance from an edge.

    >>> keep([{"margin": -2.0, "seed": 1, "id": 3}, {"margin": 1.0, "seed": 2, "id": 0}], "margin")
    [{'margin': 1.0, 'seed': 2, 'id': 0}, {'margin': -2.0, 'seed': 1, 'id': 3}]
    """

    def place(row: Mapping[str, Any]) -> tuple[float, int, int]:
        size = abs(row[key])
        return (size if key == "margin" else -size, row["seed"], row["id"])

    return [dict(row) for row in sorted(rows, key=place)[:KEPT]]


def _first(key: Array) -> Array:
    """Places of the 12 lowest, ascending; ties by place. All are sorted only if all are equal."""
    there = np.arange(len(key))
    if len(key) > PER_SEED:
        there = np.flatnonzero(key <= np.partition(key, PER_SEED - 1)[PER_SEED - 1])
    first: Array = there[np.argsort(key[there], kind="stable")][:PER_SEED]
    return first


def _lane(seed: int, made: Outcome, i: int, margin: float | None) -> dict[str, Any]:
    truth, given = made.targets, made.answer
    accepted, silent = bool(made.accepted[i]), bool(truth.no_effect[i])
    reasons = {}
    if silent:
        reasons["l"] = "not_applicable"
    if not accepted:
        reasons["decoded"] = "not_applicable"
    if margin is None:
        reasons["margin"] = "not_applicable"
    return {
        "seed": seed,
        "id": i,
        "score": float(given.score[i]),
        "margin": margin,
        "label": int(truth.label[i]),
        "predicted": int(made.predicted[i]),
        "l": None if silent else int(truth.micro[i]) / 1e6,
        "decoded": float(given.point[i]) if accepted else None,
        "cause": int(given.cause[i]),
        "reasons": reasons,
    }
