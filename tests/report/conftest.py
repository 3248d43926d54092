"""A toy domain (NumPy only, three arms, milliseconds) and runs of it, for every test in here.

``toy`` is a small harness in the place of bench: it makes, resumes, forces and re-seals runs of the
toy domain through the same writer that bench uses. ``toy_run`` is a sealed run to work on.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroproofml.report import _fs, domains
from zeroproofml.report.contract import (
    ArmResult,
    Attempt,
    Cell,
    Claim,
    ClaimNumbers,
    ClaimResult,
    ClaimsFile,
    DatasetRef,
    Deriver,
    Environment,
    EnvironmentIdentity,
    Executor,
    Manifest,
    MetricContext,
    MetricDefinition,
    MetricRecord,
    MetricSet,
    PairedStats,
    Plan,
    Provenance,
    RunConfig,
    SeedResult,
    Seeds,
    Source,
    Summary,
    Timing,
    Training,
)
from zeroproofml.report.contract.arrays import array_digest
from zeroproofml.report.contract.derived import ArmValues
from zeroproofml.report.contract.provenance import Clock, Python, System
from zeroproofml.report.contract.seed import ArmTiming, Thresholds
from zeroproofml.report.contract.strict_json import canonical, digest, dump, sha256
from zeroproofml.report.domains import Arm, ArmMetrics, Protocol
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.rundir import RawRun, State, run_state
from zeroproofml.report.seeddir import write_seed_dir

ARMS = (
    Arm("scm", "SCM head", "learned"),
    Arm("mlp", "plain MLP", "learned"),
    Arm("refuse_all", "refuses everything", "floor"),
)
SETTINGS = {
    "contract": {"n": 8, "grid": 5, "noise": 0.1},
    "smoke": {"n": 12, "grid": 5, "noise": 0.1},
    "paper": {"n": 16, "grid": 5, "noise": 0.1},
}
METRICS = {
    "mae": MetricDefinition(
        direction="lower", unit="1", bounds=(0.0, None), kind="error", text="mean error"
    ),
    "coverage": MetricDefinition(
        direction="higher", unit="1", bounds=(0.0, 1.0), kind="rate", text="share accepted"
    ),
}
CLAIM = Claim(
    id="scm_beats_mlp",
    text="the SCM head has a smaller error than the plain MLP",
    kind="superiority",
    metric="mae",
    arm="scm",
    comparator="mlp",
    bound=None,
    margin=0.0,
    alpha=0.05,
    min_seeds=6,
    eligible_modes=("paper",),
    eligible_protocols=("standard",),
    devices=None,
    missing="ineligible",
)
CODE = {"zeroproofml-bench": "sha256:" + "b" * 64, "zeroproofml-scm": "sha256:" + "c" * 64}
DERIVER = Deriver(
    package="zeroproofml-report",
    version="0.1.0",
    derive_version=1,
    code_digest="sha256:" + "d" * 64,
)
IDENTITY = EnvironmentIdentity(
    python="3.11",
    system="Linux",
    machine="x86_64",
    packages={"numpy": np.__version__},
    cuda=None,
    gpu=None,
    threads=1,
    determinism={"PYTHONHASHSEED": "0"},
)


def seed_metrics(
    arrays: Mapping[str, Any], settings: Mapping[str, Any], arms: Sequence[str]
) -> dict[str, ArmMetrics]:
    """Mean absolute error over accepted lanes, and the share of accepted lanes."""
    made = {}
    for arm in arms:
        accepted = ~arrays[f"{arm}__mask"]
        error = np.abs(arrays[f"{arm}__y"] - arrays["data__y"])[accepted]
        reasons = {} if error.size else {"mae": "empty_set"}
        metrics = {
            "mae": float(error.mean()) if error.size else None,
            "coverage": float(accepted.mean()),
        }
        made[arm] = ArmMetrics(metrics, reasons)
    return made


def members(settings: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Any]:
    n = settings["n"]
    listed: dict[str, Any] = {"data__y": ("<f8", (n,))}
    for arm in arms:
        listed[f"{arm}__y"] = ("<f8", (n,))
        listed[f"{arm}__mask"] = ("|b1", (n,))
    return listed


PROTOCOL = Protocol(
    domain="toy",
    name="standard",
    version=1,
    arms=ARMS,
    reference_arm="mlp",
    required_arms=("mlp",),
    metric_set=("toy_standard", 1),
    settings=SETTINGS,
    seeds={"contract": 1, "smoke": 2, "paper": 10},
    dtype="float64",
    threads=1,
    metrics=METRICS,
    declared_metrics=("mae", "coverage"),
    claims=(CLAIM,),
    seed_metrics=seed_metrics,
    members=members,
)


def toy_arrays(seed: int, settings: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Any]:
    """The predictions of one seed; an arm's do not depend on the other arms."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed])))
    truth = rng.standard_normal(settings["n"])
    made: dict[str, Any] = {"data__y": truth}
    for arm in arms:
        number = [a.key for a in ARMS].index(arm)
        noise = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
        mask = np.zeros(truth.shape, bool) if arm != "refuse_all" else np.ones(truth.shape, bool)
        scale = settings["noise"] * (1 + 4 * (arm == "mlp"))
        payload = truth + scale * noise.standard_normal(truth.size)
        made[f"{arm}__y"] = np.where(mask, 0.0, payload)
        made[f"{arm}__mask"] = mask
    return made


def toy_derive(run: RawRun) -> dict[str, bytes]:
    """The least derived files that validate; fast, where a sweep makes hundreds of runs."""
    head = {
        "derive_version": 1,
        "domain": run.config.domain,
        "mode": run.config.mode,
        "protocol": run.config.protocol,
        "config_hash": run.provenance.config_hash,
        "raw_digest": run.raw_digest,
    }
    per_seed, cells, log = {}, {}, b""
    for seed, result in run.results.items():
        per_seed[str(seed)] = {
            key: ArmValues(
                metrics=arm.metrics,
                reasons={k: v for k, v in arm.reasons.items() if k in arm.metrics},
            )
            for key, arm in result.arms.items()
        }
        for key, values in per_seed[str(seed)].items():
            log += MetricRecord(
                phase="benchmark_seed",
                step=seed,
                context=MetricContext(
                    domain="toy", mode=run.config.mode, protocol="standard/1", arm=key, seed=seed
                ),
                metrics=values.metrics,
                reasons=values.reasons,
            ).to_line()
    for key in run.config.arms:
        nothing = dict.fromkeys(
            ("mean", "sd", "median", "q25", "q75", "min", "max", "ci_t", "ci_bca"), None
        )
        cells[key] = {
            name: Cell(
                n=0, n_null=0, nulls={}, **nothing, reasons=dict.fromkeys(nothing, "too_few")
            )
            for name in METRICS
        }
    seeds = Seeds(
        planned=run.planned,
        complete=tuple(run.results),
        failed={str(seed): code for seed, code in run.failed.items()},
    )
    summary = Summary(
        **head, seeds=seeds, metric_definitions=METRICS, per_seed=per_seed, cells=cells
    )
    paired = PairedStats(**head, reference_arm=None, within_run=(), baseline=None)
    plan = run.provenance.plan
    numbers = dict.fromkeys(("estimate", "interval", "p", "p_holm"), None)
    claims = ClaimsFile(
        **head,
        declared=plan.claims,
        claims_digest=plan.claims_digest,
        family_size=len(plan.claims),
        results=tuple(
            ClaimResult(
                id=claim.id,
                verdict="INELIGIBLE",
                reasons=("mode",),
                numbers=ClaimNumbers(
                    n=0, **numbers, reasons=dict.fromkeys(numbers, "not_applicable")
                ),
                seeds=(),
            )
            for claim in plan.claims
        ),
    )
    text = f"# toy\n\n{run.raw_digest}\n".encode()
    return {
        "aggregated/summary.json": summary.to_bytes(),
        "aggregated/paired_stats.json": paired.to_bytes(),
        "aggregated/claims.json": claims.to_bytes(),
        "aggregated/benchmark_metrics.jsonl": log,
        "RUN_REPORT.md": text,
        "CLAIM_AUDIT.md": text,
        "figures/metric_mae.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>\n",
    }


@dataclass
class Toy:
    """A harness for runs of the toy domain. Everything it injects can be set per instance."""

    mode: str = "contract"
    seeds: tuple[int, ...] = (1, 2, 3)
    arms: tuple[str, ...] = tuple(sorted(arm.key for arm in ARMS))
    derive: Callable[[RawRun], dict[str, bytes]] = toy_derive
    fail: frozenset[int] = frozenset()
    run_id: str = "0" * 25 + "a"
    code: dict[str, str] = field(default_factory=lambda: dict(CODE))
    shared: bool = True
    ticks: Any = field(default_factory=itertools.count)

    def clock(self) -> str:
        return f"2026-01-01T00:00:00.{next(self.ticks):06d}Z"

    def config(self) -> RunConfig:
        return RunConfig(
            domain="toy",
            mode=self.mode,
            protocol={"name": "standard", "version": 1},
            device="cpu",
            arms=self.arms,
            dtype="float64",
            threads=1,
            settings=SETTINGS[self.mode],
        )

    def provenance(self) -> Provenance:
        config = self.config()
        return Provenance(
            run_id=self.run_id,
            created_at=self.clock(),
            config=config,
            config_hash=config.hash(),
            plan=Plan(seeds=self.seeds, claims=(CLAIM,), claims_digest=digest([CLAIM.plain()])),
            attempts=(),
            source=Source(
                commit=None,
                dirty=None,
                diff_sha256=None,
                how=None,
                reasons=dict.fromkeys(("commit", "dirty", "diff_sha256", "how"), "installed"),
            ),
            seeds_environment={},
            resources={},
        )

    def environment(self) -> Environment:
        nulls = ("release", "cpu_model", "cpu_count", "affinity", "memory_mb")
        return Environment(
            identity=IDENTITY,
            packages={"numpy": np.__version__},
            python=Python(version="3.11.0", implementation="CPython", build=None),
            system=System(os="Linux", arch="x86_64", **dict.fromkeys(nulls, None)),
            blas=(),
            gpu=(),
            env={"PYTHONHASHSEED": "0"},
            clock=Clock(timezone=None, monotonic=None),
            host_id="0" * 16,
            reasons={
                **{f"system.{name}": "missing" for name in nulls},
                **dict.fromkeys(("identity.cuda", "identity.gpu"), "not_applicable"),
                **dict.fromkeys(("python.build", "clock.timezone", "clock.monotonic"), "missing"),
            },
        )

    def attempt(self, number: int, kind: str, complete: Sequence[int]) -> Attempt:
        return Attempt(
            attempt=number,
            kind=kind,
            started_at=self.clock(),
            ended_at=None,
            exit_code=None,
            argv=("zpml-bench", "toy"),
            cwd="work",
            executor=Executor(name="inline", workers=1, scheduler=None),
            environment=self.environment(),
            code=self.code,
            seeds_at_start=tuple(complete),
        )

    def result(self, seed: int, arrays: Mapping[str, Any], grid: Mapping[str, Any]) -> SeedResult:
        """What the runner makes of a seed's arrays."""
        merged = domains.with_shared(arrays, {"grid": grid} if self.shared else {})
        metrics = seed_metrics(merged, SETTINGS[self.mode], self.arms)
        config = self.config()
        arms = {}
        for key, made in metrics.items():
            arms[key] = ArmResult(
                status="ok",
                reason=None,
                n_parameters=3,
                training=Training(steps=10, epochs=2, final_loss=0.125),
                thresholds=None
                if key == "refuse_all"
                else Thresholds(
                    tau_train=0.0,
                    tau_infer=1e-6,
                    singular_epsilon=0.0,
                    chosen_on="calibration",
                    score_kind="denominator",
                    gauge="l2",
                ),
                metrics=made.metrics,
                reasons={
                    **made.reasons,
                    **({"thresholds": "not_applicable"} if key == "refuse_all" else {}),
                },
                diagnostics={"sweep": [0.5, 1.0]},
            )
        test = array_digest({"y": arrays["data__y"]})
        datasets = {
            "test": DatasetRef(digest=test, n=len(arrays["data__y"]), role="test", file=None)
        }
        if self.shared:
            name = array_digest(grid)
            datasets["grid"] = DatasetRef(
                digest=name, n=len(grid["x"]), role="grid", file=f"datasets/{name[7:]}.npz"
            )
        return SeedResult(
            schema_name="zeroproofml.seed_result.toy",
            domain="toy",
            mode=self.mode,
            protocol=config.protocol,
            config_hash=config.hash(),
            seed=seed,
            datasets=datasets,
            metric_set=MetricSet(name="toy_standard", version=1),
            arms=arms,
            timing=Timing(
                data_s=0.25,
                total_s=1.0,
                arms={key: ArmTiming(train_s=0.25, evaluate_s=0.125) for key in arms},
                peak_rss_mb=None,
                gpu_peak_mb=None,
                reasons={"peak_rss_mb": "missing", "gpu_peak_mb": "not_applicable"},
            ),
        )

    def work(self, writer: RunWriter, seed: int) -> str:
        """Do what a worker does: fill a work directory, commit last."""
        where = writer.work_dir(seed)
        settings = SETTINGS[self.mode]
        arrays = toy_arrays(seed, settings, self.arms)
        grid = {"x": np.linspace(0.0, 1.0, settings["grid"])}
        header = b'{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
        tensor = len(header).to_bytes(8, "little") + header + np.float64(seed).tobytes()
        write_seed_dir(
            writer.tree,
            where,
            result=self.result(seed, arrays, grid),
            arrays=arrays,
            code=self.code,
            environment_digest=IDENTITY.digest(),
            checkpoints={"scm": tensor},
            shared={"grid": grid} if self.shared else None,
        )
        return where

    def run(self, path: Path, kind: str = "resume", force: Sequence[int] = ()) -> Manifest | None:
        """Start, resume or (``kind="force"``) supersede, then seal; ``None`` if complete already."""
        if run_state(path) in (State.EMPTY,):
            kind = "initial"
            writer = RunWriter.create(path, self.provenance(), clock=self.clock)
        else:
            writer = RunWriter.open(path, clock=self.clock)
        with writer:
            return self._attempt(writer, kind, force)

    def _attempt(self, writer: RunWriter, kind: str, force: Sequence[int]) -> Manifest | None:
        if writer.sealed:
            states = writer.replay.states()
            if kind != "force" and not states.failed:
                return None
            writer.reopen()
        writer.recover(self.code, IDENTITY.digest())
        complete = sorted(writer.replay.committed)
        kept = writer.provenance.attempts[: writer.attempt]
        record = writer.provenance.model_copy(
            update={"attempts": (*kept, self.attempt(len(kept) + 1, kind, complete))}
        )
        writer.start_attempt(kind, list(force or self.seeds), record)
        todo = list(writer.replay.requested)
        states = writer.replay.states()
        todo += [s for s in self.seeds if s not in states.complete and s not in todo]
        for seed in todo:
            writer.append("seed_started", {"seed": seed})
            if seed in self.fail:
                writer.append(
                    "seed_failed", {"seed": seed, "code": "exception", "message": "toy failure"}
                )
                continue
            writer.adopt_or_commit(seed, self.work(writer, seed))
        return self.finish(writer)

    def finish(self, writer: RunWriter) -> Manifest:
        """Derive, close the attempt, seal."""
        writer.write_resume_state()
        files = self.derive(writer.raw_run())
        writer.write_derived({k: v for k, v in files.items() if k.startswith("aggregated/")})
        writer.append("derived")
        writer.append("attempt_finished")
        attempts = list(writer.provenance.attempts)
        attempts[-1] = attempts[-1].model_copy(update={"ended_at": self.clock(), "exit_code": 0})
        writer.write_provenance(
            writer.provenance.model_copy(
                update={
                    "attempts": tuple(attempts),
                    "seeds_environment": writer.seeds_environment(),
                }
            )
        )
        writer.write_derived(files)
        return writer.seal(DERIVER)


@pytest.fixture(autouse=True, scope="session")
def _toy_domain() -> None:
    domains.register(PROTOCOL)


@pytest.fixture(autouse=True)
def _disk_without_flush() -> Iterator[None]:
    """Syncs are left out: the disk of a test outlives no power cut. A test may set its own hook."""

    def skip(operation: str, path: str, action: Callable[..., Any], arguments: Any) -> Any:
        return None if operation == "fsync" else action(*arguments)

    with _fs.hooked(skip):
        yield


@pytest.fixture
def toy() -> Toy:
    """A harness with three seeds in contract mode."""
    return Toy()


@pytest.fixture
def make_toy() -> type[Toy]:
    """The class, for other settings: ``make_toy(mode="paper", seeds=(1, 2))``."""
    return Toy


@pytest.fixture(scope="session")
def _sealed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    domains.register(PROTOCOL)
    path = tmp_path_factory.mktemp("sealed") / "run"
    Toy().run(path)
    return path


@pytest.fixture
def toy_run(_sealed_once: Path, tmp_path: Path) -> Path:
    """A sealed run of the toy domain, seeds 1 to 3, derived by ``toy_derive``; yours to break."""
    return shutil.copytree(_sealed_once, tmp_path / "run", symlinks=True)


@pytest.fixture(scope="session")
def _derived_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zeroproofml.report.derive import derive

    domains.register(PROTOCOL)
    path = tmp_path_factory.mktemp("derived") / "run"
    Toy(derive=derive).run(path)
    return path


@pytest.fixture
def derived_run(_derived_once: Path, tmp_path: Path) -> Path:
    """Like ``toy_run``, with the derived files that ``derive`` makes."""
    return shutil.copytree(_derived_once, tmp_path / "derived", symlinks=True)


class Reseal:
    """An attacker with patience: redo every digest of a run after its files were edited."""

    def __call__(self, path: Path) -> None:
        provenance = self._load(path / "provenance.json")
        if isinstance(provenance.get("config"), dict):
            provenance["config_hash"] = digest(provenance["config"])
        plan = provenance.get("plan")
        if isinstance(plan, dict):
            plan["claims_digest"] = digest(plan.get("claims"))
        self._store(path / "provenance.json", provenance)
        config_hash = provenance.get("config_hash")
        commits = {}
        for folder in sorted(path.glob("seed_*")):
            commits[int(folder.name[5:])] = self._seed(folder, config_hash, provenance)
        raw = self._raw(config_hash, commits)
        for name in ("summary", "paired_stats", "claims"):
            value = self._load(path / f"aggregated/{name}.json")
            value.update(raw_digest=raw, config_hash=config_hash)
            if name == "claims" and "declared" in value:
                value["claims_digest"] = digest(value["declared"])
            self._store(path / f"aggregated/{name}.json", value)
        head, count = self._journal(path, config_hash, commits, raw)
        state = self._load(path / "resume_state.json")
        state.update(config_hash=config_hash, journal_head=head, journal_seq=count)
        self._store(path / "resume_state.json", state)
        manifest = self._load(path / "manifest.json")
        swaps = {str(manifest.get("raw_digest")): raw}
        for entry in manifest.get("files") or []:
            if isinstance(entry, dict) and (path / str(entry.get("path"))).is_file():
                swaps[str(entry.get("sha256"))] = sha256((path / entry["path"]).read_bytes())
        for page in (*path.glob("*.md"), *path.glob("*.html"), *path.glob("figures/**/*.svg")):
            text = page.read_text(encoding="utf-8")
            for old, new in swaps.items():
                for cut in (71, 19):  # pages print digests in full or by their first 12 digits
                    text = text.replace(old[7:cut] or "-", new[7:cut])
            page.write_text(text, encoding="utf-8")
        manifest.update(config_hash=config_hash, raw_digest=raw, journal_head=head)
        prints = manifest.get("fingerprints")
        if isinstance(prints, dict):
            prints["datasets"] = {str(s): c.get("datasets") for s, c in commits.items()}
            prints["code"] = next(iter(commits.values())).get("code")
            prints["environments"] = sorted(
                {str(c.get("environment_digest")) for c in commits.values()}
            )
        self._store(path / "manifest.json", manifest)
        self.manifest_only(path)

    def manifest_only(self, path: Path) -> None:
        """Redo sizes and digests in the manifest, and its root."""
        manifest = self._load(path / "manifest.json")
        for entry in manifest.get("files") or []:
            if isinstance(entry, dict) and (path / str(entry.get("path"))).is_file():
                data = (path / entry["path"]).read_bytes()
                entry.update(size=len(data), sha256=sha256(data))
        manifest.pop("root_digest", None)
        manifest["root_digest"] = digest(manifest)
        self._store(path / "manifest.json", manifest)

    @staticmethod
    def _load(path: Path) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(path.read_bytes())
        return value

    @staticmethod
    def _store(path: Path, value: object) -> None:
        path.write_bytes(dump(value))

    def _seed(self, folder: Path, config_hash: Any, provenance: Any) -> dict[str, Any]:
        result = self._load(folder / "per_seed_result.json")
        result["config_hash"] = config_hash
        self._store(folder / "per_seed_result.json", result)
        commit = self._load(folder / "commit.json")
        body = {key: value for key, value in result.items() if key != "timing"}
        commit.update(config_hash=config_hash, result_digest=digest(body))
        if isinstance(result.get("arms"), dict) and isinstance(result.get("datasets"), dict):
            commit["arms"] = {key: arm.get("status") for key, arm in result["arms"].items() if arm}
            commit["datasets"] = {
                key: made.get("digest") for key, made in result["datasets"].items() if made
            }
        number = provenance["seeds_environment"].get(folder.name[5:])
        if isinstance(number, int) and 0 < number <= len(provenance["attempts"]):
            identity = provenance["attempts"][number - 1]["environment"]["identity"]
            commit["environment_digest"] = digest(identity)
        for entry in commit.get("files") or []:
            if isinstance(entry, dict) and (folder / str(entry.get("path"))).is_file():
                data = (folder / entry["path"]).read_bytes()
                entry.update(size=len(data), sha256=sha256(data))
        self._store(folder / "commit.json", commit)
        return commit

    @staticmethod
    def _raw(config_hash: Any, commits: Mapping[int, Any]) -> str:
        seeds = []
        for seed in sorted(commits):
            shas = {e["path"]: e["sha256"] for e in commits[seed]["files"]}
            seeds.append(
                {
                    "seed": seed,
                    "result_digest": commits[seed]["result_digest"],
                    "datasets": commits[seed]["datasets"],
                    "predictions": shas.get("predictions.npz"),
                    "checkpoints": {
                        name[12:-12]: sha
                        for name, sha in shas.items()
                        if name.startswith("checkpoints/")
                    },
                }
            )
        return digest({"config_hash": config_hash, "seeds": seeds})

    @staticmethod
    def _journal(path: Path, config_hash: Any, commits: Any, raw: str) -> tuple[str, int]:
        lines: list[bytes] = []
        for text in (path / "journal.jsonl").read_bytes().splitlines():
            event = json.loads(text)
            data = event.get("data") if isinstance(event.get("data"), dict) else {}
            if event.get("event") == "created":
                data["config_hash"] = config_hash
            if event.get("event") == "seed_committed" and data.get("seed") in commits:
                data["commit_digest"] = digest(commits[data["seed"]])
            if event.get("event") == "sealing":
                data["raw_digest"] = raw
            event["prev"] = sha256(lines[-1] if lines else str(data.get("run_id")).encode())
            lines.append(canonical(event))
        (path / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        return sha256(lines[-1]), len(lines)


@pytest.fixture
def reseal() -> Reseal:
    """``reseal(path)`` redoes every digest; ``reseal.manifest_only(path)`` those of the seal."""
    return Reseal()
