"""docs/completeness.md shows what the corpus counts; ZPML_UPDATE_DOCS=1 writes it anew."""

import os
from collections import Counter
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from zeroproofml.scm.optable import OPS
from zeroproofml.scm.testing import Backend, load_cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "completeness.md"
BEGIN, END = "<!-- counted: begin -->\n", "<!-- counted: end -->\n"
GROUPS = {  # column of the page → dtypes of the first operand
    "float16": {"float16"},
    "float32": {"float32"},
    "float64": {"float64"},
    "complex64": {"complex64"},
    "complex128": {"complex128"},
    "integers": {f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)},
}
REFUSED = "refused"  # cases that must raise, whatever the dtype
BACKENDS = {
    "numpy": Backend.load("zeroproofml.scm.ops:scm_{op}_numpy"),
    "torch": Backend.load(
        "zeroproofml.torch.ops:scm_{op}_torch", put=torch.from_numpy, get=lambda t: t.numpy()
    ),
    "jax": Backend.load("zeroproofml.jax.ops:scm_{op}_jax", put=jnp.asarray),
}


def _column(case):
    if case.raises:
        return REFUSED
    (column,) = (c for c, dtypes in GROUPS.items() if case.dtype in dtypes)
    return column


def _counts(backend):
    """(operation, column) → cases passed, and cases that apply."""
    passed, applicable = Counter(), Counter()
    for case in load_cases():
        if backend.takes(case):
            applicable[case.op, _column(case)] += 1
            passed[case.op, _column(case)] += backend.run(case) is None
    return passed, applicable


def _table(passed, applicable):
    columns = [*GROUPS, REFUSED]

    def cell(keys):
        total = sum(applicable[key] for key in keys)
        return f"{sum(passed[key] for key in keys)}/{total}" if total else "–"

    def row(name, ops):
        cells = [cell([(op, column) for op in ops]) for column in columns]
        every = cell([(op, column) for op in ops for column in columns])
        return f"| {' | '.join([name, *cells, every])} |"

    head = [f"| | {' | '.join([*columns, 'all'])} |", "|---|" + "---|" * (len(columns) + 1)]
    return [*head, *(row(f"`{op}`", [op]) for op in OPS), row("all", OPS)]


def _page():
    """The page: before the tables, the tables, after them."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tables, end, after = rest.partition(END)
    assert begin
    assert end
    return before + begin, tables, end + after


def _sections(text):
    """Backend → its lines."""
    found = {}
    for line in filter(None, text.splitlines()):
        if line.startswith("## "):
            lines = found.setdefault(line.removeprefix("## "), [])
        else:
            lines.append(line)
    return found


@pytest.mark.slow
def test_the_page_says_what_the_corpus_counts(x64):
    tables = {name: _table(*_counts(backend)) for name, backend in BACKENDS.items()}
    before, stated, after = _page()
    if os.environ.get("ZPML_UPDATE_DOCS"):
        sections = [[f"## {name}", "", *lines, ""] for name, lines in tables.items()]
        stated = "\n".join(["", *(line for lines in sections for line in lines), ""])
        PAGE.write_text(before + stated + after, encoding="utf-8")
    assert _sections(stated) == tables


def test_nothing_on_the_page_is_incomplete():
    """Every case that applies is passed; – stands only where the corpus has no such case."""
    sections = _sections(_page()[1])
    assert list(sections) == list(BACKENDS)
    for name, lines in sections.items():
        applicable = Counter(
            key
            for case in load_cases()
            if BACKENDS[name].takes(case)
            for key in [(case.op, _column(case)), (case.op, "all"), ("all", _column(case))]
        )
        rows = [[cell.strip(" |`") for cell in line.split(" | ")] for line in lines]
        columns = rows[0][1:]
        assert columns == [*GROUPS, REFUSED, "all"]
        for op, *cells in rows[2:]:
            for column, cell in zip(columns, cells, strict=True):
                count = applicable[op, column] if (op, column) != ("all", "all") else None
                passed, _, total = cell.partition("/")
                assert passed == (total or "–"), (name, op, column)
                assert count is None or int(total or 0) == count, (name, op, column)
        assert [row[0] for row in rows[2:]] == [*OPS, "all"]


def test_numpy_counts_are_those_of_the_whole_corpus():
    passed, applicable = _counts(BACKENDS["numpy"])
    assert passed.total() == applicable.total() == len(load_cases())
    total = _sections(_page()[1])["numpy"][-1].split("|")[-2].strip()
    assert total == f"{len(load_cases())}/{len(load_cases())}"


def test_a_backend_that_is_wrong_would_be_counted():
    functions = dict(BACKENDS["numpy"].functions)

    def off(x, mask=None):
        payload, bottom = functions["neg"](x, mask)
        return np.asarray(payload * 2), bottom

    passed, applicable = _counts(Backend("numpy", functions | {"neg": off}))
    assert passed["neg", "float64"] < applicable["neg", "float64"]
    assert passed["add", "float64"] == applicable["add", "float64"]
    assert "| `neg` |" in "\n".join(_table(passed, applicable))
