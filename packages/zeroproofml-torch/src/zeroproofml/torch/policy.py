"""Gradient gates: identity in forward, a gradient policy in backward.

The meaning of a policy stands in ``zeroproofml.scm.policy``; here it becomes an
``autograd.Function``, in two twins: eager mode and ``torch.func`` need one that defines ``jvp``,
``torch.compile(fullgraph=True)`` refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from zeroproofml.scm.policy import (
    GradientPolicy,
    apply_policy,
    current_policy,
    gradient_policy,
    resolve_policy,
)

__all__ = [
    "GradientPolicy",
    "apply_policy",
    "current_policy",
    "gate",
    "gradient_policy",
    "resolve_policy",
    "sanitise",
]


def _gates(policy: GradientPolicy) -> tuple[type[torch.autograd.Function], ...]:
    """The Function of a policy: for eager mode and torch.func, and for compilation."""

    class Compiled(torch.autograd.Function):
        @staticmethod
        def forward(value: Tensor, mask: Tensor) -> Tensor:
            return value.clone()

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.save_for_backward(inputs[1])

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:
            (mask,) = ctx.saved_tensors
            return apply_policy(grad, mask, policy, xp=torch), None

    class Eager(Compiled):
        generate_vmap_rule = True

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.save_for_backward(inputs[1])
            ctx.save_for_forward(inputs[1])

        @staticmethod
        def jvp(ctx: Any, tangent: Tensor, _: Any) -> Any:
            (mask,) = ctx.saved_tensors
            with _set_fwd_grad_enabled(True):  # else a jvp of a jvp would be a silent 0
                return apply_policy(tangent, mask, policy, xp=torch)

    return Eager, Compiled


_GATES: Mapping[GradientPolicy, tuple[type[torch.autograd.Function], ...]] = {
    policy: _gates(policy) for policy in GradientPolicy if policy is not GradientPolicy.PASSTHROUGH
}


def gate(value: Tensor, mask: Tensor, policy: GradientPolicy) -> Tensor:
    """Return ``value``; what flows back through it obeys ``policy``.

    CLAMP bounds the cotangent that enters the layer, not the gradients of its parameters.

    Args:
        value: real or complex tensor.
        mask: bool, of ``value``'s shape; True where the lane is ⊥.
        policy: resolved beforehand, in ``forward``: a context around ``backward()`` alone changes
            nothing.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> mask = torch.tensor([False, True])
    >>> gate(x, mask, GradientPolicy.CLAMP).backward(torch.tensor([5.0, 5.0]))
    >>> x.grad
    tensor([1., 0.])
    """
    if policy is GradientPolicy.PASSTHROUGH:
        return value
    eager, compiled = _GATES[policy]
    chosen = compiled if torch.compiler.is_compiling() else eager
    result: Tensor = chosen.apply(value, mask)  # type: ignore[no-untyped-call]  # untyped in torch
    return result


def sanitise(value: Tensor, mask: Tensor, policy: GradientPolicy) -> Tensor:
    """Return ``value``; non-finite cotangents and those of ⊥ lanes become 0, except in PASSTHROUGH.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> mask = torch.tensor([False, False])
    >>> sanitise(x, mask, GradientPolicy.CLAMP).backward(torch.tensor([5.0, torch.inf]))
    >>> x.grad
    tensor([5., 0.])
    """
    if policy is GradientPolicy.PASSTHROUGH:
        return value
    return gate(value, mask, GradientPolicy.PROJECT)
