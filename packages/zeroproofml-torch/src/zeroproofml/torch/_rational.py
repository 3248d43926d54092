"""The rational layer's P(x)/Q(x) on torch tensors, in two forms with the same values.

The composition of ``formulas.rational`` runs everywhere: under ``torch.func``, forward mode, compilation
and on every device. Dense CPU tensors in ordinary eager mode take one ``autograd.Function`` instead,
block by block in cache: forward keeps 1/Q and the result; backward builds the basis functions of a
block once and reads both coefficient gradients and both slopes from it by matrix products.

A block whose derivatives could leave the finite numbers (bounded by norms, so without a test per
lane) is differentiated through the composition, and so is every second derivative: constants of
differentiation are decided in one place. The norms are read from CPU memory: nothing waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zeroproofml.scm.formulas import rational as formula
from zeroproofml.scm.formulas.strict import round_threshold
from zeroproofml.scm.policy import GradientPolicy, apply_policy
from zeroproofml.torch._eager import is_plain, norm, transformed
from zeroproofml.torch._execute import apply
from zeroproofml.torch._layer_parts import Basis, absent_lanes, own_polynomial
from zeroproofml.torch._polynomial import derivative
from zeroproofml.torch._rules import RULES
from zeroproofml.torch.policy import gate, sanitise

__all__ = ["Options", "rational"]

LANES = 32_768  # of one block and one thread: torch splits no elementwise loop that is shorter
_MARGIN = 2.0**-20  # a block's sum stays finite too
_CLEARLY = 0.5  # |Q| is that far above the threshold, whatever was rounded


class Options(NamedTuple):
    """How a rational function is evaluated; see ``layers.SCMRationalLayer``."""

    basis: Basis
    singular_epsilon: float
    policy: GradientPolicy


def rational(
    x: Tensor, mask: Tensor | None, numerator: Tensor, denominator: Tensor, options: Options
) -> tuple[Tensor, Tensor]:
    """``(payload, mask)`` of P(x)/Q(x).

    Args:
        x: real floating, any shape.
        mask: bool, of x's shape, or None.
        numerator, denominator: (degree + 1,), lowest degree first.
        options: basis, threshold and gradient policy.

    Raises:
        SCMValueError: a threshold or a basis that does not exist.

    >>> options = Options("monomial", 1e-6, GradientPolicy.PROJECT)
    >>> one_minus_x = torch.tensor([1.0, -1.0])
    >>> rational(torch.tensor([0.5, 1.0]), None, torch.tensor([1.0]), one_minus_x, options)
    (tensor([2., 0.]), tensor([False,  True]))
    """
    coefficients = numerator, denominator
    if is_plain(x, *coefficients) and _fits(*coefficients) and _is_known(options):
        result: tuple[Tensor, Tensor] = _Blocks.apply(x, mask, numerator, denominator, options)  # type: ignore[no-untyped-call]  # untyped in torch
        return result
    return _compose(x, mask, numerator, denominator, options)


def _compose(
    x: Tensor, mask: Tensor | None, numerator: Tensor, denominator: Tensor, options: Options
) -> tuple[Tensor, Tensor]:
    basis, singular_epsilon, policy = options
    absent = absent_lanes(mask, x)

    def guard(value: Tensor, undefined: Tensor) -> Tensor:
        return sanitise(value, undefined, policy)

    def divide(P: Tensor, Q: Tensor, undefined: Tensor) -> tuple[Tensor, Tensor]:
        return apply(RULES["div"], undefined, guard(P, undefined), guard(Q, undefined))

    evaluate = own_polynomial(basis)
    kernels = None if evaluate is None else formula.Kernels(evaluate, divide)
    payload, bottom, _, _ = formula.rational(
        sanitise(x, absent, policy),
        numerator,
        denominator,
        basis=basis,
        singular_epsilon=singular_epsilon,
        mask=absent,
        stop_gradient=Tensor.detach,
        guard=guard,
        kernels=kernels,
        xp=torch,
    )
    return gate(payload, bottom, policy), bottom


def _is_known(options: Options) -> bool:
    """Options that the fast form reads; the composition refuses what is wrong with others."""
    basis, threshold, _ = options
    number = type(threshold) in (int, float) and 0.0 <= threshold < math.inf
    return number and basis in ("monomial", "chebyshev")


def _fits(*coefficients: Tensor) -> bool:
    """Rows of coefficients, long enough that P and Q show a non-finite x."""
    return all(c.dim() == 1 for c in coefficients) and max(map(len, coefficients)) > 1


class _Block(NamedTuple):
    """What forward knows of a block: bounds of |1/Q|, |P/Q| and |Q|, and whether a lane is ⊥."""

    inverse: float
    result: float
    divisor: float
    bottom: bool


def _horner(c: Sequence[float], x: Tensor, out: Tensor) -> None:
    if len(c) == 1:
        out.fill_(c[0])
        return
    torch.mul(x, c[-1], out=out).add_(c[-2])
    for ck in c[-3::-1]:
        out.mul_(x).add_(ck)


def _clenshaw(c: Sequence[float], x: Tensor, out: Tensor) -> None:
    if len(c) <= 2:
        _horner(c, x, out)
        return
    twice = x + x
    value, previous, spare = torch.full_like(x, c[-1]), torch.zeros_like(x), torch.empty_like(x)
    for ck in c[-2:0:-1]:
        torch.mul(twice, value, out=spare).sub_(previous).add_(ck)
        value, previous, spare = spare, value, previous
    torch.mul(x, value, out=out).sub_(previous).add_(c[0])


def _functions(x: Tensor, rows: Sequence[Tensor], chebyshev: bool) -> None:
    """Write φ₁(x), φ₂(x), … into rows[1:]; rows[0] holds ones."""
    rows[1].copy_(x)
    factor = x + x if chebyshev else x
    for before, last, row in zip(rows, rows[1:], rows[2:], strict=False):
        torch.mul(last, factor, out=row)
        if chebyshev:
            row.sub_(before)


def _split(lanes: int, *tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    return zip(*(torch.split(t.reshape(-1), lanes) for t in tensors), strict=True)


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mask: Tensor | None, a: Tensor, b: Tensor, options: Options
    ) -> tuple[Tensor, Tensor]:
        lanes = LANES * torch.get_num_threads()
        evaluate = _clenshaw if options.basis == "chebyshev" else _horner
        p, q = a.tolist(), b.tolist()
        threshold = round_threshold(options.singular_epsilon, x.dtype)
        keep = any(ctx.needs_input_grad)
        x_flat = x.reshape(-1)
        r, m = torch.empty_like(x_flat), torch.zeros_like(x_flat, dtype=torch.bool)
        inverse = torch.empty_like(x_flat) if keep else x.new_empty(min(lanes, x.numel()))
        scratch = torch.empty_like(inverse[:lanes])
        blocks = []
        for k, (xk, rk, mk) in enumerate(_split(lanes, x_flat, r, m)):
            size = xk.shape[0]
            Q, ik = scratch[:size], inverse[k * lanes if keep else 0 :][:size]
            evaluate(q, xk, Q)
            evaluate(p, xk, rk)
            rk.div_(Q)
            torch.reciprocal(Q, out=ik)
            given = None if mask is None else mask.reshape(-1)[k * lanes :][:size]
            block = _Block(norm(ik), norm(rk), norm(Q), False)
            if (
                given is not None
                or not block.inverse * threshold < _CLEARLY
                or not math.isfinite(block.inverse + block.result + block.divisor)
            ):
                probe = torch.addcmul(Q, rk, Q, value=0.0)  # NaN iff x, P, Q or P/Q is not finite
                torch.ne(probe, probe, out=mk)
                mk.logical_or_(Q.abs_() < threshold)
                if given is not None:
                    mk.logical_or_(given)
                for value in (rk, ik, Q):
                    value.masked_fill_(mk, 0.0)
                block = _Block(norm(ik), norm(rk), norm(Q), True)
            blocks.append(block)
        r, m = r.view(x.shape), m.view(x.shape)
        ctx.options, ctx.lanes, ctx.blocks = options, lanes, blocks
        ctx.mark_non_differentiable(m)
        ctx.set_materialize_grads(False)
        if keep:
            ctx.save_for_backward(x, a, b, r, inverse, m)
        return r, m

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:
        if grad is None:
            return (None,) * 5
        x, a, b, r, inverse, m = ctx.saved_tensors
        want = [ctx.needs_input_grad[k] for k in (0, 2, 3)]
        if torch.is_grad_enabled() or transformed(grad):
            by_x, by_a, by_b = _differentiate(x, m, a, b, ctx.options, grad, want)
            return by_x, None, by_a, by_b, None
        by_x, by_a, by_b = _backward(ctx, x, a, b, (r, inverse, m, grad), want)
        return by_x, None, by_a, by_b, None


def _differentiate(
    x: Tensor,
    bottom: Tensor,
    a: Tensor,
    b: Tensor,
    options: Options,
    grad: Tensor,
    want: Sequence[bool],
) -> list[Tensor | None]:
    """The derivatives of the composition, by x and the coefficients, None where not wanted."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [
            v if again else v.detach().requires_grad_(w)
            for v, w in zip((x, a, b), want, strict=True)
        ]
        payload, _ = _compose(inputs[0], bottom, inputs[1], inputs[2], options)
        found = iter(
            torch.autograd.grad(
                payload,
                [v for v, w in zip(inputs, want, strict=True) if w],
                grad,
                create_graph=again,
            )
        )
    return [next(found) if w else None for w in want]


def _backward(
    ctx: Any, x: Tensor, a: Tensor, b: Tensor, kept: Sequence[Tensor], want: Sequence[bool]
) -> list[Tensor | None]:
    chebyshev = ctx.options.basis == "chebyshev"
    count, lanes = max(len(a), len(b)), min(ctx.lanes, x.numel())
    limit = float(torch.finfo(x.dtype).max) * _MARGIN
    functions, pair, slope = x.new_ones(count, lanes), x.new_empty(2, lanes), x.new_empty(2, lanes)
    slopes, product = x.new_zeros(2, count - 1), x.new_empty(2, count)
    for row, c in zip(slopes, (a, b), strict=True):
        if len(c) > 1:
            row[: len(c) - 1] = derivative(c, chebyshev)
    steepest = max(1.0, float(slopes.abs().sum()))
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format) if want[0] else x
    sums = torch.zeros(2, count, dtype=torch.float64)
    parts = _split(ctx.lanes, x, *kept, by_x)
    for block, (xk, rk, ik, mk, gk, to) in zip(ctx.blocks, parts, strict=True):
        size = xk.shape[0]
        phi, g = functions[:, :size], pair[:, :size]
        if ctx.options.policy in (GradientPolicy.CLAMP, GradientPolicy.REJECT):
            gk = apply_policy(gk, mk, ctx.options.policy, xp=torch)
        torch.mul(gk, ik, out=g[0])
        torch.mul(g[0], rk, out=g[1]).neg_()
        if block.bottom:
            xk = xk.masked_fill(mk, 0.0)
        _functions(xk, phi.unbind(), chebyshev)
        # |φₖ| ≤ max(1, |φ_last|): nothing below leaves the finite numbers if this holds.
        reach = norm(g) * (1.0 + norm(phi[-1])) * steepest
        curvature = block.inverse * max(block.inverse, block.result)
        if not (reach < limit and curvature < limit and block.divisor < limit):
            by_xk, *by_block = _differentiate(xk, mk, a, b, ctx.options, gk, want)
            if by_xk is not None:
                to.copy_(by_xk)
            for row, part in zip(sums, by_block, strict=True):
                if part is not None:
                    row[: len(part)] += part
            continue
        sums += torch.mm(g, phi.T, out=product)  # with `out`, autocast leaves it alone
        if want[0]:
            torch.mm(slopes, phi[:-1], out=slope[:, :size])
            torch.mul(slope[0, :size], g[0], out=to).addcmul_(slope[1, :size], g[1])
    by_a, by_b = sums.to(x.dtype)
    return [by_x if want[0] else None, by_a[: len(a)], by_b[: len(b)]]
