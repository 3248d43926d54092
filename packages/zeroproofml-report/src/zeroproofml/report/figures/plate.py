"""The plate: one chart. The only module that knows pygal.

A plate is a pygal XY chart on two linear axes that both run from 0 to 1; what a value means is the
business of :mod:`axes`. pygal lays out axes, guides and series; everything else is a mark. Its
output is copied node by node into a fresh tree, so nothing that it adds unasked (comments with a
date, scripts, tooltips, random ids) can come along.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import pygal
import pygal.etree
from pygal.config import SerieConfig
from pygal.serie import Serie
from pygal.style import Style
from pygal.util import ident

from zeroproofml.report.figures import svg
from zeroproofml.report.figures.axes import Axis, Tick, thinned
from zeroproofml.report.figures.marks import Canvas, Mark, draw_glyph
from zeroproofml.report.figures.style import FONT, LIGHT, SIZE, ArmStyle
from zeroproofml.report.pages.text import Text
from zeroproofml.scm.errors import SCMValueError

__all__ = ["Account", "Key", "Line", "Plate", "aligned", "draw", "plate_id"]

# with lxml installed pygal would build other node objects: one kind of tree everywhere
pygal.etree.etree.to_etree()

# pygal hooks every later import for its map plugins, with a protocol that Python has dropped: each
# import would raise an ImportWarning in the user's program
sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, pygal.PluginImportFixer)]

Points = Sequence[tuple[float, float | None]]

_CAPTION_LINE = 18
_MOST_DRAWN = 256
# Figure and index → plate and tree: a page shows the plates that a sheet holds, each is drawn once.
_DRAWN: dict[tuple[str, int], tuple[Plate, svg.Node]] = {}
_EDGE = 1e-7  # pygal drops the label of a tick that lies exactly on the upper edge


@dataclass(frozen=True, slots=True)
class Account:
    """Where every input lane went: drawn, reduced, ⊥ (by cause), out of range."""

    lanes: int
    drawn: int
    reduced: int = 0
    bottom: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    out_of_range: int = 0

    def __post_init__(self) -> None:
        found = self.drawn + self.reduced + sum(self.bottom.values()) + self.out_of_range
        if found != self.lanes or min(self.drawn, self.reduced, self.out_of_range) < 0:
            msg = f"Account: {found} lanes accounted for, {self.lanes} given; none may disappear"
            raise SCMValueError(msg)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; None as y is a gap and never bridged."""

    points: tuple[tuple[float, float | None], ...]
    arm: ArmStyle
    label: str | Text = ""
    width: float = SIZE.line
    opacity: float = 1.0
    dash: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the key: words, and the sample that stands before them."""

    words: str | Text
    arm: ArmStyle | None = None
    line: bool = False
    hatch: str | None = None


@dataclass(frozen=True, slots=True)
class Plate:
    """One chart, ready to draw.

    ``y_caption`` and ``direction`` stand under the title; the direction is never shortened, and
    ``caption_lines`` reserves room for two lines where a neighbour needs them, ``below`` room
    between the plot and the labels of its x axis. ``kind`` opens what a screen reader is told.
    """

    kind: str
    title: str | Text
    y_caption: str | Text
    x: Axis
    y: Axis
    height: int
    account: Account
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    key: tuple[Key, ...] = ()
    direction: str = ""
    caption_lines: int = 1
    below: int = 0
    right: int = SIZE.right


class _Chart(pygal.XY):  # type: ignore[misc]  # pygal is untyped
    """pygal's XY chart with our margins and no air around the box, without what we never use."""

    def prepare_values(
        self, raw: Sequence[tuple[Points, Mapping[str, object]]], offset: int = 0
    ) -> list[Serie]:
        """Series whose points are taken as they are.

        pygal would fill all series up to the length of the longest, and ask each value by turns
        whether it is a decimal, a date, or part of a map or histogram.
        """
        self._adapt = self._x_adapt = ident
        shared = SerieConfig()
        known = set(dir(shared))
        shared(**{key: value for key, value in vars(self.state).items() if key in known})
        made: list[Serie] = []
        for points, own in raw:
            config = copy.copy(shared)
            config(**own)
            made.append(Serie(offset + len(made), points, config))
        return made

    # Asked for only whether there is any: two corners always are.
    _values = (0.0, 1.0)

    def _draw(self) -> None:
        super()._draw()
        self.svg.pre_render = _nothing  # style sheet and scripts

    def _set_view(self) -> None:
        self._box.margin = 0.0
        super()._set_view()

    def _compute_margin(self) -> None:
        """Margins are ours alone: pygal would add room for labels as it estimates them."""

    def _decorate(self) -> None:
        """Guides and labels only: titles and key are ours."""
        self._set_view()
        self._make_graph()
        self._axes()

    def _has_data(self) -> bool:
        return True


def _nothing() -> None:
    """What is left of a step that we drop."""


def plate_id(slug: str, index: int, plate: Plate) -> str:
    """The id of a plate: a word and ten digits of a hash of everything that it shows.

    The same plate in the same place has the same id in every run of every process.

    >>> from zeroproofml.report.figures.axes import linear_axis
    >>> axis = linear_axis([0.0, 1.0])
    >>> plate_id("figure", 0, Plate("Line plot", "t", "", axis, axis, 320, Account(0, 0)))[0]
    'z'
    """
    return "z" + hashlib.sha256(repr((slug, index, plate)).encode()).hexdigest()[:10]


def aligned(plates: Sequence[Plate]) -> tuple[Plate, ...]:
    """The plates of one figure with equal room for their captions, so that plots line up.

    >>> aligned([])
    ()
    """
    lines = max((len(_captions(plate, SIZE.width - 4)) for plate in plates), default=1)
    return tuple(replace(plate, caption_lines=max(lines, 1)) for plate in plates)


def draw(plate: Plate, slug: str, index: int) -> svg.Node:
    """Draw a plate as an ``svg`` element with a viewBox 440 wide.

    Args:
        plate: what to draw.
        slug: the figure's fixed word.
        index: number of the plate within its figure.

    Returns:
        A checked tree with light colours.

    >>> from zeroproofml.report.figures.axes import linear_axis
    >>> axis = linear_axis([0.0, 1.0])
    >>> made = Plate("Line plot", "t", "", axis, axis, 320, Account(0, 0))
    >>> draw(made, "figure", 0).attrib["viewBox"]
    '0 0 440 320'
    """
    held, made = _DRAWN.get((slug, index), (None, None))
    if held is not plate or made is None:
        made = _draw(plate, plate_id(slug, index, plate))
        if len(_DRAWN) >= _MOST_DRAWN:
            _DRAWN.clear()
        _DRAWN[slug, index] = plate, made
    return copy.deepcopy(made)


def _draw(plate: Plate, ident: str) -> svg.Node:
    captions = _captions(plate, SIZE.width - 4)
    lift = _CAPTION_LINE * (max(len(captions), plate.caption_lines) - 1) if captions else 0
    total = plate.height + lift
    root = svg.node(
        None,
        "svg",
        {"aria-labelledby": f"{ident}-t {ident}-d"},
        id=ident,
        viewBox=f"0 0 {SIZE.width} {total}",
        width=SIZE.width,
        height=total,
        role="img",
    )
    svg.node(root, "title", id=f"{ident}-t").text = str(plate.title)
    svg.node(root, "desc", id=f"{ident}-d").text = _description(plate)
    _definitions(root, ident)
    svg.node(root, "rect", width=SIZE.width, height=total, class_="ground")
    svg.text_node(root, 2, 17, plate.title, class_="title", width=SIZE.width - 4, size=SIZE.title)
    top = (SIZE.top if captions else SIZE.top_bare) + lift
    for number, words in enumerate(captions):
        made = svg.text_node(root, 2, 38 + _CAPTION_LINE * number, words, class_="mut")
        if "…" in words:
            made.text = None
            title = svg.node(made, "title")
            title.text, title.tail = str(plate.y_caption), words
    left = _left_margin(plate)
    bottom = _bottom_margin(plate)
    width, height = SIZE.width - left - plate.right, total - top - bottom
    group = _plot(root, plate, left, top, bottom, total)
    canvas = Canvas(
        group,
        width,
        height,
        lambda value: width * plate.x.place(value),
        lambda value: height * (1 - plate.y.place(value)),
        ident,
    )
    base = f"M0 {svg.number(height)}H{svg.number(width)}"
    svg.node(group, "path", d=base, class_="base")
    for mark in plate.marks:
        mark.draw(canvas)
    if str(plate.x.caption):
        y = total - bottom + 38 + plate.below
        svg.text_node(
            root, left + width / 2, y, plate.x.caption, class_="mut mid", width=width + left
        )
    _draw_key(root, plate, ident, total)
    return svg.check(root)


def _plot(root: svg.Node, plate: Plate, left: int, top: int, bottom: int, total: int) -> svg.Node:
    """Let pygal draw, keep its guides, labels and curves, drop the rest."""
    chart = _Chart(
        width=SIZE.width,
        height=total,
        margin_left=left,
        margin_right=plate.right,
        margin_top=top,
        margin_bottom=bottom,
        range=(0.0, 1.0),
        xrange=(0.0, 1.0),
        show_legend=False,
        show_dots=False,
        allow_interruptions=True,
        truncate_label=-1,
        show_x_labels=bool(plate.x.ticks),
        show_y_labels=bool(plate.y.ticks),
        js=(),
        style=Style(label_font_size=SIZE.text),
    )
    x_ticks = thinned(plate.x, SIZE.width - left - plate.right)
    y_ticks = plate.y.ticks
    chart.x_labels = [_label(plate.x, tick) for tick in x_ticks]
    chart.y_labels = [_label(plate.y, tick) for tick in y_ticks]
    chart.add("", [(0.0, 0.0), (1.0, 1.0)], stroke=False)
    for line in plate.lines:
        chart.add("", [_placed(plate, x, y) for x, y in line.points])
    raw = chart.render_tree()
    source = next(g for g in raw.iter("g") if g.get("class") == "plot")
    group = svg.node(root, "g", transform=f"translate({left},{top})")
    room = left - 8
    series = 0
    for child in source:
        name = child.get("class", "")
        if name.startswith("axis"):
            is_x = name.startswith("axis x")
            axis, ticks = (plate.x, x_ticks) if is_x else (plate.y, y_ticks)
            _copy_axis(group, child, axis, ticks, None if is_x else room, plate.below)
        elif name.startswith("series"):
            if series:
                _copy_series(group, child, plate.lines[series - 1])
            series += 1
    return group


def _label(axis: Axis, tick: Tick) -> dict[str, object]:
    place = axis.place(tick.value)
    return {"value": min(place, 1 - _EDGE), "label": str(tick.label)}


def _placed(plate: Plate, x: float, y: float | None) -> tuple[float, float | None]:
    return plate.x.place(x), None if y is None else plate.y.place(y)


def _copy_axis(
    group: svg.Node,
    source: svg.Node,
    axis: Axis,
    ticks: tuple[Tick, ...],
    room: float | None,
    below: int,
) -> None:
    guides = [child for child in source if "guides" in child.get("class", "")]
    for guide, tick in zip(guides, ticks, strict=True):
        for child in guide:
            if child.tag == "path" and axis.guides:
                svg.node(group, "path", d=svg.rounded_path(child.get("d", "")), class_="gd")
            elif child.tag == "text":
                x, y = float(child.get("x", "0")), float(child.get("y", "0"))
                if room is None:
                    svg.text_node(group, x, y + 1 + below, tick.label, class_="mid")
                else:
                    svg.text_node(group, x - 2, y, tick.label, class_="end", width=room)


def _copy_series(group: svg.Node, source: svg.Node, line: Line) -> None:
    dash = line.arm.dash if line.dash is None else line.dash
    style = f"stroke:{line.arm.colour};stroke-width:{line.width:g}"
    if dash:
        style += f";stroke-dasharray:{dash}"
    if line.opacity < 1:
        style += f";stroke-opacity:{line.opacity:g}"
    for child in source:
        if child.tag == "path":
            path = svg.rounded_path(child.get("d", ""))
            made = svg.node(group, "path", d=path, class_="ln", style=style)
            if str(line.label):
                svg.node(made, "title").text = str(line.label)


def _captions(plate: Plate, room: float) -> list[str]:
    """Unit, then direction, on one line or two; the unit gives way where that is not enough."""
    words, direction = str(plate.y_caption), plate.direction
    if not words or not direction:
        return [svg.shorten(words or direction, room)] if words or direction else []
    tail = f" · {direction}"
    if svg.text_width(words + tail) <= room:
        return [words + tail]
    first, pieces = "", words.split(" ")
    while pieces and svg.text_width(f"{first} {pieces[0]}") <= room:
        first = f"{first} {pieces.pop(0)}".strip()
    rest = svg.shorten(" ".join(pieces), room - svg.text_width(tail))
    return [first, rest + tail] if rest else [first, direction]


def _left_margin(plate: Plate) -> int:
    widest = max((svg.text_width(str(tick.label)) for tick in plate.y.ticks), default=0.0)
    return 2 + min(round(widest) + 10, 170)


def _bottom_margin(plate: Plate) -> int:
    ticks = 14 if plate.x.ticks else 0
    caption = SIZE.x_caption if str(plate.x.caption) else ticks
    key = SIZE.key_row * -(-len(plate.key) // 2)
    return SIZE.bottom + caption + plate.below + key


def _draw_key(root: svg.Node, plate: Plate, ident: str, total: int) -> None:
    column = (SIZE.width - 4) / 2
    rows = -(-len(plate.key) // 2)
    for number, entry in enumerate(plate.key):
        x = 2 + column * (number % 2)
        y = total - SIZE.key_row * (rows - number // 2) + 8
        if entry.hatch:
            style = f"fill:url(#{ident}-{entry.hatch})"
            svg.node(root, "rect", x=x, y=y - 6, width=30, height=12, style=style)
        if entry.arm is not None:
            if entry.line:
                style = f"stroke:{entry.arm.colour};stroke-width:{SIZE.line:g}"
                if entry.arm.dash:
                    style += f";stroke-dasharray:{entry.arm.dash}"
                path = f"M{svg.number(x)} {svg.number(y)}h30"
                svg.node(root, "path", d=path, class_="ln", style=style)
            draw_glyph(root, x + 15, y, entry.arm)
        svg.text_node(root, x + 38, y + 5, entry.words, class_="key", width=column - 44)


def _definitions(root: svg.Node, ident: str) -> None:
    definitions = svg.node(root, "defs")
    rules = {
        "text": f"font:{SIZE.text}px {FONT};fill:{LIGHT['ink']}",
        ".title": f"font-size:{SIZE.title}px;font-weight:600",
        ".in": f"font-size:{SIZE.inner}px;paint-order:stroke;stroke:{LIGHT['ground']};"
        "stroke-width:3px;stroke-linejoin:round",
        ".mut": f"fill:{LIGHT['muted']}",
        ".mid": "text-anchor:middle",
        ".end": "text-anchor:end",
        ".ground": f"fill:{LIGHT['ground']}",
        ".gd": f"stroke:{LIGHT['guide']};stroke-width:1;fill:none",
        ".base": f"stroke:{LIGHT['axis']};stroke-width:1;fill:none",
        ".ln": "fill:none",
        ".halo": f"stroke:{LIGHT['ground']};stroke-width:4.6",
        ".open": f"fill:{LIGHT['ground']};stroke-width:1.2",
        ".box": f"fill:{LIGHT['ground']};stroke:{LIGHT['axis']};stroke-width:1",
    }
    css = "\n".join(f"#{ident} {selector}{{{rule}}}" for selector, rule in rules.items())
    svg.node(definitions, "style").text = css
    hatches = {
        "sem": ("rotate(45)", "M0 0V7", "axis", 1.8),
        "fault": ("rotate(-45)", "M0 0V7", "fault", 2.6),
        "both": ("rotate(45)", "M0 0V7M0 0H7", "fault", 1.8),
    }
    for name, (turn, path, token, width) in hatches.items():
        pattern = svg.node(
            definitions,
            "pattern",
            id=f"{ident}-{name}",
            width=SIZE.hatch,
            height=SIZE.hatch,
            patternUnits="userSpaceOnUse",
            patternTransform=turn,
        )
        style = f"stroke:{LIGHT[token]};stroke-width:{width:g};fill:none"
        svg.node(pattern, "path", d=path, style=style)


def _description(plate: Plate) -> str:
    """One sentence: kind, axes with units, series, range, number of ⊥ lanes."""

    def span(axis: Axis, name: str) -> str:
        caption = f" ({axis.caption})" if str(axis.caption) else ""
        scale = ", log scale" if axis.log else ""
        if not axis.ticks:
            return f"{name}{caption}{scale}"
        return f"{name}{caption} from {axis.ticks[0].label} to {axis.ticks[-1].label}{scale}"

    bottom = sum(plate.account.bottom.values())
    return (
        f"{plate.kind}: {plate.y_caption or plate.title}; {span(plate.x, 'x')}; "
        f"{span(plate.y, 'y')}; {plate.account.drawn} of {plate.account.lanes} values drawn, "
        f"{bottom} ⊥."
    )
