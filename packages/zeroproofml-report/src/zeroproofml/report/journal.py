"""The writer of a run directory: lock, chained journal, commits, reopening, the seal.

Every method leaves the disk, at each of its steps, sealed or resumable. Run contract, section 5.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from zeroproofml.report._fs import TEMPORARY, Tree
from zeroproofml.report._seal import build_manifest, prune
from zeroproofml.report.contract import (
    Deriver,
    JournalEvent,
    Manifest,
    Provenance,
    SeedCommit,
)
from zeroproofml.report.contract.base import Json
from zeroproofml.report.contract.layout import MANIFEST, WORKSPACE, classify, seed_name, seed_of
from zeroproofml.report.contract.strict_json import canonical, sha256
from zeroproofml.report.errors import FileInvalid, ReportError, RunInvalid, UsageError
from zeroproofml.report.lock import OWNER, RunLock
from zeroproofml.report.replay import JOURNAL, Replay, first_link, read_journal
from zeroproofml.report.rundir import RawRun, load_raw_run, validate_run_dir
from zeroproofml.report.seeddir import SeedRead, read_seed_dir, walk
from zeroproofml.report.state import State, read_record, reopening, tree_state

__all__ = ["RunWriter", "utc_now"]

_OLD = f"{WORKSPACE}/old"
_WORK = f"{WORKSPACE}/work"
_QUARANTINE = f"{WORKSPACE}/quarantine"
_DERIVED = ("aggregated", "figures")

Clock = Callable[[], str]


def utc_now() -> str:
    """The time now, UTC with microseconds, as the contract writes it.

    Examples
    --------
    >>> utc_now().endswith("Z")
    True
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class RunWriter:
    """The one writer of a run directory; a context manager that holds the lock.

    Use :meth:`create` for a new run and :meth:`open` for one that exists. After any exception the
    writer is closed by leaving the ``with`` block; what is committed stays.

    Examples
    --------
    >>> RunWriter.open("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.FileInvalid: no/such/run: no such directory; name another
    """

    def __init__(self, tree: Tree, lock: RunLock, clock: Clock) -> None:
        self.tree = tree
        self.replay = Replay()
        self.sealed = False
        """True while ``manifest.json`` is in place; then nothing but :meth:`reopen` may write."""
        self._lock = lock
        self._clock = clock
        self._broken = False
        self._kept: set[str] = set()
        self._provenance: Provenance | None = None

    # Opening and closing

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        provenance: Provenance,
        *,
        command: str = "",
        clock: Clock = utc_now,
    ) -> Self:
        """Make a run directory (or take an empty one), lock it, write ``created`` and provenance.

        ``provenance.attempts`` must be empty: :meth:`start_attempt` records the first.

        Raises
        ------
        RunLocked
            If another process is writing there.
        UsageError
            If the directory holds anything.
        """
        try:
            tree = Tree.create(path)
        except FileExistsError:
            tree = Tree(path)
        cls._require_empty(tree, State.EMPTY, State.RUNNING)
        writer = cls._locked(tree, command, clock)
        try:
            cls._require_empty(tree, State.EMPTY)
            writer._sweep()
            writer._begin(provenance)
        except BaseException:
            writer.close()
            raise
        return writer

    @staticmethod
    def _require_empty(tree: Tree, *allowed: State) -> None:
        if tree_state(tree) not in allowed:
            msg = "is not empty"
            raise UsageError(msg, path=tree.label, hint="resume it, or name another directory")

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, command: str = "", clock: Clock = utc_now
    ) -> Self:
        """Lock an existing run and make its journal whole; a sealed run is left as it is.

        Raises
        ------
        RunLocked
            If another process is writing it.
        FileInvalid
            If journal or provenance cannot be read; then nothing was written.
        UsageError
            If it is no run of these packages.
        """
        tree = Tree(path)
        if tree.kind(JOURNAL) != "file":
            msg = "is not a run directory"
            raise UsageError(msg, path=tree.label, hint="name a run directory")
        writer = cls._locked(tree, command, clock, announce=False)
        try:
            writer._take_over(command)
        except BaseException:
            writer.close()
            raise
        return writer

    @classmethod
    def _locked(cls, tree: Tree, command: str, clock: Clock, *, announce: bool = True) -> Self:
        lock = RunLock(tree)
        lock.acquire()
        writer = cls(tree, lock, clock)
        try:
            if announce:
                lock.announce(command, clock())
        except BaseException:
            lock.release()
            raise
        return writer

    def _begin(self, provenance: Provenance) -> None:
        config = provenance.config
        if provenance.attempts or provenance.config_hash != config.hash():
            msg = "a new run's provenance has no attempt yet and its config's own hash"
            raise UsageError(msg, path="provenance.json")
        data: dict[str, Json] = {
            "run_id": provenance.run_id,
            "domain": config.domain,
            "mode": config.mode,
            "protocol": config.protocol.plain(),
            "config_hash": provenance.config_hash,
            "seeds": list(provenance.plan.seeds),
        }
        self._provenance = provenance
        event, line = self._event("created", data)
        # Replacing, not appending: an empty run may hold the journal of a start that was killed.
        self.tree.write(JOURNAL, line + b"\n")
        self.replay.play(event, line)
        self.write_provenance(provenance)

    def _take_over(self, command: str) -> None:
        data = self.tree.read(JOURNAL)
        _, torn = read_journal(data)
        if self.tree.kind(MANIFEST) is not None:
            manifest = Manifest.from_bytes(self.tree.read(MANIFEST), path=MANIFEST)
            tail = reopening(self.tree, manifest)
            entry = next((e for e in manifest.files if e.path == JOURNAL), None)
            if tail is None and (
                entry is None or (len(data), sha256(data)) != (entry.size, entry.sha256)
            ):
                msg = "is not the journal that manifest.json seals"
                raise FileInvalid(msg, code="digest", path=JOURNAL, hint="restore the file")
            self._lock.announce(command, self._clock())
            if torn:
                self._cut(data, torn)  # the sealed bytes are whole again
            self._provenance, self.replay, _ = read_record(self.tree)
            self.sealed = True
            if tail is not None and not torn:
                self._unseal()
            else:
                self.tree.remove_tree(_OLD)
                self._sweep()
            return
        self._provenance, self.replay, torn = read_record(self.tree)
        self._lock.announce(command, self._clock())
        self._sweep()
        if torn:
            self._cut(data, torn)
            self.append("journal_repaired", {"bytes": torn})

    def _cut(self, data: bytes, torn: int) -> None:
        self.tree.write(self._free(f"{_QUARANTINE}/journal_tail"), data[len(data) - torn :])
        self.tree.truncate(JOURNAL, len(data) - torn)

    def _sweep(self) -> None:
        """Remove what a killed writer left: its work, and temporary files outside of seeds."""
        self.tree.remove_tree(_WORK)
        for top in ("", WORKSPACE, _QUARANTINE, *_DERIVED, "datasets"):
            depth = 6 if top in _DERIVED else 1
            for path, kind in list(walk(self.tree, top, depth)):
                if kind == "file" and path.rpartition("/")[2].startswith(TEMPORARY):
                    self.tree.remove(f"{top}/{path}" if top else path)

    def close(self) -> None:
        """Release the lock. Safe to call twice, and after any failure."""
        try:
            if not self._broken:
                self.tree.remove(OWNER)
        except ReportError:
            self._broken = True
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # The record

    @property
    def provenance(self) -> Provenance:
        """Provenance as last written."""
        if self._provenance is None:
            msg = "provenance was never written"
            raise ReportError(msg, code="state", path=self.tree.label)
        return self._provenance

    @property
    def attempt(self) -> int:
        """The number of the running (or last) attempt; 0 before the first."""
        return self.replay.attempt

    def append(self, event: str, data: Mapping[str, Json] | None = None) -> JournalEvent:
        """Append one event, durably, and play it.

        Raises
        ------
        StorageError
            If the disk refuses; the writer then appends nothing more.
        """
        self._writable(event)
        made, line = self._event(event, data or {})
        self.replay.check(made)
        try:
            self.tree.append(JOURNAL, line + b"\n")
        except BaseException:
            self._broken = True
            raise
        self.replay.play(made, line)
        return made

    def _event(self, event: str, data: Mapping[str, Json]) -> tuple[JournalEvent, bytes]:
        replay = self.replay
        made = JournalEvent.from_plain(
            {
                "schema_name": JournalEvent.SCHEMA,
                "schema_version": JournalEvent.VERSION,
                "seq": len(replay.events) + 1,
                "prev": replay.head if replay.events else first_link(self.provenance.run_id),
                "time": self._clock(),
                "attempt": replay.attempt + (event == "attempt_started"),
                "event": event,
                "data": dict(data),
            },
            path=JOURNAL,
        )
        return made, canonical(made.plain())

    def _writable(self, what: str) -> None:
        if self._broken:
            msg = f"cannot {what}: an earlier write failed"
            raise ReportError(msg, code="state", path=self.tree.label, hint="resume the run")
        if self.sealed and what != "reopened":
            msg = f"cannot {what}: the run is sealed"
            raise ReportError(msg, code="state", path=self.tree.label, hint="reopen it first")

    def start_attempt(
        self, kind: str, seeds: tuple[int, ...] | list[int], provenance: Provenance
    ) -> None:
        """Record a new attempt: provenance (which must hold it, as the last), event, snapshot.

        ``seeds`` are the seeds that this attempt was asked for.
        """
        if len(provenance.attempts) != self.attempt + 1:
            msg = f"provenance must hold {self.attempt + 1} attempts"
            raise ReportError(msg, code="state", path="provenance.json")
        self.write_provenance(provenance)
        self.append("attempt_started", {"kind": kind, "seeds": list(seeds)})
        self.write_resume_state()

    def write_provenance(self, provenance: Provenance) -> None:
        """Replace ``provenance.json``."""
        self._writable("write provenance")
        if provenance.run_id != (self.replay.run_id or provenance.run_id):
            msg = "run_id is not that of the run"
            raise ReportError(msg, code="inconsistent", path="provenance.json")
        self.tree.write("provenance.json", provenance.to_bytes())
        self._provenance = provenance

    def write_resume_state(self) -> None:
        """Replace ``resume_state.json`` by what the journal says now."""
        self._writable("write the snapshot")
        self.tree.write("resume_state.json", self.replay.resume_state().to_bytes())

    def seeds_environment(self) -> dict[str, int]:
        """Which attempt committed which seed, as provenance holds it."""
        return {str(seed): attempt for seed, attempt in sorted(self.replay.made_in.items())}

    # Seeds

    def work_dir(self, seed: int) -> str:
        """The name of a fresh work directory for ``seed``, relative to the run."""
        self._writable("work")
        where = self._free(f"{_WORK}/{seed_name(seed)}.{self.attempt}")
        self.tree.makedirs(where)
        return where

    def _free(self, path: str) -> str:
        if self.tree.kind(path) is None:
            return path
        number = 2
        while self.tree.kind(f"{path}.{number}") is not None:
            number += 1
        return f"{path}.{number}"

    def adopt_or_commit(self, seed: int, work_dir: str | os.PathLike[str]) -> SeedCommit:
        """Verify a finished work directory and make it the seed's directory.

        A committed result of the seed is superseded: it moves to ``.zpml/old/`` as the new one
        takes its name.

        Raises
        ------
        RunInvalid
            If the work directory does not verify; nothing was changed then.
        FileInvalid
            If a shared data set is not the one that the run already has.
        """
        self._writable(f"commit seed {seed}")
        where = self._relative(work_dir)
        read = read_seed_dir(self.tree, where, seed=seed, staged=True)
        commit = self._verified(read, where)
        self._move_shared(read, where)
        name = seed_name(seed)
        if self.tree.kind(name) is not None:
            self.tree.remove_tree(f"{_OLD}/{name}")
            self.tree.rename(name, f"{_OLD}/{name}")
        self.tree.rename(where, name)
        self._record(seed, commit)
        return commit

    def _relative(self, work_dir: str | os.PathLike[str]) -> str:
        path = Path(work_dir)
        if path.is_absolute():
            path = path.relative_to(self.tree.path.absolute())
        return path.as_posix()

    def _verified(self, read: SeedRead, where: str) -> SeedCommit:
        findings = list(read.findings)
        if read.commit is not None and not findings:
            if read.commit.config_hash == self.provenance.config_hash:
                return read.commit
            findings.append(
                FileInvalid(
                    "config_hash is not the run's",
                    code="inconsistent",
                    path=f"{where}/commit.json",
                    hint="rerun this seed",
                ).finding()
            )
        msg = "does not verify"
        raise RunInvalid(msg, findings=findings, path=where, hint="rerun this seed")

    def _move_shared(self, read: SeedRead, where: str) -> None:
        for entry in self.tree.names(f"{where}/datasets"):
            source, target = f"{where}/datasets/{entry.name}", f"datasets/{entry.name}"
            if classify(target) is None:
                msg = "is not the name of a shared data set"
                raise FileInvalid(msg, code="unlisted", path=source)
            if self.tree.kind(target) is None:
                self.tree.rename(source, target)
            elif self.tree.hash(target) != self.tree.hash(source):
                msg = "differs from what this seed made under the same name"
                raise FileInvalid(msg, code="dataset", path=target, hint="restore the file")
        self.tree.remove_tree(f"{where}/datasets")
        for reference in read.result.datasets.values() if read.result else ():
            if reference.file is not None and self.tree.kind(reference.file) is None:
                msg = "is named by the seed and absent"
                raise FileInvalid(msg, code="missing", path=reference.file)

    def _record(self, seed: int, commit: SeedCommit) -> None:
        if seed in self.replay.committed:
            old = read_seed_dir(self.tree, f"{_OLD}/{seed_name(seed)}", seed=seed)
            digest = old.commit.result_digest if old.commit else commit.result_digest
            self.append("superseded", {"seed": seed, "result_digest": digest})
        self.append("seed_committed", {"seed": seed, "commit_digest": commit.digest()})

    def quarantine(self, seed: int, reason: str) -> str:
        """Set a seed's directory aside; the seed is planned again. Returns where it went."""
        target = self._free(f"{_QUARANTINE}/{seed_name(seed)}")
        there = self.tree.kind(seed_name(seed)) is not None
        data: dict[str, Json] = {
            "seed": seed,
            "reason": reason[:500],
            "to": target if there else "",
        }
        self.append("seed_quarantined", data)
        if there:
            self.tree.rename(seed_name(seed), target)
        return target

    def recover(self, code: Mapping[str, str], environment_digest: str) -> list[str]:
        """Bring seed directories and journal together after a kill; call before new work.

        Seeds whose rename happened without its event are adopted if their commit verifies under
        ``code`` and ``environment_digest``; seeds that do not verify are quarantined; a seed that
        was being superseded is whole in its old or its new form. Returns what was done, as text.
        """
        self._writable("recover")
        done: list[str] = []
        old = [e.name for e in self.tree.names(_OLD) if seed_of(e.name) is not None]
        for name in old:
            if self.tree.kind(name) is None:
                self.tree.rename(f"{_OLD}/{name}", name)
                done.append(f"{name}: the earlier result was put back")
        present = {seed_of(entry.name) for entry in self.tree.names()}
        for seed in sorted({seed for seed in present if seed} | self.replay.committed.keys()):
            name = seed_name(seed)
            read = read_seed_dir(self.tree, name, seed=seed)
            known = self.replay.committed.get(seed)
            problem = read.findings[0].line() if read.findings else ""
            commit = read.commit
            if not problem and commit is not None and commit.digest() == known:
                continue
            if not problem and commit is not None:
                mine = (commit.config_hash, commit.code, commit.environment_digest)
                if seed in self.replay.planned and mine == (
                    self.provenance.config_hash,
                    dict(code),
                    environment_digest,
                ):
                    self._record(seed, commit)
                    done.append(f"{name}: adopted")
                    continue
                problem = "its commit is not of this plan, config, code and environment"
            if seed in self.replay.planned:
                self.quarantine(seed, problem)
            else:
                self.tree.rename(name, self._free(f"{_QUARANTINE}/{name}"))
            done.append(f"{name}: quarantined ({problem})")
            self._put_back(seed, done)
        return done

    def _put_back(self, seed: int, done: list[str]) -> None:
        """A superseded result whose replacement did not verify is the seed's result again."""
        name = seed_name(seed)
        if self.tree.kind(f"{_OLD}/{name}") is None or seed not in self.replay.planned:
            return
        read = read_seed_dir(self.tree, f"{_OLD}/{name}", seed=seed)
        if read.findings or read.commit is None:
            return
        self.tree.rename(f"{_OLD}/{name}", name)
        self.append("seed_committed", {"seed": seed, "commit_digest": read.commit.digest()})
        done.append(f"{name}: the earlier result was put back")

    def raw_run(self) -> RawRun:
        """Raw and record as they stand on the disk, verified."""
        return load_raw_run(self.tree)

    # Sealed and unsealed

    def reopen(self) -> None:
        """Unseal: ``reopened`` in the journal, then the one rename that takes the manifest away."""
        if not self.sealed:
            msg = "is not sealed"
            raise ReportError(msg, code="state", path=self.tree.label)
        manifest = Manifest.from_bytes(self.tree.read(MANIFEST), path=MANIFEST)
        self.append("reopened", {"root": manifest.root_digest})
        self._unseal()

    def _unseal(self) -> None:
        self.tree.remove_tree(_OLD)
        self.tree.rename(MANIFEST, f"{_OLD}/{MANIFEST}")
        self.sealed = False
        self._sweep()

    def write_derived(self, files: Mapping[str, bytes]) -> list[str]:
        """Put derived files in place, each atomically; equal ones are not touched.

        May be called more than once; what no call named is removed when the run is sealed.

        Returns
        -------
        list of str
            The paths that were written.

        Raises
        ------
        FileInvalid
            If a path is not that of a derived file, or a target is a link: before any write.
        """
        self._writable("write derived files")
        for path in files:
            found = classify(path)
            if found is None or found.role != "derived":
                msg = "is not a derived file of a run"
                raise FileInvalid(msg, code="unlisted", path=path)
            parts = path.split("/")
            for depth in range(1, len(parts) + 1):
                kind = self.tree.kind("/".join(parts[:depth]))
                if kind not in (None, "file" if depth == len(parts) else "dir"):
                    msg = f"passes through a {kind}"
                    raise FileInvalid(msg, code="path_unsafe", path=path, hint="remove it")
        written = []
        for path, data in sorted(files.items()):
            self._kept.add(path)
            if self.tree.kind(path) == "file" and self.tree.hash(path) == (
                len(data),
                sha256(data),
            ):
                continue
            self.tree.write(path, data)
            written.append(path)
        return written

    def seal(self, deriver: Deriver) -> Manifest:
        """Seal: ``sealing``, snapshot, manifest last; then read back and validate.

        Raises
        ------
        ReportError
            Code ``state`` if a planned seed has neither a result nor a failure.
        RunInvalid
            If what was written does not validate.
        """
        self._writable("seal")
        if missing := self.replay.missing():
            msg = f"cannot seal: seed {missing[0]} has neither a result nor a failure"
            raise ReportError(msg, code="state", path=self.tree.label, hint="resume the run")
        raw = self.raw_run()
        prune(self.tree, raw, self._kept)
        generation = self.replay.generation
        self.append("sealing", {"generation": generation, "raw_digest": raw.raw_digest})
        self.write_resume_state()
        manifest = build_manifest(raw, self.replay, self.provenance, deriver)
        self.tree.write(MANIFEST, manifest.to_bytes())
        self.sealed = True
        self.tree.remove_tree(_WORK)
        self.tree.remove_tree(_OLD)
        return validate_run_dir(self.tree.path)
