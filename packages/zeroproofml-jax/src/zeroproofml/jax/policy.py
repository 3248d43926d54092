"""Gradient gates: identity in forward, a gradient policy in backward.

PROJECT and REJECT are selects by the mask, so every transformation works through them; a
non-finite cotangent on a *regular* lane passes, because a sanitiser that can be transposed and
batched does not exist in JAX. CLAMP bounds values and needs ``custom_vjp``: grad, vmap and jit work,
forward mode raises JAX's TypeError. Layers never read the ``gradient_policy`` context (a jit cache
would not notice it): their policy is a static field.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


@jax.custom_vjp
def _clamp(value: jax.Array, mask: jax.Array) -> jax.Array:
    return value


def _clamp_forward(value: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    return value, mask


def _clamp_backward(mask: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, Any]:
    nothing = np.zeros(mask.shape, dtype=jax.dtypes.float0)
    return apply_policy(cotangent, mask, GradientPolicy.CLAMP, xp=jnp), nothing


_clamp.defvjp(_clamp_forward, _clamp_backward)


def gate(value: jax.Array, mask: jax.Array, policy: GradientPolicy) -> jax.Array:
    """Return ``value``; what flows back through it obeys ``policy``.

    CLAMP bounds the cotangent that enters the layer, not the gradients of its parameters.

    Args:
        value: real or complex array.
        mask: bool, of ``value``'s shape; True where the lane is ⊥.
        policy: static.

    >>> mask = jnp.asarray([False, True])
    >>> def loss(x):
    ...     return 5 * gate(x, mask, GradientPolicy.CLAMP).sum()
    >>> jax.grad(loss)(jnp.asarray([1.0, 2.0])).tolist()
    [1.0, 0.0]
    """
    if policy is GradientPolicy.PASSTHROUGH:
        return value
    if policy is GradientPolicy.REJECT:
        return jax.lax.stop_gradient(value)
    if policy is GradientPolicy.CLAMP:
        clamped: jax.Array = _clamp(value, mask)
        return clamped
    return jnp.where(mask, jax.lax.stop_gradient(value), value)


def sanitise(value: jax.Array, mask: jax.Array, policy: GradientPolicy) -> jax.Array:
    """Return ``value``; the cotangents of ⊥ lanes become 0, except in PASSTHROUGH.

    >>> mask = jnp.asarray([False, True])
    >>> def loss(x):
    ...     return 5 * sanitise(x, mask, GradientPolicy.CLAMP).sum()
    >>> jax.grad(loss)(jnp.asarray([1.0, 2.0])).tolist()
    [5.0, 0.0]
    """
    if policy is GradientPolicy.PASSTHROUGH:
        return value
    return gate(value, mask, GradientPolicy.PROJECT)
