"""Heads: the meaning of a network's outputs, and their loss. `catalog` registers all of them."""
