"""What the tests of the harness share: the toy domain, and ways to start the program on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zeroproofml.benchmarks import config, domains, provenance
from zeroproofml.report.contract.provenance import Source

TOY = Path(__file__).with_name("toy_domain.py")
_START = (
    "import sys; from zeroproofml.benchmarks import domains; domains.load_file({toy!r}); "
    "from zeroproofml.benchmarks import cli; cli._add('toy', 'milliseconds'); "
    "sys.argv[0] = 'zpml-bench'; cli.main()"
)


class Silent:
    """Progress that nobody watches."""

    def start(self, label, total=None):
        """Nothing."""

    def advance(self, n=1, **info):
        """Nothing."""

    def finish(self):
        """Nothing."""


@pytest.fixture(scope="session")
def silent():
    """Progress that nobody watches."""
    return Silent()


@pytest.fixture(autouse=True)
def toy() -> Path:
    """The toy domain is known in every test here; the path of its file."""
    domains.load_file(TOY)
    return TOY


@pytest.fixture(scope="module")
def fixed_identity():
    """Code, environment and source are read once: they do not change in a test that runs often."""
    domains.load_file(TOY)
    names = ("commit", "dirty", "diff_sha256", "how")
    nothing = {**dict.fromkeys(names), "reasons": dict.fromkeys(names, "installed")}
    source, code = Source.model_validate(nothing), provenance.code(())
    environment = provenance.environment(config.resolve("toy").config, ())
    patch = pytest.MonkeyPatch()
    patch.setattr(provenance, "source", lambda: source)
    patch.setattr(provenance, "code", lambda frameworks: code)
    patch.setattr(provenance, "environment", lambda *given: environment)
    yield
    patch.undo()


@pytest.fixture
def launch(tmp_path):
    """Start `zpml-bench` on the toy domain in a process of its own; returns the Popen."""
    started = []

    def start(*args, stderr=subprocess.PIPE, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", _START.format(toy=str(TOY)), *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def program(launch):
    """Run `zpml-bench` to its end; returns (exit code, stdout, stderr)."""

    def run(*args, **variables):
        process = launch(*args, **variables)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run
