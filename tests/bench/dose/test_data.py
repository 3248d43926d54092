"""The two laws: shares, bands, plateaus, streams, storage and the frozen sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from zeroproofml.benchmarks import config, prepare, runner
from zeroproofml.benchmarks.domains.dose import data
from zeroproofml.report import domains as laws
from zeroproofml.report.contract.arrays import read_npz, write_npz
from zeroproofml.report.errors import FileInvalid
from zeroproofml.report.rundir import verify_run

MANY = 200_000
PROTOCOLS = ("standard", "classic")


@pytest.fixture(scope="module", params=PROTOCOLS)
def large(request):
    """The training set of seed 1 at paper size."""
    return request.param, data.of_seed(request.param, 1, "data.train", 1, MANY)


def test_class_shares(large):
    _, curves = large
    share = np.bincount(curves.label, minlength=3) / MANY
    assert np.allclose(share, (0.30, 0.30, 0.40), atol=0.005)
    assert abs(curves.no_effect.mean() - 0.10) < 0.003
    assert (curves.label[curves.no_effect] == 2).all()


def test_positions(large):
    protocol, curves = large
    position = curves.position[~curves.no_effect]
    if protocol == "standard":
        assert stats.kstest(position, stats.uniform(-13, 12).cdf).pvalue > 1e-3
        inside = (position >= -9) & (position <= -5)
        label = np.where(inside, 1, np.where(position > -5, 2, 0))
        # The label is older than the rounding of L: only a curve on an edge may differ.
        moved = label != curves.label[~curves.no_effect]
        assert np.all(np.isin(position[moved], (-9.0, -5.0)))
    else:
        empty = ((position > -10.2) & (position < -8.8)) | ((position > -5.2) & (position < -3.8))
        assert not empty.any()
        assert position.min() > -13
        assert position.max() < -1


def test_plateau_of_a_compound_without_effect(large):
    protocol, curves = large
    flat = curves.effects[curves.no_effect]
    assert flat.mean() == pytest.approx(1.0 if protocol == "standard" else 0.0, abs=0.005)
    spread = flat - flat.mean(axis=1, keepdims=True)
    assert np.sqrt((spread**2).sum() / (9 * len(flat))) == pytest.approx(0.05, abs=0.002)


def test_effects_fall_with_the_dose_by_the_stated_curve():
    curves = data.of_seed("standard", 1, "data.train", 2, MANY)
    near = ~curves.no_effect & (np.abs(curves.position + 7) < 0.02)
    middle = curves.effects[near].mean(axis=0)
    slopes = np.linspace(0.8, 1.5, 50)
    wanted = data.sigmoid(np.full(50, -7.0), slopes).mean(axis=0)
    assert np.allclose(middle, wanted, atol=0.01)
    assert data.sigmoid(np.array([-7.0]), np.array([1.0]))[0, 0] == pytest.approx(1 / 1.01)


def test_storage_is_integers(large):
    _, curves = large
    kinds = {name: array.dtype.str for name, array in curves.arrays().items()}
    assert kinds == {
        "effect_counts": "<i2",
        "l_microdecades": "<i4",
        "label": "|u1",
        "no_effect": "|b1",
    }
    assert curves.effect_counts.shape == (MANY, 10)
    assert np.array_equal(np.rint(1e4 * curves.effects), curves.effect_counts)


def test_one_stream_one_set_of_bytes():
    def bytes_of(protocol="standard", role="data.train", seed=1, n=300):
        return data.digest(data.of_seed(protocol, 1, role, seed, n))

    assert bytes_of() == bytes_of()
    others = {
        bytes_of(seed=2),
        bytes_of(role="data.calibration"),
        bytes_of(role="data.validation"),
        bytes_of(protocol="classic"),
        bytes_of(n=301),
    }
    assert len(others) == 5
    assert bytes_of() not in others


def test_stress_sets():
    nominal = data.frozen("standard", 1, "test", 5000)
    noisy = data.frozen("standard", 1, "noise2", 5000)
    struck = data.frozen("standard", 1, "outlier", 5000)

    def noise(curves):
        flat = curves.effects[curves.no_effect]
        return (flat - np.median(flat, axis=1, keepdims=True)).ravel()

    assert np.std(noise(noisy)) / np.std(noise(nominal)) == pytest.approx(2.0, abs=0.15)
    far = np.abs(noise(struck)) > 0.25
    assert far.mean() == pytest.approx(0.02 * 2 * stats.norm.sf(0.5), abs=0.004)
    assert (np.abs(noise(nominal)) > 0.25).mean() < 1e-3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_frozen_digests_are_those_of_the_settings(protocol):
    law = laws.get("dose", protocol)
    for mode, settings in law.settings.items():
        made = data.test_sets(protocol, law.version, settings)
        wanted = {"test": settings["test"], **settings["stress"]}
        assert {name: len(curves) for name, curves in made.items()} == wanted
        assert set(settings["digests"]) == set(wanted), mode


def test_smaller_modes_take_the_first_rows():
    whole = data.frozen("standard", 1, "test", 30_000)
    part = data.frozen("standard", 1, "test", 512)
    for name, array in part.arrays().items():
        assert np.array_equal(array, whole.arrays()[name][:512])


@pytest.fixture
def flipped(monkeypatch):
    """One count of the frozen test set comes out one higher."""
    honest = data.frozen

    def wrong(*given):
        curves = honest(*given)
        curves.effect_counts[7, 3] += 1
        return curves

    monkeypatch.setattr(data, "frozen", wrong)


def test_a_flipped_count_stops_the_run_before_anything_exists(flipped, tmp_path):
    made = config.resolve("dose")
    digest = made.config["settings"]["digests"]["test"]
    with pytest.raises(FileInvalid) as caught:
        prepare.prepare(prepare.Order(made, (1,), tmp_path / "run"))
    assert caught.value.exit_code == 5
    assert f"datasets/{digest[7:]}.npz" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_worker_that_draws_otherwise_fails_its_seed(flipped, silent):
    from zeroproofml.benchmarks.domains.dose.protocol import produce

    with pytest.raises(FileInvalid):
        produce(config.resolve("dose").config, 1, silent)


def test_a_flipped_count_in_the_stored_set_is_found(tmp_path):
    made = config.resolve("dose", arms=["bayes_oracle", "constant"])
    order = prepare.Order(made, (1,), tmp_path / "run", executor="inline")
    assert runner.execute(prepare.prepare(order)).exit_code == 0
    (path,) = (tmp_path / "run/datasets").iterdir()
    arrays = {name: array.copy() for name, array in read_npz(path.read_bytes()).items()}
    arrays["effect_counts"][7, 3] += 1
    path.write_bytes(write_npz(arrays))
    found = verify_run(tmp_path / "run")
    assert not found.ok
    assert any(path.name in finding.path for finding in found.findings)
