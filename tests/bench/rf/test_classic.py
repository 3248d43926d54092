"""The classic protocol: its closed form, its draws, its arms, and a whole seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.benchmarks import config, domains, results, threads
from zeroproofml.benchmarks.domains.rf import classic, classic_networks, classic_training
from zeroproofml.report.domains.rf import classic as law
from zeroproofml.report.errors import UsageError
from zeroproofml.scm.errors import TrainingError

SMOKE = {"scm_transfer", "scm_transfer_eps", "mlp_iso_silu", "two_stage", "zero", "oracle"}


@pytest.fixture(scope="module")
def contract(produced):
    return produced(protocol="classic")


@given(st.floats(0.5, 5.0), st.floats(2.0, 500.0))
def test_resonance_and_peak_of_the_closed_form(omega0, q):
    w, k = np.array([omega0]), np.array([q])
    at_resonance = law.response(w, k, np.array([[omega0]]))[0, 0]
    assert at_resonance == pytest.approx(-1j * q, rel=1e-9)
    place = omega0 * math.sqrt(1 - 1 / (2 * q * q))
    height = q / math.sqrt(1 - 1 / (4 * q * q))
    assert abs(law.response(w, k, np.array([[place]]))[0, 0]) == pytest.approx(height, rel=1e-9)
    beside = np.abs(law.response(w, k, place * np.array([[0.999, 1.001]])))
    assert (beside < height).all()
    p = law.pole(w, k)[0, 0]
    assert p * p + omega0 / q * p + omega0**2 == pytest.approx(0, abs=1e-9)
    assert p.imag > 0 > p.real


def test_draws_have_their_ranges_and_follow_the_seed():
    train = classic.draw(1, "data.train", 500, 16, classic.Q_TRAINED)
    assert train["omega"].shape == (500, 16)
    for name, (low, high) in (("omega0", (0.5, 5)), ("q", (2, 30)), ("omega", (0.1, 10))):
        assert train[name].min() >= low
        assert train[name].max() <= high
        middle = np.median(np.log(train[name]))
        assert middle == pytest.approx((math.log(low) + math.log(high)) / 2, abs=0.15)
    assert train["target"].dtype == np.complex64
    assert train["target"] == pytest.approx(
        law.response(train["omega0"], train["q"], train["omega"]), rel=1e-6
    )
    tests = [classic.draw(seed, "data.test", 500, 16, classic.Q_TESTED) for seed in (1, 2)]
    assert not np.array_equal(tests[0]["q"], tests[1]["q"])
    assert max(test["q"].max() for test in tests) > 400


def test_inputs_are_rows_device_by_device():
    omega0, q = np.array([1.0, 10.0]), np.array([10.0, 100.0])
    x = classic_training.inputs(omega0, q, np.array([[1.0, 10.0], [0.1, 1.0]]))
    assert x.dtype == np.float32
    assert x.tolist() == [[0, 0, 1], [1, 0, 1], [-1, 1, 2], [0, 1, 2]]


def test_coefficients_are_those_of_the_network():
    """Stored numbers and the network's own division give the same response."""
    net = classic_networks.build("scm_transfer", np.random.default_rng(3))
    rng = np.random.default_rng(0)
    omega0, q = rng.uniform(0.5, 5, 20), rng.uniform(2, 30, 20)
    omega = rng.uniform(0.1, 10, (20, 8))
    made = classic_training.Trained(net, 0, 0.0, {})
    x = classic_training.inputs(omega0, q, omega)
    rows, bottom = made.response(x, omega)
    c = made.coefficients(classic_training.inputs(omega0, q, np.ones((20, 1))))
    again, _, cause = law.quotient(c, omega, law.LEADING, 0.0)
    assert rows == pytest.approx(again, rel=1e-4, abs=1e-7)
    assert not bottom.any()
    assert not cause.any()
    plain = classic_networks.build("mlp_iso_silu", np.random.default_rng(3))
    with pytest.raises(TypeError, match="Plain has none"):
        classic_training.Trained(plain, 0, 0.0, {}).coefficients(x)


def test_published_start_of_the_transfer_head():
    net = classic_networks.build("scm_transfer", np.random.default_rng(1))
    assert net.head.bias[1] == 1
    assert net.head.weight.abs().max() <= 0.01 / math.sqrt(128)


@pytest.mark.parametrize("arm", ["scm_transfer", "rational_transfer"])
def test_a_singular_row_is_bottom_and_its_gradient_finite(arm):
    net = classic_networks.build(arm, np.random.default_rng(1))
    last = net.head if arm == "scm_transfer" else net.net[-1]
    x, omega = torch.zeros(2, 3), torch.tensor([1.0, 2.0])
    with torch.no_grad():
        last.weight.zero_()
        # scm: c, r0, r1 with softplus(r0) = softplus(1), softplus(r1) = 0; free: p0 p1 p2 a0 a1.
        wanted = [1.0, 1.0, -200.0] if arm == "scm_transfer" else [1.0, 0.0, 0.0, 1.0, 0.0]
        last.bias.copy_(torch.tensor(wanted))
    re, im, bottom = net(x, omega)
    assert bottom.tolist() == [True, False]
    assert re[0] == im[0] == 0
    (re.square() + im.square()).sum().backward()
    grads = [part.grad for part in net.parameters() if part.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert last.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("arm", ["scm_transfer", "scm_decoupled", "rational_transfer", "mlp_relu"])
def test_weights_that_are_not_finite_fail_the_arm(arm, silent):
    net = classic_networks.build(arm, np.random.default_rng(1))
    with torch.no_grad():
        next(iter(net.parameters())).fill_(torch.nan)
    rows = classic_training.Rows.of(classic.draw(1, "data.train", 4, 4, classic.Q_TRAINED))
    settings = {"epochs": 2, "batch": 8, "learning_rate": 2e-3}
    with pytest.raises(TrainingError, match=f"{arm}: loss not finite in epoch 1"):
        classic_training.train(arm, net, (rows, rows), settings, np.random.default_rng(0), silent)


def test_rate_is_a_cosine_over_epochs_and_the_best_epoch_stays(silent):
    settings = {"epochs": 6, "batch": 32, "learning_rate": 2e-3}
    splits = [
        classic.draw(1, role, 16, 16, classic.Q_TRAINED)
        for role in ("data.train", "data.validation")
    ]
    rows, held_out = (classic_training.Rows.of(split) for split in splits)
    net = classic_networks.build("mlp_iso_silu", np.random.default_rng(1))
    reference = classic_networks.build("mlp_iso_silu", np.random.default_rng(1))
    adam = torch.optim.Adam(reference.parameters(), lr=2e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=6, eta_min=1e-7)
    order, seen = np.random.default_rng(0), []
    for _ in range(6):
        shuffled = rows.take(torch.from_numpy(order.permutation(256)))
        for part in range(0, 256, 32):
            some = shuffled.take(torch.arange(part, part + 32))
            re, im, _ = reference(some.x, some.omega)
            loss = torch.nn.functional.mse_loss(
                torch.stack([re, im]), torch.stack([some.re, some.im])
            )
            adam.zero_grad()
            loss.backward()
            adam.step()
        cosine.step()
        seen.append(float(held_out.loss(reference, relative=False)[0].detach()))
    made = classic_training.train(
        "mlp_iso_silu", net, (rows, held_out), settings, np.random.default_rng(0), silent
    )
    assert made.diagnostics["validation_history"] == pytest.approx(seen, rel=1e-3)
    history = made.diagnostics["validation_history"]
    assert float(held_out.loss(made.net, relative=False)[0].detach()) == min(history)
    assert made.diagnostics["best_epoch"] == 1 + history.index(min(history))
    assert made.steps == 48


def test_two_stages_find_the_law_under_noise():
    train = classic.draw(1, "data.train", 256, 64, classic.Q_TRAINED)
    found, failures = classic.two_stage(1, train, 256)
    assert failures <= 5
    wanted = np.array([[0, 0, 0], [1, 2, 2], [-1, 0, 0]])
    assert np.abs(found - wanted).max() < 0.02


def test_arms_of_each_mode():
    assert set(config.resolve("rf", mode="smoke", protocol="classic").config["arms"]) == SMOKE
    everyone = {arm.key for arm in law.CLASSIC.arms}
    contract = config.resolve("rf", protocol="classic").config["arms"]
    assert set(contract) == everyone - {"mlp_deep_silu"}
    with pytest.raises(UsageError, match="needs 'scm_transfer'"):
        config.resolve("rf", protocol="classic", arms=["scm_transfer_eps"])
    assert law.CLASSIC.claims == ()
    assert law.CLASSIC.reference_arm == "mlp_iso_silu"


def test_output_is_what_the_law_allows(contract):
    arms = [arm.key for arm in contract.law.arms if arm.key in contract.config["arms"]]
    results.check_output(contract.law, contract.config, contract.output, arms)
    assert set(contract.output.arrays) == set(contract.law.members(contract.settings, arms))
    assert {made.arrays for made in contract.output.datasets.values()} == {None}
    for key, made in contract.output.arms.items():
        learned = key in classic.LEARNED
        assert (made.checkpoint is not None) == (learned or key == "two_stage")
        assert made.training["epochs"] == (2 if learned else None)
        if learned:
            assert made.n_parameters == sum(x.size for x in made.checkpoint.values())
    assert contract.output.arms["two_stage"].n_parameters == 9
    assert contract.output.arms["scm_transfer"].thresholds["tau_infer"] == 1e-8


def test_every_arm_has_every_metric_and_a_reason_for_each_null(contract):
    for found in contract.metrics.values():
        assert set(found.metrics) == set(contract.law.metrics)
        assert {name for name, x in found.metrics.items() if x is None} == set(found.reasons)
        assert all(math.isfinite(x) for x in found.metrics.values() if x is not None)
    ours = contract.metrics["scm_transfer"].metrics
    assert ours["coverage_rate"] == 1
    assert contract.metrics["zero"].metrics["extrapolation_skill"] == 0
    assert contract.metrics["oracle"].metrics["peak_retention_yield"] == 1


def test_an_arm_does_not_see_the_others(produced, contract):
    few = ("scm_transfer_rel", "mlp_relu", "two_stage", "zero")
    some = produced(arms=few, protocol="classic")
    for member, array in some.output.arrays.items():
        assert array.tobytes() == contract.output.arrays[member].tobytes(), member
    for arm in few:
        for tensor, value in (some.output.arms[arm].checkpoint or {}).items():
            assert np.array_equal(value, contract.output.arms[arm].checkpoint[tensor])


def test_a_diverged_head_takes_its_twin_with_it(contract, monkeypatch, silent):
    train = classic_training.train

    def diverge(arm, *rest):
        if arm == "scm_transfer":
            msg = "scm_transfer: loss not finite in epoch 1; the arm has failed"
            raise TrainingError(msg)
        return train(arm, *rest)

    monkeypatch.setattr(classic_training, "train", diverge)
    with threads.switched(1, ("torch",)):
        broken = domains.producer("rf", "classic")(contract.config, 1, silent)
    lost = {key for key, made in broken.arms.items() if made.status == "failed"}
    assert lost == {"scm_transfer", "scm_transfer_eps"}
    arms = [arm.key for arm in contract.law.arms if arm.key in contract.config["arms"]]
    results.check_output(contract.law, contract.config, broken, arms)


def test_traces_hold_first_middle_and_last_of_each_regime(produced):
    made = produced("smoke", ("two_stage", "zero", "oracle"), 1, "classic")
    said = made.output.files["rf_signal_traces.json"]
    shown = [trace for trace in said["traces"] if trace["why"] == "representative"]
    assert [trace["set"] for trace in shown] == ["in"] * 3 + ["extrapolation"] * 3
    q = made.output.arrays["data__q"]
    for name, rows in (("in", q <= 30), ("extrapolation", q > 30)):
        mine = [trace["q"] for trace in shown if trace["set"] == name]
        assert mine[0] == pytest.approx(q[rows].min())
        assert mine[2] == pytest.approx(q[rows].max())


@pytest.mark.slow
def test_classic_paper_law_is_the_published_one(produced):
    """scm_transfer within 30 % of the published error in band, and no better than zero beyond."""
    made = produced("paper", ("scm_transfer", "zero", "two_stage"), 1, "classic")
    ours = made.metrics["scm_transfer"].metrics
    assert ours["in_band_mse"] == pytest.approx(0.019, rel=0.35)
    assert ours["extrapolation_skill"] < 0
    assert ours["published_peak_retention_yield"] == pytest.approx(0.5, abs=0.06)
    fitted = made.metrics["two_stage"].metrics
    assert fitted["peak_retention_yield"] == 1
