"""Torch cases of the layers suite: ours against the bare formula under the same grad mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import _inputs
import _plain_torch as plain_torch
from suites._torch_ops import peak_bytes
from suites.case import Built, WrongValue, agree
from zeroproofml.scm import InferenceConfig
from zeroproofml.torch import SCMNorm, SCMRationalLayer, oriented_chordal_loss, strict_inference
from zeroproofml.torch.ops import scm_div_torch

SEED = 20260402
COLUMNS = 64
Calls = dict[str, Callable[[], object]]
Formula = Callable[[], Any]


def _second(formula: Formula, leaves: Sequence[torch.Tensor]) -> Any:
    """A Hessian-vector product with the vector of ones: the gradient of the gradients' sum."""
    value = formula()
    first = torch.autograd.grad(value, leaves, torch.ones_like(value), create_graph=True)
    return torch.autograd.grad(torch.stack([g.sum() for g in first]).sum(), leaves)


ORDERS: dict[str, Callable[[Formula, Sequence[torch.Tensor]], Any]] = {
    "forward": lambda formula, leaves: formula(),
    "gradient": plain_torch.gradient,
    "second": _second,
}


def _same(what: str, got: Any, want: Any, rtol: float) -> None:
    """Equal to a tolerance relative to the largest entry; float32 sums cancel."""
    ours, bare = ((v,) if isinstance(v, torch.Tensor) else v for v in (got, want))
    for a, b in zip(ours, bare, strict=True):
        scale = float(b.detach().abs().max())
        if not torch.allclose(a, b, rtol=rtol, atol=rtol * scale):
            msg = f"{what}: differs from the bare formula"
            raise WrongValue(msg)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """One graph of a function, compiled at its first call."""
    torch._dynamo.reset()  # more than eight graphs of one function fall back silently
    torch._dynamo.utils.counters.clear()
    graph: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)
    return graph


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _demand_one_graph() -> None:
    if torch._dynamo.utils.counters["stats"]["unique_graphs"] != 1:
        msg = "torch: more than one graph; what is timed is not the compiled form alone"
        raise WrongValue(msg)


def _pair(
    name: str,
    order: str,
    ours: Formula,
    plain: Formula,
    leaves: Sequence[torch.Tensor],
    compiled: bool = False,
) -> Built:
    """Two formulas of the same values, taken to the same order of derivative."""
    torch.set_num_threads(1)
    take = ORDERS[order]
    calls: Calls = {"raw": partial(take, plain, leaves), "torch": partial(take, ours, leaves)}
    compile_s = {"torch": _seconds(calls["torch"])} if compiled else {}

    def check() -> None:
        _same(name, ours(), plain(), 1e-4)
        if order != "forward":
            _same(f"{name}, {order}", calls["torch"](), calls["raw"](), 1e-3)
        if compiled:
            _demand_one_graph()

    return Built(calls, check, 0.0, ("torch",), peak_bytes, compile_s=compile_s)


def _uniform(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator).requires_grad_()


def build_div(n: int, kind: _inputs.Kind, backward: bool, compiled: bool = False) -> Built:
    """Division, singular lanes included."""
    torch.set_num_threads(1)
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    x, y = (torch.from_numpy(v).requires_grad_(backward) for v in inputs.operands)
    cotangent = torch.ones(n, dtype=torch.float64)
    divide = _compiled(scm_div_torch) if compiled else scm_div_torch

    def both(result: Any) -> Any:
        return torch.autograd.grad(result, (x, y), cotangent)

    calls: Calls = {"raw": lambda: x / y, "torch": lambda: divide(x, y)}
    if backward:
        calls = {"raw": lambda: both(x / y), "torch": lambda: both(divide(x, y)[0])}
    compile_s = {"torch": _seconds(calls["torch"])} if compiled else {}

    def check() -> None:
        payload, mask = divide(x, y)
        agree("torch", payload.detach(), (x / y).detach(), mask)
        if not np.array_equal(mask.numpy(), inputs.mask):
            msg = "torch: the mask differs from the oracle"
            raise WrongValue(msg)
        if backward:
            for ours, bare in zip(both(payload), both(x / y), strict=True):
                agree("torch gradient", ours, bare, mask)
        if compiled:
            _demand_one_graph()

    return Built(calls, check, float(inputs.mask.mean()), compile_s=compile_s)


def rational_layer(degree: int, basis: str) -> SCMRationalLayer:
    """The layer of the cases, with the same coefficients every time."""
    generator = torch.Generator().manual_seed(SEED)
    return SCMRationalLayer(degree, degree, basis=basis, singular_epsilon=0.0, generator=generator)


def build_rational(n: int, degree: int, basis: str, order: str, compiled: bool = False) -> Built:
    """The rational layer against plain Horner or Clenshaw P/Q without checks."""
    layer = rational_layer(degree, basis)
    call = _compiled(layer) if compiled else layer
    x = plain_torch.points(n, SEED)

    def clenshaw(row: torch.Tensor) -> torch.Tensor:
        after = before = torch.zeros_like(x)
        for k in range(degree, 0, -1):
            after, before = row[k] + 2 * x * after - before, after
        return row[0] + x * after - before

    def plain() -> torch.Tensor:
        if basis == "monomial":
            return plain_torch.rational(layer.numerator, layer.denominator, x)
        return clenshaw(layer.numerator) / clenshaw(layer.denominator)

    leaves = (x, *layer.parameters())
    return _pair("rational layer", order, lambda: call(x)[0], plain, leaves, compiled)


def build_strict(n: int, order: str) -> Built:
    """Strict inference with a gap mask against P/Q."""
    generator = torch.Generator().manual_seed(SEED)
    p, q = _uniform(n, generator), (torch.rand(n, generator=generator) + 0.5).requires_grad_()
    config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)
    return _pair(
        "strict inference", order, lambda: strict_inference(p, q, config).decoded, lambda: p / q,
        (p, q),
    )  # fmt: skip


def build_loss(n: int, order: str) -> Built:
    """The recommended loss on tuples against its textbook formula."""
    generator = torch.Generator().manual_seed(SEED)
    p, q = _uniform(n, generator), (torch.rand(n, generator=generator) + 0.5).requires_grad_()
    target, one = torch.rand(n, generator=generator), torch.ones(n)

    def plain() -> torch.Tensor:
        norms = torch.sqrt((p * p + q * q) * (target * target + one))
        return (1 - (p * target + q) / norms).mean()

    return _pair(
        "oriented loss", order, lambda: oriented_chordal_loss(p, q, target, one), plain, (p, q)
    )


def build_norm(n: int, order: str) -> Built:
    """The normaliser on 64 columns against mean and variance without masks."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.rand(n // COLUMNS, COLUMNS, generator=generator).requires_grad_()
    weight = torch.rand(n // COLUMNS, COLUMNS, generator=generator)  # else the gradient is 0
    norm = SCMNorm()

    def plain() -> torch.Tensor:
        centred = x - x.mean(0)
        return weight * centred / torch.sqrt((centred * centred).mean(0))

    return _pair("normaliser", order, lambda: weight * norm(x)[0], plain, (x,))
