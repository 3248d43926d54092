"""The timing itself: order, pairing, and verdicts under simulated noise."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import _figures
import _measure
import _schema
import _verdicts
import check_ratios
import run_benchmarks
from suites import harness, inference, layers, ops
from suites.case import WrongValue


def test_order_changes_between_rounds_and_follows_the_seed() -> None:
    impls = {name: (lambda: None) for name in "abcd"}
    first = _measure.measure(impls, "a", rounds=8, seed=3)
    again = _measure.measure(impls, "a", rounds=8, seed=3)
    assert first.orders == again.orders
    assert len(set(first.orders)) > 1
    assert all(set(o) == {*"abcd", _measure.SECOND_REFERENCE} for o in first.orders)


def simulated(rng: np.random.Generator, factor: float) -> _verdicts.Measured:
    """25 rounds of two implementations: noise only ever adds, sometimes a lot."""

    def times(base: float) -> list[float]:
        jitter = rng.exponential(0.04, 25) + (rng.random(25) < 0.1) * rng.exponential(0.5, 25)
        return (base * (1 + jitter)).tolist()

    samples = {}
    for name, base in (("raw", 1.0), (_measure.SECOND_REFERENCE, 1.0), ("numpy", factor)):
        wall = times(base)
        samples[name] = _measure.Samples(1, wall, wall)
    ratio = _measure.Group(samples, [], "raw").ratio("numpy")
    return _verdicts.Measured(ratio.min_ratio, ratio.aa_floor, ratio.preempted)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "same"), (1.3, "slower")])
def test_verdicts_hold_in_95_of_100_simulated_runs(factor: float, verdict: str) -> None:
    rng = np.random.default_rng(7)
    ceiling = _verdicts.Ceiling(
        impl="numpy", reference="raw", must=1.1, goal=0.9, direction="at_most"
    )
    verdicts = [_verdicts.judge(simulated(rng, factor), ceiling) for _ in range(100)]
    assert verdicts.count(verdict) >= 95


def test_a_ratio_against_another_implementation() -> None:
    walls = {"raw": 1.0, _measure.SECOND_REFERENCE: 1.1, "ours": 2.0, "theirs": 8.0}
    samples = {name: _measure.Samples(1, [wall] * 3, [wall] * 3) for name, wall in walls.items()}
    group = _measure.Group(samples, [], "raw")
    assert group.ratio("theirs").min_ratio == 8
    against = group.ratio("theirs", "ours")
    assert (against.min_ratio, against.paired_median) == (4, 4)
    assert against.aa_floor == pytest.approx(0.1), "the floor is still what the twins differ by"


def test_peak_memory_counts_what_a_call_allocates() -> None:
    peak = _measure.peak_bytes(lambda: np.ones(1_000_000))
    assert 8_000_000 <= peak < 8_200_000


def test_peak_memory_of_jax_is_what_xla_planned() -> None:
    """A quotient in float32: four bytes of payload and one of mask per lane, and no temporary."""
    pytest.importorskip("jax")
    build = importlib.import_module("suites._jax_ops").build
    made = build("div", "float32", 1_000_000, "clean", 1)
    assert made.measure_memory == ("jax",)
    assert made.peak(made.impls["jax"]) == pytest.approx(5_000_000, abs=64)
    assert made.peak(made.impls["raw"]) == pytest.approx(4_000_000, abs=64)


def test_peak_memory_of_torch_counts_its_own_allocator() -> None:
    torch = pytest.importorskip("torch")
    measured = importlib.import_module("suites._torch_ops").peak_bytes
    x = torch.ones(100_000)
    assert 400_000 <= measured(lambda: x + x) < 402_000
    assert 800_000 <= measured(lambda: (x + x) * x) < 810_000, "the sum lives until the product is"
    assert _measure.peak_bytes(lambda: x + x) < 400_000, "which Python does not see"


@pytest.mark.parametrize("op", ["div", "log", "pow"])
@pytest.mark.parametrize("kind", ["clean", "new"])
def test_peak_memory_per_lane_at_1e6(op: str, kind) -> None:
    made = ops.build(op, "float64", 1_000_000, kind)
    for impl, limit in (("numpy", 10), ("SCMArray", 12)):
        assert made.peak(made.impls[impl]) / 1_000_000 <= limit, impl


OPERATIONS = (*ops._inputs.BINARY, *ops._inputs.UNARY)


@pytest.mark.parametrize("op", OPERATIONS)
def test_a_broken_kernel_fails_the_check(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(ops.ops, f"scm_{op}_numpy")

    def broken(*operands):
        payload, mask = real(*operands)
        payload[0] += 1
        return payload, mask

    ops.build(op, "float64", 100, "clean").check()
    monkeypatch.setattr(ops.ops, f"scm_{op}_numpy", broken)
    with pytest.raises(WrongValue, match="ULP"):
        ops.build(op, "float64", 100, "clean").check()


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_a_broken_mask_fails_the_check(framework: str, op: str, monkeypatch) -> None:
    pytest.importorskip(framework)
    suite = importlib.import_module(f"suites._{framework}_ops")
    name = f"scm_{op}_{framework}"
    real = getattr(suite.ops, name)
    ops.build_in(framework, op, "float32", 64, "mixed").check()
    monkeypatch.setattr(suite.ops, name, lambda *given: (real(*given)[0], ~real(*given)[1]))
    with pytest.raises(WrongValue, match="lanes of the mask differ"):
        ops.build_in(framework, op, "float32", 64, "mixed").check()


@pytest.mark.parametrize(
    ("build", "given", "name"),
    [
        (ops.build, ("div", "float64", 100, "new"), "SCMArray"),
        (ops.build_fused, ("float64", 100, "new"), "SCMArray"),
        (ops.build_fused, ("float64", 100, "new"), "from_ieee"),
    ],
)
def test_a_broken_array_class_fails_the_check(build, given, name: str, monkeypatch) -> None:
    build(*given).check()
    real = getattr(ops, name)

    def array(values, mask=None):
        return real(values * 1.5, mask)

    def pair(values):
        payload, mask = real(values)
        return payload, ~mask

    monkeypatch.setattr(ops, name, array if name == "SCMArray" else pair)
    with pytest.raises(WrongValue, match=name):
        build(*given).check()


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("scm_div_torch", ("_torch_layers", "div", 64, "new", True)),
        ("scm_div_torch", ("_torch_layers", "div", 64, "new", False)),
        ("oriented_chordal_loss", ("_torch_layers", "loss", 64, "forward")),
        ("strict_inference", ("_torch_layers", "strict", 64, "forward")),
        ("strict_inference", ("inference", "", 64, "new")),
        ("SCMNorm.forward", ("_torch_layers", "norm", 640, "gradient")),
        ("SCMRationalLayer.forward", ("_torch_layers", "rational", 64, 3, "monomial", "forward")),
        ("SCMRationalLayer.forward", ("_torch_layers", "rational", 64, 3, "chebyshev", "second")),
        ("ops.scm_mul_torch", ("_torch_ops", "", "mul", "float32", 64, "mixed", 1)),
        ("ops.scm_log_torch", ("_torch_ops", "", "log", "float64", 64, "new", 1)),
        ("ops.scm_mul_jax", ("_jax_ops", "", "mul", "float32", 64, "mixed", 1)),
        ("ops.scm_log_jax", ("_jax_ops", "", "log", "float32", 64, "new", 1)),
    ],
)
def test_a_broken_layer_fails_the_check(name, build, monkeypatch) -> None:
    where, what, *given = build
    suite = importlib.import_module(f"suites.{where}")
    make = getattr(suite, f"build_{what}" if what else "build")
    make(*given).check()
    inside, _, name = name.rpartition(".")
    holder = getattr(suite, inside) if inside else suite
    real = getattr(holder, name)

    def broken(*operands, **named):
        result = real(*operands, **named)
        if hasattr(result, "decoded"):
            return result._replace(decoded=result.decoded * 1.001)
        return (result[0] * 1.001, result[1]) if isinstance(result, tuple) else result * 1.001

    monkeypatch.setattr(holder, name, broken)
    with pytest.raises(WrongValue, match="differ"):
        make(*given).check()


def test_every_case_has_an_id_of_its_own() -> None:
    for suite in (ops, layers, inference, harness):
        ids = [case.id for case in suite.cases(quick=False)]
        assert len(ids) == len(set(ids))
        quick = {case.id for case in suite.cases(quick=True)}
        assert quick < set(ids), "a quick run measures fewer cases under the same ids"


def test_every_ceiling_has_a_case() -> None:
    known = {
        case.id for suite in (ops, layers, inference, harness) for case in suite.cases(quick=False)
    }
    ceilings = check_ratios.load_ceilings(check_ratios.CEILINGS).ratios
    known.add("harness/quick-all")  # the run itself
    assert {_verdicts.record_id(name).rpartition("/")[0] for name in ceilings} <= known


@pytest.mark.slow  # it collects garbage between rounds, and a long session has much
def test_a_run_writes_what_the_schema_says(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(run_benchmarks._measure, "pin", lambda: None)
    arguments = ["--quick", "--only", "ops/div/float64/10/", "--output", str(tmp_path)]
    assert run_benchmarks.main(arguments) == 0
    path = Path(capsys.readouterr().out.strip())
    results = _schema.Results.model_validate_json(path.read_bytes())
    assert {c.data_kind for c in results.cases} == {"clean", "masks0", "masked", "new", "mixed"}
    assert {r.impl for r in results.ratios} >= {"numpy", "SCMArray"}
    assert results.complete
    assert json.loads(path.read_text())["quick"] is True
    assert "throughput.svg" in {p.name for p in tmp_path.iterdir()}
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "not evidence" in summary
    targets = summary.partition("## Targets")[2].partition("##")[0]
    assert "| ops/div/float64/10/clean/numpy |" in targets
    before = path.read_bytes()
    assert run_benchmarks.main(arguments) == 0
    assert path.read_bytes() == before, "a result is never overwritten"


def test_coverage_gap_and_denominators_are_stored() -> None:
    case = next(c for c in inference.cases(quick=True) if c.id.endswith("strict/float64/256/new"))
    rows, _ = run_benchmarks.measure_case(case, 2, 1)
    for row in rows:
        assert row.bottom_rate is not None
        assert row.denominators is not None
        assert row.bottom_rate == row.denominators.below_tau_infer > 0
        assert row.coverage == 1 - row.bottom_rate
        assert row.gap_rate == row.denominators.below_tau_train - row.denominators.below_tau_infer


def test_nothing_measured_is_not_a_pass(tmp_path: Path, capsys) -> None:
    assert run_benchmarks.main(["--only", "no such case", "--output", str(tmp_path)]) == 7
    with pytest.raises(SystemExit) as stop:
        run_benchmarks.main(["--threads", "0"])
    assert stop.value.code == 2
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(SystemExit) as stop:
        run_benchmarks.main(["--output", str(tmp_path)])
    assert stop.value.code == 2


@pytest.mark.slow  # it collects garbage between rounds, and a long session has much
def test_the_figure_is_the_same_bytes_and_holds_no_script(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(run_benchmarks._measure, "pin", lambda: None)
    arguments = ["--quick", "--only", "ops/div/float64/10/", "--output", str(tmp_path)]
    assert run_benchmarks.main(arguments) == 0
    path = Path(capsys.readouterr().out.strip())
    drawn = (tmp_path / "throughput.svg").read_bytes()
    results = _schema.Results.model_validate_json(path.read_bytes())
    assert _figures.throughput(results) == drawn
    names = {element.tag.rpartition("}")[2] for element in ET.fromstring(drawn).iter()}
    assert "script" not in names
    assert results.created_utc.encode() not in drawn
    harness = [c.model_copy(update={"suite": "harness"}) for c in results.cases]
    assert _figures.throughput(results.model_copy(update={"cases": harness})) is None


def test_processes_of_their_own_are_timed_with_their_cpu(tmp_path: Path) -> None:
    busy = "x = sum(k * k for k in range(2_000_000))"
    calls = {
        "idle": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "busy": lambda: subprocess.run([sys.executable, "-c", busy], check=True),
    }
    group = _measure.measure(calls, "idle", rounds=2, seed=1, fresh=True)
    assert {s.inner for s in group.samples.values()} == {1}
    assert len(group.samples["busy"].wall) == 2
    assert min(group.samples["busy"].cpu) > 50e6, "the CPU of a child counts"
    assert group.ratio("busy").min_ratio > 1
