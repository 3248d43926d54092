"""The two learned arms of the classic protocol, with the published losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroproofml.report.domains.ik.rows import row_cause
from zeroproofml.scm.errors import TrainingError
from zeroproofml.scm.inference import InferenceConfig, strict_inference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.progress import Progress

CLAMP = 1e-4
BOTTOM = InferenceConfig(tau_infer=1e-6, gauge="l2")
_TINY = 1e-9
_IMPLICIT_WEIGHT = 0.1


class PlainNet(torch.nn.Module):
    """4-65-65-2, ReLU: as many parameters as the tuple net, and a squared error.

    >>> sum(p.numel() for p in PlainNet().parameters())
    4747
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden1, self.hidden2 = torch.nn.Linear(4, 65), torch.nn.Linear(65, 65)
        self.output = torch.nn.Linear(65, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Joint rates (B, 2) for inputs (B, 4)."""
        y: torch.Tensor = self.output(self.hidden2(self.hidden1(x).relu()).relu())
        return y


class TupleNet(torch.nn.Module):
    """4-64-64, ReLU, linear heads P and Q, Q anchored at +1: the published network.

    >>> sum(p.numel() for p in TupleNet().parameters())
    4740
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden1, self.hidden2 = torch.nn.Linear(4, 64), torch.nn.Linear(64, 64)
        self.numerator, self.denominator = torch.nn.Linear(64, 2), torch.nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit tuples (P, Q), each (B, 2); the divisor carries no gradient, as published."""
        h = self.hidden2(self.hidden1(x).relu()).relu()
        p, q = self.numerator(h), self.denominator(h) + 1.0
        size = torch.hypot(p, q).detach() + _TINY
        return p / size, q / size


def tuple_loss(p: torch.Tensor, q: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Squared error of P over a clamped Q, and a tenth of the implicit residual.

    >>> one = torch.ones(1, 1)
    >>> float(tuple_loss(one, one, one))
    0.0
    """
    sign = torch.where(q < 0, -1.0, 1.0)
    y = p / (sign * q.abs().clamp(min=CLAMP))
    implicit = (p - q * label) ** 2 / (q**2 + p**2 * label**2 + _TINY)
    return ((y - label) ** 2).mean() + _IMPLICIT_WEIGHT * implicit.mean()


def _loss(net: PlainNet | TupleNet, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    if isinstance(net, TupleNet):
        p, q = net(x)
        return tuple_loss(p, q, label)
    y: torch.Tensor = net(x)
    return ((y - label) ** 2).mean()


@dataclass(frozen=True)
class Trained:
    """A trained network and how it got there; ``loss`` is the mean of the last epoch."""

    net: PlainNet | TupleNet
    steps: int
    loss: float

    @property
    def n_parameters(self) -> int:
        """Number of parameters.

        >>> Trained(PlainNet(), 0, 0.0).n_parameters
        4747
        """
        return sum(p.numel() for p in self.net.parameters())

    def checkpoint(self) -> dict[str, Any]:
        """Final weights by name.

        >>> sorted(Trained(PlainNet(), 0, 0.0).checkpoint())[:2]
        ['hidden1.bias', 'hidden1.weight']
        """
        return {name: value.numpy().copy() for name, value in self.net.state_dict().items()}

    def answer(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Members y, cause and, for tuples, q; ⊥ rows have payload 0."""
        with torch.inference_mode():
            out = self.net(_inputs(test))
        if isinstance(out, torch.Tensor):
            y = out.numpy()
            fine = np.isfinite(y).all(axis=1)
            cause = np.where(fine, np.uint8(0), np.uint8(2))
            return {"y": np.where(fine[:, None], y, np.float32(0)), "cause": cause}
        p, q = (part.numpy() for part in out)
        result = strict_inference(p.astype(np.float64), q.astype(np.float64), BOTTOM)
        cause = row_cause(result.cause)
        y = np.where(cause[:, None] == 0, result.payload, 0.0).astype(np.float32)
        return {"y": y, "cause": cause, "q": np.where(np.isfinite(q), q, np.float32(0))}


def _inputs(rows: Mapping[str, Any]) -> torch.Tensor:
    columns = np.concatenate([rows["q"], rows["e"]], axis=1)
    return torch.from_numpy(columns.astype(np.float32))


def train(
    arm: str,
    rows: Mapping[str, Any],
    settings: Mapping[str, Any],
    order: torch.Generator,
    progress: Progress,
) -> Trained:
    """Adam over shuffled minibatches, the last one of an epoch kept; default initial weights.

    Raises TrainingError if a loss was not finite.
    """
    x = _inputs(rows)
    label = torch.from_numpy(rows["label"].astype(np.float32))
    net: PlainNet | TupleNet = TupleNet() if arm == "scm_basic" else PlainNet()
    optimiser = torch.optim.Adam(net.parameters(), lr=settings["learning_rate"], fused=True)
    batch, steps, last = settings["batch"], 0, math.nan
    for _ in range(settings["epochs"]):
        shuffled = torch.randperm(len(x), generator=order)
        inputs, wanted = x[shuffled], label[shuffled]
        losses = []
        for first in range(0, len(x), batch):
            part, target = inputs[first : first + batch], wanted[first : first + batch]
            loss = _loss(net, part, target)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(loss.detach())
        steps += len(losses)
        last = float(torch.stack(losses).mean())
        if not math.isfinite(last):
            msg = f"{arm}: loss not finite before step {steps}; the arm has failed"
            raise TrainingError(msg)
        progress.advance(1, loss=last)
    return Trained(net, steps, last)
