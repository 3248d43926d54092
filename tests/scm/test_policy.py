"""Gradient policies: the table, the precedence, the context."""

import threading

import numpy as np
import pytest

from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.scm.policy import (
    GradientPolicy,
    apply_policy,
    current_policy,
    gradient_policy,
    resolve_policy,
)

G = np.array([0.5, -3.0, np.inf, -np.inf, np.nan, 7.0, np.nan])
BOTTOM = np.array([False] * 5 + [True, True])
NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("policy", "want"),
    [
        (GradientPolicy.CLAMP, [0.5, -1, 1, -1, 0, 0, 0]),
        (GradientPolicy.PROJECT, [0.5, -3, 0, 0, 0, 0, 0]),
        (GradientPolicy.REJECT, [0, 0, 0, 0, 0, 0, 0]),
        (GradientPolicy.PASSTHROUGH, [0.5, -3, INF, -INF, NAN, 7, NAN]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_table(policy, want, dtype):
    got = apply_policy(G.astype(dtype), BOTTOM, policy, xp=np)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.array(want, dtype))


def test_d08_clamp_sends_nan_to_zero_not_to_one():
    got = apply_policy(np.array([NAN]), np.array([False]), GradientPolicy.CLAMP, xp=np)
    assert got[0] == 0.0


def test_clamp_bounds_the_modulus_of_a_complex_gradient():
    big = np.finfo(np.float64).max
    g = np.array([3 + 4j, 0.3 + 0.4j, big + big * 1j, 0j, NAN + 1j, INF + 0j, 5 + 0j, 1 + 1j])
    got = apply_policy(g, np.array([False] * 6 + [True, False]), GradientPolicy.CLAMP, xp=np)
    half = np.sqrt(0.5)
    want = [0.6 + 0.8j, 0.3 + 0.4j, half + half * 1j, 0, 0, 0, 0, half + half * 1j]
    np.testing.assert_allclose(got, want, rtol=1e-15)
    assert np.all(np.abs(got) <= 1 + 1e-15)


def test_precedence():
    clamp, project, reject = (GradientPolicy(v) for v in ("clamp", "project", "reject"))
    assert resolve_policy(None, project) is project
    with gradient_policy(reject):
        assert resolve_policy(None, project) is reject
        assert resolve_policy(clamp, project) is clamp
        with gradient_policy(clamp):
            assert current_policy() is clamp
        assert current_policy() is reject
    assert current_policy() is None


def test_context_is_restored_after_an_error():
    with pytest.raises(KeyError), gradient_policy(GradientPolicy.REJECT):
        raise KeyError
    assert current_policy() is None


def test_context_is_process_wide():
    seen = []
    with gradient_policy(GradientPolicy.REJECT):
        thread = threading.Thread(target=lambda: seen.append(current_policy()))
        thread.start()
        thread.join()
    assert seen == [GradientPolicy.REJECT]


@pytest.mark.parametrize("wrong", ["reject", None, 1])
def test_context_takes_members_only(wrong):
    with pytest.raises(SCMTypeError, match="GradientPolicy"), gradient_policy(wrong):
        pass
    assert current_policy() is None
