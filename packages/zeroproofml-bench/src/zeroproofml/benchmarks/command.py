"""What `zpml-bench ik …` does: words → order → decision → run → the closing lines."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from zeroproofml.benchmarks import config, domains, hardware, progress, runner
from zeroproofml.benchmarks.prepare import Order, prepare
from zeroproofml.report.errors import UsageError

if TYPE_CHECKING:
    from zeroproofml.benchmarks.decide import Flag
    from zeroproofml.benchmarks.prepare import Prepared, RunOutcome

FLAGS: tuple[tuple[Literal["resume", "skip", "force"], str], ...] = (
    ("resume", "--resume"),
    ("skip", "--skip-complete-seeds"),
    ("force", "--force-rerun"),
)


@dataclass(frozen=True)
class Words:
    """The command line as typed."""

    domain: str
    mode: str
    protocol: str
    device: str
    seeds: str | None
    start_seed: int | None
    out_root: str | None
    resume: bool
    skip_complete_seeds: bool
    force_rerun: bool
    html_report: bool
    baseline_run_dir: str | None
    arms: str | None
    executor: str | None
    workers: int | None
    scheduler: str | None
    progress: str
    fail_on_claims: bool
    dry_run: bool
    verbose: bool
    quiet: bool


def run(words: Words) -> int:
    """Carry out one command; returns its exit code.

    Raises
    ------
    ReportError
        As `prepare` and `runner.execute`.
    """
    _listen(words)
    made = prepare(_order(words))
    if words.dry_run:
        return _dry(made)
    say = _nothing if words.quiet else _aside
    for line in made.passed_over:
        say(line)
    refusal = made.refusal()
    if refusal is not None:
        raise refusal
    typer.echo(_opening(made))
    if made.decision.run:
        say(f"if it is interrupted: {_again(words, made)}")
    outcome = runner.execute(made)
    for note in outcome.notes:
        say(note)
    _closing(outcome)
    return outcome.exit_code


def _again(words: Words, made: Prepared) -> str:
    """The command that goes on with this run: what is hashed must be said again."""
    parts = ["zpml-bench", words.domain, "--mode", words.mode]
    if words.protocol != "standard":
        parts += ["--protocol", words.protocol]
    if words.device != "cpu":
        parts += ["--device", words.device]
    if words.arms is not None:
        parts += ["--arms", words.arms]
    return shlex.join([*parts, "--resume", "--out-root", str(made.path)])


def _listen(words: Words) -> None:
    """What the libraries log goes to standard error, at the level that was asked for."""
    if words.verbose and words.quiet:
        msg = "-v and -q exclude each other; give one of them"
        raise UsageError(msg)
    level = logging.INFO if words.verbose else logging.ERROR if words.quiet else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def _aside(line: str) -> None:
    typer.echo(line, err=True)


def _nothing(line: str) -> None:
    del line


def _order(words: Words) -> Order:
    flag = _flag(words)
    seeds = config.parse_seeds(words.seeds, words.start_seed)
    places = {"--out-root": words.out_root, "--baseline-run-dir": words.baseline_run_dir}
    for flag_word, place in places.items():
        if place is not None and not place.strip():
            msg = f"{flag_word}: is empty; name a directory"
            raise UsageError(msg)
    wanted = "none" if words.quiet and words.progress == "auto" else words.progress
    sink = progress.make(wanted, words.domain)
    domains.producer(words.domain, words.protocol)
    device, accelerators = hardware.choose_device(words.device)
    resolved = config.resolve(
        words.domain,
        mode=words.mode,
        protocol=words.protocol,
        device=device,
        arms=None if words.arms is None else words.arms.split(","),
    )
    return Order(
        resolved=resolved,
        seeds=seeds,
        out_root=None if words.out_root is None else Path(words.out_root),
        flag=flag,
        html=words.html_report,
        baseline=None if words.baseline_run_dir is None else Path(words.baseline_run_dir),
        executor=words.executor,
        workers=words.workers,
        scheduler=words.scheduler,
        fail_on_claims=words.fail_on_claims,
        accelerators=accelerators,
        argv=tuple(sys.argv),
        sink=sink,
    )


def _flag(words: Words) -> Flag:
    given = {
        "resume": words.resume,
        "skip": words.skip_complete_seeds,
        "force": words.force_rerun,
    }
    chosen = [(flag, name) for flag, name in FLAGS if given[flag]]
    if len(chosen) > 1:
        names = " and ".join(name for _, name in chosen)
        msg = f"{names} exclude each other; give one of them"
        raise UsageError(msg)
    return chosen[0][0] if chosen else "none"


def _opening(made: Prepared) -> str:
    """The first line: which of the two it is, and where."""
    found = made.found.situation
    if made.decision.action in ("continue", "reopen", "nothing", "rederive"):
        done, planned = len(found.committed), len(made.decision.planned)
        return f"resuming {made.path} ({done} of {planned} seeds complete)"
    return f"starting {made.path}"


def _dry(made: Prepared) -> int:
    decision, resolved = made.decision, made.order.resolved
    refusal = made.refusal()
    lines = [
        ("directory", str(made.path)),
        ("state", made.found.situation.state),
        ("decision", decision.action if refusal is None else f"refuse: {refusal}"),
        ("seeds", ",".join(map(str, decision.planned)) or "-"),
        ("to run", ",".join(map(str, decision.run)) or "-"),
        ("arms", ",".join(resolved.arms)),
        ("executor", f"{made.place.name} × {made.place.workers}"),
        ("config", _config_line(made)),
        ("config_hash", resolved.config_hash),
        ("environment_digest", made.identity.environment.digest()),
        *((f"code {name}", digest) for name, digest in sorted(made.identity.code.items())),
    ]
    for line in made.passed_over:
        typer.echo(line)
    for name, value in lines:
        typer.echo(f"{name}: {value}")
    return 0 if refusal is None else refusal.exit_code


def _config_line(made: Prepared) -> str:
    from zeroproofml.report.contract.strict_json import canonical

    return canonical(made.order.resolved.config).decode()


def _closing(outcome: RunOutcome) -> None:
    for seed, code in sorted(outcome.failed.items()):
        typer.echo(f"seed {seed} failed: {code}", err=True)
    if outcome.status == "interrupted":
        typer.echo(f"interrupted; go on with --resume --out-root {outcome.path}", err=True)
    typer.echo(str(outcome.path))
    typer.echo(outcome.status)
    if outcome.raw_digest is None:
        return
    counts = ", ".join(f"{verdict} {n}" for verdict, n in outcome.verdicts.items())
    typer.echo(f"claims: {counts}")
    typer.echo(f"raw {outcome.raw_digest}")
    typer.echo(f"root {outcome.root_digest}")
