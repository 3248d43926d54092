"""Closed loop: the limit holds, a halt is a halt, the solver takes over where it is asked to."""

from __future__ import annotations

import numpy as np
import pytest

from zeroproofml.benchmarks.domains.ik import analytic, closed_loop, data
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.report.domains.ik.paths import ROUTED, SATURATED, STOPPED, of_paths
from zeroproofml.report.domains.ik.rows import Thresholds, from_rates

SIZES = {**data.SMALL, "paths": 8, "path_steps": 200}


@pytest.fixture(scope="module", params=["r2", "ur5"])
def course(request):
    built = data.build(request.param, 1, SIZES)
    return built.robot, closed_loop.Reference(built.robot, built.paths)


def none(count):
    return np.zeros(count, dtype=np.uint8)


def test_reference_velocity_is_the_derivative_of_the_hand(course):
    robot, reference = course
    speed = (reference.hand[2:] - reference.hand[:-2]) * 100 / robot.ell
    rows = 2 if robot.planar else 3
    assert np.abs(speed[..., :rows] - reference.velocity[1:-1, :, :rows]).max() < 1e-3


def test_ideal_tracks_and_standing_still_does_not(course):
    robot, reference = course
    ideal = closed_loop.from_problem(analytic.ideal)
    best = closed_loop.drive(robot, reference, ideal, ("",), None)
    assert of_paths(best["path_err"], best["path_state"])["complete"] == 1
    assert of_paths(best["path_err"], best["path_state"])["rmse"] < 0.002
    assert (best["path_err"][:, 0] == 0).all()
    still = closed_loop.from_problem(lambda problem: np.zeros_like(problem.e))
    none_at_all = closed_loop.drive(robot, reference, still, ("",), None)
    apart = np.linalg.norm(reference.hand - reference.hand[0], axis=2).T / robot.ell
    assert np.allclose(none_at_all["path_err"], apart, atol=1e-7)


def test_the_rate_limit_is_never_exceeded(course):
    robot, reference = course
    seen = []

    def wild(q, jac, e):
        seen.append(q.copy())
        return from_rates(np.full_like(q, 1e6), none(len(q)), None)

    made = closed_loop.drive(robot, reference, wild, ("",), None)
    rates = np.linalg.norm(np.diff(np.stack(seen), axis=0), axis=2) * 200
    assert rates.max() <= 2.5 * (1 + 1e-9)
    assert (made["path_state"] & SATURATED).all()


def test_halting_is_stopped_and_never_tracked(course):
    robot, reference = course
    limits = Thresholds(pole=1.0, budget={0.05: 0.0, 0.10: 0.0, 0.20: 0.0}, size=None, sign=None)

    def refuse(q, jac, e):
        y = analytic.ideal(analytic.Problem.of(jac, e))
        return from_rates(y, none(len(q)), np.zeros(len(q)))  # score 0 < τ_pole everywhere

    made = closed_loop.drive(robot, reference, refuse, ("", "_stop"), limits)
    assert (made["path_state_stop"] == STOPPED).all()
    assert ((made["path_state"] & STOPPED) == 0).all()
    moving = np.linalg.norm(reference.hand[-1] - reference.hand[0], axis=1) / robot.ell > 0.01
    assert moving.any()
    assert (made["path_err_stop"][moving, -1] > 0.01).all()
    assert of_paths(made["path_err"], made["path_state"])["complete"] == 1


def test_a_hybrid_that_routes_every_row_is_ideal(course):
    robot, reference = course
    limits = Thresholds(pole=0.0, budget={0.05: 1.0, 0.10: 1.0, 0.20: 1.0}, size=None, sign=None)

    def noise(q, jac, e):
        return from_rates(np.ones_like(q), none(len(q)), np.zeros(len(q)))

    hybrid = closed_loop.drive(robot, reference, noise, ("_hyb10",), limits)
    ideal = closed_loop.from_problem(analytic.ideal)
    best = closed_loop.drive(robot, reference, ideal, ("",), None)
    assert np.array_equal(hybrid["path_err_hyb10"], best["path_err"])
    assert (hybrid["path_state_hyb10"] & ROUTED).all()


def test_policies_of_one_arm_do_not_disturb_each_other(course):
    robot, reference = course
    limits = Thresholds(pole=0.02, budget={0.05: 0.0, 0.10: 0.1, 0.20: 0.0}, size=None, sign=None)

    def damped(q, jac, e):
        problem = analytic.Problem.of(jac, e)
        return from_rates(analytic.damped(problem), none(len(q)), problem.sigma[:, -1])

    both = closed_loop.drive(robot, reference, damped, ("", "_hyb10", "_stop"), limits)
    for suffix in ("", "_hyb10", "_stop"):
        alone = closed_loop.drive(robot, reference, damped, (suffix,), limits)
        assert np.array_equal(both[f"path_err{suffix}"], alone[f"path_err{suffix}"])
        assert np.array_equal(both[f"path_state{suffix}"], alone[f"path_state{suffix}"])


def test_inverse_stands_still_on_an_exact_pole():
    q, _ = kin.to_pole(kin.R2, np.array([[0.3, 1.0]]), np.array([0]))
    drive = closed_loop.from_problem(analytic.inverse)
    found = drive(q, kin.jacobian(kin.R2, q), np.array([[1.0, 0.0]]))
    assert (found.y == 0).all()
    assert found.cause.tolist() == [4]
