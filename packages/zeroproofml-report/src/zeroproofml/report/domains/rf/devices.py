"""The devices that judge an answer, and an answer on them as sampled curves.

`Devices` is the truth on the judge's grid; `Curve` is what an arm says there. Both protocols use
them; what a device is made of is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.rf.peaks import (
    PROMINENCE,
    amplitude,
    decibels,
    highest,
    maxima,
    unmatched,
)

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array, Mask
    from zeroproofml.report.domains.rf.peaks import Maxima, Peak

NOTHING = -120.0
"""Relative error, in dB, below which answers are equally right."""


@dataclass(frozen=True)
class Devices:
    """True responses: ω (n, m), weights (n, m), response (n, m), damping (n,), poles (n, p).

    ``denominator`` (n, m) is the modulus of the true denominator, 1 at ω = 0.
    """

    omega: Array
    weight: Array
    truth: Array
    delta: Array
    poles: Array
    denominator: Array

    def take(self, rows: Array) -> Devices:
        """The same for some rows, which keep their order.

        Every row in its place gives these very devices, with all that is known of them.
        """
        if np.array_equal(rows, np.arange(len(self.delta))):
            return self
        parts = (self.omega, self.weight, self.truth, self.delta, self.poles, self.denominator)
        return Devices(*(part[rows] for part in parts))

    @cached_property
    def energy(self) -> Array:
        """Σ q·abs(H)² (n,)."""
        total: Array = np.sum(self.weight * np.abs(self.truth) ** 2, axis=1)
        return total

    @cached_property
    def peak(self) -> Peak:
        """The global peak."""
        return highest(self.omega, decibels(self.truth))

    @cached_property
    def half_width(self) -> Array:
        """Half of the half-power bandwidth at the peak, ½·δ·ω (n,)."""
        half: Array = 0.5 * self.delta * self.peak.omega
        return half

    @cached_property
    def maxima(self) -> Maxima:
        """Local maxima of all devices."""
        return maxima(self.omega, decibels(self.truth))

    @cached_property
    def in_peak(self) -> Mask:
        """Lanes (n, m) within half a bandwidth of the peak."""
        apart = np.abs(self.omega - self.peak.omega[:, None])
        return np.asarray(apart <= self.half_width[:, None])


@dataclass(frozen=True)
class Curve:
    """An answer on devices as if none were refused: response and cause of each lane (n, m).

    ``peak_omega``, ``peak_response``, ``peak_cause`` are the same on the grid on which peaks are
    looked for; ``denominator`` (n, m) is the modulus of the arm's own, 1 at ω = 0, where it has one.
    """

    devices: Devices
    response: Array
    cause: Array
    peak_omega: Array
    peak_response: Array
    peak_cause: Array
    denominator: Array | None = None

    @classmethod
    def sampled(cls, devices: Devices, response: Array, cause: Array | None = None) -> Curve:
        """A curve that is known on the judge's grid alone."""
        wide = response.astype(np.complex128)
        none = np.zeros(wide.shape, dtype=np.uint8) if cause is None else cause
        return cls(devices, wide, none, devices.omega, wide, none)

    @cached_property
    def square(self) -> Array:
        """Σ q·abs(Ĥ − H)² (n,), payload 0 at ⊥ lanes."""
        apart = amplitude(self.response - self.devices.truth) ** 2
        total: Array = np.sum(self.devices.weight * apart, axis=1)
        return total

    @cached_property
    def error_db(self) -> Array:
        """E = 10·log10 of the relative error energy (n,), not below −120."""
        ratio = self.square / self.devices.energy
        db: Array = 10 * np.log10(np.maximum(ratio, 10 ** (NOTHING / 10)))
        return db

    @cached_property
    def peak_db(self) -> Array:
        """Magnitude on the grid of peaks in dB, −inf at ⊥ lanes."""
        return decibels(self.peak_response, self.peak_cause != 0)

    @cached_property
    def peak(self) -> Peak:
        """The global peak of the answer."""
        return highest(self.peak_omega, self.peak_db)

    @cached_property
    def ratio(self) -> Array:
        """Predicted over true height of the global peak (n,), 0 where nothing is predicted."""
        apart = self.peak.db - self.devices.peak.db
        ratio: Array = np.where(self.peak.db <= -120.0, 0.0, 10 ** (apart / 20))
        return ratio

    @cached_property
    def offset(self) -> Array:
        """Predicted less true place of the global peak (n,), in half bandwidths."""
        apart: Array = (self.peak.omega - self.devices.peak.omega) / self.devices.half_width
        return apart

    def in_place(self) -> Mask:
        """Devices (n,) whose peak is within half a bandwidth of the true one."""
        there = np.isfinite(self.peak.db) & (np.abs(self.offset) <= 1.0)
        return np.asarray(there)

    @cached_property
    def invented(self) -> Array:
        """Greatest prominence (n,), in dB, of the predicted maxima of 3 dB that match no true one.

        0 where a device has none.
        """
        found = maxima(self.peak_omega, self.peak_db, PROMINENCE)
        alone = unmatched(found, self.devices.maxima, self.devices.delta)
        most = np.zeros(len(self.peak_db))
        np.maximum.at(most, found.row[alone], found.prominence[alone])
        return most


def pole_error(true: Array, found: Array, there: Mask) -> Array:
    """Mean distance of matched poles (n,) in units of abs(Re p); inf where there are too few.

    True poles (n, p) are matched to the found ones (n, k) above the axis by the assignment of least
    total distance; p is 1 or 2.

    >>> true = np.array([[-0.1 + 1j, -0.1 + 2j]])
    >>> pole_error(true, np.array([[2.1j - 0.1, 1j - 0.1]]), np.ones((1, 2), bool)).round(9).tolist()
    [0.5]
    """
    n, count = true.shape
    there = there & (found.imag > 0)
    if found.shape[1] < count:
        return np.full(n, np.inf)
    apart = np.abs(true[:, :, None] - found[:, None, :])
    apart = np.where(there[:, None, :], apart, np.inf)
    scaled = apart / np.abs(true.real)[:, :, None]
    if count == 1:
        pick = np.argmin(apart[:, 0], axis=1)
        return np.asarray(scaled[np.arange(n), 0, pick])
    total = apart[:, 0, :, None] + apart[:, 1, None, :]
    total[:, np.arange(found.shape[1]), np.arange(found.shape[1])] = np.inf
    first, second = np.divmod(np.argmin(total.reshape(n, -1), axis=1), found.shape[1])
    rows = np.arange(n)
    both: Array = (scaled[rows, 0, first] + scaled[rows, 1, second]) / 2
    return np.where(np.isinf(total[rows, first, second]), np.inf, both)
