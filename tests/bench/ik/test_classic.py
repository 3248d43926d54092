"""The classic protocol: the published rows to the last bit, and the numbers that were never shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zeroproofml.benchmarks import results, threads
from zeroproofml.benchmarks.domains import producer
from zeroproofml.benchmarks.domains.ik import classic, classic_training
from zeroproofml.report import domains as laws
from zeroproofml.report.domains.ik.classic import hand


@pytest.fixture(scope="module")
def law():
    return laws.get("ik", "classic")


@pytest.fixture(scope="module")
def smoke(law, silent):
    config = {"settings": law.settings["smoke"], "arms": sorted(a.key for a in law.arms)}
    with threads.switched(1, ("torch",)):
        return config, [classic.produce(config, seed, silent) for seed in (1, 2)]


def measured(law, config, output):
    return law.seed_metrics(output.arrays, config["settings"], config["arms"])


def literal_draws(rows, seed):
    """The published generator, one scalar at a time."""
    state = np.random.RandomState(seed)
    q = [(state.uniform(-np.pi, np.pi), 0.0), (state.uniform(-np.pi, np.pi), np.pi)]
    for _ in range(int(0.3 * rows) - 2):
        t1 = state.uniform(-np.pi, np.pi)
        z = state.random_sample()
        t2 = state.normal(0.0 if z < 0.5 else np.pi, 1e-3)
        q.append((t1, min(max(t2, -np.pi), np.pi)))
    while len(q) < rows:
        for _ in range(100):
            t1, t2 = state.uniform(-np.pi, np.pi), state.uniform(-np.pi, np.pi)
            if abs(np.sin(t2)) >= 2e-3:
                break
        q.append((t1, t2))
    return np.array(q), state.normal(0, 0.1, rows), state.normal(0, 0.1, rows)


@pytest.mark.parametrize(("rows", "seed"), [(512, 1), (512, 7), (6000, 1)])
def test_rows_are_those_of_a_scalar_loop(rows, seed):
    table = classic.generate(rows, seed)
    q, dx, dy = literal_draws(rows, seed)
    back = np.argsort(table.index)
    assert np.array_equal(table.q[back], q)
    assert np.array_equal(table.e[back], np.stack([dx, dy], axis=1))


COUNTS = {
    512: ((37, 7, 62, 17, 287), (9, 2, 15, 4, 72)),
    6000: ((395, 78, 650, 334, 3342), (99, 20, 163, 84, 835)),
    200_000: ((12376, 2596, 21729, 11871, 111428), (3094, 649, 5432, 2968, 27857)),
}


@pytest.mark.parametrize(
    ("rows", "quick", "expected", "tested"),
    [
        (512, True, 0.11506, 103),
        (6000, True, 0.39837, 500),
        (6000, False, 0.39248, 1200),
        (200_000, False, 0.44076, 40_000),
    ],
)
def test_fixed_points(rows, quick, expected, tested):
    table = classic.generate(rows, 1)
    train, test = COUNTS[rows]
    # The order keeps each bucket's draw order, so a bucket's train rows come before its test rows.
    head = sum(train)
    assert tuple(np.bincount(table.bucket[:head], minlength=5)) == train
    assert tuple(np.bincount(table.bucket[head:], minlength=5)) == test
    assert abs(table.train - head) <= 1
    _, used = classic.subsets(table, quick=quick)
    assert len(used["q"]) == tested
    assert round(float(np.mean(used["label"] ** 2)), 5) == expected
    if rows == 200_000:
        by = [np.mean(used["label"][used["bucket"] == k] ** 2) for k in range(5)]
        assert np.allclose(by, (0.00517, 0.00293, 0.0780, 2.0852, 0.39486), rtol=2e-3)
        errors = {
            arm: np.linalg.norm(
                hand(used["q"] + classic.analytic(arm, {}, used)) - hand(used["q"]) - used["e"],
                axis=1,
            ).mean()
            for arm in ("zero", "label", "dls_002", "dls_005")
        }
        expected_errors = {"zero": 0.1257, "label": 0.0906, "dls_002": 0.0673, "dls_005": 0.0468}
        assert {arm: round(float(x), 4) for arm, x in errors.items()} == expected_errors


def test_labels_are_damped_least_squares():
    table = classic.generate(512, 1)
    jac = classic.jacobian(table.q)
    damped = jac @ np.swapaxes(jac, 1, 2) + 1e-4 * np.eye(2)
    label = np.swapaxes(jac, 1, 2) @ np.linalg.solve(damped, table.e[:, :, None])
    assert np.allclose(table.label, label[:, :, 0], rtol=1e-8, atol=1e-10)


def test_jacobian_is_the_derivative_of_the_hand():
    q = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    step = 1e-6
    for j in range(2):
        delta = np.eye(2)[j] * step
        slope = (hand(q + delta) - hand(q - delta)) / (2 * step)
        assert np.allclose(classic.jacobian(q)[:, :, j], slope, atol=1e-8)


def test_steps_parameters_and_members(law, smoke):
    config, outputs = smoke
    assert [arm.key for arm in law.arms][:2] == ["mlp_iso", "scm_basic"]
    for output in outputs:
        results.check_output(law, config, output, config["arms"])
        assert (output.arms["mlp_iso"].n_parameters, output.arms["mlp_iso"].training["steps"]) == (
            4747,
            16,
        )
        assert output.arms["scm_basic"].n_parameters == 4740
        assert output.arms["scm_basic"].training["epochs"] == 2
    assert law.claims == ()
    assert producer("ik", "classic") is classic.produce


def test_seeds_share_one_data_set_and_differ_in_weights(smoke):
    _, (first, second) = smoke
    for name, made in first.datasets.items():
        assert second.datasets[name].digest == made.digest
        assert made.arrays is not None
    assert not np.array_equal(first.arrays["scm_basic__y"], second.arrays["scm_basic__y"])


def test_label_is_exact_and_the_published_idea_is_standing_still(law, smoke):
    config, outputs = smoke
    for output in outputs:
        found = measured(law, config, output)
        assert found["label"].metrics["mse"] == 0
        zero = found["zero"].metrics["mse"]
        assert round(zero, 5) == 0.39837
        scm = found["scm_basic"].metrics["mse"]
        assert abs(scm - 0.40) < 0.02
        assert abs(scm - zero) < 0.02
        assert found["zero"].metrics["nmse"] == 1
        assert found["scm_basic"].metrics["min_abs_q"] > 0
        assert found["zero"].reasons == {"min_abs_q": "not_applicable"}
        assert set(found["zero"].metrics) == set(law.metrics)


def test_an_arm_s_bytes_do_not_depend_on_the_others(law, silent):
    settings = law.settings["contract"]
    with threads.switched(1, ("torch",)):
        whole, part = (
            classic.produce({"settings": settings, "arms": arms}, 3, silent)
            for arms in (["mlp_iso", "scm_basic", "zero"], ["scm_basic"])
        )
    assert whole.arms["scm_basic"].training["steps"] == 2
    for name, array in part.arrays.items():
        assert np.array_equal(array, whole.arrays[name])


def test_tuple_loss_by_hand():
    p, q = torch.tensor([[0.6, 0.0]]), torch.tensor([[0.8, -0.00001]])
    label = torch.tensor([[1.0, 2.0]])
    # The second Q is clamped to −1e-4 in the squared error and stays as it is in the other term.
    square = ((0.75 - 1) ** 2 + (0 - 2) ** 2) / 2
    implicit = ((0.6 - 0.8) ** 2 / (0.64 + 0.36 + 1e-9) + (2e-5) ** 2 / (1e-10 + 1e-9)) / 2
    value = float(classic_training.tuple_loss(p, q, label))
    assert value == pytest.approx(square + 0.1 * implicit, rel=1e-5)


def test_refused_rows_stand_still_and_lower_the_coverage(law):
    arrays = {
        "data__q": np.zeros((4, 2)) + 0.5,
        "data__e": np.full((4, 2), 0.1),
        "data__label": np.ones((4, 2)),
        "data__bucket": np.array([0, 0, 4, 4], np.int8),
        "data__index": np.arange(4, dtype=np.int32),
        "mlp_iso__y": np.array([[1, 1], [0, 0], [1, 3], [0, 0]], np.float32),
        "mlp_iso__cause": np.array([0, 4, 0, 4], np.uint8),
    }
    found = law.seed_metrics(arrays, {}, ["mlp_iso"])["mlp_iso"]
    assert found.metrics["coverage"] == 0.5
    assert found.metrics["mse"] == 1.0
    assert found.metrics["mae"] == 0.5
    assert found.metrics["b0_mse"] == 0.0
    assert found.metrics["b4_mse"] == 2.0
    assert found.reasons["b1_mse"] == "empty_set"
