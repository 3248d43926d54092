"""Which names a run directory has, and what each file is for. Run contract, sections 1 and 4.1."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from zeroproofml.report.contract.manifest import Kind, Role
from zeroproofml.report.contract.seed import SeedCommit
from zeroproofml.report.contract.strict_json import digest

__all__ = [
    "IGNORED",
    "MANIFEST",
    "WORKSPACE",
    "FileClass",
    "classify",
    "raw_digest",
    "seed_name",
    "seed_of",
]

MANIFEST = "manifest.json"
WORKSPACE = ".zpml"
IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers drop: information, never read."""

_SEED = re.compile(r"seed_([1-9][0-9]{0,9})")
_ARM = r"[a-z](?:_?[a-z0-9])*_?"


@dataclass(frozen=True)
class FileClass:
    """What a file of a run is: its role, kind, producing package and media type."""

    role: Role
    kind: Kind
    producer: str
    media_type: str


_BENCH, _REPORT = "zeroproofml-bench", "zeroproofml-report"
_JSON, _LINES, _NPZ = "application/json", "application/jsonl", "application/x-npz"
_TENSORS, _MARKDOWN = "application/x-safetensors", "text/markdown"
_ROWS: tuple[tuple[str, Role, Kind, str, str], ...] = (
    (r"provenance\.json", "record", "provenance", _BENCH, _JSON),
    (r"journal\.jsonl", "record", "journal", _BENCH, _LINES),
    (r"resume_state\.json", "record", "state", _BENCH, _JSON),
    (r"S/per_seed_result\.json", "raw", "result", _BENCH, _JSON),
    (r"S/predictions\.npz", "raw", "predictions", _BENCH, _NPZ),
    (r"S/commit\.json", "raw", "commit", _BENCH, _JSON),
    (rf"S/checkpoints/{_ARM}\.safetensors", "raw", "checkpoint", _BENCH, _TENSORS),
    (r"S/[a-z][a-z0-9_]*\.npz", "raw", "domain", _BENCH, _NPZ),
    (r"S/[a-z][a-z0-9_]*\.json", "raw", "domain", _BENCH, _JSON),
    (r"datasets/[0-9a-f]{64}\.npz", "raw", "dataset", _BENCH, _NPZ),
    (r"aggregated/(summary|paired_stats)\.json", "derived", "aggregate", _REPORT, _JSON),
    (r"aggregated/claims\.json", "derived", "claims", _REPORT, _JSON),
    (r"aggregated/benchmark_metrics\.jsonl", "derived", "metric_log", _REPORT, _LINES),
    (r"aggregated/[a-z][a-z0-9_]*\.json", "derived", "domain", _REPORT, _JSON),
    (r"aggregated/[a-z][a-z0-9_]*\.md", "derived", "domain", _REPORT, _MARKDOWN),
    (r"RUN_REPORT\.md", "derived", "report", _REPORT, _MARKDOWN),
    (r"RUN_REPORT\.html", "derived", "report", _REPORT, "text/html"),
    (r"CLAIM_AUDIT\.md", "derived", "audit", _REPORT, _MARKDOWN),
    (r"figures/(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+\.svg", "derived", "figure", _REPORT,
     "image/svg+xml"),
)  # fmt: skip
_TABLE = tuple(
    (
        re.compile(pattern.replace("S/", r"seed_[1-9][0-9]{0,9}/")),
        FileClass(role, kind, producer, media),
    )
    for pattern, role, kind, producer, media in _ROWS
)


def classify(path: str) -> FileClass | None:
    """What the file at ``path`` is for, or ``None`` if no run has such a file.

    Examples
    --------
    >>> classify("seed_3/predictions.npz").kind
    'predictions'
    >>> classify("notes.txt") is None
    True
    """
    return next((found for pattern, found in _TABLE if pattern.fullmatch(path)), None)


def seed_name(seed: int) -> str:
    """The directory of a seed.

    Examples
    --------
    >>> seed_name(3)
    'seed_3'
    """
    return f"seed_{seed}"


def seed_of(name: str) -> int | None:
    """The seed of a directory name, or ``None`` if it is no seed directory.

    Examples
    --------
    >>> seed_of("seed_3"), seed_of("seed_03")
    (3, None)
    """
    match = _SEED.fullmatch(name)
    return int(match[1]) if match else None


def raw_digest(config_hash: str, commits: Mapping[int, SeedCommit]) -> str:
    """The identity of the science: config, and what every seed measured. Section 3.

    Examples
    --------
    >>> raw_digest("sha256:" + 64 * "0", {})[:7]
    'sha256:'
    """
    seeds = []
    for seed in sorted(commits):
        files = {entry.path: entry.sha256 for entry in commits[seed].files}
        seeds.append(
            {
                "seed": seed,
                "result_digest": commits[seed].result_digest,
                "datasets": commits[seed].datasets,
                "predictions": files.get("predictions.npz"),
                "checkpoints": {
                    path.removeprefix("checkpoints/").removesuffix(".safetensors"): sha
                    for path, sha in files.items()
                    if path.startswith("checkpoints/")
                },
            }
        )
    return digest({"config_hash": config_hash, "seeds": seeds})
