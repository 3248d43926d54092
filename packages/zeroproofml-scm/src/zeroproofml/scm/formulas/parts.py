"""Complex quotient and power out of real and imaginary parts, for frameworks whose own lose digits.

torch and XLA overflow or flush on the way to a representable quotient, and both take a power from
``e·log z``, which multiplies the rounding of the logarithm by its size. NumPy needs neither: it has
a wider dtype to compute in.
"""

from __future__ import annotations

from typing import Any

from zeroproofml.scm.formulas._arrays import (
    astype,
    dtype_name,
    largest_part,
    power_of_two_scale,
    quiet,
)

__all__ = ["power", "quotient"]

_WHOLE = {"float32": 64, "float64": 512}  # w**n of parts in [½, 1] stays in range up to here
_BITS = {"float32": 2, "float64": 6}  # of g's parts, so that g**8 is exact
_STEP = {"float32": 100, "float64": 1000}


@quiet
def quotient(x: Any, y: Any, *, xp: Any) -> Any:
    """x / y, right wherever it is representable.

    Both operands are scaled by the power of two that brings y's largest part near 1, so that neither
    y's modulus nor its square leaves the range. The plain quotient serves where scaled parts of x
    overflow, on the way to a result that just does not.

    Args:
        x, y: complex, of one shape and dtype; y not 0 where the result counts.

    >>> import numpy as np
    >>> y = np.array([1e-310 + 1e-310j, 1.3e308 - 0.9e308j])
    >>> np.round(quotient(np.array([1e-310 + 0j, 1.3e308 - 0.9e308j]), y, xp=np), 12).tolist()
    [(0.5-0.5j), (1+0j)]
    """
    scale = power_of_two_scale(largest_part(y, xp=xp), xp=xp)
    scaled = (x * scale) / (y * scale)
    return xp.where(xp.isfinite(scaled), scaled, x / y)


def _halved(z: Any, *, xp: Any) -> tuple[Any, Any]:
    """(w, k) with z = w·2ᵏ exactly and the largest part of w in [½, 1], also where z is subnormal."""
    shift = xp.zeros_like(xp.real(z))
    for _ in range(2):
        m = largest_part(z, xp=xp)
        exponent = xp.floor(xp.log2(xp.where((m > 0) & xp.isfinite(m), m, 1.0)))
        top = _STEP[dtype_name(m.dtype)]
        exponent = xp.clip(exponent, -top, top)
        z = z * xp.ldexp(xp.ones_like(m), astype(-exponent, xp.int32))
        shift = shift + exponent
    return z * 0.5, shift + 1


def _whole_power(g: Any, n: Any, *, xp: Any) -> Any:
    """g**n for whole n ≥ 0 below the limit, by squaring."""
    limit = _WHOLE[dtype_name(n.dtype)]
    power = xp.ones_like(g)
    for bit in range(limit.bit_length()):
        power = xp.where(xp.floor(n / 2**bit) % 2 == 1, power * g, power)
        g = g * g
    return power


@quiet
def power(x: Any, e: Any, *, xp: Any) -> Any:
    """The principal power x**e for a real exponent.

    x = 2ᵏ·g·(1 + u), where g's parts are so short that g⁸ is exact and u is small; e = n + f with n
    whole and f at most ½. Then x**e = 2^(k·e) · gⁿ · exp(n·log(1+u) + f·log(x/2ᵏ)): the two parts of
    k·e are exact, squaring from g⁸ on rounds n/8 times instead of n, and what is left for the
    logarithm is small. Exponents beyond 512 (64 in float32) take the framework's own power.

    Args:
        x: complex, not 0 where the result counts.
        e: real, of x's shape and precision.

    >>> import numpy as np
    >>> z = power(np.array([1e300j, -8 + 0j]), np.array([0.5, 3.0]), xp=np)
    >>> np.allclose(z, [np.sqrt(1e300j), -512], rtol=1e-15, atol=0)
    True
    """
    name = dtype_name(e.dtype)
    limit, step = _WHOLE[name], float(_STEP[name])
    short = xp.abs(e) <= limit  # False for NaN
    exponent = xp.where(short, e, 1.0)
    w, k = _halved(x, xp=xp)
    n = xp.floor(exponent + 0.5)
    f = exponent - n
    grid = 2.0 ** _BITS[name]
    re, im = xp.real(w), xp.imag(w)
    g_re, g_im = xp.floor(re * grid + 0.5) / grid, xp.floor(im * grid + 0.5) / grid
    zero = (g_re == 0) & (g_im == 0)  # only where x is no number
    g_re = xp.where(zero, 1.0, g_re)
    d_re, d_im, size = re - g_re, im - g_im, g_re * g_re + g_im * g_im
    u_re, u_im = (d_re * g_re + d_im * g_im) / size, (d_im * g_re - d_re * g_im) / size
    log_u = 0.5 * xp.log1p(2 * u_re + (u_re * u_re + u_im * u_im))
    log_w = xp.log(xp.hypot(re, im))
    # k·f to more than working precision: f in 20 (8) leading bits, whose product with k is exact,
    # and a rest so small that its rounding does not count.
    cut = 2.0**20 if name == "float64" else 2.0**8
    head = xp.floor(f * cut) / cut
    whole = xp.floor(k * head + 0.5)
    rest = (k * head - whole) + k * (f - head)
    size = xp.exp(n * log_u + f * log_w) * xp.exp2(rest)
    angle = n * xp.arctan2(u_im, 1 + u_re) + f * xp.arctan2(im, re)
    product = _whole_power(g_re + 1j * g_im, xp.abs(n), xp=xp)
    product = xp.where(n < 0, quotient(xp.ones_like(product), product, xp=xp), product)
    result = product * (size * (xp.cos(angle) + 1j * xp.sin(angle)))
    binary = xp.clip(k * n + whole, -4 * step, 4 * step)
    for part in range(4):  # a single factor 2ᵏ would itself leave the range
        share = xp.floor((binary + part) / 4)  # the four shares add up
        result = result * xp.ldexp(xp.ones_like(share), astype(share, xp.int32))
    return xp.where(short, result, x ** astype(e, x.dtype))
