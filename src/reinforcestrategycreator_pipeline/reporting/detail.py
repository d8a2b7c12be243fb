"""Which assets a page shows in full, and the growth of the others, small enough for hundreds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, PORTFOLIO
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import line, numbers
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.strategies import look_of

MOST_IN_FULL = 12
"""Number of assets up to which all are shown in full."""
_EACH_END = 3
_POINTS = 200


def in_full(data: ReportData) -> list[str]:
    """Return the assets that the page shows with all charts and tables, the portfolio first.

    These are all of them, up to `MOST_IN_FULL`; of more, the three on which the policy grew most,
    from the best on, and the three on which it grew least, to the worst.
    """
    if len(data.symbols) <= MOST_IN_FULL:
        return data.assets
    ends = {name: data.results[name][data.policy].equity for name in data.symbols}
    ranked = sorted(ends, key=lambda name: -(ends[name][-1] / ends[name][0]))
    first = [PORTFOLIO] if PORTFOLIO in data.results else []
    return [*first, *ranked[:_EACH_END], *ranked[-_EACH_END:]]


def others(data: ReportData) -> list[str]:
    """Return the assets that are not `in_full`, in their order."""
    full = set(in_full(data))
    return [name for name in data.symbols if name not in full]


def left_out(data: ReportData) -> str:
    """Say what the page leaves out and where it is; empty if it shows every asset in full."""
    count = len(others(data))
    if not count:
        return ""
    return (
        f"With so many assets, {count:,} of {len(data.symbols):,} are drawn only as the growth of "
        f"1, at {_POINTS} evenly spread closes. In full are the portfolio, the {_EACH_END} assets "
        f"on which the policy grew most and the {_EACH_END} on which it grew least. The table by "
        "asset has all of them. Of every asset, every bar is in results.parquet and every trade in "
        "all_trades.parquet."
    )


def growth_of_others(data: ReportData, times: Times) -> dict[str, Any] | None:
    """Return one figure for the growth of 1 on the `others`, and their values.

    Returns
    -------
    dict or None
        ``figure``, whose traces lack values, and ``values``: of each asset and each trace the
        mapping with its ``y``, None where the asset has no bars. None if there are no others.
    """
    names = others(data)
    if not names:
        return None
    stamps = data.results[data.assets[0]][data.policy].timestamps
    grid = stamps[np.unique(np.linspace(0, len(stamps) - 1, _POINTS).round().astype(np.intp))]
    held = BUY_AND_HOLD in data.results[names[0]] and data.policy != BUY_AND_HOLD
    strategies = [data.policy, *([BUY_AND_HOLD] if held else ())]
    x = times.axis(grid)
    traces = [line(x, [], name, look_of(name, data.policy).line, "%{y:.4g}") for name in strategies]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "growth of 1"}},
        "hovermode": "x unified",
    }
    values = [
        [{"y": numbers(_growth(data, name, strategy, grid))} for strategy in strategies]
        for name in names
    ]
    return {"figure": {"data": traces, "layout": layout}, "values": values}


def _growth(data: ReportData, asset: str, strategy: str, grid: pd.DatetimeIndex) -> pd.Series:
    """Return the growth at the last close up to each time; NaN before the first, after the last."""
    result = data.results[asset].get(strategy)
    if result is None:
        return pd.Series(np.nan, index=grid)
    growth = pd.Series(result.equity / result.equity[0], index=result.timestamps)
    return growth.reindex(grid, method="ffill").where(grid <= result.timestamps[-1])
