"""Coverage against accuracy of one committed rational head with known poles.

The head's coefficients and points are exact in every binary format, so what differs between dtypes
and backends is the evaluation alone, and the truth is a fraction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from _parity_worker import Framework

HEAD = Path(__file__).with_name("rational_head.json")
TAUS = tuple(10.0**k for k in range(-9, 1))


@dataclass(frozen=True)
class Head:
    """P and Q from the lowest degree up, and the roots of Q (one of them no binary number)."""

    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    poles: tuple[Fraction, ...]

    def exact(self, x: float) -> tuple[Fraction, Fraction]:
        """P and Q at a point, without rounding."""
        at = Fraction(x)
        p, q = (
            sum((Fraction(c) * at**k for k, c in enumerate(row)), Fraction(0))
            for row in (self.numerator, self.denominator)
        )
        return p, q


@cache
def load_head() -> Head:
    """Read the committed head."""
    data = json.loads(HEAD.read_text(encoding="utf-8"))
    return Head(
        tuple(data["numerator"]), tuple(data["denominator"]), tuple(map(Fraction, data["poles"]))
    )


def points() -> np.ndarray[Any, np.dtype[np.float32]]:
    """An even grid on [-1, 1] and points that close in on every pole; all exact in float32."""
    close = [s * 2.0**-k for k in range(2, 26) for s in (-1.5, -1.25, -1.0, 1.0, 1.25, 1.5)]
    near = [float(pole) + d for pole in load_head().poles for d in (0.0, *close)]
    grid = np.arange(-512, 513) / 512
    return np.unique(np.clip(np.concatenate([grid, near]), -1, 1).astype(np.float32))


def run(loaded: Framework, mode: str, dtype: str) -> dict[str, Any]:
    """Evaluate the head in one mode, and decide at every threshold.

    Returns:
        Arrays under "curve/<dtype>/<mode>/": Q, and per threshold what was decoded and its mask.
    """
    from zeroproofml.scm import InferenceConfig
    from zeroproofml.scm.formulas import basis

    head, xp = load_head(), loaded.namespace
    x = loaded.put(points().astype(dtype))
    numerator, denominator = (
        loaded.put(np.array(row, dtype)) for row in (head.numerator, head.denominator)
    )

    def evaluate(v: Any, p: Any, q: Any) -> tuple[Any, Any]:
        return basis.evaluate(p, v, xp=xp), basis.evaluate(q, v, xp=xp)

    p, q = loaded.transform(mode, evaluate)(x, numerator, denominator)
    made = {f"curve/{dtype}/{mode}/q": np.asarray(q)}
    for k, tau in enumerate(TAUS):
        result = loaded.strict(p, q, InferenceConfig(tau_infer=tau))
        made[f"curve/{dtype}/{mode}/{k}/decoded"] = np.asarray(result.decoded)
        made[f"curve/{dtype}/{mode}/{k}/bottom"] = np.asarray(result.bottom_mask)
    return made


def relative_errors(decoded: Any, bottom: Any) -> tuple[list[float], int]:
    """|decoded − P/Q| / |P/Q| of the accepted lanes, in exact rationals.

    Returns:
        The errors, and how many accepted lanes lie exactly on a pole (they have none).
    """
    found = [
        _error(float(x), float(value))
        for x, value, is_bottom in zip(points(), decoded, bottom, strict=True)
        if not is_bottom
    ]
    return [e for e in found if e is not None], found.count(None)


@cache
def _error(x: float, value: float) -> float | None:
    """One lane's error; most lanes decode alike at every threshold and on every backend."""
    p, q = load_head().exact(x)
    return None if q == 0 else float(abs(Fraction(value) * q / p - 1))
