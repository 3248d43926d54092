"""The exact posterior: against a dense normal density, brute force on the grid, and its ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from zeroproofml.benchmarks.domains.dose import bayes, data

PROTOCOLS = ("standard", "classic")


def dense(kind, position, slope, effects):
    """Log density by a 10×10 covariance; ``kind`` is active, high or low."""
    s = 1.0 / (1.0 + 10.0 ** (slope * (data.LADDER - position)))
    one = np.ones(10)
    if kind == "active":
        mean, spread = s, 4e-4 * (np.outer(1 - s, 1 - s) + np.outer(s, s))
    elif kind == "high":
        mean, spread = one, 4e-4 * np.outer(one, one) + 1e-4 * np.outer(1 - s, 1 - s)
    else:
        mean, spread = 0 * one, 4e-4 * np.outer(one, one) + 1e-4 * np.outer(s, s)
    return multivariate_normal(mean, 0.05**2 * np.eye(10) + spread).logpdf(effects)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_densities_equal_a_dense_one(protocol):
    rng = np.random.default_rng(0)
    grid = bayes.Grid.of(protocol)
    effects = data.draw(protocol, 50, rng).effects
    effects += 0.3 * rng.standard_normal(effects.shape)
    active, flat = grid.active.log_density(effects), grid.flat.log_density(effects)
    kind = "high" if protocol == "standard" else "low"
    every = 7 if protocol == "standard" else 1
    for row in range(50):
        node = int(rng.integers(len(active[0])))
        at = grid.center[node // 6], grid.slope[node % 6], effects[row]
        assert active[row, node] == pytest.approx(dense("active", *at), abs=1e-9)
        node = int(rng.integers(len(flat[0])))
        at = grid.center[every * node // 6], grid.slope[every * node % 6], effects[row]
        assert flat[row, node] == pytest.approx(dense(kind, *at), abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_posterior_equals_the_plain_sum_over_all_nodes(protocol):
    curves = data.frozen(protocol, 1, "test", 300)
    grid = bayes.Grid.of(protocol)
    found = bayes.posterior(protocol, curves.effects, grid)
    weight = np.log(np.tile(grid.weight, 240) / 240)
    active = grid.active.log_density(curves.effects) + weight + np.log(0.9)
    s = data.sigmoid(np.repeat(grid.center, 6), np.tile(grid.slope, 240))
    moved, level = (1 - s, 1.0) if protocol == "standard" else (s, 0.0)
    one = np.ones_like(s)
    whole = bayes.Gaussians(level * one, 0.02 * one, 0.01 * moved)
    flat = whole.log_density(curves.effects) + weight + np.log(0.1)
    band = np.repeat(grid.band, 6)
    parts = [logsumexp(active[:, band == side], axis=1) for side in range(3)]
    parts[2] = np.logaddexp(parts[2], logsumexp(flat, axis=1))
    prob = np.exp(np.stack(parts, axis=1) - logsumexp(parts, axis=0)[:, None])
    assert np.allclose(found.prob, prob, atol=1e-12)
    assert np.allclose(found.prob.sum(axis=1), 1, atol=1e-14)
    inside = np.exp(active[:, band == 1] - logsumexp(active[:, band == 1], axis=1)[:, None])
    share = inside.reshape(300, 80, 6).sum(axis=2)
    center = grid.center[80:160]
    mean = share @ center
    assert np.allclose(found.sd, np.sqrt(share @ center**2 - mean**2), atol=1e-6)
    edges = np.concatenate([center - grid.width[80:160] / 2, center[-1:] + grid.width[159:160] / 2])
    for row in range(0, 300, 17):
        reached = np.interp(found.median[row], edges, np.concatenate([[0], np.cumsum(share[row])]))
        assert reached == pytest.approx(0.5, abs=1e-9)


def figures(protocol, curves, grid=None):
    """Macro-F1, FN_in, FP_cens at argmax, and the error of the median on accepted curves."""
    found = bayes.posterior(protocol, curves.effects, grid)
    said, label = found.prob.argmax(axis=1), curves.label
    inside = label == 1
    f1 = [
        2 * np.sum((label == k) & (said == k)) / (np.sum(label == k) + np.sum(said == k))
        for k in range(3)
    ]
    answered = inside & (said == 1)
    error = np.abs(found.median - curves.position)[answered].mean()
    return np.mean(f1), np.mean(said[inside] != 1), np.mean(said[~inside] == 1), error, found


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ceiling_and_convergence(protocol):
    curves = data.frozen(protocol, 1, "test", 6000)
    *coarse, found = figures(protocol, curves)
    macro, missed, unsafe, error = coarse
    if protocol == "standard":
        assert macro >= 0.985
        assert max(missed, unsafe) <= 0.02
        assert 0.044 <= error <= 0.049
    else:
        assert missed == unsafe == 0
        assert 0.89 <= macro <= 0.92
    *fine, other = figures(protocol, curves, bayes.Grid.of(protocol, 480, 12))
    # A rate moves in steps of one curve, and one resolvable curve of these is 5.5e-4.
    step = 1.01 / np.count_nonzero(curves.label == 1)
    assert np.abs(np.subtract(coarse, fine)).max() <= max(5e-4, step)
    assert np.abs(found.prob - other.prob).max() <= 0.01


def test_ceiling_on_fewer_curves():
    macro, missed, unsafe, error, _ = figures("standard", data.frozen("standard", 1, "test", 1500))
    assert macro >= 0.98
    assert max(missed, unsafe) <= 0.03
    assert 0.04 <= error <= 0.053


def test_the_fit_is_the_mode_and_stays_in_its_cell():
    grid = bayes.Grid.of("standard")
    position = np.linspace(-8.9, -5.1, 77)
    effects = data.sigmoid(position, np.full(77, grid.slope[2]))
    fit = bayes.posterior("standard", effects, grid).fit
    assert np.abs(fit - position).max() < 0.02
    profile = grid.active.log_density(effects).reshape(77, 240, 6).max(axis=2)
    best = grid.center[profile.argmax(axis=1)]
    assert (np.abs(fit - best) <= 0.025 + 1e-12).all()
    assert np.mean(np.abs(fit - position)) < np.mean(np.abs(best - position))


def test_blocks_do_not_show():
    effects = data.frozen("standard", 1, "test", 600).effects
    whole = bayes.posterior("standard", effects)
    parts = [bayes.posterior("standard", effects[i : i + 250]) for i in (0, 250, 500)]
    for name in ("prob", "median", "sd", "fit"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(getattr(whole, name), joined), name


def test_far_curves_have_a_finite_answer():
    effects = np.array([[3.2] * 10, [-3.2] * 10, [3.0, -3.0] * 5])
    found = bayes.posterior("standard", effects)
    for name in ("prob", "median", "sd", "fit"):
        assert np.isfinite(getattr(found, name)).all()
