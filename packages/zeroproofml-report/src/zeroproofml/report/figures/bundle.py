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
from zeroproofml.report.figures.style import SIZE, arm_style
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Cell, Column, Figure, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "bundle_reference"]

CLASSES = ("finite", "gap", "fault", "semantic", "both")
_HATCH: dict[str, HatchKind] = {"fault": "fault", "semantic": "sem", "both": "both"}
_HALF = 0.4
_MOST_BANDS = 200
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
            if lanes.size:
                bottom[name] = int(lanes.size)
                marks += _bands(lanes, centre, _HATCH[name])
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
    x_axis = linear_axis([-0.5, float(values.size) - 0.5], caption="lane")
    reduced = int(finite.size) - drawn
    plate = Plate(
        "Strips by class",
        "Reference outputs by lane",
        "height within a strip: asinh of the decoded value",
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


def _bands(lanes: NDArray[Any], centre: float, hatch: HatchKind) -> list[Mark]:
    """A hatched band over each run of ⊥ lanes; with very many runs, near ones become one."""
    gap = 1
    while np.count_nonzero(np.diff(lanes) > gap) >= _MOST_BANDS:
        gap *= 2
    ends = np.flatnonzero(np.diff(lanes) > gap)
    first, last = lanes[[0, *(ends + 1)]], lanes[[*ends, -1]]
    return [
        Band(float(a) - 0.5, float(b) + 0.5, centre - _HALF, centre + _HALF, hatch=hatch)
        for a, b in zip(first, last, strict=True)
    ]


def _summary(values: NDArray[Any]) -> tuple[Cell, ...]:
    if values.size == 0:
        return ("undefined (no lane)",) * 3
    held = values.tolist()
    return tuple(numbers.value(v) for v in (min(held), median(held), max(held)))
