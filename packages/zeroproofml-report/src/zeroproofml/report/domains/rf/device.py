"""The device of the standard protocol in closed form, and the grid that judges an answer.

Two coupled resonators whose losses are partly cancelled by an active element, seen at the driving
point. Frequencies are ω/ω_ref, without a unit. Truth is never stored: it is computed from here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

BAND = (0.2, 5.0)
LOG_BAND = math.log(BAND[1] / BAND[0])
"""Length of the band in ln ω: what the weights of `weights` add up to."""
PATH_POINTS = 25
_PLAIN, _NEAR, _REACH = 160, 64, 200.0


def natural(design: Array) -> tuple[Array, Array, Array]:
    """Natural frequencies ω1, ω2 and coupling κ, each (n,), of designs (n, 5) = (x1, x2, x3, u, g).

    >>> [float(part[0]) for part in natural(np.zeros((1, 5)))]
    [1.0, 1.0, 0.15]
    """
    x1, x2, x3 = design[:, 0], design[:, 1], design[:, 2]
    w1 = np.exp(0.6 * x1 + 0.1 * np.sin(2 * x3))
    return w1, w1 * np.exp(0.3 * x2 + 0.1 * x1 * x3), 0.15 * np.exp(0.7 * x3)


def damping(design: Array) -> Array:
    """δ (n,) from loss and gain, to rounding; what decides about ⊥ is the stored δ.

    >>> damping(np.array([[0.0, 0.0, 0.0, 0.1, 0.1]])).tolist()
    [0.0]
    """
    made: Array = design[:, 3] - design[:, 4] * (1 + 0.25 * design[:, 0])
    return made


def response(design: Array, delta: Array, omega: Array) -> Array:
    """H(jω), complex128 (n, m), at ω (n, m) or (m,); finite for δ <= 0 too, where it means nothing.

    >>> design, delta = np.zeros((1, 5)), np.array([0.1])
    >>> abs(complex(response(design, delta, np.array([1e-9]))[0, 0]) - 1 / (1 - 0.15**2)) < 1e-9
    True
    """
    w1, w2, kappa = (part[:, None] for part in natural(design))
    s = 1j * omega
    d1 = s * s + delta[:, None] * w1 * s + w1 * w1
    d2 = s * s + delta[:, None] * w2 * s + w2 * w2
    made: Array = w1 * w1 * d2 / (d1 * d2 - (kappa * w1 * w2) ** 2)
    return made


def denominator(design: Array, delta: Array) -> Array:
    """Monic denominator (n, 5) in s, highest power first.

    >>> denominator(np.zeros((1, 5)), np.array([0.1])).round(6).tolist()
    [[1.0, 0.2, 2.01, 0.2, 0.9775]]
    """
    w1, w2, kappa = natural(design)
    product, total = w1 * w2, w1 + w2
    return np.stack(
        [
            np.ones_like(w1),
            delta * total,
            w1 * w1 + w2 * w2 + delta * delta * product,
            delta * product * total,
            (1 - kappa * kappa) * product * product,
        ],
        axis=1,
    )


def poles(design: Array, delta: Array) -> Array:
    """The two poles (n, 2) above the real axis, ascending in frequency, complex128.

    >>> found = poles(np.zeros((1, 5)), np.array([0.1]))[0]
    >>> [round(float(p.imag), 4) for p in found], bool((found.real < 0).all())
    ([0.9206, 1.0712], True)
    """
    coefficients = denominator(design, delta)
    companion = np.zeros((len(design), 4, 4))
    companion[:, 0] = -coefficients[:, 1:]
    companion[:, [1, 2, 3], [0, 1, 2]] = 1.0
    roots = np.linalg.eigvals(companion)
    order = np.argsort(roots.imag, axis=1)[:, 2:]
    upper: Array = np.take_along_axis(roots, order, axis=1)
    return upper


def path() -> tuple[Array, Array]:
    """Designs (25, 5) and damping (25,) from δ = 0.2 through zero to −0.05 at the centre design.

    >>> design, delta = path()
    >>> design.shape, bool(np.allclose(damping(design), delta)), float(delta[-1])
    ((25, 5), True, -0.05)
    """
    delta = np.linspace(0.2, -0.05, PATH_POINTS)
    design = np.zeros((PATH_POINTS, 5))
    design[:, 3], design[:, 4] = 0.1, 0.1 - delta
    return design, delta


def cluster(p: Array, points: int = _NEAR, reach: float = _REACH) -> Array:
    """Frequencies (n, k, points) around poles (n, k): Im p + abs(Re p)·sinh of an even ladder.

    >>> cluster(np.array([[-1.0 + 2.0j]]), 3).round(9).tolist()
    [[[-198.0, 2.0, 202.0]]]
    """
    top = math.asinh(reach)
    steps = np.sinh(np.linspace(-top, top, points))
    made: Array = p.imag[..., None] + np.abs(p.real)[..., None] * steps
    return made


def grid(p: Array, band: tuple[float, float] = BAND, plain: int = _PLAIN) -> Array:
    """Sorted frequencies (n, plain + 64·k) over the band: log-spaced, and dense around poles (n, k).

    The judge knows the truth; no arm sees the grid of a device while it trains.

    >>> grid(np.array([[-0.01 + 1.0j, -0.01 + 2.0j]])).shape
    (1, 288)
    """
    even = np.exp(np.linspace(math.log(band[0]), math.log(band[1]), plain))
    near = np.clip(cluster(p).reshape(len(p), -1), *band)
    return np.sort(np.concatenate([np.clip(np.tile(even, (len(p), 1)), *band), near], axis=1))


def weights(omega: Array) -> Array:
    """Trapezoid weights in ln ω of sorted frequencies (n, m); a repeated point has no width.

    >>> weights(np.exp([[0.0, 1.0, 3.0]])).round(12).tolist()
    [[0.5, 1.5, 1.0]]
    """
    half = np.diff(np.log(omega), axis=1) / 2
    out = np.zeros_like(omega)
    out[:, :-1] += half
    out[:, 1:] += half
    return out
