"""What the three commands share: one line for a user's mistake, and the wrong kind of folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

RUN_DIRECTORY_FILES = ("manifest.json", "journal.jsonl")


class Parser(argparse.ArgumentParser):
    """An argument parser whose refusal is one line, exit 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error: {message}\n")
        raise SystemExit(2)


def is_run_directory(path: Path) -> bool:
    """Whether a path is a run of the scientific benchmarks, which no command here may touch."""
    return any((path / name).exists() for name in RUN_DIRECTORY_FILES)


def demand_output(parser: Parser, output: Path) -> None:
    """Refuse an output that is a run directory, or no folder."""
    if is_run_directory(output):
        parser.error(f"--output: {output} is a benchmark run directory; read it with zpml-report")
    if output.exists() and not output.is_dir():
        parser.error(f"--output: {output} is not a folder; name a folder")
