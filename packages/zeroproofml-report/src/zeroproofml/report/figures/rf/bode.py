"""`rf_bode_seed_<n>`: responses of representative devices, whole and close to the peak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zeroproofml.report.domains.rf import traces
from zeroproofml.report.domains.rf.peaks import decibels
from zeroproofml.report.figures.plate import aligned
from zeroproofml.report.figures.rf.curves import Device, Shown, device_of, magnitude, phase
from zeroproofml.report.figures.rf.source import WORDS
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.figures.rf.source import Source
    from zeroproofml.report.pages.model import Cell

ARMS = {
    "standard": ("scm_rational", "rational_softplus", "mlp_abs", "mlp_deep", "two_stage"),
    "classic": (
        "scm_transfer",
        "scm_transfer_rel",
        "mlp_iso_silu",
        "rational_transfer",
        "two_stage",
    ),
}
_FILE = "seed_<n>/rf_signal_traces.npz"


def bode(source: Source) -> Figure | NotDrawn:
    """Two pairs of plates per representative device of the first seed."""
    if not source.seeds:
        return NotDrawn("rf_bode", "no seed is complete")
    seed = source.seeds[0]
    slug = f"rf_bode_seed_{seed}"
    protocol = source.run.config.protocol.name
    there = source.arms(seed)
    arms = [arm for arm in ARMS[protocol] if arm in there]
    if not arms:
        return NotDrawn(slug, "no arm of this figure gave an answer")
    settings = cast("Any", source.run.config.settings)
    tests = source.tests(seed)
    plates, rows = [], []
    for trace in traces.representatives(tests, settings["representatives"]):
        device = device_of(tests, trace.device, arms, source.styles)
        name = f"Q {numbers.value(1 / device.delta)}, device {device.index}"
        plates += [
            magnitude(device, f"{name}: magnitude", "band"),
            phase(device, f"{name}: phase", "band"),
            magnitude(device, f"{name}: close to the peak", "near"),
            phase(device, f"{name}: phase close to the peak", "near"),
        ]
        rows += [_row(device, WORDS[trace.group], each) for each in device.arms]
    twin = Table(
        "Peaks and magnitudes of the drawn devices",
        (
            Column("device"),
            Column("set", align="left"),
            Column("true peak", "dB"),
            Column("at ω"),
            Column("arm", align="left"),
            Column("peak", "dB off"),
            Column("peak", "half bandwidths off"),
            Column("relative error", "dB"),
            Column("least, greatest magnitude", "dB"),
            Column("⊥ lanes"),
            Column("min abs Q at ω", align="left"),
        ),
        tuple(rows),
        source.planned,
        (seed,),
        None,
        _FILE,
    )
    caption = (
        f"Seed {seed}; {traces.RULE.partition(';')[0]}. Black: truth, above the arms. Hatched: ⊥, "
        "with a tick per arm at the foot; a refused device is ⊥ everywhere. Ring: true peak; small "
        "circles: peaks of the arms, their errors in the key of the close-up (hbw: half of the "
        "half-power bandwidth). Dashed: where a denominator, 1 at ω = 0, is least."
    )
    return Figure(slug, "Responses of representative devices", caption, aligned(plates), twin)


def _row(device: Device, words: str, each: Shown) -> tuple[Cell, ...]:
    answered = each.cause == 0
    db = decibels(each.response[answered])
    span = "all lanes ⊥"
    if len(db):
        span = f"{numbers.value(float(db.min()))}, {numbers.value(float(db.max()))}"
    lost = int((~answered).sum())
    least = each.least
    return (
        str(device.index),
        words,
        numbers.value(device.peak[1]),
        numbers.value(device.peak[0]),
        Code(each.arm),
        each.refused or numbers.difference(each.delta_db),
        "none" if each.refused else numbers.difference(each.offset),
        numbers.value(0.0 if each.refused else each.error_db),
        span,
        numbers.count(lost),
        "none" if least is None else f"{numbers.value(least[1])} at {numbers.value(least[0])}",
    )
