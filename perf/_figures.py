"""The figures of this folder, through the report package: no script, no date, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.axes import linear_axis, log_axis, row_axis
from zeroproofml.report.figures.lines import MOST_ARMS, Series, line_plate
from zeroproofml.report.figures.marks import Glyph
from zeroproofml.report.figures.plate import Account, Key, Plate
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.figures.style import SIZE, arm_style
from zeroproofml.report.pages.model import Column, Figure, Table

if TYPE_CHECKING:
    from _parity_schema import Report
    from _schema import Case, Results

MOST_PLATES = 6
# What throughput.svg shows of a full run: the operations that the ceilings speak of most.
FAMILIES = (
    "ops/div/float64/clean",
    "ops/div/float64/new",
    "ops/mul/float64/masked",
    "ops/exp/float64/new",
    "ops/fused/float64/new",
    "ops/mask/float64/masked",
    "layers/div-forward-torch/float64/new",
    "layers/div-forward-jax/float64/new",
    "inference/strict/float64/new",
)


def _figure(slug: str, title: str, caption: str, plates: Sequence[Plate], source: str) -> bytes:
    rows = tuple((str(p.title), str(p.account.lanes)) for p in plates)
    twin = Table(title, (Column("plate"), Column("lanes")), rows, 0, (), None, source)
    return sheet(Figure(slug, title, caption, tuple(plates), twin))


def coverage_accuracy(report: Report) -> bytes:
    """Coverage on x, relative error on log y: one plate per dtype and statistic."""
    backends = list(dict.fromkeys(p.backend for p in report.curve.points))
    plates = []
    for what, words in (("p95", "95 % of accepted lanes"), ("max", "worst accepted lane")):
        for dtype in ("float32", "float64"):
            series = []
            for index, backend in enumerate(backends):
                points = [
                    (p.coverage, getattr(p.relative_error, what))
                    for p in report.curve.points
                    if (p.backend, p.dtype) == (backend, dtype) and p.relative_error is not None
                ]
                if points:
                    x, y = zip(*sorted(points), strict=True)
                    series.append(Series(backend, arm_style(index), x, y))
            plates.append(
                line_plate(
                    f"{dtype}, {words}",
                    "relative error",
                    series,
                    x_caption="coverage",
                    direction="lower is better ↓",
                    log_y=True,
                )
            )
    caption = (
        "One rational head with three poles; each point is one threshold tau_infer. Backends that"
        " agree lie on one another; under jit XLA fuses products and sums, which rounds less."
    )
    title = "Coverage against accuracy"
    return _figure("coverage_accuracy", title, caption, plates, "parity_report.json")


def parity_ulp(report: Report) -> bytes:
    """The worst error against NumPy of every operation: one plate per dtype."""
    backends = [b.name for b in report.backends if b.framework != "numpy"]
    ops = list(dict.fromkeys(c.op for c in report.cells))
    plates = [_ulp_plate(report, dtype, backends, ops) for dtype in ("float32", "float64")]
    caption = (
        "Units of eps · max(|want|, tiny) against NumPy, the worst of all classes of lanes."
        " 0: every bit agrees."
    )
    title = "Parity of the backends in ULP"
    return _figure("parity_ulp", title, caption, plates, "parity_report.json")


def _ulp_plate(report: Report, dtype: str, backends: list[str], ops: list[str]) -> Plate:
    worst: dict[tuple[str, str], float] = {}
    lanes = lost = 0
    for cell in report.cells:
        if cell.dtype != dtype or cell.backend not in backends:
            continue
        lanes += 1
        if cell.ulp is None:
            lost += 1
        else:
            where = cell.op, cell.backend
            worst[where] = max(worst.get(where, 0.0), cell.ulp.max)
    values = [min(v, 1e6) for v in worst.values()]
    marks = tuple(
        Glyph(
            min(worst[op, backend], 1e6),
            -row - 0.22 * (index - (len(backends) - 1) / 2),
            arm_style(index + 1),
            f"{op}, {backend}: {worst[op, backend]:.3g}",
        )
        for row, op in enumerate(ops)
        for index, backend in enumerate(backends)
        if (op, backend) in worst
    )
    key = tuple(Key(backend, arm_style(index + 1)) for index, backend in enumerate(backends))
    return Plate(
        "Dot plot",
        dtype,
        "largest error, ULP",
        linear_axis([0.0, 1.0, *values], caption="ULP", bounds=(0.0, None)),
        row_axis(ops),
        SIZE.dots_base + SIZE.row * len(ops) + SIZE.key_row * -(-len(key) // 2),
        Account(lanes, len(worst), lanes - lost - len(worst), {"not compared": lost}),
        marks=marks,
        key=key,
        direction="lower is better ↓",
    )


def _family(case: Case) -> str:
    """The id of a case without its size."""
    parts = case.group.split("/")
    return "/".join(parts[:-2] + parts[-1:]) if len(parts) > 3 else case.group


def throughput(results: Results) -> bytes | None:
    """Lanes per second over the number of lanes; None where the run has no such cases."""
    families: dict[str, dict[str, list[Any]]] = {}
    for case in results.cases:
        if case.suite != "harness":
            families.setdefault(_family(case), {}).setdefault(case.impl, []).append(case)
    shown = [f for f in FAMILIES if f in families] or sorted(families)
    if not shown:
        return None
    plates = []
    for family in shown[:MOST_PLATES]:
        series = [
            Series(
                impl,
                arm_style(index),
                tuple(float(c.n) for c in cases),
                tuple(c.lanes_per_s for c in cases),
            )
            for index, (impl, found) in enumerate(list(families[family].items())[:MOST_ARMS])
            for cases in [sorted(found, key=lambda c: int(c.n))]
        ]
        sizes = [x for one in series for x in one.x]
        plates.append(
            line_plate(
                family,
                "lanes per second",
                series,
                x_axis=log_axis(sizes, caption="lanes, log scale"),
                log_x=True,
                log_y=True,
                direction="higher is better ↑",
            )
        )
    caption = (
        "Wall clock of the whole call, best of all rounds, one thread; not a scientific claim."
    )
    return _figure("throughput", "Throughput", caption, plates, "benchmarks_*.json")
