"""The structural laws S01 to S14, S20, S21, by hypothesis, for every operation and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import ops as scm_ops
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.value import SCMValue

EVERY = pytest.mark.parametrize("name", list(OPS))
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TOL = {"sqrt": 0, "log": 4, "exp": 4, "sin": 4, "cos": 4, "tan": 4, "pow": 8}


def _tolerance(name, dtype):
    return 8 if dtype.kind == "c" else TOL.get(name, 0)


@EVERY
@given(data=st.data())
def test_S01_S02_strict_and_closed(data, name, problems, call, is_canonical):
    payloads, masks = data.draw(problems(name))
    result = call(name, *payloads, masks=masks)
    assert is_canonical(result)
    entering = np.zeros_like(masks[0])
    for p, m in zip(payloads, masks, strict=True):
        entering |= m | ~np.isfinite(p)
    assert result[1][entering].all()


@EVERY
@given(data=st.data())
def test_S01_S02_hold_for_integers(data, name, problems, call, is_canonical, equal_pairs):
    if name == "pow":
        payloads, masks = data.draw(problems("mul", INTS))
    else:
        payloads, masks = data.draw(problems(name, INTS))
    result = call(name, *payloads, masks=masks)
    assert is_canonical(result)
    assert result[0].dtype == np.float64
    assert equal_pairs(result, call(name, *[p.astype(float) for p in payloads], masks=masks))


@EVERY
@given(data=st.data(), garbage=st.sampled_from([np.nan, np.inf, -np.inf, 1e4, 0.0]))
def test_S03_a_masked_payload_is_irrelevant(data, garbage, name, problems, call, equal_pairs):
    payloads, masks = data.draw(problems(name))
    dirty = [
        np.where(m, np.asarray(garbage, p.dtype), p) for p, m in zip(payloads, masks, strict=True)
    ]
    assert equal_pairs(call(name, *payloads, masks=masks), call(name, *dirty, masks=masks))


@EVERY
@given(data=st.data())
def test_S04_canonicalising_twice_is_canonicalising_once(data, name, problems, call, equal_pairs):
    payloads, masks = data.draw(problems(name))
    bad = [m | ~np.isfinite(p) for p, m in zip(payloads, masks, strict=True)]
    clean = [np.where(b, np.zeros_like(p), p) for p, b in zip(payloads, bad, strict=True)]
    assert equal_pairs(call(name, *payloads, masks=masks), call(name, *clean, masks=bad))


@EVERY
@given(data=st.data())
def test_S05_more_mask_in_more_mask_out(data, name, problems, call):
    payloads, masks = data.draw(problems(name))
    n = len(masks[0])
    more = [
        m | np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
        for m in masks
    ]
    assert not (call(name, *payloads, masks=masks)[1] & ~call(name, *payloads, masks=more)[1]).any()


@EVERY
@given(data=st.data())
def test_S06_lanes_are_independent(data, name, problems, call, close):
    payloads, masks = data.draw(problems(name))
    payload, mask = call(name, *payloads, masks=masks)
    n = len(mask)
    order = np.array(data.draw(st.permutations(range(n))), int)
    cut = data.draw(st.integers(0, n))
    tol = _tolerance(name, payload.dtype)  # a vector loop may round its tail otherwise

    def pick(index):
        return call(name, *[p[index] for p in payloads], masks=[m[index] for m in masks])

    shuffled, head, tail = pick(order), pick(slice(cut)), pick(slice(cut, None))
    assert np.array_equal(shuffled[1], mask[order])
    assert close(shuffled[0], payload[order], tol)
    assert np.array_equal(np.concatenate([head[1], tail[1]]), mask)
    assert close(np.concatenate([head[0], tail[0]]), payload, tol)


@pytest.mark.parametrize("name", [n for n in OPS if OPS[n].arity == 2])
@given(data=st.data())
def test_S07_broadcasting_is_explicit_expansion(data, name, problems, call, close):
    (x, y), (mx, my) = data.draw(problems(name))
    got = call(name, x[:, None], y, masks=(mx[:, None], my))
    shape = (len(x), len(y))
    xs, mxs = (np.broadcast_to(a[:, None], shape).copy() for a in (x, mx))
    ys, mys = (np.broadcast_to(a, shape).copy() for a in (y, my))
    want = call(name, xs, ys, masks=(mxs, mys))
    assert np.array_equal(got[1], want[1])
    assert close(got[0], want[0], _tolerance(name, want[0].dtype))


@EVERY
@given(data=st.data())
def test_S08_no_mask_is_a_mask_of_false(data, name, problems, call, equal_pairs):
    payloads, masks = data.draw(problems(name))
    none = [np.zeros_like(m) for m in masks]
    assert equal_pairs(call(name, *payloads), call(name, *payloads, masks=none))
    assert equal_pairs(call(name, *payloads), call(name, *payloads, masks=[None for _ in masks]))


@EVERY
@given(data=st.data())
def test_S09_keyword_is_positional(data, name, problems, call, equal_pairs):
    payloads, masks = data.draw(problems(name))
    names = ("mask",) if len(masks) == 1 else ("mask_x", "mask_y")
    by_name = call(name, *payloads, **dict(zip(names, masks, strict=True)))
    assert equal_pairs(call(name, *payloads, masks=masks), by_name)


@EVERY
@given(data=st.data())
def test_S10_scalar_is_0d_is_lane(data, name, problems, call, close):
    payloads, _ = data.draw(problems(name, ("float64", "complex128")))
    payload, mask = call(name, *payloads)
    for i in range(len(mask)):
        zero_d = call(name, *[np.asarray(p[i]) for p in payloads])
        scalar = getattr(scm_ops, f"scm_{name}")(*[p[i].item() for p in payloads])
        assert zero_d[0].shape == zero_d[1].shape == ()
        assert zero_d[1] == mask[i] == scalar.is_bottom
        if not mask[i]:
            tol = _tolerance(name, payload.dtype)
            assert close(zero_d[0], payload[i], tol)
            assert close(np.asarray(scalar.payload, payload.dtype), payload[i], tol)


@EVERY
@given(data=st.data())
def test_S11_inputs_are_untouched_and_nothing_warns(data, name, problems, call):
    payloads, masks = data.draw(problems(name))
    before = [a.tobytes() for a in (*payloads, *masks)]
    call(name, *payloads, masks=masks)  # warnings are errors here
    assert [a.tobytes() for a in (*payloads, *masks)] == before


@EVERY
@given(data=st.data())
def test_S14_strided_is_contiguous(data, name, problems, call, close):
    payloads, masks = data.draw(problems(name))
    spread = [np.repeat(a, 3)[::3] for a in (*payloads, *masks)]
    k = len(payloads)
    got, want = call(name, *spread[:k], masks=spread[k:]), call(name, *payloads, masks=masks)
    assert np.array_equal(got[1], want[1])
    assert close(got[0], want[0], _tolerance(name, want[0].dtype))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "inv", "neg", "sqrt"])
@given(
    values=st.lists(st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30), min_size=4, max_size=4),
    k=st.integers(-100, 100),
)
def test_S20_scaling_by_a_power_of_two_is_exact(values, k, name, call):
    x, y = np.array(values[:2]), np.array(values[2:])
    s = 2.0**k
    if name == "sqrt":
        got, want = call(name, x * s * s), call(name, x)[0] * s
    elif name in {"inv", "neg"}:
        got, want = call(name, x * s), call(name, x)[0] * (1 / s if name == "inv" else s)
    elif name in {"add", "sub"}:
        got, want = call(name, x * s, y * s), call(name, x, y)[0] * s
    else:
        got, want = call(name, x * s, y), call(name, x, y)[0] * s
    assert np.array_equal(got[0], want)


@EVERY
@given(data=st.data())
def test_S21_more_precision_never_adds_a_bottom(data, name, problems, call):
    payloads, masks = data.draw(problems(name, ("float32", "complex64")))
    wide = [p.astype(np.result_type(p, np.float64)) for p in payloads]
    assert not (call(name, *wide, masks=masks)[1] & ~call(name, *payloads, masks=masks)[1]).any()


@EVERY
@given(data=st.data())
def test_scalar_results_are_values_of_the_same_kind(data, name, problems):
    """D03: real in, real out."""
    payloads, _ = data.draw(problems(name, ("float64",)))
    for operands in zip(*payloads, strict=True):
        result = getattr(scm_ops, f"scm_{name}")(*map(float, operands))
        assert isinstance(result, SCMValue)
        assert result.is_bottom or type(result.payload) is float
