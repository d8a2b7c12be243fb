"""Learners: the deep Q-network and its family. They know nothing of markets."""
