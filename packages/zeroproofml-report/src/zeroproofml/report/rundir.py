"""Open, judge and read a run directory. What is read here was validated first, always."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroproofml.report import domains
from zeroproofml.report._fs import Tree
from zeroproofml.report._validate import Inspection, inspect
from zeroproofml.report._verify import Link, Verification, verify_inspection
from zeroproofml.report.contract import (
    ClaimsFile,
    JournalEvent,
    Manifest,
    PairedStats,
    Provenance,
    RunConfig,
    SeedCommit,
    SeedResult,
    Summary,
)
from zeroproofml.report.contract.layout import MANIFEST, raw_digest, seed_name
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.errors import FileInvalid, Finding, ReportError, RunInvalid
from zeroproofml.report.replay import JOURNAL, Replay
from zeroproofml.report.seeddir import Hashes, read_seed_dir
from zeroproofml.report.state import State, read_record, run_state, tree_state

if TYPE_CHECKING:
    from zeroproofml.report.contract.arrays import Array

__all__ = [
    "BenchmarkRun",
    "Link",
    "RawRun",
    "State",
    "Verification",
    "load_benchmark_run",
    "load_raw_run",
    "read_record",
    "run_state",
    "tree_state",
    "validate_run_dir",
    "verify_run",
]

PathLike = str | os.PathLike[str]
MAX_ARRAYS = 2**31
_KEPT_BYTES = 400 * 2**20
"""So much of a run's arrays is kept for the next reader; a paper run fits, below 1 GiB in all."""


@dataclass(frozen=True)
class RawRun:
    """Raw and record of a run, verified; all that derivation may read.

    ``results`` and ``commits`` are by seed, ascending; only complete seeds are in them.
    """

    tree: Tree
    provenance: Provenance
    replay: Replay
    results: dict[int, SeedResult]
    commits: dict[int, SeedCommit]
    hashes: Hashes = field(default_factory=dict, repr=False)
    _kept: dict[str, dict[str, Array]] = field(default_factory=dict, init=False, repr=False)

    @property
    def config(self) -> RunConfig:
        """The hashed config."""
        return self.provenance.config

    @property
    def journal_events(self) -> tuple[JournalEvent, ...]:
        """Every event, in order."""
        return tuple(self.replay.events)

    @property
    def protocol(self) -> domains.Protocol:
        """The protocol that the config names."""
        return domains.get(self.config.domain, self.config.protocol.name)

    @property
    def planned(self) -> tuple[int, ...]:
        """Planned seeds, in the order of the plan."""
        return tuple(self.replay.planned)

    @property
    def failed(self) -> dict[int, str]:
        """Failed seeds with their code."""
        return {int(seed): code for seed, code in self.replay.states().failed.items()}

    @property
    def plan_extended(self) -> bool:
        """True if the plan grew after a seed was complete."""
        return self.replay.extended

    @property
    def raw_digest(self) -> str:
        """The identity of the science."""
        return raw_digest(self.provenance.config_hash, self.commits)

    def predictions(self, seed: int) -> dict[str, Array]:
        """The members of the seed's ``predictions.npz``, read-only."""
        return self._arrays(f"{seed_name(seed)}/predictions.npz")

    def shared(self, seed: int) -> dict[str, dict[str, Array]]:
        """The shared data sets of the seed, by name."""
        return {
            name: self._arrays(reference.file)
            for name, reference in sorted(self.results[seed].datasets.items())
            if reference.file is not None
        }

    def arrays(self, seed: int) -> dict[str, Array]:
        """What ``seed_metrics`` takes: predictions, and shared data as ``data__<set>__<member>``."""
        return domains.with_shared(self.predictions(seed), self.shared(seed))

    def _arrays(self, path: str) -> dict[str, Array]:
        """The read-only members of an npz file; numbers, figures and pages each ask for them."""
        from zeroproofml.report.contract.arrays import read_npz

        if path in self._kept and self.tree.hash(path) == self.hashes.get(path):
            return dict(self._kept[path])  # a file that changed meanwhile is refused below
        made = read_npz(self.read(path), path=path)
        held = (
            array.nbytes for members in (*self._kept.values(), made) for array in members.values()
        )
        if sum(held) <= _KEPT_BYTES:
            self._kept[path] = made
        return dict(made)

    def read(self, path: str) -> bytes:
        """A raw file's bytes, checked against the digest it was verified with."""
        data = self.tree.read(path, limit=MAX_ARRAYS)
        if self.hashes.get(path) != (len(data), sha256(data)):
            msg = "changed since the run was verified"
            raise FileInvalid(msg, code="digest", path=path, hint="validate again")
        return data


def load_raw_run(path: PathLike | Tree) -> RawRun:
    """Read and verify raw and record of a run, sealed or not; derived files are not looked at.

    Raises
    ------
    RunInvalid
        If a committed seed, a shared data set, the journal or provenance does not verify.

    Examples
    --------
    >>> load_raw_run("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.RunInvalid: no/such/run: no such directory; name another
    """
    with _as_invalid():
        tree = path if isinstance(path, Tree) else Tree(path)
        provenance, replay, torn = read_record(tree)
    findings: list[Finding] = []
    if torn and tree.kind(MANIFEST) is not None:
        findings.append(Finding("error", "journal_chain", JOURNAL, "", "torn", "restore it"))
    hashes: Hashes = {}
    results: dict[int, SeedResult] = {}
    commits: dict[int, SeedCommit] = {}
    for seed in sorted(replay.committed):
        where = seed_name(seed)
        read = read_seed_dir(tree, where, seed=seed, hashes=hashes)
        findings += read.findings
        if read.commit is None or read.result is None:
            continue
        commit = read.commit
        agrees = (
            commit.digest() == replay.committed[seed]
            and commit.config_hash == provenance.config_hash
            and tuple(sorted(commit.arms)) == provenance.config.arms
        )
        if not agrees:
            message = "is not the commit that the journal and the config name"
            findings.append(
                Finding("error", "commit", f"{where}/commit.json", "", message, "rerun this seed")
            )
        results[seed], commits[seed] = read.result, commit
    findings += check_shared(tree, results.values(), hashes)
    if findings:
        raise RunInvalid(_count(findings), findings=findings, path=tree.label)
    return RawRun(tree, provenance, replay, results, commits, hashes)


def check_shared(tree: Tree, results: Iterable[SeedResult], hashes: Hashes) -> list[Finding]:
    """Read each shared data set that a result names; its name must be its content's digest."""
    from zeroproofml.report.contract.arrays import array_digest, read_npz

    findings = []
    for path in sorted(
        {made.file for result in results for made in result.datasets.values() if made.file}
    ):
        try:
            data = tree.read(path, limit=MAX_ARRAYS)
            hashes[path] = (len(data), sha256(data))
            made = array_digest(read_npz(data, path=path))
        except FileInvalid as error:
            findings.append(error.finding())
            continue
        if f"datasets/{made[7:]}.npz" != path:
            message = "its content is not what its name says"
            findings.append(Finding("error", "dataset", path, "", message, "restore the file"))
    return findings


def validate_run_dir(path: PathLike) -> Manifest:
    """Validate a sealed run directory, steps V1 to V5.

    Raises
    ------
    RunInvalid
        With every finding in ``findings``.

    Examples
    --------
    >>> import tempfile
    >>> validate_run_dir(tempfile.mkdtemp())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    zeroproofml.report.errors.RunInvalid: ...: manifest.json: the run is not sealed; resume or wait
    """
    manifest = require_valid(inspect_run(path), path).manifest
    if manifest is None:
        msg = "has no manifest"
        raise RunInvalid(msg, code="open", path=str(path))
    return manifest


def inspect_run(path: PathLike) -> Inspection:
    """All findings about a run; a run that changes meanwhile is read once more, then ``open``.

    Raises
    ------
    RunInvalid
        Only if the directory itself cannot be opened.
    """
    with _as_invalid():
        tree = Tree(path)
        for _ in range(2):
            before = tree.stat(MANIFEST)
            seen = inspect(tree)
            if tree.stat(MANIFEST) == before:
                return seen
    seen = Inspection()
    seen.error("open", MANIFEST, "the run is being written", "resume or wait")
    return seen


def require_valid(seen: Inspection, path: PathLike) -> Inspection:
    """``seen``, or :class:`RunInvalid` if it holds an error."""
    if seen.errors:
        raise RunInvalid(_count(seen.errors), findings=seen.findings, path=str(path))
    return seen


def _count(findings: list[Finding]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.path}: {first.message}; {first.mend}{more}"


class _as_invalid:
    """Turn a refusal about one file into :class:`RunInvalid` with one finding."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ReportError) and not isinstance(error, RunInvalid):
            raise RunInvalid(
                error.message,
                findings=[error.finding()],
                code=error.code,
                path=error.path,
                pointer=error.pointer,
                hint=error.hint,
            ) from error


@dataclass(frozen=True)
class BenchmarkRun:
    """A sealed, validated run. Arrays are read when asked for, and are read-only."""

    path: str
    manifest: Manifest
    provenance: Provenance
    summary: Summary
    paired_stats: PairedStats
    claims: ClaimsFile
    raw: RawRun = field(repr=False)

    def seed(self, n: int) -> SeedResult:
        """The result of seed ``n``.

        Raises
        ------
        RunInvalid
            If the run has no result of that seed.
        """
        if type(n) is not int or n not in self.raw.results:
            msg = f"has no result of seed {n!r:.40}"
            raise RunInvalid(msg, code="missing", path=self.path, hint="ask for a complete seed")
        return self.raw.results[n]

    def arrays(self, n: int) -> Mapping[str, Array]:
        """The arrays of seed ``n``: predictions, and shared data as ``data__<set>__<member>``."""
        self.seed(n)
        with _as_invalid():
            return self.raw.arrays(n)


def load_benchmark_run(path: PathLike) -> BenchmarkRun:
    """Validate a sealed run and load it.

    Raises
    ------
    RunInvalid
        If it does not validate.

    Examples
    --------
    >>> load_benchmark_run("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.RunInvalid: no/such/run: no such directory; name another
    """
    seen = require_valid(inspect_run(path), path)
    manifest, provenance, claims = seen.manifest, seen.provenance, seen.claims
    summary, paired = seen.summary, seen.paired
    if not (manifest and provenance and claims and summary and paired):
        msg = "lacks a file that validation needs"
        raise RunInvalid(msg, code="missing", path=str(path))
    return BenchmarkRun(
        str(path), manifest, provenance, summary, paired, claims, raw_of(Tree(path), seen)
    )


def raw_of(tree: Tree, seen: Inspection) -> RawRun:
    """Raw and record from an inspection without errors; nothing is hashed again."""
    if seen.provenance is None or seen.replay is None:
        msg = "lacks provenance or journal"
        raise RunInvalid(msg, code="missing", path=tree.label)
    order = sorted(seen.results)
    return RawRun(
        tree,
        seen.provenance,
        seen.replay,
        {seed: seen.results[seed] for seed in order},
        {seed: seen.commits[seed] for seed in order},
        seen.hashes,
    )


def verify_run(
    path: PathLike,
    recompute: bool = False,
    root_digest: str | None = None,
    baseline_run_dir: PathLike | None = None,
) -> Verification:
    """Validate, then check the journal's chain, every array, the pin; recompute if asked.

    Parameters
    ----------
    recompute
        Derive every number again from the stored input of each link (R1 to R4).
    root_digest
        A digest kept elsewhere; the run's root must equal it (or its raw digest, which is said).
    baseline_run_dir
        Compare the embedded baseline values with this run.

    Raises
    ------
    RunInvalid
        Only if nothing could be read.

    Examples
    --------
    >>> verify_run("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.RunInvalid: no/such/run: no such directory; name another
    """
    seen = inspect_run(path)
    tree = Tree(path)
    baseline = None if baseline_run_dir is None else load_benchmark_run(baseline_run_dir)
    raw = raw_of(tree, seen) if seen.provenance and seen.replay and seen.manifest else None
    return verify_inspection(
        tree, seen, raw, recompute=recompute, pin=root_digest, baseline=baseline
    )
