"""The JAX executor: one ``custom_jvp`` function per row of ``OPS``.

The primal computes once, tests once and selects once. The derivative rule is written in terms of
the primal's operands *and results*, with the hazard test inside: it costs nothing when nobody
differentiates, it can be differentiated again, and forward mode, ``vmap`` and ``jit`` follow from
JAX. ``custom_vjp`` would forbid forward mode and hessians.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from zeroproofml.jax._kernels import KERNELS, PARTIALS
from zeroproofml.jax._operands import as_mask, as_payload, common_shape
from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.scm.formulas.projective import unit_tuple
from zeroproofml.scm.optable import OPS, Op

__all__ = ["cores", "elementwise", "execute", "promote", "sign"]

_OPERANDS = {1: ("x",), 2: ("x", "y")}
_MASKS = {1: ("mask",), 2: ("mask_x", "mask_y")}

Core = Callable[..., tuple[jax.Array, jax.Array]]


def _core(row: Op) -> Core:
    """The row as ``core(entry, *operands) -> (payload, bottom)``, shapes and dtypes settled."""
    kernel, partials = KERNELS[row.name], PARTIALS[row.name]

    @jax.custom_jvp
    def core(entry: jax.Array, *operands: jax.Array) -> tuple[jax.Array, jax.Array]:
        is_complex = jnp.iscomplexobj(operands[0])
        raw = kernel(*operands)
        bottom = entry | ~jnp.isfinite(raw)
        for value, needed in zip(operands, row.checks(is_complex), strict=True):
            bottom = bottom | ~jnp.isfinite(value) if needed else bottom
        for _, undefined in row.faults:
            bottom = bottom | undefined(jnp, is_complex, *operands)
        return jnp.where(bottom, 0, raw), bottom

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        entry, *operands = primals
        payload, bottom = core(entry, *operands)
        off = bottom
        if row.hazard is not None:
            still = [jax.lax.stop_gradient(value) for value in (*operands, payload)]
            off = off | row.hazard(jnp, jnp.iscomplexobj(operands[0]), *still)
        safe = [jnp.where(off, s, v) for s, v in zip(row.safe, operands, strict=True)]
        total = jnp.zeros_like(payload)
        for partial_of, tangent in zip(partials, tangents[1:], strict=True):
            if isinstance(tangent, SymbolicZero):
                continue  # nobody asks for this partial, and pow's logarithm is dear
            factor = partial_of(core, *safe, jnp.where(off, 1, payload))
            if row.hazard is not None or jnp.iscomplexobj(factor):
                # The last bit of the hazard's own rounding, and complex parts beyond a modulus.
                factor = jnp.where(jnp.isfinite(factor), factor, 0)
            total = total + factor * jnp.where(off, 0, tangent).astype(payload.dtype)
        return (payload, bottom), (total, np.zeros(bottom.shape, dtype=jax.dtypes.float0))

    core.defjvp(rule, symbolic_zeros=True)
    return core


_CORES = {name: _core(row) for name, row in OPS.items()}


def cores(name: str) -> Core:
    """The operation as a differentiable function of ``(entry mask, *operands)``, all of one shape."""
    return _CORES[name]


def promote(name: str, values: tuple[Any, ...]) -> tuple[jax.Array, ...]:
    """Integers to the widest float, then JAX's promotion; pow's exponent stays real.

    Args:
        name: the operation.
        values: operands as ``as_payload`` returns them; Python numbers are weak.
    """
    floats = tuple(
        jnp.asarray(v, dtype=float) if jnp.issubdtype(jnp.result_type(v), jnp.integer) else v
        for v in values
    )
    dtype = jnp.result_type(*floats)
    if name != "pow":
        return tuple(jnp.asarray(v, dtype=dtype) for v in floats)
    base, exponent = floats
    return jnp.asarray(base, dtype=dtype), jnp.asarray(
        exponent, dtype=jnp.zeros((), dtype).real.dtype
    )


@partial(jax.jit, static_argnames=("name", "shape"))
def elementwise(
    name: str, shape: tuple[int, ...], operands: tuple[Any, ...], masks: tuple[Any, ...]
) -> tuple[jax.Array, jax.Array]:
    """Promote, broadcast, run the row; one dispatch when called eagerly."""
    values = [jnp.broadcast_to(v, shape) for v in promote(name, operands)]
    entry = jnp.zeros(shape, dtype=bool)
    for mask in masks:
        entry = entry if mask is None else entry | jnp.broadcast_to(mask, shape)
    return _CORES[name](entry, *values)


@np.errstate(all="ignore")  # without x64 a float64 beyond float32 is cut, and becomes ⊥
def execute(
    name: str, operands: tuple[Any, ...], masks: tuple[Any, ...]
) -> tuple[jax.Array, jax.Array]:
    """Judge the arguments of one public call and run the row.

    Args:
        name: the operation, a key of ``OPS``.
        operands: as the caller gave them, one or two.
        masks: as the caller gave them, one per operand.

    Returns:
        (payload, mask): canonical, of the broadcast shape.

    Raises:
        SCMTypeError: an argument that is no payload or no mask, or a complex exponent.
        SCMValueError: shapes that do not broadcast.
    """
    arity = len(operands)
    values = tuple(as_payload(v, n) for v, n in zip(operands, _OPERANDS[arity], strict=True))
    hidden = tuple(as_mask(m, n) for m, n in zip(masks, _MASKS[arity], strict=True))
    if name == "pow" and jnp.issubdtype(jnp.result_type(values[1]), jnp.complexfloating):
        msg = "y: a complex exponent is not defined here; pass a real one"
        raise SCMTypeError(msg)
    shape = common_shape((*_OPERANDS[arity], *_MASKS[arity]), (*values, *hidden))
    pair: tuple[jax.Array, jax.Array] = elementwise(name, shape, values, hidden)
    return pair


@partial(jax.jit, static_argnames="shape")
def _sign(shape: tuple[int, ...], operand: Any, mask: Any) -> tuple[jax.Array, jax.Array]:
    (x,) = promote("sign", (operand,))
    x = jnp.broadcast_to(x, shape)
    bottom = ~jnp.isfinite(x)
    bottom = bottom if mask is None else bottom | jnp.broadcast_to(mask, shape)
    if not jnp.iscomplexobj(x):
        return jnp.where(bottom, 0, jnp.sign(x)), bottom
    unit, _, null = unit_tuple(jnp.where(bottom, 0, x), jnp.zeros_like(x), xp=jnp)
    return jnp.where(bottom | null, 0, unit), bottom


@np.errstate(all="ignore")
def sign(x: Any, mask: Any) -> tuple[jax.Array, jax.Array]:
    """The weak sign of judged arguments: by comparison where real, scaled by a power of two where complex.

    Args:
        x: as the caller gave it.
        mask: as the caller gave it.

    Returns:
        (payload, mask): canonical, of the broadcast shape.

    Raises:
        SCMTypeError, SCMValueError: as :func:`execute`.
    """
    value, hidden = as_payload(x, "x"), as_mask(mask, "mask")
    pair: tuple[jax.Array, jax.Array] = _sign(
        common_shape(("x", "mask"), (value, hidden)), value, hidden
    )
    return pair
