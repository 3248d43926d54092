"""Raw to derived: every file of ``aggregated/``, the figures and the pages, as bytes in memory.

``derive`` is a pure function of the raw and record files of a run, of ``DERIVE_VERSION`` and of the
options. It opens no file, reads no clock and asks the machine nothing, so that the same run gives
the same bytes anywhere, and verifying a report means making it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroproofml.report import claims as judgement
from zeroproofml.report import domains
from zeroproofml.report._version import __version__
from zeroproofml.report.contract import (
    ArmValues,
    Baseline,
    ClaimsFile,
    Contrast,
    Deriver,
    MetricContext,
    MetricRecord,
    PairedStats,
    Seeds,
    Summary,
)
from zeroproofml.report.contract.strict_json import digest, dump, sha256
from zeroproofml.report.contrasts import Value, cell, draft, finished_family
from zeroproofml.report.errors import Finding
from zeroproofml.report.figures import standard
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.report.pages import audit, html, markdown, run_report
from zeroproofml.report.pages.model import Figure, NotDrawn, Table

if TYPE_CHECKING:
    from zeroproofml.report.rundir import RawRun

__all__ = [
    "DERIVE_VERSION",
    "Numbers",
    "Options",
    "baseline_block",
    "derive",
    "derive_numbers",
    "deriver",
    "seed_values",
]

DERIVE_VERSION = 1
"""Grows whenever any derived byte may change for the same run."""

SUMMARY = "aggregated/summary.json"
PAIRED = "aggregated/paired_stats.json"
CLAIMS = "aggregated/claims.json"
METRICS = "aggregated/benchmark_metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Options:
    """What a derivation depends on besides the run.

    Args:
        html: also write ``RUN_REPORT.html``.
        baseline: values of another run as they are embedded; its contrasts are made again.
        findings: problems of the raw and record files, for the banner of a damaged run.
        incomplete: the run is not sealed: its page says which seeds it rests on.
    """

    html: bool = False
    baseline: Baseline | None = None
    findings: tuple[Finding, ...] = ()
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """The derived numbers of a run, before anything is drawn or written."""

    summary: Summary
    paired: PairedStats
    claims: ClaimsFile
    log: tuple[MetricRecord, ...]


def derive(run: RawRun, options: Options | None = None) -> dict[str, bytes]:
    """Every derived file of a run.

    Args:
        run: raw and record files, loaded and verified.
        options: HTML or not, baseline, banners.

    Returns:
        Relative path → bytes, in the order of writing.
    """
    options = options or Options()
    protocol = run.protocol
    made = derive_numbers(run, protocol, options)
    files = {
        SUMMARY: made.summary.to_bytes(),
        PAIRED: made.paired.to_bytes(),
        CLAIMS: made.claims.to_bytes(),
        METRICS: b"".join(record.to_line() for record in made.log),
    }
    tables: list[Table] = []
    derived = protocol.aggregates(run)
    for path, content in derived.items():
        held = (content,) if isinstance(content, Table) else content
        if isinstance(held, tuple):  # tables of the page model: a Markdown file, and on the page
            files[path] = ("\n\n".join(map(markdown.render_table, held)) + "\n").encode()
            tables += held
        else:
            files[path] = dump(content)
    drawn = _figures(run, protocol, made, derived)
    figures = [each for each in drawn if isinstance(each, Figure)]
    not_drawn = [each for each in drawn if isinstance(each, NotDrawn)]
    files |= {figure.path: sheet(figure) for figure in figures}
    report = run_report.Report(
        run, protocol, made, options, tuple(figures), tuple(not_drawn), dict(files), tuple(tables)
    )
    page = run_report.page(report)
    files["RUN_REPORT.md"] = markdown.render(page).encode()
    files["CLAIM_AUDIT.md"] = markdown.render(audit.page(report)).encode()
    if options.html:
        files["RUN_REPORT.html"] = html.render(page).encode()
    return files


def deriver() -> Deriver:
    """Who derives: this package, its version, and the digest of its code on disk.

    >>> deriver().package
    'zeroproofml-report'
    """
    home = Path(__file__).parent
    code = sorted(
        [path.relative_to(home).as_posix(), sha256(path.read_bytes())]
        for path in home.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return Deriver(
        package="zeroproofml-report",
        version=__version__,
        derive_version=DERIVE_VERSION,
        code_digest=digest(code),
    )


def derive_numbers(run: RawRun, protocol: domains.Protocol, options: Options) -> Numbers:
    """The numbers alone: summary, contrasts, verdicts, metric log.

    Args:
        run: raw and record files.
        protocol: the law of the run's benchmark.
        options: only ``baseline`` matters here.

    Returns:
        Validated models, ready to be written.
    """
    head = _head(run)
    values = seed_values(run.results)
    summary = _summary(run, protocol, head, values)
    planned, complete = summary.seeds.planned, summary.seeds.complete
    judged = judgement.judge(
        run.provenance.plan.claims,
        judgement.Circumstances(
            run.config.mode,
            run.config.protocol.name,
            run.config.device,
            planned,
            len(complete) < len(planned),
            run.plan_extended,
            protocol.metrics,
            values,
        ),
    )
    present = [arm.key for arm in standard.present_arms(protocol, values)]
    reference = protocol.reference_arm if protocol.reference_arm in present else None
    exploratory: list[Contrast] = []
    if reference is not None:
        for metric in protocol.metrics:
            exploratory += _against(protocol, values, values, metric, present, reference)
    paired = PairedStats(
        **head,
        reference_arm=reference,
        within_run=(*judged.contrasts, *exploratory),
        baseline=_baseline(options.baseline, protocol, values),
    )
    claims = ClaimsFile(
        **head,
        declared=run.provenance.plan.claims,
        claims_digest=run.provenance.plan.claims_digest,
        family_size=judged.family_size,
        results=judged.results,
    )
    log = tuple(_log(run, protocol, summary, exploratory))
    return Numbers(summary, paired, claims, log)


def seed_values(results: Mapping[int, Any]) -> dict[str, dict[str, dict[int, Value]]]:
    """Arm → metric → seed → value, from seed results or from ``per_seed`` of a summary.

    Args:
        results: seed → something with ``arms`` (a seed result) or a mapping of arms.

    Returns:
        Every metric that an arm has in any seed.

    >>> values = seed_values({1: {"mlp": ArmValues(metrics={"mae": 0.5}, reasons={})}})
    >>> values["mlp"]["mae"][1].number
    0.5
    """
    values: dict[str, dict[str, dict[int, Value]]] = {}
    for seed, result in sorted(results.items()):
        arms = getattr(result, "arms", result)
        for arm, made in arms.items():
            for metric, number in made.metrics.items():
                value = Value(number, made.reasons.get(metric))
                values.setdefault(arm, {}).setdefault(metric, {})[seed] = value
    return values


def baseline_block(
    run_id: str, root_digest: str, summary: Summary, mismatches: Iterable[str]
) -> Baseline:
    """Another run's values as they are embedded; its contrasts are made by the derivation.

    Args:
        run_id: of the baseline.
        root_digest: of the baseline's manifest.
        summary: of the baseline, validated.
        mismatches: keys in which the two runs differ, in words.

    Returns:
        A block without contrasts.
    """
    values = seed_values({int(seed): arms for seed, arms in summary.per_seed.items()})
    return Baseline(
        run_id=run_id,
        raw_digest=summary.raw_digest,
        root_digest=root_digest,
        domain=summary.domain,
        mode=summary.mode,
        protocol=summary.protocol,
        config_hash=summary.config_hash,
        mismatches=tuple(mismatches),
        values={
            arm: {
                metric: {str(seed): value.number for seed, value in by_seed.items()}
                for metric, by_seed in metrics.items()
            }
            for arm, metrics in values.items()
        },
        contrasts=(),
    )


def _head(run: RawRun) -> dict[str, Any]:
    return {
        "derive_version": DERIVE_VERSION,
        "domain": run.config.domain,
        "mode": run.config.mode,
        "protocol": run.config.protocol,
        "config_hash": run.provenance.config_hash,
        "raw_digest": run.raw_digest,
    }


def _summary(
    run: RawRun,
    protocol: domains.Protocol,
    head: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Mapping[int, Value]]],
) -> Summary:
    complete = tuple(sorted(run.results))
    cells = {
        arm.key: {
            metric: cell([mine[metric].get(seed, Value(None)) for seed in complete])
            for metric in protocol.metrics
            if metric in mine
        }
        for arm in protocol.arms
        if (mine := values.get(arm.key)) is not None
    }
    return Summary(
        **head,
        seeds=Seeds(planned=run.planned, complete=complete, failed=_missing(run)),
        metric_definitions=dict(protocol.metrics),
        per_seed={
            str(seed): {
                key: ArmValues(
                    metrics=arm.metrics,
                    reasons={
                        name: code for name, code in arm.reasons.items() if name in arm.metrics
                    },
                )
                for key, arm in result.arms.items()
            }
            for seed, result in sorted(run.results.items())
        },
        cells=cells,
    )


def _missing(run: RawRun) -> dict[str, str]:
    """The code of each planned seed without a result; ``not_run`` if it never failed."""
    codes = {seed: run.failed.get(seed, "not_run") for seed in run.planned}
    return {str(seed): code for seed, code in sorted(codes.items()) if seed not in run.results}


def _against(
    protocol: domains.Protocol,
    values: Mapping[str, Mapping[str, Mapping[int, Value]]],
    others: Mapping[str, Mapping[str, Mapping[int, Value]]],
    metric: str,
    arms: Iterable[str],
    reference: str,
) -> tuple[Contrast, ...]:
    """All arms against one, in one metric: a family of its own."""
    theirs = others[reference].get(metric)
    if theirs is None:
        return ()
    definition = protocol.metrics[metric]
    drafts = [
        draft(arm, reference, metric, definition, "exploratory", mine, theirs)
        for arm in arms
        if arm != reference and (mine := values[arm].get(metric)) is not None
    ]
    return finished_family(drafts, f"{metric} against {reference}")


def _baseline(
    block: Baseline | None,
    protocol: domains.Protocol,
    values: Mapping[str, Mapping[str, Mapping[int, Value]]],
) -> Baseline | None:
    """The same arm in both runs, one family per metric; from the embedded values alone."""
    if block is None:
        return None
    contrasts: list[Contrast] = []
    for metric, definition in protocol.metrics.items():
        drafts = []
        for arm in protocol.arms:
            mine = values.get(arm.key, {}).get(metric)
            stored = block.values.get(arm.key, {}).get(metric)
            if mine is None or stored is None:
                continue
            theirs = {
                int(seed): Value(number, None if number is not None else "missing")
                for seed, number in stored.items()
            }
            drafts.append(draft(arm.key, arm.key, metric, definition, "exploratory", mine, theirs))
        contrasts += finished_family(drafts, f"{metric} against the baseline")
    return block.model_copy(update={"contrasts": tuple(contrasts)})


def _log(
    run: RawRun, protocol: domains.Protocol, summary: Summary, contrasts: Iterable[Contrast]
) -> Iterable[MetricRecord]:
    """The numbers once more as a log, for tools that read lines: seeds, means, differences."""
    name = f"{run.config.protocol.name}/{run.config.protocol.version}"
    about: dict[str, Any] = {"domain": run.config.domain, "mode": run.config.mode, "protocol": name}
    arms = list(summary.cells)
    for arm in arms:
        for seed in summary.seeds.complete:
            values = summary.per_seed[str(seed)].get(arm)
            if values is not None:
                context = MetricContext(**about, arm=arm, seed=seed)
                yield MetricRecord(
                    phase="benchmark_seed",
                    step=seed,
                    context=context,
                    metrics=values.metrics,
                    reasons=values.reasons,
                )
    for arm in arms:
        for statistic in ("mean", "median"):
            cells = summary.cells[arm]
            yield MetricRecord(
                phase="benchmark_summary",
                context=MetricContext(**about, arm=arm, statistic=statistic),
                metrics={metric: getattr(made, statistic) for metric, made in cells.items()},
                reasons={
                    metric: made.reasons[statistic]
                    for metric, made in cells.items()
                    if getattr(made, statistic) is None
                },
            )
    found: dict[tuple[str, str], list[Contrast]] = {}
    for contrast in contrasts:
        found.setdefault((contrast.arm, contrast.comparator), []).append(contrast)
    for arm in arms:
        for (key, comparator), members in found.items():
            if key == arm:
                context = MetricContext(**about, arm=arm, comparator=comparator, statistic="mean")
                yield MetricRecord(
                    phase="benchmark_delta",
                    context=context,
                    metrics={c.metric: c.mean_diff for c in members},
                    reasons={
                        c.metric: c.reasons["mean_diff"] for c in members if c.mean_diff is None
                    },
                )


def _figures(
    run: RawRun, protocol: domains.Protocol, made: Numbers, derived: Mapping[str, object]
) -> list[Figure | NotDrawn]:
    found: list[Figure | NotDrawn] = [
        standard.metric_summary(made.summary, protocol),
        standard.per_seed(made.summary, protocol),
        standard.baseline_delta(made.paired.baseline, made.summary, protocol),
    ]
    found += protocol.figures(run, derived)
    return found
