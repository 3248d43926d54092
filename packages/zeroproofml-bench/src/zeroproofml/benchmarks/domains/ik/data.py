"""The rows of the standard protocol: joint angles near, on and across the poles, and unit commands.

A row is (q, ê). The problem is linear in the command, so a command has length one and the joint
limit `GAIN` is stated per unit command. Every set has its own stream; all arms of a seed see the
same rows. Labels of the pole set come from construction, never from a computed singular value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains.ik import kinematics as kin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.ik.kinematics import Array, Robot
    from zeroproofml.benchmarks.seeding import Role

    DatasetRole = Literal["train", "calibration", "test"]

PROTOCOL = "standard/1"
FINITE, BOTTOM, BY_RANGE = 0, 1, 2
CAL, D5, D4, D3, D2, D1, NATURAL, POLE, FLIP_003, FLIP_010, FLIP_030 = range(11)
FLIPS = {FLIP_003: 0.003, FLIP_010: 0.01, FLIP_030: 0.03}
DECADES = {D5: (1e-5, 1e-4), D4: (1e-4, 1e-3), D3: (1e-3, 1e-2), D2: (1e-2, 1e-1)}
TRAIN_RANGE = (1e-5, 1e-1)
REGULAR = 0.1
REACH = 0.3
DOUBLE_POLE = 1e-2
HAND_SPEED = 0.25
RATE = 200.0


@dataclass
class Rows:
    """Rows of one set: angles, unit commands and what is known of each row by construction.

    ``q`` (N, n) and ``e`` (N, m) float64; ``set`` and ``label`` int8; ``family`` int8 (−1 none);
    ``pair`` int32 (−1 none); the + end of a pair comes before its − end.
    """

    q: Array
    e: Array
    set: Any
    label: Any
    family: Any
    pair: Any

    def __len__(self) -> int:
        return len(self.q)

    def arrays(self) -> dict[str, Any]:
        """All members by name, for a digest.

        >>> sorted(build("r2", 1, SMALL).cal.arrays())
        ['e', 'family', 'label', 'pair', 'q', 'set']
        """
        return {name: getattr(self, name) for name in ("q", "e", "set", "label", "family", "pair")}


@dataclass(frozen=True)
class Paths:
    """Straight joint-space paths through a pole: pole pose (K, n), family (K,), joint rates (K, n)."""

    q: Array
    family: Any
    w: Array
    steps: int

    def arrays(self) -> dict[str, Any]:
        """All members by name, for a digest.

        >>> sorted(build("r2", 1, SMALL).paths.arrays())
        ['family', 'q', 'steps', 'w']
        """
        steps = np.asarray([self.steps], dtype=np.int64)
        return {"q": self.q, "family": self.family, "w": self.w, "steps": steps}

    def reference(self) -> tuple[Array, Array]:
        """Times (M,) around the pole in seconds and reference angles (M, K, n), unwrapped.

        Samples lie half a step off mid-time: the pole is crossed between two of them. A robot that
        stands exactly on a pole can see no motion out of it that an inverse could use.

        >>> times, q = build("r2", 1, SMALL).paths.reference()
        >>> times.shape, q.shape, times[9:11].tolist()
        ((20,), (20, 2, 2), [-0.0025, 0.0025])
        """
        times = (np.arange(self.steps) - 0.5 * (self.steps - 1)) / RATE
        return times, self.q + times[:, None, None] * self.w


@dataclass
class RobotData:
    """Every set of one robot and seed; ``natural_rows`` marks the train rows that are natural."""

    robot: Robot
    train: Rows
    natural_rows: Any
    cal: Rows
    strata: Rows
    natural: Rows
    pole: Rows
    flips: Rows
    paths: Paths
    _joined: Rows | None = field(default=None, repr=False)

    def datasets(self) -> dict[str, tuple[DatasetRole, int, dict[str, Any]]]:
        """Dataset name → (role, rows, arrays).

        >>> [(name, n) for name, (_, n, _) in build("r2", 1, SMALL).datasets().items()][:3]
        [('r2_train', 40), ('r2_cal', 8), ('r2_strata', 20)]
        """
        train = self.train.arrays() | {"natural": self.natural_rows}
        sets: dict[str, tuple[DatasetRole, int, dict[str, Any]]] = {
            "train": ("train", len(self.train), train),
            "cal": ("calibration", len(self.cal), self.cal.arrays()),
        }
        for name in ("strata", "natural", "pole", "flips"):
            rows: Rows = getattr(self, name)
            sets[name] = ("test", len(rows), rows.arrays())
        sets["paths"] = ("test", len(self.paths.q), self.paths.arrays())
        return {f"{self.robot.name}_{name}": value for name, value in sets.items()}

    def evaluation(self) -> Rows:
        """Calibration rows, then all test rows in stored order: strata, natural, pole, flips.

        >>> len(build("r2", 1, SMALL).evaluation())
        70
        """
        if self._joined is None:
            parts = [self.cal, self.strata, self.natural, self.pole, self.flips]
            columns = {
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in self.cal.arrays()
            }
            self._joined = Rows(**columns)
        return self._joined


SMALL: dict[str, int] = {
    "train": 40,
    "cal": 8,
    "strata": 4,
    "natural": 10,
    "pole": 8,
    "flips": 4,
    "paths": 2,
    "path_steps": 20,
}
"""Row counts for examples and tests."""


def build(robot: str, seed: int, sizes: Mapping[str, int]) -> RobotData:
    """All sets of one robot for one seed.

    ``sizes`` holds train, cal, strata (rows per decade), natural, pole, flips (pairs per distance),
    paths and path_steps.

    >>> data = build("ur5", 1, SMALL)
    >>> data.train.q.shape, data.flips.e.shape
    ((40, 6), (24, 6))
    """
    arm = kin.ROBOTS[robot]
    index = list(kin.ROBOTS).index(robot)

    def rng(role: Role, number: int) -> np.random.Generator:
        return seeding.generator(seed, "ik", PROTOCOL, role, index=number)

    train, flags = _train(arm, sizes["train"], rng("data.train", index))
    cal = rng("data.calibration", index)
    test = [rng("data.test", 10 * index + offset) for offset in range(5)]
    return RobotData(
        arm,
        train,
        flags,
        _rows(arm, natural(arm, sizes["cal"], cal), cal, CAL),
        _strata(arm, sizes["strata"], test[0]),
        _rows(arm, natural(arm, sizes["natural"], test[1]), test[1], NATURAL),
        _pole(arm, sizes["pole"], test[2]),
        _flips(arm, sizes["flips"], test[3]),
        _paths(arm, sizes["paths"], sizes["path_steps"], test[4]),
    )


def natural(robot: Robot, count: int, rng: np.random.Generator) -> Array:
    """``count`` uniform poses (N, n) in [−π, π).

    >>> natural(kin.R2, 3, np.random.default_rng(0)).shape
    (3, 2)
    """
    return rng.uniform(-np.pi, np.pi, (count, robot.n_joints))


def stratified(
    robot: Robot, count: int, low: float, high: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Poses (N, n) whose smallest singular value is log-uniform in [low, high), and their family.

    Each pose starts on a pole and moves along the family's coordinate until σ_min is within 5 % of
    the drawn value; poses that do not get there in eight looks are dropped.

    >>> q, _ = stratified(kin.R2, 5, 1e-3, 1e-2, np.random.default_rng(0))
    >>> sigma = kin.singular_values(kin.jacobian(kin.R2, q))[:, -1]
    >>> bool(((sigma > 0.95e-3) & (sigma < 1.06e-2)).all())
    True
    """
    poses, families, missing = [], [], count
    while missing > 0:
        m = int(1.3 * missing) + 16
        q = rng.uniform(-np.pi, np.pi, (m, robot.n_joints))
        family = rng.integers(0, len(robot.families), m)
        target = np.exp(rng.uniform(np.log(low), np.log(high), m))
        side = 2.0 * rng.integers(0, 2, m) - 1.0
        start, coordinate = kin.to_pole(robot, q, family)
        rows = np.arange(m)
        delta = 2 * target
        for look in range(8):
            moved = start.copy()
            moved[rows, coordinate] += side * delta
            sigma = kin.singular_values(kin.jacobian(robot, moved))[:, -1]
            if look < 7:
                ratio = target / np.maximum(sigma, np.finfo(float).tiny)
                delta = np.clip(delta * np.clip(ratio, 0.2, 5.0), 0.0, 1.5)
        keep = np.abs(np.log(np.maximum(sigma, np.finfo(float).tiny) / target)) < 0.05
        poses.append(kin.wrap(moved[keep])[:missing])
        families.append(family[keep][:missing])
        missing -= len(poses[-1])
    if not poses:
        return np.empty((0, robot.n_joints)), np.empty(0, dtype=np.int64)
    return np.concatenate(poses), np.concatenate(families)


def unit_commands(robot: Robot, count: int, rng: np.random.Generator) -> Array:
    """``count`` unit commands (N, m), uniform on the sphere.

    >>> e = unit_commands(kin.R2, 3, np.random.default_rng(0))
    >>> np.linalg.norm(e, axis=1).round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    e = rng.standard_normal((count, robot.n_rows))
    unit: Array = e / np.linalg.norm(e, axis=1, keepdims=True)
    return unit


def _rows(
    robot: Robot,
    q: Array,
    rng: np.random.Generator | None,
    code: int | Array,
    *,
    e: Array | None = None,
    label: int | Array = FINITE,
    family: int | Array = -1,
    pair: int | Array = -1,
) -> Rows:
    n = len(q)
    if e is None:
        if rng is None:
            msg = "rng: needed where no commands are given"
            raise TypeError(msg)
        e = unit_commands(robot, n, rng)

    def column(value: int | Array, dtype: type) -> Any:
        return np.ascontiguousarray(np.broadcast_to(value, n).astype(dtype))

    return Rows(
        q,
        e,
        column(code, np.int8),
        column(label, np.int8),
        column(family, np.int8),
        column(pair, np.int32),
    )


def _train(robot: Robot, count: int, rng: np.random.Generator) -> tuple[Rows, Any]:
    half = count // 2
    spread = natural(robot, count - half, rng)
    near, family = stratified(robot, half, *TRAIN_RANGE, rng)
    order = rng.permutation(count)
    flags = np.arange(count) < len(spread)
    families = np.concatenate([np.full(len(spread), -1), family])
    rows = _rows(robot, np.concatenate([spread, near])[order], rng, -1, family=families[order])
    return rows, flags[order]


def _strata(robot: Robot, count: int, rng: np.random.Generator) -> Rows:
    poses, families = [], []
    for low, high in DECADES.values():
        q, family = stratified(robot, count, low, high, rng)
        poses.append(q)
        families.append(family)
    kept, missing = [], count
    while missing > 0:
        q = natural(robot, 2 * missing + 16, rng)
        regular = kin.singular_values(kin.jacobian(robot, q))[:, -1] >= REGULAR
        kept.append(q[regular][:missing])
        missing -= len(kept[-1])
    poses += kept
    families.append(np.full(count, -1))
    code = np.repeat([D5, D4, D3, D2, D1], count)
    return _rows(robot, np.concatenate(poses), rng, code, family=np.concatenate(families))


def _pole(robot: Robot, count: int, rng: np.random.Generator) -> Rows:
    family = np.arange(count) % len(robot.families)
    q = np.empty((count, robot.n_joints))
    jac = np.empty((count, robot.n_rows, robot.n_joints))
    redraw = np.arange(count)
    while redraw.size:
        fresh, _ = kin.to_pole(robot, natural(robot, redraw.size, rng), family[redraw])
        q[redraw], jac[redraw] = fresh, kin.jacobian(robot, fresh)
        redraw = redraw[kin.singular_values(jac[redraw])[:, -2] < DOUBLE_POLE]
    out = np.linalg.svd(jac)[0][:, :, -1]
    e = unit_commands(robot, count, rng)
    half = count // 2
    redraw = np.flatnonzero(np.abs(np.sum(out[:half] * e[:half], axis=1)) < REACH)
    while redraw.size:
        e[redraw] = unit_commands(robot, redraw.size, rng)
        redraw = redraw[np.abs(np.sum(out[redraw] * e[redraw], axis=1)) < REACH]
    inside, normal = e[half:], out[half:]
    for _ in range(2):  # the second pass removes what normalising brought back
        inside = inside - np.sum(normal * inside, axis=1, keepdims=True) * normal
        inside = inside / np.linalg.norm(inside, axis=1, keepdims=True)
    e[half:] = inside
    label = np.where(np.arange(count) < half, BOTTOM, BY_RANGE)
    return _rows(robot, q, None, POLE, e=e, label=label, family=family)


def _flips(robot: Robot, count: int, rng: np.random.Generator) -> Rows:
    family = np.arange(count) % len(robot.families)
    rows = np.arange(count)
    poses = []
    for delta in FLIPS.values():
        q, coordinate = kin.to_pole(robot, natural(robot, count, rng), family)
        for side in (delta, -delta):
            end = q.copy()
            end[rows, coordinate] += side
            poses.append(end)
    code = np.repeat(list(FLIPS), 2 * count)
    pair = np.concatenate([np.tile(rows + k * count, 2) for k in range(len(FLIPS))])
    e = unit_commands(robot, len(FLIPS) * count, rng)[pair]
    families = np.tile(family, 2 * len(FLIPS))
    return _rows(robot, np.concatenate(poses), None, code, e=e, family=families, pair=pair)


def _paths(robot: Robot, count: int, steps: int, rng: np.random.Generator) -> Paths:
    q = natural(robot, count, rng)
    family = np.arange(count) % len(robot.families)
    q, coordinate = kin.to_pole(robot, q, family)
    w = 0.3 * rng.standard_normal((count, robot.n_joints))
    rows = np.arange(count)
    across = w[rows, coordinate]
    w[rows, coordinate] = np.copysign(np.maximum(np.abs(across), 0.5), across)
    speed = np.linalg.norm(np.matmul(kin.jacobian(robot, q), w[:, :, None])[:, :, 0], axis=1)
    w *= np.minimum(2.0, HAND_SPEED / np.maximum(speed, np.finfo(float).tiny))[:, None]
    return Paths(q, family.astype(np.int8), w, steps)
