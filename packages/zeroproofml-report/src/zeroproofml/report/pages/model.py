"""The page: frozen values that every derived page is made of; nothing else reaches a renderer.

A figure cannot be built without the table that repeats its numbers, and a table cannot be built
without saying how many seeds stand behind it and which kind of interval it shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from zeroproofml.report.pages.text import Code, Text
from zeroproofml.scm.errors import SCMValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroproofml.report.figures.plate import Account, Plate

__all__ = [
    "Banner",
    "Block",
    "Cell",
    "Code",
    "Column",
    "Figure",
    "IntervalKind",
    "NotDrawn",
    "Notice",
    "Page",
    "Prose",
    "Section",
    "Table",
    "Text",
    "seed_list",
]

Cell = str | Text | Code
IntervalKind = Literal["95 % Student-t interval", "95 % BCa interval", "95 % Wilson interval"]
Level = Literal["stop", "warn", "info"]

MOST_ROWS = 2_000
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LISTED_SEEDS = 20


@dataclass(frozen=True, slots=True)
class Banner:
    """What a reader must know before reading on; ``stop`` also marks the title INVALID."""

    level: Level
    headline: str
    lines: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: label, unit (empty if none), side."""

    label: Cell
    unit: Cell = ""
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, with the number of seeds behind them.

    Args:
        caption: what the rows are, without a number of seeds: that part is generated.
        columns: at least one; the first one names the row.
        rows: each as long as ``columns``.
        n_total: planned seeds (0 where the table is not about seeds).
        n_seeds: the seeds behind the numbers.
        interval: kind of the printed intervals; None only where nothing was estimated.
        source: path, relative to the run, of the file that holds the complete numbers.
        row_n: n of each row where it can differ; a column ``n`` appears if it does.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_total: int
    n_seeds: tuple[int, ...]
    interval: IntervalKind | None
    source: str
    row_n: tuple[int | None, ...] | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            _refuse(f"Table {self.caption!r}: columns is empty; name what the rows hold")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                _refuse(
                    f"Table {self.caption!r}: row {number} has {len(row)} cells, "
                    f"columns {len(self.columns)}; give one cell per column"
                )
        if self.row_n is not None and len(self.row_n) != len(self.rows):
            _refuse(f"Table {self.caption!r}: row_n must have one entry per row")

    @property
    def n_differs(self) -> bool:
        """True if the rows rest on different numbers of seeds."""
        return self.row_n is not None and len({n for n in self.row_n if n is not None}) > 1

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns as printed: with ``n`` after the first where it differs between rows."""
        if not self.n_differs:
            return self.columns
        return self.columns[0], Column("n"), *self.columns[1:]

    @property
    def shown_rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The first 2 000 rows as printed, each as long as ``shown_columns``."""
        if not self.n_differs or self.row_n is None:
            return self.rows[:MOST_ROWS]
        pairs = zip(self.rows[:MOST_ROWS], self.row_n[:MOST_ROWS], strict=True)
        return tuple((row[0], "" if n is None else str(n), *row[1:]) for row, n in pairs)

    @property
    def cut(self) -> str | None:
        """The line that says so when not all rows are printed."""
        if len(self.rows) <= MOST_ROWS:
            return None
        return f"{MOST_ROWS:,} of {len(self.rows):,} rows; all in {self.source}".replace(
            ",", "\u202f"
        )

    @property
    def basis(self) -> str:
        """How many seeds, which, and which interval; empty where the table is not about seeds.

        >>> Table("t", (Column("a"),), (), 5, (1, 2, 3), "95 % Student-t interval", "x").basis
        'n = 3 of 5 seeds (1, 2, 3); 95 % Student-t interval'
        """
        if self.n_total == 0:
            return ""
        seeds = f" ({seed_list(self.n_seeds)})" if self.n_seeds else ""
        basis = f"n = {len(self.n_seeds)} of {self.n_total} seeds{seeds}"
        if self.interval is not None and len(self.n_seeds) > 1:
            basis += f"; {self.interval}"
        elif self.interval is not None:
            basis += "; no interval below two seeds"
        if self.n_differs:
            basis += "; n differs between rows and has its own column"
        return basis


@dataclass(frozen=True, slots=True)
class Figure:
    """A sheet of plates and the table that repeats its numbers.

    ``slug`` is a fixed word (with integers at most): it becomes ``figures/<slug>.svg`` and an id.
    """

    slug: str
    title: str
    caption: str
    plates: tuple[Plate, ...]
    table: Table

    def __post_init__(self) -> None:
        _demand_slug(self.slug)
        if not hasattr(self.table, "shown_rows"):
            _refuse(f"Figure {self.slug}: table must be a Table with the drawn numbers")
        if not self.plates:
            _refuse(f"Figure {self.slug}: no plate; list it as NotDrawn with the reason instead")

    @property
    def path(self) -> str:
        """Where the sheet lies in a run directory."""
        return f"figures/{self.slug}.svg"

    @property
    def account(self) -> str:
        """Where the lanes of all plates went: no ⊥ disappears between input and drawing."""
        return add_accounts([plate.account for plate in self.plates])


@dataclass(frozen=True, slots=True)
class NotDrawn:
    """A figure that cannot be drawn, and why."""

    slug: str
    reason: str

    def __post_init__(self) -> None:
        _demand_slug(self.slug)

    @property
    def path(self) -> str:
        """Where the sheet would lie."""
        return f"figures/{self.slug}.svg"


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph of pieces."""

    pieces: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark that stands apart."""

    pieces: tuple[Cell, ...]


Block = Prose | Table | Figure | Notice


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it."""

    slug: str
    title: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        _demand_slug(self.slug)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page."""

    kind: Literal["benchmark", "audit", "bundle", "training_log", "table"]
    title: str
    subtitle: Cell
    banners: tuple[Banner, ...] = ()
    facts: tuple[tuple[str, Cell], ...] = ()
    sections: tuple[Section, ...] = field(default=())

    @property
    def shown_title(self) -> str:
        """The title, marked INVALID under a stop banner."""
        stopped = any(banner.level == "stop" for banner in self.banners)
        return f"INVALID: {self.title}" if stopped else self.title


def add_accounts(accounts: Sequence[Account]) -> str:
    """The accounting line under a figure's table: the sum over its plates."""
    bottom: dict[str, int] = {}
    for account in accounts:
        for cause, n in account.bottom.items():
            bottom[cause] = bottom.get(cause, 0) + n
    causes = ", ".join(f"{cause} {n}" for cause, n in sorted(bottom.items()) if n)
    lanes = sum(account.lanes for account in accounts)
    return (
        f"Lanes: drawn {sum(a.drawn for a in accounts)} + reduced "
        f"{sum(a.reduced for a in accounts)} + ⊥ {sum(bottom.values())}"
        f"{f' ({causes})' if causes else ''} + out of range "
        f"{sum(a.out_of_range for a in accounts)} = {lanes} of {len(accounts)} plates"
    )


def seed_list(seeds: tuple[int, ...]) -> str:
    """Seeds by number; long runs of neighbours as ``1–40``.

    >>> seed_list((1, 2, 3)), seed_list(tuple(range(1, 41)))
    ('1, 2, 3', '1–40')
    """
    if len(seeds) <= _LISTED_SEEDS:
        return ", ".join(map(str, seeds))
    runs: list[tuple[int, int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seed)
        else:
            runs.append((seed, seed))
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in runs[:_LISTED_SEEDS]]
    if len(runs) > _LISTED_SEEDS:
        shown.append("…")
    return ", ".join(shown)


def _demand_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        _refuse(f"slug {slug!r}: must be a fixed word of a–z, 0–9 and _")


def _refuse(message: str) -> None:
    raise SCMValueError(message)
