"""``zpml-report bundle``: the validation of a bundle as files beside it, never inside."""

from __future__ import annotations

import os
from pathlib import Path

from zeroproofml.report import _bundle_checks as checks
from zeroproofml.report._fs import what_is
from zeroproofml.report._output import Outcome, demand_apart, page_index, write_apart
from zeroproofml.report.bundle import (
    Bundle,
    BundleInvalid,
    Inspection,
    RuntimeMissing,
    replay,
    validate_bundle,
)
from zeroproofml.report.contract.bundle import (
    BundleFinding,
    BundleMetadata,
    BundleValidation,
    CheckResult,
    Replay,
)
from zeroproofml.report.errors import Finding
from zeroproofml.report.figures.bundle import bundle_reference
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.pages import bundle_report, markdown
from zeroproofml.report.pages.html import render

__all__ = ["report"]

_PAGE = "VALIDATION_REPORT"
_MOST_NOTES = 20
_ROOM = 16


def report(
    path: str, *, expect: str | None = None, html: bool = False, out: str | None = None
) -> Outcome:
    """Write the page of a bundle beside it.

    Args:
        path: the bundle's directory.
        expect: a digest kept elsewhere.
        html: also write the HTML page.
        out: the output directory; by default the bundle's sibling ``<name>_report``.

    Returns:
        The outcome: exit code 5, with a page, if the bundle is not valid.

    Raises:
        UsageError: exit 2, nothing written.
        BundleInvalid: exit 5, nothing written: the metadata could not be read.

    >>> report("no/such/bundle")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: no/such/bundle: no such directory; name a bundle directory
    """
    here = Path(os.path.abspath(path))  # noqa: PTH100 - "." and ".." have siblings too
    beside = Path(path).parent if Path(path).name not in ("", "..") else here.parent
    target = out if out is not None else str(beside / f"{here.name}_report")
    if what_is(here) == "dir":
        demand_apart(target, {"the bundle": path})
    seen = validate_bundle(path, expect)
    if seen.metadata is None:
        msg = "does not validate"
        raise BundleInvalid(msg, findings=seen.findings, path=path)
    replayed, words = _replayed(seen)
    verdict = _verdict(seen, replayed)
    files = _derived(here.name, seen, seen.metadata, verdict, words, html=html)
    index = page_index("bundle", seen.digest, files, html=html)
    written = write_apart(target, files, index)
    notes = [f"{path}/{f.path}: {f.message}; {f.mend}" for f in seen.findings[:_MOST_NOTES]]
    if (more := len(seen.findings) - len(notes)) > 0:
        notes.append(f"… and {more} more")
    state = bundle_report.pin_words(seen.pinned, verdict.ok)
    return Outcome(
        tuple(f"{target}/{name}" for name in written),
        f"{'valid' if verdict.ok else 'invalid'}, {seen.digest}, {state}",
        tuple(notes),
        0 if verdict.ok else BundleInvalid.exit_code,
    )


def _replayed(seen: Inspection) -> tuple[Replay | None, str]:
    """Run the reference here; what differs is a problem of the bundle."""
    name = "replay with ONNX Runtime"

    def noted(verdict: str, words: str) -> None:
        seen.checks.append(
            CheckResult.model_validate({"name": name, "verdict": verdict, "text": words})
        )

    if not seen.ok or seen.metadata is None:
        words = "not replayed: the bundle does not verify"
        noted("not run", words)
        return None, words
    try:
        found = replay(Bundle(seen))
    except RuntimeMissing as error:
        words = f"not replayed: {error.message}"
        noted("not run", words)
        return None, words
    # another processor sums matrix products in another order, so the same lanes move by as much
    # again; a model that computes something else is further off by orders of magnitude
    reference = seen.metadata.reference
    limit = max(reference.tolerance.decoded_ulp, _ROOM * reference.largest_ulp)
    words = (
        f"onnxruntime {found.onnxruntime}: masks differ on {found.mask_differences} lanes, "
        f"decoded by at most {found.largest_ulp} ULP"
    )
    if found.mask_differences or found.largest_ulp > limit:
        mend = "use the onnxruntime of the export, or export again here"
        seen.findings.append(Finding("error", "replay", checks.MODEL, "", words, mend))
        noted("failed", words)
    else:
        noted("passed", words)
    return found, words


def _verdict(seen: Inspection, replayed: Replay | None) -> BundleValidation:
    return BundleValidation(
        ok=seen.ok,
        bundle_digest=seen.digest,
        pinned=seen.pinned,
        checks=tuple(seen.checks),
        findings=tuple(
            BundleFinding(code=f.code, path=f.path, message=f.message, mend=f.mend)
            for f in seen.findings
        ),
        replay=replayed,
    )


def _derived(
    name: str,
    seen: Inspection,
    metadata: BundleMetadata,
    verdict: BundleValidation,
    words: str,
    *,
    html: bool,
) -> dict[str, bytes]:
    figure = None
    if seen.outputs is not None:
        outputs = seen.outputs._asdict()
        figure = bundle_reference(seen.outputs.decoded, checks.lane_classes(outputs))
    page = bundle_report.page(name, metadata, verdict, words, figure)
    files = {"validation.json": verdict.to_bytes(), f"{_PAGE}.md": markdown.render(page).encode()}
    if figure is not None:
        files[figure.path] = sheet(figure)
    if html:
        files[f"{_PAGE}.html"] = render(page).encode()
    return files
