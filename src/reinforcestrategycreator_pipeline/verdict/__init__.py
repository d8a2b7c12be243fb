"""The decision whether a result is promoted."""
