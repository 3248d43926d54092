"""Pages: strings cleaned once, numbers by rule, and nothing from a file that can act."""

import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from zeroproofml.report import derive, domains, rundir
from zeroproofml.report.pages import html, markdown, model, numbers
from zeroproofml.report.pages.model import Banner, Column, Figure, Page, Section, Table
from zeroproofml.report.pages.text import Code, Text, clean
from zeroproofml.scm.errors import SCMValueError

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>x</script>",
    "</svg></title></text>",
    "]]>",
    "-- -->",
    '" onload="x()',
    "' onclick='x()",
    "javascript:alert(1)",
    "data:text/html;base64,PHNjcmlwdD4=",
    "fill:url(http://evil.example)",
    "x{background:url(//evil.example)}",
    "\\0000 3c script&#x3e;&lt;b&gt;",
    "{{7*7}}{% raw %}",
    "a|b|c",
    "`code` ``two``",
    "[link](http://evil.example) ![image](x.png)",
    "http://evil.example/path www.evil.example",
    "@someone #12 user@evil.example",
    "# heading\n\n---\n* item",
    "<!-- comment -->",
    "\x00\x01\x1b[31m",
    "\x85\x9f",
    "\ud800\udfff",
    "\u202eabc\u2066\u200f",
    "\u200b\u200d\ufeff\u00ad",
    "a" + "\u0301" * 40,
    "\ue000\uffff",
    "x" * 1_000_000,
    "#0072b2 #1a1a1a",
    "長い" * 200,
    "&amp;",
    "$x$ ~~s~~ __b__ **b**",
]

# Text and Code


@pytest.mark.parametrize("raw", HOSTILE)
def test_cleaned_text_is_visible_short_and_encodable(raw):
    made = clean(raw)
    made.encode("utf-8")
    assert len(made) <= 200
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ue000]", made)
    assert not re.search("\u0301{5}", made)
    ET.fromstring(f"<a>{escape(made)}</a>")


@given(st.text(max_size=300))
def test_cleaning_is_total_and_settles(raw):
    made = clean(raw)
    assert len(made) <= 200
    made.encode("utf-8")
    if len(raw) < 20:
        assert clean(made) == made


def test_cleaning_by_example():
    assert clean("a\tb\nc") == "a b c"
    assert clean("\u202e") == "\\u{202E}"
    assert clean("e\u0301") == "é"
    assert clean("x" * 200) == "x" * 200
    assert clean("x" * 201) == "x" * 160 + "… (+41 characters)"
    assert clean("\u202e" * 30).endswith("characters)")
    assert Text("a\x00").value == "a\\u{0000}"


def test_code_takes_our_own_strings_only():
    for good in ("sha256:0a", "seed_1/commit.json", "scm : mlp", "0.1.0"):
        assert Code(good).value == good
    for bad in ("", "a`b", "a|b", "<b>", "é", "a\nb", "[x]"):
        with pytest.raises(SCMValueError, match="Code"):
            Code(bad)


# Numbers


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (numbers.value(0.0), "0"),
        (numbers.value(-0.0), "0"),
        (numbers.value(9.995), "9.99"),
        (numbers.value(9.9951), "10.0"),
        (numbers.value(0.001), "0.00100"),
        (numbers.value(0.00099951), "0.00100"),
        (numbers.value(0.000999), "9.99e-4"),
        (numbers.value(99949.0), "99\u202f900"),
        (numbers.value(1e5), "1.00e5"),
        (numbers.value(5e-324), "4.94e-324"),
        (numbers.value(-1.7e308), "−1.70e308"),
        (numbers.value(-12.3), "−12.3"),
        (numbers.value(1234.5), "1230"),
        (numbers.value(12345.0), "12\u202f300"),
        (numbers.value_interval(4.1e-4, 3.2e-4, 5.4e-4), "4.1e-4 [3.2e-4, 5.4e-4]"),
        (numbers.value_interval(0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),
        (numbers.value_interval(0.0, 0.0, 0.0), "0 [0, 0]"),
        (numbers.value_interval(12.3456, 11.0, 13.7), "12.3 [11.0, 13.7]"),
        (numbers.value_interval(1234.5, 900.0, 1500.0), "1230 [900, 1500]"),
        (numbers.value_interval(-0.0004, -0.1, 0.1), "0.00 [−0.10, 0.10]"),
        (numbers.percent(0.0), "0 %"),
        (numbers.percent(1.0), "100 %"),
        (numbers.percent(1 / 3), "33.3 %"),
        (numbers.percent(1e-6), "< 0.1 %"),
        (numbers.percent(1 - 1e-6), "> 99.9 %"),
        (numbers.percent(0.02, 4, 200), "2.0 % (4 of 200)"),
        (numbers.percent(0.0, 0, 200), "0 % (0 of 200)"),
        (numbers.percent(0.02, 40, 2000), "2.0 %"),
        (numbers.points(-0.012), "−1.2 pp"),
        (numbers.count(9999), "9999"),
        (numbers.count(10000), "10\u202f000"),
        (numbers.count(1234567), "1\u202f234\u202f567"),
        (numbers.p_value(0.0001), "< 0.001"),
        (numbers.si(0.0123, "s"), "12.3 ms"),
        (numbers.si(2e7, "Hz"), "20.0 MHz"),
        (numbers.binary_size(1023), "1023 B"),
        (numbers.binary_size(1024**2), "1.00 MiB"),
        (numbers.undefined("empty_set"), "undefined (no accepted lane)"),
    ],
)
def test_numbers(made, shown):
    assert made == shown


@given(st.floats(-1e308, 1e308))
def test_three_digits_stay_close(x):
    shown = float(numbers.value(x).replace("−", "-").replace("\u202f", ""))
    assert shown == pytest.approx(x, rel=0.0051, abs=1e-323)


@given(
    x=st.floats(-1e12, 1e12),
    half=st.floats(0, 1e12).filter(lambda h: h == 0 or h > 1e-12),
)
def test_interval_shares_decimals_and_exponent(x, half):
    shown = numbers.value_interval(x, x - half, x + half)
    cells = re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", shown).groups()
    exponents = {c.partition("e")[2] for c in cells}
    decimals = {len(c.partition("e")[0].partition(".")[2]) for c in cells}
    assert len(exponents) == len(decimals) == 1
    assert "-0" not in shown.replace("−0.", "")


# Model


def table(**changes):
    body = {
        "caption": "Means",
        "columns": (Column("arm", align="left"), Column("mean")),
        "rows": (("a", "1"), ("b", "2")),
        "n_total": 5,
        "n_seeds": (1, 2, 3),
        "interval": "95 % Student-t interval",
        "source": "aggregated/summary.json",
    }
    return Table(**(body | changes))


def test_model_refuses_figures_without_table_and_tables_without_n(charts):
    with pytest.raises(TypeError):
        Figure("a", "t", "c", (charts.dots(),))
    with pytest.raises(SCMValueError, match="table"):
        Figure("a", "t", "c", (charts.dots(),), None)
    with pytest.raises(SCMValueError, match="no plate"):
        Figure("a", "t", "c", (), table())
    with pytest.raises(TypeError):
        Table("c", (Column("a"),), (), source="x")
    with pytest.raises(SCMValueError, match="row 1 has 1 cells"):
        table(rows=(("a", "1"), ("b",)))
    with pytest.raises(SCMValueError, match="columns is empty"):
        table(columns=(), rows=())
    for slug in ("A", "a b", "a/b", "", "1a", "é"):
        with pytest.raises(SCMValueError, match="slug"):
            Section(slug, "t", ())


def test_basis_and_the_column_of_n():
    assert table().basis == "n = 3 of 5 seeds (1, 2, 3); 95 % Student-t interval"
    assert table(n_seeds=(4,)).basis == "n = 1 of 5 seeds (4); no interval below two seeds"
    uneven = table(row_n=(3, 2))
    assert "n differs" in uneven.basis
    assert [str(c.label) for c in uneven.shown_columns] == ["arm", "n", "mean"]
    assert uneven.shown_rows[1] == ("b", "2", "2")
    assert not table(row_n=(3, 3)).n_differs
    many = table(n_total=400, n_seeds=tuple(range(1, 401)))
    assert "(1–400)" in many.basis


def test_rows_are_never_cut_silently():
    rows = tuple((str(i), "1") for i in range(51_200))
    made = table(rows=rows)
    line = "2\u202f000 of 51\u202f200 rows; all in aggregated/summary.json"
    assert made.cut == line
    assert line in markdown.render_table(made)
    text = html.render(Page("audit", "t", "s", (), (), (Section("a", "A", (made,)),)))
    assert line in text
    assert text.count("<tr>") == 2_001


def test_stop_banner_prefixes_the_title():
    page = Page("audit", "Claims", "s", (Banner("stop", "validation failed"),))
    assert markdown.render(page).startswith("# INVALID: Claims\n")
    assert "<h1>INVALID: Claims</h1>" in html.render(page)


# Golden pages


@pytest.mark.parametrize("name", ["page.md", "page.html"])
def test_golden_page(charts, name):
    made = {"page.md": markdown.render, "page.html": html.render}[name](charts.page())
    assert made.encode() == (charts.GOLDEN / name).read_bytes()


# HTML


class Walk(HTMLParser):
    """Collects elements; refuses what a page may not hold."""

    ALLOWED = frozenset(
        [
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "header",
            "h1",
            "h2",
            "h3",
            "p",
            "dl",
            "dt",
            "dd",
            "nav",
            "ol",
            "li",
            "a",
            "main",
            "section",
            "div",
            "strong",
            "code",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "figure",
            "figcaption",
            "details",
            "summary",
            "svg",
            "g",
            "path",
            "rect",
            "circle",
            "text",
            "desc",
            "defs",
            "pattern",
        ]
    )
    ATTRIBUTES = frozenset(
        [
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "class",
            "role",
            "tabindex",
            "aria-label",
            "aria-labelledby",
            "id",
            "href",
            "scope",
            "open",
            "xmlns",
            "viewbox",
            "d",
            "x",
            "y",
            "width",
            "height",
            "cx",
            "cy",
            "r",
            "transform",
            "style",
            "patternunits",
            "patterntransform",
        ]
    )

    def __init__(self):
        super().__init__()
        self.ids, self.hrefs, self.headings, self.seen, self.words = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        assert tag in self.ALLOWED, tag
        self.seen.append(tag)
        for key, value in attrs:
            assert key in self.ATTRIBUTES, (tag, key)
            assert not key.startswith("on")
            if key == "id":
                self.ids.append(value)
            if key == "href":
                self.hrefs.append(value)
            if key == "style":
                assert "http" not in value
                assert "url(" not in re.sub(r"url\(#z[0-9a-f]{10}-[a-z]+\)", "", value)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(int(tag[1]))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.words.append(data)

    def handle_decl(self, decl):
        assert decl == "DOCTYPE html"

    def handle_comment(self, data):
        raise AssertionError(data)


def walked(text):
    walk = Walk()
    walk.feed(text)
    walk.close()
    assert len(walk.ids) == len(set(walk.ids))
    assert set(walk.hrefs) <= {f"#{i}" for i in walk.ids}
    assert walk.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(walk.headings, walk.headings[1:], strict=False))
    return walk


def test_html_head_is_in_order_and_closed(charts):
    text = html.render(charts.page())
    head = text[: text.index("<style>")]
    order = [
        "charset",
        "Content-Security-Policy",
        "viewport",
        "color-scheme",
        "referrer",
        "<title>",
    ]
    places = [head.index(word) for word in order]
    assert places == sorted(places)
    assert (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'" in head
    )
    walk = walked(text)
    assert {"script", "iframe", "form", "img", "link"}.isdisjoint(walk.seen)
    assert "nav" in walk.seen
    assert 'role="alert"' in text
    assert "prefers-color-scheme" in text
    assert "@media print" in text


def test_html_is_strict_about_undefined_names():
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        html._template().render(page=None)


def test_page_budget(charts, monkeypatch):
    monkeypatch.setattr(html, "MOST_PAGE", 1_000)
    with pytest.raises(SCMValueError, match="above 1000 bytes"):
        html.render(charts.page())


# Hostile strings in every free-text field


def parsed(text):
    return MarkdownIt("commonmark").enable("table").parse(text)


def check_markdown(text, figures):
    assert not re.search(r"https?://|www\.|(^|[^\w&;#])@\w|javascript:", text)
    columns = None
    for token in parsed(text):
        assert token.type not in {"html_block", "fence", "code_block"}, token.content[:80]
        if token.type == "table_open":
            columns = set()
        if token.type == "tr_open":
            width = 0
        if token.type in {"th_open", "td_open"}:
            width += 1
        if token.type == "tr_close":
            columns.add(width)
        if token.type == "table_close":
            assert len(columns) == 1
        for child in token.children or []:
            assert child.type not in {"html_inline", "link_open"}, child.content
            if child.type == "image":
                assert child.attrs["src"] in figures
            if child.type == "code_inline":
                Code(child.content)


def hostile_provenance(provenance, word):
    env = provenance.attempts[0].environment
    dirty = env.model_copy(
        update={
            "packages": {f"numpy{word[:3000]}": word[:4000], "numpy": word[:4000]},
            "python": env.python.model_copy(update={"version": word[:4000]}),
            "system": env.system.model_copy(update={"os": word[:4000], "cpu_model": word[:4000]}),
        }
    )
    attempt = provenance.attempts[0].model_copy(update={"environment": dirty})
    config = provenance.config.model_copy(update={"device": word[:4000]})
    claims = tuple(
        c.model_copy(update={"text": word.encode("utf-8", "replace").decode()[:2000]})
        for c in provenance.plan.claims
    )
    return provenance.model_copy(
        update={
            "attempts": (attempt,),
            "config": config,
            "plan": provenance.plan.model_copy(update={"claims": claims}),
        }
    )


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_string_from_a_run_can_act(make_run, make_protocol, number):
    word = HOSTILE[number]
    plain = make_protocol()
    kept = word.encode("utf-8", "replace").decode()  # JSON refuses lone surrogates by itself
    law = make_protocol(
        arms=tuple(dataclasses.replace(a, label=word) for a in plain.arms),
        metrics={
            key: d.model_copy(update={"text": kept[:500], "unit": kept[:40]})
            for key, d in plain.metrics.items()
        },
    )
    path = make_run(seeds=(1, 2), failed=("clamp",))
    domains.register(law)
    raw = rundir.load_raw_run(path)
    finding = rundir.Finding("error", "digest", word[:400], word[:40], word[:400], word[:400])
    raw = dataclasses.replace(raw, provenance=hostile_provenance(raw.provenance, word))
    # digests and JSON of such strings are the contract's business: pages are tested here
    made = {
        name: data
        for name, data in derive.derive(raw, derive.Options(html=True, findings=(finding,))).items()
        if not name.startswith("aggregated")
    }
    figures = {name for name in made if name.endswith(".svg")}
    for name, data in made.items():
        text = data.decode("utf-8")
        if name.endswith(".svg"):
            root = ET.fromstring(text)
            tags = {e.tag.rpartition("}")[2] for e in root.iter()}
            assert tags <= Walk.ALLOWED
        elif name.endswith(".md"):
            check_markdown(text, figures)
        else:
            walked(text)
        assert len(data) < 1_000_000


def test_ten_thousand_arms_do_not_break_a_table():
    rows = tuple((Text(f"arm {i} | x"), str(i)) for i in range(10_000))
    page = Page("audit", "t", "s", (), (), (Section("a", "A", (table(rows=rows),)),))
    check_markdown(markdown.render(page), set())
    walked(html.render(page))


@given(st.text(max_size=120))
def test_any_text_survives_both_renderers(raw):
    page = Page(
        "audit", "t", Text(raw), (Banner("warn", "w", (Text(raw),)),), (("f", Text(raw)),),
        (Section("a", "A", (table(rows=((Text(raw), Text(raw)),)),)),),
    )  # fmt: skip
    shown = Text(raw).value
    walk = walked(html.render(page))
    assert "".join(shown.split()) in "".join("".join(walk.words).split())
    check_markdown(markdown.render(page), set())


def test_a_figure_name_is_a_fixed_word():
    assert model.NotDrawn("coverage_risk", "no risk was stored").path == "figures/coverage_risk.svg"
    with pytest.raises(SCMValueError):
        model.NotDrawn("../x", "r")
