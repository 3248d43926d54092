"""``bundle_reference``: the reference lanes of a bundle in five strips, one per class, ⊥ hatched."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.figures.axes import Axis, Tick, linear_axis
from zeroproofml.report.figures.marks import Band, Glyph, HatchKind, Mark, Reference
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.reduce import MOST_POINTS
from zeroproofml.report.figures.style import SIZE, ArmStyle, arm_style
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Cell, Column, Figure, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "bundle_reference"]

CLASSES = ("finite", "gap", "fault", "semantic", "both")
_HATCH: dict[str, HatchKind] = {"fault": "fault", "semantic": "sem", "both": "both"}
_HALF = 0.4
_SOURCE = "reference/output_0.npy"


def bundle_reference(decoded: NDArray[Any], classes: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw decoded values by lane.

    Args:
        decoded: floats of any shape, NaN at ⊥.
        classes: class → bool mask of that shape; each lane is in exactly one.

    Returns:
        One plate; a strip is as high as the range of all finite values.

    >>> lanes = np.array([0.5, np.nan])
    >>> masks = {name: np.zeros(2, bool) for name in CLASSES}
    >>> masks["finite"][0] = masks["fault"][1] = True
    >>> made = bundle_reference(lanes, masks)
    >>> made.plates[0].account.drawn, dict(made.plates[0].account.bottom)
    (1, {'fault': 1})
    """
    values = decoded.ravel().astype(np.float64)
    finite = values[np.isfinite(values)]
    # asinh keeps every order of magnitude and both signs within one strip
    height = np.arcsinh(finite)
    low, high = (float(height.min()), float(height.max())) if finite.size else (0.0, 0.0)
    marks: list[Mark] = []
    rows: list[tuple[Cell, ...]] = []
    drawn, bottom = 0, {}
    budget = MOST_POINTS // 2
    for number, name in enumerate(CLASSES):
        lanes = np.flatnonzero(classes[name].ravel())
        centre = -float(number)
        if name in _HATCH:
            marks.append(Band(None, None, centre - _HALF, centre + _HALF, hatch=_HATCH[name]))
            if lanes.size:
                bottom[name] = int(lanes.size)
                marks += _ticks(lanes, centre, arm_style(number))
            rows.append((name, numbers.count(int(lanes.size)), *["undefined (⊥)"] * 3))
        else:
            kept = lanes[:: max(1, -(-lanes.size // budget))]
            drawn += int(kept.size)
            for lane in kept:
                share = (
                    (float(np.arcsinh(values[lane])) - low) / (high - low) if high > low else 0.5
                )
                y = centre - _HALF + 2 * _HALF * share
                marks.append(Glyph(float(lane), y, arm_style(number), radius=2.6))
            rows.append((name, numbers.count(int(lanes.size)), *_summary(values[lanes])))
        if number:
            marks.append(Reference(centre + 0.5, "", vertical=False, token="guide", dash=""))
    ticks = tuple(Tick(-float(n), f"{c}, {rows[n][1]}") for n, c in enumerate(CLASSES))
    y_axis = Axis(0.5 - len(CLASSES), 0.5, ticks, guides=False)
    x_axis = linear_axis([0.0, float(max(1, values.size - 1))], caption="lane", bounds=(0.0, None))
    reduced = int(finite.size) - drawn
    plate = Plate(
        "Strips by class",
        "Reference outputs by lane",
        "height within a strip: inverse hyperbolic sine of the decoded value",
        x_axis,
        y_axis,
        SIZE.square_height,
        Account(int(values.size), drawn, reduced, bottom),
        marks=tuple(marks),
        key=tuple(Key(f"⊥ {name}", hatch=_HATCH[name]) for name in bottom),
    )
    caption = "Each lane of the reference stands in the strip of its class; ⊥ lanes have no value."
    if reduced:
        caption += f" Drawn {numbers.count(drawn)} of {numbers.count(int(finite.size))} points."
    columns = (Column("class", align="left"), *map(Column, ("lanes", "min", "median", "max")))
    twin = Table("Decoded values by class", columns, tuple(rows), 0, (), None, _SOURCE)
    return Figure("bundle_reference", "Reference lanes by class", caption, (plate,), twin)


def _ticks(lanes: NDArray[Any], centre: float, arm: ArmStyle) -> list[Mark]:
    """One glyph per ⊥ lane, on the middle of its strip; many are thinned, their count is told."""
    kept = lanes[:: max(1, -(-lanes.size // 200))]
    return [Glyph(float(lane), centre, arm, radius=2.6) for lane in kept]


def _summary(values: NDArray[Any]) -> tuple[Cell, ...]:
    if values.size == 0:
        return ("undefined (no lane)",) * 3
    held = values.tolist()
    return tuple(numbers.value(v) for v in (min(held), median(held), max(held)))
