"""DOSE: censored dose-response with the right to refuse, the deriving side. Stored arrays only."""

from zeroproofml.report.domains.dose.protocol import CLASSIC, STANDARD

__all__ = ["PROTOCOLS"]

PROTOCOLS = {"standard": STANDARD, "classic": CLASSIC}
