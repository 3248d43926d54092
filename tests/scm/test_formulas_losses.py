"""Losses against values computed by hand, over NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import losses
from zeroproofml.scm.formulas.losses import LossConfig, scm_loss
from zeroproofml.scm.formulas.projective import Targets, lift_semantic_targets, lift_targets

NAN, INF = np.nan, np.inf
TUPLE_LOSSES = [
    losses.chordal_loss,
    losses.oriented_chordal_loss,
    losses.implicit_loss,
    losses.sign_consistency_loss,
]


def one(*values, dtype=np.float64):
    return [np.array([v], dtype) for v in values]


@pytest.mark.parametrize(
    ("p", "q", "yn", "yd", "want"),
    [
        (1, 1, 1, 1, 0.0),
        (-2, -2, 1, 1, 0.0),  # sign-blind
        (1, 0, 0, 1, 1.0),
        (1, 1, 0, 1, 0.5),
        (3, 4, 4, 3, 0.0784),  # (9 − 16)²/(25·25)
        (0, 0, 1, 1, 1.0),  # no prediction
    ],
)
def test_chordal(p, q, yn, yd, want):
    got = losses.chordal_loss(*one(p, q, yn, yd), xp=np)
    assert got == pytest.approx(want, abs=1e-15)


@pytest.mark.parametrize(
    ("p", "q", "yn", "yd", "want"),
    [
        (2, 2, 1, 1, 0.0),
        (-2, -2, 1, 1, 2.0),
        (1, 0, 0, 1, 1.0),
        (3, 4, 4, 3, 0.04),  # 1 − 24/25
        (0, 0, 1, 1, 1.0),
        (1, 0, -1, 0, 2.0),
    ],
)
def test_oriented(p, q, yn, yd, want):
    got = losses.oriented_chordal_loss(*one(p, q, yn, yd), xp=np)
    assert got == pytest.approx(want, abs=1e-15)


def test_oriented_is_sign_blind_where_undirected():
    P, Q = np.array([-1.0, -1.0]), np.array([0.0, 0.0])
    Yn, Yd = np.array([1.0, 1.0]), np.array([0.0, 0.0])
    got = losses.oriented_chordal_loss(
        P, Q, Yn, Yd, undirected=np.array([True, False]), reduction="none", xp=np
    )
    np.testing.assert_array_equal(got, [0, 2])


@pytest.mark.parametrize(
    ("p", "q", "yn", "yd", "want"),
    [
        (1, 1e-3, 0, 1, 1 / (1e-6 + 1e-9)),
        (1, 2, 0, 1, 0.25 / (1 + 1e-9)),  # (½, 1)
        (1, 1, 1, 1, 0.0),
        (1, 1, -1, 1, 4 / (2 + 1e-9)),
        (0, 0, 0, 1, 0.0),
    ],
)
def test_implicit(p, q, yn, yd, want):
    got = losses.implicit_loss(*one(p, q, yn, yd), xp=np)
    assert got == pytest.approx(want, rel=1e-12, abs=1e-15)


def test_d17_implicit_loss_survives_large_tuples_in_float32():
    got = losses.implicit_loss(*one(1e20, 1e17, 0, 1, dtype=np.float32), xp=np)
    assert got == pytest.approx(1 / (1e-6 + 1e-9), rel=1e-5)
    assert got.dtype == np.float32


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
def test_d17_losses_of_complex_tuples_are_real(loss):
    rotated = np.exp(0.7j)
    P, Q, Yn, Yd = (np.array([v]) for v in (1 + 2j, 2j, (1 + 2j) * rotated, 2j * rotated))
    got = loss(P, Q, Yn, Yd, xp=np)
    assert got.dtype == np.float64
    if loss is not losses.oriented_chordal_loss:  # only the oriented form sees the phase
        assert got == pytest.approx(0, abs=1e-14)
    else:
        assert got == pytest.approx(1 - math.cos(0.7), rel=1e-14)


@pytest.mark.parametrize("loss", [losses.chordal_loss, losses.oriented_chordal_loss])
@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda v: round(v, 3)), min_size=4, max_size=4),
    st.integers(-100, 100),
    st.integers(-100, 100),
)
def test_bounded_and_bit_equal_under_scaling(loss, values, j, k):
    p, q, yn, yd = one(*values)
    got = loss(p, q, yn, yd, xp=np)
    assert 0.0 <= got <= (1.0 if loss is losses.chordal_loss else 2.0)
    assert got == loss(p * 2.0**j, q * 2.0**j, yn * 2.0**k, yd * 2.0**k, xp=np)


def test_round_off_stays_within_the_bounds():
    P, Q = np.random.default_rng(0).normal(size=(2, 10_000))
    chordal = losses.chordal_loss(P, Q, -Q, P, reduction="none", xp=np)
    opposite = losses.oriented_chordal_loss(P, Q, -P, -Q, reduction="none", xp=np)
    assert 1 - 1e-15 <= chordal.min() <= chordal.max() == 1.0
    assert 2 - 1e-15 <= opposite.min() <= opposite.max() == 2.0


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
def test_a_null_target_has_weight_zero(loss):
    P, Q = np.array([1.0, 1.0]), np.array([0.0, 1.0])
    Yn, Yd = np.array([-1.0, 0.0]), np.array([1e-9, 0.0])
    assert loss(P, Q, Yn, Yd, xp=np) == loss(P[:1], Q[:1], Yn[:1], Yd[:1], xp=np)


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
@pytest.mark.parametrize("junk", [NAN, INF])
@pytest.mark.parametrize("bool_weight", [True, False])
def test_lanes_of_weight_zero_are_selected_out(loss, junk, bool_weight):
    P, Q, Yn, Yd = (np.array([v, junk]) for v in (1.0, 0.0, 2.0, 0.0))
    weight = np.array([1, 0], bool if bool_weight else np.float64)
    got = loss(P, Q, Yn, Yd, weight=weight, xp=np)
    assert got == loss(P[:1], Q[:1], Yn[:1], Yd[:1], xp=np)
    assert loss(P, Q, Yn, Yd, weight=np.zeros(2), xp=np) == 0.0


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
def test_a_nan_on_a_weighted_lane_shows(loss):
    P, Q, Yn, Yd = (np.array([v, NAN]) for v in (1.0, 0.0, 2.0, 0.0))
    Yd = np.zeros(2)
    assert np.isnan(loss(P, Q, Yn, Yd, xp=np))


def test_weights_and_reductions():
    P, Q = np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])
    Yn, Yd = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0])  # chordal 0, 1, ½
    w = np.array([1.0, 2.0, 4.0])

    def loss(reduction, weight=w):
        return losses.chordal_loss(P, Q, Yn, Yd, weight=weight, reduction=reduction, xp=np)

    np.testing.assert_allclose(loss("none"), [0, 2, 2], rtol=1e-15)
    assert loss("sum") == pytest.approx(4)
    assert loss("mean") == pytest.approx(4 / 7)
    assert loss("mean", None) == pytest.approx(0.5)
    with pytest.raises(SCMValueError, match="reduction"):
        loss("avg")


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
@pytest.mark.parametrize("position", range(5))
def test_d18_unequal_shapes_raise(loss, position):
    arguments = [np.ones((3, 1)) for _ in range(5)]
    arguments[position] = np.ones(3)
    with pytest.raises(SCMValueError, match="shapes must be equal"):
        loss(*arguments[:4], weight=arguments[4], xp=np)


def test_d18_unequal_shapes_raise_in_the_other_losses_too():
    Q, wrong = np.ones((3, 1)), np.ones(3)
    flags = wrong > 0
    with pytest.raises(SCMValueError, match="shapes"):
        losses.margin_loss(Q, 0.1, weight=wrong, xp=np)
    with pytest.raises(SCMValueError, match="shapes"):
        losses.soft_coverage_loss(Q, 0.1, 0.1, weight=wrong, xp=np)
    with pytest.raises(SCMValueError, match="shapes"):
        losses.separation_losses(Q, flags, xp=np)
    with pytest.raises(SCMValueError, match="shapes"):
        losses.oriented_chordal_loss(Q, Q, Q, Q, undirected=flags, xp=np)
    with pytest.raises(SCMValueError, match="shapes"):
        losses.sign_consistency_loss(Q, Q, Q, Q, selected=flags, xp=np)
    with pytest.raises(SCMValueError, match="shapes"):
        scm_loss(Q, Q, lift_targets(wrong, xp=np), LossConfig(), xp=np)


def test_margin():
    Q = np.array([0.0, -0.3, 0.4, 5.0])  # τ = ½: 0.25, 0.04, 0.01, 0
    assert losses.margin_loss(Q, 0.5, xp=np) == pytest.approx(0.075)
    w = np.array([1.0, 0.0, 1.0, 0.0])
    assert losses.margin_loss(Q, 0.5, weight=w, xp=np) == pytest.approx(0.13)
    assert losses.margin_loss(Q, 0.5, "all", weight=w, xp=np) == pytest.approx(0.065)
    assert losses.margin_loss(np.array([3j]), 4.0, xp=np) == pytest.approx(1.0)
    assert np.isnan(losses.margin_loss(np.array([NAN]), 0.5, xp=np))
    with pytest.raises(SCMValueError, match="tau"):
        losses.margin_loss(Q, -1.0, xp=np)


def test_d25_sign_loss_is_not_diluted_by_the_batch():
    P, Q = np.array([-1.0, 1.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    Yn, Yd = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 1.0, 1.0])
    loss = losses.sign_consistency_loss
    assert loss(P, Q, Yn, Yd, xp=np) == 2.0
    assert loss(P, Q, Yn, Yd, normalize="batch", xp=np) == 0.5
    assert loss(P[1:], Q[1:], Yn[1:], Yd[1:], xp=np) == 0.0  # nothing selected
    chosen = np.array([True, True, False, False])
    want = (2.0 + 1 - 3 / math.sqrt(10)) / 2
    assert loss(P, Q, Yn, Yd, selected=chosen, xp=np) == pytest.approx(want)


def test_d28_the_band_of_the_sign_loss_includes_its_edge():
    P, Q = one(-1.0, 0.0)
    Yn, Yd = one(1.0, 1e-3)
    assert losses.sign_consistency_loss(P, Q, Yn, Yd, band=1e-3, xp=np) > 1.9
    assert losses.sign_consistency_loss(P, Q, Yn, Yd, band=0.9e-3, xp=np) == 0.0


def test_soft_coverage():
    loss = losses.soft_coverage_loss
    Q = np.array([0.5, 0.5 + 0.1 * math.log(3.0)])  # σ = ½ and ¾
    assert loss(Q, 0.5, 0.1, 0.875, xp=np) == pytest.approx(0.0625)
    assert loss(Q, 0.5, 0.1, 0.5, xp=np) == 0.0
    assert loss(Q, 0.5, 0.1, 0.875, weight=np.array([0.0, 1.0]), xp=np) == pytest.approx(1 / 64)
    assert loss(Q, 0.5, 0.1, 0.9, weight=np.zeros(2), xp=np) == 0.0
    assert loss(np.array([1e300]), 0.5, 1e-9, 1.0, xp=np) == 0.0
    with pytest.raises(SCMValueError, match="temperature"):
        loss(Q, 0.5, 0.0, xp=np)


def test_separation():
    Q = np.array([0.51, -0.01, 0.04, 0.06])
    bottom = np.array([True, True, False, False])
    over, short = losses.separation_losses(Q, bottom, xp=np)
    assert over == pytest.approx(0.125)
    assert short == pytest.approx(0.00005)
    over, short = losses.separation_losses(Q, ~bottom & bottom, xp=np)
    assert over == 0.0
    with pytest.raises(SCMValueError, match="tau_finite"):
        losses.separation_losses(Q, bottom, 0.1, 0.05, xp=np)


def test_separation_groups_never_mix():
    Q, bottom = np.array([NAN, 1.0]), np.array([True, False])
    over, short = losses.separation_losses(Q, bottom, xp=np)
    assert np.isnan(over)
    assert short == 0.0


def test_coverage_and_rejection():
    mask = np.array([True, False, False, False])
    assert losses.coverage(mask, xp=np) == 0.75
    assert losses.rejection_penalty(mask, 0.95, xp=np) == pytest.approx(0.04)
    assert losses.rejection_penalty(mask, 0.5, xp=np) == 0.0
    with pytest.raises(SCMValueError, match="empty"):
        losses.coverage(np.zeros((0, 3), bool), xp=np)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"fit": "cosine"}, SCMValueError),
        ({"margin_weight": -1.0}, SCMValueError),
        ({"tau_train": NAN}, SCMValueError),
        ({"gamma": INF}, SCMValueError),
        ({"target_coverage": 1.5}, SCMValueError),
        ({"fit_weight": True}, SCMTypeError),
        ({"sign_band": "1e-3"}, SCMTypeError),
    ],
)
def test_loss_config_refuses(change, error):
    with pytest.raises(error, match=next(iter(change)).split("_")[0]):
        LossConfig(**change)


def test_d14_loss_config_is_frozen():
    with pytest.raises(AttributeError):
        LossConfig().fit_weight = 2.0


def test_scm_loss_is_the_weighted_sum_of_its_parts():
    values = np.array([2.0, INF, NAN])
    P, Q = np.array([1.0, -1.0, -1.0]), np.array([0.05, 0.0, 0.0])
    config = LossConfig(fit_weight=2.0, margin_weight=3.0, sign_weight=5.0, coverage_weight=7.0)
    total, parts = scm_loss(P, Q, lift_targets(values, xp=np), config, tau=0.1, xp=np)
    # lanes: finite target (2, 1), opposite infinity (2), infinity without a side (0)
    cosine = 2.05 / math.sqrt(5 * 1.0025)
    assert parts["fit"] == pytest.approx((1 - cosine + 2.0 + 0.0) / 3)
    assert parts["margin"] == pytest.approx(0.0025)  # the finite lane only
    assert parts["sign"] == pytest.approx(2.0)  # the lane with a side only
    soft = (1 / (1 + math.exp(0.5)) + 2 / (1 + math.e)) / 3
    assert parts["coverage"] == pytest.approx((0.95 - soft) ** 2)
    want = sum(k * parts[n] for k, n in zip((2, 3, 5, 7), parts, strict=False))
    assert total == parts["total"] == pytest.approx(want)
    assert list(parts) == ["fit", "margin", "sign", "coverage", "total"]


def test_scm_loss_skips_terms_of_weight_zero():
    config = LossConfig(margin_weight=0.0, sign_weight=0.0, coverage_weight=0.0)
    targets = lift_targets(np.array([1.0]), xp=np)
    total, parts = scm_loss(np.ones(1), np.zeros(1), targets, config, xp=np)
    assert parts["margin"] == parts["sign"] == parts["coverage"] == 0.0
    assert total == parts["fit"] == pytest.approx(1 - math.sqrt(0.5))


@pytest.mark.parametrize("fit", ["oriented", "chordal", "implicit"])
def test_d24_a_missing_label_has_no_weight_anywhere(fit):
    values = np.array([2.0, NAN])
    targets = lift_semantic_targets(values, np.array([0, 6], np.int8), xp=np)
    P, Q = np.array([1.0, NAN]), np.array([3.0, NAN])
    config = LossConfig(fit=fit)
    total, _ = scm_loss(P, Q, targets, config, xp=np)
    alone = Targets(*(x[:1] for x in targets))
    assert total == scm_loss(P[:1], Q[:1], alone, config, xp=np)[0]
