"""Compare runs: what must agree, what differs, and the paired numbers. Run contract, section 11."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from zeroproofml.report import stats
from zeroproofml.report.answers import BaselineComparison, Comparison, Difference, RunRef
from zeroproofml.report.contract import Contrast
from zeroproofml.report.contract.base import Json
from zeroproofml.report.contrasts import (
    Draft,
    Value,
    draft,
    draft_unpaired,
    finished_family,
    sign_of,
)
from zeroproofml.report.derive import seed_values
from zeroproofml.report.errors import ComparisonRefused, ReportError, UsageError
from zeroproofml.report.rundir import BenchmarkRun, PathLike, RawRun, load_benchmark_run

if TYPE_CHECKING:
    from zeroproofml.report.contract import MetricDefinition, SeedResult

__all__ = [
    "BaselineComparison",
    "Comparison",
    "Difference",
    "NothingShared",
    "RunRef",
    "compare_benchmark_runs",
    "comparison_text",
    "differences",
    "mismatches",
    "require_comparable",
    "unequal_data",
]


class NothingShared(ReportError):
    """Two runs have no seed or no arm in common (exit 7)."""

    exit_code = 7
    default_code = "nothing"


def compare_benchmark_runs(
    run: BenchmarkRun | PathLike,
    baselines: Sequence[BenchmarkRun | PathLike],
    allow_mismatch: bool = False,
) -> Comparison:
    """Compare a run with others, arm by arm and seed by seed.

    Args:
        run: the target, loaded or its directory.
        baselines: what it is compared with.
        allow_mismatch: go on where the runs do not measure the same thing: those pairs get means
            but no test.

    Returns:
        The comparison; differences are positive where the target is better.

    Raises:
        RunInvalid: a run does not validate.
        ComparisonRefused: domain, mode, protocol, metric set or the data of a shared seed differ.
        NothingShared: no seed or no arm in common.

    >>> compare_benchmark_runs("no/such/run", ["no/other"])
    Traceback (most recent call last):
    zeroproofml.report.errors.RunInvalid: no/such/run: no such directory; name another
    """
    target = _loaded(run)
    if isinstance(baselines, str) or not isinstance(baselines, Iterable):
        msg = f"baselines: {baselines!r:.80} is no list of runs"
        raise UsageError(msg, hint="give a list, also of one")
    others = [_loaded(other) for other in baselines]
    made: list[BaselineComparison] = []
    found: list[Difference] = []
    for other in others:
        refused = mismatches(target.raw, other.raw)
        if refused and not allow_mismatch:
            raise _refusal(other.path, refused)
        found += [
            Difference(baseline=other.manifest.run_id, key=key, target=mine, other=theirs)
            for key, mine, theirs in differences(target.raw, other.raw)
        ]
        made.append(_compare(target, other, refused))
    return Comparison(target=_ref(target), baselines=tuple(made), differences=tuple(found))


def require_comparable(target: RawRun, other: RawRun) -> None:
    """Refuse a baseline that does not measure the same thing as a run (sealed or not).

    Args:
        target: the run.
        other: the baseline.

    Raises:
        UsageError: domain, mode, protocol, metric set or the data of a shared seed differ.
        NothingShared: no seed in common.
    """
    if refused := mismatches(target, other):
        msg = f"--baseline-run-dir: {refused[0]}"
        raise UsageError(msg, hint="compare runs of one protocol and one data set")
    if not target.results.keys() & other.results.keys():
        _refuse_empty("--baseline-run-dir", "seed")


def mismatches(target: RawRun, other: RawRun) -> list[str]:
    """What must agree between two runs and does not, in words; empty if they may be compared."""
    found = []
    for key in ("domain", "mode", "protocol"):
        a, b = getattr(target.config, key), getattr(other.config, key)
        if a != b:
            found.append(f"{key} differs ({_short(a)} vs {_short(b)})")
    sets = [{r.metric_set for r in run.results.values()} for run in (target, other)]
    if sets[0] != sets[1] and all(sets):
        shown = [", ".join(sorted(f"{s.name}/{s.version}" for s in each)) for each in sets]
        found.append(f"metric_set differs ({shown[0]} vs {shown[1]})")
    for seed in sorted(unequal_data(target.results, other.results)):
        a, b = _data(target.results[seed]), _data(other.results[seed])
        names = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
        one, two = (side.get(names[0], "sha256:none")[7:11] for side in (a, b))
        found.append(f"dataset digest differs ({one}… vs {two}…, {names[0]} of seed {seed})")
    return found


def unequal_data(mine: dict[int, SeedResult], theirs: dict[int, SeedResult]) -> frozenset[int]:
    """The shared seeds whose data sets differ."""
    return frozenset(
        seed for seed in mine.keys() & theirs.keys() if _data(mine[seed]) != _data(theirs[seed])
    )


def differences(target: RawRun, other: RawRun) -> list[tuple[str, Json, Json]]:
    """What differs between two runs without forbidding a comparison: config, code, environment."""
    pairs: list[tuple[str, Json, Json]] = []
    mine, theirs = target.provenance, other.provenance
    ours, its = mine.config.plain(), theirs.config.plain()
    pairs += [(f"config.{key}", ours[key], its[key]) for key in sorted(ours)]
    left, right = _code(target), _code(other)
    pairs += [
        (f"code.{name}", left.get(name), right.get(name))
        for name in sorted(left.keys() | right.keys())
    ]
    places: list[list[Json]] = [
        [*sorted({c.environment_digest for c in run.commits.values()})] for run in (target, other)
    ]
    pairs.append(("environments", places[0], places[1]))
    pairs.append(("source.commit", mine.source.commit, theirs.source.commit))
    pairs.append(("source.dirty", mine.source.dirty, theirs.source.dirty))
    return [(key, a, b) for key, a, b in pairs if a != b]


def comparison_text(made: Comparison) -> str:
    """The comparison for a terminal: mismatches first, then one table per metric.

    Args:
        made: from :func:`compare_benchmark_runs`.

    Returns:
        Lines without a final newline.
    """
    from zeroproofml.report.pages import numbers

    lines: list[str] = []
    for each in made.baselines:
        lines += [f"mismatch: {words}" for words in each.mismatches]
        lines.append(f"target {made.target.run_id}, baseline {each.baseline.run_id}")
        if each.same_run:
            lines.append("the target and the baseline are the same run")
        lines += [
            f"differs: {d.key}: {d.target} vs {d.other}"
            for d in made.differences
            if d.baseline == each.baseline.run_id
        ]
        for side in ("target", "baseline"):
            if each.seeds_only_in[side]:
                seeds = ", ".join(map(str, each.seeds_only_in[side]))
                lines.append(f"seeds only in the {side}: {seeds}")
            if each.arms_only_in[side]:
                lines.append(f"arms only in the {side}: {', '.join(each.arms_only_in[side])}")
        for metric in each.metrics:
            rows = [("arm", "n", "target", "baseline", "d", "interval", "adjusted p", "better")]
            for contrast in sorted(each.contrasts, key=lambda c: c.arm):
                if contrast.metric != metric:
                    continue
                d = contrast.mean_diff
                interval = "none"
                if contrast.ci_t is not None and d is not None:
                    shown = numbers.value_interval(d, *contrast.ci_t)
                    interval = shown.partition(" ")[2]
                rows.append(
                    (
                        contrast.arm,
                        str(contrast.n),
                        _number(each.target_means[contrast.arm][metric]),
                        _number(each.baseline_means[contrast.arm][metric]),
                        "none" if d is None else numbers.difference(d),
                        interval,
                        "none" if contrast.p_holm is None else numbers.p_value(contrast.p_holm),
                        contrast.better or "no direction",
                    )
                )
            lines += ["", metric, *_grid(rows)]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    from zeroproofml.report.pages import numbers

    return "undefined" if value is None else numbers.value(value)


def _grid(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in (0, 7) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _loaded(run: BenchmarkRun | PathLike) -> BenchmarkRun:
    return run if isinstance(run, BenchmarkRun) else load_benchmark_run(run)


def _ref(run: BenchmarkRun) -> RunRef:
    manifest = run.manifest
    return RunRef(
        run_id=manifest.run_id,
        raw_digest=manifest.raw_digest,
        root_digest=manifest.root_digest,
        domain=manifest.domain,
        mode=manifest.mode,
        protocol=manifest.protocol,
        seeds=manifest.seeds.complete,
    )


def _data(result: SeedResult) -> dict[str, str]:
    return {name: made.digest for name, made in result.datasets.items()}


def _code(run: RawRun) -> dict[str, str]:
    return next((dict(commit.code) for commit in run.commits.values()), {})


def _short(value: Any) -> str:
    version = getattr(value, "version", None)
    return str(value) if version is None else f"{value.name}/{version}"


def _refusal(path: str, refused: Iterable[str]) -> ComparisonRefused:
    listed = list(refused)
    more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
    return ComparisonRefused(f"{listed[0]}{more}", differences=listed, path=path)


def _refuse_empty(path: str, what: str) -> NoReturn:
    msg = f"no {what} in common"
    raise NothingShared(msg, path=path, hint="compare runs with shared seeds and arms")


def _compare(target: BenchmarkRun, other: BenchmarkRun, refused: list[str]) -> BaselineComparison:
    mine, theirs = seed_values(target.raw.results), seed_values(other.raw.results)
    seeds = set(target.raw.results), set(other.raw.results)
    arms = [arm for arm in sorted(mine) if arm in theirs]
    if not seeds[0] & seeds[1]:
        _refuse_empty(other.path, "seed")
    if not arms:
        _refuse_empty(other.path, "arm")
    unequal = unequal_data(target.raw.results, other.raw.results)
    definitions = target.summary.metric_definitions
    shared = other.summary.metric_definitions
    metrics = [m for m in definitions if m in shared and any(m in mine[a] for a in arms)]
    contrasts: list[Contrast] = []
    for metric in metrics:
        drafts = [
            _draft(
                arm, metric, definitions[metric], mine[arm][metric], theirs[arm][metric], unequal
            )
            for arm in arms
            if metric in mine[arm] and metric in theirs[arm]
        ]
        contrasts += finished_family(drafts, f"{metric} against {other.manifest.run_id}")
    return BaselineComparison(
        baseline=_ref(other),
        same_run=target.manifest.root_digest == other.manifest.root_digest,
        mismatches=tuple(refused),
        arms=tuple(arms),
        metrics=tuple(metrics),
        contrasts=tuple(contrasts),
        target_means=_means(target, arms, metrics),
        baseline_means=_means(other, arms, metrics),
        seeds_only_in={
            "target": tuple(sorted(seeds[0] - seeds[1])),
            "baseline": tuple(sorted(seeds[1] - seeds[0])),
        },
        arms_only_in={
            "target": tuple(sorted(mine.keys() - theirs.keys())),
            "baseline": tuple(sorted(theirs.keys() - mine.keys())),
        },
    )


def _draft(
    arm: str,
    metric: str,
    definition: MetricDefinition,
    mine: dict[int, Value],
    theirs: dict[int, Value],
    unequal: frozenset[int],
) -> Draft:
    made = draft(arm, arm, metric, definition, "exploratory", mine, theirs, unequal_data=unequal)
    if not unequal:
        return made
    # with other data there are no pairs: two means and their difference, no p
    left, right = (
        [value.number for value in side.values() if value.number is not None]
        for side in (mine, theirs)
    )
    gap = None
    if left and right:
        gap = sign_of(definition.direction) * (stats.mean(left) - stats.mean(right)) + 0.0
    return draft_unpaired(made, gap)


def _means(
    run: BenchmarkRun, arms: Iterable[str], metrics: Iterable[str]
) -> dict[str, dict[str, float | None]]:
    cells = run.summary.cells
    return {
        arm: {
            metric: None if (made := cells.get(arm, {}).get(metric)) is None else made.mean
            for metric in metrics
        }
        for arm in arms
    }
