"""The package of a trained policy, and its paper trading."""
