"""Networks and their training: sizes, starts, the optimiser, singular lanes, the best state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zeroproofml.benchmarks.domains import one_cycle
from zeroproofml.benchmarks.domains.rf import classic_networks, data, learned, networks, training
from zeroproofml.benchmarks.domains.rf.networks import DESIGNS
from zeroproofml.benchmarks.domains.rf.training import RECIPES, Table
from zeroproofml.report.domains.rf import sections as report_sections
from zeroproofml.scm.errors import TrainingError

SIZES = {"hyper": 18352, "mlp": 17666, "mlp_deep": 199682, "gate": 4609}
CLASSIC_SIZES = {
    "scm_transfer": 17283,
    "scm_transfer_rel": 17283,
    "rational_transfer": 17669,
    "scm_decoupled": 17181,
    "mlp_silu": 67330,
    "mlp_relu": 67330,
    "mlp_deep_silu": 791042,
    "mlp_iso_silu": 17282,
}


def tables(arm, devices=24, points=16):
    recipe = RECIPES[arm]
    split = data.samples(1, "data.train", devices, points)
    held_out = data.samples(1, "data.validation", 8, points)
    return Table.of(recipe, split), Table.of(recipe, held_out)


def start(arm, seed=0):
    return DESIGNS[RECIPES[arm].family].initial(np.random.default_rng(seed))


def run(arm, steps=40, silent=None, begin=None):
    order = training.batches(24, 8, steps, np.random.default_rng(1))
    begin = start(arm) if begin is None else begin
    return training.train(arm, tables(arm), order, begin, 5e-3, silent)


@pytest.mark.parametrize("family", list(SIZES))
def test_sizes_are_those_of_the_table(family):
    assert DESIGNS[family].n_parameters == SIZES[family]


@pytest.mark.parametrize("arm", list(CLASSIC_SIZES))
def test_classic_sizes(arm):
    net = classic_networks.build(arm, np.random.default_rng(0))
    assert sum(part.numel() for part in net.parameters()) == CLASSIC_SIZES[arm]


@pytest.mark.parametrize("link", ["linear", "softplus"])
@pytest.mark.parametrize("seed", range(5))
def test_damping_starts_near_a_tenth(link, seed):
    design = DESIGNS["hyper"]
    flat = design.initial(np.random.default_rng(seed))
    features = torch.from_numpy(
        data.features(data.frozen({"stable": 20, "neg": 1, "axis": 1})["design"])
    )
    made = networks.sections(design(design.named(flat), features), link)
    assert torch.all((made[..., 1] - 0.1).abs() < 0.02)


def test_start_follows_the_declared_ranges():
    design = DESIGNS["mlp_deep"]
    named = design.named(design.initial(np.random.default_rng(0)))
    assert named["hidden2.weight"].abs().max() <= np.sqrt(3 / 256)
    assert named["hidden2.weight"].std() == pytest.approx(1 / 16, rel=0.02)
    assert named["output.weight"].abs().max() <= 0.1 / 16
    assert all((part == 0).all() for name, part in named.items() if name.endswith("bias"))
    skip = DESIGNS["hyper"].named(start("scm_rational"))["skip.weight"]
    assert (skip == 0).all()


def test_softplus_cannot_reach_bottom_and_linear_can():
    o = torch.full((1, 8), -50.0, dtype=torch.float64)
    assert networks.sections(o, "softplus")[..., 1].min() > 0
    assert networks.sections(o, "linear")[..., 1].max() < 0


def test_training_sees_the_response_that_the_report_decodes():
    rng = np.random.default_rng(5)
    made = np.stack(
        [
            rng.uniform(0.5, 2.5, (30, 2)),
            rng.uniform(-0.1, 0.3, (30, 2)),
            rng.normal(size=(30, 2)),
            rng.normal(size=(30, 2)),
        ],
        axis=2,
    )
    omega = data.log_uniform(rng, 0.2, 5.0, (30, 40))
    re, im, lost = networks.response(torch.from_numpy(made), torch.from_numpy(omega))
    p, q = report_sections.tuples(made, omega)
    assert not lost.any()
    assert re.numpy() + 1j * im.numpy() == pytest.approx(p / q, rel=1e-9, abs=1e-12)


def test_an_exactly_singular_lane_has_weight_zero_and_a_finite_gradient():
    o = torch.zeros(1, 8, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        o[0, 0], o[0, 2] = 0.6, -1.0  # ω̂ = 1, δ̂ = 0 of mode 1
    made = networks.sections(o, "linear")
    omega = torch.tensor([[float(made[0, 0, 0].detach()), 0.5]], dtype=torch.float64)
    re, im, lost = networks.response(made, omega)
    assert lost.tolist() == [[True, False]]
    assert re[0, 0] == im[0, 0] == 0
    (re.square() + im.square()).sum().backward()
    assert torch.isfinite(o.grad).all()
    assert (o.grad != 0).any()


@pytest.mark.parametrize("steps", [20, 200, 1500])
def test_rates_and_momenta_are_torch_s_one_cycle(steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([weight], lr=1.0, betas=(0.9, 0.999))
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=3e-3, total_steps=steps, pct_start=0.1)
    rates, momenta = [], []
    for step in range(steps):
        rates.append(adam.param_groups[0]["lr"])
        momenta.append(adam.param_groups[0]["betas"][0])
        adam.step()
        if step < steps - 1:
            cycle.step()
    assert one_cycle.rates(steps, 3e-3, 0.1) == pytest.approx(rates, rel=1e-9)
    assert one_cycle.momenta(steps, 0.1) == pytest.approx(momenta, rel=1e-9)


@pytest.mark.parametrize("arm", ["scm_rational", "mlp_abs"])
def test_a_step_is_torch_s_adam_with_clipping(arm, silent):
    """The flat loop against torch's optimiser, scheduler and clipping, step by step."""
    steps = 20
    table, _ = tables(arm)
    order = training.batches(24, 8, steps, np.random.default_rng(1))
    design = DESIGNS[RECIPES[arm].family]
    value = torch.nn.Parameter(start(arm))
    adam = torch.optim.Adam([value])
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=5e-3, total_steps=steps, pct_start=0.1)
    losses = []
    for step, rows in enumerate(order):
        loss, _ = table.take(rows).loss(design, value)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([value], 1.0)
        adam.step()
        if step < steps - 1:
            cycle.step()
        losses.append(loss.item())
    made = training.train(arm, tables(arm), order, start(arm), 5e-3, silent)
    assert made.final_loss == pytest.approx(losses[-1], rel=1e-4)
    if made.diagnostics["best_step"] == steps:
        assert made.flat.numpy() == pytest.approx(value.detach().numpy(), rel=1e-3, abs=1e-6)


def test_the_best_of_twenty_states_is_kept(silent):
    made = run("scm_rational", 60, silent)
    history = made.diagnostics["validation_history"]
    assert len(history) == 20
    assert made.diagnostics["best_step"] == 3 * (1 + history.index(min(history)))
    _, held_out = tables("scm_rational")
    assert float(held_out.loss(made.design, made.flat)[0]) == min(history)
    assert made.diagnostics["rows_seen"] == 60 * 8 * 16
    assert made.diagnostics["train_bottom_fraction"] == 0


def test_relative_and_absolute_loss():
    relative, absolute = (tables(arm)[0] for arm in ("mlp_rel", "mlp_abs"))
    power = relative.re.square() + relative.im.square()
    assert torch.allclose(relative.weight, 1 / (power + 0.01))
    assert (absolute.weight == 1).all()
    zero = torch.zeros(DESIGNS["mlp"].n_parameters)
    loss, count = absolute.loss(DESIGNS["mlp"], zero)
    assert count is None
    assert float(loss) == pytest.approx(float(power.mean()))


@pytest.mark.parametrize("arm", ["scm_rational", "mlp_abs"])
def test_divergence_fails_the_arm_and_says_where(arm, silent):
    with pytest.raises(TrainingError, match=f"{arm}: loss not finite between steps 1 and 2"):
        run(arm, 40, silent, begin=torch.full_like(start(arm), np.nan))


def test_a_pass_sees_every_device_once_and_drops_the_rest():
    order = training.batches(10, 4, 7, np.random.default_rng(0)).tolist()
    assert len(order) == 7
    for first in range(0, 6, 2):
        seen = order[first] + order[first + 1]
        assert len(set(seen)) == 8


def test_the_gate_tells_its_two_classes_apart():
    stable = data.features(data.samples(1, "data.train", 128, 2).devices.design)
    bottom = data.features(data.gate_bottom(1, 64).design)
    made = training.train_gate(stable, bottom, DESIGNS["gate"].initial(np.random.default_rng(0)))
    good = learned.gate_score(made, data.samples(1, "data.train", 128, 2).devices.design)
    bad = learned.gate_score(made, data.gate_bottom(1, 64).design)
    assert np.median(good) > 0 > np.median(bad)
    with pytest.raises(TrainingError):
        training.train_gate(stable * np.nan, bottom, made.flat)
