"""The thirteen operations on torch: corpus, arguments, shapes, dtypes."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.testing import Backend, assert_no_leak, run_corpus
from zeroproofml.torch import ops

ALL = tuple(OPS)


def _call(name, *payloads, **masks):
    return getattr(ops, f"scm_{name}_torch")(*payloads, **masks)


def _backend():
    return Backend.load(
        "zeroproofml.torch.ops:scm_{op}_torch", put=torch.from_numpy, get=lambda t: t.numpy()
    )


def test_corpus(form):
    report = run_corpus(_backend())
    assert not report.failures
    assert report.passed > 400


def test_corpus_notices_a_wrong_backend(monkeypatch):
    monkeypatch.setattr(ops, "scm_div_torch", lambda x, y, *masks: (x / y, torch.isnan(x / y)))
    assert run_corpus(_backend()).failed > 0


# Acceptance 5.
def test_d02_integers_become_float64_first(form):
    def one(name, *values, dtype):
        payload, mask = _call(name, *(torch.tensor(v, dtype=dtype) for v in values))
        assert not mask
        assert payload.dtype == torch.float64
        return payload.item()

    assert one("div", 16, 16, dtype=torch.uint8) == 1.0
    assert one("add", 2**63 - 1, 1, dtype=torch.int64) == 9.223372036854775808e18
    assert one("neg", -128, dtype=torch.int8) == 128.0
    assert one("mul", 100, 100, dtype=torch.int8) == 10000.0


def test_d01_regular_values_stay_regular(form):
    div = _call("div", torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), [1e-160, 5e-324, 1e-200])
    # The list is float32, where the last two divisors are 0.
    assert div[1].tolist() == [True, True, True]
    y = torch.tensor([1e-160, 5e-324, 1e-200], dtype=torch.float64)
    payload, mask = _call("div", torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), y)
    assert not mask.any()
    assert payload.tolist() == [1e160, 0.0, 0.0]
    half, mask = _call("div", torch.tensor(1.0, dtype=torch.float16), 0.003)
    assert not mask
    assert half.item() == pytest.approx(333.3, rel=1e-3)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "bad",
    [
        True,
        [True, False],
        torch.tensor([True, False]),
        np.array([True, False]),
        "x",
        None,
        object(),
    ],
)
def test_d29_refused_payloads(name, bad):
    arity = OPS[name].arity
    for position in range(arity):
        values = [torch.ones(2)] * arity
        values[position] = bad
        with pytest.raises(SCMTypeError, match=r"^[xy] is "):
            _call(name, *values)


@pytest.mark.parametrize("name", ALL)
def test_refused_masks(name):
    arity = OPS[name].arity
    label = "mask" if arity == 1 else "mask_y"
    for bad in (torch.tensor([0.0, 1.0]), [0.5, 1.0], 1.0, "True", np.array([1j, 0])):
        with pytest.raises(SCMTypeError, match=f"^{label} "):
            _call(name, *[torch.ones(2)] * arity, **{label: bad})


def test_d13_complex_exponent_is_refused():
    for exponent in (1j, torch.tensor([1j]), [1j]):
        with pytest.raises(SCMTypeError, match="exponent"):
            _call("pow", torch.ones(1), exponent)


def test_d13_complex_base_zero_to_the_zero_is_one(form):
    payload, mask = _call("pow", torch.tensor([0j, 0j, 0j]), torch.tensor([0.0, 2.0, -1.0]))
    assert payload.tolist() == [1, 0, 0]
    assert mask.tolist() == [False, False, True]


def test_shapes_that_do_not_broadcast_are_all_named():
    with pytest.raises(SCMValueError, match=r"x \(3,\), y \(2,\)"):
        _call("add", torch.ones(3), torch.ones(2))
    with pytest.raises(SCMValueError, match=r"x \(2,\), y \(\), mask_x \(3,\)"):
        _call("add", torch.ones(2), 1.0, mask_x=[True, False, True])


@pytest.mark.parametrize("name", ALL)
def test_a_mask_enlarges_the_result(name, form):
    arity = OPS[name].arity
    label = "mask" if arity == 1 else "mask_x"
    one = torch.ones((), dtype=torch.float64)
    payload, mask = _call(name, *[one] * arity, **{label: [[True], [False]]})
    assert payload.shape == mask.shape == (2, 1)
    assert mask.tolist() == [[True], [False]]
    assert payload[0] == 0


@pytest.mark.parametrize("name", ALL)
def test_zero_dimensional_and_empty(name, form):
    arity = OPS[name].arity
    payload, mask = _call(name, *[torch.tensor(1.0)] * arity)
    assert payload.shape == mask.shape == ()
    payload, mask = _call(name, *[torch.ones(0, 3)] * arity)
    assert payload.shape == mask.shape == (0, 3)
    assert mask.dtype == torch.bool


@pytest.mark.parametrize(
    ("mask", "want"),
    [
        (True, [True, True]),
        (False, [False, False]),
        (np.True_, [True, True]),
        ([1, 0], [True, False]),
        (2, [True, True]),
        (torch.tensor([0, 7], dtype=torch.uint8), [False, True]),
        (torch.tensor([0, 7], dtype=torch.uint16), [False, True]),
        (np.array([True, False]), [True, False]),
        (torch.tensor(True), [True, True]),
        (None, [False, False]),
    ],
)
def test_masks_of_every_kind(mask, want):
    assert _call("neg", torch.ones(2), mask)[1].tolist() == want
    assert _call("add", torch.ones(2), 1.0, None, mask)[1].tolist() == want


def test_python_numbers_are_weak_and_zero_dimensional_tensors_are_not():
    single = torch.ones(2, dtype=torch.float32)
    assert _call("div", single, 2.0)[0].dtype == torch.float32
    assert _call("div", single, 2)[0].dtype == torch.float32
    assert _call("div", 2.0, single)[0].dtype == torch.float32
    assert _call("div", single, torch.tensor(2.0, dtype=torch.float64))[0].dtype == torch.float64
    assert _call("div", single, np.float64(2.0))[0].dtype == torch.float64
    assert _call("mul", single, 1j)[0].dtype == torch.complex64
    assert _call("mul", single.double(), 1j)[0].dtype == torch.complex128
    assert _call("mul", single.half(), 2.0)[0].dtype == torch.float16
    assert _call("add", 1.0, 2.0)[0].dtype == torch.get_default_dtype()
    assert _call("add", 1, 2)[0].dtype == torch.float64
    assert _call("add", [1, 2], 2.0)[0].dtype == torch.float64
    assert _call("add", [1.0, 2.0], 2.0)[0].dtype == torch.get_default_dtype()
    assert _call("pow", torch.tensor([1j]), 2.0)[0].dtype == torch.complex64


def test_overflow_is_judged_in_the_result_dtype():
    half = torch.tensor([300.0], dtype=torch.float16)
    assert _call("mul", half, half)[1].item()
    assert _call("add", half, 70000.0)[1].item()  # the number itself does not fit
    assert not _call("mul", half.bfloat16(), half.bfloat16())[1].item()


def test_d29_lists_arrays_and_numbers():
    assert _call("add", [1.0, [2.0][0]], np.array([3.0, 4.0]))[0].tolist() == [4.0, 6.0]
    assert _call("add", (1, 2), [[1], [2]])[0].tolist() == [[2.0, 3.0], [3.0, 4.0]]
    assert _call("neg", [torch.tensor(1.0), torch.tensor(2.0)])[0].tolist() == [-1.0, -2.0]
    assert _call("neg", [np.array([1.0]), np.array([2.0])])[0].tolist() == [[-1.0], [-2.0]]
    assert _call("neg", [2**63, 2**70])[0].tolist() == [-(2.0**63), -(2.0**70)]
    for huge in (10**400, [10**400]):
        with pytest.raises(SCMValueError, match="beyond float64"):
            _call("neg", huge)
    with pytest.raises(SCMValueError, match="ragged"):
        _call("neg", [[1.0], [1.0, 2.0]])


def test_numpy_views_of_every_kind():
    base = np.arange(1.0, 7.0)
    frozen = base.copy()
    frozen.flags.writeable = False
    for view in (frozen, base[::-1], base[::2], base.reshape(2, 3).T, base.astype(">f8")):
        payload, mask = _call("neg", view)
        assert np.array_equal(payload.numpy(), -view)
        assert not mask.any()


@pytest.mark.parametrize("name", ALL)
def test_inputs_are_untouched_and_strides_do_not_matter(name, form):
    arity = OPS[name].arity
    base = torch.tensor([0.5, -1.0, 0.0, math.inf, 2.0, math.nan, -0.0, 1e300], dtype=torch.float64)
    mask = torch.tensor([True, False] * 4)
    before, mask_before = base.clone(), mask.clone()
    for cut in (slice(None), slice(None, None, 2)):
        view, view_mask = base[cut], mask[cut]
        got = _call(name, *[view] * arity, view_mask)
        want = _call(name, *[view.contiguous()] * arity, view_mask.contiguous())
        assert torch.equal(got[0], want[0])
        assert torch.equal(got[1], want[1])
    assert torch.equal(base.nan_to_num(7.0), before.nan_to_num(7.0))
    assert torch.equal(mask, mask_before)


def test_inference_mode_and_no_grad(name, arity, op):
    operands = [torch.tensor([0.5, 2.0])] * arity
    want = op(*operands)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            got = op(*operands)
        assert torch.equal(got[0], want[0])
        assert torch.equal(got[1], want[1])


LANES = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1.7976931348623157e308, math.inf, math.nan]),
)


@given(
    st.sampled_from(ALL),
    st.lists(st.tuples(LANES, LANES, st.booleans(), st.booleans()), min_size=1, max_size=6),
)
def test_torch_equals_numpy_lane_by_lane(name, lanes):
    """S02, S06, S13: canonical results, and the masks of NumPy's executor exactly."""
    from zeroproofml.scm import ops as numpy_ops

    arity = OPS[name].arity
    columns = [np.array([lane[i] for lane in lanes]) for i in range(arity)]
    masks = [np.array([lane[2 + i] for lane in lanes]) for i in range(arity)]
    moved = [torch.from_numpy(array) for array in (*columns, *masks)]
    payload, mask = getattr(ops, f"scm_{name}_torch")(*moved)
    want, want_mask = getattr(numpy_ops, f"scm_{name}_numpy")(*columns, *masks)
    assert np.array_equal(mask.numpy(), want_mask)
    assert torch.isfinite(payload).all()
    assert (payload[mask] == 0).all()
    eps = np.finfo(np.float64).eps
    room = 16 * eps * np.maximum(np.abs(want), np.finfo(np.float64).tiny)
    assert (np.abs(payload.numpy() - want) <= room).all()


def test_weak_sign():
    x = torch.tensor([-3.0, -0.0, 5e-324, math.nan, 2.0], dtype=torch.float64)
    payload, mask = ops.weak_sign_torch(x, [False] * 4 + [True])
    assert payload.tolist() == [-1.0, 0.0, 1.0, 0.0, 0.0]
    assert mask.tolist() == [False, False, False, True, True]


def test_d11_complex_weak_sign_at_the_limits():
    big, small = 1.7976931348623157e308, 5e-324
    z = torch.tensor(
        [complex(big, big), complex(small, small), complex(0, -big), 0j], dtype=torch.complex128
    )
    payload, mask = ops.weak_sign_torch(z)
    assert not mask.any()
    moduli = payload.abs()
    assert ((moduli[:3] - 1).abs() <= 2 * torch.finfo(torch.float64).eps).all()
    assert payload[3] == 0


def test_probe_finds_exactly_the_non_finite_factors():
    """The trick that saves isfinite: addcmul(a, b, c, value=0) is NaN iff b or c is not finite."""
    for dtype in (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    ):
        limits = torch.finfo(dtype)
        parts = torch.tensor(
            [0.0, -0.0, 1.0, limits.max, -limits.max, limits.tiny, math.inf, -math.inf, math.nan],
            dtype=torch.float64,
        )
        values = parts.to(dtype)
        if dtype.is_complex:
            values = torch.complex(*torch.meshgrid(parts, parts, indexing="ij")).flatten().to(dtype)
        b, c = (v.flatten() for v in torch.meshgrid(values, values, indexing="ij"))
        for length in (b.numel(), 3):  # vectorised loop and its tail
            found = torch.addcmul(c[:length], b[:length], c[:length], value=0.0)
            want = ~(torch.isfinite(b[:length]) & torch.isfinite(c[:length]))
            assert torch.equal(found != found, want), dtype
            difference = b[:length] - b[:length]
            assert torch.equal(difference != difference, ~torch.isfinite(b[:length])), dtype


def test_only_declared_causes_exist():
    """The predicates of the table are what the composition runs; they name semantic causes."""
    for row in OPS.values():
        assert all(cause in (Cause.DIV_ZERO, Cause.DOMAIN) for cause, _ in row.faults)


@pytest.mark.parametrize("name", ALL)
def test_nothing_leaks(name, form):
    """S02 to S06, and S16 where torch differentiates, on operands with poles and garbage."""
    rng = np.random.default_rng(0)
    operands = [
        np.concatenate([rng.normal(size=5), [0.0, -1.0, 1e308, 5e-324]])
        for _ in range(OPS[name].arity)
    ]
    assert_no_leak(getattr(ops, f"scm_{name}_torch"), *operands, xp=torch)


# Acceptance 9.
def test_threads_emit_no_warning():
    x = torch.tensor([0.0, 1.0, -1.0, math.inf, math.nan, 1e308], dtype=torch.float64)

    def work(i):
        with warnings.catch_warnings(record=True) as caught:
            for name in ALL:
                _call(name, *[x] * OPS[name].arity)
        return len(caught)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_corpus_on_cuda():
    backend = Backend.load(
        "zeroproofml.torch.ops:scm_{op}_torch",
        put=lambda a: torch.from_numpy(a).cuda(),
        get=lambda t: t.cpu().numpy(),
    )
    assert not run_corpus(backend).failures
