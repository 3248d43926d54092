"""Other packages beside ours: absent ones are no error, present ones stay outside."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

import _measure
import _peer
import _schema
import _verdicts
import run_benchmarks
import zeroproofml.scm

ROOT = Path(__file__).resolve().parents[2]
CASE = "ops/add/float64/10/clean"


def distributions() -> set[str]:
    return {d.metadata["Name"] for d in importlib.metadata.distributions()}


def test_peers_that_cannot_be_had_are_unavailable(tmp_path: Path, capsys, monkeypatch) -> None:
    def refuse() -> Path:
        msg = "no index can be reached"
        raise OSError(msg)

    monkeypatch.setattr(_peer, "environment", refuse)
    monkeypatch.setattr(run_benchmarks._measure, "pin", lambda: None)
    arguments = ["--quick", "--peer", "--only", CASE, "--output", str(tmp_path)]
    assert run_benchmarks.main(arguments) == 0
    said = capsys.readouterr()
    results = _schema.Results.model_validate_json(Path(said.out.strip()).read_bytes())
    assert [p.status for p in results.peers] == ["unavailable"] * 3
    assert {p.name for p in results.peers} == {"zeroproofml", "pandas", "pyarrow"}
    assert sum("no index can be reached" in line for line in said.err.splitlines()) == 1
    assert results.ratios, "everything else runs"


@pytest.mark.slow  # makes an environment
def test_without_an_index_no_environment_is_made(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("ZPML_PEER_DIR", str(tmp_path / "peers"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setattr(run_benchmarks._measure, "pin", lambda: None)
    before = distributions()
    arguments = ["--quick", "--peer", "--only", CASE, "--output", str(tmp_path / "results")]
    assert run_benchmarks.main(arguments) == 0
    said = capsys.readouterr()
    results = _schema.Results.model_validate_json(Path(said.out.strip()).read_bytes())
    assert [p.status for p in results.peers] == ["unavailable"] * 3
    assert all("zeroproofml" in str(p.reason) for p in results.peers)
    assert results.ratios, "everything else runs"
    assert not list(tmp_path.glob("peers/*/complete"))
    assert distributions() == before


def test_the_peers_stay_in_their_environment(monkeypatch) -> None:
    if not (_peer.environment_folder() / "complete").exists():
        pytest.skip("the peers' environment was never made: run_benchmarks.py --peer makes it")
    before = distributions()
    cases, ratios, peers = _peer.measure(CASE, 3)
    assert distributions() == before
    assert {p.status for p in peers} == {"measured"}
    assert {c.impl for c in cases} >= {"peer:zeroproofml", "peer:pandas"}
    assert all(r.reference == "numpy" for r in ratios)
    assert Path(zeroproofml.scm.__file__).is_relative_to(ROOT / "packages")


def test_the_folder_of_the_peers_is_no_environment_of_the_project(monkeypatch) -> None:
    monkeypatch.delenv("ZPML_PEER_DIR", raising=False)
    folder = _peer.environment_folder().resolve()
    assert not folder.is_relative_to(Path(sys.prefix).resolve())
    assert not Path(sys.prefix).resolve().is_relative_to(folder)
    assert not any(Path(entry).resolve().is_relative_to(folder) for entry in sys.path)
    configured = (ROOT / "hatch.toml").read_text(encoding="utf-8")
    assert "zeroproofml==0.6" not in configured


@pytest.mark.parametrize("only", [CASE, "layers/div-forward-torch/float64/1e5/clean"])
def test_both_sides_measure_where_the_other_side_is_this_environment(only, monkeypatch) -> None:
    """The whole way to the other process and back, without the environment of the peers."""
    if only.startswith("layers"):
        pytest.importorskip("torch")
    monkeypatch.setattr(_peer, "environment", lambda: Path(sys.executable))
    before = distributions()
    cases, ratios, peers = _peer.measure(only, 3)
    assert distributions() == before
    status = {p.name: p.status for p in peers}
    assert status["zeroproofml"] == "unavailable", "0.6.1 is in no environment of the project"
    ours = "torch" if only.startswith("layers") else "numpy"
    assert {r.reference for r in ratios} <= {ours}
    assert {c.impl for c in cases} == {r.impl for r in ratios}
    if ours == "numpy":
        there = {f"peer:{name}" for name, s in status.items() if s == "measured"}
        assert {r.impl for r in ratios} == there


def test_a_peer_that_dies_is_unavailable_and_costs_no_result(capsys, monkeypatch) -> None:
    monkeypatch.setattr(_peer, "environment", lambda: Path(sys.executable))
    real = _peer.Worker.ask

    def dies(self, **request):
        if "prepare" in request:
            self._process.kill()
        return real(self, **request)

    monkeypatch.setattr(_peer.Worker, "ask", dies)
    cases, ratios, peers = _peer.measure(CASE, 3)
    assert (cases, ratios) == ([], [])
    assert {p.status for p in peers} == {"unavailable"}
    assert all("ended with exit code" in str(p.reason) for p in peers)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_sides_that_do_not_compare_are_inconclusive() -> None:
    ceiling = _verdicts.Ceiling(
        impl="peer:x", reference="numpy", must=3.0, goal=7.0, direction="at_least"
    )
    for floor, verdict in ((_measure.FLOOR, "faster"), (_peer.NO_FLOOR, "inconclusive")):
        assert _verdicts.judge(_verdicts.Measured(9.0, floor, False), ceiling) == verdict
