"""One small fixed input per kind of chart, and one page, for the golden bytes.

``python tests/report/pages/charts.py --update-golden`` writes them again; the change is then reviewed
as a diff. No test writes a golden file.
"""

import math
import sys
from pathlib import Path

from zeroproofml.report.figures.confusion import confusion_plate
from zeroproofml.report.figures.coverage import RiskCurve, risk_plate
from zeroproofml.report.figures.dots import Row, Scale, SeedValue, dot_plate, seed_plate
from zeroproofml.report.figures.histogram import histogram_plate
from zeroproofml.report.figures.lines import Series, line_plate
from zeroproofml.report.figures.map import MapCell, map_plate
from zeroproofml.report.figures.marks import Reference
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.figures.style import ArmStyle, arm_style
from zeroproofml.report.figures.timeline import Strip, timeline_plate
from zeroproofml.report.pages import html, markdown
from zeroproofml.report.pages.model import (
    Banner,
    Code,
    Column,
    Figure,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Text,
)

TRUTH = ArmStyle("ink", "circle", "")


def row(index, label, values, mean, interval, **more):
    seeds = tuple(
        SeedValue(seed, value, "" if value is not None else "empty_set")
        for seed, value in enumerate(values, start=1)
    )
    return Row(label, arm_style(index), seeds, mean, interval, **more)


ROWS = (
    row(0, "scm", [0.11, 0.12, 0.14], 0.1233, (0.085, 0.161)),
    row(1, "mlp", [0.31, 0.36, 0.40], 0.3567, (0.244, 0.469)),
    row(2, "refuser", [None, None, None], None, None, reason="empty_set"),
    row(3, "clamp", [0.52, None, 0.61], 0.565, (-0.007, 1.137)),
    row(4, "oracle", [0.05, 0.05, 0.05], 0.05, (0.05, 0.05), reference=True),
)


def dots():
    return dot_plate(
        Scale("mae", "mean absolute error of the accepted lanes", "lower is better ↓", "decades"),
        ROWS,
    )


def dots_difference():
    return dot_plate(
        Scale("mae", "better by, paired by seed", unit="decades"),
        (
            row(0, "scm", [0.1, 0.2, 0.3], 0.2, (-0.048, 0.448)),
            row(1, "mlp", [-0.1, -0.2, -0.15], -0.15, (-0.274, -0.026)),
        ),
        zero=("worse", "better"),
        margin=0.05,
    )


def dots_log():
    return dot_plate(
        Scale("worst", "largest error", "lower is better ↓", "decades", log=True),
        (
            row(0, "scm", [1e-4, 2e-4, 4e-4], 2.33e-4, (-1.5e-4, 6.2e-4)),
            row(1, "mlp", [0.1, 0.2, 0.3], 0.2, (0.05, 0.35)),
        ),
    )


def seeds():
    return seed_plate(
        Scale("coverage", "share of accepted lanes", "higher is better ↑", "share", percent=True,
              bounds=(0.0, 1.0)),
        (
            row(0, "scm", [0.9, 0.92, 0.95, 0.91, 0.93, 0.96, 0.94, 0.9], None, None),
            row(1, "mlp", [1.0] * 8, None, None),
        ),
    )  # fmt: skip


def _wave(n=41):
    return tuple(i / 10 for i in range(n))


def lines_gap():
    x = _wave()
    y = tuple(round(math.sin(v), 6) for v in x)
    cause = tuple(4 if 15 <= i <= 18 else 2 if i == 30 else 0 for i in range(len(x)))
    payload = tuple(0.0 if c else v for v, c in zip(y, cause, strict=True))
    return line_plate(
        "response",
        "amplitude",
        (
            Series("scm", arm_style(0), x, payload, cause, width=3.5),
            Series("truth", TRUTH, x, y, width=1.25),
        ),
        x_caption="time in s",
        references=(Reference(2.5, "threshold"), Reference(0.0, "zero", vertical=False)),
    )


def lines_log():
    x = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
    return line_plate(
        "threshold sweep",
        "rate",
        (
            Series("false in range", arm_style(0), x, (0.4, 0.31, 0.2, 0.1, 0.04, 0.0)),
            Series("refused", arm_style(1), x, (0.0, 0.02, 0.1, 0.3, 0.6, 1.0), (0, 0, 0, 0, 6, 0)),
        ),
        x_caption="threshold",
        log_x=True,
        references=(Reference(0.01, "chosen"),),
    )


def step():
    return line_plate(
        "risk at coverage",
        "selective risk",
        (Series("scm", arm_style(0), (0.0, 0.5, 0.8, 1.0), (0.0, 0.02, 0.05, 0.2), step=True),),
        x_caption="coverage",
    )


def scatter():
    x = tuple(((i * 37) % 50) / 50 for i in range(30))
    y = tuple(((i * 23) % 40) / 40 for i in range(30))
    return line_plate(
        "poles", "imaginary part", (Series("learned", arm_style(2), x, y, points=True),),
        x_caption="real part", kind="Scatter plot",
    )  # fmt: skip


def histogram():
    first = [10 ** (((i * 7) % 40) / 10 - 3) for i in range(80)]
    second = [10 ** (((i * 3) % 20) / 10 - 1) for i in range(60)]
    return histogram_plate(
        "abs Q",
        "share of the group's lanes",
        (("in range", arm_style(0), [*first, 0.0, 0.0]), ("above", arm_style(1), second)),
        bottom={"not finite": (3, 0)},
        bins=20,
        x_caption="abs Q",
        log=True,
        references=(Reference(0.02, "tau_infer"),),
    )


def heat_map():
    body = [[MapCell((i + j) / 10, n=3) for i in range(6)] for j in range(6)]
    body[0][0] = MapCell(bottom="sem", n=2)
    body[0][1] = MapCell(bottom="fault", n=1)
    body[0][2] = MapCell(bottom="both", n=1)
    body[5][5] = MapCell(n=0)
    edges = [i / 6 for i in range(7)]
    return map_plate(
        "task error", "median residual", edges, edges, body, x_caption="x in m", bounds=(0.0, 1.2),
        direction="lower is better ↓",
    )  # fmt: skip


def confusion():
    return confusion_plate(
        "scm", ["below", "in range", "above"], [[40, 5, 0], [2, 180, 4], [0, 0, 0]],
        refused=[5, 14, 0],
    )  # fmt: skip


def timeline():
    x = _wave()
    y = tuple(round(0.02 + abs(math.sin(v)) / 10, 6) for v in x)
    cause = tuple(32 if 10 <= i < 14 else 0 for i in range(len(x)))
    return timeline_plate(
        "tracking error",
        "m",
        (Series("scm", arm_style(0), x, y, cause),),
        (Strip("route", ((0.0, 1.0, "direct"), (1.0, 1.4, "⊥"), (1.4, 4.0, "solver"))),),
        {"direct": ("guide", None), "⊥": (None, "sem"), "solver": ("arm1", None)},
        x_caption="time in s",
        direction="lower is better ↓",
    )


def risk():
    grid = tuple(round(i / 20, 2) for i in range(21))
    return risk_plate(
        "selective risk",
        "mean absolute error of what is answered",
        (
            RiskCurve(
                "scm",
                arm_style(0),
                grid,
                tuple(0.02 + 0.1 * c**3 if c <= 0.9 else None for c in grid),
                tuple(0.01 + 0.08 * c**3 if c <= 0.9 else None for c in grid),
                tuple(0.03 + 0.13 * c**3 if c <= 0.9 else None for c in grid),
                (0.87, 0.086),
            ),
            RiskCurve(
                "mlp",
                arm_style(1),
                grid,
                tuple(0.05 + 0.15 * c**2 for c in grid),
                tuple(0.04 + 0.13 * c**2 for c in grid),
                tuple(0.07 + 0.18 * c**2 for c in grid),
            ),
        ),
        required=0.8,
    )


def bode():
    x = tuple(10 ** (i / 20 - 1) for i in range(41))
    gain = tuple(round(-10 * math.log10(1 + (v - 1) ** 2 * 100), 5) for v in x)
    phase = tuple(round(-math.degrees(math.atan((v - 1) * 10)), 5) for v in x)
    cause = tuple(4 if i == 20 else 0 for i in range(41))
    return [
        line_plate("magnitude", "dB", (
            Series("scm", arm_style(0), x, gain, cause, width=3.5),
            Series("truth", TRUTH, x, gain, width=1.25),
        ), x_caption="angular frequency", log_x=True),
        line_plate("phase", "degrees", (
            Series("scm", arm_style(0), x, phase, cause, width=3.5),
            Series("truth", TRUTH, x, phase, width=1.25),
        ), x_caption="angular frequency", log_x=True),
    ]  # fmt: skip


PLATES = {
    make.__name__: make
    for make in (
        dots, dots_difference, dots_log, seeds, lines_gap, lines_log, step, scatter, histogram,
        heat_map, confusion, timeline, risk,
    )
}  # fmt: skip

GOLDEN = Path(__file__).with_name("golden")
TABLE = Table(
    "Means",
    (Column("arm", align="left"), Column("mean", "decades")),
    (("scm", "0.123 [0.085, 0.161]"), (Text("a|b"), "undefined (no accepted lane)")),
    3,
    (1, 2, 3),
    "95 % Student-t interval",
    "aggregated/summary.json",
    (3, 0),
)


def figure(name):
    plates = tuple(bode()) if name == "bode" else (PLATES[name](),)
    return Figure(name, name.replace("_", " "), "One fixed input.", plates, TABLE)


def page():
    return Page(
        "benchmark",
        "TOY benchmark, smoke",
        Text("a <subtitle> & more"),
        (
            Banner("stop", "validation failed", (Text("seed_1/commit.json: sha256 differs"),)),
            Banner("warn", "not evidence: smoke run", ("No claim rests on it.",)),
            Banner("info", "classic protocol"),
        ),
        (("domain", Code("toy")), ("device", Text("cpu @ 3 GHz"))),
        (
            Section("one", "One", (Prose(("See ", Code("CLAIM_AUDIT.md"), ".")), TABLE)),
            Section("two", "Two", (figure("lines_gap"),)),
            Section("three", "Three", (Notice(("Nothing was claimed.",)),)),
            Section("four", "Four", ()),
            Section("five", "Five", ()),
        ),
    )


def goldens():
    """File name → bytes."""
    made = {f"{name}.svg": sheet(figure(name)) for name in (*PLATES, "bode")}
    made["page.md"] = markdown.render(page()).encode()
    made["page.html"] = html.render(page()).encode()
    return made


if __name__ == "__main__" and sys.argv[1:] == ["--update-golden"]:
    GOLDEN.mkdir(exist_ok=True)
    for name, data in goldens().items():
        (GOLDEN / name).write_bytes(data)
