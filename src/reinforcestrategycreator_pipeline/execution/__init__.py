"""Costs and the accounting kernel: the one place where money is counted."""
