"""Polynomials in one autograd.Function: Horner or Clenshaw in place, and a derivative that is one too.

Plain Horner under autograd keeps two tensors per degree; this keeps x and the coefficients, and
recomputes powers in backward. A lane whose derivative by a coefficient is not representable is a
constant: otherwise its inf would spoil the coefficient's whole gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from zeroproofml.torch._execute import primal, to_front

__all__ = ["derivative", "polynomial"]


def polynomial(coefficients: Tensor, x: Tensor, basis: str) -> Tensor:
    """Σ cₖφₖ(x), in eager mode and under ``torch.func``.

    Args:
        coefficients: (…, degree + 1), lowest degree first; leading axes broadcast against x.
        x: real, any shape.
        basis: "monomial" or "chebyshev".

    Returns:
        The value by the recurrence of ``formulas.basis.evaluate``, bit for bit.

    >>> polynomial(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([3.0]), "monomial")
    tensor([19.])
    """
    value: Tensor = _Polynomial.apply(coefficients, x, basis == "chebyshev")  # type: ignore[no-untyped-call]  # untyped in torch
    return value


def _evaluate(c: Tensor, x: Tensor, chebyshev: bool) -> Tensor:
    degree = c.shape[-1] - 1
    value = c[..., degree] + torch.zeros_like(x)
    if not chebyshev:
        for k in range(degree - 1, -1, -1):
            value.mul_(x).add_(c[..., k])
        return value
    if degree == 0:
        return value
    twice, previous = 2 * x, torch.zeros_like(value)
    for k in range(degree - 1, 0, -1):
        previous, value = value, (twice * value).sub_(previous).add_(c[..., k])
    return (x * value).sub_(previous).add_(c[..., 0])


def derivative(c: Tensor, chebyshev: bool) -> Tensor:
    """The coefficients of the derivative, one fewer; differentiable."""
    degree = c.shape[-1] - 1
    if not chebyshev:
        return c[..., 1:] * torch.arange(1, degree + 1, dtype=c.dtype, device=c.device)
    zero = torch.zeros_like(c[..., 0])
    found = [zero, zero]  # c'[k] = c'[k+2] + 2(k+1)·c[k+1], from the top
    for k in range(degree - 1, -1, -1):
        found.append(found[-2] + 2 * (k + 1) * c[..., k + 1])
    found = found[:1:-1]
    return torch.stack([0.5 * found[0], *found[1:]], -1)


def _growth(x: Tensor, size: Tensor, degree: int, chebyshev: bool) -> Tensor:
    """An upper bound of size·|φₖ(x)|, k ≤ degree; NaN or inf where one is not representable."""
    step = x.abs()
    step = torch.where(step < (0.5 if chebyshev else 1.0), 1.0, 2 * step if chebyshev else step)
    for bit in f"{degree:b}"[::-1]:
        if bit == "1":
            size = size * step
        step = step * step
    return size


def _functions(x: Tensor, first: Tensor, degree: int, chebyshev: bool) -> list[Tensor]:
    """first·φₖ(x) for k ≤ degree."""
    found = [first, first * x][: degree + 1]
    for _ in range(degree - 1):
        if chebyshev:
            found.append(2 * x * found[-1] - found[-2])
        else:
            found.append(found[-1] * x)
    return found


class _Polynomial(torch.autograd.Function):
    @staticmethod
    def forward(c: Tensor, x: Tensor, chebyshev: bool) -> Tensor:
        return _evaluate(c, x, chebyshev)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        c, x, ctx.chebyshev = inputs
        ctx.save_for_backward(c, x)
        ctx.save_for_forward(c, x)
        ctx.set_materialize_grads(False)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], c: Tensor, x: Tensor, chebyshev: bool
    ) -> tuple[Tensor, int]:
        lead = c.dim() - 1 - (in_dims[0] is not None)
        dims = max(x.dim() - (in_dims[1] is not None), lead)
        c, x = to_front(c, in_dims[0], dims + 1), to_front(x, in_dims[1], dims)
        value: Tensor = _Polynomial.apply(c, x, chebyshev)  # type: ignore[no-untyped-call]  # untyped in torch
        return value, 0

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> Any:
        if grad is None:
            return None, None, None
        c, x = ctx.saved_tensors
        chebyshev, degree = ctx.chebyshev, c.shape[-1] - 1
        size = grad.abs()  # not detached: torch's older vmap, used by is_grads_batched, cannot
        # A non-finite cotangent is the caller's: it goes on as it is.
        growth = _growth(x.detach(), size, degree, chebyshev)
        off = (growth - growth != 0) & (size - size == 0)  # v - v is NaN iff v is not finite
        x = torch.where(off, 0.0, x)
        grad = torch.where(off, 0.0, grad)
        by_c = by_x = None
        if ctx.needs_input_grad[0]:
            shape = c.shape[:-1]
            terms = _functions(x, grad, degree, chebyshev)
            by_c = torch.stack([term.sum_to_size(shape) for term in terms], -1)
        if ctx.needs_input_grad[1]:
            if degree == 0:
                by_x = torch.zeros_like(x)
            else:
                slope = polynomial(
                    derivative(c, chebyshev), x, "chebyshev" if chebyshev else "monomial"
                )
                by_x = grad * _finite(slope)
            by_x = by_x.sum_to_size(x.shape)
        return by_c, by_x, None

    @staticmethod
    def jvp(ctx: Any, by_c: Tensor | None, by_x: Tensor | None, _: Any) -> Any:
        with _set_fwd_grad_enabled(True):  # else a jvp of a jvp would be a silent 0
            c, x = (primal(value) for value in ctx.saved_tensors)
            basis = "chebyshev" if ctx.chebyshev else "monomial"
            total = None
            if by_c is not None:
                total = _finite(polynomial(by_c, x, basis))
            if by_x is not None:
                slope = torch.zeros_like(x)
                if c.shape[-1] > 1:
                    slope = _finite(polynomial(derivative(c, ctx.chebyshev), x, basis))
                total = by_x * slope if total is None else total + by_x * slope
            return total


def _finite(value: Tensor) -> Tensor:
    """A derivative that is not representable makes its lane a constant."""
    return torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
