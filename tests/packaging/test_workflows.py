"""The forge's files as data: least rights, pinned actions, and commands that exist."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
LOOKS_AHEAD = {"free-threaded", "prerelease"}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_rights_are_least_and_time_is_bounded(path: Path) -> None:
    data = load(path)
    assert data["permissions"] == {}
    assert data["concurrency"]["cancel-in-progress"] is True
    for name, job in data["jobs"].items():
        assert isinstance(job["timeout-minutes"], int), name
        assert job["permissions"], name
        rights = job["permissions"]
        may_write = {k for k, v in rights.items() if v == "write"}
        if path.name == "release.yml":
            assert may_write <= {"id-token", "attestations"}
        else:
            assert not may_write
        assert ("continue-on-error" in job) == (name in LOOKS_AHEAD)
    assert "secrets." not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_named_by_commit(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_every_command_exists(path: Path) -> None:
    hatch = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))
    scripts = set(hatch["envs"]["default"]["scripts"]) | {
        f"core:{name}" for name in hatch["envs"]["core"]["scripts"]
    }
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\.ci/hatch run (\S+)", text):
        assert name in scripts, name
    for name in re.findall(r"(?:bash|python) (\.[\w/.]+)", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\btests/[\w/.]+", text):
        assert (ROOT / name).exists(), name


def test_packages_are_published_in_the_order_of_their_arrows() -> None:
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "build": None,
        "scm": ["build"],
        "torch": ["scm"],
        "jax": ["scm"],
        "report": ["scm"],
        "bench": ["torch", "report"],
    }
    assert len({job["environment"] for job in jobs.values() if "environment" in job}) == 5


def test_a_release_is_refused_when_the_tag_disagrees() -> None:
    problems = runpy.run_path(str(ROOT / ".github/release_check.py"))["problems"]
    version = runpy.run_path(
        str(ROOT / "packages/zeroproofml-scm/src/zeroproofml/scm/_version.py")
    )["__version__"]
    assert problems(f"v{version}") == []
    assert problems(f"zeroproofml-scm-v{version}") == []
    assert len(problems("v99.0.0")) == 10
    assert problems("release-1") != []
    assert problems("zeroproofml-rust-v0.1.0") != []
