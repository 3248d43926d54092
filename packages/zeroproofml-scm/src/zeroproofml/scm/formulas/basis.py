"""Polynomial bases, and the two recurrences that define what "the polynomial overflows" means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas._arrays import quiet

__all__ = ["Basis", "basis_matrix", "chebyshev", "evaluate", "monomial"]

Basis = str | Callable[[Any, int], Any]
"""``"monomial"``, ``"chebyshev"``, or a callable ``(x, degree) -> (..., degree + 1)``."""


def _columns(x: Any, degree: int, factor: int, *, xp: Any) -> Any:
    """1, x, then φₖ = factor·x·φₖ₋₁ − [factor = 2]·φₖ₋₂, stacked on a new last axis."""
    if degree < 0:
        msg = f"degree must be >= 0, got {degree}"
        raise SCMValueError(msg)
    columns = [xp.ones_like(x), x][: degree + 1]
    for _ in range(degree - 1):
        following = factor * x * columns[-1]
        columns.append(following - columns[-2] if factor == 2 else following)
    return xp.stack(columns, axis=-1)


@quiet
def monomial(x: Any, degree: int, *, xp: Any) -> Any:
    """Powers of x.

    Args:
        x: floating array of any shape.
        degree: highest power, >= 0.
        xp: numpy, torch or jax.numpy.

    Returns:
        Array of shape (*x.shape, degree + 1): 1, x, x², …

    Raises:
        SCMValueError: negative degree.

    >>> import numpy as np
    >>> monomial(np.array([2.0]), 3, xp=np)
    array([[1., 2., 4., 8.]])
    """
    return _columns(x, degree, 1, xp=xp)


@quiet
def chebyshev(x: Any, degree: int, *, xp: Any) -> Any:
    """Chebyshev polynomials of the first kind: T₀ = 1, T₁ = x, Tₖ = 2x·Tₖ₋₁ − Tₖ₋₂.

    Arguments, result and errors as for :func:`monomial`.

    >>> import numpy as np
    >>> chebyshev(np.array([2.0]), 3, xp=np)
    array([[ 1.,  2.,  7., 26.]])
    """
    return _columns(x, degree, 2, xp=xp)


def basis_matrix(x: Any, degree: int, basis: Basis, *, xp: Any) -> Any:
    """φ₀(x) … φ_degree(x) on a new last axis, for a basis by name or as a callable.

    Raises:
        SCMValueError: unknown name, or negative degree.

    >>> import numpy as np
    >>> basis_matrix(np.array([3.0]), 1, "monomial", xp=np)
    array([[1., 3.]])
    """
    if basis == "monomial":
        return monomial(x, degree, xp=xp)
    if basis == "chebyshev":
        return chebyshev(x, degree, xp=xp)
    if isinstance(basis, str):
        msg = f"basis must be 'monomial', 'chebyshev' or a callable, got {basis!r}"
        raise SCMValueError(msg)
    return basis(x, degree)


@quiet
def evaluate(coefficients: Any, x: Any, basis: Basis = "monomial", *, xp: Any) -> Any:
    """Σ cₖ·φₖ(x): Horner for monomials, Clenshaw for Chebyshev polynomials, in that order of operations.

    The order is part of the definition: it decides where the sum overflows. Both recurrences keep
    a non-finite accumulator non-finite, so one test of the result is enough.

    Args:
        coefficients: (..., degree + 1), lowest degree first; leading axes broadcast against x.
        x: floating array of any shape.
        basis: "monomial", "chebyshev", or a callable ``(x, degree) -> (..., degree + 1)``, which is
            summed as it comes.
        xp: numpy, torch or jax.numpy.

    Returns:
        Array of the broadcast shape of x and the coefficients' leading axes.

    Raises:
        SCMValueError: no coefficients, or an unknown basis.

    >>> import numpy as np
    >>> evaluate(np.array([1.0, 0.0, 2.0]), np.array([3.0]), xp=np)
    array([19.])
    >>> evaluate(np.array([1.0, 0.0, 2.0]), np.array([3.0]), "chebyshev", xp=np)
    array([35.])
    """
    degree = coefficients.shape[-1] - 1
    if degree < 0:
        msg = "coefficients must have at least one term on the last axis"
        raise SCMValueError(msg)
    if callable(basis):
        return xp.sum(coefficients * basis(x, degree), axis=-1)
    accumulator = coefficients[..., degree] + xp.zeros_like(x)
    if basis == "monomial":
        for k in range(degree - 1, -1, -1):
            accumulator = accumulator * x + coefficients[..., k]
        return accumulator
    if basis != "chebyshev":
        msg = f"basis must be 'monomial', 'chebyshev' or a callable, got {basis!r}"
        raise SCMValueError(msg)
    if degree == 0:
        return accumulator
    twice, previous = 2 * x, xp.zeros_like(accumulator)
    for k in range(degree - 1, 0, -1):
        accumulator, previous = twice * accumulator - previous + coefficients[..., k], accumulator
    return x * accumulator - previous + coefficients[..., 0]
