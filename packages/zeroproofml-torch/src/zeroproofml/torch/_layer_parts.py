"""What the layers share: input rules, policies, initial weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.policy import GradientPolicy, resolve_policy
from zeroproofml.torch._arguments import broadcast, mask_tensor
from zeroproofml.torch._polynomial import polynomial
from zeroproofml.torch.policy import gate

__all__ = [
    "Basis",
    "absent_lanes",
    "check_policy",
    "degree",
    "gated_tuple",
    "lane_mask",
    "normal",
    "own_polynomial",
    "positive",
    "real_input",
    "resolved",
]

Basis = str | Callable[[Tensor, int], Tensor]


def real_input(name: str, value: Any, like: torch.dtype) -> Tensor:
    """A real floating tensor; integers take ``like``, and so do half inputs under autocast."""
    if not isinstance(value, Tensor):
        msg = f"{name} must be a torch.Tensor, not {type(value).__name__}"
        raise SCMTypeError(msg)
    if value.is_complex() or value.dtype == torch.bool:
        msg = f"{name} has dtype {value.dtype}; pass a real floating tensor"
        raise SCMTypeError(msg)
    if not value.is_floating_point():
        return value.to(like)
    autocast = torch.is_autocast_enabled(value.device.type)
    return value.float() if autocast and value.dtype.itemsize < 4 else value


def lane_mask(name: str, mask: Any, x: Tensor) -> Tensor | None:
    """A mask of x's shape, or None."""
    given = mask_tensor(name, mask, x.device)
    if given is None or given.shape == x.shape:
        return given
    if broadcast((given.shape, x.shape), (name, "x")) != tuple(x.shape):
        msg = f"{name} {tuple(given.shape)} must broadcast to x's shape {tuple(x.shape)}"
        raise SCMValueError(msg)
    return given.expand(x.shape)


def absent_lanes(mask: Tensor | None, x: Tensor) -> Tensor:
    """The lanes that are ⊥ on entry."""
    broken = ~torch.isfinite(x.detach())
    return broken if mask is None else broken | mask


def resolved(explicit: GradientPolicy | None) -> GradientPolicy:
    """The policy of this forward pass: the argument, the context, or PROJECT."""
    return resolve_policy(explicit, GradientPolicy.PROJECT)


def check_policy(policy: Any) -> GradientPolicy | None:
    """Refuse what is no policy."""
    if policy is not None and not isinstance(policy, GradientPolicy):
        msg = f"gradient_policy must be a GradientPolicy or None, not {policy!r}"
        raise SCMTypeError(msg)
    return policy


def degree(value: Any, name: str) -> int:
    """An integer >= 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an integer, not {value!r}"
        raise SCMTypeError(msg)
    if value < 0:
        msg = f"{name} must be >= 0, got {value}"
        raise SCMValueError(msg)
    return value


def normal(
    *shape: int,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    generator: torch.Generator | None,
) -> nn.Parameter:
    """N(0, 0.01²)."""
    draw = torch.randn(*shape, dtype=dtype, device=device, generator=generator)
    return nn.Parameter(0.01 * draw)


def own_polynomial(basis: Basis) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The evaluation in one Function; None where the formula itself is better or the only one."""
    if torch.compiler.is_compiling() or basis not in ("monomial", "chebyshev"):
        return None
    return functools.partial(polynomial, basis=str(basis))


def positive(value: Any, name: str) -> int:
    """An integer >= 1."""
    if degree(value, name) == 0:
        msg = f"{name} must be >= 1, got 0"
        raise SCMValueError(msg)
    return int(value)


def gated_tuple(P: Tensor, Q: Tensor, policy: GradientPolicy) -> tuple[Tensor, Tensor]:
    """The policy on both members; a lane is ⊥ when one of them is not finite."""
    bottom = ~torch.isfinite(P.detach()) | ~torch.isfinite(Q.detach())
    return gate(P, bottom, policy), gate(Q, bottom, policy)
