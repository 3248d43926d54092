"""One seed of either protocol: data, training, answers on every set of curves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, SeedOutput
from zeroproofml.benchmarks.domains.dose import data, evaluate
from zeroproofml.benchmarks.domains.dose.bench import Bench
from zeroproofml.report.contract.base import null_paths
from zeroproofml.report.domains.dose import record
from zeroproofml.report.domains.dose.arms import arms as declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.dose.learned import Learned
    from zeroproofml.benchmarks.domains.dose.training import Diverged
    from zeroproofml.benchmarks.progress import Progress
    from zeroproofml.report.domains.dose.arms import DoseArm

UNTRAINED = ("bayes_oracle", "hill_fit", "constant")
_UNTAUGHT: dict[str, float | None] = {"steps": 0, "epochs": None, "final_loss": None}


def check(config: Mapping[str, Any]) -> None:
    """Refuse a run whose frozen test sets come out otherwise here, before anything exists.

    Raises
    ------
    FileInvalid
        Code ``dataset``, naming the file.
    """
    protocol = config["protocol"]
    data.test_sets(protocol["name"], protocol["version"], config["settings"])


def produce(config: Mapping[str, Any], seed: int, progress: Progress) -> SeedOutput:
    """Compute one seed; ``config`` holds ``protocol``, ``settings``, ``arms`` and ``device``.

    An arm whose training diverges fails; the seed and the other arms go on.
    """
    began = time.perf_counter()
    progress.start("data", None)
    bench = Bench.of(config, seed)
    datasets = bench.datasets()
    truth = bench.answered["cal"].arrays()
    arrays: dict[str, Any] = {
        f"data__cal_{name}": truth[name] for name in ("label", "l_microdecades", "no_effect")
    }
    progress.finish()
    data_s = time.perf_counter() - began
    outputs = {}
    for key, arm in declared(bench.protocol).items():
        if key not in config["arms"]:
            continue
        trained = key not in UNTRAINED
        progress.start(key, bench.schedule(arm)["epochs"] if trained else None)
        with seeding.arm_scope(seed, "dose", bench.stream, key, torch_too=trained):
            if trained:
                outputs[key] = _trained(bench, arm, arrays, progress)
            else:
                outputs[key] = _untrained(bench, arm, arrays)
        progress.finish()
    return SeedOutput(datasets=datasets, arrays=arrays, arms=outputs, data_s=data_s)


def _untrained(bench: Bench, arm: DoseArm, arrays: dict[str, Any]) -> ArmOutput:
    began = time.perf_counter()
    for where, curves in bench.answered.items():
        found = None if arm.key == "constant" else bench.posterior(where)
        columns = evaluate.analytic(arm.key, bench.protocol, len(curves), found)
        arrays.update({f"{arm.key}__{where}_{name}": x for name, x in columns.items()})
    said = {"n_train": 0, "learning_curve": None, "diverged": False}
    out = _judged(bench, arm, arrays, said, _UNTAUGHT)
    out.evaluate_s = time.perf_counter() - began
    return out


def _trained(bench: Bench, arm: DoseArm, arrays: dict[str, Any], progress: Progress) -> ArmOutput:
    from zeroproofml.benchmarks.domains.dose import learned, training

    began = time.perf_counter()
    learner = learned.Learned(bench, arm)
    said: dict[str, Any] = {"n_train": learner.n_train, "diverged": False}
    try:
        made = learner.train(progress)
    except training.Diverged as error:
        return _failed(arm, learner, error, time.perf_counter() - began)
    between = time.perf_counter()
    for where in bench.answered:
        columns = learner.answer(made.flat, where)
        arrays.update({f"{arm.key}__{where}_{name}": x for name, x in columns.items()})
    said["learning_curve"] = {"train": made.train_loss, "validation": made.validation_loss}
    final: dict[str, float | None] = {
        "steps": made.steps,
        "epochs": learner.plan.epochs,
        "final_loss": made.train_loss[-1],
    }
    out = _judged(bench, arm, arrays, said, final)
    out.n_parameters = learner.recipe.design.n_parameters
    out.checkpoint = learner.checkpoint(made.flat)
    out.train_s, out.evaluate_s = between - began, time.perf_counter() - between
    return out


def _judged(
    bench: Bench,
    arm: DoseArm,
    arrays: Mapping[str, Any],
    said: Mapping[str, Any],
    training: Mapping[str, float | None],
) -> ArmOutput:
    """Thresholds and diagnostics from the columns as they are stored."""
    found, thresholds, reasons = evaluate.judged(
        arm, arrays, bench.targets("cal"), bench.targets("test")
    )
    own = null_paths({"training": training, "diagnostics": dict(said)})
    return ArmOutput(
        training=training,
        thresholds=thresholds,
        diagnostics={**found, **said},
        reasons=reasons | dict.fromkeys(own, "not_applicable"),
    )


def _failed(arm: DoseArm, learner: Learned, error: Diverged, seconds: float) -> ArmOutput:
    said, reasons = record.diagnostics(arm, {})
    said |= {
        "confusion": None,
        "n_train": learner.n_train,
        "learning_curve": {"train": error.train_loss, "validation": error.validation_loss},
        "diverged": True,
    }
    training = dict.fromkeys(_UNTAUGHT)
    nulls = null_paths({"training": training, "thresholds": None})
    reasons |= dict.fromkeys([*nulls, "diagnostics.confusion"], "arm_failed")
    return ArmOutput(
        status="failed",
        reason=str(error),
        n_parameters=learner.recipe.design.n_parameters,
        training=training,
        diagnostics=said,
        reasons=reasons,
        train_s=seconds,
    )


PRODUCERS = {"standard": produce, "classic": produce}
FRAMEWORKS = ("torch",)
