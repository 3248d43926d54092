"""Strict inference on torch: the table of causes, shapes, invariances, the wrapper, the fallbacks."""

import copy
import math
import pickle  # noqa: TID251 - that results can be pickled is what is tested

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from zeroproofml.scm import inference as host
from zeroproofml.scm.cause import FAULT, SEMANTIC, Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch import (
    InferenceConfig,
    InferenceResult,
    SCMInferenceWrapper,
    _eager,
    decode_three_way,
    gauge_value,
    strict_inference,
)

F64 = torch.float64
CONFIG = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)


def _t(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype)


# Acceptance 29: the table of semantics §8.
@pytest.mark.parametrize(
    ("p", "q", "decoded", "gap", "cause"),
    [
        (1.0, 2.0, 0.5, False, Cause.NONE),
        (1.0, 5e-5, 2e4, True, Cause.NONE),
        (1.0, 0.0, None, False, Cause.DIV_ZERO),
        (0.0, 0.0, None, False, Cause.DIV_ZERO | Cause.NULL_TUPLE),
        (1.0, 1e-9, None, False, Cause.THRESHOLD),
        (math.nan, 1.0, None, False, Cause.NONFINITE),
        (math.inf, 1e-9, None, False, Cause.NONFINITE | Cause.THRESHOLD),
    ],
)
def test_table(p, q, decoded, gap, cause, form):
    result = strict_inference(_t(p), _t(q), CONFIG)
    assert result.cause.item() == cause
    assert result.gap_mask.item() is gap
    assert result.bottom_mask.item() is (decoded is None)
    if decoded is None:
        assert math.isnan(result.decoded.item())
        assert result.payload.item() == 0.0
    else:
        assert result.decoded.item() == pytest.approx(decoded, rel=1e-15)


def test_float32_overflow(form):
    result = strict_inference(_t(1e38, dtype=torch.float32), _t(1e-3, dtype=torch.float32), CONFIG)
    assert result.cause.item() == Cause.OVERFLOW
    assert result.fault_mask.item()


LANES = st.one_of(
    st.floats(width=64), st.sampled_from([0.0, -0.0, 1e-5, 1e-6, 1e300, 1e-300, math.inf, math.nan])
)


def _off(*tensors):
    """In place of ``_eager.is_plain``: nothing takes the shortcut."""
    return False


@pytest.mark.parametrize("plain", [_eager.is_plain, _off], ids=["shortcut", "function"])
@given(st.lists(st.tuples(LANES, LANES), min_size=1, max_size=8), st.sampled_from(["raw", "l2"]))
def test_invariants_and_equality_with_numpy(plain, lanes, gauge):
    config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3, gauge=gauge)
    P, Q = (torch.tensor(column, dtype=F64) for column in zip(*lanes, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_eager, "is_plain", plain)
        result = strict_inference(P, Q, config)
    bottom = result.bottom_mask
    assert torch.equal(bottom, result.fault_mask | result.semantic_bottom_mask)
    assert torch.equal(bottom, result.cause != 0)
    assert not (result.gap_mask & bottom).any()
    assert torch.equal(torch.isfinite(result.decoded), ~bottom)
    for other in (host.strict_inference(P.numpy(), Q.numpy(), config),):
        assert np.array_equal(result.cause.numpy(), other.cause)
        assert np.array_equal(result.gap_mask.numpy(), other.gap_mask)
        assert np.array_equal(result.decoded.numpy(), other.decoded, equal_nan=True)
    negated = strict_inference(-P, -Q, config)
    assert torch.equal(negated.cause, result.cause)
    assert torch.equal(negated.gap_mask, result.gap_mask)
    looser = strict_inference(P, Q, InferenceConfig(tau_infer=1e-7, tau_train=1e-3, gauge=gauge))
    assert not (looser.bottom_mask & ~bottom).any()


# Acceptance 30.
@given(st.floats(1e-3, 1e3), st.floats(1e-9, 1e3), st.integers(-100, 100))
def test_l2_gauge_does_not_change_under_scaling(p, q, k):
    config = InferenceConfig(tau_infer=1e-5, tau_train=1e-3, gauge="l2")
    one = strict_inference(_t(p), _t(q), config)
    two = strict_inference(_t(p * 2.0**k), _t(q * 2.0**k), config)
    assert torch.equal(one.cause, two.cause)
    assert torch.equal(one.gap_mask, two.gap_mask)


def test_raw_gauge_changes_under_scaling_and_the_config_is_frozen():
    assert not strict_inference(_t(1.0), _t(1e-4), CONFIG).bottom_mask
    assert strict_inference(_t(2.0**-10), _t(1e-4 * 2.0**-10), CONFIG).bottom_mask
    with pytest.raises(AttributeError):
        CONFIG.tau_infer = 1.0
    half = torch.ones(1, dtype=torch.float16)
    with pytest.raises(SCMValueError, match="float16"):
        strict_inference(half, half, InferenceConfig(tau_infer=1e-8))


def test_d28_thresholds_are_strict_in_the_dtype_of_q(form):
    tau = 0.1
    q = torch.tensor([tau], dtype=torch.float32)  # 0.1 as float32 is not below 0.1 as float32
    assert not strict_inference(q, q, InferenceConfig(tau_infer=tau)).bottom_mask
    below = torch.nextafter(q, torch.zeros(1))
    assert strict_inference(q, below, InferenceConfig(tau_infer=tau)).bottom_mask


# Acceptance 31.
def test_d18_shapes(form):
    ones = torch.ones
    with pytest.raises(SCMValueError, match=r"\(3,\).*\(3, 1\)"):
        strict_inference(ones(3), ones(3, 1))
    for rows in (3, 5):
        shared = strict_inference(ones(rows, 5), torch.arange(1.0, rows + 1))
        assert shared.decoded.shape == (rows, 5)
        assert torch.equal(shared.decoded[:, 0], 1 / torch.arange(1.0, rows + 1))
        assert all(member.shape == (rows, 5) for member in shared)
    with pytest.raises(SCMValueError):
        strict_inference(ones(3, 5), ones(5))
    wide = strict_inference(ones(3, 5), torch.arange(1.0, 6.0), broadcast=True)
    assert torch.equal(wide.decoded[0], 1 / torch.arange(1.0, 6.0))


def test_refused_operands(form):
    one = torch.ones(1)
    for bad in (1.0, [1.0], np.ones(1), None, torch.tensor([True])):
        with pytest.raises(SCMTypeError):
            strict_inference(bad, one)
        with pytest.raises(SCMTypeError):
            strict_inference(one, bad)


def test_factors():
    P, Q = torch.ones(2, 3), torch.ones(2, 3)
    V = torch.tensor([[0.5], [0.0]])
    result = strict_inference(P, Q, CONFIG, factors=[V])
    assert result.cause.tolist() == [[0] * 3, [int(Cause.VALIDITY)] * 3]
    for shaped in (V[:, 0], V.expand(2, 3)):
        assert torch.equal(
            strict_inference(P, Q, CONFIG, factors=[(shaped, 0.0)]).cause, result.cause
        )
    strict = strict_inference(P, Q, CONFIG, factors=[(V, 0.5), torch.full((2, 3), math.nan)])
    assert strict.cause[0, 0] == Cause.NONFINITE
    assert strict_inference(P, Q, CONFIG, factors=[(V, 0.51)]).bottom_mask.all()
    with pytest.raises(SCMValueError):
        strict_inference(P, Q, CONFIG, factors=[torch.ones(3)])


@pytest.mark.parametrize("lanes", [1, 3000])  # a batch beyond the threshold of NumPy's form, too
def test_gradient_of_decoded_is_zero_at_bottom(form, lanes):
    P = _t(1.0, 1.0, math.nan, 1e308, 1.0).requires_grad_()
    Q = _t(2.0, 0.0, 1.0, 1e-4, 1e-9).requires_grad_()
    result = strict_inference(P.repeat(lanes), Q.repeat(lanes), CONFIG)
    assert result.bottom_mask.tolist() == [False, True, True, True, True] * lanes
    result.payload.sum().backward()
    assert P.grad.tolist() == [0.5 * lanes, 0, 0, 0, 0]
    assert Q.grad.tolist() == [-0.25 * lanes, 0, 0, 0, 0]


@pytest.mark.parametrize("gauge", ["raw", "l2"])
def test_one_denominator_per_row_of_a_large_batch(gauge, monkeypatch):
    config = InferenceConfig(tau_infer=0.1, tau_train=0.2, gauge=gauge)
    generator = torch.Generator().manual_seed(3)
    P, Q = torch.randn(3000, 2, generator=generator), torch.randn(3000, generator=generator)
    ours = strict_inference(P, Q, config)
    monkeypatch.setattr(_eager, "is_plain", _off)
    for one, other in zip(ours, strict_inference(P, Q, config), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_gauge_value_is_the_compared_number():
    P, Q = _t(3e200, 0.0, math.nan), _t(4e200, 0.0, 1.0)
    torch.testing.assert_close(gauge_value(P, Q, "l2"), _t(0.8, 0.0, math.nan), equal_nan=True)
    assert torch.equal(gauge_value(P, Q)[:2], Q[:2])


def test_vmap():
    P, Q = torch.randn(4, 3, dtype=F64), torch.randn(4, 3, dtype=F64)
    Q[0, 0] = 0.0
    mapped = torch.func.vmap(lambda p, q: tuple(strict_inference(p, q, CONFIG)))(P, Q)
    for left, right in zip(mapped, strict_inference(P, Q, CONFIG), strict=True):
        assert torch.equal(left.nan_to_num(7.0), right.nan_to_num(7.0))


# Acceptance 14, 22.
def test_d22_result_survives_pickle_copy_and_tree_map():
    result = strict_inference(_t(1.0, 1.0), _t(2.0, 0.0), CONFIG)
    mapped = torch.utils._pytree.tree_map(lambda leaf: leaf.clone(), result)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), mapped):
        assert isinstance(other, InferenceResult)
        assert torch.equal(other.cause, result.cause)
        assert torch.equal(other.fault_mask, result.fault_mask)
        assert torch.equal(other.semantic_bottom_mask, result.semantic_bottom_mask)
        assert other.bottom_provenance.dtype == torch.int8
        assert other.bottom_provenance.tolist() == [0, 2]


# Acceptance 32.
def test_d19_three_way_is_never_in_range_for_bottom():
    P = _t(1.0, -1.0, 1.0, 0.0, math.inf, 1.0, math.nan)
    Q = _t(2.0, 0.0, 0.0, 0.0, 0.0, 1e-9, 1.0)
    three = decode_three_way(P, Q, CONFIG)
    assert three.class_id.tolist() == [1, 0, 2, -1, -1, 2, -1]
    assert three.class_id.dtype == torch.int8
    assert not (three.bottom_mask & (three.class_id == 1)).any()
    sided = decode_three_way(P, Q, CONFIG, orientation=-torch.ones_like(P))
    assert sided.class_id.tolist() == [1, 0, 0, 0, -1, 0, -1]
    logits = torch.tensor([0.0, 1.0], dtype=F64).expand(7, 2)
    assert decode_three_way(P, Q, CONFIG, direction_logits=logits).class_id.tolist()[1] == 2


def test_host_side_fallbacks_take_torch_results():
    result = strict_inference(_t(1.0, 1.0, 1.0), _t(2.0, 0.0, 1e-4), CONFIG)
    decoded, accept = host.reject_on_bottom(result)
    assert isinstance(decoded, torch.Tensor)
    assert accept.tolist() == [True, False, True]
    assert host.reject_on_gap(result)[1].tolist() == [True, False, False]
    assert host.safe_sentinel(result, -1.0).tolist() == pytest.approx([0.5, -1.0, 1e4])
    routed = host.route_to_solver(result, _t(10.0, 20.0, 30.0), lambda x: x * math.nan)
    assert math.isnan(routed.values[1])
    assert not routed.solved.any()
    monitor = host.StrictInferenceMonitor(window=10)
    monitor.update(result)
    assert monitor.rates()["bottom"].count == 1
    sweep = host.tau_sweep(_t(1.0, 1.0), _t(2.0, 1e-4), torch.tensor([False, True]), [1e-3])
    assert sweep.points[0].n_bottom == 1


class _Head(nn.Module):
    def __init__(self, *members):
        super().__init__()
        self.members = members

    def forward(self, x):
        return tuple(member(x) if callable(member) else member for member in self.members)


def test_wrapper_modes_and_refusals():
    x = _t(2.0, 0.0)
    wrapper = SCMInferenceWrapper(_Head(torch.ones_like, lambda v: v), CONFIG)
    assert wrapper.training
    assert isinstance(wrapper(x), tuple)
    assert not isinstance(wrapper(x), InferenceResult)
    wrapper.eval()
    assert wrapper(x).bottom_mask.tolist() == [False, True]
    assert torch.equal(wrapper.raw(x)[1], x)
    factored = SCMInferenceWrapper(
        _Head(torch.ones_like, torch.ones_like, lambda v: v), CONFIG, factor_thresholds=[1.0]
    ).eval()
    assert factored(x).cause.tolist() == [0, int(Cause.VALIDITY)]
    for members, thresholds in (
        ((torch.ones_like,), ()),
        ((torch.ones_like, lambda v: v, lambda v: v), ()),
        ((torch.ones_like, lambda v: v), (0.5,)),
        ((torch.ones_like, lambda v: v == 0), ()),
    ):
        bad = SCMInferenceWrapper(_Head(*members), CONFIG, factor_thresholds=thresholds)
        with pytest.raises(SCMTypeError, match="the module"):
            bad(x)
    with pytest.raises(SCMValueError):
        SCMInferenceWrapper(nn.Identity(), CONFIG, factor_thresholds=[-1.0])


@pytest.mark.slow
def test_compile_fullgraph_of_strict_inference(compiling):
    l2 = InferenceConfig(tau_infer=1e-5, tau_train=1e-3, gauge="l2")

    def everything(P, Q, V):
        raw = strict_inference(P, Q, CONFIG, factors=[(V, 0.1)])
        unit = strict_inference(P, Q[:, 0], l2)
        three = decode_three_way(P, Q, CONFIG)
        return (*raw, *unit, *three, unit.payload, raw.bottom_provenance)

    values = _t(0.0, 1.0, -1.0, 1e-9, 1e-4, math.inf, math.nan, 1e308)
    P, Q = (v.reshape(8, 8).contiguous() for v in torch.meshgrid(values, values, indexing="ij"))
    V = torch.rand(8, 1, dtype=F64)
    P.requires_grad_()
    Q.requires_grad_()
    want, got = everything(P, Q, V), compiling(everything, fullgraph=True)(P, Q, V)
    for left, right in zip(got, want, strict=True):
        assert left.dtype == right.dtype
        torch.testing.assert_close(left, right, rtol=1e-15, atol=0, equal_nan=True)
    for left, right in zip(
        torch.autograd.grad(got[-2].sum(), (P, Q)),
        torch.autograd.grad(want[-2].sum(), (P, Q)),
        strict=True,
    ):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=0)


def test_cause_planes_are_disjoint():
    assert FAULT & SEMANTIC == 0
