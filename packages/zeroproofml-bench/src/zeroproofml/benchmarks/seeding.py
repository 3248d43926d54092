"""Named random streams: every number that a seed draws comes from one of these.

A stream is named by what it is for (domain, protocol, role, arm, index), never by when it is
asked for. So an arm's bytes do not depend on the other arms, on their order, on the other seeds or
on the executor, and the data streams carry no arm: all arms of a seed see the same data.
"""

from __future__ import annotations

import hashlib
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from zeroproofml.report.contract.strict_json import canonical
from zeroproofml.scm.errors import SCMValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

Role = Literal[
    "data.train", "data.validation", "data.calibration", "data.test", "init", "shuffle", "noise"
]
ROLES: tuple[str, ...] = get_args(Role)
FROZEN = 0
"""Entropy of a test set that is frozen per protocol version (no run seed is 0)."""
MAX_SEED = 2**31 - 1


def words(
    domain: str, protocol: str, role: str, arm: str | None = None, index: int = 0
) -> tuple[int, int, int, int]:
    """Name of a stream as four 32-bit words: the first 128 bits of a sha256, most significant first.

    Examples
    --------
    >>> [f"{w:08x}" for w in words("ik", "standard/1", "data.train")]
    ['1af8df26', '05fa330a', '15c46816', 'acd668e3']
    """
    if role not in ROLES:
        msg = f"role: {role!r} is not a stream role; use one of {', '.join(ROLES)}"
        raise SCMValueError(msg)
    if arm is not None and role.startswith("data."):
        msg = f"arm: {arm!r} given for {role}; data streams have no arm, so that pairs are real"
        raise SCMValueError(msg)
    name = canonical(["zpml-stream", 1, domain, protocol, role, arm, index])
    head = hashlib.sha256(name).digest()[:16]
    a, b, c, d = (int.from_bytes(head[i : i + 4], "big") for i in (0, 4, 8, 12))
    return a, b, c, d


def stream(
    seed: int,
    domain: str,
    protocol: str,
    role: Role,
    *,
    arm: str | None = None,
    index: int = 0,
) -> np.random.SeedSequence:
    """Seed sequence of one stream.

    Parameters
    ----------
    seed
        run seed, 1 … 2^31 − 1, or `FROZEN` for a test set that belongs to the protocol.
    domain
        `"dose"`, `"rf"`, `"ik"`.
    protocol
        name and version, `"standard/1"`.
    role
        one of `ROLES`.
    arm
        arm key, or a domain's word for a family of arms; never for a data stream.
    index
        distinguishes streams of one role (robots, folds, members of an ensemble).

    Raises
    ------
    SCMValueError
        seed, role, arm or index outside these ranges.

    Examples
    --------
    >>> stream(7, "ik", "standard/1", "init", arm="mlp_pole").entropy
    7
    """
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        msg = f"seed: {seed!r} is outside 0 … {MAX_SEED}; give a whole number in this range"
        raise SCMValueError(msg)
    if isinstance(index, bool) or index < 0:
        msg = f"index: {index!r} is negative; count streams from 0"
        raise SCMValueError(msg)
    return np.random.SeedSequence(entropy=seed, spawn_key=words(domain, protocol, role, arm, index))


def generator(
    seed: int,
    domain: str,
    protocol: str,
    role: Role,
    *,
    arm: str | None = None,
    index: int = 0,
) -> np.random.Generator:
    """NumPy generator (PCG64) of one stream; arguments as in `stream`.

    Examples
    --------
    >>> a = generator(1, "ik", "standard/1", "data.train").standard_normal(3)
    >>> b = generator(1, "ik", "standard/1", "data.train").standard_normal(3)
    >>> bool((a == b).all())
    True
    """
    return np.random.Generator(
        np.random.PCG64(stream(seed, domain, protocol, role, arm=arm, index=index))
    )


def torch_generator(
    seed: int,
    domain: str,
    protocol: str,
    role: Role,
    *,
    arm: str | None = None,
    index: int = 0,
    device: str = "cpu",
) -> torch.Generator:
    """Torch generator of one stream; arguments as in `stream`.

    Examples
    --------
    >>> g = torch_generator(1, "ik", "standard/1", "init", arm="scm_full")
    >>> g.device.type
    'cpu'
    """
    import torch

    made = torch.Generator(device=device)
    made.manual_seed(_state(stream(seed, domain, protocol, role, arm=arm, index=index)))
    return made


@contextmanager
def arm_scope(
    seed: int, domain: str, protocol: str, arm: str, *, torch_too: bool = True
) -> Iterator[None]:
    """Set the global generators from the arm's init stream, and put them back afterwards.

    Domains draw from explicit generators; this is for the code under them that does not
    (default initialisation of a module, a library's own shuffle).

    Examples
    --------
    >>> with arm_scope(1, "ik", "standard/1", "zero", torch_too=False):
    ...     a = random.random()
    >>> with arm_scope(1, "ik", "standard/1", "zero", torch_too=False):
    ...     print(a == random.random())
    True
    """
    state = _state(stream(seed, domain, protocol, "init", arm=arm))
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 (what is guarded here)
    random.seed(state)
    np.random.seed(state % 2**32)  # noqa: NPY002
    try:
        if torch_too:
            with _torch_seeded(state):
                yield
        else:
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


@contextmanager
def _torch_seeded(state: int) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(state)
        yield


def _state(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0])
