"""The RF figures draw from every kind of run, lose no lane, and show every ⊥ lane where it is."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from zeroproofml.report.domains.rf import failures, members, pooled, sections, traces
from zeroproofml.report.domains.rf.answers import TestSet as Tests
from zeroproofml.report.figures import plate, rf, svg
from zeroproofml.report.figures.rf import curves
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.figures.standard import arm_styles
from zeroproofml.report.pages.model import Figure, NotDrawn

GOLDEN = Path(__file__).parent / "golden"
SLUGS = ["rf_bode_seed_1", "rf_failures", "rf_q_curve", "rf_poles", "rf_tau_sweep", "coverage_risk"]


def drawn(run):
    """Every figure by slug; each one that is drawn is a small, well-formed sheet with a twin."""
    made = rf.figures(run, pooled.aggregates(run))
    assert len({each.slug for each in made}) == len(made)
    for figure in made:
        if isinstance(figure, Figure):
            data = sheet(figure)
            assert data == sheet(figure)
            assert len(data) < 2_000_000
            ET.fromstring(data)
            assert 0 < len(figure.table.rows) <= 60
    return {each.slug: each for each in made}


@pytest.fixture(scope="module")
def worlds(rf):
    return {1: rf.world(1), 2: rf.world(2)}


def test_every_figure_draws_from_a_whole_run(worlds, run_of):
    made = drawn(run_of(worlds))
    assert list(made) == SLUGS
    assert all(isinstance(figure, Figure) for figure in made.values())
    assert len(made["rf_bode_seed_1"].plates) == 4 * 12
    assert len(made["rf_poles"].plates) == 6
    assert len(made["rf_tau_sweep"].plates) == len(members.SECTION_ARMS)
    assert len(made["coverage_risk"].plates) == 1
    assert len(made["rf_failures"].plates) == 12


@pytest.mark.parametrize("arm", ["scm_rational", "mlp_abs", "ident_vf", "two_stage"])
def test_every_figure_survives_an_arm_that_failed(rf, worlds, run_of, arm):
    twins = [key for key, head in members.SHARED_HEAD.items() if head == arm]
    rest = {
        seed: {k: v for k, v in world.items() if not k.startswith(f"{arm}__")}
        for seed, world in worlds.items()
    }
    arms = [key for key in rf.arms if key not in twins]
    made = drawn(run_of(rest, arms, failed=(arm,)))
    assert all(isinstance(figure, Figure) for figure in made.values())


@pytest.mark.slow
def test_few_arms_leave_reasons(rf, worlds, run_of):
    made = drawn(run_of(worlds, ["zero", "oracle"]))
    lost = {slug for slug, each in made.items() if isinstance(each, NotDrawn)}
    assert lost == set(SLUGS) - {"rf_failures"}
    made = drawn(run_of(worlds, ["oracle"]))
    assert all(isinstance(each, NotDrawn) for each in made.values())
    assert "washed out: none of 0 examined" in made["rf_failures"].reason
    for arm in rf.arms:  # whichever arms are chosen, a run never ends for want of something to draw
        head = members.SHARED_HEAD.get(arm)
        drawn(run_of(worlds, [arm, *([head] if head else [])]))
    drawn(run_of(worlds, failed=rf.arms))
    drawn(run_of({}))


@pytest.mark.parametrize("damping", [-1.0, 0.5], ids=["all", "nothing"])
def test_every_figure_draws_when_all_or_nothing_is_refused(rf, worlds, run_of, damping):
    made = {}
    for seed, world in worlds.items():
        found = world["scm_rational__sections"].copy()
        found[:, :, 1] = damping
        made[seed] = {**world, **rf.head("scm_rational", found, world["data__test__omega"])}
    shown = drawn(run_of(made))
    assert all(isinstance(figure, Figure) for figure in shown.values())
    rows = [row for row in shown["rf_bode_seed_1"].table.rows if str(row[4]) == "scm_rational"]
    assert all(("refused" in row[5]) == (damping < 0) for row in rows)


def test_counts_are_those_of_all_candidates(rf, worlds, run_of):
    data = pooled.aggregates(run_of(worlds))[pooled.FAILURES]
    assert "oracle" not in data["counts"]
    n = 4 * rf.settings["stable"]
    assert data["counts"]["zero"] == {"examined": 2 * n, "washout": 2 * n, "invented": 0}
    found = [e for seed, w in worlds.items()
             for e in failures.candidates(Tests(w, rf.settings), "scm_rational", seed)]  # fmt: skip
    assert data["counts"]["scm_rational"]["washout"] == sum(e.kind == "washout" for e in found)
    shown = [each["arm"] for each in data["examples"] if each["kind"] == "washout"]
    assert len(shown) == failures.MOST
    assert shown == [arm for arm in rf.arms if arm in shown]
    assert ("scm_rational" in shown) == (data["counts"]["scm_rational"]["washout"] > 0)


@pytest.mark.parametrize(
    ("factor", "kind"), [(0.45, "washout"), (2.5, "invented"), (1.35, None), (1.0, None)]
)
def test_scaled_truth_fails_as_its_scale_says(rf, factor, kind):
    world = {**rf.world()}
    world["mlp_abs__response"] = (factor * rf.truth(world)).astype(np.complex64)
    tests = Tests(world, rf.settings)
    found = failures.candidates(tests, "mlp_abs", 1)
    assert {each.kind for each in found} == ({kind} if kind else set())
    assert len(found) == (4 * rf.settings["stable"] if kind else 0)


def test_representatives_are_taken_by_rank(rf):
    tests = Tests(rf.world(), rf.settings)
    made = traces.representatives(tests, 3)
    q = 1 / tests.devices.delta
    for number, name in enumerate(members.BINS):
        ranked = sorted(np.flatnonzero(tests.groups[name]), key=lambda i: q[i])
        shown = [each.device for each in made if each.group == name]
        assert shown == [ranked[int(share * len(ranked))] for share in (0.1, 0.5, 0.9)]
        assert traces.representatives(tests, 1)[number].device == shown[1]


def test_traces_hold_what_is_drawn(rf):
    tests = Tests(rf.world(), rf.settings)
    arrays, document = traces.stored(tests, rf.arms, 7, 3)
    assert document["schema_name"] == "zeroproofml.rf_signal_traces"
    assert [each["why"] for each in document["traces"][:12]] == ["representative"] * 12
    count = len(document["traces"])
    assert arrays["omega"].shape == arrays["scm_rational__bottom"].shape == (count, members.LANES)
    bottom = arrays["scm_rational__bottom"]
    assert not arrays["scm_rational__response"][bottom].any()
    assert np.array_equal(bottom, arrays["scm_rational__cause"] != 0)
    assert arrays["scm_rational__q_min"].shape == (count, 2)
    assert "mlp_abs__q_min" not in arrays
    assert set(document["arms"]) == {k.split("__")[0] for k in arrays if "__" in k}


def a_device(rf, *, refused):
    """Device 5 with two arms; the first is ⊥ on lanes 40 … 59, or refused as a whole."""
    world = rf.world()
    found = rf.exact(world["data__test__design"], world["data__test__delta"])
    found[5, 0, 1] = 5e-4 if refused else found[5, 0, 1]
    arrays = {**world, **rf.head("scm_rational", found, world["data__test__omega"])}
    device = curves.device_of(
        Tests(arrays, rf.settings), 5, ["scm_rational", "mlp_abs"], arm_styles(rf.law)
    )
    if not refused:
        device.arms[0].cause[40:60] = 32
    return device


@pytest.mark.parametrize("name", ["bands", "refused"])
@pytest.mark.parametrize("draw", ["magnitude", "phase"])
def test_golden_plates(rf, name, draw, request):
    device = a_device(rf, refused=name == "refused")
    made = getattr(curves, draw)(device, f"device 5, {name}", "band")
    data = svg.serialize(plate.draw(made, "golden", 0))
    path = GOLDEN / f"{name}_{draw}.svg"
    if request.config.getoption("--update-golden", default=False):
        path.write_bytes(data)
    assert data == path.read_bytes()


def hatched(made):
    """Hatched boxes of a drawn plate, as (left, width)."""
    text = svg.serialize(plate.draw(made, "t", 0)).decode()
    boxes = re.findall(r"<rect ([^>]*)/?>", text)
    return [box for box in boxes if "-sem)" in box and "height:" not in box and "y=" in box]


def test_bands_appear_exactly_where_a_mask_is_set(rf):
    with_bands = curves.magnitude(a_device(rf, refused=False), "t", "band")
    assert with_bands.account.bottom == {"semantic": 20}
    device = a_device(rf, refused=False)
    device.arms[0].cause[:] = 0
    without = curves.magnitude(device, "t", "band")
    assert without.account.bottom == {}
    assert len(hatched(with_bands)) == len(hatched(without)) + 2  # the band, and its key


def test_a_refused_device_is_bottom_everywhere_and_says_why(rf):
    device = a_device(rf, refused=True)
    assert device.arms[0].refused.startswith("refused: V = 5.00e-4")
    made = curves.magnitude(device, "t", "band")
    assert made.account.bottom["semantic"] == len(made.lines[0].points)
    assert not any(y is not None for _, y in made.lines[0].points)
    text = svg.serialize(plate.draw(made, "t", 0)).decode()
    assert "scm_rational refused: V = 5.00e-4" in text


def test_phase_runs_break_at_bottom_and_follow_the_truth(rf):
    device = a_device(rf, refused=False)
    made = curves.phase(device, "t", "band")
    arm, truth = made.lines[0].points, made.lines[-1].points
    assert any(y is None for _, y in arm)
    by_x = dict(truth)
    apart = [abs(y - by_x[x]) for x, y in arm if y is not None and by_x.get(x) is not None]
    assert max(apart) < 1e-6
    tau = {str(mark.label) for mark in made.marks if hasattr(mark, "label")}
    assert any(label.startswith("truth ") for label in tau)
    assert sections.TAU_INFER == 1e-3
