"""Confusion matrices: row shares on one hue, refused lanes in a hatched column of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import Axis, Tick
from zeroproofml.report.figures.marks import Canvas
from zeroproofml.report.figures.plate import Account, Plate
from zeroproofml.report.figures.style import LIGHT, SIZE
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = ["confusion_plate"]


@dataclass(frozen=True, slots=True)
class _Matrix:
    counts: tuple[tuple[int, ...], ...]
    refused: tuple[int, ...] | None

    def draw(self, canvas: Canvas) -> None:
        columns = len(self.counts[0]) + (self.refused is not None)
        for row, counts in enumerate(self.counts):
            lost = self.refused[row] if self.refused is not None else 0
            total = sum(counts) + lost
            for column in range(columns):
                hatched = self.refused is not None and column == columns - 1
                n = lost if hatched else counts[column]
                self._cell(canvas, row, column, n, total, hatched)
            if total == 0:
                svg.text_node(
                    canvas.group,
                    canvas.width / 2,
                    canvas.y(-row) + 4.5,
                    "no sample",
                    class_="in mid mut",
                )

    @staticmethod
    def _cell(canvas: Canvas, row: int, column: int, n: int, total: int, hatched: bool) -> None:
        left, right = canvas.x(column - 0.5), canvas.x(column + 0.5)
        top, foot = canvas.y(0.5 - row), canvas.y(-0.5 - row)
        size = {"x": left + 1, "y": top + 1, "width": right - left - 2, "height": foot - top - 2}
        outline = f"stroke:{LIGHT['rule']};stroke-width:1"
        share = n / total if total else 0.0
        if hatched and n:
            svg.node(canvas.group, "rect", size, style=f"{canvas.hatch('sem')};{outline}")
        else:
            fill = f"fill:{LIGHT['arm0']};fill-opacity:{svg.number(0.85 * share)}"
            svg.node(canvas.group, "rect", size, style=f"{fill};{outline}")
        if total:
            middle = (top + foot) / 2
            words = f"{numbers.percent(share)}"
            width = svg.text_width(f"({numbers.count(n)})", SIZE.inner) + 12
            width = max(width, svg.text_width(words, SIZE.inner) + 12)
            centre = (left + right) / 2
            svg.node(
                canvas.group, "rect", x=centre - width / 2, y=middle - 17, width=width, height=34,
                style=f"fill:{LIGHT['ground']};fill-opacity:0.9",
            )  # fmt: skip
            svg.text_node(canvas.group, centre, middle - 3, words, class_="in mid")
            svg.text_node(
                canvas.group, centre, middle + 13, f"({numbers.count(n)})", class_="in mid mut"
            )


def confusion_plate(
    title: str | Text,
    labels: Sequence[str | Text],
    counts: Sequence[Sequence[int]],
    *,
    refused: Sequence[int] | None = None,
    predicted: Sequence[str | Text] | None = None,
    lost_words: str = "refused",
) -> Plate:
    """A confusion matrix.

    Args:
        title: of the plate.
        labels: true classes, from the top.
        counts: lanes by true class (rows) and predicted class (columns).
        refused: lanes per true class that the arm refused; a hatched last column.
        predicted: predicted classes; the true ones by default.
        lost_words: what the hatched column holds.

    Returns:
        A plate of height 400; refused lanes count as ⊥.

    >>> made = confusion_plate("scm", ["low", "high"], [[8, 1], [0, 5]], refused=[1, 2])
    >>> made.account.lanes, made.account.bottom
    (17, {'refused': 3})
    """
    names = [*(predicted or labels), *([lost_words] if refused is not None else [])]
    if any(len(row) != len(predicted or labels) for row in counts) or len(counts) != len(labels):
        msg = "confusion_plate: counts need one row per label and one column per predicted class"
        raise SCMValueError(msg)
    lost = sum(refused or ())
    lanes = sum(map(sum, counts)) + lost
    x = Axis(
        -0.5,
        len(names) - 0.5,
        tuple(Tick(float(i), name) for i, name in enumerate(names)),
        "predicted",
        guides=False,
    )
    y = Axis(
        0.5 - len(labels),
        0.5,
        tuple(Tick(-float(i), name) for i, name in enumerate(labels)),
        guides=False,
    )
    return Plate(
        "Confusion matrix",
        title,
        "true class by row: share of the row and (count)",
        x,
        y,
        SIZE.square_height,
        Account(lanes, lanes - lost, bottom={lost_words: lost} if refused is not None else {}),
        marks=(_Matrix(tuple(map(tuple, counts)), None if refused is None else tuple(refused)),),
    )
