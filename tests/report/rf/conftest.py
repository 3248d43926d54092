"""Small RF worlds for the reader: devices in closed form, heads that are exact, arms made of truth."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from zeroproofml.report import domains
from zeroproofml.report.domains.rf import device, members, sections


def pytest_addoption(parser):
    """``pytest tests/report/rf --update-golden`` writes the golden plates again; review the diff."""
    parser.addoption("--update-golden", action="store_true", help="write the RF golden plates")


SETTINGS = {"stable": 20, "neg": 12, "axis": 6, "ident": 8, "ident_clean": 2, "representatives": 3}
Q = ((5, 30), (30, 100), (100, 300), (300, 1000))


def draw(settings, seed):
    """The shared data set ``test`` under its law, from a generator of its own."""
    rng = np.random.default_rng(seed)
    counts = [settings["stable"]] * 4 + [settings["neg"], settings["axis"]]
    design, delta, sets = [], [], []
    for code, n in enumerate(counts):
        x = rng.uniform(-1, 1, (n, 3))
        u = np.exp(rng.uniform(np.log(0.05), np.log(0.2), n))
        if code < 4:
            d = 1 / np.exp(rng.uniform(*np.log(Q[code]), n))
        else:
            d = -np.exp(rng.uniform(np.log(1e-3), np.log(0.1), n)) if code == 4 else np.zeros(n)
        design.append(np.column_stack([x, u, (u - d) / (1 + 0.25 * x[:, 0])]))
        delta.append(d)
        sets.append(np.full(n, code, np.uint8))
    design, delta, sets = map(np.concatenate, (design, delta, sets))
    stable = 4 * settings["stable"]
    omega = device.grid(device.poles(design[:stable], delta[:stable]))
    named = {"design": design, "delta": delta, "set": sets, "omega": omega}
    named["weight"] = device.weights(omega)
    return {f"data__test__{name}": x for name, x in named.items()}


def exact(design, delta):
    """Sections (n, 2, 4) that are the device itself: its partial fractions."""
    p = device.poles(design, delta)
    w1, w2, _ = (part[:, None] for part in device.natural(design))
    slope = np.zeros(p.shape, dtype=complex)
    for power, part in zip(range(4, 0, -1), device.denominator(design, delta).T, strict=False):
        slope = slope + power * part[:, None] * p ** (power - 1)
    residue = w1**2 * (p * p + delta[:, None] * w2 * p + w2**2) / slope
    size = np.abs(p)
    parts = (size, -2 * p.real / size, -2 * (residue * p.conj()).real / size**2)
    return np.stack([*parts, 2 * residue.real / size], axis=2)


def head(arm, found, omega):
    """Members of a section arm, decided as the protocol decides."""
    cause = sections.device_cause(found)
    stable = len(omega)
    lanes = sections.decode(found[:stable], omega, None).cause != 0
    return {
        f"{arm}__sections": found,
        f"{arm}__path_sections": exact(*device.path()),
        f"{arm}__device_bottom": cause != 0,
        f"{arm}__device_cause": cause,
        f"{arm}__lane_bottom": lanes & (cause[:stable, None] == 0),
    }


def truth(arrays):
    """True response (n_stable, 288)."""
    omega = arrays["data__test__omega"]
    n = len(omega)
    design, delta = arrays["data__test__design"][:n], arrays["data__test__delta"][:n]
    return device.response(design, delta, omega)


def noisy(found, seed, size=0.15):
    """Sections moved at random; some dampings cross zero."""
    rng = np.random.default_rng(seed)
    out = found.copy()
    out[:, :, 0] *= np.exp(0.05 * size * rng.standard_normal(out.shape[:2]))
    out[:, :, 1] += 0.02 * size * rng.standard_normal(out.shape[:2])
    out[:, :, 2:] *= np.exp(size * rng.standard_normal(out[:, :, 2:].shape))
    return out


def build(settings=SETTINGS, seed=0):
    """All arms of the standard protocol on one world."""
    arrays = draw(settings, 0)
    rng = np.random.default_rng(seed)
    omega, h = arrays["data__test__omega"], truth(arrays)
    found = exact(arrays["data__test__design"], arrays["data__test__delta"])
    out = dict(arrays)
    for number, arm in enumerate(members.SECTION_ARMS):
        out |= head(arm, noisy(found, 10 * seed + number, 0.1 + 0.2 * number), omega)
    for number, arm in enumerate(members.MLP_ARMS):
        out[f"{arm}__response"] = (h * (0.2 + 0.3 * number)).astype(np.complex64)
    for arm in members.SCORE_ARMS:
        out[f"{arm}__score"] = rng.standard_normal(len(found)) + (found[:, :, 1].min(1) > 0)
        out[f"{arm}__threshold"] = np.zeros(1)
    rows = members.ident_rows(settings)
    clean = members.ident_rows(settings, settings["ident_clean"])
    for number, arm in enumerate(members.IDENT_ARMS):
        scale = 1 + 0.01 * number
        lost = np.zeros(len(rows), dtype=bool)
        lost[number] = number > 0
        made = np.where(lost[:, None], 0, h[rows] * scale)
        out[f"{arm}__response"] = made.astype(np.complex64)
        out[f"{arm}__response_sigma0"] = h[clean].astype(np.complex64)
        out[f"{arm}__response_sigma3"] = (h[clean] * 0.999).astype(np.complex64)
        out[f"{arm}__device_bottom"] = lost
        out[f"{arm}__device_cause"] = np.where(lost, np.uint8(2), np.uint8(0))
        poles = np.zeros((len(rows), members.POLES), dtype=complex)
        design, delta = arrays["data__test__design"][rows], arrays["data__test__delta"][rows]
        poles[:, :2] = device.poles(design, delta)
        out[f"{arm}__poles"] = poles
        mask = np.zeros(poles.shape, dtype=bool)
        mask[:, :2] = ~lost[:, None]
        out[f"{arm}__pole_mask"] = mask
    return out


@pytest.fixture(scope="session")
def rf():
    """The helpers above, and the worlds they make."""
    return SimpleNamespace(
        settings=SETTINGS,
        draw=draw,
        exact=exact,
        head=head,
        truth=truth,
        noisy=noisy,
        world=functools.cache(lambda seed=0: build(SETTINGS, seed)),
        law=domains.get("rf"),
        arms=[arm.key for arm in domains.get("rf").arms],
    )


@pytest.fixture
def run_of(rf):
    """What aggregates and figures read of a run: (protocol, arrays by seed, arms, failed arms)."""

    def make(arrays, arms=None, *, failed=(), protocol="standard", settings=None):
        law = domains.get("rf", protocol)
        settings = settings or rf.settings
        arms = list(arms or [arm.key for arm in law.arms])
        results = {}
        for seed, made in arrays.items():
            working = [arm for arm in arms if arm not in failed]
            found = law.seed_metrics(made, settings, working)
            results[seed] = SimpleNamespace(
                arms={
                    arm: SimpleNamespace(
                        status="ok",
                        metrics=found[arm].metrics,
                        reasons=found[arm].reasons,
                    )
                    if arm in working
                    else SimpleNamespace(
                        status="failed",
                        metrics=dict.fromkeys(law.metrics),
                        reasons=dict.fromkeys(law.metrics, "arm_failed"),
                    )
                    for arm in arms
                }
            )
        words = {"name": protocol, "version": 1}
        return SimpleNamespace(
            config=SimpleNamespace(
                domain="rf",
                mode="contract",
                settings=settings,
                protocol=SimpleNamespace(name=protocol, plain=lambda: words),
            ),
            provenance=SimpleNamespace(config_hash="sha256:" + "0" * 64),
            planned=tuple(arrays),
            results=results,
            raw_digest="sha256:" + "1" * 64,
            protocol=law,
            arrays=lambda seed: arrays[seed],
        )

    return make
