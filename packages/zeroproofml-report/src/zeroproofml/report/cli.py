"""``zpml-report``, also ``python -m zeroproofml.report``: derive, check and compare runs.

Module level imports typer and the standard library only, so that ``--help`` is quick; each command
imports what it needs. ``zpml-bench`` mounts the four reader commands from here.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from zeroproofml.report import console
from zeroproofml.report._version import __version__

if TYPE_CHECKING:
    from zeroproofml.report._output import Outcome
    from zeroproofml.report.readers import Answer

__all__ = ["app", "main", "mount_reader_commands"]

PROGRAM = "zpml-report"

app = typer.Typer(
    name=PROGRAM,
    help="Reports and checks of ZeroProofML runs; needs neither torch nor jax. --version prints "
    "the version.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)

_Run = Annotated[str, typer.Argument(metavar="DIR", help="A run directory.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command(short_help="Derive all numbers, figures and pages of a run again.")
def benchmark(
    run: _Run,
    html_report: Annotated[
        bool, typer.Option("--html-report", help="Write RUN_REPORT.html too.")
    ] = False,
    baseline_run_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="A run to compare with, seed by seed.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write there and leave the run alone.")
    ] = None,
) -> int:
    """Derive summaries, claims, figures and pages again from a run's raw files."""
    console.refuse_the_old_package()
    from zeroproofml.report import regenerate

    return _tell(
        regenerate.regenerate(run, html=html_report, baseline_run_dir=baseline_run_dir, out=out)
    )


@app.command()
def bundle(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A deployment bundle.")],
    expect: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="A digest kept elsewhere: only it proves origin."),
    ] = None,
    html_report: Annotated[
        bool, typer.Option("--html-report", help="Write VALIDATION_REPORT.html too.")
    ] = False,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write there, not to the bundle's sibling.")
    ] = None,
) -> int:
    """Validate a deployment bundle and replay its reference."""
    console.refuse_the_old_package()
    from zeroproofml.report import _bundle_page

    return _tell(_bundle_page.report(directory, expect=expect, html=html_report, out=out))


@app.command("training-log", short_help="Write tables and figures of a metric log.")
def training_log(
    log: Annotated[str, typer.Argument(metavar="FILE", help="A metric log (JSONL).")],
    html_report: Annotated[
        bool, typer.Option("--html-report", help="Write TRAINING_REPORT.html too.")
    ] = False,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write there, not to FILE's sibling.")
    ] = None,
) -> int:
    """Write tables and figures of a metric log, one section per phase."""
    console.refuse_the_old_package()
    from zeroproofml.report import training_log as log_report

    return _tell(log_report.report(log, html=html_report, out=out))


def mount_reader_commands(target: typer.Typer) -> None:
    """Add validate, verify, compare and list to a program.

    Args:
        target: the program of this package or of the benchmarks.

    >>> program = typer.Typer()
    >>> mount_reader_commands(program)
    >>> [command.name for command in program.registered_commands]
    ['validate', 'verify', 'compare', 'list']
    """
    target.command("validate")(_validate)
    target.command("verify", short_help="Validate; check arrays; derive every number again.")(
        _verify
    )
    target.command("compare")(_compare)
    target.command("list")(_list)


def _validate(run: _Run, json: _Json = False) -> int:
    """Check names, bytes, schemas and agreement of a sealed run."""
    console.refuse_the_old_package()
    from zeroproofml.report import readers

    return _print(readers.validate(run), json)


def _verify(
    run: _Run,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Derive every number again from its stored input.")
    ] = False,
    root_digest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="A digest kept elsewhere, which the run must match."),
    ] = None,
    baseline_run_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Compare the embedded baseline with this run."),
    ] = None,
    json: _Json = False,
) -> int:
    """Validate, then check journal, arrays and, if asked, every derived number."""
    console.refuse_the_old_package()
    from zeroproofml.report import readers

    return _print(
        readers.verify(
            run,
            recompute=recompute,
            root_digest=root_digest,
            baseline_run_dir=baseline_run_dir,
        ),
        json,
    )


def _compare(
    run: _Run,
    baselines: Annotated[list[str], typer.Argument(metavar="BASELINE", help="Runs to compare.")],
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Compare also what does not measure the same thing."),
    ] = False,
    json: _Json = False,
) -> int:
    """Compare a run with others, seed by seed."""
    console.refuse_the_old_package()
    from zeroproofml.report import readers

    return _print(readers.compare(run, baselines, allow_mismatch=allow_mismatch), json)


def _list(
    root: Annotated[
        str, typer.Argument(metavar="ROOT", help="Where to look.")
    ] = "results/benchmarks",
    json: _Json = False,
) -> int:
    """List the runs below a directory and their states."""
    console.refuse_the_old_package()
    from zeroproofml.report import readers

    return _print(readers.list_runs(root), json)


def _print(answer: Answer, json: bool) -> int:
    """Text or one JSON object on standard output; diagnostics on standard error."""
    for line in answer.diagnostics:
        console.say(line)
    typer.echo(answer.json if json else answer.text)
    return answer.exit_code


def _tell(made: Outcome) -> int:
    """Remarks on standard error; files written and the verdict on standard output."""
    for line in made.notes:
        console.say(line)
    for path in made.written:
        typer.echo(f"wrote {path}")
    typer.echo(made.verdict)
    return made.exit_code


mount_reader_commands(app)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the program and leave with its exit code.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    SystemExit: 0
    """
    gc.set_threshold(100_000)  # trees of plain values hold no cycles; looking costs a twentieth
    console.leave(app, PROGRAM, __version__, arguments)
