"""From the words of a command to the resolved, hashed configuration of a run.

Everything that decides about numbers is in `config` (and so in `config_hash`); everything that
only decides about where, how fast and how it looks stays outside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroproofml.report.contract.strict_json import digest
from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    from zeroproofml.report.domains import Protocol

MODES = ("contract", "smoke", "paper")
DEVICES = ("cpu", "cuda", "auto")
MAX_SEED = 2**31 - 1
MAX_SEEDS = 10_000

_NUMBER = re.compile(r"[0-9]{1,12}")
_RANGE = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


@dataclass(frozen=True)
class Resolved:
    """A run's configuration and the protocol that it follows."""

    config: dict[str, Any]
    config_hash: str
    protocol: Protocol

    @property
    def arms(self) -> tuple[str, ...]:
        """Configured arms in the protocol's declared order."""
        chosen = set(self.config["arms"])
        return tuple(arm.key for arm in self.protocol.arms if arm.key in chosen)

    @property
    def default_seeds(self) -> tuple[int, ...]:
        """Seeds of the mode, for a run that names none."""
        return tuple(range(1, self.protocol.seeds[self.config["mode"]] + 1))


def resolve(
    domain: str,
    *,
    mode: str = "contract",
    protocol: str = "standard",
    device: str = "cpu",
    arms: Iterable[str] | None = None,
) -> Resolved:
    """Resolve one run's configuration.

    Parameters
    ----------
    domain, mode, protocol
        As on the command line.
    device
        `"cpu"` or `"cuda"`; `"auto"` is resolved before (see `hardware.choose_device`).
    arms
        Arm keys in any order; None means all of the mode.

    Raises
    ------
    UsageError
        An unknown word, or arms without one that another arm or the protocol needs.
    """
    from zeroproofml.report import domains

    if mode not in MODES:
        msg = f"--mode: {mode!r} is unknown; use one of {', '.join(MODES)}"
        raise UsageError(msg)
    law = domains.get(domain, protocol)
    if mode not in law.settings:
        msg = f"--mode: {domain} {protocol} has no {mode} settings; use {', '.join(law.settings)}"
        raise UsageError(msg)
    config = {
        "domain": domain,
        "mode": mode,
        "protocol": {"name": law.name, "version": law.version},
        "device": device,
        "arms": choose_arms(law, mode, arms),
        "dtype": law.dtype,
        "threads": law.threads,
        "settings": _plain(law.settings[mode]),
    }
    return Resolved(config, digest(config), law)


def choose_arms(law: Protocol, mode: str, wanted: Iterable[str] | None) -> list[str]:
    """Arms of a run, sorted, after checking that each one's needs are among them.

    Raises
    ------
    UsageError
        Keys that are unknown, repeated or not of this mode, none at all, or one that is needed is
        absent.
    """
    known = {arm.key: arm for arm in law.arms if arm.runs_in(mode)}
    elsewhere = {arm.key: arm.modes for arm in law.arms if not arm.runs_in(mode)}
    if wanted is None:
        return sorted(known)
    keys = [key.strip() for key in wanted]
    if not any(keys):
        msg = f"--arms: is empty; name some of {', '.join(known)}"
        raise UsageError(msg)
    for key in keys:
        if key in elsewhere:
            msg = f"--arms: {key!r} runs in {', '.join(elsewhere[key])} mode only; drop it"
            raise UsageError(msg)
        if key not in known:
            msg = f"--arms: {key!r} is no arm of {law.domain} {law.name}; use {', '.join(known)}"
            raise UsageError(msg)
        if keys.count(key) > 1:
            msg = f"--arms: {key!r} is named twice; name it once"
            raise UsageError(msg)
    for required in law.required_arms:
        if required not in keys:
            msg = f"--arms: every {law.domain} {law.name} run needs {required!r}; add it"
            raise UsageError(msg)
    for key in keys:
        for need in known[key].needs:
            if need not in keys:
                msg = f"--arms: {key!r} needs {need!r}; add it"
                raise UsageError(msg)
    return sorted(keys)


def parse_seeds(text: str | None, start: int | None = None) -> tuple[int, ...] | None:
    """Seeds from `--seeds` and `--start-seed`: a count (`"10"`) or a list (`"1,5,9"`, `"1-10"`).

    Returns None when neither is given: the mode then decides, or the plan of a run that exists.

    Raises
    ------
    UsageError
        No such form, a seed outside 1 … 2^31 − 1, twice the same, or more than 10,000.

    Examples
    --------
    >>> parse_seeds("3", start=5), parse_seeds("1,5,9"), parse_seeds("2-4"), parse_seeds("7,")
    ((5, 6, 7), (1, 5, 9), (2, 3, 4), (7,))
    """
    if text is None:
        if start is None:
            return None
        msg = "--start-seed: needs a count of seeds; add --seeds, such as --seeds 10"
        raise UsageError(msg)
    if _NUMBER.fullmatch(text):
        count = int(text)
        if not 1 <= count <= MAX_SEEDS:
            msg = f"--seeds: {text} seeds; give a count from 1 to {MAX_SEEDS}"
            raise UsageError(msg)
        first = 1 if start is None else start
        if first < 1:
            msg = f"--start-seed: {first} is no seed; start at 1 or above"
            raise UsageError(msg)
        if first + count - 1 > MAX_SEED:
            msg = f"--start-seed: {count} seeds from {first} pass {MAX_SEED}; start lower"
            raise UsageError(msg)
        return tuple(range(first, first + count))
    if start is not None:
        msg = "--start-seed: goes with a count, not with a list; drop it or give --seeds as a count"
        raise UsageError(msg)
    seeds: list[int] = []
    for item in text.removesuffix(",").split(","):
        if _NUMBER.fullmatch(item):
            seeds.append(int(item))
        elif pair := _RANGE.fullmatch(item):
            seeds.extend(_range(item, int(pair[1]), int(pair[2])))
        else:
            msg = f"--seeds: {text[:60]!r} is no count and no list; write 10, 1,5,9, 1-10 or 7,"
            raise UsageError(msg)
    return _checked(seeds)


def _range(item: str, first: int, last: int) -> range:
    if last < first:
        msg = f"--seeds: {item} runs backwards; write {last}-{first}"
        raise UsageError(msg)
    if last - first >= MAX_SEEDS:
        msg = f"--seeds: {item} is {last - first + 1} seeds; give 1 to {MAX_SEEDS}"
        raise UsageError(msg)
    return range(first, last + 1)


def check_seeds(seeds: Iterable[object]) -> tuple[int, ...]:
    """Check seeds that a Python caller gives.

    Raises
    ------
    UsageError
        As for `parse_seeds`.

    Examples
    --------
    >>> check_seeds([3, 1])
    (3, 1)
    """
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        msg = f"seeds: {seeds!r:.80} is no list of seeds; give whole numbers"
        raise UsageError(msg)
    return _checked(seeds)


def _checked(seeds: Iterable[object]) -> tuple[int, ...]:
    made: list[int] = []
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 1 <= seed <= MAX_SEED:
            msg = f"--seeds: {seed!r} is no seed; use whole numbers from 1 to {MAX_SEED}"
            raise UsageError(msg)
        made.append(seed)
    if not 1 <= len(made) <= MAX_SEEDS:
        msg = f"--seeds: {len(made)} seeds; give 1 to {MAX_SEEDS}"
        raise UsageError(msg)
    if len(set(made)) != len(made):
        twice = next(seed for seed in made if made.count(seed) > 1)
        msg = f"--seeds: {twice} is named twice; name each seed once"
        raise UsageError(msg)
    return tuple(made)


def _plain(value: Any) -> Any:
    """Settings as plain lists and dicts, whatever mapping the protocol wraps them in."""
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
