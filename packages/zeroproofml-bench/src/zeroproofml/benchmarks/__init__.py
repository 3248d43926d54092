"""The DOSE, RF and IK benchmarks of ZeroProofML as auditable, resumable runs."""

from zeroproofml.benchmarks._version import __version__

__all__ = ["__version__"]
