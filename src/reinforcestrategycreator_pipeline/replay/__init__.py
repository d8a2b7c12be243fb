"""Replay memories: transitions of one or several steps, sampled uniformly or by priority."""
