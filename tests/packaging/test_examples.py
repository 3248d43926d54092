"""Every example runs: docstrings, READMEs, docs, and the command lines they show."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [p for p in ROOT.glob("packages/*/src/zeroproofml/*") if p.is_dir()]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])


def modules() -> list[str]:
    """By their real names: collecting files would import ours under a second name."""
    names = []
    for package in SOURCES:
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            if parts[-1] != "__main__":
                names.append(".".join(["zeroproofml", *parts]).removesuffix(".__init__"))
    return names


EXAMPLES = """
import doctest, importlib, sys
failed = [m for m in sys.argv[1:] if doctest.testmod(importlib.import_module(m)).failed]
sys.exit(f"examples that fail: {failed}" if failed else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("package", SOURCES, ids=lambda path: path.name)
def test_docstring_examples(package: Path) -> None:
    """In a process of their own: what other tests registered or enabled must not show in them."""
    names = [name for name in modules() if name.split(".")[1] == package.name]
    assert names
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES, *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for k, body in enumerate(re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)):
            found.append((f"{page.relative_to(ROOT)}-{k}", body))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("where", "code"), blocks("python"), ids=lambda v: v[:60])
def test_python_blocks(where: str, code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, f"{where}\n{done.stderr}"


def commands() -> list[list[str]]:
    """Console lines that call our programs; what installs or sets up is tested elsewhere."""
    found = []
    for _, body in [*blocks("bash"), *blocks("console")]:
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:3] == ["bash", ".ci/hatch", "run"]:
                words = words[3:]
            if words[:1] in (["zpml-bench"], ["zpml-report"]) or words[:2] == ["python", "-m"]:
                found.append(words)
    return found


def test_the_pages_show_commands() -> None:
    assert ["zpml-bench", "ik", "--mode", "smoke"] in commands()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_parse(words: list[str], tmp_path: Path) -> None:
    """The program knows each flag shown: a usage error would name the unknown one."""
    if words[0] == "python":
        program = words[2]
        if not program.startswith("zeroproofml."):
            pytest.skip("not a program of ours")
        arguments = words[3:]
    else:
        program = {"zpml-bench": "zeroproofml.benchmarks", "zpml-report": "zeroproofml.report"}[
            words[0]
        ]
        arguments = words[1:]
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    flags = {w.split("=")[0] for w in arguments if w.startswith("--")}
    assert [flag for flag in flags if flag not in done.stdout] == []
