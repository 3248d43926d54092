"""The laws of signed common meadows, as data that any arithmetic can be held against.

``LAWS`` has three kinds, told apart by the first letter of the id:

* ``E``: equations that hold exactly, in floating point too (overflow = ⊥, −0 = 0);
* ``R``: equations that hold over the rationals, and each fails somewhere in floating point;
* ``N``: equations of fields that must fail here.

A law is two expressions over an :class:`Operations`, so that scalars, arrays and exact fractions
share it. Sources: J. A. Bergstra and A. Ponse, "Division by zero in common meadows",
arXiv:1406.6878; J. A. Bergstra and J. V. Tucker, "On the axioms of common meadows: fracterm
calculus, flattening and incompleteness", Comput. J. 66(7), 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from zeroproofml.scm import exact, ops
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.sign import weak_sign
from zeroproofml.scm.value import BOTTOM, read_number

__all__ = [
    "LAWS",
    "Law",
    "Operations",
    "array_operations",
    "exact_operations",
    "scalar_operations",
]

Operation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """An arithmetic: its operations on elements, its ⊥, and when two elements are equal.

    Elements are whatever the operations take; plain numbers must be among them.

    Attributes:
        add: x + y; likewise ``sub``, ``mul``, ``div``, ``inv``, ``neg``, ``pow``.
        sign: the weak sign.
        absolute: the modulus.
        bottom: ⊥.
        equal: whether two elements are the same number or both ⊥; arrays answer lane by lane.
    """

    add: Operation
    sub: Operation
    mul: Operation
    div: Operation
    inv: Operation
    neg: Operation
    pow: Operation
    sign: Operation
    absolute: Operation
    bottom: Any
    equal: Operation


@dataclass(frozen=True, slots=True)
class Law:
    """One equation, or a chain of equations.

    Attributes:
        id: e.g. ``"E01"``.
        text: the equation as it is written.
        arity: the number of variables, 0 to 3.
        left: ``(operations, *values)`` to the left side, or to a tuple of left sides.
        right: the same for the right side.
        counterexample: float64 values at which an R or N law fails, None for ⊥; () for an E law.
    """

    id: str
    text: str
    arity: int
    left: Callable[..., Any]
    right: Callable[..., Any]
    counterexample: tuple[float | None, ...] = ()

    def holds(self, operations: Operations, *values: Any) -> Any:
        """Whether the equation holds for these values: a bool, or a bool array by lane.

        >>> LAWS["E01"].holds(exact_operations(), 1, exact.BOT)
        True
        >>> LAWS["N2"].holds(scalar_operations(), BOTTOM)
        False
        """
        left, right = self.left(operations, *values), self.right(operations, *values)
        if not isinstance(left, list):
            return operations.equal(left, right)
        first, *others = (operations.equal(a, b) for a, b in zip(left, right, strict=True))
        for other in others:
            first = first & other
        return first


def scalar_operations() -> Operations:
    """The scalar functions, on ``SCMValue`` and numbers.

    >>> scalar_operations().div(1, 0)
    SCMValue(⊥ DIV_ZERO)
    """
    return Operations(
        **{name: getattr(ops, f"scm_{name}") for name in _RATIONAL},
        sign=weak_sign,
        absolute=lambda x: abs(read_number(x, "x")),
        bottom=BOTTOM,
        equal=lambda x, y: read_number(x, "x") == read_number(y, "y"),  # NaN is ⊥ too
    )


def exact_operations() -> Operations:
    """The oracle, on fractions, integers and ⊥.

    >>> exact_operations().add(1, 2)
    Fraction(3, 1)
    """
    return Operations(
        **{name: exact.operation(name) for name in _RATIONAL},
        sign=exact.sign,
        absolute=lambda x: exact.mul(x, exact.sign(x)),
        bottom=exact.BOT,
        equal=lambda x, y: exact.read(x, "x") == exact.read(y, "y"),
    )


def array_operations(functions: Mapping[str, Operation], sign: Operation) -> Operations:
    """Functions of arrays, on pairs ``(payload, mask)`` and plain numbers.

    Args:
        functions: operation name → ``fn(x, mask)`` or ``fn(x, y, mask_x, mask_y)``, giving
            ``(payload, mask)``; those of a :class:`~zeroproofml.scm.testing.Backend`, for example.
        sign: the weak sign, ``fn(x, mask)`` to ``(payload, mask)``.

    >>> from zeroproofml.scm.sign import weak_sign_numpy
    >>> from zeroproofml.scm.testing import Backend
    >>> functions = Backend.load("zeroproofml.scm.ops:scm_{op}_numpy").functions
    >>> numpy = array_operations(functions, weak_sign_numpy)
    >>> LAWS["N4"].holds(numpy, ([1.0, 2.0], [False, True]))
    array([ True, False])
    """

    def pair(element: Any) -> Any:
        return element if isinstance(element, tuple) else (element, None)

    def lift(function: Operation) -> Operation:
        def apply(*elements: Any) -> Any:
            payloads, masks = zip(*map(pair, elements), strict=True)
            return function(*payloads, *masks)

        return apply

    def equal(x: Any, y: Any) -> Any:
        (payload, mask), (other, other_mask) = (lift(functions["neg"])(e) for e in (x, y))
        return (mask == other_mask) & (payload == other)  # both canonical: 0 at ⊥

    def absolute(x: Any) -> Any:
        payload, mask = lift(functions["neg"])(x)
        return abs(payload), mask

    return Operations(
        **{name: lift(functions[name]) for name in _RATIONAL},
        sign=lift(sign),
        absolute=absolute,
        bottom=(0.0, True),
        equal=equal,
    )


_RATIONAL = tuple(name for name, row in OPS.items() if row.rational)

_EXACT = (
    Law("E01", "x+y = y+x", 2, lambda o, x, y: o.add(x, y), lambda o, x, y: o.add(y, x)),
    Law("E02", "x+0 = x", 1, lambda o, x: o.add(x, 0), lambda o, x: x),
    Law("E03", "x+(−x) = 0x", 1, lambda o, x: o.add(x, o.neg(x)), lambda o, x: o.mul(0, x)),
    Law("E04", "xy = yx", 2, lambda o, x, y: o.mul(x, y), lambda o, x, y: o.mul(y, x)),
    Law("E05", "1x = x", 1, lambda o, x: o.mul(1, x), lambda o, x: x),
    Law("E06", "−(−x) = x", 1, lambda o, x: o.neg(o.neg(x)), lambda o, x: x),
    Law(
        "E07",
        "(1+0x)⁻¹ = 1+0x",
        1,
        lambda o, x: o.inv(o.add(1, o.mul(0, x))),
        lambda o, x: o.add(1, o.mul(0, x)),
    ),
    Law("E08", "0⁻¹ = ⊥", 0, lambda o: o.inv(0), lambda o: o.bottom),
    Law("E09", "x+⊥ = ⊥", 1, lambda o, x: o.add(x, o.bottom), lambda o, x: o.bottom),
    Law("E10", "x⊥ = ⊥", 1, lambda o, x: o.mul(x, o.bottom), lambda o, x: o.bottom),
    Law(
        "E11",
        "x/⊥ = ⊥/x = ⊥",
        1,
        lambda o, x: [o.div(x, o.bottom), o.div(o.bottom, x)],
        lambda o, x: [o.bottom, o.bottom],
    ),
    Law(
        "E12",
        "−⊥ = ⊥⁻¹ = ⊥",
        0,
        lambda o: [o.neg(o.bottom), o.inv(o.bottom)],
        lambda o: [o.bottom, o.bottom],
    ),
    Law("E13", "−x = (−1)x", 1, lambda o, x: o.neg(x), lambda o, x: o.mul(-1, x)),
    Law(
        "E14",
        "−(xy) = (−x)y = x(−y)",
        2,
        lambda o, x, y: [o.neg(o.mul(x, y)), o.neg(o.mul(x, y))],
        lambda o, x, y: [o.mul(o.neg(x), y), o.mul(x, o.neg(y))],
    ),
    Law(
        "E15",
        "−(x+y) = (−x)+(−y)",
        2,
        lambda o, x, y: o.neg(o.add(x, y)),
        lambda o, x, y: o.add(o.neg(x), o.neg(y)),
    ),
    Law("E16", "(−x)⁻¹ = −(x⁻¹)", 1, lambda o, x: o.inv(o.neg(x)), lambda o, x: o.neg(o.inv(x))),
    Law(
        "E17",
        "(−x)/y = x/(−y) = −(x/y)",
        2,
        lambda o, x, y: [o.div(o.neg(x), y), o.div(x, o.neg(y))],
        lambda o, x, y: [o.neg(o.div(x, y)), o.neg(o.div(x, y))],
    ),
    Law(
        "E18",
        "(−x)/(−y) = x/y",
        2,
        lambda o, x, y: o.div(o.neg(x), o.neg(y)),
        lambda o, x, y: o.div(x, y),
    ),
    Law("E19", "x/1 = x", 1, lambda o, x: o.div(x, 1), lambda o, x: x),
    Law("E20", "x/x = 1+0/x", 1, lambda o, x: o.div(x, x), lambda o, x: o.add(1, o.div(0, x))),
    Law("E21", "x−y = −(y−x)", 2, lambda o, x, y: o.sub(x, y), lambda o, x, y: o.neg(o.sub(y, x))),
    Law(
        "E22",
        "0x+0x = 0x",
        1,
        lambda o, x: o.add(o.mul(0, x), o.mul(0, x)),
        lambda o, x: o.mul(0, x),
    ),
    Law("E23", "0(0x) = 0x", 1, lambda o, x: o.mul(0, o.mul(0, x)), lambda o, x: o.mul(0, x)),
    Law(
        "E24",
        "0x·0y = 0x+0y",
        2,
        lambda o, x, y: o.mul(o.mul(0, x), o.mul(0, y)),
        lambda o, x, y: o.add(o.mul(0, x), o.mul(0, y)),
    ),
    Law("E25", "x+x = 2x", 1, lambda o, x: o.add(x, x), lambda o, x: o.mul(2, x)),
    Law("E26", "x⁻¹ = 1/x", 1, lambda o, x: o.inv(x), lambda o, x: o.div(1, x)),
    Law("E27", "s(−x) = −s(x)", 1, lambda o, x: o.sign(o.neg(x)), lambda o, x: o.neg(o.sign(x))),
    Law("E28", "s(s(x)) = s(x)", 1, lambda o, x: o.sign(o.sign(x)), lambda o, x: o.sign(x)),
    Law("E29", "0s(x) = 0x", 1, lambda o, x: o.mul(0, o.sign(x)), lambda o, x: o.mul(0, x)),
    Law(
        "E30",
        "s(1) = 1, s(0) = 0, s(−1) = −1, s(⊥) = ⊥",
        0,
        lambda o: [o.sign(1), o.sign(0), o.sign(-1), o.sign(o.bottom)],
        lambda o: [1, 0, -1, o.bottom],
    ),
    Law(
        "E31",
        "s(x⁻¹) = s(x)+0x⁻¹",
        1,
        lambda o, x: o.sign(o.inv(x)),
        lambda o, x: o.add(o.sign(x), o.mul(0, o.inv(x))),
    ),
    Law("E32", "s(x)x = |x|", 1, lambda o, x: o.mul(o.sign(x), x), lambda o, x: o.absolute(x)),
    Law("E33", "s(x)³ = s(x)", 1, lambda o, x: o.pow(o.sign(x), 3), lambda o, x: o.sign(x)),
    Law("E34", "x⁰ = 1+0x", 1, lambda o, x: o.pow(x, 0), lambda o, x: o.add(1, o.mul(0, x))),
    Law("E35", "x¹ = x", 1, lambda o, x: o.pow(x, 1), lambda o, x: x),
    Law("E36", "0(−x) = 0x", 1, lambda o, x: o.mul(0, o.neg(x)), lambda o, x: o.mul(0, x)),
    Law(
        "E37",
        "s(x−y) = −s(y−x)",
        2,
        lambda o, x, y: o.sign(o.sub(x, y)),
        lambda o, x, y: o.neg(o.sign(o.sub(y, x))),
    ),
    Law(
        "E38",
        "x/y+0 = (x/y)·1",
        2,
        lambda o, x, y: o.add(o.div(x, y), 0),
        lambda o, x, y: o.mul(o.div(x, y), 1),
    ),
)

_MAX = 1.7976931348623157e308
_OVER_RATIONALS = (
    Law(
        "R01",
        "(x+y)+w = x+(y+w)",
        3,
        lambda o, x, y, w: o.add(o.add(x, y), w),
        lambda o, x, y, w: o.add(x, o.add(y, w)),
        (1.0, _MAX, -_MAX),
    ),
    Law(
        "R02",
        "(xy)w = x(yw)",
        3,
        lambda o, x, y, w: o.mul(o.mul(x, y), w),
        lambda o, x, y, w: o.mul(x, o.mul(y, w)),
        (0.0, 2.0, _MAX),
    ),
    Law(
        "R03",
        "x(y+w) = xy+xw",
        3,
        lambda o, x, y, w: o.mul(x, o.add(y, w)),
        lambda o, x, y, w: o.add(o.mul(x, y), o.mul(x, w)),
        (0.0, _MAX, _MAX),
    ),
    Law(
        "R04",
        "0(x+y) = 0(xy)",
        2,
        lambda o, x, y: o.mul(0, o.add(x, y)),
        lambda o, x, y: o.mul(0, o.mul(x, y)),
        (2.0, _MAX),
    ),
    Law(
        "R05",
        "xx⁻¹ = 1+0x⁻¹",
        1,
        lambda o, x: o.mul(x, o.inv(x)),
        lambda o, x: o.add(1, o.mul(0, o.inv(x))),
        (49.0,),
    ),
    Law(
        "R06",
        "(xy)⁻¹ = x⁻¹y⁻¹",
        2,
        lambda o, x, y: o.inv(o.mul(x, y)),
        lambda o, x, y: o.mul(o.inv(x), o.inv(y)),
        (2.0, _MAX),
    ),
    Law(
        "R07",
        "(x⁻¹)⁻¹ = x+0x⁻¹",
        1,
        lambda o, x: o.inv(o.inv(x)),
        lambda o, x: o.add(x, o.mul(0, o.inv(x))),
        (49.0,),
    ),
    Law(
        "R08",
        "x/y = xy⁻¹",
        2,
        lambda o, x, y: o.div(x, y),
        lambda o, x, y: o.mul(x, o.inv(y)),
        (0.0, 5e-324),
    ),
    Law(
        "R09",
        "x/y+w/y = (x+w)/y",
        3,
        lambda o, x, y, w: o.add(o.div(x, y), o.div(w, y)),
        lambda o, x, y, w: o.div(o.add(x, w), y),
        (_MAX, 2.0, _MAX),
    ),
    Law(
        "R10",
        "(x/y)(w/x) = xw/(yx)",
        3,
        lambda o, x, y, w: o.mul(o.div(x, y), o.div(w, x)),
        lambda o, x, y, w: o.div(o.mul(x, w), o.mul(y, x)),
        (2.0, 1.0, _MAX),
    ),
    Law(
        "R11",
        "x/y+y/w = (xw+y²)/(yw)",
        3,
        lambda o, x, y, w: o.add(o.div(x, y), o.div(y, w)),
        lambda o, x, y, w: o.div(o.add(o.mul(x, w), o.mul(y, y)), o.mul(y, w)),
        (1.0, _MAX, 1.0),
    ),
    Law(
        "R12",
        "x/(y/w) = xw²/(yw)",
        3,
        lambda o, x, y, w: o.div(x, o.div(y, w)),
        lambda o, x, y, w: o.div(o.mul(x, o.mul(w, w)), o.mul(y, w)),
        (1.0, _MAX, _MAX),
    ),
    Law(
        "R13",
        "s(xy) = s(x)s(y)",
        2,
        lambda o, x, y: o.sign(o.mul(x, y)),
        lambda o, x, y: o.mul(o.sign(x), o.sign(y)),
        (2.0, _MAX),
    ),
    Law(
        "R14", "0/x = 0x⁻¹", 1, lambda o, x: o.div(0, x), lambda o, x: o.mul(0, o.inv(x)), (5e-324,)
    ),
    Law(
        "R15",
        "1/(1/x) = x+0/x",
        1,
        lambda o, x: o.div(1, o.div(1, x)),
        lambda o, x: o.add(x, o.div(0, x)),
        (49.0,),
    ),
    Law(
        "R16",
        "s(x/y) = s(x)/s(y)",
        2,
        lambda o, x, y: o.sign(o.div(x, y)),
        lambda o, x, y: o.div(o.sign(x), o.sign(y)),
        (1.0, 5e-324),
    ),
    Law(
        "R17",
        "(x+y)(x−y) = x²−y²",
        2,
        lambda o, x, y: o.mul(o.add(x, y), o.sub(x, y)),
        lambda o, x, y: o.sub(o.mul(x, x), o.mul(y, y)),
        (1e300, 1e300),
    ),
    Law(
        "R18",
        "(xw)/(yw) = x/y+0w/w",
        3,
        lambda o, x, y, w: o.div(o.mul(x, w), o.mul(y, w)),
        lambda o, x, y, w: o.add(o.div(x, y), o.div(o.mul(0, w), w)),
        (2.0, 1.0, _MAX),
    ),
    Law(
        "R19",
        "(x−y)+y = x+0y",
        2,
        lambda o, x, y: o.add(o.sub(x, y), y),
        lambda o, x, y: o.add(x, o.mul(0, y)),
        (1.0, _MAX),
    ),
)

_FALSE = (
    Law("N1", "xx⁻¹ = 1", 1, lambda o, x: o.mul(x, o.inv(x)), lambda o, x: 1, (0.0,)),
    Law("N2", "0x = 0", 1, lambda o, x: o.mul(0, x), lambda o, x: 0, (None,)),
    Law("N3", "(x⁻¹)⁻¹ = x", 1, lambda o, x: o.inv(o.inv(x)), lambda o, x: x, (0.0,)),
    Law("N4", "x−x = 0", 1, lambda o, x: o.sub(x, x), lambda o, x: 0, (None,)),
    Law(
        "N5",
        "x/(y/w) = xw/y",
        3,
        lambda o, x, y, w: o.div(x, o.div(y, w)),
        lambda o, x, y, w: o.div(o.mul(x, w), y),
        (1.0, 1.0, 0.0),
    ),
)

LAWS: Mapping[str, Law] = MappingProxyType(
    {law.id: law for law in (*_EXACT, *_OVER_RATIONALS, *_FALSE)}
)
"""The laws E01 to E38, R01 to R19 and N1 to N5 by id."""
