"""Both protocols as the packaged data declares them: arms, settings, metrics, claims."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zeroproofml.report.contract.derived import MetricDefinition
from zeroproofml.report.domains import ArmMetrics, packaged
from zeroproofml.report.domains.dose import answers, arms, members, metrics
from zeroproofml.report.domains.dose.views import points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.domains.ranking import Value
    from zeroproofml.report.rundir import RawRun

__all__ = ["CLASSIC", "ORACLE", "STANDARD", "points", "seed_metrics"]

ORACLE = "bayes_oracle"
_AT = {
    "": "balanced threshold",
    **{suffix: name.replace("_", "-") + " threshold" for suffix, name in metrics.SUFFIXES.items()},
    "_published": "published decision",
}
_STRESS_WORDS = {"noise2": "noise ×2", "outlier": "outliers"}


def seed_metrics(
    protocol: str, arrays: Mapping[str, Any], settings: Mapping[str, Any], keys: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Metrics of the arms ``keys`` from the arrays of one seed, by arm; nulls carry their reason."""
    known = arms.arms(protocol)
    where = [name for name in members.sets(settings) if name != "cal"]
    truth = {name: answers.targets(arrays, name) for name in ("cal", *where)}

    def measured(key: str) -> dict[str, Value]:
        given = {name: answers.answer(arrays, key, name) for name in truth}
        return metrics.arm_metrics(
            known[key],
            (truth["cal"], given["cal"]),
            (truth["test"], given["test"]),
            {name: (truth[name], given[name]) for name in where if name != "test"},
            points(known[key], given["cal"], truth["cal"]),
            law=protocol,
        )

    oracle = measured(ORACLE) if f"{ORACLE}__test_score" in arrays else None
    out = {}
    for key in keys:
        numbers = dict(oracle) if key == ORACLE and oracle is not None else measured(key)
        numbers.update(metrics.beside_oracle(numbers, oracle))
        out[key] = packaged.split(numbers)
    return out


def _definitions(entries: Sequence[Mapping[str, Any]]) -> dict[str, MetricDefinition]:
    """Entries expanded over operating points; those on stress sets come last."""
    out: dict[str, MetricDefinition] = {}
    stress: dict[str, MetricDefinition] = {}
    for entry in entries:
        out.update(_at_points(entry))
    for where in metrics.STRESS:
        for entry in entries:
            stress.update(_on_stress(entry, where))
    return out | stress


def _definition(entry: Mapping[str, Any], text: str) -> MetricDefinition:
    rest = {key: entry[key] for key in ("direction", "unit", "kind")}
    return MetricDefinition(bounds=tuple(entry["bounds"]), text=text, **rest)


def _at_points(entry: Mapping[str, Any]) -> Iterator[tuple[str, MetricDefinition]]:
    if "<at>" not in entry["name"]:
        yield entry["name"], _definition(entry, entry["text"])
        return
    for suffix, words in _AT.items():
        name = entry["name"].replace("<at>", suffix)
        yield name, _definition(entry, entry["text"].replace("<at>", words))


def _on_stress(entry: Mapping[str, Any], where: str) -> Iterator[tuple[str, MetricDefinition]]:
    for suffix in ("", "_safety") if "<at>" in entry["name"] else ():
        name = f"{where}_{entry['name'].replace('<at>', suffix)}"
        words = f"{_AT[suffix]}; {_STRESS_WORDS[where]}"
        yield name, _definition(entry, entry["text"].replace("<at>", words))


def _aggregates(run: RawRun) -> dict[str, object]:
    """The tables need the page model, which a bench does not load before it derives."""
    from zeroproofml.report.domains.dose.aggregates import aggregates

    return aggregates(run)


def _figures(run: RawRun, derived: Mapping[str, Any]) -> list[Any]:
    from zeroproofml.report.figures import dose

    return [*dose.figures(run, derived)]


def _load(name: str) -> Protocol:
    return packaged.load(
        "dose",
        name,
        _definitions,
        seed_metrics=partial(seed_metrics, name),
        members=partial(members.members, name),
        aggregates=_aggregates,
        figures=_figures,
    )


STANDARD = _load("standard")
CLASSIC = _load("classic")
