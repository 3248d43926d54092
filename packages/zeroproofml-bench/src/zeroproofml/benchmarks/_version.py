"""The version of this distribution; one number for all five."""

__version__ = "0.1.0"
