"""Division, layers, losses and the normaliser under automatic differentiation, in Torch and JAX.

The reference is the bare operator or formula in the same framework and the same mode. A framework
that is not installed has no cases.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import _inputs
from suites.case import Built, Case, size_name

SIZES = (100_000, 1_000_000)
DEGREES = (3, 8, 16)
ALLOCATOR = "a ratio below 1 is the allocator"
PLAIN = "raw is the plain formula without checks"


def _build(framework: str, what: str, *given: Any) -> Built:
    """Import a framework's cases only when one of them is made."""
    build: Callable[..., Built] = getattr(
        importlib.import_module(f"suites._{framework}_layers"), f"build_{what}"
    )
    return build(*given)


def _case(
    framework: str,
    name: str,
    dtype: str,
    n: int,
    kind: _inputs.Kind,
    note: str | None,
    what: str,
    *given: Any,
) -> Case:
    return Case(
        id=f"layers/{name}-{framework}/{dtype}/{size_name(n)}/{kind}",
        suite="layers",
        n=n,
        dtype=dtype,
        data_kind=kind,
        backend=framework,
        reference="raw",
        make=partial(_build, framework, what, n, *given),
        note=note,
    )


def _divisions(framework: str, n: int) -> Iterator[Case]:
    kinds: tuple[_inputs.Kind, ...] = ("clean", "new")
    note = ALLOCATOR if n >= SIZES[1] else None
    for mode in ("forward", "gradient"):
        for kind in kinds:
            given = kind, mode == "gradient"
            yield _case(framework, f"div-{mode}", "float64", n, kind, note, "div", *given)
            if framework == "torch" and n == SIZES[1]:
                name = f"div-{mode}-compiled"
                yield _case(framework, name, "float64", n, kind, note, "div", *given, True)


def _formulas(framework: str, n: int) -> Iterator[Case]:
    def row(name: str, what: str, *given: Any) -> Case:
        return _case(framework, name, "float32", n, "clean", PLAIN, what, *given)

    torch = framework == "torch"
    for mode in ("forward", "gradient"):
        for degree in DEGREES:
            given = ("monomial",) if torch else ()
            yield row(f"rational{degree}-{mode}", "rational", degree, *given, mode)
        yield row(f"loss-{mode}", "loss", mode)
        if torch:
            yield row(f"chebyshev8-{mode}", "rational", 8, "chebyshev", mode)
            yield row(f"strict-{mode}", "strict", mode)
            yield row(f"norm-{mode}", "norm", mode)
    if torch and n == SIZES[1]:
        for name, basis in (("rational8", "monomial"), ("chebyshev8", "chebyshev")):
            yield row(f"{name}-gradient-compiled", "rational", 8, basis, "gradient", True)
    if torch:
        yield row("rational8-second", "rational", 8, "monomial", "second")


def cases(*, quick: bool, sizes: tuple[int, ...] | None = None) -> Iterator[Case]:
    """Every case of the frameworks that are installed; `sizes` instead of those of the suite."""
    for n in sizes or (SIZES[:1] if quick else SIZES):
        for framework in ("torch", "jax"):
            if importlib.util.find_spec(framework) is not None:
                yield from _divisions(framework, n)
                yield from _formulas(framework, n)
