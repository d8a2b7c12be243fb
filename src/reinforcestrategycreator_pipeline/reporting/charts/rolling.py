"""The chart of the rolling Sharpe ratio."""

from __future__ import annotations

import numpy as np

from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.reporting.charts.base import Times, chart
from reinforcestrategycreator_pipeline.reporting.charts.plotting import Figure, kept, line
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.history import rolling_sharpe, rolling_window
from reinforcestrategycreator_pipeline.reporting.strategies import look_of


def _caption(data: ReportData, asset: str) -> str:
    window = rolling_window(len(data.results[asset][data.policy].exposure))
    if window is None:
        return "Too few bars for a rolling window."
    error = (data.judgement.periods_per_year[asset] / window) ** 0.5
    return (
        f"Annualized Sharpe ratio of the last {window} bars, net of costs. Over so few bars it has "
        f"a standard error of about {error:.1f}: only swings well beyond that mean anything. There "
        "is no line where all returns of the window are equal, as without a position."
    )


@chart("rolling_sharpe", "Rolling Sharpe ratio", "Rolling Sharpe ratio", caption=_caption)
def rolling_figure(data: ReportData, asset: str, times: Times) -> Figure | None:
    """Draw the rolling Sharpe ratio of the policy and of buy and hold; None for few bars."""
    results = data.results[asset]
    window = rolling_window(len(results[data.policy].exposure))
    if window is None:
        return None
    names = [n for n in dict.fromkeys((data.policy, BUY_AND_HOLD)) if n in results]
    ratios = []
    for name in names:
        equity = np.asarray(results[name].equity, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            returns = equity[1:] / equity[:-1] - 1.0
        ratios.append(rolling_sharpe(returns, window, data.judgement.periods_per_year[asset]))
    stamps, first = results[data.policy].timestamps[1:], window - 1
    keep = first + kept(len(stamps) - first, *(np.nan_to_num(x[first:]) for x in ratios))
    x = times.axis(stamps, keep)
    traces = [
        line(x, ratio[keep], name, look_of(name, data.policy).line, "%{y:.2f}")
        # The policy is drawn last, above.
        for name, ratio in reversed(list(zip(names, ratios, strict=True)))
    ]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": f"Sharpe ratio of {window} bars"}, "zeroline": True},
        "hovermode": "x unified",
    }
    return {"data": traces, "layout": layout}
