"""Tables for the environments: the observations, and the outcome of every move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, F64, Array, Bools, Ints
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.envs.grid import check_positions, flat_index
from reinforcestrategycreator_pipeline.envs.path_rewards import PATH_REWARDS, PathReward
from reinforcestrategycreator_pipeline.envs.rewards import Reward, measure
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.state import StateLayout
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.accounting import bar_outcome
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.nn.components import Component

_BYTES_PER_OUTCOME = 25  # growth, cost and reward in float64, ruin
_BYTES_WHILE_MADE = 72


class TradingTable:
    """The outcome of every (bar, previous target, target) of one asset, and its observations.

    Parameters
    ----------
    owner : str
        Name of the environment, for messages.
    bars, positions, costs, reward, reward_scale, scaler, delay
        Arguments of `TradingEnv`.

    Attributes
    ----------
    rows : ndarray of float32, shape (T, n_inputs)
        Scaled features that are known at each bar's decision, with zeros where the previous target
        and the reward's memory belong.
    first, last : int
        First bar with a decision, and the bar at which the data end.
    growth, cost : ndarray of float64, shape (T - 1, n, n)
        Growth of equity over the bar after each decision, and what it cost, as multiples of the
        equity at the decision.
    ruined : ndarray of bool, shape (T - 1, n, n)
        Whether that bar ends in ruin.
    rewards : ndarray of float64, shape (T - 1, n, n)
        Scaled rewards; empty for a reward with a memory.
    memory : PathReward or None
        The reward with a memory.
    masks : ndarray of int8, shape (T, n)
        1 where a target may be chosen; read only.
    """

    def __init__(
        self,
        owner: str,
        bars: AssetBars,
        positions: Sequence[float],
        costs: CostConfig | None,
        reward: Component[Reward | PathReward],
        reward_scale: float,
        scaler: FittedScaler | None,
        delay: int,
    ) -> None:
        self.positions = np.array(check_positions(positions, owner))
        self.costs = costs or CostConfig()
        self.flat = flat_index(self.positions.tolist())
        self.last = len(bars.close) - 1
        require_int(owner, "delay", delay, 0, self.last - 1)
        self.first = delay
        n = len(self.positions)
        needed = n * n * self.last * (_BYTES_PER_OUTCOME + _BYTES_WHILE_MADE)
        require_memory(needed, owner, "positions", f"{n} positions on {self.last + 1} bars")
        grid = bars.prices.at(np.s_[:, None, None])
        outcome = bar_outcome(grid, self.positions[:, None], self.positions, self.costs)
        self.growth: F64 = outcome.growth
        self.cost: F64 = outcome.trading_cost + outcome.carrying_cost
        self.ruined: Bools = outcome.ruined
        self.scale = float(reward_scale)
        self.memory = path_reward(reward)
        self.rewards: F64 = np.empty((0, n, n))
        numbers = 0
        if self.memory is None:
            self.rewards = measure(reward, outcome.growth) * self.scale  # type: ignore[arg-type]
        else:
            numbers = self.memory.start(1).shape[1]
        values = scaler.transform(bars.features) if scaler else bars.features
        self.layout = StateLayout(values.shape[1], n)
        self.n_inputs = self.layout.n_inputs + numbers
        self.rows: F32 = np.zeros((len(values), self.n_inputs), dtype=np.float32)
        # An order that waits a bar is one that is decided a bar later without having seen that bar.
        self.rows[delay:, : self.layout.n_features] = values[: len(values) - delay]
        self.masks: Array = np.ones((len(values), n), dtype=np.int8)
        self.masks.flags.writeable = False

    def observe(
        self, t: Ints, held: Ints, memory: F64 | None
    ) -> Annotated[F32, "walks {self.n_inputs}"]:
        """Return the observations of some walks, each at a bar with a previous target."""
        found: F32 = self.rows.take(t, axis=0)
        found[np.arange(len(t)), self.layout.n_features + held] = 1.0
        if memory is not None:
            found[:, self.layout.n_inputs :] = memory
        return found

    def new_memory(self, count: int) -> F64 | None:
        """Return the memory of the rewards of `count` new accounts; None if they have none."""
        return None if self.memory is None else self.memory.start(count)

    def reward_of(
        self, place: tuple[int, int, int], memory: F64 | None
    ) -> tuple[float, F64 | None]:
        """Return the scaled reward of one move, and the reward's memory after it."""
        if self.memory is None or memory is None:
            return self.rewards.item(place), None
        reward, memory = self.memory.step(memory, self.growth[place][None])
        return float(reward[0]) * self.scale, memory

    def starts(self, option: Any, rng: np.random.Generator, rule: str, count: int) -> Ints:
        """Return the bars at which walks start: an option of the reset, the first, or random ones.

        Raises
        ------
        ConfigError
            If there is no bar after the start.
        """
        if option is not None:
            require_start(option, self.first, self.last - 1)
            return np.full(count, int(option))
        if rule == "random":
            return rng.integers(self.first, self.last, size=count)
        return np.full(count, self.first, dtype=np.int64)


def require_start(option: Any, first: int, last: int) -> None:
    """Raise `ConfigError` for a start after which there is no bar."""
    if not (isinstance(option, (int, np.integer)) and first <= option <= last):
        raise ConfigError(
            f"The start option of TradingEnv.reset must be an integer from {first} to "
            f"{last}. Got {option} instead."
        )


def path_reward(reward: Component[Reward | PathReward]) -> PathReward | None:
    """Return a reward with a memory, built, and None for a reward of a single bar."""
    name = reward.get("name") if isinstance(reward, Mapping) else reward
    if isinstance(name, str):
        return PATH_REWARDS.build(reward) if name in PATH_REWARDS else None
    given: Any = reward
    return given if hasattr(given, "start") and hasattr(given, "step") else None
