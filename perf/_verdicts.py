"""The verdict on one target: ceilings, what a run measured for them, and the rules in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

import _measure
from _schema import Case, Model, Results

NOISE = 0.25
# A ratio travels between machines. The others stand where a target is an amount: memory, the cost
# of one ⊥ lane, the length of a whole run.
Quantity = Literal["ratio", "bytes_per_lane", "ns_per_bottom_lane", "seconds"]


class Ceiling(Model):
    """One target. Its id is a record's, and for another quantity than a ratio `record@quantity`."""

    impl: str
    reference: str | None  # None where nothing is divided by
    must: Annotated[float, Field(gt=0)]
    goal: Annotated[float, Field(gt=0)]
    direction: Literal["at_most", "at_least"]
    quantity: Quantity = "ratio"


@dataclass(frozen=True)
class Measured:
    """A value, and how far it is to be believed: its floor is relative, as a ceiling's is."""

    value: float
    floor: float
    preempted: bool


def record_id(name: str) -> str:
    """The record that a ceiling's id means."""
    return name.partition("@")[0]


def clean_twin(name: str) -> str:
    """The record or case without singular lanes that belongs to one with them."""
    return name.replace("/new", "/clean")


def ns_per_bottom_lane(case: Case, clean: Case) -> float:
    """What one new ⊥ lane costs: (t(new) - t(clean)) / number of ⊥ lanes, of which there are some."""
    lanes = (case.bottom_rate or 0.0) * case.n
    return (case.wall_ns.min - clean.wall_ns.min) / lanes


def _of_ratio(results: Results, name: str) -> Measured | None:
    for ratio in results.ratios:
        if ratio.id == name:
            return Measured(ratio.min_ratio, ratio.aa_floor, ratio.preempted)
    return None


def _of_bottom_lanes(results: Results, case: Case, must: float) -> Measured | None:
    """The difference of two cases is as uncertain as both together, against what is allowed."""
    clean = next((c for c in results.cases if c.id == clean_twin(case.id)), None)
    here, there = _of_ratio(results, case.id), _of_ratio(results, clean_twin(case.id))
    if clean is None or here is None or there is None or not case.bottom_rate:
        return None
    unsure = here.floor * case.wall_ns.min + there.floor * clean.wall_ns.min
    floor = unsure / (case.bottom_rate * case.n) / must
    return Measured(ns_per_bottom_lane(case, clean), floor, here.preempted or there.preempted)


def measured(results: Results, name: str, ceiling: Ceiling) -> Measured | None:
    """What the run says about a ceiling; None where it says nothing."""
    if ceiling.quantity == "ratio":
        return _of_ratio(results, name)
    case = next((c for c in results.cases if c.id == record_id(name)), None)
    if case is None:
        return None
    if ceiling.quantity == "ns_per_bottom_lane":
        return _of_bottom_lanes(results, case, ceiling.must)
    if ceiling.quantity == "bytes_per_lane":  # counted, not timed: the same every time
        return None if case.bytes_per_lane is None else Measured(case.bytes_per_lane, 0.0, False)
    wall, cpu = case.wall_ns.min, case.cpu_ns.min
    return Measured(wall / 1e9, _measure.FLOOR, cpu > 0 and wall / cpu > _measure.PREEMPTED)


def judge(found: Measured, ceiling: Ceiling) -> str:
    """The verdict on one measured value."""
    value, must, goal, floor = found.value, ceiling.must, ceiling.goal, found.floor
    if ceiling.direction == "at_least":  # the same test on the inverse
        value, must, goal = 1 / value, 1 / must, 1 / goal
    if floor > NOISE or found.preempted:
        return "inconclusive"
    if value > must * (1 + floor):
        return "slower"
    if value > must:
        return "inconclusive"
    return "faster" if value < goal else "same"
