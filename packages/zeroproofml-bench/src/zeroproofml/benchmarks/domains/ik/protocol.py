"""One seed of the standard protocol: data, training, answers, paths, for both robots."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, Dataset, SeedOutput
from zeroproofml.benchmarks.domains.ik import classic, closed_loop, data, evaluate
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.domains.ik.rows import answer as stored_answer
from zeroproofml.report.domains.ik.rows import thresholds
from zeroproofml.report.domains.ik.standard import EXACT, PATH_POLICIES, STANDARD
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.ik.evaluate import Bench
    from zeroproofml.benchmarks.domains.ik.learned import Solver
    from zeroproofml.benchmarks.progress import Progress
    from zeroproofml.report.domains.ik.rows import Answer

LEARNED = tuple(arm.key for arm in STANDARD.arms if arm.role == "learned")


@dataclass
class _Arm:
    """What one arm gathers over the robots."""

    arrays: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)
    robots: dict[str, Any] = field(default_factory=dict)
    n_parameters: int = 0
    steps: int = 0
    train_s: float = 0.0
    evaluate_s: float = 0.0
    failure: str | None = None

    def output(self) -> ArmOutput:
        reasons = {"thresholds": "not_applicable"}
        reasons.update({f"training.{key}": "not_applicable" for key in ("epochs", "final_loss")})
        for robot, found in self.robots.items():
            nulls = (key for key, value in found.items() if value is None)
            reasons.update({f"diagnostics.robots.{robot}.{key}": "not_applicable" for key in nulls})
        return ArmOutput(
            status="ok" if self.failure is None else "failed",
            reason=self.failure,
            n_parameters=self.n_parameters,
            training={"steps": self.steps, "epochs": None, "final_loss": None},
            diagnostics={"robots": self.robots},
            reasons=reasons,
            checkpoint=self.checkpoint or None,
            train_s=self.train_s,
            evaluate_s=self.evaluate_s,
        )


def produce(config: Mapping[str, Any], seed: int, progress: Progress) -> SeedOutput:
    """Compute one seed; ``config`` holds ``settings``, ``arms`` and ``device``.

    An arm whose training diverges fails; the seed and the other arms go on.
    """
    settings = config["settings"]
    arms = [arm.key for arm in STANDARD.arms if arm.key in config["arms"]]
    gathered = {arm: _Arm() for arm in arms}
    arrays: dict[str, Any] = {}
    datasets: dict[str, Dataset] = {}
    data_s = 0.0
    for robot, sizes in settings["robots"].items():
        began = time.perf_counter()
        progress.start("data", None)
        built = data.build(robot, seed, sizes)
        bench = evaluate.Bench.of(built)
        for name, (role, rows, columns) in built.datasets().items():
            datasets[name] = Dataset(array_digest(columns), rows, role)
        arrays.update({f"data__{robot}_{name}": value for name, value in bench.members.items()})
        progress.finish()
        data_s += time.perf_counter() - began
        trainer = _Trainer(bench, seed, sizes["steps"], config.get("device", "cpu"))
        for arm in arms:
            mine = gathered[arm]
            if mine.failure is not None:
                continue
            progress.start(arm, sizes["steps"] if arm in LEARNED else None)
            with seeding.arm_scope(seed, "ik", data.PROTOCOL, arm, torch_too=arm in LEARNED):
                _run(arm, mine, bench, trainer, progress)
            progress.finish()
    for mine in gathered.values():
        if mine.failure is None:
            arrays.update(mine.arrays)
    outputs = {arm: mine.output() for arm, mine in gathered.items()}
    return SeedOutput(datasets=datasets, arrays=arrays, arms=outputs, data_s=data_s)


def _run(arm: str, mine: _Arm, bench: Bench, trainer: _Trainer, progress: Progress) -> None:
    robot = bench.data.robot.name
    training: dict[str, Any] = {"n_parameters": 0, "steps": 0, "final_loss": None}
    solve: Solver | None = None
    if arm in LEARNED:
        began = time.perf_counter()
        try:
            solve, training = trainer(arm, progress)
        except TrainingError as error:
            mine.failure = str(error)
            mine.checkpoint = {}
            return
        finally:
            mine.train_s += time.perf_counter() - began
        mine.checkpoint.update(solve.checkpoint())
        mine.n_parameters += training["n_parameters"]
        mine.steps += training["steps"]
    began = time.perf_counter()
    if solve is None:
        found = evaluate.analytic_answer(bench, arm)
    else:
        found = solve(bench.rows.q, bench.rows.e)
    stored = evaluate.members(found, exact=arm in EXACT)
    key = f"{arm}__{robot}_"
    mine.arrays.update({key + name: value for name, value in stored.items()})
    # Thresholds come from the stored numbers, as every later reader will compute them.
    found = stored_answer(mine.arrays, arm, robot, bench.kappa)
    rows = bench.stored
    limits = thresholds(found, rows.cal, rows.regular, rows.det)
    if arm in PATH_POLICIES:
        robot_arm = bench.data.robot
        driver = _driver(bench, arm, solve)
        path = closed_loop.drive(robot_arm, bench.reference, driver, PATH_POLICIES[arm], limits)
        mine.arrays.update({key + name: value for name, value in path.items()})
    mine.robots[robot] = evaluate.diagnostics(bench, found, limits, training)
    mine.evaluate_s += time.perf_counter() - began


def _driver(bench: Bench, arm: str, solve: Solver | None) -> closed_loop.Driver:
    if solve is None:
        return closed_loop.from_problem(evaluate.solver(bench, arm))
    trained = solve

    def drive(q: kin.Array, jac: kin.Array, e: kin.Array) -> Answer:
        del jac
        return trained(q, e)

    return drive


class _Trainer:
    """Trains arms on one robot; torch is loaded by the first arm that needs it."""

    def __init__(self, bench: Bench, seed: int, steps: int, device: str) -> None:
        self._bench, self._seed, self._steps, self._device = bench, seed, steps, device
        self._index = list(kin.ROBOTS).index(bench.data.robot.name)
        self._table: Any = None
        self._indices: Any = None

    def __call__(self, arm: str, progress: Progress) -> tuple[Solver, dict[str, Any]]:
        from zeroproofml.benchmarks.domains.ik import learned, training
        from zeroproofml.benchmarks.domains.ik.networks import Design

        robot, index = self._bench.data.robot, self._index
        if self._table is None:
            rows = self._bench.data.train
            self._table = training.TrainingTable.of(robot, rows.q, self._bench.train, self._device)
            rng = seeding.generator(self._seed, "ik", data.PROTOCOL, "shuffle", index=index)
            self._indices = training.minibatches(len(rows), self._steps, rng)
        design = Design.of(arm, robot.name)
        source = seeding.torch_generator(
            self._seed, "ik", data.PROTOCOL, "init", arm=arm, index=index
        )
        made = training.train(arm, self._table, self._indices, design.initial(source), progress)
        solver = learned.Solver(arm, robot, design, made.flat, self._table.kappa)
        said = {
            "n_parameters": design.n_parameters,
            "steps": self._steps,
            "final_loss": made.final_loss,
        }
        return solver, said


PRODUCERS = {"standard": produce, "classic": classic.produce}
FRAMEWORKS = ("torch",)
