"""A process that starts toy runs in forks of itself: one line `root flag` in, one pid out.

Forks are cheap, but only a process without other threads may fork safely: a test process that has
imported JAX may not. The forks run in sessions of their own; the system reaps them.
"""

import os
import signal
import sys
from pathlib import Path

from zeroproofml.benchmarks import config, domains, provenance, run_benchmark
from zeroproofml.report.contract.provenance import Source


def main() -> None:
    """Serve until the input ends."""
    domains.load_file(Path(__file__).with_name("toy_domain.py"))
    resolved = config.resolve("toy")
    names = ("commit", "dirty", "diff_sha256", "how")
    nothing = {**dict.fromkeys(names), "reasons": dict.fromkeys(names, "installed")}
    source, code = Source.model_validate(nothing), provenance.code(())
    environment = provenance.environment(resolved.config, ())
    provenance.source = lambda: source
    provenance.code = lambda frameworks: code
    provenance.environment = lambda *given: environment
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        root, flag = line.split()
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            run_benchmark(resolved, [1, 2, 3], root, flag=flag, executor="process", workers=2)
        finally:
            os._exit(0)


if __name__ == "__main__":
    main()
