"""What an arm stores for the frozen test devices. Decoding and metrics are the report's functions.

Everything is converted to its stored dtype here, before any number is computed from it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks.domains.rf import data, fits
from zeroproofml.report.domains.rf import device, members, sections
from zeroproofml.scm.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroproofml.benchmarks.domains.rf.data import Array, Designs, Samples
    from zeroproofml.benchmarks.domains.rf.fits import Fit

NEIGHBOURS = 5
QUANTILE = 0.05
"""Share of calibration devices that the distance score may refuse."""
DECADES = (1e-3, 3e-3, 1e-2, 3e-2, 0.1)
"""Edges of abs δ at which recall is told apart."""
CLEAN = {0: "response_sigma0", 1: "response_sigma3"}
"""Noise level of the easier identification samples → the array of their answers."""


@dataclass(frozen=True)
class Bench:
    """One seed's data: three samples of the training law, and the frozen test set of the mode."""

    seed: int
    settings: Mapping[str, Any]
    train: Samples
    validation: Samples
    calibration: Designs
    bottom: Designs
    test: dict[str, Array]

    @classmethod
    def of(cls, settings: Mapping[str, Any], seed: int) -> Bench:
        """Draw everything that the settings of a mode ask for."""
        points = settings["samples"]
        return cls(
            seed,
            settings,
            data.samples(seed, "data.train", settings["train"], points),
            data.samples(seed, "data.validation", settings["validation"], points),
            data.calibration(seed, settings["calibration"]),
            data.gate_bottom(seed, settings["gate_bottom"]),
            data.frozen(settings),
        )


def head_members(bench: Bench, answer: Callable[[Array], Array]) -> dict[str, Array]:
    """Members of a section arm; ``answer`` maps features (n, 5) to sections (n, 2, 4).

    The decision is taken by strict decoding now, and again by every reader.
    """
    made = _finite(answer(data.features(bench.test["design"])))
    omega = bench.test["omega"]
    cause = sections.device_cause(made)
    stable = len(omega)
    lanes = np.asarray(sections.decode(made[:stable], omega).cause != 0)
    return {
        "sections": made,
        "device_bottom": np.asarray(cause != 0),
        "device_cause": cause,
        "lane_bottom": lanes & (cause[:stable, None] == 0),
        "path_sections": _finite(answer(data.features(device.path()[0]))),
    }


def _finite(made: Array) -> Array:
    """A device without finite sections gets zeros, which are no pair of poles and so a fault."""
    fine = np.asarray(np.isfinite(made).all(axis=(1, 2)))
    return np.ascontiguousarray(np.where(fine[:, None, None], made, 0.0))


def refusals(bench: Bench, head: Array) -> tuple[dict[str, Any], dict[str, str]]:
    """Diagnostics of sections (n, 2, 4) beside their metrics, and the reason of each null.

    ``tau_sweep``: refused share of every test set at several thresholds on V. ``abs_delta_recall``:
    refused share of the oscillating devices by size of δ, at the protocol's threshold.
    """
    codes, delta = bench.test["set"], bench.test["delta"]
    sweep = []
    for tau in sections.SWEEP:
        refused = sections.device_cause(head, tau) != 0
        shares = [_share(refused[codes == code]) for code in range(members.AXIS + 1)]
        false = dict(zip(members.BINS, shares, strict=False))
        sweep.append(
            {
                "tau": tau,
                "recall_neg": shares[members.NEG],
                "recall_axis": shares[members.AXIS],
                "false_bottom": false,
            }
        )
    refused = sections.device_cause(head) != 0
    rows, nulls = [], {}
    for row, (low, high) in enumerate(itertools.pairwise(DECADES)):
        mine = (codes == members.NEG) & (-delta >= low) & (-delta < high)
        recall = _share(refused[mine]) if mine.any() else None
        rows.append({"low": low, "high": high, "devices": int(mine.sum()), "recall": recall})
        if recall is None:
            nulls[f"diagnostics.abs_delta_recall.{row}.recall"] = "empty_set"
    return {"tau_sweep": sweep, "abs_delta_recall": rows}, nulls


def _share(mask: Array) -> float:
    return float(np.count_nonzero(mask)) / len(mask)


def distances(bench: Bench, design: Array) -> Array:
    """Score (n,) of devices: minus the mean distance to the five nearest training designs.

    Features are scaled by their standard deviation over the training designs; the mean of a
    standardisation would change no distance.
    """
    known = data.features(bench.train.devices.design)
    apart = (data.features(design)[:, None, :] - known) / known.std(axis=0)
    nearest = np.partition(np.sqrt((apart * apart).sum(axis=2)), NEIGHBOURS - 1, axis=1)
    made: Array = -np.sort(nearest[:, :NEIGHBOURS], axis=1).mean(axis=1)
    return made


def neighbour_members(bench: Bench) -> dict[str, Array]:
    """Members of ``knn_score``: distance scores, and their 5 % quantile over calibration devices."""
    threshold = np.quantile(distances(bench, bench.calibration.design), QUANTILE)
    return {
        "score": distances(bench, bench.test["design"]),
        "threshold": np.array([threshold]),
    }


METHODS: dict[str, Callable[[Array, Array, float], Fit]] = {
    "ident_sk": lambda omega, y, sigma: fits.sanathanan_koerner(omega, y),
    "ident_vf": lambda omega, y, sigma: fits.vector_fit(omega, y).fit(),
    "ident_aaa": fits.aaa,
}


def ident_members(bench: Bench, arm: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Members of an identification arm, and how many of its fits failed."""
    settings = bench.settings
    noisiest = len(data.LEVELS) - 1
    count = settings["ident"]
    lanes = bench.test["omega"].shape[1]
    found = _fit_all(bench, arm, noisiest, count)
    poles = np.zeros((len(found), members.POLES), dtype=np.complex128)
    mask = np.zeros(poles.shape, dtype=np.bool_)
    for row, (_, where) in enumerate(found):
        kept = where[: members.POLES]
        poles[row, : len(kept)], mask[row, : len(kept)] = kept, True
    lost = np.array([response is None for response, _ in found])
    made = {
        "response": _stack([response for response, _ in found], lanes),
        "device_bottom": lost,
        "device_cause": np.where(lost, np.uint8(Cause.NONFINITE), np.uint8(0)),
        "poles": poles,
        "pole_mask": mask,
    }
    failures = int(np.count_nonzero(lost))
    for level, name in CLEAN.items():
        easier = [response for response, _ in _fit_all(bench, arm, level, settings["ident_clean"])]
        made[name] = _stack(easier, lanes)
        failures += sum(response is None for response in easier)
    return made, {"fit_failures": failures}


def _fit_all(bench: Bench, arm: str, level: int, count: int) -> list[tuple[Array | None, Array]]:
    """Response on the judge's grid (None: the fit failed) and poles of the devices that are asked."""
    omega, out = data.ident_omega(), []
    for code in range(len(members.BINS)):
        measured = data.ident_samples(bench.seed, bench.test, code, level, count)
        first = code * bench.settings["stable"]
        for row, y in enumerate(measured, start=first):
            out.append(_fit(METHODS[arm], omega, y, data.LEVELS[level], bench.test["omega"][row]))
    return out


def _fit(
    method: Callable[[Array, Array, float], Fit], omega: Array, y: Array, sigma: float, at: Array
) -> tuple[Array | None, Array]:
    nothing = np.zeros(0, dtype=np.complex128)
    with np.errstate(all="ignore"):
        try:
            made = method(omega, y, sigma)
            response = made.at(at).astype(np.complex64)
        except (np.linalg.LinAlgError, ValueError, ZeroDivisionError):
            return None, nothing  # this device is ⊥ for the method: that is its answer
    if not np.isfinite(response).all():
        return None, nothing
    return response, made.poles


def _stack(rows: list[Array | None], lanes: int) -> Array:
    out = np.zeros((len(rows), lanes), dtype=np.complex64)
    for row, made in enumerate(rows):
        if made is not None:
            out[row] = made
    return out


def fit_train(bench: Bench) -> fits.TwoStage:
    """Vector fits of all training devices, then the regression of their sections."""
    found: list[fits.Pairs | None] = []
    for omega, y in zip(bench.train.omega, bench.train.y, strict=True):
        try:
            made = fits.vector_fit(omega, y)
        except (np.linalg.LinAlgError, ValueError, ZeroDivisionError):
            found.append(None)
            continue
        found.append(made if np.isfinite(made.section()).all() else None)
    return fits.two_stage(data.features(bench.train.devices.design), found)
