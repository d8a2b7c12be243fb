"""Markets and policies without skill, for the test against chance by bars in other orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.validation import RawBars
from reinforcestrategycreator_pipeline.market.windows import Span
from reinforcestrategycreator_pipeline.policies.base import Policy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward

FEATURES = parse_specs(
    [{"name": "returns", "horizons": [1, 5]}, {"name": "realized_volatility", "periods": [20]}]
)
PAST = 30  # bars before the first decision


@dataclass(frozen=True, eq=False)
class Rule(Policy):
    """Long where a feature times `sign` is above a level, else at the lowest position."""

    feature: int = 1
    sign: float = 1.0
    level: float = 0.0

    def choose(self, features, bars):
        high = self.sign * features[:, self.feature] > self.level
        target = np.where(high, len(self.positions) - 1, 0)
        return np.repeat(target[:, None], len(self.positions), axis=1)


def frames_of(returns, rng, times=None):
    """Return bars with these log returns, shape (assets, bars), and gaps, wicks and volume."""
    frames = {}
    for number, moves in enumerate(np.atleast_2d(returns)):
        n = len(moves)
        close = 100.0 * np.exp(np.cumsum(moves))
        before = np.concatenate([[100.0], close[:-1]])
        open_ = before * np.exp(0.3 * moves)
        wick = np.abs(rng.normal(0.0, 0.003, (2, n)))
        frames[f"S{number}"] = pd.DataFrame(
            {
                "open": open_,
                "high": np.maximum(open_, close) * (1 + wick[0]),
                "low": np.minimum(open_, close) * (1 - wick[1]),
                "close": close,
                "volume": 1e6 * np.exp(rng.normal(0.0, 0.3, n)),
            },
            index=pd.date_range("1990-01-01", periods=n, freq="D", tz="UTC")
            if times is None
            else times,
        )
    return frames


def market_of(frames) -> MarketData:
    return prepare([RawBars(symbol, "test", frame) for symbol, frame in frames.items()], {})


def span_of(data: MarketData, positions=(0.0, 1.0), costs=None, specs=FEATURES) -> MarketSpan:
    """Return all bars after the first `PAST`."""
    features = FeatureSet.compute(data.bars, specs)
    stamps = features.timestamps[PAST - features.inputs.lookback :]
    rules = TradingRules(positions, CostConfig() if costs is None else costs)
    return MarketSpan.cut(data, features, Span(stamps[0], stamps[-1]), rules, "test")


def turns_of(span: MarketSpan, windows=1, **options) -> WalkForward:
    """Return one rule for each of so many windows of equal length."""
    times = np.unique(np.concatenate([asset.times for asset in span.assets]))
    starts = tuple(int(times[k * len(times) // windows]) for k in range(windows))
    rule = Rule(span.rules.positions, span.inputs, **options)
    return WalkForward((rule,) * windows, starts)


def walk(rng, assets=1, n=530, correlation=0.6, drift=0.0):
    """Random walks of one common factor."""
    common, own = rng.normal(size=n), rng.normal(size=(assets, n))
    return drift + 0.01 * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)


def garch(rng, assets=1, n=530, burn=200):
    """GARCH(1, 1) with t-distributed shocks of five degrees of freedom, one volatility for all."""
    shocks = rng.standard_t(5, size=(assets, n + burn)) / np.sqrt(5 / 3)
    variance, found = 1.0, np.empty((assets, n + burn))
    for t in range(n + burn):
        found[:, t] = np.sqrt(variance) * shocks[:, t]
        variance = 0.03 + 0.09 * float(np.mean(found[:, t] ** 2)) + 0.88 * variance
    return 0.01 * found[:, burn:]


def ar1(rng, phi, assets=1, n=530):
    """Returns of which each tells the next one."""
    shocks = rng.normal(size=(assets, n))
    found = np.empty((assets, n))
    found[:, 0] = shocks[:, 0]
    for t in range(1, n):
        found[:, t] = phi * found[:, t - 1] + np.sqrt(1 - phi**2) * shocks[:, t]
    return 0.01 * found
