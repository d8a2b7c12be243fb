"""Strategies that decide what to hold: the shipped ones, and what an own one is made of.

A strategy is a frozen dataclass whose fields are its configuration; ``fit`` turns it into a
`Policy`. docs/how-to describes how to write one.
"""

from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Policy, Strategy, Work
from reinforcestrategycreator_pipeline.policies.baselines import (
    BuyAndHold,
    Constant,
    Flat,
    MovingAverageCrossover,
)
from reinforcestrategycreator_pipeline.policies.catalog import label_of
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.ensemble_training import EnsembleTraining
from reinforcestrategycreator_pipeline.policies.follow_signal import FollowSignal
from reinforcestrategycreator_pipeline.policies.linear import Linear
from reinforcestrategycreator_pipeline.policies.oracle import Oracle

__all__ = [
    "STRATEGIES",
    "BuyAndHold",
    "Constant",
    "DQNEnsemble",
    "DQNStrategy",
    "EnsembleTraining",
    "Flat",
    "FollowSignal",
    "Linear",
    "MovingAverageCrossover",
    "Oracle",
    "Policy",
    "Strategy",
    "Work",
    "label_of",
]


def __dir__() -> list[str]:
    return sorted(__all__)
