"""A run's pages."""
