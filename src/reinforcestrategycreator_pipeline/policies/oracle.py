"""Dynamic programming with perfect foresight: the best that was possible after costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.accounting import bar_growth
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.policies.base import (
    STRATEGIES,
    Columns,
    Policy,
    Work,
)


def best_choices(
    log_growth: Annotated[F64, "n k k"],
) -> tuple[Annotated[F64, "k"], Annotated[Ints, "n k"]]:
    """Return the largest attainable log growth, and the decisions that attain it.

    Bellman's backward recursion with perfect foresight, exact because equity compounds and orders
    do not move prices: V_t(p) = max_q [g_t(p, q) + V_{t+1}(q)], V_n = 0. An upper bound for any
    policy on the same grid; no causal policy can be expected to reach it on real data.

    Parameters
    ----------
    log_growth : ndarray, shape (n, k, k)
        g_t(p, q): log growth of decision t, from the previous target p to the target q.

    Returns
    -------
    value : ndarray, shape (k,)
        V_0: the sum of log growth along the best path from each target.
    choice : ndarray of int, shape (n, k)
        Index of the best target from each previous one; ties go to the lowest index.
    """
    n, k, _ = log_growth.shape
    value = np.zeros(k)
    choice = np.empty((n, k), dtype=np.int64)
    for t in range(n - 1, -1, -1):
        total = log_growth[t] + value
        choice[t] = total.argmax(axis=1)
        value = total.max(axis=1)
    return value, choice


@dataclass(frozen=True, eq=False)
class OraclePolicy(Policy):
    """Decides with the prices of all bars before it: for a whole span only.

    Parameters
    ----------
    costs : CostConfig
        Commission, spread, slippage, borrow fees and margin interest.
    """

    costs: CostConfig
    causal: ClassVar[bool] = False

    def choose(self, features: F64, bars: Columns) -> Ints:
        """Refuse: at the close of a bar, nobody knows the next one."""
        raise ConfigError("the oracle knows the future; it cannot decide bar by bar")

    def table(
        self, asset: AssetBars
    ) -> Annotated[Ints, "{len(asset.times)-1} {len(self.positions)}"]:
        """Return the best decision of every bar; see `best_choices`."""
        grid, prices = np.array(self.positions), asset.prices.at(np.s_[:, None, None])
        return best_choices(np.log(bar_growth(prices, grid[:, None], grid, self.costs)))[1]

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the costs by name, and the rest; see `Policy.to_parts`."""
        tensors, header = super().to_parts()
        return tensors, {**header, "costs": dataclasses.asdict(self.costs)}

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Policy:
        """Build what `to_parts` gave."""
        return super().from_parts(tensors, {**header, "costs": CostConfig(**header["costs"])})


@STRATEGIES.register("oracle")
@dataclass(frozen=True)
class Oracle:
    """The best path with perfect foresight on the rules' grid: an upper bound, no strategy."""

    benchmark_only: ClassVar[bool] = True

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; only the rules are looked at."""
        return OraclePolicy(train.rules.positions, train.inputs, train.rules.costs)
