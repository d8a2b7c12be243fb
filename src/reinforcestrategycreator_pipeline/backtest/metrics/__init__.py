"""Figures of merit of a result."""
