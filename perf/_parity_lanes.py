"""Seeded lanes of the parity report: seven classes of operands for every operation; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from _inputs import BINARY, UNARY

LaneClass = Literal[
    "ordinary",
    "signed_zero",
    "subnormal",
    "near_overflow",
    "near_pole",
    "masked_garbage",
    "non_finite",
]
CLASSES: tuple[LaneClass, ...] = get_args(LaneClass)
OPERATIONS = BINARY + UNARY
DTYPES = ("float32", "float64")
SEED = 20260404
POSITIVE = ("log", "sqrt")
ANGLES = ("sin", "cos", "tan")
Array = NDArray[Any]


@dataclass(frozen=True)
class Lanes:
    """Operands of one class, and a mask for each (all False but for masked garbage)."""

    operands: tuple[Array, ...]
    masks: tuple[Array, ...]


def lanes(op: str, dtype: str, kind: LaneClass, n: int) -> Lanes:
    """The same lanes in every process and for every backend."""
    rng = np.random.default_rng(
        [SEED, OPERATIONS.index(op), DTYPES.index(dtype), CLASSES.index(kind), n]
    )
    arity = 2 if op in BINARY else 1
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        made = _CLASSES[kind](op, rng, n, arity, limits)
        operands = tuple(np.asarray(x).astype(dtype) for x in made)
    masks = tuple(np.zeros(n, bool) for _ in operands)
    if kind == "masked_garbage":
        garbage = np.array([np.nan, np.inf, -np.inf, limits.max, -limits.max, 0.0, -1.0], dtype)
        masks = tuple(rng.random(n) < 0.4 for _ in operands)
        for operand, mask in zip(operands, masks, strict=True):
            operand[mask] = rng.choice(garbage, n)[mask]
    return Lanes(operands, masks)


def _signs(rng: np.random.Generator, n: int) -> Array:
    return rng.choice([-1.0, 1.0], n)


def _powers(rng: np.random.Generator, n: int, low: float, high: float) -> Array:
    """Log-uniform magnitudes between 2^low and 2^high."""
    return np.exp2(rng.uniform(low, high, n))


def _ordinary(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    x = _powers(rng, n, -4, 4)
    if op not in (*POSITIVE, "pow"):
        x *= _signs(rng, n)
    if op == "pow":
        whole = rng.integers(-4, 5, n).astype(float)
        return [x, np.where(rng.random(n) < 0.5, whole, rng.uniform(-4, 4, n))]
    return [x, _powers(rng, n, -4, 4) * _signs(rng, n)][:arity]


def _signed_zero(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    made = _ordinary(op, rng, n, arity, limits)
    for operand in made:
        zeros = rng.random(n) < 0.5
        operand[zeros] = (0.0 * _signs(rng, n))[zeros]
    return made


def _subnormal(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    made = _ordinary(op, rng, n, arity, limits)
    tiny = float(limits.tiny)
    for k in range(1 if op == "pow" else arity):
        small = rng.random(n) * tiny * (np.abs(made[k]) / made[k])
        chosen = rng.random(n) < (1.0 if arity == 1 or op == "pow" else 0.6)
        made[k] = np.where(chosen, small, made[k])
    return made


def _near_overflow(
    op: str, rng: np.random.Generator, n: int, arity: int, limits: Any
) -> list[Array]:
    top, emax = float(limits.max), float(limits.maxexp)
    huge = top * rng.uniform(0.25, 1.0, n)
    if op in ("add", "sub"):
        return [huge * _signs(rng, n), top * rng.uniform(0.25, 1.0, n) * _signs(rng, n)]
    if op in ("mul", "div"):
        exponent = rng.uniform(0.1 * emax, 0.9 * emax, n)
        first = np.exp2(exponent) * _signs(rng, n)
        rest = np.exp2(emax - exponent + rng.uniform(-1, 1, n))
        return [first, rest if op == "mul" else 1 / rest]
    if op == "inv":
        return [_signs(rng, n) * _powers(rng, n, -emax - 1, -emax + 2)]
    if op == "exp":
        return [np.log(top) + rng.uniform(-1, 1, n)]
    if op == "pow":
        base = _powers(rng, n, 0.5, 8)
        exponent = emax / np.log2(base) * rng.uniform(0.99, 1.01, n)
        whole = rng.random(n) < 0.5
        base = np.where(whole, base * _signs(rng, n), base)
        return [base, np.where(whole, np.round(exponent), exponent)]
    return [huge if op in POSITIVE else huge * _signs(rng, n)]


def _near_pole(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    """Small divisors, small arguments, cancellation, and the neighbours of multiples of π/2."""
    close = _powers(rng, n, float(limits.minexp) / 2, -8) * _signs(rng, n)
    close[rng.random(n) < 1 / 16] = 0.0
    ordinary = _powers(rng, n, -4, 4) * _signs(rng, n)
    if op in ANGLES:
        step = np.spacing((rng.integers(1, 50, n) * (np.pi / 2)).astype(limits.dtype))
        multiple = (rng.integers(1, 50, n) * (np.pi / 2)).astype(limits.dtype)
        return [(multiple + rng.integers(-3, 4, n) * step) * _signs(rng, n)]
    if op in ("add", "sub"):
        twin = ordinary.astype(limits.dtype)
        other = twin + rng.integers(-3, 4, n) * np.spacing(np.abs(twin))
        return [twin, -other if op == "add" else other]
    if op == "pow":
        return [np.abs(close), rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0], n)]
    if op == "exp":
        return [float(np.log(limits.tiny)) * rng.uniform(0.5, 1.5, n)]
    return [ordinary, close] if arity == 2 else [close]


def _garbage(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    return _ordinary(op, rng, n, arity, limits)  # the garbage goes under the masks


def _non_finite(op: str, rng: np.random.Generator, n: int, arity: int, limits: Any) -> list[Array]:
    made = _ordinary(op, rng, n, arity, limits)
    for operand in made:
        where = rng.random(n) < 0.5
        operand[where] = rng.choice([np.nan, np.inf, -np.inf], n)[where]
    return made


_CLASSES = {
    "ordinary": _ordinary,
    "signed_zero": _signed_zero,
    "subnormal": _subnormal,
    "near_overflow": _near_overflow,
    "near_pole": _near_pole,
    "masked_garbage": _garbage,
    "non_finite": _non_finite,
}
