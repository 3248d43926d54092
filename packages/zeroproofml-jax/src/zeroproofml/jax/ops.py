"""The thirteen operations on JAX arrays: ``(payload, mask)`` in, ``(payload, mask)`` out.

Operands are JAX or NumPy arrays, numbers or nested lists; integers become float64 first (float32
without x64). Masks are bool or integer arrays, bools, lists of bools, or None (all False), by
position or by keyword, and may enlarge the result. The result is canonical: the payload is finite
everywhere and 0 where the mask is True. All functions trace: ``jit``, ``vmap``, ``grad``, ``jvp``
and ``hessian`` work, and gradients are 0 at ⊥ and finite elsewhere.

XLA on CPU flushes subnormal numbers to zero: lanes with a subnormal operand or result are
unspecified here, and exact in ``zeroproofml.scm.ops``.
"""

from __future__ import annotations

from typing import Any

import jax

from zeroproofml.jax._execute import execute, sign

__all__ = [
    "scm_add_jax",
    "scm_cos_jax",
    "scm_div_jax",
    "scm_exp_jax",
    "scm_inv_jax",
    "scm_log_jax",
    "scm_mul_jax",
    "scm_neg_jax",
    "scm_pow_jax",
    "scm_sin_jax",
    "scm_sqrt_jax",
    "scm_sub_jax",
    "scm_tan_jax",
    "weak_sign_jax",
]

Pair = tuple[jax.Array, jax.Array]


def scm_add_jax(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> Pair:
    """x + y; ⊥ where an operand is ⊥ or the sum overflows.

    Args:
        x, y: operands of any shapes that broadcast.
        mask_x, mask_y: where the operand is ⊥; broadcast with the operands.

    Returns:
        (payload, mask) of the broadcast shape and the promoted dtype.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_add_jax([1.0, 2.0], [3.0, float("inf")])
    >>> payload.tolist(), mask.tolist()
    ([4.0, 0.0], [False, True])
    """
    return execute("add", (x, y), (mask_x, mask_y))


def scm_sub_jax(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> Pair:
    """x − y; ⊥ where an operand is ⊥ or the difference overflows.

    Args:
        x, y: operands of any shapes that broadcast.
        mask_x, mask_y: where the operand is ⊥; broadcast with the operands.

    Returns:
        (payload, mask) of the broadcast shape and the promoted dtype.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_sub_jax([1.0, 2.0], [3.0, float("nan")])
    >>> payload.tolist(), mask.tolist()
    ([-2.0, 0.0], [False, True])
    """
    return execute("sub", (x, y), (mask_x, mask_y))


def scm_mul_jax(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> Pair:
    """x · y; ⊥ where an operand is ⊥ or the product overflows.

    Args:
        x, y: operands of any shapes that broadcast.
        mask_x, mask_y: where the operand is ⊥; broadcast with the operands.

    Returns:
        (payload, mask) of the broadcast shape and the promoted dtype.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_mul_jax([2.0, 0.0], [3.0, float("inf")])
    >>> payload.tolist(), mask.tolist()
    ([6.0, 0.0], [False, True])
    """
    return execute("mul", (x, y), (mask_x, mask_y))


def scm_div_jax(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> Pair:
    """x / y; ⊥ where y = 0, an operand is ⊥ or the quotient overflows.

    Args:
        x, y: operands of any shapes that broadcast.
        mask_x, mask_y: where the operand is ⊥; broadcast with the operands.

    Returns:
        (payload, mask) of the broadcast shape and the promoted dtype.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_div_jax([1.0, 1.0], [2.0, 0.0])
    >>> payload.tolist(), mask.tolist()
    ([0.5, 0.0], [False, True])
    """
    return execute("div", (x, y), (mask_x, mask_y))


def scm_pow_jax(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> Pair:
    """x to the real power y; ⊥ at 0 to a negative power and at a negative x to a fraction.

    0 to the power 0 is 1. Complex x takes the principal branch; a complex y is refused.

    Args:
        x, y: base and real exponent of any shapes that broadcast.
        mask_x, mask_y: where the operand is ⊥; broadcast with the operands.

    Returns:
        (payload, mask) of the broadcast shape and the promoted dtype.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask, a complex exponent.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_pow_jax([-2.0, -8.0], [3.0, 0.5])
    >>> payload.tolist(), mask.tolist()
    ([-8.0, 0.0], [False, True])
    """
    return execute("pow", (x, y), (mask_x, mask_y))


def scm_inv_jax(x: Any, mask: Any = None) -> Pair:
    """1 / x; ⊥ where x = 0 or 1 / x overflows.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_inv_jax([4.0, 0.0])
    >>> payload.tolist(), mask.tolist()
    ([0.25, 0.0], [False, True])
    """
    return execute("inv", (x,), (mask,))


def scm_neg_jax(x: Any, mask: Any = None) -> Pair:
    """−x; ⊥ where x is ⊥.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_neg_jax([1.0, float("nan")])
    >>> payload.tolist(), mask.tolist()
    ([-1.0, 0.0], [False, True])
    """
    return execute("neg", (x,), (mask,))


def scm_log_jax(x: Any, mask: Any = None) -> Pair:
    """Natural logarithm; ⊥ for real x ≤ 0 and for complex 0.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_log_jax([1.0, -1.0])
    >>> payload.tolist(), mask.tolist()
    ([0.0, 0.0], [False, True])
    """
    return execute("log", (x,), (mask,))


def scm_exp_jax(x: Any, mask: Any = None) -> Pair:
    """e to the power x; ⊥ where it overflows, 0 where it underflows.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_exp_jax([0.0, 1000.0])
    >>> payload.tolist(), mask.tolist()
    ([1.0, 0.0], [False, True])
    """
    return execute("exp", (x,), (mask,))


def scm_sqrt_jax(x: Any, mask: Any = None) -> Pair:
    """Square root; ⊥ for real x < 0, never by domain for complex x.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_sqrt_jax([4.0, -4.0])
    >>> payload.tolist(), mask.tolist()
    ([2.0, 0.0], [False, True])
    """
    return execute("sqrt", (x,), (mask,))


def scm_sin_jax(x: Any, mask: Any = None) -> Pair:
    """Sine of x in radians, fully reduced; ⊥ where x is ⊥ or a complex sine overflows.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_sin_jax([0.0, float("inf")])
    >>> payload.tolist(), mask.tolist()
    ([0.0, 0.0], [False, True])
    """
    return execute("sin", (x,), (mask,))


def scm_cos_jax(x: Any, mask: Any = None) -> Pair:
    """Cosine of x in radians, fully reduced; ⊥ where x is ⊥ or a complex cosine overflows.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_cos_jax([0.0, float("inf")])
    >>> payload.tolist(), mask.tolist()
    ([1.0, 0.0], [False, True])
    """
    return execute("cos", (x,), (mask,))


def scm_tan_jax(x: Any, mask: Any = None) -> Pair:
    """Tangent of x in radians; no float is a pole, so only a ⊥ operand gives ⊥.

    Args:
        x: operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = scm_tan_jax([0.0, float("inf")])
    >>> payload.tolist(), mask.tolist()
    ([0.0, 0.0], [False, True])
    """
    return execute("tan", (x,), (mask,))


def weak_sign_jax(x: Any, mask: Any = None) -> Pair:
    """The weak sign: x/|x|, 0 at 0, ⊥ at ⊥; −1, 0 or 1 for real x.

    Args:
        x: real or complex operand of any shape.
        mask: where the operand is ⊥; may enlarge the result.

    Returns:
        (payload, mask) of the broadcast shape, in the dtype of x. The modulus is within 2 eps of 1.

    Raises:
        SCMTypeError: a bool, object or string operand, a floating mask.
        SCMValueError: shapes that do not broadcast.

    >>> payload, mask = weak_sign_jax([-2.0, 0.0, float("nan")])
    >>> payload.tolist(), mask.tolist()
    ([-1.0, 0.0, 0.0], [False, False, True])
    """
    return sign(x, mask)
