"""DOSE: censored dose-response with the right to refuse, the deriving side. Stored arrays only."""
