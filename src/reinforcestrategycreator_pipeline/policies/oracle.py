"""Dynamic programming with perfect foresight: the best possible result after costs."""

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

_FEW = 4  # targets up to which Python's numbers are faster than NumPy's
_CHUNK = 65_536  # bars at once, to limit memory


def best_choices(
    log_growth: Annotated[F64, "n k k"],
) -> tuple[Annotated[F64, "k"], Annotated[Ints, "n k"]]:
    """Return the largest attainable log growth, and the decisions that attain it.

    Computed with perfect foresight by Bellman's backward recursion, which is exact because equity
    compounds and orders do not move prices: V_t(p) = max_q [g_t(p, q) + V_{t+1}(q)], V_n = 0. It is
    an upper bound for any policy on the same grid; no causal policy can be expected to reach it on
    real data.

    Parameters
    ----------
    log_growth : ndarray, shape (n, k, k)
        g_t(p, q): log growth of decision t, from the previous target p to the target q.

    Returns
    -------
    value : ndarray, shape (k,)
        V_0, the total log growth along the best path from each target.
    choice : ndarray of int, shape (n, k)
        Index of the best target from each previous target; the lowest index wins ties.
    """
    n, k, _ = log_growth.shape
    if k <= _FEW:
        return _best_of_few(log_growth)
    value = np.zeros(k)
    choice = np.empty((n, k), dtype=np.int64)
    for t in range(n - 1, -1, -1):
        total = log_growth[t] + value
        choice[t] = total.argmax(axis=1)
        value = total.max(axis=1)
    return value, choice


def _best_of_few(
    log_growth: Annotated[F64, "n k k"],
) -> tuple[Annotated[F64, "k"], Annotated[Ints, "n k"]]:
    """Return what `best_choices` does, without NumPy's cost of a call for each bar."""
    n, k, _ = log_growth.shape
    value = [0.0] * k
    choice = np.empty((n, k), dtype=np.int64)
    for stop in range(n, 0, -_CHUNK):
        start = max(0, stop - _CHUNK)
        rows = []
        for grown in reversed(log_growth[start:stop].tolist()):
            totals = [[g + v for g, v in zip(row, value, strict=True)] for row in grown]
            value = [max(row) for row in totals]
            rows.append([row.index(best) for row, best in zip(totals, value, strict=True)])
        choice[start:stop] = rows[::-1]
    return np.array(value), choice


@dataclass(frozen=True, eq=False)
class OraclePolicy(Policy):
    """Decides with knowledge of all prices, and therefore only for a whole span.

    Parameters
    ----------
    costs : CostConfig
        Commission, spread, slippage, borrow fees, and margin interest.
    """

    costs: CostConfig
    causal: ClassVar[bool] = False

    def choose(self, features: F64, bars: Columns) -> Ints:
        """Raise `ConfigError`: the next bar is not known at a close."""
        raise ConfigError("the oracle needs future prices and cannot decide bar by bar")

    def table(
        self, asset: AssetBars
    ) -> Annotated[Ints, "{len(asset.times)-1} {len(self.positions)}"]:
        """Return the best decision at every bar; see `best_choices`."""
        grid, prices = np.array(self.positions), asset.prices
        n = len(asset.times) - 1
        grown = np.empty((n, len(grid), len(grid)))
        for start in range(0, n, _CHUNK):
            part = prices.at(np.s_[start : start + _CHUNK, None, None])
            grown[start : start + _CHUNK] = np.log(
                bar_growth(part, grid[:, None], grid, self.costs)
            )
        return best_choices(grown)[1]

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the parts, with the costs by name; see `Policy.to_parts`."""
        tensors, header = super().to_parts()
        return tensors, {**header, "costs": dataclasses.asdict(self.costs)}

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Policy:
        """Rebuild a policy from the result of `to_parts`."""
        return super().from_parts(tensors, {**header, "costs": CostConfig(**header["costs"])})


@STRATEGIES.register("oracle")
@dataclass(frozen=True)
class Oracle:
    """Best path with perfect foresight on the grid of positions: an upper bound, not a strategy."""

    benchmark_only: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; of the spans, only the trading rules are used."""
        return OraclePolicy(train.rules.positions, train.inputs, train.rules.costs)
