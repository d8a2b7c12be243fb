"""The band around the policy's equity: what its own returns give in other draws."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Indices
from reinforcestrategycreator_pipeline.reporting.charts import plotting
from reinforcestrategycreator_pipeline.reporting.charts.base import Times
from reinforcestrategycreator_pipeline.reporting.charts.plotting import line
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import draw_blocks, times_of
from reinforcestrategycreator_pipeline.statistics.block_length import optimal_block_length

DRAWS = 1_000
FEWEST_BARS, MOST_BARS = 30, 5_000
_POINTS = 400
_LOW, _HIGH = 0.05, 0.95


class Band(NamedTuple):
    """Quantiles of resampled growth.

    Attributes
    ----------
    at : ndarray of intp, shape (points,)
        Indices of the values of the equity, the first and the last among them.
    low, high : ndarray of float64, shape (points,)
        The 5% and the 95% quantile of the growth of 1 up to there, over the draws.
    """

    at: Indices
    low: F64
    high: F64


def band_of(equity: F64, rng: np.random.Generator) -> Band | None:
    """Return the band of an equity curve by the stationary bootstrap of its returns.

    It is pointwise: 90% of the draws are inside at each bar, fewer at all bars together. It has
    the observed mean in its middle, and tells nothing of skill.

    Parameters
    ----------
    equity : ndarray of float64, shape (n + 1,)
        Equity at the start and after each of n bars.
    rng : Generator
        Source of the draws.

    Returns
    -------
    Band or None
        None if the bars are fewer than 30 or more than 5,000, if equity ever was 0, or if the
        returns do not vary.
    """
    returns = _returns(equity)
    if returns is None:
        return None
    n, block = len(returns), optimal_block_length(returns)
    paths = np.cumsum(returns[times_of(draw_blocks(rng, n, block, DRAWS))], axis=1)
    at = np.unique(
        np.linspace(0, n, min(n + 1, _POINTS, plotting.MAX_POINTS)).round().astype(np.intp)
    )
    low, high = np.quantile(paths[:, at[1:] - 1], (_LOW, _HIGH), axis=0)
    first = np.zeros(1)
    edges = (np.exp(np.concatenate([first, quantile])) for quantile in (low, high))
    return Band(at, *edges)


def _returns(equity: F64) -> F64 | None:
    """Return the log returns, or None if there is no band of them."""
    if not FEWEST_BARS < len(equity) <= MOST_BARS + 1 or not (equity > 0.0).all():
        return None
    returns: F64 = np.diff(np.log(equity))
    return returns if np.ptp(returns) > 1e-14 else None


def _equity(data: ReportData, asset: str) -> F64 | None:
    """Return the equity that has a band, of the portfolio or the only asset; else None."""
    if asset != data.assets[0]:
        return None
    return np.asarray(data.results[asset][data.policy].equity, dtype=np.float64)


def band_traces(data: ReportData, asset: str, times: Times) -> list[dict[str, Any]]:
    """Return the two edges of the band, with the area between; none if there is no band."""
    equity = _equity(data, asset)
    if equity is None:
        return []
    band = band_of(equity, generator(data.seed or 0, "report/equity band"))
    if band is None:
        return []
    x = times.axis(data.results[asset][data.policy].timestamps[band.at])
    edge: dict[str, Any] = {"width": 0, "color": "--c-policy-soft"}
    behind: dict[str, Any] = {"legendgroup": "band", "zorder": -1}
    area: dict[str, Any] = {"fill": "tonexty", "fillcolor": "--c-policy-soft"}
    return [
        line(x, band.low, "90% band", edge, showlegend=False, **behind),
        line(x, band.high, "90% band", edge, **area, **behind),
    ]


def band_note(data: ReportData, asset: str) -> str:
    """Say what the band is; empty if there is none."""
    equity = _equity(data, asset)
    returns = None if equity is None else _returns(equity)
    if returns is None:
        return ""
    block = optimal_block_length(returns)
    return (
        " Light area: 90% of the histories that the policy's own returns give if they are drawn in "
        f"blocks of {block:.3g} bars on average (stationary bootstrap, {DRAWS:,} draws), at each "
        "bar. It shows how far luck alone moves a result like this one, and is no test."
    )
