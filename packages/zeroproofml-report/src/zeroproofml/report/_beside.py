"""Beside the run: an output directory for derived files, and what a damaged run still gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report._output import demand_apart, demand_directory, write_apart
from zeroproofml.report.answers import DerivedFile, DerivedIndex, DerivedOptions
from zeroproofml.report.contract import Deriver
from zeroproofml.report.contract.layout import seed_name
from zeroproofml.report.contract.strict_json import parse, sha256
from zeroproofml.report.errors import Finding, ReportError, RunInvalid, UsageError
from zeroproofml.report.rundir import RawRun, load_raw_run, read_record
from zeroproofml.report.seeddir import Hashes, read_seed_dir

__all__ = ["demand_out", "demand_run", "index", "what_is_left", "write_apart"]

INDEX = "DERIVED.json"


def index(
    raw: RawRun, deriver: Deriver, files: Mapping[str, bytes], *, html: bool, baseline: str | None
) -> DerivedIndex:
    """The index of an output directory.

    Args:
        raw: the run.
        deriver: who derived.
        files: path → bytes of everything beside the index itself.
        html: whether the HTML page is among them.
        baseline: run id of the embedded baseline.

    Returns:
        The model of ``DERIVED.json``.
    """
    return DerivedIndex(
        run_id=raw.provenance.run_id,
        raw_digest=raw.raw_digest,
        deriver=deriver,
        options=DerivedOptions(html=html, baseline=baseline),
        files=tuple(
            DerivedFile(path=name, size=len(data), sha256=sha256(data))
            for name, data in sorted(files.items())
        ),
    )


def what_is_left(tree: Tree) -> tuple[RawRun, tuple[Finding, ...]]:
    """Raw and record as far as they verify, and what does not."""
    try:
        return load_raw_run(tree), ()
    except RunInvalid as error:
        broken = error
    provenance, replay, _ = read_record(tree)  # without these two nothing can be said at all
    hashes: Hashes = {}
    results, commits = {}, {}
    for seed in sorted(replay.committed):
        read = read_seed_dir(tree, seed_name(seed), seed=seed, hashes=hashes)
        if read.findings or read.commit is None or read.result is None:
            continue
        if read.commit.digest() == replay.committed[seed]:
            results[seed], commits[seed] = read.result, read.commit
    for finding in broken.findings:
        if finding.path.startswith("datasets/"):  # its seeds cannot be read without it
            gone = [
                seed
                for seed, result in results.items()
                if finding.path in {made.file for made in result.datasets.values()}
            ]
            for seed in gone:
                del results[seed], commits[seed]
    raw = RawRun(tree, provenance, replay, results, commits, hashes)
    return raw, tuple(broken.findings)


def demand_run(path: str) -> None:
    """Refuse what is no directory, and microbenchmark results: the two families never mix.

    Raises:
        UsageError: exit 2.
    """
    here, kind = Path(path), what_is(path)
    candidates = [here] if kind == "file" else []
    if kind == "dir" and what_is(here / "journal.jsonl") is None:
        tree = Tree(path)
        candidates = [
            here / entry.name
            for entry in tree.names()
            if entry.kind == "file" and entry.name.endswith(".json")
        ][:100]
    if any(map(_is_microbenchmark, candidates)):
        msg = "is a microbenchmark result, not a run"
        _refuse(msg, "its report is made by perf/run_benchmarks.py", path)
    demand_directory(path)


def _is_microbenchmark(path: Path) -> bool:
    try:
        value = parse(Tree(path.parent).read(path.name), path=path.name)
    except ReportError:
        return False
    name = value.get("schema_name") if isinstance(value, dict) else None
    return isinstance(name, str) and name.startswith("zeroproofml.perf")


def demand_out(out: str, path: str, baseline: str | None) -> None:
    """Refuse an output that is, holds or lies inside the run or the baseline, or is not ours.

    Raises:
        UsageError: exit 2.
    """
    demand_apart(out, {"the run": path, "the baseline": baseline})


def _refuse(message: str, mend: str, path: str = "") -> NoReturn:
    raise UsageError(message, path=path, hint=mend)
