"""The house style that a machine can check."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

LONGEST = 600
MACHINE_PATHS = re.compile(r"(?<![\w.])(/home/\w|/root/|/Users/\w|/work/|C:\\\\Users)")
TYPE_IGNORES = 25


def files_of(sources: dict[str, Path]) -> list[Path]:
    return [path for package in sources.values() for path in sorted(package.rglob("*.py"))]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_stay_readable(root: Path, sources: dict[str, Path]) -> None:
    perf = [p for p in sorted(root.glob("perf/**/*.py")) if ".peer" not in p.parts]
    everything = [*files_of(sources), *perf]
    assert {str(p): n for p in everything if (n := lines_of(p)) > LONGEST} == {}
    inits = {str(p): n for p in everything if p.name == "__init__.py" and (n := lines_of(p)) > 80}
    assert {k: v for k, v in inits.items() if "/domains/" not in k} == {}


def test_type_ignores_are_few_and_say_why(sources: dict[str, Path]) -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in files_of(sources)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "type: ignore" in line
    ]
    assert len(found) <= TYPE_IGNORES
    assert [x for x in found if not re.search(r"type: ignore\[[\w, -]+\]\s+# \S", x)] == []


def test_nothing_is_left_unfinished_or_swallowed(sources: dict[str, Path]) -> None:
    marks = re.compile(r"TODO|FIXME|XXX|raise NotImplementedError")
    found = []
    for path in files_of(sources):
        text = path.read_text(encoding="utf-8")
        found += [f"{path}: {m.group()}" for m in marks.finditer(text)]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or (
                    isinstance(node.type, ast.Name)
                    and node.type.id in {"Exception", "BaseException"}
                    and all(isinstance(x, ast.Pass) for x in node.body)
                )
            ):
                found.append(f"{path}:{node.lineno}: swallows everything")
    assert found == []


def test_the_project_speaks_of_no_machine(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    found = []
    for name in filter(None, listed):
        path = root / name
        if path.is_file() and path != Path(__file__).resolve() and path.suffix != ".npz":
            text = path.read_bytes().decode("utf-8", errors="replace")
            found += [f"{name}: {m.group()}" for m in MACHINE_PATHS.finditer(text)]
    assert found == []


def public_functions(sources: dict[str, Path]) -> Iterator[tuple[str, object]]:
    for package in sources.values():
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package).with_suffix("").parts
            if any(p.startswith("_") for p in parts):
                continue
            module = importlib.import_module(".".join(["zeroproofml", package.name, *parts]))
            for name in getattr(module, "__all__", ()):
                value = getattr(module, name)
                if getattr(value, "__module__", None) == module.__name__ and (
                    inspect.isfunction(value) or inspect.isclass(value)
                ):
                    yield f"{module.__name__}.{name}", value


def test_public_functions_are_documented_with_examples(sources: dict[str, Path]) -> None:
    names = dict(public_functions(sources))
    assert len(names) > 50
    undocumented = [name for name, value in names.items() if not inspect.getdoc(value)]
    assert undocumented == []
    untyped = [
        name
        for name, value in names.items()
        if inspect.isfunction(value) and "return" not in value.__annotations__
    ]
    assert untyped == []
    core = {n: v for n, v in names.items() if inspect.isfunction(v)}
    without = [n for n, v in core.items() if ">>>" not in (inspect.getdoc(v) or "")]
    assert len(without) <= 0.15 * len(core), sorted(without)


def test_the_median_file_is_short(sources: dict[str, Path]) -> None:
    assert statistics.median(lines_of(p) for p in files_of(sources)) <= 200
