"""A domain's part in the reader: arms, settings, metrics as functions of stored arrays, claims.

Bench fills results with the very functions found here, so a recomputed metric is the same call.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zeroproofml.report.contract import Claim, MetricDefinition
    from zeroproofml.report.rundir import RawRun

    Arrays = Mapping[str, NDArray[np.generic]]

__all__ = ["DOMAINS", "Arm", "ArmMetrics", "Protocol", "get", "register", "with_shared"]

DOMAINS = ("dose", "rf", "ik")

Settings = Mapping[str, Any]
Members = Mapping[str, tuple[str, tuple[int | None, ...]]]


@dataclass(frozen=True)
class Arm:
    """One method of a protocol.

    ``needs`` are arms that must run with it, ``modes`` those that it runs in (empty: in all).

    Examples
    --------
    >>> Arm("mlp", "MLP", "learned").needs
    ()
    >>> Arm("mlp_deep", "deep MLP", "learned", modes=("paper",)).runs_in("smoke")
    False
    """

    key: str
    label: str
    role: Literal["learned", "hybrid", "analytic", "floor", "ceiling"]
    needs: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()

    def runs_in(self, mode: str) -> bool:
        """Whether a run of ``mode`` has this arm."""
        return not self.modes or mode in self.modes


@dataclass(frozen=True)
class ArmMetrics:
    """The metrics of one arm in one seed; ``reasons`` has a code for exactly the null ones."""

    metrics: dict[str, float | None]
    reasons: dict[str, str]


def _no_aggregates(run: RawRun) -> dict[str, object]:
    del run
    return {}


def _no_figures(run: RawRun, derived: Mapping[str, Any]) -> list[Any]:
    del run, derived
    return []


@dataclass(frozen=True)
class Protocol:
    """The law of one benchmark: arms, settings of each mode, metrics, claims.

    ``seed_metrics(arrays, settings, arms)`` gives every arm's metrics from the arrays of one seed
    (predictions, and shared data sets as named by :func:`with_shared`). ``members(settings, arms)``
    is the allow-list of ``predictions.npz``: name to (dtype such as ``"<f8"``, shape; None = any).
    ``aggregates(run)`` gives the domain's derived files, and ``figures(run, derived)`` draws from them.
    """

    domain: str
    name: str
    version: int
    arms: tuple[Arm, ...]
    reference_arm: str
    required_arms: tuple[str, ...]
    metric_set: tuple[str, int]
    settings: Mapping[str, Settings]
    seeds: Mapping[str, int]
    dtype: str
    threads: int
    metrics: Mapping[str, MetricDefinition]
    declared_metrics: tuple[str, ...]
    claims: tuple[Claim, ...]
    seed_metrics: Callable[[Arrays, Settings, Sequence[str]], dict[str, ArmMetrics]]
    members: Callable[[Settings, Sequence[str]], Members]
    aggregates: Callable[[RawRun], dict[str, object]] = field(default=_no_aggregates)
    figures: Callable[[RawRun, Mapping[str, Any]], list[Any]] = field(default=_no_figures)


_registered: dict[tuple[str, str], Protocol] = {}


def register(protocol: Protocol) -> None:
    """Make ``protocol`` known to :func:`get`; a later one of the same name replaces it.

    Examples
    --------
    >>> register(get("ik"))  # doctest: +SKIP
    """
    _registered[protocol.domain, protocol.name] = protocol


def get(domain: str, protocol: str = "standard") -> Protocol:
    """The protocol of a domain.

    Raises
    ------
    UsageError
        If there is none of that name; the message lists the choices.

    Examples
    --------
    >>> get("chess")
    Traceback (most recent call last):
    zeroproofml.report.errors.UsageError: unknown domain 'chess'; choose one of dose, rf, ik
    """
    if (found := _registered.get((domain, protocol))) is not None:
        return found
    mine = [name for known, name in _registered if known == domain]
    if domain in DOMAINS:
        module = importlib.import_module(f"{__name__}.{domain}")
        choices: dict[str, Protocol] = module.PROTOCOLS
        if protocol in choices:
            return choices[protocol]
        mine += [name for name in choices if name not in mine]
    elif not mine:
        known = [*DOMAINS, *sorted({name for name, _ in _registered} - set(DOMAINS))]
        msg = f"unknown domain {domain!r:.80}"
        raise UsageError(msg, hint=f"choose one of {', '.join(known)}")
    msg = f"domain {domain} has no protocol {protocol!r:.80}"
    raise UsageError(msg, hint=f"choose one of {', '.join(mine)}")


def with_shared(arrays: Arrays, shared: Mapping[str, Arrays]) -> dict[str, NDArray[np.generic]]:
    """A seed's arrays and those of its shared data sets, under ``data__<data set>__<member>``.

    This is the mapping that ``seed_metrics`` gets, in bench and in the reader alike.

    Examples
    --------
    >>> import numpy as np
    >>> sorted(with_shared({"a__y": np.zeros(1)}, {"test": {"x": np.ones(1)}}))
    ['a__y', 'data__test__x']
    """
    made = dict(arrays)
    for name, members in shared.items():
        for member, values in members.items():
            made[f"data__{name}__{member}"] = values
    return made
