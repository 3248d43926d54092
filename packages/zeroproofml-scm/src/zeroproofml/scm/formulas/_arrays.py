"""Small things that all formulas share: dtypes, shapes, a modulus, a quotient that is safe to differentiate.

Nothing here imports a framework except NumPy: ``xp`` arrives as an argument, and what a framework
calls a dtype is recognised by its name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS, Predicate

_P = ParamSpec("_P")
_R = TypeVar("_R")

_div_hazard = cast("Predicate", OPS["div"].hazard)
_MAX_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}


def quiet(formula: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a formula under ``errstate`` when ``xp`` is numpy: ⊥ is a value, never a warning."""

    @functools.wraps(formula)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if kwargs.get("xp") is np:
            with np.errstate(all="ignore"):
                return formula(*args, **kwargs)
        return formula(*args, **kwargs)

    return wrapper


def not_finite(v: Any) -> Any:
    """Where v is not finite, for a formula that is ``quiet``.

    v - v is NaN iff v is not finite; in torch that and one comparison cost a third of ``isfinite``.
    """
    rest = v - v
    return rest != rest


def identity(x: Any) -> Any:
    """Stand in for a ``stop_gradient`` that was not given: NumPy has no gradients to stop."""
    return x


def dtype_name(dtype: Any) -> str:
    """``float32`` for ``numpy.float32``, ``numpy.dtype("float32")``, ``torch.float32``, ``"float32"``."""
    name = dtype.__name__ if isinstance(dtype, type) else str(dtype)
    return name.rpartition(".")[2]


def is_complex(x: Any) -> bool:
    """Whether an array of any framework is complex."""
    return "complex" in str(x.dtype)


def astype(x: Any, dtype: Any) -> Any:
    """Convert an array of any framework to one of its dtypes."""
    return x.astype(dtype) if hasattr(x, "astype") else x.to(dtype)


def floating(x: Any, name: str, *, xp: Any) -> Any:
    """Pass floating and complex arrays, turn integers into float64, refuse the rest by name."""
    kind = dtype_name(getattr(x, "dtype", type(x)))
    if kind.startswith(("int", "uint")) and hasattr(x, "dtype"):
        # float is the widest float that a framework has switched on (float32 in JAX without x64).
        return x + xp.zeros_like(x, dtype=float)
    if ("float" not in kind and "complex" not in kind) or not hasattr(x, "dtype"):
        msg = f"{name} must be an array of real or complex numbers, not {kind}; convert it first"
        raise SCMTypeError(msg)
    return x


def same_shape(**arrays: Any) -> None:
    """Refuse arrays of unequal shape: broadcasting hides more mistakes than it saves typing."""
    shapes = {name: tuple(x.shape) for name, x in arrays.items() if x is not None}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        msg = f"shapes must be equal, got {listed}; broadcast or index them explicitly"
        raise SCMValueError(msg)


def finite_number(value: Any, name: str, *, least: float = 0.0, above: bool = False) -> None:
    """Check a Python number; a traced scalar passes, because a trace has no values to check."""
    if isinstance(value, bool | str):
        msg = f"{name} must be a number, not {value!r}"
        raise SCMTypeError(msg)
    if not isinstance(value, int | float):
        return
    if not math.isfinite(value) or value < least or (above and value == least):
        bound = f"> {least:g}" if above else f">= {least:g}"
        msg = f"{name} must be finite and {bound}, got {value}"
        raise SCMValueError(msg)


def abs2(z: Any, *, xp: Any) -> Any:
    """|z|², real."""
    if is_complex(z):
        re, im = xp.real(z), xp.imag(z)
        return re * re + im * im
    return z * z


def modulus(z: Any, *, xp: Any) -> Any:
    """|z| with derivative +1 at z = ±0, so that a penalty on |Q| still moves a Q that is exactly 0."""
    if is_complex(z):
        zero = z == 0
        return xp.where(zero, xp.real(z), xp.abs(xp.where(zero, 1.0, z)))
    return xp.where(z < 0, -z, z)


def largest_part(z: Any, *, xp: Any) -> Any:
    """max(|re z|, |im z|): unlike the modulus it never overflows."""
    if is_complex(z):
        return xp.maximum(xp.abs(xp.real(z)), xp.abs(xp.imag(z)))
    return xp.abs(z)


def power_of_two_scale(m: Any, *, xp: Any) -> Any:
    """An exact power of two s with m·s about [½, 1] (subnormal m: smaller), and 1 where m is 0, inf or NaN.

    Integers carry the exponent, so no derivative ever runs through s, without any stop_gradient.
    The power is applied to ones: torch's own derivative of ``ldexp`` is 0 for integer exponents.
    Not ``frexp``: torch's compiler turns its exponent into C++ that does not compile. A logarithm
    that rounds up to the next integer makes s half as large, which is as good.
    """
    ordinary = (m > 0) & xp.isfinite(m)
    top = _MAX_EXPONENT.get(dtype_name(m.dtype), 16383) - 1
    exponent = 1 + xp.floor(xp.log2(xp.where(ordinary, m, 0.5)))
    exponent = astype(xp.clip(exponent, -top, top), xp.int32)
    return xp.ldexp(xp.ones_like(m), -exponent)


def _scaled_division(P: Any, Q: Any, *, xp: Any) -> Any:
    """P/Q; complex operands are first scaled by the power of two of Q's largest part.

    (1e-310 divided by 1e-310·(1+i) is 0.5−0.5i, where the plain quotient overflows.)
    """
    if not is_complex(P) and not is_complex(Q):
        return P / Q
    scale = power_of_two_scale(largest_part(Q, xp=xp), xp=xp)
    return (P * scale) / (Q * scale)


@quiet
def quotient(
    P: Any,
    Q: Any,
    undefined: Any,
    *,
    xp: Any,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:
    """P/Q as a canonical pair whose derivatives are finite.

    The value is computed once on constants; what may be differentiated is then computed again on
    operands replaced at every lane that is ⊥ or whose derivative is not representable (such a lane
    keeps its value and is a constant). Without ``stop_gradient`` there is no second computation.

    Args:
        P, Q: arrays of one shape.
        undefined: bool; lanes that are ⊥ already. It must hold wherever Q = 0, or P or Q is not
            finite.

    Returns:
        (payload, mask): 0 under the mask; the mask is ``undefined`` or an overflowing quotient.
    """
    stop = stop_gradient or identity
    p = xp.where(undefined, 0.0, stop(P))
    q = xp.where(undefined, 1.0, stop(Q))
    value = scaled = _scaled_division(p, q, xp=xp)
    if is_complex(value):  # a part of P·2ᵏ can overflow where the quotient just does not
        value = xp.where(xp.isfinite(scaled), scaled, p / q)
    bottom = undefined | ~xp.isfinite(value)
    if stop_gradient is None:
        return xp.where(bottom, 0.0, value), bottom
    off = bottom | ~xp.isfinite(scaled) | _div_hazard(xp, is_complex(value), p, q, value)
    r = _scaled_division(xp.where(off, 0.0, P), xp.where(off, 1.0, Q), xp=xp)
    return xp.where(bottom, 0.0, xp.where(off, value, r)), bottom
