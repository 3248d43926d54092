"""Dose-response curves on a fixed ladder: two laws, counts as they are stored, frozen test sets.

A curve is ten noisy effects. Effects are kept as int16 counts and L as int32 microdecades, and
everything downstream starts from these: the bytes of a set then survive the last-bit differences
of mathematical libraries. The label alone is taken from L before it is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.errors import FileInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from zeroproofml.benchmarks.seeding import Role

    Array = NDArray[np.float64]

LADDER = -9.0 + 4.0 * np.arange(10) / 9.0
"""Concentrations (10,), log10 mol/L."""
WINDOW = (-9.0, -5.0)
MIDDLE, EDGE = -7.0, 2.0
"""Middle of the window, and half its width."""
SLOPE = (0.8, 1.5)
NOISE = 0.05
PLATEAU_SD = 0.02
FLAT_SD = 0.01
NO_EFFECT = 0.10
SUPPORT = {
    "standard": ((-13.0, -9.0), (-9.0, -5.0), (-5.0, -1.0)),
    "classic": ((-13.0, -10.2), (-8.8, -5.2), (-3.8, -1.0)),
}
"""Protocol → the ranges of L in which a curve with an effect is below, in range, above."""
BELOW, IN_RANGE, ABOVE = 0, 1, 2
FROZEN_ROWS = {"test": 30_000, "noise2": 10_000, "outlier": 10_000}
"""Rows that a frozen set is drawn with; smaller modes take the first ones."""
_SCALE, _MICRO, _TOP = 1e4, 1e6, 32767


@dataclass(frozen=True)
class Stress:
    """How a test set departs from the law: noise, and outliers of ``size`` at a ``rate``."""

    noise: float = NOISE
    rate: float = 0.0
    size: float = 0.0


STRESS = {"test": Stress(), "noise2": Stress(noise=0.10), "outlier": Stress(rate=0.02, size=0.5)}
"""Frozen set → its law; the position in this table is the index of its stream."""


@dataclass(frozen=True)
class Curves:
    """Curves of one set, as stored.

    ``effect_counts`` (n, 10) int16 in 1e-4, ``l_microdecades`` (n,) int32, ``label`` (n,) uint8,
    ``no_effect`` (n,) bool.
    """

    effect_counts: Any
    l_microdecades: Any
    label: Any
    no_effect: Any

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def effects(self) -> Array:
        """Effects (n, 10), float64.

        >>> draw("standard", 3, np.random.default_rng(0)).effects.shape
        (3, 10)
        """
        effects: Array = self.effect_counts / _SCALE
        return effects

    @cached_property
    def position(self) -> Array:
        """L (n,) in log10 mol/L, float64.

        >>> position = draw("standard", 3, np.random.default_rng(0)).position
        >>> bool((abs(position + 7) <= 6).all())
        True
        """
        position: Array = self.l_microdecades / _MICRO
        return position

    def arrays(self) -> dict[str, Any]:
        """The stored members by name.

        >>> sorted(draw("standard", 3, np.random.default_rng(0)).arrays())
        ['effect_counts', 'l_microdecades', 'label', 'no_effect']
        """
        return {
            "effect_counts": self.effect_counts,
            "l_microdecades": self.l_microdecades,
            "label": self.label,
            "no_effect": self.no_effect,
        }

    def first(self, n: int) -> Curves:
        """The first ``n`` curves.

        >>> len(draw("standard", 3, np.random.default_rng(0)).first(2))
        2
        """
        return Curves(*(np.ascontiguousarray(column[:n]) for column in self.arrays().values()))


def digest(curves: Curves) -> str:
    """The digest of the numbers of a set: ``sha256:…``.

    >>> digest(draw("standard", 3, np.random.default_rng(0)))[:7]
    'sha256:'
    """
    return array_digest(curves.arrays())


def sigmoid(position: Array, slope: Array) -> Array:
    """Noise-free effect between plateaus 0 and 1: 1/(1 + 10^{h(c − L)}), (n, 10).

    >>> sigmoid(np.array([-9.0]), np.array([1.0]))[0, 0].item()
    0.5
    """
    made: Array = 1.0 / (1.0 + 10.0 ** (slope[:, None] * (LADDER - position[:, None])))
    return made


def draw(
    protocol: str, n: int, rng: np.random.Generator, stress: Stress = STRESS["test"]
) -> Curves:
    """``n`` curves of a law; the order of the draws is part of the law.

    Raises KeyError for a protocol that does not exist.

    >>> curves = draw("standard", 1000, np.random.default_rng(0))
    >>> np.bincount(curves.label).tolist()
    [267, 299, 434]
    """
    return _LAWS[protocol](n, rng, stress)


def _standard(n: int, rng: np.random.Generator, stress: Stress) -> Curves:
    position = rng.uniform(-13.0, -1.0, n)
    slope = rng.uniform(*SLOPE, n)
    low = rng.normal(0.0, PLATEAU_SD, n)
    high = rng.normal(1.0, PLATEAU_SD, n)
    flat = rng.random(n) < NO_EFFECT
    jitter = rng.normal(0.0, FLAT_SD, n)
    low = np.where(flat, high + jitter, low)
    label = np.where(flat | (position > WINDOW[1]), ABOVE, IN_RANGE)
    label = np.where(~flat & (position < WINDOW[0]), BELOW, label)
    return _observed(position, slope, low, high, label, flat, rng, stress)


def _classic(n: int, rng: np.random.Generator, stress: Stress) -> Curves:
    regime = rng.integers(0, 3, n)
    low = rng.normal(0.0, PLATEAU_SD, n)
    high = rng.normal(1.0, PLATEAU_SD, n)
    flat = rng.random(n) < NO_EFFECT
    jitter = rng.normal(0.0, FLAT_SD, n)
    slope = rng.uniform(*SLOPE, n)
    bounds = np.array(SUPPORT["classic"])[regime]
    position = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * rng.random(n)
    high = np.where(flat, low + jitter, high)
    label = np.where(flat, ABOVE, regime)
    return _observed(position, slope, low, high, label, flat, rng, stress)


_LAWS: dict[str, Callable[[int, np.random.Generator, Stress], Curves]] = {
    "standard": _standard,
    "classic": _classic,
}


def _observed(
    position: Array,
    slope: Array,
    low: Array,
    high: Array,
    label: Any,
    flat: Any,
    rng: np.random.Generator,
    stress: Stress,
) -> Curves:
    shape = (len(position), len(LADDER))
    effect = low[:, None] + (high - low)[:, None] * sigmoid(position, slope)
    effect += stress.noise * rng.normal(0.0, 1.0, shape)
    if stress.rate:
        struck = rng.random(shape) < stress.rate
        effect = np.where(struck, effect + rng.normal(0.0, stress.size, shape), effect)
    counts = np.clip(np.rint(_SCALE * effect), -_TOP, _TOP)
    return Curves(
        counts.astype(np.int16),
        np.rint(_MICRO * position).astype(np.int32),
        label.astype(np.uint8),
        flat,
    )


def of_seed(protocol: str, version: int, role: Role, seed: int, n: int) -> Curves:
    """A set of one seed: ``role`` is data.train, data.calibration or data.validation.

    >>> len(of_seed("standard", 1, "data.train", 1, 5))
    5
    """
    rng = seeding.generator(seed, "dose", f"{protocol}/{version}", role)
    return draw(protocol, n, rng)


def frozen(protocol: str, version: int, name: str, n: int) -> Curves:
    """The first ``n`` rows of a test set that belongs to the protocol: test, noise2 or outlier.

    >>> len(frozen("standard", 1, "outlier", 5))
    5
    """
    index = list(STRESS).index(name)
    rng = seeding.generator(
        seeding.FROZEN, "dose", f"{protocol}/{version}", "data.test", index=index
    )
    return draw(protocol, FROZEN_ROWS[name], rng, STRESS[name]).first(n)


def test_sets(protocol: str, version: int, settings: Mapping[str, Any]) -> dict[str, Curves]:
    """Every frozen set that a mode uses, by name, each checked against its expected digest.

    Raises
    ------
    FileInvalid
        Code ``dataset``: this machine draws other numbers than the protocol was frozen with.
    """
    made = {}
    for name, n in {"test": settings["test"], **settings["stress"]}.items():
        made[name] = frozen(protocol, version, name, n)
        _demand(digest(made[name]), settings["digests"][name], f"{protocol}/{version} {name}")
    return made


def _demand(found: str, expected: str, what: str) -> None:
    if found != expected:
        msg = f"the frozen set {what} comes out as {found}"
        raise FileInvalid(
            msg,
            code="dataset",
            path=f"datasets/{expected.removeprefix('sha256:')}.npz",
            hint="run with another NumPy: this one draws otherwise",
        )
