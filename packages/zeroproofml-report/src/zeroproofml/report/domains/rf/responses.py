"""Metrics of sampled responses: error, peaks, poles, denominators. Both protocols use them.

Every function adds to a dict of numbers or `Null` reason codes; a *group* is a name with the mask of
its devices, and the name becomes the end of the metric's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ranking import Null, mean, quantile, share
from zeroproofml.report.domains.rf.devices import pole_error
from zeroproofml.report.domains.rf.peaks import FLOOR, amplitude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.ranking import Array, Mask, Value
    from zeroproofml.report.domains.rf.devices import Curve

    Metrics = dict[str, Value]
    Groups = Mapping[str, Mask]

NO = Null("not_applicable")
HIGH, LOW = 1 / 0.9, 0.9
"""Bounds of a peak that is retained, predicted over true height."""
DENOMINATORS = (
    "denominator_log10_ratio_abs_p50",
    "denominator_log10_ratio_abs_p95",
    "denominator_min_abs_p50",
    "denominator_min_abs_p05",
    "denominator_min_abs_min",
    "denominator_min_freq_offset_p50",
    "denominator_min_freq_offset_p95",
    "denominator_near_min_width_p50",
    "denominator_edge_rate",
)


@dataclass(frozen=True)
class Judged:
    """An answer ready to be judged: its curve, devices that are ⊥ (n,), causes of all lanes (n, m)."""

    curve: Curve
    bottom: Mask
    lane_cause: Array

    @property
    def accepted(self) -> Mask:
        """Devices (n,) with an answer."""
        return ~self.bottom

    def error_db(self) -> Array:
        """E (n,) with 0 dB at ⊥, which is what answering zero gets."""
        return np.where(self.bottom, 0.0, self.curve.error_db)


def middle(values: Array) -> Value:
    """Median where some values may be infinite; an infinite one has no number.

    >>> middle(np.array([1.0, 2.0, np.inf])), middle(np.array([1.0, np.inf]))
    (2.0, 'infinite')
    """
    if not len(values):
        return Null("empty_set")
    ranked = np.sort(values)
    low, high = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return Null("infinite") if np.isinf(high) else float(low + (high - low) / 2)


def errors(out: Metrics, answer: Judged, groups: Groups) -> None:
    """Relative error energy: median and 90 % quantile over all devices, median over accepted."""
    db = answer.error_db()
    for name, group in groups.items():
        out[f"rel_err_db_p50_{name}"] = quantile(db[group], 0.5)
        out[f"rel_err_db_p90_{name}"] = quantile(db[group], 0.9)
        out[f"rel_err_db_p50_accepted_{name}"] = quantile(db[group & answer.accepted], 0.5)


def highest_peak(out: Metrics, answer: Judged, groups: Groups) -> None:
    """Success, phase and band of the highest peak."""
    curve = answer.curve
    devices = curve.devices
    near = np.abs(curve.peak.db - devices.peak.db) <= 1.0
    success = answer.accepted & near & curve.in_place()
    rows, lane = np.arange(len(near)), devices.peak.lane
    seen = answer.lane_cause[rows, lane] == 0
    apart = np.angle(curve.response[rows, lane]) - np.angle(devices.truth[rows, lane])
    phase = np.degrees(np.abs((apart + np.pi) % (2 * np.pi) - np.pi))
    # Zero has no phase: an answer that is zero there says nothing about it.
    told = seen & (curve.response[rows, lane] != 0)
    lanes = devices.in_peak & (answer.lane_cause == 0)
    count = np.count_nonzero(lanes, axis=1)
    size = np.maximum(amplitude(curve.response), FLOOR) / np.abs(devices.truth)
    square = np.sum(np.where(lanes, (20 * np.log10(size)) ** 2, 0.0), axis=1)
    band = np.sqrt(square / np.maximum(count, 1))
    for name, group in groups.items():
        out[f"peak_success_{name}"] = share(success[group])
        out[f"peak_phase_err_deg_p50_{name}"] = quantile(phase[group & told], 0.5)
        out[f"peak_band_rms_db_p50_{name}"] = quantile(band[group & (count > 0)], 0.5)


def pole_metrics(
    out: Metrics, true: Array, found: Array | None, there: Mask | None, groups: Groups
) -> None:
    """Distance of the poles, and the share of devices with one right of the axis."""
    if found is None or there is None:
        for name in groups:
            out[f"pole_err_hbw_p50_{name}"] = out[f"unstable_share_{name}"] = NO
        return
    apart = pole_error(true, found, there)
    unstable = np.any(there & (found.real > 0), axis=1)
    for name, group in groups.items():
        out[f"pole_err_hbw_p50_{name}"] = middle(apart[group])
        out[f"unstable_share_{name}"] = share(unstable[group])


def retention(out: Metrics, answer: Judged, groups: Groups) -> None:
    """Peaks kept, invented and overdrawn; ``groups`` are the two regimes."""
    curve = answer.curve
    accepted, ratio = answer.accepted, curve.ratio
    kept = accepted & (ratio >= LOW) & (ratio <= HIGH) & curve.in_place()
    out["peak_retention_yield"] = share(kept)
    for name, group in groups.items():
        out[f"peak_retention_yield_{name}"] = share(kept[group])
    out["false_peak_hallucination_rate"] = share(accepted & (curve.invented > 0))
    out["over_amplitude_rate"] = share(accepted & (ratio > HIGH))
    out["peak_ratio_p50"] = quantile(ratio[accepted], 0.5)
    under = np.maximum(0.0, 1.0 - ratio[accepted])
    out["worst_rel_under_p95"] = quantile(under, 0.95)


def denominators(out: Metrics, curve: Curve, usable: Mask, length: float) -> None:
    """The scaled denominator of ``usable`` devices (n,) against the true one.

    ``length`` is that of the band in ln ω.
    """
    if curve.denominator is None:
        out.update(dict.fromkeys(DENOMINATORS, NO))
        return
    devices = curve.devices
    size, true = curve.denominator[usable], devices.denominator[usable]
    omega, weight = devices.omega[usable], devices.weight[usable]
    if not len(size):
        out.update(dict.fromkeys(DENOMINATORS, Null("empty_set")))
        return
    rows, lane, other = np.arange(len(size)), np.argmin(size, axis=1), np.argmin(true, axis=1)
    least, wanted = size[rows, lane], true[rows, other]
    ratio = np.abs(np.log10(np.maximum(least, np.finfo(float).tiny) / wanted))
    offset = np.abs(np.log10(omega[rows, lane] / omega[rows, other]))
    width = np.sum(np.where(size <= 2 * least[:, None], weight, 0.0), axis=1) / length
    edge = (lane == 0) | (lane == size.shape[1] - 1)
    out["denominator_log10_ratio_abs_p50"] = quantile(ratio, 0.5)
    out["denominator_log10_ratio_abs_p95"] = quantile(ratio, 0.95)
    out["denominator_min_abs_p50"] = quantile(least, 0.5)
    out["denominator_min_abs_p05"] = quantile(least, 0.05)
    out["denominator_min_abs_min"] = float(least.min())
    out["denominator_min_freq_offset_p50"] = quantile(offset, 0.5)
    out["denominator_min_freq_offset_p95"] = quantile(offset, 0.95)
    out["denominator_near_min_width_p50"] = quantile(width, 0.5)
    out["denominator_edge_rate"] = share(edge)


def squared_errors(out: Metrics, name: str, own: Array, zero: Array, bottom: Mask) -> None:
    """``<name>_mse`` over what is answered, ``<name>_mse_penalised`` over all; mean of the two parts.

    ``own`` and ``zero`` are squared errors of the answer and of zero, ``bottom`` what is ⊥; all of
    one length. Beyond the trained range the skill against zero is added.
    """
    out[f"{name}_mse"] = mean(own[~bottom] / 2)
    penalised, floor = mean(np.where(bottom, zero, own) / 2), mean(zero / 2)
    out[f"{name}_mse_penalised"] = penalised
    if name != "extrapolation":
        return
    if isinstance(penalised, Null) or isinstance(floor, Null):
        out["extrapolation_skill"] = Null("empty_set")
    else:
        out["extrapolation_skill"] = (
            1 - penalised / floor if floor > 0 else Null("zero_denominator")
        )


def lane_rates(out: Metrics, cause: Array, fault: Mask, groups: Groups) -> None:
    """Shares of lanes (n, m) that are answered, refused, or lost to a fault; they add up to 1."""
    answered = cause == 0
    out["coverage_rate"] = share(answered.ravel())
    for name, group in groups.items():
        out[f"coverage_rate_{name}"] = share(answered[group].ravel())
    out["strict_trigger_rate"] = share((~answered & ~fault).ravel())
    out["fault_rate"] = share(fault.ravel())
