"""One implicit namespace, five packages, arrows in one direction only."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SUBPACKAGES = ["scm", "torch", "jax", "report", "benchmarks"]

# What each package may import of its siblings; jax is allowed to bench only where its extra is used.
ALLOWED = {
    "scm": set(),
    "torch": {"scm"},
    "jax": {"scm"},
    "report": {"scm"},
    "bench": {"scm", "report", "torch"},
}


def forbidden_arrows(source: str, own: str, allowed: set[str]) -> list[str]:
    """Imports of sibling packages that break the order of the house, at any depth of the code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                names = []
            elif node.module == "zeroproofml":
                names = [f"zeroproofml.{alias.name}" for alias in node.names]
            else:
                names = [node.module or ""]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "zeroproofml" and len(parts) > 1 and parts[1] not in allowed | {own}:
                found.append(f"line {node.lineno}: {name}")
    return found


def test_arrows_point_down_only(sources: dict[str, Path]) -> None:
    bad = {
        str(path): arrows
        for dist, package in sources.items()
        for path in package.rglob("*.py")
        if (
            arrows := forbidden_arrows(
                path.read_text(encoding="utf-8"), package.name, ALLOWED[dist]
            )
        )
    }
    assert bad == {}


@pytest.mark.parametrize(
    "line",
    [
        "import zeroproofml.torch",
        "from zeroproofml import torch",
        "def f():\n    from zeroproofml.report.errors import X",
        "if TYPE_CHECKING:\n    import zeroproofml.benchmarks",
    ],
)
def test_a_forbidden_arrow_is_seen(line: str) -> None:
    assert forbidden_arrows(line, "scm", ALLOWED["scm"])
    assert not forbidden_arrows("from zeroproofml.scm import SCMArray", "torch", ALLOWED["torch"])


def test_no_regular_package_claims_the_namespace(root: Path) -> None:
    assert importlib.import_module("zeroproofml").__file__ is None
    for folder in root.glob("packages/*/src/zeroproofml"):
        entries = [e for e in folder.iterdir() if e.name != "__pycache__"]
        assert [e.is_dir() for e in entries] == [True], f"{folder} holds more than one package"
        assert (entries[0] / "py.typed").is_file()
        assert (entries[0] / "__init__.py").is_file()


@pytest.mark.parametrize("sub", SUBPACKAGES)
def test_the_tree_is_what_is_tested(root: Path, sub: str) -> None:
    module = importlib.import_module(f"zeroproofml.{sub}")
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(root / "packages")


# A fresh process each: what an import pulls in is what a user waits for.
HEAVY = {"numpy", "torch", "jax", "pydantic", "pygal", "typer", "scipy", "pandas", "pyarrow"}
MAY_IMPORT = {
    "zeroproofml.scm": {"numpy"},
    "zeroproofml.scm.errors": set(),
    "zeroproofml.scm.testing.plugin": set(),
    "zeroproofml.report": set(),
    "zeroproofml.benchmarks": set(),
    "zeroproofml.torch": {"numpy", "torch"},
    "zeroproofml.jax": {"numpy", "jax", "scipy"},
    "zeroproofml.report.cli": {"typer"},
    "zeroproofml.benchmarks.cli": {"typer"},
}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return set(done.stdout.split()) & HEAVY


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_an_import_stays_light(module: str) -> None:
    assert loaded_by(f"import {module}") <= MAY_IMPORT[module]


def test_the_array_core_needs_numpy_and_nothing_else() -> None:
    assert loaded_by("from zeroproofml.scm import SCMArray, strict_inference") == {"numpy"}


@pytest.mark.parametrize("program", ["zeroproofml.report", "zeroproofml.benchmarks"])
def test_help_is_light(program: str) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['x', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{program}', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "print('LOADED', ' '.join(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    line = next(x for x in done.stdout.splitlines() if x.startswith("LOADED"))
    assert set(line.split()) & (HEAVY | {"rich"}) <= {"typer", "rich"}
