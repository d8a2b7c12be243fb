"""Baseline strategies for comparison; none of them learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict, require
from reinforcestrategycreator_pipeline.limits import Exposure, LongPeriod, Period
from reinforcestrategycreator_pipeline.policies.base import (
    STRATEGIES,
    Choices,
    Columns,
    Features,
    Policy,
    Work,
)

if TYPE_CHECKING:  # a package's policy must load with NumPy and safetensors alone
    from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
    from reinforcestrategycreator_pipeline.envs.span import MarketSpan


@dataclass(frozen=True, eq=False)
class ConstantPolicy(Policy):
    """Always chooses the same target.

    Parameters
    ----------
    target : int
        Index of the target in `positions`.
    """

    reads_features: ClassVar[bool] = False

    target: int

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Return the target for every bar; see `Policy.choose`."""
        return np.full((len(features), len(self.positions)), self.target)

    def describe(self) -> str:
        """Return the exposure."""
        return f"constant exposure of {self.positions[self.target]:g}"


@dataclass(frozen=True, eq=False)
class FallbackPolicy(ConstantPolicy):
    """The constant target that was best on the validation span, in place of a learned policy.

    Parameters
    ----------
    growth, learned_growth : float
        Mean log growth of the assets over the validation span: of the constant target, and the
        best one of the learned policy, which is not above it.
    """

    growth: float
    learned_growth: float

    def describe(self) -> str:
        """Return the exposure, and why it is constant."""
        return (
            f"{super().describe()}: a fallback, since what was learned grew by "
            f"{math.expm1(self.learned_growth):+.2%} on the validation bars at best, and this by "
            f"{math.expm1(self.growth):+.2%}"
        )


def best_constant(market: ExogenousMarket) -> tuple[int, float]:
    """Return the constant target with the largest mean log growth of the assets, and the growth.

    The lowest index wins ties.
    """
    growths = [
        float(
            market.path_log_growth(
                [np.full(len(a.close) - 1, target) for a in market.assets]
            ).mean()
        )
        for target in range(market.n_positions)
    ]
    best = int(np.argmax(growths))
    return best, growths[best]


@STRATEGIES.register("constant")
@dataclass(frozen=True)
class Constant(Strict):
    """Hold one exposure from the first fill to the last close.

    Attributes
    ----------
    exposure : float
        Fraction of equity; negative for short.
    """

    learns: ClassVar[bool] = False

    exposure: Exposure = 1.0

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; the spans are not used."""
        grid = tuple(sorted({0.0, self.exposure or 1.0}))
        return ConstantPolicy(grid, train.inputs, grid.index(self.exposure))


@STRATEGIES.register("buy_and_hold")
@dataclass(frozen=True)
class BuyAndHold:
    """Hold exposure 1 from the first fill to the last close."""

    label: ClassVar[str] = "buy and hold"
    learns: ClassVar[bool] = False

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; the spans are not used."""
        return Constant(1.0).fit(train, validation, work)


@STRATEGIES.register("flat")
@dataclass(frozen=True)
class Flat:
    """Hold nothing."""

    learns: ClassVar[bool] = False

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; the spans are not used."""
        return Constant(0.0).fit(train, validation, work)


@dataclass(frozen=True, eq=False)
class CrossoverPolicy(Policy):
    """Highest exposure while the fast average of closes is above the slow one, else the lowest.

    The position is flat until there are `slow` bars.

    Parameters
    ----------
    fast, slow : int
        Lengths of the averages in bars, 1 <= fast < slow.
    """

    reads_features: ClassVar[bool] = False

    fast: int
    slow: int

    @property
    def history(self) -> int:
        """Number of bars in the slow average."""
        return self.slow

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Compare the averages; see `Policy.choose`."""
        close = np.concatenate([np.full(self.slow - 1, np.nan), bars["close"]])
        windows = np.lib.stride_tricks.sliding_window_view(close, self.slow)[-len(features) :]
        windows = np.ascontiguousarray(windows)  # the order of sums must not depend on the rows
        fast, slow = windows[:, -self.fast :].copy().mean(axis=1), windows.mean(axis=1)
        target = np.where(fast > slow, len(self.positions) - 1, 0)
        target = np.where(np.isnan(slow), self.flat, target)
        return np.repeat(target[:, None], len(self.positions), axis=1)

    def describe(self) -> str:
        """Return the lengths of the averages."""
        return f"crossover of the averages of {self.fast} and {self.slow} closes"


@STRATEGIES.register("moving_average_crossover")
@dataclass(frozen=True)
class MovingAverageCrossover(Strict):
    """Long while the fast average is above the slow one, else flat, or short if the grid allows.

    Attributes
    ----------
    fast, slow : int
        Lengths of the simple averages of closes, in bars; 1 <= fast < slow.
    """

    label: ClassVar[str] = "moving-average crossover"
    learns: ClassVar[bool] = False

    fast: Period = 20
    slow: LongPeriod = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"above fast ({self.fast})"
        require(self.fast < self.slow, "MovingAverageCrossover", "slow", rule, self.slow)

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Return the policy; of the spans, only the grid of positions is used."""
        below = min(*train.rules.positions, 0.0)
        return CrossoverPolicy(tuple(sorted({below, 0.0, 1.0})), train.inputs, self.fast, self.slow)
