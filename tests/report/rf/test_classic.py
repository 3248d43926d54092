"""The classic protocol's closed form, metrics and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zeroproofml.report import domains
from zeroproofml.report.domains.rf import classic, members

N, POINTS = 60, 12
SETTINGS = {"test": N, "points": POINTS}


def world(seed=0):
    """Devices, rows, and one arm of each kind that answers exactly."""
    rng = np.random.default_rng(seed)
    omega0 = np.exp(rng.uniform(*np.log([0.5, 5.0]), N))
    q = np.exp(rng.uniform(*np.log([2.0, 500.0]), N))
    omega = np.exp(rng.uniform(*np.log([0.1, 10.0]), (N, POINTS)))
    exact = np.stack([omega0**2, omega0 / q, omega0**2], axis=1)
    none = np.zeros((N, POINTS), dtype=bool)
    arrays = {
        "data__omega0": omega0,
        "data__q": q,
        "data__omega": omega,
        "data__target": classic.response(omega0, q, omega).astype(np.complex64),
    }
    for arm in members.COEFFICIENT_ARMS:
        arrays |= {f"{arm}__coefficients": exact, f"{arm}__rows_bottom": none}
    grid = classic.TestRows(arrays).devices.omega
    for arm in members.ROW_ARMS:
        arrays[f"{arm}__rows"] = arrays["data__target"]
        arrays[f"{arm}__response"] = classic.response(omega0, q, grid).astype(np.complex64)
        if arm in members.REFUSING_ROWS:
            arrays[f"{arm}__rows_bottom"] = none
    return arrays


@pytest.fixture(scope="module")
def law():
    return domains.get("rf", "classic")


@pytest.fixture
def arrays():
    return world()


def measure(law, arrays, arm):
    made = law.seed_metrics(arrays, SETTINGS, [arm])[arm]
    assert set(made.metrics) == set(law.metrics)
    assert {name for name, x in made.metrics.items() if x is None} == set(made.reasons)
    return made.metrics


def test_closed_form():
    omega0, q = np.array([0.7, 3.0]), np.array([5.0, 80.0])
    at = classic.response(omega0, q, omega0[:, None])[:, 0]
    assert np.allclose(at, -1j * q, rtol=1e-12)
    peak = omega0 * np.sqrt(1 - 1 / (2 * q**2))
    height = np.abs(classic.response(omega0, q, peak[:, None]))[:, 0]
    assert np.allclose(height, q / np.sqrt(1 - 1 / (4 * q**2)), rtol=1e-12)
    around = np.abs(classic.response(omega0, q, peak[:, None] * np.array([1 - 1e-6, 1 + 1e-6])))
    assert (around < height[:, None]).all()
    pole = classic.pole(omega0, q)[:, 0]
    assert np.allclose(pole**2 + omega0 / q * pole + omega0**2, 0, atol=1e-12)


def test_the_peak_of_the_grid_is_the_true_one(arrays):
    devices, q = classic.TestRows(arrays).devices, arrays["data__q"]
    true = 20 * np.log10(q / np.sqrt(1 - 1 / (4 * q**2)))
    assert np.abs(devices.peak.db - true).max() < 0.05
    assert devices.omega.shape == (N, members.CLASSIC_LANES)


def test_exact_coefficients_are_the_device(law, arrays):
    found = measure(law, arrays, "scm_transfer")
    for regime in classic.REGIMES:
        assert found[f"rel_err_db_p50_{regime}"] == -120
        assert found[f"peak_success_{regime}"] == 1
        assert found[f"pole_err_hbw_p50_{regime}"] < 1e-9
    assert found["in_band_mse"] < 1e-12
    assert found["extrapolation_skill"] > 1 - 1e-12
    assert found["published_peak_retention_yield"] == found["peak_retention_yield"] == 1
    assert found["denominator_log10_ratio_abs_p95"] < 1e-9
    assert found["denominator_edge_rate"] == 0
    least = found["published_denominator_min_abs_p50"] / found["denominator_min_abs_p50"]
    assert least > 0.1  # unscaled: times ω0² and the leading coefficient


def test_published_numbers_are_one_sided(law, arrays):
    arrays["mlp_silu__response"] = (3 * arrays["mlp_silu__response"]).astype(np.complex64)
    found = measure(law, arrays, "mlp_silu")
    assert found["published_peak_retention_yield"] == 1  # a threefold peak was "retained"
    assert found["peak_retention_yield"] == 0
    assert found["published_false_peak_hallucination_rate"] == found["over_amplitude_rate"] == 1
    assert found["false_peak_hallucination_rate"] == 0
    assert found["published_peak_ratio_mean"] == pytest.approx(3, rel=1e-5)
    assert found["published_pointwise_mse"] < 1e-10  # rows were right


def test_the_published_yield_has_the_trained_share_as_its_floor(law, arrays):
    q = arrays["data__q"]
    flat = np.where(q[:, None] <= classic.EDGE, arrays["mlp_relu__response"], 0)
    arrays["mlp_relu__response"] = flat.astype(np.complex64)
    found = measure(law, arrays, "mlp_relu")
    assert found["published_peak_retention_yield"] == np.mean(q <= classic.EDGE)
    assert found["peak_retention_yield_in"] == 1
    assert found["peak_retention_yield_extrapolation"] == 0


def test_zero_and_oracle(law, arrays):
    zero, oracle = (measure(law, arrays, arm) for arm in ("zero", "oracle"))
    assert zero["rel_err_db_p50_in"] == zero["extrapolation_skill"] == 0
    target = arrays["data__target"].astype(complex)
    mse = np.mean(np.abs(target) ** 2) / 2
    assert zero["published_pointwise_mse"] == pytest.approx(mse)
    assert oracle["in_band_mse"] == 0
    assert oracle["rel_err_db_p50_extrapolation"] == -120
    assert oracle["pole_err_hbw_p50_in"] == 0


def test_a_refused_row_is_paid_for(law, arrays):
    refused = np.zeros((N, POINTS), dtype=bool)
    refused[:, 0] = True
    arrays["scm_decoupled__rows_bottom"] = refused
    rows = np.where(refused, 0, arrays["scm_decoupled__rows"]).astype(np.complex64)
    arrays["scm_decoupled__rows"] = rows
    found = measure(law, arrays, "scm_decoupled")
    assert found["coverage_rate"] == pytest.approx(1 - 1 / POINTS)
    assert found["strict_trigger_rate"] == pytest.approx(1 / POINTS)
    assert found["in_band_mse"] == 0
    inside = arrays["data__q"] <= classic.EDGE
    lost = np.abs(arrays["data__target"][inside, 0].astype(complex)) ** 2 / 2
    assert found["in_band_mse_penalised"] == pytest.approx(lost.sum() / (inside.sum() * POINTS))
    assert found["extrapolation_skill"] < 1


def test_epsilon_washes_out_what_is_narrow(law, arrays):
    plain, eps = (measure(law, arrays, arm) for arm in ("scm_transfer", "scm_transfer_eps"))
    assert eps["rel_err_db_p50_extrapolation"] > plain["rel_err_db_p50_extrapolation"] + 20
    assert eps["worst_rel_under_p95"] > 0.01
    assert eps["denominator_min_abs_p50"] == plain["denominator_min_abs_p50"]


def test_every_arm_has_every_metric_within_its_bounds(law, arrays):
    for arm in (arm.key for arm in law.arms):
        for name, value in measure(law, arrays, arm).items():
            low, high = law.metrics[name].bounds
            if value is not None:
                assert math.isfinite(value)
                assert low is None or value >= low
                assert high is None or value <= high


def test_members_are_those_of_the_world(law, arrays):
    allowed = law.members(SETTINGS, [arm.key for arm in law.arms])
    assert set(allowed) == set(arrays)
    for name, (dtype, shape) in allowed.items():
        assert np.dtype(dtype) == arrays[name].dtype
        assert shape == arrays[name].shape
