"""What a user installs: built once, looked into, and installed into clean environments."""

from __future__ import annotations

import email
import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SUB = {"scm": "scm", "torch": "torch", "jax": "jax", "report": "report", "bench": "benchmarks"}


def build(source: Path, target: Path, *kinds: str) -> None:
    flags = [flag for kind in kinds for flag in ("-t", kind)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target), *flags],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def dist(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    for name in SUB:
        build(root / f"packages/zeroproofml-{name}", target, "wheel", "sdist")
    return target


def wheel(dist: Path, name: str) -> Path:
    (path,) = dist.glob(f"zeroproofml_{name}-*.whl")
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def is_file_of_the_package(name: str) -> bool:
    return ".dist-info/" not in name


def test_ten_files_come_out_and_stay_small(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert len(files) == 10
    assert max(f.stat().st_size for f in files) <= 2**20


@pytest.mark.parametrize("name", SUB)
def test_a_wheel_holds_one_subpackage_and_no_namespace_file(dist: Path, name: str) -> None:
    names = list(filter(is_file_of_the_package, members(wheel(dist, name))))
    assert all(n.startswith(f"zeroproofml/{SUB[name]}/") for n in names), names
    assert "zeroproofml/__init__.py" not in names
    assert f"zeroproofml/{SUB[name]}/py.typed" in names


def test_no_two_wheels_share_a_path(dist: Path) -> None:
    paths = [n for name in SUB for n in members(wheel(dist, name)) if is_file_of_the_package(n)]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("name", SUB)
def test_the_wheel_of_the_sdist_is_the_wheel_of_the_tree(
    dist: Path, name: str, tmp_path: Path
) -> None:
    (sdist,) = dist.glob(f"zeroproofml_{name}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (p for p in tmp_path.iterdir() if p.is_dir())
    build(unpacked, tmp_path / "again", "wheel")
    assert members(next((tmp_path / "again").glob("*.whl"))) == members(wheel(dist, name))


@pytest.mark.parametrize("name", SUB)
def test_metadata_is_complete(dist: Path, name: str) -> None:
    from packaging.metadata import Metadata

    content = members(wheel(dist, name))
    raw = next(v for k, v in content.items() if k.endswith("METADATA"))
    parsed = Metadata.from_email(raw, validate=True)
    assert parsed.license_expression == "MIT"
    assert parsed.description is not None
    assert len(parsed.description.splitlines()) > 10, "the README is the package's page"
    assert email.message_from_bytes(raw)["Requires-Python"] == ">=3.11"


# --- clean environments -----------------------------------------------------------------------


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    unreachable = "No matching distribution" in done.stderr or "connection" in done.stderr.lower()
    if unreachable and "ZPML_REQUIRE_WHEEL_TESTS" not in os.environ:
        pytest.skip("pip reaches no package index; would have installed " + " ".join(arguments))
    pytest.fail(done.stderr[-3000:])


def environment(where: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
    return where / "bin" / "python"


def run(python: Path, *arguments: str, cwd: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=env
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def installed(python: Path, cwd: Path) -> set[str]:
    code = (
        "import importlib.metadata as m\n"
        "print(*(d.metadata['Name'].lower() for d in m.distributions()))"
    )
    return set(run(python, "-c", code, cwd=cwd).split()) - {"pip", "setuptools", "wheel"}


def python_blocks(markdown: str) -> list[str]:
    return [part.split("```")[0] for part in markdown.split("```python\n")[1:]]


def test_scm_alone_brings_numpy_and_its_readme_runs(dist: Path, root: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    pip(python, "install", "--find-links", str(dist), "zeroproofml-scm")
    assert installed(python, tmp_path) == {"zeroproofml-scm", "numpy"}
    blocks = python_blocks(
        (root / "packages/zeroproofml-scm/README.md").read_text(encoding="utf-8")
    )
    assert blocks
    for block in blocks:
        if "pandas" not in block and "pyarrow" not in block:
            run(python, "-W", "error", "-c", block, cwd=tmp_path)


@pytest.fixture(scope="module")
def contract_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the smallest mode, made by the tree, to be read by installed wheels."""
    where = tmp_path_factory.mktemp("run")
    run(
        Path(sys.executable),
        "-m",
        "zeroproofml.benchmarks",
        "ik",
        "--mode",
        "contract",
        "--out-root",
        str(where / "run"),
        cwd=where,
    )
    return where / "run"


def test_report_needs_no_framework(dist: Path, contract_run: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    pip(python, "install", "--find-links", str(dist), "zeroproofml-report")
    assert not installed(python, tmp_path) & {"torch", "jax", "pandas"}
    script = python.with_name("zpml-report")
    before = (contract_run / "manifest.json").read_bytes()
    (contract_run / "RUN_REPORT.md").write_text("edited\n", encoding="utf-8")
    for arguments in (["benchmark"], ["validate"], ["verify", "--recompute"]):
        done = subprocess.run(
            [str(script), *arguments, str(contract_run)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (contract_run / "RUN_REPORT.md").read_text(encoding="utf-8") != "edited\n"
    assert (contract_run / "manifest.json").read_bytes() != before  # a new generation


def full_environment(root: Path, dist: Path) -> Path:
    """All five wheels; the dependencies are kept between runs, keyed by what is required."""
    requirements = [
        (root / f"packages/zeroproofml-{name}/pyproject.toml").read_text(encoding="utf-8")
        for name in SUB
    ]
    key = hashlib.sha256("".join(requirements).encode()).hexdigest()[:16]
    where = root / ".hatch" / f"wheels-{key}"
    python = where / "bin" / "python"
    wheels = [str(wheel(dist, name)) for name in SUB]
    if not (where / "complete").exists():
        environment(where)
        pin = next(
            d
            for d in tomllib.loads((root / "hatch.toml").read_text())["envs"]["default"][
                "dependencies"
            ]
            if d.startswith("torch==")
        )
        pip(python, "install", "--quiet", pin, *wheels)
        (where / "complete").touch()
    pip(python, "install", "--quiet", "--no-deps", "--force-reinstall", *wheels)
    return python


def test_all_five_run_a_benchmark_and_survive_the_loss_of_any_one(
    dist: Path, root: Path, tmp_path: Path
) -> None:
    python = full_environment(root, dist)
    out = run(
        python,
        "-m",
        "zeroproofml.benchmarks",
        "ik",
        "--mode",
        "contract",
        "--seeds",
        "7,",
        "--out-root",
        str(tmp_path / "run"),
        cwd=tmp_path,
    )
    assert "raw sha256:" in out
    for gone in SUB:
        pip(python, "uninstall", "--quiet", "--yes", f"zeroproofml-{gone}")
        others = [name for name in SUB if name != gone and name != "scm" and gone != "scm"]
        imports = "; ".join(f"import zeroproofml.{SUB[name]}" for name in others) or "pass"
        run(python, "-c", imports, cwd=tmp_path)
        pip(python, "install", "--quiet", "--no-deps", str(wheel(dist, gone)))
