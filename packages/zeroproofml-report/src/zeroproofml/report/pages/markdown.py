"""A page as Markdown (CommonMark with tables): plain to read, and nothing in it can act.

``Text`` becomes letters, digits, spaces and decimal character references, so that no pipe, link,
bare URL, mention or tag can form. Our own wording keeps its punctuation, less what is syntax.
"""

from __future__ import annotations

import re

from zeroproofml.report.pages.model import (
    Banner,
    Cell,
    Code,
    Figure,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Text,
)

__all__ = ["escape", "render", "render_table"]

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_SYNTAX = re.compile(r"[&<>|`*\\]")
_LEVEL = {"stop": "STOP", "warn": "WARNING", "info": "NOTE"}


def render(page: Page) -> str:
    """The whole page.

    >>> print(render(Page("audit", "Claim audit", Text("a|b"))), end="")
    # Claim audit
    <BLANKLINE>
    a&#124;b
    """
    parts = [f"# {escape(page.shown_title)}", escape(page.subtitle)]
    parts += [_banner(banner) for banner in page.banners]
    if page.facts:
        rows = "\n".join(f"| {escape(label)} | {escape(what)} |" for label, what in page.facts)
        parts.append(f"| | |\n|:--|:--|\n{rows}")
    parts += [part for section in page.sections for part in _section(section)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_table(table: Table) -> str:
    """One table with its caption and basis.

    >>> from zeroproofml.report.pages.model import Column
    >>> print(render_table(Table("Arms", (Column("arm"),), (("a",),), 0, (), None, "x.json")))
    **Arms.**
    <BLANKLINE>
    | arm |
    |--:|
    | a |
    """
    head = [
        f"{escape(column.label)} ({escape(column.unit)})" if column.unit else escape(column.label)
        for column in table.shown_columns
    ]
    rules = [":--" if column.align == "left" else "--:" for column in table.shown_columns]
    lines = [_row(head), "|" + "|".join(rules) + "|"]
    lines += [_row([escape(cell) for cell in row]) for row in table.shown_rows]
    caption = f"**{escape(table.caption)}.**"
    if table.basis:
        caption += f" {escape(table.basis)}."
    cut = f"\n\n{escape(table.cut)}" if table.cut else ""
    return caption + "\n\n" + "\n".join(lines) + cut


def escape(cell: Cell) -> str:
    """One cell or piece.

    >>> escape(Text("@a|<b>")), escape("4.1e-4 [3.2e-4, 5.4e-4]"), escape(Code("sha256:ab"))
    ('&#64;a&#124;&#60;b&#62;', '4.1e-4 [3.2e-4, 5.4e-4]', '`sha256:ab`')
    """
    if isinstance(cell, Code):
        return f"`{cell.value}`"
    pattern = _PUNCTUATION if isinstance(cell, Text) else _SYNTAX
    return pattern.sub(lambda match: f"&#{ord(match.group())};", str(cell))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _banner(banner: Banner) -> str:
    lines = [f"> **{_LEVEL[banner.level]}: {escape(banner.headline)}**"]
    lines += [f"> {escape(line)}" for line in banner.lines]
    return "\\\n".join(lines)


def _section(section: Section) -> list[str]:
    parts = [f"## {escape(section.title)}"]
    for block in section.blocks:
        if isinstance(block, Table):
            parts.append(render_table(block))
        elif isinstance(block, Figure):
            parts += [
                f"### {escape(block.title)}",
                f"![{escape(block.title)}]({block.path})",
                escape(block.caption),
                render_table(block.table),
                escape(block.account) + ".",
            ]
        elif isinstance(block, Notice):
            parts.append("> " + "".join(map(escape, block.pieces)))
        elif isinstance(block, Prose):
            parts.append("".join(map(escape, block.pieces)))
    return parts
