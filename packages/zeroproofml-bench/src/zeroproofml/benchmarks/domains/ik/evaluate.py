"""What an arm stores for the evaluation rows of one robot, and what is said about it beside metrics.

Metrics and thresholds are the functions of `zeroproofml.report.domains.ik`: none is copied here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks.domains.ik import analytic
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.benchmarks.domains.ik.closed_loop import Reference
from zeroproofml.benchmarks.domains.ik.data import BY_RANGE, POLE
from zeroproofml.report.domains.ik.rows import SETS, Answer, RobotRows, from_rates, from_tuples
from zeroproofml.scm.cause import Cause, count_causes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroproofml.benchmarks.domains.ik.analytic import Problem
    from zeroproofml.benchmarks.domains.ik.data import RobotData, Rows
    from zeroproofml.benchmarks.domains.ik.kinematics import Array
    from zeroproofml.report.domains.ik.rows import Thresholds

LEVELS = (0.01, 0.05, 0.50, 0.95, 0.99)
_WORST = 10
_FLIP_NAMES = {8: "flip_003", 9: "flip_010", 10: "flip_030"}
_SET_NAMES = {code: name for name, code in SETS.items()} | _FLIP_NAMES


@dataclass
class Bench:
    """One robot and seed, ready for every arm: train algebra, evaluation rows, reference paths."""

    data: RobotData
    train: Problem
    rows: Rows
    problem: Problem
    reference: Reference
    kappa: float
    scale: float
    threshold: float
    mean_label: Array
    members: dict[str, Any]

    @classmethod
    def of(cls, data: RobotData) -> Bench:
        """Factorise every row once and write the data members."""
        robot, rows = data.robot, data.evaluation()
        train = analytic.Problem.of(kin.jacobian(robot, data.train.q), data.train.e)
        jac, hand, _ = kin.jacobian_and_hand(robot, rows.q)
        problem = analytic.Problem.of(jac, rows.e)
        kappa, scale = analytic.tuple_scale(train)
        w = np.prod(train.sigma[data.natural_rows], axis=1)
        reference = Reference(robot, data.paths)
        kept = -(-len(data.paths.q) // 4)
        members = {
            "q": rows.q,
            "e": rows.e,
            "jac": jac,
            "set": rows.set,
            "label": rows.label,
            "family": rows.family,
            "pair": rows.pair,
            "sigma": problem.sigma,
            "det": problem.adjugate_det[1],
            "xyz": hand.astype(np.float32),
            "kappa": np.array([kappa]),
            "path_sigma": reference.sigma_min[:, :kept].T.astype(np.float32),
        }
        return cls(
            data,
            train,
            rows,
            problem,
            reference,
            kappa,
            scale,
            float(np.quantile(w, 0.2)),
            np.mean(analytic.damped(train), axis=0),
            members,
        )

    @property
    def stored(self) -> RobotRows:
        """The rows as the metrics see them."""
        name = self.data.robot.name
        return RobotRows({f"data__{name}_{key}": v for key, v in self.members.items()}, name)


def solver(bench: Bench, arm: str) -> Callable[[Problem], Array]:
    """The analytic solver of ``arm`` with the numbers that were fitted on train rows."""
    if arm == "zero":
        return lambda problem: np.zeros_like(problem.e)
    if arm == "mean":
        return lambda problem: np.tile(bench.mean_label, (len(problem.e), 1))
    if arm == "dls_manip":
        return lambda problem: analytic.manipulability_damped(problem, bench.threshold)
    return analytic.SOLVERS[arm]


def analytic_answer(bench: Bench, arm: str) -> Answer:
    """The answer of an arm that is not trained, on all evaluation rows."""
    score = None if arm in ("zero", "mean") else bench.problem.sigma[:, -1].astype(np.float32)
    if arm == "label_tuple":
        return _true_tuples(bench)
    y = solver(bench, arm)(bench.problem)
    lost = np.isnan(y[:, 0])
    cause = np.where(lost, np.uint8(Cause.DIV_ZERO), np.uint8(0))
    return from_rates(np.where(lost[:, None], 0.0, y), cause, score)


def _true_tuples(bench: Bench) -> Answer:
    p, q = analytic.tuple_targets(bench.problem, bench.kappa, bench.scale)
    # On the pole the zeros are known by construction, not by a computed determinant.
    q = np.where(bench.rows.set == POLE, 0.0, q)
    p = np.where((bench.rows.label == BY_RANGE)[:, None], 0.0, p)
    return from_tuples(p, q, bench.kappa, np.zeros(len(q), dtype=np.uint8))


def members(answer: Answer, *, exact: bool) -> dict[str, Any]:
    """The stored form of an answer: float64 for the ceilings, float32 for the others.

    >>> zero = from_rates(np.zeros((1, 2)), np.zeros(1, dtype=np.uint8), None)
    >>> {name: str(value.dtype) for name, value in members(zero, exact=False).items()}
    {'cause': 'uint8', 'y': 'float32'}
    """
    real = np.float64 if exact else np.float32
    out: dict[str, Any] = {"cause": answer.cause.astype(np.uint8)}
    if answer.p is None or answer.q is None:
        out["y"] = answer.y.astype(real)
    else:
        out["p"], out["q"] = answer.p.astype(real), answer.q.astype(real)
    if answer.score is not None:
        out["score"] = answer.score.astype(np.float32)
    return out


def diagnostics(
    bench: Bench, answer: Answer, limits: Thresholds | None, training: Mapping[str, Any]
) -> dict[str, Any]:
    """Per robot: training, tuple scales, thresholds, score quantiles, causes, the worst rows."""
    stored = bench.stored
    test = np.flatnonzero(~stored.cal)
    residual = stored.residual(answer.y)
    order = test[np.argsort(-residual[test], kind="stable")[:_WORST]]
    out: dict[str, Any] = dict(training)
    out["kappa"], out["scale"] = bench.kappa, bench.scale
    names = ("tau_pole", "tau_05", "tau_10", "tau_20", "tau_range", "sign_g", "score_quantiles")
    out.update(dict.fromkeys(names))
    if limits is not None and answer.score is not None:
        out["tau_pole"], out["tau_range"], out["sign_g"] = limits.pole, limits.size, limits.sign
        for budget, tau in limits.budget.items():
            out[f"tau_{round(100 * budget):02d}"] = tau
        out["score_quantiles"] = [float(x) for x in np.quantile(answer.score[test], LEVELS)]
    out["causes"] = count_causes(answer.cause[test])
    out["worst"] = [
        {
            "row": int(row),
            "set": _SET_NAMES[int(stored.sets[row])],
            "sigma": float(stored.sigma_min[row]),
            "det": float(stored.det[row]),
            "residual": float(residual[row]),
        }
        for row in order
    ]
    return out
