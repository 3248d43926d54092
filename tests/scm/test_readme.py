"""The package's README prints what it says it prints."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest

from zeroproofml.scm.testing import LAWS

README = Path(__file__).resolve().parents[2] / "packages" / "zeroproofml-scm" / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_block_prints_what_stands_beside_it(block):
    for package in ("pandas", "pyarrow"):
        if f"import {package}" in block and importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    stated = [line.split("  # ")[1] for line in block.splitlines() if line.startswith("print(")]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, str(README), "exec"), {"__name__": "readme"})
    assert printed.getvalue().splitlines() == stated


def test_it_names_every_module_and_counts_the_laws():
    modules = {
        path.stem if path.is_file() else path.name
        for path in (README.parent / "src" / "zeroproofml" / "scm").iterdir()
        if not path.name.startswith("_") and path.suffix in {"", ".py"}
    }
    assert modules - set(re.findall(r"`(\w+)`", TEXT)) == {"errors"}
    assert f"the {len(LAWS)} laws" in TEXT
    assert len(BLOCKS) > 5
