"""Derivatives of the thirteen operations: finite everywhere, 0 at ⊥, right elsewhere."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

MAX = torch.finfo(torch.float64).max
GRID = [
    *(0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5),
    *(1e160, 1e-160, 1e200, 1e-200, 1e103, 1e-103, MAX, math.inf, math.nan, math.pi / 2),
]


def _grid(arity, dtype):
    values = itertools.product(GRID, repeat=arity)
    columns = torch.tensor(list(values), dtype=torch.float64).to(dtype)
    return [columns[:, i].contiguous() for i in range(arity)]


def _reverse(op, operands, cotangent):
    leaves = [value.clone().requires_grad_() for value in operands]
    payload, mask = op(*leaves)
    return payload, mask, torch.autograd.grad(payload, leaves, cotangent.to(payload.dtype))


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128]
)
def test_grid_is_finite_and_zero_at_bottom(name, arity, op, form, dtype):
    operands = _grid(arity, dtype)
    if name == "pow" and dtype.is_complex:
        operands[1] = operands[1].real.contiguous()
    _, mask, grads = _reverse(op, operands, torch.ones(len(operands[0])))
    for grad in grads:
        assert torch.isfinite(grad).all()
        assert (grad[mask] == 0).all()


def test_grid_zero_and_nan_cotangents(arity, op, form):
    operands = _grid(arity, torch.float64)
    _, mask, grads = _reverse(op, operands, torch.zeros(len(operands[0])))
    assert all((grad == 0).all() for grad in grads)
    poisoned = torch.where(mask, math.nan, 1.0)
    _, _, grads = _reverse(op, operands, poisoned)
    assert all(torch.isfinite(grad).all() and (grad[mask] == 0).all() for grad in grads)


def test_grid_forward_mode_equals_reverse(arity, op, form):
    operands = _grid(arity, torch.float64)
    _, mask, grads = _reverse(op, operands, torch.ones(len(operands[0])))
    for position in range(arity):
        tangents = [torch.zeros_like(value) for value in operands]
        tangents[position] = torch.ones_like(tangents[position])
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(v, t) for v, t in zip(operands, tangents, strict=True)]
            tangent = forward_ad.unpack_dual(op(*duals)[0]).tangent
        assert torch.isfinite(tangent).all()
        assert (tangent[mask] == 0).all()
        torch.testing.assert_close(tangent, grads[position], rtol=1e-14, atol=0)


def test_grid_no_grad_branch_equals_create_graph_branch(arity, op):
    operands = [value.requires_grad_() for value in _grid(arity, torch.float64)]
    payload, _ = op(*operands)
    ones = torch.ones_like(payload)
    plain = torch.autograd.grad(payload, operands, ones, retain_graph=True)
    again = torch.autograd.grad(payload, operands, ones, create_graph=True)
    for left, right in zip(plain, again, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-14, atol=0)


def test_forms_agree_on_the_grid(arity, op, monkeypatch):
    operands = _grid(arity, torch.float64)
    ones = torch.ones(len(operands[0]))
    eager = _reverse(op, operands, ones)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    composed = _reverse(op, operands, ones)
    assert torch.equal(eager[0], composed[0])
    assert torch.equal(eager[1], composed[1])
    for left, right in zip(eager[2], composed[2], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-13, atol=1e-308)


def _gradient(op, *values: float) -> list[float]:
    leaves = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    payload, mask = op(*leaves)
    assert not mask
    return [grad.item() for grad in torch.autograd.grad(payload, leaves)]


# (operation, operands, partial derivatives): the table of semantics §9, hazards included.
TABLE = [
    ("add", (2.0, 3.0), (1.0, 1.0)),
    ("sub", (2.0, 3.0), (1.0, -1.0)),
    ("mul", (2.0, 3.0), (3.0, 2.0)),
    ("div", (1.0, 4.0), (0.25, -0.0625)),
    ("div", (0.0, 4.0), (0.25, 0.0)),
    ("div", (1.0, 1e-160), (0.0, 0.0)),  # 1/y² overflows: a constant
    ("div", (0.0, 1e-200), (0.0, 0.0)),
    ("div", (1e200, 1e-60), (1e60, -0.0)),  # hazard is r/y: 1e260/1e-60
    ("inv", (4.0,), (-0.0625,)),
    ("inv", (1e-160,), (0.0,)),
    ("neg", (4.0,), (-1.0,)),
    ("pow", (2.0, 3.0), (12.0, 8.0 * math.log(2.0))),
    ("pow", (-2.0, 3.0), (12.0, 0.0)),
    ("pow", (-2.0, -1.0), (-0.25, 0.0)),
    ("pow", (-2.0, 2.0), (-4.0, 0.0)),
    ("pow", (-1.0, 1e160), (-1e160, 0.0)),  # e - 1 rounds to e: the parity is e's own
    ("pow", (5.0, 0.0), (0.0, math.log(5.0))),
    ("pow", (0.0, 1.0), (1.0, 0.0)),
    ("pow", (0.0, 2.0), (0.0, 0.0)),
    ("pow", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (0.0, 0.5), (0.0, 0.0)),
    ("log", (4.0,), (0.25,)),
    ("log", (1e-310,), (0.0,)),  # 1/x overflows
    ("exp", (1.0,), (math.e,)),
    ("sqrt", (4.0,), (0.25,)),
    ("sqrt", (0.0,), (0.0,)),
    ("sqrt", (-0.0,), (0.0,)),
    ("sin", (1.0,), (math.cos(1.0),)),
    ("cos", (1.0,), (-math.sin(1.0),)),
    ("tan", (1.0,), (1 + math.tan(1.0) ** 2,)),
    ("tan", (math.pi / 2,), (1 + math.tan(math.pi / 2) ** 2,)),
]


@pytest.mark.parametrize(("row", "values", "want"), TABLE)
def test_table_of_derivatives(row, values, want, form):
    from zeroproofml.torch import ops

    if (row, values) == ("div", (1e200, 1e-60)):
        want = (0.0, 0.0)  # a hazard makes every partial derivative of the lane 0
    got = _gradient(getattr(ops, f"scm_{row}_torch"), *values)
    assert got == pytest.approx(want, rel=1e-14, abs=0.0)


def test_d05_no_inf_or_nan_gradients_on_regular_lanes(form):
    from zeroproofml.torch import ops

    for row, values in [
        ("inv", (1e-200,)),
        ("sqrt", (0.0,)),
        ("pow", (0.0, 0.5)),
        ("pow", (1e-300, -1.0)),
        ("pow", (-2.0, 3.0)),
        ("log", (5e-324,)),
        ("div", (1e150, 1e-150)),
    ]:
        assert all(map(math.isfinite, _gradient(getattr(ops, f"scm_{row}_torch"), *values))), row


def test_overflowing_quotient_has_zero_gradient(form):
    """Selecting after the division multiplies 0 by inf in backward: 1e300/1e-300."""
    from zeroproofml.torch.ops import scm_div_torch

    x = torch.tensor([1e300, 1.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1e-300, 0.0], dtype=torch.float64, requires_grad=True)
    payload, mask = scm_div_torch(x, y)
    assert mask.all()
    payload.sum().backward()
    assert (x.grad == 0).all()
    assert (y.grad == 0).all()


def test_masked_operand_gets_no_gradient_and_leaks_none(arity, op, form):
    def run(garbage: float) -> list[Tensor]:
        leaves = [
            torch.tensor([garbage, 1.5], dtype=torch.float64, requires_grad=True)
            for _ in range(arity)
        ]
        payload, _ = op(*leaves, torch.tensor([True, False]))
        return list(torch.autograd.grad(payload.sum(), leaves))

    want = run(1.25)
    for garbage in (math.nan, math.inf, 0.0, -MAX):
        for grad, reference in zip(run(garbage), want, strict=True):
            assert torch.equal(grad, reference)
            assert grad[0] == 0


def test_broadcast_gradient_is_summed(form):
    from zeroproofml.torch.ops import scm_div_torch

    x = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([2.0, 0.0], dtype=torch.float64, requires_grad=True)
    scm_div_torch(x, y)[0].sum().backward()
    assert x.grad.shape == (3, 1)
    assert torch.equal(x.grad, torch.full((3, 1), 0.5, dtype=torch.float64))
    assert torch.equal(y.grad, torch.tensor([-0.75, 0.0], dtype=torch.float64))


def test_mixed_dtypes_get_gradients_in_their_own(form):
    from zeroproofml.torch.ops import scm_mul_torch, scm_pow_torch

    x = torch.tensor([2.0], dtype=torch.float32, requires_grad=True)
    y = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    scm_mul_torch(x, y)[0].sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (torch.float32, torch.float64)
    z = torch.tensor([1 + 1j], dtype=torch.complex128, requires_grad=True)
    e = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    scm_pow_torch(z, e)[0].abs().sum().backward()
    assert not e.grad.is_complex()
    assert e.grad.item() == pytest.approx(2 * math.log(math.sqrt(2)))
