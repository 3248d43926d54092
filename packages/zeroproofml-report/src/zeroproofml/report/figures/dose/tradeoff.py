"""`dose_tradeoff`: the declared fronts, one plate each; zero rates stand on a strip of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.dose.pareto import FRONTS
from zeroproofml.report.domains.dose.tables import spoken
from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import linear_axis, log_strip_axis
from zeroproofml.report.figures.marks import Band, Glyph, Label, Whisker
from zeroproofml.report.figures.plate import Account, Key, Line, Plate
from zeroproofml.report.figures.style import LIGHT, SIZE, ArmStyle
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.figures.axes import Axis
    from zeroproofml.report.figures.dose.gather import Gathered
    from zeroproofml.report.figures.marks import Canvas, Mark
    from zeroproofml.report.pages.model import Cell

SLUG = "dose_tradeoff"
SOURCE = "aggregated/dose_pareto_front.json"
_AXES = {
    "safety_accuracy": ("fp_cens", "fn_in"),
    "direction_regression": ("finite_mae", "dir_macro_f1"),
    "safety_coverage": ("fp_cens", "in_range_accepted"),
}
"""Front → the objectives along and up."""
_WORDS = {
    "fp_cens": "false numbers, share of censored curves",
    "fn_in": "lost curves, share of resolvable ones",
    "finite_mae": "mean absolute error in decades, as decoded",
    "dir_macro_f1": "mean F1 of the two sides",
    "in_range_accepted": "share of resolvable curves accepted",
}
_LOG = ("fp_cens", "fn_in", "finite_mae")
_STEP = ArmStyle("muted", "plus", "3 3")


@dataclass(frozen=True, slots=True)
class _Callout:
    """Words at a place of the plot (0 to 1 each way, from its lower left), a hairline to a value."""

    x: float
    y: float
    words: str
    left: float
    up: float

    def draw(self, canvas: Canvas) -> None:
        """Add the hairline and the words."""
        x, y = self.left * canvas.width, (1.0 - self.up) * canvas.height
        ends = map(svg.number, (canvas.x(self.x), canvas.y(self.y), x, y - 4.0))
        x0, y0, x1, y1 = ends
        style = f"stroke:{LIGHT['axis']};stroke-width:0.8"
        svg.node(canvas.group, "path", d=f"M{x0} {y0}L{x1} {y1}", class_="ln", style=style)
        svg.text_node(canvas.group, x + 3.0, y, self.words, class_="in", size=SIZE.inner)


def tradeoff(data: Gathered) -> Figure | NotDrawn:
    """Drawn from aggregated/dose_pareto_front.json."""
    chosen = {
        (preset["arm"], name): name.replace("_", "-")
        for name, preset in data.operating["presets"].items()
        if preset["status"] == "chosen"
    }
    plates, rows = [], []
    for front in FRONTS:
        entries = data.fronts[front.name]["entries"]
        if not any(entry["status"] != "skipped" for entry in entries):
            continue
        plates.append(_plate(data, front.name, entries, chosen))
        rows += [_row(front.name, entry, chosen) for entry in entries]
    if not plates:
        return NotDrawn(SLUG, "no arm has all objectives of a front in every seed")
    columns = [Column(name, align="left") for name in ("front", "arm", "threshold")]
    columns += [Column(name) for name in ("along", "up")]
    columns += [Column("place", align="left"), Column("preset", align="left")]
    twin = Table(
        "Places on the fronts, mean over seeds and t interval, frozen test set",
        tuple(columns),
        tuple(rows),
        data.planned,
        data.seeds,
        "95 % Student-t interval",
        SOURCE,
    )
    said = "; ".join(
        f"{name.replace('_', '-')}: {spoken(preset)}"
        for name, preset in data.operating["presets"].items()
    )
    caption = (
        "Glyph: mean over seeds on the frozen test set, large on the front, small and hollow where "
        "another is better in everything; cross: 95 % Student-t intervals; dashed step: the front "
        "as far as two objectives show it; a floor that lies far away is left out; hatched strip: exactly 0; the exact posterior is a "
        "ceiling, never chosen. A preset stands at the arm that it chose on calibration: "
        f"{said}. {twin.basis}."
    )
    return Figure(SLUG, "Trade-offs and presets", caption, tuple(plates), twin)


def _plate(
    data: Gathered,
    name: str,
    entries: Sequence[Mapping[str, Any]],
    chosen: Mapping[tuple[str, str], str],
) -> Plate:
    along, up = _AXES[name]
    held = [entry for entry in entries if entry["status"] != "skipped"]
    # A floor would leave all others on one spot: it is drawn where it lies near enough.
    floors = {arm.key for arm in data.law.arms if arm.role == "floor"}
    near = [entry for entry in held if entry["arm"] not in floors] or held
    x, x_edge = _axis(along, [entry["means"][along] for entry in near])
    y, y_edge = _axis(up, [entry["means"][up] for entry in near])
    marks: list[Mark] = []
    if x_edge is not None:
        marks.append(Band(None, x_edge, hatch="sem"))
    if y_edge is not None:
        marks.append(Band(None, None, None, y_edge, hatch="sem"))
    good_up = up not in _LOG
    corner = (x.low, y.high if good_up else y.low)
    marks.append(Label(*corner, "best", dx=6, dy=16 if good_up else -6, muted=True))
    front = []
    drawn: list[str] = []
    calls = 0
    for entry in held:
        on_front = entry["status"] == "front"
        place = _place(x, entry["means"][along]), _place(y, entry["means"][up])
        if not (x.holds(place[0]) and y.holds(place[1])):
            continue
        drawn.append(entry["arm"])
        style = data.style(entry["arm"], hollow=not on_front)
        marks += _cross(entry, along, up, x, y, place, style)
        words = f"{entry['arm']}, {entry['point'].replace('_', '-')}"
        marks.append(Glyph(*place, style, words, 7.0 if on_front else 4.0))
        if on_front:
            front.append(place)
        preset = chosen.get((entry["arm"], entry["point"]))
        if preset is not None:
            level = 0.12 + 0.07 * calls if good_up else 0.92 - 0.07 * calls
            marks.append(_Callout(*place, f"{preset}: {entry['arm']}", 0.5, level))
            calls += 1
    skipped = len(entries) - len(held)
    arms = list(dict.fromkeys(drawn))
    beyond = sorted({entry["arm"] for entry in held} - set(drawn))
    key = [Key(arm, data.style(arm)) for arm in arms]
    if beyond:
        key.append(Key(f"beyond: {', '.join(beyond)}"))
    return Plate(
        "Scatter plot",
        name.replace("_", " and "),
        f"{_WORDS[up]}{', log scale' if up in _LOG else ''}",
        x,
        y,
        SIZE.square_height + SIZE.key_row * -(-len(key) // 2),
        Account(
            len(entries),
            len(drawn),
            bottom={"no value": skipped} if skipped else {},
            out_of_range=len(held) - len(drawn),
        ),
        (Line(_step(front, good_up), _STEP, "front", 1.4),) if len(front) > 1 else (),
        tuple(marks),
        tuple(key),
        "higher is better ↑" if good_up else "lower is better ↓",
    )


def _axis(metric: str, values: Sequence[float]) -> tuple[Axis, float | None]:
    words = _WORDS[metric]
    if metric in _LOG:
        return log_strip_axis([v for v in values if v > 0] or [1.0], caption=f"{words}, log scale")
    percent = (lambda v: f"{100 * v:g} %") if metric == "in_range_accepted" else None
    return linear_axis(values, caption=words, label=percent, bounds=(0.0, 1.0)), None


def _place(axis: Axis, value: float) -> float:
    """The value, or the middle of the strip for 0."""
    return axis.ticks[0].value if axis.log and value <= 0 else value


def _cross(
    entry: Mapping[str, Any],
    along: str,
    up: str,
    x: Axis,
    y: Axis,
    place: tuple[float, float],
    style: ArmStyle,
) -> list[Mark]:
    marks: list[Mark] = []
    for metric, axis, vertical in ((along, x, False), (up, y, True)):
        interval = entry["intervals"][metric]
        if interval is None or interval[0] == interval[1]:
            continue
        low, high = (end if axis.holds(end) else None for end in interval)
        marks.append(Whisker(low, high, place[0] if vertical else place[1], style, vertical))
    return marks


def _step(
    front: Sequence[tuple[float, float]], good_up: bool
) -> tuple[tuple[float, float | None], ...]:
    """The staircase along the places that no other beats in these two objectives."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(front, key=lambda place: (place[0], -place[1] if good_up else place[1])):
        if not kept or (y > kept[-1][1] if good_up else y < kept[-1][1]):
            kept.append((x, y))
    points: list[tuple[float, float | None]] = []
    for x, y in kept:
        if points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    return tuple(points)


def _row(
    name: str, entry: Mapping[str, Any], chosen: Mapping[tuple[str, str], str]
) -> tuple[Cell, ...]:
    cells = [_cell(entry, metric) for metric in _AXES[name]]
    place = "on the front" if entry["status"] == "front" else entry["status"]
    by = entry["dominated_by"]
    if by is not None:
        point = by["point"].replace("_", "-")
        place = f"{'clearly ' if entry['clear'] else ''}dominated by {by['arm']}, {point}"
    words = name.replace("_", " and ")
    preset = chosen.get((entry["arm"], entry["point"]), "")
    return (words, Code(entry["arm"]), entry["point"].replace("_", "-"), *cells, place, preset)


def _cell(entry: Mapping[str, Any], metric: str) -> str:
    mean, interval = entry["means"][metric], entry["intervals"][metric]
    if mean is None:
        return "undefined"
    if metric in ("finite_mae", "dir_macro_f1"):
        return numbers.value(mean) if interval is None else numbers.value_interval(mean, *interval)
    if interval is None:
        return numbers.percent(mean)
    return numbers.percent_interval(mean, *interval)
