"""aggregated/dose_operating_points: which arm each preset chooses, and what it does on fresh curves.

The choice reads calibration numbers only. What the arm would have been, had the frozen test set been
asked, stands beside it: the difference is the optimism of choosing on test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroproofml.report import stats
from zeroproofml.report.contrasts import Value, cell
from zeroproofml.report.domains.dose import conformal, presets
from zeroproofml.report.domains.dose.metrics import SEVEN, errors, seven
from zeroproofml.report.domains.dose.presets import PRESETS, Reading
from zeroproofml.report.domains.dose.record import limit
from zeroproofml.report.domains.dose.views import present
from zeroproofml.report.domains.packaged import head
from zeroproofml.report.domains.ranking import Null, mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.dose.answers import Outcome
    from zeroproofml.report.domains.dose.arms import DoseArm
    from zeroproofml.report.domains.dose.presets import Entry, Preset
    from zeroproofml.report.domains.dose.views import View
    from zeroproofml.report.domains.ranking import Value as Number
    from zeroproofml.report.rundir import RawRun

__all__ = ["PATH", "Gathered", "cell_of", "operating_points"]

PATH = "aggregated/dose_operating_points.json"
_RATES = {"fp_cens": "n_c", "fn_in": "n_in", "swap_rate": "n_c", "accept_rate": "n"}
"""Rates of the frozen test set → which of its curves they are of."""


@dataclass
class Gathered:
    """What is kept of every seed: calibration and test numbers by (arm, point), thresholds.

    Numbers are kept where a preset, a front or a published decision reads them, see :func:`_read`.

    ``sizes`` holds n, n_c and n_in of the test set; ``post`` the conformal rows by arm.
    """

    cal: dict[tuple[str, str], dict[int, dict[str, Number]]] = field(default_factory=dict)
    test: dict[tuple[str, str], dict[int, dict[str, Number]]] = field(default_factory=dict)
    points: dict[tuple[str, str], dict[int, dict[str, Any]]] = field(default_factory=dict)
    post: dict[str, dict[str, dict[int, Number]]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, run: RawRun, view: View) -> None:
        """Take one seed."""
        known = present(run)
        truth = view.truth["test"]
        n_in = int(truth.in_range.sum())
        self.sizes = {"n": len(truth), "n_c": len(truth) - n_in, "n_in": n_in}
        for arm, points in view.points.items():
            for where, name in _read(known[arm]):
                kept = self.cal if where == "cal" else self.test
                made = view.outcome(arm, where, name)
                kept.setdefault((arm, name), {})[view.seed] = _numbers(made)
            for name, point in points.items():
                self.points.setdefault((arm, name), {})[view.seed] = {
                    "seed": view.seed,
                    "t": point.number,
                    "accept_all": point.accept_all,
                    "refuse_all": point.refuse_all,
                    "tau_limit_decades": limit(known[arm], point),
                }
            if known[arm].shown:
                cal, test = view.pair(arm, "cal"), view.pair(arm, "test")
                rows = conformal.interval(cal, test) | conformal.class_sets(cal, test)
                for name, value in conformal.thirds(cal, test).items():
                    rows[f"coverage_{name}_third"] = value
                for name, value in rows.items():
                    self.post.setdefault(arm, {}).setdefault(name, {})[view.seed] = value


def operating_points(run: RawRun, gathered: Gathered) -> dict[str, Any]:
    """The file's content: presets, published decisions beside calibrated ones, conformal rows."""
    return {
        **head(run, "dose_operating_points"),
        "presets": {preset.name: _preset(run, gathered, preset) for preset in PRESETS},
        "published": _published(run, gathered),
        "conformal": [
            {"arm": arm, "metrics": {name: cell_of(seeds) for name, seeds in rows.items()}}
            for arm, rows in gathered.post.items()
        ],
    }


def _read(arm: DoseArm) -> list[tuple[str, str]]:
    """Sets and points whose numbers of an arm are read by anyone."""
    points = [preset.name for preset in PRESETS] if arm.shown else []
    read = [("cal", point) for point in points]
    if arm.published is not None:
        points = list(dict.fromkeys([*points, "balanced", "published"]))
    return read + [("test", point) for point in points]


def _numbers(made: Outcome | None) -> dict[str, Number]:
    values = seven(made)
    fp, fn = values["fp_cens"], values["fn_in"]
    cost: Number = fp if isinstance(fp, Null) else fn
    if not isinstance(fp, Null) and not isinstance(fn, Null):
        cost = fp + fn
    raw: Number = Null("not_applicable")
    if made is not None:
        raw = mean(errors(made, made.answer.value))
    return values | {"cost_1_1": cost, "finite_mae": raw}


def _preset(run: RawRun, gathered: Gathered, preset: Preset) -> dict[str, Any]:
    known, planned = present(run), run.planned
    shown = [key for key, arm in known.items() if arm.shown]
    shut_out = {key: "reference" for key in shown if known[key].part == "reference"}
    own = {arm: _readings(run, gathered.cal, arm, preset) for arm in shown}
    ranking = presets.rank(preset, own, planned, shut_out)
    out: dict[str, Any] = {
        "point": preset.name,
        "objective": preset.objective,
        "better": preset.better,
        "tie_break": preset.tie_break,
        "ranking": [_entry(entry, rank) for rank, entry in enumerate(ranking, 1)],
    }
    winner = ranking[0].arm if ranking and ranking[0].eligible else None
    if winner is None:
        reason = "no candidate has a feasible point and a defined objective in every planned seed"
        return out | {"status": "unavailable", "reason": reason}
    fresh = {arm: _readings(run, gathered.test, arm, preset) for arm in shown}
    # The same candidates, asked on the test set: infeasible ones stay out.
    barred = shut_out | {e.arm: e.reason for e in ranking if e.reason is not None}
    on_test = presets.rank(preset, fresh, planned, barred)
    return out | {
        "status": "chosen",
        "reason": None,
        "arm": winner,
        "calibration": ranking[0].mean,
        "indistinguishable": presets.indistinguishable(preset, ranking, own, planned),
        "gauge": None if (gauge := known[winner].gauge) is None else gauge.plain(),
        "test": _test(gathered, winner, preset.name),
        "thresholds": [gathered.points[winner, preset.name][seed] for seed in planned],
        "if_chosen_on_test": _optimism(preset, on_test, winner),
    }


def _readings(
    run: RawRun,
    table: Mapping[tuple[str, str], Mapping[int, Mapping[str, Number]]],
    arm: str,
    preset: Preset,
) -> dict[int, Reading]:
    found = {}
    for seed, result in run.results.items():
        if result.arms[arm].status != "ok":
            found[seed] = Reading(None, None, "arm_failed")
            continue
        values = table[arm, preset.name][seed]
        objective, tie = values[preset.objective], values[preset.tie_break]
        reason = str(objective) if isinstance(objective, Null) else None
        found[seed] = Reading(
            None if isinstance(objective, Null) else objective,
            None if isinstance(tie, Null) else tie,
            "infeasible" if reason == "not_applicable" else reason,
        )
    return found


def _entry(entry: Entry, rank: int) -> dict[str, Any]:
    return {
        "arm": entry.arm,
        "rank": rank if entry.eligible else None,
        "calibration_mean": entry.mean,
        "tie_break_mean": entry.tie_break,
        "eligible": entry.eligible,
        "reason": entry.reason,
    }


def _optimism(preset: Preset, on_test: Sequence[Entry], winner: str) -> dict[str, Any] | None:
    """How much better the arm looks that the test set itself would have chosen."""
    best = on_test[0]
    chosen = next(entry for entry in on_test if entry.arm == winner)
    if not best.eligible or best.mean is None or chosen.mean is None:
        return None
    gain = best.mean - chosen.mean
    return {
        "arm": best.arm,
        "objective": best.mean,
        "chosen_objective": chosen.mean,
        "optimism": gain if preset.better == "higher" else 0.0 - gain,
    }


def _test(gathered: Gathered, arm: str, point: str) -> dict[str, Any]:
    """The seven metrics: over seeds, and the exact interval of the frozen set for the rates."""
    seeds = gathered.test[arm, point]
    out = {}
    for name in SEVEN:
        made = cell_of({seed: values[name] for seed, values in seeds.items()})
        out[name] = {"cell": made, "test_interval": _exact(gathered, name, made["mean"])}
    return out


def _exact(gathered: Gathered, name: str, mean: float | None) -> list[float] | None:
    """Clopper–Pearson at the mean count: seeds share the test set, so counts are not pooled."""
    n = gathered.sizes.get(_RATES.get(name, ""), 0)
    if mean is None or n == 0:
        return None
    return list(stats.clopper_pearson(round(mean * n), n))


def _published(run: RawRun, gathered: Gathered) -> list[dict[str, Any]]:
    rows = []
    for arm, declared in present(run).items():
        if (arm, "published") not in gathered.test:
            continue
        row: dict[str, Any] = {"arm": arm, "rule": declared.published}
        for point in ("published", "balanced"):
            seeds = gathered.test[arm, point]
            row[point] = {
                name: cell_of({seed: values[name] for seed, values in seeds.items()})
                for name in SEVEN
            }
        rows.append(row)
    return rows


def cell_of(seeds: Mapping[int, Number]) -> dict[str, Any]:
    """The contract's cell of a metric over seeds, as plain data.

    >>> cell_of({1: 0.25, 2: Null("empty_set")})["n_null"]
    1
    """
    values = []
    for number in seeds.values():
        code: Any = str(number) if isinstance(number, Null) else None
        values.append(Value(None if isinstance(number, Null) else float(number), code))
    return cell(values).plain()
