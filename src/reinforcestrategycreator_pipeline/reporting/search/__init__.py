"""The pages about a search."""
