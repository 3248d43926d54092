"""A case as data: what is called, what it is compared with, and what its value must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from _inputs import Kind

__all__ = ["Built", "Case", "Kind", "Suite", "WrongValue", "size_name"]

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


def size_name(n: int) -> str:
    """1000000 -> "1e6", as it stands in ids."""
    exponent = len(str(n)) - 1
    return f"1e{exponent}" if n == 10**exponent and n > 10 else str(n)
