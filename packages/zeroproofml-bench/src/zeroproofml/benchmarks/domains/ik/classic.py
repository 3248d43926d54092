"""One seed of the classic protocol: the published data and losses of zeroproofml 0.6.1.

The draws are those of the published generator, one by one, so the rows are the same to the last
bit. Initial weights come from our own streams: bytes differ from the published ones, laws do not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, Dataset, SeedOutput
from zeroproofml.benchmarks.domains.ik.analytic import Problem, damped
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.domains.ik.classic import BUCKETS, CLASSIC, EDGES, LEARNED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.benchmarks.domains.ik.kinematics import Array
    from zeroproofml.benchmarks.progress import Progress

PROTOCOL = "classic/1"
LABEL_DAMPING = 0.01
SMALLEST_DET = 1e-8
_NEAR_SHARE, _SPREAD, _KEEP_OUT = 0.3, 1e-3, 2e-3
_COMMAND = 0.1
_QUICK_TRAIN, _QUICK_TEST = 2000, 500


@dataclass(frozen=True)
class Table:
    """Rows in file order, all train before all test: q, e, label (N, 2), bucket and index (N,).

    ``index`` is the place in the draw, ``train`` the number of train rows.
    """

    q: Array
    e: Array
    label: Array
    bucket: Any
    index: Any
    train: int

    def rows(self, which: Any) -> dict[str, Any]:
        """The columns of a selection of rows.

        >>> sorted(generate(512, 1).rows(slice(0, 2)))
        ['bucket', 'e', 'index', 'label', 'q']
        """
        names = ("q", "e", "label", "bucket", "index")
        return {name: np.ascontiguousarray(getattr(self, name)[which]) for name in names}


def jacobian(q: Array) -> Array:
    """Jacobian (N, 2, 2) of the arm with links 1, 1, not scaled.

    >>> jacobian(np.array([[0.0, 0.0]])).tolist()
    [[[0.0, 0.0], [2.0, 1.0]]]
    """
    s1, c1 = np.sin(q[:, 0]), np.cos(q[:, 0])
    s12, c12 = np.sin(q[:, 0] + q[:, 1]), np.cos(q[:, 0] + q[:, 1])
    rows = [np.stack([-s1 - s12, -s12], axis=1), np.stack([c1 + c12, c12], axis=1)]
    out: Array = np.stack(rows, axis=1) + 0.0
    return out


def generate(rows: int, seed: int) -> Table:
    """The published data set: ``rows`` rows from ``RandomState(seed)``, split bucket by bucket.

    >>> table = generate(512, 1)
    >>> np.bincount(table.bucket[:409], minlength=5).tolist()
    [37, 7, 62, 17, 286]
    """
    # The legacy generator is the published law; it is a local object.
    state = np.random.RandomState(seed)
    poses = [(state.uniform(-np.pi, np.pi), 0.0), (state.uniform(-np.pi, np.pi), np.pi)]
    for _ in range(int(_NEAR_SHARE * rows) - 2):
        t1 = state.uniform(-np.pi, np.pi)
        middle = 0.0 if state.random_sample() < 0.5 else np.pi
        poses.append((t1, float(np.clip(state.normal(middle, _SPREAD), -np.pi, np.pi))))
    parts = [np.array(poses)]
    missing = rows - len(poses)
    while missing:
        # As many pairs as are missing, again and again: what is drawn is what a loop would draw.
        pairs = state.uniform(-np.pi, np.pi, (missing, 2))
        parts.append(pairs[np.abs(np.sin(pairs[:, 1])) >= _KEEP_OUT])
        missing -= len(parts[-1])
    q = np.concatenate(parts)
    dx, dy = state.normal(0.0, _COMMAND, rows), state.normal(0.0, _COMMAND, rows)
    e = np.stack([dx, dy], axis=1)
    label = damped(Problem.of(jacobian(q), e), LABEL_DAMPING)
    bucket = np.searchsorted(EDGES, np.abs(np.sin(q[:, 1])), side="left")
    head, tail = [], []
    for number in range(BUCKETS):
        mine = np.flatnonzero(bucket == number)
        cut = round(0.8 * len(mine))
        head.append(mine[:cut])
        tail.append(mine[cut:])
    order = np.concatenate(head + tail)
    index = order.astype(np.int32)
    columns = (q[order], e[order], label[order], bucket[order].astype(np.int8), index)
    return Table(*columns, train=int(0.8 * rows))


def quick_test(bucket: Any, most: int = _QUICK_TEST) -> Any:
    """Rows of the quick subset: the first of each of B0 … B3, then round robin over B0 … B4.

    >>> quick_test(np.array([0, 0, 1, 4, 4, 4]), 5).tolist()
    [0, 2, 1, 3, 4]
    """
    queues = [list(np.flatnonzero(bucket == number)) for number in range(BUCKETS)]
    taken = [queue.pop(0) for queue in queues[:-1] if queue]
    while len(taken) < most and any(queues):
        for queue in queues:
            if queue and len(taken) < most:
                taken.append(queue.pop(0))
    return np.array(taken[:most])


def subsets(table: Table, *, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train and test columns as the mode uses them.

    >>> train, test = subsets(generate(512, 1), quick=True)
    >>> len(train["q"]), len(test["q"])
    (409, 103)
    """
    test = table.rows(slice(table.train, None))
    if not quick:
        return table.rows(slice(0, table.train)), test
    picked = quick_test(test["bucket"])
    count = min(_QUICK_TRAIN, table.train)
    return table.rows(slice(0, count)), {name: x[picked] for name, x in test.items()}


def inverse(q: Array, e: Array) -> Array:
    """adj(J)e over a determinant that keeps its sign and at least 1e-8 of its size.

    >>> inverse(np.array([[0.0, np.pi / 2]]), np.array([[1.0, 0.0]])).round(9).tolist()
    [[0.0, -1.0]]
    """
    jac = jacobian(q)
    det = jac[:, 0, 0] * jac[:, 1, 1] - jac[:, 0, 1] * jac[:, 1, 0]
    bottom = np.where(det < 0, -1.0, 1.0) * np.maximum(np.abs(det), SMALLEST_DET)
    top = [
        jac[:, 1, 1] * e[:, 0] - jac[:, 0, 1] * e[:, 1],
        jac[:, 0, 0] * e[:, 1] - jac[:, 1, 0] * e[:, 0],
    ]
    rates: Array = np.stack(top, axis=1) / bottom[:, None]
    return rates


def analytic(arm: str, train: Mapping[str, Any], test: Mapping[str, Any]) -> Array:
    """The answer (N, 2) of an arm that is not trained.

    >>> train, test = subsets(generate(512, 1), quick=True)
    >>> bool((analytic("label", train, test) == test["label"]).all())
    True
    """
    q, e = test["q"], test["e"]
    if arm == "zero":
        return np.zeros_like(e)
    if arm == "mean":
        return np.tile(np.mean(train["label"], axis=0), (len(e), 1))
    if arm == "label":
        label: Array = test["label"]
        return label.copy()
    if arm == "inverse":
        return inverse(q, e)
    return damped(Problem.of(jacobian(q), e), {"dls_002": 0.02, "dls_005": 0.05}[arm])


def produce(config: Mapping[str, Any], seed: int, progress: Progress) -> SeedOutput:
    """Compute one seed; all seeds of a run share one data set."""
    settings = config["settings"]
    began = time.perf_counter()
    progress.start("data", None)
    table = generate(settings["rows"], settings["data_seed"])
    train, test = subsets(table, quick=settings["quick"])
    progress.finish()
    data_s = time.perf_counter() - began
    arrays: dict[str, Any] = {f"data__{name}": column for name, column in test.items()}
    outputs: dict[str, ArmOutput] = {}
    for arm in (arm.key for arm in CLASSIC.arms if arm.key in config["arms"]):
        progress.start(arm, settings["epochs"] if arm in LEARNED else None)
        with seeding.arm_scope(seed, "ik", PROTOCOL, arm, torch_too=arm in LEARNED):
            outputs[arm] = _arm(arm, arrays, train, test, settings, seed, progress)
        progress.finish()
    datasets = {
        "classic_train": Dataset(array_digest(train), len(train["q"]), "train", train),
        "classic_test": Dataset(array_digest(test), len(test["q"]), "test", test),
    }
    return SeedOutput(datasets=datasets, arrays=arrays, arms=outputs, data_s=data_s)


def _arm(
    arm: str,
    arrays: dict[str, Any],
    train: Mapping[str, Any],
    test: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    progress: Progress,
) -> ArmOutput:
    reasons = {"thresholds": "not_applicable", "training.final_loss": "not_applicable"}
    began = time.perf_counter()
    if arm not in LEARNED:
        arrays[f"{arm}__y"] = analytic(arm, train, test)
        arrays[f"{arm}__cause"] = np.zeros(len(test["q"]), dtype=np.uint8)
        return ArmOutput(
            training={"steps": 0, "epochs": 0, "final_loss": None},
            reasons=reasons,
            evaluate_s=time.perf_counter() - began,
        )
    from zeroproofml.benchmarks.domains.ik import classic_training
    from zeroproofml.scm.errors import TrainingError

    order = seeding.torch_generator(seed, "ik", PROTOCOL, "shuffle")
    try:
        made = classic_training.train(arm, train, settings, order, progress)
    except TrainingError as error:
        reasons["training.steps"] = reasons["training.epochs"] = "arm_failed"
        return ArmOutput(
            status="failed",
            reason=str(error),
            training={"steps": None, "epochs": None, "final_loss": None},
            reasons=reasons,
            train_s=time.perf_counter() - began,
        )
    train_s = time.perf_counter() - began
    began = time.perf_counter()
    arrays.update({f"{arm}__{name}": x for name, x in made.answer(test).items()})
    del reasons["training.final_loss"]
    return ArmOutput(
        n_parameters=made.n_parameters,
        training={"steps": made.steps, "epochs": settings["epochs"], "final_loss": made.loss},
        reasons=reasons,
        checkpoint=made.checkpoint(),
        train_s=train_s,
        evaluate_s=time.perf_counter() - began,
    )
