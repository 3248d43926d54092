"""Training on projective tuples: a loop that refuses what it cannot train on.

The trainer lifts targets, draws the margin τ, divides by the number of batches that a group really
has, checks every gradient before a weight moves, and can resume in the middle of an epoch to the
same bits. Logs are JSON lines, checkpoints are safetensors and JSON.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zeroproofml.scm.errors import SCMTypeError, SCMValueError, TrainingError
from zeroproofml.scm.formulas.projective import Targets
from zeroproofml.scm.formulas.strict import InferenceResult
from zeroproofml.scm.policy import gradient_policy
from zeroproofml.torch import _checkpoint as checkpoint
from zeroproofml.torch._curriculum import LinearRamp, LossCurriculum
from zeroproofml.torch._metric_log import JsonlLogger
from zeroproofml.torch._metrics import EpochMetrics
from zeroproofml.torch._trainer_config import Progress, TrainerConfig, TrainingReport
from zeroproofml.torch.inference import SCMInferenceWrapper
from zeroproofml.torch.losses import lift_targets

__all__ = [
    "JsonlLogger",
    "LinearRamp",
    "LossCurriculum",
    "SCMTrainer",
    "TrainerConfig",
    "TrainingReport",
]

_AMP = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_OFFERED = ("tau", "inputs", "epoch", "step", "weights")


@dataclass(slots=True)
class _State:
    """Where the run stands, always at the end of a group."""

    epoch: int = 0
    step: int = 0
    batch: int = 0  # batches of this epoch that are consumed
    exhausted: bool = False  # and the loader has said that there are no more
    skips: int = 0
    skips_in_a_row: int = 0
    low_coverage_epochs: int = 0
    best: float | None = None  # lowest validation loss


class SCMTrainer:
    """Train a model that yields (P, Q).

    Args:
        model: returns (P, Q), or (P, Q, factors…) inside an :class:`SCMInferenceWrapper`. A
            (payload, mask) pair or a decoded result is refused: a mask is not a Q.
        optimizer: its groups are what is trained, checked and stored, also outside the model.
        loss: ``loss(outputs, targets, …) -> total | (total, parts)``; gets those of ``tau, inputs,
            epoch, step, weights`` that its signature accepts.
        config: see :class:`TrainerConfig`.
        scheduler: stepped at ``config.scheduler_cadence``; ReduceLROnPlateau gets the loss.
        curriculum: factors on the weights of the loss; the loss must accept ``weights``.
        logger: gets one train and one eval record per epoch.
        progress: gets ``start``, ``advance`` and ``finish``.

    Raises:
        SCMTypeError: a curriculum for a loss that takes no ``weights``.

    >>> from zeroproofml.torch.layers import ProjectiveRationalMultiHead
    >>> from zeroproofml.torch.losses import SCMLoss
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.head = ProjectiveRationalMultiHead(1, 1, 1)
    ...     def forward(self, x):
    ...         return self.head(x, x)
    >>> model = Model()
    >>> trainer = SCMTrainer(model, torch.optim.SGD(model.parameters(), 0.1), SCMLoss())
    >>> x = torch.linspace(-1, 1, 8).reshape(4, 2, 1)
    >>> report = trainer.fit([(batch, 2 * batch) for batch in x])
    >>> report.epochs, report.steps, sorted(report.history[0])[:3]
    (1, 4, ['bottom_frac', 'coverage', 'denom_abs_mean'])
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Callable[..., Any],
        config: TrainerConfig | None = None,
        *,
        scheduler: Any = None,
        curriculum: LossCurriculum | None = None,
        logger: JsonlLogger | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = TrainerConfig() if config is None else config
        self.model = model.to(self.config.device)
        self.optimizer, self.loss, self.scheduler = optimizer, loss, scheduler
        self.curriculum, self.logger, self.progress = curriculum, logger, progress
        self._accepted = _accepted(loss)
        if curriculum is not None and "weights" not in self._accepted:
            msg = "the loss takes no weights, so a curriculum cannot act; accept weights=None"
            raise SCMTypeError(msg)
        device = torch.device(self.config.device).type
        self._device_type = device
        self._scaler = torch.amp.GradScaler(device, enabled=self.config.amp == "float16")
        self._draws = torch.Generator().manual_seed(self.config.seed)
        self._state = _State()
        self._generators = [self._draws]  # and those of the loader, once it is known
        self._rng: dict[str, Any] | None = None  # at the end of the last group
        self._epoch_rng: dict[str, Any] | None = None  # where this epoch's loader began
        self._resume_rng: dict[str, Any] | None = None
        self._unreachable = [
            name or type(module).__name__
            for name, module in model.named_modules()
            if hasattr(module, "bottom_capability")
            and module.bottom_capability(self.config.tau_infer) == "unreachable_by_construction"
        ]

    # --- the loop -------------------------------------------------------------------------------

    def fit(
        self, train_loader: Iterable[Any], val_loader: Iterable[Any] | None = None
    ) -> TrainingReport:
        """Train until ``max_epochs``, from where the trainer stands.

        Args:
            train_loader: yields (x, y) or (x, Targets); y is lifted. For a bit-equal resume its
                shuffling must come from its ``generator`` (or from torch's global one).
            val_loader: likewise; evaluated after each epoch.

        Raises:
            TrainingError: a non-finite loss or gradient; a ⊥ target for a head that cannot reach ⊥.
            SCMTypeError: outputs that are not (P, Q); a batch that is no pair.
            SCMValueError: a scheduler that waits for a validation, and no ``val_loader``.
        """
        awaits = self.scheduler is not None and self.config.scheduler_cadence == "validation"
        if awaits and val_loader is None:
            msg = "the scheduler waits for a validation; pass val_loader, or another cadence"
            raise SCMValueError(msg)
        history: list[dict[str, float]] = []
        stopped = None
        while self._state.epoch < self.config.max_epochs and stopped is None:
            metrics = self._train_epoch(train_loader)
            epoch = self._state.epoch
            self._log("train", metrics, epoch)
            if val_loader is not None:
                found = self.evaluate(val_loader)
                validation = {f"val_{name}": value for name, value in found.items()}
                self._log("eval", validation, epoch)
                metrics.update(validation)
                stopped = self._judge(found)
            history.append(metrics)
            self._state.epoch, self._state.batch, self._state.exhausted = epoch + 1, 0, False
            self._step_scheduler("epoch", metrics["loss"])
            if val_loader is not None:
                self._step_scheduler("validation", metrics["val_loss"])
            self._rng = self._epoch_rng = None
        state = self._state
        return TrainingReport(state.epoch, state.step, tuple(history), state.skips, stopped)

    def _train_epoch(self, loader: Iterable[Any]) -> dict[str, float]:
        self.model.train()
        self._generators = generators = _generators(loader, self._draws)
        batches = self._batches(loader, generators)
        size = self.config.accumulation_steps
        metrics = EpochMetrics(self.config.tau_infer)
        total = len(loader) if isinstance(loader, Sized) else None
        if self.progress is not None:
            self.progress.start(f"epoch {self._state.epoch}", total)
        while group := list(itertools.islice(batches, size)):
            loss = self._train_group(group, metrics)
            self._state.batch += len(group)
            self._state.exhausted = len(group) < size
            self._rng = checkpoint.rng_state(generators)
            if self.progress is not None:
                self.progress.advance(len(group), epoch=self._state.epoch, loss=float(loss))
        if self.progress is not None:
            self.progress.finish()
        found = metrics.read()
        found.setdefault("loss", math.nan)
        return {**found, "nonfinite_skips": float(self._state.skips)}

    def _batches(self, loader: Iterable[Any], generators: list[torch.Generator]) -> Iterator[Any]:
        """The batches of an epoch; on resume, those that the checkpoint had not consumed."""
        resume, self._resume_rng = self._resume_rng, None
        if self._state.batch and self._epoch_rng is not None:
            checkpoint.restore_rng(self._epoch_rng, generators)
        else:
            if resume is not None:
                checkpoint.restore_rng(resume, generators)
            self._epoch_rng = self._rng = checkpoint.rng_state(generators)
        batches = iter(loader)
        # A loader may draw from its generator when it ends, so its end is skipped like a batch.
        for _ in range(self._state.batch + self._state.exhausted):
            next(batches, None)
        if self._state.batch and resume is not None:
            checkpoint.restore_rng(resume, generators)
        return batches

    def _train_group(self, group: list[Any], metrics: EpochMetrics) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        pending = []
        for batch in group:
            tau = self._draw()
            x, targets = self._batch(batch)
            outputs, total, parts = self._compute(x, targets, tau)
            losses.append(total.detach())
            self._scaler.scale(total / len(group)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            pending.append((total, parts, tau, targets, outputs))
        self._scaler.unscale_(self.optimizer)
        bad = self._first_bad(losses)
        if bad is None:
            self._scaler.step(self.optimizer)
            self._scaler.update()
            self._state.step += 1
            self._state.skips_in_a_row = 0
            for total, parts, tau, targets, outputs in pending:
                tuples, factors = self._tuples(outputs)
                metrics.update(total, parts, tau, targets, tuples, factors)
            self._step_scheduler("update", losses[-1])
            for loss in losses:
                self._step_scheduler("batch", loss)
        else:
            self._refuse(bad)
        self.optimizer.zero_grad(set_to_none=True)
        return torch.stack(losses).mean()

    def _first_bad(self, losses: list[Tensor]) -> str | None:
        """None if every loss and gradient of the group is finite: one transfer in the good case."""
        named = [
            (self._name(g, i, parameter), parameter.grad)
            for g, group in enumerate(self.optimizer.param_groups)
            for i, parameter in enumerate(group["params"])
            if parameter.grad is not None
        ]
        flags = [torch.isfinite(loss).all() for loss in losses]
        flags += [torch.isfinite(grad).all().to(losses[0].device) for _, grad in named]
        finite = torch.stack(flags).tolist()
        if all(finite):
            return None
        if not all(finite[: len(losses)]):
            return "loss"
        return next(
            f"gradient of {name}"
            for (name, _), good in zip(named, finite[len(losses) :], strict=True)
            if not good
        )

    def _name(self, group: int, index: int, parameter: Tensor) -> str:
        for name, own in self.model.named_parameters():
            if own is parameter:
                return name
        return f"parameter {index} of optimizer group {group}"

    def _refuse(self, bad: str) -> None:
        state, config = self._state, self.config
        where = f"epoch {state.epoch}, step {state.step}"
        scaled = self._scaler.is_enabled() and bad != "loss"
        if config.on_nonfinite == "raise" and not scaled:
            self.optimizer.zero_grad(set_to_none=True)
            msg = f"non-finite {bad} in {where}; the weights are untouched, mend the data or skip"
            raise TrainingError(msg)
        if self._scaler.is_enabled():
            self._scaler.update()
        state.skips += 1
        state.skips_in_a_row += 1
        if state.skips_in_a_row > config.max_skips:
            msg = (
                f"non-finite {bad} in {where}: more than {config.max_skips} groups in a row skipped"
            )
            raise TrainingError(msg)

    # --- one batch ------------------------------------------------------------------------------

    def _draw(self) -> float:
        lo, hi = self.config.tau_train
        share = torch.rand((), dtype=torch.float64, generator=self._draws).item()
        return min(max(lo + (hi - lo) * share, lo), hi)

    def _batch(self, batch: Any) -> tuple[Any, Targets]:
        if isinstance(batch, Targets) or not isinstance(batch, (tuple, list)) or len(batch) != 2:
            msg = "a batch must be the pair (x, y) or (x, Targets)"
            raise SCMTypeError(msg)
        x, y = (_moved(member, self.config.device) for member in batch)
        targets = y if isinstance(y, Targets) else lift_targets(y)
        if self._unreachable and bool((targets.is_bottom & (targets.weight > 0)).any()):
            msg = f"a target is ⊥, which {self._unreachable[0]} cannot reach: its |Q| stays above tau_infer"
            raise TrainingError(msg)
        return x, targets

    def _forward(self, x: Any) -> Any:
        raw = self.model.raw if isinstance(self.model, SCMInferenceWrapper) else self.model
        with ExitStack() as stack:
            if self.config.policy is not None:
                stack.enter_context(gradient_policy(self.config.policy))
            if self.config.amp != "off":
                dtype = _AMP[self.config.amp]
                stack.enter_context(torch.autocast(self._device_type, dtype))
            outputs = raw(x)
        return _checked(outputs)

    def _compute(
        self, x: Any, targets: Targets, tau: float
    ) -> tuple[Any, Tensor, Mapping[str, Tensor]]:
        outputs = self._forward(x)
        state = self._state
        offered = {"tau": tau, "inputs": x, "epoch": state.epoch, "step": state.step}
        if self.curriculum is not None:
            offered["weights"] = self.curriculum.weights(state.epoch)
        found = self.loss(
            outputs, targets, **{k: v for k, v in offered.items() if k in self._accepted}
        )
        total, parts = found if isinstance(found, tuple) else (found, {})
        if not isinstance(total, Tensor) or total.numel() != 1 or total.is_complex():
            msg = "the loss must return one real number, or (number, parts)"
            raise SCMTypeError(msg)
        return outputs, total.reshape(()), parts

    def _tuples(self, outputs: Any) -> tuple[Any, list[tuple[Tensor, float]]]:
        """(P, Q) and factors as strict inference takes them; None for a model without tuples."""
        if isinstance(outputs, Tensor):
            return None, []
        thresholds = getattr(self.model, "factor_thresholds", ())
        return outputs[:2], list(zip(outputs[2:], thresholds, strict=False))

    # --- around it ------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """Lane-weighted metrics in evaluation mode, at the midpoint of τ; the mode is put back.

        Returns:
            loss, its parts, coverage and bottom_frac at tau_infer, tau_train, and for tuples
            denom_abs_min and denom_abs_mean; NaN where there was nothing to measure.

        Raises:
            SCMTypeError: as :meth:`fit`.
        """
        before = self.model.training
        self.model.eval()
        metrics = EpochMetrics(self.config.tau_infer)
        tau = sum(self.config.tau_train) / 2
        try:
            for batch in loader:
                x, targets = self._batch(batch)
                outputs, total, parts = self._compute(x, targets, tau)
                tuples, factors = self._tuples(outputs)
                metrics.update(total, parts, tau, targets, tuples, factors)
        finally:
            self.model.train(before)
        found = metrics.read()
        found.setdefault("loss", math.nan)
        return found

    def _judge(self, found: Mapping[str, float]) -> str | None:
        """Remember the best loss; say why to stop."""
        state, floor = self._state, self.config.coverage_floor
        if math.isfinite(found["loss"]) and (state.best is None or found["loss"] < state.best):
            state.best = found["loss"]
        if floor is None or "coverage" not in found:
            return None
        state.low_coverage_epochs = (
            state.low_coverage_epochs + 1 if found["coverage"] < floor else 0
        )
        if state.low_coverage_epochs < self.config.coverage_patience:
            return None
        return f"coverage below {floor} for {state.low_coverage_epochs} epochs"

    def _log(
        self, phase: Literal["train", "eval"], metrics: Mapping[str, float], epoch: int
    ) -> None:
        if self.logger is not None:
            self.logger.write(phase, metrics, step=self._state.step, epoch=epoch)

    def _step_scheduler(self, cadence: str, loss: Tensor | float) -> None:
        if self.scheduler is None or cadence != self.config.scheduler_cadence:
            return
        if not self._state.step:  # every group so far was skipped
            return
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(float(loss))
        else:
            self.scheduler.step()

    # --- checkpoints ----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint directory; call it between updates (from a logger, say) or after ``fit``.

        Raises:
            SCMTypeError: a state that cannot be stored without pickle.
            SCMValueError: ``path`` exists and is not a checkpoint.
        """
        state = self._state
        rng = self._resume_rng or self._rng or checkpoint.rng_state(self._generators)
        document = {
            "progress": {field.name: getattr(state, field.name) for field in fields(state)},
            "config": self.config.to_dict(),
            "config_sha256": self.config.sha256(),
            "scheduler": None
            if self.scheduler is None
            else checkpoint.pack(self.scheduler.state_dict(), "scheduler"),
            "scaler": checkpoint.pack(self._scaler.state_dict(), "scaler"),
            "rng": rng,
            "epoch_rng": self._epoch_rng if state.batch else None,
        }
        checkpoint.write_checkpoint(path, self.model, self.optimizer, document)

    def load(self, path: str | os.PathLike[str], *, strict: bool = True) -> None:
        """Take up a run: the next ``fit`` goes on where the checkpoint stands, to the same bits.

        Args:
            path: a directory that :meth:`save` wrote.
            strict: refuse another TrainerConfig; False only logs it.

        Raises:
            SCMValueError: no checkpoint, an unknown schema, another config.
        """
        state = checkpoint.read_state(path, self.config.sha256(), strict=strict)
        checkpoint.load_model(path, self.model)
        checkpoint.load_optimizer(path, self.model, self.optimizer, state["optimizer"])
        if self.scheduler is not None and state["scheduler"] is not None:
            self.scheduler.load_state_dict(checkpoint.unpack(state["scheduler"]))
        if scaler := checkpoint.unpack(state["scaler"]):
            self._scaler.load_state_dict(scaler)
        self._state = _State(**state["progress"])
        self._epoch_rng, self._resume_rng = state["epoch_rng"], state["rng"]


def _accepted(loss: Callable[..., Any]) -> frozenset[str]:
    """Which of the offered arguments a loss takes."""
    target = loss.forward if isinstance(loss, nn.Module) else loss
    parameters = inspect.signature(target).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return frozenset(_OFFERED)
    return frozenset(name for name in _OFFERED if name in parameters)


def _moved(value: Any, device: str) -> Any:
    if isinstance(value, Targets):
        return Targets(*(member.to(device) for member in value))
    return value.to(device) if isinstance(value, Tensor) else value


def _generators(loader: Any, own: torch.Generator) -> list[torch.Generator]:
    """The trainer's own generator, and every one that the loader shuffles with."""
    sampler = getattr(loader, "sampler", None)
    batch_sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    found = [own]
    for owner in (loader, sampler, batch_sampler):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator) and all(generator is not g for g in found):
            found.append(generator)
    return found


def _checked(outputs: Any) -> Any:
    """Refuse what is no tuple; halves become float32, where the losses compute."""
    if isinstance(outputs, InferenceResult):
        msg = "the model decoded its output; train on (P, Q), with SCMInferenceWrapper or its .raw"
        raise SCMTypeError(msg)
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in _AMP.values() else outputs
    if not isinstance(outputs, (tuple, list)) or len(outputs) < 2:
        msg = f"the model must return (P, Q), not {type(outputs).__name__}"
        raise SCMTypeError(msg)
    for member in outputs:
        if not isinstance(member, Tensor) or member.dtype == torch.bool:
            msg = "the model returned (payload, mask); train on (P, Q) and decode afterwards"
            raise SCMTypeError(msg)
    return tuple(m.float() if m.dtype in _AMP.values() else m for m in outputs)
