"""Histograms as outlines, so that several classes stay readable over one another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from zeroproofml.report.figures.axes import Axis, Tick, linear_axis, log_axis
from zeroproofml.report.figures.marks import Band, Label, Mark, Reference
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.text import Text

__all__ = ["histogram_plate"]

_STRIP = 0.10


def histogram_plate(
    title: str | Text,
    caption: str | Text,
    groups: Sequence[tuple[str | Text, ArmStyle, Sequence[float]]],
    *,
    bottom: Mapping[str, Sequence[int]] | None = None,
    bins: int = 40,
    x_caption: str | Text = "",
    log: bool = False,
    references: tuple[Reference, ...] = (),
) -> Plate:
    """Outlines of several groups over common bins.

    Args:
        title, caption: as on every plate.
        groups: (label, style, finite values).
        bottom: what has no value, by words: lanes per group; counted on the hatched strip.
        bins: number of bins.
        x_caption: what stands under the axis.
        log: bins in log10; values ≤ 0 go to the strip.
        references: thresholds.

    Returns:
        A plate; y is the share of the group's lanes in a bin.

    >>> from zeroproofml.report.figures.style import arm_style
    >>> made = histogram_plate("abs Q", "share", [("all", arm_style(0), [0.1, 1.0, 0.0])], log=True)
    >>> made.account.drawn, made.account.bottom
    (2, {'zero or below': 1})
    """
    kept = [[v for v in values if not log or v > 0] for _, _, values in groups]
    zeros = [len(values) - len(k) for (_, _, values), k in zip(groups, kept, strict=True)]
    lost = {words: tuple(counts) for words, counts in (bottom or {}).items()}
    if any(zeros):
        lost["zero or below"] = tuple(zeros)
    everything = [v for values in kept for v in values]
    words = f"{x_caption}, log scale" if log and str(x_caption) else x_caption or (
        "log scale" if log else "")  # fmt: skip
    x = (
        log_axis(everything or [1.0], caption=words)
        if log
        else linear_axis(everything, caption=words)
    )
    totals = [len(k) + sum(counts[i] for counts in lost.values()) for i, k in enumerate(kept)]
    shares = [_shares(k, total, x, bins) for k, total in zip(kept, totals, strict=True)]
    edges = [_at(x, i / bins) for i in range(bins + 1)]
    highest = max((s for each in shares for s in each), default=0.0) or 1.0
    y = linear_axis([0.0, highest], label=lambda v: f"{100 * v:g} %", bounds=(0.0, None))
    marks: list[Mark] = []
    if any(sum(counts) for counts in lost.values()):
        x, edge = _with_strip(x)
        marks.append(Band(None, edge, hatch="sem"))
        for i, (total, (_, _, _)) in enumerate(zip(totals, groups, strict=True)):
            n = sum(counts[i] for counts in lost.values())
            if total and n:
                place = x.ticks[0].value
                marks.append(
                    Label(place, highest * (0.95 - 0.1 * i), numbers.count(n), anchor="middle")
                )
    lines = []
    key = []
    for i, (label, arm, _) in enumerate(groups):
        points: list[tuple[float, float | None]] = [(edges[0], 0.0)]
        for j, share in enumerate(shares[i]):
            points += [(edges[j], share), (edges[j + 1], share)]
        points.append((edges[-1], 0.0))
        lines.append(Line(tuple(points), arm, label))
        n = sum(counts[i] for counts in lost.values())
        key.append(Key(f"{label}{f', ⊥ {numbers.count(n)}' if n else ''}", arm, line=True))
    account = Account(
        sum(totals), len(everything), bottom={w: sum(counts) for w, counts in lost.items()}
    )
    return Plate(
        "Histogram",
        title,
        caption,
        x,
        y,
        SIZE.lines_height + SIZE.key_row * -(-len(key) // 2),
        account,
        tuple(lines),
        (*marks, *references),
        tuple(key),
    )


def _shares(values: Sequence[float], total: int, x: Axis, bins: int) -> list[float]:
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(x.place(value) * bins)))] += 1
    return [n / total if total else 0.0 for n in counts]


def _at(x: Axis, share: float) -> float:
    if x.log:
        low, high = math.log10(x.low), math.log10(x.high)
        return float(10 ** (low + share * (high - low)))
    return x.low + share * (x.high - x.low)


def _with_strip(x: Axis) -> tuple[Axis, float]:
    """Room left of the axis for what has no place on it; its tick says ⊥ or, on a log axis, 0."""
    low, middle = _at(x, -_STRIP), _at(x, -_STRIP / 2)
    tick = Tick(middle, "0, ⊥" if x.log else "⊥")
    return Axis(low, x.high, (tick, *x.ticks), x.caption, x.log, x.guides), x.low
