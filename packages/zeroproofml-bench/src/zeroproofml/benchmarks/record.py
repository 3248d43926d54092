"""provenance.json as it grows: made with the run, one attempt more each time, closed at its end."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroproofml.benchmarks import provenance
from zeroproofml.report.contract.provenance import (
    Attempt,
    Environment,
    Executor,
    Plan,
    Provenance,
    Resources,
    RunConfig,
    Source,
)
from zeroproofml.report.contract.strict_json import digest
from zeroproofml.report.errors import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroproofml.benchmarks.config import Resolved

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
KINDS = {"none": "initial", "resume": "resume", "skip": "skip", "force": "force"}
"""Flag of the command → kind of the attempt (`initial` for the first, whatever the flag)."""


def new_run_id() -> str:
    """26 random characters that name a run for its whole life.

    Examples
    --------
    >>> len(new_run_id())
    26
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(26))


def timestamp(now: datetime | None = None) -> str:
    """UTC with microseconds, as the contract writes it.

    Examples
    --------
    >>> timestamp(datetime(2026, 4, 7, 15, 8, tzinfo=UTC))
    '2026-04-07T15:08:00.000000Z'
    """
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def attempt(
    number: int,
    flag: str,
    *,
    started_at: str,
    argv: Sequence[str],
    executor: Mapping[str, Any],
    environment: Environment,
    code: Mapping[str, str],
    seeds_at_start: Sequence[int],
) -> Attempt:
    """An attempt that has just begun."""
    return Attempt.model_validate(
        {
            "attempt": number,
            "kind": "initial" if number == 1 else KINDS[flag],
            "started_at": started_at,
            "ended_at": None,
            "exit_code": None,
            "argv": provenance.argv(argv),
            "cwd": as_text(Path.cwd().name),
            "executor": Executor.model_validate(dict(executor)),
            "environment": environment,
            "code": dict(code),
            "seeds_at_start": sorted(seeds_at_start),
        }
    )


def initial(
    resolved: Resolved, seeds: Sequence[int], source: Source, run_id: str, created_at: str
) -> Provenance:
    """The provenance of a new run: config, plan and claims are fixed here, before any seed."""
    return Provenance(
        run_id=run_id,
        created_at=created_at,
        config=RunConfig.model_validate(resolved.config),
        config_hash=resolved.config_hash,
        plan=plan(resolved, seeds),
        attempts=(),
        source=source,
        seeds_environment={},
        resources={},
    )


def plan(resolved: Resolved, seeds: Sequence[int]) -> Plan:
    """Planned seeds, and the claims of the protocol as they stand now."""
    claims = resolved.protocol.claims
    return Plan(
        seeds=tuple(seeds),
        claims=tuple(claims),
        claims_digest=digest([claim.plain() for claim in claims]),
    )


def begun(before: Provenance, following: Attempt, seeds: Sequence[int]) -> Provenance:
    """The provenance with one attempt more; the declared claims stay as they were.

    An attempt that was killed between its record and its journal event never began: its number,
    and its record, are taken over.
    """
    return before.model_copy(
        update={
            "attempts": (*before.attempts[: following.attempt - 1], following),
            "plan": before.plan.model_copy(update={"seeds": tuple(seeds)}),
        }
    )


def ended(
    before: Provenance,
    made_in: Mapping[int, int],
    *,
    exit_code: int,
    ended_at: str,
    used: Resources,
) -> Provenance:
    """The provenance with its last attempt closed, and which attempt made which seed."""
    *earlier, last = before.attempts
    closed = last.model_copy(update={"ended_at": ended_at, "exit_code": exit_code})
    return before.model_copy(
        update={
            "attempts": (*earlier, closed),
            "seeds_environment": {str(seed): made_in[seed] for seed in sorted(made_in)},
            "resources": {**_killed(before, len(earlier)), str(last.attempt): used},
        }
    )


def _killed(before: Provenance, count: int) -> dict[str, Resources]:
    """Resources of the earlier attempts: null where an attempt was killed before it could say."""
    nothing = dict.fromkeys(("wall_s", "cpu_s", "peak_rss_mb", "gpu_peak_mb", "bytes_written"))
    unknown = Resources.model_validate({**nothing, "reasons": dict.fromkeys(nothing, "missing")})
    return {
        str(number): before.resources.get(str(number), unknown) for number in range(1, count + 1)
    }


def resources(
    *,
    wall_s: float,
    cpu_s: float,
    peak_rss_mb: float | None,
    gpu_peak_mb: float | None,
    written: int,
) -> Resources:
    """What an attempt used; a peak that nothing measured is null with its reason."""
    peaks = {"peak_rss_mb": peak_rss_mb, "gpu_peak_mb": gpu_peak_mb}
    return Resources.model_validate(
        {
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            **peaks,
            "bytes_written": written,
            "reasons": {
                name: "missing" if name == "peak_rss_mb" else "not_applicable"
                for name, value in peaks.items()
                if value is None
            },
        }
    )
