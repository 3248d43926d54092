"""Heat maps: coloured cells and the bar that explains them.

The ramp is viridis (Nathaniel Smith and Stéfan van der Walt, 2015, CC0), by nine of its colours;
between them it is linear. Cell colours are data, so they stay as they are in the dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import six_digits
from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.pages import numbers
from zeroproofml.scm.errors import SCMValueError

if TYPE_CHECKING:
    from zeroproofml.report.figures.marks import Canvas

__all__ = ["MOST_CELLS", "Cells", "ColourBar", "ramp"]

MOST_CELLS = 48
_VIRIDIS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)
_LEVELS = 64
_BAR_GAP, _BAR_WIDTH = 8, 10


def ramp(share: float) -> str:
    """The colour at a share of the ramp, one of 64 steps; shares outside [0, 1] take its ends.

    >>> ramp(0.0), ramp(1.0), ramp(7.0)
    ('#440154', '#fde725', '#fde725')
    """
    level = round(min(max(six_digits(share), 0.0), 1.0) * (_LEVELS - 1)) / (_LEVELS - 1)
    place = level * (len(_VIRIDIS) - 1)
    index = min(int(place), len(_VIRIDIS) - 2)
    part = place - index
    mixed = (
        round(a + (b - a) * part) for a, b in zip(_VIRIDIS[index], _VIRIDIS[index + 1], strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid of coloured cells; None is blank, a hatched cell carries the semantic hatch on top.

    ``values[i][j]`` is the cell between ``x[i]``, ``x[i + 1]`` and ``y[j]``, ``y[j + 1]``.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float | None, ...], ...]
    low: float
    high: float
    hatched: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        columns, rows = len(self.x) - 1, len(self.y) - 1
        if max(columns, rows) > MOST_CELLS:
            msg = f"Cells: {columns} × {rows} cells; a map has at most {MOST_CELLS} each way"
            raise SCMValueError(msg)
        if len(self.values) != columns or any(len(each) != rows for each in self.values):
            msg = f"Cells: values must be {columns} columns of {rows} cells"
            raise SCMValueError(msg)

    def draw(self, canvas: Canvas) -> None:
        """Add one rectangle per cell that has a value, and the hatches."""
        for i, column in enumerate(self.values):
            for j, value in enumerate(column):
                if value is not None:
                    share = (value - self.low) / (self.high - self.low)
                    self._rect(canvas, i, j, f"fill:{ramp(share)}")
        for i, j in sorted(self.hatched):
            self._rect(canvas, i, j, canvas.hatch("sem"))

    def _rect(self, canvas: Canvas, i: int, j: int, style: str) -> None:
        left, right = canvas.x(self.x[i]), canvas.x(self.x[i + 1])
        top, bottom = canvas.y(self.y[j + 1]), canvas.y(self.y[j])
        svg.node(
            canvas.group,
            "rect",
            x=left,
            y=top,
            width=right - left,
            height=bottom - top,
            style=style,
        )


@dataclass(frozen=True, slots=True)
class ColourBar:
    """The ramp at the right of the plot, with ends and middle labelled; needs ``right=SIZE.right_bar``."""

    low: float
    high: float
    percent: bool = False

    def draw(self, canvas: Canvas) -> None:
        """Add the steps of the ramp and three labels."""
        left, steps = canvas.width + _BAR_GAP, 16
        height = canvas.height / steps
        for k in range(steps):
            svg.node(
                canvas.group,
                "rect",
                x=left,
                y=canvas.height - (k + 1) * height,
                width=_BAR_WIDTH,
                height=height + 0.5,
                style=f"fill:{ramp((k + 0.5) / steps)}",
            )
        for share in (0.0, 0.5, 1.0):
            value = self.low + share * (self.high - self.low)
            words = f"{100 * value:.0f} %" if self.percent else _short(value)
            y = canvas.height * (1 - share)
            drop = {0.0: 0.0, 0.5: 4.0, 1.0: 10.0}[share]
            svg.text_node(
                canvas.group,
                left + _BAR_WIDTH + 3,
                y + drop,
                words,
                class_="in",
                size=SIZE.inner,
            )


def _short(value: float) -> str:
    shown = numbers.value(value)
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown
