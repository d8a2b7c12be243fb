"""Statistics behind the verdict, as pure functions."""
