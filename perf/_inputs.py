"""Seeded inputs of the operation benchmarks; NumPy only, so that both sides of a comparison make
the same arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Kind = Literal["clean", "masks0", "masked", "new", "mixed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BINARY = ("add", "sub", "mul", "div", "pow")
UNARY = ("inv", "neg", "log", "exp", "sqrt", "sin", "cos", "tan")
UFUNC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
}
SINGULAR_SHARE = 0.01


@dataclass(frozen=True)
class Inputs:
    """Operands, their masks (None: no mask), and what a correct result is."""

    operands: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    payload: np.ndarray
    mask: np.ndarray


def raw(op: str, *operands: np.ndarray) -> Any:
    """The bare ufunc under one error state: what everything is compared with."""
    with np.errstate(all="ignore"):
        return np.divide(1.0, operands[0]) if op == "inv" else UFUNC[op](*operands)


def _singular(op: str, dtype: np.dtype) -> tuple[float, ...]:
    """Operands that make a new ⊥ lane."""
    big = float(np.finfo(dtype).max)
    special = {
        "add": (big, big),
        "sub": (big, -big),
        "mul": (big, big),
        "div": (1.0, 0.0),
        "pow": (0.0, -1.0),
        "inv": (0.0,),
        "log": (-1.0,),
        "exp": (2 * float(np.log(np.finfo(dtype).max)),),
        "sqrt": (-1.0,),
    }
    return special.get(op, (float("inf"),))


def make(op: str, dtype: str, n: int, kind: Kind, seed: int) -> Inputs:
    """Inputs of one case, and the result that it must have."""
    rng = np.random.default_rng([seed, n, KINDS.index(kind)])
    kind_of = np.dtype(dtype)
    arity = 2 if op in BINARY else 1
    operands = [(rng.random(n) + 0.5).astype(kind_of) for _ in range(arity)]
    masks: list[np.ndarray | None] = [None] * arity
    if kind in ("new", "mixed"):
        where = rng.random(n) < SINGULAR_SHARE
        where[: min(1, n)] = True  # also ten lanes have one
        for operand, value in zip(operands, _singular(op, kind_of), strict=True):
            operand[where] = value
    if kind != "clean" and kind != "new":
        for k in range(arity):
            mask = np.zeros(n, dtype=bool)
            if kind != "masks0":
                mask = rng.random(n) < SINGULAR_SHARE
                mask[-1:] = True
                operands[k][mask] = 0
            masks[k] = mask
    result = raw(op, *operands)
    bottom = ~np.isfinite(result)
    for operand in operands:
        bottom |= ~np.isfinite(operand)
    for under in masks:
        if under is not None:
            bottom |= under
    return Inputs(tuple(operands), tuple(masks), np.where(bottom, 0, result), bottom)
