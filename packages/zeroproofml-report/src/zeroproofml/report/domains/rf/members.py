"""Which arrays a seed stores: names, dtypes, shapes. What is not listed here is refused.

Rows are the test devices of the shared data set ``test`` in its order: the four stable bins, then
the oscillating devices (``neg``), then those on the axis. An identification arm answers only the
first ``ident`` devices of each stable bin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Members = dict[str, tuple[str, tuple[int | None, ...]]]

BINS = ("in", "q100", "q300", "q1000")
"""Stable sets by their code 0 … 3."""
NEG, AXIS = 4, 5
"""Codes of the two sets without a steady state."""
LANES = 288
POLES = 20
PATH_POINTS = 25
SECTION_ARMS = ("scm_rational", "scm_rational_abs", "rational_softplus", "two_stage")
IDENT_ARMS = ("ident_sk", "ident_vf", "ident_aaa")
MLP_ARMS = ("mlp_rel", "mlp_abs", "mlp_deep")
SCORE_ARMS = ("knn_score", "gate_score")
"""Predictions of scm_rational, refused by a score of their own."""
SHARED_HEAD = dict.fromkeys(("rational_plain", "rational_eps", *SCORE_ARMS), "scm_rational")
"""Arm → the arm whose sections it answers with."""

CLASSIC_LANES = 320
COEFFICIENT_ARMS = ("scm_transfer", "scm_transfer_rel", "two_stage")
ROW_ARMS = (
    "rational_transfer",
    "scm_decoupled",
    "mlp_silu",
    "mlp_relu",
    "mlp_deep_silu",
    "mlp_iso_silu",
)
REFUSING_ROWS = (*COEFFICIENT_ARMS, "rational_transfer", "scm_decoupled")
"""Arms of classic that may be ⊥ in a row."""


def sizes(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Stable devices, and all test devices.

    >>> sizes({"stable": 16, "neg": 12, "axis": 4})
    (64, 80)
    """
    stable = len(BINS) * settings["stable"]
    return stable, stable + settings["neg"] + settings["axis"]


def ident_rows(settings: Mapping[str, Any], count: int | None = None) -> NDArray[np.int64]:
    """Test devices that the identification arms answer: the first ``ident`` of each stable bin.

    ``count`` replaces ``ident``: the samples of less noise exist for the first ``ident_clean``.

    >>> ident_rows({"stable": 4, "ident": 2}).tolist()
    [0, 1, 4, 5, 8, 9, 12, 13]
    """
    first = np.arange(settings["ident"] if count is None else count)
    rows: NDArray[np.int64] = np.concatenate(
        [first + settings["stable"] * code for code in range(len(BINS))]
    )
    return rows


def standard(settings: Mapping[str, Any], arms: Sequence[str]) -> Members:
    """Members of ``predictions.npz`` in the standard protocol: name → (dtype, shape)."""
    stable, test = sizes(settings)
    ident, clean = (len(BINS) * settings[key] for key in ("ident", "ident_clean"))
    out: Members = {}
    for arm in arms:
        if arm in SECTION_ARMS:
            out[f"{arm}__sections"] = ("<f8", (test, 2, 4))
            out[f"{arm}__path_sections"] = ("<f8", (PATH_POINTS, 2, 4))
            out[f"{arm}__device_bottom"] = ("|b1", (test,))
            out[f"{arm}__device_cause"] = ("|u1", (test,))
            out[f"{arm}__lane_bottom"] = ("|b1", (stable, LANES))
        elif arm in MLP_ARMS:
            out[f"{arm}__response"] = ("<c8", (stable, LANES))
        elif arm in SCORE_ARMS:
            out[f"{arm}__score"] = ("<f8", (test,))
            out[f"{arm}__threshold"] = ("<f8", (1,))
        elif arm in IDENT_ARMS:
            out[f"{arm}__response"] = ("<c8", (ident, LANES))
            out[f"{arm}__response_sigma0"] = ("<c8", (clean, LANES))
            out[f"{arm}__response_sigma3"] = ("<c8", (clean, LANES))
            out[f"{arm}__device_bottom"] = ("|b1", (ident,))
            out[f"{arm}__device_cause"] = ("|u1", (ident,))
            out[f"{arm}__poles"] = ("<c16", (ident, POLES))
            out[f"{arm}__pole_mask"] = ("|b1", (ident, POLES))
    return out


def classic(settings: Mapping[str, Any], arms: Sequence[str]) -> Members:
    """Members of ``predictions.npz`` in the classic protocol: name → (dtype, shape)."""
    devices, points = settings["test"], settings["points"]
    out: Members = {
        "data__omega0": ("<f8", (devices,)),
        "data__q": ("<f8", (devices,)),
        "data__omega": ("<f8", (devices, points)),
        "data__target": ("<c8", (devices, points)),
    }
    for arm in arms:
        if arm in COEFFICIENT_ARMS:
            out[f"{arm}__coefficients"] = ("<f8", (devices, 3))
        elif arm in ROW_ARMS:
            out[f"{arm}__rows"] = ("<c8", (devices, points))
            out[f"{arm}__response"] = ("<c8", (devices, CLASSIC_LANES))
        if arm in REFUSING_ROWS:
            out[f"{arm}__rows_bottom"] = ("|b1", (devices, points))
    return out
