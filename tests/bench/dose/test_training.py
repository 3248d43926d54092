"""Networks, losses and the loop: sizes, starts, closed forms, gradients, equal bytes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from zeroproofml.benchmarks import config, seeding, threads
from zeroproofml.benchmarks.domains.dose import data, losses, training
from zeroproofml.benchmarks.domains.dose.bench import Bench
from zeroproofml.benchmarks.domains.dose.learned import Learned
from zeroproofml.benchmarks.domains.dose.networks import Design
from zeroproofml.benchmarks.domains.dose.recipes import RECIPES, STANDARD
from zeroproofml.report.domains.dose.arms import arms

SIZES = {
    "standard": {
        "clamped_mlp": 4929,
        "two_stage": 5124,
        "tobit": 4994,
        "scm_oriented": 5001,
        "scm_dirhead": 5131,
        "scm_original": 5001,
        "scm_original_noshock": 5001,
        "scm_original_centred": 5001,
        "scm_oriented_shock": 5001,
        "scm_oriented_linear": 4994,
        "scm_flat": 5001,
        "scm_flat_molar": 5001,
        **{f"clamped_mlp_{size}": 4929 for size in ("2k", "20k")},
        **{f"two_stage_{size}": 5124 for size in ("2k", "20k")},
        **{f"tobit_{size}": 4994 for size in ("2k", "20k")},
        **{f"scm_oriented_{size}": 5001 for size in ("2k", "20k")},
    },
    "classic": {
        "clampedmlp": 203_009,
        "twostage": 203_780,
        "rational_eps": 5641,
        "zeroproofml_scm": 5641,
        "zeroproofml_scm_noshock": 5641,
        "zeroproofml_scm_nosign": 5641,
        "zeroproofml_scm_nomargin": 5641,
        "zeroproofml_scm_nodetachscale": 5641,
        "zeroproofml_scm_qanchorones": 5641,
        "zeroproofml_scm_decodedmse": 5641,
        "zeroproofml_scm_nodetachrenorm": 5641,
        "zeroproofml_scm_nodetachrenorm_angular": 5569,
        "zeroproofml_scm_nodetachrenorm_dirhead": 5771,
        "zeroproofml_scm_nodetachrenorm_dirhead_detachbackbone": 5771,
        "twostage_iso": 5641,
        "tobit": 5634,
        "scm_oriented": 5641,
    },
}
EVERY = [(protocol, arm) for protocol, table in SIZES.items() for arm in table]


@pytest.mark.parametrize("protocol", ["standard", "classic"])
def test_parameter_counts(protocol):
    made = {arm: recipe.design.n_parameters for arm, recipe in RECIPES[protocol].items()}
    assert made == SIZES[protocol]


def test_headline_arms_are_of_one_size():
    declared = arms("standard")
    sizes = [STANDARD[k].design.n_parameters for k, a in declared.items() if k in STANDARD]
    assert max(sizes) / min(sizes) <= 1.05


@pytest.mark.parametrize("protocol", ["standard", "classic"])
def test_recipes_are_the_declared_arms(protocol):
    declared = arms(protocol)
    assert set(RECIPES[protocol]) | {"bayes_oracle", "hill_fit", "constant"} == set(declared)
    for key, recipe in RECIPES[protocol].items():
        arm = declared[key]
        assert recipe.tuples == arm.projective, key
        if arm.gauge is not None:
            assert (recipe.center, recipe.scale) == (arm.gauge.center, arm.gauge.scale), key
        assert ("orient" in arm.stores) == (recipe.side != "none"), key
        assert recipe.family is None or recipe.family in declared
        if arm.rows is not None:
            assert key.startswith(recipe.family)


VARIANTS = {
    ("standard", "scm_original"): {
        "scm_original_noshock": {"shock"},
        "scm_original_centred": {"center"},
        "scm_dirhead": {"design", "sign", "side"},
    },
    ("standard", "scm_oriented"): {
        "scm_oriented_shock": {"shock"},
        "scm_oriented_linear": {"design"},
        "scm_flat": {"weighted"},
        "scm_flat_molar": {"weighted", "center"},
        "scm_oriented_2k": set(),
        "scm_oriented_20k": set(),
    },
    ("classic", "zeroproofml_scm"): {
        "zeroproofml_scm_noshock": {"shock"},
        "zeroproofml_scm_nosign": {"sign"},
        "zeroproofml_scm_nomargin": {"margin"},
        "zeroproofml_scm_nodetachscale": {"detach_scale"},
        "zeroproofml_scm_qanchorones": {"design"},
        "zeroproofml_scm_decodedmse": {"fit"},
        "zeroproofml_scm_nodetachrenorm": {"detach_norm"},
        "zeroproofml_scm_nodetachrenorm_angular": {"detach_norm", "design", "shock"},
        "zeroproofml_scm_nodetachrenorm_dirhead": {"detach_norm", "design", "sign", "side"},
    },
    ("classic", "zeroproofml_scm_nodetachrenorm_dirhead"): {
        "zeroproofml_scm_nodetachrenorm_dirhead_detachbackbone": {"side"},
    },
}


@pytest.mark.parametrize(("protocol", "parent"), VARIANTS)
def test_a_variant_changes_what_its_name_says_and_nothing_else(protocol, parent):
    table = RECIPES[protocol]
    names = [field.name for field in dataclasses.fields(table[parent]) if field.name != "family"]
    for key, changed in VARIANTS[protocol, parent].items():
        other = {n for n in names if getattr(table[key], n) != getattr(table[parent], n)}
        assert other == changed, key


@pytest.fixture(scope="module")
def bench():
    """Seed 1 of the contract mode, standard."""
    return Bench.of(config.resolve("dose").config, 1)


@pytest.fixture(scope="module")
def classic_bench():
    """Seed 1 of the contract mode, classic."""
    return Bench.of(config.resolve("dose", protocol="classic").config, 1)


def start(bench, arm):
    learner = Learned(bench, arms(bench.protocol)[arm])
    return learner.recipe.design.named(learner.start())


def test_all_arms_of_a_seed_share_the_trunk(bench):
    first = start(bench, "scm_oriented")
    for arm, declared in arms("standard").items():
        if arm in STANDARD and declared.rows is None:
            own = start(bench, arm)
            for name in ("hidden1.weight", "hidden1.bias", "hidden2.weight", "hidden2.bias"):
                assert torch.equal(own[name], first[name]), (arm, name)
    assert not torch.equal(start(bench, "tobit")["output.weight"], first["output.weight"])


def test_a_variant_starts_from_the_head_of_its_family(bench):
    plain, shocked = start(bench, "scm_oriented"), start(bench, "scm_oriented_shock")
    assert torch.equal(plain["p"], shocked["p"])
    assert torch.equal(plain["q"] * 0.01, shocked["q"])
    assert torch.equal(plain["output.weight"][1], shocked["output.weight"][1])
    assert torch.equal(plain["output.weight"][0] * 0.01, shocked["output.weight"][0])
    assert shocked["output.bias"][0] == 0
    assert torch.equal(plain["output.bias"][1], shocked["output.bias"][1])
    assert torch.equal(start(bench, "scm_original")["p"], start(bench, "scm_original_noshock")["p"])


def test_start_laws():
    source = torch.Generator().manual_seed(3)
    design = Design((10, 64, 64), 2, "rational")
    flats = [design.initial(source, source) for _ in range(200)]
    named = [design.named(flat) for flat in flats]
    for layer, fan_in in (("hidden1", 10), ("hidden2", 64), ("output", 64)):
        for part in ("weight", "bias"):
            values = torch.cat([made[f"{layer}.{part}"].flatten() for made in named])
            bound = 1 / math.sqrt(fan_in)
            assert values.abs().max() <= bound
            assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    values = torch.cat([made[name] for made in named for name in ("p", "q")])
    assert values.std().item() == pytest.approx(0.01, rel=0.1)


def test_polynomials_and_angle():
    design = Design((10, 8), 2, "anchored")
    weights = {"p": torch.tensor([1.0, 2.0, 3.0, 4.0]), "q": torch.tensor([5.0, 6.0, 7.0])}
    out = torch.tensor([[2.0, 3.0]])
    p, q = design.tuples(weights, out)
    assert p.item() == 1 + 2 * 3 + 3 * 9 + 4 * 27
    assert q.item() == 1 + 5 + 6 * 2 + 7 * 4
    p, q = Design((10, 8), 2, "linear").tuples({}, out)
    assert (p.item(), q.item()) == (3.0, 2.0)
    p, q = Design((10, 8), 1, "angle").tuples({}, torch.tensor([[0.3]]))
    assert (p.item(), q.item()) == pytest.approx((math.cos(0.3), math.sin(0.3)))


def test_detached_head_leaves_the_trunk_alone(classic_bench):
    name = "zeroproofml_scm_nodetachrenorm_dirhead"
    slopes = {}
    for arm in (name, f"{name}_detachbackbone"):
        learner = Learned(classic_bench, arms("classic")[arm])
        flat = learner.start().requires_grad_()
        table = learner._table("train", 64)
        weights = learner.recipe.design.named(flat)
        only_sides = table.clone()
        only_sides[:, 20:23] = torch.tensor([1.0, 0.0, 0.0])
        recipe = type(learner.recipe)(**{**vars(learner.recipe), "margin": False})
        value = training._loss(
            recipe, learner.plan, weights, only_sides[:, :20], only_sides[:, 20:]
        )
        (slope,) = torch.autograd.grad(value, flat)
        slopes[arm] = learner.recipe.design.named(slope)
    both = list(slopes.values())
    assert not torch.equal(both[0]["hidden1.weight"], both[1]["hidden1.weight"])
    assert torch.allclose(both[0]["output.weight"][2:], both[1]["output.weight"][2:])


def test_rates():
    cosine = training.Plan(512, 20, 2e-3, cosine=True).rates(200_000)
    assert len(cosine) == 7820
    assert cosine[0] == 2e-3
    assert cosine[3910] == pytest.approx(1e-3)
    assert 0 < cosine[-1] < 1e-9
    assert set(training.Plan(512, 10, 2e-3, cosine=False).rates(1000)) == {2e-3}


def test_inputs(hundred):
    x = training.inputs("standard", hundred)
    assert x.dtype == np.float32
    assert np.allclose(x, 2 * hundred.effects - 1, atol=1e-7)
    pairs = training.inputs("classic", hundred).reshape(100, 10, 2)
    assert np.allclose(pairs[:, :, 0], data.LADDER, atol=1e-6)
    assert np.allclose(pairs[:, :, 1], hundred.effects, atol=1e-7)


@pytest.mark.parametrize(("protocol", "arm"), EVERY)
def test_training_lowers_every_loss_and_repeats(protocol, arm, silent):
    """Same streams, same bytes; and the loop descends: no arm is trained by accident."""
    recipe = RECIPES[protocol][arm]
    curves = data.draw(protocol, 1024, np.random.default_rng(1))
    table = np.concatenate(
        [training.inputs(protocol, curves), losses.columns(recipe, curves).astype(np.float32)],
        axis=1,
    )
    table = torch.from_numpy(table)
    plan = training.Plan(64, 4, 5e-4, cosine=False, double=protocol == "classic")
    runs = []
    with threads.switched(1, ("torch",)):
        for _ in range(2):
            sources = (torch.Generator().manual_seed(k) for k in (1, 2))
            first = recipe.design.initial(*sources, shock=recipe.shock)
            order = torch.Generator().manual_seed(3)
            runs.append(training.train(arm, recipe, plan, table, table, first, order, silent))
    assert torch.equal(runs[0].flat, runs[1].flat)
    assert runs[0].train_loss == runs[1].train_loss
    assert runs[0].steps == 64
    # The published fit is unbounded: one curve may throw one of these means, not all of them.
    later = runs[0].train_loss[1:] + runs[0].validation_loss
    assert min(later) < runs[0].train_loss[0]


def test_batches_are_the_permutation_with_its_short_end(bench, silent, monkeypatch):
    learner = Learned(bench, arms("standard")["clamped_mlp"])
    seen = []
    real = training._loss

    def spy(recipe, plan, weights, x, y):
        seen.append(x.clone())
        return real(recipe, plan, weights, x, y)

    monkeypatch.setattr(training, "_loss", spy)
    table = learner._table("train", 300)
    plan = training.Plan(128, 1, 1e-3, cosine=True)
    order = seeding.torch_generator(1, "dose", "standard/1", "shuffle")
    training.train(
        "clamped_mlp", learner.recipe, plan, table, table, learner.start(), order, silent
    )
    sizes = [len(x) for x in seen[:-1]]
    assert sizes == [128, 128, 44]
    order = seeding.torch_generator(1, "dose", "standard/1", "shuffle")
    wanted = table[torch.randperm(300, generator=order)][:, :10]
    assert torch.equal(torch.cat(seen[:-1]), wanted)


def test_divergence_is_said_with_the_epochs_before_it(bench, silent):
    learner = Learned(bench, arms("standard")["clamped_mlp"])
    table = learner._table("train")
    plan = training.Plan(128, 6, 1e30, cosine=False)
    order = torch.Generator().manual_seed(0)
    with pytest.raises(training.Diverged, match="clamped_mlp: loss not finite at step") as caught:
        training.train(
            "clamped_mlp", learner.recipe, plan, table, table, learner.start(), order, silent
        )
    lists = caught.value.train_loss, caught.value.validation_loss
    assert len(lists[0]) == len(lists[1]) < 6
    assert all(math.isfinite(value) for values in lists for value in values)
