"""One jitted training step: draw τ, lift the targets, differentiate, refuse what is not finite.

There is no trainer for JAX: the loop, the optimiser and the checkpoints are the caller's.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zeroproofml.jax.losses import Targets, lift_targets
from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = ["make_train_step"]

_OFFERED = ("tau", "inputs")


def _range(tau_train: tuple[float, float]) -> tuple[float, float]:
    low, high = tau_train
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            msg = f"tau_train must be two numbers, not {tau_train!r}"
            raise SCMTypeError(msg)
    if not (0 <= low <= high and math.isfinite(high)):
        msg = f"tau_train must be finite and 0 <= low <= high, got {tau_train}"
        raise SCMValueError(msg)
    return float(low), float(high)


def _draw(key: jax.Array, low: float, high: float) -> float | jax.Array:
    """τ ~ U[low, high] in the widest float; rounding must not leave the interval."""
    if low == high:
        return low
    dtype = jax.dtypes.canonicalize_dtype(np.float64)
    ends = np.array([low, high]).astype(dtype)
    inner = np.nextafter(ends, ends[::-1])
    least = ends[0] if float(ends[0]) >= low else inner[0]
    most = ends[1] if float(ends[1]) <= high else inner[1]
    drawn = jax.random.uniform(key, dtype=dtype) * (high - low) + low
    return jnp.clip(drawn, least, most)


def _accepted(loss: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(loss).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return _OFFERED
    return tuple(p.name for p in parameters if p.name in _OFFERED)


def _keep(ok: jax.Array, new: Any, old: Any) -> Any:
    """The new tree where the step is sound, else the old one, leaf by leaf, dtypes as before."""
    return jax.tree.map(lambda n, o: jnp.where(ok, n, o).astype(o.dtype), new, old)


def make_train_step(
    apply: Callable[[Any, Any], Any],
    loss: Callable[..., Any],
    update: Callable[[Any, Any, Any], tuple[Any, Any]],
    *,
    tau_train: tuple[float, float] = (1e-4, 1e-4),
) -> Callable[[Any, Any, jax.Array, Any, Any], tuple[Any, Any, jax.Array, dict[str, Any]]]:
    """Build a jitted step.

    With a non-finite loss or gradient the step changes nothing: parameters and optimiser state come
    back as they were, and ``parts["nonfinite_skips"]`` is 1.

    Args:
        apply: ``apply(params, x) -> (P, Q)``.
        loss: ``loss(outputs, targets, **those of tau, inputs that it takes) -> total`` or
            ``(total, parts)``, e.g. :class:`zeroproofml.jax.losses.SCMLoss`.
        update: ``update(grads, opt_state, params) -> (params, opt_state)``.
        tau_train: the step's margin is drawn uniformly from this closed interval.

    Returns:
        ``step(params, opt_state, key, x, y) -> (params, opt_state, total, parts)``; ``y`` is an array
        (lifted here) or ``Targets``; ``parts`` also holds ``tau_train`` and ``nonfinite_skips``.

    Raises:
        SCMTypeError, SCMValueError: a ``tau_train`` that is no interval of non-negative numbers.

    >>> from zeroproofml.jax import SCMLoss
    >>> def apply(w, x):
    ...     return w * x, jnp.ones_like(x)
    >>> def update(grads, state, w):
    ...     return w - 0.5 * grads, state
    >>> step = make_train_step(apply, SCMLoss(), update)
    >>> w, x = jnp.asarray(0.0), jnp.asarray([1.0, 2.0])
    >>> w, _, total, parts = step(w, None, jax.random.key(0), x, 3.0 * x)
    >>> bool(w > 0), int(parts["nonfinite_skips"])
    (True, 0)
    """
    low, high = _range(tau_train)
    wanted = _accepted(loss)

    def objective(params: Any, x: Any, targets: Targets, tau: Any) -> tuple[Any, dict[str, Any]]:
        offered = {"tau": tau, "inputs": x}
        answer = loss(apply(params, x), targets, **{name: offered[name] for name in wanted})
        return answer if isinstance(answer, tuple) else (answer, {})

    @jax.jit
    def step(params: Any, opt_state: Any, key: jax.Array, x: Any, y: Any) -> Any:
        targets = y if isinstance(y, Targets) else lift_targets(y)
        tau = _draw(key, low, high)
        differentiated = jax.value_and_grad(objective, has_aux=True)
        (total, parts), grads = differentiated(params, x, targets, tau)
        ok = jnp.isfinite(total)
        for leaf in jax.tree.leaves(grads):
            ok = ok & jnp.all(jnp.isfinite(leaf))
        moved, state = update(grads, opt_state, params)
        told = {**parts, "tau_train": jnp.asarray(tau), "nonfinite_skips": (~ok).astype(jnp.int32)}
        return _keep(ok, moved, params), _keep(ok, state, opt_state), total, told

    return step
