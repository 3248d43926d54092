"""One seed of the classic protocol: the published law of one resonator, and every arm on its rows.

The published training was not seeded; initial weights, order and test devices follow our streams, so
laws are equal and bytes are not. As published, the test devices change with the seed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, Dataset, SeedOutput
from zeroproofml.benchmarks.domains.rf import data, fits
from zeroproofml.benchmarks.domains.rf.outputs import NO, failed, limit, trace_files
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.domains.rf import classic as law
from zeroproofml.report.domains.rf import members
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.rf.classic_training import Trained
    from zeroproofml.benchmarks.domains.rf.data import Array
    from zeroproofml.benchmarks.progress import Progress
    from zeroproofml.benchmarks.seeding import Role

PROTOCOL = "classic/1"
OMEGA0 = (0.5, 5.0)
Q_TRAINED, Q_TESTED = (2.0, law.EDGE), (2.0, 500.0)
RELATIVENOISE = 1e-2
OUTLIER = 5.0
"""Residuals beyond this many median deviations are left out of the second regression."""
LEARNED = tuple(arm.key for arm in law.CLASSIC.arms if arm.role == "learned")
PARENT = {"scm_transfer_eps": "scm_transfer"}


def draw(
    seed: int, role: Role, devices: int, points: int, q: tuple[float, float]
) -> dict[str, Array]:
    """``omega0``, ``q`` (n,), ``omega`` (n, points), float64, and ``target`` complex64.

    >>> sorted(draw(1, "data.train", 2, 3, Q_TRAINED))
    ['omega', 'omega0', 'q', 'target']
    """
    rng = seeding.generator(seed, "rf", PROTOCOL, role)
    omega0 = data.log_uniform(rng, *OMEGA0, devices)
    factor = data.log_uniform(rng, *q, devices)
    omega = data.log_uniform(rng, *law.BAND, (devices, points))
    target = law.response(omega0, factor, omega).astype(np.complex64)
    return {"omega0": omega0, "q": factor, "omega": omega, "target": target}


def two_stage(seed: int, train: Mapping[str, Array], count: int) -> tuple[Array, int]:
    """Regression (3, 3) of ln a1, ln a0, ln c on (1, ln ω0, ln Q), and how many fits failed.

    Order-2 quotients of the first ``count`` training devices, from samples with relative noise.

    >>> train = draw(1, "data.train", 20, 64, Q_TRAINED)
    >>> two_stage(1, train, 20)[0][1].round(1).tolist()
    [1.0, 2.0, 2.0]
    """
    rng = seeding.generator(seed, "rf", PROTOCOL, "noise")
    clean = train["target"][:count].astype(np.complex128)
    measured = clean * data.noisy(rng, np.ones_like(clean), RELATIVENOISE)
    targets, rows = [], []
    for row, y in enumerate(measured):
        order = np.argsort(train["omega"][row])
        try:
            bottom, above, scale = fits.quotient(train["omega"][row][order], y[order], 2, 0)
        except np.linalg.LinAlgError:
            continue
        found = np.array([bottom[1] * scale, bottom[2] * scale**2, above[0] * scale**2])
        if np.isfinite(found).all() and (found > 0).all():
            targets.append(np.log(found))
            rows.append(row)
    known = (np.ones(len(rows)), np.log(train["omega0"][rows]), np.log(train["q"][rows]))
    matrix, wanted = np.stack(known, axis=1), np.stack(targets)
    coefficients = np.zeros((3, 3))
    for k in range(3):
        x = np.linalg.lstsq(matrix, wanted[:, k])[0]
        residual = np.abs(wanted[:, k] - matrix @ x)
        kept = residual <= OUTLIER * np.median(residual)
        coefficients[:, k] = np.linalg.lstsq(matrix[kept], wanted[kept, k])[0]
    return coefficients, len(clean) - len(rows)


def produce(config: Mapping[str, Any], seed: int, progress: Progress) -> SeedOutput:
    """Compute one seed; ``config`` holds ``settings``, ``arms`` and ``device``."""
    settings = config["settings"]
    began = time.perf_counter()
    progress.start("data", None)
    points = settings["points"]
    train = draw(seed, "data.train", settings["train"], points, Q_TRAINED)
    validation = draw(seed, "data.validation", settings["validation"], points, Q_TRAINED)
    test = draw(seed, "data.test", settings["test"], points, Q_TESTED)
    progress.finish()
    data_s = time.perf_counter() - began
    arrays: dict[str, Any] = {f"data__{name}": column for name, column in test.items()}
    arms = [arm.key for arm in law.CLASSIC.arms if arm.key in config["arms"]]
    maker = _Maker(seed, settings, (train, validation, test), config.get("device", "cpu"))
    outputs: dict[str, ArmOutput] = {}
    for arm in arms:
        progress.start(arm, settings["epochs"] if arm in LEARNED else None)
        with seeding.arm_scope(seed, "rf", PROTOCOL, arm, torch_too=arm in LEARNED):
            parent = outputs.get(PARENT.get(arm, ""))
            if parent is not None and parent.status == "failed":
                outputs[arm] = failed(f"{PARENT[arm]} has failed")
            else:
                outputs[arm], made = maker(arm, progress)
                arrays.update({f"{arm}__{name}": array for name, array in made.items()})
        progress.finish()
    datasets = {
        "train": Dataset(array_digest(train), settings["train"], "train"),
        "validation": Dataset(array_digest(validation), settings["validation"], "validation"),
        "test": Dataset(array_digest(test), settings["test"], "test"),
    }
    working = [arm for arm in arms if outputs[arm].status == "ok"]
    return SeedOutput(
        datasets=datasets,
        arrays=arrays,
        arms=outputs,
        data_s=data_s,
        files=trace_files(law.TestRows(arrays), working, seed, settings),
    )


class _Maker:
    """Makes one arm after the other; torch is loaded by the first that needs it."""

    def __init__(
        self,
        seed: int,
        settings: Mapping[str, Any],
        splits: tuple[dict[str, Array], dict[str, Array], dict[str, Array]],
        device: str,
    ) -> None:
        self._seed, self._settings, self._device = seed, settings, device
        self._train, self._validation, self._test = splits

    def __call__(self, arm: str, progress: Progress) -> tuple[ArmOutput, dict[str, Any]]:
        began = time.perf_counter()
        nulls = ("thresholds", "training.epochs", "training.final_loss")
        out = ArmOutput(reasons=dict.fromkeys(nulls, NO))
        made: dict[str, Any] = {}
        if arm in LEARNED:
            try:
                made = self._learned(arm, out, progress)
            except TrainingError as error:
                return failed(str(error), time.perf_counter() - began), {}
        elif arm == "two_stage":
            made = self._two_stage(out)
        if arm in members.REFUSING_ROWS:
            limit(out, law.SINGULAR, "protocol", "denominator", singular=law.SINGULAR)
        out.evaluate_s = time.perf_counter() - began - out.train_s
        return out, made

    def _two_stage(self, out: ArmOutput) -> dict[str, Any]:
        began = time.perf_counter()
        regression, failures = two_stage(self._seed, self._train, self._settings["fitted"])
        out.train_s = time.perf_counter() - began
        out.n_parameters, out.checkpoint = regression.size, {"coefficients": regression}
        out.diagnostics = {"fit_failures": failures}
        test = self._test
        known = (np.ones(len(test["q"])), np.log(test["omega0"]), np.log(test["q"]))
        a1, a0, c = np.exp(np.stack(known, axis=1) @ regression).T
        coefficients = np.stack([c, a1, a0], axis=1)
        return {"coefficients": coefficients, "rows_bottom": self._refused(coefficients, 1.0)}

    def _refused(self, coefficients: Array, scale: float) -> Array:
        cause = law.quotient(coefficients, self._test["omega"], scale, 0.0)[2]
        return np.asarray(cause != 0)

    def _learned(self, arm: str, out: ArmOutput, progress: Progress) -> dict[str, Any]:
        from zeroproofml.benchmarks.domains.rf import classic_networks, classic_training

        began = time.perf_counter()
        family = classic_networks.FAMILIES[arm]
        start = seeding.generator(self._seed, "rf", PROTOCOL, "init", arm=family)
        order = seeding.generator(self._seed, "rf", PROTOCOL, "shuffle")
        net = classic_networks.build(arm, start).to(self._device)
        rows, held_out = (
            classic_training.Rows.of(split, self._device)
            for split in (self._train, self._validation)
        )
        made = classic_training.train(arm, net, (rows, held_out), self._settings, order, progress)
        out.train_s = time.perf_counter() - began
        epochs = self._settings["epochs"]
        out.n_parameters, out.checkpoint = made.n_parameters, made.checkpoint()
        out.training = {"steps": made.steps, "epochs": epochs, "final_loss": made.final_loss}
        out.reasons = {"thresholds": NO}
        out.diagnostics = made.diagnostics
        return self._answers(arm, made)

    def _answers(self, arm: str, made: Trained) -> dict[str, Any]:
        from zeroproofml.benchmarks.domains.rf.classic_training import inputs

        test = self._test
        devices = test["omega0"], test["q"]
        if arm in members.COEFFICIENT_ARMS:
            coefficients = made.coefficients(inputs(*devices, np.ones((len(devices[0]), 1))))
            refused = self._refused(coefficients, law.LEADING)
            return {"coefficients": coefficients, "rows_bottom": refused}
        grid = law.TestRows({f"data__{name}": x for name, x in test.items()}).devices.omega
        rows, bottom = made.response(inputs(*devices, test["omega"]), test["omega"])
        lanes, _ = made.response(inputs(*devices, grid), grid)
        out = {"rows": rows, "response": lanes}
        return {**out, "rows_bottom": bottom} if arm in members.REFUSING_ROWS else out
