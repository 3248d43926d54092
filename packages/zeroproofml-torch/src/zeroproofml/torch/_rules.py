"""What torch adds to a row of ``OPS``: how to compute it, and its derivative.

``terms`` holds a derivative once for both modes. Its seeds are the tangents in forward mode; in
reverse mode every seed is the cotangent and the caller passes conjugated operands. It is called
with operands at which the derivative is finite, so nothing in it needs a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zeroproofml.scm.formulas import parts
from zeroproofml.scm.optable import OPS, Op

__all__ = ["RULES", "Rule"]

Seeds = tuple[Tensor | None, ...]
Terms = tuple[Tensor | None, ...]


@dataclass(frozen=True, eq=False)
class Rule:
    """One operation in torch.

    Attributes:
        op: its row, which says where it is undefined and where it has no finite derivative.
        kernel: operands → result, always a fresh tensor.
        probe: (result, *operands) → a tensor that is NaN exactly on the ⊥ lanes of unmasked
            operands; ``t != t`` is several times cheaper than ``isfinite``.
        terms: (seeds, operands, result) → one product seed · partial per operand.
        uses: which operands ``terms`` reads; the others are not saved unless a hazard needs them.
        uses_result: whether ``terms`` reads the result.
    """

    op: Op
    kernel: Callable[..., Tensor]
    probe: Callable[..., Tensor]
    terms: Callable[[Seeds, tuple[Any, ...], Tensor], Terms]
    uses: tuple[bool, ...]
    uses_result: bool

    def hazard(self, operands: tuple[Any, ...], result: Tensor) -> Tensor | None:
        """Lanes that are constants for differentiation; None where the row has none."""
        predicate = self.op.hazard
        if predicate is None:
            return None
        if predicate is _DIV_HAZARD and not result.is_complex():
            return _quotient_hazard(operands[1], result)
        found: Tensor = predicate(torch, result.is_complex(), *operands, result)
        return found


_DIV_HAZARD = OPS["div"].hazard


def _quotient_hazard(y: Tensor, r: Tensor) -> Tensor:
    """The table's predicate for real div, ``1/(y*y)`` or ``r/y`` not finite, in one test."""
    inverse = (y * y).reciprocal()
    found = torch.addcmul(inverse, r / y, inverse, value=0.0)
    return found != found


# Probes. v - v is NaN iff v is not finite. addcmul(a, b, c, value=0) is a + 0·b·c: NaN iff b or c is
# not finite, and else a, without overflow (tested per dtype and device); an infinite a that is no
# factor would survive, so a is always one of the factors or already tested.


def _result_only(r: Tensor, *operands: Tensor) -> Tensor:
    return r - r


def _result_and_divisor(r: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.addcmul(y, r, y, value=0.0)


def _result_and_operand(r: Tensor, x: Tensor) -> Tensor:
    return torch.addcmul(x, r, x, value=0.0)


def _all_three(r: Tensor, x: Tensor, e: Tensor) -> Tensor:
    return torch.addcmul(torch.addcmul(e, x, e, value=0.0), r, r, value=0.0)


def _tan_probe(r: Tensor, x: Tensor) -> Tensor:
    return _result_and_operand(r, x) if r.is_complex() else r - r


# Kernels that are not one torch function.


def quotient(x: Tensor, y: Tensor) -> Tensor:
    """x / y, complex quotients right wherever they are representable."""
    if not y.is_complex():
        return x / y
    ratio: Tensor = parts.quotient(x, y, xp=torch)
    return ratio


def _inverse(x: Tensor) -> Tensor:
    return quotient(torch.ones_like(x), x) if x.is_complex() else x.reciprocal()


def _power(x: Tensor, e: Tensor) -> Tensor:
    if not x.is_complex():
        return torch.pow(x, e)
    # A power multiplies the relative error of its logarithm by |e·log x|: one dtype wider.
    zero = x == 0
    wide = torch.where(zero, 1.0, x).to(torch.complex128)
    power = parts.power(wide, e.to(torch.float64), xp=torch).to(x.dtype)
    at_zero = torch.where(e > 0, 0.0, torch.where(e == 0, 1.0, torch.inf))
    result: Tensor = torch.where(zero, at_zero.to(power.dtype), power)
    return result


# Derivatives.


def _times(seed: Tensor | None, factor: Tensor) -> Tensor | None:
    return None if seed is None else seed * factor


def _negated(seed: Tensor | None) -> Tensor | None:
    return None if seed is None else -seed


def _add(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return seeds


def _sub(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return seeds[0], _negated(seeds[1])


def _mul(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    x, y = operands
    return _times(seeds[0], y), _times(seeds[1], x)


def _div(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    y = operands[1]
    a, b = seeds
    first = None if a is None else quotient(a, y)
    if b is None:
        return first, None
    second = first if b is a and first is not None else quotient(b, y)
    return first, -(second * r)


def _inv(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    (seed,) = seeds
    return (None if seed is None else -(seed * r * r),)


def _neg(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return (_negated(seeds[0]),)


def _pow(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    from zeroproofml.torch._execute import apply  # the rule of pow refers to pow itself

    x, e = operands
    by_base, by_exponent = seeds
    if by_base is not None:
        # x**(e-1) by the operation's own rule: 0**0 = 1 gives the slope 1 of e = 1, and the second
        # derivative is finite wherever the first was. A negative base takes its sign from the
        # parity of e, because e - 1 rounds to e beyond 2**53.
        if x.is_complex():
            lower, _ = apply(RULES["pow"], None, x, e - 1)
        else:
            negative = x < 0
            fixed = e.detach()
            even = fixed == 2 * torch.floor(fixed / 2)
            size = torch.where(negative, -x, x)
            lower, _ = apply(RULES["pow"], None, size, torch.where(negative, fixed, e) - 1)
            lower = torch.where(negative & even, -lower, lower)
        by_base = by_base * (e * lower)
    if by_exponent is not None:
        # Only a positive base can change its exponent and stay in the domain.
        defined = x != 0 if x.is_complex() else x > 0
        by_exponent = by_exponent * (r * torch.log(torch.where(defined, x, 1.0)))
    return by_base, by_exponent


def _log(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    (seed,) = seeds
    return (None if seed is None else quotient(seed, operands[0]),)


def _exp(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return (_times(seeds[0], r),)


def _sqrt(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    (seed,) = seeds
    return (None if seed is None else seed / (r + r),)


def _sin(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return (_times(seeds[0], torch.cos(operands[0])),)


def _cos(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return (_times(seeds[0], -torch.sin(operands[0])),)


def _tan(seeds: Seeds, operands: tuple[Any, ...], r: Tensor) -> Terms:
    return (_times(seeds[0], r * r + 1),)


def _rule(
    name: str,
    kernel: Callable[..., Tensor],
    probe: Callable[..., Tensor],
    terms: Callable[[Seeds, tuple[Any, ...], Tensor], Terms],
    uses: str,
) -> tuple[str, Rule]:
    op = OPS[name]
    used = ("x" in uses, "y" in uses)[: op.arity]
    return name, Rule(op, kernel, probe, terms, used, "r" in uses)


RULES: Mapping[str, Rule] = dict(
    (
        _rule("add", torch.add, _result_only, _add, ""),
        _rule("sub", torch.subtract, _result_only, _sub, ""),
        _rule("mul", torch.multiply, _result_only, _mul, "xy"),
        _rule("div", quotient, _result_and_divisor, _div, "yr"),
        _rule("inv", _inverse, _result_and_operand, _inv, "r"),
        _rule("neg", torch.negative, _result_only, _neg, ""),
        _rule("pow", _power, _all_three, _pow, "xyr"),
        _rule("log", torch.log, _result_only, _log, "x"),
        _rule("exp", torch.exp, _result_and_operand, _exp, "r"),
        _rule("sqrt", torch.sqrt, _result_only, _sqrt, "r"),
        _rule("sin", torch.sin, _result_only, _sin, "x"),
        _rule("cos", torch.cos, _result_only, _cos, "x"),
        _rule("tan", torch.tan, _tan_probe, _tan, "r"),
    )
)
