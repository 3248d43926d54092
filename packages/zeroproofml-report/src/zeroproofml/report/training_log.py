"""``zpml-report training-log``: a metric log (JSONL) as a page with one section per phase.

The log is read as a stream, line by line, as long as it was when it was opened; memory follows the
points that can be drawn, not the file. What cannot be read is counted and named, never guessed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zeroproofml.report._fs import Tree, what_is
from zeroproofml.report._log_series import Log
from zeroproofml.report._output import Outcome, demand_apart, page_index, write_apart
from zeroproofml.report.contract import MetricRecord
from zeroproofml.report.contract.strict_json import parse
from zeroproofml.report.errors import FileInvalid, NothingToReport, UsageError

__all__ = ["MOST_BYTES", "MOST_LINE", "Reading", "Skipped", "read_log", "report"]

MOST_BYTES = 4 * 2**30
MOST_LINE = 4 * 2**20
_SHOWN = 20
_PAGE = "TRAINING_REPORT"


@dataclass(frozen=True, slots=True)
class Skipped:
    """One line that is no record of this reader."""

    line: int
    message: str
    mend: str = ""

    @property
    def words(self) -> str:
        """Line number, what is wrong, and the mend."""
        tail = f"; {self.mend}" if self.mend else ""
        return f"line {self.line}: {self.message}{tail}"


@dataclass(slots=True)
class Reading:
    """A log as it was read: its records, what was skipped, and the bytes that were read."""

    name: str
    log: Log = field(default_factory=Log)
    lines: int = 0
    size: int = 0
    sha256: str = ""
    bad: int = 0
    foreign: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    torn_at: int | None = None

    @property
    def is_valid(self) -> bool:
        """True if every line is a record, a torn last one aside."""
        return not self.bad and not self.foreign


def read_log(path: str) -> Reading:
    """Read a metric log.

    Args:
        path: the file.

    Returns:
        Its records in reduced form, and the first 20 lines that were skipped with their reasons.

    Raises:
        UsageError: no file of that name.
        FileInvalid: a link, no regular file, above 4 GiB, or more than 20 000 series.

    >>> import json, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> record = {"schema_name": "zeroproofml.metric_log", "schema_version": 1, "phase": "train",
    ...           "step": 1, "context": {}, "metrics": {"loss": 0.5}, "reasons": {}}
    >>> _ = path.write_text(json.dumps(record) + "\\n" + '{"schema_na')
    >>> found = read_log(str(path))
    >>> found.log.records, found.torn_at == len(json.dumps(record)) + 1
    (1, True)
    """
    here = Path(path)
    made = Reading(here.name)
    if what_is(here.parent) != "dir":
        msg = "no such file"
        raise UsageError(msg, path=path, hint="name a metric log")
    tree = Tree(here.parent)
    kind = tree.kind(here.name) if here.name else "dir"
    if kind is None:
        msg = "no such file"
        raise UsageError(msg, path=path, hint="name a metric log")
    if kind == "dir":
        msg = "is a directory, not a metric log"
        raise UsageError(msg, path=path, hint="name the .jsonl file, or use benchmark or bundle")
    digest = hashlib.sha256()
    for line in _lines(tree, here.name, digest, made):
        made.lines += 1
        _take(made, line)
    made.sha256 = "sha256:" + digest.hexdigest()
    return made


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    data: bytes | None  # None: longer than MOST_LINE
    ended: bool


def _lines(tree: Tree, name: str, digest: hashlib._Hash, made: Reading) -> Iterator[_Line]:
    """The lines of a file; of one that is too long only its extent is kept."""
    held, dropped, start = bytearray(), 0, 0
    for block in tree.blocks(name, limit=MOST_BYTES):
        digest.update(block)
        made.size += len(block)
        *ended, rest = block.split(b"\n")
        for piece in ended:
            held += piece
            long = dropped or len(held) > MOST_LINE
            yield _Line(start, None if long else bytes(held), True)
            start += dropped + len(held) + 1
            held, dropped = bytearray(), 0
        held += rest
        if len(held) > MOST_LINE:
            dropped += len(held)
            held = bytearray()
    if held or dropped:
        yield _Line(start, None if dropped else bytes(held), False)


def _take(made: Reading, line: _Line) -> None:
    """Sort one line into record, torn end, foreign or bad."""
    try:
        value = parse(_short(line))
        if (foreign := _foreign(made.lines, value)) is not None:
            made.foreign += 1
            _note(made, foreign)
            return
        record = MetricRecord.from_plain(value)
    except FileInvalid as error:
        if not line.ended:
            made.torn_at = line.start
            return
        made.bad += 1
        where = f"{error.pointer}: " if error.pointer else ""
        _note(made, Skipped(made.lines, where + error.message, "remove or repair the line"))
        return
    made.log.add(record, made.lines)


def _short(line: _Line) -> bytes:
    if line.data is None:
        msg = f"is longer than {MOST_LINE} bytes"
        raise FileInvalid(msg)
    return line.data


def _note(made: Reading, skipped: Skipped) -> None:
    if len(made.skipped) < _SHOWN:
        made.skipped.append(skipped)


def _foreign(line: int, value: object) -> Skipped | None:
    """A record of another schema, or of a version that this reader does not know yet."""
    if not isinstance(value, dict):
        return None
    name, version = value.get("schema_name"), value.get("schema_version")
    if isinstance(name, str) and name != MetricRecord.SCHEMA:
        words = f"schema name {name!r:.80}, this reader knows {MetricRecord.SCHEMA!r}"
        return Skipped(line, words, "written by something else; log with JsonlLogger")
    known = MetricRecord.VERSION
    if name == MetricRecord.SCHEMA and type(version) is int and version > known:
        words = f"schema version {version}, this reader knows {known}"
        return Skipped(line, words, "upgrade zeroproofml-report")
    return None


def report(path: str, *, html: bool = False, out: str | None = None) -> Outcome:
    """Write the page of a metric log.

    Args:
        path: the log.
        html: also write the HTML page.
        out: the output directory; by default the log's sibling ``<stem>_report``.

    Returns:
        The outcome: exit code 5 with a page if lines were skipped, else 0.

    Raises:
        UsageError: exit 2, nothing written.
        FileInvalid: exit 5, nothing written; also if every line is of another schema.
        NothingToReport: exit 7; no record, or only a torn line.

    >>> report("no/such/log.jsonl")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/log.jsonl: no such file; name a metric log
    """
    here = Path(path)
    target = out if out is not None else str(here.parent / f"{here.stem}_report")
    if what_is(here) is not None:
        demand_apart(target, {"the metric log": path})
    found = read_log(path)
    if not found.log.records and not found.bad:
        if found.foreign:
            first = found.skipped[0]
            msg = f"line {first.line}: {first.message}"
            raise FileInvalid(msg, code="schema_foreign", path=found.name, hint=first.mend)
        msg = "no record"
        raise NothingToReport(msg, path=found.name)
    files = _derived(found, html=html)
    index = page_index("training_log", found.sha256, files, html=html)
    written = write_apart(target, files, index)
    notes = [f"{found.name}: {skipped.words}" for skipped in found.skipped]
    if (more := found.bad + found.foreign - len(notes)) > 0:
        notes.append(f"… and {more} more")
    if found.torn_at is not None:
        notes.append(f"{found.name}: torn last line ignored, from byte {found.torn_at} on")
    phases = ", ".join(f"{p.name} {p.records}" for p in found.log.phases.values())
    verdict = f"{found.log.records} records{f' ({phases})' if phases else ''}"
    if not found.is_valid:
        verdict += f"; {found.bad + found.foreign} lines skipped"
    return Outcome(
        tuple(f"{target}/{name}" for name in written),
        verdict,
        tuple(notes),
        0 if found.is_valid else FileInvalid.exit_code,
    )


def _derived(found: Reading, *, html: bool) -> dict[str, bytes]:
    """Path → bytes of the page and its figures."""
    from zeroproofml.report.figures.sheet import sheet
    from zeroproofml.report.pages import markdown, training_report
    from zeroproofml.report.pages.html import render

    page = training_report.page(found)
    figures = training_report.figures_of(page)
    files = {figure.path: sheet(figure) for figure in figures}
    files[f"{_PAGE}.md"] = markdown.render(page).encode()
    if html:
        files[f"{_PAGE}.html"] = render(page).encode()
    return files
