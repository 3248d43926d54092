"""Designs and samples of the standard protocol: what is drawn, from which stream, in which order.

The test set is frozen per protocol version and always drawn at full size, so that a smaller mode
uses its first rows. Everything else follows the run's seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.report.domains.rf import device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from zeroproofml.benchmarks.seeding import Role

    Array = NDArray[Any]

PROTOCOL = "standard/1"
Q_RANGES = ((5.0, 30.0), (30.0, 100.0), (100.0, 300.0), (300.0, 1000.0))
"""Range of Q of each stable test bin, in the order of their codes; training knows the first."""
UNSTABLE = (1e-3, 0.1)
LOSS = (0.05, 0.2)
FULL = {"stable": 128, "neg": 192, "axis": 64}
"""Devices per test bin as they are drawn, whatever the mode uses of them."""
SIGMA = 1e-2
IDENT_POINTS = 128
_CENTRE = np.array([0.0, 0.0, 0.0, 0.11, 0.03])
_SPREAD = np.array([1.0, 1.0, 1.0, 0.045, 0.06])
_LOG_SPREAD = 0.93
_DESIGN_DIGITS, _GRID_DIGITS = 12, 9


def log_uniform(rng: np.random.Generator, low: float, high: float, shape: Any) -> Array:
    """exp of uniform numbers between ln low and ln high.

    >>> x = log_uniform(np.random.default_rng(0), 5.0, 30.0, 100)
    >>> bool((x >= 5).all() and (x <= 30).all())
    True
    """
    made: Array = np.exp(rng.uniform(math.log(low), math.log(high), shape))
    return made


@dataclass(frozen=True)
class Designs:
    """Devices: ``design`` (n, 5) = (x1, x2, x3, u, g) and the damping ``delta`` (n,), float64."""

    design: Array
    delta: Array

    def __len__(self) -> int:
        return len(self.delta)

    def first(self, n: int) -> Designs:
        """The first ``n`` devices.

        >>> len(draw(np.random.default_rng(0), 5, (5.0, 30.0)).first(2))
        2
        """
        return Designs(self.design[:n], self.delta[:n])

    def arrays(self) -> dict[str, Array]:
        """Both columns by name, for a digest.

        >>> sorted(draw(np.random.default_rng(0), 5, (5.0, 30.0)).arrays())
        ['delta', 'design']
        """
        return {"design": self.design, "delta": self.delta}


@dataclass(frozen=True)
class Samples:
    """Noisy samples of devices: ``omega`` (n, m) ascending, ``y`` complex128 (n, m)."""

    devices: Designs
    omega: Array
    y: Array

    def arrays(self) -> dict[str, Array]:
        """All columns by name, for a digest.

        >>> sorted(samples(1, "data.train", 2, 4).arrays())
        ['delta', 'design', 'omega', 'y']
        """
        return {**self.devices.arrays(), "omega": self.omega, "y": self.y}


def draw(rng: np.random.Generator, n: int, q: tuple[float, float] | str) -> Designs:
    """``n`` designs; ``q`` is a range of Q, or ``"neg"`` (δ < 0), or ``"axis"`` (δ = 0 exactly).

    >>> draw(np.random.default_rng(0), 3, "axis").delta.tolist()
    [0.0, 0.0, 0.0]
    """
    x = rng.uniform(-1, 1, (n, 3))
    u = log_uniform(rng, *LOSS, n)
    if q == "axis":
        delta = np.zeros(n)
    elif isinstance(q, str):
        delta = -log_uniform(rng, *UNSTABLE, n)
    else:
        delta = 1.0 / log_uniform(rng, *q, n)
    return _designs(x, u, delta)


def noisy(rng: np.random.Generator, clean: Array, sigma: float) -> Array:
    """Complex samples with noise of standard deviation ``sigma``: all real parts first.

    >>> noisy(np.random.default_rng(0), np.ones((1, 2), dtype=complex), 0.0).tolist()
    [[(1+0j), (1+0j)]]
    """
    real = rng.standard_normal(clean.shape)
    imaginary = rng.standard_normal(clean.shape)
    made: Array = clean + sigma * (real + 1j * imaginary) / math.sqrt(2)
    return made


def samples(seed: int, role: Role, devices: int, points: int) -> Samples:
    """A split of the training law: designs, frequencies and noise from streams 0, 1, 2 of its role.

    >>> samples(1, "data.validation", 3, 8).y.shape
    (3, 8)
    """
    made = draw(_rng(seed, role, 0), devices, Q_RANGES[0])
    omega = np.sort(log_uniform(_rng(seed, role, 1), *device.BAND, (devices, points)), axis=1)
    clean = device.response(made.design, made.delta, omega)
    return Samples(made, omega, noisy(_rng(seed, role, 2), clean, SIGMA))


def calibration(seed: int, devices: int) -> Designs:
    """Designs whose scores give the thresholds of comparators.

    >>> len(calibration(1, 7))
    7
    """
    return draw(_rng(seed, "data.calibration", 0), devices, Q_RANGES[0])


def gate_bottom(seed: int, devices: int) -> Designs:
    """Devices without an answer, which only the arm ``gate_score`` ever sees.

    >>> bool((gate_bottom(1, 7).delta < 0).all())
    True
    """
    return draw(_rng(seed, "data.train", 3), devices, "neg")


def frozen(sizes: Mapping[str, int]) -> dict[str, Array]:
    """The frozen test set of a mode: design, delta, set, and the grid of the stable devices.

    ``sizes`` holds the devices per bin as ``stable``, ``neg``, ``axis``. Returns ``design`` (n, 5),
    ``delta`` (n,), ``set`` uint8 (n,) with codes 0 … 5, ``omega`` and ``weight`` (n_stable, 288).
    Numbers are rounded far below what they mean, so that the digest of the set does not hang on the
    last bit of a processor's logarithm.

    >>> made = frozen({"stable": 2, "neg": 1, "axis": 1})
    >>> made["set"].tolist(), made["omega"].shape
    ([0, 0, 1, 1, 2, 2, 3, 3, 4, 5], (8, 288))
    """
    laws: tuple[tuple[float, float] | str, ...] = (*Q_RANGES, "neg", "axis")
    parts, codes = [], []
    for code, q in enumerate(laws):
        kind = q if isinstance(q, str) else "stable"
        rng = _rng(seeding.FROZEN, "data.test", code)
        parts.append(_rounded(draw(rng, FULL[kind], q).first(sizes[kind])))
        codes.append(np.full(sizes[kind], code, dtype=np.uint8))
    design = np.concatenate([part.design for part in parts])
    delta = np.concatenate([part.delta for part in parts])
    stable = 4 * sizes["stable"]
    omega = np.round(device.grid(device.poles(design[:stable], delta[:stable])), _GRID_DIGITS)
    return {
        "design": design,
        "delta": delta,
        "set": np.concatenate(codes),
        "omega": omega,
        "weight": np.round(device.weights(omega), _GRID_DIGITS),
    }


def _rounded(made: Designs) -> Designs:
    """The same devices with u and δ rounded; g follows from them without a further function."""
    x, u = made.design[:, :3], np.round(made.design[:, 3], _DESIGN_DIGITS)
    return _designs(x, u, np.round(made.delta, _DESIGN_DIGITS))


def _designs(x: Array, u: Array, delta: Array) -> Designs:
    g = (u - delta) / (1 + 0.25 * x[:, 0])
    return Designs(np.column_stack([x, u, g]), delta)


def ident_omega() -> Array:
    """The frequencies (128,) at which a test device is measured for identification.

    >>> ident_omega()[[0, -1]].round(12).tolist()
    [0.2, 5.0]
    """
    low, high = device.BAND
    return np.clip(np.exp(np.linspace(math.log(low), math.log(high), IDENT_POINTS)), low, high)


def ident_samples(seed: int, test: Mapping[str, Array], code: int, level: int, n: int) -> Array:
    """Measured responses (n, 128) of the first ``n`` test devices of a stable bin.

    ``level`` 0, 1, 2 stands for noise 0, 1e-3, 1e-2; the noise follows the run's seed. Data streams
    have no arm: the three methods get the same samples.

    >>> made = ident_samples(1, frozen({"stable": 3, "neg": 1, "axis": 1}), 1, 2, 2)
    >>> made.shape
    (2, 128)
    """
    rows = np.flatnonzero(test["set"] == code)[:n]
    clean = device.response(test["design"][rows], test["delta"][rows], ident_omega())
    rng = seeding.generator(seed, "rf", PROTOCOL, "noise", index=10 * code + level)
    return noisy(rng, clean, LEVELS[level])


LEVELS = (0.0, 1e-3, 1e-2)
"""Noise of the identification samples by level."""


def features(design: Array) -> Array:
    """What every learned arm sees of a design: (n, 5), shifted and scaled by fixed constants.

    >>> features(np.array([[0.0, 1.0, -1.0, 0.11, 0.09]])).round(12).tolist()
    [[0.0, 1.0, -1.0, 0.0, 1.0]]
    """
    made: Array = (design - _CENTRE) / _SPREAD
    return made


def rows(design: Array, omega: Array) -> Array:
    """What an arm sees that takes frequency: features and ln ω/0.93, (n, m, 6).

    >>> rows(np.zeros((2, 5)), np.ones((2, 3))).shape
    (2, 3, 6)
    """
    shape = (*omega.shape, 5)
    wide = np.broadcast_to(features(design)[:, None, :], shape)
    return np.concatenate([wide, (np.log(omega) / _LOG_SPREAD)[..., None]], axis=-1)


def _rng(seed: int, role: Role, index: int) -> np.random.Generator:
    return seeding.generator(seed, "rf", PROTOCOL, role, index=index)
