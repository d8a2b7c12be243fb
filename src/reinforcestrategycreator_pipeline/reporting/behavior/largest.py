"""The trades with the largest gains and losses, and what the policy saw when it decided them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import CONFIDENCE_COLUMNS
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.reporting.behavior.found import LargestTrade, Seen

TRADES = 5
FEATURES = 4


class Moments(NamedTuple):
    """Mean and standard deviation of each feature over bars of all assets.

    Attributes
    ----------
    mean, sd : ndarray of float64, shape (F,)
        Mean, and population standard deviation.
    """

    mean: F64
    sd: F64


def moments_of(span: MarketSpan) -> Moments:
    """Return the moments of the features over all bars of a span."""
    features = [np.asarray(asset.features, dtype=np.float64) for asset in span.assets]
    count = sum(map(len, features))
    mean = np.sum([x.sum(axis=0) for x in features], axis=0) / count
    squares = []
    for x in features:
        apart = x - mean
        squares.append(np.square(apart, out=apart).sum(axis=0))  # in place, to limit memory
    return Moments(mean, np.sqrt(np.sum(squares, axis=0) / count))


def largest_trades(
    trades: pd.DataFrame, span: MarketSpan, starts: Sequence[int], training: Sequence[Moments]
) -> tuple[LargestTrade, ...]:
    """Return the trades with the largest absolute log gains, the largest first.

    Parameters
    ----------
    trades : DataFrame
        Trades of all assets, see `StrategyResult`.
    span : MarketSpan
        Bars on which they were made.
    starts : sequence of int
        First close of each window, nanoseconds since 1970 UTC.
    training : sequence of Moments
        Moments of the features on the training bars of each window.
    """
    with np.errstate(divide="ignore"):
        gains = np.log1p(np.maximum(trades["return"].to_numpy(np.float64), -1.0))
    known = np.flatnonzero(np.isfinite(gains))
    order = known[np.argsort(-np.abs(gains[known]), kind="stable")][:TRADES]
    assets = {asset.symbol: asset for asset in span.assets}
    found = []
    for place in order.tolist():
        row = trades.iloc[place]
        asset = assets[row["symbol"]]
        entered = pd.Timestamp(row["entry_time"]).as_unit("ns").value
        at = int(np.searchsorted(asset.times, entered)) - 1
        window = max(int(np.searchsorted(starts, asset.times[at], side="right")) - 1, 0)
        told = [row.get(name) for name in CONFIDENCE_COLUMNS]
        advantage, spread = (float(x) if x is not None and x == x else None for x in told)
        found.append(
            LargestTrade(
                symbol=row["symbol"],
                side=row["side"],
                decided=asset.timestamps[at].isoformat(),
                entry=row["entry_time"].isoformat(),
                exit=row["exit_time"].isoformat(),
                open=bool(row["open"]),
                exposure=float(row["exposure"]),
                bars=int(row["bars"]),
                log_gain=float(gains[place]),
                pnl=float(row["pnl"]),
                costs=float(row["costs"]),
                seen=_seen(span.inputs.names, asset.features[at], training[window]),
                advantage_bps=advantage,
                spread_bps=spread,
            )
        )
    return tuple(found)


def _seen(names: tuple[str, ...], values: F64, training: Moments) -> tuple[Seen, ...]:
    varies = training.sd > 0.0
    z = np.divide(values - training.mean, training.sd, out=np.zeros(len(names)), where=varies)
    furthest = np.argsort(-np.abs(z), kind="stable")[:FEATURES]
    return tuple(Seen(names[f], float(values[f]), float(z[f])) for f in furthest if varies[f])
