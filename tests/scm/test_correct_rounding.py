"""Acceptance 4: the field operations are the exact ones, rounded once.

For random finite operands of a dtype every lane is compared with ``round_to(exact.op)``: the
payload in value, the mask with ⊥. A quarter of the lanes are uniform bit patterns; the rest is
drawn where rounding is hard: ties, cancellation, products and quotients at the limits, subnormals.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from zeroproofml.scm import exact, ops
from zeroproofml.scm.exact import BOT, round_to
from zeroproofml.scm.optable import OPS

FIELD = ("add", "sub", "mul", "div", "inv", "neg")
FLOATS = ("float16", "float32", "float64")
FEW, ALL = 2_000, 100_000


def _bits(dtype: str) -> tuple[np.dtype, int, int]:
    """The word of a float, its mantissa bits, its largest biased exponent."""
    info = np.finfo(dtype)
    return np.dtype(f"uint{info.bits}"), info.nmant, 2**info.nexp - 2


def _floats(dtype, sign, exponent, mantissa):
    word, nmant, _ = _bits(dtype)
    parts = (sign.astype(word) << (np.dtype(dtype).itemsize * 8 - 1)) | (
        exponent.astype(word) << nmant
    )
    return (parts | mantissa.astype(word)).view(dtype)


def _near(rng, exponent, top, reach=3):
    return np.clip(exponent + rng.integers(-reach, reach + 1, exponent.size), 0, top)


def _pairs(dtype: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(20_240_201)
    _, nmant, top = _bits(dtype)
    bias, quarter = top // 2, n // 4
    ex = rng.integers(0, top + 1, n)
    ey = rng.integers(0, top + 1, n)
    kinds = np.arange(n) // (quarter // 3)  # 0-2 uniform, then nine strata of rounding
    close = np.isin(kinds, (3, 4, 5))  # sums that cancel or tie, at every scale
    ey[close] = _near(rng, ex[close] - rng.integers(0, nmant + 2, close.sum()), top)
    huge, small = np.isin(kinds, (6, 7)), np.isin(kinds, (8, 9))
    ey[huge] = _near(rng, top + bias - ex[huge], top)  # products at the upper limit
    ey[small] = _near(rng, bias - ex[small] - rng.integers(0, nmant + 2, small.sum()), top)
    ratio = kinds == 10
    ey[ratio] = _near(rng, ex[ratio] - bias, top)  # quotients at the upper limit
    mx, my = (rng.integers(0, 2**nmant, n) for _ in range(2))
    simple = rng.random(n) < 0.25  # few significant bits: ties, exact quotients
    cut = rng.integers(nmant // 2, nmant, n)
    mx[simple], my[simple] = ((m >> cut << cut)[simple] for m in (mx, my))
    edge = rng.random((2, n)) < 0.05
    mx[edge[0]], my[edge[1]] = 2**nmant - 1, 0
    half = kinds == 5  # y is half a unit in the last place of x
    ey[half], my[half] = np.maximum(ex[half] - nmant - 1, 0), 0
    x = _floats(dtype, rng.integers(0, 2, n), ex, mx)
    y = _floats(dtype, rng.integers(0, 2, n), ey, my)
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    return x, y


def _wrong_lanes(name: str, dtype: str, n: int) -> tuple[list[tuple[float, ...]], int]:
    """The operands of every lane that differs from the referee, and the number of ⊥ lanes."""
    operands = _pairs(dtype, n)[: OPS[name].arity]
    payload, mask = getattr(ops, f"scm_{name}_numpy")(*operands)
    assert payload.dtype == dtype
    referee = exact.operation(name)
    lanes = zip(*[v.tolist() for v in (payload, mask, *operands)], strict=True)
    wrong = []
    for got, bottom, *args in lanes:
        want = round_to(referee(*map(Fraction, args)), dtype)
        # a payload and a rounded value are numbers of one format: equal as doubles or not at all
        if bottom != (want is BOT) or (got != 0 if want is BOT else got != want):
            wrong.append(tuple(args))
    return wrong, int(mask.sum())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FIELD)
def test_results_are_exact_and_rounded_once(name, dtype):
    wrong, bottoms = _wrong_lanes(name, dtype, FEW)
    assert wrong == []
    assert bottoms < FEW // 2  # the sample asks more than whether ⊥ absorbs


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FIELD)
def test_a_hundred_thousand_pairs_are_exact_and_rounded_once(name, dtype):
    wrong, _ = _wrong_lanes(name, dtype, ALL)
    assert wrong == []


def test_every_float16_is_inverted_and_negated_exactly():
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = x[np.isfinite(x)]
    for name in ("inv", "neg"):
        payload, mask = getattr(ops, f"scm_{name}_numpy")(x)
        want = [round_to(exact.operation(name)(Fraction(v)), "float16") for v in x.tolist()]
        assert mask.tolist() == [q is BOT for q in want]
        assert payload.tolist() == [0 if q is BOT else q for q in want]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sample_reaches_what_is_hard(dtype):
    """Ties, subnormal results, underflow to 0, overflow by a hair: each occurs many times."""
    x, y = _pairs(dtype, FEW)
    info = np.finfo(dtype)
    limit = Fraction(float(info.max))
    seen = dict.fromkeys(["tie", "subnormal", "underflow", "just over", "just under"], 0)
    for a, b in zip(map(Fraction, x.tolist()), map(Fraction, y.tolist()), strict=True):
        for name in ("add", "mul", "div"):
            q = exact.operation(name)(a, b)
            r = round_to(q, dtype)
            if q is BOT or q == 0:
                continue
            seen["just over"] += r is BOT and abs(q) < 8 * limit
            if r is BOT:
                continue
            seen["just under"] += abs(q) > limit / 8
            seen["subnormal"] += 0 < abs(r) < Fraction(float(info.tiny))
            seen["underflow"] += r == 0
            gap = abs(r - q)
            seen["tie"] += gap != 0 and round_to(r + 2 * (q - r), dtype) == r + 2 * (q - r)
    assert min(seen.values()) >= 20, seen


def test_a_wrong_result_would_be_found(monkeypatch):
    def twice_rounded(x, y):
        return np.asarray((x.astype(np.float64) / y).astype(np.float16) * 1, np.float16), y == 0

    def next_one(x, y):
        payload, mask = ops.scm_add_numpy(x, y)
        return np.nextafter(payload, np.float32(0)), mask

    monkeypatch.setattr(ops, "scm_div_numpy", twice_rounded)  # an overflow stays infinite
    with np.errstate(all="ignore"):
        assert _wrong_lanes("div", "float16", FEW)[0] != []
    with monkeypatch.context() as patch:
        patch.setattr(ops, "scm_sub_numpy", next_one)
        assert len(_wrong_lanes("sub", "float32", FEW)[0]) > FEW // 2
