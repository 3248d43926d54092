"""Step V4: the files of a run say the same thing. Run contract, section 8."""

from __future__ import annotations

from collections.abc import Mapping

from zeroproofml.report import domains
from zeroproofml.report._validate import Inspection
from zeroproofml.report.contract import Manifest, Provenance
from zeroproofml.report.contract.layout import MANIFEST
from zeroproofml.report.contract.strict_json import digest
from zeroproofml.report.errors import UsageError
from zeroproofml.report.replay import JOURNAL, Replay

__all__ = ["agreement"]

_SUMMARY = "aggregated/summary.json"


def agreement(seen: Inspection) -> None:
    """Note where two files of the run contradict each other."""
    manifest = seen.manifest
    if manifest is None:
        return
    if seen.provenance is not None:
        _provenance(seen, manifest, seen.provenance)
        _settings(seen, seen.provenance)
    if seen.replay is not None:
        _journal(seen, manifest, seen.replay)
    _seeds(seen, manifest)
    _derived(seen, manifest)


def _same(seen: Inspection, path: str, what: str, mine: object, other: object) -> None:
    if mine != other:
        seen.error("inconsistent", path, f"{what} contradicts another file of the run")


def _provenance(seen: Inspection, manifest: Manifest, provenance: Provenance) -> None:
    path, config = "provenance.json", provenance.config
    _same(seen, path, "run_id", provenance.run_id, manifest.run_id)
    _same(seen, path, "domain", config.domain, manifest.domain)
    _same(seen, path, "mode", config.mode, manifest.mode)
    _same(seen, path, "protocol", config.protocol, manifest.protocol)
    _same(seen, path, "config_hash", provenance.config_hash, config.hash())
    _same(seen, MANIFEST, "config_hash", manifest.config_hash, config.hash())
    _same(seen, path, "plan.seeds", provenance.plan.seeds, manifest.seeds.planned)
    made = {int(seed): attempt for seed, attempt in provenance.seeds_environment.items()}
    _same(seen, path, "seeds_environment", set(made), set(manifest.seeds.complete))
    for seed, commit in seen.commits.items():
        if seed not in made:
            continue
        attempt = provenance.attempts[made[seed] - 1]
        _same(seen, f"seed_{seed}/commit.json", "code", commit.code, attempt.code)
        identity = attempt.environment.identity.digest()
        _same(
            seen,
            f"seed_{seed}/commit.json",
            "environment_digest",
            commit.environment_digest,
            identity,
        )
    if manifest.seeds.complete:
        codes = [commit.code for commit in seen.commits.values()]
        if any(code != manifest.fingerprints.code for code in codes):
            seen.error("inconsistent", MANIFEST, "fingerprints.code is not that of every commit")


def _settings(seen: Inspection, provenance: Provenance) -> None:
    """The config's settings are those that this package holds for (domain, protocol, mode)."""
    config, path = provenance.config, "provenance.json"
    try:
        protocol = domains.get(config.domain, config.protocol.name)
    except UsageError as error:
        seen.error("inconsistent", path, error.message, "upgrade zeroproofml-report")
        return
    if protocol.version != config.protocol.version:
        seen.error(
            "inconsistent",
            path,
            f"protocol version {config.protocol.version} is not {protocol.version}",
            "install the version of zeroproofml-report that knows it",
        )
        return
    packaged = protocol.settings.get(config.mode)
    if packaged is None or digest(config.settings) != digest(packaged):
        seen.error("inconsistent", path, f"settings are not those of mode {config.mode}")
    known = {arm.key: arm for arm in protocol.arms}
    for key in config.arms:
        if key not in known:
            seen.error("inconsistent", path, f"arm {key} is unknown to the protocol")
        elif absent := sorted(set(known[key].needs) - set(config.arms)):
            seen.error("inconsistent", path, f"arm {key} needs {absent[0]}")
    _same(seen, path, "dtype", config.dtype, protocol.dtype)
    _same(seen, path, "threads", config.threads, protocol.threads)
    for seed, result in seen.results.items():
        where = f"seed_{seed}/per_seed_result.json"
        pair = (result.metric_set.name, result.metric_set.version)
        _same(seen, where, "metric_set", pair, tuple(protocol.metric_set))
        for key, arm in result.arms.items():
            if arm.metrics.keys() != protocol.metrics.keys():
                seen.error("inconsistent", where, f"metrics of arm {key} are not the protocol's")


def _journal(seen: Inspection, manifest: Manifest, replay: Replay) -> None:
    _same(seen, JOURNAL, "run_id", replay.run_id, manifest.run_id)
    _same(seen, JOURNAL, "domain", replay.domain, manifest.domain)
    _same(seen, JOURNAL, "mode", replay.mode, manifest.mode)
    _same(seen, JOURNAL, "protocol", replay.protocol, manifest.protocol.plain())
    _same(seen, JOURNAL, "config_hash", replay.config_hash, manifest.config_hash)
    _same(seen, MANIFEST, "journal_head", manifest.journal_head, replay.head)
    _same(seen, MANIFEST, "generation", manifest.generation, replay.generation)
    last = replay.roots[-1] if replay.roots else None
    _same(seen, MANIFEST, "previous_root", manifest.previous_root, last)
    sealing = (manifest.generation, manifest.raw_digest)
    _same(seen, JOURNAL, "the last event", replay.sealing, sealing)
    states = replay.states()
    _same(seen, MANIFEST, "seeds.planned", manifest.seeds.planned, states.planned)
    _same(seen, MANIFEST, "seeds.complete", manifest.seeds.complete, states.complete)
    _same(seen, MANIFEST, "seeds.failed", manifest.seeds.failed, states.failed)
    if seen.state is not None and seen.state != replay.resume_state():
        seen.error("state", "resume_state.json", "does not follow from the journal")
    for seed, commit in seen.commits.items():
        where = f"seed_{seed}/commit.json"
        _same(seen, where, "the commit", commit.digest(), replay.committed.get(seed))
    if seen.provenance is not None:
        mine = [(a.attempt, a.kind) for a in seen.provenance.attempts]
        theirs = [(a.attempt, a.kind) for a in replay.attempts]
        _same(seen, "provenance.json", "attempts", mine, theirs)
        made = {str(seed): attempt for seed, attempt in replay.made_in.items()}
        stored = seen.provenance.seeds_environment
        _same(seen, "provenance.json", "seeds_environment", stored, made)


def _seeds(seen: Inspection, manifest: Manifest) -> None:
    complete = set(manifest.seeds.complete)
    for seed in sorted(complete - seen.commits.keys()):
        seen.error("missing", f"seed_{seed}/commit.json", "is absent or unreadable")
    for seed in sorted(seen.commits.keys() - complete):
        seen.error("unlisted", f"seed_{seed}", "is not a complete seed of the manifest")
    referenced = set()
    for seed, result in seen.results.items():
        path = f"seed_{seed}/per_seed_result.json"
        _same(seen, path, "domain", result.domain, manifest.domain)
        _same(seen, path, "mode", result.mode, manifest.mode)
        _same(seen, path, "protocol", result.protocol, manifest.protocol)
        _same(seen, path, "config_hash", result.config_hash, manifest.config_hash)
        if seen.provenance is not None:
            _same(seen, path, "arms", sorted(result.arms), list(seen.provenance.config.arms))
        for name, reference in result.datasets.items():
            if reference.file is None:
                continue
            referenced.add(reference.file)
            if reference.file not in seen.present:
                seen.error("missing", reference.file, f"is data set {name} of seed {seed}")
    for path in seen.present:
        if path.startswith("datasets/") and path not in referenced and seen.results:
            seen.error("unlisted", path, "is named by no seed result", "move it elsewhere")
    prints = manifest.fingerprints
    datasets = {str(seed): commit.datasets for seed, commit in seen.commits.items()}
    _same(seen, MANIFEST, "fingerprints.datasets", prints.datasets, datasets)
    environments = sorted({commit.environment_digest for commit in seen.commits.values()})
    _same(seen, MANIFEST, "fingerprints.environments", list(prints.environments), environments)


def _derived(seen: Inspection, manifest: Manifest) -> None:
    for path, made in (
        (_SUMMARY, seen.summary),
        ("aggregated/paired_stats.json", seen.paired),
        ("aggregated/claims.json", seen.claims),
    ):
        if made is None:
            continue
        _same(seen, path, "domain", made.domain, manifest.domain)
        _same(seen, path, "mode", made.mode, manifest.mode)
        _same(seen, path, "protocol", made.protocol, manifest.protocol)
        _same(seen, path, "config_hash", made.config_hash, manifest.config_hash)
        _same(seen, path, "raw_digest", made.raw_digest, manifest.raw_digest)
        version = manifest.deriver.derive_version
        _same(seen, path, "derive_version", made.derive_version, version)
    if seen.summary is not None:
        _same(seen, _SUMMARY, "seeds", seen.summary.seeds, manifest.seeds)
        if seen.results.keys() == set(manifest.seeds.complete):
            stored = {
                seed: {arm: (values.metrics, values.reasons) for arm, values in arms.items()}
                for seed, arms in seen.summary.per_seed.items()
            }
            _same(seen, _SUMMARY, "per_seed", stored, _per_seed(seen))
    if seen.claims is not None and seen.provenance is not None:
        plan = seen.provenance.plan
        _same(seen, "aggregated/claims.json", "declared", seen.claims.declared, plan.claims)
        mine = seen.claims.claims_digest
        _same(seen, "aggregated/claims.json", "claims_digest", mine, plan.claims_digest)


def _per_seed(seen: Inspection) -> Mapping[str, object]:
    return {
        str(seed): {
            key: (
                arm.metrics,
                {name: code for name, code in arm.reasons.items() if name in arm.metrics},
            )
            for key, arm in result.arms.items()
        }
        for seed, result in seen.results.items()
    }
