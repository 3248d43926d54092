"""Layers: rational functions, projective heads, normalisation and softmax that know ⊥.

The mathematics is ``zeroproofml.scm.formulas``; here it gets parameters and gradient gates. Every
``gradient_policy`` argument is a :class:`GradientPolicy` or None; None takes the context in which
``forward`` runs, and PROJECT outside one. Constructors take ``dtype``, ``device`` and ``generator``.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.formulas import heads, norm, projective
from zeroproofml.scm.policy import GradientPolicy
from zeroproofml.torch._layer_parts import (
    Basis,
    absent_lanes,
    check_policy,
    degree,
    gated_tuple,
    lane_mask,
    normal,
    own_polynomial,
    positive,
    real_input,
    resolved,
)
from zeroproofml.torch._rational import Options, rational
from zeroproofml.torch.policy import gate, sanitise

__all__ = [
    "AngularProjectiveHead",
    "ProjectiveNormalize",
    "ProjectiveRationalMultiHead",
    "SCMNorm",
    "SCMRationalLayer",
    "SCMSoftmax",
]


class SCMRationalLayer(nn.Module):
    """A learned rational function P(x)/Q(x), elementwise, that is ⊥ where Q vanishes.

    Args:
        numerator_degree, denominator_degree: ≥ 0.
        basis: "monomial", "chebyshev", or a callable ``(x, degree) -> (..., degree + 1)``.
        singular_epsilon: a lane with |Q| < singular_epsilon is ⊥ (strictly; Q = 0 always is).
        gradient_policy: see the module. CLAMP bounds the cotangent that enters the layer, not the
            gradients of its parameters.

    Parameters: ``numerator`` (p + 1,) ~ N(0, 0.01²); ``denominator`` (q + 1,) = (1, 0, …). Lowest
    degree first.

    >>> layer = SCMRationalLayer(1, 1)
    >>> with torch.no_grad():
    ...     _ = layer.numerator.copy_(torch.tensor([1.0, 2.0]))
    ...     _ = layer.denominator.copy_(torch.tensor([1.0, -2.0]))
    >>> payload, mask = layer(torch.tensor([0.25, 0.5]))
    >>> payload.detach(), mask
    (tensor([3., 0.]), tensor([False,  True]))
    """

    def __init__(
        self,
        numerator_degree: int,
        denominator_degree: int,
        *,
        basis: Basis = "monomial",
        singular_epsilon: float = 1e-6,
        gradient_policy: GradientPolicy | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        p = degree(numerator_degree, "numerator_degree")
        q = degree(denominator_degree, "denominator_degree")
        self.basis = basis
        self.singular_epsilon = singular_epsilon
        self.gradient_policy = check_policy(gradient_policy)
        self.numerator = normal(p + 1, dtype=dtype, device=device, generator=generator)
        start = torch.zeros(q + 1, dtype=dtype, device=device)
        start[0] = 1.0
        self.denominator = nn.Parameter(start)
        # A probe of one lane: bad options are refused here and not in the first forward.
        zero = torch.zeros(1, dtype=start.dtype, device=start.device)
        self(zero)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(payload, mask)`` of x's shape; payload is 0 where ⊥.

        Args:
            x: real, any shape; integers are converted to the parameters' dtype.
            mask: bool, broadcastable to x's shape; True where x is ⊥.

        Raises:
            SCMTypeError: complex or bool x. SCMValueError: a mask that does not broadcast to x's shape.
        """
        x = real_input("x", x, self.numerator.dtype)
        options = Options(self.basis, self.singular_epsilon, resolved(self.gradient_policy))
        given = lane_mask("mask", mask, x)
        return rational(x, given, self.numerator, self.denominator, options)

    def extra_repr(self) -> str:
        """The options that are not parameters."""
        return f"basis={self.basis!r}, singular_epsilon={self.singular_epsilon}"


class ProjectiveRationalMultiHead(nn.Module):
    """O rational outputs over one shared denominator per row, as tuples: no division.

    P = Σ wₒₖφₖ(z_num), δ = Σ vₖφₖ(z_den); with "softplus" δ ← softplus(δ) + q_min; with "ones"
    Q = 1 + δ, else Q = δ.

    Args:
        output_dim: O ≥ 1.
        numerator_degree, denominator_degree: ≥ 0.
        basis: as for :class:`SCMRationalLayer`.
        q_anchor: "ones" or "none".
        q_param: "none" or "softplus".
        q_min: ≥ 0, used with "softplus".
        gradient_policy: see the module.

    Parameters: ``num_weights`` (O, p + 1) and ``den_weights`` (q + 1,), both ~ N(0, 0.01²).

    >>> head = ProjectiveRationalMultiHead(2, 1, 1)
    >>> P, Q = head(torch.zeros(3, 2), torch.zeros(3))
    >>> P.shape, Q.shape, head.bottom_capability(1e-6)
    (torch.Size([3, 2]), torch.Size([3, 2]), 'reachable')
    """

    def __init__(
        self,
        output_dim: int,
        numerator_degree: int,
        denominator_degree: int,
        *,
        basis: Basis = "monomial",
        q_anchor: Literal["ones", "none"] = "ones",
        q_param: Literal["none", "softplus"] = "none",
        q_min: float = 0.0,
        gradient_policy: GradientPolicy | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        heads.check_head(q_anchor, q_param, q_min)
        outputs = positive(output_dim, "output_dim")
        p = degree(numerator_degree, "numerator_degree")
        q = degree(denominator_degree, "denominator_degree")
        self.basis, self.q_anchor, self.q_param, self.q_min = basis, q_anchor, q_param, q_min
        self.gradient_policy = check_policy(gradient_policy)
        self.num_weights = normal(outputs, p + 1, dtype=dtype, device=device, generator=generator)
        self.den_weights = normal(q + 1, dtype=dtype, device=device, generator=generator)

    def forward(self, z_num: Tensor, z_den: Tensor) -> tuple[Tensor, Tensor]:
        """(P, Q), both (B, O).

        Args:
            z_num: (B, O), real. z_den: (B,) or (B, 1), real.

        Raises:
            SCMTypeError: complex or bool input. SCMValueError: other shapes.
        """
        policy = resolved(self.gradient_policy)
        z_num = real_input("z_num", z_num, self.num_weights.dtype)
        z_den = real_input("z_den", z_den, self.den_weights.dtype)
        P, Q = heads.rational_head(
            sanitise(z_num, ~torch.isfinite(z_num.detach()), policy),
            sanitise(z_den, ~torch.isfinite(z_den.detach()), policy),
            self.num_weights,
            self.den_weights,
            basis=self.basis,
            q_anchor=self.q_anchor,
            q_param=self.q_param,
            q_min=self.q_min,
            stop_gradient=Tensor.detach,
            polynomial=own_polynomial(self.basis),
            xp=torch,
        )
        return gated_tuple(P, Q, policy)

    def bottom_capability(self, tau_infer: float) -> str:
        """ "unreachable_by_construction" if |Q| can never fall below tau_infer, else "reachable"."""
        return heads.bottom_capability(self.q_anchor, self.q_param, self.q_min, tau_infer)

    def extra_repr(self) -> str:
        """The options that are not parameters."""
        return f"q_anchor={self.q_anchor!r}, q_param={self.q_param!r}, q_min={self.q_min}"


class AngularProjectiveHead(nn.Module):
    """(P, Q) = (sin φ, cos φ) with φ = theta_scale·(Wf + b).

    It starts at Q ≈ 1, is ⊥ at φ = ±π/2, and smooth through it.

    Args:
        input_dim, output_dim: ≥ 1.
        theta_scale: factor on the angle, finite and not 0.
        gradient_policy: see the module.

    Parameters: ``weight`` (output_dim, input_dim), uniform as in ``nn.Linear``; ``bias``
    (output_dim,) = 0.

    >>> P, Q = AngularProjectiveHead(4)(torch.zeros(2, 4))
    >>> P.detach().flatten(), Q.detach().flatten()
    (tensor([0., 0.]), tensor([1., 1.]))
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int = 1,
        *,
        theta_scale: float = 1.0,
        gradient_policy: GradientPolicy | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        inputs, outputs = positive(input_dim, "input_dim"), positive(output_dim, "output_dim")
        if not math.isfinite(theta_scale) or theta_scale == 0:
            msg = f"theta_scale must be finite and not 0, got {theta_scale}"
            raise SCMValueError(msg)
        self.theta_scale = theta_scale
        self.gradient_policy = check_policy(gradient_policy)
        draw = torch.rand(outputs, inputs, dtype=dtype, device=device, generator=generator)
        self.weight = nn.Parameter((2 * draw - 1) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=dtype, device=device))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(P, Q), both (…, output_dim).

        Args:
            features: (…, input_dim), real.

        Raises:
            SCMTypeError: complex or bool features. SCMValueError: another last axis.
        """
        features = real_input("features", features, self.weight.dtype)
        if features.dim() == 0 or features.shape[-1] != self.weight.shape[1]:
            msg = f"features {tuple(features.shape)} must end in {self.weight.shape[1]}"
            raise SCMValueError(msg)
        policy = resolved(self.gradient_policy)
        absent = ~torch.isfinite(features.detach())
        # A row with a non-finite feature is a NaN tuple, and no product 0·inf reaches the weights.
        broken = absent.any(-1, keepdim=True)
        clean = torch.where(absent, 0.0, sanitise(features, absent, policy))
        phi = self.theta_scale * (clean @ self.weight.mT + self.bias)
        P, Q = heads.angular_head(torch.where(broken, torch.nan, phi), xp=torch)
        return gated_tuple(P, Q, policy)

    def extra_repr(self) -> str:
        """The sizes and the scale."""
        outputs, inputs = self.weight.shape
        return f"input_dim={inputs}, output_dim={outputs}, theta_scale={self.theta_scale}"


class ProjectiveNormalize(nn.Module):
    """Choose one representative of each tuple.

    Args:
        gauge: "unit_l2" divides by the norm + gamma; "canonical_denominator" gives (P/Q, 1) where
            that is finite, else (s(P), 0). (0, 0) stays.
        gamma: ≥ 0, for "unit_l2".

    >>> P, Q = ProjectiveNormalize()(torch.tensor([3.0]), torch.tensor([4.0]))
    >>> P, Q
    (tensor([0.6000]), tensor([0.8000]))
    """

    def __init__(
        self,
        gauge: Literal["unit_l2", "canonical_denominator"] = "unit_l2",
        gamma: float = 0.0,
    ) -> None:
        super().__init__()
        self.gauge, self.gamma = gauge, gamma
        self(torch.ones(1), torch.ones(1))  # refuses bad options here

    def forward(self, P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised (P, Q).

        Raises:
            SCMValueError: unequal shapes.
        """
        p, q = projective.normalize_gauge(
            P, Q, self.gauge, self.gamma, xp=torch, stop_gradient=Tensor.detach
        )
        return p, q

    def extra_repr(self) -> str:
        """The options."""
        return f"gauge={self.gauge!r}, gamma={self.gamma}"


class SCMNorm(nn.Module):
    """Normalise each column over the regular lanes of axis 0.

    A column is ⊥ if it has no regular lane, or if its variance + eps is 0. A ⊥ lane touches no other.

    Args:
        eps: added to the variance, finite and ≥ 0.
        gradient_policy: see the module.

    >>> payload, mask = SCMNorm()(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    >>> payload, mask
    (tensor([[-1.,  0.],
            [ 1.,  0.]]), tensor([[False,  True],
            [False,  True]]))
    """

    def __init__(self, eps: float = 0.0, gradient_policy: GradientPolicy | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.gradient_policy = check_policy(gradient_policy)
        self(torch.ones(1))  # refuses a bad eps here

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(payload, mask)`` of x's shape.

        Raises:
            SCMTypeError: complex or bool x. SCMValueError: a mask that does not broadcast to x's shape.
        """
        x = real_input("x", x, torch.get_default_dtype())
        absent = absent_lanes(lane_mask("mask", mask, x), x)
        policy = resolved(self.gradient_policy)
        payload, bottom = norm.norm(sanitise(x, absent, policy), absent, self.eps, xp=torch)
        return gate(payload, bottom, policy), bottom

    def extra_repr(self) -> str:
        """The option."""
        return f"eps={self.eps}"


class SCMSoftmax(nn.Module):
    """Softmax over the last axis; masked and −inf logits get probability 0.

    A row is ⊥ iff an unmasked logit is NaN or +inf, or no logit remains.

    Args:
        gradient_policy: see the module.

    >>> payload, mask = SCMSoftmax()(torch.tensor([0.0, -torch.inf, 0.0]))
    >>> payload, mask
    (tensor([0.5000, 0.0000, 0.5000]), tensor([False, False, False]))
    """

    def __init__(self, gradient_policy: GradientPolicy | None = None) -> None:
        super().__init__()
        self.gradient_policy = check_policy(gradient_policy)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(payload, mask)`` of x's shape.

        Raises:
            SCMTypeError: complex or bool x. SCMValueError: a mask that does not broadcast to x's shape.
        """
        x = real_input("x", x, torch.get_default_dtype())
        given = lane_mask("mask", mask, x)
        policy = resolved(self.gradient_policy)
        payload, bottom = norm.softmax(
            sanitise(x, absent_lanes(given, x), policy),
            given,
            xp=torch,
            stop_gradient=Tensor.detach,
        )
        return gate(payload, bottom, policy), bottom
