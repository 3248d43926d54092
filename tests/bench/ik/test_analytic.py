"""Analytic solvers against their definitions and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from zeroproofml.benchmarks.domains.ik import analytic, data
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.benchmarks.domains.ik.analytic import GAIN, Problem

SIZES = {
    "train": 400,
    "cal": 10,
    "strata": 60,
    "natural": 60,
    "pole": 60,
    "flips": 10,
    "paths": 2,
    "path_steps": 10,
}


@pytest.fixture(scope="module", params=("r2", "ur5"))
def case(request):
    built = data.build(request.param, 5, SIZES)
    rows = built.evaluation()
    return rows, Problem.of(kin.jacobian(built.robot, rows.q), rows.e)


def residual(problem, y):
    return np.linalg.norm((problem.jac @ y[:, :, None])[:, :, 0] - problem.e, axis=1)


def test_ideal_obeys_the_limit_and_equals_the_inverse_where_that_fits(case):
    _, problem = case
    y = analytic.ideal(problem)
    assert np.linalg.norm(y, axis=1).max() <= GAIN * (1 + 1e-9)
    exact = analytic.inverse(problem)
    fits = np.linalg.norm(np.where(np.isnan(exact), np.inf, exact), axis=1) < 0.999 * GAIN
    assert fits.sum() > 50
    assert_allclose(y[fits], exact[fits], rtol=1e-8, atol=1e-10)
    assert np.linalg.norm(y, axis=1)[~fits & (problem.sigma[:, -1] > 1e-9)].min() > 0.99 * GAIN


@pytest.mark.parametrize("code", [*data.DECADES, data.D1, data.POLE])
def test_nothing_within_the_limit_beats_ideal(case, code):
    rows, problem = case
    picked = problem[np.flatnonzero(rows.set == code)[:50]]
    best = analytic.ideal(picked)
    least = residual(picked, best)
    rng = np.random.default_rng(0)
    n = best.shape[1]
    for _ in range(200):  # 50 rows × 200 = 10,000 tries
        step = rng.standard_normal(best.shape)
        size = 10 ** rng.uniform(-4, 1.5, (len(best), 1))
        far = rng.random((len(best), 1)) < 0.5
        tried = np.where(far, 0.0, best) + step * size / np.sqrt(n)
        tried = analytic.limited(tried)
        assert (residual(picked, tried) >= least - 1e-12).all()


def test_ideal_is_stationary_on_the_limit(case):
    _, problem = case
    y = analytic.ideal(problem)
    on = np.linalg.norm(y, axis=1) > GAIN * (1 - 1e-9)
    error = (problem.jac @ y[:, :, None])[:, :, 0] - problem.e
    gradient = np.einsum("nji,nj->ni", problem.jac, error)
    # The gradient points straight inwards: gradient = −μ y with μ ≥ 0.
    mu = -np.sum(gradient * y, axis=1) / np.sum(y * y, axis=1)
    assert (mu[on] >= -1e-15).all()
    assert np.abs(gradient + mu[:, None] * y)[on].max() < 1e-9


def test_dls_is_the_minimiser_of_the_damped_loss(case):
    _, problem = case
    y = analytic.damped(problem)
    normal = np.einsum("nji,njk->nik", problem.jac, problem.jac)
    normal = normal + analytic.DAMPING**2 * np.eye(normal.shape[-1])
    right = np.einsum("nji,nj->ni", problem.jac, problem.e)
    assert_allclose(y, np.linalg.solve(normal, right[:, :, None])[:, :, 0], rtol=1e-7, atol=1e-9)
    assert np.linalg.norm(y, axis=1).max() <= GAIN * (1 + 1e-12)


def test_largest_gain_of_dls_is_exactly_the_limit():
    jac = np.diag([1.0, analytic.DAMPING])[None]
    y = analytic.damped(Problem.of(jac, np.array([[0.0, 1.0]])))
    assert_allclose(np.linalg.norm(y), GAIN, rtol=1e-14)


def test_inverse_refuses_poles_and_solves_the_rest(case):
    rows, problem = case
    y = analytic.inverse(problem)
    pole = rows.set == data.POLE
    assert np.isnan(y[pole]).all()
    assert not np.isnan(y[~pole]).any()
    regular = problem.sigma[:, -1] > 0.1
    assert residual(problem, np.where(np.isnan(y), 0, y))[regular].max() < 1e-12


def test_truncated_leaves_out_small_directions(case):
    _, problem = case
    y = analytic.truncated(problem)
    expected = np.stack(
        [
            np.linalg.pinv(jac, rcond=0.01 / sigma[0]) @ e
            for jac, sigma, e in zip(problem.jac, problem.sigma, problem.e, strict=True)
        ]
    )
    assert_allclose(y, expected, rtol=1e-6, atol=1e-8)


def test_manipulability_damping_is_zero_above_its_threshold(case):
    _, problem = case
    w = np.abs(np.linalg.det(problem.jac))
    threshold = float(np.quantile(w, 0.5))
    y = analytic.manipulability_damped(problem, threshold)
    above = (w > threshold * (1 + 1e-9)) & (problem.sigma[:, -1] > 1e-3)
    assert_allclose(y[above], analytic.inverse(problem[above]), rtol=1e-6)
    row = int(np.argmin(w))
    lam = 0.1 * (1 - w[row] / threshold)
    assert_allclose(y[row], analytic.damped(problem[np.array([row])], lam)[0], rtol=1e-7, atol=1e-9)


def test_selective_damping_follows_its_formula_row_by_row(case):
    _, problem = case
    y = analytic.selectively_damped(problem)
    for row in range(0, len(y), 7):
        total = np.zeros(y.shape[1])
        jac = problem.jac[row]
        for i, sigma in enumerate(problem.sigma[row]):
            if sigma < 1e-12:
                continue
            v = problem.vt[row, i]
            m = np.sum(np.abs(v) * np.linalg.norm(jac, axis=0)) / sigma
            bound = min(1.0, 1.0 / m) * GAIN
            part = problem.u[row, :, i] @ problem.e[row] / sigma * v
            total += part * min(1.0, bound / max(np.abs(part).max(), 1e-300))
        total *= min(1.0, GAIN / np.abs(total).max())
        assert_allclose(y[row], total, rtol=1e-9, atol=1e-12)


def test_tuple_targets_decode_to_the_inverse_and_have_unit_mean_square(case):
    _, problem = case
    regular = problem[problem.sigma[:, -1] > 1e-4]
    kappa, scale = analytic.tuple_scale(regular)
    p, q = analytic.tuple_targets(regular, kappa, scale)
    assert_allclose(np.mean(np.sum(p * p, axis=1)), 1.0, rtol=1e-12)
    assert_allclose(kappa * p / q[:, None], analytic.inverse(regular), rtol=1e-6, atol=1e-9)
    size = np.linalg.norm(analytic.inverse(regular), axis=1)
    assert_allclose(kappa, np.median(size), rtol=1e-9)


def test_tuple_targets_know_the_kinds_of_the_pole(case):
    rows, problem = case
    pole = problem[np.flatnonzero(rows.set == data.POLE)]
    p, q = analytic.tuple_targets(pole, 1.0, 1.0)
    bottom = rows.label[rows.set == data.POLE] == data.BOTTOM
    size = np.linalg.norm(p, axis=1)
    assert np.abs(q).max() < 1e-14
    assert size[~bottom].max() < 1e-12
    assert size[bottom].min() > 1e-9


def test_limited_shortens_and_never_lengthens():
    y = np.random.default_rng(0).standard_normal((100, 6)) * 10 ** np.linspace(-3, 3, 100)[:, None]
    short = analytic.limited(y)
    assert np.linalg.norm(short, axis=1).max() <= GAIN * (1 + 1e-15)
    small = np.linalg.norm(y, axis=1) <= GAIN
    assert np.array_equal(short[small], y[small])
    assert_allclose(
        short / np.linalg.norm(short, axis=1, keepdims=True),
        y / np.linalg.norm(y, axis=1, keepdims=True),
        rtol=1e-12,
    )
    assert (analytic.limited(np.zeros((1, 2))) == 0).all()
