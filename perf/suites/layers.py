"""Division and the rational layer under automatic differentiation, in Torch and JAX.

The reference is the bare operator in the same framework and the same mode. A framework that is not
installed has no cases.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import _inputs
from suites.case import Built, Case, WrongValue, size_name

SEED = 20260402
SIZES = (100_000, 1_000_000)
DEGREE = 8
Calls = dict[str, Callable[[], object]]


def _agree(name: str, got: Any, want: Any, mask: Any) -> None:
    """Equal on regular lanes; the reference holds inf or NaN where ours is ⊥."""
    got, want, mask = (np.asarray(v) for v in (got, want, mask))
    if not np.allclose(got[~mask], want[~mask], rtol=1e-5, atol=0):
        msg = f"{name}: regular lanes differ from the bare operator"
        raise WrongValue(msg)
    if np.any(got[mask]) or not np.all(np.isfinite(got)):
        msg = f"{name}: ⊥ lanes are not 0"
        raise WrongValue(msg)


# --- torch --------------------------------------------------------------------------------------


def _torch_div(n: int, kind: _inputs.Kind, backward: bool) -> Built:
    import torch

    from zeroproofml.torch.ops import scm_div_torch

    torch.set_num_threads(1)
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    x, y = (torch.from_numpy(v).requires_grad_(backward) for v in inputs.operands)
    cotangent = torch.ones(n, dtype=torch.float64)

    def both(result: Any) -> Any:
        return torch.autograd.grad(result, (x, y), cotangent)

    calls: Calls = {"raw": lambda: x / y, "torch": lambda: scm_div_torch(x, y)}
    if backward:
        calls = {"raw": lambda: both(x / y), "torch": lambda: both(scm_div_torch(x, y)[0])}

    def check() -> None:
        payload, mask = scm_div_torch(x, y)
        _agree("torch", payload.detach(), (x / y).detach(), mask)
        if not np.array_equal(mask.numpy(), inputs.mask):
            msg = "torch: the mask differs from the oracle"
            raise WrongValue(msg)
        if backward:
            for ours, bare in zip(both(payload), both(x / y), strict=True):
                _agree("torch gradient", ours, bare, mask)

    return Built(calls, check, float(inputs.mask.mean()))


def _torch_rational(n: int, kind: _inputs.Kind) -> Built:
    import torch

    from zeroproofml.torch import SCMRationalLayer

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    layer = SCMRationalLayer(DEGREE, DEGREE, singular_epsilon=0.0, generator=generator)
    x = torch.rand(n, generator=generator).requires_grad_()
    cotangent = torch.ones(n)

    def plain() -> Any:
        p, q = layer.numerator[DEGREE], layer.denominator[DEGREE]
        for k in range(DEGREE - 1, -1, -1):
            p = p * x + layer.numerator[k]
            q = q * x + layer.denominator[k]
        return p / q

    parameters = (x, *layer.parameters())

    def both(result: Any) -> Any:
        return torch.autograd.grad(result, parameters, cotangent)

    calls: Calls = {"raw": lambda: both(plain()), "torch": lambda: both(layer(x)[0])}

    def check() -> None:
        payload, mask = layer(x)
        _agree("rational layer", payload.detach(), plain().detach(), mask)
        for ours, bare in zip(both(payload), both(plain()), strict=True):
            if not torch.allclose(ours, bare, rtol=1e-3):
                msg = "rational layer: a gradient differs from the bare formula's"
                raise WrongValue(msg)

    return Built(calls, check, 0.0)


# --- jax ----------------------------------------------------------------------------------------


def _jax_div(n: int, kind: _inputs.Kind, gradient: bool) -> Built:
    jax: Any = importlib.import_module("jax")  # its functions are untyped
    import jax.numpy as jnp

    from zeroproofml.jax.ops import scm_div_jax

    jax.config.update("jax_enable_x64", True)
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    x, y = (jnp.asarray(v) for v in inputs.operands)
    bare, ours = jax.jit(jnp.divide), jax.jit(scm_div_jax)
    slope_bare = jax.jit(jax.grad(lambda a, b: (a / b).sum(), argnums=(0, 1)))
    slope = jax.jit(jax.grad(lambda a, b: scm_div_jax(a, b)[0].sum(), argnums=(0, 1)))

    def run(function: Any) -> Any:
        return jax.block_until_ready(function(x, y))

    calls: Calls = {"raw": partial(run, bare), "jax": partial(run, ours)}
    if gradient:
        calls = {"raw": partial(run, slope_bare), "jax": partial(run, slope)}

    def check() -> None:
        payload, mask = run(ours)
        _agree("jax", payload, run(bare), mask)
        if not np.array_equal(np.asarray(mask), inputs.mask):
            msg = "jax: the mask differs from the oracle"
            raise WrongValue(msg)
        if gradient:
            for mine, plain in zip(run(slope), run(slope_bare), strict=True):
                _agree("jax gradient", mine, plain, mask)

    return Built(calls, check, float(inputs.mask.mean()))


# --- the catalogue ------------------------------------------------------------------------------


def cases(*, quick: bool) -> Iterator[Case]:
    """Every case of the suite, for the frameworks that are installed."""
    kinds: tuple[_inputs.Kind, ...] = ("clean", "new")
    for n in SIZES[:1] if quick else SIZES:
        for framework, build in (("torch", _torch_div), ("jax", _jax_div)):
            if importlib.util.find_spec(framework) is None:
                continue
            for mode, derivative in (("forward", False), ("gradient", True)):
                for kind in kinds:
                    yield Case(
                        id=f"layers/div-{mode}-{framework}/float64/{size_name(n)}/{kind}",
                        suite="layers",
                        n=n,
                        dtype="float64",
                        data_kind=kind,
                        backend=framework,
                        reference="raw",
                        make=partial(build, n, kind, derivative),
                        note="a ratio below 1 is the allocator" if n >= 1_000_000 else None,
                    )
        if importlib.util.find_spec("torch") is not None:
            yield Case(
                id=f"layers/rational8-gradient-torch/float32/{size_name(n)}/clean",
                suite="layers",
                n=n,
                dtype="float32",
                data_kind="clean",
                backend="torch",
                reference="raw",
                make=partial(_torch_rational, n, "clean"),
                note="raw is plain Horner P/Q without checks, forward and backward",
            )
