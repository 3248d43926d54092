"""Which names a file of a run may have, on every system at once."""

import re
from collections.abc import Iterable

__all__ = ["check_path", "is_safe_path", "twins"]

_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LIMIT = 240


def is_safe_path(path: str) -> bool:
    """True if ``path`` is a relative path that every file system takes the same way.

    Examples
    --------
    >>> is_safe_path("seed_1/commit.json"), is_safe_path("../x"), is_safe_path("CON.txt")
    (True, False, False)
    """
    return 0 < len(path) <= _LIMIT and all(
        _PART.fullmatch(part) and not _DEVICE.fullmatch(part) for part in path.split("/")
    )


def check_path(path: str) -> str:
    """Return ``path``, or raise ``ValueError`` if it is not safe.

    Examples
    --------
    >>> check_path("figures/a.svg")
    'figures/a.svg'
    """
    if not is_safe_path(path):
        msg = f"unsafe path {path!r:.120}"
        raise ValueError(msg)
    return path


def twins(paths: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of paths that some file system would take for one.

    Examples
    --------
    >>> twins(["a/B", "a/b", "c"])
    [('a/B', 'a/b')]
    """
    seen: dict[str, str] = {}
    found = []
    for path in paths:
        first = seen.setdefault(path.casefold(), path)
        if first != path:
            found.append((first, path))
    return found
