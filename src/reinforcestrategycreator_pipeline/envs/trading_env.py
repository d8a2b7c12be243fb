"""The Gymnasium environment of the same market, one bar at a time. Needs the extra ``gym``."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32
from reinforcestrategycreator_pipeline.envs.grid import check_positions, flat_index
from reinforcestrategycreator_pipeline.envs.rewards import REWARDS, Reward
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.state import StateLayout
from reinforcestrategycreator_pipeline.errors import ConfigError, needs
from reinforcestrategycreator_pipeline.execution.accounting import bar_outcome
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.components import Component

with needs("gym", "TradingEnv"):
    import gymnasium
    from gymnasium import spaces


class TradingEnv(gymnasium.Env[F32, np.int64]):
    """One asset, with one decision per close, filled at the next open.

    Observation: the scaled features of the bar that just closed, then the previous target as a
    one-hot vector. Action: an index into `positions`. Reward: a function of the growth of equity
    over the next bar, net of costs. Terminated: on ruin. Truncated: at the end of the data.

    Parameters
    ----------
    bars : AssetBars
        The asset and its features.
    positions : sequence of float
        Target exposures as fractions of equity, increasing, including 0.
    costs : CostConfig, optional
        Costs of trading and of carrying a position; by default those of `CostConfig`.
    reward : str
        A registered reward, or ``"module:function"``.
    reward_scale : float
        Factor of every reward.
    initial_equity : float
        Money at the start, > 0.
    scaler : FittedScaler, optional
        Scaler of the features; by default they are used unscaled.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        bars: AssetBars,
        positions: tuple[float, ...] = (0.0, 1.0),
        costs: CostConfig | None = None,
        reward: Component[Reward] = "log_growth",
        reward_scale: float = 1.0,
        initial_equity: float = 100_000.0,
        scaler: FittedScaler | None = None,
    ) -> None:
        self.bars = bars
        self.positions = np.array(check_positions(positions, "TradingEnv"))
        self.costs = costs or CostConfig()
        self.initial_equity = initial_equity
        self.reward_scale = reward_scale
        self._reward = REWARDS.build(reward)
        self._prices = bars.prices
        self._flat = flat_index(self.positions.tolist())
        self._layout = StateLayout(bars.features.shape[1], len(self.positions))
        self._features = scaler.transform(bars.features) if scaler else bars.features
        shape = (self._layout.n_inputs,)
        self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = spaces.Discrete(len(self.positions))
        self._t = 0
        self._held = self._flat
        self._equity = initial_equity
        self._over = False

    def _observe(self) -> F32:
        return self._layout.compose(self._features[self._t], self._held)

    def _info(self) -> dict[str, Any]:
        return {
            "equity": self._equity,
            "t": self._t,
            "exposure": float(self.positions[self._held]),
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F32, dict[str, Any]]:
        """Start flat at the first bar, or at ``options={"start": t}``.

        Raises
        ------
        ConfigError
            If there is no bar after the start.
        """
        super().reset(seed=seed)
        start = int((options or {}).get("start", 0))
        last = len(self.bars.close) - 2
        if not 0 <= start <= last:
            raise ConfigError(
                f"The start option of TradingEnv.reset must be an integer from 0 to {last}. "
                f"Got {start} instead."
            )
        self._t, self._held, self._equity = start, self._flat, self.initial_equity
        self._over = False
        return self._observe(), self._info()

    def step(self, action: np.int64) -> tuple[F32, SupportsFloat, bool, bool, dict[str, Any]]:
        """Set the target exposure ``positions[action]``, filled at the next open.

        Raises
        ------
        ConfigError
            If the episode has ended, or the action is not in the action space.
        """
        if self._over:
            raise ConfigError("TradingEnv.step: the episode has ended; call reset first")
        if not self.action_space.contains(action):
            raise ConfigError(
                f"The action of TradingEnv.step must be an integer from 0 to "
                f"{len(self.positions) - 1}. "
                f"Got {action!r} instead."
            )
        t = self._t
        outcome = bar_outcome(
            self._prices.at(t),
            self.positions[self._held],
            self.positions[action],
            self.costs,
        )
        growth = outcome.growth
        self._equity *= float(growth)
        self._held = int(action)
        self._t += 1
        terminated = bool(outcome.ruined)
        truncated = self._t == len(self.bars.close) - 1
        self._over = terminated or truncated
        reward = float(self._reward(growth)) * self.reward_scale
        info = self._info()
        info["cost"] = float(outcome.trading_cost + outcome.carrying_cost)
        return self._observe(), reward, terminated, truncated, info
