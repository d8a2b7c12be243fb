"""The tear sheet of QuantStats: of a run, of a backtest, or of anybody's equity curve."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reinforcestrategycreator_pipeline.api.backtests import Backtest
from reinforcestrategycreator_pipeline.api.pages import checked_curves
from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.reporting.tear_sheet import render_tear_sheet


def tear_sheet(of: pd.Series | pd.DataFrame | Run | Backtest, path: str | Path) -> Path:
    """Write the HTML tear sheet that QuantStats makes of returns, against buy and hold.

    It needs the extra ``quantstats``. Its figures are those of QuantStats, with this package's
    bars per year and a risk-free rate of 0; the Sharpe ratio is then that of `report`.

    Parameters
    ----------
    of : Series, DataFrame, Run or Backtest
        Equity at each close, net of costs, > 0, with a DatetimeIndex: of a run or a backtest, that
        of the portfolio. The first column of a DataFrame is under test; its benchmark is the column
        ``"buy and hold"``, if there is one.
    path : path
        File to write.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ConfigError
        If the extra is not installed.
    DataError
        If the curve is no equity curve, has fewer than 30 bars, or was ever 0.

    Notes
    -----
    QuantStats shows no verdict, does not know how much was tried, and counts an intraday drawdown
    in days. It imports yfinance, which comes along with it, and downloads nothing here.
    """
    if isinstance(of, (Run, Backtest)):
        curves, title = of.equity, of.id if isinstance(of, Run) else f"backtest of {of.strategy}"
        judged = of.strategy
    else:
        curves = checked_curves(of)
        judged = title = str(curves.columns[0])
    hold = curves[BUY_AND_HOLD] if BUY_AND_HOLD in curves and judged != BUY_AND_HOLD else None
    periods = infer_periods_per_year(pd.DatetimeIndex(curves.index))
    write_text(Path(path), render_tear_sheet(curves[judged], hold, periods, title))
    return Path(path)
