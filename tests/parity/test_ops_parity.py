"""The thirteen operations in three frameworks: one mask, payloads within the tolerances, one gradient."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from zeroproofml.jax import ops as jax_ops
from zeroproofml.scm import ops as numpy_ops
from zeroproofml.scm.optable import OPS
from zeroproofml.torch import ops as torch_ops

pytestmark = pytest.mark.usefixtures("x64")

ROWS = pytest.mark.parametrize("name", list(OPS))
REAL, COMPLEX = ("float16", "float32", "float64"), ("complex64", "complex128")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint64")
MODULES = {"numpy": numpy_ops, "torch": torch_ops, "jax": jax_ops}


def _function(name, backend):
    return getattr(MODULES[backend], f"scm_{name}_{backend}")


def _put(array, backend):
    if backend == "numpy":
        return array
    return torch.from_numpy(array.copy()) if backend == "torch" else jnp.asarray(array)


def _host(pair):
    return [np.asarray(x) for x in pair]


def _real_dtype(dtype):
    return np.zeros((), dtype).real.dtype


def _edges(dtype):
    limits = np.finfo(dtype)
    tiny, top = float(limits.tiny), float(limits.max)
    return [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 3.0, 4 * tiny, top, -top, np.inf, -np.inf, np.nan]


def _complex(real, imag, dtype):
    z = np.empty(real.shape, dtype)
    z.real, z.imag = real, imag  # a sum with 1j would make NaN of inf
    return z


def _operands(name, dtype, seed=0):
    """Every pair of edges, and 300 random lanes; for complex dtypes random parts and edges."""
    rng = np.random.default_rng(seed)
    arity, real = OPS[name].arity, _real_dtype(dtype)
    edges = np.array(list(itertools.product(_edges(real), repeat=2))).T
    spread = {"float16": 6, "float32": 40, "float64": 300}[real.name]
    drawn = rng.normal(size=(2, 300)) * np.exp2(rng.uniform(-spread, spread, (2, 300)))
    with np.errstate(all="ignore"):
        first, second = (
            np.concatenate([e, d]).astype(real) for e, d in zip(edges, drawn, strict=True)
        )
    if np.dtype(dtype).kind == "c":
        turned = rng.permutation(second)
        moderate = np.clip(np.nan_to_num(turned, nan=1.0), -8, 8)  # angles that keep their digits
        imaginary = moderate if name in ("exp", "sin", "cos", "tan", "pow") else turned
        real_part = np.clip(first, -8, 8) if imaginary is moderate else first
        first = _complex(real_part, imaginary, dtype)
        if name == "pow":
            second = rng.integers(-3, 4, second.size).astype(real)
        else:
            second = _complex(second, rng.permutation(turned), dtype)
    return [first, second][:arity]


def _normal(*arrays):
    """Lanes without a subnormal part: XLA flushes those."""
    good = np.ones(arrays[0].shape, bool)
    for x in arrays:
        limits = np.finfo(x.dtype)
        for part in (x.real, x.imag) if x.dtype.kind == "c" else (x,):
            good &= (part == 0) | ~(np.abs(part) < limits.tiny)
    return good


def _tolerance(name, dtype):
    """The larger of two backends' tolerances, added: NumPy's and the frameworks'."""
    if np.dtype(dtype).kind == "c":
        return 16
    field = OPS[name].rational and name != "pow"
    return 0 if field else {"sqrt": 1, "pow": 24}.get(name, 12)


@ROWS
@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("dtype", [*REAL, *COMPLEX])
def test_s13_values_and_masks(name, backend, dtype):
    operands = _operands(name, dtype)
    rng = np.random.default_rng(1)
    masks = [rng.random(x.shape) < 0.1 for x in operands]
    want, bottom = _function(name, "numpy")(*operands, *masks)
    moved = [_put(a, backend) for a in (*operands, *masks)]
    got, mask = _host(_function(name, backend)(*moved))
    seen = _normal(*operands, want) if backend == "jax" else np.ones(want.shape, bool)
    if np.dtype(dtype).kind == "c" and name in ("log", "sqrt", "pow"):
        # On the cut the frameworks read the sign of a zero that has none here.
        x = operands[0]
        seen &= ~((x.real < 0) & (x.imag == 0) & np.signbit(x.imag))
        if (name, backend) == ("pow", "torch"):  # its polar form loses digits with e·log|x|
            seen &= (np.abs(x) > 0.1) & (np.abs(x) < 10)
    if np.dtype(dtype).kind == "c" and backend == "jax":
        seen &= _normal(np.abs(want).astype(_real_dtype(dtype)))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(mask[seen], bottom[seen])
    assert np.isfinite(got).all()
    assert (got[mask] == 0).all()
    live = seen & ~bottom
    wide = np.clongdouble if want.dtype.kind == "c" else np.longdouble
    error = np.abs(got.astype(wide) - want.astype(wide))[live]
    limits = np.finfo(dtype)
    unit = limits.eps * np.maximum(np.abs(want.astype(wide)), limits.tiny)[live]
    worst = int(np.argmax(error / unit)) if error.size else 0
    report = [np.asarray(x)[live][worst] for x in (*operands, got, want)] if error.size else []
    assert (error <= _tolerance(name, dtype) * unit).all(), report


@ROWS
@pytest.mark.parametrize("dtype", INTEGERS)
def test_d02_integers_are_float64_everywhere(name, dtype):
    limits = np.iinfo(dtype)
    values = np.array([1, 2, 3, limits.max, limits.min], dtype)
    operands = [values, values[::-1].copy()][: OPS[name].arity]
    want, bottom = _function(name, "numpy")(*operands)
    assert want.dtype == np.float64
    for backend in ("torch", "jax"):
        got, mask = _host(_function(name, backend)(*[_put(x, backend) for x in operands]))
        assert got.dtype == np.float64
        np.testing.assert_array_equal(mask, bottom)
        np.testing.assert_allclose(got, want, rtol=24 * np.finfo(float).eps)


@ROWS
@pytest.mark.parametrize("value", [True, [True], np.array([False])])
def test_7_the_same_refusals_everywhere(name, value):
    for backend in MODULES:
        function = _function(name, backend)
        for position in range(OPS[name].arity):
            operands = [1.0] * OPS[name].arity
            operands[position] = value
            with pytest.raises(TypeError):
                function(*operands)
        with pytest.raises(TypeError):
            function(*[1.0] * OPS[name].arity, *[0.5] * OPS[name].arity)
        if OPS[name].arity == 2:
            with pytest.raises(ValueError, match=r"\(2,\)"):
                function([1.0, 2.0], [1.0, 2.0, 3.0])


@ROWS
def test_d29_lists_numbers_and_lists_of_masks_everywhere(name):
    arity = OPS[name].arity
    for operands, masks in (
        ([[0.5, 2.0, 0.0]] * arity, [[False, True, False]] * arity),
        ([2.0] * arity, [None] * arity),
        ([3] * arity, [True] * arity),
        ([[[1, 2], [3, 4]]] * arity, [[1, 0]] * arity),
    ):
        want, bottom = _host(_function(name, "numpy")(*operands, *masks))
        for backend in ("torch", "jax"):
            got, mask = _host(_function(name, backend)(*operands, *masks))
            assert got.shape == want.shape
            np.testing.assert_array_equal(mask, bottom)
            np.testing.assert_allclose(got, want, rtol=1e-6)  # torch's default float is float32


GRID = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, 1e160, 1e-160, 1e200, 1e-200]
GRID += [1e103, 1e-103, float(np.finfo(float).max), np.inf, np.nan, np.pi / 2]


def _gradients(name, operands, cotangent):
    leaves = [torch.from_numpy(x.copy()).requires_grad_() for x in operands]
    payload, _ = _function(name, "torch")(*leaves)
    ours = torch.autograd.grad(payload, leaves, torch.from_numpy(cotangent))
    function = _function(name, "jax")
    pull = jax.vjp(lambda *v: function(*v)[0], *[jnp.asarray(x) for x in operands])[1]
    return [g.numpy() for g in ours], [np.asarray(g) for g in pull(jnp.asarray(cotangent))]


def _quiet_lanes(operands, dtype):
    """§12: moduli in the comparable range, or 0; finite."""
    low, high = {"float64": (1e-100, 1e100), "float32": (1e-12, 1e12)}[dtype]
    good = np.ones(operands[0].shape, bool)
    for x in operands:
        good &= (x == 0) | ((np.abs(x) >= low) & (np.abs(x) <= high))
    return good


def _near_hazard(name, operands, dtype):
    """Whether a hazard or a ⊥ appears when the operands move by a factor of 4."""
    hazard, near = OPS[name].hazard, np.zeros(operands[0].shape, bool)
    answers = []
    for factors in itertools.product((0.25, 1.0, 4.0), repeat=len(operands)):
        with np.errstate(all="ignore"):
            moved = [(x * f).astype(dtype) for x, f in zip(operands, factors, strict=True)]
            if name == "pow":
                moved[1] = operands[1]
            payload, bottom = _function(name, "numpy")(*moved)
            off = bottom if hazard is None else bottom | hazard(np, False, *moved, payload)
        answers.append(off)
    for answer in answers:
        near |= answer != answers[len(answers) // 2]
    return near


@ROWS
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-9), ("float32", 1e-4)])
def test_17_gradients_of_torch_and_jax_agree(name, dtype, rtol):
    with np.errstate(all="ignore"):
        table = np.array(list(itertools.product(GRID, repeat=OPS[name].arity))).astype(dtype)
        extra = [x.astype(dtype) for x in _operands(name, dtype, seed=4)]
    operands = [
        np.concatenate([np.ascontiguousarray(table[:, k]), extra[k]])
        for k in range(OPS[name].arity)
    ]
    _, bottom = _function(name, "numpy")(*operands)
    for cotangent in (1.0, 0.0):
        ours, theirs = _gradients(name, operands, np.full(bottom.shape, cotangent, dtype))
        lanes = _quiet_lanes(operands, dtype) & ~_near_hazard(name, operands, dtype)
        lanes &= _normal(*operands)
        atol = np.sqrt(np.finfo(dtype).tiny)
        for g, h in zip(ours, theirs, strict=True):
            assert np.isfinite(g).all()
            assert np.isfinite(h).all()
            assert (g[bottom] == 0).all()
            assert (h[_normal(*operands) & bottom] == 0).all()
            np.testing.assert_allclose(g[lanes], h[lanes], rtol=rtol, atol=atol)
            if cotangent == 0:
                assert (g == 0).all()
                assert (h == 0).all()


def test_weak_signs_agree():
    from zeroproofml.scm.sign import weak_sign_numpy

    rng = np.random.default_rng(0)
    z = _complex(rng.normal(size=50) * 1e300, rng.normal(size=50) * 1e300, complex)
    for values in (np.array([-3.0, 0.0, -0.0, np.nan, np.inf, 1e308]), z):
        want, bottom = weak_sign_numpy(values)
        for module, backend in ((torch_ops, "torch"), (jax_ops, "jax")):
            sign = getattr(module, f"weak_sign_{backend}")
            got, mask = _host(sign(_put(values, backend)))
            np.testing.assert_array_equal(mask, bottom)
            np.testing.assert_allclose(got, want, rtol=4 * np.finfo(float).eps)
