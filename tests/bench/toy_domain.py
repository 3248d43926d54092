"""A domain of milliseconds, NumPy only: three arms, two metrics, one protocol with shared data.

Loaded by path (`domains.load_file`) in the tests and in the workers that they start. What a test
wants to happen inside a seed comes through TOY_* variables, which no config hashes:
TOY_SLEEP="2:0.5" (seed 2 sleeps), TOY_WAIT="2:/path" (until the file is there), TOY_RAISE="2", TOY_FAIL_ARM="2" (the arm ridge fails),
TOY_KILL="2:/path*3" (seed 2 kills its process, each time until the file has three lines),
TOY_STUBBORN="2" (seed 2 ignores SIGTERM for a minute).
"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from zeroproofml.benchmarks import seeding
from zeroproofml.benchmarks.domains import ArmOutput, Dataset, SeedOutput
from zeroproofml.report import domains as laws
from zeroproofml.report.contract import Claim, MetricDefinition
from zeroproofml.report.contract.arrays import array_digest

DOMAIN = "toy"
FRAMEWORKS = ()
ARMS = (
    laws.Arm("zero", "zero", "floor"),
    laws.Arm("ridge", "ridge regression", "learned"),
    laws.Arm("truth", "the generator", "ceiling"),
)
METRICS = {
    "err": MetricDefinition(
        direction="lower", unit="-", bounds=(0.0, None), kind="error", text="mean squared error"
    ),
    "hit": MetricDefinition(
        direction="higher", unit="-", bounds=(0.0, 1.0), kind="rate", text="share within 0.5"
    ),
    "skill": MetricDefinition(
        direction="higher", unit="-", bounds=(None, 1.0), kind="score", text="1 − err/err(zero)"
    ),
}
CLAIMS = (
    Claim(
        id="ridge_beats_zero",
        text="ridge has a smaller error than zero",
        kind="superiority",
        metric="err",
        arm="ridge",
        comparator="zero",
        bound=None,
        margin=0.0,
        alpha=0.05,
        min_seeds=6,
        eligible_modes=("paper",),
        eligible_protocols=("standard",),
        devices=None,
        missing="ineligible",
    ),
)


def seed_metrics(arrays, settings, arms):
    del settings
    target = arrays["data__target"]
    made = {}
    for arm in arms:
        miss = np.abs(arrays[f"{arm}__y"] - target)
        values = {"err": float(np.mean(miss**2)), "hit": float(np.mean(miss < 0.5))}
        reasons = {}
        floor = float(np.mean(target**2))
        values["skill"] = None if arm == "zero" else 1.0 - values["err"] / floor
        if arm == "zero":
            reasons["skill"] = "not_applicable"
        made[arm] = laws.ArmMetrics(values, reasons)
    return made


def members(settings, arms):
    n = settings["n_test"]
    return {"data__target": ("<f8", (n,)), **{f"{arm}__y": ("<f8", (n,)) for arm in arms}}


def _protocol(name):
    sizes = {"contract": 12, "smoke": 40, "paper": 60}
    return laws.Protocol(
        domain=DOMAIN,
        name=name,
        version=1,
        arms=ARMS,
        reference_arm="zero",
        required_arms=("zero",),
        metric_set=(f"toy_{name}", 1),
        settings={mode: {"n_train": 2 * n, "n_test": n, "ridge": 0.5} for mode, n in sizes.items()},
        seeds={"contract": 1, "smoke": 2, "paper": 10},
        dtype="float64",
        threads=1,
        metrics=METRICS,
        declared_metrics=("err", "hit"),
        claims=CLAIMS if name == "standard" else (),
        seed_metrics=seed_metrics,
        members=members,
    )


def _wanted(name, seed):
    """The text after `seed:` in a TOY_ variable, or None if it does not name this seed."""
    for item in os.environ.get(name, "").split(";"):
        key, _, rest = item.partition(":")
        if key == str(seed):
            return rest
    return None


def _rows(rng, n):
    x = rng.standard_normal((n, 3))
    return x, x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.standard_normal(n)


def _produce(name, config, seed, progress):
    settings, protocol = config["settings"], f"{name}/1"
    if (pause := _wanted("TOY_SLEEP", seed)) is not None:
        progress.start("data", 2)
        progress.advance()
        time.sleep(float(pause))
        progress.finish()
    if _wanted("TOY_STUBBORN", seed) is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        progress.start("stubborn", 1)
        time.sleep(60)
    if (gate := _wanted("TOY_WAIT", seed)) is not None:
        while not Path(gate).exists():
            time.sleep(0.01)
    if (marker := _wanted("TOY_KILL", seed)) is not None:
        path, _, times = marker.rpartition("*")
        done = len(Path(path).read_text().splitlines()) if Path(path).exists() else 0
        if done < int(times):
            with Path(path).open("a") as out:
                out.write("killed\n")
            os.kill(os.getpid(), signal.SIGKILL)
    if _wanted("TOY_RAISE", seed) is not None:
        msg = "the toy was told to raise"
        raise ValueError(msg)
    entropy = seeding.FROZEN if name == "classic" else seed
    x, y = _rows(seeding.generator(seed, DOMAIN, protocol, "data.train"), settings["n_train"])
    xt, yt = _rows(seeding.generator(entropy, DOMAIN, protocol, "data.test"), settings["n_test"])
    arrays, arms = {"data__target": yt}, {}
    test = {"x": xt, "y": yt}
    for arm in config["arms"]:
        progress.start(arm, 1)
        arms[arm] = _arm(arm, seed, protocol, settings, (x, y, xt, yt), arrays)
        progress.advance(1, loss=0.5)
        progress.finish()
    shared = test if name == "classic" else None
    return SeedOutput(
        datasets={
            "train": Dataset(array_digest({"x": x, "y": y}), len(y), "train"),
            "test": Dataset(array_digest(test), len(yt), "test", arrays=shared),
        },
        arrays=arrays,
        arms=arms,
        data_s=0.001,
    )


def _arm(arm, seed, protocol, settings, data, arrays):
    x, y, xt, yt = data
    nothing = {"thresholds": "not_applicable"}
    idle = {**nothing, "training.epochs": "not_applicable", "training.final_loss": "not_applicable"}
    if arm != "ridge":
        arrays[f"{arm}__y"] = np.zeros_like(yt) if arm == "zero" else yt + 0.01
        return ArmOutput(reasons=idle)
    if _wanted("TOY_FAIL_ARM", seed) is not None:
        return ArmOutput(status="failed", reason="diverged", reasons=idle)
    start = seeding.generator(seed, DOMAIN, protocol, "init", arm=arm).standard_normal(3)
    gram = x.T @ x + settings["ridge"] * np.eye(3)
    weight = np.linalg.solve(gram, x.T @ y) + 1e-6 * start
    arrays["ridge__y"] = xt @ weight
    return ArmOutput(
        n_parameters=3,
        training={"steps": 1, "epochs": None, "final_loss": 0.25},
        reasons={**nothing, "training.epochs": "not_applicable"},
        diagnostics={"norm": float(np.linalg.norm(weight))},
        checkpoint={"weight": weight},
    )


def _producer(name):
    def produce(config, seed, progress):
        return _produce(name, config, seed, progress)

    return produce


PROTOCOLS = {name: _protocol(name) for name in ("standard", "classic")}
PRODUCERS = {name: _producer(name) for name in PROTOCOLS}
for _law in PROTOCOLS.values():
    laws.register(_law)
