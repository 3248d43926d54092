"""What ``OPS`` leaves to the framework: the plain functions and their partial derivatives.

Real kernels are JAX's own (each within 1 unit in the last place on CPU). Complex ones are mended
where XLA's formulas lose digits or overflow before the result does: the lanes of ⊥ must not
depend on how a value was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from zeroproofml.scm.formulas import parts

__all__ = ["KERNELS", "PARTIALS"]


def _divide(x: jax.Array, y: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        ratio: jax.Array = parts.quotient(x, y, xp=jnp)
        return ratio
    # Under jit XLA turns x / constant into x · (1/constant), one rounding too many. A divisor
    # that depends on x is no constant, and where x is NaN the lane is ⊥ either way.
    return x / jnp.where(jnp.isnan(x), x, y)


def _invert(x: jax.Array) -> jax.Array:
    return _divide(jnp.ones_like(x), x)


def _power(x: jax.Array, e: jax.Array) -> jax.Array:
    if not jnp.iscomplexobj(x):
        return jnp.power(x, e)
    # A power multiplies the relative error of its logarithm by |e·log x|: complex64 takes the
    # wider dtype where x64 is on.
    zero = x == 0
    wide = jnp.where(zero, 1, x).astype(complex)
    power = parts.power(wide, e.astype(wide.real.dtype), xp=jnp).astype(x.dtype)
    at_zero = jnp.where(e > 0, 0, jnp.where(e == 0, 1, jnp.inf))
    result: jax.Array = jnp.where(zero, at_zero.astype(x.dtype), power)
    return result


def _log1p(u: jax.Array) -> jax.Array:
    # XLA's float64 log1p is right to an ulp above -0.3 and 120 ulps off at -0.41.
    return jnp.where(u > -0.25, jnp.log1p(u), jnp.log(1 + u))


def _log(x: jax.Array) -> jax.Array:
    if not jnp.iscomplexobj(x):
        return jnp.log(x)
    a, b = jnp.abs(x.real), jnp.abs(x.imag)
    large, small = jnp.maximum(a, b), jnp.minimum(a, b)
    # Near the unit circle log|x| hangs on |x|² - 1, formed here without cancellation.
    near = (large > 0.5) & (large < 2)
    inside = _log1p(jnp.where(near, (large - 1) * (large + 1) + small * small, 0))
    ratio = small / jnp.where(near, 1, large)
    outside = jnp.log(large) + 0.5 * _log1p(ratio * ratio)
    return jax.lax.complex(jnp.where(near, 0.5 * inside, outside), jnp.arctan2(x.imag, x.real))


def _exp(x: jax.Array) -> jax.Array:
    plain = jnp.exp(x)
    if not jnp.iscomplexobj(x):
        return plain
    half = jnp.exp(x.real / 2)  # exp overflows up to log(√2) before both parts must
    split = jax.lax.complex(jnp.cos(x.imag) * half * half, jnp.sin(x.imag) * half * half)
    return jnp.where(jnp.isfinite(plain), plain, split)


def _wave(plain: jax.Array, real: jax.Array, imag: jax.Array, y: jax.Array) -> jax.Array:
    """Replace overflowed lanes by ``(real + i·sign(y)·imag)·e^|y|/2``, the root taken twice."""
    half = jnp.exp(jnp.abs(y) / 2)
    split = jax.lax.complex(real / 2 * half * half, jnp.sign(y) * imag / 2 * half * half)
    return jnp.where(jnp.isfinite(plain), plain, split)


def _sin(x: jax.Array) -> jax.Array:
    plain = jnp.sin(x)
    if not jnp.iscomplexobj(x):
        return plain
    return _wave(plain, jnp.sin(x.real), jnp.cos(x.real), x.imag)


def _cos(x: jax.Array) -> jax.Array:
    plain = jnp.cos(x)
    if not jnp.iscomplexobj(x):
        return plain
    return _wave(plain, jnp.cos(x.real), -jnp.sin(x.real), x.imag)


def _tan(x: jax.Array) -> jax.Array:
    if not jnp.iscomplexobj(x):
        return jnp.tan(x)
    # Kahan, Branch Cuts for Complex Elementary Functions (1987), rotated from tanh to tan. Beyond
    # |y| = 20 (float32), 170 (float64) the imaginary part is ±1 and sinh² would overflow.
    limit = 20 if x.real.dtype == jnp.float32 else 170
    t, s = jnp.tan(x.real), jnp.sinh(jnp.clip(x.imag, -limit, limit))
    beta = 1 + t * t
    divisor = 1 + beta * s * s
    return jax.lax.complex(t / divisor, beta * jnp.sqrt(1 + s * s) * s / divisor)


KERNELS: Mapping[str, Callable[..., Any]] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": _divide,
    "inv": _invert,
    "neg": jnp.negative,
    "pow": _power,
    "log": _log,
    "exp": _exp,
    "sqrt": jnp.sqrt,
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
}


def _exponent_moves(x: jax.Array) -> jax.Array:
    # x < 0 with a whole exponent, and x = 0: the exponent is a constant.
    return x != 0 if jnp.iscomplexobj(x) else x > 0


def _pow_by_base(core: Any, x: jax.Array, e: jax.Array, r: jax.Array) -> jax.Array:
    e = jnp.where(_exponent_moves(x), e, jax.lax.stop_gradient(e))
    never = jnp.zeros(x.shape, dtype=bool)  # the core itself is safe to differentiate again
    if jnp.iscomplexobj(x):
        lower, _ = core(never, x, e - 1)
    else:  # a negative base takes its sign from e: e - 1 rounds to e beyond 2^53
        even = (x < 0) & (e == 2 * jnp.floor(e / 2))
        lower, _ = core(never, jnp.where(x < 0, -x, x), e - 1)
        lower = jnp.where(even, -lower, lower)
    factor: jax.Array = e * lower
    return factor


def _pow_by_exponent(core: Any, x: jax.Array, e: jax.Array, r: jax.Array) -> jax.Array:
    moves = _exponent_moves(x)
    return r * jnp.where(moves, jnp.log(jnp.where(moves, x, 1)), 0)


PARTIALS: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "add": (lambda core, x, y, r: 1, lambda core, x, y, r: 1),
    "sub": (lambda core, x, y, r: 1, lambda core, x, y, r: -1),
    "mul": (lambda core, x, y, r: y, lambda core, x, y, r: x),
    "div": (lambda core, x, y, r: 1 / y, lambda core, x, y, r: -(r * (1 / y))),  # one division
    "inv": (lambda core, x, r: -(r * r),),
    "neg": (lambda core, x, r: -1,),
    "pow": (_pow_by_base, _pow_by_exponent),
    "log": (lambda core, x, r: 1 / x,),
    "exp": (lambda core, x, r: r,),
    "sqrt": (lambda core, x, r: 0.5 / r,),
    "sin": (lambda core, x, r: jnp.cos(x),),
    "cos": (lambda core, x, r: -jnp.sin(x),),
    "tan": (lambda core, x, r: 1 + r * r,),
}
"""Per operand ``(core, *operands, result) -> factor``, all of them safe, so every factor is finite.

``core`` is the operation itself as a differentiable function of ``(entry mask, *operands)``.
"""
