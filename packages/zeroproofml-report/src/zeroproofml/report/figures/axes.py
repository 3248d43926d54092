"""Axes with ticks of our choice, linear or logarithmic; a plate itself is always linear.

An axis maps a value to [0, 1]. For a logarithmic axis log10 is taken here, before anything is drawn.
Values are first rounded to six significant digits, so that the last bit of a maths library cannot
move a byte of a figure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from zeroproofml.report.figures.style import SIZE
from zeroproofml.report.figures.svg import text_width
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = [
    "Axis",
    "Tick",
    "linear_axis",
    "log_axis",
    "log_strip_axis",
    "row_axis",
    "six_digits",
    "thinned",
]

STRIP = 0.08
"""Share of an axis that its ⊥ strip adds."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what is written there."""

    value: float
    label: str | Text


@dataclass(frozen=True, slots=True)
class Axis:
    """Ends, ticks and caption of one axis; ``low`` and ``high`` are values, not their logarithms."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    caption: str | Text = ""
    log: bool = False
    guides: bool = True
    _from: float = field(init=False, repr=False, compare=False)
    _length: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            msg = f"Axis: low {self.low} must lie below high {self.high}, both finite"
            raise SCMValueError(msg)
        if self.log and self.low <= 0:
            msg = f"Axis: low {self.low} must be positive on a log axis"
            raise SCMValueError(msg)
        ends = self.low, self.high
        low, high = map(math.log10, ends) if self.log else ends
        # halves, because high - low can overflow where neither end does
        object.__setattr__(self, "_from", low / 2)
        object.__setattr__(self, "_length", high / 2 - low / 2)

    def place(self, value: float) -> float:
        """Where a value lies: 0 at ``low``, 1 at ``high``, beyond for values outside.

        >>> Axis(1.0, 100.0, (), log=True).place(10.0)
        0.5
        """
        value = six_digits(value)
        if self.log:
            if value <= 0:
                msg = f"Axis: {value} has no place on a log axis; put it on the ⊥ strip"
                raise SCMValueError(msg)
            value = math.log10(value)
        return (value / 2 - self._from) / self._length

    def holds(self, value: float) -> bool:
        """True if the value lies on the axis, its ends included.

        >>> Axis(0.0, 1.0, ()).holds(1.5)
        False
        """
        if self.log and value <= 0:
            return False
        return -1e-9 <= self.place(value) <= 1 + 1e-9


def six_digits(value: float) -> float:
    """A value with six significant digits.

    >>> six_digits(0.123456789)
    0.123457
    """
    return float(f"{value:.5e}")


def linear_axis(
    values: Iterable[float],
    *,
    caption: str | Text = "",
    most: int = 6,
    label: Callable[[float], str] | None = None,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Axis:
    """An axis that holds all values with 4 % of air, at most ``most`` round ticks.

    Args:
        values: finite numbers; none gives the axis 0 to 1.
        caption: what stands under the axis.
        most: greatest number of ticks.
        label: how a tick is written; the house's number rules by default.
        bounds: ends that the quantity cannot cross: only the room of a glyph is added there, and
            no tick.

    >>> [tick.label for tick in linear_axis([0.0, 9.3]).ticks]
    ['0', '2', '4', '6', '8']
    """
    held = [six_digits(v) for v in values]
    low, high = (min(held), max(held)) if held else (0.0, 1.0)
    if low == high:
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    air = 0.04 * (high / 2 - low / 2) * 2
    lower, upper = bounds
    ends = (
        low - air * (0.6 if lower is not None and low <= lower else 1),
        high + air * (0.6 if upper is not None and high >= upper else 1),
    )
    step = _step(ends[1] / most - ends[0] / most)
    first, last = math.ceil(ends[0] / step - 1e-9), math.floor(ends[1] / step + 1e-9)
    places = [
        k * step
        for k in range(first, last + 1)
        if (lower is None or k * step >= lower - 1e-9 * step)
        and (upper is None or k * step <= upper + 1e-9 * step)
    ]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    write = label or (lambda v: _plain(v, decimals))
    ticks = tuple(Tick(six_digits(v), write(six_digits(v))) for v in places)
    return Axis(six_digits(ends[0]), six_digits(ends[1]), ticks, caption)


def log_axis(values: Iterable[float], *, caption: str | Text = "", most: int = 6) -> Axis:
    """A logarithmic axis: decades, and 1-2-5 when it spans less than two decades.

    Args:
        values: positive finite numbers, at least one.
        caption: what stands under the axis.
        most: greatest number of ticks.

    >>> [tick.label for tick in log_axis([0.002, 30.0]).ticks]
    ['10⁻²', '10⁻¹', '10⁰', '10¹']
    """
    held = [six_digits(v) for v in values]
    low, high = math.log10(min(held)), math.log10(max(held))
    air = max(0.04 * (high - low), 0.05)
    low, high = low - air, high + air
    ticks = []
    if high - low >= 2:
        decades = range(math.ceil(low), math.floor(high) + 1)
        every = -(-len(decades) // most)
        ticks = [Tick(10.0**k, _decade(k)) for k in decades if k % every == 0]
    else:
        for k in range(math.floor(low), math.ceil(high) + 1):
            ticks += [
                Tick(six_digits(m * 10.0**k), _short(m * 10.0**k))
                for m in (1, 2, 5)
                if low <= math.log10(m) + k <= high
            ]
    ends = six_digits(10**low), six_digits(10**high)
    if len(ticks) < 2:  # a narrow range falls between 1, 2 and 5: round numbers of a linear axis
        finer = linear_axis(ends, most=4)
        ticks = [tick for tick in finer.ticks if ends[0] <= tick.value <= ends[1]]
    return Axis(*ends, tuple(ticks), caption, log=True)


def log_strip_axis(values: Iterable[float], *, caption: str | Text = "") -> tuple[Axis, float]:
    """A logarithmic axis with room below it for what is 0: its first tick says so.

    Args:
        values: as for :func:`log_axis`.
        caption: what stands under the axis.

    Returns:
        The axis, and where its strip ends; the middle of the strip is the value of its first tick.

    >>> axis, edge = log_strip_axis([0.01, 1.0])
    >>> axis.ticks[0].label, axis.low < axis.ticks[0].value < edge
    ('0', True)
    """
    made = log_axis(values, caption=caption)
    low, high = math.log10(made.low), math.log10(made.high)
    middle, end = (10 ** (low - share * (high - low)) for share in (STRIP / 2, STRIP))
    return replace(made, low=end, ticks=(Tick(middle, "0"), *made.ticks)), made.low


def row_axis(labels: Iterable[str | Text], extra_top: float = 0.0) -> Axis:
    """Rows from the top: row i lies at −i.

    >>> row_axis(["a", "b"]).place(0.0)
    0.75
    """
    ticks = tuple(Tick(-float(i), label) for i, label in enumerate(labels))
    return Axis(0.5 - max(1, len(ticks)), 0.5 + extra_top, ticks, guides=False)


def thinned(axis: Axis, length: float, size: float = SIZE.text) -> tuple[Tick, ...]:
    """The ticks whose labels keep 8 units between them: every second one dropped until they do.

    >>> len(thinned(linear_axis([0.0, 1.0]), 60))
    2
    """
    ticks = axis.ticks
    while len(ticks) > 2:
        boxes = [(axis.place(t.value) * length, text_width(str(t.label), size) / 2) for t in ticks]
        pairs = itertools.pairwise(boxes)
        if all(b[0] - b[1] - a[0] - a[1] >= SIZE.label_gap for a, b in pairs):
            break
        ticks = ticks[::2] if len(ticks) % 2 else (*ticks[:-1:2], ticks[-1])
        if len(ticks) == 3 and len(axis.ticks) % 2 == 0:
            ticks = (ticks[0], ticks[-1])
    return ticks


def _step(rough: float) -> float:
    """The least 1, 2 or 5 times a power of ten that is not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5, 10):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


def _plain(value: float, decimals: int) -> str:
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6 and decimals <= 6:
        shown = f"{abs(value):.{decimals}f}"
        whole, _, part = shown.partition(".")
        whole = numbers.count(int(whole))
        return ("−" if value < 0 else "") + (f"{whole}.{part}" if part else whole)
    return _short(value)


def _short(value: float) -> str:
    """At most three digits, no trailing zeros."""
    shown = numbers.value(value)
    head, mark, exponent = shown.partition("e")
    if "." in head:
        head = head.rstrip("0").rstrip(".")
    return head + mark + exponent


def _decade(exponent: int) -> str:
    return "10" + str(exponent).translate(_SUPERSCRIPT)
