"""The errors of the five packages: few, typed, one line each.

Every class also derives from the built-in exception that a NumPy user would expect, so that
``except TypeError`` keeps working. This module imports nothing: the command lines and the pytest
plugin reach it without loading NumPy.
"""

__all__ = [
    "BottomError",
    "NamespaceConflict",
    "SCMTypeError",
    "SCMValueError",
    "TrainingError",
    "ZeroProofError",
]


class ZeroProofError(Exception):
    """Base class: whatever these packages refuse, they refuse with a subclass of this."""


class SCMTypeError(ZeroProofError, TypeError):
    """An argument has a type or dtype that the operation does not take."""


class SCMValueError(ZeroProofError, ValueError):
    """An argument has the right type and an impossible value or shape."""


class BottomError(ZeroProofError, ArithmeticError):
    """A number was demanded of ⊥."""


class TrainingError(ZeroProofError, RuntimeError):
    """Training cannot go on: a non-finite loss or gradient, or a target the head cannot reach."""


class NamespaceConflict(ZeroProofError, ImportError):
    """Another distribution has captured the ``zeroproofml`` namespace."""
