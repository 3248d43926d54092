"""Networks and losses: sizes, hand-computed values, gradients on the pole, equal bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zeroproofml.benchmarks.domains.ik import (
    analytic,
    data,
    evaluate,
    learned,
    losses,
    networks,
    training,
)
from zeroproofml.benchmarks.domains.ik import kinematics as kin
from zeroproofml.benchmarks.domains.ik.networks import Design
from zeroproofml.scm.cause import Cause
from zeroproofml.scm.errors import TrainingError

ARMS = ("mlp_pole", "rational_eps", "eps_ensemble", "scm_basic", "scm_full", "scm_chordal")
KAPPA = 2.0
SIZES = {**data.SMALL, "train": 200}


def table(robot, seed=1):
    built = data.build(robot, seed, SIZES)
    rows = built.train
    problem = analytic.Problem.of(kin.jacobian(built.robot, rows.q), rows.e)
    return training.TrainingTable.of(built.robot, rows.q, problem)


@pytest.mark.parametrize(
    ("arm", "r2", "ur5"),
    [
        ("mlp_pole", 4933, 23205),
        ("rational_eps", 4933, 23205),
        ("scm_full", 4933, 23205),
        ("scm_chordal", 4933, 23205),
        ("scm_basic", 4998, 23850),
        ("eps_ensemble", 4809, 23121),
    ],
)
def test_parameter_counts(arm, r2, ur5):
    assert (Design.of(arm, "r2").n_parameters, Design.of(arm, "ur5").n_parameters) == (r2, ur5)


def one_row(near=1.0, p0=(1.0, 0.0), q0=0.25):
    """A row whose losses can be computed by hand: J̄ = diag(2, 1), ê = (0.6, 0.8)."""

    def row(*values):
        return torch.tensor([values])

    return losses.Batch(
        x=torch.zeros(1, 6),
        e=row(0.6, 0.8),
        jac=torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]),
        p0=row(*p0),
        q0=row(q0),
        y=row(1.0, 2.0),
        near=row(near),
    )


def fixed(arm):
    """Weights 0, so that the output is its bias: the unit matrix and scalars 0.5, −0.5."""
    design = Design.of(arm, "r2")
    flat = torch.zeros(design.n_parameters)
    bias = design.named(flat)["output.bias"]
    bias[..., :] = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.5, -0.5])[: design.outputs]
    return design, flat


def rational(eps):
    bottom = math.log1p(math.exp(0.5)) + eps
    y = (KAPPA * 0.6 / bottom, KAPPA * 0.8 / bottom)
    return (2 * y[0] - 0.6) ** 2 + (y[1] - 0.8) ** 2 + 0.0025 * (y[0] ** 2 + y[1] ** 2)


EXPECTED = {
    # y = ê: J̄y − ê = (0.6, 0)
    "mlp_pole": 0.36 + 0.0025 + 0.1 * math.log1p(math.exp(-0.5)),
    "rational_eps": rational(1e-2),
    "eps_ensemble": rational(1e-3) + rational(1e-2) + rational(1e-1),
    # P = (0.6, 0.8), Q = (1.5, 0.5), labels (0.5, 1)
    "scm_basic": 0.5
    * (
        (0.6 - 1.5 * 0.5) ** 2 / ((0.36 + 2.25) * (0.25 + 1))
        + (0.8 - 0.5) ** 2 / ((0.64 + 0.25) * (1 + 1))
    ),
    # 0.16 + 0.64 for P, 0.0625 for Q, (2.1, 1.2) for the residual
    "scm_full": 0.8 + 0.0625 + 2.1**2 + 1.2**2,
    "scm_chordal": 1 - (0.6 + 0.125) ** 2 / (1.25 * 1.0625),
}


@pytest.mark.parametrize("arm", ARMS)
def test_loss_of_fixed_weights_is_the_hand_computed_one(arm):
    design, flat = fixed(arm)
    batch = one_row()
    value = losses.loss(arm, design, design(design.named(flat), batch.x), batch, KAPPA)
    assert float(value) == pytest.approx(EXPECTED[arm], rel=1e-6)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("target", [((1.0, 0.0), 0.0), ((0.0, 0.0), 0.0)], ids=("bottom", "null"))
def test_gradients_on_the_pole_are_finite(arm, target):
    design, flat = fixed(arm)
    for start in (flat, torch.zeros_like(flat)):
        leaf = start.clone().requires_grad_()
        batch = one_row(p0=target[0], q0=target[1])
        total = losses.loss(arm, design, design(design.named(leaf), batch.x), batch, KAPPA)
        (gradient,) = torch.autograd.grad(total, leaf)
        assert bool(torch.isfinite(total))
        assert bool(torch.isfinite(gradient).all())


def test_null_targets_carry_no_weight_for_the_chordal_arm_and_full_weight_for_scm_full():
    null = one_row(p0=(0.0, 0.0), q0=0.0)
    p, q = torch.tensor([[0.6, 0.8]]), torch.tensor([[0.5]])
    assert float(losses.vector_chordal(p, q, null)) == 0.0
    assert float(losses.tuple_fit(p, q, null, KAPPA)) > 1.0


def test_scm_full_loss_is_zero_at_the_truth_and_nowhere_else_on_its_line():
    built = data.build("ur5", 2, SIZES)
    rows = built.train
    problem = analytic.Problem.of(kin.jacobian(built.robot, rows.q), rows.e)
    kappa, scale = analytic.tuple_scale(problem)
    p0, q0 = (torch.from_numpy(x) for x in analytic.tuple_targets(problem, kappa, scale))
    q0 = q0[:, None]
    jac, e = torch.from_numpy(problem.jac), torch.from_numpy(problem.e)
    batch = losses.Batch(jac[:, 0], e, jac, p0, q0, p0, q0)
    assert float(losses.tuple_fit(p0, q0, batch, kappa)) < 1e-20
    for gauge in (-1.0, 0.5, 0.999, 1.001, 2.0):
        assert float(losses.tuple_fit(gauge * p0, gauge * q0, batch, kappa)) > 1e-7
    refusing = float(losses.tuple_fit(0 * p0, 0 * q0, batch, kappa))
    assert refusing > 1.0
    always_bottom = float(losses.tuple_fit(p0, 0 * q0, batch, kappa))
    assert always_bottom > 0


@pytest.mark.parametrize("steps", [5, 30, 100, 1500])
def test_schedule_is_torch_s_one_cycle(steps):
    parameter = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([parameter], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    expected = []
    for step in range(steps):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if step < steps - 1:
            cycle.step()
    assert training.schedule(steps) == pytest.approx(expected, rel=1e-9)


def test_schedule_starts_at_its_peak_where_five_per_cent_are_one_step():
    rates = training.schedule(20)
    assert rates[0] == 2e-3
    assert (np.diff(rates) < 0).all()


@pytest.mark.parametrize("arm", ["scm_full", "eps_ensemble"])
def test_training_is_adam_of_torch(arm, silent):
    """The flat optimiser takes the steps of torch.optim.Adam."""
    rows = table("r2")
    indices = training.minibatches(len(rows.columns), 12, np.random.default_rng(0))
    start = Design.of(arm, "r2").initial(torch.Generator().manual_seed(0))
    made = training.train(arm, rows, indices, start, silent)
    leaf = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=1.0)
    for rate, taken in zip(training.schedule(12), indices, strict=True):
        optimiser.param_groups[0]["lr"] = float(rate)
        batch = rows.batch(taken)
        design = made.design
        total = losses.loss(arm, design, design(design.named(leaf), batch.x), batch, rows.kappa)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
    assert torch.allclose(made.flat, leaf.detach(), rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_and_repeats_bit_for_bit(silent):
    rows = table("r2")
    indices = training.minibatches(len(rows.columns), 150, np.random.default_rng(0))
    start = Design.of("scm_full", "r2").initial(torch.Generator().manual_seed(0))
    first = training.train("scm_full", rows, indices, start, silent)
    second = training.train("scm_full", rows, indices, start, silent)
    short = training.train("scm_full", rows, indices[:5], start, silent)
    assert torch.equal(first.flat, second.flat)
    assert first.final_loss < 0.5 * short.final_loss


def test_a_loss_that_is_not_finite_fails_the_arm(silent):
    rows = table("r2")
    indices = training.minibatches(len(rows.columns), 5, np.random.default_rng(0))
    start = Design.of("scm_full", "r2").initial(torch.Generator().manual_seed(0))
    start[0] = float("nan")
    with pytest.raises(TrainingError, match="scm_full on r2: loss not finite at step 0"):
        training.train("scm_full", rows, indices, start, silent)


def test_initial_weights_have_the_declared_spread():
    design = Design.of("mlp_pole", "ur5")
    named = design.named(design.initial(torch.Generator().manual_seed(0)))
    for name, fan_in, gain in (
        ("hidden1.weight", 14, 1.0),
        ("hidden2.weight", 128, 1.0),
        ("output.weight", 128, 0.3),
    ):
        bound = gain * math.sqrt(3 / fan_in)
        assert float(named[name].abs().max()) <= bound
        assert float(named[name].abs().max()) > 0.98 * bound
        assert abs(float(named[name].mean())) < 0.05 * bound
    assert all(float(v.abs().max()) == 0 for k, v in named.items() if k.endswith("bias"))


def test_network_frame_makes_the_problem_independent_of_the_first_joint():
    rng = np.random.default_rng(0)
    q = rng.uniform(-np.pi, np.pi, (50, 6))
    still = q.copy()
    still[:, 0] = 0
    jac = networks.to_network_frame(kin.UR5, q, kin.jacobian(kin.UR5, q))
    assert np.abs(jac - kin.jacobian(kin.UR5, still)).max() < 1e-14
    assert np.array_equal(networks.features(kin.UR5, q), networks.features(kin.UR5, still))
    y = rng.standard_normal((50, 6, 1))
    turned = networks.to_network_frame(kin.UR5, q, (kin.jacobian(kin.UR5, q) @ y)[:, :, 0])
    assert np.abs(turned - (jac @ y)[:, :, 0]).max() < 1e-14


def test_ensemble_members_are_trained_as_if_alone():
    """The joint loss of the ensemble has the gradients of its members' own losses."""
    design = Design.of("eps_ensemble", "r2")
    rows = table("r2")
    flat = design.initial(torch.Generator().manual_seed(1)).requires_grad_()
    batch = rows.batch(torch.arange(32))
    out = design(design.named(flat), batch.x)
    (joint,) = torch.autograd.grad(
        losses.loss("eps_ensemble", design, out, batch, rows.kappa), flat, retain_graph=True
    )
    head, scalars = design.matrix_times(out, batch.e)
    alone = torch.zeros_like(joint)
    for member, eps in enumerate(networks.ENSEMBLE_EPS):
        bottom = torch.nn.functional.softplus(scalars[member]) + eps
        value = losses.task(rows.kappa * head[member] / bottom, batch)
        alone += torch.autograd.grad(value, flat, retain_graph=True)[0]
    assert torch.allclose(joint, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("arm", ARMS)
def test_outputs_that_are_not_finite_become_faults_that_every_gate_turns_away(arm):
    design = Design.of(arm, "r2")
    flat = design.initial(torch.Generator().manual_seed(0))
    solver = learned.Solver(arm, kin.R2, design, flat, 2.0)
    rng = np.random.default_rng(0)
    q, e = rng.uniform(-3, 3, (40, 2)), data.unit_commands(kin.R2, 40, rng)
    sound = solver(q, e)
    assert (sound.cause == 0).all()
    broken = e.copy()
    broken[7] = np.nan
    found = solver(q, broken)
    assert found.cause[7] & Cause.NONFINITE
    assert (found.y[7] == 0).all()
    assert found.score[7] <= found.score.min()
    others = np.arange(40) != 7
    assert (found.cause[others] == 0).all()
    assert np.array_equal(found.y[others], sound.y[others])
    stored = evaluate.members(found, exact=False)
    assert all(np.isfinite(x).all() for x in stored.values())


def test_a_solver_decodes_what_its_arm_means():
    """Bias-only networks: P = ê (κ = 2), Q = 0.5, and the rational arms divide by softplus(0.5) + ε."""
    e = np.array([[0.6, 0.8]])
    q = np.zeros((1, 2))
    answers = {}
    for arm in ARMS:
        design, flat = fixed(arm)
        answers[arm] = learned.Solver(arm, kin.R2, design, flat, KAPPA)(q, e)
    bottom = math.log1p(math.exp(0.5))
    assert answers["mlp_pole"].y == pytest.approx(e)
    assert answers["mlp_pole"].score == pytest.approx([-0.5])
    assert answers["rational_eps"].y == pytest.approx(2 * e / (bottom + 0.01))
    assert answers["rational_eps"].score == pytest.approx([bottom + 0.01])
    mean = np.mean([2 * e / (bottom + eps) for eps in (1e-3, 1e-2, 1e-1)], axis=0)
    assert answers["eps_ensemble"].y == pytest.approx(mean)
    assert answers["eps_ensemble"].score == pytest.approx([bottom + 0.111 / 3])
    for arm in ("scm_full", "scm_chordal"):
        assert answers[arm].y == pytest.approx(2 * e / 0.5)
        assert answers[arm].score == pytest.approx([0.5])
    assert answers["scm_basic"].y == pytest.approx(2 * e / [1.5, 0.5])
    assert answers["scm_basic"].score == pytest.approx([0.5 / math.hypot(0.5, 0.8)])
