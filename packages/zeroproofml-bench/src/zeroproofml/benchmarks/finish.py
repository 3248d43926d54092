"""The end of an attempt: derive, record, seal. Run contract, section 5.1, steps 6 to 10."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zeroproofml.benchmarks import record
from zeroproofml.report import derive as deriving
from zeroproofml.report.contract import ClaimsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroproofml.report.contract import Manifest, Resources
    from zeroproofml.report.contract.manifest import Deriver
    from zeroproofml.report.journal import RunWriter


@dataclass(frozen=True)
class Sealed:
    """A sealed run: its manifest, and how often each verdict occurs."""

    manifest: Manifest
    verdicts: dict[str, int]


def seal(
    writer: RunWriter,
    options: deriving.Options,
    deriver: Deriver,
    *,
    gated: bool,
    exit_code: Callable[[Mapping[str, int]], int],
    ended_at: str,
    used: Callable[[int], Resources],
) -> Sealed:
    """Derive everything in memory, write it, close the record, seal and read back.

    Parameters
    ----------
    gated
        Whether the exit code depends on the verdicts: they are then judged before the record ends.
    exit_code
        The attempt's exit code, from the verdict counts (empty unless `gated`).
    used
        What the attempt used, from the bytes of raw and derived files.
    """
    raw = writer.raw_run()
    written = sum(entry.size for commit in raw.commits.values() for entry in commit.files)
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
    files = deriving.derive(replace(raw, provenance=final), options)
    counts = count_verdicts(ClaimsFile.from_bytes(files[deriving.CLAIMS], path=deriving.CLAIMS))
    writer.write_derived({path: data for path, data in files.items() if "/" in path})
    writer.append("derived")
    writer.append("attempt_finished")
    writer.write_provenance(final)
    writer.write_derived(files)
    return Sealed(writer.seal(deriver), counts)


def count_verdicts(claims: ClaimsFile) -> dict[str, int]:
    """How often each verdict occurs, in the order of their severity."""
    counts = dict.fromkeys(("SUPPORTED", "REFUTED", "UNDERPOWERED", "INELIGIBLE"), 0)
    for result in claims.results:
        counts[result.verdict] += 1
    return counts
