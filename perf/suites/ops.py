"""The thirteen operations, the fused expression and the mask algebra, for the NumPy package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import _inputs
from suites.case import Built, Case, WrongValue, size_name
from zeroproofml.scm import SCMArray, from_ieee, ops

DTYPES = ("float64", "float32")
SIZES = (10, 1_000, 100_000, 1_000_000, 10_000_000)
QUICK_SIZES = (10, 1_000, 100_000)
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


def compare(
    name: str, pair: tuple[np.ndarray, np.ndarray], want: _inputs.Inputs, ulps: int
) -> None:
    """Demand equal masks and equal payloads, to the stated number of ULPs."""
    payload, mask = pair
    if not np.array_equal(mask, want.mask):
        msg = f"{name}: {int((mask != want.mask).sum())} lanes of the mask differ"
        raise WrongValue(msg)
    if not np.all(np.isfinite(payload)) or np.any(payload[mask]):
        msg = f"{name}: the result is not canonical"
        raise WrongValue(msg)
    off = np.abs(payload - want.payload) > ulps * np.spacing(np.abs(want.payload))
    if off.any():
        msg = f"{name}: {int(off.sum())} payloads differ by more than {ulps} ULP"
        raise WrongValue(msg)


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

    return Built(impls, check, float(inputs.mask.mean()), ("numpy", "SCMArray"))


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


def cases(*, quick: bool) -> Iterator[Case]:
    """Every case of the suite, small before large."""
    sizes = QUICK_SIZES if quick else SIZES
    for n in sizes:
        for dtype in DTYPES:
            for op in _inputs.BINARY + _inputs.UNARY:
                for kind in _inputs.KINDS:
                    yield Case(
                        id=f"ops/{op}/{dtype}/{size_name(n)}/{kind}",
                        suite="ops",
                        n=n,
                        dtype=dtype,
                        data_kind=kind,
                        backend="numpy",
                        reference="raw",
                        make=partial(build, op, dtype, n, kind),
                    )
            fused: tuple[_inputs.Kind, ...] = ("clean", "new")
            for kind in fused:
                yield Case(
                    id=f"ops/fused/{dtype}/{size_name(n)}/{kind}",
                    suite="ops",
                    n=n,
                    dtype=dtype,
                    data_kind=kind,
                    backend="numpy",
                    reference="raw",
                    make=partial(build_fused, dtype, n, kind),
                )
            yield Case(
                id=f"ops/mask/{dtype}/{size_name(n)}/masked",
                suite="ops",
                n=n,
                dtype=dtype,
                data_kind="masked",
                backend="numpy",
                reference="raw",
                make=partial(build_mask_algebra, dtype, n, "masked"),
                note="mask algebra alone; raw is one OR, numpy adds the finite test",
            )
