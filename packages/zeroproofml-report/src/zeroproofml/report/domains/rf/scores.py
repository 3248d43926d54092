"""How well a score orders devices by risk: areas under curves, ties and all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ranking import Null

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array, Value


def order(score: Array) -> Array:
    """Devices (n,) from the safest on; ties in the order of their index.

    >>> order(np.array([0.1, 0.5, 0.1])).tolist()
    [1, 0, 2]
    """
    return np.argsort(-score, kind="stable")


def risk_curve(loss: Array, ranked: Array) -> Array:
    """Mean loss of the first k = 1 … n devices in this order (n,).

    >>> risk_curve(np.array([1.0, 0.0]), np.array([1, 0])).tolist()
    [0.0, 0.5]
    """
    curve: Array = np.cumsum(loss[ranked]) / np.arange(1, len(ranked) + 1)
    return curve


def aurc(loss: Array, score: Array) -> Value:
    """Area under the risk-coverage curve: the mean over k of the mean loss of the first k.

    >>> aurc(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    0.25
    """
    if not len(loss):
        return Null("empty_set")
    return math.fsum(risk_curve(loss, order(score)).tolist()) / len(loss)


def excess_aurc(loss: Array, score: Array) -> Value:
    """The same area above that of the best order, which takes the devices by their loss.

    >>> excess_aurc(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    0.0
    """
    own, best = aurc(loss, score), aurc(loss, -loss)
    return own if isinstance(own, Null) or isinstance(best, Null) else own - best
