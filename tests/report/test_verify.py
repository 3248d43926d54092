"""Recomputation, link by link, and the sweep over meaning: each leaf is bound or on the list."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest

from zeroproofml.report.contract.strict_json import canonical, dump
from zeroproofml.report.contract.unbound import UNBOUND, is_unbound
from zeroproofml.report.rundir import State, run_state, validate_run_dir, verify_run


def edit(path, change):
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(dump(value))


def broken(path):
    made = verify_run(path, recompute=True)
    return {link.name for link in made.links if link.status == "broken"}, made


def test_a_clean_run_recomputes_exactly(derived_run):
    names, made = broken(derived_run)
    assert names == set()
    assert [link.name for link in made.links] == ["R1", "R2", "R3", "R4"]
    assert all(link.largest_deviation == 0.0 for link in made.links)
    assert made.exit_code == 0
    assert any("--root-digest" in note for note in made.notes)


CASES = {
    "R1": (
        "seed_1/per_seed_result.json",
        lambda v: v["arms"]["scm"]["metrics"].update(mae=v["arms"]["scm"]["metrics"]["mae"] / 2),
    ),
    "R2": (
        "aggregated/summary.json",
        lambda v: v["cells"]["scm"]["mae"].update(mean=v["cells"]["scm"]["mae"]["mean"] / 2),
    ),
    "R3": (
        "aggregated/claims.json",
        lambda v: v["results"][0].update(verdict="SUPPORTED", reasons=[]),
    ),
}


@pytest.mark.parametrize("link", CASES)
def test_the_first_broken_link_is_named(derived_run, reseal, link):
    """T5, T6."""
    name, change = CASES[link]
    edit(derived_run / name, change)
    if link == "R1":
        result = json.loads((derived_run / name).read_bytes())
        edit(
            derived_run / "aggregated/summary.json",
            lambda v: v["per_seed"]["1"]["scm"].update(metrics=result["arms"]["scm"]["metrics"]),
        )
    reseal(derived_run)
    assert validate_run_dir(derived_run)
    names, made = broken(derived_run)
    assert min(names) == link
    assert made.exit_code == 5
    found = [f for f in made.findings if f.code == "recompute" and f.path == name]
    assert found
    assert found[0].pointer
    assert "stored" in found[0].message


@pytest.mark.parametrize("name", ["RUN_REPORT.md", "CLAIM_AUDIT.md"])
def test_pages_are_r4(derived_run, reseal, name):
    with (derived_run / name).open("ab") as file:
        file.write(b"all claims supported\n")
    reseal(derived_run)
    assert broken(derived_run)[0] == {"R4"}


def test_a_derived_file_too_many(derived_run, reseal):
    figure = derived_run / "figures/metric_invented.svg"
    figure.parent.mkdir(exist_ok=True)
    figure.write_bytes(b"<svg/>")

    def add(manifest):
        entry = next(e for e in manifest["files"] if e["kind"] == "figure")
        manifest["files"].append({**entry, "path": "figures/metric_invented.svg"})
        manifest["files"].sort(key=lambda e: e["path"])

    edit(derived_run / "manifest.json", add)
    reseal(derived_run)
    assert broken(derived_run)[0] == {"R4"}


def test_another_derive_version_checks_nothing_and_says_so(derived_run, reseal):
    edit(derived_run / "manifest.json", lambda v: v["deriver"].update(derive_version=99))
    for name in ("summary", "paired_stats", "claims"):
        edit(derived_run / f"aggregated/{name}.json", lambda v: v.update(derive_version=99))
    reseal(derived_run)
    made = verify_run(derived_run, recompute=True)
    assert made.exit_code == 7
    assert made.links == ()
    assert any("0.1.0" in f.line() for f in made.findings)


def test_small_deviations_pass_elsewhere_and_fail_here(derived_run, reseal):
    """Byte-equal in the same environment, 1e-9 relative in another one."""
    value = []

    def nudge(v):
        value.append(v["arms"]["scm"]["metrics"]["mae"] * (1 + 1e-11))
        v["arms"]["scm"]["metrics"]["mae"] = value[0]

    edit(derived_run / "seed_1/per_seed_result.json", nudge)
    edit(
        derived_run / "aggregated/summary.json",
        lambda v: v["per_seed"]["1"]["scm"]["metrics"].update(mae=value[0]),
    )
    reseal(derived_run)
    assert "R1" in broken(derived_run)[0]

    def elsewhere(v):
        v["attempts"][0]["environment"]["identity"]["machine"] = "riscv64"

    edit(derived_run / "provenance.json", elsewhere)
    reseal(derived_run)
    names, made = broken(derived_run)
    assert "R1" not in names
    assert 0 < made.links[0].largest_deviation < 1e-10


def leaves(value, pointer=""):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{pointer}/{key}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{index}")
    else:
        yield pointer


def changed(value, pointer):
    """``value`` with another plausible leaf at ``pointer``: still of the same type."""
    made = json.loads(json.dumps(value))
    *path, last = pointer.split("/")[1:]
    here = made
    for part in path:
        here = here[int(part) if isinstance(here, list) else part]
    last = int(last) if isinstance(here, list) else last
    old = here[last]
    if isinstance(old, bool):
        new = not old
    elif isinstance(old, int):
        new = old + 1
    elif isinstance(old, float):
        new = old + 0.5
    elif old is None:
        new = 1.5
    elif isinstance(old, str):
        flipped = {"0": "1", "a": "b", "1": "2", "9": "8", "f": "e", "z": "y"}
        tail = old[-1:] or "x"
        new = old[:-1] + flipped.get(tail, "a" if tail != "a" else "b")
        if re.fullmatch(r"\d{4}-.*Z", old):
            new = old.replace("2026", "2025")
    else:
        new = "x"
    here[last] = new
    return made


SWEPT = (
    *("manifest.json", "provenance.json", "resume_state.json", "journal.jsonl"),
    *("seed_1/per_seed_result.json", "seed_1/commit.json", "aggregated/summary.json"),
    *("aggregated/paired_stats.json", "aggregated/claims.json"),
    "aggregated/benchmark_metrics.jsonl",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEPT)
def test_every_leaf_is_bound_or_on_the_list(derived_run, reseal, tmp_path, name):
    """Sweep over meaning: one leaf changed, all digests redone; seen, or listed as unbound."""
    target = derived_run / name
    lines = name.endswith(".jsonl")
    data = target.read_bytes()
    value = [json.loads(x) for x in data.splitlines()] if lines else json.loads(data)
    holes, unseen = [], []
    for pointer in leaves(value):
        new = changed(value, pointer)
        if lines:
            target.write_bytes(b"".join(canonical(x) + b"\n" for x in new))
        else:
            target.write_bytes(dump(new))
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        shutil.copytree(derived_run, tmp_path / "trial")
        reseal(tmp_path / "trial")
        after = (tmp_path / "trial" / name).read_bytes()
        unchanged = after == data  # the attacker's own redoing put the leaf back: it is a digest
        seen = unchanged or verify_run(tmp_path / "trial", recompute=True).exit_code == 5
        if not seen:
            unseen.append(pointer)
            if not is_unbound(name, pointer):
                holes.append(pointer)
    target.write_bytes(data)
    assert holes == []
    for file, pointers in UNBOUND.items():
        if file.replace("*", "1") == name:
            patterns = [pointer.replace("**", ".*").replace("/*", "/[^/]*") for pointer in pointers]
            needless = [p for p in patterns if not any(re.fullmatch(p, u) for u in unseen)]
            assert needless == []


def test_the_list_of_unbound_leaves_is_about_real_files():
    assert UNBOUND
    assert is_unbound("provenance.json", "/created_at")
    assert is_unbound("seed_7/per_seed_result.json", "/timing/total_s")
    assert not is_unbound("seed_7/per_seed_result.json", "/arms/scm/metrics/mae")
    assert not is_unbound("manifest.json", "/status")
    assert not is_unbound("aggregated/summary.json", "/seeds/complete/0")


def test_a_reader_needs_little(derived_run):
    """``import zeroproofml.report`` loads neither NumPy nor pydantic; reading loads no torch."""
    code = """
import sys
import zeroproofml.report as report
light = {"numpy", "pydantic", "scipy", "pygal", "jinja2", "typer", "filelock"} & set(sys.modules)
assert not light, light
dir(report)
try:
    report.nothing
except AttributeError as error:
    assert "nothing" in str(error)
report.run_state(sys.argv[1])
heavy = {"torch", "jax", "pygal", "jinja2", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(derived_run)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_validation_of_ten_seeds_is_fast(make_toy, tmp_path):
    """Section 14, with the factor 2 of CI; the perf job measures it with start-up."""
    run = tmp_path / "run"
    make_toy(mode="paper", seeds=tuple(range(1, 11))).run(run)
    assert run_state(run) is State.COMPLETE
    times = []
    for _ in range(5):
        start = time.perf_counter()
        validate_run_dir(run)
        times.append(time.perf_counter() - start)
    assert sorted(times)[2] < 2.0
