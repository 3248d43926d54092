"""The end of an attempt: derive, record, seal. Run contract, section 5.1, steps 6 to 10."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zeroproofml.benchmarks import record
from zeroproofml.report import compare
from zeroproofml.report import derive as deriving
from zeroproofml.report.contract import ClaimsFile, Manifest, PairedStats
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.errors import FileInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from zeroproofml.report._fs import Tree
    from zeroproofml.report.contract import Baseline, Resources
    from zeroproofml.report.journal import RunWriter
    from zeroproofml.report.rundir import BenchmarkRun, RawRun

_OLD_MANIFEST = ".zpml/old/manifest.json"
_ASIDE = ".zpml/old/paired_stats.json"


@dataclass(frozen=True)
class Sealed:
    """A sealed run: its manifest, and how often each verdict occurs."""

    manifest: Manifest
    verdicts: dict[str, int]


def seal(
    writer: RunWriter,
    *,
    html: bool,
    given: BenchmarkRun | None,
    gated: bool,
    exit_code: Callable[[Mapping[str, int]], int],
    ended_at: str,
    used: Callable[[int], Resources],
    interruptible: Callable[[], AbstractContextManager[None]],
) -> Sealed:
    """Derive everything in memory, write it, close the record, seal and read back.

    Parameters
    ----------
    html
        Write the HTML page too (a run that has one keeps it anyway).
    given
        A run to compare with; None keeps the baseline that the run held before.
    gated
        Whether the exit code depends on the verdicts: they are then judged before the record ends.
    exit_code
        The attempt's exit code, from the verdict counts (empty unless `gated`).
    used
        What the attempt used, from the bytes of its raw files.
    interruptible
        Around what may be left at any instruction.

    Raises
    ------
    Interrupted
        Before anything of it was written.
    """
    raw = writer.raw_run()
    written = sum(entry.size for commit in raw.commits.values() for entry in commit.files)
    html = html or writer.tree.kind("RUN_REPORT.html") is not None
    options = deriving.Options(html=html, baseline=baseline(raw, given))
    counts: dict[str, int] = {}
    if gated:
        counts = count_verdicts(deriving.derive_numbers(raw, raw.protocol, options).claims)
    # Pages read provenance: it takes its final form first, and stays so.
    final = record.ended(
        writer.provenance,
        writer.replay.made_in,
        exit_code=exit_code(counts),
        ended_at=ended_at,
        used=used(written),
    )
    with interruptible():
        files = deriving.derive(replace(raw, provenance=final), options)
    counts = count_verdicts(ClaimsFile.from_bytes(files[deriving.CLAIMS], path=deriving.CLAIMS))
    writer.write_derived({path: data for path, data in files.items() if "/" in path})
    writer.append("derived")
    writer.append("attempt_finished")
    writer.write_provenance(final)
    writer.write_derived(files)
    return Sealed(writer.seal(deriving.deriver()), counts)


def baseline(raw: RawRun, given: BenchmarkRun | None) -> Baseline | None:
    """The baseline to embed: the run given, else the one that the run held before it was reopened.

    A shared seed whose data differ is left out of the block, and the block says so.
    """
    if given is None:
        return _kept(raw.tree)
    other = given.raw
    unequal = compare.unequal_data(raw.results, other.results)
    words = [f"{key}: {a} here, {b} there" for key, a, b in compare.differences(raw, other)]
    words += [f"data of seed {seed} differ; left out" for seed in sorted(unequal)]
    block = deriving.baseline_block(
        given.manifest.run_id,
        given.manifest.root_digest,
        given.summary,
        tuple(line[:500] for line in words),
    )
    left_out = {str(seed) for seed in unequal}
    values = {
        arm: {
            metric: {seed: number for seed, number in by_seed.items() if seed not in left_out}
            for metric, by_seed in metrics.items()
        }
        for arm, metrics in block.values.items()
    }
    return block.model_copy(update={"values": values})


def keep_baseline(tree: Tree) -> None:
    """Set the sealed contrasts of a reopened run aside, so that a kill cannot lose its baseline."""
    if (data := _sealed_contrasts(tree, deriving.PAIRED)) is not None:
        tree.write(_ASIDE, data)


def _kept(tree: Tree) -> Baseline | None:
    data = _sealed_contrasts(tree, _ASIDE)
    return None if data is None else PairedStats.from_bytes(data, path=_ASIDE).baseline


def _sealed_contrasts(tree: Tree, path: str) -> bytes | None:
    """The file at `path` if its digest is that of the contrasts in the manifest set aside."""
    try:
        manifest = Manifest.from_bytes(tree.read(_OLD_MANIFEST), path=_OLD_MANIFEST)
        data = tree.read(path)
    except FileInvalid:
        return None
    entry = next((each for each in manifest.files if each.path == deriving.PAIRED), None)
    return data if entry is not None and entry.sha256 == sha256(data) else None


def count_verdicts(claims: ClaimsFile) -> dict[str, int]:
    """How often each verdict occurs, in the order of their severity."""
    counts = dict.fromkeys(("SUPPORTED", "REFUTED", "UNDERPOWERED", "INELIGIBLE"), 0)
    for result in claims.results:
        counts[result.verdict] += 1
    return counts
