"""Peaks and scores: brute force on small inputs, ties and all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeroproofml.report.domains.ranking import Null, auroc
from zeroproofml.report.domains.rf import peaks, scores
from zeroproofml.report.domains.rf.devices import pole_error

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
    found = peaks.maxima(np.arange(1.0, len(y) + 1), y.astype(float))
    assert [(m.lane, m.prominence) for m in found] == prominences([float(v) for v in y])
    tall = peaks.maxima(np.arange(1.0, len(y) + 1), y.astype(float), 3.0)
    assert [m.lane for m in tall] == [lane for lane, p in prominences(y.astype(float)) if p >= 3]


def test_bottom_lanes_are_left_out_of_the_maxima():
    db = np.array([0.0, 9.0, -np.inf, 5.0, 0.0])
    assert [m.lane for m in peaks.maxima(np.arange(1.0, 6.0), db)] == [1]


def test_each_maximum_is_matched_once_the_nearest_first():
    def at(*places):
        return [peaks.Maximum(i, w, 5.0) for i, w in enumerate(places)]

    assert [m.omega for m in peaks.unmatched(at(1.0, 1.03), at(1.02), 0.01)] == [1.0]
    assert peaks.unmatched(at(1.0, 1.03), at(1.02, 1.02), 0.01) == []
    # Broad devices are matched in bandwidths, narrow ones within 5 %.
    assert peaks.unmatched(at(1.2), at(1.0), 0.2) == []
    assert len(peaks.unmatched(at(1.06), at(1.0), 0.001)) == 1


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
