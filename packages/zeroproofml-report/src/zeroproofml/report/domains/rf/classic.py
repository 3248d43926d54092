"""The classic protocol: the published law of zeroproofml 0.6.1, for comparison only; no claims.

One second-order resonator, H(s) = ω0²/(s² + (ω0/Q)·s + ω0²), trained up to Q = 30 and tested up to
500. Beside the published numbers stand two-sided ones and the rows that were never shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains import ArmMetrics, packaged
from zeroproofml.report.domains.ranking import mean, quantile, share
from zeroproofml.report.domains.rf import device, members, responses
from zeroproofml.report.domains.rf.devices import Curve, Devices
from zeroproofml.report.domains.rf.peaks import amplitude
from zeroproofml.report.domains.rf.responses import NO, Judged
from zeroproofml.report.domains.rf.standard import definitions, derived, figures
from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.ranking import Array, Mask
    from zeroproofml.report.domains.rf.responses import Metrics
    from zeroproofml.report.rundir import RawRun

BAND = (0.1, 10.0)
LENGTH = math.log(BAND[1] / BAND[0])
EDGE = 30.0
"""Largest Q of the trained range."""
LEADING = math.log1p(math.e)
"""softplus(1): the leading coefficient of the published denominator, divided out when stored."""
SINGULAR = 1e-8
EPSILON = 1e-3
PLAIN = 256
REGIMES = {"in": "Q up to 30, as trained", "extrapolation": "Q above 30"}


def response(omega0: Array, q: Array, omega: Array) -> Array:
    """H(jω) (n, m), complex128, of resonators ω0, Q (n,).

    >>> response(np.array([2.0]), np.array([10.0]), np.array([[2.0]])).round(12).tolist()
    [[-10j]]
    """
    w = omega0[:, None]
    made: Array = w * w / (w * w - omega * omega + 1j * (w / q[:, None]) * omega)
    return made


def pole(omega0: Array, q: Array) -> Array:
    """The pole above the real axis (n, 1), complex128; Q > ½.

    >>> pole(np.array([2.0]), np.array([1.0])).round(6).tolist()
    [[(-1+1.732051j)]]
    """
    half = 1 / (2 * q)
    made: Array = (omega0 * (-half + 1j * np.sqrt(1 - half * half)))[:, None]
    return made


@dataclass(frozen=True)
class Answer:
    """What an arm says about the sampled points of every device, and on the judge's grid.

    Attributes:
        values, value_cause: at the points (n, points).
        curve: on the grid.
        coefficients: (c, a1, a0) (n, 3) of a monic denominator, or None; ``scale`` times that
            denominator is the head's own.
    """

    values: Array
    value_cause: Array
    curve: Curve
    coefficients: Array | None = None
    scale: float = 1.0

    @property
    def rows(self) -> Array:
        """Devices that are answered: all (n,)."""
        return np.arange(len(self.values))

    @property
    def row_cause(self) -> Array:
        """Why a device is ⊥ as a whole (n,): here none is."""
        return np.zeros(len(self.values), dtype=np.uint8)

    @property
    def bottom(self) -> Mask:
        """Devices that are ⊥ as a whole."""
        return np.asarray(self.row_cause != 0)

    @property
    def lane_cause(self) -> Array:
        """Causes on the grid."""
        return self.curve.cause


class TestRows:
    """The test devices of one seed, their rows, and every arm's answer."""

    __test__ = False
    ranks = (0.0, 0.5, 1.0)
    """Places of the shown devices in the order of Q."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays
        self._answers: dict[str, Answer] = {}
        self.omega0, self.q = arrays["data__omega0"], arrays["data__q"]
        self.omega, self.target = arrays["data__omega"], arrays["data__target"]

    @cached_property
    def devices(self) -> Devices:
        """The truth on 256 log-spaced points joined with 64 around each pole."""
        poles = pole(self.omega0, self.q)
        grid = device.grid(poles, BAND, PLAIN)
        truth = response(self.omega0, self.q, grid)
        return Devices(grid, device.weights(grid), truth, self.damping, poles, 1 / np.abs(truth))

    @property
    def damping(self) -> Array:
        """δ (n,)."""
        delta: Array = 1 / self.q
        return delta

    @cached_property
    def groups(self) -> dict[str, Mask]:
        """Masks (n,) of the two regimes."""
        trained = np.asarray(self.q <= EDGE)
        return {"in": trained, "extrapolation": ~trained}

    def has(self, arm: str) -> bool:
        """Whether the arm's answer is stored, or follows from what is."""
        if arm in {"zero", "oracle"}:
            return True
        head = "scm_transfer" if arm == "scm_transfer_eps" else arm
        return any(f"{head}__{name}" in self._arrays for name in ("coefficients", "response"))

    def answer(self, arm: str) -> Answer:
        """The answer of ``arm``.

        Raises:
            KeyError: an array of the arm is not there.
        """
        if arm not in self._answers:
            self._answers[arm] = self._answer(arm)
        return self._answers[arm]

    def _answer(self, arm: str) -> Answer:
        stored, devices = self._arrays, self.devices
        if arm == "zero":
            none = np.zeros(self.target.shape)
            return Answer(none, _no(none), Curve.sampled(devices, np.zeros(devices.omega.shape)))
        if arm == "oracle":
            return Answer(self.target, _no(self.target), Curve.sampled(devices, devices.truth))
        if arm == "scm_transfer_eps":
            return self._quotient(stored["scm_transfer__coefficients"], LEADING, EPSILON, None)
        refused = stored.get(f"{arm}__rows_bottom")
        if arm in members.COEFFICIENT_ARMS:
            scale = 1.0 if arm == "two_stage" else LEADING
            return self._quotient(stored[f"{arm}__coefficients"], scale, 0.0, refused)
        rows = stored[f"{arm}__rows"].astype(np.complex128)
        cause = _no(rows) if refused is None else _semantic(refused)
        return Answer(rows, cause, Curve.sampled(devices, stored[f"{arm}__response"]))

    def _quotient(
        self, coefficients: Array, scale: float, epsilon: float, refused: Array | None
    ) -> Answer:
        rows, _, row_cause = quotient(coefficients, self.omega, scale, epsilon)
        if refused is not None:
            row_cause = _semantic(refused)
            rows = np.where(refused, 0, rows)
        grid = self.devices.omega
        lanes, size, cause = quotient(coefficients, grid, scale, epsilon)
        around, there = poles(coefficients)
        near = device.cluster(around, 33, float(np.sinh(3.0)))
        near = np.where(there[..., None], near, BAND[0]).reshape(len(grid), -1)
        joined = np.sort(np.concatenate([grid, np.clip(near, *BAND)], axis=1))
        peak, _, peak_cause = quotient(coefficients, joined, scale, epsilon)
        unit = np.maximum(np.abs(coefficients[:, 2:]), np.finfo(float).tiny)
        curve = Curve(self.devices, lanes, cause, joined, peak, peak_cause, size / unit)
        return Answer(rows, row_cause, curve, coefficients, scale)


def quotient(
    coefficients: Array, omega: Array, scale: float, epsilon: float
) -> tuple[Array, Array, Array]:
    """Response, abs of the monic denominator and cause, each (n, m), of c/(s² + a1·s + a0).

    The head divides ``scale`` times both parts: a denominator below 1e-8 is ⊥, unless ε is added.

    >>> made, size, cause = quotient(np.array([[1.0, 0.0, 1.0]]), np.array([[0.0, 1.0]]), 1.0, 0.0)
    >>> made.tolist(), size.tolist(), cause.tolist()
    ([[(1+0j), 0j]], [[1.0, 0.0]], [[0, 36]])
    """
    c, a1, a0 = (part[:, None] for part in coefficients.T)
    below = scale * (a0 - omega * omega + 1j * a1 * omega)
    size = amplitude(below)
    if epsilon:
        made = scale * c * np.conj(below) / (size * size + epsilon * epsilon)
        return made, size / scale, _no(omega)
    small = size < SINGULAR
    made = np.where(small, 0, scale * c / np.where(small, 1, below))
    bits = int(Cause.THRESHOLD) | np.where(size == 0, int(Cause.DIV_ZERO), 0)
    return made, size / scale, np.where(small, bits, 0).astype(np.uint8)


def poles(coefficients: Array) -> tuple[Array, Mask]:
    """The pole above the real axis (n, 1), complex128, and whether there is one.

    >>> poles(np.array([[1.0, 2.0, 5.0], [1.0, 3.0, 1.0]]))[0].tolist()
    [[(-1+2j)], [0j]]
    """
    half = coefficients[:, 1] / 2
    square = coefficients[:, 2] - half * half
    there = square > 0
    found = np.where(there, -half + 1j * np.sqrt(np.maximum(square, 0)), 0)
    return found[:, None], np.asarray(there[:, None])


def seed_metrics(
    arrays: Mapping[str, Any], settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Metrics of ``arms`` from the arrays of one seed."""
    del settings
    tests = TestRows(arrays)
    return {arm: packaged.split(arm_metrics(tests, arm)) for arm in arms}


def arm_metrics(tests: TestRows, arm: str) -> Metrics:
    """Every metric of ``arm``; what it cannot have is `Null`."""
    answer, regimes = tests.answer(arm), tests.groups
    judged = Judged(answer.curve, answer.bottom, answer.lane_cause)
    out: Metrics = {}
    responses.errors(out, judged, regimes)
    responses.highest_peak(out, judged, regimes)
    found = there = None
    if arm == "oracle":
        found, there = tests.devices.poles, np.ones(tests.devices.poles.shape, dtype=bool)
    elif answer.coefficients is not None:
        found, there = poles(answer.coefficients)
    responses.pole_metrics(out, tests.devices.poles, found, there, regimes)
    target = tests.target.astype(np.complex128)
    own, zero = amplitude(answer.values - target) ** 2, np.abs(target) ** 2
    refused = answer.value_cause != 0
    for name, group in regimes.items():
        key = "in_band" if name == "in" else name
        parts = (own[group].ravel(), zero[group].ravel(), refused[group].ravel())
        responses.squared_errors(out, key, *parts)
    fault = (answer.value_cause & np.uint8(Cause.NONFINITE | Cause.OVERFLOW)) != 0
    responses.lane_rates(out, answer.value_cause, fault, regimes)
    responses.retention(out, judged, regimes)
    everyone = np.ones(len(tests.q), dtype=bool)
    responses.denominators(out, answer.curve, everyone, LENGTH)
    _published(out, answer, own)
    return out


def _published(out: Metrics, answer: Answer, own: Array) -> None:
    ratio = answer.curve.ratio
    out["published_pointwise_mse"] = mean(own.ravel() / 2)
    out["published_peak_retention_yield"] = share(ratio >= responses.LOW)
    out["published_false_peak_hallucination_rate"] = share(ratio > responses.HIGH)
    out["published_peak_ratio_mean"] = mean(ratio)
    out["published_denominator_min_abs_p50"] = NO
    if answer.curve.denominator is not None and answer.coefficients is not None:
        unit = np.abs(answer.coefficients[:, 2]) * answer.scale
        least = answer.curve.denominator.min(axis=1) * unit
        out["published_denominator_min_abs_p50"] = quantile(least, 0.5)


def aggregates(run: RawRun) -> dict[str, object]:
    """The domain's derived files, and the table that puts the published numbers right."""
    from zeroproofml.report.domains.rf import published

    return {**derived(run), published.PATH: published.published(run)}


def _no(like: Array) -> Array:
    return np.zeros(like.shape, dtype=np.uint8)


def _semantic(refused: Array) -> Array:
    return np.where(refused, int(Cause.THRESHOLD), 0).astype(np.uint8)


CLASSIC = packaged.load(
    "rf",
    "classic",
    lambda entries: definitions(entries, REGIMES),
    seed_metrics=seed_metrics,
    members=members.classic,
    aggregates=aggregates,
    figures=figures,
)
