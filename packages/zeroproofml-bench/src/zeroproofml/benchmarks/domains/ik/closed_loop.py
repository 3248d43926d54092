"""Closed loop along a path that crosses a pole: 200 Hz, rate limit, one arm under its policies.

All paths and all policies of an arm advance together, one step at a time. An arm is simulated on
its own, so that its bytes do not depend on which other arms run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks.domains.ik import analytic
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.benchmarks.domains.ik.data import RATE
from zeroproofml.report.domains.ik.paths import ROUTED, SATURATED, STOPPED
from zeroproofml.report.domains.ik.rows import Answer, Thresholds, from_rates, stop_cause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeroproofml.benchmarks.domains.ik.analytic import Problem
    from zeroproofml.benchmarks.domains.ik.data import Paths
    from zeroproofml.benchmarks.domains.ik.kinematics import Array, Robot

    Driver = Callable[[Array, Array, Array], Answer]

FEEDBACK = 4.0
RATE_LIMIT = 0.25 * analytic.GAIN
BUDGET = 0.10


class Reference:
    """A path's reference motion: hand poses and feed-forward velocities at every sample.

    >>> from zeroproofml.benchmarks.domains.ik import data
    >>> ref = Reference(kin.R2, data.build("r2", 1, data.SMALL).paths)
    >>> ref.q.shape, ref.velocity.shape
    ((20, 2, 2), (20, 2, 2))
    """

    def __init__(self, robot: Robot, paths: Paths) -> None:
        _, self.q = paths.reference()
        samples, count, joints = self.q.shape
        jac, hand, frame = kin.jacobian_and_hand(robot, self.q.reshape(-1, joints))
        rate = np.tile(paths.w, (samples, 1))
        velocity = np.einsum("nij,nj->ni", jac, rate)
        self.velocity = velocity.reshape(samples, count, -1)
        self.hand = hand.reshape(samples, count, 3)
        self.frame = frame.reshape(samples, count, 3, 3)
        self.sigma_min = kin.singular_values(jac)[:, -1].reshape(samples, count)


def from_problem(solve: Callable[[Problem], Array]) -> Driver:
    """An analytic solver as a driver: rows without an answer stand still."""

    def drive(q: Array, jac: Array, e: Array) -> Answer:
        del q
        y = solve(analytic.Problem.of(jac, e))
        lost = np.isnan(y[:, 0])
        cause = np.where(lost, np.uint8(4), np.uint8(0))
        return from_rates(np.where(lost[:, None], 0.0, y), cause, None)

    return drive


def drive(
    robot: Robot,
    reference: Reference,
    arm: Driver,
    suffixes: Sequence[str],
    limits: Thresholds | None,
) -> dict[str, Any]:
    """Run ``arm`` along all paths under each policy: members ``path_err…`` and ``path_state…``.

    Errors (K, M) are hand position errors in characteristic lengths at each sample, float32; states
    (K, M) tell what is done there: bits 1 routed, 2 stopped, 4 saturated.
    """
    samples, count, _ = reference.q.shape
    rows = len(suffixes) * count
    error = np.zeros((samples, rows))
    state = np.zeros((samples, rows), dtype=np.uint8)

    def every(x: Array) -> Array:
        return np.concatenate([x] * len(suffixes)) if len(suffixes) > 1 else x

    q = every(reference.q[0])
    for step in range(samples):
        jac, hand, frame = kin.jacobian_and_hand(robot, q)
        apart = every(reference.hand[step]) - hand
        error[step] = np.linalg.norm(apart, axis=1) / robot.ell
        offset = _offset(robot, apart, frame, every(reference.frame[step]))
        velocity = every(reference.velocity[step]) + FEEDBACK * offset
        speed = np.linalg.norm(velocity, axis=1, keepdims=True)
        e = velocity / np.where(speed > 0, speed, 1.0)
        y, state[step] = _policies(arm(q, jac, e), suffixes, count, limits, jac, e)
        rates = y * speed
        state[step, np.linalg.norm(rates, axis=1) > RATE_LIMIT] |= SATURATED
        q = q + analytic.limited(rates, RATE_LIMIT) / RATE
    out: dict[str, Any] = {}
    for k, suffix in enumerate(suffixes):
        part = slice(k * count, (k + 1) * count)
        out[f"path_err{suffix}"] = np.ascontiguousarray(error[:, part].T.astype(np.float32))
        out[f"path_state{suffix}"] = np.ascontiguousarray(state[:, part].T)
    return out


def _offset(robot: Robot, apart: Array, frame: Array, towards: Array) -> Array:
    """Pose error (N, m): position in characteristic lengths, and ½·vee(M − Mᵀ) of M = R_ref·Rᵀ."""
    if robot.planar:
        return apart[:, :2] / robot.ell
    turn = np.matmul(towards, np.swapaxes(frame, 1, 2))
    vee = np.stack(
        [
            turn[:, 2, 1] - turn[:, 1, 2],
            turn[:, 0, 2] - turn[:, 2, 0],
            turn[:, 1, 0] - turn[:, 0, 1],
        ],
        axis=1,
    )
    return np.concatenate([apart / robot.ell, 0.5 * vee], axis=1)


def _policies(
    answer: Answer,
    suffixes: Sequence[str],
    count: int,
    limits: Thresholds | None,
    jac: Array,
    e: Array,
) -> tuple[Array, Any]:
    y, bits = answer.y, np.where(answer.cause != 0, np.uint8(STOPPED), np.uint8(0))
    if limits is None or answer.score is None:
        return y, bits
    y = y.copy()
    for k, suffix in enumerate(suffixes):
        part = slice(k * count, (k + 1) * count)
        if suffix == "_hyb10":
            routed = np.zeros(len(y), dtype=bool)
            routed[part] = answer.score[part] < limits.budget[BUDGET]
            if routed.any():
                y[routed] = analytic.ideal(analytic.Problem.of(jac[routed], e[routed]))
                bits[routed] = ROUTED
        elif suffix == "_stop":
            stopped = np.zeros(len(y), dtype=bool)
            stopped[part] = stop_cause(answer, limits)[part] != 0
            y[stopped] = 0.0
            bits[stopped] = STOPPED
    return y, bits
