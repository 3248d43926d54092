"""One workspace, one version, one pin of torch."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest

FILES = ["pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"]


def metadata(root: Path, dist: str) -> dict:
    return tomllib.loads((root / f"packages/zeroproofml-{dist}/pyproject.toml").read_text())


def version_of(package: Path) -> str:
    return runpy.run_path(str(package / "_version.py"))["__version__"]


def test_every_package_carries_its_own_papers(root: Path, sources: dict[str, Path]) -> None:
    for dist in sources:
        for name in FILES:
            path = root / f"packages/zeroproofml-{dist}/{name}"
            assert path.is_file(), path
            assert path.stat().st_size > 0, path
        assert (root / f"packages/zeroproofml-{dist}/LICENSE").read_text() == (
            root / "LICENSE"
        ).read_text()


def test_five_versions_are_one(root: Path, sources: dict[str, Path]) -> None:
    versions = {version_of(package) for package in sources.values()}
    assert len(versions) == 1
    major, minor, _ = versions.pop().split(".")
    window = f">={major}.{minor},<{major}.{int(minor) + 1}"
    for dist in sources:
        project = metadata(root, dist)["project"]
        extras = project.get("optional-dependencies", {})
        for requirement in [*project["dependencies"], *(r for e in extras.values() for r in e)]:
            if requirement.startswith("zeroproofml-"):
                assert requirement.endswith(window), f"{dist}: {requirement}"


def test_the_current_version_has_a_changelog_section(root: Path, sources: dict[str, Path]) -> None:
    for dist, package in sources.items():
        text = (root / f"packages/zeroproofml-{dist}/CHANGELOG.md").read_text(encoding="utf-8")
        assert f"## [{version_of(package)}]" in text, f"{dist}: no section for its version"


def test_torch_is_pinned_once_and_through_pip(root: Path) -> None:
    text = (root / "hatch.toml").read_text(encoding="utf-8")
    assert len(re.findall(r"torch==", text)) == 1
    data = tomllib.loads(text)
    for env in ("default", "core"):
        assert data["envs"][env]["installer"] == "pip"
    for dist in ("scm", "torch", "jax", "report", "bench"):
        assert "torch==" not in (root / f"packages/zeroproofml-{dist}/pyproject.toml").read_text()
    assert not (root / "pyproject.toml").exists()


def test_numpy_is_the_cores_only_dependency(root: Path) -> None:
    project = metadata(root, "scm")["project"]
    assert [re.match(r"[a-z]+", d)[0] for d in project["dependencies"]] == ["numpy"]
    assert tomllib.loads((root / "hatch.toml").read_text())["envs"]["core"]["template"] == "core"


def test_the_citation_names_the_version(root: Path, sources: dict[str, Path]) -> None:
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    keys = set(re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= keys
    assert f"version: {version_of(sources['scm'])}" in text


@pytest.mark.parametrize("name", ["hatch", "run"])
def test_the_scripts_are_executable_and_parse(root: Path, name: str) -> None:
    script = root / ".ci" / name
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_bootstrap_refuses_a_foreign_project_above(root: Path, tmp_path: Path) -> None:
    clone = tmp_path / "outer" / "clone"
    (clone / ".ci").mkdir(parents=True)
    (clone / ".ci/hatch").write_text((root / ".ci/hatch").read_text(encoding="utf-8"))
    (tmp_path / "outer/pyproject.toml").write_text("[project]\nname = 'outer'\n")
    done = subprocess.run(
        ["bash", str(clone / ".ci/hatch"), "--version"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "clone elsewhere" in done.stderr
    assert not (clone / ".hatch").exists()


def test_the_gates_run_in_order_and_the_test_command_last(root: Path) -> None:
    lines = (root / ".ci/run").read_text(encoding="utf-8").splitlines()
    runs = [line.removeprefix("bash .ci/hatch run ") for line in lines if "hatch run" in line]
    assert runs == ["lint", "types", "core:test", "test"]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "bash .ci/hatch run test" in readme
    assert "bash .ci/hatch run zpml-bench ik --mode smoke" in readme
