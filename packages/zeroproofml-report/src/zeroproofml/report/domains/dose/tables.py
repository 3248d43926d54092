"""The Markdown twins of the derived files: presets, published decisions, conformal rows, fronts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.figures.standard import cell_words
from zeroproofml.report.pages import numbers
from zeroproofml.report.pages.model import Code, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.contract import MetricDefinition
    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.pages.model import Cell, IntervalKind
    from zeroproofml.report.rundir import RawRun

    Data = Mapping[str, Any]

__all__ = ["front_tables", "preset_tables", "spoken"]

_INTERVAL: IntervalKind = "95 % Student-t interval"
_OPERATING = "aggregated/dose_operating_points.json"
_FRONTS = "aggregated/dose_pareto_front.json"
_WORDS = {
    "reference": "shown for reference, never chosen",
    "missing_seed": "a planned seed is missing",
    "arm_failed": "the arm failed",
    "infeasible": "no threshold meets the bound",
}
_CONFORMAL = {
    "interval_coverage_90": "coverage",
    "interval_width_90": "width",
    "coverage_potent_third": "potent third",
    "coverage_middle_third": "middle third",
    "coverage_weak_third": "weak third",
    "coverage_in_range": "set holds in range",
    "coverage_censored": "set holds censored",
    "ambiguous": "both classes",
    "empty": "no class",
}


def preset_tables(run: RawRun, protocol: Protocol, data: Data) -> tuple[Table, ...]:
    """One table per preset, then the chosen arms on test, published decisions, conformal rows."""
    made = [_ranking(run, protocol, name, preset) for name, preset in data["presets"].items()]
    made.append(_chosen(run, protocol, data))
    if data["published"]:
        made.append(_published(run, protocol, data))
    if data["conformal"]:
        made.append(_conformal(run, data))
    return tuple(made)


def front_tables(run: RawRun, protocol: Protocol, data: Data) -> tuple[Table, ...]:
    """One table per front."""
    return tuple(_front(run, protocol, name, front) for name, front in data["fronts"].items())


def spoken(preset: Data) -> str:
    """The winner of a preset in words; how many it cannot be told from comes first.

    >>> spoken({"status": "chosen", "arm": "tobit", "indistinguishable": ["two_stage"]})
    'one of 2 that cannot be told apart: tobit'
    >>> spoken({"status": "unavailable", "reason": "no candidate"})
    'unavailable: no candidate'
    """
    if preset["status"] != "chosen":
        return f"unavailable: {preset['reason']}"
    others = len(preset["indistinguishable"])
    told = f"one of {others + 1} that cannot be told apart: " if others else "chosen: "
    return told + str(preset["arm"])


def _seeds(run: RawRun) -> tuple[int, tuple[int, ...]]:
    return len(run.planned), tuple(sorted(run.results))


def _ranking(run: RawRun, protocol: Protocol, name: str, preset: Data) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for entry in preset["ranking"]:
        reason = entry["reason"]
        remark = "" if reason is None else _reason(reason)
        if entry["arm"] in preset.get("indistinguishable", ()):
            remark = "cannot be told from the first"
        rows.append(
            (
                Code(entry["arm"]),
                "" if entry["rank"] is None else numbers.count(entry["rank"]),
                _value(protocol.metrics[preset["objective"]], entry["calibration_mean"]),
                _value(protocol.metrics[preset["tie_break"]], entry["tie_break_mean"]),
                remark,
            )
        )
    words = f"{name.replace('_', '-')}: {spoken(preset)}"
    columns = (
        Column("arm", align="left"),
        Column("rank"),
        Column(f"{preset['objective']} on calibration"),
        Column(f"{preset['tie_break']} on calibration"),
        Column("remark", align="left"),
    )
    return Table(words, columns, tuple(rows), *_seeds(run), None, _OPERATING)


def _chosen(run: RawRun, protocol: Protocol, data: Data) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, preset in data["presets"].items():
        if preset["status"] != "chosen":
            continue
        for metric, found in preset["test"].items():
            exact = found["test_interval"]
            rows.append(
                (
                    name.replace("_", "-"),
                    Code(preset["arm"]),
                    Code(metric),
                    _cell(protocol.metrics[metric], found["cell"]),
                    "not a rate" if exact is None else _rates(exact),
                )
            )
    columns = [Column(label, align="left") for label in ("preset", "arm", "metric")]
    columns += [Column("mean and t interval"), Column("exact interval of the test set")]
    words = "Chosen arms on the frozen test set"
    return Table(words, tuple(columns), tuple(rows), *_seeds(run), _INTERVAL, _OPERATING)


def _published(run: RawRun, protocol: Protocol, data: Data) -> Table:
    shown = ("fp_cens", "fn_in", "macro_f1", "swap_rate")
    rows: list[tuple[Cell, ...]] = []
    for row in data["published"]:
        for point, words in (("published", _rule(row["rule"])), ("balanced", "calibrated")):
            cells = [_cell(protocol.metrics[name], row[point][name]) for name in shown]
            rows.append((Code(row["arm"]), words, *cells))
    columns = [Column("arm", align="left"), Column("decision", align="left")]
    columns += [Column(name) for name in shown]
    words = "Published decisions beside calibrated ones"
    return Table(words, tuple(columns), tuple(rows), *_seeds(run), _INTERVAL, _OPERATING)


def _conformal(run: RawRun, data: Data) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in data["conformal"]:
        cells: list[Cell] = []
        for name in _CONFORMAL:
            mean = row["metrics"][name]["mean"]
            if mean is None:
                cells.append(numbers.undefined(row["metrics"][name]["reasons"]["mean"]))
            else:
                cells.append(numbers.value(mean) if "width" in name else numbers.percent(mean))
        rows.append((Code(row["arm"]), *cells))
    units = {"width": "decades"}
    columns = [Column("arm", align="left")]
    columns += [Column(words, units.get(words, "")) for words in _CONFORMAL.values()]
    words = "Conformal intervals at 90 %, class sets at 95 %, mean over seeds"
    return Table(words, tuple(columns), tuple(rows), *_seeds(run), None, _OPERATING)


def _front(run: RawRun, protocol: Protocol, name: str, front: Data) -> Table:
    objectives: Sequence[Data] = front["objectives"]
    rows: list[tuple[Cell, ...]] = []
    for entry in front["entries"]:
        status = "on the front" if entry["status"] == "front" else entry["status"]
        if entry["dominated_by"] is not None:
            by = entry["dominated_by"]
            at = f", {by['point'].replace('_', '-')}" if by["point"] != entry["point"] else ""
            status = f"{'clearly ' if entry['clear'] else ''}dominated by {by['arm']}{at}"
        if entry["reason"] is not None:
            status += f": {_reason(entry['reason'])}"
        cells = [_objective(protocol, o["metric"], entry["means"][o["metric"]]) for o in objectives]
        rows.append((Code(entry["arm"]), entry["point"].replace("_", "-"), *cells, status))
    columns = [Column("arm", align="left"), Column("threshold", align="left")]
    columns += [Column(f"{o['metric']}, {o['better']} is better") for o in objectives]
    columns.append(Column("place", align="left"))
    words = f"Front {name.replace('_', ' and ')}, mean over seeds on the frozen test set"
    return Table(words, tuple(columns), tuple(rows), *_seeds(run), None, _FRONTS)


def _objective(protocol: Protocol, metric: str, mean: float | None) -> str:
    if mean is None:
        return "undefined"
    if metric == "in_range_accepted":
        return numbers.percent(mean)
    return _value(protocol.metrics[metric], mean)


def _value(definition: MetricDefinition, mean: float | None) -> str:
    if mean is None:
        return "undefined"
    return numbers.percent(mean) if definition.kind == "rate" else numbers.value(mean)


def _cell(definition: MetricDefinition, cell: Data) -> str:
    from zeroproofml.report.contract.derived import Cell as Stored

    return cell_words(definition, Stored.model_validate(cell))


def _rates(interval: Sequence[float]) -> str:
    return f"[{numbers.percent(interval[0])}, {numbers.percent(interval[1])}]"


def _rule(rule: float | str) -> str:
    return (
        "published: largest probability"
        if isinstance(rule, str)
        else f"published: {numbers.value(rule)}"
    )


def _reason(code: str) -> str:
    return _WORDS.get(code) or numbers.reason_words(code)
