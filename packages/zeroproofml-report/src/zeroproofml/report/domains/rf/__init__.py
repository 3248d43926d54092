"""RF: resonators, a Q shift, and answers that do not exist; the deriving side. Stored arrays only."""

from zeroproofml.report.domains.rf.classic import CLASSIC
from zeroproofml.report.domains.rf.standard import STANDARD

__all__ = ["PROTOCOLS"]

PROTOCOLS = {"standard": STANDARD, "classic": CLASSIC}
