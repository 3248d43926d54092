"""The laws E01–E38, R01–R19, N1–N5: over fractions, scalars and arrays (acceptance 2)."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm import BOTTOM, ops
from zeroproofml.scm.exact import BOT
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.sign import weak_sign_numpy
from zeroproofml.scm.testing import (
    LAWS,
    Operations,
    array_operations,
    exact_operations,
    scalar_operations,
)

EXACT, SCALAR = exact_operations(), scalar_operations()
ARRAY = array_operations({n: getattr(ops, f"scm_{n}_numpy") for n in OPS}, weak_sign_numpy)


def _laws(kinds):
    return pytest.mark.parametrize(
        "law", [law for law in LAWS.values() if law.id[0] in kinds], ids=lambda law: law.id
    )


def _hard(dtype):
    """34 values: the limits, zeros, what rounds badly, non-finite and random ones. ⊥ is the 35th."""
    info = np.finfo(dtype)
    big, small, unit = info.max, info.tiny, info.smallest_subnormal
    with np.errstate(all="ignore"):
        values = [0.0, -0.0, 1, -1, 2, -2, 0.5, 3, 10, 49, -49, 1 / 3, -0.1, np.nan, np.inf]
        values = np.array([*values, -np.inf], dtype).tolist()
        limits = [big, -big, big / 2, np.sqrt(big), small, -small, small / 2, unit, -unit, 1 / big]
        values += np.array(limits, dtype).tolist()
        rng = np.random.default_rng(3)
        scale = np.linspace(np.log2(float(small)), np.log2(float(big)) - 1, 34 - len(values))
        values += (rng.choice([-1, 1], scale.size) * 2**scale).astype(dtype).tolist()
    assert len(values) == 34
    return values


FLOATS = [*_hard("float64"), BOTTOM]
RATIONALS = [Fraction(*v) for v in [(0, 1), (1, 1), (-1, 1), (2, 1), (49, 1), (1, 3), (-7, 5)]]
RATIONALS += [BOT, Fraction(10**40, 3), Fraction(-1, 10**40)]


def _broken(law, operations, values):
    """The first values for which a law fails, or None."""
    tuples = itertools.product(values, repeat=law.arity)
    return next((v for v in tuples if not law.holds(operations, *v)), None)


def test_the_laws_are_those_of_the_specification():
    want = [f"E{k:02}" for k in range(1, 39)] + [f"R{k:02}" for k in range(1, 20)]
    assert list(LAWS) == want + [f"N{k}" for k in range(1, 6)]
    for law_id, law in LAWS.items():
        assert law.id == law_id
        assert "=" in law.text
        assert len(law.counterexample) == (0 if law_id[0] == "E" else law.arity)
        assert law.arity == len(set("xyw") & set(law.text.replace("⁻¹", "")))
    assert len({law.text for law in LAWS.values()}) == len(LAWS)


@_laws("E")
def test_exact_laws_hold_for_scalars(law):
    """All of 35³ triples: a law of two variables says the same for each third value."""
    assert len(FLOATS) == 35
    assert _broken(law, SCALAR, FLOATS) is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@_laws("E")
def test_exact_laws_hold_for_arrays(law, dtype):
    values = np.array([*_hard(dtype), 1.0], dtype)
    triples = np.indices((35, 35, 35)).reshape(3, -1)[: law.arity]
    lanes, masks = values[triples], triples == 34
    holds = np.asarray(law.holds(ARRAY, *zip(lanes, masks, strict=True)))
    assert holds.all(), lanes[:, ~holds][:, 0]


@_laws("ER")
def test_exact_and_rational_laws_hold_over_fractions(law):
    assert len(RATIONALS) == 10
    assert _broken(law, EXACT, RATIONALS) is None


@_laws("RN")
def test_rational_and_false_laws_fail_in_floats(law):
    scalars = [BOTTOM if v is None else v for v in law.counterexample]
    assert not law.holds(SCALAR, *scalars)
    lanes = [np.array([np.nan if v is None else v, 1.0]) for v in law.counterexample]
    assert law.holds(ARRAY, *[(lane, None) for lane in lanes]).tolist() == [False, True]


@_laws("N")
def test_false_laws_fail_over_fractions_too(law):
    assert not law.holds(EXACT, *[BOT if v is None else v for v in law.counterexample])
    assert law.holds(EXACT, *[Fraction(2)] * law.arity)


NUMBERS = st.floats() | st.sampled_from(FLOATS)
FRACTIONS = st.fractions() | st.sampled_from([BOT, Fraction(0)])


def _failing(kinds, operations, values):
    """The laws that fail at a triple, each with as many of its values as it has variables."""
    laws = [law for law in LAWS.values() if law.id[0] in kinds]
    return [law.id for law in laws if not law.holds(operations, *values[: law.arity])]


@given(values=st.tuples(NUMBERS, NUMBERS))
def test_exact_laws_hold_for_any_floats(values):
    assert _failing("E", SCALAR, values) == []


@given(values=st.tuples(FRACTIONS, FRACTIONS, FRACTIONS))
def test_rational_laws_hold_for_any_fractions(values):
    assert _failing("ER", EXACT, values) == []


def _takes_part(law):
    """The names of the operations that a law applies, by writing it down with symbols."""
    seen = set()

    def symbol(name):
        def record(*_):
            seen.add(name)
            return "term"

        return record

    recorder = Operations(**{f.name: symbol(f.name) for f in dataclasses.fields(Operations)})
    for side in (law.left, law.right):
        side(recorder, *"xyw"[: law.arity])
    return seen


def test_the_table_names_the_laws_in_which_an_operation_takes_part():
    for name, row in OPS.items():
        assert row.laws == tuple(i for i, law in LAWS.items() if name in _takes_part(law)), name
    used = set().union(*map(_takes_part, LAWS.values()))
    assert used - {"sign", "absolute"} == {name for name, row in OPS.items() if row.rational}


@_laws("ER")
def test_a_law_rejects_an_arithmetic_that_is_wrong_somewhere(law):
    """One operation is replaced by 1+x+2y, ⊥ as 0; every law notices this in some operation."""

    def lopsided(*operands):
        total = 1
        for weight, operand in enumerate(operands, 1):
            total += 0 if operand is BOT else weight * operand
        return total

    def replaced(name):
        return dataclasses.replace(EXACT, **{name: lopsided})

    assert any(
        _broken(law, replaced(name), RATIONALS[:5]) is not None for name in sorted(_takes_part(law))
    )


def test_torchlike_functions_can_be_held_against_the_laws():
    """A backend that forgets one mask breaks absorption, and nothing else has to be known."""

    def forgetful(x, y, mask_x=None, mask_y=None):
        return ops.scm_add_numpy(x, y, mask_x, None)

    functions = {n: getattr(ops, f"scm_{n}_numpy") for n in OPS} | {"add": forgetful}
    wrong = array_operations(functions, weak_sign_numpy)
    lanes = (np.array([1.0, 2.0]), np.array([False, True]))
    assert not LAWS["E09"].holds(wrong, lanes).all()
    assert LAWS["E10"].holds(wrong, lanes).all()
