"""What an arm stores for a set of curves, and what is said about it beside its metrics.

Thresholds, the decode rule and the metrics are the functions of `zeroproofml.report.domains.dose`:
none is copied here. Everything stored is float32, and thresholds act on the stored numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, softmax

from zeroproofml.benchmarks.domains.dose.data import EDGE, MIDDLE
from zeroproofml.report.domains.dose import record
from zeroproofml.report.domains.dose.answers import Outcome, accept
from zeroproofml.report.domains.dose.answers import answer as stored_answer
from zeroproofml.report.domains.dose.protocol import points
from zeroproofml.scm.cause import FAULT, Cause
from zeroproofml.scm.inference import InferenceConfig, gauge_value, strict_inference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.dose.bayes import Posterior
    from zeroproofml.benchmarks.domains.dose.recipes import Recipe
    from zeroproofml.report.domains.dose.answers import Targets
    from zeroproofml.report.domains.dose.arms import DoseArm, Gauge
    from zeroproofml.report.domains.dose.thresholds import Point


def tuples(p: Any, q: Any, gauge: Gauge, side: Any = None) -> dict[str, Any]:
    """Stored columns of an arm that gives tuples (P, Q), float32 (n,).

    ``side`` (n,) is the direction head's answer; without one the sign of P is the direction.

    >>> from zeroproofml.report.domains.dose.arms import Gauge
    >>> p, q = np.array([3.0, -1.0], np.float32), np.array([4.0, 0.0], np.float32)
    >>> made = tuples(p, q, Gauge(-7.0, 1.0))
    >>> made["score"].tolist(), made["point"].tolist(), made["cause"].tolist()
    ([0.800000011920929, 0.0], [-6.25, 0.0], [0, 4])
    """
    result = strict_inference(p, q, InferenceConfig(tau_infer=record.accept_all(), gauge="l2"))
    score = gauge_value(p, q, "l2")
    with np.errstate(all="ignore"):
        orient = p / np.hypot(p.astype(np.float64), q)
        center, scale = np.float32(gauge.center), np.float32(gauge.scale)
        point, bare = center + scale * result.decoded, center + scale * (p / q)
    orient = np.where((p == 0) & (q == 0), 0.0, orient).astype(np.float32)
    # A value beyond float32 is a fault: its score alone would only be too small.
    lost = np.isfinite(p) & np.isfinite(q) & (q != 0) & ~np.isfinite(bare)
    cause = np.where(lost, result.cause | np.uint8(Cause.OVERFLOW), result.cause)
    if side is not None:
        cause = np.where(np.isfinite(side), cause, cause | np.uint8(Cause.NONFINITE))
    columns = {
        "score": score,
        "q": np.copysign(score, q),
        "direction": orient if side is None else side,
    }
    if side is not None:
        columns["orient"] = orient
    sound = (cause & np.uint8(FAULT)) == 0
    made = {name: np.where(sound, column, np.float32(0)) for name, column in columns.items()}
    made["point"] = np.where(cause == 0, point, np.float32(0))
    return {**made, "cause": cause}


def numbers(score: Any, direction: Any, point: Any, **extra: Any) -> dict[str, Any]:
    """Stored columns of an arm that gives numbers, from float64 (n,); ``extra`` may be (n, 3).

    >>> made = numbers(np.array([1.0, np.nan]), np.ones(2), np.ones(2))
    >>> made["score"].tolist(), made["cause"].tolist()
    ([1.0, 0.0], [0, 2])
    """
    with np.errstate(over="ignore"):
        columns = {"score": score, "direction": direction, "point": point, **extra}
        columns = {name: np.asarray(column, np.float32) for name, column in columns.items()}
    n = len(columns["score"])
    sound = np.logical_and.reduce(
        [np.isfinite(column.reshape(n, -1)).all(axis=1) for column in columns.values()]
    )
    made = {
        name: np.where(sound if column.ndim == 1 else sound[:, None], column, np.float32(0))
        for name, column in columns.items()
    }
    made["cause"] = np.where(sound, np.uint8(0), np.uint8(Cause.NONFINITE))
    return made


def learned(recipe: Recipe, arm: DoseArm, out: Any, p: Any = None, q: Any = None) -> dict[str, Any]:
    """Stored columns of a trained arm from its head outputs (n, k) and, for tuples, (P, Q), float32."""
    if arm.gauge is not None:
        side = None if recipe.side == "none" else out[:, 3] - out[:, 2]
        return tuples(p, q, arm.gauge, side)
    out = out.astype(np.float64)
    with np.errstate(all="ignore"):
        if recipe.loss == "two_stage":
            prob = softmax(out[:, :3], axis=1)
            value = out[:, 3] + recipe.center
            return numbers(prob[:, 1], out[:, 2] - out[:, 0], value, prob=prob)
        if recipe.loss == "tobit":
            return _censored(2.0 * out[:, 0], np.exp(np.clip(out[:, 1], -5.0, 3.0)))
        return distance(out[:, 0] + (recipe.center - MIDDLE))


def distance(offset: Any) -> dict[str, Any]:
    """Stored columns of an arm that gives one number: its offset (n,) from the window's middle.

    >>> distance(np.array([-3.0]))["score"].tolist()
    [-1.0]
    """
    return numbers(EDGE - np.abs(offset), offset, offset + MIDDLE)


def _censored(mean: Any, width: Any) -> dict[str, Any]:
    below, above = ndtr((-EDGE - mean) / width), ndtr((mean - EDGE) / width)
    inside = np.maximum(1.0 - below - above, 0.0)
    prob = np.stack([below, inside, above], axis=1)
    return numbers(inside, above - below, mean + MIDDLE, prob=prob, sd=width)


def analytic(arm: str, protocol: str, n: int, found: Posterior | None) -> dict[str, Any]:
    """Stored columns of an arm that is not trained, for ``n`` curves; ``found`` is their posterior.

    >>> analytic("constant", "standard", 1, None)["direction"].tolist()
    [1.0]
    """
    if arm == "constant" or found is None:
        zero = np.zeros(n)
        return numbers(zero, zero + 1.0, zero + MIDDLE)
    side = found.prob[:, 2] - found.prob[:, 0]
    if arm == "bayes_oracle":
        return numbers(found.prob[:, 1], side, found.median, prob=found.prob, sd=found.sd)
    made = distance(found.fit - MIDDLE)
    if protocol == "classic":
        # A fitted curve cannot say that the compound does nothing; there it looks saturated.
        made["direction"] = side.astype(np.float32)
    return made


def confusion(
    arm: DoseArm, arrays: Mapping[str, Any], test: Targets, point: Point
) -> list[list[int]] | None:
    """Counts on test, true class by predicted one (fault last); None where no threshold qualifies."""
    if point.t is None:
        return None
    given = stored_answer(arrays, arm.key, "test")
    counts: list[list[int]] = Outcome(test, given, accept(given, point.t)).confusion.tolist()
    return counts


def judged(
    arm: DoseArm, arrays: Mapping[str, Any], cal: Targets, test: Targets
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, str]]:
    """Diagnostics and thresholds of an arm from its stored columns, and reasons for their nulls.

    Thresholds are chosen on the calibration curves ``cal``; ``test`` is counted at the balanced one.
    """
    made = points(arm, stored_answer(arrays, arm.key, "cal"), cal)
    said, reasons = record.diagnostics(arm, made)
    said["confusion"] = confusion(arm, arrays, test, made["balanced"])
    if said["confusion"] is None:
        reasons["diagnostics.confusion"] = "not_applicable"
    thresholds, more = record.thresholds(arm, made)
    return said, thresholds, reasons | more
