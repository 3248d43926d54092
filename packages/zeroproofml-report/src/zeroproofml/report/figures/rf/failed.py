"""`rf_failures`: the worst peaks that arms washed out or invented, our own arms first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.plate import aligned
from zeroproofml.report.figures.rf.curves import device_of, magnitude, signed
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Figure, NotDrawn, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.figures.plate import Plate
    from zeroproofml.report.figures.rf.source import Source
    from zeroproofml.report.pages.model import Cell

SLUG = "rf_failures"
_WORDS = {"washout": "washed out", "invented": "invented"}


def failed(source: Source, data: Mapping[str, Any]) -> Figure | NotDrawn:
    """Drawn from the examples of ``aggregated/rf_failures.json``; the twin counts all candidates."""
    counts, examples = data["counts"], data["examples"]
    examined = sum(made["examined"] for made in counts.values())
    none = [
        f"{words}: none of {numbers.count(examined)} examined"
        for kind, words in _WORDS.items()
        if not any(each["kind"] == kind for each in examples)
    ]
    if not examples:
        return NotDrawn(SLUG, "; ".join(none))
    plates = _plates(source, examples)
    rows: list[tuple[Cell, ...]] = []
    for arm, made in counts.items():
        cells = [numbers.count(made[name]) for name in ("examined", *_WORDS)]
        shown = [sum(e["arm"] == arm and e["kind"] == kind for e in examples) for kind in _WORDS]
        rows.append((Code(arm), *cells, *map(numbers.count, shown)))
    twin = Table(
        "Failed peaks of every arm, over all devices that it accepted and all seeds",
        (
            Column("arm", align="left"),
            Column("examined"),
            Column("washed out"),
            Column("invented"),
            Column("washed out, shown"),
            Column("invented, shown"),
        ),
        tuple(rows),
        source.planned,
        source.seeds,
        None,
        "aggregated/rf_failures.json",
    )
    caption = (
        "r: predicted over true height of the highest peak; hbw: its place, in half bandwidths off. "
        "Washed out: r below 0.5. Invented: a "
        "maximum of 3 dB prominence that matches no true one, or r above 2. At most six of a kind: "
        "the worst of each arm in declared order, a device not yet shown; then the worst of the "
        f"rest. Black: truth. {'. '.join([*none, twin.basis])}."
    )
    return Figure(SLUG, "Failed peaks", caption, aligned(plates), twin)


def _plates(source: Source, examples: list[dict[str, Any]]) -> list[Plate]:
    made: dict[int, Plate] = {}
    for seed in sorted({each["seed"] for each in examples}):
        tests = source.tests(seed)
        for place, each in enumerate(examples):
            if each["seed"] != seed:
                continue
            arm = each["arm"]
            device = device_of(tests, each["device"], [arm], source.styles)
            q = numbers.value(1 / device.delta)
            group = next(name for name, mask in tests.groups.items() if mask[each["device"]])
            title = f"{arm}, {group}, Q {q}"
            about = (
                f"{_WORDS[each['kind']]}: r {numbers.value(each['ratio'])}, "
                f"{signed(each['offset'])} hbw; seed {seed}, device {each['device']}; dB"
            )
            made[place] = magnitude(device, title, "band", about)
    return [made[place] for place in range(len(examples))]
