"""Learners: the deep Q-network and its variants, independent of markets."""
