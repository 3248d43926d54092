"""Output directories: whose they are, what may lie where, and how a tree of derived files gets in.

``DERIVED.json`` names what an output directory holds, so that a later output can replace it without
guessing; a directory that holds anything else is never written into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report._version import __version__
from zeroproofml.report.answers import DerivedFile, DerivedIndex, PageIndex
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.errors import FileInvalid, StorageError, UsageError

__all__ = ["INDEX", "Outcome", "demand_apart", "demand_directory", "page_index", "write_apart"]

INDEX = "DERIVED.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: files written, remarks, the last line, the exit code."""

    written: tuple[str, ...]
    verdict: str
    notes: tuple[str, ...] = ()
    exit_code: int = 0


def page_index(
    kind: Literal["bundle", "training_log"],
    source: str | None,
    files: Mapping[str, bytes],
    *,
    html: bool,
) -> PageIndex:
    """The index of a page about something that is no run.

    Args:
        kind: what the page is about.
        source: its digest.
        files: path → bytes of everything beside the index itself.
        html: whether the HTML page is among them.

    >>> page_index("bundle", None, {"a.md": b""}, html=False).files[0].size
    0
    """
    return PageIndex(
        kind=kind,
        source=source,
        version=__version__,
        html=html,
        files=tuple(
            DerivedFile(path=name, size=len(data), sha256=sha256(data))
            for name, data in sorted(files.items())
        ),
    )


def write_apart(out: str, files: Mapping[str, bytes], made: DerivedIndex | PageIndex) -> list[str]:
    """Write an output directory; what an earlier output left and this one does not make goes.

    Args:
        out: absent, empty, or an earlier output.
        files: path → bytes.
        made: their index; written last.

    Returns:
        The paths written, in order.

    Raises:
        FileInvalid: a target or one of its parents is a link or no regular file, or the index that
            lies there is not of this kind; nothing written.
    """
    try:
        return _write_apart(out, {**files, INDEX: made.to_bytes()}, made)
    except StorageError as error:
        raise error.below(out, "check space and permissions, or give another --out") from error


def _write_apart(out: str, files: Mapping[str, bytes], made: DerivedIndex | PageIndex) -> list[str]:
    try:
        tree = Tree.create(out)
    except FileExistsError:
        tree = Tree(out)
    stale: set[str] = set()
    if tree.kind(INDEX) is not None:
        earlier = type(made).from_bytes(tree.read(INDEX), path=INDEX)
        stale = {entry.path for entry in earlier.files} - files.keys()
    for name in files:  # all targets first: a link anywhere ends the command before any write
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            kind = tree.kind("/".join(parts[:depth]))
            if kind not in (None, "file" if depth == len(parts) else "dir"):
                msg = f"passes through a {kind}"
                raise FileInvalid(msg, code="path_unsafe", path=f"{out}/{name}", hint="remove it")
    for name in sorted(stale):
        if tree.kind(name) == "file":
            tree.remove(name)
    for name, data in files.items():
        tree.write(name, data)
    return list(files)


def demand_directory(path: str, argument: str = "", mend: str = "name a run directory") -> None:
    """Refuse a word of the command line that names no directory.

    Args:
        path: the word.
        argument: the flag before it, if there is one.
        mend: what to do instead.

    Raises:
        UsageError: exit 2.

    >>> demand_directory("no/such/run", "--baseline-run-dir")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: --baseline-run-dir: no/such/run: no such directory; name a run directory
    """
    before = f"{argument}: " if argument else ""
    if not path:  # to the system an empty path is the folder where we are
        _refuse(f"{before}the path is empty", mend)
    if (kind := what_is(path)) != "dir":
        what = "is not a directory" if kind else "no such directory"
        _refuse(f"{before}{path}: {what}", mend)


def demand_apart(out: str, sources: Mapping[str, str | None]) -> None:
    """Refuse an output that is, holds or lies inside a source, or that is not ours.

    Args:
        out: the output directory.
        sources: what each source is called → its path.

    Raises:
        UsageError: exit 2.

    >>> demand_apart("run/pages", {"the run": "run"})
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: --out: lies inside the run; name a directory elsewhere
    """
    if not out:
        _refuse("--out: the path is empty", "name a new directory")
    target = Path(out).resolve()
    for name, source in sources.items():
        if source is None:
            continue
        there = Path(source).resolve()
        if target == there or there in target.parents:
            _refuse(f"--out: lies inside {name}", "name a directory elsewhere")
        if target in there.parents:
            _refuse(f"--out: contains {name}", "name a directory elsewhere")
    for here in (target, *target.parents):
        if what_is(here / "journal.jsonl") and what_is(here / "provenance.json"):
            _refuse(f"--out: {out} lies inside the run {here.name}", "name a directory elsewhere")
    if (kind := what_is(out)) is None:
        return
    if kind != "dir":
        _refuse("--out: is not a directory", "name a new directory")
    tree = Tree(out)
    if tree.kind(INDEX) is None and tree.names():
        _refuse(f"--out: {out} is not empty and holds no {INDEX}", "name a new directory")


def _refuse(message: str, mend: str) -> NoReturn:
    raise UsageError(message, hint=mend)
