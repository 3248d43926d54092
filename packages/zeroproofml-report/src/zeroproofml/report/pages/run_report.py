"""``RUN_REPORT``: the page of one benchmark run, in the order that a reader needs it.

What is printed is stored JSON, raw files and provenance; never a time of rendering, a path of this
machine, the generation or the root digest, so that equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroproofml.report._version import __version__
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.contrasts import disagreement
from zeroproofml.report.figures.standard import (
    T_INTERVAL,
    cell_words,
    difference_words,
    interval_words,
    number_words,
    present_arms,
)
from zeroproofml.report.pages import bottom, numbers
from zeroproofml.report.pages.model import (
    Banner,
    Block,
    Cell,
    Code,
    Column,
    Figure,
    NotDrawn,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Text,
    seed_list,
)

if TYPE_CHECKING:
    from zeroproofml.report.contract import Contrast
    from zeroproofml.report.derive import Numbers, Options
    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.rundir import RawRun

__all__ = ["Report", "banners", "page"]

_SUMMARY = "aggregated/summary.json"
_PAIRED = "aggregated/paired_stats.json"
_STANDARD = ("metric_summary", "per_seed_metric_distributions", "baseline_delta", "coverage_risk")


@dataclass(frozen=True, slots=True)
class Report:
    """A run and everything derived from it so far.

    ``files`` holds the derived bytes by path, ``tables`` what the domain adds to its pack.
    """

    run: RawRun
    protocol: Protocol
    numbers: Numbers
    options: Options
    figures: tuple[Figure, ...]
    not_drawn: tuple[NotDrawn, ...]
    files: Mapping[str, bytes]
    tables: tuple[Table, ...] = ()

    @property
    def seeds(self) -> tuple[int, tuple[int, ...]]:
        """Number of planned seeds, and the complete ones."""
        seeds = self.numbers.summary.seeds
        return len(seeds.planned), seeds.complete


def page(report: Report) -> Page:
    """The report of a run.

    Args:
        report: the run and everything derived from it.

    Returns:
        A page whose sections stand in the fixed order; those without content are named in the last.
    """
    config = report.run.config
    found: list[tuple[str, str, list[Block]]] = [
        ("data", "Data", _data(report)),
        ("claims", "Claims and verdicts", _claims(report)),
        ("metrics", "Metric summary", _metrics(report)),
        ("seeds", "Per seed", _named(report, "per_seed_metric_distributions")),
        ("baseline", "Baseline", _baseline(report)),
        ("coverage", "Coverage and risk", _named(report, "coverage_risk")),
        ("bottom", "⊥ accounting", bottom.blocks(report.run, report.protocol)),
        ("domain", "Domain pack", _domain(report)),
        ("environment", "Environment", _environment(report)),
        ("files", "Files", _files(report)),
        ("checklist", "Reporting checklist", _checklist(report)),
    ]
    sections = [Section(slug, title, tuple(blocks)) for slug, title, blocks in found if blocks]
    absent = [title for _, title, blocks in found if not blocks]
    sections.append(Section("not_drawn", "Not drawn, and why", _not_drawn(report, absent)))
    return Page(
        "benchmark",
        f"{config.domain.upper()} benchmark, {config.mode}",
        f"Scientific benchmark, protocol {config.protocol.name} v{config.protocol.version}",
        banners(report),
        _identity(report),
        tuple(sections),
    )


def banners(report: Report) -> tuple[Banner, ...]:
    """What a reader must know first, in order of precedence.

    Args:
        report: the run and everything derived from it.

    Returns:
        The banners that apply.
    """
    made: list[Banner] = []
    run, options, summary = report.run, report.options, report.numbers.summary
    config, source = run.config, run.provenance.source
    if options.findings:
        lines: tuple[Cell, ...] = tuple(Text(finding.line()) for finding in options.findings[:20])
        if len(options.findings) > 20:
            lines += (f"… and {len(options.findings) - 20} more",)
        made.append(Banner("stop", "validation failed", lines))
    if options.incomplete:
        missing = [s for s, code in summary.seeds.failed.items() if code == "not_run"]
        if missing:
            total, complete = report.seeds
            head = f"incomplete: seeds {seed_list(complete)} of {total}"
            made.append(Banner("stop", head, ("The run is not sealed.",)))
        else:
            made.append(Banner("stop", "incomplete: the run is not sealed"))
    failed = {s: code for s, code in summary.seeds.failed.items() if code != "not_run"}
    if failed:
        words = tuple(f"seed {seed}: {code}" for seed, code in failed.items())
        made.append(Banner("warn", "partial run: planned seeds without a result", words))
    if config.mode != "paper":
        head = f"not evidence: {config.mode} run"
        made.append(
            Banner("warn", head, ("It shows that the machinery works. No claim rests on it.",))
        )
    if source.commit is None:
        made.append(
            Banner("warn", "unknown commit", ("The sources were not under version control.",))
        )
    elif source.dirty:
        made.append(
            Banner("warn", "dirty checkout", ("The code differs from the commit that is named.",))
        )
    short = [
        claim.id
        for claim in run.provenance.plan.claims
        if claim.min_seeds > len(summary.seeds.complete)
    ]
    if short:
        least = max(claim.min_seeds for claim in run.provenance.plan.claims)
        line = f"{len(short)} claims need up to {least} seeds."
        made.append(Banner("warn", "fewer seeds than a claim requires", (line,)))
    if config.protocol.name == "classic":
        made.append(Banner("info", "classic protocol: reproduces the published law"))
    return tuple(made)


def _identity(report: Report) -> tuple[tuple[str, Cell], ...]:
    run, (total, complete) = report.run, report.seeds
    config, source = run.config, run.provenance.source
    packages = run.provenance.attempts[-1].environment.packages if run.provenance.attempts else {}
    named = [f"{name} {packages[name]}" for name in sorted(packages) if _is_named(name)]
    status = "partial" if len(complete) < total else "complete"
    if report.options.incomplete:
        status = "not sealed"
    verdict = "failed, see above" if report.options.findings else "raw and record files verify"
    facts: list[tuple[str, Cell]] = [
        ("kind", "scientific benchmark (not a microbenchmark)"),
        ("domain", Code(config.domain)),
        ("protocol", f"{config.protocol.name} v{config.protocol.version}"),
        ("mode", Code(config.mode)),
        ("seeds", f"{len(complete)} of {total} ({seed_list(complete)})"),
        ("device", Text(config.device)),
        ("commit", _commit(report)),
        ("packages", Text(", ".join(named))),
        ("raw digest", Code(run.raw_digest)),
        ("config digest", Code(run.provenance.config_hash)),
        ("state", status),
        ("validation", verdict),
    ]
    if source.commit is not None and source.diff_sha256 is not None:
        facts.insert(7, ("uncommitted changes", Code(source.diff_sha256)))
    return tuple(facts)


def _data(report: Report) -> list[Block]:
    """The fingerprints of all data sets; one that seeds share stands in one row."""
    found: dict[tuple[str, str, int, str], list[int]] = {}
    for seed, result in sorted(report.run.results.items()):
        for name, ref in sorted(result.datasets.items()):
            found.setdefault((name, ref.role, ref.n, ref.digest), []).append(seed)
    rows = tuple(
        (Code(name), role, numbers.count(n), seed_list(tuple(seeds)), Code(digest[7:23]))
        for (name, role, n, digest), seeds in found.items()
    )
    columns = (
        Column("data set", align="left"),
        Column("role", align="left"),
        Column("n"),
        Column("seeds", align="left"),
        Column("digest", align="left"),
    )
    return [Table("Data sets", columns, rows, 0, (), None, "seed_1/per_seed_result.json")]


def _is_named(name: str) -> bool:
    return name.startswith("zeroproofml") or name in {"numpy", "scipy", "torch", "jax"}


def _commit(report: Report) -> Cell:
    source = report.run.provenance.source
    if source.commit is None:
        return f"unknown ({source.reasons.get('commit', 'missing')})"
    return Code(f"{source.commit}, dirty" if source.dirty else f"{source.commit}, clean")


def _claims(report: Report) -> list[Block]:
    from zeroproofml.report.pages import audit

    if not report.numbers.claims.declared:
        return [Notice(("No claim was declared.",))]
    note = ("Statement, test and seed files of each claim: ", Code("CLAIM_AUDIT.md"), ".")
    return [audit.claims_table(report), Prose(note)]


def _metrics(report: Report) -> list[Block]:
    summary = report.numbers.summary
    total, complete = report.seeds
    arms = Table(
        "Arms",
        (
            Column("arm", align="left"),
            Column("name", align="left"),
            Column("role", align="left"),
            Column("parameters"),
            Column("failed seeds"),
        ),
        tuple(_arm_row(report, arm.key, arm.label, arm.role) for arm in _arms(report)),
        total,
        complete,
        None,
        "seed_1/per_seed_result.json" if complete[:1] == (1,) else "per_seed_result.json",
    )
    rows: list[tuple[Cell, ...]] = []
    row_n: list[int | None] = []
    for metric, definition in summary.metric_definitions.items():
        for arm in _arms(report):
            stored = summary.cells[arm.key].get(metric)
            if stored is None:
                continue
            flag = (
                " (intervals disagree about 0)" if disagreement(stored.ci_t, stored.ci_bca) else ""
            )
            median = (
                numbers.undefined(stored.reasons["median"])
                if stored.median is None
                else number_words(definition, stored.median)
            )
            rows.append(
                (
                    Code(metric),
                    Code(arm.key),
                    cell_words(definition, stored),
                    interval_words(definition, stored.ci_bca, stored.n) + flag,
                    median,
                    _nulls(stored.nulls),
                )
            )
            row_n.append(stored.n)
    everything = Table(
        "All metrics of all arms",
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            Column("mean and t interval"),
            Column("BCa interval"),
            Column("median"),
            Column("⊥ seeds", align="left"),
        ),
        tuple(rows),
        total,
        complete,
        T_INTERVAL,
        _SUMMARY,
        tuple(row_n),
    )
    definitions = Table(
        "What the metrics are",
        (
            Column("metric", align="left"),
            Column("unit", align="left"),
            Column("better", align="left"),
            Column("definition", align="left"),
        ),
        tuple(
            (Code(metric), Text(d.unit or "none"), d.direction, Text(d.text))
            for metric, d in summary.metric_definitions.items()
        ),
        0,
        (),
        None,
        _SUMMARY,
    )
    blocks: list[Block] = [arms, *_named(report, "metric_summary"), everything]
    return [*blocks, *_within(report), definitions]


def _arms(report: Report) -> list[Any]:
    return present_arms(report.protocol, report.numbers.summary.cells)


def _arm_row(report: Report, key: str, label: str, role: str) -> tuple[Cell, ...]:
    made = [result.arms[key] for result in report.run.results.values() if key in result.arms]
    sizes = sorted({arm.n_parameters for arm in made})
    failed = sum(arm.status == "failed" for arm in made)
    shown = " to ".join(numbers.count(n) for n in (sizes[0], sizes[-1])[: len(sizes)])
    return (Code(key), Text(label), role, shown, numbers.count(failed))


def _nulls(nulls: Mapping[Any, int]) -> str:
    return ", ".join(f"{numbers.reason_words(c)}: {n}" for c, n in nulls.items()) or "0"


def _within(report: Report) -> list[Block]:
    paired = report.numbers.paired
    if paired.reference_arm is None:
        return [Notice(("The run lacks the reference arm: no exploratory contrasts.",))]
    declared = set(report.protocol.declared_metrics)
    shown = [c for c in paired.within_run if c.kind == "exploratory" and c.metric in declared]
    table = _contrasts(report, shown, f"Exploratory contrasts against {paired.reference_arm}")
    words = (
        "Exploratory: one Holm family per metric, no claim. Positive differences mean that the arm "
        "is better. All metrics: "
    )
    note = (
        words,
        Code(_PAIRED),
        ".",
    )
    return [table, Prose(note)]


def _contrasts(report: Report, shown: list[Contrast], caption: str) -> Table:
    total, complete = report.seeds
    rows: list[tuple[Cell, ...]] = []
    for contrast in shown:
        definition = report.numbers.summary.metric_definitions[contrast.metric]
        remark: str = contrast.better or "no direction"
        if contrast.p_floor is not None and contrast.p_floor > 0.05 / contrast.family_size:
            remark += f"; cannot reach significance with {contrast.n} seeds"
        if disagreement(contrast.ci_t, contrast.ci_bca):
            remark += "; intervals disagree about 0"
        rows.append(
            (
                Code(contrast.metric),
                Code(contrast.arm),
                difference_words(definition, contrast),
                "none" if contrast.p_holm is None else numbers.p_value(contrast.p_holm),
                "none" if contrast.hedges_g is None else numbers.difference(contrast.hedges_g),
                remark,
            )
        )
    return Table(
        caption,
        (
            Column("metric", align="left"),
            Column("arm", align="left"),
            Column("mean difference and t interval"),
            Column("adjusted p"),
            Column("Hedges g"),
            Column("better", align="left"),
        ),
        tuple(rows),
        total,
        complete,
        T_INTERVAL,
        _PAIRED,
        tuple(contrast.n for contrast in shown),
    )


def _baseline(report: Report) -> list[Block]:
    block = report.numbers.paired.baseline
    if block is None:
        return []
    facts: list[Block] = [
        Prose(
            (
                "baseline: as embedded in ",
                Code(_PAIRED),
                "; run ",
                Code(block.run_id),
                ", raw digest ",
                Code(block.raw_digest),
                ".",
            )
        )
    ]
    facts += [Notice(("Differs: ", Text(words))) for words in block.mismatches]
    return [*facts, *_named(report, "baseline_delta")]


def _named(report: Report, slug: str) -> list[Block]:
    return [figure for figure in report.figures if figure.slug == slug]


def _domain(report: Report) -> list[Block]:
    figures = [figure for figure in report.figures if figure.slug not in _STANDARD]
    return [*figures, *report.tables]


def _environment(report: Report) -> list[Block]:
    blocks: list[Block] = []
    models = set()
    for attempt in report.run.provenance.attempts:
        env = attempt.environment
        models.add(env.system.cpu_model)
        rows: list[tuple[Cell, Cell]] = [
            ("python", Text(f"{env.python.implementation} {env.python.version}")),
            ("system", Text(f"{env.system.os} {env.system.release or ''} {env.system.arch}")),
            ("processor", Text(env.system.cpu_model or "unknown")),
            ("threads per seed", str(env.identity.threads)),
            ("executor", f"{attempt.executor.name}, {attempt.executor.workers} workers"),
            ("environment digest", Code(env.identity.digest())),
        ]
        rows += [("gpu", Text(gpu.model)) for gpu in env.gpu]
        rows += [(f"code of {name}", Code(value)) for name, value in sorted(attempt.code.items())]
        rows += [
            ("package", Text(f"{name} {version}")) for name, version in sorted(env.packages.items())
        ]
        blocks.append(
            Table(
                f"Attempt {attempt.attempt}, {attempt.kind}",
                (Column("item", align="left"), Column("value", align="left")),
                tuple(rows),
                0,
                (),
                None,
                "provenance.json",
            )
        )
    if len(models) > 1:
        blocks.append(Notice(("The seeds were made on more than one processor model.",)))
    return blocks


def _files(report: Report) -> list[Block]:
    rows: list[tuple[Cell, ...]] = []
    for seed, commit in sorted(report.run.commits.items()):
        rows += [
            (Code(f"seed_{seed}/{f.path}"), numbers.binary_size(f.size), Code(f.sha256))
            for f in commit.files
        ]
    rows += [
        (Code(path), numbers.binary_size(len(data)), Code(sha256(data)))
        for path, data in sorted(report.files.items())
    ]
    columns = (Column("file", align="left"), Column("size"), Column("sha256", align="left"))
    table = Table("Raw and derived files", columns, tuple(rows), 0, (), None, "manifest.json")
    note = ("Pages, record files and the seal are listed in ", Code("manifest.json"), ".")
    return [table, Prose(note)]


def _checklist(report: Report) -> list[Block]:
    run, (total, complete) = report.run, report.seeds
    config = run.config
    packages = run.provenance.attempts[-1].environment.packages if run.provenance.attempts else {}
    ours = ", ".join(f"{n} {v}" for n, v in sorted(packages.items()) if n.startswith("zeroproofml"))
    rows: tuple[tuple[Cell, Cell], ...] = (
        ("scientific benchmark or microbenchmark", "scientific benchmark"),
        (
            "manifest.json and provenance.json kept with the result",
            "both lie in this directory; the manifest seals every file",
        ),
        (
            "commit, package versions, seeds, device, mode",
            Text(
                f"{_commit(report)}; {ours or 'versions unknown'}; "
                f"seeds {seed_list(complete)} of {total}; {config.device}; {config.mode}"
            ),
        ),
        (
            "report regenerated from stored artifacts",
            f"made by zeroproofml-report {__version__} from the raw files named above",
        ),
        (
            "no comparison with artifacts that fail the current schema",
            "run and baseline validated against schema version 1"
            if report.numbers.paired.baseline is not None
            else "run validated against schema version 1; no baseline",
        ),
    )
    columns = (Column("line", align="left"), Column("this run", align="left"))
    return [Table("Reporting checklist", columns, rows, 0, (), None, "provenance.json")]


def _not_drawn(report: Report, absent: list[str]) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = [
        (Code(each.path), Text(each.reason)) for each in report.not_drawn
    ]
    rows += [(f"section: {title}", "nothing to show") for title in absent]
    if not rows:
        return (Notice(("Everything was drawn.",)),)
    columns = (Column("what", align="left"), Column("why", align="left"))
    return (Table("Not drawn", columns, tuple(rows), 0, (), None, "manifest.json"),)
