"""The transform matrix: every operation under every way that torch differentiates or rewrites it."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from zeroproofml.scm.optable import OPS
from zeroproofml.torch import ops

MASK = torch.tensor([False, False, False, True])


def _operands(name, arity, dtype):
    """Regular lanes: positive, well inside every domain."""
    values = [torch.rand(4, dtype=dtype) + 0.5 for _ in range(arity)]
    if dtype.is_complex:
        values = [value * (1 + 0.5j) for value in values]
        if name == "pow":
            values[1] = values[1].real.contiguous()
    return [value.requires_grad_() for value in values]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_gradcheck_in_every_order(name, arity, op, dtype, mask, form):
    operands = _operands(name, arity, dtype)

    def payload(*values):
        return op(*values, mask)[0]

    batched = form != "composition"
    assert gradcheck(
        payload,
        operands,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert gradgradcheck(
        payload,
        operands,
        check_fwd_over_rev=True,
        check_rev_over_rev=True,
        check_batched_grad=batched,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_functional_transforms_agree(name, arity, op, dtype, form):
    operands = [value.detach() for value in _operands(name, arity, dtype)]
    everything = tuple(range(arity))

    def payload(*values):
        return op(*values)[0]

    def total(*values):
        return payload(*values).sum()

    leaves = [value.clone().requires_grad_() for value in operands]
    want = torch.autograd.grad(total(*leaves), leaves)
    double = dtype == torch.float64
    close = {"rtol": 1e-9 if double else 1e-4, "atol": 1e-12 if double else 1e-5}

    for got, reference in zip(
        vmap(grad(payload, argnums=everything))(*operands), want, strict=True
    ):
        torch.testing.assert_close(got, reference, **close)
    for got, reference in zip(grad(total, argnums=everything)(*operands), want, strict=True):
        torch.testing.assert_close(got, reference, **close)

    ones = tuple(torch.ones_like(value) for value in operands)
    tangent = jvp(payload, tuple(operands), ones)[1]
    torch.testing.assert_close(tangent, sum(want), **close)

    second = hessian(total)(*operands)
    torch.testing.assert_close(jacrev(jacrev(total))(*operands), second, **close)
    # torch itself returns a silent 0 here for an autograd.Function that does not guard against it.
    torch.testing.assert_close(jacfwd(jacfwd(total))(*operands), second, **close)
    torch.testing.assert_close(jacrev(jacfwd(total))(*operands), second, **close)


def test_vmap_over_the_mask_alone(name, arity, op, form):
    operands = [value.detach() for value in _operands(name, arity, torch.float64)]
    masks = torch.stack([MASK, ~MASK, torch.ones_like(MASK)])

    def reverse(mask):
        return grad(lambda x: (2 * op(x, *operands[1:], mask)[0]).sum())(operands[0])

    def forward(mask):
        one = torch.ones_like(operands[0])
        return jvp(lambda x: op(x, *operands[1:], mask)[0], (operands[0],), (one,))[1]

    for transform in (reverse, forward):
        got = vmap(transform)(masks)
        assert (got[masks] == 0).all()
        torch.testing.assert_close(got, torch.stack([transform(mask) for mask in masks]))


def test_forward_mode_around_and_inside_vmap(name, arity, op, form):
    """A generated vmap rule cannot unpack the tangents that jvp(vmap) brings along."""
    operands = [value.detach() for value in _operands(name, arity, torch.float64)]
    ones = tuple(torch.ones_like(value) for value in operands)
    want = jvp(lambda *v: op(*v)[0], tuple(operands), ones)[1]

    def mapped(*values):
        return vmap(lambda *v: op(*v)[0])(*values)

    torch.testing.assert_close(jvp(mapped, tuple(operands), ones)[1], want)

    def slopes(*values):
        everything = tuple(range(arity))
        return sum(vmap(grad(lambda *v: op(*v)[0], argnums=everything))(*values))

    second = jvp(slopes, tuple(operands), ones)[1]
    reference = hessian(lambda *v: op(*v)[0].sum(), argnums=tuple(range(arity)))(*operands)
    total = sum(block.sum(-1) for row in reference for block in row)
    torch.testing.assert_close(second, total)


def test_vmap_of_the_operation(name, arity, op, form):
    operands = [value.detach().reshape(2, 2) for value in _operands(name, arity, torch.float64)]
    payload, mask = vmap(op)(*operands)
    want, want_mask = op(*operands)
    assert torch.equal(payload, want)
    assert torch.equal(mask, want_mask)
    if arity == 2:  # one operand batched, the other shared
        payload, mask = vmap(op, in_dims=(0, None))(operands[0], operands[1][0])
        want, want_mask = op(operands[0], operands[1][0])
        assert torch.equal(payload, want)
        assert torch.equal(mask, want_mask)


def test_second_derivatives_are_finite_at_hazards_and_bottoms(name, arity, op, form):
    values = [0.0, -0.0, 1.0, -2.0, 3.0, math.inf, math.nan]
    if form != "composition":  # the composition takes torch's own second derivative, with its 0·inf
        values += [1e-200, 1e200]
    lanes = torch.tensor(values, dtype=torch.float64)
    operands = [v.flatten() for v in torch.meshgrid(*[lanes] * arity, indexing="ij")]
    leaves = [value.clone().requires_grad_() for value in operands]
    payload, mask = op(*leaves)
    first = torch.autograd.grad(payload.sum(), leaves, create_graph=True)
    if not any(term.requires_grad for term in first):
        return  # add, sub, neg: constant derivatives
    second = torch.autograd.grad(sum(term.sum() for term in first), leaves, allow_unused=True)
    for term in second:
        if term is not None:
            assert not torch.isnan(term).any()
            assert (term[mask] == 0).all()


def _special(dtype):
    limits = torch.finfo(dtype)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, limits.max, limits.tiny, math.inf, math.nan]
    columns = torch.meshgrid(*[torch.tensor(values, dtype=dtype)] * 2, indexing="ij")
    return [column.flatten() for column in columns]


def _everything(x, y, mask):
    payloads, masks = [], []
    for i, row in enumerate(OPS.values()):  # a row of leaves each: their gradients do not add up
        fn = getattr(ops, f"scm_{row.name}_torch")
        payload, bottom = fn(x[i], y[i], None, mask) if row.arity == 2 else fn(x[i], mask)
        payloads.append(payload)
        masks.append(bottom)
    return torch.stack(payloads), torch.stack(masks)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_d07_compile_fullgraph_of_all_thirteen(dtype, compiling):
    x, y = (value.repeat(len(OPS), 1).requires_grad_() for value in _special(dtype))
    mask = torch.zeros_like(x[0], dtype=torch.bool)
    mask[5] = True
    payload, bottom = _everything(x, y, mask)
    compiled = compiling(_everything, fullgraph=True)
    got, got_bottom = compiled(x, y, mask)
    assert torch.equal(got_bottom, bottom)
    torch.testing.assert_close(got, payload, rtol=16 * torch.finfo(dtype).eps, atol=0)
    assert (got[got_bottom] == 0).all()
    want = torch.autograd.grad(payload.sum(), (x, y))
    for left, right in zip(torch.autograd.grad(got.sum(), (x, y)), want, strict=True):
        assert torch.isfinite(left).all()
        torch.testing.assert_close(
            left, right, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-30
        )


@pytest.mark.slow
def test_compile_of_gradients(compiling):
    """compile(grad) traces through torch.func: the composition again, inside the transform."""

    def first(x):
        return grad(lambda v: ops.scm_div_torch(v * v, v - 2.0)[0].sum())(x)

    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(compiling(first, fullgraph=True)(x), first(x))


@pytest.mark.slow
def test_compile_complex_without_code_generation(compiling):
    """Inductor has no complex code of its own, so the traced graph is run by torch's own kernels."""
    z = torch.tensor([1 + 1j, 0j, complex(math.inf, 0), 1e-300 + 0j], dtype=torch.complex128)
    w = torch.tensor([2j, 1 + 0j, 1 + 0j, 1e-300 * (1 + 1j)], dtype=torch.complex128)

    def both(z, w):
        return ops.scm_div_torch(z, w), ops.scm_log_torch(z), ops.scm_pow_torch(z, w.abs())

    compiled = compiling(both, fullgraph=True, backend="aot_eager")
    for (left, mask), (right, want) in zip(compiled(z, w), both(z, w), strict=True):
        assert torch.equal(mask, want)
        torch.testing.assert_close(left, right)
