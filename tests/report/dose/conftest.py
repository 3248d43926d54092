"""Worlds of stored arrays: curves with exact positions, and arms that behave as a test wants."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from zeroproofml.report import domains
from zeroproofml.report.domains.dose.answers import Answer, Targets
from zeroproofml.scm.cause import Cause

STEP = 15_625  # microdecades of 1/64 decade: positions that float32 holds exactly
SIZES = {"cal": 2000, "test": 1000}


def truth(rng, n):
    """Targets (n,): a third of each class, a tenth without effect."""
    micro = rng.integers(-13 * 64, -64 + 1, n) * STEP
    flat = rng.random(n) < 0.1
    label = np.where(flat | (micro > -5_000_000), 2, 1)
    label = np.where(~flat & (micro < -9_000_000), 0, label)
    return Targets(label.astype(np.uint8), micro.astype(np.int32), flat)


def answer(score, direction, point, cause=None, **extra):
    """An answer in the stored dtypes."""
    f4 = [np.asarray(x).astype(np.float32) for x in (score, direction, point)]
    cause = np.zeros(len(f4[0]), np.uint8) if cause is None else np.asarray(cause, np.uint8)
    return Answer(*f4, cause, **{k: np.asarray(v, np.float32) for k, v in extra.items()})


def perfect(y, rng):
    del rng
    return answer(4.0 * y.in_range, np.where(y.label == 2, 1, -1), y.position)


def noisy(spread, error=0.05):
    """Scores of two overlapping normal laws; a small error of the value; right sides."""

    def make(y, rng):
        score = y.in_range * 4.0 + rng.normal(0, spread, len(y))
        side = np.where(y.label == 2, 1, -1)
        return answer(score, side, y.position + rng.normal(0, error, len(y)))

    return make


def silent(y, rng):
    """⊥ everywhere, and right about every side."""
    del rng
    zero = np.zeros(len(y))
    side = np.where(y.label == 2, 1, -1)
    return answer(zero, side, zero, np.full(len(y), int(Cause.DIV_ZERO)))


def eager(y, rng):
    """A number for every curve."""
    del rng
    return answer(np.zeros(len(y)), np.ones(len(y)), np.full(len(y), -7.0))


BEHAVIOURS = {
    "perfect": perfect,
    "good": noisy(1.0),
    "fair": noisy(1.6, 0.2),
    "silent": silent,
    "eager": eager,
}


def columns(arm, where, made, y, rng):
    """Stored members of one answer; what the arm must also store is made up to fit."""
    key = f"{arm.key}__{where}_"
    out = {key + name: getattr(made, name) for name in ("score", "direction", "point", "cause")}
    n = len(y)
    if "q" in arm.columns:
        top = max(1.0, float(np.abs(made.score).max()))
        size = np.clip(made.score / np.float32(top), 1e-3, 1).astype(np.float32)
        size[made.cause != 0] = 0
        out[key + "score"] = out[key + "q"] = size
        out[key + "direction"] = np.where(made.direction < 0, -0.5, 0.5).astype(np.float32)
    if "orient" in arm.columns:
        out[key + "orient"] = rng.choice([-0.5, 0.5], n).astype(np.float32)
    if "prob" in arm.columns:
        inside = 1 / (1 + np.exp(-(made.score.astype(float) - 2.0)))
        up = (made.direction >= 0) * 0.9 + 0.05
        prob = np.stack([(1 - inside) * (1 - up), inside, (1 - inside) * up], axis=1)
        out[key + "prob"] = prob.astype(np.float32)
    if "sd" in arm.columns:
        out[key + "sd"] = np.full(n, 0.05, np.float32)
    return out


@pytest.fixture
def make():
    """Builders of single answers and targets."""
    return SimpleNamespace(truth=truth, answer=answer, **BEHAVIOURS)


@pytest.fixture
def world():
    """(arm → behaviour, seed, protocol, sizes) → arrays as `seed_metrics` takes them."""
    from zeroproofml.report.domains.dose.arms import arms

    def build(behaviours, seed=1, protocol="standard", sizes=SIZES, stress=()):
        rng = np.random.default_rng(seed)
        known, arrays = arms(protocol), {}
        every = dict(sizes) | dict.fromkeys(stress, sizes["test"])
        # The test sets are frozen: the same curves for every seed.
        fixed = {
            name: truth(np.random.default_rng(i), n) for i, (name, n) in enumerate(every.items())
        }
        for where, frozen in fixed.items():
            y = truth(rng, sizes["cal"]) if where == "cal" else frozen
            key = f"data__{where}_" if where == "cal" else f"data__{where}__"
            arrays |= {
                key + "label": y.label,
                key + "l_microdecades": y.micro,
                key + "no_effect": y.no_effect,
            }
            for arm, behaviour in behaviours.items():
                act = BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour
                arrays |= columns(known[arm], where, act(y, rng), y, rng)
        return arrays

    return build


@pytest.fixture
def settings():
    """Settings that belong to the arrays of `world`."""

    def build(sizes=SIZES, stress=(), **more):
        return {
            "calibration": sizes["cal"],
            "test": sizes["test"],
            "stress": dict.fromkeys(stress, sizes["test"]),
            "train": 200_000,
            **more,
        }

    return build


@pytest.fixture
def run_of(settings):
    """What derivation reads of a run, from arrays by seed."""

    def build(by_seed, arms, protocol="standard", planned=None, stress=(), failed=(), mode="paper"):
        law = domains.get("dose", protocol)
        sized = {
            "cal": len(next(iter(by_seed.values()))["data__cal_label"]),
            "test": len(next(iter(by_seed.values()))["data__test__label"]),
        }
        made = settings(sized, stress)
        results = {}
        for seed, arrays in by_seed.items():
            working = [arm for arm in arms if arm not in failed]
            measured = law.seed_metrics(arrays, made, working)
            none = SimpleNamespace(
                status="failed",
                metrics=dict.fromkeys(law.metrics),
                reasons=dict.fromkeys(law.metrics, "arm_failed"),
            )
            ok = {
                arm: SimpleNamespace(status="ok", metrics=m.metrics, reasons=m.reasons)
                for arm, m in measured.items()
            }
            results[seed] = SimpleNamespace(arms={arm: ok.get(arm, none) for arm in arms})
        name = SimpleNamespace(name=protocol, plain=lambda: {"name": protocol, "version": 1})
        return SimpleNamespace(
            config=SimpleNamespace(
                domain="dose", mode=mode, settings=made, protocol=name, arms=tuple(sorted(arms))
            ),
            provenance=SimpleNamespace(config_hash="sha256:" + "0" * 64),
            planned=tuple(planned or by_seed),
            results=results,
            raw_digest="sha256:" + "1" * 64,
            arrays=lambda seed: by_seed[seed],
        )

    return build
