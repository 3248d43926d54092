"""What the figures of the IK pack are drawn from: one pass over the seeds of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report import domains
from zeroproofml.report.domains.ik.policies import outcomes
from zeroproofml.report.domains.ik.rows import RobotRows, answer, read_kind, stop_cause, thresholds
from zeroproofml.report.domains.ranking import mean
from zeroproofml.report.figures.standard import arm_styles

if TYPE_CHECKING:
    from zeroproofml.report.domains import Protocol
    from zeroproofml.report.domains.ik.rows import Answer, Thresholds
    from zeroproofml.report.domains.ranking import Array
    from zeroproofml.report.figures.style import ArmStyle
    from zeroproofml.report.rundir import RawRun

MAPPED = ("scm_full", "mlp_pole")
SHARES = tuple(k / 100 for k in range(51))
WORDS = {"r2": "unit arm", "ur5": "UR5"}


@dataclass
class Mapped:
    """Natural rows of one arm and robot over all seeds: place (N, 2), residual, refused."""

    place: list[Array] = field(default_factory=list)
    residual: list[Array] = field(default_factory=list)
    refused: list[Array] = field(default_factory=list)


@dataclass
class Route:
    """Rows of one seed in the joint plane: natural ones with their fate, pole ones with their kind."""

    seed: int
    joints: Array
    routed: Array
    pole: Array
    kind: Array


@dataclass
class Timeline:
    """One path of one seed: errors and states (M,) by (arm, policy), σ_min of the reference."""

    seed: int
    path: int
    error: dict[tuple[str, str], Array]
    state: dict[tuple[str, str], Array]
    sigma: Array


@dataclass
class Gathered:
    """Everything that is drawn, by robot."""

    protocol: Protocol
    styles: dict[str, ArmStyle]
    planned: int
    seeds: tuple[int, ...]
    robots: tuple[str, ...]
    mapped: dict[tuple[str, str], Mapped] = field(default_factory=dict)
    route: dict[str, Route] = field(default_factory=dict)
    timeline: dict[str, Timeline] = field(default_factory=dict)
    risk: dict[tuple[str, str], list[Array]] = field(default_factory=dict)
    bounds: dict[tuple[str, str], list[Array]] = field(default_factory=dict)
    floor: dict[str, list[float]] = field(default_factory=dict)


PLANES = {"r2": (0, 1), "ur5": (2, 4)}
"""Joint plane of the route map: robot → two joint indices."""


def gather(run: RawRun) -> Gathered:
    """Read every seed once and keep what the figures need."""
    protocol = domains.get("ik", run.config.protocol.name)
    settings: Any = run.config.settings
    out = Gathered(
        protocol,
        arm_styles(protocol),
        len(run.planned),
        tuple(sorted(run.results)),
        tuple(settings["robots"]),
    )
    for seed in out.seeds:
        arms = [key for key, made in run.results[seed].arms.items() if made.status == "ok"]
        if "ideal" in arms:
            arrays = run.arrays(seed)
            for robot in out.robots:
                _robot(out, arrays, seed, robot, arms)
    return out


def _robot(out: Gathered, arrays: Any, seed: int, robot: str, arms: list[str]) -> None:
    rows = RobotRows(arrays, robot)
    best = rows.residual(answer(arrays, "ideal", robot, rows.kappa).y)
    natural, calibrated = rows.rows("natural"), bool((rows.cal & rows.regular).any())
    out.floor.setdefault(robot, []).append(float(mean(best[natural])))
    for arm in (arm.key for arm in out.protocol.arms if arm.key in arms):
        found = answer(arrays, arm, robot, rows.kappa)
        if found.score is None or not calibrated:
            continue
        free = rows.residual(found.y)[natural]
        curves = _curves(found.score[natural], free, best[natural])
        out.risk.setdefault((robot, arm), []).append(curves[0])
        out.bounds.setdefault((robot, arm), []).append(curves[1])
        limits = thresholds(found, rows.cal, rows.regular, rows.det) if arm in MAPPED else None
        if limits is None:
            continue
        made = outcomes(rows, found, limits, best)
        mine = out.mapped.setdefault((robot, arm), Mapped())
        mine.place.append(_place(arrays[f"data__{robot}_xyz"][natural], robot))
        mine.residual.append(free)
        mine.refused.append(~made["stop"].accepted[natural])
        if arm == "scm_full" and robot not in out.route:
            routed = made["hyb10"].routed
            out.route[robot] = _route(arrays, seed, robot, rows, found, limits, routed)
    if robot not in out.timeline and "scm_full" in arms:
        made_path = _timeline(arrays, seed, robot, arms)
        if made_path is not None:
            out.timeline[robot] = made_path


def _place(xyz: Any, robot: str) -> Array:
    xyz = xyz.astype(np.float64)
    if robot == "r2":
        plane: Array = xyz[:, :2]
        return plane
    return np.stack([np.hypot(xyz[:, 0], xyz[:, 1]), xyz[:, 2]], axis=1)


def _curves(score: Array, free: Array, best: Array) -> tuple[Array, Array]:
    """Mean residual by routed share, rows in order of the score and in the best order."""

    kept, routed = np.zeros(len(free) + 1), np.zeros(len(free) + 1)
    counts = [round(share * len(free)) for share in SHARES]

    def curve(order: Array) -> Array:
        np.cumsum(free[order][::-1], out=kept[1:])
        np.cumsum(best[order], out=routed[1:])
        return np.array([(routed[k] + kept[len(order) - k]) / len(order) for k in counts])

    own = np.argsort(score, kind="stable")
    return curve(own), curve(np.argsort(best - free, kind="stable"))


def _route(
    arrays: Any,
    seed: int,
    robot: str,
    rows: RobotRows,
    found: Answer,
    limits: Thresholds,
    routed: Any,
) -> Route:
    joints = arrays[f"data__{robot}_q"][:, list(PLANES[robot])]
    natural, pole = rows.rows("natural"), rows.rows("pole")
    kind = read_kind(found, stop_cause(found, limits), limits)
    return Route(seed, joints[natural], routed[natural], joints[pole], kind[pole])


def _timeline(arrays: Any, seed: int, robot: str, arms: list[str]) -> Timeline | None:
    sigma = arrays[f"data__{robot}_path_sigma"].astype(np.float64)
    largest = arrays[f"scm_full__{robot}_path_err"][: len(sigma)].max(axis=1, initial=0.0)
    if not len(largest) or not sigma.shape[1]:
        return None
    path = int(np.argsort(largest, kind="stable")[(len(largest) - 1) // 2])
    error, state = {}, {}
    for arm, policy in (("ideal", ""), ("mlp_pole", ""), ("scm_full", ""), ("scm_full", "_hyb10")):
        if arm in arms:
            key = f"{arm}__{robot}_path_"
            error[arm, policy] = arrays[f"{key}err{policy}"][path].astype(np.float64)
            state[arm, policy] = arrays[f"{key}state{policy}"][path]
    return Timeline(seed, path, error, state, sigma[path])
