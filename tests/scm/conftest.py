"""Operations, dtypes and hard operands that the tests of the core share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from zeroproofml.scm import ops
from zeroproofml.scm.optable import OPS

FLOATS = ("float16", "float32", "float64", "longdouble")
COMPLEX = ("complex64", "complex128")


@pytest.fixture(scope="session")
def call() -> Callable[..., Any]:
    """``call(name, *payloads, masks=...)``: an operation under warnings-as-errors."""

    def run(name: str, *payloads: Any, masks: Any = (), **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return getattr(ops, f"scm_{name}_numpy")(*payloads, *masks, **kwargs)

    return run


def _edges(dtype: np.dtype) -> list[Any]:
    info = np.finfo(dtype)
    values = [0.0, 1.0, 2.0, 3.0, 0.5, np.pi / 2, 1 / 3, 7.0, np.inf, np.nan]
    exact = [info.max, info.tiny, info.smallest_subnormal, info.eps]
    with np.errstate(all="ignore"):
        exact += [info.max / 2, info.tiny / 2, np.sqrt(info.max), 1 / info.max]
    real = np.array(values, info.dtype).tolist() + [dtype.type(v) for v in exact]
    return [sign * v for v in real for sign in (1, -1)]


def _real(dtype: np.dtype) -> st.SearchStrategy[Any]:
    width = {2: 16, 4: 32}.get(dtype.itemsize, 64)
    return st.sampled_from(_edges(dtype)) | st.floats(width=width) | st.floats(-4, 4)


@pytest.fixture(scope="session")
def lanes() -> Callable[..., st.SearchStrategy[np.ndarray]]:
    """``lanes(dtype, n)``: n lanes of a dtype, limits and non-finite numbers among them."""

    def build(name: str, n: int) -> st.SearchStrategy[np.ndarray]:
        dtype = np.dtype(name)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            whole = st.sampled_from([info.min, info.max, 0, 1]) | st.integers(info.min, info.max)
            return st.lists(whole, min_size=n, max_size=n).map(lambda v: np.array(v, dtype))
        part = np.zeros(0, dtype).real.dtype

        def array(values: list[Any]) -> np.ndarray:
            with np.errstate(all="ignore"):
                parts = np.array([part.type(v) for v in values], part)
            return parts.view(dtype) if dtype.kind == "c" else parts

        count = 2 * n if dtype.kind == "c" else n
        return st.lists(_real(part), min_size=count, max_size=count).map(array)

    return build


@pytest.fixture(scope="session")
def problems(lanes: Any) -> Callable[..., st.SearchStrategy[Any]]:
    """``problems(op)``: ``(payloads, masks)`` for an operation in some dtype, 0 to 6 lanes."""

    def build(name: str, dtypes: tuple[str, ...] = FLOATS + COMPLEX) -> st.SearchStrategy[Any]:
        @st.composite
        def problem(draw: Any) -> Any:
            dtype = draw(st.sampled_from(dtypes))
            n = draw(st.integers(0, 6))
            second = np.zeros(0, dtype).real.dtype.name if name == "pow" else dtype
            kinds = (dtype, second)[: OPS[name].arity]
            payloads = tuple(draw(lanes(kind, n)) for kind in kinds)
            flags = st.lists(st.booleans(), min_size=n, max_size=n)
            masks = tuple(np.array(draw(flags), np.bool_) for _ in kinds)
            return payloads, masks

        return problem()

    return build


@pytest.fixture(scope="session")
def equal_pairs() -> Callable[[Any, Any], bool]:
    """Whether two results agree: masks and payloads exactly, 0.0 and -0.0 alike."""

    def same(a: Any, b: Any) -> bool:
        return (
            a[0].dtype == b[0].dtype
            and a[0].shape == b[0].shape
            and np.array_equal(a[0], b[0])
            and np.array_equal(a[1], b[1])
        )

    return same


@pytest.fixture(scope="session")
def is_canonical() -> Callable[[Any], bool]:
    """Whether a result is a canonical pair of arrays of one shape."""

    def check(pair: Any) -> bool:
        payload, mask = pair
        return bool(
            type(payload) is np.ndarray
            and type(mask) is np.ndarray
            and mask.dtype == np.bool_
            and payload.shape == mask.shape
            and np.all(np.isfinite(payload))
            and np.all(payload[mask] == 0)
        )

    return check


@pytest.fixture(scope="session")
def close() -> Callable[..., bool]:
    """Payloads within so many eps · max(|want|, tiny), as the corpus judges them."""

    def judge(got: Any, want: Any, eps: float) -> bool:
        info = np.finfo(want.dtype)
        wide = np.clongdouble if want.dtype.kind == "c" else np.longdouble
        g, w = got.astype(wide), want.astype(wide)
        room = eps * np.longdouble(info.eps) * np.maximum(abs(w), np.longdouble(info.tiny))
        return bool(np.all(abs(g - w) <= room))

    return judge
