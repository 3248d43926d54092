"""Stored columns: what strict inference decides is what the stored float32 scores decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.benchmarks.domains.dose import bayes, data, evaluate
from zeroproofml.benchmarks.domains.dose.recipes import CLASSIC, STANDARD
from zeroproofml.report.domains.dose.answers import Answer, Outcome, Targets, accept
from zeroproofml.report.domains.dose.arms import Gauge, arms
from zeroproofml.report.domains.dose.record import REFUSE_ALL, accept_all
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.inference import InferenceConfig, gauge_value, strict_inference

CENTRED = Gauge(-7.0, 1.0)
wild = st.floats(width=32, allow_nan=True, allow_infinity=True)
tame = st.floats(-8, 8, width=32)
plain = st.integers(-512, 512).map(lambda k: k / 64)


def columns(pairs):
    p, q = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    return p, q


def answer_of(made):
    return Answer(**{k: made[k] for k in ("score", "direction", "point", "cause", "q")})


@given(st.lists(st.tuples(st.one_of(wild, tame), st.one_of(wild, tame)), min_size=1, max_size=20))
def test_stored_scores_decide_as_strict_inference_does(pairs):
    p, q = columns(pairs)
    made = evaluate.tuples(p, q, CENTRED)
    for array in made.values():
        assert np.isfinite(array).all()
        assert array.dtype in (np.float32, np.uint8)
    given_ = answer_of(made)
    with np.errstate(all="ignore"):
        overflows = np.isfinite(p) & np.isfinite(q) & (q != 0) & np.isinf(p / q)
    assert given_.fault[overflows].all()
    thresholds = {float(t) for t in made["score"] if t >= accept_all()} | {0.447, 1.0}
    for t in thresholds:
        for train in (t, max(t, 0.5)):
            wanted = strict_inference(p, q, InferenceConfig(t, tau_train=train, gauge="l2"))
            accepted = accept(given_, t)
            assert np.array_equal(accepted, ~wanted.bottom_mask), t
            gap = accepted & (made["score"] < np.float32(train))
            assert np.array_equal(gap, wanted.gap_mask)
            assert np.array_equal(given_.fault & ~overflows, wanted.fault_mask & ~overflows)
    everything = strict_inference(p, q, InferenceConfig(accept_all(), gauge="l2"))
    assert np.array_equal(accept(given_, -math.inf), ~everything.bottom_mask)
    decoded = np.float32(-7.0) + everything.decoded[~everything.bottom_mask]
    assert np.array_equal(made["point"][~everything.bottom_mask], decoded)
    assert not accept(given_, REFUSE_ALL).any()


@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=20))
def test_signed_score(pairs):
    p, q = columns(pairs)
    made = evaluate.tuples(p, q, CENTRED)
    assert np.array_equal(np.abs(made["q"]), made["score"])
    assert np.array_equal(np.signbit(made["q"]), np.signbit(q))
    assert np.array_equal(made["score"], gauge_value(p, q, "l2"))
    assert np.allclose(made["direction"] ** 2 + made["q"] ** 2, (p != 0) | (q != 0), atol=1e-6)


def truth(labels):
    n = len(labels)
    return Targets(np.array(labels, np.uint8), np.full(n, -7_000_000, np.int32), np.zeros(n, bool))


def test_zero_denominators_and_faults_have_their_class():
    big, inf, nan = 3e38, np.inf, np.nan
    p = np.array([-1.0, 1.0, 0.0, nan, inf, 1.0, big, -0.5], np.float32)
    q = np.array([0.0, 0.0, 0.0, 1.0, 1.0, nan, 0.1, 0.5], np.float32)
    made = evaluate.tuples(p, q, CENTRED)
    null, fault = int(Cause.DIV_ZERO), int(Cause.NONFINITE)
    overflow = int(Cause.OVERFLOW | Cause.THRESHOLD)
    wanted = [null, null, null | int(Cause.NULL_TUPLE), fault, fault, fault, overflow, 0]
    assert made["cause"].tolist() == wanted
    for t in (-math.inf, 1e-6, 0.9):
        found = Outcome(truth([1] * 8), answer_of(made), accept(answer_of(made), t))
        last = 1 if t < 0.7 else 0
        assert found.predicted.tolist() == [0, 2, 2, 3, 3, 3, 3, last], t
    assert made["score"][3:7].tolist() == [0.0] * 4
    assert made["point"][:7].tolist() == [0.0] * 7


def test_a_direction_head_decides_the_side():
    p, q = np.array([1.0, -1.0, 1.0], np.float32), np.array([0.1, 0.1, 0.1], np.float32)
    made = evaluate.tuples(p, q, CENTRED, np.array([-2.0, 3.0, np.nan], np.float32))
    assert made["direction"].tolist() == [-2.0, 3.0, 0.0]
    assert (made["orient"][:2] * p[:2] > 0.99).all()
    assert made["cause"].tolist() == [0, 0, int(Cause.NONFINITE)]


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(0.125, 3)), min_size=1, max_size=20),
    st.integers(-12, 4),
    st.sampled_from([0.5, 2.0]),
)
def test_a_threshold_is_not_carried_to_another_gauge(pairs, center, scale):
    """P' = sP + (c − c')Q, Q' = s'Q is the same value in another gauge, with other scores."""
    p, q = (np.array(column) for column in zip(*pairs, strict=True))
    other = Gauge(float(center), scale)
    p2, q2 = p + (-7.0 - center) * q, scale * q
    here = evaluate.tuples(p.astype(np.float32), q.astype(np.float32), CENTRED)
    there = evaluate.tuples(p2.astype(np.float32), q2.astype(np.float32), other)
    assert np.allclose(here["point"], there["point"], atol=1e-3)
    z = p2 / q2
    assert np.allclose(there["score"], 1 / np.sqrt(1 + z * z), atol=1e-5)
    if not np.allclose(np.abs(p / q), np.abs(z), atol=1e-2):
        assert not np.allclose(here["score"], there["score"], atol=1e-5)


def test_arms_that_give_numbers():
    offset = np.array([-3.0, 0.0, 2.5, np.nan])
    made = evaluate.distance(offset)
    assert made["score"].tolist() == [-1.0, 2.0, -0.5, 0.0]
    assert made["direction"].tolist() == [-3.0, 0.0, 2.5, 0.0]
    assert made["point"].tolist() == [-10.0, -7.0, -4.5, 0.0]
    assert made["cause"].tolist() == [0, 0, 0, int(Cause.NONFINITE)]
    made = evaluate.numbers(np.array([1e300]), np.zeros(1), np.zeros(1))
    assert made["cause"].tolist() == [int(Cause.NONFINITE)]


def test_learned_arms_of_numbers():
    standard, classic = arms("standard"), arms("classic")
    out = np.array([[0.5], [-2.5]], np.float32)
    made = evaluate.learned(STANDARD["clamped_mlp"], standard["clamped_mlp"], out)
    assert made["score"].tolist() == [1.5, -0.5]
    assert made["point"].tolist() == [-6.5, -9.5]
    out = np.array([[-6.5], [-9.5]], np.float32)
    again = evaluate.learned(CLASSIC["clampedmlp"], classic["clampedmlp"], out)
    assert {k: v.tolist() for k, v in made.items()} == {k: v.tolist() for k, v in again.items()}
    out = np.array([[0.0, 1.0, 3.0, 0.25]], np.float32)
    made = evaluate.learned(STANDARD["two_stage"], standard["two_stage"], out)
    share = np.exp([0.0, 1.0, 3.0]) / np.exp([0.0, 1.0, 3.0]).sum()
    assert np.allclose(made["prob"][0], share, atol=1e-7)
    assert made["score"][0] == made["prob"][0, 1]
    assert made["direction"][0] == 3.0
    assert made["point"][0] == -6.75
    out = np.array([[0.5, math.log(0.5)], [9.0, 0.0]], np.float32)
    made = evaluate.learned(STANDARD["tobit"], standard["tobit"], out)

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    wanted = [phi(-6), 1 - phi(-6) - phi(-2), phi(-2)]
    assert np.allclose(made["prob"][0], wanted, atol=1e-6)
    assert made["score"][0] == made["prob"][0, 1]
    assert made["direction"][0] == pytest.approx(phi(-2) - phi(-6), rel=1e-6)
    assert made["sd"].tolist() == [0.5, 1.0]
    assert made["point"].tolist() == [-6.0, 11.0]


@pytest.mark.parametrize("protocol", ["standard", "classic"])
def test_arms_that_are_not_trained(protocol):
    curves = data.frozen(protocol, 1, "test", 100)
    found = bayes.posterior(protocol, curves.effects)
    oracle = evaluate.analytic("bayes_oracle", protocol, 100, found)
    assert np.array_equal(oracle["score"], found.prob[:, 1].astype(np.float32))
    side = (found.prob[:, 2] - found.prob[:, 0]).astype(np.float32)
    assert np.array_equal(oracle["direction"], side)
    fit = evaluate.analytic("hill_fit", protocol, 100, found)
    own = (found.fit + 7).astype(np.float32)
    assert np.array_equal(fit["direction"], own if protocol == "standard" else side)
    assert np.allclose(fit["score"], 2 - np.abs(found.fit + 7), atol=1e-6)
    made = evaluate.analytic("constant", protocol, 2, None)
    assert {k: v.tolist() for k, v in made.items()} == {
        "score": [0.0, 0.0],
        "direction": [1.0, 1.0],
        "point": [-7.0, -7.0],
        "cause": [0, 0],
    }
