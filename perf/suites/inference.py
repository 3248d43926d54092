"""Strict inference on tuples (P, Q): the decision that a deployment pays for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import _inputs
from suites.case import Built, Case, WrongValue, size_name
from zeroproofml.scm import InferenceConfig, strict_inference

SEED = 20260403
SIZES = (256, 100_000, 1_000_000)
CONFIG = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)


def build(n: int, kind: _inputs.Kind) -> Built:
    """One batch; ``new`` holds 1 % exact zeros among its denominators."""
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    p, q = inputs.operands

    def raw() -> Any:
        with np.errstate(all="ignore"):
            return p / q

    def strict() -> Any:
        return strict_inference(p, q, CONFIG)

    def check() -> None:
        result = strict()
        if not np.array_equal(result.bottom_mask, inputs.mask):
            msg = "strict_inference: the mask differs from the oracle"
            raise WrongValue(msg)
        if not np.array_equal(result.decoded[~inputs.mask], raw()[~inputs.mask]):
            msg = "strict_inference: a decoded value differs from P/Q"
            raise WrongValue(msg)

    return Built({"raw": raw, "numpy": strict}, check, float(inputs.mask.mean()), ("numpy",), q)


def cases(*, quick: bool) -> Iterator[Case]:
    """Every case of the suite, small before large."""
    kinds: tuple[_inputs.Kind, ...] = ("clean", "new")
    for n in SIZES[:2] if quick else SIZES:
        for kind in kinds:
            yield Case(
                id=f"inference/strict/float64/{size_name(n)}/{kind}",
                suite="inference",
                n=n,
                dtype="float64",
                data_kind=kind,
                backend="numpy",
                reference="raw",
                make=partial(build, n, kind),
                note="gap mask and causes included",
            )
