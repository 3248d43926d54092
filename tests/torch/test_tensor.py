"""SCMTensor: three planes, operators, torch functions, reductions, transformations."""

import copy
import math
import operator
import pickle  # noqa: TID251 - that tensors can be pickled is what is tested

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.array import SCMArray
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import BottomError, SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.value import SCMValue
from zeroproofml.torch import SCMTensor, ops

F64 = torch.float64
TORCH_NAMES = {"inv": "reciprocal"}


def _t(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype)


def _scm(*values, mask=None):
    return SCMTensor(_t(*values), mask)


def _is(tensor, payload, cause):
    assert tensor.payload.tolist() == payload
    assert tensor.cause.tolist() == [int(c) for c in cause]
    assert torch.equal(tensor.mask, tensor.cause != 0)


def test_construction():
    _is(
        _scm(1.0, math.nan, 3.0, mask=[False, False, True]),
        [1.0, 0.0, 0.0],
        [Cause.NONE, Cause.NONFINITE, Cause.MASKED],
    )
    assert SCMTensor([1, 2]).dtype == F64
    assert SCMTensor(2.0, [[True], [False]]).shape == (2, 1)
    given = SCMTensor(_t(1.0, 2.0), cause=torch.tensor([0, 12], dtype=torch.uint8))
    assert given.cause.tolist() == [0, 12]
    assert SCMTensor(_scm(1.0)).payload.tolist() == [1.0]
    assert SCMTensor(SCMValue.bottom(Cause.DOMAIN)).cause.item() == Cause.DOMAIN
    assert SCMTensor.bottom((2, 1), F64).mask.all()
    for bad in (
        lambda: SCMTensor(_t(1.0), [True], cause=torch.tensor([0], dtype=torch.uint8)),
        lambda: SCMTensor(_t(1.0), cause=torch.tensor([0, 0], dtype=torch.uint8)),
        lambda: SCMTensor(_t(1.0, 2.0), torch.zeros(3, dtype=torch.bool)),
        lambda: SCMTensor(_t(1.0), cause=torch.tensor([300])),
    ):
        with pytest.raises(SCMValueError):
            bad()
    for bad in (
        lambda: SCMTensor(torch.tensor([True])),
        lambda: SCMTensor(_t(1.0), cause=torch.tensor([1.0])),
        lambda: SCMTensor(_scm(1.0), [True]),
        lambda: SCMTensor(_t(1.0), _t(0.0)),
        lambda: SCMTensor.bottom(2, torch.int64),
    ):
        with pytest.raises(SCMTypeError):
            bad()


@pytest.mark.parametrize("name", list(OPS))
def test_torch_functions_are_the_operations(name):
    values = _t(1.0, -2.0, 0.0, 0.5, math.inf, 3.0)
    mask = torch.tensor([False] * 5 + [True])
    others = _t(2.0, 0.5, -1.0, 0.0, 1.0, 1.0)
    a = SCMTensor(values, mask)
    operands = [values] if OPS[name].arity == 1 else [values, others]
    payload, bottom = getattr(ops, f"scm_{name}_torch")(*operands, mask)
    function = getattr(torch, TORCH_NAMES.get(name, name))
    result = function(a) if len(operands) == 1 else function(a, others)
    assert torch.equal(result.payload, payload)
    assert torch.equal(result.mask, bottom)
    assert result.cause[4] == Cause.NONFINITE
    assert result.cause[5] == Cause.MASKED


LANE = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e308, 5e-324, math.nan, math.inf])


@given(st.sampled_from(list(OPS)), st.lists(st.tuples(LANE, LANE, st.booleans()), min_size=1))
def test_causes_equal_those_of_numpy(name, lanes):
    x, y, masks = (list(column) for column in zip(*lanes, strict=True))
    a, b = SCMArray(x, masks), SCMArray(y)
    ufunc = {
        "sub": "subtract",
        "mul": "multiply",
        "div": "divide",
        "inv": "reciprocal",
        "neg": "negative",
        "pow": "power",
    }.get(name, name)
    s, t = SCMTensor.from_numpy(a), SCMTensor.from_numpy(b)
    function = getattr(torch, TORCH_NAMES.get(name, name))
    if OPS[name].arity == 2:
        want, got = getattr(np, ufunc)(a, b), function(s, t)
    else:
        want, got = getattr(np, ufunc)(a), function(s)
    assert np.array_equal(got.mask.numpy(), want.mask)
    assert np.array_equal(got.cause.numpy(), want.cause)


# Acceptance 11.
def test_cause_join():
    x = SCMTensor(_t(1.0)) / 0.0
    y = torch.log(SCMTensor(_t(-1.0)))
    assert (x + y).cause.item() == Cause.DIV_ZERO | Cause.DOMAIN
    assert (SCMTensor(_t(1.0), True) / 0.0).cause.item() == Cause.MASKED
    assert (SCMValue.bottom(Cause.DOMAIN) + x).cause.item() == Cause.DIV_ZERO | Cause.DOMAIN
    assert (x * math.inf).cause.item() == Cause.DIV_ZERO | Cause.NONFINITE


def test_operators_with_every_partner():
    a = _scm(4.0, 0.0)
    for partner in (
        2.0,
        2,
        _t(2.0, 2.0),
        np.array([2.0, 2.0]),
        [2.0, 2.0],
        SCMValue(2.0),
        _scm(2.0, 2.0),
    ):
        assert (a / partner).payload.tolist() == [2.0, 0.0]
        _is(
            partner / a if not isinstance(partner, list) else a.__rtruediv__(partner),
            [0.5, 0.0],
            [0, 4],
        )
    for symbol, want in (
        (operator.add, 6.0),
        (operator.sub, 2.0),
        (operator.mul, 8.0),
        (operator.pow, 16.0),
    ):
        assert symbol(a, 2.0).payload[0].item() == want
        assert symbol(_t(4.0), SCMTensor(_t(2.0))).payload.item() == want
    assert (-a).payload.tolist() == [-4.0, 0.0]
    assert abs(_scm(-4.0)).payload.item() == 4.0
    assert (+a) is not None
    assert a.dtype == (a / 2.0).dtype == F64
    assert (SCMTensor(_t(4.0, dtype=torch.float32)) / 2.0).dtype == torch.float32
    with pytest.raises(TypeError):
        a + "x"
    with pytest.raises(TypeError):
        a + None
    with pytest.raises(SCMValueError):
        a + _t(1.0, 2.0, 3.0)


# Acceptance 13: every comparison with a ⊥ lane is False, != included.
def test_comparisons():
    a = _scm(1.0, 2.0, 3.0, mask=[False, True, False])
    for symbol, want in (
        (operator.eq, [True, False, False]),
        (operator.ne, [False, False, True]),
        (operator.lt, [False, False, False]),
        (operator.le, [True, False, False]),
        (operator.gt, [False, False, True]),
        (operator.ge, [True, False, True]),
    ):
        got = symbol(a, 1.0)
        assert type(got) is torch.Tensor
        assert got.tolist() == want
    assert (_t(1.0, 1.0, 1.0) == a).tolist() == [True, False, False]
    with pytest.raises(SCMTypeError, match="order"):
        _ = SCMTensor(torch.tensor([1j])) < 1.0
    with pytest.raises(TypeError):
        hash(a)


# Acceptance 12.
def test_it_never_turns_into_a_plain_array():
    a = _scm(1.0, 2.0)
    for leave in (
        lambda: np.asarray(a),
        lambda: np.array(a),
        lambda: torch.tensor(a),
        lambda: torch.asarray(a),
        lambda: torch.tensor([a[0]]),
        lambda: bool(a),
        lambda: float(a),
        lambda: np.sin(a),
        lambda: torch.softmax(a, 0),
        lambda: torch.add(a, a, alpha=2),
        lambda: torch.ones(2, dtype=F64).add_(a),
        lambda: torch.nn.functional.relu(a),
        lambda: torch.sum(a, dtype=F64),
    ):
        with pytest.raises(TypeError):
            leave()
    with pytest.raises(SCMTypeError, match="cumsum"):
        torch.cumsum(a, 0)
    with pytest.raises(BottomError, match="MASKED"):
        float(SCMTensor(1.0, True))
    assert float(SCMTensor(1.5)) == 1.5


def test_extras_and_selection():
    a = _scm(-4.0, 2.0, 0.0, mask=[False, True, False])
    assert torch.square(a).payload.tolist() == [16.0, 0.0, 0.0]
    assert torch.sign(a).payload.tolist() == [-1.0, 0.0, 0.0]
    assert torch.isfinite(a).tolist() == [True, False, True]
    _is(torch.maximum(a, _t(1.0, 5.0, 1.0)), [1.0, 0.0, 1.0], [0, 1, 0])
    _is(torch.minimum(a, _t(1.0, 5.0, 1.0)), [-4.0, 0.0, 0.0], [0, 1, 0])
    chosen = torch.where(torch.tensor([True, False, True]), a, _t(9.0, 9.0, 9.0))
    _is(chosen, [-4.0, 9.0, 0.0], [0, 0, 0])
    with pytest.raises(SCMTypeError, match="condition"):
        torch.where(_t(1.0, 0.0, 1.0), a, a)
    assert torch.stack([a, a]).shape == (2, 3)
    _is(torch.cat([a, _t(math.nan)]), [-4.0, 0.0, 0.0, 0.0], [0, 1, 0, 2])
    with pytest.raises(SCMValueError, match="cat"):
        torch.cat([a.reshape(1, 3), _scm(1.0)])
    assert torch.reshape(a, (3, 1)).shape == (3, 1)
    big = SCMTensor(torch.tensor([complex(1.7e308, 1.7e308)], dtype=torch.complex128))
    assert abs(big).cause.item() == Cause.OVERFLOW
    assert torch.conj(big).imag.payload.item() == -1.7e308


def test_shape_members():
    a = _scm(1.0, 2.0, 3.0, 4.0, mask=[False, True, False, False]).reshape(2, 2)
    assert (a.shape, a.ndim, a.size, len(a)) == ((2, 2), 2, 4, 2)
    assert a.T.payload.tolist() == [[1.0, 3.0], [0.0, 4.0]]
    assert a.transpose(1, 0).mask.tolist() == [[False, False], [True, False]]
    assert a.ravel().shape == (4,)
    assert a[0, 1].cause.item() == Cause.MASKED
    assert a[0, 1].shape == ()
    assert a[a.mask].size == 1
    assert [row.payload.tolist() for row in a] == [[1.0, 0.0], [3.0, 4.0]]
    assert a.reshape((1, 2, 2)).squeeze(0).shape == (2, 2)
    assert a.regular().tolist() == [1.0, 3.0, 4.0]
    assert a.filled(-1.0).tolist() == [[1.0, -1.0], [3.0, 4.0]]
    assert a[1, 0].item() == SCMValue(3.0)
    assert a[0, 1].item().is_bottom
    assert a.explain((0, 1)).startswith("MASKED")
    assert a.explain((0, 0)) == "regular"
    with pytest.raises(SCMValueError):
        a.item()
    with pytest.raises(SCMValueError):
        a.explain(0)
    assert a.to(torch.float32).dtype == torch.float32
    assert a.to("cpu").device.type == "cpu"
    _is(_scm(1e300, 1.0).astype(torch.float32), [0.0, 1.0], [Cause.OVERFLOW, 0])
    with pytest.raises(SCMTypeError):
        SCMTensor(torch.tensor([1j])).astype(F64)


def test_round_trips():
    a = _scm(1.0, 0.0, 4.0) / _t(2.0, 0.0, math.nan)
    back = SCMTensor.from_numpy(a.to_numpy())
    assert torch.equal(back.cause, a.cause)
    assert torch.equal(back.payload, a.payload)
    ieee = SCMTensor.from_ieee(a.to_ieee())
    assert torch.equal(ieee.mask, a.mask)
    assert ieee.cause.tolist() == [0, 2, 2]
    assert a.to_masked().mask.tolist() == [False, True, True]
    z = SCMTensor(torch.tensor([1j, 2j]), [False, True]).to_ieee()
    assert z[0] == 1j
    assert math.isnan(z[1].real)
    assert math.isnan(z[1].imag)
    with pytest.raises(SCMTypeError, match="bfloat16"):
        SCMTensor(torch.ones(1, dtype=torch.bfloat16)).to_numpy()
    assert repr(SCMTensor([1.0, 2.0, 0.5], [False, True, False])) == "SCMTensor([1.0, ⊥, 0.5])"
    assert repr(SCMTensor(torch.ones(1, dtype=torch.bfloat16))).endswith("dtype=bfloat16)")


def test_reductions_absorb():
    a = SCMTensor(_t(1.0, 2.0, 3.0, 4.0).reshape(2, 2), [[False, True], [False, False]])
    b = a + SCMTensor.bottom((2, 2), F64, Cause.DOMAIN)[1:]
    assert b.cause[0, 1] == Cause.MASKED | Cause.DOMAIN
    for name, want in (("sum", 7.0), ("prod", 12.0), ("mean", 3.5), ("min", 3.0), ("max", 4.0)):
        rows = getattr(a, name)(axis=1)
        assert rows.payload.tolist() == [0.0, want]
        assert rows.cause.tolist() == [1, 0]
        assert getattr(a, name)(axis=-1, keepdims=True).shape == (2, 1)
        assert getattr(a, name)().cause.item() == Cause.MASKED
        assert getattr(a, name)((0, 1)).shape == ()
    assert torch.sum(a, 1).payload.tolist() == [0.0, 7.0]
    assert torch.mean(a, dim=1, keepdim=True).shape == (2, 1)
    assert torch.amax(a, 1).payload.tolist() == [0.0, 4.0]
    total, count = a.sum_valid(axis=1)
    assert (total.payload.tolist(), count.tolist()) == ([1.0, 7.0], [1, 2])
    mean, count = SCMTensor.bottom(2, F64).mean_valid()
    assert (mean.cause.item(), count.item()) == (Cause.DIV_ZERO, 0)
    for name in ("min_valid", "max_valid"):
        value, count = getattr(SCMTensor.bottom(2, F64), name)()
        assert (value.cause.item(), count.item()) == (Cause.DOMAIN, 0)
        value, _ = getattr(a, name)(axis=1)
        assert value.payload.tolist() == ([1.0, 3.0] if name == "min_valid" else [1.0, 4.0])
    assert _scm(1e308, 1e308).sum().cause.item() == Cause.OVERFLOW
    assert _scm(1e308, 1e308).prod().cause.item() == Cause.OVERFLOW
    empty = SCMTensor(torch.zeros(0, dtype=F64))
    assert empty.sum().payload.item() == 0.0
    assert empty.mean().cause.item() == Cause.DIV_ZERO
    assert empty.min_valid()[0].cause.item() == Cause.DOMAIN
    assert empty.coverage().item() == 1.0
    with pytest.raises(SCMValueError, match="no lanes"):
        empty.min()
    with pytest.raises(SCMTypeError, match="order"):
        SCMTensor(torch.tensor([1j])).max()
    with pytest.raises(SCMValueError, match="axis"):
        a.sum(axis=2)
    assert a.coverage().item() == 0.75
    assert a.coverage(axis=1).tolist() == [0.5, 1.0]
    assert a.any_bottom(axis=0).tolist() == [False, True]
    assert a.causes() == {"MASKED": 1}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (3, 2)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (3,)),
        ((4, 2, 3), (3, 2)),
        ((2, 3), (4, 3, 2)),
    ],
)
def test_matmul_absorbs_rows_and_columns(left, right):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=left), generator.normal(size=right)
    mx, my = generator.random(left) < 0.2, generator.random(right) < 0.2
    want = SCMArray(x, mx) @ SCMArray(y, my)
    got = SCMTensor(torch.from_numpy(x), torch.from_numpy(mx)) @ SCMTensor(
        torch.from_numpy(y), torch.from_numpy(my)
    )
    assert np.array_equal(got.mask.numpy(), want.mask)
    assert np.array_equal(got.cause.numpy(), want.cause)
    np.testing.assert_allclose(got.payload.numpy(), want.payload, rtol=1e-12)


def test_matmul_shapes_and_overflow():
    a = SCMTensor(torch.full((1, 2), 1e200, dtype=F64))
    assert (a @ a.T).cause.item() == Cause.OVERFLOW
    assert (torch.ones(1, 1, dtype=F64) @ a).shape == (1, 2)
    with pytest.raises(SCMValueError, match="matmul"):
        a @ a
    with pytest.raises(SCMValueError, match="matmul"):
        a @ 2.0


def test_gradients_flow_through_the_payload():
    x = _t(1.0, 2.0, 0.0, math.nan).requires_grad_()
    a = 1.0 / SCMTensor(x)
    a.payload.sum().backward()
    assert x.grad.tolist() == [-1.0, -0.25, 0.0, 0.0]
    assert a.requires_grad
    assert not a.detach().requires_grad
    y = _t(1e200, 1e200, 2.0).requires_grad_()
    SCMTensor(y).prod().payload.backward()
    assert y.grad.tolist() == [0.0, 0.0, 0.0]
    z = _t(2.0, 3.0).requires_grad_()
    SCMTensor(z).prod().payload.backward()
    assert z.grad.tolist() == [3.0, 2.0]


# Acceptance 14.
def test_pytree_pickle_copy_and_vmap():
    a = _scm(1.0, 0.0) / _scm(2.0, 0.0)
    leaves, spec = torch.utils._pytree.tree_flatten(a)
    assert len(leaves) == 3
    assert torch.equal(torch.utils._pytree.tree_unflatten(leaves, spec).cause, a.cause)
    for other in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
        assert isinstance(other, SCMTensor)
        assert torch.equal(other.cause, a.cause)
        assert torch.equal(other.payload, a.payload)
    stacked = torch.stack([a, a + 1.0])
    mapped = torch.func.vmap(lambda lane: lane / lane)(stacked)
    assert isinstance(mapped, SCMTensor)
    assert torch.equal(mapped.cause, (stacked / stacked).cause)
    gradient = torch.func.grad(lambda x: (1.0 / SCMTensor(x)).sum().payload)(_t(2.0, 4.0))
    assert gradient.tolist() == [-0.25, -0.0625]


@pytest.mark.slow
def test_compile_keeps_all_three_planes(compiling):
    def everything(x, y):
        a, b = SCMTensor(x), SCMTensor(y)
        c = torch.log(a / b + 1.0) * 2.0
        total = c.sum(axis=0)
        return (
            c.payload,
            c.cause,
            total.cause,
            torch.matmul(a, b.T).cause,
            c.mean_valid()[0].payload,
        )

    x = _t(1.0, 0.0, math.nan, -3.0).reshape(2, 2)
    y = _t(2.0, 0.0, 1.0, 1.0).reshape(2, 2)
    for left, right in zip(
        compiling(everything, fullgraph=True)(x, y), everything(x, y), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-14, atol=0)
