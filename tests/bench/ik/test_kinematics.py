"""Kinematics against finite differences, the LU determinant and the closed-form factors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from zeroproofml.benchmarks.domains.ik import analytic
from zeroproofml.benchmarks.domains.ik import kinematics as kin

ALL = (kin.R2, kin.UR5, kin.PUMA560)


def poses(robot, count=500, seed=0):
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, (count, robot.n_joints))


def rotation_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    out = np.zeros((len(angle), 3, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1], out[:, 2, 2] = c, -s, s, c, 1
    return out


@pytest.mark.parametrize("robot", ALL, ids=lambda robot: robot.name)
def test_chain_is_the_product_of_the_four_elementary_motions(robot):
    q = poses(robot, 20)
    hand, frame = kin.fk(robot, q)
    for row in range(len(q)):
        total = np.eye(4)
        for i in range(robot.n_joints):
            c, s = np.cos(q[row, i]), np.sin(q[row, i])
            ca, sa = np.cos(robot.alpha[i]), np.sin(robot.alpha[i])
            rz = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
            rx = np.array([[1, 0, 0, 0], [0, ca, -sa, 0], [0, sa, ca, 0], [0, 0, 0, 1]])
            move = np.eye(4)
            move[0, 3], move[2, 3] = robot.a[i], robot.d[i]
            total = total @ rz @ move @ rx
        assert_allclose(hand[row], total[:3, 3], atol=1e-14)
        assert_allclose(frame[row], total[:3, :3], atol=1e-14)


@pytest.mark.parametrize("robot", ALL, ids=lambda robot: robot.name)
def test_jacobian_is_the_derivative_of_the_hand(robot):
    q, step = poses(robot), 1e-6
    jac = kin.jacobian(robot, q)
    for i in range(robot.n_joints):
        delta = np.zeros(robot.n_joints)
        delta[i] = step
        ahead, behind = kin.fk(robot, q + delta), kin.fk(robot, q - delta)
        linear = (ahead[0] - behind[0]) / (2 * step)
        rows = 2 if robot.planar else 3
        assert_allclose(jac[:, :rows, i] * robot.ell, linear[:, :rows], atol=1e-8)
        if not robot.planar:
            turn = ahead[1] @ np.swapaxes(behind[1], 1, 2)
            skew = turn - np.swapaxes(turn, 1, 2)
            vee = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1)
            assert_allclose(jac[:, 3:, i], 0.5 * vee / (2 * step), atol=1e-8)


@pytest.mark.parametrize("robot", ALL, ids=lambda robot: robot.name)
def test_factorised_determinant_is_the_lu_determinant(robot):
    q = poses(robot, 2000)
    assert_allclose(kin.determinant(robot, q), np.linalg.det(kin.jacobian(robot, q)), atol=1e-12)


def test_hand_positions_at_zero():
    at = {robot.name: kin.fk(robot, np.zeros((1, robot.n_joints)))[0][0] for robot in ALL}
    assert_allclose(at["ur5"], (-0.81725, -0.19145, -0.00549), atol=5e-6)
    assert_allclose(at["puma560"], (0.4521, -0.15005, 0.4318), atol=1e-12)
    assert_allclose(at["r2"], (1.7, 0, 0), atol=1e-15)


@pytest.mark.parametrize("robot", [kin.UR5, kin.PUMA560], ids=lambda robot: robot.name)
def test_first_joint_only_turns_the_frame(robot):
    q = poses(robot)
    turn = rotation_z(q[:, 0])
    still = q.copy()
    still[:, 0] = 0
    jac, base = kin.jacobian(robot, q), kin.jacobian(robot, still)
    assert_allclose(jac[:, :3], turn @ base[:, :3], atol=1e-12)
    assert_allclose(jac[:, 3:], turn @ base[:, 3:], atol=1e-12)


def test_last_joint_of_the_ur5_changes_nothing():
    q = poses(kin.UR5)
    turned = q.copy()
    turned[:, 5] += 1.234
    assert_allclose(kin.jacobian(kin.UR5, q), kin.jacobian(kin.UR5, turned), atol=1e-12)


@pytest.mark.parametrize(
    ("robot", "family"),
    [(robot, index) for robot in (kin.R2, kin.UR5) for index in range(len(robot.families))],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_to_pole_lands_on_the_pole(robot, family):
    q = poses(robot)
    at, coordinate = kin.to_pole(robot, q, np.full(len(q), family))
    assert np.abs(np.linalg.det(kin.jacobian(robot, at))).max() < 1e-15
    assert np.abs(kin.determinant(robot, at)).max() < 1e-15
    moved = np.take_along_axis(at != q, coordinate[:, None], axis=1)
    assert moved.all()
    assert np.count_nonzero(at != q) == len(q)


def test_shoulder_pole_has_two_branches():
    q = poses(kin.UR5)
    at, _ = kin.to_pole(kin.UR5, q, np.full(len(q), 3))
    flipped = q * np.array([-1, 1, 1, 1, 1, 1])
    other, _ = kin.to_pole(kin.UR5, flipped, np.full(len(q), 3))
    assert_allclose(np.abs(at[:, 1] - other[:, 1]), np.pi, atol=1e-12)


@pytest.mark.parametrize("robot", ALL, ids=lambda robot: robot.name)
def test_adjugate_times_jacobian_is_the_determinant(robot):
    jac = kin.jacobian(robot, poses(robot))
    adj, det = kin.adjugate_det(jac)
    assert_allclose(adj @ jac, det[:, None, None] * np.eye(robot.n_joints), atol=1e-13)
    assert_allclose(det, np.linalg.det(jac), atol=1e-13)


@pytest.mark.parametrize("robot", [kin.R2, kin.UR5], ids=lambda robot: robot.name)
def test_adjugate_on_a_pole_has_rank_one_and_kills_the_range(robot):
    q = poses(robot)
    at, _ = kin.to_pole(robot, q, np.arange(len(q)) % len(robot.families))
    jac = kin.jacobian(robot, at)
    adj, det = kin.adjugate_det(jac)
    sigma = np.linalg.svd(adj, compute_uv=False)
    single = np.linalg.svd(jac, compute_uv=False)[:, -2] > 1e-2
    assert single.mean() > 0.5
    assert np.abs(det).max() < 1e-13
    assert (sigma[single, 1] / sigma[single, 0]).max() < 1e-9
    inside = jac @ np.random.default_rng(1).standard_normal((len(q), robot.n_joints, 1))
    assert np.abs(adj @ inside).max() < 1e-12


def test_singular_values_in_closed_form_equal_the_decomposition():
    jac = np.random.default_rng(0).standard_normal((500, 2, 2))
    jac[0], jac[1] = 0, [[0, 2], [0, 0]]
    expected = np.linalg.svd(jac, compute_uv=False)
    assert_allclose(kin.singular_values(jac), expected, atol=1e-14)


def test_wrap_keeps_what_lies_inside():
    q = np.random.default_rng(0).uniform(-np.pi, np.pi, 1000)
    assert (kin.wrap(q) == q).all()
    far = kin.wrap(np.array([np.pi, -np.pi, 7 * np.pi, np.nextafter(-np.pi, -10)]))
    assert (far >= -np.pi).all()
    assert (far < np.pi).all()


def test_a_problem_gives_the_same_adjugate_as_its_matrices():
    q = poses(kin.UR5, 50)
    problem = analytic.Problem.of(kin.jacobian(kin.UR5, q), np.ones((50, 6)))
    adj, det = kin.adjugate_det(problem.jac)
    assert_allclose(problem.adjugate_det[0], adj, atol=1e-15)
    assert_allclose(problem.adjugate_det[1], det, atol=1e-15)
