"""Layers: rational functions, projective heads, normalisation and softmax that know ⊥.

Each layer is a frozen dataclass and a pytree: its parameters are the leaves, every option is static.
``Layer.init(key, …)`` draws the parameters; the constructor takes them as they are. The mathematics
is ``zeroproofml.scm.formulas``; here it gets parameters and gradient gates. ``gradient_policy`` is a
static field (PROJECT unless said), never read from a context. Calls are compiled, eager ones too.
Parameter names, formulas and results
are those of ``zeroproofml.torch.layers``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from zeroproofml.jax._operands import as_mask, common_shape
from zeroproofml.jax.policy import gate, sanitise
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import heads, norm, projective, rational
from zeroproofml.scm.policy import GradientPolicy

__all__ = [
    "AngularProjectiveHead",
    "ProjectiveNormalize",
    "ProjectiveRationalMultiHead",
    "SCMNorm",
    "SCMRationalLayer",
    "SCMSoftmax",
]

Basis = str | Callable[[jax.Array, int], jax.Array]
Pair = tuple[jax.Array, jax.Array]

_stop = jax.lax.stop_gradient
_Method = TypeVar("_Method", bound=Callable[..., Any])


def _compiled(method: _Method) -> _Method:
    """``jax.jit`` of a method, its type kept; the layer is a pytree whose options are static."""
    return cast("_Method", jax.jit(method))


@np.errstate(all="ignore")  # without x64 a float64 beyond float32 is cut, and becomes ⊥
def _input(name: str, value: Any, like: Any) -> jax.Array:
    """A real floating array; integers take the dtype ``like``."""
    if not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        msg = f"{name} must be a jax.Array, not {type(value).__name__}"
        raise SCMTypeError(msg)
    if jnp.issubdtype(value.dtype, jnp.integer):
        return jnp.asarray(value, dtype=like)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        msg = f"{name} has dtype {value.dtype}; pass a real floating array"
        raise SCMTypeError(msg)
    return jnp.asarray(value)


def _mask(mask: Any, x: jax.Array) -> jax.Array | None:
    given = as_mask(mask, "mask")
    if given is None:
        return None
    if common_shape(("mask", "x"), (given, x)) != x.shape:
        msg = f"mask {np.shape(given)} must broadcast to x's shape {x.shape}"
        raise SCMValueError(msg)
    return jnp.broadcast_to(given, x.shape)


def _absent(mask: jax.Array | None, x: jax.Array) -> jax.Array:
    """The lanes that are ⊥ on entry."""
    broken = ~jnp.isfinite(x)
    return broken if mask is None else broken | mask


def _gated_tuple(P: jax.Array, Q: jax.Array, policy: GradientPolicy) -> Pair:
    """The policy on both members; a lane is ⊥ when one of them is not finite."""
    bottom = ~jnp.isfinite(P) | ~jnp.isfinite(Q)
    return gate(P, bottom, policy), gate(Q, bottom, policy)


def _check_policy(policy: Any) -> None:
    if not isinstance(policy, GradientPolicy):
        msg = f"gradient_policy must be a GradientPolicy, not {policy!r}"
        raise SCMTypeError(msg)


def _integer(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an integer, not {value!r}"
        raise SCMTypeError(msg)
    if value < least:
        msg = f"{name} must be >= {least}, got {value}"
        raise SCMValueError(msg)
    return value


def _normal(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """N(0, 0.01²)."""
    return 0.01 * jax.random.normal(key, shape, dtype=dtype)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["numerator", "denominator"],
    meta_fields=["basis", "singular_epsilon", "gradient_policy"],
)
@dataclass(frozen=True, eq=False)
class SCMRationalLayer:
    """A learned rational function P(x)/Q(x), elementwise, that is ⊥ where Q vanishes.

    Attributes:
        numerator: (p + 1,) coefficients, lowest degree first; ``init`` draws N(0, 0.01²).
        denominator: (q + 1,); ``init`` gives (1, 0, …).
        basis: "monomial", "chebyshev", or a callable ``(x, degree) -> (..., degree + 1)``.
        singular_epsilon: a lane with |Q| < singular_epsilon is ⊥ (strictly; Q = 0 always is).
        gradient_policy: CLAMP bounds the cotangent that enters the layer, not the gradients of its
            parameters.

    >>> layer = SCMRationalLayer(jnp.asarray([1.0, 2.0]), jnp.asarray([1.0, -2.0]))
    >>> payload, mask = layer(jnp.asarray([0.25, 0.5]))
    >>> payload.tolist(), mask.tolist()
    ([3.0, 0.0], [False, True])
    """

    numerator: jax.Array
    denominator: jax.Array
    basis: Basis = "monomial"
    singular_epsilon: float = 1e-6
    gradient_policy: GradientPolicy = GradientPolicy.PROJECT

    @classmethod
    def init(
        cls,
        key: jax.Array,
        numerator_degree: int,
        denominator_degree: int,
        *,
        basis: Basis = "monomial",
        singular_epsilon: float = 1e-6,
        gradient_policy: GradientPolicy = GradientPolicy.PROJECT,
        dtype: Any = jnp.float32,
    ) -> SCMRationalLayer:
        """Draw the parameters.

        Args:
            key: a PRNG key; the same key gives the same layer.
            numerator_degree, denominator_degree: ≥ 0.
            dtype: of the parameters.

        Raises:
            SCMTypeError, SCMValueError: an option that does not exist or is out of range.

        >>> SCMRationalLayer.init(jax.random.key(0), 3, 2).denominator.tolist()
        [1.0, 0.0, 0.0]
        """
        _check_policy(gradient_policy)
        p = _integer(numerator_degree, "numerator_degree", 0)
        q = _integer(denominator_degree, "denominator_degree", 0)
        start = jnp.zeros(q + 1, dtype=dtype).at[0].set(1)
        layer = cls(_normal(key, (p + 1,), dtype), start, basis, singular_epsilon, gradient_policy)
        layer(jnp.zeros(1, dtype=dtype))  # refuses a bad basis or epsilon here
        return layer

    def __call__(self, x: jax.Array, mask: Any = None) -> Pair:
        """``(payload, mask)`` of x's shape; payload is 0 where ⊥.

        Args:
            x: real, any shape; integers are converted to the parameters' dtype.
            mask: bool, broadcastable to x's shape; True where x is ⊥.

        Raises:
            SCMTypeError: x is no array, or complex or bool.
            SCMValueError: a mask that does not broadcast to x's shape.
        """
        x = _input("x", x, self.numerator.dtype)
        return self._run(x, _mask(mask, x))

    @_compiled
    def _run(self, x: jax.Array, mask: jax.Array | None) -> Pair:
        absent = _absent(mask, x)
        policy = self.gradient_policy
        payload, bottom, _, _ = rational.rational(
            sanitise(x, absent, policy),
            self.numerator,
            self.denominator,
            basis=self.basis,
            singular_epsilon=self.singular_epsilon,
            mask=absent,
            stop_gradient=_stop,
            guard=partial(sanitise, policy=policy),
            xp=jnp,
        )
        return gate(payload, bottom, policy), bottom


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["num_weights", "den_weights"],
    meta_fields=["basis", "q_anchor", "q_param", "q_min", "gradient_policy"],
)
@dataclass(frozen=True, eq=False)
class ProjectiveRationalMultiHead:
    """O rational outputs over one shared denominator per row, as tuples: no division.

    P = Σ wₒₖφₖ(z_num), δ = Σ vₖφₖ(z_den); with "softplus" δ ← softplus(δ) + q_min; with "ones"
    Q = 1 + δ, else Q = δ.

    Attributes:
        num_weights: (O, p + 1); ``init`` draws N(0, 0.01²).
        den_weights: (q + 1,); ``init`` draws N(0, 0.01²).
        basis: as for :class:`SCMRationalLayer`.
        q_anchor: "ones" or "none".
        q_param: "none" or "softplus".
        q_min: ≥ 0, used with "softplus".
        gradient_policy: as for :class:`SCMRationalLayer`.

    >>> head = ProjectiveRationalMultiHead.init(jax.random.key(0), 2, 1, 1)
    >>> P, Q = head(jnp.zeros((3, 2)), jnp.zeros(3))
    >>> P.shape, Q.shape, head.bottom_capability(1e-6)
    ((3, 2), (3, 2), 'reachable')
    """

    num_weights: jax.Array
    den_weights: jax.Array
    basis: Basis = "monomial"
    q_anchor: Literal["ones", "none"] = "ones"
    q_param: Literal["none", "softplus"] = "none"
    q_min: float = 0.0
    gradient_policy: GradientPolicy = GradientPolicy.PROJECT

    @classmethod
    def init(
        cls,
        key: jax.Array,
        output_dim: int,
        numerator_degree: int,
        denominator_degree: int,
        *,
        basis: Basis = "monomial",
        q_anchor: Literal["ones", "none"] = "ones",
        q_param: Literal["none", "softplus"] = "none",
        q_min: float = 0.0,
        gradient_policy: GradientPolicy = GradientPolicy.PROJECT,
        dtype: Any = jnp.float32,
    ) -> ProjectiveRationalMultiHead:
        """Draw the parameters.

        Args:
            key: a PRNG key.
            output_dim: O ≥ 1.
            numerator_degree, denominator_degree: ≥ 0.
            dtype: of the parameters.

        Raises:
            SCMTypeError, SCMValueError: an option that does not exist or is out of range.

        >>> ProjectiveRationalMultiHead.init(jax.random.key(0), 2, 3, 1).num_weights.shape
        (2, 4)
        """
        _check_policy(gradient_policy)
        heads.check_head(q_anchor, q_param, q_min)
        outputs = _integer(output_dim, "output_dim", 1)
        p = _integer(numerator_degree, "numerator_degree", 0)
        q = _integer(denominator_degree, "denominator_degree", 0)
        above, below = jax.random.split(key)
        return cls(
            _normal(above, (outputs, p + 1), dtype),
            _normal(below, (q + 1,), dtype),
            basis,
            q_anchor,
            q_param,
            q_min,
            gradient_policy,
        )

    def __call__(self, z_num: jax.Array, z_den: jax.Array) -> Pair:
        """(P, Q), both (B, O).

        Args:
            z_num: (B, O), real.
            z_den: (B,) or (B, 1), real.

        Raises:
            SCMTypeError: complex or bool input.
            SCMValueError: other shapes.
        """
        z_num = _input("z_num", z_num, self.num_weights.dtype)
        z_den = _input("z_den", z_den, self.den_weights.dtype)
        return self._run(z_num, z_den)

    @_compiled
    def _run(self, z_num: jax.Array, z_den: jax.Array) -> Pair:
        policy = self.gradient_policy
        P, Q = heads.rational_head(
            sanitise(z_num, ~jnp.isfinite(z_num), policy),
            sanitise(z_den, ~jnp.isfinite(z_den), policy),
            self.num_weights,
            self.den_weights,
            basis=self.basis,
            q_anchor=self.q_anchor,
            q_param=self.q_param,
            q_min=self.q_min,
            stop_gradient=_stop,
            xp=jnp,
        )
        return _gated_tuple(P, Q, policy)

    def bottom_capability(self, tau_infer: float) -> str:
        """ "unreachable_by_construction" if |Q| can never fall below tau_infer, else "reachable".

        >>> head = ProjectiveRationalMultiHead.init(jax.random.key(0), 1, 1, 1, q_param="softplus")
        >>> head.bottom_capability(1e-6)
        'unreachable_by_construction'
        """
        return heads.bottom_capability(self.q_anchor, self.q_param, self.q_min, tau_infer)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["weight", "bias"],
    meta_fields=["theta_scale", "gradient_policy"],
)
@dataclass(frozen=True, eq=False)
class AngularProjectiveHead:
    """(P, Q) = (sin φ, cos φ) with φ = theta_scale·(Wf + b).

    It starts at Q ≈ 1, is ⊥ at φ = ±π/2, and smooth through it.

    Attributes:
        weight: (output_dim, input_dim); ``init`` draws JAX's usual LeCun normal.
        bias: (output_dim,); ``init`` gives 0.
        theta_scale: factor on the angle, finite and not 0.
        gradient_policy: as for :class:`SCMRationalLayer`.

    >>> P, Q = AngularProjectiveHead.init(jax.random.key(0), 4)(jnp.zeros((2, 4)))
    >>> P.tolist(), Q.tolist()
    ([[0.0], [0.0]], [[1.0], [1.0]])
    """

    weight: jax.Array
    bias: jax.Array
    theta_scale: float = 1.0
    gradient_policy: GradientPolicy = GradientPolicy.PROJECT

    @classmethod
    def init(
        cls,
        key: jax.Array,
        input_dim: int,
        output_dim: int = 1,
        *,
        theta_scale: float = 1.0,
        gradient_policy: GradientPolicy = GradientPolicy.PROJECT,
        dtype: Any = jnp.float32,
    ) -> AngularProjectiveHead:
        """Draw the parameters.

        Args:
            key: a PRNG key.
            input_dim, output_dim: ≥ 1.
            theta_scale: factor on the angle, finite and not 0.
            dtype: of the parameters.

        Raises:
            SCMTypeError, SCMValueError: an option out of range.

        >>> AngularProjectiveHead.init(jax.random.key(0), 4, 2).weight.shape
        (2, 4)
        """
        _check_policy(gradient_policy)
        inputs = _integer(input_dim, "input_dim", 1)
        outputs = _integer(output_dim, "output_dim", 1)
        if not math.isfinite(theta_scale) or theta_scale == 0:
            msg = f"theta_scale must be finite and not 0, got {theta_scale}"
            raise SCMValueError(msg)
        draw = jax.nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        weight = draw(key, (outputs, inputs), dtype)
        return cls(weight, jnp.zeros(outputs, dtype=dtype), theta_scale, gradient_policy)

    def __call__(self, features: jax.Array) -> Pair:
        """(P, Q), both (…, output_dim).

        Args:
            features: (…, input_dim), real.

        Raises:
            SCMTypeError: complex or bool features.
            SCMValueError: another last axis.
        """
        features = _input("features", features, self.weight.dtype)
        if features.ndim == 0 or features.shape[-1] != self.weight.shape[1]:
            msg = f"features {features.shape} must end in {self.weight.shape[1]}"
            raise SCMValueError(msg)
        return self._run(features)

    @_compiled
    def _run(self, features: jax.Array) -> Pair:
        policy = self.gradient_policy
        absent = ~jnp.isfinite(features)
        # A row with a non-finite feature is a NaN tuple, and no product 0·inf reaches the weights.
        broken = jnp.any(absent, axis=-1, keepdims=True)
        clean = jnp.where(absent, 0.0, sanitise(features, absent, policy))
        phi = self.theta_scale * (clean @ self.weight.T + self.bias)
        P, Q = heads.angular_head(jnp.where(broken, jnp.nan, phi), xp=jnp)
        return _gated_tuple(P, Q, policy)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["gauge", "gamma"])
@dataclass(frozen=True)
class ProjectiveNormalize:
    """Choose one representative of each tuple.

    Attributes:
        gauge: "unit_l2" divides by the norm + gamma; "canonical_denominator" gives (P/Q, 1) where
            that is finite, else (s(P), 0). (0, 0) stays.
        gamma: ≥ 0, for "unit_l2".

    >>> P, Q = ProjectiveNormalize()(jnp.asarray(3.0), jnp.asarray(4.0))
    >>> round(P.item(), 6), round(Q.item(), 6)
    (0.6, 0.8)
    """

    gauge: Literal["unit_l2", "canonical_denominator"] = "unit_l2"
    gamma: float = 0.0

    def __call__(self, P: jax.Array, Q: jax.Array) -> Pair:
        """The normalised (P, Q).

        Raises:
            SCMValueError: unequal shapes, an unknown gauge, or gamma out of range.
        """
        p, q = projective.normalize_gauge(P, Q, self.gauge, self.gamma, xp=jnp, stop_gradient=_stop)
        return p, q


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["eps", "gradient_policy"])
@dataclass(frozen=True)
class SCMNorm:
    """Normalise each column over the regular lanes of axis 0.

    A column is ⊥ if it has no regular lane, or if its variance + eps is 0. A ⊥ lane touches no other.

    Attributes:
        eps: added to the variance, finite and ≥ 0.
        gradient_policy: as for :class:`SCMRationalLayer`.

    >>> payload, mask = SCMNorm()(jnp.asarray([[1.0, 5.0], [3.0, 5.0]]))
    >>> payload.tolist(), mask.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[False, True], [False, True]])
    """

    eps: float = 0.0
    gradient_policy: GradientPolicy = GradientPolicy.PROJECT

    def __call__(self, x: jax.Array, mask: Any = None) -> Pair:
        """``(payload, mask)`` of x's shape.

        Raises:
            SCMTypeError: complex or bool x.
            SCMValueError: eps out of range, or a mask that does not broadcast to x's shape.
        """
        x = _input("x", x, float)
        return self._run(x, _mask(mask, x))

    @_compiled
    def _run(self, x: jax.Array, mask: jax.Array | None) -> Pair:
        absent = _absent(mask, x)
        policy = self.gradient_policy
        payload, bottom = norm.norm(sanitise(x, absent, policy), absent, self.eps, xp=jnp)
        return gate(payload, bottom, policy), bottom


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["gradient_policy"])
@dataclass(frozen=True)
class SCMSoftmax:
    """Softmax over the last axis; masked and −inf logits get probability 0.

    A row is ⊥ iff an unmasked logit is NaN or +inf, or no logit remains.

    Attributes:
        gradient_policy: as for :class:`SCMRationalLayer`.

    >>> payload, mask = SCMSoftmax()(jnp.asarray([0.0, -jnp.inf, 0.0]))
    >>> payload.tolist(), mask.tolist()
    ([0.5, 0.0, 0.5], [False, False, False])
    """

    gradient_policy: GradientPolicy = GradientPolicy.PROJECT

    def __call__(self, x: jax.Array, mask: Any = None) -> Pair:
        """``(payload, mask)`` of x's shape.

        Raises:
            SCMTypeError: complex or bool x.
            SCMValueError: a mask that does not broadcast to x's shape.
        """
        x = _input("x", x, float)
        return self._run(x, _mask(mask, x))

    @_compiled
    def _run(self, x: jax.Array, mask: jax.Array | None) -> Pair:
        policy = self.gradient_policy
        payload, bottom = norm.softmax(
            sanitise(x, _absent(mask, x), policy), mask, xp=jnp, stop_gradient=_stop
        )
        return gate(payload, bottom, policy), bottom
