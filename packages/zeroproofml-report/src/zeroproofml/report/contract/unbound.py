"""The leaves that no recomputation binds: who redoes every digest can change them unseen.

Only a digest kept elsewhere (``verify --root-digest``) protects these. The list is exact: a test
changes every leaf of a run with all digests redone and compares. Run contract, section 16.
"""

import re

__all__ = ["UNBOUND", "is_unbound"]

UNBOUND: dict[str, tuple[str, ...]] = {
    "manifest.json": ("/deriver/code_digest", "/deriver/version"),
    "provenance.json": (
        "/created_at",
        "/attempts/*/started_at",
        "/attempts/*/ended_at",
        "/attempts/*/exit_code",
        "/attempts/*/argv/*",
        "/attempts/*/cwd",
        "/attempts/*/environment/env/*",
        "/attempts/*/environment/host_id",
    ),
    "journal.jsonl": ("/*/time", "/*/data/seeds/*", "/*/data/seed"),
    "seed_*/per_seed_result.json": (
        "/timing/**",
        "/datasets/*/digest",
        "/arms/*/training/*",
        "/arms/*/thresholds/*",
        "/arms/*/diagnostics/**",
    ),
}
"""File to pointers; ``*`` stands for one component, ``**`` for the rest.

In the journal (pointers begin with the line) these are the seeds that an attempt was asked for or
started; in a result, what arrays do not determine; a shared data set's digest *is* bound (V7).
"""


def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.compile(escaped)


_COMPILED = [
    (_pattern(file), [_pattern(pointer) for pointer in pointers])
    for file, pointers in UNBOUND.items()
]


def is_unbound(path: str, pointer: str) -> bool:
    """Whether the leaf at ``pointer`` of the file ``path`` is bound by digests alone.

    Examples
    --------
    >>> is_unbound("provenance.json", "/created_at")
    True
    >>> is_unbound("aggregated/summary.json", "/raw_digest")
    False
    """
    return any(
        file.fullmatch(path) and any(p.fullmatch(pointer) for p in pointers)
        for file, pointers in _COMPILED
    )
