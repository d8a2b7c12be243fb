"""Costs, the accounting kernel, and the independent ledger that checks it."""
