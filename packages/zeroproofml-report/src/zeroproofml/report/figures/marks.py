"""What is placed on a plate besides lines: glyphs, whiskers, bands, references, hatches, labels.

A mark is a frozen value in data coordinates; ``draw`` puts it onto a canvas, which knows how data
become user units. Colours are style attributes with token values, never presentation attributes:
a page replaces them by variables there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.style import LIGHT, SIZE, ArmStyle
from zeroproofml.report.pages.text import Text

__all__ = [
    "Band",
    "Canvas",
    "Glyph",
    "HatchKind",
    "Label",
    "Mark",
    "Reference",
    "Rug",
    "SeedDot",
    "Segment",
    "UndefinedRow",
    "Whisker",
    "draw_glyph",
]

HatchKind = Literal["sem", "fault", "both"]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a mark is drawn: the plot's group, its size, and the way from data to user units."""

    group: svg.Node
    width: float
    height: float
    x: Callable[[float], float]
    y: Callable[[float], float]
    id: str

    def hatch(self, kind: HatchKind) -> str:
        """A style that fills with the hatch of this plate."""
        return f"fill:url(#{self.id}-{kind})"


class Mark(Protocol):
    """Anything that can be drawn onto a canvas."""

    def draw(self, canvas: Canvas) -> None:
        """Add this mark's nodes to the canvas."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """An arm's glyph at a value."""

    x: float
    y: float
    arm: ArmStyle
    title: str | Text = ""
    radius: float = SIZE.glyph

    def draw(self, canvas: Canvas) -> None:
        """Add the glyph."""
        made = draw_glyph(
            canvas.group, canvas.x(self.x), canvas.y(self.y), self.arm, radius=self.radius
        )
        _titled(made, self.title)


@dataclass(frozen=True, slots=True)
class SeedDot:
    """One seed: a small open circle in the arm's colour."""

    x: float
    y: float
    arm: ArmStyle
    title: str | Text = ""

    def draw(self, canvas: Canvas) -> None:
        """Add the circle."""
        made = svg.node(
            canvas.group,
            "circle",
            cx=canvas.x(self.x),
            cy=canvas.y(self.y),
            r=SIZE.seed,
            class_="open",
            style=f"stroke:{self.arm.colour}",
        )
        _titled(made, self.title)


@dataclass(frozen=True, slots=True)
class Whisker:
    """An interval with caps; an end that has no place on the axis (None) is an arrow to the edge."""

    low: float | None
    high: float | None
    at: float
    arm: ArmStyle
    vertical: bool = False

    def draw(self, canvas: Canvas) -> None:
        """Add the bar and its two ends."""
        along, across = (canvas.y, canvas.x) if self.vertical else (canvas.x, canvas.y)
        first, last = (canvas.height, 0.0) if self.vertical else (0.0, canvas.width)
        start = first if self.low is None else along(self.low)
        end = last if self.high is None else along(self.high)
        middle, half = across(self.at), SIZE.cap / 2
        pieces = [self._point("M", start, middle), self._point("L", end, middle)]
        for value, place, inward in ((self.low, start, 1), (self.high, end, -1)):
            if self.vertical:
                inward = -inward
            if value is None:
                back = place + 5 * inward
                pieces += [
                    self._point("M", back, middle - half),
                    self._point("L", place, middle),
                    self._point("L", back, middle + half),
                ]
            else:
                pieces += [
                    self._point("M", place, middle - half),
                    self._point("L", place, middle + half),
                ]
        style = f"stroke:{self.arm.colour};stroke-width:{SIZE.whisker:g}"
        svg.node(canvas.group, "path", d="".join(pieces), class_="ln", style=style)

    def _point(self, letter: str, along: float, across: float) -> str:
        x, y = (across, along) if self.vertical else (along, across)
        return f"{letter}{svg.number(x)} {svg.number(y)}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line between two points; hairlines, medians, box edges."""

    x0: float
    y0: float
    x1: float
    y1: float
    token: str = "axis"
    width: float = 1.0
    dash: str = ""

    def draw(self, canvas: Canvas) -> None:
        """Add the line."""
        points = [canvas.x(self.x0), canvas.y(self.y0), canvas.x(self.x1), canvas.y(self.y1)]
        x0, y0, x1, y1 = map(svg.number, points)
        style = f"stroke:{LIGHT[self.token]};stroke-width:{self.width:g}"
        if self.dash:
            style += f";stroke-dasharray:{self.dash}"
        svg.node(canvas.group, "path", d=f"M{x0} {y0}L{x1} {y1}", class_="ln", style=style)


@dataclass(frozen=True, slots=True)
class Band:
    """A rectangle between two values of each axis (None: to the edge), tinted or hatched."""

    x0: float | None
    x1: float | None
    y0: float | None = None
    y1: float | None = None
    token: str = "guide"
    opacity: float = 0.6
    hatch: HatchKind | None = None
    outline: bool = False
    title: str | Text = ""

    def draw(self, canvas: Canvas) -> None:
        """Add the rectangle."""
        left = 0.0 if self.x0 is None else canvas.x(self.x0)
        right = canvas.width if self.x1 is None else canvas.x(self.x1)
        bottom = canvas.height if self.y0 is None else canvas.y(self.y0)
        top = 0.0 if self.y1 is None else canvas.y(self.y1)
        least = 6.0 if self.hatch else 0.0
        if right - left < least:  # a single ⊥ sample must stay visible
            centre = (left + right) / 2
            left, right = centre - least / 2, centre + least / 2
        style = (
            canvas.hatch(self.hatch)
            if self.hatch
            else f"fill:{LIGHT[self.token]};fill-opacity:{self.opacity:g}"
        )
        if self.outline:
            style = f"fill:none;stroke:{LIGHT[self.token]};stroke-width:1"
        made = svg.node(
            canvas.group,
            "rect",
            x=left,
            y=top,
            width=right - left,
            height=bottom - top,
            style=style,
        )
        _titled(made, self.title)


@dataclass(frozen=True, slots=True)
class Reference:
    """A dashed line at one value with its label at the line."""

    value: float
    label: str | Text
    vertical: bool = True
    token: str = "ink"
    dash: str = "4 3"
    drop: float = 0.0

    def draw(self, canvas: Canvas) -> None:
        """Add the line and its label, on the side where there is more room."""
        style = f"stroke:{LIGHT[self.token]};stroke-width:{SIZE.reference:g}"
        if self.dash:
            style += f";stroke-dasharray:{self.dash}"
        words = str(self.label)
        if not self.vertical:
            y = canvas.y(self.value)
            path = f"M0 {svg.number(y)}H{svg.number(canvas.width)}"
            svg.node(canvas.group, "path", d=path, class_="ln", style=style)
            if words:
                above = y - 4 if y > SIZE.inner + 6 else y + SIZE.inner
                svg.text_node(
                    canvas.group,
                    canvas.width - 2,
                    above,
                    words,
                    class_="in end",
                    width=canvas.width - 8,
                    size=SIZE.inner,
                )
            return
        x = canvas.x(self.value)
        path = f"M{svg.number(x)} 0V{svg.number(canvas.height)}"
        svg.node(canvas.group, "path", d=path, class_="ln", style=style)
        if words:
            room = canvas.width - x
            right = room >= svg.text_width(words, SIZE.inner) + 6 or room >= x
            svg.text_node(
                canvas.group,
                x + 4 if right else x - 4,
                SIZE.inner - 1 + self.drop,
                words,
                class_="in" if right else "in end",
                width=(room if right else x) - 6,
                size=SIZE.inner,
            )


@dataclass(frozen=True, slots=True)
class UndefinedRow:
    """A row whose mean does not exist: hatched, with the reason on a solid box."""

    y: float
    words: str
    half: float = 0.36

    def draw(self, canvas: Canvas) -> None:
        """Add hatch, box and words."""
        top, bottom = canvas.y(self.y + self.half), canvas.y(self.y - self.half)
        svg.node(
            canvas.group,
            "rect",
            x=0,
            y=top,
            width=canvas.width,
            height=bottom - top,
            style=canvas.hatch("sem"),
        )
        size = svg.text_width(self.words, SIZE.inner) + 12
        middle = (top + bottom) / 2
        box = min(size, canvas.width - 8)
        svg.node(canvas.group, "rect", x=8, y=middle - 9, width=box, height=18, class_="box")
        svg.text_node(
            canvas.group,
            14,
            middle + 4.5,
            self.words,
            class_="in",
            width=box - 8,
            size=SIZE.inner,
        )


@dataclass(frozen=True, slots=True)
class Rug:
    """Ticks at the foot, one per ⊥ sample, in the arm's colour; row 0 is the lowest."""

    at: tuple[float, ...]
    arm: ArmStyle
    row: int = 0

    def draw(self, canvas: Canvas) -> None:
        """Add the ticks as one path; more than 200 are merged where they touch."""
        foot = canvas.height - self.row * SIZE.rug_row - 1
        places = sorted(canvas.x(x) for x in self.at)
        spans: list[list[float]] = []
        for place in places:
            if len(places) > 200 and spans and place - spans[-1][1] <= 2:
                spans[-1][1] = place
            else:
                spans.append([place, place])
        pieces = []
        for start, end in spans:
            if end - start < 1.5:
                centre = svg.number((start + end) / 2)
                pieces.append(f"M{centre} {svg.number(foot)}v{svg.number(-SIZE.rug)}")
            else:
                middle = svg.number(foot - SIZE.rug / 2)
                pieces.append(f"M{svg.number(start)} {middle}H{svg.number(end)}")
        style = f"stroke:{self.arm.colour};stroke-width:1.5"
        svg.node(canvas.group, "path", d="".join(pieces), class_="ln", style=style)


@dataclass(frozen=True, slots=True)
class Label:
    """Words inside the plot."""

    x: float
    y: float
    words: str | Text
    anchor: Literal["start", "middle", "end"] = "start"
    dx: float = 0.0
    dy: float = 0.0
    width: float | None = None
    muted: bool = False

    def draw(self, canvas: Canvas) -> None:
        """Add the words with a halo in the ground colour."""
        side = {"start": "", "middle": " mid", "end": " end"}[self.anchor]
        svg.text_node(
            canvas.group,
            canvas.x(self.x) + self.dx,
            canvas.y(self.y) + self.dy,
            self.words,
            class_=f"in{side}{' mut' if self.muted else ''}",
            width=self.width,
            size=SIZE.inner,
        )


def draw_glyph(
    group: svg.Node, x: float, y: float, arm: ArmStyle, *, radius: float = SIZE.glyph
) -> svg.Node:
    """Draw an arm's glyph at a place in user units.

    >>> draw_glyph(svg.node(None, "g"), 10, 10, ArmStyle("arm0", "circle", "")).attrib["r"]
    '5.5'
    """
    colour = arm.colour
    if arm.glyph in {"cross", "plus"}:
        arms = _shape(arm.glyph, x, y, radius)
        svg.node(group, "path", d=arms, class_="ln halo")
        style = f"stroke:{colour};stroke-width:{1.4 if arm.hollow else 2.6}"
        return svg.node(group, "path", d=arms, class_="ln", style=style)
    if arm.glyph == "ring" or arm.hollow:
        style = f"fill:{LIGHT['ground']};stroke:{colour};stroke-width:2"
        radius = radius - 1
    else:
        style = f"fill:{colour};stroke:{LIGHT['ground']};stroke-width:1"
    if arm.glyph in {"circle", "ring"}:
        return svg.node(group, "circle", cx=x, cy=y, r=radius, style=style)
    return svg.node(group, "path", d=_shape(arm.glyph, x, y, radius), style=style)


def _shape(glyph: str, x: float, y: float, r: float) -> str:
    n = svg.number
    if glyph == "square":
        s = 0.88 * r
        return f"M{n(x - s)} {n(y - s)}h{n(2 * s)}v{n(2 * s)}h{n(-2 * s)}Z"
    if glyph == "triangle":
        return f"M{n(x)} {n(y - 1.1 * r)}L{n(x + r)} {n(y + 0.8 * r)}L{n(x - r)} {n(y + 0.8 * r)}Z"
    if glyph == "diamond":
        s = 1.15 * r
        return f"M{n(x)} {n(y - s)}L{n(x + s)} {n(y)}L{n(x)} {n(y + s)}L{n(x - s)} {n(y)}Z"
    if glyph == "plus":
        return f"M{n(x - r)} {n(y)}h{n(2 * r)}M{n(x)} {n(y - r)}v{n(2 * r)}"
    s = 0.8 * r
    return (
        f"M{n(x - s)} {n(y - s)}l{n(2 * s)} {n(2 * s)}M{n(x - s)} {n(y + s)}l{n(2 * s)} {n(-2 * s)}"
    )


def _titled(made: svg.Node, title: str | Text) -> None:
    if str(title):
        svg.node(made, "title").text = str(title)
