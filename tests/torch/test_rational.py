"""The rational layer's form for dense CPU tensors against the composition that runs everywhere."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jvp, vmap

from zeroproofml.scm.formulas.basis import evaluate
from zeroproofml.torch import GradientPolicy, SCMRationalLayer
from zeroproofml.torch import _rational as module
from zeroproofml.torch._rational import Options

F64 = torch.float64
BASES = ["monomial", "chebyshev"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of four lanes: every test input spans several."""
    monkeypatch.setattr(module, "LANES", 4)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _composed(*arguments):
    return module._compose(*arguments)


def _both(x, mask, a, b, options, cotangent):
    """Payload, mask and gradients in both forms."""
    found = []
    for form in (module.rational, _composed):
        leaves = [v.detach().clone().requires_grad_() for v in (x, a, b)]
        payload, bottom = form(leaves[0], mask, *leaves[1:], options)
        gradients = torch.autograd.grad(payload, leaves, cotangent)
        found.append((payload.detach(), bottom, gradients))
    return found


EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e30, 1e200, 1.7e308, math.inf, -math.inf, math.nan]
numbers = st.sampled_from(EDGES) | st.floats(-4.0, 4.0)
coefficients = st.lists(
    st.sampled_from([0.0, 1e-200, 1e150]) | st.floats(-2.0, 2.0), min_size=1, max_size=5
)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@given(
    lanes=st.lists(st.tuples(numbers, st.booleans(), numbers), min_size=1, max_size=14),
    a=coefficients,
    b=coefficients,
    masked=st.booleans(),
    basis=st.sampled_from(BASES),
    threshold=st.sampled_from([0.0, 1e-6, 0.5]),
    policy=st.sampled_from(list(GradientPolicy)),
)
def test_both_forms_agree(dtype, lanes, a, b, masked, basis, threshold, policy):
    x, mask, cotangent = (torch.tensor(column) for column in zip(*lanes, strict=True))
    x, cotangent, a, b = (
        v.double().to(dtype) for v in (x, cotangent, torch.tensor(a), torch.tensor(b))
    )
    options = Options(basis, threshold, policy)
    ours, reference = _both(x, mask if masked else None, a, b, options, cotangent)
    assert torch.equal(ours[1], reference[1])
    assert torch.equal(ours[0], reference[0])
    by_lane = _size_of_terms(x, a, b, cotangent, ours[0], basis)
    rtol = 1e-5 if dtype == torch.float32 else 1e-13
    for got, want, size in zip(ours[2], reference[2], (by_lane, *[by_lane.sum()] * 2), strict=True):
        finite = torch.isfinite(want)
        assert torch.equal(
            torch.where(finite, 0.0, want).nan_to_num(), torch.where(finite, 0.0, got).nan_to_num()
        )
        error = torch.where(finite, (got - want).double().abs(), 0.0)
        assert (error <= rtol * size).all()


def _size_of_terms(x, a, b, cotangent, payload, basis):
    """What each lane adds to a gradient, all signs alike; its sums cancel. 0 at ⊥ lanes, 1 at least."""
    x, a, b, cotangent, payload = (v.double() for v in (x, a, b, cotangent, payload))
    degree = max(len(a), len(b)) - 1
    q = evaluate(b, x, basis, xp=torch)
    steps = degree * (a.abs().sum() + b.abs().sum()) + 1
    grown = cotangent.abs() * (2 * x.abs()).clamp(min=1.0) ** degree
    return (grown * (1 + payload.abs()) * steps / q.abs()).nan_to_num(nan=0.0, posinf=1e308) + 1


def _layer(basis="monomial", degree=3, **options):
    generator = torch.Generator().manual_seed(5)
    layer = SCMRationalLayer(degree, degree, basis=basis, generator=generator, dtype=F64, **options)
    with torch.no_grad():
        layer.denominator[1:] = torch.tensor([0.3, -0.2, 0.1], dtype=F64)[:degree]
    return layer


@pytest.mark.parametrize("basis", BASES)
def test_gradcheck_in_every_order(basis):
    layer = _layer(basis)
    x = torch.linspace(-0.9, 0.8, 11, dtype=F64).requires_grad_()
    parameters = (
        layer.numerator.detach().requires_grad_(),
        layer.denominator.detach().requires_grad_(),
    )
    options = Options(basis, 1e-6, GradientPolicy.PROJECT)

    def run(x, a, b):
        return module.rational(x, None, a, b, options)[0]

    assert run(x, *parameters).grad_fn.name() == "_BlocksBackward"
    assert gradcheck(run, (x, *parameters), check_batched_grad=True)
    assert gradcheck(run, (x, *parameters), check_forward_ad=True)
    assert gradgradcheck(run, (x, *parameters))


@pytest.mark.parametrize(
    ("policy", "want"),
    [
        (GradientPolicy.PROJECT, [1.25, -2.5, 0.0]),
        (GradientPolicy.PASSTHROUGH, [1.25, -2.5, 0.0]),
        (GradientPolicy.CLAMP, [0.25, -0.25, 0.0]),
        (GradientPolicy.REJECT, [0.0, 0.0, 0.0]),
    ],
)
def test_policies(policy, want):
    x = torch.tensor([1.0, 1.0, 0.0], dtype=F64)
    a, b = torch.tensor([0.0, 0.5], dtype=F64), torch.tensor([0.0, 0.0, 2.0], dtype=F64)
    cotangent = torch.tensor([-5.0, 10.0, 7.0], dtype=F64)
    options = Options("monomial", 1e-6, policy)
    for *_, (by_x, _, _) in _both(x, None, a, b, options, cotangent):
        assert by_x.tolist() == want


# 1/Q² or r/Q is not a number, or φ₂ is not; with small cotangents no product shows it.
@pytest.mark.parametrize("cotangent", [1.0, 1e-200, 0.0])
@pytest.mark.parametrize("x", [1e-160, 1e-155])
def test_a_hazard_is_a_constant_and_spoils_no_other_lane(x, cotangent):
    one, identity = torch.tensor([1.0, 0.0], dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    lanes = torch.tensor([x, 2.0], dtype=F64)
    options = Options("monomial", 0.0, GradientPolicy.PROJECT)
    given = torch.tensor([cotangent, 1.0], dtype=F64)
    for payload, mask, gradients in _both(lanes, None, one, identity, options, given):
        assert payload.tolist() == [1 / x, 0.5]
        assert not mask.any()
        assert [g.tolist() for g in gradients] == [[0.0, -0.25], [0.5, 1.0], [-0.25, -0.5]]


# A lane alone decides its block: no neighbour leads the test to it.
@pytest.mark.parametrize(
    ("x", "a", "b", "threshold"),
    [
        (0.25, [1.0], [0.0, 1.0], 0.3),  # |Q| < τ
        (-0.25, [1.0], [0.0, 1.0], 0.3),
        (0.0, [1.0], [0.0, 1.0], 0.0),  # Q = 0
        (0.0, [0.0, 1.0], [0.0, 1.0], 0.0),  # 0/0
        (1e200, [0.0, 0.0, 1.0], [1.0], 0.0),  # P overflows
        (1e200, [1.0], [1.0, 0.0, 1.0], 0.0),  # Q overflows, P/Q does not
        (1e-200, [1e200], [0.0, 1.0], 0.0),  # P/Q overflows
        (math.nan, [0.0, 0.0], [1.0], 0.0),
        (-math.inf, [1.0], [1.0, 0.0], 0.0),
    ],
)
def test_a_single_bottom_lane_is_found(x, a, b, threshold):
    options = Options("monomial", threshold, GradientPolicy.PROJECT)
    a, b = torch.tensor(a, dtype=F64), torch.tensor(b, dtype=F64)
    for payload, mask, _ in _both(
        torch.tensor([x], dtype=F64), None, a, b, options, torch.ones(1, dtype=F64)
    ):
        assert payload.tolist() == [0.0]
        assert mask.tolist() == [True]


def test_a_huge_denominator_costs_the_gradient_no_digit():
    """1/Q is subnormal there, and a product with it would lose what P/Q keeps."""
    options = Options("monomial", 0.0, GradientPolicy.PROJECT)
    a, b = torch.tensor([0.0, 1e308], dtype=F64), torch.tensor([1.5e308], dtype=F64)
    x, cotangent = torch.tensor([0.7], dtype=F64), torch.tensor([1.0], dtype=F64)
    (*_, ours), (*_, reference) = _both(x, None, a, b, options, cotangent)
    for got, want in zip(ours, reference, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-15, atol=0.0)


def test_bottom_lanes_do_not_send_their_block_through_the_composition(monkeypatch):
    layer = _layer(degree=1)
    with torch.no_grad():
        layer.denominator.copy_(torch.tensor([1.0, -1.0]))
    monkeypatch.setattr(module, "_compose", None)
    x = torch.tensor([0.0, 1.0, math.nan, math.inf], dtype=F64, requires_grad=True)
    payload, mask = layer(x, torch.tensor([False, False, False, True]))
    assert mask.tolist() == [False, True, True, True]
    payload.sum().backward()
    assert x.grad.tolist()[1:] == [0.0] * 3


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), (5, 3, 2)])
def test_shapes_and_strides(shape):
    layer = _layer()
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    for form in (x, x.expand(2, *shape), x.movedim(0, -1) if shape else x):
        leaf = form.detach().requires_grad_()
        payload, mask = layer(leaf)
        assert payload.shape == mask.shape == form.shape
        (slope,) = torch.autograd.grad(payload.sum(), leaf)
        assert slope.shape == form.shape
        flat = form.reshape(-1).detach().requires_grad_()
        (want,) = torch.autograd.grad(layer(flat)[0].sum(), flat)
        assert torch.equal(slope.reshape(-1), want)


def test_only_what_is_wanted_is_differentiated():
    layer = _layer()
    x = torch.tensor([0.1, 0.2, 1e200, 0.3, 0.4], dtype=F64)  # one block takes the composition
    layer(x)[0].sum().backward()
    together = layer.numerator.grad.clone()
    layer.zero_grad()
    layer.denominator.requires_grad_(False)
    layer(x)[0].sum().backward()
    assert torch.equal(layer.numerator.grad, together)
    assert layer.denominator.grad is None
    with torch.no_grad():
        assert layer(x)[0].grad_fn is None


def test_autocast_loses_no_digit():
    layer = _layer().float()
    x = torch.linspace(-0.5, 0.5, 9, requires_grad=True)
    plain = torch.autograd.grad(layer(x)[0].sum(), (x, *layer.parameters()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(layer(x)[0].sum(), (x, *layer.parameters()))
    for got, want in zip(inside, plain, strict=True):
        assert torch.equal(got, want)


def test_transforms_and_missing_private_names_take_the_composition(monkeypatch):
    layer = _layer()
    x = torch.linspace(-0.5, 0.5, 6, dtype=F64)
    want = layer(x)[0]
    calls = []
    compose = module._compose
    monkeypatch.setattr(module, "_compose", lambda *a: calls.append(1) or compose(*a))
    layer(x)
    assert not calls
    torch.testing.assert_close(vmap(lambda v: layer(v)[0])(x), want, rtol=0, atol=0)
    assert len(calls) == 1
    jvp(lambda v: layer(v)[0], (x,), (torch.ones_like(x),))
    assert len(calls) == 2
    monkeypatch.delattr(torch._C._functorch, "maybe_current_level")
    assert torch.equal(layer(x)[0], want)
    assert len(calls) == 3


def test_memory_is_that_of_the_result_and_one_inverse():
    """No table of powers: beyond the inputs, 8 B a lane and the mask live between the passes."""
    layer = SCMRationalLayer(8, 8)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        x = torch.rand(1000)
        layer(x)
    large = sum(t.nbytes for t in kept if t.numel() == 1000 and t is not x)
    assert large == 1000 * (4 + 4 + 1)
