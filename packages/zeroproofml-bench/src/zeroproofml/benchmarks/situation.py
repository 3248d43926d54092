"""What is on disk, as the decision table needs it. Reads, never writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks.decide import Difference, Situation
from zeroproofml.report._fs import Tree
from zeroproofml.report._validate import sealed_bytes
from zeroproofml.report.contract.layout import MANIFEST, classify, seed_name, seed_of
from zeroproofml.report.errors import ReportError
from zeroproofml.report.lock import is_locked
from zeroproofml.report.rundir import State, read_record, tree_state
from zeroproofml.report.seeddir import SeedRead, read_seed_dir

if TYPE_CHECKING:
    from pathlib import Path

    from zeroproofml.benchmarks.config import Resolved
    from zeroproofml.report.contract import Provenance
    from zeroproofml.report.contract.provenance import EnvironmentIdentity
    from zeroproofml.report.errors import Finding
    from zeroproofml.report.replay import Replay


@dataclass(frozen=True)
class Identity:
    """What this command would compute under."""

    resolved: Resolved
    code: Mapping[str, str]
    environment: EnvironmentIdentity


@dataclass(frozen=True)
class Found:
    """A situation with the record that it was read from (None where there is none)."""

    situation: Situation
    provenance: Provenance | None = None
    replay: Replay | None = None


def look(path: Path, mine: Identity, *, holding_lock: bool = False) -> Found:
    """Read the directory at `path`.

    Parameters
    ----------
    path
        Run directory; it may be absent.
    mine
        Compared with the identities of the committed seeds.
    holding_lock
        True for the process that holds the run's lock: the run is then not `running`.
    """
    try:
        tree = Tree(path)
    except ReportError as error:
        if error.code == "missing":
            return Found(Situation("empty"))
        return Found(Situation("foreign", obstacle=error.message))
    state = tree_state(tree)
    if state in (State.EMPTY, State.FOREIGN):
        return Found(Situation("empty" if state is State.EMPTY else "foreign"))
    if holding_lock and state is State.RUNNING:
        state = State.RESUMABLE
    elif not holding_lock and is_locked(tree):
        state = State.RUNNING  # a sealed run too: somebody is about to change it
    try:
        provenance, replay, _ = read_record(tree)
    except ReportError as error:
        if state is State.RUNNING:
            return Found(Situation("running"))
        return Found(Situation("damaged", evidence_damage=(error.path or "journal.jsonl",)))
    seeds = {seed: _read(tree, seed) for seed in sorted(replay.committed)}
    broken = {
        seed
        for seed, read in seeds.items()
        if read.findings or read.commit is None or read.commit.digest() != replay.committed[seed]
    }
    evidence: list[str] = []
    derived: list[str] = []
    if state is State.DAMAGED:
        _sort_damage(sealed_bytes(tree).errors, set(seeds), broken, evidence, derived)
    pending = tuple(seed for seed in replay.requested if seed in replay.committed)
    kept = [seed for seed in seeds if seed not in broken and seed not in pending]
    theirs = provenance.config.plain()
    ours = mine.resolved.config
    domain = None
    if theirs["domain"] != ours["domain"]:
        domain = Difference("domain", theirs["domain"], ours["domain"])
    situation = Situation(
        state=_WORDS[state],
        planned=tuple(replay.planned),
        committed=frozenset(seeds) - broken,
        broken=frozenset(broken),
        pending=pending,
        domain_difference=domain,
        differences=(
            *_differ("config", theirs, ours),
            *_seed_differences(kept, seeds, provenance, replay, mine),
        ),
        evidence_damage=tuple(evidence),
        derived_damage=tuple(derived),
    )
    return Found(situation, provenance, replay)


_WORDS: Mapping[State, Any] = {
    State.RUNNING: "running",
    State.RESUMABLE: "resumable",
    State.COMPLETE: "complete",
    State.PARTIAL: "partial",
    State.DAMAGED: "damaged",
}


def _read(tree: Tree, seed: int) -> SeedRead:
    return read_seed_dir(tree, seed_name(seed), seed=seed)


def _sort_damage(
    findings: list[Finding],
    known: set[int],
    broken: set[int],
    evidence: list[str],
    derived: list[str],
) -> None:
    """Whose damage it is: a seed's, a derived file's, or the evidence's (which nothing mends)."""
    for finding in findings:
        seed = seed_of(finding.path.partition("/")[0])
        role = classify(finding.path)
        if seed in known:
            broken.add(int(seed or 0))
        elif role is not None and role.role == "derived":
            derived.append(finding.path)
        else:
            evidence.append(finding.path or MANIFEST)


def _seed_differences(
    kept: list[int],
    seeds: Mapping[int, SeedRead],
    provenance: Provenance,
    replay: Replay,
    mine: Identity,
) -> list[Difference]:
    found: dict[str, Difference] = {}
    for seed in kept:
        commit = seeds[seed].commit
        if commit is None:
            continue
        rows = _differ("code", commit.code, mine.code)
        if commit.environment_digest != mine.environment.digest():
            made = provenance.attempts[replay.made_in[seed] - 1].environment.identity
            rows += _differ("environment", made.plain(), mine.environment.plain())
            # An identity that provenance no longer holds still differs by its digest.
            rows = rows or [
                Difference(
                    "environment_digest", commit.environment_digest, mine.environment.digest()
                )
            ]
        found.update({each.key: each for each in rows if each.key not in found})
    return list(found.values())


def _differ(prefix: str, run: object, command: object) -> list[Difference]:
    """Every leaf in which two JSON values differ, by dotted key."""
    if isinstance(run, Mapping) and isinstance(command, Mapping):
        rows = []
        for key in sorted({*run, *command}):
            rows += _differ(f"{prefix}.{key}", run.get(key), command.get(key))
        return rows
    if isinstance(run, list | tuple) and isinstance(command, list | tuple):
        return [] if list(run) == list(command) else [Difference(prefix, run, command)]
    return [] if run == command else [Difference(prefix, run, command)]
