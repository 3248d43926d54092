"""The device in closed form, its judge, and the draws: laws, streams, frozen bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.benchmarks.domains.rf import data
from zeroproofml.report import domains as laws
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.domains.rf import device

PAPER = {"stable": 128, "neg": 192, "axis": 64}


def designs(law, n=1000, seed=7):
    return data.draw(np.random.default_rng(seed), n, law)


def solved(made, omega):
    """The driving point from the two coupled equations, solved as a linear system per device."""
    w1, w2, kappa = device.natural(made.design)
    s = 1j * omega
    system = np.empty((len(made), 2, 2), dtype=np.complex128)
    system[:, 0, 0] = s * s + made.delta * w1 * s + w1 * w1
    system[:, 1, 1] = s * s + made.delta * w2 * s + w2 * w2
    system[:, 0, 1] = system[:, 1, 0] = -kappa * w1 * w2
    drive = np.zeros((len(made), 2, 1), dtype=np.complex128)
    drive[:, 0, 0] = w1 * w1
    return np.linalg.solve(system, drive)[:, 0, 0]


def test_response_is_that_of_the_coupled_equations():
    made = designs((5.0, 1000.0))
    omega = data.log_uniform(np.random.default_rng(1), *device.BAND, (1000, 1))
    found = device.response(made.design, made.delta, omega)[:, 0]
    assert found == pytest.approx(solved(made, omega[:, 0]), rel=1e-12)


def test_response_at_rest_and_denominator():
    made = designs((5.0, 1000.0))
    kappa = device.natural(made.design)[2]
    rest = device.response(made.design, made.delta, np.full((1000, 1), 1e-12))[:, 0]
    assert rest.real == pytest.approx(1 / (1 - kappa**2), rel=1e-9)
    w1, w2, _ = device.natural(made.design)
    omega = data.log_uniform(np.random.default_rng(2), *device.BAND, 1000)
    s = 1j * omega
    bottom = sum(
        c * s**k
        for c, k in zip(device.denominator(made.design, made.delta).T, (4, 3, 2, 1, 0), strict=True)
    )
    d1, d2 = (s * s + made.delta * w * s + w * w for w in (w1, w2))
    assert bottom == pytest.approx(d1 * d2 - (kappa * w1 * w2) ** 2, rel=1e-10, abs=1e-12)


def test_poles_are_roots_in_ascending_order():
    made = designs((5.0, 1000.0))
    found = device.poles(made.design, made.delta)
    value = np.zeros_like(found)
    for part in device.denominator(made.design, made.delta).T:
        value = value * found + part[:, None]
    assert np.abs(value).max() < 1e-9
    assert (found.imag[:, 0] < found.imag[:, 1]).all()
    assert (found.imag > 0).all()


def test_the_axis_is_where_the_damping_is_zero():
    assert np.abs(device.poles(*_of(designs("axis"))).real).max() < 1e-12
    assert (device.poles(*_of(designs("neg"))).real > 0).any(axis=1).all()
    assert (device.poles(*_of(designs((5.0, 1000.0)))).real < 0).all()


def _of(made):
    return made.design, made.delta


def test_ranges_are_those_of_the_law():
    made = designs((5.0, 1000.0), 2000)
    w1, w2, kappa = device.natural(made.design)
    assert w1.min() >= 0.496
    assert w1.max() <= 2.014
    assert w2.min() >= 0.40
    assert w2.max() <= 3.01
    assert kappa.min() >= 0.0744
    assert kappa.max() <= 0.3021
    found = device.poles(*_of(made)).imag
    assert (found[:, 1] / found[:, 0]).min() >= 1.07
    assert device.damping(made.design) == pytest.approx(made.delta, abs=1e-15)


def test_quadrature_and_peak_agree_with_a_fine_grid():
    """Energy and peak of every stable test device within 0.05 dB of 8,000 points."""
    test = data.frozen(PAPER)
    stable = len(test["omega"])
    design, delta = test["design"][:stable], test["delta"][:stable]
    poles = device.poles(design, delta)
    fine = np.exp(np.linspace(np.log(0.2), np.log(5.0), 4000))
    near = np.clip(device.cluster(poles, 2000).reshape(stable, -1), *device.BAND)
    dense = np.sort(np.concatenate([np.tile(fine, (stable, 1)), near], axis=1))
    energies, peaks = [], []
    for omega in (test["omega"], dense):
        power = np.abs(device.response(design, delta, omega)) ** 2
        energies.append(10 * np.log10((device.weights(omega) * power).sum(axis=1)))
        peaks.append(10 * np.log10(power.max(axis=1)))
    assert np.abs(energies[0] - energies[1]).max() < 0.05
    assert np.abs(peaks[0] - peaks[1]).max() < 0.05
    assert test["weight"].sum(axis=1) == pytest.approx(device.LOG_BAND, rel=1e-7)


@given(st.lists(st.floats(0.2, 5.0), min_size=2, max_size=20))
def test_weights_are_those_of_the_trapezoid(points):
    omega = np.sort(np.array([points]))
    weights = device.weights(omega)
    assert (weights >= 0).all()
    width = np.log(omega[0, -1] / omega[0, 0])
    assert weights.sum() == pytest.approx(width, abs=1e-12)
    values = np.log(omega[0])
    assert weights @ values == pytest.approx([np.trapezoid(values, values)], abs=1e-9)


@pytest.mark.parametrize("mode", ["contract", "smoke", "paper"])
def test_the_frozen_test_set_has_the_packaged_digest(mode):
    settings = laws.get("rf").settings[mode]
    made = data.frozen(settings)
    assert array_digest(made) == settings["test_digest"]
    full = data.frozen(PAPER)
    for code in range(6):
        rows = made["set"] == code
        first = np.flatnonzero(full["set"] == code)[: rows.sum()]
        for name in ("design", "delta"):
            assert made[name][rows].tobytes() == full[name][first].tobytes()
    assert (made["delta"][made["set"] == 5] == 0).all()


KERNELS = "AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL,AVX512_SPR,X86_V4"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "4242"},
        # Another processor's exponential and eigenvalues: the last bits differ, the set does not.
        {"NPY_DISABLE_CPU_FEATURES": KERNELS, "OPENBLAS_CORETYPE": "Prescott"},
    ],
    ids=["hash0", "hash4242", "kernels"],
)
def test_frozen_bytes_in_another_process(elsewhere):
    code = (
        "from zeroproofml.benchmarks.domains.rf import data\n"
        "from zeroproofml.report.contract.arrays import array_digest\n"
        f"print(array_digest(data.frozen({PAPER})))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **elsewhere},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == laws.get("rf").settings["paper"]["test_digest"]


def test_train_designs_change_with_the_seed_and_are_no_test_designs():
    test = data.frozen(PAPER)["design"]
    splits = [data.samples(seed, "data.train", 256, 4) for seed in (1, 2)]
    splits.append(data.samples(1, "data.validation", 256, 4))
    rows = [tuple(row) for split in splits for row in split.devices.design]
    rows += [tuple(row) for row in test]
    assert len(set(rows)) == len(rows)


def test_samples_have_the_declared_noise_and_order():
    split = data.samples(3, "data.train", 500, 64)
    assert (np.diff(split.omega, axis=1) >= 0).all()
    clean = device.response(split.devices.design, split.devices.delta, split.omega)
    noise = split.y - clean
    assert np.mean(np.abs(noise) ** 2) ** 0.5 == pytest.approx(0.01, rel=0.02)
    assert noise.real.std() == pytest.approx(0.01 / np.sqrt(2), rel=0.03)
    q = 1 / split.devices.delta
    assert q.min() >= 5
    assert q.max() <= 30


def test_identification_samples_share_nothing_but_the_device():
    test = data.frozen({"stable": 4, "neg": 1, "axis": 1})
    clean = data.ident_samples(1, test, 2, 0, 4)
    truth = device.response(test["design"][8:12], test["delta"][8:12], data.ident_omega())
    assert np.array_equal(clean, truth)
    noisy = [data.ident_samples(seed, test, 2, 2, 4) - truth for seed in (1, 2)]
    assert not np.allclose(*noisy)
    low = data.ident_samples(1, test, 2, 1, 4) - truth
    assert np.abs(low).max() < 0.01
    assert not np.allclose(10 * low, noisy[0])


def test_no_feature_tells_the_damping():
    made = designs((5.0, 30.0), 50)
    seen = data.rows(made.design, np.ones((50, 3)))
    assert seen.shape == (50, 3, 6)
    assert np.array_equal(seen[:, 0, :5], data.features(made.design))
    for hidden in (made.delta, 1 / made.delta, *device.natural(made.design)):
        assert not any(np.allclose(column, hidden) for column in seen[:, 0].T)
