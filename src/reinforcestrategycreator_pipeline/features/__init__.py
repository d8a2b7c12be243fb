"""Causal features of market bars, proof that they are causal, and their scaling."""
