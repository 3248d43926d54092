"""The standard protocol as the packaged data declares it: arms, settings, metrics, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroproofml.report.contract.derived import MetricDefinition
from zeroproofml.report.domains import ArmMetrics, packaged
from zeroproofml.report.domains.ik import strata
from zeroproofml.report.domains.ik.metrics import row_metrics
from zeroproofml.report.domains.ik.paths import SUFFIXES, path_metrics
from zeroproofml.report.domains.ik.policies import tag
from zeroproofml.report.domains.ik.rows import BUDGETS, ROBOTS, RobotRows, answer, thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zeroproofml.report.domains.ranking import Value
    from zeroproofml.report.rundir import RawRun

TUPLE_ARMS = {"scm_basic": 2, "scm_full": 1, "scm_chordal": 1, "label_tuple": 1}
"""Arms that store a tuple → number of axes of their Q."""
SCORELESS = ("zero", "mean")
PATH_POLICIES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("rational_eps", "eps_ensemble", "scm_basic", "scm_chordal"), ("",)),
    **dict.fromkeys(("zero", "inverse", "ideal", "tsvd", "dls", "dls_manip"), ("",)),
    **dict.fromkeys(("mlp_pole", "scm_full"), SUFFIXES),
}
"""Arm → suffixes of the policies that drive it along the paths."""
_SET_WORDS = {
    "d5": "smallest singular value 1e-5 to 1e-4",
    "d4": "smallest singular value 1e-4 to 1e-3",
    "d3": "smallest singular value 1e-3 to 1e-2",
    "d2": "smallest singular value 1e-2 to 1e-1",
    "d1": "smallest singular value above 0.1",
    "natural": "natural",
    "pole": "exactly on a pole",
}
_NAMES = {
    "<S>": _SET_WORDS,
    "<H>": {name: words for name, words in _SET_WORDS.items() if name != "natural"},
    "<b>": {tag(b): f"{100 * b:.0f}" for b in BUDGETS},
    "<d>": {"003": "3", "010": "10", "030": "30"},
    "<p>": {"": "free", "_hyb10": "10 % routed", "_stop": "halt on bottom"},
}
_ROBOT_WORDS = {"r2": "unit arm", "ur5": "UR5"}


def seed_metrics(
    arrays: Mapping[str, Any], settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Metrics of ``arms`` from the arrays of one seed, by arm; nulls carry their reason."""
    values: dict[str, dict[str, Value]] = {arm: {} for arm in arms}
    for robot in settings["robots"]:
        rows = RobotRows(arrays, robot)
        best = None
        if f"ideal__{robot}_y" in arrays:
            best = rows.residual(answer(arrays, "ideal", robot, rows.kappa).y)
        for arm in arms:
            found = answer(arrays, arm, robot, rows.kappa)
            limits = thresholds(found, rows.cal, rows.regular, rows.det)
            numbers = row_metrics(rows, found, limits, best)
            numbers.update(path_metrics(arrays, arm, robot))
            values[arm].update({f"{robot}_{name}": value for name, value in numbers.items()})
    return {arm: packaged.split(numbers) for arm, numbers in values.items()}


def members(
    settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Members that predictions.npz may hold: name → (dtype, shape)."""
    out: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for robot, sizes in settings["robots"].items():
        joints = ROBOTS[robot]
        n = sizes["cal"] + 5 * sizes["strata"] + sizes["natural"] + sizes["pole"]
        n += 6 * sizes["flips"]
        paths, steps = sizes["paths"], sizes["path_steps"]
        vector, matrix = (n, joints), (n, joints, joints)
        data = {
            "q": ("<f8", vector),
            "e": ("<f8", vector),
            "jac": ("<f8", matrix),
            "set": ("|i1", (n,)),
            "label": ("|i1", (n,)),
            "family": ("|i1", (n,)),
            "pair": ("<i4", (n,)),
            "sigma": ("<f8", vector),
            "det": ("<f8", (n,)),
            "xyz": ("<f4", (n, 3)),
            "kappa": ("<f8", (1,)),
            "path_sigma": ("<f4", (-(-paths // 4), steps)),
        }
        out.update({f"data__{robot}_{name}": member for name, member in data.items()})
        for arm in arms:
            key = f"{arm}__{robot}_"
            real = "<f8" if arm in EXACT else "<f4"
            out[key + "cause"] = ("|u1", (n,))
            if arm in TUPLE_ARMS:
                out[key + "p"] = (real, vector)
                out[key + "q"] = (real, vector[: TUPLE_ARMS[arm]])
            else:
                out[key + "y"] = (real, vector)
            if arm not in SCORELESS:
                out[key + "score"] = ("<f4", (n,))
            for suffix in PATH_POLICIES.get(arm, ()):
                out[f"{key}path_err{suffix}"] = ("<f4", (paths, steps))
                out[f"{key}path_state{suffix}"] = ("|u1", (paths, steps))
    return out


def aggregates(run: RawRun) -> dict[str, object]:
    """The domain's derived files."""
    return {**strata.aggregates(run)}


def figures(run: RawRun, derived: Mapping[str, Any]) -> list[Any]:
    """The domain's figures; the drawing code is loaded only where something is drawn."""
    from zeroproofml.report.figures import ik

    return [*ik.figures(run, derived)]


def _expanded(entry: Mapping[str, Any]) -> Iterator[tuple[str, MetricDefinition]]:
    mark = next((mark for mark in _NAMES if mark in entry["name"]), None)
    rest = {key: entry[key] for key in ("direction", "unit", "kind")}
    for key, words in _NAMES[mark].items() if mark else [("", "")]:
        name, text = entry["name"], entry["text"]
        if mark:
            name, text = name.replace(mark, key), text.replace(mark, words)
        yield name, MetricDefinition(bounds=tuple(entry["bounds"]), text=text, **rest)


def _definitions(entries: Sequence[Mapping[str, Any]]) -> dict[str, MetricDefinition]:
    out: dict[str, MetricDefinition] = {}
    for robot, words in _ROBOT_WORDS.items():
        for entry in entries:
            for name, definition in _expanded(entry):
                text = f"{words}: {definition.text}"
                out[f"{robot}_{name}"] = definition.model_copy(update={"text": text})
    return out


STANDARD = packaged.load(
    "ik",
    "standard",
    _definitions,
    seed_metrics=seed_metrics,
    members=members,
    aggregates=aggregates,
    figures=figures,
)
EXACT = frozenset(arm.key for arm in STANDARD.arms if arm.role == "ceiling")
"""Arms stored in float64: their ideal values are tested to 1e-9. The others fit the size budget."""
