"""All strategies; importing this module registers the shipped ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reinforcestrategycreator_pipeline.policies import (
    baselines,
    dqn,
    dqn_ensemble,
    follow_signal,
    linear,
    oracle,
)
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Strategy

SHIPPED = (
    dqn_ensemble.DQNEnsemble,
    dqn.DQNStrategy,
    linear.Linear,
    baselines.Constant,
    baselines.BuyAndHold,
    baselines.Flat,
    baselines.MovingAverageCrossover,
    follow_signal.FollowSignal,
    oracle.Oracle,
)
BENCHMARKS = (
    baselines.BuyAndHold(),
    baselines.Flat(),
    baselines.MovingAverageCrossover(),
    linear.Linear(),
    oracle.Oracle(),
)
"""Default benchmarks that a policy is compared with."""

__all__ = ["BENCHMARKS", "SHIPPED", "STRATEGIES", "Strategy", "label_of", "labeled"]


def label_of(strategy: object) -> str:
    """Return the display name of a strategy: its `label`, or the last part of its name."""
    own = getattr(strategy, "label", None)
    return str(own or STRATEGIES.name_of(strategy).rpartition(":")[2])


def labeled(strategies: Sequence[Any]) -> dict[str, Any]:
    """Return strategies by label, in the same order; duplicate labels are numbered."""
    found: dict[str, Any] = {}
    for strategy in strategies:
        label = first = label_of(strategy)
        count = 1
        while label in found:
            count += 1
            label = f"{first} ({count})"
        found[label] = strategy
    return found
