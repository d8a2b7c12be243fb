"""Replay memories: what happened, drawn uniformly or by priority, over one step or several."""
