"""Strict inference: one decision per lane, with its reasons, for every framework.

Shape rules, rounding of the thresholds and the causes stand here and nowhere else; the fronts in
``inference.py`` of the three packages add their array type and their ``stop_gradient``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Literal, NamedTuple

from zeroproofml.scm.cause import FAULT, SEMANTIC, Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas._arrays import (
    abs2,
    astype,
    dtype_name,
    finite_number,
    floating,
    identity,
    is_complex,
    largest_part,
    power_of_two_scale,
    quiet,
    quotient,
)

__all__ = [
    "InferenceConfig",
    "InferenceResult",
    "ThreeWay",
    "decode_three_way",
    "fill",
    "gauge_value",
    "judge",
    "measure",
    "prepare",
    "round_threshold",
    "strict_inference",
]

Gauge = Literal["raw", "l2"]

# name of a real dtype -> (bits of precision, exponent of the smallest normal number)
_FORMATS = {
    "float16": (11, -14),
    "bfloat16": (8, -126),
    "float32": (24, -126),
    "float64": (53, -1022),
}
_REAL = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}


def round_threshold(value: float, dtype: Any) -> float:
    """Round a threshold >= 0 to a real dtype, to nearest and ties to even.

    Comparing with an unrounded number would let the frameworks disagree about |Q| = τ: some compare
    in the array's dtype, some in double. Dtypes wider than double keep the value.

    Args:
        value: finite number >= 0.
        dtype: a floating or complex dtype of any framework, or its name.

    Returns:
        The rounded value as a Python float; inf where it does not fit.

    >>> round_threshold(1e-8, "float16"), round_threshold(0.5, "float16")
    (0.0, 0.5)
    """
    name = dtype_name(dtype)
    if value == 0.0 or _REAL.get(name, name) not in _FORMATS:
        return value
    precision, smallest = _FORMATS[_REAL.get(name, name)]
    exponent = max(math.frexp(value)[1] - precision, smallest - precision + 1)
    rounded = math.ldexp(round(math.ldexp(value, -exponent)), exponent)
    largest = math.ldexp(2.0 - math.ldexp(1.0, 1 - precision), 1 - smallest)
    return rounded if rounded <= largest else math.inf


def _threshold(value: Any, name: str, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"{name} must be a number, not {value!r}"
        raise SCMTypeError(msg)
    if not math.isfinite(value) or value < least or value <= 0:
        bound = f">= tau_infer = {least:g}" if least > 0 else "> 0"
        msg = f"{name} must be finite and {bound}, got {value}"
        raise SCMValueError(msg)
    return float(value)


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """Thresholds of strict inference; frozen, hashable, a static argument under jit and compile.

    Attributes:
        tau_infer: deployment threshold of the gauge; below it a lane is ⊥. Finite, > 0.
        tau_train: training margin; an accepted lane below it is in the gap. None, or >= tau_infer.
        gauge: "raw" compares |Q|; "l2" compares |Q|/‖(P, Q)‖, which no common scale changes.

    Raises:
        SCMTypeError: a threshold is a bool, a string, or no number at all.
        SCMValueError: a threshold out of range, or an unknown gauge.

    >>> InferenceConfig(tau_infer=1e-5, tau_train=1e-3, gauge="l2")
    InferenceConfig(tau_infer=1e-05, tau_train=0.001, gauge='l2')
    """

    tau_infer: float = 1e-6
    tau_train: float | None = None
    gauge: Gauge = "raw"

    def __post_init__(self) -> None:
        tau_infer = _threshold(self.tau_infer, "tau_infer", least=0.0)
        object.__setattr__(self, "tau_infer", tau_infer)
        if self.tau_train is not None:
            tau_train = _threshold(self.tau_train, "tau_train", least=tau_infer)
            object.__setattr__(self, "tau_train", tau_train)
        if self.gauge not in ("raw", "l2"):
            msg = f"gauge must be 'raw' or 'l2', got {self.gauge!r}"
            raise SCMValueError(msg)

    def effective(self, dtype: Any) -> tuple[float, float | None]:
        """The thresholds as they are compared: rounded to the real dtype of Q.

        Args:
            dtype: Q's dtype, of any framework, or its name.

        Returns:
            (tau_infer, tau_train) as Python floats.

        Raises:
            SCMValueError: a threshold rounds to 0 or does not fit the dtype.

        >>> InferenceConfig(tau_infer=0.1).effective("float32")
        (0.10000000149011612, None)
        """
        tau_infer = _fitting(self.tau_infer, "tau_infer", dtype)
        if self.tau_train is None:
            return tau_infer, None
        return tau_infer, _fitting(self.tau_train, "tau_train", dtype)

    def to_dict(self) -> dict[str, Any]:
        """The three fields, as plain JSON values.

        >>> InferenceConfig().to_dict()
        {'tau_infer': 1e-06, 'tau_train': None, 'gauge': 'raw'}
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InferenceConfig:
        """The inverse of ``to_dict``; a missing field takes its default.

        Raises:
            SCMValueError: a field that does not exist.

        >>> InferenceConfig.from_dict({"tau_infer": 1e-4, "gauge": "l2"}).gauge
        'l2'
        """
        known = {field.name for field in fields(cls)}
        if extra := sorted(set(data) - known):
            msg = f"unknown fields {extra} in an InferenceConfig; it has {sorted(known)}"
            raise SCMValueError(msg)
        return cls(**data)


def _fitting(value: float, name: str, dtype: Any) -> float:
    rounded = round_threshold(value, dtype)
    if not 0.0 < rounded < math.inf:
        msg = f"{name} = {value:g} rounds to {rounded:g} in {dtype_name(dtype)}; use a wider dtype"
        raise SCMValueError(msg)
    return rounded


def fill(x: Any, mask: Any, value: float) -> Any:
    """Put ``value`` where ``mask`` is True, in a new array of x's framework and dtype.

    >>> import numpy as np
    >>> fill(np.array([1.0, 2.0]), np.array([False, True]), 0.0)
    array([1., 0.])
    """
    if hasattr(x, "masked_fill"):  # torch has no __array_namespace__
        return x.masked_fill(mask, value)
    return x.__array_namespace__().where(mask, value, x)


class InferenceResult(NamedTuple):
    """What strict inference says about each lane; a pytree, four arrays of one shape.

    Attributes:
        decoded: P/Q; NaN where the lane is ⊥ (this is the IEEE boundary).
        bottom_mask: bool; the lane is ⊥.
        gap_mask: bool; not ⊥, but the gauge is below tau_train.
        cause: uint8 bits of :class:`zeroproofml.scm.cause.Cause`; non-zero exactly where ⊥.

    >>> import numpy as np
    >>> P, Q = np.array([1.0, 1.0]), np.array([2.0, 0.0])
    >>> judge(P, Q, [], InferenceConfig(), xp=np).payload
    array([0.5, 0. ])
    """

    decoded: Any
    bottom_mask: Any
    gap_mask: Any
    cause: Any

    @property
    def fault_mask(self) -> Any:
        """⊥ because of a numerical fault: non-finite input, or overflow."""
        return (self.cause & int(FAULT)) != 0

    @property
    def semantic_bottom_mask(self) -> Any:
        """⊥ because the tuple says so: zero or small denominator, or a validity factor."""
        return (self.cause & int(SEMANTIC)) != 0

    @property
    def bottom_provenance(self) -> Any:
        """int8: 0 regular, 1 fault, 2 semantic, 3 both."""
        fault, semantic = _int8(self.fault_mask), _int8(self.semantic_bottom_mask)
        return fault + 2 * semantic

    @property
    def payload(self) -> Any:
        """``decoded`` with 0 at ⊥: the canonical payload that goes with ``bottom_mask``."""
        return fill(self.decoded, self.bottom_mask, 0.0)

    @property
    def accept_mask(self) -> Any:
        """¬⊥; gap lanes are accepted (``reject_on_gap`` is stricter)."""
        return ~self.bottom_mask


def _int8(mask: Any) -> Any:
    return mask.char() if hasattr(mask, "char") else mask.astype("int8")


def _framework_array(x: Any, name: str, array_type: type, *, xp: Any) -> Any:
    if not isinstance(x, array_type):
        wanted = f"{array_type.__module__.partition('.')[0]}.{array_type.__name__}"
        msg = f"{name} must be a {wanted}, not {type(x).__name__}; convert it first"
        raise SCMTypeError(msg)
    return floating(x, name, xp=xp)


def _common_shape(P: Any, Q: Any, broadcast: bool, *, xp: Any) -> tuple[Any, Any]:
    """Equal shapes, or one denominator per row; anything else only when asked for."""
    p, q = tuple(P.shape), tuple(Q.shape)
    if p == q:
        return P, Q
    if p and q == p[:-1]:
        return P, xp.broadcast_to(Q[..., None], p)
    if broadcast:
        try:
            shape = xp.broadcast_shapes(p, q)
        except (ValueError, RuntimeError) as error:
            msg = f"P {p} and Q {q} cannot be broadcast against each other"
            raise SCMValueError(msg) from error
        return xp.broadcast_to(P, shape), xp.broadcast_to(Q, shape)
    msg = f"P {p} and Q {q} must have equal shapes, or Q lack P's last axis; or pass broadcast=True"
    raise SCMValueError(msg)


def prepare(
    P: Any,
    Q: Any,
    *,
    xp: Any,
    array_type: type,
    factors: Sequence[Any] = (),
    broadcast: bool = False,
) -> tuple[Any, Any, list[tuple[Any, float]]]:
    """Check and expand what strict inference takes.

    Args:
        P, Q: arrays of ``array_type``; integers become float64. See :func:`strict_inference`.
        factors: arrays V or pairs (V, τ).
        broadcast: allow NumPy's rules between P and Q.
        array_type: the framework's array class.

    Returns:
        (P, Q, factors), everything expanded to P's broadcast shape, each τ rounded to V's dtype.

    Raises:
        SCMTypeError: not an array of the framework, or bool or object; τ not a number.
        SCMValueError: shapes that do not fit; τ negative, not finite, or rounding to 0.

    >>> import numpy as np
    >>> P, Q, _ = prepare(np.ones((2, 3)), np.ones(2), xp=np, array_type=np.ndarray)
    >>> Q.shape
    (2, 3)
    """
    P = _framework_array(P, "P", array_type, xp=xp)
    Q = _framework_array(Q, "Q", array_type, xp=xp)
    P, Q = _common_shape(P, Q, broadcast, xp=xp)
    shape = tuple(P.shape)
    expanded = []
    for i, factor in enumerate(factors):
        V, tau = factor if isinstance(factor, tuple) else (factor, 0.0)
        V = _framework_array(V, f"factors[{i}]", array_type, xp=xp)
        own = tuple(V.shape)
        if own != shape:
            if not shape or own not in (shape[:-1], (*shape[:-1], 1)):
                msg = (
                    f"factors[{i}] {own} must have P's shape {shape}, or its last axis 1 or missing"
                )
                raise SCMValueError(msg)
            V = xp.broadcast_to(V[..., None] if own == shape[:-1] else V, shape)
        name = f"threshold of factors[{i}]"
        if isinstance(tau, bool) or not isinstance(tau, Real):
            msg = f"{name} must be a number, not {tau!r}"
            raise SCMTypeError(msg)
        finite_number(float(tau), name)
        expanded.append((V, _fitting(float(tau), name, V.dtype) if tau else 0.0))
    return P, Q, expanded


@quiet
def measure(P: Any, Q: Any, gauge: Gauge, *, xp: Any) -> Any:
    """The compared number of prepared arrays, in Q's real dtype; see :func:`gauge_value`.

    >>> import numpy as np
    >>> measure(np.array([3.0]), np.array([-4.0]), "raw", xp=np)
    array([4.])
    """
    raw = xp.abs(Q)
    if gauge == "raw":
        return raw
    sound = xp.isfinite(P) & xp.isfinite(Q)
    m = xp.maximum(largest_part(P, xp=xp), largest_part(Q, xp=xp))
    # A product by 2ᵏ, not a quotient by m: XLA turns (Q/m)/norm into Q/(m·norm), which overflows.
    s = power_of_two_scale(xp.where(sound, m, 0.0), xp=xp)
    q = xp.sqrt(_scaled_abs2(Q, s, xp=xp)) if is_complex(Q) else raw * s
    norm = xp.sqrt(_scaled_abs2(P, s, xp=xp) + q * q)
    share = q / xp.where(norm > 0, norm, 1.0)
    return astype(xp.where(sound, share, xp.nan), raw.dtype)


def _scaled_abs2(z: Any, s: Any, *, xp: Any) -> Any:
    """|z·s|² by parts: the modulus of a large complex number overflows."""
    if not is_complex(z):
        return abs2(z * s, xp=xp)
    re, im = xp.real(z) * s, xp.imag(z) * s
    return re * re + im * im


@quiet
def gauge_value(
    P: Any, Q: Any, gauge: Gauge = "raw", *, xp: Any, array_type: type, broadcast: bool = False
) -> Any:
    """The very number that strict inference compares with its thresholds.

    Args:
        P, Q: as for :func:`strict_inference`.
        gauge: "raw" gives |Q|; "l2" gives |Q|/‖(P, Q)‖ in [0, 1], computed on the tuple divided by
            its larger modulus, NaN where a part is not finite and 0 for (0, 0).

    Returns:
        Array of P's broadcast shape, in Q's real dtype.

    >>> import numpy as np
    >>> gauge_value(np.array([3e200]), np.array([4e200]), "l2", xp=np, array_type=np.ndarray)
    array([0.8])
    """
    InferenceConfig(gauge=gauge)
    P, Q, _ = prepare(P, Q, xp=xp, array_type=array_type, broadcast=broadcast)
    return measure(P, Q, gauge, xp=xp)


@quiet
def judge(
    P: Any,
    Q: Any,
    factors: Sequence[tuple[Any, float]],
    config: InferenceConfig,
    *,
    xp: Any,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> InferenceResult:
    """Strict inference on prepared arrays (see :func:`prepare`): tests, causes, quotient.

    >>> import numpy as np
    >>> judge(np.array([1.0]), np.array([0.0]), [], InferenceConfig(), xp=np).cause
    array([4], dtype=uint8)
    """
    stop = stop_gradient or identity
    tau_infer, tau_train = config.effective(Q.dtype)
    p, q = stop(P), stop(Q)
    g = measure(p, q, config.gauge, xp=xp)
    zero = q == 0
    broken = ~xp.isfinite(p) | ~xp.isfinite(q)
    invalid = None
    for V, tau in factors:
        v = stop(V)
        broken = broken | ~xp.isfinite(v)
        below = (v == 0) | (xp.abs(v) < tau)
        invalid = below if invalid is None else invalid | below

    # A NaN gauge (l2 of a non-finite tuple) is below nothing, so it sets no THRESHOLD.
    tests = [
        (Cause.NONFINITE, broken),
        (Cause.DIV_ZERO, zero),
        (Cause.NULL_TUPLE, zero & (p == 0)),
        (Cause.THRESHOLD, ~zero & (g < tau_infer)),
    ]
    if invalid is not None:
        tests.append((Cause.VALIDITY, invalid))
    cause = xp.zeros_like(broken, dtype=xp.uint8)
    for bit, holds in tests:
        cause = xp.where(holds, cause | int(bit), cause)
    payload, bottom = quotient(P, Q, cause != 0, xp=xp, stop_gradient=stop_gradient)
    cause = xp.where(bottom & (cause == 0), int(Cause.OVERFLOW) | cause, cause)
    gap = xp.zeros_like(bottom) if tau_train is None else ~bottom & (g < tau_train)
    return InferenceResult(xp.where(bottom, xp.nan, payload), bottom, gap, cause)


def strict_inference(
    P: Any,
    Q: Any,
    config: InferenceConfig,
    *,
    xp: Any,
    array_type: type,
    factors: Sequence[Any] = (),
    broadcast: bool = False,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> InferenceResult:
    """Decode (P, Q) into P/Q or ⊥ with its causes; see the fronts for the rules in full.

    Args:
        P, Q: real or complex arrays of ``array_type`` with equal shapes, or Q without P's last axis.
        config: thresholds and gauge, static.
        xp: numpy, torch or jax.numpy; ``array_type`` the class of its arrays.
        factors: validity factors V, or pairs (V, τ), of P's shape or with its last axis 1 or missing.
        broadcast: allow other shapes that broadcast.
        stop_gradient: the framework's; gradients of ``decoded`` are then finite, and 0 at ⊥.

    Raises:
        SCMTypeError: numbers, lists, arrays of another framework, bool arrays.
        SCMValueError: shapes; a threshold that rounds to 0 in Q's dtype.

    >>> import numpy as np
    >>> one = np.ones(2)
    >>> strict_inference(one, one - 1, InferenceConfig(), xp=np, array_type=np.ndarray).bottom_mask
    array([ True,  True])
    """
    P, Q, expanded = prepare(
        P, Q, xp=xp, array_type=array_type, factors=factors, broadcast=broadcast
    )
    return judge(P, Q, expanded, config, xp=xp, stop_gradient=stop_gradient)


class ThreeWay(NamedTuple):
    """Decoded value, ⊥ mask, and where each lane lies.

    ``class_id`` (int8): 1 in range, 0 below it, 2 above it, −1 unresolved (a fault, or a null tuple
    without a signal of direction). A ⊥ lane is never "in range".
    """

    decoded: Any
    bottom_mask: Any
    class_id: Any


@quiet
def decode_three_way(
    P: Any,
    Q: Any,
    config: InferenceConfig,
    *,
    xp: Any,
    array_type: type,
    orientation: Any = None,
    direction_logits: Any = None,
    stop_gradient: Callable[[Any], Any] | None = None,
) -> ThreeWay:
    """Strict inference that also says on which side of the range a semantic ⊥ lies.

    The side is the first of these that a lane has: argmax of its direction logits (unless one is
    NaN; index 0 below, 1 above), the sign of its orientation (unless 0 or NaN), the sign of P
    (≥ 0 is above; real P, and not for the null tuple). A lane with none of them is unresolved.

    Args:
        P, Q, config, xp, array_type, stop_gradient: as for :func:`strict_inference`.
        orientation: numbers of P's broadcast shape; only the sign counts.
        direction_logits: (*P's broadcast shape, 2).

    Raises:
        SCMTypeError, SCMValueError: as :func:`strict_inference`; shapes of the two signals.

    >>> import numpy as np
    >>> P, Q = np.array([1.0, -1.0, np.inf]), np.array([2.0, 0.0, 1.0])
    >>> decode_three_way(P, Q, InferenceConfig(), xp=np, array_type=np.ndarray).class_id
    array([ 1,  0, -1], dtype=int8)
    """
    P, Q, _ = prepare(P, Q, xp=xp, array_type=array_type)
    result = judge(P, Q, [], config, xp=xp, stop_gradient=stop_gradient)
    shape = tuple(P.shape)
    null = (P == 0) & (Q == 0)
    if is_complex(P):  # the complex plane has no sides
        side = xp.zeros_like(null, dtype=xp.int8)
    else:
        side = xp.where(null, 0, xp.where(P < 0, -1, 1))
    if orientation is not None:
        if tuple(orientation.shape) != shape:
            msg = f"orientation {tuple(orientation.shape)} must have P's shape {shape}"
            raise SCMValueError(msg)
        side = xp.where(orientation > 0, 1, xp.where(orientation < 0, -1, side))
    if direction_logits is not None:
        if tuple(direction_logits.shape) != (*shape, 2):
            msg = f"direction_logits {tuple(direction_logits.shape)} must have shape {(*shape, 2)}"
            raise SCMValueError(msg)
        below, above = direction_logits[..., 0], direction_logits[..., 1]
        side = xp.where(above > below, 1, xp.where(below >= above, -1, side))
    side = xp.where(result.fault_mask, 0, side)
    outside = xp.where(side == 0, -1, xp.where(side < 0, 0, 2))
    class_id = astype(xp.where(result.bottom_mask, outside, 1), xp.int8)
    return ThreeWay(result.decoded, result.bottom_mask, class_id)
