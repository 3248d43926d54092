"""Curves of section heads: places decoded together are what they are alone, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from zeroproofml.report.domains.rf import answers, sections
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.domains.rf.peaks import amplitude


@pytest.fixture(scope="module")
def world(rf):
    """Stable devices, more than are decoded at a time, and a head with faults, zeros and gains."""
    settings = {**rf.settings, "stable": 40}
    tests = TestSet(rf.draw(settings, 0), settings)
    head = rf.noisy(rf.exact(tests.design, tests.delta), 3, 0.5)[: tests.count]
    head[5], head[9, 0, 1], head[11, :, 3], head[13, :, 2:] = 0, 2.5, 0, 0
    head[17, 0, 1] = head[17, 1, 1] = 0
    return tests.devices, head


def by_complex_numbers(head, omega):
    """P and Q as they are defined, with 1j."""
    good = sections.sound(head)[:, None]
    w, d, a, b = (np.where(good, part, np.nan)[:, :, None] for part in np.moveaxis(head, 2, 0))
    ratio = omega[:, None] / w
    n = a + 1j * (b * ratio)
    d = 1 - ratio * ratio + 1j * (d * ratio)
    return n[:, 0] * d[:, 1] + n[:, 1] * d[:, 0], d[:, 0] * d[:, 1]


def test_numerator_and_denominator_are_their_definition(world):
    devices, head = world
    for mine, other in zip(
        sections.tuples(head, devices.omega),
        by_complex_numbers(head, devices.omega),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("epsilon", [None, 0.0, 1e-3])
def test_lanes_and_peaks_are_those_of_each_grid_alone(world, epsilon):
    devices, head = world
    assert len(head) == 160
    grid = np.sort(np.concatenate([devices.omega, sections.peak_places(head)], axis=1), axis=1)

    def decoded(omega):
        p, q = sections.tuples(head, omega)
        return sections.quotient(p, q) if epsilon is None else sections.divide(p, q, epsilon)

    if epsilon is None:
        curve = answers.section_curve(devices, head)
    else:
        curve = answers.divided_curve(devices, head, epsilon)
    np.testing.assert_array_equal(curve.peak_omega, grid)
    for mine, other in zip(
        (curve.response, curve.cause, curve.peak_response, curve.peak_cause),
        (*decoded(devices.omega), *decoded(grid)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, other)
    q = sections.tuples(head, devices.omega)[1]
    np.testing.assert_array_equal(curve.denominator, amplitude(q))


def test_no_device_has_a_curve_of_no_rows(world):
    devices, head = world
    none = np.arange(0)
    curve = answers.section_curve(devices.take(none), head[none])
    assert curve.response.shape == (0, 288)
    assert curve.peak_omega.shape == (0, 354)
    assert curve.invented.shape == (0,)


def test_poles_are_those_of_the_answer(rf):
    tests = TestSet(rf.world(), rf.settings)
    for arm in rf.arms:
        answer, poles = tests.answer(arm), tests.poles(arm)
        if poles is None:
            assert answer.poles is None
            continue
        np.testing.assert_array_equal(poles.rows, answer.rows)
        np.testing.assert_array_equal(poles.place, answer.poles)
        np.testing.assert_array_equal(poles.there, answer.pole_mask)


def test_the_truth_is_taken_from_another_seed_only_where_the_test_set_is_the_same(rf):
    world, other = rf.world(), rf.draw(rf.settings, 1)
    first = TestSet(world, rf.settings)
    same = TestSet(dict(world), rf.settings, first)
    assert same.devices is first.devices
    assert same.answer("scm_rational").curve.devices is first.devices
    apart = TestSet({**world, "data__test__delta": other["data__test__delta"]}, rf.settings, first)
    alone = TestSet({**world, "data__test__delta": other["data__test__delta"]}, rf.settings)
    np.testing.assert_array_equal(apart.devices.truth, alone.devices.truth)
    assert not np.array_equal(apart.devices.truth, first.devices.truth)
