"""The four reader commands, as values: what to print, as text or JSON, and the exit code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zeroproofml.report import rundir
from zeroproofml.report._fs import Tree
from zeroproofml.report._output import demand_directory
from zeroproofml.report.answers import (
    FindingRecord,
    LinkResult,
    RunList,
    RunRow,
    ValidationAnswer,
    VerificationAnswer,
)
from zeroproofml.report.console import MOST_LINES
from zeroproofml.report.contract import Manifest
from zeroproofml.report.contract.base import FileModel
from zeroproofml.report.errors import Finding, ReportError, RunInvalid, UsageError, as_text

__all__ = ["Answer", "compare", "list_runs", "validate", "verify"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says: text and JSON for standard output, diagnostics, the exit code."""

    text: str
    json: str
    diagnostics: tuple[str, ...] = ()
    exit_code: int = 0


def validate(path: str) -> Answer:
    """Validate a sealed run directory.

    Args:
        path: the directory.

    Returns:
        Exit 0 if it is valid, 5 with every finding otherwise.

    >>> validate("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/run: no such directory; name a run directory
    """
    demand_directory(path)
    manifest: Manifest | None = None
    findings: tuple[Finding, ...] = ()
    try:
        seen = rundir.inspect_run(path)
        manifest, findings = seen.manifest, tuple(seen.findings)
    except RunInvalid as error:
        findings = error.findings
    errors = [finding for finding in findings if finding.severity == "error"]
    body = ValidationAnswer(
        ok=not errors,
        findings=tuple(FindingRecord.model_validate(finding.as_json()) for finding in findings),
        **_identity(manifest),
    )
    if errors or manifest is None:
        text = f"{path}: not valid, {_count(len(errors), 'error')}"
    else:
        text = (
            f"{path}: valid, {manifest.status}, raw {manifest.raw_digest}, "
            f"root {manifest.root_digest}"
        )
    return Answer(text, _json(body), _lines(findings), 5 if errors else 0)


def verify(
    path: str,
    *,
    recompute: bool = False,
    root_digest: str | None = None,
    baseline_run_dir: str | None = None,
) -> Answer:
    """Verify a sealed run; see :func:`zeroproofml.report.rundir.verify_run`.

    >>> verify("no/such/run")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/run: no such directory; name a run directory
    """
    demand_directory(path)
    if baseline_run_dir is not None:
        demand_directory(baseline_run_dir, "--baseline-run-dir")
    if root_digest is not None and not _DIGEST.fullmatch(root_digest):
        msg = f"--root-digest: {root_digest[:80]!r} is no digest"
        raise UsageError(msg, hint="write sha256: and 64 hexadecimal digits")
    if baseline_run_dir is not None:
        rundir.validate_run_dir(baseline_run_dir)
    try:
        made = rundir.verify_run(path, recompute, root_digest, baseline_run_dir)
    except RunInvalid as error:
        made = rundir.Verification(error.findings, (), None, None)
    body = VerificationAnswer(
        ok=made.ok,
        raw_digest=made.raw_digest,
        root_digest=made.root_digest,
        findings=tuple(
            FindingRecord.model_validate(finding.as_json()) for finding in made.findings
        ),
        links=tuple(
            LinkResult(
                name=link.name,
                status=link.status,
                largest_deviation=link.largest_deviation,
                text=link.text,
            )
            for link in made.links
        ),
        notes=made.notes,
    )
    lines = [
        f"{link.name} {link.status}: {link.text}"
        + (f" (largest deviation {link.largest_deviation:.3g})" if link.largest_deviation else "")
        for link in made.links
    ]
    lines += [f"note: {note}" for note in made.notes]
    verdict = "verified" if made.ok else "not verified"
    digests = f", raw {made.raw_digest}, root {made.root_digest}" if made.raw_digest else ""
    lines.append(f"{path}: {verdict}{digests}")
    return Answer("\n".join(lines), _json(body), _lines(made.findings), made.exit_code)


def compare(path: str, baselines: Sequence[str], *, allow_mismatch: bool = False) -> Answer:
    """Compare a run with others; see :func:`zeroproofml.report.compare.compare_benchmark_runs`.

    >>> compare("no/such/run", ["no/other"])
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/run: no such directory; name a run directory
    """
    from zeroproofml.report import compare as comparing

    for each in (path, *baselines):
        demand_directory(each)
    made = comparing.compare_benchmark_runs(path, baselines, allow_mismatch)
    return Answer(comparing.comparison_text(made), _json(made))


def list_runs(root: str) -> Answer:
    """List the run directories below a root, each with its state.

    Args:
        root: a directory; itself a run directory or above some.

    Returns:
        One row per directory that holds a journal or a manifest, sorted by path.

    >>> import tempfile
    >>> list_runs(tempfile.mkdtemp()).text.endswith(": no run directory")
    True
    """
    demand_directory(root, mend="name a directory that holds runs")
    rows = [_row(path) for path in _runs(root)]
    body = RunList(runs=tuple(RunRow(**row) for row in rows))
    if not rows:
        return Answer(f"{root}: no run directory", _json(body))
    head = ("path", "domain", "mode", "protocol", "state", "seeds", "raw", "created")
    table = [head, *((*map(str, row.values()),) for row in _shown(rows))]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return Answer(text, _json(body))


def _runs(root: str) -> Iterator[str]:
    """Directories with a journal or a manifest, not looking inside them, at most 8 levels down."""
    tree = Tree(root)
    waiting = [""]
    while waiting:
        where = waiting.pop()
        entries = {entry.name: entry.kind for entry in tree.names(where)}
        if entries.keys() & {"journal.jsonl", "manifest.json"}:
            yield f"{root.rstrip('/')}/{where}" if where else root
        elif where.count("/") < 7:
            below = [name for name, kind in entries.items() if kind == "dir"]
            waiting += [f"{where}/{name}".lstrip("/") for name in sorted(below, reverse=True)]


def _row(path: str) -> dict[str, Any]:
    state = rundir.run_state(path)
    row: dict[str, Any] = {
        "path": as_text(path),
        "domain": None,
        "mode": None,
        "protocol": None,
        "state": state.value,
        "complete": None,
        "planned": None,
        "raw_digest": None,
        "created": None,
    }
    try:
        provenance, replay, _ = rundir.read_record(Tree(path))
    except ReportError:
        return row
    config = provenance.config
    row |= {
        "domain": config.domain,
        "mode": config.mode,
        "protocol": f"{config.protocol.name}/{config.protocol.version}",
        "complete": len(replay.states().complete),
        "planned": len(replay.planned),
        "created": provenance.created_at,
    }
    if state in (rundir.State.COMPLETE, rundir.State.PARTIAL):
        manifest = Manifest.from_bytes(Tree(path).read("manifest.json"), path=path)
        row["raw_digest"] = manifest.raw_digest
    return row


def _shown(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        complete, planned = row["complete"], row["planned"]
        digest = row["raw_digest"]
        yield {
            "path": row["path"],
            "domain": row["domain"] or "-",
            "mode": row["mode"] or "-",
            "protocol": row["protocol"] or "-",
            "state": row["state"],
            "seeds": "-" if planned is None else f"{complete}/{planned}",
            "raw": str(digest)[7:19] if digest else "-",
            "created": row["created"] or "-",
        }


def _identity(manifest: Manifest | None) -> dict[str, Any]:
    names = ("run_id", "status", "domain", "mode", "raw_digest", "root_digest", "generation")
    return {name: getattr(manifest, name, None) for name in names}


def _lines(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Errors first, at most twenty lines."""
    ordered = sorted(findings, key=lambda f: (f.severity != "error", f.path, f.code, f.pointer))
    lines = [finding.line() for finding in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        lines.append(f"… and {len(ordered) - MOST_LINES} more")
    return tuple(lines)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _json(body: FileModel) -> str:
    return body.to_bytes().decode().rstrip("\n")
