"""Thread counts and determinism switches of the process that computes a seed.

Speed comes from parallel seeds, not from threads inside one: a protocol fixes how many threads a
seed uses, and the same number must hold in the coordinator (inline) and in a worker, or the two
would add in different orders. Environment variables only work before a library is loaded, so the
OpenBLAS copies that NumPy and SciPy ship are also set through their own entry points.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
CUBLAS = ":4096:8"
SWITCHES: dict[str, bool | str] = {
    "deterministic_algorithms": True,
    "cudnn_benchmark": False,
    "tf32": False,
    "cublas_workspace": CUBLAS,
}
"""What `switched` sets; part of the environment identity."""


def environment(threads: int) -> dict[str, str]:
    """Variables for a process that has not started yet.

    Examples
    --------
    >>> environment(1)["OMP_NUM_THREADS"]
    '1'
    """
    return {**dict.fromkeys(VARIABLES, str(threads)), "CUBLAS_WORKSPACE_CONFIG": CUBLAS}


@contextmanager
def switched(threads: int, frameworks: Sequence[str]) -> Iterator[None]:
    """Hold the thread count and, for torch, the determinism switches; restore them afterwards.

    Examples
    --------
    >>> with switched(1, ()):
    ...     print(os.environ["OMP_NUM_THREADS"])
    1
    """
    wanted = environment(threads)
    outside = {name: os.environ.get(name) for name in wanted}
    counts = [(library, library.threads()) for library in _libraries()]
    os.environ.update(wanted)
    for library, _ in counts:
        library.set_threads(threads)
    try:
        if "torch" in frameworks:
            with _torch(threads):
                yield
        else:
            yield
    finally:
        for library, count in counts:
            library.set_threads(count)
        for name, value in outside.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _torch(threads: int) -> Iterator[None]:
    import torch

    count = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = False, False, False
    try:
        yield
    finally:
        torch.set_num_threads(count)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


def blas() -> list[dict[str, object]]:
    """The OpenBLAS copies in this process: library, version, threads.

    Examples
    --------
    >>> sorted(blas()[0]) if blas() else ["library", "threads", "version"]
    ['library', 'threads', 'version']
    """
    return [
        {"library": each.name, "version": each.version(), "threads": each.threads()}
        for each in _libraries()
    ]


class _OpenBLAS:
    """One shared library with its prefix and suffix (`scipy_` and `64_` in the wheels)."""

    def __init__(self, path: Path, owner: str) -> None:
        self.name = f"openblas ({owner})"
        self._library = ctypes.CDLL(str(path))
        self._form = next(
            (
                form
                for form in ("scipy_{}64_", "scipy_{}", "{}64_", "{}")
                if hasattr(self._library, form.format("openblas_set_num_threads"))
            ),
            None,
        )

    @property
    def usable(self) -> bool:
        return self._form is not None

    def _call(self, name: str, *args: int) -> object:
        return getattr(self._library, (self._form or "{}").format(name))(*args)

    def threads(self) -> int:
        return int(str(self._call("openblas_get_num_threads")))

    def set_threads(self, count: int) -> None:
        self._call("openblas_set_num_threads", count)

    def version(self) -> str:
        function = getattr(self._library, (self._form or "{}").format("openblas_get_config"))
        function.restype = ctypes.c_char_p
        words: list[str] = function().decode("ascii").split()
        return words[1] if words[0] == "OpenBLAS" else words[0]


def _libraries() -> list[_OpenBLAS]:
    """OpenBLAS copies of the packages that are loaded (one not yet loaded reads the variables)."""
    found = []
    for owner in ("numpy", "scipy"):
        if owner not in sys.modules:
            continue
        spec = importlib.util.find_spec(owner)
        if spec is None or spec.origin is None:
            continue
        home = Path(spec.origin).parent
        for folder in (home.parent / f"{owner}.libs", home / ".dylibs"):
            for path in sorted(folder.glob("*openblas*")):
                library = _OpenBLAS(path, owner)
                if library.usable:
                    found.append(library)
    return found
