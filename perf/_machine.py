"""On what a measurement was taken: machine, versions, threads, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from _schema import Commit, Machine

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("avx2", "avx512f", "fma", "neon", "asimd", "sve")
PACKAGES = (
    "zeroproofml-scm",
    "zeroproofml-torch",
    "zeroproofml-jax",
    "zeroproofml-report",
    "zeroproofml-bench",
    "numpy",
    "torch",
    "jax",
    "jaxlib",
    "pydantic",
    "typer",
    "pygal",
)


def _cpu() -> tuple[str, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), []
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    present = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name", platform.machine()), [f for f in FLAGS if f in present]


def load() -> float | None:
    """The one-minute load average, where the system has one."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def machine(pinned_core: int | None, load_before: float | None) -> Machine:
    """Describe this machine; no host name, no user name."""
    model, flags = _cpu()
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        system=platform.system(),
        release=platform.release(),
        arch=platform.machine(),
        cpu_model=model,
        cpu_count=os.cpu_count() or 1,
        cpu_flags=flags,
        memory_bytes=memory,
        pinned_core=pinned_core,
        load_before=load_before,
        load_after=load(),
        gpu=None,
    )


def versions() -> dict[str, str | None]:
    """Versions of what is measured; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def commit() -> Commit | None:
    """The commit of this checkout, or None outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None
        return Commit(sha=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain")))
    except (OSError, subprocess.CalledProcessError):
        return None
