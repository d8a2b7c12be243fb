"""Experiments: many trainings and evaluations, and what is chosen by them."""
