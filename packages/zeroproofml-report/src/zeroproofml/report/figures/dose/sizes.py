"""`dose_budget` and `dose_stress`: metrics against training curves, and under laws never trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report.domains.dose.metrics import STRESS
from zeroproofml.report.figures.axes import Axis, Tick, log_axis, log_strip_axis
from zeroproofml.report.figures.marks import Band, Glyph, Reference, Whisker
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.standard import DIRECTION, cell_words
from zeroproofml.report.figures.style import SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.contract import Cell as StoredCell
    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Mark
    from zeroproofml.report.pages.model import Cell

BUDGET, UNDER_STRESS = "dose_budget", "dose_stress"
_SUMMARY = "aggregated/summary.json"
_METRICS = ("cost_1_1", "finite_mae_window")
_SETS = {
    "": "nominal",
    **dict(zip((f"{w}_" for w in STRESS), ("noise ×2", "outliers"), strict=True)),
}
_PAPER = "needs the training-size arms of paper mode"
_ALLOWED = 0.01
_BEST = ArmStyle("ink", "plus", "4 3")


def budget(data: Gathered) -> Figure | NotDrawn:
    """Cost and error against the number of training curves, one line per family of arms."""
    families: dict[str, dict[int, str]] = {}
    whole = data.run.config.settings.get("train")
    for key, arm in data.known.items():
        if arm.rows is not None and key in data.arms:
            families.setdefault(key.rpartition("_")[0], {})[arm.rows] = key
    for family, sizes in families.items():
        if family in data.arms and isinstance(whole, int):
            sizes[whole] = family
    if not families:
        return NotDrawn(BUDGET, _PAPER)
    plates = [_sizes(data, metric, families) for metric in _METRICS]
    rows: list[tuple[Cell, ...]] = []
    for metric in _METRICS:
        for family, sizes in families.items():
            for n, key in sorted(sizes.items()):
                shown = cell_words(data.law.metrics[metric], data.cell(key, metric))
                rows.append((Code(metric), Code(family), numbers.count(n), shown))
    columns = (
        Column("metric", align="left"),
        Column("arm", align="left"),
        Column("training curves"),
        Column("mean and t interval"),
    )
    twin = Table(
        "Metrics by number of training curves",
        columns,
        tuple(rows),
        data.planned,
        data.seeds,
        "95 % Student-t interval",
        _SUMMARY,
    )
    caption = (
        "Glyph: mean over seeds on the frozen test set; bar: 95 % Student-t interval; dashed line: "
        f"the exact posterior, which needs no training. {twin.basis}."
    )
    return Figure(BUDGET, "How many curves it takes", caption, tuple(plates), twin)


def stress(data: Gathered) -> Figure | NotDrawn:
    """False numbers and lost curves at the safety threshold: nominal, doubled noise, outliers."""
    settings = data.run.config.settings
    if not settings.get("stress"):
        return NotDrawn(UNDER_STRESS, "needs the stress sets of paper mode, standard protocol")
    arms = data.shown()
    plates: list[Plate] = []
    rows: list[tuple[Cell, ...]] = []
    for metric in ("fp_cens", "fn_in"):
        plates.append(_stressed(data, metric, arms))
        for arm in arms:
            name = f"{metric}_safety"
            cells = [
                cell_words(data.law.metrics[name], data.cell(arm, f"{where}{name}"))
                for where in _SETS
            ]
            rows.append((Code(metric), Code(arm), *cells))
    columns = [Column("metric", align="left"), Column("arm", align="left")]
    columns += [Column(words) for words in _SETS.values()]
    twin = Table(
        "Rates at the safety threshold by law of the test curves",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        "95 % Student-t interval",
        _SUMMARY,
    )
    caption = (
        "Thresholds were chosen on nominal calibration curves; nothing was trained on the other "
        "laws. Glyph: mean over seeds; bar: 95 % Student-t interval; hatched strip: exactly 0; "
        f"line: the 1 % that the safety threshold allows. {twin.basis}."
    )
    return Figure(UNDER_STRESS, "Under laws never trained on", caption, tuple(plates), twin)


def _sizes(data: Gathered, metric: str, families: dict[str, dict[int, str]]) -> Plate:
    lines: list[Line] = []
    marks: list[Mark] = []
    best = data.cell("bayes_oracle", metric).mean if "bayes_oracle" in data.arms else None
    means = [data.cell(key, metric).mean for keys in families.values() for key in keys.values()]
    y = log_axis([m for m in (best, *means) if m is not None and m > 0] or [1.0])
    if best is not None and best > 0:
        marks.append(Reference(best, "", vertical=False))
    sizes = sorted({n for each in families.values() for n in each})
    drawn = lost = 0
    for index, (family, keys) in enumerate(families.items()):
        style = data.style(family)
        shift = 1.0 + 0.05 * (index - 0.5 * (len(families) - 1))
        points: list[tuple[float, float | None]] = []
        for n, key in sorted(keys.items()):
            found = data.cell(key, metric)
            value = found.mean if found.mean is not None and found.mean > 0 else None
            points.append((n * shift, value))
            drawn, lost = drawn + (value is not None), lost + (value is None)
            if value is not None:
                marks += _bar(found, n * shift, style, y)
                marks.append(Glyph(n * shift, value, style, f"{key}: {numbers.value(value)}", 4.5))
        lines.append(Line(tuple(points), style, family))
    entries = [Key(family, data.style(family), line=True) for family in families]
    if best is not None:
        entries.append(Key("exact posterior", _BEST, line=True))
    definition = data.law.metrics[metric]
    x = log_axis(sizes)
    ticks = tuple(Tick(float(n), numbers.count(n)) for n in sizes)
    return Plate(
        "Line plot",
        metric,
        f"{definition.unit or 'cost'}, log scale",
        Axis(x.low / 1.15, x.high * 1.15, ticks, "training curves, log scale", log=True),
        y,
        SIZE.lines_height + SIZE.key_row * -(-len(entries) // 2),
        Account(drawn + lost, drawn, bottom={"not on a log axis": lost} if lost else {}),
        tuple(lines),
        tuple(marks),
        tuple(entries),
        DIRECTION[definition.direction],
    )


def _stressed(data: Gathered, metric: str, arms: Sequence[str]) -> Plate:
    name = f"{metric}_safety"
    cells = {(arm, w): data.cell(arm, f"{w}{name}") for arm in arms for w in _SETS}
    means = [found.mean for found in cells.values() if found.mean is not None]
    allowed = [_ALLOWED] if metric == "fp_cens" else []
    y, edge = log_strip_axis([m for m in means if m > 0] + allowed or [1.0])
    marks: list[Mark] = [Band(None, None, None, edge, hatch="sem")]
    marks += [Reference(line, "1 %", vertical=False) for line in allowed]
    lines, drawn = [], 0
    for index, arm in enumerate(arms):
        shift = 0.8 * ((index + 0.5) / len(arms) - 0.5)
        points: list[tuple[float, float | None]] = []
        for place, where in enumerate(_SETS):
            found = cells[arm, where]
            if found.mean is None:
                points.append((place + shift, None))
                continue
            value = found.mean if found.mean > 0 else float(y.ticks[0].value)
            points.append((place + shift, value))
            drawn += 1
            if found.mean > 0:
                marks += _bar(found, place + shift, data.style(arm), y)
            words = f"{arm}: {numbers.percent(found.mean)}"
            marks.append(Glyph(place + shift, value, data.style(arm), words, 4.0))
        lines.append(Line(tuple(points), data.style(arm), arm, 0.7, 0.5))
    ticks = tuple(Tick(float(i), words) for i, words in enumerate(_SETS.values()))
    definition = data.law.metrics[name]
    lost = len(cells) - drawn
    return Plate(
        "Dots by law",
        {"fp_cens": "false numbers", "fn_in": "lost curves"}[metric],
        "rate at the safety threshold, log scale",
        Axis(-0.5, len(_SETS) - 0.5, ticks, guides=False),
        y,
        SIZE.lines_height + SIZE.key_row * -(-len(arms) // 2),
        Account(len(cells), drawn, bottom={"no value": lost} if lost else {}),
        tuple(lines),
        tuple(marks),
        tuple(Key(arm, data.style(arm)) for arm in arms),
        DIRECTION[definition.direction],
    )


def _bar(found: StoredCell, x: float, style: ArmStyle, y: Axis) -> list[Mark]:
    """The interval of a mean; an end beyond the axis is an arrow."""
    if found.ci_t is None or found.ci_t[0] == found.ci_t[1]:
        return []
    low, high = (end if y.holds(end) else None for end in found.ci_t)
    return [Whisker(low, high, x, style, vertical=True)]
