"""Metrics of one arm in the standard protocol: responses, and which designs it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.report.domains.ranking import Null, auroc, quantile, share
from zeroproofml.report.domains.rf import members, responses, scores, sections
from zeroproofml.report.domains.rf.answers import NEVER, faults
from zeroproofml.report.domains.rf.device import LOG_BAND
from zeroproofml.report.domains.rf.devices import Curve
from zeroproofml.report.domains.rf.peaks import amplitude
from zeroproofml.report.domains.rf.responses import NO, Judged

if TYPE_CHECKING:
    from zeroproofml.report.domains.ranking import Array, Mask
    from zeroproofml.report.domains.rf.answers import Answer, TestSet
    from zeroproofml.report.domains.rf.responses import Metrics

LOST_DB = -10.0
"""Relative error above which an answer counts as lost."""
_NOISES = {"clean": "sigma0", "low_noise": "sigma3"}
_SCORED = ("bottom_auroc", "aurc", "excess_aurc", "coverage_at_tau", "risk_at_tau")


def arm_metrics(tests: TestSet, arm: str) -> Metrics:
    """Every metric of ``arm``; what it cannot have is `Null`."""
    answer = tests.answer(arm)
    sets = tests.sets[answer.rows]
    bins = {name: np.asarray(sets == code) for code, name in enumerate(members.BINS)}
    regimes = {"in": bins["in"], "extrapolation": ~bins["in"]}
    judged = Judged(answer.curve, answer.bottom, answer.lane_cause)
    devices = answer.curve.devices
    out: Metrics = {}
    responses.errors(out, judged, bins)
    responses.highest_peak(out, judged, bins)
    responses.pole_metrics(out, devices.poles, answer.poles, answer.pole_mask, bins)
    _refusals(out, tests, answer, arm)
    _ranking(out, tests, answer)
    _division(out, tests, answer, arm)
    _noises(out, tests, arm)
    for name, group in regimes.items():
        own, zero = answer.curve.square[group] / LOG_BAND, devices.energy[group] / LOG_BAND
        key = "in_band" if name == "in" else name
        responses.squared_errors(out, key, own, zero, answer.bottom[group])
    responses.lane_rates(out, answer.lane_cause, faults(answer.lane_cause), regimes)
    responses.retention(out, judged, regimes)
    usable = np.ones(len(sets), dtype=bool)
    if answer.sections is not None:
        usable = sections.sound(answer.sections[answer.rows])
    responses.denominators(out, answer.curve, usable, LOG_BAND)
    return out


def losses(tests: TestSet, answer: Answer) -> Array:
    """Loss (n,) of every test device if it were accepted: no steady state, or an error above −10 dB."""
    lost: Array = tests.bottom.astype(float)
    lost[: tests.count] = answer.curve.error_db > LOST_DB
    return lost


def _refusals(out: Metrics, tests: TestSet, answer: Answer, arm: str) -> None:
    groups = {name: np.asarray(tests.sets == code) for code, name in enumerate(members.BINS)}
    groups["q5_300"] = np.asarray(tests.sets < 3)
    truth = {"neg": tests.sets == members.NEG, "axis": tests.sets == members.AXIS}
    if answer.causes is None:
        names = [f"bottom_recall_{name}{end}" for name in truth for end in ("", "_safe")]
        names += [f"false_bottom_{name}" for name in groups]
        names += [f"false_bottom_safe_{name}" for name in members.BINS]
        out.update(dict.fromkeys(["bottom_precision", "gap_rate", *names], NO))
        return
    refused = answer.causes != 0
    safe = np.zeros_like(refused) if arm in NEVER else answer.safe
    out["bottom_precision"] = _precision(refused, tests.bottom)
    for name, mask in truth.items():
        out[f"bottom_recall_{name}"] = share(refused[mask])
        out[f"bottom_recall_{name}_safe"] = NO if safe is None else share(safe[mask])
    for name, mask in groups.items():
        out[f"false_bottom_{name}"] = share(refused[mask])
        if name in members.BINS:
            out[f"false_bottom_safe_{name}"] = NO if safe is None else share(safe[mask])
    out["gap_rate"] = NO
    if arm in members.SECTION_ARMS and answer.sections is not None:
        v = sections.validity(answer.sections[: tests.count])
        narrow = np.less(v, sections.TAU_TRAIN, where=np.isfinite(v), out=np.zeros(len(v), bool))
        out["gap_rate"] = share(~answer.bottom & narrow)


def _precision(refused: Mask, bottom: Mask) -> float | Null:
    found = share(bottom[refused])
    return Null("zero_denominator") if isinstance(found, Null) else found


def _ranking(out: Metrics, tests: TestSet, answer: Answer) -> None:
    if answer.score is None or answer.causes is None:
        out.update(dict.fromkeys(_SCORED, NO))
        return
    lost, accepted = losses(tests, answer), answer.causes == 0
    out["bottom_auroc"] = auroc(-answer.score[tests.bottom], -answer.score[~tests.bottom])
    out["aurc"] = scores.aurc(lost, answer.score)
    out["excess_aurc"] = scores.excess_aurc(lost, answer.score)
    out["coverage_at_tau"] = share(accepted)
    out["risk_at_tau"] = share(lost[accepted] > 0)


def _division(out: Metrics, tests: TestSet, answer: Answer, arm: str) -> None:
    out["division_gap_max"] = NO
    if arm != "scm_rational" or answer.sections is None:
        return
    omega = tests.devices.omega
    plain = sections.divide(*sections.tuples(answer.sections[: tests.count], omega))
    use = (answer.lane_cause == 0) & (plain.cause == 0) & (plain.response != 0)
    strict, plainly = answer.curve.response[use], plain.response[use]
    apart = amplitude(strict - plainly) / amplitude(plainly)
    out["division_gap_max"] = float(apart.max()) if len(apart) else Null("empty_set")


def _noises(out: Metrics, tests: TestSet, arm: str) -> None:
    for name, key in _NOISES.items():
        out[f"rel_err_db_p50_{name}"] = NO
        if arm in members.IDENT_ARMS:
            stored = tests.member(arm, f"response_{key}")
            rows = members.ident_rows(tests.settings, len(stored) // len(members.BINS))
            db = Curve.sampled(tests.devices.take(rows), stored).error_db
            # A fit that failed has stored zeros, and zeros score 0 dB: it counts as refused.
            out[f"rel_err_db_p50_{name}"] = quantile(db, 0.5)
