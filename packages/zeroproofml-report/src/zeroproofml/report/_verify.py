"""Steps V6 to V8 of verification and the links R1 to R4 of recomputation. Section 8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract.layout import MANIFEST, seed_name
from zeroproofml.report.errors import FileInvalid, Finding, ReportError

if TYPE_CHECKING:
    from zeroproofml.report._validate import Inspection
    from zeroproofml.report.contract.arrays import Array
    from zeroproofml.report.domains import Members
    from zeroproofml.report.rundir import BenchmarkRun, RawRun

__all__ = ["LIMIT_OF_DIGESTS", "Link", "LinkName", "Verification", "verify_inspection"]

LIMIT_OF_DIGESTS = (
    "digests inside a directory catch damage and partial edits; who rewrites predictions and every "
    "digest is caught only by a digest kept elsewhere (--root-digest)"
)


LinkName = Literal["R1", "R2", "R3", "R4"]


@dataclass(frozen=True)
class Link:
    """One link of the recomputation: R1, R2, R3 or R4."""

    name: LinkName
    status: Literal["ok", "broken"]
    largest_deviation: float
    text: str


@dataclass(frozen=True)
class Verification:
    """What verification found. ``exit_code`` is that of the command line.

    Examples
    --------
    >>> Verification((), (), "sha256:" + 64 * "0", None).ok
    True
    """

    findings: tuple[Finding, ...]
    links: tuple[Link, ...]
    raw_digest: str | None
    root_digest: str | None
    notes: tuple[str, ...] = field(default=(LIMIT_OF_DIGESTS,))

    @property
    def ok(self) -> bool:
        """True if nothing is wrong and everything asked for was checked."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0, 5 if anything is wrong, 7 if the recomputation could not be done."""
        errors = {finding.code for finding in self.findings if finding.severity == "error"}
        if errors - {"derive_version"}:
            return 5
        return 7 if errors else 0


def verify_inspection(
    tree: Tree,
    seen: Inspection,
    raw: RawRun | None,
    *,
    recompute: bool,
    pin: str | None,
    baseline: BenchmarkRun | None,
) -> Verification:
    """Add V6 to V8, and the links if asked, to what validation found."""
    findings = list(seen.findings)
    links: tuple[Link, ...] = ()
    notes = [LIMIT_OF_DIGESTS]
    manifest = seen.manifest
    if raw is not None:
        findings += _arrays(raw)
    if manifest is not None and pin is not None:
        if pin == manifest.root_digest:
            notes.append("root digest equals the pin")
        elif pin == manifest.raw_digest:
            notes.append("science matches the pin; derived or record files may differ")
        else:
            message = "neither root_digest nor raw_digest equals the digest given"
            findings.append(_finding("pin", MANIFEST, "", message, "do not trust this directory"))
    if baseline is not None and manifest is not None:
        from zeroproofml.report._recompute import embedded_findings

        wrong = embedded_findings(seen, baseline)
        findings += wrong
        notes += [] if wrong else ["the embedded baseline is the run given"]
    if recompute and raw is not None and manifest is not None:
        from zeroproofml.report._recompute import recompute_links

        links, more = recompute_links(tree, seen, raw)
        findings += more
    unique = tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.severity, f.path, f.code)))
    return Verification(
        unique,
        links,
        None if manifest is None else manifest.raw_digest,
        None if manifest is None else manifest.root_digest,
        tuple(notes),
    )


def _finding(code: str, path: str, pointer: str, message: str, mend: str) -> Finding:
    return Finding("error", code, path, pointer, message, mend)


def _arrays(raw: RawRun) -> Iterator[Finding]:
    """V7: every array file opens under the limits and holds what the protocol says."""
    from zeroproofml.report.contract.arrays import array_digest, read_npz
    from zeroproofml.report.contract.tensors import check_safetensors

    checked: set[str] = set()
    for seed, result in raw.results.items():
        where = seed_name(seed)
        try:
            working = [arm for arm in raw.config.arms if result.arms[arm].status == "ok"]
            members = raw.protocol.members(raw.config.settings, working)
            arrays = raw.predictions(seed)
            yield from _members(f"{where}/predictions.npz", members, arrays)
        except ReportError as error:
            yield error.finding(f"{where}/predictions.npz")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            message = f"its members cannot be foreseen from the config: {type(error).__name__}"
            yield _finding("arrays", f"{where}/predictions.npz", "", message, "restore the file")
        for entry in raw.commits[seed].files:
            path = f"{where}/{entry.path}"
            try:
                if entry.path.endswith(".safetensors"):
                    check_safetensors(raw.read(path), path=path)
                elif entry.path.endswith(".npz") and entry.path != "predictions.npz":
                    read_npz(raw.read(path), path=path)
            except ReportError as error:
                yield error.finding(path)
        for reference in result.datasets.values():
            if (path := reference.file or "") and path not in checked:
                checked.add(path)
                try:
                    if array_digest(read_npz(raw.read(path), path=path)) != reference.digest:
                        msg = "its content is not what its name says"
                        raise FileInvalid(msg, code="dataset", path=path, hint="restore the file")
                except ReportError as error:
                    yield error.finding(path)


def _members(
    path: str,
    expected: Members,
    arrays: dict[str, Array],
) -> Iterator[Finding]:
    for name in sorted(arrays.keys() - expected.keys()):
        yield _finding("arrays", path, name, "is no member of this protocol", "restore the file")
    for name in sorted(expected.keys() - arrays.keys()):
        yield _finding("arrays", path, name, "is absent", "restore the file")
    for name in sorted(expected.keys() & arrays.keys()):
        dtype, shape = expected[name]
        array = arrays[name]
        fits = len(shape) == array.ndim and all(
            want is None or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype.str.lstrip("<|") != str(dtype).lstrip("<|=") or not fits:
            message = f"is {array.dtype.str} {array.shape}, not {dtype} {tuple(shape)}"
            yield _finding("arrays", path, name, message, "restore the file")
