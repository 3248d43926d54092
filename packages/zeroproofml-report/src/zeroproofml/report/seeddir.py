"""One seed's directory: written by a worker with the commit last, checked by everyone else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from zeroproofml.report._fs import Tree
from zeroproofml.report.contract import SeedCommit, SeedResult
from zeroproofml.report.contract.layout import IGNORED, classify, seed_name
from zeroproofml.report.contract.seed import CommittedFile
from zeroproofml.report.contract.strict_json import MAX_BYTES, sha256
from zeroproofml.report.errors import FileInvalid, Finding

if TYPE_CHECKING:
    from zeroproofml.report.contract.arrays import Array

__all__ = ["Hashes", "SeedRead", "read_seed_dir", "walk", "write_seed_dir"]

Hashes = dict[str, tuple[int, str]]
"""Path to (size, sha256) of files that were read already."""


@dataclass(frozen=True)
class SeedRead:
    """A seed directory as found; ``commit`` and ``result`` are ``None`` where unreadable."""

    commit: SeedCommit | None
    result: SeedResult | None
    findings: tuple[Finding, ...]


def write_seed_dir(
    tree: Tree,
    where: str,
    *,
    result: SeedResult,
    arrays: Mapping[str, Array],
    code: Mapping[str, str],
    environment_digest: str,
    checkpoints: Mapping[str, bytes] | None = None,
    extra: Mapping[str, bytes] | None = None,
    shared: Mapping[str, Mapping[str, Array]] | None = None,
) -> SeedCommit:
    """Write everything one seed measured under ``where``, and ``commit.json`` last.

    Parameters
    ----------
    tree, where
        The run (or any directory) and the new directory inside it.
    result
        The canonical result.
    arrays
        Members of ``predictions.npz``, ``<arm>__<array>`` and ``data__<array>``.
    code, environment_digest
        The identities that the seed was made under.
    checkpoints
        Arm to the bytes of its safetensors file.
    extra
        File name to bytes, for what a domain adds to a seed's directory.
    shared
        Data set name (a key of ``result.datasets``) to arrays that seeds share. They are put
        under ``datasets/`` here; the coordinator moves them to the run's own ``datasets/``.

    Raises
    ------
    FileInvalid
        If an array or a name breaks the contract.

    Examples
    --------
    >>> write_seed_dir.__name__  # a whole run is built in the tests' conftest
    'write_seed_dir'
    """
    from zeroproofml.report.contract.arrays import array_digest, write_npz

    files: dict[str, bytes] = {"predictions.npz": write_npz(arrays)}
    for arm, data in (checkpoints or {}).items():
        files[f"checkpoints/{arm}.safetensors"] = data
    files.update(extra or {})
    files["per_seed_result.json"] = result.to_bytes()
    for name in files:
        found = classify(f"{seed_name(result.seed)}/{name}")
        if found is None or (name in (extra or {}) and found.kind != "domain"):
            msg = "is not a file of a seed"
            raise FileInvalid(msg, code="unlisted", path=name, hint="rename it")
    for name, members in (shared or {}).items():
        reference = result.datasets.get(name)
        made = array_digest(members)
        if reference is None or reference.digest != made or reference.file is None:
            msg = f"the result does not name the shared data set {name} with its digest"
            raise FileInvalid(msg, code="dataset", path=where, hint="set digest and file")
        tree.write(f"{where}/datasets/{made[7:]}.npz", write_npz(members))
    commit = SeedCommit(
        seed=result.seed,
        config_hash=result.config_hash,
        code=dict(code),
        environment_digest=environment_digest,
        datasets={name: reference.digest for name, reference in result.datasets.items()},
        result_digest=result.result_digest(),
        arms={arm: made.status for arm, made in result.arms.items()},
        files=tuple(
            CommittedFile(path=name, size=len(files[name]), sha256=sha256(files[name]))
            for name in sorted(files)
        ),
    )
    for name, data in files.items():
        tree.write(f"{where}/{name}", data)
    tree.write(f"{where}/commit.json", commit.to_bytes())
    return commit


def walk(tree: Tree, where: str, depth: int = 6) -> Iterator[tuple[str, str]]:
    """Every entry below ``where`` as (path relative to ``where``, kind), directories first.

    Examples
    --------
    >>> import tempfile
    >>> tree = Tree(tempfile.mkdtemp())
    >>> tree.write("a/b.txt", b"")
    >>> list(walk(tree, ""))
    [('a', 'dir'), ('a/b.txt', 'file')]
    """
    for entry in tree.names(where):
        yield entry.name, entry.kind
        if entry.kind == "dir" and depth > 1:
            below = f"{where}/{entry.name}" if where else entry.name
            for path, kind in walk(tree, below, depth - 1):
                yield f"{entry.name}/{path}", kind


def read_seed_dir(
    tree: Tree, where: str, *, seed: int, staged: bool = False, hashes: Hashes | None = None
) -> SeedRead:
    """Check a seed directory against its commit: every file, nothing else, the result's digest.

    Parameters
    ----------
    seed
        The seed that must be inside.
    staged
        True for a work directory, which may still hold ``datasets/``.
    hashes
        Sizes and digests already known (by path from the root of ``tree``); new ones are added.

    Examples
    --------
    >>> import tempfile
    >>> read_seed_dir(Tree(tempfile.mkdtemp()), "seed_1", seed=1).findings[0].code
    'missing'
    """
    hashes = {} if hashes is None else hashes
    findings: list[Finding] = []
    commit: SeedCommit | None = None
    result: SeedResult | None = None
    result_digest = ""
    try:
        commit = SeedCommit.from_bytes(
            _read(tree, f"{where}/commit.json", hashes), path=f"{where}/commit.json"
        )
        path = f"{where}/per_seed_result.json"
        result, result_digest = _result(_read(tree, path, hashes), path)
    except FileInvalid as error:
        findings.append(error.finding())
    if commit is not None:
        findings += _check_files(tree, where, commit, staged, hashes)
    if commit is not None and result is not None:
        findings += _check_agreement(where, seed, commit, result, result_digest)
    return SeedRead(commit, result, tuple(findings))


@lru_cache(maxsize=64)
def _result(data: bytes, path: str) -> tuple[SeedResult, str]:
    """A seed's result and its digest; one command reads the same bytes several times."""
    result = SeedResult.from_bytes(data, path=path)
    return result, result.result_digest()


def _read(tree: Tree, path: str, hashes: Hashes) -> bytes:
    data = tree.read(path, limit=MAX_BYTES)
    hashes[path] = (len(data), sha256(data))
    return data


def _check_files(
    tree: Tree, where: str, commit: SeedCommit, staged: bool, hashes: Hashes
) -> Iterator[Finding]:
    listed = {entry.path: entry for entry in commit.files}
    present = set()
    for path, kind in walk(tree, where):
        if kind == "dir" and (path == "checkpoints" or (staged and path == "datasets")):
            continue
        if (staged and path.startswith("datasets/")) or path.rpartition("/")[2] in IGNORED:
            continue
        if kind != "file":
            yield _finding("path_unsafe", f"{where}/{path}", f"is a {kind}, not a regular file")
        elif path not in listed and path != "commit.json":
            yield _finding("unlisted", f"{where}/{path}", "is not listed in commit.json")
        present.add(path)
    if not {"per_seed_result.json", "predictions.npz"} <= listed.keys():
        yield _finding("commit", f"{where}/commit.json", "lists no result or no predictions")
    for path, entry in listed.items():
        full = f"{where}/{path}"
        if path not in present:
            yield _finding("missing", full, "is listed in commit.json and absent")
            continue
        try:
            size, sha = hashes[full] if full in hashes else tree.hash(full)
        except FileInvalid as error:
            yield error.finding()
            continue
        hashes[full] = (size, sha)
        if (size, sha) != (entry.size, entry.sha256):
            yield _finding(
                "size" if size != entry.size else "digest", full, "does not match commit.json"
            )


def _check_agreement(
    where: str, seed: int, commit: SeedCommit, result: SeedResult, result_digest: str
) -> Iterator[Finding]:
    path = f"{where}/commit.json"
    if commit.seed != seed or result.seed != seed:
        yield _finding("inconsistent", path, f"is not of seed {seed}")
    if commit.result_digest != result_digest:
        yield _finding("commit", path, "result_digest is not that of the result")
    if commit.config_hash != result.config_hash:
        yield _finding("inconsistent", path, "config_hash differs from the result's")
    if commit.arms != {arm: made.status for arm, made in result.arms.items()}:
        yield _finding("inconsistent", path, "arms differ from the result's")
    if commit.datasets != {name: made.digest for name, made in result.datasets.items()}:
        yield _finding("inconsistent", path, "datasets differ from the result's")


def _finding(code: str, path: str, message: str) -> Finding:
    return Finding("error", code, path, "", message, "rerun this seed")
