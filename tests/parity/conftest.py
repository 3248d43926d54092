"""Fixtures of the parity suite: one handle per framework, so that a test is written once."""

import contextlib
import functools
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch


def _torch_numpy(x):
    return (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()


def _torch_autograd(f, *xs):
    leaves = [x.clone().requires_grad_() for x in xs]
    return torch.autograd.grad(f(*leaves), leaves, allow_unused=True, materialize_grads=True)


def _torch_func(f, *xs):
    return torch.func.grad(f, argnums=tuple(range(len(xs))))(*xs)


def _jax_grad(f, *xs):
    return jax.grad(f, argnums=tuple(range(len(xs))))(*xs)


@functools.lru_cache(maxsize=8)
def _jitted_grad(f, n):
    return jax.jit(jax.grad(f, argnums=tuple(range(n))))


def _jax_jit_grad(f, *xs):
    return _jitted_grad(f, len(xs))(*xs)


@dataclass(frozen=True)
class Framework:
    xp: Any
    array_type: type
    stop: Any
    gradient: Any
    to_numpy: Any

    def array(self, values, dtype="float64"):
        return self.xp.asarray(np.asarray(values), dtype=getattr(self.xp, dtype))

    def arrays(self, *rows, dtype="float64"):
        return [self.array(row, dtype) for row in rows]

    def mask(self, values):
        return self.xp.asarray(np.asarray(values, bool))

    def grads(self, f, *xs):
        return [self.to_numpy(g) for g in self.gradient(f, *xs)]


_FRAMEWORKS = SimpleNamespace(
    numpy=Framework(np, np.ndarray, None, None, np.asarray),
    torch=Framework(torch, torch.Tensor, torch.Tensor.detach, _torch_autograd, _torch_numpy),
    torch_func=Framework(torch, torch.Tensor, torch.Tensor.detach, _torch_func, _torch_numpy),
    jax=Framework(jnp, jax.Array, jax.lax.stop_gradient, _jax_grad, np.asarray),
    jax_jit=Framework(jnp, jax.Array, jax.lax.stop_gradient, _jax_jit_grad, np.asarray),
)


@pytest.fixture
def frameworks():
    """All five handles, by name."""
    return _FRAMEWORKS


@pytest.fixture
def fw(request):
    """One handle; parametrise it indirectly with the names wanted."""
    return getattr(_FRAMEWORKS, request.param)


@pytest.fixture
def compiled():
    """torch.compile in one graph or not at all, without the code generator behind it."""

    def trace(f):
        torch._dynamo.reset()
        return torch.compile(f, fullgraph=True, backend="aot_eager")

    return trace


@pytest.fixture(scope="module")
def x64():
    """JAX in double precision, and the compilers of torch loaded.

    A context around the module, never a global switch: the whole test run is one process. torch
    2.13 warns about its own use of torch.jit.script when it first differentiates or compiles.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))
        yield
