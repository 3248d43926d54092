"""Classical identification from samples: Sanathanan-Koerner, vector fitting, AAA; and two stages.

Least squares are weighted with 1/√(abs(y)² + 0.01), real and imaginary parts stacked, and s is
scaled by the geometric mean of the sampled frequencies.
"""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeroproofml.benchmarks.domains.rf.data import Array

FLOOR = 0.01
SK_ROUNDS, VF_ROUNDS, ROBUST_ROUNDS = 10, 15, 10
AAA_TERMS, AAA_RTOL = 20, 1e-13
DEGREE = 3


@dataclass(frozen=True)
class Fit:
    """A fitted response: ``at(omega)`` gives H (m,), ``poles`` (k,) are all of them."""

    at: Callable[[Array], Array]
    poles: Array


@dataclass(frozen=True)
class Pairs:
    """Two conjugate pole pairs: upper ``poles`` (2,) and their ``residues`` (2,), both complex.

    ``whole`` is False where the relocation ran into real poles and stopped before.
    """

    poles: Array
    residues: Array
    whole: bool

    def fit(self) -> Fit:
        """The response Σ r/(s − p) + conjugates.

        >>> made = Pairs(np.array([-1 + 1j, -1 + 2j]), np.array([1.0 + 0j, 0j]), True).fit()
        >>> np.round(made.at(np.array([0.0])), 12).tolist(), made.poles.shape
        ([(1+0j)], (4,))
        """
        every = np.concatenate([self.poles, self.poles.conj()])
        residues = np.concatenate([self.residues, self.residues.conj()])

        def at(omega: Array) -> Array:
            made: Array = (residues / (1j * omega[:, None] - every)).sum(axis=1)
            return made

        return Fit(at, every)

    def section(self) -> Array:
        """The same response as two sections (2, 4) = (ω̂, δ̂, a, b).

        >>> made = Pairs(np.array([-0.1 + 1j, 2j]), np.array([1 - 0.5j, 0j]), True).section()[0]
        >>> [round(float(x), 3) for x in made]
        [1.005, 0.199, 1.188, 1.99]
        """
        omega = np.abs(self.poles)
        a = -2 * (self.residues * self.poles.conj()).real / omega**2
        b = 2 * self.residues.real / omega
        return np.stack([omega, -2 * self.poles.real / omega, a, b], axis=1)


def _weights(y: Array) -> Array:
    made: Array = 1 / np.sqrt(y.real**2 + y.imag**2 + FLOOR)
    return made


def _solve(columns: Array, target: Array) -> Array:
    """Least squares of complex rows by a real vector."""
    matrix = np.concatenate([columns.real, columns.imag])
    found: Array = np.linalg.lstsq(matrix, np.concatenate([target.real, target.imag]))[0]
    return found


def _scale(omega: Array) -> float:
    return math.exp(math.fsum(np.log(omega).tolist()) / len(omega))


def quotient(omega: Array, y: Array, order: int, top: int) -> tuple[Array, Array, float]:
    """Sanathanan-Koerner: a monic denominator of degree ``order`` under a numerator of degree ``top``.

    Ten linear fits, each weighted by the denominator of the one before; the one with the smallest
    weighted residual of the quotient is kept. ``omega`` (m,) ascending, ``y`` complex (m,).

    Returns
    -------
    Denominator (order + 1,) and numerator (top + 1,), highest power of s/scale first; the scale.

    >>> omega = np.linspace(0.2, 3.0, 40)
    >>> bottom, above, scale = quotient(omega, 4 / (4 - omega**2 + 0.2j * omega), 2, 0)
    >>> (bottom * scale ** np.arange(3)).round(6).tolist(), (above * scale**2).round(6).tolist()
    ([1.0, 0.2, 4.0], [4.0])
    """
    scale = _scale(omega)
    s, w = 1j * omega / scale, _weights(y)
    powers = s[:, None] ** np.arange(order + 1)
    columns = np.concatenate([y[:, None] * powers[:, :order], -powers[:, : top + 1]], axis=1)
    target = -y * powers[:, order]
    bottom = np.ones_like(s)
    best, kept = math.inf, np.zeros(order + top + 1)
    for _ in range(SK_ROUNDS):
        v = w / np.abs(bottom)
        x = _solve(columns * v[:, None], target * v)
        bottom = powers[:, :order] @ x[:order] + powers[:, order]
        above = powers[:, : top + 1] @ x[order:]
        misfit = float(np.sum((w * np.abs(y - above / bottom)) ** 2))
        if misfit < best:
            best, kept = misfit, x
    return np.append(1.0, kept[:order][::-1]), kept[order:][::-1], scale


def sanathanan_koerner(omega: Array, y: Array) -> Fit:
    """The fit of a quotient of degree 2 over 4. Raises LinAlgError if it does not converge.

    >>> omega = np.linspace(0.2, 3.0, 40)
    >>> y = 1 / (1 - omega**2 + 0.1j * omega) + 0.5 / (4 - omega**2 + 0.2j * omega)
    >>> bool(np.abs(sanathanan_koerner(omega, y).at(omega) - y).max() < 1e-9)
    True
    """
    bottom, above, scale = quotient(omega, y, 4, 2)

    def at(omega: Array) -> Array:
        s = 1j * omega / scale
        made: Array = np.polyval(above, s) / np.polyval(bottom, s)
        return made

    return Fit(at, scale * np.roots(bottom))


def vector_fit(omega: Array, y: Array) -> Pairs:
    """Two conjugate pole pairs by fifteen relocations, then a linear fit of the residues.

    Arguments as for `sanathanan_koerner`; poles that come out unstable are mirrored.

    >>> omega = np.linspace(0.2, 3.0, 40)
    >>> y = 1 / (1 - omega**2 + 0.1j * omega) + 0.5 / (4 - omega**2 + 0.2j * omega)
    >>> vector_fit(omega, y).section()[:, :3].round(6).tolist()
    [[1.0, 0.1, 1.0], [2.0, 0.1, 0.125]]
    """
    scale = _scale(omega)
    x, w = omega / scale, _weights(y)
    s = 1j * x
    start = np.exp(np.linspace(math.log(1.5 * x[0]), math.log(x[-1] / 1.5), 2))
    poles = (-0.01 + 1j) * start
    whole = True
    for _ in range(VF_ROUNDS):
        basis = _basis(s, poles)
        columns = np.concatenate([basis, -y[:, None] * basis], axis=1) * w[:, None]
        found = _solve(columns, y * w)[4:]
        moved = _zeros(poles, found)
        if len(moved) < 2:
            whole = False
            break
        poles = moved
    coefficients = _solve(_basis(s, poles) * w[:, None], y * w)
    residues = coefficients[0::2] + 1j * coefficients[1::2]
    return Pairs(scale * poles, scale * residues, whole)


def _basis(s: Array, poles: Array) -> Array:
    """Real basis (m, 4) of two conjugate pairs, cosine-like and sine-like function of each."""
    upper, lower = 1 / (s[:, None] - poles), 1 / (s[:, None] - poles.conj())
    return np.stack([upper + lower, 1j * (upper - lower)], axis=2).reshape(len(s), 4)


def _zeros(poles: Array, c: Array) -> Array:
    """Zeros of 1 + Σ c·basis above the real axis, ascending, mirrored to the left."""
    matrix = np.zeros((4, 4))
    for k, p in enumerate(poles):
        at = slice(2 * k, 2 * k + 2)
        matrix[at, at] = [[p.real, p.imag], [-p.imag, p.real]]
    matrix -= np.outer([2.0, 0.0, 2.0, 0.0], c)
    zeros = np.linalg.eigvals(matrix)
    upper = zeros[zeros.imag > 0]
    upper = upper[np.argsort(upper.imag)]
    made: Array = -np.abs(upper.real) + 1j * upper.imag
    return made


def aaa(omega: Array, y: Array, sigma: float) -> Fit:
    """AAA (Nakatsukasa, Sète, Trefethen 2018) on the samples and their conjugates; ``sigma`` is the
    noise, at twice which it stops. Poles are reported as they come.

    >>> omega = np.linspace(0.2, 3.0, 40)
    >>> y = 1 / (1 - omega**2 + 0.1j * omega)
    >>> bool(np.abs(aaa(omega, y, 0.0).at(omega + 0.01) - 1 / (1 - (omega + 0.01)**2
    ...     + 0.1j * (omega + 0.01))).max() < 1e-9)
    True
    """
    from scipy.interpolate import AAA

    rtol = max(AAA_RTOL, 2 * sigma / float(np.abs(y).max()))
    points, values = np.concatenate([1j * omega, -1j * omega]), np.concatenate([y, y.conj()])
    with warnings.catch_warnings():
        # It warns where it stops at the largest number of terms: that is an answer here.
        warnings.simplefilter("ignore")
        made = AAA(points, values, rtol=rtol, max_terms=AAA_TERMS)
        poles = np.asarray(made.poles())

    def at(omega: Array) -> Array:
        return np.asarray(made(1j * omega))

    return Fit(at, poles[np.isfinite(poles)])


def monomials(features: Array, degree: int = DEGREE) -> Array:
    """All monomials of the columns of ``features`` (n, k) up to a degree, constant first.

    >>> monomials(np.array([[2.0, 3.0]]), 2).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    width = range(features.shape[1])
    chosen = [
        columns
        for d in range(degree + 1)
        for columns in itertools.combinations_with_replacement(width, d)
    ]
    return np.stack([np.prod(features[:, columns], axis=1) for columns in chosen], axis=1)


def robust(matrix: Array, target: Array) -> Array:
    """Coefficients by ten rounds of least squares with weights 1/(1 + (r/2s)²), s the robust spread.

    >>> x = np.arange(20.0)
    >>> y = 2 * x + 1 + 0.01 * (-1) ** x
    >>> y[3] = 1000.0
    >>> robust(np.stack([np.ones(20), x], axis=1), y).round(1).tolist()
    [1.0, 2.0]
    """
    weight = np.ones(len(target))
    found = np.zeros(matrix.shape[1])
    for _ in range(ROBUST_ROUNDS):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(matrix * root[:, None], target * root, rcond=None)[0]
        residual = target - matrix @ found
        spread = 1.4826 * float(np.median(np.abs(residual)))
        if spread == 0:
            break
        weight = 1 / (1 + (residual / (2 * spread)) ** 2)
    return found


@dataclass(frozen=True)
class TwoStage:
    """Regression of fitted sections: ``coefficients`` (56, 8), and how many fits it rests on."""

    coefficients: Array
    fits: int
    failures: int

    def checkpoint(self) -> dict[str, Any]:
        """The coefficients by name, as arrays.

        >>> list(TwoStage(np.zeros((56, 8)), 1, 0).checkpoint())
        ['coefficients']
        """
        return {"coefficients": self.coefficients}

    def sections(self, features: Array) -> Array:
        """Sections (n, 2, 4) for features (n, 5).

        >>> TwoStage(np.zeros((56, 8)), 1, 0).sections(np.zeros((1, 5))).tolist()
        [[[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]]
        """
        made = (monomials(features) @ self.coefficients).reshape(len(features), 2, 4)
        made[:, :, 0] = np.exp(made[:, :, 0])
        return made


def two_stage(features: Array, fitted: Sequence[Pairs | None]) -> TwoStage:
    """Regress ln ω̂, δ̂, a, b of every fit that kept two pairs on the monomials of ``features`` (n, 5).

    >>> pair = Pairs(np.array([1j, 2j]), np.array([-0.5j, 0j]), True)
    >>> two_stage(np.eye(5)[:3], [pair, None, pair]).failures
    1
    """
    good = [row for row, made in enumerate(fitted) if made is not None and made.whole]
    targets = np.stack([made.section() for made in (fitted[row] for row in good) if made])
    targets[:, :, 0] = np.log(targets[:, :, 0])
    matrix = monomials(features[good])
    flat = targets.reshape(len(good), 8)
    found = np.stack([robust(matrix, flat[:, k]) for k in range(8)], axis=1)
    return TwoStage(found, len(good), len(fitted) - len(good))
