"""What may flow back through a lane: gradient policies and their precedence.

An explicit argument beats the context, the context beats the layer's default. The context is one
plain module attribute, the same for the whole process: ``torch.compile`` cannot trace
``ContextVar.get`` and does not guard thread-locals, but it guards a plain attribute and recompiles
when it changes. Threads that want different policies pass the argument.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.scm.formulas._arrays import is_complex, largest_part, not_finite, quiet

__all__ = [
    "GradientPolicy",
    "apply_policy",
    "current_policy",
    "gradient_policy",
    "resolve_policy",
]


class GradientPolicy(enum.StrEnum):
    """How a layer treats the cotangent that reaches its output; at ⊥ it is 0 in all but PASSTHROUGH.

    >>> GradientPolicy("project") is GradientPolicy.PROJECT
    True
    """

    CLAMP = "clamp"  # bounded to [-1, 1], NaN becomes 0
    PROJECT = "project"  # non-finite values become 0
    REJECT = "reject"  # nothing flows back
    PASSTHROUGH = "pass"  # as it comes


_current: GradientPolicy | None = None


def current_policy() -> GradientPolicy | None:
    """The policy of the innermost ``gradient_policy`` context; None outside.

    >>> current_policy() is None
    True
    """
    return _current


def resolve_policy(explicit: GradientPolicy | None, default: GradientPolicy) -> GradientPolicy:
    """The policy that counts: the explicit argument, else the context, else the default.

    >>> resolve_policy(None, GradientPolicy.PROJECT).name
    'PROJECT'
    >>> with gradient_policy(GradientPolicy.REJECT):
    ...     resolve_policy(None, GradientPolicy.PROJECT).name
    'REJECT'
    """
    if explicit is not None:
        return explicit
    return default if _current is None else _current


@contextmanager
def gradient_policy(policy: GradientPolicy) -> Iterator[GradientPolicy]:
    """Set the policy of every layer whose ``forward`` runs inside the context.

    The layer reads the context in ``forward``: around ``backward()`` alone it does nothing. JAX
    layers never read it (a jit cache would not notice it); their policy is a static field.

    Raises:
        SCMTypeError: ``policy`` is not a GradientPolicy.

    >>> with gradient_policy(GradientPolicy.CLAMP) as policy:
    ...     current_policy() is policy
    True
    """
    global _current
    given: object = policy  # a string equals a member, but is none
    if not isinstance(given, GradientPolicy):
        msg = f"policy must be a GradientPolicy, not {policy!r}; e.g. GradientPolicy.PROJECT"
        raise SCMTypeError(msg)
    before, _current = _current, policy
    try:
        yield policy
    finally:
        _current = before


@quiet
def apply_policy(g: Any, mask: Any, policy: GradientPolicy, *, xp: Any) -> Any:
    """Apply a policy to a gradient.

    Args:
        g: real or complex gradient of any shape.
        mask: bool, broadcastable with ``g``; True where the lane is ⊥.
        policy: CLAMP clips real values to [-1, 1] and complex ones to modulus 1 (NaN, and a complex
            value with a non-finite part, become 0); PROJECT replaces non-finite values by 0; REJECT
            returns zeros; PASSTHROUGH returns ``g``, ⊥ lanes included.
        xp: numpy, torch or jax.numpy.

    Returns:
        The gradient that may flow on, of ``g``'s dtype.

    >>> import numpy as np
    >>> g = np.array([3.0, np.nan, np.inf, -0.5])
    >>> apply_policy(g, np.array([False, False, False, True]), GradientPolicy.CLAMP, xp=np)
    array([1., 0., 1., 0.])
    """
    if policy is GradientPolicy.PASSTHROUGH:
        return g
    if policy is GradientPolicy.REJECT:
        return xp.zeros_like(xp.where(mask, 0.0, g))
    if policy is GradientPolicy.PROJECT:
        return xp.where(mask | not_finite(g), 0.0, g)
    if not is_complex(g):
        return xp.where(mask | xp.isnan(g), 0.0, xp.clip(g, -1.0, 1.0))
    gone = mask | not_finite(g)
    g = xp.where(gone, 0.0, g)
    part = largest_part(g, xp=xp)  # the modulus itself may overflow
    scaled = g / xp.where(part > 1.0, part, 1.0)
    modulus = xp.abs(scaled)
    return xp.where(
        (part > 1.0) | (modulus > 1.0), scaled / xp.where(modulus > 0.0, modulus, 1.0), g
    )
