"""pytest plugin: ``--scm-backend=module:pattern`` adds one test per case of the corpus.

Without the option nothing happens and NumPy is not imported. The pattern holds ``{op}``; the
functions receive NumPy arrays (torch and jax functions take them too)::

    pytest --scm-backend='zeroproofml.torch.ops:scm_{op}_torch'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from zeroproofml.scm.testing.corpus import Backend, Case

__all__: list[str] = []  # pytest finds the hooks by their names


class _Wrong(Exception):
    """What a failing case says; not an error of ours."""


class _CaseItem(pytest.Item):
    def __init__(self, *, backend: Backend, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._backend, self._case = backend, case

    def runtest(self) -> None:
        if not self._backend.takes(self._case):
            pytest.skip(f"not a case of {self._backend.name}")
        wrong = self._backend.run(self._case)
        if wrong:
            raise _Wrong(wrong)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _Wrong):
            return f"{self._case.id} ({', '.join(self._case.tags)}): {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--scm-backend``."""
    parser.getgroup("zeroproofml").addoption(
        "--scm-backend",
        default=None,
        metavar="MODULE:PATTERN",
        help="run the SCM conformance corpus against 13 functions; {op} in PATTERN is the operation",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Append the cases, if a backend was named."""
    target = config.getoption("--scm-backend")
    if not target:
        return
    from zeroproofml.scm.errors import ZeroProofError
    from zeroproofml.scm.testing.corpus import Backend, load_cases

    try:
        backend = Backend.load(target)
    except (ImportError, ZeroProofError) as error:
        msg = f"--scm-backend: {error}"
        raise pytest.UsageError(msg) from error
    for case in load_cases():
        name = f"scm-conformance[{backend.name}-{case.op}-{case.dtype}-{case.id}]"
        items.append(_CaseItem.from_parent(session, name=name, backend=backend, case=case))
