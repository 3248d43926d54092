"""A regular distribution named `zeroproofml` captures the namespace: say so, and how to mend it.

The distribution is a fake, built here; the real one is never downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKE_VERSION = "0.6.1"


def install_fake(site: Path) -> None:
    """What `pip install zeroproofml==0.6.1` leaves behind: a regular package and its metadata."""
    package = site / "zeroproofml"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    info = site / f"zeroproofml-{FAKE_VERSION}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: zeroproofml\nVersion: {FAKE_VERSION}\n", encoding="utf-8"
    )


def python(*arguments: str, path: list[Path]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=env
    )


@pytest.fixture
def installed_as_wheels(sources: dict[str, Path], tmp_path: Path) -> Path:
    """Ours the way wheels install them: all subpackages in one site folder."""
    site = tmp_path / "site"
    (site / "zeroproofml").mkdir(parents=True)
    for package in sources.values():
        (site / "zeroproofml" / package.name).symlink_to(package)
    return site


def test_ours_as_wheels_beside_it_raise_a_namespace_conflict(installed_as_wheels: Path) -> None:
    install_fake(installed_as_wheels)
    done = python("-c", "import zeroproofml.scm", path=[installed_as_wheels])
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "NamespaceConflict" in last
    assert FAKE_VERSION in last
    assert "pip uninstall zeroproofml" in last


def test_editable_ours_are_shadowed_and_the_user_sees_a_missing_module(tmp_path: Path) -> None:
    # Our code cannot run here at all: the regular package wins. README quotes this line.
    install_fake(tmp_path / "site")
    done = python("-c", "import zeroproofml.scm", path=[tmp_path / "site"])
    assert done.returncode == 1
    assert "No module named 'zeroproofml.scm'" in done.stderr


def test_a_later_path_entry_captures_it_too(tmp_path: Path) -> None:
    install_fake(tmp_path / "late")
    code = f"import sys; sys.path.append({str(tmp_path / 'late')!r}); import zeroproofml.scm"
    done = python("-c", code, path=[])
    assert done.returncode == 1
    assert "No module named 'zeroproofml.scm'" in done.stderr


@pytest.mark.parametrize("module", ["zeroproofml.report.cli", "zeroproofml.benchmarks.cli"])
def test_both_programs_stop_with_one_line(module: str, tmp_path: Path) -> None:
    # Only the metadata is there (an upgrade half undone): the programs run, and refuse to.
    install_fake(tmp_path / "site")
    (tmp_path / "site/zeroproofml/__init__.py").unlink()
    (tmp_path / "site/zeroproofml").rmdir()
    for arguments, expected in ((["list", str(tmp_path)], 2), (["--help"], 0)):
        code = f"import sys; sys.argv = ['x', *{arguments!r}]; from {module} import main; main()"
        done = python("-c", code, path=[tmp_path / "site"])
        assert done.returncode == expected, done.stderr
        if expected:
            assert len(done.stderr.strip().splitlines()) == 1
            assert FAKE_VERSION in done.stderr
            assert "pip uninstall zeroproofml" in done.stderr
