"""Strict inference on JAX arrays: decode (P, Q) once, at the boundary, and say why a lane is ⊥.

The decision itself is ``zeroproofml.scm.formulas.strict``, the same code for every framework. It is
compiled here also when called eagerly: XLA contracts products and sums, so that only code compiled
alike compares the very same numbers. What happens on the host afterwards (fallbacks, the monitor,
the sweep) stands in ``zeroproofml.scm.inference`` and takes these results as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from zeroproofml.scm.formulas import strict
from zeroproofml.scm.formulas.strict import InferenceConfig, InferenceResult, ThreeWay

__all__ = [
    "InferenceConfig",
    "InferenceResult",
    "ThreeWay",
    "decode_three_way",
    "gauge_value",
    "strict_inference",
]

_DEFAULT = InferenceConfig()


@partial(jax.jit, static_argnums=(3, 4))
def _judge(
    P: jax.Array,
    Q: jax.Array,
    values: tuple[jax.Array, ...],
    taus: tuple[float, ...],
    config: InferenceConfig,
) -> InferenceResult:
    factors = list(zip(values, taus, strict=True))
    return strict.judge(P, Q, factors, config, xp=jnp, stop_gradient=jax.lax.stop_gradient)


@partial(jax.jit, static_argnums=2)
def _measure(P: jax.Array, Q: jax.Array, gauge: strict.Gauge) -> jax.Array:
    value: jax.Array = strict.measure(P, Q, gauge, xp=jnp)
    return value


@partial(jax.jit, static_argnums=2)
def _three_way(P: jax.Array, Q: jax.Array, config: InferenceConfig, **signals: Any) -> ThreeWay:
    return strict.decode_three_way(
        P,
        Q,
        config,
        xp=jnp,
        array_type=jax.Array,
        stop_gradient=jax.lax.stop_gradient,
        **signals,
    )


def strict_inference(
    P: jax.Array,
    Q: jax.Array,
    config: InferenceConfig = _DEFAULT,
    *,
    factors: Sequence[Any] = (),
    broadcast: bool = False,
) -> InferenceResult:
    """Decode P/Q where it can be trusted; elsewhere say ⊥ and why.

    Args:
        P: numerator, real or complex, any shape; a jax.Array, as Q.
        Q: denominator of the same shape, or without P's last axis (one denominator per row).
        config: thresholds and gauge; static under ``jax.jit``.
        factors: validity factors V, or pairs (V, τ): a lane with V = 0 or |V| < τ is ⊥. Each
            has P's shape, or P's last axis 1 or missing.
        broadcast: allow any shapes of P and Q that broadcast.

    Returns:
        ``decoded`` (NaN at ⊥), ``bottom_mask``, ``gap_mask`` and ``cause`` (uint8), of P's broadcast
        shape. The gradient of ``decoded`` is finite, and 0 at ⊥.

    Raises:
        SCMTypeError: P, Q or a factor is not a floating, complex or integer array.
        SCMValueError: other shapes; a threshold that rounds to 0 in Q's dtype.

    >>> P, Q = jnp.asarray([1.0, 1.0, 1.0]), jnp.asarray([2.0, 1e-9, 0.0])
    >>> result = strict_inference(P, Q)
    >>> result.decoded.tolist()
    [0.5, nan, nan]
    >>> result.cause.tolist()
    [0, 32, 4]
    """
    P, Q, pairs = strict.prepare(
        P, Q, xp=jnp, array_type=jax.Array, factors=factors, broadcast=broadcast
    )
    values, taus = tuple(V for V, _ in pairs), tuple(tau for _, tau in pairs)
    result: InferenceResult = _judge(P, Q, values, taus, config)
    return result


def gauge_value(
    P: jax.Array, Q: jax.Array, gauge: strict.Gauge = "raw", *, broadcast: bool = False
) -> jax.Array:
    """The number that strict inference compares with its thresholds: |Q|, or |Q|/‖(P, Q)‖.

    Args:
        P, Q: as for :func:`strict_inference`.
        gauge: "raw" or "l2".

    Returns:
        Real array of P's broadcast shape; with "l2" NaN where a part is not finite.

    >>> round(gauge_value(jnp.asarray(3.0), jnp.asarray(4.0), "l2").item(), 6)
    0.8
    """
    InferenceConfig(gauge=gauge)
    P, Q, _ = strict.prepare(P, Q, xp=jnp, array_type=jax.Array, broadcast=broadcast)
    value: jax.Array = _measure(P, Q, gauge)
    return value


def decode_three_way(
    P: jax.Array,
    Q: jax.Array,
    config: InferenceConfig = _DEFAULT,
    *,
    orientation: jax.Array | None = None,
    direction_logits: jax.Array | None = None,
) -> ThreeWay:
    """Strict inference that also says on which side of the range a semantic ⊥ lies.

    Args:
        P, Q, config: as for :func:`strict_inference`.
        orientation: P's broadcast shape; the sign decides (below the logits, above the sign of P).
        direction_logits: (*P's broadcast shape, 2), index 0 below, 1 above.

    Returns:
        ``decoded``, ``bottom_mask``, and ``class_id`` int8: 1 in range, 0 below, 2 above, −1
        unresolved. A ⊥ lane is never 1.

    Raises:
        SCMTypeError, SCMValueError: as :func:`strict_inference`; shapes of the two signals.

    >>> P, Q = jnp.asarray([1.0, -1.0, 1.0]), jnp.asarray([2.0, 0.0, 0.0])
    >>> decode_three_way(P, Q).class_id.tolist()
    [1, 0, 2]
    """
    P, Q, _ = strict.prepare(P, Q, xp=jnp, array_type=jax.Array)
    result: ThreeWay = _three_way(
        P, Q, config, orientation=orientation, direction_logits=direction_logits
    )
    return result
