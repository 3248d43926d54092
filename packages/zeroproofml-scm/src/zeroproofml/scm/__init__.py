"""Signed Common Meadow arithmetic for NumPy: division by zero is a value, not an accident."""

from zeroproofml.scm._version import __version__

__all__ = ["__version__"]
