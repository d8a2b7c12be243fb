"""Trajectories through an exogenous market, stepped together."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, Ints
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket, Picks


class MarketTrajectories:
    """Trajectories through an exogenous market, stepped together.

    Each trajectory starts at a uniformly drawn bar with a uniformly drawn previous target. It ends
    at the last bar of its asset (truncated, not terminated) or in ruin, and restarts at the first
    bar of a uniformly drawn asset. Traversing every asset from end to end visits all bars equally
    often; restarting at random bars would visit the later ones more often.

    Parameters
    ----------
    market : ExogenousMarket
        Market to trade on.
    count : int
        Number of trajectories.
    rng : numpy.random.Generator
        Generator of the starting points.
    """

    def __init__(self, market: ExogenousMarket, count: int, rng: np.random.Generator) -> None:
        self.market = market
        self.rng = rng
        self.rows, self.held = self._draw(market.decision_rows, count)

    def _draw(self, choices: Ints, count: int) -> tuple[Ints, Ints]:
        rows = choices[self.rng.integers(len(choices), size=count)]
        return rows, self.rng.integers(self.market.n_positions, size=count)

    def states(self) -> Annotated[F32, "{len(self.rows)} {self.market.n_inputs}"]:
        """Return the current states, shape (count, n_inputs)."""
        return self.market.states(self.rows, self.held)

    def step(self, actions: Picks) -> tuple[Picks, Picks]:
        """Take one action per trajectory; return the rows and targets held before it, (count,)."""
        rows, held = self.rows, self.held
        ended = self.market.is_last[rows + 1] | self.market.ruined[rows, held, actions]
        self.rows, self.held = rows + 1, actions.copy()
        count = int(np.count_nonzero(ended))
        if count:
            self.rows[ended], self.held[ended] = self._draw(self.market.starts, count)
        return rows, held
