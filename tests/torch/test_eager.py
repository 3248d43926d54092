"""The shortcut for dense CPU tensors against the form that runs everywhere."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from zeroproofml.scm.optable import OPS
from zeroproofml.torch import _eager
from zeroproofml.torch._execute import execute

F64 = torch.float64
EDGES = [0.0, -0.0, 1.0, 3.0, 5e-324, 1e-200, 1e-160, 1e200, 1.7e308, math.inf, -math.inf, math.nan]
numbers = st.sampled_from(EDGES) | st.floats()


def _run(name, values, masks, cotangent):
    leaves = [value.detach().requires_grad_() for value in values]
    payload, bottom = execute(name, tuple(leaves), tuple(masks))
    gradients = torch.autograd.grad(payload, leaves, cotangent.expand(payload.shape))
    return payload.detach(), bottom, *gradients


def _twice(name, values, masks, cotangent):
    """With the shortcut, and without."""
    taken = _run(name, values, masks, cotangent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_eager, "is_plain", lambda *tensors: False)
        return taken, _run(name, values, masks, cotangent)


def _assert_same(pair):
    for ours, reference in zip(*pair, strict=True):
        assert ours.dtype == reference.dtype
        torch.testing.assert_close(ours, reference, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("row", sorted(OPS))
@given(
    lanes=st.lists(
        st.tuples(numbers, numbers, numbers, st.booleans(), st.booleans()), min_size=1, max_size=9
    ),
    masked=st.tuples(st.booleans(), st.booleans()),
)
def test_values_masks_and_gradients_are_those_of_the_other_form(row, dtype, lanes, masked):
    arity = OPS[row].arity
    x, y, cotangent, *masks = (torch.tensor(column) for column in zip(*lanes, strict=True))
    given_masks = [m if taken else None for m, taken in zip(masks, masked, strict=True)]
    values = [v.to(dtype) for v in (x, y)[:arity]]
    _assert_same(_twice(row, values, given_masks[:arity], cotangent.to(dtype)))


@pytest.mark.parametrize("lanes", [1, 1001, 70_001, 300_001])
def test_sizes_on_both_sides_of_every_switch(name, lanes):
    generator = torch.Generator().manual_seed(2)
    values = [torch.randn(lanes, generator=generator, dtype=F64) for _ in range(OPS[name].arity)]
    values[-1][::97] = 0.0  # ⊥ in some blocks of a division
    values[-1][:40_000] = values[-1][:40_000].abs() + 0.5
    _assert_same(_twice(name, values, [None] * len(values), torch.ones((), dtype=F64)))


@pytest.mark.parametrize("form", ["transposed", "expanded", "scalar", "empty", "strided"])
def test_shapes_and_strides(form):
    base = torch.arange(1.0, 13.0).reshape(3, 4)
    x = {
        "transposed": base.T,
        "expanded": base[:, :1].expand(3, 4),
        "scalar": base[0, 0],
        "empty": base[:0],
        "strided": base[::2, ::3],
    }[form]
    mask = torch.zeros(x.shape[-1:], dtype=torch.bool)
    for first, second in ((x, x.clone()), (x.clone(), x), (x, x)):
        for masks in ([None, None], [mask, None], [None, mask]):
            _assert_same(_twice("div", [first, second], masks, torch.ones(())))


@pytest.mark.parametrize("cotangent", [1.0, 1e-200, 0.0])
def test_a_hazard_is_a_constant_and_a_bottom_lane_has_a_positive_zero(cotangent):
    x = torch.tensor([1.0, 1e140, 1.0, 6.0, 1e295], dtype=F64)
    y = torch.tensor([1e-160, 1e-160, 0.0, 2.0, 1e-10], dtype=F64)
    leaves = [x.requires_grad_(), y.requires_grad_()]
    payload, mask = execute("div", tuple(leaves), (None, None))
    assert mask.tolist() == [False, False, True, False, False]
    weights = torch.tensor([cotangent] * 3 + [1.0, cotangent], dtype=F64)
    by_x, by_y = torch.autograd.grad(payload, leaves, weights)
    assert by_x.tolist() == [0.0, 0.0, 0.0, 0.5, 0.0]
    assert by_y.tolist() == [0.0, 0.0, 0.0, -1.5, 0.0]


# Each way out of the numbers alone in its block.
@pytest.mark.parametrize(("x", "y"), [(1.0, 1e-160), (1e295, 1e-10), (0.0, 1e-160)])
def test_one_hazard_is_seen_without_help(x, y):
    x, y = torch.tensor([x], dtype=F64), torch.tensor([y], dtype=F64)
    _assert_same(_twice("div", [x, y], [None, None], torch.tensor(1e-250, dtype=F64)))


def test_a_bottom_lane_stays_on_the_way():
    y = torch.tensor([2.0, 0.0, math.nan], dtype=F64)
    result, bottom = torch.tensor([0.5, 0.0, 0.0], dtype=F64), torch.tensor([False, True, True])
    by_x, by_y = _eager.quotient_gradient(torch.ones_like(y), y, result, bottom, True)
    assert by_x.tolist() == [0.5, 0.0, 0.0]
    assert by_y.tolist() == [-0.25, 0.0, 0.0]
    assert math.copysign(1.0, by_y[1]) == 1.0


def test_results_are_fresh_and_work_in_place():
    x = torch.tensor([1.0, 2.0])
    payload, mask = execute("neg", (x,), (None,))
    payload.mul_(2.0)
    mask.logical_not_()
    assert x.tolist() == [1.0, 2.0]
    assert payload.tolist() == [-2.0, -4.0]


def test_negative_views_and_inference_mode():
    z = torch.tensor([1.0 + 2.0j, 0.0j])
    negative = z.conj().imag  # a view with the negative bit, which NumPy cannot read
    assert negative.is_neg()
    payload, mask = execute("inv", (negative,), (None,))
    assert payload.tolist() == [-0.5, 0.0]
    assert mask.tolist() == [False, True]
    with torch.inference_mode():
        payload, mask = execute("div", (torch.ones(2), torch.tensor([2.0, 0.0])), (None, None))
    assert payload.tolist() == [0.5, 0.0]


def test_many_threads_leave_large_tensors_to_torch(monkeypatch):
    calls = []
    monkeypatch.setattr(_eager, "execute", lambda *a: calls.append(a))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert _eager.run(OPS["add"], torch.add, None, [torch.ones(200_000)] * 2) is None
    monkeypatch.undo()
    with torch.device("meta"):
        assert _eager.run(OPS["add"], torch.add, None, [torch.ones(3)] * 2) is None
    assert not calls
