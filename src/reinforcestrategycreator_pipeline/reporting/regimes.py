"""Results of the policy by the market's regime and by year."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Bools
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, StrategyResult
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.statistics.sharpe import sharpe_ratio

TREND_BARS, VOLATILITY_BARS = 126, 21
COLUMNS = (
    *("Regime or year", "Share of bars", "Return a year", "Sharpe ratio", "Mean exposure"),
    *("Buy and hold, a year", "Buy and hold, Sharpe"),
)
NOTE = (
    "The regime of a bar is that of buy and hold at the close before it, from bars up to there: "
    f"rising or falling by its return over the last {TREND_BARS} bars (a fifth of the test bars if "
    f"they are fewer), calm, usual or stormy by the volatility of its last {VOLATILITY_BARS} "
    "returns. The limits of volatility are the thirds of the test bars, which nobody knew before, "
    "and bars without so long a past have no regime: this describes the result and decides "
    "nothing. Return a year is the mean return of a bar times the bars per year, also for a part "
    "of a year, and so differs from the compound returns of the months above. A Sharpe ratio of "
    "few bars is mostly noise."
)
_FEWEST = 20
_STATES = ("calm", "usual", "stormy")


class RegimeRow(NamedTuple):
    """The bars of one regime or year: texts of `COLUMNS`."""

    name: str
    share: str
    annual: str
    sharpe: str
    exposure: str
    hold_annual: str
    hold_sharpe: str


def regimes(equity: Annotated[F64, "closes"]) -> dict[str, Annotated[Bools, "bars"]]:
    """Return which bars belong to which regime of a market.

    Parameters
    ----------
    equity : ndarray of float64, shape (n + 1,)
        Value of the market at each close, > 0.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        By name, in the order of the table; each bar is in one. Bar i goes from close i to close
        i + 1, and its regime is known at close i. Empty for spans of fewer than 100 bars.
    """
    n = len(equity) - 1
    trend_bars = min(TREND_BARS, n // 5)
    if trend_bars < _FEWEST or not (equity > 0.0).all():
        return {}
    logs = np.log(equity)
    trend, volatility = np.full(n, np.nan), np.full(n, np.nan)
    trend[trend_bars:] = logs[trend_bars:n] - logs[: n - trend_bars]
    returns = np.diff(logs)
    windows = np.lib.stride_tricks.sliding_window_view(returns, VOLATILITY_BARS)
    volatility[VOLATILITY_BARS:] = windows[: n - VOLATILITY_BARS].std(axis=1, ddof=1)
    known = np.isfinite(trend) & np.isfinite(volatility)
    limits = np.quantile(volatility[known], (1 / 3, 2 / 3))
    state = np.searchsorted(limits, volatility, side="left")
    found = {}
    for way, inside in (("rising", trend > 0.0), ("falling", trend <= 0.0)):
        for number, name in enumerate(_STATES):
            found[f"{way}, {name}"] = known & inside & (state == number)
    return {**found, "not known yet": ~known}


def regime_rows(data: ReportData, asset: str) -> list[RegimeRow]:
    """Return the table of an asset or the portfolio: by regime, then by year.

    It is empty without buy and hold among the results. A year has the bars that end in it, in UTC.
    """
    strategies = data.results[asset]
    if BUY_AND_HOLD not in strategies:
        return []
    own, hold = strategies[data.policy], strategies[BUY_AND_HOLD]
    if len(own.equity) != len(hold.equity):
        return []
    periods = data.judgement.periods_per_year[asset]
    rows = [_row(name, inside, own, hold, periods) for name, inside in regimes(hold.equity).items()]
    years = own.timestamps[1:].year.to_numpy()
    rows += [_row(str(year), years == year, own, hold, periods) for year in np.unique(years)]
    return rows


def _row(
    name: str, inside: Bools, own: StrategyResult, hold: StrategyResult, periods: float
) -> RegimeRow:
    exposure = f"{own.exposure[inside].mean():.0%}" if inside.any() else "—"
    return RegimeRow(
        name,
        f"{inside.mean():.0%}",
        *figures(own.equity, inside, periods),
        exposure,
        *figures(hold.equity, inside, periods),
    )


def figures(equity: F64, inside: Bools, periods: float) -> tuple[str, str]:
    """Return mean return a year and Sharpe ratio over some bars, as texts; a dash if undefined."""
    mean, ratio = mean_and_sharpe(equity, inside, periods)
    return (
        "—" if mean is None else f"{mean:+.1%}",
        "—" if ratio is None else f"{ratio:.2f}",
    )


def mean_and_sharpe(
    equity: Annotated[F64, "closes"], inside: Annotated[Bools, "bars"], periods_per_year: float
) -> tuple[float | None, float | None]:
    """Return the mean simple return times bars per year, and the annualized Sharpe ratio.

    Parameters
    ----------
    equity : ndarray of float64, shape (n + 1,)
        Equity at each close.
    inside : ndarray of bool, shape (n,)
        Bars that count.
    periods_per_year : float
        Bars per year.

    Returns
    -------
    tuple of (float or None, float or None)
        None without bars, after ruin, or for the ratio (see `sharpe_ratio`) with fewer than 20 bars
        or equal returns.
    """
    if not inside.any() or not (equity > 0.0).all():
        return None, None
    returns = (equity[1:] / equity[:-1] - 1.0)[inside]
    mean = float(returns.mean()) * periods_per_year
    return mean, sharpe_ratio(returns, periods_per_year) if len(returns) >= _FEWEST else None
