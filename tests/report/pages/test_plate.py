"""The shortcuts of the plate: what is left out of pygal's work, and trees that are kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report.figures import plate, svg
from zeroproofml.report.figures.axes import Axis, linear_axis
from zeroproofml.report.figures.style import arm_style

UNIT = Axis(0.0, 1.0, linear_axis([0.0, 1.0]).ticks)


def of(*lines, axis=UNIT):
    """A plate of lines, each a tuple of points."""
    made = tuple(plate.Line(points, arm_style(i)) for i, points in enumerate(lines))
    return plate.Plate("Line plot", "t", "c", axis, axis, 320, plate.Account(0, 0), made)


def as_pygal(one, monkeypatch):
    """The same plate, prepared by pygal itself."""
    with monkeypatch.context() as patch:
        for name in ("prepare_values", "_values", "_draw"):
            patch.delattr(plate._Chart, name)
        return svg.serialize(plate._draw(one, "z0123456789"))


@pytest.mark.parametrize(
    "one",
    [
        of(),
        of(()),
        of(((0.1, 0.2),)),
        of(((0.1, 0.2), (0.4, 0.3))),
        of(((0.1, None), (0.2, None))),
        of(((0.1, None), (0.2, 0.3), (0.3, 0.3), (0.4, None), (0.5, 0.1), (0.6, 0.7))),
        of(((0.0, 0.0), (1.0, 1.0), (0.5, 0.25)), ((0.3, 0.4),), ((0.2, -0.5), (0.7, 1.5))),
        of(tuple((k / 50, (k * k) % 7 / 7) for k in range(51)), ((0.0, 0.5), (1.0, 0.5))),
        of(((0.1, 0.2), (0.4, 0.3)), axis=replace(UNIT, ticks=())),
        of(((0.1, 0.2), (0.4, 0.3)), axis=replace(UNIT, guides=False)),
    ],
)
def test_a_chart_is_what_pygal_alone_would_make_of_it(one, monkeypatch):
    assert svg.serialize(plate._draw(one, "z0123456789")) == as_pygal(one, monkeypatch)


def test_a_tree_that_is_kept_belongs_to_its_plate_and_is_never_lent():
    one, other = of(((0.1, 0.2), (0.4, 0.3))), of(((0.1, 0.2), (0.4, 0.9)))
    first = plate.draw(one, "figure", 0)
    data = svg.serialize(first)
    first.set("x", "5")
    for child in list(first):
        first.remove(child)
    assert svg.serialize(plate.draw(one, "figure", 0)) == data
    assert svg.serialize(plate.draw(other, "figure", 0)) != data
    assert svg.serialize(plate.draw(one, "figure", 0)) == data
    assert svg.serialize(plate.draw(replace(one), "figure", 0)) == data
    elsewhere = plate.draw(one, "figure", 1), plate.draw(one, "other", 0)
    assert len({each.get("id") for each in (plate.draw(one, "figure", 0), *elsewhere)}) == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_every_number_of_a_path_is_rounded(numbers):
    path = "M" + " L".join(f"{x:f} 0.5" for x in numbers) + " h3.500000 v-2"
    rounded = "M" + " L".join(f"{svg.number(float(f'{x:f}'))} 0.5" for x in numbers) + " h3.5 v-2"
    assert svg.rounded_path(path) == rounded
