"""Identities of a run: which code, which environment, which commit, who and with what means.

Nothing here names a person or a machine: the host is a hash, the home folder is `~`, and of the
environment variables only those on the allow-list are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zeroproofml
from zeroproofml.benchmarks import hardware, threads
from zeroproofml.report.contract.base import null_paths
from zeroproofml.report.contract.provenance import Environment, Source
from zeroproofml.report.contract.strict_json import digest, sha256
from zeroproofml.report.errors import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKAGES = {
    "zeroproofml-scm": ("scm", ()),
    "zeroproofml-torch": ("torch", ()),
    "zeroproofml-jax": ("jax", ()),
    "zeroproofml-bench": ("benchmarks", ()),
    "zeroproofml-report": ("report", ("contract", "domains")),
}
"""Distribution → (folder in the namespace, the parts that decide about raw bytes; () is all)."""

_VARIABLES = ("PYTHONHASHSEED", "TZ", "LANG", "LC_ALL", "CUBLAS_WORKSPACE_CONFIG")
_UNKNOWN_ON_CPU = {"identity.cuda", "identity.gpu"}


def code(frameworks: Sequence[str] = ("torch",)) -> dict[str, str]:
    """Digest of the code on disk that can change a raw byte, per package.

    Equal for a wheel and an editable install of the same sources. Pages, figures and statistics
    are not in it: those belong to the deriver, which the manifest names.

    Examples
    --------
    >>> sorted(code())
    ['zeroproofml-bench', 'zeroproofml-report', 'zeroproofml-scm', 'zeroproofml-torch']
    """
    found = {}
    for package, (folder, parts) in PACKAGES.items():
        if package == "zeroproofml-jax" and "jax" not in frameworks:
            continue
        home = package_folder(folder)
        if home is not None:
            found[package] = digest(_files(home, parts))
    return found


def package_folder(name: str) -> Path | None:
    """Where `zeroproofml.<name>` is installed, found without importing it.

    Examples
    --------
    >>> package_folder("benchmarks").name
    'benchmarks'
    >>> package_folder("nothing") is None
    True
    """
    folders = (Path(part) / name for part in zeroproofml.__path__)
    return next((folder for folder in folders if (folder / "__init__.py").is_file()), None)


def _files(home: Path, parts: tuple[str, ...]) -> list[list[str]]:
    roots = [home / part for part in parts] if parts else [home]
    rows = [
        [path.relative_to(home).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()]
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return sorted(rows)


def environment(
    config: Mapping[str, Any],
    frameworks: Sequence[str] = ("torch",),
    accelerators: dict[str, Any] | None = None,
) -> Environment:
    """Where this attempt runs; `identity` holds what can change a raw byte.

    Parameters
    ----------
    config
        The run's config (its threads and device are part of the identity).
    frameworks
        Which of torch and jax the domain uses.
    accelerators
        What `hardware.choose_device` saw, None on the CPU.

    Examples
    --------
    >>> made = environment({"threads": 1, "device": "cpu"})
    >>> made.identity.threads, made.identity.gpu, made.reasons["identity.gpu"]
    (1, None, 'not_applicable')
    """
    packages = _packages()
    system = hardware.system()
    seen = hardware.gpus(accelerators) if config["device"] == "cuda" else []
    counted = ["numpy", "scipy", "torch", *(["jax", "jaxlib"] if "jax" in frameworks else [])]
    with threads.switched(config["threads"], ()):
        blas = threads.blas()
    identity = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "system": system["os"],
        "machine": system["arch"],
        "packages": {name: packages[name] for name in counted if name in packages},
        "cuda": accelerators["cuda"] if seen and accelerators else None,
        "gpu": seen[0]["model"] if seen else None,
        "threads": config["threads"],
        "determinism": dict(threads.SWITCHES),
    }
    made: dict[str, Any] = {
        "identity": identity,
        "packages": packages,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "build": " ".join(platform.python_build()),
        },
        "system": system,
        "blas": blas,
        "gpu": seen,
        "env": _variables(config["threads"]),
        "clock": {
            "timezone": time.tzname[0],
            "monotonic": time.get_clock_info("monotonic").implementation,
        },
        "host_id": hardware.host_id(),
    }
    made["reasons"] = {
        path: "not_applicable" if path in _UNKNOWN_ON_CPU else "missing"
        for path in null_paths(made)
    }
    return Environment.model_validate(made)


def _packages() -> dict[str, str]:
    found = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name:
            found[name.lower().replace("_", "-")] = each.version
    return dict(sorted(found.items()))


def _variables(count: int) -> dict[str, str]:
    """Allowed variables as the workers see them: with the thread counts that the run sets."""
    seen = {**os.environ, **threads.environment(count)}
    kept = (
        name
        for name in seen
        if name in (*_VARIABLES, "CUDA_VISIBLE_DEVICES")
        or name.endswith("_NUM_THREADS")
        or name.startswith("ZPML_")
    )
    return {name: seen[name][:4096] for name in sorted(kept)}


def source() -> Source:
    """The commit that the installed code came from, or null and why it is not known.

    A checkout counts only if it tracks this package's own files: a repository that merely
    surrounds an installation says nothing about it and is never reported.

    Examples
    --------
    >>> source().how in ("git", "pep610", None)
    True
    """
    commit = _recorded_commit()
    if commit is not None:
        known = {"commit": commit, "dirty": False, "diff_sha256": None, "how": "pep610"}
        return Source.model_validate({**known, "reasons": {"diff_sha256": "not_applicable"}})
    home = package_folder("benchmarks")
    found = None if home is None else from_git(home)
    if found is not None:
        return found
    names = ("commit", "dirty", "diff_sha256", "how")
    nothing: dict[str, Any] = dict.fromkeys(names)
    return Source.model_validate({**nothing, "reasons": dict.fromkeys(names, "installed")})


def _recorded_commit() -> str | None:
    try:
        text = metadata.distribution("zeroproofml-bench").read_text("direct_url.json")
        record = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, ValueError):
        return None
    commit = record.get("vcs_info", {}).get("commit_id")
    return commit if isinstance(commit, str) else None


def from_git(home: Path) -> Source | None:
    """What git knows of the files under `home`; None unless that checkout tracks them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as outside:
    ...     print(from_git(Path(outside)))
    None
    """
    if _git(home, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return None
    commit = _git(home, "rev-parse", "HEAD")
    ours = [str(folder) for name, _ in PACKAGES.values() if (folder := package_folder(name))]
    tracked = [folder for folder in ours if _git(Path(folder), "ls-files", "--", ".")]
    state = _git(home, "status", "--porcelain", "--", *tracked)
    if commit is None or state is None:
        return None
    dirty = bool(state.strip())
    changes = _git(home, "diff", "HEAD", "--binary", "--", *tracked) if dirty else None
    return Source.model_validate(
        {
            "commit": commit.decode("ascii").strip(),
            "dirty": dirty,
            "diff_sha256": None if changes is None else sha256(changes),
            "how": "git",
            "reasons": {} if changes is not None else {"diff_sha256": "not_applicable"},
        }
    )


def _git(home: Path, *args: str) -> bytes | None:
    # GIT_DIR and its relatives would make git answer for another repository than home's.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=home,
            capture_output=True,
            timeout=30,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**clean, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def argv(words: Iterable[str]) -> list[str]:
    """A command line with the home folder as `~` and the program as its bare name.

    Examples
    --------
    >>> argv(["/opt/x/bin/zpml-bench", "ik", str(Path.home() / "runs")])
    ['zpml-bench', 'ik', '~/runs']
    """
    home = str(Path.home())
    given = [as_text(_short(word, home))[:4096] for word in words]
    return [Path(given[0]).name, *given[1:]] if given else []


def _short(word: str, home: str) -> str:
    option, equals, value = word.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={_short(value, home)}"
    if word == home or word.startswith(home + os.sep):
        return "~" + word[len(home) :]
    return word
