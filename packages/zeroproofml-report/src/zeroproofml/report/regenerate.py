"""``zpml-report benchmark``: derive a run's files again, in place or into another directory.

Raw files are never written. In place, everything is derived in memory before the first change; then
the run is reopened, changed files are replaced one by one, and it is sealed as the next generation.
Which state allows what is the table of reports.md, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from zeroproofml.report import _beside, compare, derive
from zeroproofml.report._fs import Tree
from zeroproofml.report._output import Outcome, demand_directory
from zeroproofml.report._validate import Inspection
from zeroproofml.report.contract import Baseline, ClaimsFile, Manifest, PairedStats
from zeroproofml.report.contract.layout import MANIFEST, classify
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.errors import (
    FileInvalid,
    Finding,
    NothingToReport,
    RunInvalid,
    StorageError,
    UsageError,
)
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.rundir import (
    BenchmarkRun,
    RawRun,
    State,
    inspect_run,
    load_benchmark_run,
    raw_of,
    run_state,
)

__all__ = ["NothingToReport", "Outcome", "regenerate"]

HTML = "RUN_REPORT.html"
OLD = ".zpml/old"


def regenerate(
    path: str,
    *,
    html: bool = False,
    baseline_run_dir: str | None = None,
    out: str | None = None,
) -> Outcome:
    """Derive a run's files again.

    Args:
        path: the run directory.
        html: also write the HTML page; a run that has one keeps it anyway.
        baseline_run_dir: embed this run as baseline.
        out: write there, and leave the run alone.

    Returns:
        The outcome; exit code 5 with ``out`` if the run is damaged or not sealed.

    Raises:
        UsageError, ComparisonRefused: exit 2, nothing written.
        RunInvalid, FileInvalid: exit 5, nothing written.
        NothingToReport: exit 7.
        RunLocked: exit 11.

    >>> regenerate("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/run: no such directory; name a run directory
    """
    _beside.demand_run(path)
    if out is not None:
        _beside.demand_out(out, path, baseline_run_dir)
    try:
        return _regenerate(path, html, baseline_run_dir, out)
    except StorageError as error:
        if out is not None:
            raise  # it names the output already
        hint = "check space and permissions, or give --out and another place"
        raise error.below(path, hint) from error


def _regenerate(path: str, html: bool, baseline_run_dir: str | None, out: str | None) -> Outcome:
    state = run_state(path)
    if state is State.EMPTY:
        raise _nothing(path)
    if state is State.FOREIGN:
        raise _foreign(path)
    if state in (State.RUNNING, State.RESUMABLE):
        if out is not None:
            return _apart(path, out, html, baseline_run_dir)
        return _complete(path, html, baseline_run_dir)
    seen = inspect_run(path)
    fatal = [finding for finding in seen.errors if not _is_rebuildable(finding)]
    if fatal and out is not None:
        return _apart(path, out, html, baseline_run_dir, tuple(fatal))
    if fatal or seen.manifest is None:
        msg = "is damaged"
        raise RunInvalid(msg, findings=fatal, path=path)
    raw = raw_of(Tree(path), seen)
    if not raw.results:
        raise _nothing(path)
    if out is not None:
        return _apart(path, out, html, baseline_run_dir)
    return _in_place(path, seen, seen.manifest, raw, html, baseline_run_dir)


def _in_place(
    path: str,
    seen: Inspection,
    manifest: Manifest,
    raw: RawRun,
    html: bool,
    baseline_run_dir: str | None,
) -> Outcome:
    entry = _entry(manifest, derive.PAIRED)
    known = seen.paired if entry == seen.hashes.get(derive.PAIRED) else None
    block, notes = _baseline(raw, baseline_run_dir, path, manifest, "", known)
    sticky = HTML in {entry.path for entry in manifest.files}
    files = derive.derive(raw, derive.Options(html=html or sticky, baseline=block))
    there = {p: seen.hashes.get(p) for p in seen.present if _is_derived(p)}
    if there == {p: (len(data), sha256(data)) for p, data in files.items()} and not seen.errors:
        return Outcome((), f"unchanged, generation {manifest.generation}", notes)
    damaged = sorted({f.path for f in seen.errors})
    notes += tuple(f"{path}/{name}: did not match its sealed digest; rebuilt" for name in damaged)
    with RunWriter.open(path, command="zpml-report benchmark") as writer:
        if writer.replay.head != raw.replay.head or not writer.sealed:
            msg = "changed while its report was made"
            raise FileInvalid(msg, code="open", path=path, hint="run the command again")
        writer.reopen()
        return _finish(path, writer, manifest, files, notes)


def _complete(path: str, html: bool, baseline_run_dir: str | None) -> Outcome:
    """Finish a regeneration that was killed; anything else unsealed belongs to the benchmark."""
    with RunWriter.open(path, command="zpml-report benchmark") as writer:
        replay = writer.replay
        if not replay.committed:
            raise _nothing(path)
        own = replay.roots and not replay.seed_event_since_reopened
        if not own or set(replay.planned) - replay.committed.keys():
            msg = "the run is not sealed"
            raise RunInvalid(msg, code="open", path=path, hint="resume or wait")
        old = _old_manifest(writer.tree, replay.roots[-1])
        raw = writer.raw_run()
        block, notes = _baseline(raw, baseline_run_dir, path, old, f"{OLD}/")
        sticky = writer.tree.kind(HTML) == "file" or (
            old is not None and HTML in {entry.path for entry in old.files}
        )
        files = derive.derive(raw, derive.Options(html=html or sticky, baseline=block))
        return _finish(path, writer, old, files, notes)


def _finish(
    path: str,
    writer: RunWriter,
    manifest: Manifest | None,
    files: Mapping[str, bytes],
    notes: tuple[str, ...],
) -> Outcome:
    _keep_baseline(writer.tree, manifest)
    deriver = derive.deriver()
    written = writer.write_derived(files)
    writer.append("regenerated", {"deriver": deriver.plain()})
    sealed = writer.seal(deriver)
    verdict = (
        f"{sealed.status}, {_verdicts(files)}; generation {sealed.generation}, "
        f"raw {sealed.raw_digest}, root {sealed.root_digest}"
    )
    return Outcome(tuple(f"{path}/{name}" for name in written), verdict, notes)


def _keep_baseline(tree: Tree, manifest: Manifest | None) -> None:
    """Set the sealed contrasts aside: a kill after their replacement must not lose the baseline."""
    entry = _entry(manifest, derive.PAIRED)
    if entry is None or tree.kind(f"{OLD}/paired_stats.json") is not None:
        return
    if tree.kind(derive.PAIRED) == "file":
        data = tree.read(derive.PAIRED)
        if (len(data), sha256(data)) == entry:
            tree.write(f"{OLD}/paired_stats.json", data)


def _apart(
    path: str,
    out: str,
    html: bool,
    baseline_run_dir: str | None,
    findings: tuple[Finding, ...] = (),
) -> Outcome:
    """Write the tree elsewhere; also what is left of a damaged run, under a banner."""
    tree = Tree(path)
    raw, more = _beside.what_is_left(tree)
    findings = tuple(dict.fromkeys((*findings, *more)))
    if not raw.results:
        raise _nothing(path)
    manifest = None
    if tree.kind(MANIFEST) == "file" and not findings:
        manifest = Manifest.from_bytes(tree.read(MANIFEST), path=MANIFEST)
    sticky = tree.kind(HTML) == "file"
    block, notes = _baseline(raw, baseline_run_dir, path, manifest, "")
    options = derive.Options(
        html=html or sticky,
        baseline=block,
        findings=findings,
        incomplete=run_state(path) in (State.RUNNING, State.RESUMABLE),
    )
    files = derive.derive(raw, options)
    index = _beside.index(
        raw,
        derive.deriver(),
        files,
        html=options.html,
        baseline=block.run_id if block else None,
    )
    written = _beside.write_apart(out, files, index)
    bad = bool(findings) or options.incomplete
    state = "damaged" if findings else "not sealed" if options.incomplete else "derived"
    verdict = f"{state}, {_verdicts(files)}; raw {raw.raw_digest}"
    return Outcome(tuple(f"{out}/{name}" for name in written), verdict, notes, 5 if bad else 0)


def _baseline(
    raw: RawRun,
    given: str | None,
    path: str,
    manifest: Manifest | None,
    aside: str,
    known: PairedStats | None = None,
) -> tuple[Baseline | None, tuple[str, ...]]:
    """The baseline to embed: the one given, else the sealed block, else none (said if lost)."""
    if given is not None:
        demand_directory(given, "--baseline-run-dir")
        return _block(raw, load_benchmark_run(given)), ()
    if known is not None:
        return known.baseline, ()
    entry = _entry(manifest, derive.PAIRED)
    if entry is None:
        return None, ()
    for name in (f"{aside}paired_stats.json", derive.PAIRED) if aside else (derive.PAIRED,):
        if raw.tree.kind(name) == "file":
            data = raw.tree.read(name)
            if (len(data), sha256(data)) == entry:
                return PairedStats.from_bytes(data, path=name).baseline, ()
    note = (
        f"{path}/{derive.PAIRED}: does not match its sealed digest; an embedded baseline is "
        "dropped, give --baseline-run-dir again"
    )
    return None, (note,)


def _block(raw: RawRun, other: BenchmarkRun) -> Baseline:
    if other.manifest.run_id == raw.provenance.run_id:
        msg = "--baseline-run-dir: is the run itself"
        raise UsageError(msg, hint="name another run")
    compare.require_comparable(raw, other.raw)
    words = (
        f"{key}: {mine} here, {theirs} there"
        for key, mine, theirs in compare.differences(raw, other.raw)
    )
    return derive.baseline_block(
        other.manifest.run_id,
        other.manifest.root_digest,
        other.summary,
        tuple(line[:500] for line in words),
    )


def _entry(manifest: Manifest | None, path: str) -> tuple[int, str] | None:
    if manifest is None:
        return None
    return next(((e.size, e.sha256) for e in manifest.files if e.path == path), None)


def _old_manifest(tree: Tree, root: str) -> Manifest | None:
    """The manifest that was set aside, if it is the one that the journal says was reopened."""
    name = f"{OLD}/{MANIFEST}"
    try:
        manifest = Manifest.from_bytes(tree.read(name), path=name)
    except FileInvalid:
        return None
    return manifest if manifest.root_digest == root == manifest.computed_root() else None


def _is_derived(path: str) -> bool:
    found = classify(path)
    return found is not None and found.role == "derived"


def _is_rebuildable(finding: Finding) -> bool:
    """Damage that deriving again undoes: bytes of derived files, not links or odd names."""
    if finding.code in {"path_unsafe", "alias"}:
        return False
    return _is_derived(finding.path)


def _verdicts(files: Mapping[str, bytes]) -> str:
    made = ClaimsFile.from_bytes(files[derive.CLAIMS], path=derive.CLAIMS)
    counts: dict[str, int] = {}
    for result in made.results:
        counts[result.verdict] = counts.get(result.verdict, 0) + 1
    if not counts:
        return "no claims"
    shown = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    return f"{len(made.results)} claims: {shown}"


def _nothing(path: str) -> NothingToReport:
    return NothingToReport("no seed result", path=path, hint="run a seed first")


def _foreign(path: str) -> RunInvalid:
    seen = inspect_run(path)
    named = [f for f in seen.errors if f.code in {"schema_foreign", "schema_newer"}]
    if named:
        return RunInvalid("is not a run of this version", findings=named, path=path)
    msg = "is not a run directory"
    return RunInvalid(msg, code="schema_foreign", path=path, hint="name a run directory")
