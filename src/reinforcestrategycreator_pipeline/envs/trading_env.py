"""The Gymnasium environment of the same market, one bar at a time. Needs the extra ``gym``.

Importing this module registers ``rsc/Trading-v0`` for `gymnasium.make` and `gymnasium.make_vec`.
"""

from __future__ import annotations

from typing import Any, Literal, SupportsFloat, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, Bools
from reinforcestrategycreator_pipeline.checks import require_choice, require_number
from reinforcestrategycreator_pipeline.envs.path_rewards import PathReward
from reinforcestrategycreator_pipeline.envs.rewards import Reward
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.tables import TradingTable
from reinforcestrategycreator_pipeline.errors import ConfigError, needs
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.components import Component

with needs("gym", "TradingEnv"):
    import gymnasium
    from gymnasium import spaces

ID = "rsc/Trading-v0"
Start: TypeAlias = Literal["first", "random"]


class TradingEnv(gymnasium.Env[F32, np.int64]):
    """One asset, with one decision per close, filled at the next open.

    Observation: the scaled features of the bar that just closed, the previous target as a one-hot
    vector, then the memory of the reward if it has one. Action: an index into `positions`. Reward:
    a function of the growth of equity over the next bar, net of costs. Terminated: on ruin.
    Truncated: at the end of the data.

    The info has the equity in money, the bar ``t``, the exposure chosen, the ``action_mask``, and
    after a step the ``cost`` of the bar, as a fraction of the equity before it.

    Parameters
    ----------
    bars : AssetBars
        The asset and its features.
    positions : tuple of float
        Target exposures as fractions of equity, increasing, including 0.
    costs : CostConfig, optional
        Costs of trading and of carrying a position; by default those of `CostConfig`.
    reward : str, mapping or callable
        A registered reward, ``"module:function"``, or a function of the growth; or a reward with a
        memory: ``"differential_sharpe"``, ``"drawdown"``, or a `PathReward`.
    reward_scale : float
        Factor of every reward.
    initial_equity : float
        Money at the start, > 0.
    scaler : FittedScaler, optional
        Scaler of the features; by default they are used unscaled.
    start : "first" or "random"
        Bar at which episodes start: the first, or a uniformly drawn one.
    delay : int
        Bars that an order waits beyond the next open, 0 to T - 2. With 1, what is decided at the
        close of bar t fills at the open of bar t + 2, and is rewarded for that bar; the target that
        the observation shows is the one that waits. The bar ``t`` of the info is then the one
        before the fill, a bar after the newest features.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        bars: AssetBars,
        positions: tuple[float, ...] = (0.0, 1.0),
        costs: CostConfig | None = None,
        reward: Component[Reward | PathReward] = "log_growth",
        reward_scale: float = 1.0,
        initial_equity: float = 100_000.0,
        scaler: FittedScaler | None = None,
        start: Start = "first",
        delay: int = 0,
    ) -> None:
        require_number("TradingEnv", "initial_equity", initial_equity, above=0.0)
        require_choice("TradingEnv", "start", start, ("first", "random"))
        self.bars = bars
        self.table = TradingTable(
            "TradingEnv", bars, positions, costs, reward, reward_scale, scaler, delay
        )
        self.positions, self.costs = self.table.positions, self.table.costs
        self.initial_equity = initial_equity
        self.start = start
        self.observation_space = spaces.Box(-np.inf, np.inf, (self.table.n_inputs,), np.float32)
        self.action_space = spaces.Discrete(len(self.positions))
        self._exposures = self.positions.tolist()
        self._masks = list(self.table.masks)
        self._t = 0
        self._held = self.table.flat
        self._equity = initial_equity
        self._memory = self.table.new_memory(1)
        self._over = False

    def action_masks(self) -> Bools:
        """Return which targets may be chosen now, as sb3-contrib's MaskablePPO asks for it."""
        masks: Bools = self._masks[self._t].astype(bool)
        return masks

    def _observe(self) -> F32:
        table = self.table
        found: F32 = table.rows[self._t].copy()
        found[table.layout.n_features + self._held] = 1.0
        if self._memory is not None:
            found[table.layout.n_inputs :] = self._memory[0]
        return found

    def _info(self) -> dict[str, Any]:
        return {
            "equity": self._equity,
            "t": self._t,
            "exposure": self._exposures[self._held],
            "action_mask": self._masks[self._t].copy(),
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F32, dict[str, Any]]:
        """Start flat where `start` says, or at ``options={"start": t}``.

        Raises
        ------
        ConfigError
            If there is no bar after the start.
        """
        super().reset(seed=seed)
        option = (options or {}).get("start")
        self._t = int(self.table.starts(option, self.np_random, self.start, 1)[0])
        self._held, self._equity = self.table.flat, self.initial_equity
        self._memory = self.table.new_memory(1)
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
        chosen, table = int(action), self.table
        place = self._t, self._held, chosen
        self._equity *= table.growth.item(place)
        reward, self._memory = table.reward_of(place, self._memory)
        self._held = chosen
        self._t += 1
        terminated = table.ruined.item(place)
        truncated = self._t == table.last
        self._over = terminated or truncated
        info = self._info()
        info["cost"] = table.cost.item(place)
        return self._observe(), reward, terminated, truncated, info


if ID not in gymnasium.registry:
    gymnasium.register(
        ID,
        entry_point=f"{__name__}:TradingEnv",
        vector_entry_point=f"{__name__.removesuffix('trading_env')}vector_env:TradingVectorEnv",
    )
