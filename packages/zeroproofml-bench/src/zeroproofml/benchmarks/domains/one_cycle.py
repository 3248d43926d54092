"""The one-cycle schedule (Smith and Topin 2018): up to a peak rate by a cosine, then down to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_START, _END = 25.0, 1e4
_BETA1 = (0.95, 0.85)


def rates(steps: int, peak: float, warm_up: float) -> Array:
    """Learning rates (steps,): from 1/25 of the peak up over a share ``warm_up`` of the steps, then
    down to 1/10,000 of the start.

    >>> made = rates(100, 2e-3, 0.05)
    >>> [round(1e9 * float(rate)) for rate in (made[0], made.max(), made[-1])]
    [80000, 2000000, 8]
    """
    start = peak / _START
    return _cycle(steps, warm_up, start, peak, start / _END)


def momenta(steps: int, warm_up: float) -> Array:
    """β₁ of Adam (steps,), which runs against the rate: 0.95, down to 0.85 at the peak, 0.95.

    >>> made = momenta(100, 0.05)
    >>> [round(float(beta), 3) for beta in (made[0], made.min(), made[-1])]
    [0.95, 0.85, 0.95]
    """
    high, low = _BETA1
    return _cycle(steps, warm_up, high, low, high)


def _cycle(steps: int, warm_up: float, first: float, middle: float, last: float) -> Array:
    step = np.arange(steps, dtype=float)
    top, end = warm_up * steps - 1.0, steps - 1.0
    # So few steps have no warm-up: the peak lies before the first of them.
    up = step / top if top > 0 else np.ones(steps)
    down = (step - top) / max(end - top, 1e-12)
    rising = middle + (first - middle) / 2 * (1 + np.cos(np.pi * np.clip(up, 0, 1)))
    falling = last + (middle - last) / 2 * (1 + np.cos(np.pi * np.clip(down, 0, 1)))
    return np.where(step <= top, rising, falling)
