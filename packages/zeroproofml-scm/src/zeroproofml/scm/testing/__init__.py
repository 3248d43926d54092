"""The conformance corpus and its pytest plugin."""
