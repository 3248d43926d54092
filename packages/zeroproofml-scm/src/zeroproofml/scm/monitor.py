"""Counting ⊥ in operation: rates since the start and over a window, and an event at each limit.

Host-side and framework-free: masks of any framework are moved to host memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.formulas.strict import InferenceResult

__all__ = ["Event", "Rate", "StrictInferenceMonitor", "to_host"]

_NAMES = ("bottom", "gap", "accept", "fault", "semantic", "hazard", "routed")
_Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def to_host(x: Any) -> NDArray[Any]:
    """An array of any framework as a NumPy array.

    >>> to_host(np.array([1.0]))
    array([1.])
    """
    if hasattr(x, "detach"):  # torch: NumPy cannot see tensors on a device or with a gradient
        x = x.detach().cpu()
    return np.asarray(x)


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``n`` lanes, their ratio, and its Wilson 95 % interval."""

    count: int
    n: int
    rate: float
    low: float
    high: float


class Event(NamedTuple):
    """The windowed rate ``name`` has just passed ``limit``."""

    name: str
    limit: float
    rate: Rate


def _wilson(count: int, n: int) -> Rate:
    share = count / n
    shrink = 1.0 + _Z * _Z / n
    centre = (share + _Z * _Z / (2 * n)) / shrink
    half = _Z / shrink * math.sqrt(share * (1.0 - share) / n + _Z * _Z / (4 * n * n))
    # The exact end points, which rounding would miss by an ulp.
    low = 0.0 if count == 0 else centre - half
    high = 1.0 if count == n else centre + half
    return Rate(count, n, share, low, high)


class _Window:
    """The last ``size`` lanes of one mask, and totals since the start."""

    __slots__ = ("count", "n", "recent")

    def __init__(self) -> None:
        self.count = 0
        self.n = 0
        self.recent: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def extend(self, lanes: NDArray[np.bool_], size: int) -> None:
        self.count += int(np.count_nonzero(lanes))
        self.n += int(lanes.size)
        self.keep(lanes, size)

    def keep(self, lanes: NDArray[np.bool_], size: int) -> None:
        held = max(0, size - lanes.size)
        old = self.recent[self.recent.size - min(held, self.recent.size) :]
        self.recent = np.concatenate([old, lanes[max(0, lanes.size - size) :]])


class StrictInferenceMonitor:
    """Counts what strict inference decides, in memory of O(window).

    The names: bottom, gap, accept (neither), fault, semantic, hazard, routed. A rate is divided by
    the lanes that carried its mask, so a mask that came with some calls only is not diluted.

    Args:
        window: number of most recent lanes behind ``window_rates`` and the limits, >= 1.
        limits: name -> limit in [0, 1]. A windowed rate above it emits an event; for "accept" a
            rate below it does. The next event of that name needs a return to the good side first.

    Raises:
        SCMValueError: a window below 1, an unknown name, or a limit out of range.

    >>> monitor = StrictInferenceMonitor(window=4, limits={"bottom": 0.5})
    >>> monitor.update(bottom=np.array([True, False]))
    []
    >>> [event.name for event in monitor.update(bottom=np.array([True, True]))]
    ['bottom']
    >>> monitor.rates()["bottom"].rate
    0.75
    """

    def __init__(self, window: int = 10_000, *, limits: Mapping[str, float] | None = None) -> None:
        whole: object = window
        if isinstance(whole, bool) or not isinstance(whole, int) or whole < 1:
            msg = f"window must be a whole number >= 1, got {window!r}"
            raise SCMValueError(msg)
        self._window = window
        self._limits = dict(limits or {})
        for name, limit in self._limits.items():
            _known(name)
            if not 0.0 <= limit <= 1.0:
                msg = f"limit of {name} must be in [0, 1], got {limit}"
                raise SCMValueError(msg)
        self._lanes: dict[str, _Window] = {}
        self._passed: set[str] = set()

    def update(self, result: InferenceResult | None = None, /, **masks: Any) -> list[Event]:
        """Count one batch.

        Args:
            result: gives bottom, gap, accept, fault and semantic.
            **masks: bool masks by name, besides or instead of the result's.

        Returns:
            The events of this batch; empty if no limit was newly passed.

        Raises:
            SCMTypeError: a mask that is not bool.
            SCMValueError: an unknown name, or masks of unequal shape; nothing is counted then.

        >>> StrictInferenceMonitor().update(hazard=np.array([False]))
        []
        """
        given = dict(masks)
        if result is not None:
            given = {
                "bottom": result.bottom_mask,
                "gap": result.gap_mask,
                "accept": ~(result.bottom_mask | result.gap_mask),
                "fault": result.fault_mask,
                "semantic": result.semantic_bottom_mask,
            } | given
        lanes = {name: _bool_lanes(name, mask) for name, mask in given.items()}
        shapes = {name: mask.shape for name, mask in lanes.items()}
        if len(set(shapes.values())) > 1:
            msg = f"masks of one update must have one shape, got {shapes}; update per mask"
            raise SCMValueError(msg)
        for name, mask in lanes.items():
            self._lanes.setdefault(name, _Window()).extend(mask.ravel(), self._window)
        return [event for name in lanes if (event := self._event(name)) is not None]

    def _event(self, name: str) -> Event | None:
        if name not in self._limits or not self._lanes[name].recent.size:
            return None
        limit, rate = self._limits[name], self.window_rates()[name]
        if not self._beyond(name):
            self._passed.discard(name)
            return None
        if name in self._passed:
            return None
        self._passed.add(name)
        return Event(name, limit, rate)

    def _beyond(self, name: str) -> bool:
        recent, limit = self._lanes[name].recent, self._limits[name]
        if not recent.size:
            return False
        rate = np.count_nonzero(recent) / recent.size
        return bool(rate < limit if name == "accept" else rate > limit)

    def rates(self) -> dict[str, Rate]:
        """Rates since the start, for every name that has seen a lane.

        >>> monitor = StrictInferenceMonitor()
        >>> _ = monitor.update(gap=np.array([True, False]))
        >>> monitor.rates()["gap"].rate
        0.5
        """
        return {name: _wilson(w.count, w.n) for name in _NAMES if (w := self._seen(name))}

    def window_rates(self) -> dict[str, Rate]:
        """Rates over the last ``window`` lanes of each name.

        >>> monitor = StrictInferenceMonitor(window=1)
        >>> _ = monitor.update(gap=np.array([True, False]))
        >>> monitor.window_rates()["gap"].rate
        0.0
        """
        return {
            name: _wilson(int(np.count_nonzero(w.recent)), int(w.recent.size))
            for name in _NAMES
            if (w := self._seen(name))
        }

    def _seen(self, name: str) -> _Window | None:
        window = self._lanes.get(name)
        return window if window is not None and window.n else None

    def merge(self, other: StrictInferenceMonitor) -> StrictInferenceMonitor:
        """A new monitor that has seen this one's lanes and then the other's; limits are this one's.

        Raises:
            SCMValueError: windows of unequal length.

        >>> a, b = StrictInferenceMonitor(), StrictInferenceMonitor()
        >>> _ = a.update(gap=np.array([True])), b.update(gap=np.array([False]))
        >>> a.merge(b).rates()["gap"].n
        2
        """
        if self._window != other._window:
            msg = f"windows must be equal to merge, got {self._window} and {other._window}"
            raise SCMValueError(msg)
        merged = StrictInferenceMonitor(self._window, limits=self._limits)
        for source in (self, other):
            for name, window in source._lanes.items():
                into = merged._lanes.setdefault(name, _Window())
                into.count += window.count
                into.n += window.n
                into.keep(window.recent, self._window)
        # What is beyond its limit now has been reported by the monitor that saw it happen.
        merged._passed = {name for name in merged._lanes if name in self._limits}
        merged._passed = {name for name in merged._passed if merged._beyond(name)}
        return merged

    def state(self) -> dict[str, Any]:
        """Everything, as plain JSON values; the window's lanes as a string of 0 and 1.

        >>> StrictInferenceMonitor(window=3).state()
        {'window': 3, 'limits': {}, 'passed': [], 'lanes': {}}
        """
        return {
            "window": self._window,
            "limits": dict(self._limits),
            "passed": sorted(self._passed),
            "lanes": {
                name: {
                    "count": w.count,
                    "n": w.n,
                    "recent": (w.recent + ord("0")).astype(np.uint8).tobytes().decode("ascii"),
                }
                for name, w in self._lanes.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StrictInferenceMonitor:
        """The monitor whose ``state()`` this is.

        Raises:
            SCMValueError: a state that no monitor has written.

        >>> monitor = StrictInferenceMonitor(window=3)
        >>> _ = monitor.update(gap=np.array([True, False]))
        >>> StrictInferenceMonitor.from_state(monitor.state()).rates() == monitor.rates()
        True
        """
        try:
            monitor = cls(state["window"], limits=state["limits"])
            for name, data in state["lanes"].items():
                _known(name)
                window = monitor._lanes.setdefault(name, _Window())
                window.count, window.n = int(data["count"]), int(data["n"])
                window.recent = np.frombuffer(data["recent"].encode("ascii"), np.uint8) == ord("1")
            monitor._passed = set(state["passed"])
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as error:
            msg = f"not a monitor's state ({type(error).__name__}: {error}); pass what state() gave"
            raise SCMValueError(msg) from error
        return monitor


def _known(name: str) -> None:
    if name not in _NAMES:
        msg = f"unknown mask {name!r}; the names are {', '.join(_NAMES)}"
        raise SCMValueError(msg)


def _bool_lanes(name: str, mask: Any) -> NDArray[np.bool_]:
    _known(name)
    lanes = to_host(mask)
    if lanes.dtype != np.bool_:
        msg = f"mask {name} must be bool, not {lanes.dtype}"
        raise SCMTypeError(msg)
    return lanes
