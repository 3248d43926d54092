"""The parity report: what it compares, what it refuses, and that a wrong backend cannot pass."""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import _figures
import _parity_compare as compare
import _parity_curve
import _parity_page
import _parity_schema
import _parity_worker
import parity_runner
from _parity_lanes import CLASSES, DTYPES, OPERATIONS, lanes
from zeroproofml.scm.optable import OPS

N, TILES = 32, 2
SUBSET = ("add", "div", "inv", "exp")


@pytest.fixture(scope="module")
def measured() -> dict[str, parity_runner.Evaluated]:
    """NumPy, and torch in its place: the same arrays under another name."""
    arrays, numbers = _parity_worker.evaluate("numpy", N, TILES, 1, SUBSET, DTYPES)
    torch = {f"{k}": v for k, v in arrays.items()}
    both_modes = torch | {k.replace("/eager/", "/compiled/"): v for k, v in torch.items()}
    counted = numbers | {k.replace("/eager/", "/compiled/"): v for k, v in numbers.items()}
    return {
        "numpy": parity_runner.Evaluated("compared", None, arrays, numbers),
        "torch": parity_runner.Evaluated("compared", None, both_modes, counted),
        "jax": parity_runner.Evaluated("not_installed", "pip install zeroproofml-jax", {}, {}),
    }


@pytest.fixture
def report(measured, monkeypatch) -> _parity_schema.Report:
    monkeypatch.setattr(parity_runner, "OPERATIONS", SUBSET)
    return parity_runner.build(measured, argparse.Namespace(quick=True), [], TILES)


def test_every_operation_has_lanes_of_every_class() -> None:
    assert set(OPERATIONS) == set(OPS) == set(parity_runner.OPERATIONS)
    for op in OPERATIONS:
        for dtype in DTYPES:
            tiny = np.finfo(dtype).tiny
            for kind in CLASSES:
                given = lanes(op, dtype, kind, 400)
                again = lanes(op, dtype, kind, 400)
                for x, y in zip(given.operands, again.operands, strict=True):
                    np.testing.assert_array_equal(x, y)
                    assert x.dtype == dtype
                x = given.operands[0]
                if kind == "signed_zero":
                    assert np.signbit(x[x == 0]).any()
                    assert not np.signbit(x[x == 0]).all()
                if kind == "subnormal":
                    assert any(((v != 0) & (np.abs(v) < tiny)).any() for v in given.operands)
                if kind == "non_finite":
                    assert np.isnan(x).any()
                    assert np.isinf(x).any()
                assert any(m.any() for m in given.masks) == (kind == "masked_garbage")


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_lanes_lie_on_both_sides_of_the_limit(dtype) -> None:
    for op in ("add", "mul", "div", "exp", "pow"):
        given = lanes(op, dtype, "near_overflow", 400)
        _, mask = _parity_worker.framework("numpy", [dtype]).function(op)(*given.operands)
        assert 0.05 < mask.mean() < 0.95, op


def test_numpy_is_held_to_exact_rationals(report) -> None:
    own = [c for c in report.cells if c.backend == "numpy eager"]
    assert {c.op for c in own if c.oracle_lanes} == {"add", "div", "inv"}
    assert all(c.oracle_mask_mismatches == 0 for c in own if c.oracle_lanes)
    assert all(c.oracle_ulp is None or c.oracle_ulp.max == 0 for c in own)
    assert all(c.mask_mismatches is None for c in own)


def test_an_exact_result_is_rounded_once() -> None:
    known, payload, mask = compare.oracle("div", "float32", "near_pole", N)
    given = lanes("div", "float32", "near_pole", N)
    for x, y, has, value, bottom in zip(*given.operands, known, payload, mask, strict=True):
        assert has
        assert bottom or value == np.float32(Fraction(float(x)) / Fraction(float(y)))
        assert not bottom or y == 0 or abs(Fraction(float(x)) / Fraction(float(y))) > 3e38
    assert compare.oracle("log", "float32", "ordinary", N) is None


def broken(measured, key, change) -> _parity_schema.Report:
    arrays = dict(measured["torch"].arrays)
    arrays[key] = change(arrays[key].copy())
    other = parity_runner.Evaluated("compared", None, arrays, measured["torch"].numbers)
    return parity_runner.build(
        {**measured, "torch": other}, argparse.Namespace(quick=True), [], TILES
    )


def flipped(mask):
    mask[3] = ~mask[3]
    return mask


def shifted(values):
    regular = np.flatnonzero(values)[0]
    values[regular] = np.nextafter(values[regular], np.inf, dtype=values.dtype)
    return values


@pytest.mark.parametrize(
    ("key", "change", "what"),
    [
        ("add/float64/eager/ordinary/some", flipped, "mask_mismatches"),
        ("add/float64/eager/ordinary/every", flipped, "mask_mismatches"),
        ("div/float32/compiled/near_pole/high", shifted, "over_budget"),
        ("inv/float64/eager/ordinary/cause", lambda c: c | 4, "cause_mismatches"),
        ("exp/float64/eager/ordinary/low", lambda x: x * np.nan, "mask_mismatches"),
        ("exp/float32/eager/ordinary/high", lambda x: x * np.float32(1 + 1e-5), "over_budget"),
    ],
)
def test_one_wrong_lane_breaks_parity(report, measured, key, change, what) -> None:
    assert report.verdict.holds
    wrong = broken(measured, key, change)
    assert not wrong.verdict.holds
    assert getattr(wrong.verdict, what) > 0
    assert parity_runner.exit_code(wrong, require=False) == 4
    assert "do not hold" in _parity_page.page(wrong)


def test_units_of_the_last_place() -> None:
    want = np.array([1.0, 0.0, 5e-324, np.finfo(float).max, -2.0])
    got = np.array([1.0 + 2**-52, 5e-324, 1e-323, np.finfo(float).max * (1 - 2**-53), -2.0])
    np.testing.assert_allclose(compare.errors(got, want), [1, 1, 1, 0.5, 0], atol=1e-9)
    assert np.isinf(compare.errors(np.array([1e308]), np.array([0.0])))


def test_exit_codes(report) -> None:
    assert parity_runner.exit_code(report, require=False) == 0
    assert parity_runner.exit_code(report, require=True) == 4, "JAX is missing"

    def with_states(**states):
        backends = [
            b.model_copy(update={"status": states.get(b.framework, b.status)})
            for b in report.backends
        ]
        return report.model_copy(update={"backends": backends})

    nothing = with_states(torch="not_installed", jax="not_installed")
    assert parity_runner.exit_code(nothing, require=False) == 7
    assert parity_runner.exit_code(with_states(torch="failed"), require=False) == 1
    assert parity_runner.exit_code(with_states(jax="compared"), require=True) == 0


def test_a_missing_framework_is_listed(measured, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(parity_runner, "OPERATIONS", SUBSET)
    monkeypatch.setattr(parity_runner, "evaluate", lambda name, *_: measured[name])
    monkeypatch.setattr(parity_runner._measure, "limit_threads", lambda _: {})
    assert parity_runner.main(["--quick", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "parity_report.json")
    assert "not_installed: jax jit: pip install zeroproofml-jax" in said.err
    assert "not_installed" in (tmp_path / "parity_report.md").read_text(encoding="utf-8")
    data = (tmp_path / "parity_report.json").read_bytes()
    stored = _parity_schema.Report.model_validate_json(data)
    assert [b.status for b in stored.backends].count("not_installed") == 2
    assert parity_runner.main(["--require", "--output", str(tmp_path)]) == 4
    monkeypatch.setattr(parity_runner.importlib.util, "find_spec", lambda _: None)
    assert not parity_runner.is_installed("jax")


def test_a_run_directory_is_the_wrong_place(tmp_path: Path, capsys) -> None:
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(SystemExit) as stop:
        parity_runner.main(["--output", str(tmp_path)])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "run directory" in line
    assert "zpml-report" in line
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stop:
        parity_runner.main(["--output", str(tmp_path / "file")])
    assert stop.value.code == 2


def test_figures_are_the_same_bytes_and_hold_no_script(report) -> None:
    again = _parity_schema.Report.model_validate_json(report.model_dump_json())
    for draw in (_figures.coverage_accuracy, _figures.parity_ulp):
        made = draw(report)
        assert made == draw(again)
        names = {element.tag.rpartition("}")[2] for element in ET.fromstring(made).iter()}
        assert "script" not in names
        assert report.created_utc.encode() not in made


def test_the_published_parity_schema_is_the_models() -> None:
    stored = json.loads(_parity_schema.SCHEMA_FILE.read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(_parity_schema.json_schema()))


def test_the_head_has_the_poles_that_it_names() -> None:
    head = _parity_curve.load_head()
    assert len(head.poles) == len(head.denominator) - 1
    for pole in head.poles:
        assert sum(Fraction(c) * pole**k for k, c in enumerate(head.denominator)) == 0
        assert sum(Fraction(c) * pole**k for k, c in enumerate(head.numerator)) != 0
    for value in (*head.numerator, *head.denominator):
        assert float(np.float16(value)) == value


def test_the_curve_trades_coverage_for_accuracy(report) -> None:
    points = [p for p in report.curve.points if p.backend == "numpy eager"]
    for dtype in DTYPES:
        mine = [p for p in points if p.dtype == dtype]
        coverages = [p.coverage for p in mine]
        assert coverages == sorted(coverages, reverse=True)
        assert len(set(coverages)) > 4
        assert mine[0].relative_error.max > 10 * mine[-1].relative_error.max
        for p in mine:
            assert p.denominators.min >= np.dtype(dtype).type(p.tau_infer)
            assert p.accepted_on_pole == 0
    first = next(d for d in report.curve.first_difference if d.backend == "numpy eager")
    assert first.tau_infer is not None
    assert first.lanes > 0


def test_relative_errors_are_exact() -> None:
    x = _parity_curve.points()
    decoded, bottom = np.zeros(len(x)), np.ones(len(x), bool)
    lane = int(np.flatnonzero(x == 0)[0])  # P/Q = 1/3 there
    bottom[lane], decoded[lane] = False, 0.25
    assert _parity_curve.relative_errors(decoded, bottom) == ([0.25], 0)
    pole = int(np.flatnonzero(x == -0.5)[0])
    bottom[pole] = False
    assert _parity_curve.relative_errors(decoded, bottom)[1] == 1


@pytest.mark.slow
def test_the_three_frameworks_agree(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parity_runner, "OPERATIONS", ("div", "log"))
    monkeypatch.setattr(parity_runner, "QUICK_SIZE", (64, 3))
    monkeypatch.setattr(parity_runner._measure, "limit_threads", lambda _: {})
    assert parity_runner.main(["--quick", "--require", "--output", str(tmp_path)]) == 0
    data = (tmp_path / "parity_report.json").read_bytes()
    stored = _parity_schema.Report.model_validate_json(data)
    assert {b.name for b in stored.backends if b.status == "compared"} == {
        "numpy eager",
        "torch eager",
        "torch compiled",
        "jax eager",
        "jax jit",
    }
    assert stored.verdict.mask_mismatches == 0
    flushed = [c for c in stored.cells if c.backend == "jax jit" and c.lane_class == "subnormal"]
    assert all(c.compared < c.lanes and c.note for c in flushed)
