"""Weak sign and the orientation tracker (§5, D11)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.sign import OrientationTracker, weak_sign, weak_sign_numpy
from zeroproofml.scm.value import BOTTOM, SCMValue

MAX, SUB = np.finfo(float).max, 5e-324


@pytest.mark.parametrize("x", [3.0, 1e-320, SUB, MAX, 1])
def test_real_signs_are_exact(x):
    assert weak_sign(x) == 1.0
    assert weak_sign(-x) == -1.0


def test_zero_and_bottom():
    assert weak_sign(0.0) == 0.0
    assert weak_sign(0j) == 0.0
    assert weak_sign(BOTTOM).cause == Cause.MASKED
    assert weak_sign(SCMValue.bottom(Cause.DOMAIN)).cause == Cause.DOMAIN
    assert weak_sign(math.inf).cause == Cause.NONFINITE
    with pytest.raises(SCMTypeError, match=r"^x: "):
        weak_sign("1")


@pytest.mark.parametrize("scale", [MAX, MAX / 2, 1e200, 1.0, 1e-200, 2.3e-308, 1e-310, SUB])
@pytest.mark.parametrize("z", [1 + 1j, 1 - 0.5j, -1j, -0.3 + 1j])
def test_D11_the_modulus_is_one_near_max_and_among_subnormals(scale, z):
    w = complex(z.real * scale, z.imag * scale)
    s = weak_sign(w).payload
    assert abs(abs(s) - 1) <= 2 * np.finfo(float).eps
    for payload, mask in (weak_sign_numpy([w, 1 + 0j]), weak_sign_numpy(np.array([w, 1 + 0j]))):
        assert not mask.any()
        assert abs(abs(payload[0]) - 1) <= 2 * np.finfo(float).eps
    assert math.copysign(1, s.real) == math.copysign(1, w.real) or s.real == 0


@given(st.complex_numbers(allow_nan=False, allow_infinity=False))
def test_complex_signs_have_modulus_one_and_keep_the_direction(z):
    s = weak_sign(z).payload
    if z == 0:
        assert s == 0
        return
    assert abs(abs(s) - 1) <= 2 * np.finfo(float).eps
    assert weak_sign(-z) == -s
    assert weak_sign(z.conjugate()) == s.conjugate()


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "longdouble", "complex64", "complex128"]
)
def test_arrays_of_every_dtype(dtype, is_canonical):
    x = np.array([2, 0, -3, np.nan, np.inf, 5], dtype)
    payload, mask = weak_sign_numpy(x, [False] * 5 + [True])
    assert payload.dtype == dtype
    assert is_canonical((payload, mask))
    assert payload.tolist() == [1, 0, -1, 0, 0, 0]
    assert mask.tolist() == [False, False, False, True, True, True]


def test_weak_sign_reads_operands_as_every_operation(is_canonical):
    assert weak_sign_numpy(np.array([-128], np.int8))[0].tolist() == [-1.0]
    assert weak_sign_numpy(2)[0].shape == ()
    assert weak_sign_numpy(2.0, mask=[True, False])[0].tolist() == [0, 1]
    assert is_canonical(weak_sign_numpy(np.zeros((0, 2))))
    for bad in (True, [True], "a"):
        with pytest.raises(SCMTypeError, match=r"^x: "):
            weak_sign_numpy(bad)
    with pytest.raises(SCMTypeError, match=r"^mask: "):
        weak_sign_numpy(1.0, 0.5)


def test_the_ufunc_sign_is_the_weak_sign():
    a = np.sign(SCMArray([3 + 4j, 0, 1], [False, False, True]))
    assert a.payload[0] == pytest.approx(0.6 + 0.8j)
    assert a.mask.tolist() == [False, False, True]


# --- the tracker ---------------------------------------------------------------------------------


def _track(tracker, xs):
    return [tracker.update(x).payload for x in xs]


def test_the_sequence_of_the_specification():
    tracker = OrientationTracker(epsilon=1, hysteresis=0.5)
    assert _track(tracker, [0.5, 2, 1, -1.2, -1.5, -0.9, 0.9]) == [0, 1, 1, 1, -1, -1, -1]


def test_D28_the_edges_are_inclusive_at_epsilon_and_strict_at_the_hysteresis():
    tracker = OrientationTracker(epsilon=1, hysteresis=0.5)
    assert tracker.update(1.0) == 0  # |x| ≤ ε without a last
    assert tracker.last is None
    assert tracker.update(np.nextafter(1.0, 2)) == 1
    assert tracker.update(-np.nextafter(1.5, 0)) == 1  # below ε(1+h): kept
    assert tracker.update(-1.5) == -1  # not below: changed


def test_bottom_passes_and_keeps_the_state():
    tracker = OrientationTracker()
    tracker.update(-2.0)
    assert tracker.update(BOTTOM).cause == Cause.MASKED
    assert tracker.update(math.nan).cause == Cause.NONFINITE
    assert tracker.last == -1
    assert tracker.update(0.0) == -1
    tracker.reset()
    assert tracker.last is None
    assert tracker.update(0.0) == 0


def test_a_given_start_and_complex_signals():
    tracker = OrientationTracker(last=1j)
    assert tracker.update(0j) == 1j
    assert tracker.update(-2j) == -1j
    assert tracker.update(MAX * (1 + 1j)) == weak_sign(1 + 1j)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"epsilon": -1e-9}, SCMValueError),
        ({"epsilon": math.nan}, SCMValueError),
        ({"epsilon": math.inf}, SCMValueError),
        ({"hysteresis": -0.1}, SCMValueError),
        ({"hysteresis": math.inf}, SCMValueError),
        ({"last": 2.0}, SCMValueError),
        ({"last": 0.0}, SCMValueError),
        ({"last": BOTTOM}, SCMValueError),
        ({"epsilon": "1"}, SCMTypeError),
        ({"epsilon": True}, SCMTypeError),
        ({"last": "1"}, SCMTypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        OrientationTracker(**kwargs)
