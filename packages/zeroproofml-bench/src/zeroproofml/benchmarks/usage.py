"""What a process has used so far: memory, processor time. None where the system does not say."""

from __future__ import annotations

import sys
import time
from typing import Any

_resource: Any
try:
    import resource as _resource
except ImportError:  # Windows has no such module
    _resource = None


def peak_rss_mb() -> float | None:
    """Largest resident memory of this process so far, in MB (10^6 bytes).

    Examples
    --------
    >>> (peak_rss_mb() or 1.0) > 0
    True
    """
    if _resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return float(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss) * unit / 1e6


def gpu_peak_mb() -> float | None:
    """Largest memory that torch has held on an accelerator, in MB; None if it used none.

    Examples
    --------
    >>> gpu_peak_mb() is None or gpu_peak_mb() > 0
    True
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.max_memory_allocated()) / 1e6


def cpu_s() -> float:
    """Processor time of this process and of its workers that have ended, in seconds.

    Examples
    --------
    >>> cpu_s() > 0
    True
    """
    if _resource is None:
        return time.process_time()
    return time.process_time() + float(sum(_resource.getrusage(_resource.RUSAGE_CHILDREN)[:2]))
