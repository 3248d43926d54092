"""A toy benchmark in run directories: five arms, three metrics, refusals with their cause.

The runs are written by the journal's own writer, with a fixed clock and run id, so that what the
tests read is what a benchmark leaves.
"""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest

from zeroproofml.report import domains
from zeroproofml.report._fs import Tree
from zeroproofml.report.contract import (
    ArmResult,
    Attempt,
    Claim,
    MetricDefinition,
    Plan,
    Provenance,
    RunConfig,
    SeedCommit,
    SeedResult,
    Source,
)
from zeroproofml.report.contract.arrays import array_digest, write_npz
from zeroproofml.report.contract.strict_json import digest, sha256
from zeroproofml.report.journal import RunWriter

ARMS = (
    domains.Arm("scm", "signed common meadow", "learned"),
    domains.Arm("mlp", "multilayer perceptron", "learned"),
    domains.Arm("clamp", "clamped quotient", "analytic"),
    domains.Arm("zero", "always zero", "floor"),
    domains.Arm("oracle", "the generator itself", "ceiling"),
)
METRICS = {
    "mae": MetricDefinition(
        direction="lower",
        unit="decades",
        bounds=(0.0, None),
        kind="error",
        text="mean absolute error of the accepted lanes",
    ),
    "coverage": MetricDefinition(
        direction="higher", unit="1", bounds=(0.0, 1.0), kind="rate", text="share of accepted lanes"
    ),
    "worst": MetricDefinition(
        direction="lower",
        unit="decades",
        bounds=(0.0, None),
        kind="error",
        text="largest error of the accepted lanes",
    ),
}


def claim(**changes):
    body = {
        "id": "scm_beats_mlp",
        "text": "the meadow has a smaller error than the perceptron",
        "kind": "superiority",
        "metric": "mae",
        "arm": "scm",
        "comparator": "mlp",
        "bound": None,
        "margin": 0.0,
        "alpha": 0.05,
        "min_seeds": 6,
        "eligible_modes": ("paper",),
        "eligible_protocols": ("standard",),
        "devices": None,
        "missing": "ineligible",
    }
    return Claim(**(body | changes))


CLAIMS = (
    claim(),
    claim(
        id="scm_covers",
        text="coverage does not suffer",
        kind="noninferiority",
        metric="coverage",
        margin=0.1,
    ),
    claim(
        id="bounded",
        text="the error stays below one decade in each seed",
        kind="every_seed",
        comparator=None,
        bound=1.0,
    ),
)


def seed_metrics(arrays, settings, arms):
    del settings
    made = {}
    for arm in arms:
        kept = arrays[f"{arm}__cause"] == 0
        miss = np.abs(arrays[f"{arm}__y"] - arrays["data__target"])[kept]
        values = {"mae": None, "coverage": float(np.mean(kept)), "worst": None}
        reasons = {"mae": "empty_set", "worst": "empty_set"}
        if miss.size:
            values |= {"mae": float(np.mean(miss)), "worst": float(np.max(miss))}
            reasons = {}
        made[arm] = domains.ArmMetrics(values, reasons)
    return made


def members(settings, arms):
    n = settings["n"]
    made = {"data__target": ("<f8", (n,))}
    for arm in arms:
        made |= {f"{arm}__y": ("<f8", (n,)), f"{arm}__cause": ("|u1", (n,))}
    return made


def toy_protocol(name="standard", **changes):
    body = {
        "domain": "toyreport",
        "name": name,
        "version": 1,
        "arms": ARMS,
        "reference_arm": "mlp",
        "required_arms": ("mlp",),
        "metric_set": ("toyreport_standard", 1),
        "settings": {mode: {"n": 40} for mode in ("contract", "smoke", "paper")},
        "seeds": {"contract": 1, "smoke": 2, "paper": 10},
        "dtype": "float64",
        "threads": 1,
        "metrics": METRICS,
        "declared_metrics": ("mae", "coverage"),
        "claims": CLAIMS if name == "standard" else (),
        "seed_metrics": seed_metrics,
        "members": members,
    }
    return domains.Protocol(**(body | changes))


def toy_arrays(seed, arms, n=40):
    rng = np.random.default_rng([seed, 7])
    target = rng.normal(0, 1, n)
    arrays = {"data__target": target}
    noise = {"scm": 0.1, "mlp": 0.3, "clamp": 0.5, "zero": 0.0, "oracle": 0.0}
    for arm in arms:
        y = target + noise[arm] * np.random.default_rng([seed, len(arm)]).normal(0, 1, n)
        cause = np.zeros(n, np.uint8)
        if arm == "zero":
            y = np.zeros(n)
        if arm == "scm":
            cause[: 2 + seed % 3] = 32
            cause[5] = 4 | 32
        if arm == "clamp":
            cause[:6] = 16
        y[cause != 0] = 0.0
        arrays |= {f"{arm}__y": y, f"{arm}__cause": cause}
    return arrays


ENVIRONMENT = {
    "identity": {
        "python": "3.11",
        "system": "Linux",
        "machine": "x86_64",
        "packages": {"numpy": "2.4.6"},
        "cuda": None,
        "gpu": None,
        "threads": 1,
        "determinism": {},
    },
    "packages": {"numpy": "2.4.6", "zeroproofml-report": "0.1.0", "zeroproofml-scm": "0.1.0"},
    "python": {"version": "3.11.9", "implementation": "CPython", "build": None},
    "system": {
        "os": "Linux",
        "release": None,
        "arch": "x86_64",
        "cpu_model": "one core",
        "cpu_count": 2,
        "affinity": 2,
        "memory_mb": 1000,
    },
    "blas": (),
    "gpu": (),
    "env": {},
    "clock": {"timezone": "UTC", "monotonic": None},
    "host_id": "0" * 16,
    "reasons": {
        "identity.cuda": "not_applicable",
        "identity.gpu": "not_applicable",
        "python.build": "missing",
        "system.release": "missing",
        "clock.monotonic": "missing",
    },
}
CODE = {"zeroproofml-scm": sha256(b"scm"), "zeroproofml-report": sha256(b"report")}


def toy_provenance(protocol, mode, seeds, arms, run_id, device="cpu", attempts=1):
    config = RunConfig(
        domain=protocol.domain,
        mode=mode,
        protocol={"name": protocol.name, "version": protocol.version},
        device=device,
        arms=tuple(sorted(arms)),
        dtype=protocol.dtype,
        threads=protocol.threads,
        settings=dict(protocol.settings[mode]),
    )
    one = {
        "attempt": 1,
        "kind": "initial",
        "started_at": "2026-01-02T03:04:05.000006Z",
        "ended_at": "2026-01-02T03:04:06.000006Z",
        "exit_code": 0,
        "argv": ("zpml-bench", protocol.domain),
        "cwd": "work",
        "executor": {"name": "inline", "workers": 1, "scheduler": None},
        "environment": ENVIRONMENT,
        "code": CODE,
        "seeds_at_start": (),
    }
    return Provenance(
        run_id=run_id,
        created_at="2026-01-02T03:04:05.000006Z",
        config=config,
        config_hash=config.hash(),
        plan=Plan(
            seeds=tuple(seeds),
            claims=protocol.claims,
            claims_digest=digest([c.plain() for c in protocol.claims]),
        ),
        attempts=(Attempt(**one),) * attempts,
        source=Source(commit="a" * 40, dirty=False, diff_sha256=None, how="git",
                      reasons={"diff_sha256": "not_applicable"}),
        seeds_environment={},
        resources={},
    )  # fmt: skip


def toy_result(provenance, seed, arrays, metrics, failed=()):
    config = provenance.config
    arms = {}
    for arm in config.arms:
        found = metrics[arm]
        values, reasons = found.metrics, dict(found.reasons)
        if arm in failed:
            values = dict.fromkeys(values)
            reasons = dict.fromkeys(values, "arm_failed")
        reasons |= {
            "thresholds": "not_applicable",
            "training.epochs": "not_applicable",
            "training.final_loss": "not_applicable",
        }
        arms[arm] = ArmResult(
            status="failed" if arm in failed else "ok",
            reason="diverged" if arm in failed else None,
            n_parameters=12,
            training={"steps": 3, "epochs": None, "final_loss": None},
            thresholds=None,
            metrics=values,
            reasons=reasons,
            diagnostics={},
        )
    data = {"digest": array_digest({"t": arrays["data__target"]}), "n": 40}
    return SeedResult(
        schema_name=f"zeroproofml.seed_result.{config.domain}",
        domain=config.domain,
        mode=config.mode,
        protocol=config.protocol,
        config_hash=provenance.config_hash,
        seed=seed,
        datasets={"test": {**data, "role": "test", "file": None}},
        metric_set={"name": "toyreport_standard", "version": 1},
        arms=arms,
        timing={
            "data_s": 0.1,
            "total_s": 1.0,
            "arms": {arm: {"train_s": 0.1, "evaluate_s": 0.1} for arm in arms},
            "peak_rss_mb": None,
            "gpu_peak_mb": None,
            "reasons": {"peak_rss_mb": "missing", "gpu_peak_mb": "not_applicable"},
        },
    )


def write_seed(tree, where, provenance, seed, protocol, failed=(), shift=0.0):
    arrays = toy_arrays(seed, provenance.config.arms)
    if shift:
        arrays = {k: v + shift if k.startswith("mlp__y") else v for k, v in arrays.items()}
    metrics = protocol.seed_metrics(arrays, provenance.config.settings, provenance.config.arms)
    result = toy_result(provenance, seed, arrays, metrics, failed)
    files = {"per_seed_result.json": result.to_bytes(), "predictions.npz": write_npz(arrays)}
    commit = SeedCommit(
        seed=seed,
        config_hash=provenance.config_hash,
        code=CODE,
        environment_digest=provenance.attempts[0].environment.identity.digest(),
        datasets={name: made.digest for name, made in result.datasets.items()},
        result_digest=result.result_digest(),
        arms={arm: made.status for arm, made in result.arms.items()},
        files=tuple(
            {"path": path, "size": len(data), "sha256": sha256(data)}
            for path, data in sorted(files.items())
        ),
    )
    for path, data in files.items():
        tree.write(f"{where}/{path}", data)
    tree.write(f"{where}/commit.json", commit.to_bytes())


@pytest.fixture(autouse=True)
def toy_law():
    """The toy protocols are known in every test here."""
    made = toy_protocol()
    domains.register(made)
    domains.register(toy_protocol("classic"))
    return made


@pytest.fixture(scope="session")
def make_claim():
    """A claim like the toy's first, with changes."""
    return claim


@pytest.fixture(scope="session")
def make_protocol():
    """The toy protocol, with changes."""
    return toy_protocol


@pytest.fixture
def make_run(tmp_path):
    """Write a run; returns its path. Sealed with derived files unless told otherwise."""
    number = itertools.count(1)

    def make(
        *,
        mode="smoke",
        seeds=(1, 2),
        commit=None,
        arms=tuple(arm.key for arm in ARMS),
        protocol="standard",
        failed=(),
        seed_failed=(),
        seal=True,
        run_id=None,
        name=None,
        shift=0.0,
        options=None,
        law=None,
        extend=(),
    ):
        from zeroproofml.report import derive

        law = law or domains.get("toyreport", protocol)
        count = next(number)
        path = tmp_path / (name or f"run_{count}")
        clock = (f"2026-01-02T03:04:05.{i:06d}Z" for i in itertools.count())
        run_id = run_id or f"{count:026d}"
        provenance = toy_provenance(law, mode, seeds, arms, run_id)
        writer = RunWriter.create(
            path, provenance.model_copy(update={"attempts": ()}), clock=lambda: next(clock)
        )
        with writer:
            writer.start_attempt("initial", list(seeds), provenance)
            done = list(seeds if commit is None else commit)
            for step, seed in enumerate([*done, *extend]):
                if step == len(done):
                    writer.append("plan_extended", {"seeds": list(extend)})
                writer.append("seed_started", {"seed": seed})
                if seed in seed_failed:
                    writer.append(
                        "seed_failed", {"seed": seed, "code": "exception", "message": "told to"}
                    )
                    continue
                where = writer.work_dir(seed)
                write_seed(Tree(path), where, provenance, seed, law, failed, shift)
                writer.adopt_or_commit(seed, where)
            if not seal:
                return path
            final = provenance.model_copy(
                update={
                    "seeds_environment": writer.seeds_environment(),
                    "plan": provenance.plan.model_copy(update={"seeds": (*seeds, *extend)}),
                }
            )
            writer.append("attempt_finished")
            writer.write_provenance(final)
            writer.write_derived(derive.derive(writer.raw_run(), options))
            writer.append("derived")
            writer.seal(derive.deriver())
        return path

    return make


@pytest.fixture(scope="session")
def charts():
    """The module of fixed inputs, one per kind of chart."""
    place = Path(__file__).with_name("charts.py")
    spec = importlib.util.spec_from_file_location("zpml_test_charts", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
