"""Signed Common Meadow arithmetic, layers and losses for JAX."""

from zeroproofml.jax._version import __version__

__all__ = ["__version__"]
