"""`zpml-bench`, also `python -m zeroproofml.benchmarks`: run a benchmark, or read its runs.

Module level imports typer and the standard library only, so that `--help` is quick.
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from zeroproofml.benchmarks._version import __version__
from zeroproofml.report import cli as reader
from zeroproofml.report import console

PROGRAM = "zpml-bench"
DOMAINS = {
    "dose": "Dose-response with censored readings.",
    "rf": "Filters whose response has poles.",
    "ik": "Robot arms that cross their singular poses.",
}

app = typer.Typer(
    name=PROGRAM,
    help="Run the benchmarks of ZeroProofML as auditable, resumable runs, and read them. "
    "--version prints the version.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)


def _add(domain: str, text: str) -> None:
    def run(
        mode: Annotated[
            str, typer.Option(help="contract (does it work), smoke (does it learn) or paper.")
        ] = "contract",
        protocol: Annotated[
            str, typer.Option(help="standard, or classic: the published law.")
        ] = "standard",
        device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
        seeds: Annotated[
            str | None,
            typer.Option(help="A count (10) or a list (1,5,9 or 1-10 or 7,). Default: the mode's."),
        ] = None,
        start_seed: Annotated[
            int | None, typer.Option(help="First seed of a count. Default: 1.")
        ] = None,
        out_root: Annotated[
            str | None,
            typer.Option(help="Run directory. Default: a new one under results/benchmarks."),
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
        ] = False,
        skip_complete_seeds: Annotated[
            bool,
            typer.Option("--skip-complete-seeds", help="Fill in what is missing; add seeds."),
        ] = False,
        force_rerun: Annotated[
            bool, typer.Option("--force-rerun", help="Compute the requested seeds again.")
        ] = False,
        html_report: Annotated[
            bool, typer.Option("--html-report", help="Write RUN_REPORT.html too.")
        ] = False,
        baseline_run_dir: Annotated[
            str | None, typer.Option(help="A run to compare with, pair by pair.")
        ] = None,
        arms: Annotated[str | None, typer.Option(help="Some arms only: a,b,c.")] = None,
        executor: Annotated[
            str | None, typer.Option(help="inline, process or dask. Default: by seeds.")
        ] = None,
        workers: Annotated[
            int | None, typer.Option(help="Seeds at a time. Default: cores.")
        ] = None,
        scheduler: Annotated[
            str | None, typer.Option(help="Address of a dask scheduler (with --executor dask).")
        ] = None,
        progress: Annotated[
            str, typer.Option(help="auto, plain, json or none; on standard error.")
        ] = "auto",
        fail_on_claims: Annotated[
            bool, typer.Option("--fail-on-claims", help="Exit 4 unless every claim is supported.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
        ] = False,
        verbose: Annotated[
            bool, typer.Option("-v", "--verbose", help="Say more on standard error.")
        ] = False,
        quiet: Annotated[
            bool, typer.Option("-q", "--quiet", help="Errors and the result only.")
        ] = False,
    ) -> int:
        console.refuse_the_old_package()
        from zeroproofml.benchmarks import command

        return command.run(
            command.Words(
                domain=domain,
                mode=mode,
                protocol=protocol,
                device=device,
                seeds=seeds,
                start_seed=start_seed,
                out_root=out_root,
                resume=resume,
                skip_complete_seeds=skip_complete_seeds,
                force_rerun=force_rerun,
                html_report=html_report,
                baseline_run_dir=baseline_run_dir,
                arms=arms,
                executor=executor,
                workers=workers,
                scheduler=scheduler,
                progress=progress,
                fail_on_claims=fail_on_claims,
                dry_run=dry_run,
                verbose=verbose,
                quiet=quiet,
            )
        )

    app.command(domain, help=text)(run)


for _domain, _text in DOMAINS.items():
    _add(_domain, _text)
reader.mount_reader_commands(app)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the program and leave with its exit code."""
    console.leave(app, PROGRAM, __version__, arguments)
