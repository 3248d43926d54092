"""What a directory is, as a pure function of the disk. Run contract, section 5.3."""

from __future__ import annotations

import os
from enum import StrEnum

from zeroproofml.report._fs import Tree
from zeroproofml.report._validate import sealed_bytes
from zeroproofml.report.contract import Manifest, Provenance
from zeroproofml.report.contract.layout import MANIFEST, WORKSPACE, seed_of
from zeroproofml.report.contract.strict_json import MAX_BYTES, sha256
from zeroproofml.report.errors import FileInvalid, ReportError
from zeroproofml.report.lock import is_locked
from zeroproofml.report.replay import JOURNAL, Replay, read_journal

__all__ = ["State", "read_record", "reopening", "run_state", "tree_state"]

PathLike = str | os.PathLike[str]


class State(StrEnum):
    """What a directory is, as a pure function of the disk. Run contract, section 5.3."""

    EMPTY = "empty"
    RUNNING = "running"
    RESUMABLE = "resumable"
    COMPLETE = "complete"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    FOREIGN = "foreign"


def run_state(path: PathLike) -> State:
    """The state of the directory at ``path``; reads, never writes.

    Examples
    --------
    >>> import tempfile
    >>> run_state(tempfile.mkdtemp()).value
    'empty'
    """
    try:
        tree = Tree(path)
    except FileInvalid as error:
        return State.EMPTY if error.code == "missing" else State.FOREIGN
    return tree_state(tree)


def tree_state(tree: Tree) -> State:
    """:func:`run_state` of an open tree."""
    names = {entry.name: entry.kind for entry in tree.names()}
    names = {name: kind for name, kind in names.items() if not name.startswith(".zpml-tmp-")}
    if not names.keys() - {WORKSPACE}:
        return State.EMPTY
    if names.get(WORKSPACE, "dir") != "dir":
        return State.FOREIGN
    if MANIFEST in names:
        return _sealed_state(tree)
    if JOURNAL not in names:
        return State.FOREIGN
    has_seed = any(seed_of(name) is not None for name in names)
    if "provenance.json" not in names and not has_seed:
        return State.EMPTY
    try:
        read_record(tree)
    except ReportError:
        return State.DAMAGED
    return State.RUNNING if is_locked(tree) else State.RESUMABLE


def _sealed_state(tree: Tree) -> State:
    try:
        manifest = Manifest.from_bytes(tree.read(MANIFEST), path=MANIFEST)
    except ReportError as error:
        return State.FOREIGN if error.code == "schema_foreign" else State.DAMAGED
    if reopening(tree, manifest) is not None:
        return State.RUNNING if is_locked(tree) else State.RESUMABLE
    try:
        if sealed_bytes(tree).errors:
            return State.DAMAGED
    except ReportError:
        return State.DAMAGED
    return State.COMPLETE if manifest.status == "complete" else State.PARTIAL


def reopening(tree: Tree, manifest: Manifest) -> bytes | None:
    """What a writer that was killed while reopening left behind the sealed journal, if anything.

    The sealed bytes must be a prefix, followed by one ``reopened`` line or a torn piece of it.
    """
    entry = next((entry for entry in manifest.files if entry.path == JOURNAL), None)
    if entry is None:
        return None
    try:
        data = tree.read(JOURNAL)
    except ReportError:
        return None
    sealed, tail = data[: entry.size], data[entry.size :]
    if not tail or sha256(sealed) != entry.sha256:
        return None
    if not tail.endswith(b"\n"):
        return tail if b"\n" not in tail else None
    try:
        before, _ = read_journal(sealed)
        after, torn = read_journal(data)
    except FileInvalid:
        return None
    added = after.events[len(before.events) :]
    if torn or len(added) != 1 or added[0].event != "reopened":
        return None
    return tail if added[0].data["root"] == manifest.root_digest else None


def read_record(tree: Tree) -> tuple[Provenance, Replay, int]:
    """Provenance, the played journal, and the bytes of its torn tail.

    Raises
    ------
    FileInvalid
        If either cannot be read or they are not of one run.
    """
    replay, torn = read_journal(tree.read(JOURNAL, limit=MAX_BYTES))
    provenance = Provenance.from_bytes(
        tree.read("provenance.json", limit=MAX_BYTES), path="provenance.json"
    )
    if not replay.events or replay.run_id != provenance.run_id:
        msg = "run_id is not that of provenance.json"
        raise FileInvalid(msg, code="inconsistent", path=JOURNAL, hint="restore the file")
    if provenance.config_hash != provenance.config.hash() or (
        provenance.config_hash != replay.config_hash
    ):
        msg = "config_hash is not that of the config and the journal"
        raise FileInvalid(msg, code="inconsistent", path="provenance.json", hint="restore the file")
    return provenance, replay, torn
