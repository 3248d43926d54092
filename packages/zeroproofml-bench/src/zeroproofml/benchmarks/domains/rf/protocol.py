"""One seed of the standard protocol: data, training, answers on the frozen devices, traces."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, Dataset, SeedOutput
from zeroproofml.benchmarks.domains.rf import classic, data, evaluate
from zeroproofml.benchmarks.domains.rf.evaluate import Bench
from zeroproofml.benchmarks.domains.rf.outputs import NO, failed, limit, trace_files
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.domains import with_shared
from zeroproofml.report.domains.rf import members
from zeroproofml.report.domains.rf.answers import TestSet
from zeroproofml.report.domains.rf.sections import TAU_INFER, TAU_TRAIN
from zeroproofml.report.domains.rf.standard import STANDARD
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.progress import Progress

LEARNED = tuple(arm.key for arm in STANDARD.arms if arm.role == "learned")
_UNTRAINED = ("training.epochs", "training.final_loss")


def produce(config: Mapping[str, Any], seed: int, progress: Progress) -> SeedOutput:
    """Compute one seed; ``config`` holds ``settings``, ``arms`` and ``device``.

    An arm whose training diverges fails, and with it the arms that answer with its weights; the
    seed and the other arms go on.
    """
    arms = [arm.key for arm in STANDARD.arms if arm.key in config["arms"]]
    began = time.perf_counter()
    progress.start("data", None)
    bench = Bench.of(config["settings"], seed)
    datasets = _datasets(bench)
    progress.finish()
    data_s = time.perf_counter() - began
    arrays: dict[str, Any] = {}
    outputs: dict[str, ArmOutput] = {}
    maker = _Maker(bench, config.get("device", "cpu"))
    for arm in arms:
        progress.start(arm, bench.settings["steps"] if arm in LEARNED else None)
        torch_too = arm in LEARNED or arm == "gate_score"
        with seeding.arm_scope(seed, "rf", data.PROTOCOL, arm, torch_too=torch_too):
            parent = outputs.get(members.SHARED_HEAD.get(arm, ""))
            if parent is not None and parent.status == "failed":
                outputs[arm] = failed(f"{members.SHARED_HEAD[arm]} has failed")
            else:
                outputs[arm], made = maker(arm, progress)
                arrays.update({f"{arm}__{name}": array for name, array in made.items()})
        progress.finish()
    working = [arm for arm in arms if outputs[arm].status == "ok"]
    tests = TestSet(with_shared(arrays, {"test": bench.test}), bench.settings)
    files = trace_files(tests, working, seed, bench.settings)
    return SeedOutput(datasets=datasets, arrays=arrays, arms=outputs, data_s=data_s, files=files)


def _datasets(bench: Bench) -> dict[str, Dataset]:
    train, validation = bench.train.arrays(), bench.validation.arrays()
    calibration = bench.calibration.arrays()
    made = {
        "train": Dataset(array_digest(train), len(train["delta"]), "train"),
        "validation": Dataset(array_digest(validation), len(validation["delta"]), "validation"),
        "calibration": Dataset(array_digest(calibration), len(bench.calibration), "calibration"),
    }
    if len(bench.bottom):
        bottom = bench.bottom.arrays()
        made["gate_bottom"] = Dataset(array_digest(bottom), len(bench.bottom), "train")
    rows = len(bench.test["delta"])
    made["test"] = Dataset(array_digest(bench.test), rows, "test", bench.test)
    return made


class _Maker:
    """Makes one arm after the other; torch is loaded by the first arm that needs it."""

    def __init__(self, bench: Bench, device: str) -> None:
        self._bench, self._device = bench, device

    def __call__(self, arm: str, progress: Progress) -> tuple[ArmOutput, dict[str, Any]]:
        """The arm's output and its stored arrays, without the arm's name in front."""
        began = time.perf_counter()
        out = ArmOutput(reasons={"thresholds": NO, **dict.fromkeys(_UNTRAINED, NO)})
        stored: dict[str, Any] = {}
        if arm in LEARNED or arm == "gate_score":
            try:
                stored = self._trained(arm, out, progress)
            except TrainingError as error:
                return failed(str(error), time.perf_counter() - began), {}
        elif arm == "two_stage":
            stored = self._two_stage(out)
        elif arm == "knn_score":
            stored = evaluate.neighbour_members(self._bench)
            limit(out, float(stored["threshold"][0]), "calibration", "distance")
        elif arm in members.IDENT_ARMS:
            stored, out.diagnostics = evaluate.ident_members(self._bench, arm)
        out.evaluate_s = time.perf_counter() - began - out.train_s
        return out, stored

    def _trained(self, arm: str, out: ArmOutput, progress: Progress) -> dict[str, Any]:
        from zeroproofml.benchmarks.domains.rf import learned
        from zeroproofml.benchmarks.domains.rf.networks import SINGULAR

        began = time.perf_counter()
        made = learned.Trainer(self._bench, self._device)(arm, progress)
        out.train_s = time.perf_counter() - began
        out.n_parameters = made.design.n_parameters
        out.training = {"steps": made.steps, "epochs": None, "final_loss": made.final_loss}
        out.reasons = {"thresholds": NO, "training.epochs": NO}
        out.checkpoint, out.diagnostics = made.checkpoint(), made.diagnostics
        test = self._bench.test
        if arm == "gate_score":
            limit(out, 0.0, "protocol", "logit")
            score = learned.gate_score(made, test["design"])
            return {"score": score, "threshold": np.zeros(1)}
        if arm in members.SECTION_ARMS:
            stored = evaluate.head_members(self._bench, partial(learned.head, arm, made))
            return self._head(out, stored, SINGULAR)
        stable = test["design"][: len(test["omega"])]
        return {"response": learned.response(arm, made, stable, test["omega"])}

    def _two_stage(self, out: ArmOutput) -> dict[str, Any]:
        began = time.perf_counter()
        made = evaluate.fit_train(self._bench)
        out.train_s = time.perf_counter() - began
        out.n_parameters = made.coefficients.size
        out.checkpoint = made.checkpoint()
        out.diagnostics = {"fit_failures": made.failures}
        return self._head(out, evaluate.head_members(self._bench, made.sections), None)

    def _head(
        self, out: ArmOutput, stored: dict[str, Any], singular: float | None
    ) -> dict[str, Any]:
        """What every section arm says beside its members: thresholds on V, and the sweep over τ."""
        limit(out, TAU_INFER, "protocol", "damping", TAU_TRAIN, singular)
        said, nulls = evaluate.refusals(self._bench, stored["sections"])
        out.diagnostics = {**out.diagnostics, **said}
        out.reasons = {**out.reasons, **nulls}
        return stored


PRODUCERS = {"standard": produce, "classic": classic.produce}
FRAMEWORKS = ("torch",)
