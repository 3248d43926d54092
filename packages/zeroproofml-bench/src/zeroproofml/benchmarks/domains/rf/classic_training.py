"""Training of the classic protocol: index tensors, Adam, a cosine per epoch, the best epoch kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroproofml.benchmarks.domains.rf import classic_networks, networks
from zeroproofml.scm.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.rf.classic_networks import Network
    from zeroproofml.benchmarks.domains.rf.data import Array
    from zeroproofml.benchmarks.progress import Progress

LEAST_RATE = 1e-7
RELATIVE = ("scm_transfer_rel",)
"""Arms whose loss is relative to abs(y)²."""
_BLOCK = 65536


def inputs(omega0: Array, q: Array, omega: Array) -> Array:
    """Rows (n·m, 3) = (log10 ω, log10 ω0, log10 Q), device-major, float32, for ω (n, m).

    >>> inputs(np.array([10.0]), np.array([100.0]), np.array([[1.0]])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    wide = (np.broadcast_to(part[:, None], omega.shape) for part in (omega0, q))
    columns = [np.log10(part).ravel() for part in (omega, *wide)]
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Rows:
    """Rows of a split as float32 tensors: inputs (N, 3), ω (N,), and both parts of the target (N,)."""

    x: torch.Tensor
    omega: torch.Tensor
    re: torch.Tensor
    im: torch.Tensor

    @classmethod
    def of(cls, split: Mapping[str, Array], device: str = "cpu") -> Rows:
        """The rows of a split with ``omega0``, ``q`` (n,), ``omega``, ``target`` (n, m).

        >>> split = {"omega0": np.ones(1), "q": np.ones(1), "omega": np.ones((1, 2)),
        ...          "target": np.ones((1, 2), dtype=np.complex64)}
        >>> Rows.of(split).x.shape
        torch.Size([2, 3])
        """
        x = inputs(split["omega0"], split["q"], split["omega"])
        target = split["target"].ravel()
        parts = (x, split["omega"].ravel(), target.real, target.imag)
        made = (torch.from_numpy(part.astype(np.float32)).to(device) for part in parts)
        return cls(*made)

    def take(self, rows: torch.Tensor) -> Rows:
        """Some of the rows."""
        return Rows(*(x.index_select(0, rows) for x in (self.x, self.omega, self.re, self.im)))

    def loss(self, net: Network, *, relative: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean squared error per component over rows that are not ⊥, and the number of those."""
        re, im, bottom = net(self.x, self.omega)
        square = (re - self.re).square() + (im - self.im).square()
        square = square / (self.re.square() + self.im.square()) if relative else square / 2
        lost = bottom.sum()
        return square.masked_fill(bottom, 0.0).sum() / (len(bottom) - lost), lost


@dataclass(frozen=True)
class Trained:
    """The best network of an arm and how it got there; diagnostics are plain numbers."""

    net: Network
    steps: int
    final_loss: float
    diagnostics: dict[str, Any]

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return sum(part.numel() for part in self.net.parameters())

    def checkpoint(self) -> dict[str, Any]:
        """Weights by tensor name, as arrays."""
        return networks.to_numpy(self.net.state_dict())

    def coefficients(self, x: Array) -> Array:
        """(c, a1, a0) float64 (N, 3) of a transfer network for inputs (N, 3)."""
        if not isinstance(self.net, classic_networks.Transfer):
            msg = f"coefficients: {type(self.net).__name__} has none; ask for its response"
            raise TypeError(msg)
        with torch.inference_mode():
            made: Array = self.net.coefficients(torch.from_numpy(x)).numpy().astype(np.float64)
        return _all_finite(made)

    def response(self, x: Array, omega: Array) -> tuple[Array, Array]:
        """Response, complex64, and ⊥ mask, both of ω's shape (n, m), for inputs (n·m, 3)."""
        flat = omega.ravel().astype(np.float32)
        parts, masks = [], []
        with torch.inference_mode():
            for first in range(0, len(flat), _BLOCK):
                some = slice(first, first + _BLOCK)
                re, im, bottom = self.net(torch.from_numpy(x[some]), torch.from_numpy(flat[some]))
                parts.append(torch.complex(re, im).numpy())
                masks.append(bottom.numpy())
        values = _all_finite(np.concatenate(parts).reshape(omega.shape))
        return values, np.concatenate(masks).reshape(omega.shape)


def _all_finite(made: Array) -> Array:
    if not np.isfinite(made).all():
        msg = "an answer is not finite; the arm has failed"
        raise TrainingError(msg)
    return made


def train(
    arm: str,
    net: Network,
    splits: tuple[Rows, Rows],
    settings: Mapping[str, Any],
    order: np.random.Generator,
    progress: Progress,
) -> Trained:
    """Train on the first split, keep the epoch with the least squared error on the second.

    Raises TrainingError if a loss was not finite.
    """
    rows, held_out = splits
    epochs, batch, peak = settings["epochs"], settings["batch"], settings["learning_rate"]
    optimiser = torch.optim.Adam(net.parameters(), lr=peak, fused=True)
    relative = arm in RELATIVE
    count = len(rows.re)
    history: list[float] = []
    best: dict[str, torch.Tensor] = {}
    steps, last, lost = 0, math.nan, 0
    for epoch in range(epochs):
        rate = LEAST_RATE + (peak - LEAST_RATE) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        optimiser.param_groups[0]["lr"] = rate
        shuffled = rows.take(torch.from_numpy(order.permutation(count)).to(rows.re.device))
        losses, bottoms = [], []
        for first in range(0, count, batch):
            part = slice(first, first + batch)
            some = Rows(*(x[part] for x in (shuffled.x, shuffled.omega, shuffled.re, shuffled.im)))
            loss, bottom = some.loss(net, relative=relative)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(loss.detach())
            bottoms.append(bottom)
        steps += len(losses)
        with torch.no_grad():
            told = held_out.loss(net, relative=False)[0]
        numbers = torch.stack([torch.stack(losses).mean(), told, torch.stack(bottoms).sum()])
        last, seen, gone = numbers.tolist()  # the epoch's one transfer
        lost += int(gone)
        if not (math.isfinite(last) and math.isfinite(seen)):
            msg = f"{arm}: loss not finite in epoch {epoch + 1}; the arm has failed"
            raise TrainingError(msg)
        if not history or seen < min(history):
            best = {name: value.clone() for name, value in net.state_dict().items()}
        history.append(seen)
        progress.advance(1, loss=seen)
    net.load_state_dict(best)
    diagnostics = {
        "validation_history": history,
        "best_epoch": history.index(min(history)) + 1,
        "rows_seen": epochs * count,
        "train_bottom_fraction": lost / (epochs * count),
    }
    return Trained(net.cpu(), steps, last, diagnostics)
