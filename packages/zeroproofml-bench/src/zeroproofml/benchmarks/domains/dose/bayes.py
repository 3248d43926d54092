"""The exact posterior of a curve under the law that drew it, and the maximum-likelihood fit.

Given its position L and slope h, the ten effects of a curve are Gaussian: the plateaus are
integrated out, which adds two rank-one terms to the noise. A grid over (L, h) is then the whole
model. Nothing here is trained, and on the nominal test set no arm can do better.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks.domains.dose.data import (
    FLAT_SD,
    IN_RANGE,
    NO_EFFECT,
    NOISE,
    PLATEAU_SD,
    SLOPE,
    SUPPORT,
    sigmoid,
)

if TYPE_CHECKING:
    from zeroproofml.benchmarks.domains.dose.data import Array

CELLS = 240
SLOPES = 6
_BLOCK = 250  # curves; with more of them the work arrays leave the cache and time goes up tenfold
_THIN = {"standard": 7, "classic": 1}
"""Every how many nodes a flat curve is looked at: in `standard` they are nearly one law."""


@dataclass(frozen=True)
class Gaussians:
    """Normal laws N(mean, σ²I + DDᵀ) of ten effects; ``mean`` and D's columns are (m, 10)."""

    mean: Array
    first: Array
    second: Array

    @cached_property
    def _parts(self) -> tuple[Any, ...]:
        """What Woodbury's identity needs of every law: K = I + DᵀD/σ² = [[a, b], [b, c]]."""
        variance = NOISE**2
        a = 1.0 + np.sum(self.first**2, axis=1) / variance
        b = np.sum(self.first * self.second, axis=1) / variance
        c = 1.0 + np.sum(self.second**2, axis=1) / variance
        determinant = a * c - b * b
        half = 0.5 / (variance**2 * determinant)
        constant = -0.5 * (
            np.sum(self.mean**2, axis=1) / variance
            + np.log(determinant)
            + self.mean.shape[1] * np.log(2.0 * np.pi * variance)
        )
        offsets = np.sum(self.mean * self.first, axis=1), np.sum(self.mean * self.second, axis=1)
        return self.mean.T / variance, offsets, (half * c, 2.0 * half * b, half * a), constant

    def log_density(self, effects: Array) -> Array:
        """Log densities (n, m) of ``effects`` (n, 10).

        >>> flat = np.zeros((1, 10))
        >>> round(float(Gaussians(flat, flat, flat).log_density(flat)[0, 0]), 6)
        20.767937
        """
        linear, (u0, v0), (uu, uv, vv), constant = self._parts
        u = effects @ self.first.T
        u -= u0
        v = effects @ self.second.T
        v -= v0
        out: Array = effects @ linear
        out += constant
        out -= (0.5 / NOISE**2) * np.sum(effects**2, axis=1)[:, None]
        # Half of (Dᵀr)ᵀ K⁻¹ (Dᵀr)/σ⁴, in place: the arrays are as large as the cache.
        term = u * uu
        term -= v * uv
        term *= u
        out += term
        np.square(v, out=v)
        v *= vv
        out += v
        return out


@dataclass(frozen=True)
class Grid:
    """Midpoints in L over the support and Gauss–Legendre nodes in h; node = L index · slopes + h.

    ``center`` and ``width`` (cells,) are of the cells in L, ``band`` their class if the curve has
    an effect, ``weight`` (slopes,) sums to 1.
    """

    protocol: str
    center: Array
    width: Array
    band: Any
    slope: Array
    weight: Array

    @classmethod
    def of(cls, protocol: str, cells: int = CELLS, slopes: int = SLOPES) -> Grid:
        """The grid of a law, ``cells`` a multiple of 3: a third for each class.

        >>> grid = Grid.of("standard")
        >>> len(grid.center), grid.center[79:81].round(3).tolist()
        (240, [-9.025, -8.975])
        """
        share = cells // 3
        width = np.concatenate([np.full(share, (b - a) / share) for a, b in SUPPORT[protocol]])
        start = np.concatenate(
            [a + (b - a) / share * np.arange(share) for a, b in SUPPORT[protocol]]
        )
        node, weight = np.polynomial.legendre.leggauss(slopes)
        slope = 0.5 * (SLOPE[0] + SLOPE[1]) + 0.5 * (SLOPE[1] - SLOPE[0]) * node
        band = np.repeat(np.arange(3), share)
        return cls(protocol, start + 0.5 * width, width, band, slope, 0.5 * weight)

    @cached_property
    def active(self) -> Gaussians:
        """Laws of curves with an effect, (cells · slopes)."""
        s = self._shape
        return Gaussians(s, PLATEAU_SD * (1.0 - s), PLATEAU_SD * s)

    @cached_property
    def flat(self) -> Gaussians:
        """Laws of curves without an effect: on the upper plateau, in ``classic`` on the lower."""
        s = self._shape[:: _THIN[self.protocol]]
        moved = 1.0 - s if self.protocol == "standard" else s
        level = 1.0 if self.protocol == "standard" else 0.0
        one = np.ones_like(s)
        return Gaussians(level * one, PLATEAU_SD * one, FLAT_SD * moved)

    @cached_property
    def flat_log_prior(self) -> Array:
        """Log prior masses of the laws in ``flat``."""
        weight = np.tile(self.weight, len(self.center))[:: _THIN[self.protocol]]
        prior: Array = np.log(NO_EFFECT * weight / np.sum(weight))
        return prior

    @property
    def _shape(self) -> Array:
        return sigmoid(
            np.repeat(self.center, len(self.slope)), np.tile(self.slope, len(self.center))
        )


@dataclass(frozen=True)
class Posterior:
    """What the law says of n curves.

    ``prob`` (n, 3) of the classes; ``median`` and ``sd`` (n,) of L given in range; ``fit`` (n,) is
    the L of greatest likelihood among curves with an effect. log10 mol/L, float64.
    """

    prob: Array
    median: Array
    sd: Array
    fit: Array


@cache
def _grid(protocol: str) -> Grid:
    return Grid.of(protocol)


def posterior(protocol: str, effects: Array, grid: Grid | None = None) -> Posterior:
    """The posterior of curves ``effects`` (n, 10) under the nominal law of a protocol.

    >>> dead, potent = np.ones(10), np.zeros(10)
    >>> posterior("standard", np.stack([dead, potent])).prob.argmax(axis=1).tolist()
    [2, 0]
    """
    grid = _grid(protocol) if grid is None else grid
    blocks = [_block(grid, effects[i : i + _BLOCK]) for i in range(0, max(len(effects), 1), _BLOCK)]
    return Posterior(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _block(grid: Grid, effects: Array) -> tuple[Array, Array, Array, Array]:
    n, cells = len(effects), len(grid.center)
    density = grid.active.log_density(effects).reshape(n, cells, len(grid.slope))
    profile = density.max(axis=2)
    highest = profile.max(axis=1)
    flat = grid.flat.log_density(effects)
    flat += grid.flat_log_prior
    peak = np.maximum(highest, flat.max(axis=1))
    inside = grid.band == IN_RANGE
    # Far from the window the mass inside underflows: it is summed against its own peak.
    own = profile[:, inside].max(axis=1)
    shift = np.where(inside, own[:, None], peak[:, None])
    density -= shift[:, :, None]
    np.exp(density, out=density)
    mass = density @ (grid.weight * ((1.0 - NO_EFFECT) / cells))
    within = mass[:, inside]
    outside = [mass[:, grid.band == side].sum(axis=1) for side in (0, 2)]
    idle = np.exp(flat - peak[:, None]).sum(axis=1)
    total = within.sum(axis=1)
    parts = np.stack([outside[0], total * np.exp(own - peak), outside[1] + idle], axis=1)
    share = within / total[:, None]
    center, width = grid.center[inside], grid.width[inside]
    mean = share @ center
    sd = np.sqrt(np.sum(share * (center - mean[:, None]) ** 2, axis=1))
    return (
        parts / parts.sum(axis=1, keepdims=True),
        _median(share, center - 0.5 * width, width),
        sd,
        _fit(grid, profile),
    )


def _median(share: Array, start: Array, width: Array) -> Array:
    """Where the distribution reaches one half, linear inside a cell: it minimises mean abs error."""
    below = np.cumsum(share, axis=1)
    cell = np.argmax(below >= 0.5, axis=1)
    rows = np.arange(len(share))
    rest = (0.5 - (below[rows, cell] - share[rows, cell])) / share[rows, cell]
    middle: Array = start[cell] + np.clip(rest, 0.0, 1.0) * width[cell]
    return middle


def _fit(grid: Grid, profile: Array) -> Array:
    """The best cell, moved by a parabola through it and its neighbours of the same band."""
    best = np.argmax(profile, axis=1)
    rows, last = np.arange(len(best)), len(grid.center) - 1
    left, right = np.maximum(best - 1, 0), np.minimum(best + 1, last)
    even = (left < best) & (right > best)
    even &= np.isclose(
        grid.center[best] - grid.center[left], grid.center[right] - grid.center[best]
    )
    down, up = profile[rows, left] - profile[rows, best], profile[rows, right] - profile[rows, best]
    bend = down + up
    curved = even & (bend < 0)
    move = np.where(curved, 0.5 * (down - up) / np.where(curved, bend, -1.0), 0.0)
    fit: Array = grid.center[best] + np.clip(move, -0.5, 0.5) * grid.width[best]
    return fit
