"""The commands of the project page, as a user types them: run, look, derive again without torch."""

import json
import subprocess
import sys

import pytest

from zeroproofml.report.rundir import load_benchmark_run

pytestmark = pytest.mark.slow
WITHOUT_FRAMEWORKS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "jax"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from zeroproofml.report.cli import main
main()
"""
ALWAYS = [
    *("manifest.json", "provenance.json", "journal.jsonl", "resume_state.json"),
    *("aggregated/summary.json", "aggregated/paired_stats.json", "aggregated/claims.json"),
    *("aggregated/benchmark_metrics.jsonl", "CLAIM_AUDIT.md", "RUN_REPORT.md", "RUN_REPORT.html"),
    *("figures/metric_summary.svg", "figures/per_seed_metric_distributions.svg"),
]
OWN = {
    "dose": """
        aggregated/dose_operating_points.json aggregated/dose_operating_points.md
        aggregated/dose_pareto_front.json aggregated/dose_pareto_front.md
        aggregated/dose_diagnostics.json figures/dose_threshold_sweeps.svg figures/dose_tradeoff.svg
        figures/dose_direction_confusion.svg figures/dose_direction_head.svg figures/coverage_risk.svg
    """,
    "rf": """
        seed_1/rf_signal_traces.npz seed_1/rf_signal_traces.json figures/rf_bode_seed_1.svg
        figures/rf_failures.svg figures/rf_poles.svg figures/coverage_risk.svg
    """,
    "ik": """
        aggregated/ik_strata.json figures/ik_workspace.svg figures/ik_strata.svg
        figures/ik_route_map.svg figures/ik_timeline.svg figures/ik_risk.svg
    """,
}


def python(*words, cwd):
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=sorted(OWN))
def smoke(request, tmp_path_factory):
    """(domain, its sealed smoke run, the folder it was started in)."""
    home = tmp_path_factory.mktemp(request.param)
    words = ("-m", "zeroproofml.benchmarks", request.param, "--mode", "smoke")
    done = python(*words, "--device", "cpu", "--html-report", cwd=home)
    assert done.returncode == 0, done.stderr
    (run,) = (home / "results/benchmarks" / request.param).iterdir()
    return request.param, run, home


def test_the_directory_holds_what_is_promised(smoke):
    domain, run, _ = smoke
    here = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}
    for path in (*ALWAYS, *OWN[domain].split()):
        assert path in here, path
    for seed in (1, 2):
        for name in ("per_seed_result.json", "predictions.npz", "commit.json"):
            assert f"seed_{seed}/{name}" in here
    listed = {entry.path for entry in load_benchmark_run(run).manifest.files}
    assert here - listed == {"manifest.json", ".zpml/lock"}


def test_everything_is_derived_again_without_torch(smoke, tmp_path):
    _, run, _ = smoke
    done = python("-c", WITHOUT_FRAMEWORKS, "verify", run, "--recompute", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True
    words = ("benchmark", run, "--html-report", "--out", tmp_path / "again")
    assert python("-c", WITHOUT_FRAMEWORKS, *words, cwd=tmp_path).returncode == 0
    made = [p for p in (tmp_path / "again").rglob("*") if p.is_file() and p.name != "DERIVED.json"]
    assert len(made) > len(ALWAYS) - 4
    for path in made:
        assert path.read_bytes() == (run / path.relative_to(tmp_path / "again")).read_bytes(), path


def test_two_runs_of_a_domain_are_compared(smoke, tmp_path):
    _, run, _ = smoke
    done = python("-m", "zeroproofml.report", "compare", run, run, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["schema_name"] == "zeroproofml.comparison"
