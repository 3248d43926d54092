"""The monitor of strict inference and the sweep over thresholds."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.inference import (
    InferenceConfig,
    StrictInferenceMonitor,
    strict_inference,
    tau_sweep,
)

NAN, INF = np.nan, np.inf


def lanes(*values):
    return np.array(values, np.float64)


@pytest.fixture
def result():
    """regular, gap, semantic, fault"""
    config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
    return strict_inference(lanes(1, 1, 1, NAN), lanes(2, 1e-4, 0, 1), config)


# --- monitor -----------------------------------------------------------------------------------


def test_monitor_counts_a_result(result):
    monitor = StrictInferenceMonitor()
    monitor.update(result, routed=np.array([True, False, False, False]))
    counts = {name: (r.count, r.n, r.rate) for name, r in monitor.rates().items()}
    assert counts == {
        "bottom": (2, 4, 0.5),
        "gap": (1, 4, 0.25),
        "accept": (1, 4, 0.25),
        "fault": (1, 4, 0.25),
        "semantic": (1, 4, 0.25),
        "routed": (1, 4, 0.25),
    }


def test_wilson_interval():
    monitor = StrictInferenceMonitor()
    monitor.update(bottom=np.arange(10) < 1)
    rate = monitor.rates()["bottom"]
    # Wilson (1927), 1 of 10 at 95 %
    assert rate.low == pytest.approx(0.01787621, abs=1e-8)
    assert rate.high == pytest.approx(0.40415003, abs=1e-8)
    monitor = StrictInferenceMonitor()
    monitor.update(bottom=np.zeros(10, bool))
    assert monitor.rates()["bottom"].low == 0.0


def test_d20_each_rate_is_divided_by_the_lanes_that_carried_it():
    monitor = StrictInferenceMonitor()
    for _ in range(9):
        monitor.update(bottom=np.zeros(10, bool))
    monitor.update(bottom=np.zeros(10, bool), hazard=np.ones(10, bool))
    assert monitor.rates()["hazard"].rate == 1.0
    assert monitor.rates()["hazard"].n == 10
    assert monitor.rates()["bottom"].n == 100


def test_d20_unequal_shapes_raise_and_count_nothing():
    monitor = StrictInferenceMonitor()
    with pytest.raises(SCMValueError, match="shape"):
        monitor.update(bottom=np.zeros((2, 3), bool), gap=np.zeros((3, 2), bool))
    assert monitor.rates() == {}


def test_monitor_refuses():
    monitor = StrictInferenceMonitor()
    with pytest.raises(SCMValueError, match="unknown mask 'botom'"):
        monitor.update(botom=np.zeros(1, bool))
    with pytest.raises(SCMTypeError, match="bool"):
        monitor.update(bottom=np.zeros(1))
    for window in (0, -1, 1.5, True):
        with pytest.raises(SCMValueError, match="window"):
            StrictInferenceMonitor(window)
    with pytest.raises(SCMValueError, match="limit of gap"):
        StrictInferenceMonitor(limits={"gap": 1.5})
    with pytest.raises(SCMValueError, match="unknown"):
        StrictInferenceMonitor(limits={"gaps": 0.5})


def test_window_and_events():
    monitor = StrictInferenceMonitor(window=4, limits={"bottom": 0.5, "accept": 0.5})
    on, off = np.ones(2, bool), np.zeros(2, bool)
    assert monitor.update(bottom=off, accept=on) == []
    assert monitor.update(bottom=on, accept=off) == []  # exactly at the limits
    events = monitor.update(bottom=on, accept=off)
    assert [(e.name, e.limit, e.rate.rate) for e in events] == [
        ("bottom", 0.5, 1.0),
        ("accept", 0.5, 0.0),
    ]
    assert monitor.update(bottom=on, accept=off) == []  # still beyond: not again
    assert monitor.update(bottom=off) == []
    assert monitor.window_rates()["bottom"].rate == 0.5
    assert [e.name for e in monitor.update(bottom=np.ones(9, bool))] == ["bottom"]
    assert monitor.window_rates()["bottom"].n == 4
    assert monitor.rates()["bottom"].n == 19


def held(monitor):
    """Everything that can grow: the buffers, and the state that is written out."""
    buffers = sum(sys.getsizeof(w.recent) for w in monitor._lanes.values())
    return buffers, len(json.dumps(monitor.state())) - len(str(monitor.rates()["bottom"].n))


@pytest.mark.parametrize("updates", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_d20_memory_is_constant(updates):
    monitor, mask = StrictInferenceMonitor(window=100), np.zeros(1, bool)
    for _ in range(200):
        monitor.update(bottom=mask)
    before = held(monitor)
    for _ in range(updates):
        monitor.update(bottom=mask)
    assert held(monitor) == before
    assert monitor.rates()["bottom"].n == updates + 200


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=7), max_size=6),
    st.lists(st.lists(st.booleans(), min_size=1, max_size=7), max_size=6),
)
def test_merge_of_two_is_one_that_saw_both(first, second):
    a, b, both = (StrictInferenceMonitor(window=8) for _ in range(3))
    for monitor, batches in ((a, first), (b, second), (both, first + second)):
        for batch in batches:
            monitor.update(bottom=np.array(batch))
    merged = a.merge(b)
    assert merged.rates() == both.rates()
    assert merged.window_rates() == both.window_rates()
    assert merged.state() == both.state()
    assert StrictInferenceMonitor.from_state(json.loads(json.dumps(both.state()))).state() == (
        both.state()
    )


def test_merge_and_state_refuse():
    with pytest.raises(SCMValueError, match="windows"):
        StrictInferenceMonitor(3).merge(StrictInferenceMonitor(4))
    for junk in ({}, {"window": 3, "limits": None, "lanes": 7, "passed": []}):
        with pytest.raises(SCMValueError, match="state"):
            StrictInferenceMonitor.from_state(junk)


def test_a_restored_monitor_does_not_repeat_its_events():
    monitor = StrictInferenceMonitor(window=4, limits={"bottom": 0.5})
    assert monitor.update(bottom=np.ones(4, bool))
    again = StrictInferenceMonitor.from_state(monitor.state())
    assert again.update(bottom=np.ones(4, bool)) == []
    assert again.merge(monitor).update(bottom=np.ones(4, bool)) == []


# --- sweep -------------------------------------------------------------------------------------


def test_d21_sweep_by_hand():
    P = lanes(1, 1, 1, NAN, 1, 1)
    Q = lanes(1, 1e-2, 1e-4, 1, 1e-3, 0)
    censored = np.array([False, False, False, False, True, True])
    sweep = tau_sweep(P, Q, censored, [1e-5, 1e-3, 5e-3])
    got = [(p.false_censored, p.false_in_range, p.n_bottom) for p in sweep.points]
    assert got == [(0.25, 0.5, 2), (0.5, 0.5, 3), (0.5, 0.0, 4)]
    assert [p.bottom_rate for p in sweep.points] == [2 / 6, 3 / 6, 4 / 6]


@pytest.mark.parametrize("gauge", ["raw", "l2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sweep_is_strict_inference_at_each_tau(gauge, dtype):
    rng = np.random.default_rng(1)
    P, Q = rng.normal(size=(2, 300)).astype(dtype)
    Q[:20] = [0, NAN, INF, -INF] * 5
    censored = rng.random(300) < 0.4
    taus = [1e-3, 0.1, float(abs(Q[50])), 1.0]
    sweep = tau_sweep(P, Q, censored, taus, gauge=gauge)
    for tau, point in zip(taus, sweep.points, strict=True):
        config = InferenceConfig(tau, gauge=gauge)
        bottom = strict_inference(P, Q, config).bottom_mask
        assert point.effective_tau == config.effective(dtype)[0]
        assert point.n_false_censored == (bottom & ~censored).sum()
        assert point.n_false_in_range == (~bottom & censored).sum()
        assert point.n_in_range + point.n_censored == point.n == 300


def test_d21_sweep_is_strict_json_and_empty_classes_are_none():
    sweep = tau_sweep(lanes(1, NAN), lanes(1, 1), np.zeros(2, bool), [1e-3])
    data = json.loads(json.dumps(sweep.to_dict(), allow_nan=False))
    assert data["points"][0]["false_in_range"] is None
    assert data["points"][0]["false_censored"] == 0.5
    empty = tau_sweep(lanes(), lanes(), np.zeros(0, bool), [1e-3]).points[0]
    assert (empty.bottom_rate, empty.false_censored, empty.n) == (None, None, 0)


def test_sweep_refuses():
    with pytest.raises(SCMValueError, match="tau_infer"):
        tau_sweep(lanes(1), lanes(1), np.zeros(1, bool), [0.0])
    with pytest.raises(SCMTypeError, match="is_censored"):
        tau_sweep(lanes(1), lanes(1), lanes(1), [1e-3])
    with pytest.raises(SCMValueError, match="is_censored"):
        tau_sweep(lanes(1), lanes(1), np.zeros((1, 1), bool), [1e-3])
