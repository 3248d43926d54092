"""The thirteen operations as NumPy computes them, unchecked: finite tests are the executor's.

Each kernel is ``kernel(*operands, out)`` and writes straight into ``out``. Most are ufuncs; the
others are here because NumPy's own choice is slower or, for complex numbers, wrong at the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm.optable import OPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["SHORT_POWERS", "kernel_for", "real_kernel_for"]


def _largest_part(z: NDArray[Any]) -> NDArray[Any]:
    largest: NDArray[Any] = np.maximum(np.abs(z.real), np.abs(z.imag))
    return largest


def _scaled(z: NDArray[Any], exponent: NDArray[Any]) -> NDArray[Any]:
    """z · 2^exponent, exactly where nothing under- or overflows."""
    r = np.empty_like(z)
    r.real = np.ldexp(z.real, exponent)
    r.imag = np.ldexp(z.imag, exponent)
    return r


def _divide_complex(x: Any, y: Any, out: NDArray[Any]) -> NDArray[Any]:
    """Complex quotient that is right wherever it is representable.

    NumPy's (Smith's) forms y.re + y.im·(y.im/y.re) and its inverse, which overflow, underflow or
    go subnormal when y, or x, is far from 1. Those lanes are divided again with both operands
    scaled by an exact power of two to a largest part in [½, 1), and the quotient is scaled back.
    """
    np.divide(x, y, out=out)
    x, y = np.broadcast_to(x, out.shape), np.broadcast_to(y, out.shape)
    limits = np.finfo(out.dtype)
    low, high = np.sqrt(limits.tiny), np.sqrt(limits.max)
    far = ~np.isfinite(out)
    for operand in (_largest_part(x), _largest_part(y)):
        far |= (operand < low) | (operand > high)
    far &= np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
    if not np.count_nonzero(far):
        return out
    x, y = x[far].astype(out.dtype), y[far].astype(out.dtype)
    up = np.frexp(_largest_part(x))[1]
    down = np.frexp(_largest_part(y))[1]
    out[far] = _scaled(_scaled(x, -up) / _scaled(y, -down), up - down)
    return out


def _divide(x: Any, y: Any, out: NDArray[Any]) -> NDArray[Any]:
    if out.dtype.kind == "c":
        return _divide_complex(x, y, out)
    np.divide(x, y, out=out)
    return out


def _invert_real(x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    # 1.0 / x: np.reciprocal is half as fast on float64
    inverse: NDArray[Any] = np.divide(1.0, x, out=out)
    return inverse


def _invert(x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    if out.dtype.kind == "c":
        return _divide_complex(np.ones((), out.dtype), x, out)
    return _invert_real(x, out)


def _power_complex(x: Any, e: Any, out: NDArray[Any]) -> NDArray[Any]:
    """Principal complex power, evaluated one precision up where the machine has one.

    A power multiplies the relative error of its logarithm by |e·log x|, so the same precision
    cannot give 8 eps. NumPy's own squaring loop also overflows on the way to a small 1/xⁿ;
    those lanes take the logarithm.
    """
    wide = np.complex128 if out.dtype == np.complex64 else np.clongdouble
    x, e = np.broadcast_arrays(x, e)
    z = x.astype(wide)
    k = e.astype(z.real.dtype)
    power = np.asarray(np.power(z, k))
    lost = ~np.isfinite(power) & np.isfinite(z) & np.isfinite(k) & (z != 0)
    if np.count_nonzero(lost):
        power[lost] = np.exp(k[lost] * np.log(z[lost]))
    np.copyto(out, power, casting="same_kind")
    return out


def _power(x: Any, e: Any, out: NDArray[Any]) -> NDArray[Any]:
    if out.dtype.kind == "c":
        return _power_complex(x, e, out)
    np.power(x, e, out=out)
    return out


_SPECIAL: dict[str, Callable[..., NDArray[Any]]] = {"div": _divide, "inv": _invert, "pow": _power}
_KERNELS: dict[str, Callable[..., NDArray[Any]]] = {
    name: _SPECIAL.get(name) or getattr(np, op.kernel) for name, op in OPS.items()
}

SHORT_POWERS: dict[complex, Callable[..., NDArray[Any]]] = {
    2.0: np.square,
    -1.0: _invert,
    0.5: np.sqrt,
}
"""Exponents, given as Python numbers, that need no power; 3 would change the rounding."""

_REAL: dict[str, Callable[..., NDArray[Any]]] = {
    name: _invert_real if name == "inv" else getattr(np, op.kernel) for name, op in OPS.items()
}


def kernel_for(name: str) -> Callable[..., NDArray[Any]]:
    """The kernel of an operation: ``kernel(*operands, out)``."""
    return _KERNELS[name]


def real_kernel_for(name: str) -> Callable[..., NDArray[Any]]:
    """The kernel for plain real operands, which also allocates: ``kernel(*operands, out=None)``."""
    return _REAL[name]
