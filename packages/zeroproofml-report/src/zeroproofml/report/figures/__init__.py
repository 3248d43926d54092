"""Figures: one wrapper around pygal, marks, and one file per kind of chart."""
