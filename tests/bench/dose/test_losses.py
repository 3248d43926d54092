"""Losses: each against its closed form, the library's own, and where a class is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr
from scipy.stats import norm

from zeroproofml.benchmarks.domains.dose import data, losses
from zeroproofml.benchmarks.domains.dose.networks import Design, unit
from zeroproofml.benchmarks.domains.dose.recipes import CLASSIC, STANDARD
from zeroproofml.torch.losses import implicit_loss, oriented_chordal_loss

part = st.integers(-256, 256).map(lambda k: k / 64)


@given(st.lists(st.tuples(part, part, st.sampled_from([0, 1, 2]), st.floats(-2, 2)), min_size=1))
def test_oriented_loss_is_the_library_loss_over_the_lane_count(lanes):
    p, q, label, z = (
        torch.tensor(column, dtype=torch.float64) for column in zip(*lanes, strict=True)
    )
    p = torch.where((p == 0) & (q == 0), 1.0, p)
    curves = data.Curves(
        np.zeros((len(lanes), 10), np.int16),
        np.rint(1e6 * (z.numpy() - 7)).astype(np.int32),
        label.numpy().astype(np.uint8),
        np.zeros(len(lanes), bool),
    )
    z = torch.from_numpy(curves.position) + 7
    recipe = STANDARD["scm_oriented"]
    target = torch.from_numpy(losses.columns(recipe, curves))
    out = torch.stack([q, p], dim=1)
    linear = STANDARD["scm_oriented_linear"]
    made = losses.loss(linear, {}, out, target)
    inside = label == 1
    yn = torch.where(inside, z, label - 1)
    yd = inside.double()
    weight = torch.where(inside, (1 + z * z) ** 2, 1.0)
    wanted = oriented_chordal_loss(p, q, yn, yd, weight=weight, reduction="sum") / len(lanes)
    assert made.item() == pytest.approx(wanted.item(), abs=1e-6)


def one_lane(recipe, z, dtype=torch.float64):
    curves = data.Curves(
        np.zeros((1, 10), np.int16),
        np.array([round(1e6 * (z - 7))], np.int32),
        np.ones(1, np.uint8),
        np.zeros(1, bool),
    )
    return torch.from_numpy(losses.columns(recipe, curves)).to(dtype)


@pytest.mark.parametrize("z", [-2.0, -1.0, 0.0, 0.5, 2.0])
def test_weighted_loss_is_its_closed_form(z):
    recipe = STANDARD["scm_oriented_linear"]
    answer = z + 0.3
    out = torch.tensor([[1.0, answer]], dtype=torch.float64)
    made = losses.loss(recipe, {}, out, one_lane(recipe, z)).item()
    cosine = (1 + answer * z) / math.sqrt((1 + answer**2) * (1 + z**2))
    assert made == pytest.approx((1 + z * z) ** 2 * (1 - cosine), rel=1e-12)


def test_the_weight_pulls_alike_everywhere_in_the_window():
    recipe = STANDARD["scm_oriented_linear"]

    def pull(z, recipe):
        answer = torch.tensor(z + 1e-3, dtype=torch.float64, requires_grad=True)
        out = torch.stack([torch.ones((), dtype=torch.float64), answer])[None]
        (slope,) = torch.autograd.grad(losses.loss(recipe, {}, out, one_lane(recipe, z)), answer)
        return slope.item()

    assert pull(2.0, recipe) == pytest.approx(pull(0.0, recipe), rel=0.01)
    assert pull(-2.0, recipe) == pytest.approx(pull(0.0, recipe), rel=0.01)
    flat = STANDARD["scm_flat"]
    flat = type(flat)(recipe.design, "oriented")
    assert pull(2.0, flat) == pytest.approx(pull(0.0, flat) / 25, rel=0.01)


def random_out(columns, seed=0):
    return torch.randn((100, columns), generator=torch.Generator().manual_seed(seed)).double()


def masks(curves):
    return curves.label == 1, curves.label == 0, curves.label == 2


def test_censored_likelihood_is_its_closed_form(hundred):
    recipe, out = STANDARD["tobit"], random_out(2)
    out[0, 1], out[1, 1] = -9.0, 7.0
    target = torch.from_numpy(losses.columns(recipe, hundred))
    made = losses.loss(recipe, {}, out, target).item()
    mean, width = 2 * out[:, 0].numpy(), np.exp(np.clip(out[:, 1].numpy(), -5, 3))
    inside, below, above = masks(hundred)
    z = hundred.position + 7
    lanes = np.where(inside, norm.logpdf(z, mean, width), 0)
    lanes = np.where(below, log_ndtr((-2 - mean) / width), lanes)
    lanes = np.where(above, log_ndtr((mean - 2) / width), lanes)
    assert made == pytest.approx(-lanes.mean(), rel=1e-12)


def test_two_stage_and_clamped_losses(hundred):
    inside, below, _ = masks(hundred)
    z = hundred.position + 7
    recipe, out = STANDARD["two_stage"], random_out(4)
    target = torch.from_numpy(losses.columns(recipe, hundred))
    entropy = torch.nn.functional.cross_entropy(
        out[:, :3], torch.from_numpy(hundred.label).long()
    ).item()
    error = np.mean((out[:, 3].numpy() - z)[inside] ** 2)
    assert losses.loss(recipe, {}, out, target).item() == pytest.approx(entropy + error)
    recipe, out = STANDARD["clamped_mlp"], random_out(1)
    target = torch.from_numpy(losses.columns(recipe, hundred))
    wanted = np.where(inside, z, np.where(below, -2, 2))
    made = losses.loss(recipe, {}, out, target).item()
    assert made == pytest.approx(np.mean((out[:, 0].numpy() - wanted) ** 2))
    recipe = CLASSIC["clampedmlp"]
    target = losses.columns(recipe, hundred)[:, 3]
    assert np.array_equal(target, np.where(inside, hundred.position, np.where(below, -9, -5)))
    target = losses.columns(CLASSIC["rational_eps"], hundred)[:, 3]
    assert np.array_equal(target, np.where(inside, hundred.position, np.where(below, -10, -4)))


def published(curves, p, q, *, sign=1.0, margin=True, center=0.0):
    """The published recipe, term by term; NumPy, unit tuples."""
    inside, below, _ = masks(curves)
    z = curves.position - center
    yn, yd = np.where(inside, z, np.where(below, -1.0, 1.0)), inside.astype(float)
    fit = np.mean((p * yd - q * yn) ** 2 / (q**2 * yd**2 + p**2 * yn**2 + 1e-9))
    if margin:
        fit += np.mean(np.maximum(np.abs(q) - 0.01, 0)[~inside] ** 2)
        fit += np.mean(np.maximum(0.05 - np.abs(q), 0)[inside] ** 2)
    return fit + sign * np.mean(np.where(inside, 0.0, 1 - p * yn))


def test_published_recipe_and_its_switches(hundred):
    out = random_out(4, seed=2)
    p, q = out[:, 1].numpy(), out[:, 0].numpy()
    size = np.hypot(p, q)
    p, q = p / size, q / size
    linear = Design((10, 64, 64), 2, "linear")

    def made(arm, **changed):
        recipe = {**STANDARD, **CLASSIC}[arm]
        recipe = type(recipe)(**{**vars(recipe), "design": linear, **changed})
        target = torch.from_numpy(losses.columns(recipe, hundred))
        return losses.loss(recipe, {}, out, target).item()

    assert made("scm_original") == pytest.approx(published(hundred, p, q))
    assert made("scm_original_centred") == pytest.approx(published(hundred, p, q, center=-7.0))
    assert made("zeroproofml_scm") == pytest.approx(published(hundred, p, q))
    name = "zeroproofml_scm_"
    assert made(name + "nosign") == pytest.approx(published(hundred, p, q, sign=0.0))
    assert made(name + "nomargin") == pytest.approx(published(hundred, p, q, margin=False))
    inside = hundred.label == 1
    wanted = np.mean((p / q - hundred.position)[inside] ** 2) + np.mean(q[~inside] ** 2)
    rest = published(hundred, p, q) - published(hundred, p, q, margin=False, sign=0.0)
    assert made(name + "decodedmse") == pytest.approx(wanted + rest)
    below, above = hundred.label == 0, hundred.label == 2
    rise = (out[:, 3] - out[:, 2]).numpy()
    sides = np.mean(np.logaddexp(0, rise)[below]) + np.mean(np.logaddexp(0, -rise)[above])
    assert made("scm_dirhead") == pytest.approx(published(hundred, p, q, sign=0.0) + sides / 2)


def test_published_fit_is_the_library_loss(hundred):
    out = random_out(2, seed=4)
    p, q = unit(out[:, 1], out[:, 0])
    inside = torch.from_numpy(hundred.label == 1)
    position = torch.from_numpy(hundred.position)
    side = torch.from_numpy(hundred.label.astype(float) - 1)
    yn, yd = torch.where(inside, position, side), inside.double()
    wanted = implicit_loss(p, q, yn, yd).item()
    made = published(hundred, p.numpy(), q.numpy(), sign=0.0, margin=False)
    assert made == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("switch", ["detach_scale", "detach_norm"])
def test_detaching_changes_the_gradient_and_not_the_value(switch, hundred):
    base = STANDARD["scm_original"]
    linear = Design((10, 64, 64), 2, "linear")
    values, slopes = [], []
    for on in (False, True):
        recipe = type(base)(**{**vars(base), "design": linear, switch: on})
        out = random_out(2, seed=6).requires_grad_()
        target = torch.from_numpy(losses.columns(recipe, hundred))
        value = losses.loss(recipe, {}, out, target)
        values.append(value.item())
        slopes.append(torch.autograd.grad(value, out)[0])
    assert values[0] == values[1]
    assert not torch.allclose(*slopes)


def test_a_class_may_be_absent():
    for label in (0, 1, 2):
        curves = data.Curves(
            np.zeros((4, 10), np.int16),
            np.full(4, -7_000_000, np.int32),
            np.full(4, label, np.uint8),
            np.zeros(4, bool),
        )
        for arm in ("two_stage", "tobit", "scm_oriented", "scm_dirhead", "clamped_mlp"):
            recipe = STANDARD[arm]
            target = torch.from_numpy(losses.columns(recipe, curves).astype(np.float32))
            weights = {"p": torch.ones(4), "q": torch.ones(3)}
            out = torch.full((4, recipe.design.outputs), 0.3, requires_grad=True)
            value = losses.loss(recipe, weights, out, target)
            (slope,) = torch.autograd.grad(value, out)
            assert torch.isfinite(value)
            assert torch.isfinite(slope).all()
