"""What the thirteen operations mean, as data.

``OPS`` is the only place that says where an operation is undefined, which operands need a finite
test of their own, and where its derivative cannot be represented. NumPy, Torch and JAX each have
one executor that runs a row in that framework's style; the parity suite is parametrised by the
same rows. Predicates are written over a namespace ``xp`` (``numpy``, ``torch``, ``jax.numpy``).

A new operation is one row here and one public function per backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from zeroproofml.scm.cause import Cause

__all__ = ["OPS", "Op", "Predicate"]

Predicate = Callable[..., Any]
"""``(xp, is_complex, *operands) -> bool array``; a hazard also takes the computed result, last."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Attributes:
        name: public name, as in ``scm_<name>_numpy``.
        arity: 1 or 2.
        faults: where the operation is undefined, and the cause that says so; the first that holds.
        safe: operands at which value and derivative are ordinary, for executors that replace
            operands before the operation.
        kernel: the function's name in the array namespaces. ``inv`` is ``divide`` with numerator 1.
        check: operands whose finiteness does not show in the result (x/inf = 0).
        hazard: regular lanes whose local derivative is not finite; they are constants for
            differentiation. None where there is no such lane.
        fixes_zero: f(0) = 0, so a masked lane with a zero payload needs no fill.
        rational: exact over the rationals (``exact.py``); pow with integer exponents only.
        laws: ids of the laws (``testing.laws``) in which the operation takes part.
        check_complex: ``check`` for complex operands where it differs.
    """

    name: str
    arity: int
    faults: tuple[tuple[Cause, Predicate], ...]
    safe: tuple[float, ...]
    kernel: str
    check: tuple[bool, ...]
    hazard: Predicate | None
    fixes_zero: bool
    rational: bool
    laws: tuple[str, ...]
    check_complex: tuple[bool, ...] | None = None

    def checks(self, is_complex: bool) -> tuple[bool, ...]:
        """Which operands need their own finite test, for real or complex operands."""
        return self.check_complex if is_complex and self.check_complex else self.check


def _not_finite(xp: Any, *values: Any) -> Any:
    bad = ~xp.isfinite(values[0])
    for value in values[1:]:
        bad = bad | ~xp.isfinite(value)
    return bad


def _nowhere(xp: Any, x: Any) -> Any:
    return xp.zeros_like(x, dtype=xp.bool)


def _divisor_is_zero(xp: Any, is_complex: bool, x: Any, y: Any) -> Any:
    return y == 0


def _is_zero(xp: Any, is_complex: bool, x: Any) -> Any:
    return x == 0


def _zero_to_a_negative_power(xp: Any, is_complex: bool, x: Any, e: Any) -> Any:
    return (x == 0) & (e < 0)


def _negative_to_a_fraction(xp: Any, is_complex: bool, x: Any, e: Any) -> Any:
    if is_complex:  # the principal branch is defined everywhere
        return _nowhere(xp, x)
    return (x < 0) & (e != xp.floor(e))


def _outside_log(xp: Any, is_complex: bool, x: Any) -> Any:
    return x == 0 if is_complex else x <= 0


def _outside_sqrt(xp: Any, is_complex: bool, x: Any) -> Any:
    return _nowhere(xp, x) if is_complex else x < 0


# Hazards use y*y, never r/y/y: XLA rewrites a chain of divisions, and the two differ at the limits.


def _div_hazard(xp: Any, is_complex: bool, x: Any, y: Any, r: Any) -> Any:
    modulus = xp.abs(y)
    return _not_finite(xp, 1 / (modulus * modulus), xp.abs(r) / modulus)


def _inv_hazard(xp: Any, is_complex: bool, x: Any, r: Any) -> Any:
    modulus = xp.abs(x)
    return _not_finite(xp, 1 / (modulus * modulus))


def _pow_hazard(xp: Any, is_complex: bool, x: Any, e: Any, r: Any) -> Any:
    modulus = xp.abs(x)
    zero = modulus == 0
    base = xp.where(zero, xp.ones_like(modulus), modulus)
    return xp.where(zero, e < 1, _not_finite(xp, e * base ** (e - 1), xp.abs(r) * xp.log(base)))


def _log_hazard(xp: Any, is_complex: bool, x: Any, r: Any) -> Any:
    return _not_finite(xp, 1 / xp.abs(x))


def _sqrt_hazard(xp: Any, is_complex: bool, x: Any, r: Any) -> Any:
    return x == 0


def _tan_hazard(xp: Any, is_complex: bool, x: Any, r: Any) -> Any:
    modulus = xp.abs(r)
    return _not_finite(xp, modulus * modulus)


def _ids(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ROWS = (
    Op(
        name="add",
        arity=2,
        faults=(),
        safe=(0.0, 0.0),
        kernel="add",
        check=(False, False),
        hazard=None,
        fixes_zero=False,
        rational=True,
        laws=_ids(
            "E01 E02 E03 E07 E09 E15 E20 E22 E24 E25 E31 E34 E38 R01 R03 R04 R05 R07 R09 R11 "
            "R15 R17 R18 R19"
        ),
    ),
    Op(
        name="sub",
        arity=2,
        faults=(),
        safe=(0.0, 0.0),
        kernel="subtract",
        check=(False, False),
        hazard=None,
        fixes_zero=False,
        rational=True,
        laws=_ids("E21 E37 R17 R19 N4"),
    ),
    Op(
        name="mul",
        arity=2,
        faults=(),
        safe=(0.0, 0.0),
        kernel="multiply",
        check=(False, False),
        hazard=None,
        fixes_zero=True,
        rational=True,
        laws=_ids(
            "E03 E04 E05 E07 E10 E13 E14 E22 E23 E24 E25 E29 E31 E32 E34 E36 E38 R02 R03 R04 "
            "R05 R06 R07 R08 R10 R11 R12 R13 R14 R17 R18 R19 N1 N2 N5"
        ),
    ),
    Op(
        name="div",
        arity=2,
        faults=((Cause.DIV_ZERO, _divisor_is_zero),),
        safe=(1.0, 1.0),
        kernel="divide",
        check=(False, True),  # x/±inf = 0
        hazard=_div_hazard,
        fixes_zero=False,
        rational=True,
        laws=_ids("E11 E17 E18 E19 E20 E26 E38 R08 R09 R10 R11 R12 R14 R15 R16 R18 N5"),
    ),
    Op(
        name="inv",
        arity=1,
        faults=((Cause.DIV_ZERO, _is_zero),),
        safe=(1.0,),
        kernel="divide",
        check=(True,),  # 1/±inf = 0
        hazard=_inv_hazard,
        fixes_zero=False,
        rational=True,
        laws=_ids("E07 E08 E12 E16 E26 E31 R05 R06 R07 R08 R14 N1 N3"),
    ),
    Op(
        name="neg",
        arity=1,
        faults=(),
        safe=(0.0,),
        kernel="negative",
        check=(False,),
        hazard=None,
        fixes_zero=True,
        rational=True,
        laws=_ids("E03 E06 E12 E13 E14 E15 E16 E17 E18 E21 E27 E36 E37"),
    ),
    Op(
        name="pow",
        arity=2,
        faults=(
            (Cause.DIV_ZERO, _zero_to_a_negative_power),
            (Cause.DOMAIN, _negative_to_a_fraction),
        ),
        safe=(1.0, 1.0),
        kernel="pow",
        check=(True, True),  # 1**nan, nan**0, inf**-1, 2**-inf are all finite
        hazard=_pow_hazard,
        fixes_zero=False,
        rational=True,
        laws=_ids("E33 E34 E35"),
    ),
    Op(
        name="log",
        arity=1,
        faults=((Cause.DOMAIN, _outside_log),),
        safe=(1.0,),
        kernel="log",
        check=(False,),
        hazard=_log_hazard,
        fixes_zero=False,
        rational=False,
        laws=(),
    ),
    Op(
        name="exp",
        arity=1,
        faults=(),
        safe=(0.0,),
        kernel="exp",
        check=(True,),  # exp(-inf) = 0
        hazard=None,
        fixes_zero=False,
        rational=False,
        laws=(),
    ),
    Op(
        name="sqrt",
        arity=1,
        faults=((Cause.DOMAIN, _outside_sqrt),),
        safe=(1.0,),
        kernel="sqrt",
        check=(False,),
        hazard=_sqrt_hazard,
        fixes_zero=True,
        rational=False,
        laws=(),
    ),
    Op(
        name="sin",
        arity=1,
        faults=(),
        safe=(0.0,),
        kernel="sin",
        check=(False,),
        hazard=None,
        fixes_zero=True,
        rational=False,
        laws=(),
    ),
    Op(
        name="cos",
        arity=1,
        faults=(),
        safe=(0.0,),
        kernel="cos",
        check=(False,),
        hazard=None,
        fixes_zero=False,
        rational=False,
        laws=(),
    ),
    Op(
        name="tan",
        arity=1,
        faults=(),
        safe=(0.0,),
        kernel="tan",
        check=(False,),
        hazard=_tan_hazard,
        fixes_zero=True,
        rational=False,
        laws=(),
        check_complex=(True,),  # tan(x ± inf·j) = ±j
    ),
)

OPS: Mapping[str, Op] = MappingProxyType({row.name: row for row in _ROWS})
"""The thirteen operations by name, in the order of the specification."""
