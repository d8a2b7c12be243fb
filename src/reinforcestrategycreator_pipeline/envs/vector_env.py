"""Many walks through one market as a Gymnasium vector, stepped together in NumPy."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, F64, Array, Bools, Ints
from reinforcestrategycreator_pipeline.checks import require_choice, require_int, require_number
from reinforcestrategycreator_pipeline.envs.path_rewards import PathReward
from reinforcestrategycreator_pipeline.envs.rewards import Reward
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.tables import TradingTable
from reinforcestrategycreator_pipeline.envs.trading_env import Start
from reinforcestrategycreator_pipeline.errors import ConfigError, needs
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.components import Component

with needs("gym", "TradingVectorEnv"):
    import gymnasium
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space

_MANY = 1_000_000

Step = tuple[F32, F64, Bools, Bools, dict[str, Any]]


class TradingVectorEnv(gymnasium.vector.VectorEnv[F32, Ints, Array]):
    """`num_envs` accounts on the same bars, each as in `TradingEnv`; see there.

    ``gymnasium.make_vec("rsc/Trading-v0", num_envs, bars=bars)`` makes one. It returns what
    `gymnasium.vector.SyncVectorEnv` of as many `TradingEnv` would, without a loop over them.
    Starts are drawn from one generator, so random ones differ from those of single environments.

    Parameters
    ----------
    bars : AssetBars
        The asset and its features.
    num_envs : int
        Number of accounts, 1 to 1,000,000.
    positions, costs, reward, reward_scale, initial_equity, scaler, start, delay
        Arguments of `TradingEnv`.
    autoreset_mode : AutoresetMode or str
        When an account whose episode has ended starts again: ``"NextStep"``, ``"SameStep"`` or
        ``"Disabled"``, where ``reset(options={"reset_mask": ended})`` does it.
    """

    def __init__(
        self,
        bars: AssetBars,
        num_envs: int = 1,
        positions: tuple[float, ...] = (0.0, 1.0),
        costs: CostConfig | None = None,
        reward: Component[Reward | PathReward] = "log_growth",
        reward_scale: float = 1.0,
        initial_equity: float = 100_000.0,
        scaler: FittedScaler | None = None,
        start: Start = "first",
        delay: int = 0,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        owner = "TradingVectorEnv"
        require_int(owner, "num_envs", num_envs, 1, _MANY)
        require_number(owner, "initial_equity", initial_equity, above=0.0)
        require_choice(owner, "start", start, ("first", "random"))
        modes = [mode.value for mode in AutoresetMode]
        mode = getattr(autoreset_mode, "value", autoreset_mode)
        require_choice(owner, "autoreset_mode", mode, modes)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode(mode)}
        self.num_envs, self.bars, self.start = num_envs, bars, start
        self.initial_equity = initial_equity
        self.table = TradingTable(
            owner, bars, positions, costs, reward, reward_scale, scaler, delay
        )
        self.positions, self.costs = self.table.positions, self.table.costs
        box = gymnasium.spaces.Box(-np.inf, np.inf, (self.table.n_inputs,), np.float32)
        self.single_observation_space = box
        self.single_action_space = gymnasium.spaces.Discrete(len(self.positions))
        self.observation_space = batch_space(box, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._t = np.zeros(num_envs, dtype=np.int64)
        self._held = np.full(num_envs, self.table.flat)
        self._equity = np.full(num_envs, float(initial_equity))
        self._memory = self.table.new_memory(num_envs)
        self._over = np.ones(num_envs, dtype=bool)

    def action_masks(self) -> Annotated[Bools, "{self.num_envs} {len(self.positions)}"]:
        """Return which targets may be chosen now, by account."""
        return self.table.masks[self._t].astype(bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F32, dict[str, Any]]:
        """Start all accounts, or those of ``options={"reset_mask": ...}``; see `TradingEnv.reset`.

        Raises
        ------
        ConfigError
            If there is no bar after the start, or the mask is not one boolean for each account.
        """
        super().reset(seed=seed)
        options = options or {}
        which = np.asarray(options.get("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if which.dtype != bool or which.shape != (self.num_envs,):
            raise ConfigError(
                f"The reset_mask option of TradingVectorEnv.reset must be {self.num_envs} "
                f"booleans. Got {which.dtype} of shape {which.shape} instead."
            )
        self._begin(which, options.get("start"))
        return self._observe(), self._infos(which)

    def step(self, actions: Ints) -> Step:
        """Take one action for each account.

        Raises
        ------
        ConfigError
            If an action is out of range, or an episode has ended and nothing restarts it.
        """
        actions = np.asarray(actions)
        if actions.dtype.kind not in "iu" or actions.shape != (self.num_envs,):
            raise ConfigError(
                f"The actions of TradingVectorEnv.step must be {self.num_envs} integers. "
                f"Got {actions.dtype} of shape {actions.shape} instead."
            )
        if not 0 <= int(actions.min()) <= int(actions.max()) < len(self.positions):
            raise ConfigError(
                f"The actions of TradingVectorEnv.step must be from 0 to "
                f"{len(self.positions) - 1}. Got {actions.min()} to {actions.max()} instead."
            )
        mode, waiting = self.metadata["autoreset_mode"], self._over
        if waiting.any() and mode != AutoresetMode.NEXT_STEP:
            raise ConfigError(
                f"TradingVectorEnv.step: the episode of account {int(waiting.argmax())} has "
                "ended; call reset first"
            )
        place = np.minimum(self._t, self.table.last - 1), self._held, actions
        growth, rewards, ruined, cost = self._outcome(place)
        resting = bool(waiting.any())
        if resting:  # these accounts start again, whatever their action
            rewards[waiting], ruined[waiting], cost[waiting] = 0.0, False, 0.0
        self._equity *= growth
        self._held = actions.astype(np.int64)
        self._t += 1
        if resting:
            self._begin(waiting, None)
        truncated = self._t == self.table.last
        if resting:
            truncated &= ~waiting
        self._over = ruined | truncated
        ended, every = self._over, np.ones(self.num_envs, dtype=bool)
        found = self._observe()
        infos = {**self._infos(every), "cost": cost, "_cost": ~waiting if resting else every}
        if mode == AutoresetMode.SAME_STEP and ended.any():
            final = np.full(self.num_envs, None, dtype=object)
            for account in np.flatnonzero(ended):
                final[account] = found[account]
            self._begin(ended, None)
            found = self._observe()
            infos = {
                **self._infos(every),
                "cost": np.where(ended, 0.0, cost),
                "_cost": ~ended,
                "final_obs": final,
                "_final_obs": ended,
                "final_info": {k: ended if k[0] == "_" else v for k, v in infos.items()},
                "_final_info": ended,
            }
        return found, rewards, ruined, truncated, infos

    def _outcome(self, place: tuple[Ints, Ints, Ints]) -> tuple[F64, F64, Bools, F64]:
        table, n = self.table, len(self.positions)
        flat = (place[0] * n + place[1]) * n + place[2]
        growth = table.growth.ravel().take(flat)
        if table.memory is None or self._memory is None:
            rewards = table.rewards.ravel().take(flat)
        else:
            rewards, self._memory = table.memory.step(self._memory, growth)
            rewards = rewards * table.scale
        return growth, rewards, table.ruined.ravel().take(flat), table.cost.ravel().take(flat)

    def _begin(self, which: Bools, option: Any) -> None:
        """Start some accounts again."""
        count = int(which.sum())
        self._t[which] = self.table.starts(option, self.np_random, self.start, count)
        self._held[which], self._equity[which] = self.table.flat, self.initial_equity
        if self._memory is not None:
            self._memory[which] = self.table.new_memory(count)
        self._over = self._over & ~which

    def _observe(self) -> F32:
        return self.table.observe(self._t, self._held, self._memory)

    def _infos(self, which: Bools) -> dict[str, Any]:
        found = {
            "equity": self._equity.copy(),
            "t": self._t.copy(),
            "exposure": self.positions.take(self._held),
            "action_mask": self.table.masks.take(self._t, axis=0),
        }
        return found | {f"_{name}": which for name in found}
