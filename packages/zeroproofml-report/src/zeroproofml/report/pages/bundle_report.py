"""``VALIDATION_REPORT``: the page of a deployment bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroproofml.report._version import __version__
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import (
    Banner,
    Block,
    Cell,
    Code,
    Column,
    Figure,
    Page,
    Prose,
    Section,
    Table,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.contract.bundle import BundleMetadata, BundleValidation

__all__ = ["page", "pin_words"]

_SOURCE = "metadata.json"


def pin_words(pinned: bool, ok: bool) -> str:
    """Whether the bundle's origin is proved.

    >>> pin_words(False, True)
    'self-consistent, origin not pinned'
    """
    if not ok:
        return "not valid"
    return (
        "origin pinned by the expected digest" if pinned else "self-consistent, origin not pinned"
    )


def page(
    name: str,
    metadata: BundleMetadata,
    verdict: BundleValidation,
    replay_words: str,
    figure: Figure | None,
) -> Page:
    """The page of a bundle whose metadata could be read.

    Args:
        name: the directory's name.
        metadata: as parsed.
        verdict: checks and problems.
        replay_words: what the replay gave, or why there is none.
        figure: the reference lanes, if all is verified.

    Returns:
        A page with a stop banner if anything failed.
    """
    state = pin_words(verdict.pinned, verdict.ok)
    facts: list[tuple[str, Cell]] = [
        ("bundle", Text(name)),
        ("digest", Code(verdict.bundle_digest or "none")),
        ("origin", state),
        ("created (UTC)", metadata.created_utc),
        ("zeroproofml-report", Code(__version__)),
    ]
    sections = [
        Section("checks", "Checks", (_checks(verdict),)),
        Section("contract", "Contract", tuple(_contract(metadata))),
        Section("thresholds", "Thresholds", (_thresholds(metadata),)),
        Section("reference", "Reference smoke test", tuple(_reference(metadata, figure))),
        Section("replay", "Replay", (Prose((replay_words,)),)),
        Section("producer", "Producer and origin", (_producer(metadata),)),
        Section("files", "Files", (_files(metadata),)),
    ]
    if figure is None:
        words = "The reference lanes are not drawn: their bytes are not verified."
        sections.append(Section("not_drawn", "Not drawn, and why", (Prose((words,)),)))
    banners = () if verdict.ok else (_stop(verdict),)
    subtitle = "Deployment bundle of a strict-inference model"
    return Page("bundle", "Deployment bundle", subtitle, banners, tuple(facts), tuple(sections))


def _stop(verdict: BundleValidation) -> Banner:
    lines: tuple[Cell, ...] = tuple(
        Text(f"{f.code} {f.path}: {f.message}; {f.mend}") for f in verdict.findings[:20]
    )
    if len(verdict.findings) > 20:
        lines += (f"… and {len(verdict.findings) - 20} more",)
    return Banner("stop", "validation failed", lines)


def _plain_table(
    caption: str, heads: Sequence[str], rows: Sequence[tuple[Cell, ...]], left: int = 1
) -> Table:
    columns = tuple(
        Column(head, align="left" if number < left else "right")
        for number, head in enumerate(heads)
    )
    return Table(caption, columns, tuple(rows), 0, (), None, _SOURCE)


def _checks(verdict: BundleValidation) -> Table:
    rows = [(c.name, c.verdict, Text(c.text)) for c in verdict.checks]
    return _plain_table("Checks in their order", ("check", "verdict", "what was seen"), rows, 3)


def _contract(metadata: BundleMetadata) -> list[Block]:
    model, contracts = metadata.model, metadata.contracts
    rows: list[tuple[Cell, ...]] = [
        (side, Text(spec.name), spec.dtype, " × ".join(map(str, spec.shape)))
        for side, specs in (("input", model.inputs), ("output", model.outputs))
        for spec in specs
    ]
    ids: list[tuple[Cell, ...]] = [
        (label, Text(value) if value is not None else "none given")
        for label, value in (
            ("preprocessing", contracts.preprocessing_id),
            ("postprocessing", contracts.postprocessing_id),
            ("fallback policy", contracts.fallback_policy_id),
        )
    ]
    for name, each in sorted((contracts.normalization or {}).items()):
        spans = f"{len(each.mean)} columns; scale {numbers.value(min(each.scale))} to "
        ids.append((Text(f"normalization of {name}"), spans + numbers.value(max(each.scale))))
    if contracts.normalization is None:
        ids.append(("normalization", "none given"))
    ids.append(("model", f"ir version {model.ir_version}, opset {model.opset}"))
    return [
        _plain_table("Inputs and outputs", ("side", "name", "dtype", "shape"), rows, 4),
        _plain_table("What surrounds the model", ("contract", "value"), ids, 2),
    ]


def _thresholds(metadata: BundleMetadata) -> Table:
    decoding = metadata.decoding
    rows: list[tuple[Cell, ...]] = [
        ("mode", decoding.mode),
        ("gauge", decoding.gauge),
        ("tau_infer", numbers.value(decoding.tau_infer)),
        (
            f"tau_infer as compared, in {decoding.q_dtype}",
            f"{numbers.value(decoding.tau_infer_effective)}, relative rounding "
            + numbers.difference(decoding.tau_infer_effective / decoding.tau_infer - 1),
        ),
        (
            "tau_train",
            "none: no lane is in the gap"
            if decoding.tau_train is None
            else numbers.value(decoding.tau_train),
        ),
    ]
    rows += [
        (f"threshold of factor {number}", numbers.value(tau))
        for number, tau in enumerate(decoding.factor_thresholds)
    ]
    return _plain_table("Thresholds of the decision", ("threshold", "value"), rows)


def _reference(metadata: BundleMetadata, figure: Figure | None) -> list[Block]:
    reference = metadata.reference
    lanes = reference.lanes.plain()
    rows: list[tuple[Cell, ...]] = [
        (name, numbers.count(n) if isinstance(n, int) and n else "0: path not exercised")
        for name, n in lanes.items()
    ]
    words = (
        f"{numbers.count(reference.n_rows)} rows; the export compared the model with ONNX Runtime: "
        f"masks bit for bit, decoded within {reference.tolerance.decoded_ulp} ULP of P/Q as the "
        f"runtime computed them; largest distance from torch {reference.largest_ulp} ULP."
    )
    table = _plain_table("Lanes of the reference by class", ("class", "lanes"), rows)
    return [Prose((words,)), table, *([figure] if figure is not None else [])]


def _producer(metadata: BundleMetadata) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (key.replace("_", "-"), Code(str(value)))
        for key, value in metadata.producer.plain().items()
    ]
    source, run = metadata.source, metadata.run
    rows.append(("commit", "none given" if source is None else Code(source.commit)))
    if source is not None:
        rows.append(("checkout", "dirty" if source.dirty else "clean"))
    if run is None:
        rows.append(("run", "none given"))
    else:
        rows += [(f"run: {key}", Code(str(value))) for key, value in run.plain().items()]
    return _plain_table("What made the bundle", ("what", "value"), rows, 2)


def _files(metadata: BundleMetadata) -> Table:
    rows = [
        (Code(entry.path), entry.role, numbers.binary_size(entry.size), Code(entry.sha256))
        for entry in metadata.files
    ]
    return _plain_table("Files of the bundle", ("file", "role", "size", "sha256"), rows, 2)
