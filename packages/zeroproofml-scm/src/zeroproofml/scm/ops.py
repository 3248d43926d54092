"""The thirteen operations for NumPy arrays, and for scalars.

``scm_<op>_numpy`` takes arrays, numbers or lists with optional masks and returns
``(payload, mask)``: plain arrays of one shape, the payload finite everywhere and 0 where the mask
is True. A lane is ⊥ iff an operand is (masked, NaN or infinite), or the operation is undefined
there, or the result is not representable.

Rules that hold for all of them, told once:

* payloads: floating or complex; integers become float64 first; bool, object and string are
  ``SCMTypeError``. Python numbers take the dtype of the other operand.
* masks: bool or integer arrays, scalars or lists, True = ⊥; None = none. They may broadcast, and
  may enlarge the result. Shapes that do not broadcast are ``SCMValueError``.
* ``out=(payload, mask)``: exact shape and dtype, else ``SCMValueError`` or ``SCMTypeError``; the
  same two arrays are returned. They may overlap the inputs.
* inputs are never written, and no warning is ever emitted.

``scm_<op>`` takes numbers or :class:`SCMValue` and returns an :class:`SCMValue` that knows its
cause; a non-finite number counts as ⊥. Source: J. A. Bergstra and A. Ponse, "Division by zero in
common meadows", arXiv:1406.6878.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.scm._execute import execute
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.value import Number, SCMValue, apply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Pair = tuple[NDArray[Any], NDArray[np.bool_]]

__all__ = [
    "scm_add",
    "scm_add_numpy",
    "scm_cos",
    "scm_cos_numpy",
    "scm_div",
    "scm_div_numpy",
    "scm_exp",
    "scm_exp_numpy",
    "scm_inv",
    "scm_inv_numpy",
    "scm_log",
    "scm_log_numpy",
    "scm_mul",
    "scm_mul_numpy",
    "scm_neg",
    "scm_neg_numpy",
    "scm_pow",
    "scm_pow_numpy",
    "scm_sin",
    "scm_sin_numpy",
    "scm_sqrt",
    "scm_sqrt_numpy",
    "scm_sub",
    "scm_sub_numpy",
    "scm_tan",
    "scm_tan_numpy",
]


def scm_add_numpy(
    x: ArrayLike,
    y: ArrayLike,
    mask_x: ArrayLike | None = None,
    mask_y: ArrayLike | None = None,
    *,
    out: Pair | None = None,
) -> Pair:
    """Sum x + y; ⊥ also where it overflows.

    >>> scm_add_numpy([1.0, 1e308], [2.0, 1e308])
    (array([3., 0.]), array([False,  True]))
    """
    return execute(OPS["add"], (x, y), (mask_x, mask_y), out)


def scm_sub_numpy(
    x: ArrayLike,
    y: ArrayLike,
    mask_x: ArrayLike | None = None,
    mask_y: ArrayLike | None = None,
    *,
    out: Pair | None = None,
) -> Pair:
    """Difference x − y; ⊥ also where it overflows.

    >>> scm_sub_numpy([1.0, 2.0], [0.5, 2.0], [False, True])
    (array([0.5, 0. ]), array([False,  True]))
    """
    return execute(OPS["sub"], (x, y), (mask_x, mask_y), out)


def scm_mul_numpy(
    x: ArrayLike,
    y: ArrayLike,
    mask_x: ArrayLike | None = None,
    mask_y: ArrayLike | None = None,
    *,
    out: Pair | None = None,
) -> Pair:
    """Product x · y; ⊥ also where it overflows. Underflow is regular.

    >>> scm_mul_numpy([2.0, 1e200], [3.0, 1e200])
    (array([6., 0.]), array([False,  True]))
    """
    return execute(OPS["mul"], (x, y), (mask_x, mask_y), out)


def scm_div_numpy(
    x: ArrayLike,
    y: ArrayLike,
    mask_x: ArrayLike | None = None,
    mask_y: ArrayLike | None = None,
    *,
    out: Pair | None = None,
) -> Pair:
    """Quotient x / y; ⊥ where y = 0, 0/0 included, and where it overflows.

    >>> scm_div_numpy([1.0, 0.0, 3.0], [0.0, 2.0, 2.0])
    (array([0. , 0. , 1.5]), array([ True, False, False]))
    """
    return execute(OPS["div"], (x, y), (mask_x, mask_y), out)


def scm_inv_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Inverse 1 / x; ⊥ where x = 0 and where it overflows.

    >>> scm_inv_numpy([4.0, 0.0])
    (array([0.25, 0.  ]), array([False,  True]))
    """
    return execute(OPS["inv"], (x,), (mask,), out)


def scm_neg_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Negative −x.

    >>> scm_neg_numpy([1.0, 2.0], [True, False])
    (array([ 0., -2.]), array([ True, False]))
    """
    return execute(OPS["neg"], (x,), (mask,), out)


def scm_pow_numpy(
    x: ArrayLike,
    y: ArrayLike,
    mask_x: ArrayLike | None = None,
    mask_y: ArrayLike | None = None,
    *,
    out: Pair | None = None,
) -> Pair:
    """Power x ** y with a real exponent y.

    ⊥ where x = 0 and y < 0, where a real x < 0 meets a fractional y, and where it overflows;
    0⁰ = 1. Complex x takes the principal branch. A complex y is ``SCMTypeError``.

    >>> scm_pow_numpy([0.0, -2.0, -8.0], [0.0, 3.0, 1 / 3])
    (array([ 1., -8.,  0.]), array([False, False,  True]))
    """
    return execute(OPS["pow"], (x, y), (mask_x, mask_y), out)


def scm_log_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Natural logarithm; ⊥ where a real x ≤ 0, or a complex x = 0 (principal branch otherwise).

    >>> scm_log_numpy([1.0, 0.0, -1.0])
    (array([0., 0., 0.]), array([False,  True,  True]))
    """
    return execute(OPS["log"], (x,), (mask,), out)


def scm_exp_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Exponential; ⊥ where it overflows.

    >>> scm_exp_numpy([0.0, 1000.0, -1000.0])
    (array([1., 0., 0.]), array([False,  True, False]))
    """
    return execute(OPS["exp"], (x,), (mask,), out)


def scm_sqrt_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Square root; ⊥ where a real x < 0 (complex: principal branch, never ⊥ by domain).

    >>> scm_sqrt_numpy([4.0, -1.0])
    (array([2., 0.]), array([False,  True]))
    """
    return execute(OPS["sqrt"], (x,), (mask,), out)


def scm_sin_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Sine of x in radians, fully reduced; complex x may overflow.

    >>> scm_sin_numpy([0.0, float("inf")])
    (array([0., 0.]), array([False,  True]))
    """
    return execute(OPS["sin"], (x,), (mask,), out)


def scm_cos_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Cosine of x in radians, fully reduced; complex x may overflow.

    >>> scm_cos_numpy([0.0, float("nan")])
    (array([1., 0.]), array([False,  True]))
    """
    return execute(OPS["cos"], (x,), (mask,), out)


def scm_tan_numpy(x: ArrayLike, mask: ArrayLike | None = None, *, out: Pair | None = None) -> Pair:
    """Tangent of x in radians: finite for every finite real x, fl(π/2) included.

    >>> scm_tan_numpy([0.0, 1.0], [False, True])
    (array([0., 0.]), array([False,  True]))
    """
    return execute(OPS["tan"], (x,), (mask,), out)


def scm_add(x: Number, y: Number) -> SCMValue:
    """x + y as a value; overflow is ⊥ OVERFLOW.

    >>> scm_add(1, 2)
    SCMValue(3.0)
    """
    return apply(OPS["add"], x, y)


def scm_sub(x: Number, y: Number) -> SCMValue:
    """x − y as a value; overflow is ⊥ OVERFLOW.

    >>> scm_sub(1, 2)
    SCMValue(-1.0)
    """
    return apply(OPS["sub"], x, y)


def scm_mul(x: Number, y: Number) -> SCMValue:
    """x · y as a value; overflow is ⊥ OVERFLOW.

    >>> scm_mul(2, 3)
    SCMValue(6.0)
    """
    return apply(OPS["mul"], x, y)


def scm_div(x: Number, y: Number) -> SCMValue:
    """x / y as a value; y = 0 is ⊥ DIV_ZERO.

    >>> scm_div(1, 0)
    SCMValue(⊥ DIV_ZERO)
    """
    return apply(OPS["div"], x, y)


def scm_inv(x: Number) -> SCMValue:
    """1 / x as a value; x = 0 is ⊥ DIV_ZERO.

    >>> scm_inv(0)
    SCMValue(⊥ DIV_ZERO)
    """
    return apply(OPS["inv"], x)


def scm_neg(x: Number) -> SCMValue:
    """−x as a value.

    >>> scm_neg(2)
    SCMValue(-2.0)
    """
    return apply(OPS["neg"], x)


def scm_pow(x: Number, y: Number) -> SCMValue:
    """x ** y as a value, real in and real out; 0⁰ = 1.

    >>> scm_pow(-8.0, 1 / 3)
    SCMValue(⊥ DOMAIN)
    """
    return apply(OPS["pow"], x, y)


def scm_log(x: Number) -> SCMValue:
    """Natural logarithm as a value; a real x ≤ 0 is ⊥ DOMAIN.

    >>> scm_log(0)
    SCMValue(⊥ DOMAIN)
    """
    return apply(OPS["log"], x)


def scm_exp(x: Number) -> SCMValue:
    """Exponential as a value; overflow is ⊥ OVERFLOW.

    >>> scm_exp(1000)
    SCMValue(⊥ OVERFLOW)
    """
    return apply(OPS["exp"], x)


def scm_sqrt(x: Number) -> SCMValue:
    """Square root as a value; a real x < 0 is ⊥ DOMAIN.

    >>> scm_sqrt(-1)
    SCMValue(⊥ DOMAIN)
    """
    return apply(OPS["sqrt"], x)


def scm_sin(x: Number) -> SCMValue:
    """Sine of x (radians) as a value.

    >>> scm_sin(0)
    SCMValue(0.0)
    """
    return apply(OPS["sin"], x)


def scm_cos(x: Number) -> SCMValue:
    """Cosine of x (radians) as a value.

    >>> scm_cos(0)
    SCMValue(1.0)
    """
    return apply(OPS["cos"], x)


def scm_tan(x: Number) -> SCMValue:
    """Tangent of x (radians) as a value.

    >>> scm_tan(0)
    SCMValue(0.0)
    """
    return apply(OPS["tan"], x)
