"""Classical identification and the two-stage regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroproofml.benchmarks.domains.rf import data, evaluate, fits
from zeroproofml.report.domains.rf import device

METHODS = {
    "sk": lambda omega, y, sigma: fits.sanathanan_koerner(omega, y),
    "vf": lambda omega, y, sigma: fits.vector_fit(omega, y).fit(),
    "aaa": fits.aaa,
}


@pytest.fixture(scope="module")
def test_devices():
    return data.frozen({"stable": 32, "neg": 1, "axis": 1})


def errors(test, method, level):
    """E in dB (4, 32) of all fits."""
    out = []
    for row in range(len(test["omega"])):
        code, place = divmod(row, 32)
        y = data.ident_samples(1, test, code, level, 32)[place]
        at, q = test["omega"][row], test["weight"][row]
        truth = device.response(
            test["design"][row : row + 1], test["delta"][row : row + 1], at[None]
        )[0]
        made = method(data.ident_omega(), y, data.LEVELS[level]).at(at)
        ratio = (q * np.abs(made - truth) ** 2).sum() / (q * np.abs(truth) ** 2).sum()
        out.append(10 * np.log10(max(ratio, 1e-40)))
    return np.array(out).reshape(4, 32)


@pytest.mark.parametrize("name", list(METHODS))
def test_without_noise_every_device_is_found(test_devices, name):
    assert errors(test_devices, METHODS[name], 0).max() < -200


def test_vector_fit_with_noise_in_every_bin(test_devices):
    assert (np.median(errors(test_devices, METHODS["vf"], 2), axis=1) < -38).all()


pair = st.tuples(st.floats(0.5, 3.0), st.floats(0.01, 0.3), st.floats(0.3, 2.0), st.floats(-1, 1))


@given(pair, pair)
@settings(max_examples=30)
def test_vector_fit_gives_back_the_sections_it_is_made_of(one, two):
    if abs(one[0] - two[0]) < 0.3:
        two = (one[0] + 0.4, *two[1:])
    omega = data.ident_omega()
    sections = np.array(sorted([one, two]))
    ratio = omega[:, None] / sections[:, 0]
    _, d, a, b = sections.T
    y = ((a + 1j * b * ratio) / (1 - ratio**2 + 1j * d * ratio)).sum(axis=1)
    made = fits.vector_fit(omega, y)
    assert made.whole
    assert np.abs(made.fit().at(omega) - y).max() < 1e-6 * np.abs(y).max()
    found = made.section()
    assert found[np.argsort(found[:, 0])] == pytest.approx(sections, rel=1e-4, abs=1e-4)


def test_poles_that_come_out_unstable_are_mirrored():
    omega = data.ident_omega()
    s = 1j * omega
    y = 1 / (s**2 - 0.1 * s + 1) + 1 / (s**2 + 0.2 * s + 4)
    assert (fits.vector_fit(omega, y).poles.real < 0).all()


def test_a_fit_that_raises_makes_its_device_bottom(monkeypatch):
    settings_ = {"samples": 8, "train": 8, "validation": 8, "calibration": 8, "gate_bottom": 0}
    settings_ |= {"stable": 3, "neg": 1, "axis": 1, "ident": 2, "ident_clean": 1}
    bench = evaluate.Bench.of(settings_, 1)
    calls = []

    def method(omega, y, sigma):
        calls.append(sigma)
        if len(calls) == 2:
            raise np.linalg.LinAlgError
        if len(calls) == 3:
            return fits.Fit(lambda at: np.full(len(at), np.inf, dtype=complex), np.zeros(1))
        return fits.vector_fit(omega, y).fit()

    monkeypatch.setitem(evaluate.METHODS, "ident_vf", method)
    made, said = evaluate.ident_members(bench, "ident_vf")
    assert made["device_bottom"].tolist() == [False, True, True] + 5 * [False]
    assert said == {"fit_failures": 2}
    assert (made["response"][1:3] == 0).all()
    assert (made["device_cause"] == [0, 2, 2, 0, 0, 0, 0, 0]).all()
    assert made["pole_mask"].sum(axis=1).tolist() == [4, 0, 0, 4, 4, 4, 4, 4]
    assert made["response_sigma0"].shape == made["response_sigma3"].shape == (4, 288)


def test_regression_finds_a_polynomial_under_outliers():
    rng = np.random.default_rng(3)
    features = rng.uniform(-1, 1, (300, 5))
    truth = rng.normal(size=56)
    matrix = fits.monomials(features)
    assert matrix.shape == (300, 56)
    target = matrix @ truth
    spoiled = target + 1e-3 * rng.standard_normal(300)
    spoiled[::15] += 50
    assert np.abs(fits.robust(matrix, spoiled) - truth).max() < 0.02
    plain = np.linalg.lstsq(matrix, spoiled)[0]
    assert np.abs(plain - truth).max() > 1


def test_only_whole_fits_are_regressed():
    features = np.random.default_rng(0).uniform(-1, 1, (60, 5))
    good = fits.Pairs(np.array([-0.05 + 1j, -0.05 + 2j]), np.array([0.1 - 0.4j] * 2), whole=True)
    bad = fits.Pairs(10 * good.poles, good.residues, whole=False)
    made = fits.two_stage(features, [good, bad, None] * 20)
    assert (made.fits, made.failures) == (20, 40)
    assert made.coefficients.size == 448
    assert made.sections(features[::3]) == pytest.approx(np.stack([good.section()] * 20), abs=1e-9)
