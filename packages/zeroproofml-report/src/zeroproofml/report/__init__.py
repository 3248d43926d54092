"""The run contract of ZeroProofML benchmarks: validate, derive, verify, report."""

from zeroproofml.report._version import __version__

__all__ = ["__version__"]
