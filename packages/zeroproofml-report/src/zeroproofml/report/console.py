"""The edge of both programs: an exception becomes one line and an exit code, never a traceback."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import typer

from zeroproofml.report.errors import RunInvalid, one_line
from zeroproofml.scm.errors import NamespaceConflict, ZeroProofError

__all__ = [
    "INTERRUPTED",
    "UNEXPECTED",
    "USAGE",
    "leave",
    "refuse_the_old_package",
    "run_app",
    "say",
]

UNEXPECTED, USAGE, INTERRUPTED = 1, 2, 130
MOST_LINES = 20
_OLD = (
    "zeroproofml {version} is installed and hides these packages; "
    "pip uninstall zeroproofml, then reinstall the zeroproofml-* packages"
)


def run_app(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> int:
    """Run a typer program.

    Args:
        app: its commands return an exit code or None.
        program: the name that help and errors show.
        arguments: of the command line; those of the process by default.

    Returns:
        The exit code of run-contract.md, section 12. Whatever went wrong was said on standard
        error in one line per problem.

    >>> app = typer.Typer(rich_markup_mode=None, add_completion=False)
    >>> @app.command()
    ... def hello() -> int:
    ...     typer.echo("hello")
    ...     return 3
    >>> run_app(app, "hello", [])
    hello
    3
    """
    given = None if arguments is None else list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A name that is no UTF-8, or ⊥ on an old terminal: an escape is better than a crash.
        sys.stdout.reconfigure(errors="backslashreplace")
    if (text := _help(app, program, sys.argv[1:] if given is None else given)) is not None:
        typer.echo(text)
        return 0
    try:
        made = _invoke(app, program, sys.argv[1:] if given is None else given)
        sys.stdout.flush()
    except RunInvalid as error:
        return _invalid(error)
    except NamespaceConflict as error:
        return say(str(error), USAGE)
    except ZeroProofError as error:
        return say(str(error), getattr(error, "exit_code", UNEXPECTED))
    except (KeyboardInterrupt, typer.Abort):
        return say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output is gone; Python must not complain about it once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    except Exception as error:  # noqa: BLE001  # the edge of the program
        words = getattr(error, "format_message", None)
        if words is None:
            return _crash(error)
        return _usage(error, str(words()), program)
    return made if isinstance(made, int) else 0


def _invoke(app: typer.Typer, program: str, given: list[str]) -> object:
    """What the command returns. Typer's own ``main`` would turn Ctrl-C into a silent number."""
    command = typer.main.get_command(app)
    try:
        with command.make_context(program, list(given)) as context:
            return command.invoke(context)
    except typer.Exit as end:
        return end.exit_code


def _help(app: typer.Typer, program: str, given: list[str]) -> str | None:
    """The help of a command, without parsing: typer loads pydantic to parse an option."""
    if "--help" not in given[1:]:
        return None
    top = typer.main.get_command(app)
    command = getattr(top, "commands", {}).get(given[0])
    if command is None:
        return None
    parent = top.context_class(top, info_name=program)
    return str(command.get_help(command.context_class(command, info_name=given[0], parent=parent)))


def leave(
    app: typer.Typer, program: str, version: str, arguments: Sequence[str] | None = None
) -> NoReturn:
    """Run a typer program as the process: also ``--version``, and then exit.

    Args:
        app, program, arguments: as :func:`run_app`.
        version: what ``--version`` prints. No option of typer: that would load pydantic for help.

    >>> leave(typer.Typer(), "hello", "1.0", ["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--version"]:
        typer.echo(f"{program} {version}")
        sys.exit(0)
    code = run_app(app, program, given)
    # All is said and done; Ctrl-C while the libraries shut down must not change the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def say(line: str, code: int = 0) -> int:
    """Print one line on standard error and hand the exit code on.

    >>> say("--out: lies inside the run", 2)
    2
    """
    typer.echo(one_line(line), err=True)
    return code


def refuse_the_old_package() -> None:
    """Stop if a distribution called ``zeroproofml`` is installed beside these packages.

    Asked when a command starts, not for ``--help``: metadata costs tens of milliseconds.

    Raises:
        NamespaceConflict: it is; exit 2.

    >>> refuse_the_old_package()  # nothing of that name is installed here
    """
    try:
        version = metadata.version("zeroproofml")
    except metadata.PackageNotFoundError:
        return
    raise NamespaceConflict(_OLD.format(version=version))


def _invalid(error: RunInvalid) -> int:
    """Several problems: one line each, at most twenty."""
    errors = [finding for finding in error.findings if finding.severity == "error"]
    if not errors:
        return say(str(error), error.exit_code)
    root = error.path
    for finding in errors[:MOST_LINES]:
        inside = not root or finding.path.startswith(root)
        path = finding.path if inside else f"{root}/{finding.path}".rstrip("/")
        where = f"{path or '.'}{'#' + finding.pointer if finding.pointer else ''}"
        mend = f"; {finding.mend}" if finding.mend else ""
        say(f"{where}: {finding.message}{mend}")
    if len(errors) > MOST_LINES:
        say(f"… and {len(errors) - MOST_LINES} more")
    return error.exit_code


def _usage(error: Exception, words: str, program: str) -> int:
    """What typer found wrong; its error classes moved between versions, their shape did not."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the words are the whole help text
        typer.echo(words, err=True)
        return USAGE
    where = getattr(getattr(error, "ctx", None), "command_path", None) or program
    words = words.rstrip(".")
    stop = "" if words.endswith("?") else ";"
    return say(f"{words}{stop} see {where} --help", getattr(error, "exit_code", USAGE))


def _crash(error: Exception) -> int:
    """A defect of ours: one line, and the traceback (without locals) in a file."""
    where = _save("".join(traceback.format_exception(error)), getattr(error, "crash_file", None))
    saved = "its traceback could not be saved; run the command again"
    if where is not None:
        saved = f"traceback saved in {where}; report it"
    return say(f"internal error: {type(error).__name__} {error} ({saved})", UNEXPECTED)


def _save(text: str, wanted: Path | None) -> Path | None:
    """Where the text was saved: the place wanted, or a temporary file if that is not there yet."""
    data = text.encode("utf-8", "backslashreplace")
    if wanted is not None:
        with contextlib.suppress(OSError):
            wanted.write_bytes(data)
            return wanted
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="zpml-crash-", suffix=".txt")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return Path(name)
    return None
