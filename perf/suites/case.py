"""A case as data: what is called, what it is compared with, and what its value must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from _inputs import Inputs, Kind
from _measure import peak_bytes

__all__ = ["Built", "Case", "Kind", "Suite", "WrongValue", "agree", "compare", "size_name"]

# Against NumPy's result: both sides' budgets of the semantics page together.
FRAMEWORK_ULPS = {"sqrt": 1, "log": 12, "exp": 12, "sin": 12, "cos": 12, "tan": 12, "pow": 24}
Suite = Literal["ops", "layers", "inference", "harness"]


class WrongValue(Exception):
    """A kernel returned something else than the case demands; its time means nothing."""


@dataclass(frozen=True)
class Built:
    """A case with its inputs made."""

    impls: Mapping[str, Callable[[], object]]
    check: Callable[[], None]  # raises WrongValue
    bottom_rate: float | None
    measure_memory: tuple[str, ...] = ()
    peak: Callable[[Callable[[], object]], int] = peak_bytes  # bytes of one call beyond its inputs
    against: Mapping[str, str] = field(
        default_factory=dict
    )  # impl -> another reference than the case's
    gap_rate: float | None = None
    denominators: NDArray[Any] | None = None
    compile_s: Mapping[str, float] = field(default_factory=dict)
    remark: Callable[[], str] | None = None  # asked after the timing; joins the case's note


@dataclass(frozen=True)
class Case:
    """One group of implementations on one input."""

    id: str
    suite: Suite
    n: int
    dtype: str
    data_kind: Kind
    backend: str
    reference: str
    make: Callable[[], Built]
    note: str | None = None
    rounds: tuple[int, int] | None = None  # full and quick, where the usual numbers cost too much
    fresh: bool = False  # every call is a process of its own


def compare(name: str, pair: tuple[Any, Any], want: Inputs, ulps: int) -> None:
    """Demand equal masks and equal payloads, to the stated number of ULPs."""
    payload, mask = (np.asarray(v) for v in pair)
    if not np.array_equal(mask, want.mask):
        msg = f"{name}: {int((mask != want.mask).sum())} lanes of the mask differ"
        raise WrongValue(msg)
    if payload.dtype != want.payload.dtype:
        msg = f"{name}: {payload.dtype} differs from the operands' {want.payload.dtype}"
        raise WrongValue(msg)
    if not np.all(np.isfinite(payload)) or np.any(payload[mask]):
        msg = f"{name}: the result is not canonical"
        raise WrongValue(msg)
    off = np.abs(payload - want.payload) > ulps * np.spacing(np.abs(want.payload))
    if off.any():
        msg = f"{name}: {int(off.sum())} payloads differ by more than {ulps} ULP"
        raise WrongValue(msg)


def agree(name: str, got: Any, want: Any, mask: Any) -> None:
    """Equal on regular lanes; the reference holds inf or NaN where ours is ⊥."""
    got, want, mask = (np.asarray(v) for v in (got, want, mask))
    if not np.allclose(got[~mask], want[~mask], rtol=1e-5, atol=0):
        msg = f"{name}: regular lanes differ from the bare operator"
        raise WrongValue(msg)
    if np.any(got[mask]) or not np.all(np.isfinite(got)):
        msg = f"{name}: ⊥ lanes are not 0"
        raise WrongValue(msg)


def size_name(n: int) -> str:
    """1000000 -> "1e6", as it stands in ids."""
    exponent = len(str(n)) - 1
    return f"1e{exponent}" if n == 10**exponent and n > 10 else str(n)
