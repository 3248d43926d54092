"""What a derivation writes, from what, and that it is the same everywhere."""

import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from zeroproofml.report import compare, contrasts, derive, domains, rundir, stats
from zeroproofml.report.contract import (
    ClaimsFile,
    MetricDefinition,
    MetricRecord,
    PairedStats,
    Summary,
)
from zeroproofml.report.contrasts import Value
from zeroproofml.report.errors import ComparisonRefused, RunInvalid
from zeroproofml.report.pages.model import Column, Table

TEN = tuple(range(1, 11))
ERROR = MetricDefinition(direction="lower", unit="m", bounds=(0.0, None), kind="error", text="d")


@pytest.fixture
def derived(make_run):
    """Derive a run; returns the raw run and the files."""

    def make(options=None, **words):
        raw = rundir.load_raw_run(make_run(**words))
        return raw, derive.derive(raw, options)

    return make


def test_files_of_a_run(derived):
    raw, files = derived(mode="paper", seeds=TEN)
    assert set(files) == {
        "aggregated/summary.json",
        "aggregated/paired_stats.json",
        "aggregated/claims.json",
        "aggregated/benchmark_metrics.jsonl",
        "figures/metric_summary.svg",
        "figures/per_seed_metric_distributions.svg",
        "RUN_REPORT.md",
        "CLAIM_AUDIT.md",
    }
    assert all(data.endswith(b"\n") and not data.endswith(b"\n\n") for data in files.values())
    assert "RUN_REPORT.html" in derive.derive(raw, derive.Options(html=True))


def test_summary_repeats_the_results_and_adds_cells(derived):
    raw, files = derived(mode="paper", seeds=TEN)
    summary = Summary.from_bytes(files["aggregated/summary.json"])
    assert summary.seeds.complete == TEN
    assert set(summary.cells) == {"scm", "mlp", "clamp", "zero", "oracle"}
    for seed, result in raw.results.items():
        for arm, made in result.arms.items():
            assert summary.per_seed[str(seed)][arm].metrics == made.metrics
    values = [raw.results[s].arms["mlp"].metrics["mae"] for s in TEN]
    cell = summary.cells["mlp"]["mae"]
    assert cell.mean == math.fsum(values) / 10
    assert (cell.ci_t, cell.ci_bca) == (stats.t_interval(values), stats.bca_interval(values))
    assert (cell.q25, cell.median) == pytest.approx(np.quantile(values, [0.25, 0.5]))


def test_contrasts_are_families_per_metric_against_the_reference(derived):
    _, files = derived(mode="paper", seeds=TEN)
    paired = PairedStats.from_bytes(files["aggregated/paired_stats.json"])
    assert paired.reference_arm == "mlp"
    declared = [c for c in paired.within_run if c.kind == "declared"]
    assert [(c.arm, c.comparator, c.family_size) for c in declared] == [("scm", "mlp", 2)] * 2
    loose = [c for c in paired.within_run if c.kind == "exploratory"]
    assert [c.metric for c in loose] == ["mae"] * 4 + ["coverage"] * 4 + ["worst"] * 4
    for metric in ("mae", "coverage", "worst"):
        family = [c for c in loose if c.metric == metric]
        assert {c.family_size for c in family} == {4}
        assert [c.p_holm for c in family] == stats.holm([c.p for c in family])
    scm = next(c for c in loose if (c.arm, c.metric) == ("scm", "mae"))
    assert scm.better == "arm"
    assert scm.mean_diff > 0
    clamp = next(c for c in loose if (c.arm, c.metric) == ("clamp", "mae"))
    assert clamp.better == "comparator"


def test_metric_log_is_ordered_and_valid(derived):
    _, files = derived(seeds=(1, 2))
    records = [
        MetricRecord.from_bytes(line)
        for line in files["aggregated/benchmark_metrics.jsonl"].splitlines()
    ]
    phases = [r.phase for r in records]
    order = ["benchmark_seed", "benchmark_summary", "benchmark_delta"]
    assert phases == sorted(phases, key=order.index)
    seeds = [(r.context.arm, r.step) for r in records if r.phase == "benchmark_seed"]
    assert seeds[:4] == [("scm", 1), ("scm", 2), ("mlp", 1), ("mlp", 2)]
    assert {r.context.statistic for r in records if r.phase == "benchmark_summary"} == {
        "mean",
        "median",
    }


def test_failed_arm_and_failed_seed(derived):
    raw, files = derived(seeds=(1, 2, 3), seed_failed=(2,), failed=("clamp",))
    summary = Summary.from_bytes(files["aggregated/summary.json"])
    assert summary.seeds.failed == {"2": "exception"}
    cell = summary.cells["clamp"]["mae"]
    assert (cell.n, cell.n_null, cell.nulls) == (0, 2, {"arm_failed": 2})
    assert set(cell.reasons.values()) == {"arm_failed"}
    claims = ClaimsFile.from_bytes(files["aggregated/claims.json"])
    assert {r.verdict for r in claims.results} == {"INELIGIBLE"}
    page = files["RUN_REPORT.md"].decode()
    assert "partial run" in page
    assert "undefined (arm failed)" in page
    assert b"undefined: arm failed" in files["figures/metric_summary.svg"]
    assert raw.results.keys() == {1, 3}


def test_plan_that_grew_makes_every_claim_ineligible(derived):
    _, files = derived(mode="paper", seeds=TEN[:9], extend=(10,))
    claims = ClaimsFile.from_bytes(files["aggregated/claims.json"])
    assert [r.reasons for r in claims.results] == [("plan_extended",)] * 3


def test_claims_are_judged_from_the_declared_copy(derived, make_protocol, make_claim):
    raw, files = derived(mode="paper", seeds=TEN)
    domains.register(make_protocol(claims=(make_claim(id="new", margin=9.0),)))
    assert derive.derive(raw) == files


def test_one_seed_gives_no_interval_and_says_so(derived):
    _, files = derived(mode="contract", seeds=(7,))
    summary = Summary.from_bytes(files["aggregated/summary.json"])
    assert summary.cells["mlp"]["mae"].reasons == dict.fromkeys(["sd", "ci_t", "ci_bca"], "too_few")
    page = files["RUN_REPORT.md"].decode()
    assert "[none (n = 1)]" in page
    assert "not evidence: contract run" in page
    assert "no interval below two seeds" in page


def test_run_without_the_reference_arm(derived, make_protocol):
    law = make_protocol(reference_arm="clamp")
    domains.register(law)
    raw, files = derived(arms=("mlp", "scm", "zero"), law=law)
    paired = PairedStats.from_bytes(files["aggregated/paired_stats.json"])
    assert paired.reference_arm is None
    assert all(c.kind == "declared" for c in paired.within_run)
    assert "lacks the reference arm" in files["RUN_REPORT.md"].decode()
    assert raw.config.arms == ("mlp", "scm", "zero")


def test_domain_aggregates_and_their_tables(derived, make_protocol):
    table = Table("Points", (Column("arm", align="left"),), (("scm",),), 0, (), None, "x.json")
    law = make_protocol(
        aggregates=lambda run: {
            "aggregated/toy_points.json": {
                "schema_name": "zeroproofml.toy_points",
                "schema_version": 1,
                "seeds": sorted(run.results),
            },
            "aggregated/toy_points.md": table,
        }
    )
    domains.register(law)
    _, files = derived(law=law)
    assert json.loads(files["aggregated/toy_points.json"])["seeds"] == [1, 2]
    assert files["aggregated/toy_points.md"].decode().startswith("**Points.**")


def test_same_bytes_in_another_process_place_zone_locale_and_hash_seed(make_run, tmp_path):
    path = make_run(mode="paper", seeds=TEN[:8], name="one")
    copy = tmp_path / "elsewhere" / "two"
    shutil.copytree(path, copy)
    code = (
        "import sys, hashlib, importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('toy', {str(sys.modules[derived.__module__].__file__)!r}"
        ".replace('test_derive', 'conftest'))\n"
        "toy = importlib.util.module_from_spec(spec); spec.loader.exec_module(toy)\n"
        "from zeroproofml.report import derive, domains, rundir\n"
        "domains.register(toy.toy_protocol())\n"
        "files = derive.derive(rundir.load_raw_run(sys.argv[1]), derive.Options(html=True))\n"
        "print({k: hashlib.sha256(v).hexdigest() for k, v in files.items()})"
    )
    seen = []
    for where, zone, language, seed in (
        (path, "UTC", "C", "1"),
        (copy, "Asia/Kathmandu", "de_DE.UTF-8", "77"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, str(where)],
            cwd=where.parent,
            env={**os.environ, "TZ": zone, "LC_ALL": language, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.append(done.stdout)
    assert seen[0] == seen[1]
    assert "RUN_REPORT.html" in seen[0]


def test_pages_name_no_generation_root_path_or_host(derived, tmp_path):
    raw, _ = derived(mode="paper", seeds=TEN)
    files = derive.derive(raw, derive.Options(html=True))
    root = rundir.validate_run_dir(raw.tree.path).root_digest
    for name, data in files.items():
        text = data.decode()
        assert root[7:] not in text, name
        assert str(tmp_path) not in text, name
        assert "generation" not in text, name
        assert raw.provenance.attempts[0].environment.host_id not in text, name


# Cells and contrasts


def test_cell_of_nothing_of_one_and_of_extremes():
    empty = contrasts.cell([])
    assert (empty.n, empty.n_null, empty.reasons["mean"]) == (0, 0, "missing")
    null = contrasts.cell([Value(None, "empty_set"), Value(None, "nan"), Value(None, "nan")])
    assert (null.nulls, null.reasons["mean"]) == ({"empty_set": 1, "nan": 2}, "nan")
    one = contrasts.cell([Value(2.0)])
    assert (one.mean, one.sd, one.reasons["sd"]) == (2.0, None, "too_few")
    huge = contrasts.cell([Value(1.7e308), Value(-1.7e308)])
    assert (huge.mean, huge.sd, huge.reasons["sd"]) == (0.0, None, "overflow")
    assert huge.max == 1.7e308


def test_draft_drops_with_a_reason_and_keeps_its_family():
    mine = {1: Value(1.0), 2: Value(None, "arm_failed"), 3: Value(3.0), 5: Value(1.0)}
    theirs = {1: Value(2.0), 2: Value(2.0), 3: Value(2.0), 4: Value(2.0), 5: Value(2.0)}
    made = contrasts.draft(
        "a", "b", "m", ERROR, "exploratory", mine, theirs, unequal_data=frozenset({5})
    )
    (found,) = contrasts.finished_family([made], "f", 3)
    assert found.diffs == {"1": 1.0, "3": -1.0}
    assert found.dropped == {"2": "arm_failed", "4": "missing", "5": "datasets_unequal"}
    assert (found.mean_diff, found.better, found.family_size) == (0.0, "undecided", 3)
    (single,) = contrasts.finished_family(
        [contrasts.draft("a", "b", "m", ERROR, "exploratory", {1: Value(1.0)}, theirs)], "f"
    )
    assert (single.n, single.p, single.reasons["p"], single.reasons["p_holm"]) == (
        1, None, "too_few", "too_few",
    )  # fmt: skip
    assert single.better == "undecided"


def test_better_needs_interval_and_adjusted_p():
    mine = {s: Value(1.0 + 0.01 * s) for s in range(1, 7)}
    theirs = {s: Value(2.0) for s in range(1, 7)}
    made = [contrasts.draft("a", "b", "m", ERROR, "exploratory", mine, theirs)]
    assert contrasts.finished_family(made, "f")[0].better == "arm"
    assert contrasts.finished_family(made, "f", 2)[0].better == "undecided"
    free = ERROR.model_copy(update={"direction": "none"})
    made = [contrasts.draft("a", "b", "m", free, "exploratory", mine, theirs)]
    assert contrasts.finished_family(made, "f")[0].better is None


def test_disagreement_of_the_two_intervals():
    assert contrasts.disagreement((0.1, 0.2), (-0.1, 0.2))
    assert not contrasts.disagreement((-0.1, 0.2), (-0.2, 0.3))
    assert not contrasts.disagreement(None, (0.1, 0.2))


# Compare


def test_compare_pairs_by_seed_and_lists_differences(make_run):
    one = make_run(mode="paper", seeds=TEN)
    two = make_run(mode="paper", seeds=TEN[:8], shift=1.0)
    made = compare.compare_benchmark_runs(rundir.load_benchmark_run(one), [two])
    (base,) = made.baselines
    assert base.seeds_only_in == {"target": (9, 10), "baseline": ()}
    mlp = next(c for c in base.contrasts if (c.arm, c.metric) == ("mlp", "mae"))
    assert mlp.n == 8
    assert mlp.better == "arm"
    assert {c.family_size for c in base.contrasts} == {5}
    assert not base.same_run
    again = compare.compare_benchmark_runs(one, [one])
    assert again.baselines[0].same_run
    assert "same run" in compare.comparison_text(again)
    assert compare.Comparison.from_bytes(made.to_bytes()) == made


def test_compare_refuses_what_measures_something_else(make_run, make_protocol):
    one = make_run(mode="smoke")
    for other, key in (
        (make_run(mode="contract"), "mode"),
        (make_run(protocol="classic"), "protocol"),
    ):
        with pytest.raises(ComparisonRefused, match=key) as refused:
            compare.compare_benchmark_runs(one, [other])
        assert any(key in words for words in refused.value.differences)
        made = compare.compare_benchmark_runs(one, [other], allow_mismatch=True)
        assert made.baselines[0].mismatches
        text = compare.comparison_text(made)
        assert text.startswith("mismatch: ")
    with pytest.raises(compare.NothingShared, match="no seed in common"):
        compare.compare_benchmark_runs(one, [make_run(seeds=(8, 9))])
    broken = make_run()
    (broken / "RUN_REPORT.md").write_text("edited")
    with pytest.raises(RunInvalid):
        compare.compare_benchmark_runs(one, [broken])


def test_unpaired_comparison_has_means_and_no_p():
    made = contrasts.draft(
        "a", "b", "m", ERROR, "exploratory", {1: Value(1.0)}, {1: Value(2.0)},
        unequal_data=frozenset({1}),
    )  # fmt: skip
    (found,) = contrasts.finished_family([contrasts.draft_unpaired(made, 1.0)], "f")
    assert (found.mean_diff, found.p, found.reasons["p"]) == (1.0, None, "not_applicable")
