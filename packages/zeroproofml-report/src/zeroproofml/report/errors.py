"""What this package refuses, and with which exit code. Imports neither numpy nor pydantic."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from zeroproofml.scm.errors import ZeroProofError

__all__ = [
    "ComparisonRefused",
    "FileInvalid",
    "Finding",
    "NothingToReport",
    "ReportError",
    "ResumeRefused",
    "RunInvalid",
    "RunLocked",
    "StorageError",
    "UsageError",
    "as_text",
]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong (or worth knowing) about a file of a run.

    Examples
    --------
    >>> Finding("error", "digest", "seed_1/commit.json", "", "sha256 differs", "restore it").line()
    'error digest seed_1/commit.json - sha256 differs; restore it'
    """

    severity: Literal["error", "info"]
    code: str
    path: str
    pointer: str
    message: str
    mend: str

    def line(self) -> str:
        """The finding as one printable line: severity, code, path, pointer, message, mend.

        Examples
        --------
        >>> Finding("info", "missing", "a", "/b", "gone", "").line()
        'info missing a /b gone'
        """
        text = (
            f"{self.severity} {self.code} {self.path or '.'} {self.pointer or '-'} {self.message}"
        )
        return one_line(f"{text}; {self.mend}" if self.mend else text)

    def as_json(self) -> dict[str, str]:
        """The finding as plain JSON data.

        Examples
        --------
        >>> Finding("info", "missing", "a", "", "gone", "").as_json()["code"]
        'missing'
        """
        return {name: as_text(value) for name, value in asdict(self).items()}


def as_text(word: str) -> str:
    r"""A name of the file system as text that can be stored: bytes that are no UTF-8 are escaped.

    Examples
    --------
    >>> as_text("r\udcff1")
    'r\\udcff1'
    """
    return word.encode("utf-8", "backslashreplace").decode()


def one_line(text: str, limit: int = 2000) -> str:
    r"""``text`` on one line: control characters escaped, cut at ``limit`` characters.

    Examples
    --------
    >>> one_line("a\nb")
    'a\\nb'
    """
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


class ReportError(ZeroProofError):
    """A refusal of this package: one line, with what is needed to act on it.

    Parameters
    ----------
    message
        What is wrong, without the file's name.
    code
        The finding's code, such as ``"digest"``.
    path, pointer
        The file (relative to the run where there is one) and the place inside it.
    hint
        The mend.

    Examples
    --------
    >>> print(ReportError("no such run", code="missing", path="runs/a", hint="name another"))
    runs/a: no such run; name another
    """

    exit_code = 1
    default_code = "unexpected"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        path: str = "",
        pointer: str = "",
        hint: str = "",
    ) -> None:
        where = f"{path}{'#' + pointer if pointer else ''}: " if path or pointer else ""
        super().__init__(one_line(f"{where}{message}{'; ' + hint if hint else ''}"))
        self.message = message
        self.code = code or self.default_code
        self.path = path
        self.pointer = pointer
        self.hint = hint

    def finding(self, path: str | None = None) -> Finding:
        """This refusal as a finding of severity ``error``.

        Examples
        --------
        >>> ReportError("torn", code="digest").finding("a.json").path
        'a.json'
        """
        where = self.path if path is None else path
        return Finding("error", self.code, where, self.pointer, self.message, self.hint)


class UsageError(ReportError):
    """The caller asked for something that does not exist or does not fit (exit 2)."""

    exit_code = 2
    default_code = "usage"


class FileInvalid(ReportError):
    """One file breaks the contract: its bytes, its form or its path (exit 5)."""

    exit_code = 5
    default_code = "schema"


class StorageError(ReportError):
    """The operating system refused a file operation: disk full, read-only, no permission."""

    default_code = "storage"

    def below(self, root: str, hint: str = "") -> "StorageError":
        """The same with the whole path: names inside a run do not say on which disk it lies.

        Examples
        --------
        >>> print(StorageError("no space", path="seed_1/commit.json").below("runs/a"))
        runs/a/seed_1/commit.json: no space
        """
        inside = bool(self.path) and not root.startswith(self.path)
        path = f"{root}/{self.path}" if inside else self.path or root
        return StorageError(self.message, code=self.code, path=path, hint=hint or self.hint)


class RunInvalid(ReportError):
    """A run directory does not validate (exit 5); ``findings`` says why, one by one.

    Examples
    --------
    >>> bad = Finding("error", "missing", "manifest.json", "", "absent", "resume the run")
    >>> RunInvalid("not valid", findings=[bad]).findings[0].code
    'missing'
    """

    exit_code = 5
    default_code = "invalid"

    def __init__(
        self,
        message: str,
        *,
        findings: Sequence[Finding] = (),
        code: str | None = None,
        path: str = "",
        pointer: str = "",
        hint: str = "",
    ) -> None:
        errors = [f for f in findings if f.severity == "error"]
        super().__init__(
            message,
            code=code or (errors[0].code if errors else None),
            path=path,
            pointer=pointer,
            hint=hint,
        )
        self.findings = tuple(findings)


class NothingToReport(ReportError):
    """There is nothing that a page could be about: no seed result, no record (exit 7)."""

    exit_code = 7
    default_code = "nothing"


class ComparisonRefused(ReportError):
    """Two runs do not measure the same thing (exit 2); ``differences`` lists the keys."""

    exit_code = 2
    default_code = "mismatch"

    def __init__(self, message: str, *, differences: Sequence[str] = (), path: str = "") -> None:
        super().__init__(message, path=path, hint="give --allow-mismatch to compare anyway")
        self.differences = tuple(differences)


class ResumeRefused(ReportError):
    """A run directory cannot be continued by this command (exit 6); ``differences`` says why."""

    exit_code = 6
    default_code = "resume"

    def __init__(
        self, message: str, *, differences: Sequence[str] = (), path: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.differences = tuple(differences)


class RunLocked(ReportError):
    """Another process writes this run directory (exit 11); ``owner`` says which, if known."""

    exit_code = 11
    default_code = "locked"

    def __init__(self, message: str, *, owner: dict[str, object] | None = None, path: str) -> None:
        super().__init__(message, path=path, hint="wait for it to end")
        self.owner = owner
