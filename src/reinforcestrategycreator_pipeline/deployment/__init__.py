"""Packages of trained policies, and paper trading."""
