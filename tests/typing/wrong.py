"""A user's script full of mistakes. Each line marked with a rule must be reported for it.

Behind the mark is mypy's rule, then pyright's. Type checkers read this file; it is not run.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

import reinforcestrategycreator_pipeline as rsc
import reinforcestrategycreator_pipeline.models.implementations.dqn as module
from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQN,
    DQNHyperparameters,
)

env = gym.make("CartPole-v1")
dqn = DQN(seed=1)

# Misspelt names.
rsc.rnu(seed=7)  # wrong: attr-defined, reportAttributeAccessIssue
rsc.run(sed=7)  # wrong: call-arg, reportCallIssue
rsc.metrics.sharp([0.1])  # wrong: attr-defined, reportAttributeAccessIssue
str(rsc.run(seed=7).verdct)  # wrong: attr-defined, reportAttributeAccessIssue
rsc.testing.BrokenContract()  # wrong: attr-defined, reportAttributeAccessIssue
module.DNQ()  # wrong: attr-defined, reportAttributeAccessIssue
dqn.trian_step()  # wrong: attr-defined, reportAttributeAccessIssue
str(dqn.q_netwrk)  # wrong: attr-defined, reportAttributeAccessIssue
dqn.learning_rat = 1e-3  # wrong: attr-defined, reportAttributeAccessIssue
DQN(hiden_layers=[32])  # wrong: call-arg, reportCallIssue
DQN(sed=3)  # wrong: call-arg, reportCallIssue
DQNHyperparameters(learning_rat=1e-3)  # wrong: call-arg, reportCallIssue
TradingRules(position=(0.0, 1.0))  # wrong: call-arg, reportCallIssue
dqn.learn(env, total_step=100)  # wrong: call-arg, reportCallIssue
result = dqn.learn(env, 100)
str(result.retruns)  # wrong: attr-defined, reportAttributeAccessIssue
str(dqn.hyperparameters.gama)  # wrong: attr-defined, reportAttributeAccessIssue

# Wrong types.
DQN(seed="1")  # wrong: arg-type, reportArgumentType
DQN(learning_rate="fast")  # wrong: arg-type, reportArgumentType
DQN(hidden_layers=64)  # wrong: arg-type, reportArgumentType
DQN(dtype="float16")  # wrong: arg-type, reportArgumentType
DQN(on_divergence="explode")  # wrong: arg-type, reportArgumentType
DQN(max_grad_norm=[1.0])  # wrong: arg-type, reportArgumentType
dqn.learn("CartPole-v1", 100)  # wrong: arg-type, reportArgumentType
dqn.learn(env, 100, eval_env="CartPole-v1")  # wrong: arg-type, reportArgumentType
dqn.learn(env, "100")  # wrong: arg-type, reportArgumentType
dqn.train_step(batch_size="32")  # wrong: arg-type, reportArgumentType
dqn.build(4, 2)  # wrong: arg-type, reportArgumentType
dqn.save(7)  # wrong: arg-type, reportArgumentType
name: str = dqn.train_step()  # wrong: assignment, reportAssignmentType
text: str = dqn.predict(np.zeros(4))  # wrong: assignment, reportAssignmentType
TradingRules(initial_equity="much")  # wrong: arg-type, reportArgumentType


# Functions and classes of another form.
def one_number(error: Array, delta: float) -> Array:
    """Forget the derivative."""
    return error * error


def of_two(initial: float, final: float) -> float:
    """Forget the share."""
    return final


def of_nothing() -> None:
    """Take no row."""


def in_words(growth: Array) -> str:
    """Return no numbers."""
    return "good"


class HalfAHead:
    """Has no loss."""

    n_outputs = 1

    def __init__(self, hyperparameters: Any) -> None: ...

    def values(self, outputs: Array) -> Array:
        """Return the action values."""
        return outputs


DQN(loss=one_number)  # wrong: arg-type, reportArgumentType
DQN(loss=3)  # wrong: arg-type, reportArgumentType
DQN(learning_rate_schedule=of_two)  # wrong: arg-type, reportArgumentType
DQN(exploration_schedule=0.1)  # wrong: arg-type, reportArgumentType
DQN(head=HalfAHead)  # wrong: arg-type, reportArgumentType
TradingRules(reward=in_words)  # wrong: arg-type, reportArgumentType
dqn.learn(env, 100, callback=of_nothing)  # wrong: arg-type, reportArgumentType
