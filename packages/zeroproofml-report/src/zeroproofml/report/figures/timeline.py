"""Curves over time with the states of the system as labelled strips below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.lines import Series, line_plate
from zeroproofml.report.figures.marks import Canvas, HatchKind
from zeroproofml.report.figures.plate import Plate
from zeroproofml.report.figures.style import LIGHT, SIZE
from zeroproofml.report.pages.text import Text

__all__ = ["Strip", "timeline_plate"]


@dataclass(frozen=True, slots=True)
class Strip:
    """States over time: (start, end, state); the look of each state is given by ``looks``."""

    label: str | Text
    spans: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class _Strips:
    strips: tuple[Strip, ...]
    looks: tuple[tuple[str, str | None, HatchKind | None], ...]

    def draw(self, canvas: Canvas) -> None:
        looks = {name: (token, hatch) for name, token, hatch in self.looks}
        for row, strip in enumerate(self.strips):
            top = canvas.height + 6 + 22 * row
            for start, end, state in strip.spans:
                token, hatch = looks[state]
                left, right = canvas.x(start), canvas.x(end)
                style = canvas.hatch(hatch) if hatch else f"fill:{LIGHT[token or 'guide']}"
                style += f";stroke:{LIGHT['axis']};stroke-width:0.6"
                svg.node(
                    canvas.group, "rect", x=left, y=top, width=right - left, height=14, style=style
                )
                if svg.text_width(state, SIZE.inner) + 8 <= right - left:
                    middle = (left + right) / 2
                    svg.text_node(canvas.group, middle, top + 11.5, state, class_="in mid")
            svg.text_node(
                canvas.group, -7, top + 11.5, strip.label, class_="in end", width=90,
                size=SIZE.inner,
            )  # fmt: skip


def timeline_plate(
    title: str | Text,
    caption: str | Text,
    series: Sequence[Series],
    strips: Sequence[Strip],
    looks: Mapping[str, tuple[str | None, HatchKind | None]],
    *,
    x_caption: str | Text = "time",
    log_y: bool = False,
    direction: str = "",
) -> Plate:
    """Curves over time, and under them one strip per sequence of states.

    Args:
        title, caption, direction: as on every plate.
        series: curves; ⊥ lanes as in every line plot.
        strips: sequences of states.
        looks: state → (colour token or None, hatch or None).
        x_caption: what stands under the axis.
        log_y: take log10 of y.

    Returns:
        A plate; its account covers the curves.

    >>> from zeroproofml.report.figures.style import arm_style
    >>> curve = Series("scm", arm_style(0), (0.0, 1.0), (1.0, 2.0))
    >>> route = Strip("route", ((0.0, 1.0, "direct"),))
    >>> timeline_plate("path", "m", [curve], [route], {"direct": ("guide", None)}).below
    22
    """
    made = line_plate(
        title,
        caption,
        series,
        x_caption=x_caption,
        log_y=log_y,
        direction=direction,
        kind="Timeline",
        height=SIZE.lines_height + 22 * len(strips),
    )
    drawn = _Strips(
        tuple(strips), tuple((name, token, hatch) for name, (token, hatch) in looks.items())
    )
    return replace(made, marks=(*made.marks, drawn), below=22 * len(strips))
