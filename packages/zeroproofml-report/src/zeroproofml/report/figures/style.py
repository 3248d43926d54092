"""Colours, sizes and strokes of every plate and of the page, as data.

Light values are written into SVG files, so that any converter can use them; inside a page they
become CSS variables, which is what dark mode needs. The arm colours are Okabe and Ito's (2008);
orange, sky blue and yellow of that palette do not reach 3:1 on white and are replaced or unused.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ARMS",
    "DARK",
    "FONT",
    "LIGHT",
    "SIZE",
    "ArmStyle",
    "Sizes",
    "arm_style",
]

FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif'

LIGHT = {
    "ground": "#ffffff",
    "ink": "#1a1a1a",
    "muted": "#555555",
    "guide": "#e3e3e3",
    "axis": "#767676",
    "rule": "#d5d5d5",
    "fault": "#b00020",
    "warn": "#a15c00",
    "warnground": "#fff4d6",
    "arm0": "#0072b2",
    "arm1": "#d55e00",
    "arm2": "#009e73",
    "arm3": "#cc79a7",
    "arm4": "#8a5a00",
    "arm5": "#3a8fc7",
}

DARK = {
    "ground": "#15171a",
    "ink": "#ececec",
    "muted": "#b4b8bd",
    "guide": "#2d3136",
    "axis": "#868c93",
    "rule": "#3a3f45",
    "fault": "#ff7a85",
    "warn": "#f2b632",
    "warnground": "#33290f",
    "arm0": "#4fa8e0",
    "arm1": "#ff8a3d",
    "arm2": "#2cc29a",
    "arm3": "#e79cc6",
    "arm4": "#d6a45a",
    "arm5": "#8ccbf0",
}


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """How one arm is drawn everywhere: colour token, glyph, dash; hollow from the eighth on."""

    token: str
    glyph: str
    dash: str
    hollow: bool = False

    @property
    def colour(self) -> str:
        """The light hex value."""
        return LIGHT[self.token]


ARMS = (
    ArmStyle("arm0", "circle", ""),
    ArmStyle("arm1", "square", "7 3"),
    ArmStyle("arm2", "triangle", "2 3"),
    ArmStyle("arm3", "diamond", "9 3 2 3"),
    ArmStyle("arm4", "cross", "5 2"),
    ArmStyle("arm5", "ring", "1 2"),
    ArmStyle("ink", "plus", "12 4"),
)


def arm_style(index: int) -> ArmStyle:
    """Style of the arm at this place of the protocol's declared order.

    >>> arm_style(0).glyph, arm_style(7).glyph, arm_style(7).hollow
    ('circle', 'circle', True)
    """
    base = ARMS[index % len(ARMS)]
    if index < len(ARMS):
        return base
    return ArmStyle(base.token, base.glyph, base.dash, hollow=True)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of a plate in user units (its viewBox is 440 wide)."""

    width: int = 440
    row: int = 32
    dots_base: int = 96
    lines_height: int = 320
    square_height: int = 400
    top: int = 54
    top_bare: int = 38
    right: int = 22
    right_bar: int = 60
    bottom: int = 14
    key_row: int = 20
    x_caption: int = 28
    title: int = 16
    text: int = 14
    inner: int = 13
    em: float = 0.56
    line: float = 2.0
    whisker: float = 2.0
    cap: float = 8.0
    reference: float = 1.2
    glyph: float = 5.5
    seed: float = 2.6
    seed_drop: float = 0.34
    rug: float = 8.0
    rug_row: float = 10.0
    hatch: float = 7.0
    label_gap: float = 8.0
    sheet_width: int = 904
    sheet_gap: int = 24
    sheet_title: int = 18


SIZE = Sizes()
