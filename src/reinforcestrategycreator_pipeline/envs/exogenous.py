"""The exogenous market: a table of the rewards and next states of every action.

Orders do not move prices, so the state at a close is (bar, previous target), and the outcome of
each action can be tabulated in advance. Rows are the bars of all assets, one asset after the other;
the replay stores row numbers, and states are gathered from one feature matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, F64, Array, Ints
from reinforcestrategycreator_pipeline.envs.grid import check_positions, flat_index, follow
from reinforcestrategycreator_pipeline.envs.rewards import Reward, measure
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.envs.state import StateLayout
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.execution.accounting import (
    bar_outcome,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.nn.components import Component
from reinforcestrategycreator_pipeline.replay.batch import Batch

_BYTES_PER_OUTCOME = 21  # growth and reward in float64, reward in float32, ruin
_BYTES_WHILE_MADE = 48  # of the asset at hand

Picks: TypeAlias = Annotated[Ints, "n"]


class ExogenousMarket:
    """Rewards and next states of every (bar, previous target, target).

    Parameters
    ----------
    assets : sequence of AssetBars
        Bars of each asset, all with the same number of features.
    positions : sequence of float
        Action grid: target exposures as fractions of equity, increasing, including 0.
    costs : CostConfig
        Costs of trading and of carrying a position.
    reward : str
        A registered reward, or ``"module:function"``.
    reward_scale : float, optional
        Factor of every reward. The default, 1 / the root mean square of the reward of holding the
        largest exposure, makes rewards of order 1 for any bar length.
    scaler : FittedScaler, optional
        Scaler of the features; by default they are used unscaled.

    Attributes
    ----------
    features : ndarray of float32, shape (N, F)
        Scaled features, one row per bar, one asset after the other.
    rewards : ndarray of float32, shape (N, n, n)
        Scaled reward of (row, previous target, target); 0 in the last row of each asset, which
        allows no decision.
    log_growth : ndarray of float64, shape (N, n, n)
        Log growth of equity, with the same indices.
    ruined : ndarray of bool, shape (N, n, n)
        Whether that bar ends in ruin (terminated).
    decision_rows : ndarray of int, shape (M,)
        Rows that have a next bar.
    flat : int
        Index of the exposure 0.
    """

    def __init__(
        self,
        assets: Sequence[AssetBars],
        positions: Sequence[float],
        costs: CostConfig,
        reward: Component[Reward] = "log_growth",
        reward_scale: float | None = None,
        scaler: FittedScaler | None = None,
    ) -> None:
        self.assets = tuple(assets)
        self.positions = np.array(check_positions(positions))
        self.costs, self.reward = costs, reward
        self.n_positions = n = len(self.positions)
        self.flat = flat_index(self.positions.tolist())
        scale = scaler.transform if scaler else np.asarray
        self.features = np.concatenate([scale(a.features, np.float32) for a in self.assets])
        self.layout = StateLayout(self.features.shape[1], n)
        lengths = np.array([len(a.close) for a in assets])
        self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        rows = len(self.features)
        longest = max((len(a.close) for a in self.assets), default=0)
        needed = n * n * (rows * _BYTES_PER_OUTCOME + longest * _BYTES_WHILE_MADE)
        require_memory(needed, "market", "positions", f"{n} positions on {rows} bars")
        self.log_growth = np.zeros((rows, n, n))
        rewards = np.zeros((rows, n, n))
        self.ruined = np.zeros((rows, n, n), dtype=bool)
        self.is_last = np.zeros(rows, dtype=bool)
        self.is_last[self.starts + lengths - 1] = True
        self.decision_rows = np.flatnonzero(~self.is_last)
        for start, asset in zip(self.starts, self.assets, strict=True):
            grid = asset.prices.at(np.s_[:, None, None])
            outcome = bar_outcome(grid, self.positions[:, None], self.positions, costs)
            block = slice(start, start + len(asset.close) - 1)
            self.log_growth[block] = np.log(outcome.growth)
            rewards[block] = measure(reward, outcome.growth)
            self.ruined[block] = outcome.ruined
        if reward_scale is None:
            held = int(np.abs(self.positions).argmax())
            size = float(np.sqrt(np.square(rewards[self.decision_rows, held, held]).mean()))
            # A constant price yields only rounding errors, which must not set the scale.
            reward_scale = 1.0 / size if size > 1e-9 * np.abs(rewards).max() else 1.0
        self.reward_scale = reward_scale
        self.rewards = (rewards * reward_scale).astype(np.float32)
        # Flat views for `take`, which is faster than indexing with tuples of arrays.
        self._reward_rows = self.rewards.reshape(rows * n, n)
        self._ruined_rows = self.ruined.reshape(rows * n, n)

    @property
    def n_inputs(self) -> int:
        """Length of a state."""
        return self.layout.n_inputs

    def states(self, rows: Picks, held: Picks) -> Annotated[F32, "n {self.n_inputs}"]:
        """Return states, shape (B, F + n), for rows and indices of previous targets, both (B,)."""
        return self.layout.compose(self.features.take(rows, axis=0), held)

    def all_states(self) -> Annotated[F32, "rows {self.n_positions} {self.n_inputs}"]:
        """Return the states of every row and previous target, shape (N, n, F + n)."""
        return self.layout.compose(self.features[:, None, :], np.arange(self.n_positions))

    def greedy_paths(self, predict: Callable[[F32], Array]) -> list[Ints]:
        """Return the targets that a greedy policy chooses for each asset, starting flat.

        Parameters
        ----------
        predict : callable
            Function from states (B, n_inputs) to action values (B, n).

        Returns
        -------
        list of ndarray of int
            For each asset, the index of the target of each decision.

        Raises
        ------
        NonFiniteError
            If an action value is not finite.
        """
        values = predict(self.all_states().reshape(-1, self.n_inputs))
        if not np.isfinite(values).all():
            bad = int(np.argmin(np.isfinite(values).all(axis=1))) // self.n_positions
            asset = int(np.searchsorted(self.starts, bad, side="right")) - 1
            raise NonFiniteError(
                f"{self.assets[asset].symbol}: the action values of bar "
                f"{bad - int(self.starts[asset])} are not finite, so no order is placed"
            )
        choice = values.argmax(axis=1).reshape(-1, self.n_positions)
        spans = zip(self.starts, self.assets, strict=True)
        return [follow(choice[i : i + len(a.close) - 1], self.flat) for i, a in spans]

    def path_log_growth(self, paths: Sequence[Ints]) -> Annotated[F64, "{len(paths)}"]:
        """Return the log growth of each asset's account along its path of targets.

        A ruined account stops trading, so its path ends there.
        """
        total = []
        for start, path in zip(self.starts, paths, strict=True):
            previous = np.concatenate([[self.flat], path[:-1]])
            steps = (start + np.arange(len(path)), previous, path)
            ruin = np.flatnonzero(self.ruined[steps])
            end = ruin[0] + 1 if ruin.size else len(path)
            total.append(self.log_growth[steps][:end].sum())
        return np.array(total)

    def gather(self, rows: Picks, held: Picks, actions: Picks) -> Batch:
        """Return the transitions of actions taken with previous targets `held`, all shape (B,)."""
        flat = rows * self.n_positions + held
        return Batch(
            self.states(rows, held),
            actions,
            self._reward_rows.ravel().take(flat * self.n_positions + actions),
            self.states(rows + 1, actions),
            self._ruined_rows.ravel().take(flat * self.n_positions + actions),
        )

    def gather_all_actions(self, rows: Picks, held: Picks, actions: Picks) -> Batch:
        """Return the outcomes of every action; `actions`, the actions taken, are ignored."""
        flat = rows * self.n_positions + held
        following = self.features.take(rows + 1, axis=0)[:, None, :]
        return Batch(
            self.states(rows, held),
            None,
            self._reward_rows.take(flat, axis=0),
            self.layout.compose(following, np.arange(self.n_positions)),
            self._ruined_rows.take(flat, axis=0),
        )
