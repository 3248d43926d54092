"""The arrays of one seed: names, dtypes and shapes. Whoever writes or reads them asks here.

``<arm>__<set>_<column>`` for every set of curves (cal, test, and the stress sets of the mode):
score, direction and point float32 and cause uint8 at accept-all (payload 0 where it is a fault);
``q`` the signed Q of the unit tuple, ``orient`` its P where the direction is another number,
``prob`` (n, 3) of below, in range, above, ``sd`` in decades. Targets of the calibration set are
``data__cal_<name>``; test and stress targets lie in the shared data sets of the same names, as
``data__<set>__<name>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.domains.dose.arms import arms as declared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TARGETS", "members", "sets"]

TARGETS = {"label": "|u1", "l_microdecades": "<i4", "no_effect": "|b1"}
"""Target columns → dtype; L is kept in millionths of a decade."""
_EVERY = {"score": "<f4", "direction": "<f4", "point": "<f4", "cause": "|u1"}
_EXTRA = {"q": "<f4", "orient": "<f4", "prob": "<f4", "sd": "<f4"}


def sets(settings: Mapping[str, Any]) -> dict[str, int]:
    """Sets of curves that every arm answers → number of curves.

    >>> sets({"calibration": 4, "test": 8, "stress": {"noise2": 2}})
    {'cal': 4, 'test': 8, 'noise2': 2}
    """
    return {"cal": settings["calibration"], "test": settings["test"], **settings["stress"]}


def members(
    protocol: str, settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Members that predictions.npz holds: name → (dtype, shape).

    >>> sizes = {"calibration": 4, "test": 8, "stress": {}}
    >>> members("standard", sizes, ["constant"])["constant__test_cause"]
    ('|u1', (8,))
    """
    known = declared(protocol)
    out: dict[str, tuple[str, tuple[int | None, ...]]] = {
        f"data__cal_{name}": (dtype, (settings["calibration"],)) for name, dtype in TARGETS.items()
    }
    for arm in arms:
        columns = _EVERY | {name: _EXTRA[name] for name in known[arm].columns}
        for where, n in sets(settings).items():
            for name, dtype in columns.items():
                shape = (n, 3) if name == "prob" else (n,)
                out[f"{arm}__{where}_{name}"] = (dtype, shape)
    return out
