"""Causes: names, counts, and the rule by which they join (§4, S22, acceptance 11)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm._execute import execute
from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import FAULT, SEMANTIC, Cause, count_causes, describe
from zeroproofml.scm.optable import OPS

UFUNC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "inv": np.reciprocal,
    "neg": np.negative,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
}


def test_the_bits_and_their_groups():
    assert [(c.name, int(c)) for c in Cause if c] == [
        ("MASKED", 1),
        ("NONFINITE", 2),
        ("DIV_ZERO", 4),
        ("DOMAIN", 8),
        ("OVERFLOW", 16),
        ("THRESHOLD", 32),
        ("NULL_TUPLE", 64),
        ("VALIDITY", 128),
    ]
    assert Cause.NONE == 0
    assert FAULT == 2 | 16
    assert SEMANTIC == 4 | 8 | 32 | 64 | 128
    assert FAULT | SEMANTIC | Cause.MASKED == 255


@pytest.mark.parametrize(
    ("cause", "said"), [(0, "NONE"), (20, "DIV_ZERO|OVERFLOW"), (1, "MASKED"), (128, "VALIDITY")]
)
def test_describe(cause, said):
    assert describe(cause) == said
    assert describe(Cause(cause)) == said


@given(st.lists(st.integers(0, 255)))
def test_count_causes_counts_every_bit(causes):
    counts = count_causes(np.array(causes, np.uint8))
    assert counts == {c.name: n for c in Cause if c and (n := sum(bool(k & c) for k in causes))}


def test_acceptance_eleven():
    x = SCMArray([1.0]) / 0
    y = np.log(SCMArray([-1.0]))
    assert (x + y).cause.tolist() == [Cause.DIV_ZERO | Cause.DOMAIN]
    masked = SCMArray([1.0], [True]) / 0
    assert masked.cause.tolist() == [Cause.MASKED]


def test_entry_cause_masked_before_nonfinite():
    a = SCMArray([np.nan, np.nan, 1.0], [True, False, True])
    assert a.cause.tolist() == [Cause.MASKED, Cause.NONFINITE, Cause.MASKED]


@pytest.mark.parametrize(
    ("name", "operands", "cause"),
    [
        ("div", (1.0, 0.0), Cause.DIV_ZERO),
        ("div", (0.0, 0.0), Cause.DIV_ZERO),
        ("div", (1.0, 5e-324), Cause.OVERFLOW),
        ("div", (0j, 0j), Cause.DIV_ZERO),
        ("inv", (0.0,), Cause.DIV_ZERO),
        ("inv", (5e-324,), Cause.OVERFLOW),
        ("inv", (0j,), Cause.DIV_ZERO),
        ("pow", (0.0, -1.0), Cause.DIV_ZERO),
        ("pow", (-1.0, 0.5), Cause.DOMAIN),
        ("pow", (10.0, 400.0), Cause.OVERFLOW),
        ("pow", (0j, -1.0), Cause.DIV_ZERO),
        ("log", (0.0,), Cause.DOMAIN),
        ("log", (-1.0,), Cause.DOMAIN),
        ("log", (0j,), Cause.DOMAIN),
        ("exp", (1000.0,), Cause.OVERFLOW),
        ("sqrt", (-1.0,), Cause.DOMAIN),
        ("mul", (1e200, 1e200), Cause.OVERFLOW),
        ("add", (1e308, 1e308), Cause.OVERFLOW),
        ("sin", (0.5 + 800j,), Cause.OVERFLOW),
    ],
)
def test_the_fault_of_the_operation_and_else_overflow(name, operands, cause):
    alone = UFUNC[name](*[SCMArray(x) for x in operands])
    assert alone.cause == cause
    lanes = UFUNC[name](*[SCMArray([1.0, x, 1.0]) for x in operands])
    assert lanes.cause.tolist() == [0, cause, 0]


@pytest.mark.parametrize(
    ("e", "cause"), [(-1, Cause.DIV_ZERO), (0.5, Cause.DOMAIN), (2, Cause.OVERFLOW)]
)
def test_short_powers_know_the_cause_too(e, cause):
    x = SCMArray([0.0, -1.0, 1e200, 1.0])
    assert (x**e).cause.tolist().count(cause) == 1
    assert np.array_equal((x**e).cause, (x ** SCMArray(np.full(4, float(e)))).cause)


def _planes(values):
    return SCMArray([v for v, _ in values], cause=[c for _, c in values])


CAUSED = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, -1.0, 1e200, 5e-324]), st.sampled_from([0, 0, 1, 2, 4, 12])
    ),
    min_size=3,
    max_size=3,
)


@pytest.mark.parametrize("name", list(OPS))
@given(a=CAUSED, b=CAUSED)
def test_S22_cause_is_non_zero_exactly_at_bottom_and_follows_the_rule(a, b, name):
    operands = (_planes(a), _planes(b))[: OPS[name].arity]
    result = UFUNC[name](*operands)
    assert np.array_equal(result.cause != 0, result.mask)
    for i in range(3):
        entry = 0
        for operand in operands:
            entry |= int(operand.cause[i])
        if entry:
            assert result.cause[i] == entry
        elif result.mask[i]:
            faults = [
                c for c, p in OPS[name].faults if p(np, False, *[o.payload[i] for o in operands])
            ]
            assert result.cause[i] == (faults or [Cause.OVERFLOW])[0]


@given(a=CAUSED, b=CAUSED, c=CAUSED)
def test_S22_the_join_commutes_associates_and_is_idempotent(a, b, c):
    x, y, z = _planes(a), _planes(b), _planes(c)
    small = [SCMArray(np.zeros(3), cause=p.cause) for p in (x, y, z)]  # no fault of their own
    x, y, z = small
    assert np.array_equal((x + y).cause, (y + x).cause)
    assert np.array_equal(((x + y) + z).cause, (x + (y + z)).cause)
    assert np.array_equal((x + x).cause, x.cause)


@pytest.mark.parametrize("name", list(OPS))
@given(data=st.data())
def test_S13_the_two_ways_of_the_executor_agree(data, name, problems):
    """Canonical operands under the flag probe, and open operands under the finite test."""
    payloads, masks = data.draw(problems(name))
    arrays = [SCMArray(p, m) for p, m in zip(payloads, masks, strict=True)]
    probed = UFUNC[name](*arrays)
    payload, mask = execute(OPS[name], payloads, masks)
    assert probed.dtype == payload.dtype
    assert np.array_equal(probed.mask, mask)
    assert np.array_equal(probed.payload, payload)
