"""What both protocols hand over in the same form: a failed arm, and the files of the traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks.domains import ArmOutput
from zeroproofml.report.domains.rf import traces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.report.domains.rf.answers import TestSet
    from zeroproofml.report.domains.rf.classic import TestRows

TRACES = "rf_signal_traces"
NO = "not_applicable"


def failed(reason: str, train_s: float = 0.0) -> ArmOutput:
    """An arm that gave nothing, in so many words.

    >>> failed("scm_rational has failed").reasons["training.steps"]
    'arm_failed'
    """
    nulls = ("thresholds", "training.epochs", "training.steps", "training.final_loss")
    return ArmOutput(
        status="failed",
        reason=reason,
        training={"steps": None, "epochs": None, "final_loss": None},
        reasons=dict.fromkeys(nulls, "arm_failed"),
        train_s=train_s,
    )


def limit(
    out: ArmOutput,
    tau: float,
    chosen_on: str,
    kind: str,
    tau_train: float | None = None,
    singular: float | None = None,
) -> None:
    """Write the thresholds of an arm, with the reason of each that it does not have.

    >>> out = ArmOutput(reasons={"thresholds": NO})
    >>> limit(out, 0.0, "protocol", "logit")
    >>> sorted(out.reasons)
    ['thresholds.singular_epsilon', 'thresholds.tau_train']
    """
    out.thresholds = {
        "tau_train": tau_train,
        "tau_infer": tau,
        "singular_epsilon": singular,
        "chosen_on": chosen_on,
        "score_kind": kind,
        "gauge": "raw",
    }
    reasons = {name: code for name, code in out.reasons.items() if name != "thresholds"}
    nulls = (name for name, value in out.thresholds.items() if value is None)
    out.reasons = {**reasons, **{f"thresholds.{name}": NO for name in nulls}}


def trace_files(
    tests: TestSet | TestRows, arms: Sequence[str], seed: int, settings: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """The two files of selected responses, by name; ``arms`` are those that gave something."""
    signals, document = traces.stored(tests, arms, seed, settings["representatives"])
    return {f"{TRACES}.npz": signals, f"{TRACES}.json": document}
