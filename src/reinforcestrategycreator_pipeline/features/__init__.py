"""Causal features of market bars, the audit of their causality, and their scaling."""
