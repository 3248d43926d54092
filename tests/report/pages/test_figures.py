"""Plates and sheets: golden bytes, allow-lists, visible gaps, and that no ⊥ disappears."""

import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroproofml.report.figures import plate, reduce, svg
from zeroproofml.report.figures import sheet as sheets
from zeroproofml.report.figures.axes import Axis, linear_axis, log_axis, thinned
from zeroproofml.report.figures.dots import Row, Scale, SeedValue, dot_plate, seed_plate
from zeroproofml.report.figures.histogram import histogram_plate
from zeroproofml.report.figures.inline import inline
from zeroproofml.report.figures.lines import Series, line_plate
from zeroproofml.report.figures.map import MapCell, map_plate
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.figures.style import ARMS, DARK, LIGHT, SIZE, arm_style
from zeroproofml.report.pages.model import Column, Table
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMValueError

SVG = "{http://www.w3.org/2000/svg}"
TABLE = Table("t", (Column("arm"),), (), 0, (), None, "x.json")
CAUSES = [int(c) for c in Cause if c]


def drawn(one, slug="figure"):
    return plate.draw(one, slug, 0)


def words(root):
    return ["".join(e.itertext()) for e in root.iter("text")]


@pytest.mark.parametrize(
    "name",
    [
        *("dots", "dots_difference", "dots_log", "seeds", "lines_gap", "lines_log", "step"),
        *("scatter", "histogram", "heat_map", "confusion", "timeline", "risk", "bode"),
    ],
)
def test_golden_bytes(charts, name):
    made = sheet(charts.figure(name))
    stored = (charts.GOLDEN / f"{name}.svg").read_bytes()
    assert made == stored, "charts.py --update-golden writes it again; review the diff"


def test_goldens_hold_no_date_path_script_or_name_of_the_maker(charts):
    for path in sorted(charts.GOLDEN.iterdir()):
        text = path.read_text()
        for word in (
            "script",
            "pygal",
            "Kozea",
            "/work",
            "/home",
            "javascript",
            "xlink",
            "@import",
        ):
            assert word not in text, (path.name, word)
        assert not re.search(r"20\d\d-\d\d-\d\d", text)
        if path.suffix == ".svg":
            assert not re.search(r"\bon[a-z]+=", text)
            assert set(re.findall(r"https?://[^\"'\s]+", text)) == {"http://www.w3.org/2000/svg"}


def test_every_plate_is_small_enough_and_its_text_large_enough(charts):
    for make in charts.PLATES.values():
        root = drawn(make())
        assert len(svg.serialize(root)) < 400_000
        style = next(root.iter("style")).text
        sizes = [int(s) for s in re.findall(r"font(?:-size)?:(\d+)px", style)]
        assert min(sizes) >= 13
        width, height = map(float, root.get("viewBox").split()[2:])
        assert width == 440
        for text in root.iter("text"):
            assert -4 <= float(text.get("y")) <= height


def test_heights_of_plates(charts):
    assert charts.seeds().height == 96 + 32 * 2
    assert charts.dots().height == 96 + 32 * 5 + 16
    assert charts.step().height == 320 + 20
    assert charts.confusion().height == 400


def test_ids_are_words_and_hashes_of_the_input(charts):
    one, other = charts.dots(), charts.dots_log()
    ids = {plate.plate_id("a", 0, one), plate.plate_id("a", 1, one), plate.plate_id("a", 0, other)}
    assert len(ids) == 3
    assert all(re.fullmatch("z[0-9a-f]{10}", i) for i in ids)
    assert plate.plate_id("a", 0, charts.dots()) in ids


def test_filter_refuses_what_is_not_on_the_lists():
    def tree(tag="path", **attributes):
        root = svg.node(None, "svg", xmlns="http://www.w3.org/2000/svg")
        svg.node(root, tag, attributes)
        return root

    svg.check(tree(d="M0 0L1 1"))
    bad = [
        tree("script"),
        tree("a"),
        tree("image"),
        tree("foreignObject"),
        tree("use"),
        tree("animate"),
        tree(onclick="x()"),
        tree(href="#a"),
        tree(style="fill:url(http://x)"),
        tree(style="fill:url(#other)"),
        tree(style="background:url(data:x)"),
        tree(style="behavior:expression(1)"),
        tree(style="x:@import"),
        tree(style="a:b/*"),
        tree(id="javascript"),
        tree(d="M0 0;alert(1)"),
        tree(transform="javascript:1"),
        tree(**{"class": "A b;"}),
        tree(x="1px"),
        tree(role="button"),
    ]
    for root in bad:
        with pytest.raises(SCMValueError, match="allow-list"):
            svg.check(root)
    text = svg.node(None, "svg")
    svg.node(text, "text").text = "\x00"
    with pytest.raises(SCMValueError):
        svg.check(text)
    text[0].text, text[0].tail = None, "\ud800"
    with pytest.raises(SCMValueError):
        svg.check(text)
    twins = svg.node(None, "svg")
    for _ in range(2):
        svg.node(twins, "g", id="z0123456789")
    with pytest.raises(SCMValueError, match="twice"):
        svg.check(twins)
    comment = svg.node(None, "svg")
    comment.append(ET.Comment("x"))
    with pytest.raises(SCMValueError):
        svg.check(comment)


def test_a_gap_is_two_paths_and_pygal_alone_would_bridge_it(charts):
    import pygal

    plain = pygal.XY()
    plain.add("", [(0, 0), (1, None), (2, 1), (3, 1)])
    bridged = [p for p in plain.render_tree().iter("path") if "line reactive" in p.get("class", "")]
    assert len(bridged) == 1
    series = Series("a", arm_style(0), (0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 0.0, 1.0, 2.0),
                    (0, 0, 4, 0, 0))  # fmt: skip
    root = drawn(line_plate("t", "c", [series]))
    curves = [p for p in root.iter("path") if p.find("title") is not None]
    assert len(curves) == 2
    assert any("url(#" in (r.get("style") or "") for r in root.iter("rect"))


def test_isolated_point_between_gaps_is_still_seen():
    series = Series("a", arm_style(0), (0.0, 1.0, 2.0), (0.0, 1.0, 0.0), (4, 0, 4))
    root = drawn(line_plate("t", "c", [series]))
    assert any(c.get("r") == "3.5" for c in root.iter("circle"))


def test_labels_of_ticks_on_the_edge_are_kept():
    axis = Axis(0.0, 1.0, tuple(t for t in linear_axis([0.0, 1.0]).ticks))
    made = line_plate("t", "c", [Series("a", arm_style(0), (0.0, 1.0), (0.0, 1.0))], y_axis=axis)
    assert words(drawn(made)).count("1.0") >= 1


def test_payload_that_is_not_finite_needs_a_cause():
    for bad in (float("nan"), float("inf")):
        with pytest.raises(SCMValueError, match="needs a cause"):
            Series("a", arm_style(0), (0.0,), (bad,))
        Series("a", arm_style(0), (0.0,), (bad,), (2,))


def test_a_last_bit_moves_no_byte(charts):
    base = charts.ROWS[0]
    nudged = replace(base, mean=np.nextafter(base.mean, 1.0))
    scale = Scale("m", "c")
    left, right = (drawn(dot_plate(scale, (row,))) for row in (base, nudged))

    def stripped(root):
        return re.sub("z[0-9a-f]{10}", "", svg.written(root))

    assert stripped(left) == stripped(right)


def test_long_and_wide_labels_are_shortened_with_the_full_text_in_a_title():
    label = "an arm whose name never ends " * 5
    root = drawn(dot_plate(Scale("m" * 200, "c" * 400, "lower is better ↓"), (
        Row(label, arm_style(0), (SeedValue(1, 1.0),), 1.0, None),
        Row("長" * 40, arm_style(1), (SeedValue(1, 2.0),), 2.0, None),
    )))  # fmt: skip
    titles = [t.text for t in root.iter("title")]
    assert label in titles
    assert "長" * 40 in titles
    shown = [t.tail or "" for t in root.iter("title") if t.tail]
    assert all(svg.text_width(s, 14) <= 436 for s in shown)
    assert any("lower is better ↓" in w for w in words(root))


def test_undefined_rows_keep_their_place_and_say_why(charts):
    text = words(drawn(charts.dots()))
    assert "undefined: no accepted lane" in text
    assert "⊥ in 1 of 3 seeds" in text
    names = [w for w in text if w in {"scm", "mlp", "refuser", "clamp"}]
    assert names == ["scm", "mlp", "refuser", "clamp"]


def test_interval_that_a_log_axis_cannot_hold_becomes_an_arrow(charts):
    root = drawn(charts.dots_log())
    whiskers = [p.get("d") for p in root.iter("path") if "stroke-width:2" in (p.get("style") or "")]
    assert any(d.count("M") == 3 and d.count("L") == 4 for d in whiskers)
    assert "decades, log scale" in words(root)


def test_all_undefined_none_undefined_single_and_empty():
    scale = Scale("m", "c")
    nothing = tuple(
        Row(a, arm_style(i), (SeedValue(1, None, "nan"),), None, None, "nan")
        for i, a in enumerate("ab")
    )
    for rows in (nothing, ()):
        for make in (dot_plate, seed_plate):
            svg.serialize(drawn(make(scale, rows)))
    for series in ([], [Series("a", arm_style(0), (), ())],
                   [Series("a", arm_style(0), (1.0,), (1.0,))],
                   [Series("a", arm_style(0), (1.0,), (0.0,), (4,))]):  # fmt: skip
        for log in (False, True):
            svg.serialize(drawn(line_plate("t", "c", series, log_x=log, log_y=log)))
    svg.serialize(drawn(histogram_plate("t", "c", [("a", arm_style(0), [])])))
    svg.serialize(drawn(map_plate("t", "c", [0, 1], [0, 1], [[MapCell(None, n=0)]])))


LANES = st.lists(
    st.tuples(
        st.floats(-5, 1e4, allow_nan=False).map(lambda v: round(v, 3)),
        st.floats(-5, 1e4, allow_nan=False).map(lambda v: round(v, 3)),
        st.one_of(st.just(0), st.sampled_from(CAUSES), st.integers(1, 255)),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(lanes=st.lists(LANES, min_size=1, max_size=3), log_x=st.booleans(), log_y=st.booleans(),
       narrow=st.booleans(), step=st.booleans())  # fmt: skip
def test_no_lane_disappears_from_a_line_plot(lanes, log_x, log_y, narrow, step):
    series = [
        Series(f"s{i}", arm_style(i), *(map(tuple, zip(*one, strict=True)) if one else ((), (), ())),
               step=step)
        for i, one in enumerate(lanes)
    ]  # fmt: skip
    axis = linear_axis([1.0, 50.0]) if narrow and not log_y else None
    made = line_plate("t", "c", series, log_x=log_x, log_y=log_y, y_axis=axis)
    account = made.account
    assert account.lanes == sum(map(len, lanes))
    found = account.drawn + account.reduced + sum(account.bottom.values()) + account.out_of_range
    assert found == account.lanes
    bottoms = sum(1 for one in lanes for *_, cause in one if cause)
    assert sum(n for w, n in account.bottom.items() if w != "not on a log axis") == bottoms
    svg.serialize(drawn(made))


@settings(max_examples=40)
@given(
    seeds=st.lists(
        st.lists(
            st.one_of(st.none(), st.floats(-1e300, 1e300, allow_nan=False)), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=9,
    )
)
def test_no_seed_disappears_from_a_dot_plot(seeds):
    rows = []
    for i, values in enumerate(seeds):
        held = [v for v in values if v is not None]
        mean = sum(v / len(held) for v in held) if held else None
        rows.append(
            Row(
                f"a{i}",
                arm_style(i),
                tuple(
                    SeedValue(s, v, "" if v is not None else "empty_set")
                    for s, v in enumerate(values, 1)
                ),
                mean,
                (min(held), max(held)) if len(held) > 1 else None,
                "empty_set",
            )
        )
    for make in (dot_plate, seed_plate):
        made = make(Scale("m", "c"), tuple(rows))
        assert made.account.lanes == sum(map(len, seeds))
        assert made.account.drawn == sum(v is not None for one in seeds for v in one)
        svg.serialize(drawn(made))


@given(
    cells=st.lists(
        st.tuples(st.sampled_from([None, "sem", "fault", "both"]), st.integers(0, 9)),
        min_size=4,
        max_size=4,
    )
)
def test_no_cell_disappears_from_a_map(cells):
    body = [MapCell(None if n == 0 else float(n), kind if n else None, n) for kind, n in cells]
    made = map_plate("t", "c", [0, 1, 2], [0, 1, 2], [body[:2], body[2:]])
    assert made.account.lanes == sum(n for _, n in cells)


def test_accounts_that_do_not_add_up_are_refused():
    with pytest.raises(SCMValueError, match="none may disappear"):
        plate.Account(5, 3)
    with pytest.raises(SCMValueError):
        plate.Account(1, 2, out_of_range=-1)


@given(
    n=st.integers(0, 400),
    gaps=st.sets(st.integers(0, 400), max_size=20),
    most=st.integers(20, 200),
)
def test_reduction_keeps_ends_and_extremes_and_spans_no_gap(n, gaps, most):
    rng = np.random.default_rng(n)
    points = [(float(i), None if i in gaps else float(rng.normal())) for i in range(n)]
    kept, dropped = reduce.reduce_line(points, most)
    shown = [p for p in kept if p[1] is not None]
    full = [p for p in points if p[1] is not None]
    assert len(shown) + dropped == len(full)
    assert [p for p in shown if p not in full] == []
    if full:
        assert shown[0] == full[0]
        assert shown[-1] == full[-1]
        assert min(p[1] for p in shown) == min(p[1] for p in full)
        assert max(p[1] for p in shown) == max(p[1] for p in full)
    if dropped:
        assert len(shown) <= most + 4 * (len(gaps) + 1)
    runs = sum(1 for a, b in zip([(0, None), *points], points, strict=False)
               if b[1] is not None and a[1] is None)  # fmt: skip
    drawn_runs = sum(1 for a, b in zip([(0, None), *kept], kept, strict=False)
                     if b[1] is not None and a[1] is None)  # fmt: skip
    assert runs == drawn_runs


def test_two_thousand_points_are_fast_and_small():
    n = 51_200
    x = tuple(i / n for i in range(n))
    y = tuple(float(v) for v in np.random.default_rng(1).normal(size=n))
    made = line_plate("t", "c", [Series("a", arm_style(0), x, y)])
    assert made.account.drawn <= 2_000
    assert made.account.reduced == n - made.account.drawn
    assert len(svg.serialize(drawn(made))) < 100_000


def test_ticks_are_few_round_and_apart():
    for values in ([0.0, 1.0], [1e-9, 3e-9], [-5.0, 1e6], [0.95, 1.0], [7.0], []):
        axis = linear_axis(values)
        assert 1 <= len(axis.ticks) <= 7
        assert all(axis.holds(t.value) for t in axis.ticks)
    assert [t.label for t in log_axis([0.3, 4.0]).ticks] == ["0.5", "1", "2"]
    assert len(log_axis([1e-12, 1e12]).ticks) <= 7
    crowded = linear_axis([0.0, 123456.0], most=6)
    assert len(thinned(crowded, 60)) <= 3
    with pytest.raises(SCMValueError):
        Axis(1.0, 1.0, ())
    with pytest.raises(SCMValueError):
        Axis(0.0, 1.0, (), log=True)


def _luminance(hexed):
    parts = [int(hexed[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    one, two = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (one + 0.05) / (two + 0.05)


def test_contrast_of_text_and_marks_in_both_schemes():
    for scheme in (LIGHT, DARK):
        for name in ("ink", "muted", "fault"):
            assert contrast(scheme[name], scheme["ground"]) >= 4.5
        for name in ("axis", "warn", *(f"arm{i}" for i in range(6))):
            assert contrast(scheme[name], scheme["ground"]) >= 3.0
        assert contrast(scheme["ink"], scheme["warnground"]) >= 4.5
    assert set(LIGHT) == set(DARK)


def test_arms_differ_by_shape_and_dash_as_well_as_colour():
    assert len({a.glyph for a in ARMS}) == len({a.dash for a in ARMS}) == len(ARMS)
    assert arm_style(7).hollow
    assert arm_style(7).token == arm_style(0).token
    assert (SIZE.width, SIZE.sheet_width) == (440, 904)


def test_inline_turns_tokens_into_variables_but_never_text():
    hexed = LIGHT["arm0"]
    made = dot_plate(
        Scale(f"colour {hexed}", hexed), (Row(hexed, arm_style(0), (SeedValue(1, 1.0),), 1.0),)
    )
    text = str(inline(made, "figure", 0))
    root = ET.fromstring(text)
    for element in root.iter():
        assert hexed not in element.attrib.get("style", "")
    assert "var(--arm0)" in text
    assert f">{hexed}<" in text
    assert "width" not in root.attrib
    assert "var(" not in svg.written(drawn(made))


def test_sheet_is_standalone_and_stays_in_its_budget(charts, monkeypatch):
    data = sheet(charts.figure("bode"))
    root = ET.fromstring(data)
    assert root.get("role") == "img"
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert set(root.get("aria-labelledby").split()) <= set(ids)
    assert root.find(f"{SVG}rect").get("style") == f"fill:{LIGHT['ground']}"
    assert len(root.findall(f"{SVG}svg")) == 2
    for name in ("MOST_PLATE", "MOST_SHEET"):
        with monkeypatch.context() as patch:
            patch.setattr(sheets, name, 2_000)
            with pytest.raises(SCMValueError, match="above 2000 bytes"):
                sheet(charts.figure("bode"))


def test_only_plate_imports_pygal_and_only_html_imports_jinja():
    code = (
        "import sys\n"
        "from zeroproofml.report.figures import axes, marks, reduce, style, svg\n"
        "from zeroproofml.report.pages import markdown, model, numbers, text\n"
        "print(sorted({'pygal', 'jinja2', 'scipy', 'torch', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
