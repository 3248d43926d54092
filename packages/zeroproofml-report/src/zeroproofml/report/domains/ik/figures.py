"""Figures of the IK pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroproofml.report.rundir import RawRun


def figures(run: RawRun) -> list[Any]:
    """The figures of a run, in page order."""
    del run
    return []
