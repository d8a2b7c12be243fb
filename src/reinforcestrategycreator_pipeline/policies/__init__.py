"""Strategies, and the policies that they return."""
