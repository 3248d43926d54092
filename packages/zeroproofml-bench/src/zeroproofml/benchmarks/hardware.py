"""What machine this is: processor, memory, accelerators, and the choice of a device.

The coordinator never imports torch. What only torch can say about accelerators is asked of a
short-lived process, and only when a run wants one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from zeroproofml.report.errors import UsageError

_PROBE = """
import json, torch
found = []
if torch.cuda.is_available():
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        found.append({"model": p.name, "memory_mb": p.total_memory // 10**6})
print(json.dumps({"cuda": torch.version.cuda, "gpus": found}))
"""


def choose_device(wanted: str) -> tuple[str, dict[str, Any] | None]:
    """Resolve `cpu`, `cuda` or `auto` to a device kind and what is known of the accelerators.

    Raises
    ------
    UsageError
        Another word, or `cuda` on a machine where torch sees none.

    Examples
    --------
    >>> choose_device("cpu")
    ('cpu', None)
    """
    if wanted == "cpu":
        return "cpu", None
    if wanted not in ("cuda", "auto"):
        msg = f"--device: {wanted!r} is unknown; use one of cpu, cuda, auto"
        raise UsageError(msg)
    seen = _ask_torch()
    if seen is not None and seen["gpus"]:
        return "cuda", seen
    if wanted == "auto":
        return "cpu", None
    msg = "--device: torch sees no CUDA device here; use --device cpu"
    raise UsageError(msg)


def _ask_torch() -> dict[str, Any] | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # no torch, or one that cannot start: the same as no accelerator
    return found


def gpus(seen: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Model, memory and driver of the accelerators that `choose_device` saw.

    Examples
    --------
    >>> gpus(None)
    []
    """
    if seen is None:
        return []
    driver = _driver()
    return [{**each, "driver": driver} for each in seen["gpus"]]


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.split()), None)


def system() -> dict[str, Any]:
    """Operating system, architecture, processor, memory; None where this system does not say.

    Examples
    --------
    >>> sorted(system())
    ['affinity', 'arch', 'cpu_count', 'cpu_model', 'memory_mb', 'os', 'release']
    """
    return {
        "os": platform.system() or os.name,
        "release": platform.release() or None,
        "arch": platform.machine() or "unknown",
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "affinity": cores() if hasattr(os, "sched_getaffinity") else None,
        "memory_mb": _memory_mb(),
    }


def cores() -> int:
    """Cores that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host_id() -> str:
    """16 hexadecimal digits that tell hosts apart without naming them.

    Examples
    --------
    >>> len(host_id())
    16
    """
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def _cpu_model() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    except (AttributeError, ValueError, OSError):
        return None
