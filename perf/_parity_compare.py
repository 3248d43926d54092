"""Masks, payloads and causes of one backend against NumPy and against exact rationals."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import _parity_curve
from _parity_lanes import LaneClass, Lanes, lanes
from _parity_schema import Cell, CurvePoint, Errors, FirstDifference, Quantiles, Ulps, Verdict
from zeroproofml.scm import exact
from zeroproofml.scm.optable import OPS

# The budgets of the semantics page, section 12, in units of eps · max(|want|, tiny).
BUDGETS: Mapping[str, Mapping[str, int]] = {
    "numpy": {"log": 4, "exp": 4, "sin": 4, "cos": 4, "tan": 4, "pow": 8},
    "torch": {"sqrt": 1, "log": 8, "exp": 8, "sin": 8, "cos": 8, "tan": 8, "pow": 16},
    "jax": {"sqrt": 1, "log": 8, "exp": 8, "sin": 8, "cos": 8, "tan": 8, "pow": 16},
}
MOST_EXPONENT = 64  # beyond it exact powers have hundreds of thousands of bits
FLUSHES = "XLA flushes subnormal numbers: lanes with a subnormal operand or result do not count"
Array = NDArray[Any]


def budget(framework: str, op: str) -> int:
    """What the semantics page grants a framework against the exact result."""
    return BUDGETS[framework].get(op, 0)


def errors(got: Array, want: Array) -> Array:
    """|got − want| in units of eps · max(|want|, tiny), without overflow on the way."""
    limits = np.finfo(want.dtype)
    a, b = got.astype(np.float64), want.astype(np.float64)
    half = np.where(np.abs(b) > 1, 0.5, 1.0)
    unit = np.maximum(np.abs(b), float(limits.tiny)) * half * float(limits.eps)
    with np.errstate(
        over="ignore"
    ):  # finite where 0 is due, at most: still an error, an infinite one
        return np.abs(a * half - b * half) / unit


def ulps(low: Array, high: Array, want: Array, seen: Array) -> Ulps | None:
    """The worse of the two extremes of every lane."""
    if not seen.any():
        return None
    found = np.maximum(errors(low, want), errors(high, want))[seen]
    found = np.where(
        np.isfinite(found), found, np.finfo(np.float64).max
    )  # NaN is as wrong as can be
    return Ulps(max=float(found.max()), p99=float(np.quantile(found, 0.99)))


@cache
def oracle(op: str, dtype: str, kind: LaneClass, n: int) -> tuple[Array, Array, Array] | None:
    """Exact results rounded once: (lanes that have one, payload, mask); None where none exists."""
    if not OPS[op].rational:
        return None
    given, function = lanes(op, dtype, kind, n), exact.operation(op)
    known, mask = np.zeros(n, bool), np.zeros(n, bool)
    payload = np.zeros(n, dtype)
    for k in range(n):
        row = [
            exact.BOT if m[k] else exact.read(float(x[k]))
            for x, m in zip(given.operands, given.masks, strict=True)
        ]
        if op == "pow" and not _is_short_power(row[1]):
            continue
        known[k] = True
        value = exact.round_to(function(*row), dtype)
        if isinstance(value, Fraction):
            payload[k] = float(value)
        else:
            mask[k] = True
    return known, payload, mask


def _is_short_power(e: exact.Exact) -> bool:
    return not isinstance(e, Fraction) or (e.denominator == 1 and abs(e) <= MOST_EXPONENT)


def _counted(framework: str, given: Lanes, want: Array) -> Array:
    """The lanes that a framework answers for."""
    counted = np.ones(want.shape, bool)
    if framework == "jax":
        tiny = float(np.finfo(want.dtype).tiny)
        for x in (*given.operands, want):
            counted &= (x == 0) | ~(np.abs(x) < tiny)
    return counted


def cell(
    backend: str,
    op: str,
    dtype: str,
    kind: LaneClass,
    arrays: Mapping[str, Array],
    reference: Mapping[str, Array],
    numbers: Mapping[str, float],
) -> Cell:
    """Judge one cell.

    Args:
        backend: "numpy eager", "torch compiled", …
        op, dtype, kind: which cell.
        arrays, numbers: of this backend's worker.
        reference: the arrays of NumPy's.
    """
    framework, mode = backend.split()
    key, base = f"{op}/{dtype}/{mode}/{kind}", f"{op}/{dtype}/eager/{kind}"
    low, high, some, every = (arrays[f"{key}/{what}"] for what in ("low", "high", "some", "every"))
    want, bottom = reference[f"{base}/low"], reference[f"{base}/every"]
    n = len(want)
    given = lanes(op, dtype, kind, n)
    counted = _counted(framework, given, want)
    unsound = ~(np.isfinite(low) & np.isfinite(high)) | (every & ((low != 0) | (high != 0)))
    own = budget(framework, op)
    against = None
    if framework != "numpy":
        differ = counted & ((some != bottom) | (every != bottom) | unsound)
        cause = arrays.get(f"{key}/cause")
        causes = (
            None if cause is None else int((counted & (cause != reference[f"{base}/cause"])).sum())
        )
        against = int(differ.sum()), ulps(low, high, want, counted & ~bottom & ~some), causes
    known = oracle(op, dtype, kind, n)
    truth = None
    if known is not None:
        has, value, undefined = known
        seen = has & counted
        differ = seen & ((some != undefined) | (every != undefined) | unsound)
        truth = (
            int(differ.sum()),
            ulps(low, high, value, seen & ~undefined & ~some),
            int(seen.sum()),
        )
    shared = own + budget("numpy", op)
    good = all(
        not wrong and (found is None or found.max <= allowed) and not causes_differ
        for wrong, found, allowed, causes_differ in (
            (*against[:2], shared, against[2]) if against else (0, None, 0, 0),
            (*truth[:2], own, 0) if truth else (0, None, 0, 0),
        )
    )
    return Cell(
        op=op,
        backend=backend,
        dtype=dtype,  # type: ignore[arg-type] # checked by the model
        lane_class=kind,
        lanes=n,
        compared=int(counted.sum()),
        mask_mismatches=against[0] if against else None,
        ulp=against[1] if against else None,
        ulp_budget=float(shared),
        oracle_lanes=truth[2] if truth else 0,
        oracle_mask_mismatches=truth[0] if truth else None,
        oracle_ulp=truth[1] if truth else None,
        oracle_ulp_budget=float(own),
        cause_mismatches=against[2] if against else None,
        lanes_per_s=numbers[key],
        first_call_s=numbers[f"{op}/{dtype}/{mode}/compile"] if kind == "ordinary" else None,
        holds=good,
        note=FLUSHES if not counted.all() else None,
    )


def verdict(cells: list[Cell]) -> Verdict:
    """The sums over all cells."""
    masks = sum((c.mask_mismatches or 0) + (c.oracle_mask_mismatches or 0) for c in cells)
    causes = sum(c.cause_mismatches or 0 for c in cells)
    over = sum(
        (c.ulp is not None and c.ulp.max > c.ulp_budget)
        + (c.oracle_ulp is not None and c.oracle_ulp.max > c.oracle_ulp_budget)
        for c in cells
    )
    return Verdict(
        holds=all(c.holds for c in cells),
        mask_mismatches=masks,
        cause_mismatches=causes,
        over_budget=over,
        cells=len(cells),
    )


def curve_points(backend: str, dtype: str, arrays: Mapping[str, Array]) -> list[CurvePoint]:
    """Coverage, error and |Q| at every threshold of one backend and dtype."""
    prefix = f"curve/{dtype}/{backend.split()[1]}"
    modulus = np.abs(arrays[f"{prefix}/q"].astype(float))
    made = []
    for k, tau in enumerate(_parity_curve.TAUS):
        decoded, bottom = arrays[f"{prefix}/{k}/decoded"], arrays[f"{prefix}/{k}/bottom"]
        found, on_pole = _parity_curve.relative_errors(decoded, bottom)
        kept = modulus[~bottom]
        p50, p95 = np.quantile(found, [0.5, 0.95]) if found else (0.0, 0.0)
        p01, middle = np.quantile(kept, [0.01, 0.5]) if kept.size else (0.0, 0.0)
        made.append(
            CurvePoint(
                backend=backend,
                dtype=dtype,  # type: ignore[arg-type] # checked by the model
                tau_infer=tau,
                coverage=float((~bottom).mean()),
                accepted_on_pole=on_pole,
                relative_error=Errors(p50=float(p50), p95=float(p95), max=max(found))
                if found
                else None,
                denominators=Quantiles(
                    min=float(kept.min()), p01=float(p01), p50=float(middle), max=float(kept.max())
                )
                if kept.size
                else None,
            )
        )
    return made


def first_difference(
    backend: str, single: Mapping[str, Array], double: Mapping[str, Array]
) -> FirstDifference:
    """Going down the sweep, the first threshold at which the two dtypes decide differently."""
    mode = backend.split()[1]
    for k, tau in reversed(list(enumerate(_parity_curve.TAUS))):
        lanes_differ = int(
            (
                single[f"curve/float32/{mode}/{k}/bottom"]
                != double[f"curve/float64/{mode}/{k}/bottom"]
            ).sum()
        )
        if lanes_differ:
            return FirstDifference(backend=backend, tau_infer=tau, lanes=lanes_differ)
    return FirstDifference(backend=backend, tau_infer=None, lanes=0)
