"""What the three backends must agree on at the edges of their arguments and of complex numbers."""

import array
import datetime
import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from zeroproofml.jax import ops as jax_ops
from zeroproofml.scm import ops as numpy_ops
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas import parts
from zeroproofml.torch import ops as torch_ops

pytestmark = pytest.mark.usefixtures("x64")

MODULES = {"numpy": numpy_ops, "torch": torch_ops, "jax": jax_ops}
BACKENDS = pytest.mark.parametrize("backend", list(MODULES))
EPS = {"complex64": 2.0**-23, "complex128": 2.0**-52}


def _call(name, backend, *arguments):
    function = getattr(MODULES[backend], f"scm_{name}_{backend}")
    put = {"numpy": np.asarray, "torch": torch.from_numpy, "jax": jnp.asarray}[backend]
    return function(*[put(a.copy()) if isinstance(a, np.ndarray) else a for a in arguments])


# --- arguments ---------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize(
    "bad",
    [
        [True, 2.0],
        [2.0, True],
        (1, True),
        [[1.0, 2.0], [3.0, True]],
        [np.True_, 2.0],
        [np.array(True), 2.0],
        [np.array([True, False]), np.array([1.0, 2.0])],
        [None],
        [1.0, None],
        [Fraction(1, 2)],
        [datetime.timedelta(1)],
        np.array([1], "timedelta64[s]").tolist(),
    ],
    ids=repr,
)
def test_d29_a_list_is_refused_for_one_item(backend, bad):
    with pytest.raises(SCMTypeError, match=r"^x"):
        _call("neg", backend, bad)
    with pytest.raises(SCMTypeError, match=r"^y"):
        _call("add", backend, [1.0, 2.0], bad)


def test_masked_arrays_and_time_differences_are_refused_unconverted():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for bad in (masked, np.array([1], "timedelta64[s]")):
        for function in (
            numpy_ops.scm_neg_numpy,
            torch_ops.scm_neg_torch,
            jax_ops.scm_neg_jax,
        ):
            with pytest.raises(SCMTypeError, match=r"^x"):
                function(bad)
            with pytest.raises(SCMTypeError, match=r"^mask"):
                function([1.0], np.array([1], "timedelta64[s]"))


@BACKENDS
def test_integers_beyond_int64_are_numbers_and_beyond_float64_are_not(backend):
    for value in ([2**63], [2**64 - 1, -1], [10**30, 7], 10**30):
        payload, mask = _call("neg", backend, value)
        assert not np.asarray(mask).any()
        np.testing.assert_array_equal(np.asarray(payload), -np.array(value, float))
    for value in (10**400, [10**400], [10**400, 1.0], [-(10**400), 1]):
        with pytest.raises(SCMValueError, match="beyond float64"):
            _call("neg", backend, value)


@BACKENDS
def test_buffers_hold_numbers_not_bytes(backend):
    for value in (array.array("d", [0.0, 1.0, -2.5]), memoryview(np.array([0.0, 1.0, -2.5]))):
        payload, mask = _call("neg", backend, value)
        assert np.asarray(payload).tolist() == [0.0, -1.0, 2.5]
        assert not np.asarray(mask).any()
    _, mask = _call("neg", backend, [1.0, 2.0], memoryview(np.array([True, False])))
    assert np.asarray(mask).tolist() == [True, False]


@BACKENDS
def test_masks_of_huge_integers_and_of_none(backend):
    _, mask = _call("neg", backend, [1.0, 2.0], 10**30)
    assert np.asarray(mask).tolist() == [True, True]
    with pytest.raises(SCMTypeError, match=r"^mask"):
        _call("neg", backend, [1.0], [None])


def test_foreign_byte_orders_and_foreign_arrays():
    big = np.array([1.0, 2.0]).astype(">f8")
    for function in (numpy_ops.scm_neg_numpy, torch_ops.scm_neg_torch, jax_ops.scm_neg_jax):
        assert np.asarray(function(big)[0]).tolist() == [-1.0, -2.0]
        assert np.asarray(function(jnp.ones(2))[0]).tolist() == [-1.0, -1.0]
    for function in (numpy_ops.scm_neg_numpy, jax_ops.scm_neg_jax):
        with pytest.raises(SCMTypeError, match=r"^x"):
            function(torch.ones(2, requires_grad=True))


def test_a_list_of_tensors_keeps_their_gradients():
    x = torch.tensor(2.0, requires_grad=True)
    payload, mask = torch_ops.scm_inv_torch([[x, 4.0], [x * x, 0.0]])
    assert mask.tolist() == [[False, False], [False, True]]
    payload.sum().backward()
    assert x.grad.item() == -0.25 - 2 * 2.0 / 16
    with pytest.raises(SCMValueError, match="ragged"):
        torch_ops.scm_inv_torch([torch.ones(2), torch.ones(3)])


# --- complex values ----------------------------------------------------------------------------


def _units(got, want, dtype):
    """Errors of the parts in eps of the modulus of what is wanted, given in a wider dtype."""
    off = np.asarray(got).astype(np.clongdouble) - want
    return np.maximum(abs(off.real), abs(off.imag)) / abs(want) / EPS[dtype]


def _in_range(want, dtype):
    """Lanes away from overflow, and without a subnormal part: XLA flushes those."""
    smallest = np.minimum(abs(want.real), abs(want.imag))
    return (abs(want) < np.finfo(dtype).max / 2) & (smallest > 2 * np.finfo(dtype).tiny)


def _moduli(dtype):
    limits = np.finfo(dtype)
    top, tiny = float(limits.max), float(limits.tiny)
    return [1.0, 0.6, 3.0, 700.0, tiny**0.5, top**0.5, top / 2, top * 0.75, top]


@BACKENDS
@pytest.mark.parametrize("dtype", list(EPS))
def test_complex_quotients_whose_divisor_has_no_modulus(backend, dtype):
    """|y| overflows although both parts are finite; torch and XLA then answer 0."""
    edges = [m * s for m in _moduli(dtype) for s in (1.0, -1.0)]
    y = np.array([complex(a, b) for a, b in itertools.product(edges, edges)]).astype(dtype)
    x = np.full_like(y, np.sqrt(np.finfo(dtype).max)) * np.array(0.6 - 0.8j, dtype)
    for name, operands in (("div", (x, y)), ("inv", (y,))):
        numerator = x.astype(np.clongdouble) if name == "div" else np.clongdouble(1)
        want = numerator / y.astype(np.clongdouble)
        payload, mask = _call(name, backend, *operands)
        normal = _in_range(want, dtype)
        assert normal.sum() > 100
        assert not np.asarray(mask)[normal].any()
        assert _units(payload, want, dtype)[normal].max() <= 8


EXPONENTS = (-100, -20, -7, -2.5, -1.5, -0.5, -1 / 3, 0.25, 0.5, 2 / 3, 1, 1.5, 2, 3, 3.5, 10.5, 20)


@BACKENDS
@pytest.mark.parametrize("dtype", list(EPS))
def test_complex_powers_are_within_8_eps(backend, dtype):
    rng = np.random.default_rng(7)
    size = 4000
    spread = 3 if dtype == "complex64" else 9
    turned = np.exp(1j * rng.uniform(-np.pi, np.pi, size))
    e = rng.choice([*EXPONENTS, 30.5, 63.5, 100.0], size).astype(np.zeros((), dtype).real.dtype)
    for z in (turned * np.exp2(rng.uniform(-spread, spread, size)), turned):
        z = z.astype(dtype)
        want = np.exp(e.astype(np.longdouble) * np.log(z.astype(np.clongdouble)))
        normal = _in_range(want, dtype)
        payload, mask = _call("pow", backend, z, e)
        assert not np.asarray(mask)[normal].any()
        assert _units(payload, want, dtype)[normal].max() <= 8


@BACKENDS
@pytest.mark.parametrize("dtype", list(EPS))
def test_complex_powers_of_the_largest_and_smallest_numbers(backend, dtype):
    edges = [m * s for m in _moduli(dtype) for s in (1.0, -1.0)]
    pairs = [
        (complex(a, b), e) for a, b in itertools.product(edges, edges) for e in (*EXPONENTS, 0.9148)
    ]
    z = np.array([p[0] for p in pairs]).astype(dtype)
    e = np.array([p[1] for p in pairs], np.zeros((), dtype).real.dtype)
    with np.errstate(all="ignore"):
        want = np.exp(e.astype(np.longdouble) * np.log(z.astype(np.clongdouble)))
        normal = _in_range(want, dtype)
    payload, mask = _call("pow", backend, z, e)
    assert normal.sum() > 1000
    assert not np.asarray(mask)[normal].any()
    assert _units(np.asarray(payload)[normal], want[normal], dtype).max() <= 8


def test_the_power_out_of_parts_in_single_precision():
    """Where JAX has no wider dtype, or none is asked for."""
    rng = np.random.default_rng(3)
    z = (rng.normal(size=5000) + 1j * rng.normal(size=5000)).astype(np.complex64)
    e = rng.choice([-3, -1.5, 0.5, 1 / 3, 2, 2.5, 3, 5, 10], 5000).astype(np.float32)
    want = np.exp(e.astype(np.longdouble) * np.log(z.astype(np.clongdouble)))
    got = jax.jit(lambda z, e: parts.power(z, e, xp=jnp))(z, e)
    assert got.dtype == np.complex64
    assert _units(got, want, "complex64").max() <= 8


@pytest.mark.parametrize("dtype", list(EPS))
def test_compiled_torch_computes_the_same_complex_values(dtype, monkeypatch):
    z = np.array([3 + 4j, 1e-3 - 2j, -5 + 0.1j, 0.8 * np.finfo(dtype).max * (1 + 1j)], dtype)
    e = np.array([30.5, -7.0, 1.5, -0.5], np.zeros((), dtype).real.dtype)
    tensors = [torch.from_numpy(z), torch.from_numpy(e)]
    calls = {
        "pow": tensors,
        "div": [tensors[0] * 0 + 300.0, tensors[0]],
        "inv": tensors[:1],
    }
    eager = {name: _of_torch(name, given) for name, given in calls.items()}
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # the form that is compiled
    for name, given in calls.items():
        for got, want in zip(_of_torch(name, given), eager[name], strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=0)
            assert torch.isfinite(got).all()


def _of_torch(name, given):
    leaves = [x.clone().requires_grad_() for x in given[:1]]
    payload, mask = getattr(torch_ops, f"scm_{name}_torch")(*leaves, *given[1:])
    assert not mask.any()
    (slope,) = torch.autograd.grad(payload.real[:3].sum(), leaves)
    assert torch.isfinite(slope).all()
    return (payload.detach(),)


# --- derivatives -------------------------------------------------------------------------------


def test_the_slope_of_a_negative_base_takes_its_sign_from_the_exponent():
    """e − 1 rounds to e beyond 2⁵³: (−1)^(e−1) must be odd where e is even."""
    x, e = np.array([-1.0, -1.0, -1.0]), np.array([2.0**53, 1e19, 3.0])
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    (slope,) = torch.autograd.grad(
        torch_ops.scm_pow_torch(leaf, torch.from_numpy(e))[0].sum(), leaf
    )
    assert slope.tolist() == [-(2.0**53), -1e19, 3.0]
    power = jax.grad(lambda x: jax_ops.scm_pow_jax(x, e)[0].sum())
    assert power(jnp.asarray(x)).tolist() == slope.tolist()
    second = jax.grad(jax.grad(lambda x: jax_ops.scm_pow_jax(x, 3.0)[0]))
    assert float(second(-2.0)) == -12.0


def test_parts_never_warn_with_numpy():
    z = np.array([0j, complex(np.inf, 1), complex(np.nan, 0), 1e308 + 1e308j, 5e-324 + 0j])
    for e in (np.full(5, 600.0), np.full(5, -0.5), np.array([np.nan, np.inf, 0.0, 2.0, -2.0])):
        parts.power(z, e, xp=np)
    parts.quotient(z[::-1], z, xp=np)
