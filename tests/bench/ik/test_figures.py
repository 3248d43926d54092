"""The five IK figures draw from every kind of run, and lose no lane on the way."""

from __future__ import annotations

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from zeroproofml.report.domains.ik import strata
from zeroproofml.report.domains.ik.rows import decode, tuple_score
from zeroproofml.report.figures import heat, ik
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.pages.model import Figure, NotDrawn

SLUGS = ["ik_workspace", "ik_strata", "ik_route_map", "ik_timeline", "ik_risk"]


def run_of(settings, arrays, arms, seeds=(1,), failed=()):
    """What the figures read of a run."""
    status = {arm: SimpleNamespace(status="failed" if arm in failed else "ok") for arm in arms}
    return SimpleNamespace(
        config=SimpleNamespace(
            domain="ik",
            mode="contract",
            settings=settings,
            protocol=SimpleNamespace(name="standard", plain=lambda: {"name": "standard"}),
        ),
        provenance=SimpleNamespace(config_hash="sha256:" + "0" * 64),
        planned=seeds,
        results={seed: SimpleNamespace(arms=status) for seed in seeds},
        raw_digest="sha256:" + "1" * 64,
        arrays=lambda seed: arrays,
    )


@pytest.fixture(scope="module")
def case(produced, law):
    settings, output = produced()
    return settings, output.arrays, [arm.key for arm in law.arms]


def drawn(run):
    made = ik.figures(run, strata.aggregates(run))
    assert [each.slug for each in made] == SLUGS
    for figure in made:
        if isinstance(figure, Figure):
            data = sheet(figure)
            assert data == sheet(figure)
            assert len(data) < 2_000_000
            ET.fromstring(data)
            assert figure.table.rows
    return {each.slug: each for each in made}


def constant_q(arrays, value):
    out = dict(arrays)
    for robot in ("r2", "ur5"):
        key = f"scm_full__{robot}_"
        q = np.full_like(arrays[key + "q"], value)
        out[key + "q"] = q
        out[key + "cause"] = decode(arrays[key + "p"], q, 1.0)[1]
        out[key + "score"] = tuple_score(arrays[key + "p"], q).astype(np.float32)
    return out


def test_every_figure_draws_from_a_whole_run(case):
    made = drawn(run_of(*case, seeds=(1, 2)))
    assert all(isinstance(figure, Figure) for figure in made.values())
    assert len(made["ik_workspace"].plates) == 8
    assert len(made["ik_timeline"].plates) == 4
    assert len(made["ik_route_map"].plates) == 2


@pytest.mark.parametrize("arm", ["scm_full", "mlp_pole", "dls"])
def test_every_figure_draws_or_says_why_when_an_arm_failed(case, arm):
    settings, arrays, arms = case
    rest = {name: x for name, x in arrays.items() if not name.startswith(f"{arm}__")}
    made = drawn(run_of(settings, rest, arms, failed=(arm,)))
    lost = {slug for slug, figure in made.items() if isinstance(figure, NotDrawn)}
    assert lost == ({"ik_route_map", "ik_timeline"} if arm == "scm_full" else set())


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all", "nothing"])
def test_every_figure_draws_when_all_or_nothing_is_bottom(case, value):
    settings, arrays, arms = case
    made = drawn(run_of(settings, constant_q(arrays, value), arms))
    assert all(isinstance(figure, Figure) for figure in made.values())
    counts = {row[1]: row[2] for row in made["ik_route_map"].table.rows if row[0] == "unit arm"}
    assert counts["pole, answered"] == ("0" if value == 0 else "80")


def test_analytic_arms_alone_leave_reasons(case):
    settings, arrays, _ = case
    made = drawn(run_of(settings, arrays, ["ideal", "zero", "dls"]))
    assert {slug for slug, each in made.items() if isinstance(each, NotDrawn)} == {
        "ik_workspace",
        "ik_route_map",
        "ik_timeline",
        "ik_risk",
    }


def test_bounds_alone_leave_reasons(case):
    settings, arrays, arms = case
    bounds = ["ideal", "zero", "mean"]
    made = drawn(run_of(settings, arrays, bounds))
    assert all(isinstance(figure, NotDrawn) for figure in made.values())
    for arm in arms:  # whichever arms are chosen, a run never ends for want of something to draw
        drawn(run_of(settings, arrays, [*bounds, *({arm} - set(bounds))]))
    made = drawn(run_of(settings, arrays, arms, failed=arms))
    assert all(isinstance(figure, NotDrawn) for figure in made.values())


def test_map_counts_are_those_of_the_unthinned_set(case):
    settings = case[0]
    made = drawn(run_of(*case))
    rows = [row for row in made["ik_route_map"].table.rows if row[0] == "UR5"]
    total = sum(int(row[2].replace("\u202f", "")) for row in rows)
    sizes = settings["robots"]["ur5"]
    assert total == sizes["natural"] + sizes["pole"]


def test_the_ramp_is_monotone_in_brightness():
    colours = [heat.ramp(k / 20) for k in range(21)]
    light = [int(c[1:3], 16) * 0.3 + int(c[3:5], 16) * 0.6 + int(c[5:], 16) * 0.1 for c in colours]
    assert light == sorted(light)
