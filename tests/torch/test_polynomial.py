"""The polynomial in one Function: the formula's bits, derivatives of every order, safe lanes."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jvp, vmap

from zeroproofml.scm.formulas.basis import evaluate
from zeroproofml.torch._polynomial import polynomial

F64 = torch.float64


@pytest.fixture(params=["monomial", "chebyshev"])
def basis(request):
    return request.param


@pytest.mark.parametrize("degree", range(6))
@pytest.mark.parametrize("lead", [(), (3,), (4, 3)])
def test_bits_and_derivatives(basis, degree, lead):
    c = torch.randn(*lead, degree + 1, dtype=F64, requires_grad=True)
    x = torch.randn(4, 3, dtype=F64, requires_grad=True)
    assert torch.equal(polynomial(c, x, basis), evaluate(c, x, basis, xp=torch))

    def run(a, b):
        return polynomial(a, b, basis)

    assert gradcheck(
        run, (c, x), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert gradgradcheck(run, (c, x), check_fwd_over_rev=True)


def test_transforms_equal_those_of_the_formula(basis):
    c = torch.randn(5, dtype=F64)
    x = torch.randn(3, dtype=F64)

    def own(v):
        return polynomial(c, v, basis)

    def formula(v):
        return evaluate(c, v, basis, xp=torch)

    one = torch.ones_like(x)
    for transform in (
        lambda f: vmap(grad(f))(x),
        lambda f: vmap(hessian(f))(x),
        lambda f: vmap(jacfwd(jacfwd(f)))(x),
        lambda f: jvp(lambda v: vmap(f)(v), (x,), (one,))[1],
        lambda f: jvp(lambda v: vmap(grad(f))(v), (x,), (one,))[1],
        lambda f: vmap(grad(grad(grad(f))))(x),
    ):
        torch.testing.assert_close(transform(own), transform(formula))


def test_vmap_over_coefficients(basis):
    """An ensemble: coefficients batched, x shared; and both, with a leading axis of their own."""
    c, x = torch.randn(6, 3, 4, dtype=F64), torch.randn(5, 3, dtype=F64)
    want = torch.stack([evaluate(row, x, basis, xp=torch) for row in c])
    assert torch.equal(vmap(lambda row: polynomial(row, x, basis))(c), want)
    assert torch.equal(
        vmap(lambda row: polynomial(row, x, basis), in_dims=1)(c.movedim(0, 1)), want
    )
    xs = torch.randn(6, 5, 3, dtype=F64)
    want = torch.stack([evaluate(row, v, basis, xp=torch) for row, v in zip(c, xs, strict=True)])
    assert torch.equal(vmap(lambda row, v: polynomial(row, v, basis))(c, xs), want)
    gradient = vmap(grad(lambda row: polynomial(row, x, basis).sum()))(c)
    row = c[2].clone().requires_grad_()
    evaluate(row, x, basis, xp=torch).sum().backward()
    torch.testing.assert_close(gradient[2], row.grad)


def test_a_lane_beyond_the_range_is_a_constant(basis):
    """φ₂(1e200) overflows: the coefficient's gradient comes from the other lanes alone."""
    c = torch.tensor([1.0, 1.0, 0.0], dtype=F64, requires_grad=True)
    x = torch.tensor([0.5, 1e200, math.nan, math.inf], dtype=F64, requires_grad=True)
    value = polynomial(c, x, basis)
    value.backward(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=F64))
    want = [1.0, 0.5, 0.25 if basis == "monomial" else -0.5]
    assert c.grad.tolist() == want
    assert torch.isfinite(x.grad).all()
    # A large cotangent that still fits is not touched.
    (by_c,) = torch.autograd.grad(polynomial(c, x[:1], basis), c, torch.tensor([1e300], dtype=F64))
    assert by_c.tolist() == pytest.approx([1e300 * w for w in want])
