"""DOSE: censored dose-response with the right to refuse, the producing side."""
