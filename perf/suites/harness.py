"""What the tools cost: imports, --help, a seed of each domain, a report, JSON and SVG.

The reference is a process of the same kind that does the least: `import numpy` for the array
package, `import typer, rich` for a command. Seconds stand in the cases; a ceiling is a multiple of
the reference, so that it travels: `import typer, rich` takes 55 ms on the quiet reference machine,
and the 6 s that a report of a paper-size run may take are 110 times that.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from suites.case import Built, Case, WrongValue

SEED = 20260405
HERE = Path(__file__).resolve().parents[1]
DOMAINS = ("dose", "rf", "ik")
COMMANDS = {"bench": "zeroproofml.benchmarks", "report": "zeroproofml.report"}
HEAVY = ("numpy", "torch", "jax", "pydantic", "pygal")
STRANGE_TO_SCM = ("torch", "jax", "pandas", "pyarrow", "pydantic", "scipy")
TYPER = ("-c", "import typer, rich")
ROWS = 100_000
POINTS = 2_000
STARTS = (15, 5)
ONCE = (1, 1)
FEW = (3, 1)


def process(*words: str) -> None:
    """Run Python in a process of its own.

    Raises:
        WrongValue: it failed; the message is its last line.
    """
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=_installed()
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        msg = f"{' '.join(words)}: {lines[0]}"
        raise WrongValue(msg)


def _modules(code: str, heavy: tuple[str, ...]) -> list[str]:
    """Which of the heavy modules are loaded after the code."""
    tail = (
        f"\nimport json\nsys.stderr.write(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + code + tail],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise WrongValue(lines[0])
    return list(json.loads(done.stderr))


def _demand_light(what: str, code: str, heavy: tuple[str, ...]) -> None:
    loaded = _modules(code, heavy)
    if loaded:
        msg = f"{what} loads {', '.join(loaded)}"
        raise WrongValue(msg)


def build_import() -> Built:
    """The array class of scm against NumPy alone."""
    code = "from zeroproofml.scm import SCMArray"
    return Built(
        {"numpy": partial(process, "-c", "import numpy"), "SCMArray": partial(process, "-c", code)},
        partial(_demand_light, code, code, STRANGE_TO_SCM),
        None,
    )


def build_help(command: str) -> Built:
    """`--help` of a command against the import of what prints it."""
    module = COMMANDS[command]
    code = (
        "import io, runpy, contextlib\n"
        f"sys.argv = ['zpml-{command}', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    runpy.run_module({module!r}, run_name='__main__')"
    )
    return Built(
        {"typer": partial(process, *TYPER), "help": partial(process, "-m", module, "--help")},
        partial(_demand_light, f"zpml-{command} --help", code, HEAVY),
        None,
    )


@cache
def _installed() -> dict[str, str]:
    """An environment whose imports find bytecode, as an installed package's do.

    Where Python may not write it, each start would compile our sources, and ours alone.
    """
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(_scratch() / "bytecode")}


@cache
def _scratch() -> Path:
    """A folder for the runs of this process, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="zpml-perf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _fresh(name: str) -> Path:
    folder = _scratch() / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _step_times(folder: Path) -> str:
    """Milliseconds per training step of the slowest arm of a seed."""
    data = json.loads((folder / "seed_1" / "per_seed_result.json").read_text(encoding="utf-8"))
    times = {}
    for arm, result in data["arms"].items():
        steps = result["training"]["steps"]
        if steps:
            times[arm] = data["timing"]["arms"][arm]["train_s"] / steps * 1e3
    if not times:
        return "no arm trains"
    slowest = max(times, key=lambda arm: times[arm])
    return f"slowest arm {slowest}: {times[slowest]:.3g} ms per training step"


def build_seed(domain: str, mode: str) -> Built:
    """One seed of a domain from nothing, in a process of its own."""

    def seed() -> None:
        words = ["--mode", mode, "--seeds", "1", "--device", "cpu", "--progress", "none"]
        folder = _fresh(f"{domain}-{mode}")
        process("-m", COMMANDS["bench"], domain, *words, "--out-root", str(folder))

    def check() -> None:
        from zeroproofml.report.domains import get

        get(domain)

    remark = lambda: _step_times(_scratch() / f"{domain}-{mode}")  # noqa: E731
    return Built({"typer": partial(process, *TYPER), "seed": seed}, check, None, remark=remark)


def build_report(mode: str) -> Built:
    """`zpml-report benchmark` on the fixed run of a mode's size: validate, derive, render."""
    script, folder = str(HERE / "_fixed_run.py"), _scratch() / f"fixed-{mode}"
    if not folder.exists():
        process(script, "build", str(folder), mode)

    def report() -> None:
        process(script, "report", str(folder), str(_fresh("derived")))

    def check() -> None:
        report()
        if not (_scratch() / "derived" / "RUN_REPORT.md").exists():
            msg = "report: no page was written"
            raise WrongValue(msg)

    return Built({"typer": partial(process, *TYPER), "report": report}, check, None)


def build_json() -> Built:
    """The strict, canonical JSON of 1e5 rows, out and in, against the standard library."""
    from zeroproofml.report.contract import strict_json

    rng = np.random.default_rng(SEED)
    rows = [{"arm": f"arm{k % 5}", "seed": k, "value": float(v)} for k, v in
            enumerate(rng.standard_normal(ROWS))]  # fmt: skip

    def plain() -> Any:
        return json.loads(json.dumps(rows, sort_keys=True))

    def strict() -> Any:
        return strict_json.parse(strict_json.dump(rows), path="rows.json")

    def check() -> None:
        if strict() != rows:
            msg = "strict_json: what comes back is not what went out"
            raise WrongValue(msg)

    return Built({"json": plain, "strict_json": strict}, check, None)


def build_svg() -> Built:
    """A curve of 2e3 points as a checked, reproducible SVG, against pygal alone."""
    import pygal

    from zeroproofml.report.figures import plate
    from zeroproofml.report.figures.lines import Series, line_plate
    from zeroproofml.report.figures.sheet import sheet
    from zeroproofml.report.figures.style import arm_style
    from zeroproofml.report.pages.model import Column, Figure, Table

    x = np.linspace(0, 1, POINTS)
    points = [(float(a), float(b)) for a, b in zip(x, np.sin(40 * x), strict=True)]
    xs, ys = tuple(a for a, _ in points), tuple(b for _, b in points)
    twin = Table("curve", (Column("x"),), (), 0, (), None, "curve.json")

    def bare() -> bytes:
        chart = pygal.XY(show_dots=False)
        chart.add("curve", points)
        return bytes(chart.render())

    def ours() -> bytes:
        plate._DRAWN.clear()  # a plate that was drawn once is kept
        curve = Series("curve", arm_style(0), xs, ys)
        made = line_plate("curve", "value", [curve])
        return sheet(Figure("curve", "curve", "one curve", (made,), twin))

    def check() -> None:
        if ours() != ours():
            msg = "svg: two drawings of one curve differ"
            raise WrongValue(msg)

    return Built({"pygal": bare, "sheet": ours}, check, None)


def cases(*, quick: bool) -> Iterator[Case]:
    """Every case of the suite, cheap before dear; smoke seeds and the paper-size report in full runs."""

    def case(
        name: str,
        reference: str,
        make: Callable[[], Built],
        rounds: tuple[int, int] | None,
        note: str,
        *,
        n: int = 1,
        fresh: bool = True,
    ) -> Case:
        return Case(
            id=f"harness/{name}",
            suite="harness",
            n=n,
            dtype="none",
            data_kind="clean",
            backend="python",
            reference=reference,
            make=make,
            note=note,
            rounds=rounds,
            fresh=fresh,
        )

    yield case("import-scm", "numpy", build_import, STARTS, "fresh processes")
    for command in COMMANDS:
        make = partial(build_help, command)
        yield case(f"help-{command}", "typer", make, STARTS, "fresh processes")
    note = f"dump and parse of {ROWS} rows"
    yield case("json-1e5", "json", build_json, (5, 3), note, n=ROWS, fresh=False)
    note = f"one curve of {POINTS} points"
    yield case("svg-2e3", "pygal", build_svg, (9, 5), note, n=POINTS, fresh=False)
    for mode in ("contract",) if quick else ("contract", "smoke"):
        for domain in DOMAINS:
            make = partial(build_seed, domain, mode)
            yield case(f"{mode}-{domain}", "typer", make, ONCE, "one seed from nothing")
    for mode in ("contract",) if quick else ("contract", "paper"):
        note = f"ten seeds of the sizes of mode {mode}"
        yield case(f"report-{mode}", "typer", partial(build_report, mode), FEW, note)
