"""docs/comparison.md shows what is measured here; ZPML_UPDATE_DOCS=1 writes its tables anew."""

from __future__ import annotations

import importlib
import operator
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from zeroproofml.scm import SCMArray
from zeroproofml.scm.cause import describe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "comparison.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
COLUMNS = {  # and the package that must be installed
    "numpy": "numpy",
    "numpy.ma": "numpy",
    "pandas Float64": "pandas",
    "pyarrow.compute": "pyarrow",
    "SCMArray": None,
}
GAP = None  # a missing lane; it holds the number 7 where a library keeps one underneath

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "neg": operator.neg,
    "asarray": np.asarray,
}
FUNCTIONS = {"log", "sqrt", "exp"}  # everything else is a method of the array
ARROW = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "**": "power",
    "==": "equal",
    "!=": "not_equal",
    "neg": "negate",
    "log": "ln",
}


def _ints(dtype, value):
    return np.array([value], dtype)


ROWS = {
    "Undefined": {
        "1 / 0": ("/", [1.0], [0.0]),
        "0 / 0": ("/", [0.0], [0.0]),
        "log(−1)": ("log", [-1.0]),
        "log(0)": ("log", [0.0]),
        "sqrt(−1)": ("sqrt", [-1.0]),
        "0 ** −1": ("**", [0.0], [-1.0]),
        "(−8) ** (1/3)": ("**", [-8.0], [1 / 3]),
    },
    "Too large": {
        "1e308 · 10": ("*", [1e308], [10.0]),
        "exp(1000)": ("exp", [1000.0]),
        "int64: MAX + 1": ("+", _ints("int64", 2**63 - 1), _ints("int64", 1)),
        "int8: 100 + 100": ("+", _ints("int8", 100), _ints("int8", 100)),
        "int8: −(−128)": ("neg", _ints("int8", -128)),
        "uint8: 0 − 1": ("-", _ints("uint8", 0), _ints("uint8", 1)),
        "uint8: 1 / 2": ("/", _ints("uint8", 1), _ints("uint8", 2)),
    },
    "Not a number on entry": {
        "NaN + 1": ("+", [np.nan], [1.0]),
        "NaN ** 0": ("**", [np.nan], [0.0]),
        "1 ** NaN": ("**", [1.0], [np.nan]),
        "1 / inf": ("/", [1.0], [np.inf]),
        "NaN == NaN": ("==", [np.nan], [np.nan]),
        "NaN != 1": ("!=", [np.nan], [1.0]),
        "sum [1, NaN]": ("sum", [1.0, np.nan]),
        "max [1, NaN]": ("max", [1.0, np.nan]),
    },
    "Missing (masked, NA, null) on entry": {
        "missing + 1": ("+", [GAP], [1.0]),
        "missing · 0": ("*", [GAP], [0.0]),
        "missing ** 0": ("**", [GAP], [0.0]),
        "1 ** missing": ("**", [1.0], [GAP]),
        "missing == 7": ("==", [GAP], [7.0]),
        "missing != 1": ("!=", [GAP], [1.0]),
        "sum [1, missing]": ("sum", [1.0, GAP]),
        "max [1, missing]": ("max", [1.0, GAP]),
        "mean [missing]": ("mean", [GAP]),
    },
    "On the way out": {"np.asarray [missing]": ("asarray", [GAP])},
}


def _array(column, lanes):
    """The operand as the library holds it."""
    gaps = [lane is GAP for lane in lanes]
    payload = np.array([7.0 if lane is GAP else lane for lane in lanes])
    if isinstance(lanes, np.ndarray):
        payload = lanes
    if column == "pandas Float64":
        pandas = importlib.import_module("pandas")
        nullable = payload.dtype.name.replace("uint", "UInt").replace("int", "Int")
        return pandas.Series(list(lanes), dtype=nullable.replace("float", "Float"))
    if column == "pyarrow.compute":
        return importlib.import_module("pyarrow").array(list(lanes), payload.dtype.name)
    if column == "numpy.ma":
        return np.ma.MaskedArray(payload, mask=gaps)
    return SCMArray(payload, gaps) if column == "SCMArray" else payload


def _compute(column, name, *operands):
    arrays = [_array(column, lanes) for lanes in operands]
    if column == "pyarrow.compute" and name != "asarray":
        compute = importlib.import_module("pyarrow.compute")
        return getattr(compute, ARROW.get(name, name))(*arrays)
    if name in OPERATORS:
        return OPERATORS[name](*arrays)
    if name in FUNCTIONS:
        return getattr(np.ma if column == "numpy.ma" else np, name)(*arrays)
    return getattr(arrays[0], name)()


def _said(result):
    """The only lane of a result, whatever it came in."""
    if isinstance(result, SCMArray):
        if result.mask.item():
            return f"⊥ {describe(result.cause.item())}"
        result = result.payload
    if isinstance(result, np.ma.MaskedArray) and np.ma.getmaskarray(result).all():
        return "masked"
    for leave in ("to_pylist", "tolist", "as_py"):
        if hasattr(result, leave):
            result = getattr(result, leave)()
            break
    if isinstance(result, list):
        (result,) = result
    if result is None or type(result).__name__ == "NAType":
        return "null" if result is None else "NA"
    return repr(result).removesuffix(".0")


def _cell(column, name, *operands):
    if column == "numpy" and any(lane is GAP for lanes in operands for lane in lanes):
        return "–"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            said = _said(_compute(column, name, *operands))
        except (ArithmeticError, TypeError, ValueError) as error:
            return f"raises {type(error).__name__}"
    return f"{said}, warns" if caught else said


def _tables(columns):
    """Title → row → column → cell."""
    return {
        title: {text: {c: _cell(c, *row) for c in columns} for text, row in rows.items()}
        for title, rows in ROWS.items()
    }


def _version(package):
    """major.minor, or None where it is not installed."""
    try:
        version = importlib.import_module(package).__version__
    except ImportError:
        return None
    return ".".join(version.split(".")[:2])


def _written():
    """What stands between the marks of the page."""
    versions = [f"{p} {_version(p)}" for p in ("numpy", "pandas", "pyarrow")]
    lines = ["", f"Measured with {', '.join(versions)}.", ""]
    for title, rows in _tables(COLUMNS).items():
        lines += [f"## {title}", "", f"| | {' | '.join(COLUMNS)} |"]
        lines += [f"|{'---|' * (len(COLUMNS) + 1)}"]
        lines += [f"| `{text}` | {' | '.join(cells.values())} |" for text, cells in rows.items()]
        lines.append("")
    return "\n".join(lines)


def _page():
    """The page: before the tables, the tables, after them."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tables, end, after = rest.partition(END)
    return before + begin, tables, end + after


def _stated(page):
    """Row → column → cell, as the page says."""
    rows = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            text, *cells = line.removeprefix("| `").removesuffix(" |").split(" | ")
            rows[text.removesuffix("`")] = dict(zip(COLUMNS, cells, strict=True))
    return rows


def _comparable(page):
    """The columns whose library is here in the version that the page names."""
    return [c for c, p in COLUMNS.items() if p is None or f"{p} {_version(p)}" in page]


def test_the_page_says_what_is_measured():
    before, page, after = _page()
    if os.environ.get("ZPML_UPDATE_DOCS"):
        page = _written()
        PAGE.write_text(before + page + after, encoding="utf-8")
    columns, stated = _comparable(page), _stated(page)
    assert "SCMArray" in columns
    measured = {text: cells for rows in _tables(columns).values() for text, cells in rows.items()}
    assert list(stated) == list(measured)
    wrong = {
        (text, column): (said, stated[text][column])
        for text, cells in measured.items()
        for column, said in cells.items()
        if stated[text][column] != said
    }
    assert wrong == {}


def test_the_tables_are_written_as_the_test_writes_them():
    _, page, after = _page()
    assert after.startswith(END)
    if len(_comparable(page)) < len(COLUMNS):
        pytest.skip("needs the pandas and pyarrow that the page names")
    assert page == _written()


def test_every_answer_of_ours_is_a_number_or_bottom_without_a_warning():
    for rows in _tables(["SCMArray"]).values():
        for text, cells in rows.items():
            for word in ("warns", "nan", "inf"):
                assert word not in cells["SCMArray"], text
