"""Notice that another package has captured the ``zeroproofml`` namespace."""

from __future__ import annotations

import sys

__all__ = ["refuse_capture"]


def refuse_capture() -> None:
    """Raise if ``zeroproofml`` is a regular package: it has a file, and a namespace has none.

    Raises:
        NamespaceConflict: naming what is installed, where, and the mend.
    """
    captor = getattr(sys.modules["zeroproofml"], "__file__", None)
    if captor is None:
        return
    from importlib import metadata  # slow, and needed only here

    from zeroproofml.scm.errors import NamespaceConflict

    try:
        what = f"zeroproofml {metadata.version('zeroproofml')}"
    except metadata.PackageNotFoundError:
        what = "another package"
    msg = (
        f"{what} at {captor} captures the namespace of zeroproofml-scm; "
        "run: pip uninstall zeroproofml, then reinstall zeroproofml-scm and its siblings"
    )
    raise NamespaceConflict(msg)
