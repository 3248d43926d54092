"""What sealing needs besides the journal: stale files out, and the manifest of the rest."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract import (
    Deriver,
    FileEntry,
    Fingerprints,
    Manifest,
    Provenance,
    Seeds,
)
from zeroproofml.report.contract.layout import MANIFEST, WORKSPACE, classify
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.replay import Replay
from zeroproofml.report.seeddir import walk

if TYPE_CHECKING:
    from zeroproofml.report.rundir import RawRun

__all__ = ["build_manifest", "prune"]


def prune(tree: Tree, raw: RawRun, keep: Collection[str]) -> None:
    """Remove derived files not in ``keep``, data sets that no seed names, and empty folders."""
    used = {
        made.file
        for result in raw.results.values()
        for made in result.datasets.values()
        if made.file is not None
    }
    for path in _files(tree):
        found = classify(path)
        if found is not None and (
            (found.role == "derived" and path not in keep)
            or (found.kind == "dataset" and path not in used)
        ):
            tree.remove(path)
    for top in ("aggregated", "figures", "datasets"):
        for path, kind in sorted(walk(tree, top), reverse=True):
            if kind == "dir" and not tree.names(f"{top}/{path}"):
                tree.remove_tree(f"{top}/{path}")
        if tree.kind(top) == "dir" and not tree.names(top):
            tree.remove_tree(top)


def build_manifest(
    raw: RawRun, replay: Replay, provenance: Provenance, deriver: Deriver
) -> Manifest:
    """The manifest of the run as it stands; ``replay`` ends with the ``sealing`` event."""
    config, commits, tree = raw.config, raw.commits, raw.tree
    states = replay.states()
    files = []
    for path in sorted(_files(tree)):
        if (found := classify(path)) is None:
            continue
        size, sha = raw.hashes.get(path) or tree.hash(path)
        files.append(
            FileEntry(
                path=path,
                size=size,
                sha256=sha,
                role=found.role,
                kind=found.kind,
                producer=found.producer,
                media_type=found.media_type,
            )
        )
    draft = Manifest(
        run_id=replay.run_id,
        generation=replay.generation,
        previous_root=replay.roots[-1] if replay.roots else None,
        status="partial" if states.failed else "complete",
        domain=config.domain,
        mode=config.mode,
        protocol=config.protocol,
        config_hash=provenance.config_hash,
        seeds=Seeds(planned=states.planned, complete=states.complete, failed=states.failed),
        fingerprints=Fingerprints(
            datasets={str(seed): commit.datasets for seed, commit in commits.items()},
            code=next((commit.code for commit in commits.values()), {}),
            environments=tuple(sorted({c.environment_digest for c in commits.values()})),
        ),
        deriver=deriver,
        files=tuple(files),
        journal_head=replay.head,
        raw_digest=raw.raw_digest,
        root_digest=sha256(b""),
    )
    return draft.model_copy(update={"root_digest": draft.computed_root()})


def _files(tree: Tree) -> list[str]:
    """Every regular file of the run but the manifest and the workspace."""
    found = []
    for entry in tree.names():
        if entry.name in (WORKSPACE, MANIFEST):
            continue
        if entry.kind == "file":
            found.append(entry.name)
        elif entry.kind == "dir":
            below = walk(tree, entry.name, depth=16)
            found += [f"{entry.name}/{path}" for path, kind in below if kind == "file"]
    return found
