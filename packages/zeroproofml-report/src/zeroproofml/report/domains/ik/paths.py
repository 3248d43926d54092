"""Metrics of the closed-loop paths, from stored tracking errors and states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains.ranking import Null, mean, quantile, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.ranking import Value

RATE = 200.0
ROUTED, STOPPED, SATURATED = 1, 2, 4
COMPLETE = 0.01
SUFFIXES = ("", "_hyb10", "_stop")
NAMES = ("rmse", "max_p50", "max_p95", "complete", "routed", "switches", "saturated")


def path_metrics(arrays: Mapping[str, Any], arm: str, robot: str) -> dict[str, Value]:
    """The seven path metrics under each policy; ``not_applicable`` where the policy was not run."""
    out: dict[str, Value] = {}
    for suffix in SUFFIXES:
        key = f"{arm}__{robot}_path_"
        error = arrays.get(f"{key}err{suffix}")
        if error is None:
            values: dict[str, Value] = dict.fromkeys(NAMES, Null("not_applicable"))
        else:
            values = of_paths(error, arrays[f"{key}state{suffix}"])
        out.update({f"path_{name}{suffix}": value for name, value in values.items()})
    return out


def of_paths(error: Any, state: Any) -> dict[str, Value]:
    """Metrics of tracking errors (K, M), in characteristic lengths, and state bits (K, M).

    >>> values = of_paths(np.array([[0.0, 0.02]]), np.array([[0, 1]], dtype=np.uint8))
    >>> values["complete"], values["routed"], values["switches"]
    (0.0, 0.5, 100.0)
    """
    if error.size == 0:
        return dict.fromkeys(NAMES, Null("empty_set"))
    error = error.astype(np.float64)
    square = mean((error * error).ravel())
    largest = error.max(axis=1)
    mode = state & (ROUTED | STOPPED)
    changes = np.count_nonzero(mode[:, 1:] != mode[:, :-1])
    return {
        "rmse": math.sqrt(float(square)),
        "max_p50": quantile(largest, 0.5),
        "max_p95": quantile(largest, 0.95),
        "complete": share(error[:, -1] < COMPLETE),
        "routed": share((state & ROUTED != 0).ravel()),
        "switches": float(changes) * RATE / error.size,
        "saturated": share((state & SATURATED != 0).ravel()),
    }
