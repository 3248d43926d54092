"""The thirteen operations in NumPy, Torch and JAX; the fused expression and the mask algebra.

Each framework is compared with its own bare operator; one that is not installed has no cases.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import _inputs
from suites.case import Built, Case, WrongValue, compare, size_name
from zeroproofml.scm import SCMArray, from_ieee, ops

DTYPES = ("float64", "float32")
SIZES = (10, 1_000, 100_000, 1_000_000, 10_000_000)
QUICK_SIZES = (10, 1_000, 100_000)
# Compiling and importing are dear: a quick run measures the frameworks where it says most.
QUICK_FRAMEWORK_SIZES = {"torch": (1_000, 100_000), "jax": (100_000,)}
QUICK_FRAMEWORK_KINDS: tuple[_inputs.Kind, ...] = ("clean", "mixed")
SEED = 20260401
ULPS = {"log": 4, "exp": 4, "sin": 4, "cos": 4, "tan": 4, "pow": 8}
OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "inv": np.reciprocal,
    **{name: _inputs.UFUNC[name] for name in _inputs.UNARY if name != "inv"},
}


def build(op: str, dtype: str, n: int, kind: _inputs.Kind) -> Built:
    """Make the inputs and the calls of one operation's case."""
    inputs = _inputs.make(op, dtype, n, kind, SEED)
    masks = () if inputs.masks[0] is None else inputs.masks
    public = partial(getattr(ops, f"scm_{op}_numpy"), *inputs.operands, *masks)
    arrays = [SCMArray(x, m) for x, m in zip(inputs.operands, inputs.masks, strict=True)]
    operator = partial(OPERATORS[op], *arrays)
    masked = [
        np.ma.MaskedArray(x, mask=np.ma.nomask if m is None else m)
        for x, m in zip(inputs.operands, inputs.masks, strict=True)
    ]
    impls: dict[str, Callable[[], object]] = {
        "raw": partial(_inputs.raw, op, *inputs.operands),
        "numpy": public,
        "SCMArray": operator,
    }
    if kind == "masked":
        ma: Callable[..., object] = getattr(np.ma, OPERATORS[op].__name__, np.ma.divide)
        impls["numpy.ma"] = partial(ma, *([1.0, *masked] if op == "inv" else masked))

    def check() -> None:
        compare("numpy", public(), inputs, ULPS.get(op, 0))
        result = operator()
        compare("SCMArray", (result.payload, result.mask), inputs, ULPS.get(op, 0))
        if not np.array_equal(result.cause != 0, inputs.mask):
            msg = "SCMArray: cause and mask disagree"
            raise WrongValue(msg)

    rate = float(inputs.mask.mean())
    return Built(impls, check, rate, ("numpy", "SCMArray"), against={"numpy.ma": "numpy"})


def build_in(framework: str, op: str, dtype: str, n: int, kind: _inputs.Kind) -> Built:
    """Import a framework's cases only when one of them is made."""
    make: Callable[..., Built] = importlib.import_module(f"suites._{framework}_ops").build
    return make(op, dtype, n, kind, SEED)


def build_fused(dtype: str, n: int, kind: _inputs.Kind) -> Built:
    """(a*b + c) / d: step by step, and as one IEEE expression that is tested once at its end.

    One test suffices here because the inputs are finite: a product or sum that overflows is inf or
    NaN, stays so through + c and / d (d is finite, so inf/d is inf), and is seen in the result.
    """
    inputs = _inputs.make("div", dtype, n, kind, SEED)
    a, d = inputs.operands
    b, c = a[::-1].copy(), d + 1

    def raw() -> Any:
        with np.errstate(all="ignore"):
            return (a * b + c) / d

    def public() -> tuple[np.ndarray, np.ndarray]:
        product = ops.scm_mul_numpy(a, b)
        total = ops.scm_add_numpy(product[0], c, product[1])
        return ops.scm_div_numpy(total[0], d, total[1])

    def once() -> tuple[np.ndarray, np.ndarray]:
        return from_ieee(raw())

    arrays = [SCMArray(v) for v in (a, b, c, d)]

    def operator() -> Any:
        w, x, y, z = arrays
        return (w * x + y) / z

    def check() -> None:
        result = raw()
        mask = ~np.isfinite(result)
        want = _inputs.Inputs((), (), np.where(mask, 0, result), mask)
        compare("numpy", public(), want, 0)
        compare("from_ieee", once(), want, 0)
        carried = operator()
        compare("SCMArray", (carried.payload, carried.mask), want, 0)

    impls = {"raw": raw, "numpy": public, "from_ieee": once, "SCMArray": operator}
    return Built(impls, check, float((~np.isfinite(raw())).mean()))


def build_mask_algebra(dtype: str, n: int, kind: _inputs.Kind) -> Built:
    """The mask alone: OR of two masks, with and without a finite test."""
    inputs = _inputs.make("add", dtype, n, kind, SEED)
    x, _ = inputs.operands
    first, second = (m if m is not None else np.zeros(n, bool) for m in inputs.masks)

    def tested() -> Any:
        mask = np.isfinite(x)
        np.less_equal(mask, first, out=mask)
        np.logical_or(mask, second, out=mask)
        return mask

    def check() -> None:
        if not np.array_equal(tested(), ~np.isfinite(x) | first | second):
            msg = "mask algebra: wrong mask"
            raise WrongValue(msg)

    impls: dict[str, Callable[[], object]] = {
        "raw": partial(np.logical_or, first, second),
        "numpy": tested,
    }
    return Built(impls, check, None)


def _case(
    op: str,
    dtype: str,
    n: int,
    kind: _inputs.Kind,
    make: Callable[[], Built],
    backend: str = "numpy",
    note: str | None = None,
) -> Case:
    return Case(
        id=f"ops/{op}/{dtype}/{size_name(n)}/{kind}",
        suite="ops",
        n=n,
        dtype=dtype,
        data_kind=kind,
        backend=backend,
        reference="raw",
        make=make,
        note=note,
    )


def _numpy_cases(n: int) -> Iterator[Case]:
    for dtype in DTYPES:
        for op in _inputs.BINARY + _inputs.UNARY:
            for kind in _inputs.KINDS:
                yield _case(op, dtype, n, kind, partial(build, op, dtype, n, kind))
        fused: tuple[_inputs.Kind, ...] = ("clean", "new")
        for kind in fused:
            yield _case("fused", dtype, n, kind, partial(build_fused, dtype, n, kind))
        make = partial(build_mask_algebra, dtype, n, "masked")
        note = "mask algebra alone; raw is one OR, numpy adds the finite test"
        yield _case("mask", dtype, n, "masked", make, note=note)


def _framework_cases(framework: str, n: int, kinds: tuple[_inputs.Kind, ...]) -> Iterator[Case]:
    for dtype in DTYPES:
        for op in _inputs.BINARY + _inputs.UNARY:
            for kind in kinds:
                make = partial(build_in, framework, op, dtype, n, kind)
                yield _case(f"{op}-{framework}", dtype, n, kind, make, framework)


def cases(*, quick: bool, sizes: tuple[int, ...] | None = None) -> Iterator[Case]:
    """Every case of the suite, small before large; `sizes` instead of those of the suite."""
    frameworks = [name for name in QUICK_FRAMEWORK_SIZES if importlib.util.find_spec(name)]
    for n in sizes or (QUICK_SIZES if quick else SIZES):
        yield from _numpy_cases(n)
        for framework in frameworks:
            if not quick:
                yield from _framework_cases(framework, n, _inputs.KINDS)
            elif sizes or n in QUICK_FRAMEWORK_SIZES[framework]:
                yield from _framework_cases(framework, n, QUICK_FRAMEWORK_KINDS)
