"""Selective risk against coverage: what an arm pays for answering more.

The curves are given as they are stored (means and envelopes at fixed coverages): drawing computes no
statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import Axis, Tick, linear_axis, log_axis, log_strip_axis
from zeroproofml.report.figures.dots import wants_log
from zeroproofml.report.figures.marks import Band, Canvas, Glyph, Mark, Reference
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = ["AT", "RiskCurve", "risk_plate"]

AT = (0.50, 0.80, 0.90, 0.95)
"""The coverages that carry a glyph."""
_FOOT = 9.0


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """One arm: mean risk and the envelope over seeds at ascending coverages in [0, 1].

    A mean is None where some seed never reaches that coverage. ``chosen`` is the operating point
    (coverage, risk) at the arm's own threshold.
    """

    label: str | Text
    arm: ArmStyle
    coverage: tuple[float, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    chosen: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.coverage), len(self.mean), len(self.low), len(self.high)}
        if len(sizes) != 1 or list(self.coverage) != sorted(self.coverage):
            msg = f"RiskCurve {self.label}: give ascending coverages and one value for each"
            raise SCMValueError(msg)

    @property
    def reached(self) -> float:
        """The largest coverage with a mean; 0 if there is none."""
        return max(
            (c for c, m in zip(self.coverage, self.mean, strict=True) if m is not None), default=0.0
        )


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The pale area between the lowest and the highest seed."""

    xs: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    arm: ArmStyle

    def draw(self, canvas: Canvas) -> None:
        """Add the area, if there is one."""
        if len(self.xs) < 2:
            return
        there = [(canvas.x(x), canvas.y(y)) for x, y in zip(self.xs, self.high, strict=True)]
        back = [(canvas.x(x), canvas.y(y)) for x, y in zip(self.xs, self.low, strict=True)][::-1]
        points = "L".join(f"{svg.number(x)} {svg.number(y)}" for x, y in [*there, *back])
        style = f"fill:{self.arm.colour};fill-opacity:0.13"
        svg.node(canvas.group, "path", d=f"M{points}Z", style=style)


@dataclass(frozen=True, slots=True)
class _Unreached:
    """Coverages that an arm never reaches: a hatched foot, one row per arm, edged in its colour."""

    start: float
    arm: ArmStyle
    row: int

    def draw(self, canvas: Canvas) -> None:
        """Add the hatch and its edge."""
        left = canvas.x(self.start)
        top = canvas.height - (self.row + 1) * (_FOOT + 2)
        svg.node(
            canvas.group,
            "rect",
            x=left,
            y=top,
            width=max(6.0, canvas.width - left),
            height=_FOOT,
            style=f"{canvas.hatch('sem')};stroke:{self.arm.colour};stroke-width:1.2",
        )


def risk_plate(
    title: str | Text,
    caption: str | Text,
    curves: Sequence[RiskCurve],
    *,
    required: float | None = None,
    percent: bool = False,
    log: bool | None = None,
    direction: str = "lower is better ↓",
) -> Plate:
    """Step curves of risk over coverage.

    Args:
        title, caption, direction: as on every plate.
        curves: at most six arms.
        required: coverage that the protocol demands, a labelled line.
        percent: the risk is a rate.
        log: a logarithmic risk, zeros on a strip at the foot; by default where the values ask for it.

    Returns:
        A plate; a coverage without a mean counts as ⊥ (never reached).

    >>> from zeroproofml.report.figures.style import arm_style
    >>> curve = RiskCurve("scm", arm_style(0), (0.5, 1.0), (0.1, None), (0.1, None), (0.2, None))
    >>> risk_plate("risk", "error", [curve]).account.bottom
    {'never reached': 1}
    """
    values = [v for c in curves for side in (c.mean, c.low, c.high) for v in side if v is not None]
    positive = [v for v in values if v > 0]
    zeros = len(positive) < len(values)
    log = wants_log(positive) and not zeros if log is None else log and bool(positive)
    label = (lambda v: f"{100 * v:g} %") if percent else None
    edge = None
    if log and zeros:
        y, edge = log_strip_axis(positive)
        curves = [_lifted(curve, float(y.ticks[0].value)) for curve in curves]
    else:
        y = (
            log_axis(values)
            if log
            else linear_axis([0.0, *values], label=label, bounds=(0.0, None))
        )
    ticks = tuple(Tick(k / 5, f"{20 * k} %") for k in range(6))
    words = "coverage, risk on log scale" if log else "coverage"
    x = Axis(-0.02, 1.02, ticks, words)
    lines: list[Line] = []
    under: list[Mark] = [] if edge is None else [Band(None, None, None, edge, hatch="sem")]
    over: list[Mark] = []
    key: list[Key] = []
    lost = drawn = 0
    for row, curve in enumerate(curves):
        pairs = list(zip(curve.coverage, curve.mean, strict=True))
        drawn += sum(mean is not None for _, mean in pairs)
        lost += sum(mean is None for _, mean in pairs)
        lines.append(Line(_steps(pairs), curve.arm, curve.label))
        held = [
            (c, lo, hi)
            for c, lo, hi in zip(curve.coverage, curve.low, curve.high, strict=True)
            if lo is not None and hi is not None
        ]
        if held:
            cs, lows, highs = zip(*held, strict=True)
            under.append(_Envelope(cs, lows, highs, curve.arm))
        over += [
            Glyph(c, mean, curve.arm, _point(curve, c, mean, percent, edge), radius=4.5)
            for c, mean in pairs
            if mean is not None and any(abs(c - at) < 1e-9 for at in AT)
        ]
        if curve.chosen is not None and x.holds(curve.chosen[0]) and y.holds(curve.chosen[1]):
            over.append(Glyph(*curve.chosen, curve.arm, "operating point", radius=8.0))
        if curve.reached < 1:
            under.append(_Unreached(curve.reached, curve.arm, row))
        reach = "" if curve.reached >= 1 else f" ≤ {numbers.percent(curve.reached)}"
        key.append(Key(f"{curve.label}{reach}", curve.arm, line=True))
    references = () if required is None else (Reference(required, "required"),)
    marks: tuple[Mark, ...] = (*under, *references, *over)
    return Plate(
        "Risk curve",
        title,
        caption,
        x,
        y,
        SIZE.lines_height + SIZE.key_row * -(-len(key) // 2),
        Account(drawn + lost, drawn, bottom={"never reached": lost} if lost else {}),
        tuple(lines),
        marks,
        tuple(key),
        direction,
    )


def _lifted(curve: RiskCurve, floor: float) -> RiskCurve:
    """The curve with its zeros on the strip."""

    def lift(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return tuple(floor if v == 0 else v for v in values)

    chosen = curve.chosen
    if chosen is not None and chosen[1] == 0:
        chosen = (chosen[0], floor)
    return replace(
        curve, chosen=chosen, mean=lift(curve.mean), low=lift(curve.low), high=lift(curve.high)
    )


def _steps(pairs: Sequence[tuple[float, float | None]]) -> tuple[tuple[float, float | None], ...]:
    made: list[tuple[float, float | None]] = []
    before: float | None = None
    for c, mean in pairs:
        if before is not None and mean is not None:
            made.append((c, before))
        made.append((c, mean))
        before = mean
    return tuple(made)


def _point(
    curve: RiskCurve, coverage: float, risk: float, percent: bool, edge: float | None
) -> str:
    if edge is not None and risk < edge:
        risk = 0.0
    shown = numbers.percent(risk) if percent else numbers.value(risk)
    return f"{curve.label}: {shown} at {numbers.percent(coverage)}"
