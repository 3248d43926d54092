"""Rows near, on and across the poles keep the law that the protocol states."""

from __future__ import annotations

import numpy as np
import pytest

from zeroproofml.benchmarks.domains.ik import data
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.report.contract.arrays import array_digest

SIZES = {
    "train": 400,
    "cal": 100,
    "strata": 120,
    "natural": 200,
    "pole": 120,
    "flips": 60,
    "paths": 8,
    "path_steps": 60,
}
ROBOTS = ("r2", "ur5")


@pytest.fixture(scope="module", params=ROBOTS)
def built(request):
    return data.build(request.param, 3, SIZES)


def sigma(built, q):
    return np.linalg.svd(kin.jacobian(built.robot, q), compute_uv=False)


def digests(built):
    return {name: array_digest(columns) for name, (_, _, columns) in built.datasets().items()}


def test_sizes_and_names(built):
    name = built.robot.name
    counts = {key: n for key, (_, n, _) in built.datasets().items()}
    assert counts == {
        f"{name}_train": 400,
        f"{name}_cal": 100,
        f"{name}_strata": 600,
        f"{name}_natural": 200,
        f"{name}_pole": 120,
        f"{name}_flips": 360,
        f"{name}_paths": 8,
    }
    roles = {key.split("_")[1]: role for key, (role, _, _) in built.datasets().items()}
    assert (roles["train"], roles["cal"]) == ("train", "calibration")
    assert {roles[key] for key in ("strata", "natural", "pole", "flips", "paths")} == {"test"}


@pytest.mark.parametrize("code", list(data.DECADES))
def test_strata_lie_in_their_decade_with_every_family_and_side(built, code):
    low, high = data.DECADES[code]
    rows = built.strata.set == code
    smallest = sigma(built, built.strata.q[rows])[:, -1]
    assert smallest.min() >= low * np.exp(-0.05)
    assert smallest.max() <= high * np.exp(0.05)
    families = built.strata.family[rows]
    assert set(families) == set(range(len(built.robot.families)))
    det = kin.determinant(built.robot, built.strata.q[rows])
    for family in set(families):
        assert len(set(np.sign(det[families == family]))) == 2
    spread = np.histogram(np.log(smallest), np.linspace(np.log(low), np.log(high), 4))[0]
    assert spread.min() > 15  # log-uniform: 40 expected in each third


def test_the_last_decade_is_natural_and_regular(built):
    rows = built.strata.set == data.D1
    assert np.count_nonzero(rows) == 120
    assert sigma(built, built.strata.q[rows])[:, -1].min() >= 0.1
    assert (built.strata.family[rows] == -1).all()


def test_no_two_rows_are_equal(built):
    for rows in (built.train, built.cal, built.strata, built.natural, built.pole, built.flips):
        assert len(np.unique(rows.q, axis=0)) == len(rows)
        assert np.abs(np.linalg.norm(rows.e, axis=1) - 1).max() < 1e-12
        assert (np.abs(rows.q) <= np.pi).all() or rows is built.flips or rows is built.pole


def test_train_is_half_natural(built):
    assert np.count_nonzero(built.natural_rows) == 200
    near = sigma(built, built.train.q[~built.natural_rows])[:, -1]
    assert near.min() >= 1e-5 * np.exp(-0.05)
    assert near.max() <= 0.1 * np.exp(0.05)
    assert (built.train.family[built.natural_rows] == -1).all()
    assert (built.train.family[~built.natural_rows] >= 0).all()
    assert 70 < np.count_nonzero(built.natural_rows[:200]) < 130  # one permutation


def test_pole_rows_are_on_the_pole_and_know_their_kind(built):
    rows = built.pole
    jac = kin.jacobian(built.robot, rows.q)
    u, values, _ = np.linalg.svd(jac)
    assert values[:, -1].max() < 1e-14
    assert values[:, -2].min() >= 1e-2
    across = np.abs(np.sum(u[:, :, -1] * rows.e, axis=1))
    assert (rows.label[:60] == data.BOTTOM).all()
    assert (rows.label[60:] == data.BY_RANGE).all()
    assert across[:60].min() >= 0.3
    assert across[60:].max() <= 1e-12
    assert np.array_equal(rows.family, np.arange(120) % len(built.robot.families))


def test_flips_are_pairs_across_the_pole_with_one_command(built):
    rows = built.flips
    for code, delta in data.FLIPS.items():
        mine = np.flatnonzero(rows.set == code)
        plus, minus = mine[:60], mine[60:]
        assert np.array_equal(rows.pair[plus], rows.pair[minus])
        assert np.array_equal(rows.e[plus], rows.e[minus])
        apart = rows.q[plus] - rows.q[minus]
        assert np.abs(np.abs(apart).sum(axis=1) - 2 * delta).max() < 1e-12
        middle = 0.5 * (rows.q[plus] + rows.q[minus])
        assert np.abs(kin.determinant(built.robot, middle)).max() < 1e-14
        signs = [np.sign(kin.determinant(built.robot, rows.q[end])) for end in (plus, minus)]
        assert np.mean(signs[0] == -signs[1]) > 0.9
    assert len(np.unique(rows.pair)) == 180


def test_paths_cross_their_pole_within_one_step_of_mid_time(built):
    times, q = built.paths.reference()
    assert np.abs(times + times[::-1]).max() < 1e-15
    assert np.allclose(np.diff(times), 1 / 200)
    det = kin.determinant(built.robot, q.reshape(-1, q.shape[-1])).reshape(q.shape[:2])
    middle = len(times) // 2
    assert (np.sign(det[middle - 1]) == -np.sign(det[middle])).all()
    coordinate = kin.to_pole(built.robot, built.paths.q, built.paths.family)[1]
    speed = np.linalg.norm(
        (kin.jacobian(built.robot, built.paths.q) @ built.paths.w[:, :, None])[:, :, 0], axis=1
    )
    assert speed.max() <= 0.25 + 1e-12
    across = np.abs(np.take_along_axis(built.paths.w, coordinate[:, None], axis=1))
    assert across.min() > 0


def test_same_seed_same_numbers_other_seed_others(built):
    again = data.build(built.robot.name, 3, SIZES)
    other = data.build(built.robot.name, 4, SIZES)
    assert digests(again) == digests(built)
    assert not set(digests(other).values()) & set(digests(built).values())


def test_evaluation_rows_keep_the_stored_order(built):
    rows = built.evaluation()
    assert len(rows) == 100 + 600 + 200 + 120 + 360
    assert list(dict.fromkeys(rows.set.tolist())) == list(range(11))
    assert (np.diff(rows.set) >= 0).all()


def test_labels_are_finite_outside_the_pole_set(built):
    rows = built.evaluation()
    assert set(rows.label[rows.set != data.POLE]) == {data.FINITE}
