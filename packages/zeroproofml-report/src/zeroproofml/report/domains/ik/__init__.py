"""IK: differential inverse kinematics through poles, the deriving side. NumPy and stored arrays."""

from zeroproofml.report.domains.ik.classic import CLASSIC
from zeroproofml.report.domains.ik.standard import STANDARD

__all__ = ["PROTOCOLS"]

PROTOCOLS = {"standard": STANDARD, "classic": CLASSIC}
