"""The standard protocol as the packaged data declares it: arms, settings, metrics, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.contract.derived import MetricDefinition
from zeroproofml.report.domains import ArmMetrics, packaged
from zeroproofml.report.domains.rf import members
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.domains.rf.metrics import arm_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zeroproofml.report.rundir import RawRun

BIN_WORDS = {
    "in": "Q 5 to 30, as trained",
    "q100": "Q 30 to 100",
    "q300": "Q 100 to 300",
    "q1000": "Q 300 to 1000",
}
_MARK = "<b>"


def seed_metrics(
    arrays: Mapping[str, Any], settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Metrics of ``arms`` from the arrays of one seed, by arm; nulls carry their reason."""
    tests = TestSet(arrays, settings)
    return {arm: packaged.split(arm_metrics(tests, arm)) for arm in arms}


def definitions(
    entries: Sequence[Mapping[str, Any]], words: Mapping[str, str]
) -> dict[str, MetricDefinition]:
    """The metric entries, ``<b>`` replaced by every key of ``words`` (in the text by its words).

    >>> entry = {"name": "a_<b>", "text": "t; <b>", "direction": "none", "unit": "",
    ...          "bounds": [0.0, 1.0], "kind": "rate"}
    >>> {name: made.text for name, made in definitions([entry], {"in": "trained"}).items()}
    {'a_in': 't; trained'}
    """
    return dict(made for entry in entries for made in _expanded(entry, words))


def _expanded(
    entry: Mapping[str, Any], words: Mapping[str, str]
) -> Iterator[tuple[str, MetricDefinition]]:
    rest = {key: entry[key] for key in ("direction", "unit", "kind")}
    for key, said in words.items() if _MARK in entry["name"] else [("", "")]:
        name, text = entry["name"].replace(_MARK, key), entry["text"].replace(_MARK, said)
        yield name, MetricDefinition(bounds=tuple(entry["bounds"]), text=text, **rest)


def derived(run: RawRun) -> dict[str, object]:
    """The domain's derived files."""
    from zeroproofml.report.domains.rf import pooled

    return {**pooled.aggregates(run)}


def figures(run: RawRun, derived: Mapping[str, Any]) -> list[Any]:
    """The domain's figures; the drawing code is loaded only where something is drawn."""
    from zeroproofml.report.figures import rf

    return [*rf.figures(run, derived)]


STANDARD = packaged.load(
    "rf",
    "standard",
    lambda entries: definitions(entries, BIN_WORDS),
    seed_metrics=seed_metrics,
    members=members.standard,
    aggregates=derived,
    figures=figures,
)
