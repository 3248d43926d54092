"""Lines, steps and scatters over two axes, with every ⊥ sample in sight.

A ⊥ lane is a gap in its line, a hatched band over the full height and a tick at the foot in the
arm's colour; a value that a log axis cannot hold goes to a hatched strip beside the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zeroproofml.report.figures.axes import Axis, linear_axis, log_axis, log_strip_axis
from zeroproofml.report.figures.marks import Band, Glyph, HatchKind, Mark, Reference, Rug, SeedDot
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.reduce import reduce_line, shares
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.cause import FAULT, SEMANTIC
from zeroproofml.scm.errors import SCMValueError

__all__ = ["CAUSE_WORDS", "MOST_ARMS", "Series", "cause_class", "line_plate"]

MOST_ARMS = 6
_MOST_DOTS = 300
CAUSE_WORDS = {"sem": "semantic", "fault": "fault", "both": "both", "strip": "not on a log axis"}


@dataclass(frozen=True, slots=True)
class Series:
    """One curve or point set: payload, and the cause of every lane that is ⊥ (0: it is not)."""

    label: str | Text
    arm: ArmStyle
    x: tuple[float, ...]
    y: tuple[float, ...]
    cause: tuple[int, ...] = ()
    points: bool = False
    step: bool = False
    width: float = SIZE.line
    dash: str | None = None

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.cause or self.x):
            msg = f"Series {self.label}: x, y and cause must be equally long"
            raise SCMValueError(msg)
        for x, y, cause in zip(self.x, self.y, self.cause or (0,) * len(self.x), strict=True):
            if not math.isfinite(x) or not (cause or math.isfinite(y)):
                msg = f"Series {self.label}: a payload that is not finite needs a cause"
                raise SCMValueError(msg)


def cause_class(cause: int) -> HatchKind:
    """Which of the three kinds of ⊥ a cause is.

    >>> cause_class(2), cause_class(4), cause_class(2 | 4)
    ('fault', 'sem', 'both')
    """
    fault, semantic = cause & int(FAULT), cause & int(SEMANTIC)
    if fault and semantic:
        return "both"
    return "fault" if fault else "sem"


def line_plate(
    title: str | Text,
    caption: str | Text,
    series: Sequence[Series],
    *,
    x_caption: str | Text = "",
    direction: str = "",
    log_x: bool = False,
    log_y: bool = False,
    x_axis: Axis | None = None,
    y_axis: Axis | None = None,
    references: tuple[Reference, ...] = (),
    under: tuple[Mark, ...] = (),
    over: tuple[Mark, ...] = (),
    height: int = SIZE.lines_height,
    kind: str = "Line plot",
) -> Plate:
    """Draw series over two axes.

    Args:
        title, caption, direction: as on every plate.
        series: at most six; more belong on further plates.
        x_caption: what stands under the axis.
        log_x, log_y: take log10; values ≤ 0 go to the strip.
        x_axis, y_axis: given axes; values beyond them are counted as out of range.
        references: lines with labels.
        under, over: marks below and above the series.
        height: of the plate before the key.
        kind: first words of the description.

    Returns:
        A plate whose account covers every lane of every series.

    >>> from zeroproofml.report.figures.style import arm_style
    >>> curve = Series("scm", arm_style(0), (0.0, 1.0, 2.0), (0.0, 0.0, 4.0), (0, 4, 0))
    >>> made = line_plate("response", "gain", [curve])
    >>> made.account.drawn, made.account.bottom, made.lines[0].points
    (2, {'semantic': 1}, ((0.0, 0.0), (1.0, None), (2.0, 4.0)))
    """
    if len(series) > MOST_ARMS:
        msg = f"line_plate: {len(series)} series; at most {MOST_ARMS} on a plate, use several"
        raise SCMValueError(msg)
    sorted_lanes = [_Lanes.of(s, log_x, log_y) for s in series]
    x, strip_x = _axis(x_axis, [v for s in sorted_lanes for v in s.xs], log_x, x_caption,
                       any(s.strip_x for s in sorted_lanes))  # fmt: skip
    y, strip_y = _axis(y_axis, [v for s in sorted_lanes for v in s.ys], log_y, "",
                       any(s.strip_y for s in sorted_lanes))  # fmt: skip
    drawn = reduced = outside = 0
    bottom: dict[str, int] = {}
    lines: list[Line] = []
    marks: list[Mark] = list(under)
    rugs: list[Mark] = []
    key: list[Key] = []
    budget = shares([len(s.x) for s in series])
    for row, (one, lanes, most) in enumerate(zip(series, sorted_lanes, budget, strict=True)):
        points, out = _inside(lanes.points, x, y)
        kept, dropped = reduce_line(points, most)
        shown = [(a, b) for a, b in kept if b is not None]
        drawn, reduced, outside = drawn + len(shown), reduced + dropped, outside + out
        for _, cause in lanes.bottom:
            word = CAUSE_WORDS[cause_class(cause)]
            bottom[word] = bottom.get(word, 0) + 1
        lost = len(lanes.strip_x) + len(lanes.strip_y)
        if lost:
            bottom[CAUSE_WORDS["strip"]] = bottom.get(CAUSE_WORDS["strip"], 0) + lost
        if not one.points:
            lines.append(
                Line(
                    _stepped(kept) if one.step else kept,
                    one.arm,
                    one.label,
                    one.width,
                    dash=one.dash,
                )
            )
        if one.points or len(shown) < _MOST_DOTS // 10:
            marks += [Glyph(a, b, one.arm, radius=3.5) for a, b in shown]
        marks += [
            Band(a, b, hatch=h) for a, b, h in lanes.bands(x.log) if x.holds(a) and x.holds(b)
        ]
        places = tuple(a for a, _ in lanes.bottom if x.holds(a))
        if places:
            rugs.append(Rug(places, one.arm, row))
        rugs += _on_strips(lanes, one.arm, x, y, strip_x, strip_y)
        key.append(Key(_counted(one.label, lanes, lost), one.arm, line=not one.points))
    strips: list[Mark] = []
    if strip_x is not None:
        strips.append(Band(None, strip_x, hatch="sem"))
    if strip_y is not None:
        strips.append(Band(None, None, None, strip_y, hatch="sem"))
    kinds = sorted({cause_class(c) for lanes in sorted_lanes for _, c in lanes.bottom})
    key += [Key(f"⊥ {CAUSE_WORDS[each]}", hatch=each) for each in kinds]
    lanes_given = sum(len(s.x) for s in series)
    return Plate(
        kind,
        title,
        caption,
        x,
        y,
        height + SIZE.key_row * -(-len(key) // 2),
        Account(lanes_given, drawn, reduced, bottom, outside),
        tuple(lines),
        (*strips, *marks, *references, *rugs, *over),
        tuple(key),
        direction,
    )


@dataclass(frozen=True, slots=True)
class _Lanes:
    """A series sorted into what can be drawn and what cannot."""

    points: tuple[tuple[float, float | None], ...]
    bottom: tuple[tuple[float, int], ...]
    strip_x: tuple[float, ...]
    strip_y: tuple[float, ...]

    @classmethod
    def of(cls, one: Series, log_x: bool, log_y: bool) -> _Lanes:
        points: list[tuple[float, float | None]] = []
        bottom: list[tuple[float, int]] = []
        strip_x: list[float] = []
        strip_y: list[float] = []
        for x, y, cause in zip(one.x, one.y, one.cause or (0,) * len(one.x), strict=True):
            if log_x and x <= 0:
                if cause:
                    bottom.append((x, cause))
                else:
                    strip_x.append(y)
            elif cause:
                bottom.append((x, cause))
                points.append((x, None))
            elif log_y and y <= 0:
                strip_y.append(x)
                points.append((x, None))
            else:
                points.append((x, y))
        return cls(tuple(points), tuple(bottom), tuple(strip_x), tuple(strip_y))

    @property
    def xs(self) -> list[float]:
        return [x for x, _ in self.points]

    @property
    def ys(self) -> list[float]:
        return [y for _, y in self.points if y is not None]

    def bands(self, log: bool) -> list[tuple[float, float, HatchKind]]:
        """One band per run of ⊥ lanes, its edges midway to the neighbours."""
        causes = dict(self.bottom)
        xs = sorted({x for x, _ in self.points})
        where = {x: i for i, x in enumerate(xs)}
        found: list[tuple[float, float, HatchKind]] = []
        for x in xs:
            if x not in causes:
                continue
            i = where[x]
            left = _midway(xs[i - 1], x, log) if i else x
            right = _midway(x, xs[i + 1], log) if i + 1 < len(xs) else x
            hatch = cause_class(causes[x])
            if found and found[-1][1] == left and found[-1][2] == hatch:
                found[-1] = (found[-1][0], right, hatch)
            else:
                found.append((left, right, hatch))
        return found


def _midway(a: float, b: float, log: bool) -> float:
    return math.sqrt(a) * math.sqrt(b) if log else a / 2 + b / 2


def _axis(
    given: Axis | None, values: list[float], log: bool, caption: str | Text, strip: bool
) -> tuple[Axis, float | None]:
    """The axis, and where its ⊥ strip ends if it has one."""
    if given is not None:
        return given, None
    if not log:
        return linear_axis(values, caption=caption), None
    words = f"{caption}, log scale" if str(caption) else "log scale"
    if not strip:
        return log_axis(values or [1.0], caption=words), None
    return log_strip_axis(values or [1.0], caption=words)


def _inside(
    points: tuple[tuple[float, float | None], ...], x: Axis, y: Axis
) -> tuple[list[tuple[float, float | None]], int]:
    made: list[tuple[float, float | None]] = []
    out = 0
    for a, b in points:
        if b is None:
            if x.holds(a):
                made.append((a, None))
        elif x.holds(a) and y.holds(b):
            made.append((a, b))
        else:
            out += 1
            if x.holds(a):
                made.append((a, None))
    return made, out


def _stepped(
    points: Sequence[tuple[float, float | None]],
) -> tuple[tuple[float, float | None], ...]:
    """Horizontal first: a value holds until the next one."""
    made: list[tuple[float, float | None]] = []
    before: float | None = None
    for x, y in points:
        if before is not None and y is not None:
            made.append((x, before))
        made.append((x, y))
        before = y
    return tuple(made)


def _on_strips(
    lanes: _Lanes,
    arm: ArmStyle,
    x: Axis,
    y: Axis,
    strip_x: float | None,
    strip_y: float | None,
) -> list[Mark]:
    made: list[Mark] = []
    if strip_x is not None:
        made += [SeedDot(x.ticks[0].value, v, arm, "x ≤ 0") for v in lanes.strip_x if y.holds(v)]
    if strip_y is not None:
        made += [SeedDot(v, y.ticks[0].value, arm, "y ≤ 0") for v in lanes.strip_y if x.holds(v)]
    return made


def _counted(label: str | Text, lanes: _Lanes, lost: int) -> str:
    words = str(label)
    if lanes.bottom:
        words += f", ⊥ {len(lanes.bottom)}"
    if lost:
        words += f", at 0: {lost}"
    return words
