"""Losses on tuples: hand values, bounds, weights, finite gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, vmap

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch import (
    Label,
    LossConfig,
    SCMLoss,
    chordal_loss,
    coverage,
    implicit_loss,
    lift_semantic_targets,
    lift_targets,
    margin_loss,
    oriented_chordal_loss,
    rejection_penalty,
    scm_loss,
    separation_losses,
    sign_consistency_loss,
    soft_coverage_loss,
)

F64 = torch.float64
PAIR_LOSSES = [chordal_loss, oriented_chordal_loss, implicit_loss, sign_consistency_loss]


def _t(*values, dtype=F64, grad=False):
    return torch.tensor(values, dtype=dtype, requires_grad=grad)


def _lane(loss, p, q, yn, yd, dtype=F64, **options):
    leaves = [_t(v, dtype=dtype, grad=True) for v in (p, q)]
    value = loss(*leaves, _t(yn, dtype=dtype), _t(yd, dtype=dtype), **options)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    return value.item(), [0.0 if g is None else g.item() for g in gradients]


# Acceptance 25.
@pytest.mark.parametrize(
    ("loss", "lane", "want"),
    [
        (chordal_loss, (1, 0, 0, 1), 1.0),
        (chordal_loss, (2, 4, 1, 2), 0.0),
        (chordal_loss, (1, 1, 0, 1), 0.5),
        (chordal_loss, (-1, -1, 1, 1), 0.0),
        (chordal_loss, (0, 0, 3, 1), 1.0),
        (oriented_chordal_loss, (1, 0, 1, 0), 0.0),
        (oriented_chordal_loss, (-1, 0, 1, 0), 2.0),
        (oriented_chordal_loss, (0, 1, 1, 0), 1.0),
        (oriented_chordal_loss, (0, 0, 1, 0), 1.0),
        # tuples over their larger member: (1, 1e-3) and (0, 1): 1 / (1e-6 + 1e-9)
        (implicit_loss, (1, 1e-3, 0, 1), 1 / (1e-6 + 1e-9)),
    ],
)
def test_hand_values(loss, lane, want):
    value, gradients = _lane(loss, *map(float, lane))
    assert value == pytest.approx(want, rel=1e-12, abs=1e-15)
    assert all(map(math.isfinite, gradients))


def test_zero_tuples_have_zero_gradients():
    for loss in (chordal_loss, oriented_chordal_loss):
        assert _lane(loss, 0.0, 0.0, 3.0, 1.0) == (1.0, [0.0, 0.0])
        assert _lane(loss, 1.0, 2.0, 0.0, 0.0) == (0.0, [0.0, 0.0])


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_d17_extreme_tuples_in_float32_are_finite(loss):
    for p, q in [(1e20, 1.0), (1e38, -1e38), (1e-30, 1e-30), (0.0, 0.0), (1.0, 0.0)]:
        for yn, yd in [(1e20, 1.0), (1.0, 0.0), (-1.0, 0.0)]:
            value, gradients = _lane(loss, p, q, yn, yd, dtype=torch.float32)
            assert math.isfinite(value)
            assert all(map(math.isfinite, gradients))


FINITE = st.floats(-1e3, 1e3)


@given(FINITE, FINITE, FINITE, FINITE, st.integers(-100, 100), st.integers(-100, 100))
def test_bounds_and_bit_equal_scaling(p, q, yn, yd, k, j):
    for loss, top in ((chordal_loss, 1.0), (oriented_chordal_loss, 2.0)):
        one = loss(_t(p), _t(q), _t(yn), _t(yd), reduction="none")
        assert 0.0 <= one.item() <= top
        a, b = 2.0**k, 2.0**j
        scaled = loss(_t(p * a), _t(q * a), _t(yn * b), _t(yd * b), reduction="none")
        if (p * a, q * a) != (0.0, 0.0) and min(abs(p), abs(q), abs(yn), abs(yd)) > 1e-200:
            assert scaled.item() == one.item()


def test_losses_are_real_for_complex_tuples():
    z = torch.tensor([1 + 1j, 2j], requires_grad=True)
    w, one = torch.tensor([1.0 + 0j, 1j]), torch.tensor([1 + 0j, 1 + 0j])
    for loss in (chordal_loss, oriented_chordal_loss, implicit_loss):
        value = loss(z, one, w, one)
        assert not value.is_complex()
        assert torch.isfinite(torch.autograd.grad(value, z)[0]).all()


# Acceptance 26.
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_a_weightless_nan_changes_nothing(loss):
    def run(poison, weight):
        leaves = [_t(0.5, poison, grad=True), _t(1.0, poison, grad=True)]
        targets = _t(1.0, poison), _t(0.0, poison)
        value = loss(*leaves, *targets, weight=weight)
        return value, *torch.autograd.grad(value, leaves)

    for weight in (_t(2.0, 0.0), torch.tensor([True, False])):
        want = run(1.0, weight)
        for poison in (math.nan, math.inf, 0.0):
            for left, right in zip(run(poison, weight), want, strict=True):
                assert torch.equal(left, right)
    assert math.isnan(run(math.nan, None)[0].item()) or loss is sign_consistency_loss


def test_weights_of_nothing_and_reductions():
    P, Q, Yn, Yd = _t(1.0, 0.0), _t(1.0, 1.0), _t(0.0, 0.0), _t(1.0, 1.0)
    lanes = chordal_loss(P, Q, Yn, Yd, reduction="none")
    torch.testing.assert_close(lanes, _t(0.5, 0.0))
    assert chordal_loss(P, Q, Yn, Yd, reduction="sum").item() == pytest.approx(0.5)
    assert chordal_loss(P, Q, Yn, Yd, weight=_t(3.0, 1.0)).item() == pytest.approx(1.5 / 4)
    assert chordal_loss(P, Q, Yn, Yd, weight=_t(0.0, 0.0)).item() == 0.0
    with pytest.raises(SCMValueError, match="reduction"):
        chordal_loss(P, Q, Yn, Yd, reduction="max")


def test_d18_unequal_shapes_raise_for_every_argument():
    a, column = torch.ones(3), torch.ones(3, 1)
    for loss in PAIR_LOSSES:
        for position in range(4):
            arguments = [a] * 4
            arguments[position] = column
            with pytest.raises(SCMValueError, match=r"\(3, 1\)"):
                loss(*arguments)
        with pytest.raises(SCMValueError):
            loss(a, a, a, a, weight=torch.ones(2))
    for call in (
        lambda: margin_loss(a, 0.1, weight=column),
        lambda: soft_coverage_loss(a, 0.1, 0.1, weight=column),
        lambda: separation_losses(a, torch.ones(3, 1, dtype=torch.bool)),
        lambda: oriented_chordal_loss(a, a, a, a, undirected=torch.ones(3, 1, dtype=torch.bool)),
        lambda: scm_loss(a, column, lift_targets(a), LossConfig()),
        lambda: lift_targets(a, torch.ones(3, 1, dtype=torch.bool)),
        lambda: lift_semantic_targets(a, torch.zeros(3, 1, dtype=torch.int8)),
    ):
        with pytest.raises(SCMValueError):
            call()


# Acceptance 27.
def test_d25_losses_on_q_push_at_q_zero():
    for zero in (0.0, -0.0):
        for loss in (
            lambda Q: margin_loss(Q, 0.5),
            lambda Q: soft_coverage_loss(Q, 0.5, 0.1),
            lambda Q: separation_losses(Q, torch.tensor([False]), 0.0, 0.5)[1],
        ):
            Q = _t(zero, grad=True)
            (gradient,) = torch.autograd.grad(loss(Q), Q)
            assert gradient.item() < 0


def test_d25_sign_loss_is_not_diluted_by_the_batch():
    P, Q, Yn, Yd = (
        _t(-1.0, *[0.0] * 9),
        _t(0.0, *[1.0] * 9),
        _t(1.0, *[0.0] * 9),
        _t(0.0, *[1.0] * 9),
    )
    assert sign_consistency_loss(P, Q, Yn, Yd).item() == 2.0
    assert sign_consistency_loss(P, Q, Yn, Yd, normalize="batch").item() == pytest.approx(0.2)
    assert sign_consistency_loss(P, Q, Yn, _t(*[1.0] * 10)).item() == 0.0


def test_q_losses_by_hand():
    Q = _t(0.0, 0.3, 2.0)
    assert margin_loss(Q, 0.5).item() == pytest.approx((0.25 + 0.04) / 3)
    weight = _t(1.0, 0.0, 1.0)
    assert margin_loss(Q, 0.5, weight=weight).item() == pytest.approx(0.125)
    assert margin_loss(Q, 0.5, "all", weight=weight).item() == pytest.approx(0.25 / 3)
    bottom, finite = separation_losses(_t(0.3, 0.01), torch.tensor([True, False]), 0.1, 0.2)
    assert (bottom.item(), finite.item()) == pytest.approx((0.04, 0.0361))
    mask = torch.tensor([True, False, False, False])
    assert coverage(mask).item() == 0.75
    assert rejection_penalty(mask, 0.95).item() == pytest.approx(0.04)
    with pytest.raises(SCMValueError):
        coverage(torch.zeros(0, dtype=torch.bool))
    with pytest.raises(SCMValueError):
        separation_losses(Q, torch.zeros(3, dtype=torch.bool), 0.2, 0.1)


def test_gradcheck_of_every_loss():
    operands = [torch.randn(5, dtype=F64, requires_grad=True) for _ in range(2)]
    Yn, Yd = torch.randn(5, dtype=F64), torch.randn(5, dtype=F64)
    weight = _t(1.0, 2.0, 0.0, 1.0, 0.5)
    for loss in PAIR_LOSSES:
        options = {"band": 1.0} if loss is sign_consistency_loss else {}

        def run(P, Q, loss=loss, options=options):
            return loss(P, Q, Yn, Yd, weight=weight, **options)

        assert gradcheck(run, operands, check_forward_ad=True), loss
        assert gradgradcheck(run, operands), loss
        stacked = [value.detach().repeat(3, 1) for value in operands]
        torch.testing.assert_close(
            vmap(grad(run))(*stacked)[0], torch.autograd.grad(run(*operands), operands)[0]
        )
        assert torch.isfinite(hessian(run)(*[value.detach() for value in operands])).all()
    targets = lift_targets(_t(1.0, math.inf, -math.inf, math.nan, 0.5))
    assert gradcheck(lambda P, Q: scm_loss(P, Q, targets, LossConfig(), 0.3)[0], operands)


# Acceptance 37.
def test_d24_targets_of_every_label():
    values = _t(2.5, math.nan, 1.0, 1.0, 1.0, 1.0, math.nan)
    t = lift_semantic_targets(values, torch.arange(7))
    assert t.numerator.tolist() == [2.5, 1, 1, 1, -1, 1, 0]
    assert t.denominator.tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert t.weight.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert t.orientation.tolist() == [0, 0, 0, 0, -1, 1, 0]
    assert t.is_bottom.tolist() == [False, True, True, True, True, True, False]
    t = lift_targets(_t(math.nan, math.inf, -math.inf, 3.0))
    assert t.orientation.tolist() == [0, 1, -1, 0]
    with pytest.raises(SCMValueError, match="finite"):
        lift_semantic_targets(_t(math.nan), torch.tensor([int(Label.FINITE)]))
    with pytest.raises(SCMValueError, match="labels"):
        lift_semantic_targets(_t(1.0), torch.tensor([7]))


def test_missing_has_no_gradient():
    targets = lift_semantic_targets(_t(1.0, math.nan), torch.tensor([0, 6]))
    P, Q = _t(0.3, 0.7, grad=True), _t(1e-6, 1e-6, grad=True)
    total, parts = SCMLoss(LossConfig())((P, Q), targets)
    gradients = torch.autograd.grad(total, (P, Q))
    assert all(g[1] == 0 and g[0] != 0 for g in gradients)
    assert set(parts) == {"fit", "margin", "sign", "coverage", "total"}
    assert not any(part.requires_grad for part in parts.values())
    assert parts["total"].item() == total.item()


def test_undirected_bottoms_are_fitted_without_a_side():
    targets = lift_targets(_t(math.nan))
    config = LossConfig(margin_weight=0.0, coverage_weight=0.0)
    for side in (1.0, -1.0):
        total, _ = scm_loss(_t(side), _t(0.0), targets, config)
        assert total.item() == 0.0
    directed = lift_targets(_t(math.inf))
    assert scm_loss(_t(-1.0), _t(0.0), directed, config)[0].item() == pytest.approx(4.0)


def test_scm_loss_object():
    loss = SCMLoss(LossConfig(margin_weight=0.5))
    targets = lift_targets(_t(1.0))
    outputs = (_t(1.0), _t(0.0))
    base, parts = loss(outputs, targets, tau=0.5)
    doubled, _ = loss(outputs, targets, tau=0.5, weights={"margin": 2.0})
    assert (doubled - base).item() == pytest.approx(0.5 * parts["margin"].item())
    with pytest.raises(SCMValueError, match="part"):
        loss(outputs, targets, weights={"margins": 2.0})
    mask = torch.tensor([False])
    for bad in ((_t(1.0), mask), _t(1.0), (_t(1.0),), (1.0, 2.0)):
        with pytest.raises(SCMTypeError):
            loss(bad, targets)
    with pytest.raises(SCMTypeError, match="lift_targets"):
        loss(outputs, _t(1.0))
    for bad in ({"fit": "l2"}, {"tau_train": -1.0}, {"gamma": math.nan}):
        with pytest.raises(SCMValueError):
            LossConfig(**bad)
    with pytest.raises(AttributeError):
        LossConfig().fit = "chordal"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile_fullgraph_of_every_loss(compiling, backend):
    Yn, Yd = _t(1.0, 1.0, -1.0, 0.5), _t(1.0, 0.0, 0.0, 1e-3)
    weight = _t(1.0, 2.0, 0.0, 1.0)
    values = _t(1.0, math.inf, math.nan, 0.25)

    def everything(P, Q):
        pairs = [loss(P, Q, Yn, Yd, weight=weight) for loss in PAIR_LOSSES]
        targets = lift_targets(values)
        labelled = lift_semantic_targets(values, torch.tensor([0, 5, 1, 6]))
        if backend == "inductor":  # generated code takes a minute for all of them
            return torch.stack([pairs[0], pairs[1], margin_loss(Q, 0.5)])
        return torch.stack(
            [
                *pairs,
                margin_loss(Q, 0.5),
                soft_coverage_loss(Q, 0.5, 0.1),
                *separation_losses(Q, targets.is_bottom),
                scm_loss(P, Q, targets, LossConfig())[0],
                scm_loss(P, Q, labelled, LossConfig(fit="chordal"), 0.1)[0],
            ]
        )

    leaves = [_t(0.5, 0.0, -3.0, 1e200, grad=True), _t(1.0, 0.0, 1.0, 1e-200, grad=True)]
    want, got = everything(*leaves), compiling(everything, fullgraph=True, backend=backend)(*leaves)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)
    for left, right in zip(
        torch.autograd.grad(got.sum(), leaves),
        torch.autograd.grad(want.sum(), leaves),
        strict=True,
    ):
        assert torch.isfinite(left).all()
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-14)
