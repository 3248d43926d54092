"""Layers: values, ⊥ lanes, gradients of every order, policies."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch import (
    AngularProjectiveHead,
    GradientPolicy,
    ProjectiveNormalize,
    ProjectiveRationalMultiHead,
    SCMNorm,
    SCMRationalLayer,
    SCMSoftmax,
    gradient_policy,
)

F64 = torch.float64


def _rational(numerator, denominator, **options):
    layer = SCMRationalLayer(len(numerator) - 1, len(denominator) - 1, dtype=F64, **options)
    with torch.no_grad():
        layer.numerator.copy_(torch.tensor(numerator, dtype=F64))
        layer.denominator.copy_(torch.tensor(denominator, dtype=F64))
    return layer


def _x(*values):
    return torch.tensor(values, dtype=F64, requires_grad=True)


# Acceptance 19: (1+2x)/(1+3x) at 0.5.
def test_d07_second_derivatives_of_the_rational_layer():
    layer = _rational([1.0, 2.0], [1.0, 3.0])

    def y(x):
        return layer(x)[0]

    x = torch.tensor(0.5, dtype=F64)
    one = torch.ones_like(x)
    close = {"rtol": 1e-12, "atol": 0.0}
    first, second = torch.tensor(-0.16, dtype=F64), torch.tensor(0.384, dtype=F64)
    torch.testing.assert_close(grad(y)(x), first, **close)
    torch.testing.assert_close(jvp(y, (x,), (one,))[1], first, **close)
    torch.testing.assert_close(vmap(grad(y))(x.repeat(3)), first.repeat(3), **close)
    torch.testing.assert_close(hessian(y)(x), second, **close)
    torch.testing.assert_close(jacrev(jacrev(y))(x), second, **close)
    torch.testing.assert_close(grad(grad(y))(x), second, **close)
    torch.testing.assert_close(
        jvp(lambda v: jvp(y, (v,), (one,))[1], (x,), (one,))[1], second, **close
    )


@pytest.mark.parametrize("basis", ["monomial", "chebyshev"])
def test_rational_layer_gradcheck(basis):
    layer = _rational([0.3, -0.2, 0.5], [1.0, 0.1, 0.4], basis=basis)
    inputs = (_x(-0.5, 0.25, 2.0, math.nan), *layer.parameters())

    def run(x, numerator, denominator):
        parameters = {"numerator": numerator, "denominator": denominator}
        return functional_call(layer, parameters, (torch.where(x != x, math.nan, x),))[0][:3]

    x = torch.tensor([-0.5, 0.25, 2.0], dtype=F64, requires_grad=True)
    inputs = (x, layer.numerator, layer.denominator)
    assert gradcheck(run, inputs, check_forward_ad=True)
    assert gradgradcheck(run, inputs)


def test_callable_basis_and_other_options():
    layer = _rational(
        [0.0, 1.0], [1.0], basis=lambda x, d: torch.stack([x * 0 + 1, x * x], -1)[..., : d + 1]
    )
    assert layer(torch.tensor([3.0], dtype=F64))[0].item() == 9.0
    assert SCMRationalLayer(2, 3).denominator.tolist() == [1.0, 0.0, 0.0, 0.0]
    a, b = (
        SCMRationalLayer(2, 1, generator=torch.Generator().manual_seed(3)).numerator for _ in "ab"
    )
    assert torch.equal(a, b)
    assert a.abs().max() < 0.1
    for bad in ({"singular_epsilon": -1.0}, {"singular_epsilon": math.nan}, {"basis": "fourier"}):
        with pytest.raises(SCMValueError):
            SCMRationalLayer(1, 1, **bad)
    with pytest.raises(SCMValueError, match="numerator_degree"):
        SCMRationalLayer(-1, 1)
    with pytest.raises(SCMTypeError, match="gradient_policy"):
        SCMRationalLayer(1, 1, gradient_policy="clamp")


# Acceptance 24.
def test_d10_d28_threshold_is_strict_and_zero_is_always_bottom():
    layer = _rational([1.0], [0.0, 1.0], singular_epsilon=0.25)
    payload, mask = layer(_x(0.25, -0.25, math.nextafter(0.25, 0.0), 0.0))
    assert mask.tolist() == [False, False, True, True]
    assert payload.tolist() == [4.0, -4.0, 0.0, 0.0]
    exact = _rational([1.0], [0.0, 1.0], singular_epsilon=0.0)
    payload, mask = exact(_x(0.0, -0.0, 1e-160, 5e-324))
    # 1e160 is regular although its derivative is not representable; 1/5e-324 overflows.
    assert mask.tolist() == [True, True, False, True]
    assert payload[2].item() == 1e160


# Acceptance 23.
@pytest.mark.parametrize("form", ["all masked", "all poles", "all nan"])
def test_all_bottom_batch_has_zero_finite_gradients(form):
    layer = _rational([1.0, 2.0], [0.0, 1.0])
    values = {"all masked": 1.0, "all poles": 0.0, "all nan": math.nan}[form]
    x = _x(values, values)
    mask = torch.ones(2, dtype=torch.bool) if form == "all masked" else None
    payload, bottom = layer(x, mask)
    assert bottom.all()
    assert (payload == 0).all()
    payload.sum().backward()
    for gradient in (x.grad, layer.numerator.grad, layer.denominator.grad):
        assert (gradient == 0).all()


def test_bottom_lanes_do_not_touch_the_gradients_of_others():
    layer = _rational([1.0, 2.0, 0.5], [1.0, 3.0, 1.0])

    def run(*values, mask=None):
        layer.zero_grad()
        x = _x(*values)
        layer(x, mask)[0].sum().backward()
        return x.grad, layer.numerator.grad, layer.denominator.grad

    want = run(0.5, 2.0)
    masked = torch.tensor([False, False, True])
    for poison in (math.nan, math.inf, 1e308):
        got = run(0.5, 2.0, poison, mask=masked)
        assert torch.equal(got[0][:2], want[0])
        assert got[0][2] == 0
        for left, right in zip(got[1:], want[1:], strict=True):
            torch.testing.assert_close(left, right)


def test_enormous_cotangents_are_sanitised_except_in_passthrough():
    layer = _rational([1.0, 1e150], [1.0, 1e150], singular_epsilon=0.0)
    x = _x(1.0, 1e150)
    payload, mask = layer(x)
    assert not mask.any()
    payload.backward(torch.tensor([1e300, math.inf], dtype=F64))
    for gradient in (x.grad, layer.numerator.grad, layer.denominator.grad):
        assert torch.isfinite(gradient).all()


def test_argument_rules_of_the_rational_layer():
    layer = SCMRationalLayer(1, 1)
    with pytest.raises(SCMTypeError, match="complex"):
        layer(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(SCMTypeError, match="bool"):
        layer(torch.ones(2, dtype=torch.bool))
    with pytest.raises(SCMTypeError, match=r"torch\.Tensor"):
        layer([1.0])
    with pytest.raises(SCMValueError, match="mask"):
        layer(torch.ones(2), torch.ones(3, 2, dtype=torch.bool))
    assert layer(torch.ones(2, dtype=torch.int32))[0].dtype == torch.float32
    assert layer(torch.ones(()))[0].shape == ()
    assert layer(torch.ones(0, 3))[0].shape == (0, 3)


def test_autocast_computes_in_float32():
    layer = SCMRationalLayer(1, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        payload, _ = layer(torch.ones(2, dtype=torch.bfloat16))
    assert payload.dtype == torch.float32


# Acceptance 21.
def test_d06_the_policy_context_counts_in_forward():
    layer = _rational([1.0, 2.0], [1.0, 3.0])
    x = torch.tensor([0.5, 1.0], dtype=F64)
    want = torch.autograd.grad(layer(x)[0].sum(), tuple(layer.parameters()))

    with gradient_policy(GradientPolicy.REJECT):
        payload, _ = layer(x)
    rejected = torch.autograd.grad(payload.sum(), tuple(layer.parameters()))
    assert all((gradient == 0).all() for gradient in rejected)

    payload, _ = layer(x)
    with gradient_policy(GradientPolicy.REJECT):  # around backward alone: nothing
        got = torch.autograd.grad(payload.sum(), tuple(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))

    explicit = _rational([1.0, 2.0], [1.0, 3.0], gradient_policy=GradientPolicy.PROJECT)
    with gradient_policy(GradientPolicy.REJECT):
        payload, _ = explicit(x)
    got = torch.autograd.grad(payload.sum(), tuple(explicit.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_d08_policies_on_nan_and_inf_cotangents():
    for policy, want in {
        GradientPolicy.CLAMP: [1.0, 0.0, -1.0, 0.0],
        GradientPolicy.PROJECT: [5.0, 0.0, 0.0, 0.0],
        GradientPolicy.REJECT: [0.0, 0.0, 0.0, 0.0],
    }.items():
        layer = _rational([0.0, 1.0], [1.0], gradient_policy=policy)
        x = _x(1.0, 1.0, 1.0, math.nan)
        layer(x)[0].backward(torch.tensor([5.0, math.nan, -math.inf, 7.0], dtype=F64))
        assert x.grad.tolist() == want, policy


def test_default_policy_is_project():
    layer = _rational([0.0, 1.0], [1.0])
    x = _x(1.0, 1.0)
    layer(x)[0].backward(torch.tensor([5.0, math.inf], dtype=F64))
    assert x.grad.tolist() == [5.0, 0.0]


# The rational head.
def test_rational_head_by_hand():
    head = ProjectiveRationalMultiHead(2, 1, 1, dtype=F64)
    with torch.no_grad():
        head.num_weights.copy_(torch.tensor([[0.0, 1.0], [1.0, 2.0]]))
        head.den_weights.copy_(torch.tensor([0.5, 1.0]))
    P, Q = head(torch.tensor([[3.0, 4.0]], dtype=F64), torch.tensor([2.0], dtype=F64))
    assert P.tolist() == [[3.0, 9.0]]
    assert Q.tolist() == [[3.5, 3.5]]
    column = head(torch.tensor([[3.0, 4.0]], dtype=F64), torch.tensor([[2.0]], dtype=F64))
    assert torch.equal(column[1], Q)


def test_rational_head_options_and_shapes():
    head = ProjectiveRationalMultiHead(3, 2, 2, q_param="softplus", q_anchor="none", q_min=0.5)
    _, Q = head(torch.randn(5, 3), torch.randn(5) * 100)
    assert (Q >= 0.5).all()
    assert head.bottom_capability(0.5) == "unreachable_by_construction"
    assert head.bottom_capability(0.6) == "reachable"
    assert ProjectiveRationalMultiHead(1, 1, 1).bottom_capability(1e-9) == "reachable"
    for z_num, z_den in (((5, 2), (5,)), ((5, 3), (3,)), ((5, 3), (5, 2)), ((3,), (3,))):
        with pytest.raises(SCMValueError, match="z_"):
            head(torch.zeros(z_num), torch.zeros(z_den))
    for bad in ({"q_anchor": "one"}, {"q_param": "exp"}, {"q_min": -1.0}):
        with pytest.raises(SCMValueError):
            ProjectiveRationalMultiHead(1, 1, 1, **bad)


def test_rational_head_keeps_faults_visible_and_gradients_finite():
    head = ProjectiveRationalMultiHead(2, 3, 2, dtype=F64)
    z_num = torch.tensor([[1.0, math.nan], [2.0, 1e200]], dtype=F64, requires_grad=True)
    z_den = torch.tensor([math.inf, 1.0], dtype=F64, requires_grad=True)
    P, Q = head(z_num, z_den)
    assert torch.isfinite(P).tolist() == [[True, False], [True, False]]
    assert torch.isfinite(Q).tolist() == [[False, False], [True, True]]
    (P.sum() + Q.sum()).backward()
    for gradient in (z_num.grad, z_den.grad, head.num_weights.grad, head.den_weights.grad):
        assert torch.isfinite(gradient).all()
    assert head.num_weights.grad.abs().sum() > 0


def test_heads_gradcheck():
    head = ProjectiveRationalMultiHead(2, 2, 2, q_param="softplus", dtype=F64)
    z_num = torch.randn(3, 2, dtype=F64, requires_grad=True)
    z_den = torch.randn(3, dtype=F64, requires_grad=True)
    for check in (gradcheck, gradgradcheck):
        assert check(lambda a, b, *_: head(a, b), (z_num, z_den, *head.parameters()))
    assert gradcheck(lambda a, b: head(a, b), (z_num, z_den), check_forward_ad=True)
    angular = AngularProjectiveHead(4, 2, theta_scale=2.0, dtype=F64)
    f = torch.randn(3, 4, dtype=F64, requires_grad=True)
    assert gradcheck(lambda a, *_: angular(a), (f, *angular.parameters()))
    assert gradcheck(angular, (f,), check_forward_ad=True)
    assert gradgradcheck(lambda a, *_: angular(a), (f, *angular.parameters()))


def test_angular_head():
    head = AngularProjectiveHead(2, 3, theta_scale=0.5, dtype=F64)
    features = torch.randn(4, 5, 2, dtype=F64)
    P, Q = head(features)
    assert P.shape == Q.shape == (4, 5, 3)
    torch.testing.assert_close(P * P + Q * Q, torch.ones_like(P))
    phi = 0.5 * (features @ head.weight.T + head.bias)
    torch.testing.assert_close(P, phi.sin())
    assert (head.bias == 0).all()
    assert head.weight.abs().max() <= 1 / math.sqrt(2)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(math.pi)
    P, Q = head(features)  # at ±π/2 the tuple is ⊥ in all but round-off, and smooth
    assert Q.abs().max() < 1e-15
    P, Q = head(torch.tensor([[math.nan, 1.0], [1.0, 1.0]], dtype=F64))
    assert torch.isnan(P[0]).all()
    assert torch.isfinite(P[1]).all()
    (P[1].sum() + Q.nansum()).backward()
    assert torch.isfinite(head.weight.grad).all()
    with pytest.raises(SCMValueError, match="features"):
        head(torch.zeros(3, 4))


def test_d15_normalize_keeps_scale_free_tuples():
    normalize = ProjectiveNormalize()
    P, Q = normalize(torch.tensor([1e20, 1e-30, 0.0]), torch.tensor([1.0, 1e-30, 0.0]))
    torch.testing.assert_close(P, torch.tensor([1.0, math.sqrt(0.5), 0.0]))
    torch.testing.assert_close(Q, torch.tensor([1e-20, math.sqrt(0.5), 0.0]))
    zero = torch.zeros(1, requires_grad=True)
    sum(part.sum() for part in normalize(zero, zero)).backward()
    assert zero.grad.item() == 0.0
    canonical = ProjectiveNormalize("canonical_denominator")
    P, Q = canonical(torch.tensor([3.0, -2.0, 0.0]), torch.tensor([2.0, 0.0, 0.0]))
    assert (P.tolist(), Q.tolist()) == ([1.5, -1.0, 0.0], [1.0, 0.0, 0.0])
    with pytest.raises(SCMValueError):
        ProjectiveNormalize("l1")
    with pytest.raises(SCMValueError):
        ProjectiveNormalize(gamma=-1.0)
    tuples = [torch.randn(3, dtype=F64, requires_grad=True) for _ in "PQ"]
    assert gradcheck(normalize, tuples, check_forward_ad=True)


# Acceptance 28.
def test_d16_norm_of_constant_masked_and_empty_columns():
    norm = SCMNorm()
    x = torch.tensor(
        [[1.0, 5.0, math.nan, 7.0], [3.0, 5.0, 2.0, 8.0], [8.0, 5.0, 4.0, 9.0]],
        dtype=F64,
        requires_grad=True,
    )
    mask = torch.zeros_like(x, dtype=torch.bool)
    mask[:, 3] = True
    payload, bottom = norm(x, mask)
    assert bottom.tolist() == [[False, True, True, True]] + [[False, True, False, True]] * 2
    torch.testing.assert_close(payload[1:, 2], torch.tensor([-1.0, 1.0], dtype=F64))
    (payload**2 * torch.arange(12, dtype=F64).reshape(3, 4)).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[bottom] == 0).all()
    column = x.detach()[:, :1].clone().requires_grad_()
    alone, _ = norm(column)
    torch.testing.assert_close(alone[:, 0], payload[:, 0])


def test_d16_softmax_of_masked_infinite_and_broken_rows():
    softmax = SCMSoftmax()
    x = torch.tensor(
        [[0.0, 0.0, 9.0], [0.0, math.nan, 0.0], [-math.inf, 1.0, 1.0], [math.inf, 0.0, 0.0]],
        dtype=F64,
        requires_grad=True,
    )
    mask = torch.zeros_like(x, dtype=torch.bool)
    mask[0, 2] = True
    payload, bottom = softmax(x, mask)
    assert bottom[:, 0].tolist() == [False, True, False, True]
    assert payload.tolist() == [[0.5, 0.5, 0.0], [0.0] * 3, [0.0, 0.5, 0.5], [0.0] * 3]
    payload[:, 0].sum().backward()
    assert torch.isfinite(x.grad).all()
    _, bottom = softmax(x, torch.ones_like(mask))
    assert bottom.all()


def test_norm_and_softmax_gradcheck():
    x = torch.randn(5, 3, dtype=F64, requires_grad=True)
    mask = torch.zeros(5, 3, dtype=torch.bool)
    mask[0, 1] = True
    for layer in (SCMNorm(eps=1e-3), SCMNorm(), SCMSoftmax()):
        assert gradcheck(lambda v, layer=layer: layer(v, mask)[0], (x,), check_forward_ad=True)
        assert gradgradcheck(lambda v, layer=layer: layer(v, mask)[0], (x,))


def test_state_dict_names_are_the_shared_ones():
    assert set(SCMRationalLayer(1, 1).state_dict()) == {"numerator", "denominator"}
    assert set(ProjectiveRationalMultiHead(1, 1, 1).state_dict()) == {"num_weights", "den_weights"}
    assert set(AngularProjectiveHead(2).state_dict()) == {"weight", "bias"}


# Acceptance 20, for layers.
DYNAMO = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


def _compare_compiled(compiled, everything, x, parameters):
    """Values, masks and gradients of a compiled function against eager mode."""
    (got, masks), (want, want_masks) = compiled(x), everything(x)
    assert torch.equal(masks, want_masks)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14, equal_nan=True)

    def gradients(values):
        total = torch.where(torch.isfinite(values), values, 0.0).sum()
        return torch.autograd.grad(total, parameters)

    for left, right in zip(gradients(got), gradients(want), strict=True):
        assert torch.isfinite(left).all()
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


def _lanes():
    """Regular lanes, the pole of the layer below, and one that is not finite."""
    x = torch.tensor([[0.5, 0.1], [-1 / 3, 2.0], [math.nan, 0.0]], dtype=F64)
    return x.requires_grad_()


@pytest.mark.slow
@DYNAMO  # dynamo makes an instance of every autograd.Function that it traces
def test_compile_fullgraph_and_recompile_on_policy(compiling):
    rational = _rational([1.0, 2.0], [1.0, 3.0])
    normalize = ProjectiveNormalize()

    def everything(x):
        y, bottom = rational(x)
        clean = torch.nan_to_num(x)
        P, Q = normalize(clean, clean + 1.0)
        return torch.stack([y, P, Q]), bottom

    x, parameters = _lanes(), tuple(rational.parameters())
    compiled = compiling(everything, fullgraph=True)
    _compare_compiled(compiled, everything, x, (x, *parameters))
    with gradient_policy(GradientPolicy.REJECT):
        got, _ = compiled(x)
    rejected = torch.autograd.grad(got[0].sum(), parameters)
    assert all((gradient == 0).all() for gradient in rejected)


@DYNAMO
def test_compile_traces_the_other_layers_in_one_graph(compiling):
    """Traced with their backward as one graph; the code generator has its turn in the slow tests."""
    head = ProjectiveRationalMultiHead(2, 2, 2, q_param="softplus", dtype=F64)
    angular = AngularProjectiveHead(2, 2, dtype=F64)
    norm, softmax = SCMNorm(), SCMSoftmax()

    def everything(x):
        n, n_bottom = norm(x)
        s, s_bottom = softmax(x)
        return torch.stack([*head(x, x[:, 0]), *angular(x), n, s]), torch.stack(
            [n_bottom, s_bottom]
        )

    x = _lanes()
    parameters = (x, *head.parameters(), *angular.parameters())
    compiled = compiling(everything, fullgraph=True, backend="aot_eager")
    _compare_compiled(compiled, everything, x, parameters)
