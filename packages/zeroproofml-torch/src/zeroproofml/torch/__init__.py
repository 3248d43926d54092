"""Signed Common Meadow arithmetic, layers and losses for PyTorch."""

from zeroproofml.torch._version import __version__

__all__ = ["__version__"]
