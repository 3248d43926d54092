"""Other packages beside ours: absent ones are no error, present ones stay outside."""

from __future__ import annotations

import importlib.metadata
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
def test_without_an_index_no_environment_is_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ZPML_PEER_DIR", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(OSError, match="zeroproofml"):
        _peer.environment()
    assert not list(tmp_path.glob("*/complete"))


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


def test_sides_that_do_not_compare_are_inconclusive() -> None:
    ceiling = _verdicts.Ceiling(
        impl="peer:x", reference="numpy", must=3.0, goal=7.0, direction="at_least"
    )
    for floor, verdict in ((_measure.FLOOR, "faster"), (_peer.NO_FLOOR, "inconclusive")):
        assert _verdicts.judge(_verdicts.Measured(9.0, floor, False), ceiling) == verdict
