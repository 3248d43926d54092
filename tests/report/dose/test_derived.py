"""Derived files and figures: nothing lost, every null with a reason, a twin for every picture."""

from __future__ import annotations

import dataclasses
import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from zeroproofml.report import domains, stats
from zeroproofml.report.contract.strict_json import canonical
from zeroproofml.report.domains.dose import aggregates, answers, diagnostics, fronts, operating
from zeroproofml.report.domains.dose.arms import arms
from zeroproofml.report.domains.dose.protocol import points as law_points
from zeroproofml.report.domains.dose.sweeps import grid
from zeroproofml.report.figures import dose
from zeroproofml.report.figures.dots import Row, Scale, SeedValue, dot_plate, seed_plate
from zeroproofml.report.figures.marks import Label
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.figures.style import arm_style
from zeroproofml.report.pages import bottom, markdown, numbers
from zeroproofml.report.pages.model import Figure, NotDrawn
from zeroproofml.scm.cause import Cause

SLUGS = [
    *("coverage_risk", "dose_threshold_sweeps", "dose_tradeoff", "dose_direction_confusion"),
    *("dose_direction_head", "dose_q_histogram", "dose_borderline", "dose_budget", "dose_stress"),
]
STRESS = ("noise2", "outlier")


def behaviours(protocol="standard", budget=True):
    """Every arm does something plausible."""
    made = {}
    for key, arm in arms(protocol).items():
        if arm.part != "budget" or budget:
            made[key] = "eager" if key == "constant" else "fair" if "original" in key else "good"
    return made


@pytest.fixture
def whole(world, run_of):
    """A run of every arm, paper mode."""

    def build(seeds=(1, 2), protocol="standard", stress=STRESS, acts=None, change=None, **more):
        acts = acts or behaviours(protocol, budget=bool(stress))
        by_seed = {s: world(acts, s, protocol, stress=stress) for s in seeds}
        if change is not None:
            by_seed = {s: change(arrays) for s, arrays in by_seed.items()}
        return run_of(by_seed, list(acts), protocol, stress=stress, **more)

    return build


def drawn(run):
    made = dose.figures(run, aggregates.aggregates(run))
    assert [each.slug for each in made] == SLUGS
    for figure in made:
        if isinstance(figure, Figure):
            data = sheet(figure)
            assert data == sheet(figure)
            assert len(data) < 2_000_000
            ET.fromstring(data)
            assert figure.table.rows
    return {each.slug: each for each in made}


def words(figure):
    return " ".join("".join(node.itertext()) for node in ET.fromstring(sheet(figure)).iter())


def test_every_figure_draws_from_a_whole_run(whole):
    made = drawn(whole())
    assert all(isinstance(figure, Figure) for figure in made.values())
    assert len(made["dose_threshold_sweeps"].plates) == 9
    assert len(made["dose_tradeoff"].plates) == 3
    assert len(made["dose_direction_head"].plates) == 3
    assert len(made["dose_q_histogram"].plates) == 9
    assert len(made["dose_budget"].plates) == len(made["dose_stress"].plates) == 2


def test_small_modes_and_classic_say_what_they_lack(whole):
    for protocol in ("standard", "classic"):
        made = drawn(whole(seeds=(1,), protocol=protocol, stress=()))
        assert isinstance(made["dose_budget"], NotDrawn)
        assert isinstance(made["dose_stress"], NotDrawn)
        others = [made[slug] for slug in SLUGS[:-2]]
        assert all(isinstance(figure, Figure) for figure in others)


@pytest.mark.parametrize("act", ["silent", "eager", "perfect"])
def test_every_figure_draws_or_says_why_when_all_arms_do_the_same(whole, act):
    acts = dict.fromkeys(behaviours(budget=False), act)
    made = drawn(whole(stress=(), acts=acts))
    assert isinstance(made["dose_direction_confusion"], Figure)
    assert isinstance(made["dose_q_histogram"], Figure)


def test_failed_arms_leave_reasons(whole):
    acts = behaviours(budget=False)
    made = drawn(whole(stress=(), failed=tuple(acts)))
    assert all(isinstance(figure, NotDrawn) for figure in made.values())
    made = drawn(whole(stress=(), failed=("bayes_oracle", "tobit")))
    assert isinstance(made["dose_tradeoff"], Figure)
    for arm in acts:  # whichever arms are chosen, a run never ends for want of something to draw
        drawn(whole(seeds=(1,), stress=(), acts={"bayes_oracle": "good", arm: acts[arm]}))


def test_curves_of_one_kind_alone(whole):
    def all_in(arrays):
        return arrays | {
            name: np.ones_like(x) for name, x in arrays.items() if name.endswith("label")
        }

    made = drawn(whole(seeds=(1,), stress=(), change=all_in))
    assert isinstance(made["dose_threshold_sweeps"], NotDrawn)


def test_derived_files_are_plain_and_repeat_byte_for_byte(whole):
    first, second = aggregates.aggregates(whole()), aggregates.aggregates(whole())
    assert set(first) == {
        *(operating.PATH, fronts.PATH, diagnostics.PATH),
        "aggregated/dose_operating_points.md",
        "aggregated/dose_pareto_front.md",
    }
    for path, content in first.items():
        if path.endswith(".json"):
            assert content["schema_name"] == f"zeroproofml.{path[11:-5]}"
            assert canonical(content) == canonical(second[path])
        else:
            texts = [[markdown.render_table(t) for t in c[path]] for c in (first, second)]
            assert texts[0] == texts[1]
            assert len(texts[0]) >= 3


def test_the_grid_of_a_score_runs_to_one():
    for score in ("projective", "probability"):
        assert (grid(score)[0], grid(score)[-1], len(grid(score))) == (
            pytest.approx(1e-6),
            1.0,
            61,
        )
    distance = grid("distance")
    assert (len(distance), distance[0], distance[-1]) == (81, -2, 2)
    assert np.allclose(np.diff(distance), 0.05)


def test_sweeps_count_what_a_threshold_would_do(whole):
    run = whole(stress=())
    made = aggregates.aggregates(run)[diagnostics.PATH]["arms"]
    for arm in ("scm_oriented", "hill_fit"):
        arrays = run.arrays(1)
        score = arrays[f"{arm}__test_score"]
        inside = arrays["data__test__label"] == 1
        found = made[arm]["sweeps"]["test"]["seeds"]["1"]
        for k, t in enumerate(made[arm]["sweep_t"]):
            taken = score >= np.float32(t)
            assert found["fp_cens"][k] == np.count_nonzero(taken & ~inside)
            assert found["fn_in"][k] == np.count_nonzero(~taken & inside)
            assert found["bottom"][k] == np.count_nonzero(~taken)
        exact = made[arm]["sweeps"]["test"]["exact"]["1"]
        assert exact["of"] == len(np.unique(score))
        assert len(exact["t"]) == min(512, exact["of"])
        k = len(exact["t"]) // 2
        assert exact["fp_cens"][k] == np.count_nonzero((score >= exact["t"][k]) & ~inside)
        assert made[arm]["sweeps"]["cal"]["used_for_choice"]
    assert "exact" not in made["scm_flat"]["sweeps"]["test"]


def test_histograms_hold_every_lane_and_zeros_stand_apart(whole):
    def with_zeros(arrays):
        out = dict(arrays)
        cause = arrays["scm_oriented__test_cause"].copy()
        cause[:7], cause[7:10] = int(Cause.DIV_ZERO), int(Cause.NONFINITE)
        score = arrays["scm_oriented__test_score"].copy()
        score[:10] = 0
        out["scm_oriented__test_cause"], out["scm_oriented__test_score"] = cause, score
        return out

    run = whole(seeds=(1,), stress=(), change=with_zeros)
    made = aggregates.aggregates(run)[diagnostics.PATH]["arms"]["scm_oriented"]["q_histogram"]
    n = len(run.arrays(1)["data__test__label"])
    label, flat = (run.arrays(1)[f"data__test__{k}"] for k in ("label", "no_effect"))
    sizes = {"all": n, "in_range": (label == 1).sum(), "below": (label == 0).sum()}
    sizes |= {"above": ((label == 2) & ~flat).sum(), "no_effect": flat.sum()}
    for name, size in sizes.items():
        lost = made["zeros"][name] + made["faults"][name]
        for kind in ("log", "linear"):
            assert sum(made[kind][name]) + lost == size
    assert made["zeros"]["all"] == 7 + np.count_nonzero(
        run.arrays(1)["scm_oriented__test_score"][10:] == 0
    )
    assert made["faults"]["all"] == 3
    assert len(made["log"]["all"]) == 17
    assert len(made["linear"]["all"]) == 50
    figure = {each.slug: each for each in dose.figures(run, aggregates.aggregates(run))}[
        "dose_q_histogram"
    ]
    assert "zero" in figure.plates[0].account.bottom
    assert "0, ⊥" in words(figure)


def test_borderline_lanes_are_the_nearest_ones_with_reasons(whole):
    run = whole(stress=())
    data = aggregates.aggregates(run)[diagnostics.PATH]["arms"]["two_stage"]
    lanes = data["borderline"]
    assert len(lanes) == 20
    margins = [abs(lane["margin"]) for lane in lanes]
    assert margins == sorted(margins)
    t = {point["seed"]: point["t"] for point in data["thresholds"]["balanced"]}
    for lane in lanes:
        arrays = run.arrays(lane["seed"])
        score = float(arrays["two_stage__test_score"][lane["id"]])
        assert lane["margin"] == score - t[lane["seed"]]
        assert (lane["predicted"] == 1) == (score >= t[lane["seed"]])
        nulls = {key for key in ("l", "decoded") if lane[key] is None}
        assert nulls == set(lane["reasons"])
        assert (lane["l"] is None) == bool(arrays["data__test__no_effect"][lane["id"]])
    for lane in data["far_errors"]:
        assert lane["predicted"] != lane["label"]
        assert lane["from_edge"] == pytest.approx(min(abs(lane["l"] + 9), abs(lane["l"] + 5)))


def test_confusion_counts_every_curve(whole):
    run = whole(stress=())
    for arm in aggregates.aggregates(run)[diagnostics.PATH]["arms"].values():
        counts = np.array(arm["confusion"]["counts"])
        assert counts.sum() == 2 * len(run.arrays(1)["data__test__label"])
        assert np.allclose([sum(row) for row in arm["confusion"]["row_shares"]], 1)


def test_direction_by_head_and_by_sign(whole):
    run = whole(stress=())
    made = aggregates.aggregates(run)[diagnostics.PATH]["arms"]
    assert set(made["scm_oriented"]["direction"]["sides"]) == {"sign"}
    both = made["scm_dirhead"]["direction"]
    assert both["sides"]["head"]["dir_macro_f1"]["mean"] == 1
    assert both["sides"]["sign"]["swap_rate"]["mean"] == pytest.approx(0.5, abs=0.1)
    label = run.arrays(1)["data__test__label"]
    assert sum(row["n"] for row in both["deciles"]) == 2 * np.count_nonzero(label != 1)
    assert np.sum(both["agreement"]) == 2 * np.count_nonzero(label != 1)


def test_deciles_are_equal_and_the_far_errors_the_farthest(whole):
    run = whole(seeds=(1,), stress=())
    made = aggregates.aggregates(run)[diagnostics.PATH]["arms"]["scm_original"]
    truth = answers.targets(run.arrays(1), "test")
    given = answers.answer(run.arrays(1), "scm_original", "test")
    deciles = made["direction"]["deciles"]
    assert sum(row["n"] for row in deciles) == truth.censored.sum()
    size = np.sort(given.score[truth.censored].astype(float))
    for k, row in enumerate(deciles):
        low, high = np.quantile(size, [k / 10, (k + 1) / 10])
        assert (row["low"], row["high"]) == (low, high)
        taken = (size >= low) & ((size < high) | (k == 9))
        assert row["n"] == taken.sum()
    point = law_points(
        arms("standard")["scm_original"],
        answers.answer(run.arrays(1), "scm_original", "cal"),
        answers.targets(run.arrays(1), "cal"),
    )["balanced"]
    accepted = given.score >= point.t
    side = np.where(given.direction >= 0, 2, 0)
    wrong = (np.where(accepted, 1, side) != truth.label) & ~truth.no_effect
    far = np.minimum(abs(truth.position + 9), abs(truth.position + 5))[wrong]
    shown = [row["from_edge"] for row in made["far_errors"]]
    assert shown == pytest.approx(np.sort(far)[::-1][: len(shown)])
    assert len(shown) == min(12, wrong.sum())


def test_curves_of_coverage_agree_with_the_metrics(whole):
    run = whole(stress=())
    made = aggregates.aggregates(run)[diagnostics.PATH]["arms"]
    for arm in ("tobit", "hill_fit"):
        cover = made[arm]["coverage"]
        of = [result.arms[arm].metrics for result in run.results.values()]
        share, error = cover["error"]["chosen"]
        assert share == pytest.approx(1 - stats.mean([m["fn_in"] for m in of]))
        assert error == pytest.approx(stats.mean([m["finite_mae_window"] for m in of]))
        assert cover["unsafe"]["chosen"][0] == pytest.approx(
            stats.mean([m["accept_rate"] for m in of])
        )
        for percent in (50, 80, 90, 95, 100):
            seeds = [
                result.arms[arm].metrics[f"mae_at_{percent}"] for result in run.results.values()
            ]
            assert cover["error"]["mean"][percent - 1] == pytest.approx(stats.mean(seeds))
            assert all(x >= percent / 100 - 1e-12 for x in cover["reached"][str(percent)])


def test_the_sweep_has_decades_and_says_where_an_axis_is_linear(whole):
    figure = drawn(whole(seeds=(1,), stress=()))["dose_threshold_sweeps"]
    shown = words(figure)
    for label in ("10⁻⁵", "log scale", "decades, linear", "balanced"):
        assert label in shown
    titles = [str(plate.title) for plate in figure.plates]
    for plate in figure.plates:
        ends = [x for line in plate.lines for x, _ in line.points]
        assert math.isclose(max(ends), 2.0 if arms("standard")[str(plate.title)].score == "distance"
                            else 1.0)  # fmt: skip
    assert titles == [row for row in arms("standard") if row in titles]


def test_the_table_of_the_sweep_gives_the_rates_at_the_chosen_thresholds_themselves(whole):
    """Between two points of the grid a rate may go from all to nothing."""
    run = whole(stress=())
    made = aggregates.aggregates(run)
    twin = {}
    for arm, rate, *_, at, _ in drawn(run)["dose_threshold_sweeps"].table.rows:
        twin[arm.value, str(rate)] = str(at)
    for arm in ("clamped_mlp", "hill_fit", "tobit", "scm_oriented", "constant"):
        sweeps = made[diagnostics.PATH]["arms"][arm]["sweeps"]
        for name, words in (("fp_cens", "false numbers"), ("fn_in", "lost curves")):
            seeds = [result.arms[arm].metrics[name] for result in run.results.values()]
            assert sweeps["test"]["mean"][f"{name}_balanced"] == [stats.mean(seeds)]
            cal = []
            for seed in run.results:
                arrays = run.arrays(seed)
                pair = answers.answer(arrays, arm, "cal"), answers.targets(arrays, "cal")
                point = law_points(arms("standard")[arm], *pair)["balanced"]
                events = {"fp_cens": point.false_numbers / point.n_censored}
                events["fn_in"] = point.refusals / point.n_in_range
                cal.append(events[name])
            assert twin[arm, words] == numbers.percent(stats.mean(cal))
        rest = [1 - result.arms[arm].metrics["accept_rate"] for result in run.results.values()]
        assert sweeps["test"]["mean"]["bottom_rate_balanced"] == pytest.approx([stats.mean(rest)])


def test_places_are_written_as_words(whole):
    run = whole(stress=())
    tables = aggregates.aggregates(run)["aggregated/dose_pareto_front.md"]
    rows = [
        *(row for table in tables for row in table.rows),
        *drawn(run)["dose_tradeoff"].table.rows,
    ]
    said = {str(cell) for row in rows for cell in row if "dominated by" in str(cell)}
    assert any("-first" in cell or "-aware" in cell for cell in said)
    assert not [cell for cell in said if "_first" in cell or "_aware" in cell]


def test_the_accounting_says_that_thresholds_refuse_more(whole):
    table, notice = bottom.blocks(whole(seeds=(1,), stress=()), domains.get("dose"))
    assert table.rows
    assert "bottom_rate" in str(notice.pieces[0])


def test_preset_tables_name_how_many_cannot_be_told_apart(whole):
    run = whole(seeds=(1,), stress=())
    tables = aggregates.aggregates(run)["aggregated/dose_operating_points.md"]
    captions = [table.caption for table in tables]
    assert captions[0].startswith("safety-first: one of ")
    assert any("Published decisions" in caption for caption in captions)
    assert any("Conformal" in caption for caption in captions)
    assert all(table.rows for table in tables)


def test_the_published_threshold_and_the_calibrated_one_are_both_there(whole):
    run = whole(seeds=(1,), protocol="classic", stress=())
    rows = aggregates.aggregates(run)[operating.PATH]["published"]
    assert {row["arm"] for row in rows} >= {"clampedmlp", "twostage", "zeroproofml_scm"}
    for row in rows:
        assert set(row["published"]) == set(row["balanced"])


def test_a_rate_beyond_its_axis_is_written_as_a_rate():
    """The constant answers every curve: far to the right of arms that err in one of a hundred."""
    near = [0.009, 0.010, 0.011]
    rows = tuple(
        Row(f"arm {k}", arm_style(k), (SeedValue(1, value), SeedValue(2, value)), value)
        for k, value in enumerate([*near, 1.0])
    )
    floor = dataclasses.replace(rows[-1], reference=True)
    scale = Scale("fp_cens", "share", percent=True, bounds=(0.0, 1.0))
    for build in (dot_plate, seed_plate):
        plate = build(scale, (*rows[:-1], floor))
        said = [mark.words for mark in plate.marks if isinstance(mark, Label)]
        assert "100 % →" in said
        assert "1.00 →" not in said
