"""Peaks and scores: brute force on small inputs, ties and all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal

from zeroproofml.report.domains.ranking import Null, auroc
from zeroproofml.report.domains.rf import peaks, scores
from zeroproofml.report.domains.rf.devices import pole_error

NOTHING = np.zeros(0)
HEIGHTS = hnp.arrays(np.int8, st.integers(1, 14), elements=st.integers(-4, 4))


@given(
    x=st.lists(st.floats(-1, 1), min_size=3, max_size=9, unique=True),
    bend=st.floats(0.1, 100),
    at=st.floats(-0.9, 0.9),
    top=st.floats(-50, 50),
)
def test_a_parabola_is_refined_to_its_vertex(x, bend, at, top):
    x = np.sort(np.array(x))
    if np.diff(x).min() < 1e-3:
        return
    peak = peaks.highest(np.exp(x)[None], (top - bend * (x - at) ** 2)[None])
    lane = int(peak.lane[0])
    if 0 < lane < len(x) - 1:
        assert peak.db[0] == pytest.approx(top, abs=1e-6)
        assert np.log(peak.omega[0]) == pytest.approx(at, abs=1e-6)
    else:
        assert peak.omega[0] == pytest.approx(np.exp(x[lane]))


def test_a_repeated_point_of_the_grid_is_one_point():
    x = np.array([-0.2, 0.0, 0.0, 0.0, 0.3])
    once = peaks.highest(np.exp(x[[0, 1, 4]])[None], -((x[[0, 1, 4]] - 0.05) ** 2)[None])
    again = peaks.highest(np.exp(x)[None], -((x - 0.05) ** 2)[None])
    assert again.db[0] == once.db[0]
    assert again.omega[0] == once.omega[0]


def test_a_peak_beside_a_bottom_lane_is_its_sample():
    db = np.array([[1.0, 5.0, -np.inf, 2.0]])
    peak = peaks.highest(np.array([[1.0, 2.0, 3.0, 4.0]]), db)
    assert (peak.db[0], peak.omega[0], peak.lane[0]) == (5.0, 2.0, 1)


def prominences(y):
    """(lane, prominence) of every local maximum, plateaus by their middle, by definition."""
    out = []
    for start in range(len(y)):
        stop = start
        while stop + 1 < len(y) and y[stop + 1] == y[start]:
            stop += 1
        if start and y[start - 1] == y[start]:
            continue
        if start == 0 or stop == len(y) - 1:
            continue
        if not (y[start - 1] < y[start] > y[stop + 1]):
            continue
        bases = []
        for side in (y[:start][::-1], y[stop + 1 :]):
            lower = list(itertools.takewhile(lambda v, top=y[start]: v <= top, side))
            bases.append(min(lower))
        out.append(((start + stop) // 2, y[start] - max(bases)))
    return out


@given(HEIGHTS)
def test_prominence_is_the_height_above_the_higher_saddle(y):
    omega = np.arange(1.0, len(y) + 1)[None]
    found = peaks.maxima(omega, y.astype(float)[None])
    pairs = list(zip(found.lane.tolist(), found.prominence.tolist(), strict=True))
    assert pairs == prominences([float(v) for v in y])
    tall = peaks.maxima(omega, y.astype(float)[None], 3.0).lane.tolist()
    assert tall == [lane for lane, p in prominences(y.astype(float)) if p >= 3]


def by_scipy(omega, db, least):
    """(row, lane, ω, prominence) of every maximum, row by row, from scipy's own search."""
    out = []
    for row, (places, heights) in enumerate(zip(omega, db, strict=True)):
        seen = np.flatnonzero(np.isfinite(heights))
        lanes, about = signal.find_peaks(heights[seen], prominence=least)
        out += [
            (row, int(seen[i]), float(places[seen[i]]), float(height))
            for i, height in zip(lanes, about["prominences"], strict=True)
        ]
    return out


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.integers(1, 12).flatmap(
            lambda m: hnp.arrays(
                float,
                (n, m),
                elements=st.one_of(
                    st.integers(-3, 3).map(float),
                    st.floats(-200, 200),
                    st.sampled_from([np.nan, np.inf, -np.inf]),
                ),
            )
        )
    ),
    st.sampled_from([1e-6, 1.0, 3.0]),
)
def test_all_rows_at_once_are_bit_for_bit_what_scipy_finds(db, least):
    omega = np.linspace(0.2, 5.0, db.size).reshape(db.shape)
    found = peaks.maxima(omega, db, least)
    rows = zip(*(part.tolist() for part in found), strict=True)
    assert list(rows) == by_scipy(omega, db, least)


@pytest.mark.parametrize("steps", [0.25, 0.0])
def test_long_rows_with_noise_plateaus_and_holes_are_what_scipy_finds(steps):
    rng = np.random.default_rng(7)
    db = np.cumsum(rng.standard_normal((40, 354)), axis=1)
    db = np.round(db / steps) * steps if steps else db
    db[rng.random(db.shape) < 0.05] = -np.inf
    db[3], db[-1], db[5, 2:], db[6] = -np.inf, np.nan, -np.inf, 1.0
    omega = np.sort(rng.uniform(0.2, 5.0, db.shape), axis=1)
    for least in (1e-6, 3.0):
        rows = zip(*(part.tolist() for part in peaks.maxima(omega, db, least)), strict=True)
        assert list(rows) == by_scipy(omega, db, least)


def test_bottom_lanes_are_left_out_of_the_maxima():
    db = np.array([[0.0, 9.0, -np.inf, 5.0, 0.0]])
    assert peaks.maxima(np.arange(1.0, 6.0)[None], db).lane.tolist() == [1]


def alone(predicted, true, delta):
    """Which of the predicted places (ω) of one row match no true one."""

    def at(places):
        n = len(places)
        omega = np.array(places, dtype=float)
        return peaks.Maxima(np.zeros(n, dtype=int), np.arange(n), omega, np.full(n, 5.0))

    return peaks.unmatched(at(predicted), at(true), np.array([delta])).tolist()


def test_each_maximum_is_matched_once_the_nearest_first():
    assert alone([1.0, 1.03], [1.02], 0.01) == [True, False]
    assert alone([1.0, 1.03], [1.02, 1.02], 0.01) == [False, False]
    # Broad devices are matched in bandwidths, narrow ones within 5 %.
    assert alone([1.2], [1.0], 0.2) == [False]
    assert alone([1.06], [1.0], 0.001) == [True]
    assert alone([1.0], [], 0.01) == [True]
    assert alone([], [1.0], 0.01) == []


def one_by_one(predicted, true, delta):
    """The matching by its definition: all pairs in the order of their distance."""
    reach = max(1.5 * delta, 0.05)
    pairs = sorted(
        (abs(mine - other), i, j)
        for i, mine in enumerate(predicted)
        for j, other in enumerate(true)
        if abs(mine - other) <= reach * other
    )
    taken, used = set(), set()
    for _, i, j in pairs:
        if i not in taken and j not in used:
            taken.add(i)
            used.add(j)
    return [i not in taken for i in range(len(predicted))]


PLACES = st.lists(st.integers(1, 12).map(lambda k: k / 8), max_size=5).map(sorted)


@given(st.lists(st.tuples(PLACES, PLACES, st.sampled_from([0.01, 0.1, 0.3])), max_size=4))
def test_rows_are_matched_apart_from_each_other(devices):
    def maxima(which):
        held = [(row, w) for row, made in enumerate(devices) for w in made[which]]
        row, omega = (np.array(x) for x in zip(*held, strict=True)) if held else (NOTHING, NOTHING)
        return peaks.Maxima(row.astype(int), row, omega, omega)

    found = peaks.unmatched(maxima(0), maxima(1), np.array([made[2] for made in devices]))
    assert found.tolist() == [x for made in devices for x in one_by_one(*made)]


LOSSES = st.lists(st.tuples(st.integers(0, 1), st.integers(-2, 2)), min_size=1, max_size=9)


@given(LOSSES)
def test_risk_areas_follow_their_definition(pairs):
    loss, score = (np.array(part, dtype=float) for part in zip(*pairs, strict=True))
    ranked = sorted(range(len(loss)), key=lambda i: (-score[i], i))
    risks = [np.mean(loss[ranked[:k]]) for k in range(1, len(loss) + 1)]
    best = min(
        np.mean([np.mean([loss[i] for i in order[:k]]) for k in range(1, len(loss) + 1)])
        for order in (sorted(range(len(loss)), key=lambda i: loss[i]),)
    )
    assert scores.aurc(loss, score) == pytest.approx(np.mean(risks), abs=1e-12)
    assert scores.excess_aurc(loss, score) == pytest.approx(np.mean(risks) - best, abs=1e-12)
    assert scores.excess_aurc(loss, score) >= -1e-12
    assert scores.aurc(loss[:0], score[:0]) == Null("empty_set")


@given(
    hnp.arrays(float, st.integers(5, 8), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0])),
    hnp.arrays(float, st.integers(5, 8), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0])),
)
def test_auroc_counts_pairs_and_halves_of_ties(positive, negative):
    pairs = [1.0 if a > b else 0.5 * (a == b) for a in positive for b in negative]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs))


@given(
    st.integers(1, 2),
    st.lists(
        st.tuples(st.floats(-1, 0.5), st.floats(-2, 2), st.booleans()), min_size=1, max_size=5
    ),
)
def test_poles_are_matched_by_least_total_distance(count, found):
    true = np.array([[-0.1 + 0.5j, -0.2 + 1.0j][:count]])
    poles = np.array([[x + 1j * y for x, y, _ in found]])
    mask = np.array([[there for *_, there in found]])
    usable = [p for p, there in zip(poles[0], mask[0], strict=True) if there and p.imag > 0]
    options = [
        (
            sum(abs(a - b) for a, b in zip(true[0], order, strict=True)),
            np.mean([abs(a - b) / abs(a.real) for a, b in zip(true[0], order, strict=True)]),
        )
        for order in itertools.permutations(usable, count)
    ]
    made = pole_error(true, poles, mask)[0]
    if not options:
        assert np.isinf(made)
    else:
        least = min(total for total, _ in options)
        ties = [mean for total, mean in options if total <= least + 1e-12]
        assert any(made == pytest.approx(mean) for mean in ties)
