"""A case as data: what is called, what it is compared with, and what its value must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from _inputs import Kind

__all__ = ["Built", "Case", "Kind", "Suite", "WrongValue", "agree", "size_name"]

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
