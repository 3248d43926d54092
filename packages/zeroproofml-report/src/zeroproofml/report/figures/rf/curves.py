"""Magnitude and phase of arms against the truth on one device, with every ⊥ lane in sight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from zeroproofml.report.domains.rf import sections
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.domains.rf.peaks import decibels
from zeroproofml.report.figures.axes import linear_axis, log_axis
from zeroproofml.report.figures.lines import Series, line_plate
from zeroproofml.report.figures.marks import Glyph, Label, Reference, SeedDot
from zeroproofml.report.figures.plate import Key
from zeroproofml.report.figures.rf.source import TRUTH
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.domains.ranking import Array, Mask
    from zeroproofml.report.domains.rf.classic import TestRows
    from zeroproofml.report.figures.axes import Axis
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.figures.plate import Plate
    from zeroproofml.report.figures.style import ArmStyle

WINDOW = 10.0
"""Half width of a close-up, in half-power bandwidths."""
_UNDER = 25.0
"""Decibels below the least of the truth at which a plate ends."""
View = Literal["band", "near"]


@dataclass(frozen=True)
class Shown:
    """One arm on one device: response (m,), cause of each lane (m,), and why it is refused."""

    arm: str
    style: ArmStyle
    response: Array
    cause: Array
    refused: str
    delta_db: float
    offset: float
    error_db: float
    peak: tuple[float, float]
    least: tuple[float, float] | None


@dataclass(frozen=True)
class Device:
    """One device: ω (m,), true response, its peak (ω, dB), damping, and the arms on it."""

    index: int
    omega: Array
    truth: Array
    peak: tuple[float, float]
    delta: float
    least: tuple[float, float]
    arms: tuple[Shown, ...]


def device_of(
    tests: TestSet | TestRows, index: int, arms: Sequence[str], styles: dict[str, ArmStyle]
) -> Device:
    """The device with this number among the stable ones, and those of ``arms`` that answer it."""
    devices = tests.devices
    lane = int(np.argmin(devices.denominator[index]))
    shown = [_shown(tests, arm, index, styles[arm]) for arm in arms]
    return Device(
        index,
        devices.omega[index],
        devices.truth[index],
        (float(devices.peak.omega[index]), float(devices.peak.db[index])),
        float(devices.delta[index]),
        (float(devices.omega[index, lane]), float(devices.denominator[index, lane])),
        tuple(each for each in shown if each is not None),
    )


def _shown(tests: TestSet | TestRows, arm: str, index: int, style: ArmStyle) -> Shown | None:
    answer = tests.answer(arm)
    places = np.flatnonzero(answer.rows == index)
    if not len(places):
        return None
    row, curve = int(places[0]), answer.curve
    size = curve.denominator
    least = None
    if size is not None and np.isfinite(size[row]).all():
        lane = int(np.argmin(size[row]))
        least = (float(curve.devices.omega[row, lane]), float(size[row, lane]))
    db = float(curve.peak.db[row])
    return Shown(
        arm,
        style,
        curve.response[row],
        answer.lane_cause[row],
        _refusal(tests, arm, index) if answer.bottom[row] else "",
        db - float(curve.devices.peak.db[row]) if np.isfinite(db) else 0.0,
        float(curve.offset[row]),
        float(curve.error_db[row]),
        (float(curve.peak.omega[row]), db),
        least,
    )


def _refusal(tests: TestSet | TestRows, arm: str, index: int) -> str:
    if not isinstance(tests, TestSet):
        return "refused"
    answer = tests.answer(arm)
    own = answer.score is not None and arm.endswith("_score")
    if answer.score is not None and own:
        return f"refused: score {numbers.value(float(answer.score[index]))}"
    if answer.sections is None:
        return "no fit"
    v = float(sections.validity(answer.sections[[index]])[0])
    return f"refused: V = {numbers.value(v)}" if np.isfinite(v) else "refused: fault"


def magnitude(device: Device, title: str, view: View, caption: str = "magnitude, dB") -> Plate:
    """|H| in dB over log ω, or close to the peak; circles mark the peaks of truth and arms."""
    x, inside, kept = _places(device, view)
    true = decibels(device.truth)
    held = [float(v) for v in true[inside]]
    for each in device.arms:
        seen = inside & (each.cause == 0)
        held += [float(v) for v in decibels(each.response[seen])]
    floor = float(true[inside].min()) - _UNDER
    lanes = [
        _series(each.arm, each.style, x, decibels(each.response), each.cause, kept)
        for each in device.arms
    ]
    lanes.append(_series("truth", TRUTH, x, true, None, kept, 1.3))
    y_axis = linear_axis([v for v in held if v >= floor])
    x_axis = _axis(x[inside], view)
    made = line_plate(
        title,
        caption,
        lanes,
        log_x=view == "band",
        x_axis=x_axis,
        y_axis=y_axis,
        over=tuple(_peaks(device, view, x_axis, y_axis)),
    )
    return _told(made, device) if view == "near" else made


def phase(device: Device, title: str, view: View) -> Plate:
    """Phase in ° with whole turns removed against the truth; at ⊥ it starts anew.

    Over the whole band, dashed lines show where each denominator is least, and how small it is.
    """
    x, inside, kept = _places(device, view)
    true = unwrapped(device.truth, np.ones(len(x), dtype=bool), None)
    lanes = [
        _series(
            each.arm,
            each.style,
            x,
            unwrapped(each.response, each.cause == 0, true),
            each.cause,
            kept,
        )
        for each in device.arms
    ]
    lanes.append(_series("truth", TRUTH, x, true, None, kept, 1.3))
    guides: list[Reference] = []
    if view == "band":
        found = [("truth", TRUTH, device.least)]
        found += [(each.arm, each.style, each.least) for each in device.arms if each.least]
        for row, (name, style, (at, size)) in enumerate(found):
            words = f"{name} {numbers.value(size)}"
            guides.append(Reference(at, words, token=style.token, drop=15.0 * row))
    return line_plate(
        title,
        "phase, °" if view == "near" else "phase, °; dashed: least abs Q, 1 at ω = 0",
        lanes,
        log_x=view == "band",
        x_axis=_axis(x[inside], view),
        references=tuple(guides),
    )


def unwrapped(response: Array, there: Mask, true: Array | None) -> Array:
    """Phase in ° (m,), unwrapped along each run of lanes that are there; 0 where none is.

    Whole turns are removed, run by run, so that the mean distance to ``true`` is least.

    >>> z = np.exp(1j * np.array([3.0, 3.3, 0.0, 3.4]))
    >>> there = np.array([True, True, False, True])
    >>> unwrapped(z, there, np.degrees(np.array([-3.3, -3.0, -2.9, -2.8]))).round(1).tolist()
    [-188.1, -170.9, 0.0, -165.2]
    """
    out = np.zeros(len(response))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        run = np.degrees(np.unwrap(np.angle(response[start:stop])))
        if true is not None:
            turns = round(float(np.mean(run - true[start:stop])) / 360)
            run = run - 360.0 * turns
        out[start:stop] = run
    return out


def _places(device: Device, view: View) -> tuple[Array, Mask, Array]:
    """Abscissa (m,), which lanes lie in view, and those of them that are drawn (k,).

    Points that fall on one place of the axis are one lane: the judge's grid repeats its ends.
    """
    x, inside = device.omega, np.ones(len(device.omega), dtype=bool)
    if view == "near":
        at = device.peak[0]
        x = (device.omega - at) / (device.delta * at)
        inside = np.asarray(np.abs(x) <= WINDOW)
    places = np.array([float(f"{v:.6g}") for v in x[inside].tolist()])
    return x, inside, np.flatnonzero(inside)[np.concatenate([[True], np.diff(places) > 0])]


def _axis(x: Array, view: View) -> Axis:
    ends = [float(x.min()), float(x.max())]
    if view == "band":
        return log_axis(ends, caption="ω/ω_ref, log scale")
    return linear_axis(ends, caption="detuning from the true peak, bandwidths")


def _series(
    name: str,
    style: ArmStyle,
    x: Array,
    y: Array,
    cause: Array | None,
    kept: Array,
    width: float = SIZE.line,
) -> Series:
    causes = np.zeros(len(kept), dtype=int) if cause is None else cause[kept]
    heights = np.where(causes == 0, y[kept], 0.0)
    return Series(
        name,
        style,
        tuple(x[kept].tolist()),
        tuple(heights.tolist()),
        tuple(causes.tolist()),
        width=width,
    )


def _peaks(device: Device, view: View, x_axis: Axis, y_axis: Axis) -> list[Mark]:
    def place(omega: float) -> float:
        at = device.peak[0]
        return omega if view == "band" else (omega - at) / (device.delta * at)

    marks: list[Mark] = []
    at, db = device.peak
    for each in device.arms:
        spot = place(each.peak[0]), each.peak[1]
        if not each.refused and x_axis.holds(spot[0]) and y_axis.holds(spot[1]):
            marks.append(SeedDot(*spot, each.style, f"{each.arm}: {peak_words(each)}"))
    if y_axis.holds(db):
        marks.append(Glyph(place(at), db, replace(TRUTH, glyph="ring"), "true peak"))
        words = f"{numbers.value(db)} dB at ω = {numbers.value(at)}"
        right = x_axis.place(place(at)) < 0.5
        marks.append(
            Label(place(at), db, words, "start" if right else "end", 9 if right else -9, 5)
        )
    for row, each in enumerate(e for e in device.arms if e.refused):
        words = f"{each.arm} {each.refused}"
        above = SIZE.rug_row * len(device.arms) + 6.0 + 15.0 * row
        marks.append(Label(x_axis.low, y_axis.low, words, dx=4, dy=-above))
    return marks


def peak_words(each: Shown) -> str:
    """Error of the highest peak, in dB and in half bandwidths; or why there is none."""
    if each.refused:
        return each.refused
    if not np.isfinite(each.peak[1]):
        return "no peak"
    return f"{signed(each.delta_db)} dB, {signed(each.offset)} hbw"


def signed(x: float) -> str:
    """An error with its sign and at most two decimals, short enough for a key.

    >>> signed(-0.0068), signed(9.571), signed(-437.2)
    ('−0.01', '+9.57', '−437')
    """
    return f"{x:+.{0 if abs(x) >= 100 else 2}f}".replace("-", "−")


def _told(plate: Plate, device: Device) -> Plate:
    """The key with the errors of each peak beside its arm."""
    words = {each.arm: peak_words(each) for each in device.arms}
    key: list[Key] = []
    for entry in plate.key:
        name = str(entry.words).partition(",")[0]
        if entry.arm is None:
            key += [entry, Key("")]
        else:
            key += [entry, Key(words.get(name, "errors of the peak"))]
    rows = -(-len(key) // 2) - -(-len(plate.key) // 2)
    return replace(plate, key=tuple(key), height=plate.height + SIZE.key_row * rows)
