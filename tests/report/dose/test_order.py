"""One order of the lanes serves everybody: beside plain recounts, with ties, holes and shuffled lanes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report.domains.dose import diagnostics, gate, lanes
from zeroproofml.report.domains.dose.answers import Outcome, accept
from zeroproofml.report.domains.dose.arms import arms
from zeroproofml.report.domains.dose.coverage import PERCENT, Curves
from zeroproofml.report.domains.dose.thresholds import Candidates, Point
from zeroproofml.report.domains.dose.tuples import Denominators, linear_edges, log_edges
from zeroproofml.report.domains.dose.views import View, points
from zeroproofml.report.domains.ranking import total
from zeroproofml.scm.cause import Cause

KEY = "scm_oriented"


def lumpy(levels, holes):
    """Scores on a few levels in [0, 1], lanes without a value, errors of all sizes."""

    def act(make, y, rng):
        n = len(y)
        score = np.clip(np.round((0.5 * y.in_range + rng.random(n) / 2) * levels), 0, levels)
        score /= levels
        none = rng.choice([int(Cause.DIV_ZERO), int(Cause.NONFINITE)], n)
        cause = np.where(rng.random(n) < holes, none, 0)
        score[cause != 0] = 0
        side, point = rng.choice([-1, 1], n), y.position + rng.normal(0, 1, n)
        return make.answer(score, side, np.where(cause == 0, point, 0), cause, q=score)

    return act


@pytest.fixture(params=[(4, 0.0), (40, 0.2), (10_000, 0.02), (1, 0.0), (5, 1.0)])
def pair(request, make):
    """Curves and an answer with ties."""
    rng = np.random.default_rng(request.param[0])
    y = make.truth(rng, 700)
    # Off the dyadic positions, on which every sum would be exact in any order.
    y = dataclasses.replace(y, micro=y.micro + rng.integers(-7000, 7000, 700).astype(np.int32))
    return y, lumpy(*request.param)(make, y, rng)


def view(y, said):
    found = Candidates.of(said, y)
    chosen = points(arms("standard")[KEY], said, y)
    return View(1, {"test": y}, {KEY: {"test": said}}, {KEY: found}, {KEY: chosen})


def shuffled(y, said):
    order = np.random.default_rng(0).permutation(len(y))

    def moved(of):
        fields = {name: getattr(of, name) for name in of.__dataclass_fields__}
        return type(of)(**{k: v if v is None else v[order] for k, v in fields.items()})

    return moved(y), moved(said)


floats = st.floats(-(2.0**900), 2.0**900) | st.floats(-1, 1)


@given(st.lists(floats, min_size=1, max_size=40), st.integers(1, 60), st.booleans())
def test_a_long_sum_has_the_bits_of_fsum(numbers, times, cancelled):
    x = np.resize(np.array(numbers), 40 * times)
    x = np.concatenate([x, -x[1:]]) if cancelled else x
    assert total(x) == math.fsum(x.tolist())
    narrow = np.clip(x, -1e30, 1e30).astype(np.float32)
    assert total(narrow) == math.fsum(narrow.tolist())


def test_a_long_sum_of_what_is_no_number():
    x = np.ones(1000)
    for odd in (np.inf, -np.inf, 1.7e308):
        x[700] = odd
        assert total(x) == math.fsum(x.tolist())
    x[700] = np.nan
    assert math.isnan(total(x))
    assert total(np.full(1000, 2**53 + 1)) == math.fsum([2**53 + 1] * 1000)


def test_candidates_count_the_accepted_lanes(pair):
    y, said = pair
    found = Candidates.of(said, y)
    assert found.t[1:-1].tolist() == sorted(set(said.score[said.open].astype(float).tolist()))
    for t, fp, fn in zip(found.t, found.fp, found.fn, strict=True):
        taken = accept(said, t)
        assert (fp, fn) == (np.sum(taken & y.censored), np.sum(~taken & y.in_range))


def test_coverage_takes_whole_tie_groups(pair):
    y, said = pair
    curves = Curves()
    curves.add(view(y, said), KEY)
    score, n = gate.gate_score(said), len(y)
    shares = gate.unsafe_shares(score, y.censored)
    inside = np.abs(said.clipped - y.position)[y.in_range]
    for percent, unsafe, error in zip(PERCENT, curves.unsafe[1], curves.error[1], strict=True):
        k = math.ceil(percent * n / 100)
        assert unsafe == (shares[k - 1] if k <= said.open.sum() else None)
        top = gate.top_share(score[y.in_range], percent)
        if isinstance(top, str):
            assert error is None
        else:
            assert error == pytest.approx(inside[top].mean(), rel=1e-12)


def test_the_closest_and_the_farthest_lanes_by_plain_sorting(pair):
    y, said = pair
    point = Point("balanced", 0.5, 0, 0, 1, 1)
    made = Outcome(y, said, accept(said, 0.5))
    margin = np.abs(said.score.astype(float) - 0.5)
    rows = sorted(np.flatnonzero(said.open).tolist(), key=lambda i: (margin[i], i))
    assert [row["id"] for row in lanes.closest(1, made, point)] == rows[:12]
    edge = np.minimum(np.abs(y.micro + 9e6), np.abs(y.micro + 5e6))
    wrong = np.flatnonzero((made.predicted != y.label) & ~y.no_effect).tolist()
    rows = sorted(wrong, key=lambda i: (-edge[i], i))
    assert [row["id"] for row in lanes.farthest(1, made, point)] == rows[:12]


def test_histograms_are_those_of_numpy(pair):
    y, said = pair
    made = Denominators()
    made.add(y, said)
    there = (said.score > 0) & (said.cause == 0)
    for name, mask in {"all": there, "in_range": there & y.in_range}.items():
        size = said.score[mask].astype(float)
        assert made.log[name].tolist() == np.histogram(size, log_edges())[0].tolist()
        assert made.linear[name].tolist() == np.histogram(size, linear_edges())[0].tolist()


def test_an_order_of_lanes_shows_in_nothing_but_their_numbers(pair):
    plain = []
    for each in (pair, shuffled(*pair)):
        found = diagnostics.Diagnosed()
        arm = found.arms.setdefault(KEY, diagnostics._Arm(arms("standard")[KEY]))
        arm.add(view(*each), KEY)
        made = arm.plain()
        del made["borderline"], made["far_errors"]
        plain.append(made)
    assert plain[0] == plain[1]
