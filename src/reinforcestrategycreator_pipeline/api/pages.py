"""The report of a run, of a backtest, or of anybody's equity curve."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import __version__
from reinforcestrategycreator_pipeline.api import metrics
from reinforcestrategycreator_pipeline.api.backtests import Backtest
from reinforcestrategycreator_pipeline.api.outcome import equity_svg
from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.backtesting.metrics.base import METRICS
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.market.bars import utc_index
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.html import render_html
from reinforcestrategycreator_pipeline.reporting.run import read_run
from reinforcestrategycreator_pipeline.verdict.decision import Decision
from reinforcestrategycreator_pipeline.verdict.judgement import (
    Judgement,
    compare_with_hold,
    too_good,
)


@dataclasses.dataclass(frozen=True, repr=False)
class Page:
    """A report as one HTML page that opens offline.

    Attributes
    ----------
    finding, caveat : str
        The result in words, and what it does not prove.
    html : str
        The page, about 5 MB.
    curves : DataFrame
        The equity curves that it shows first.
    """

    finding: str
    caveat: str
    html: str
    curves: pd.DataFrame

    def save(self, path: str | Path) -> Path:
        """Write the page, atomically, and return its path."""
        write_text(Path(path), self.html)
        return Path(path)

    def __repr__(self) -> str:
        return f"Page({self.finding!r})"

    def _repr_html_(self) -> str:
        return (
            f"<p><b>{escape(self.finding)}</b></p><p>{escape(self.caveat)}</p>"
            f"{equity_svg(self.curves.iloc[:, :2])}"
        )


def report(
    of: pd.Series | pd.DataFrame | Run | Backtest,
    *,
    title: str = "equity",
    periods_per_year: float | None = None,
) -> Page:
    """Make the report of a run, of a backtest, or of anybody's equity curve.

    Parameters
    ----------
    of : Series, DataFrame, Run or Backtest
        Equity at each close, net of costs, > 0 at the start, with a DatetimeIndex. The first
        column of a DataFrame is under test; the others are its benchmarks, ``"buy and hold"``
        among them if there is one.
    title : str
        Name of what was traded, for an equity curve.
    periods_per_year : float, optional
        Bars per year, > 0; by default inferred from the index of an equity curve.

    Returns
    -------
    Page
        `Page.save` writes it.

    Raises
    ------
    DataError
        If the index is not one of increasing times, or there are fewer than two closes.
    NonFiniteError
        If a value is NaN or infinite.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=300, freq="B")
    >>> growth = np.random.default_rng(0).normal(3e-4, 1e-2, 300)
    >>> page = report(pd.Series(np.exp(growth.cumsum()), days), title="noise")
    >>> page.caveat.startswith("One test split cannot prove an edge")
    True
    """
    if isinstance(of, Run):
        data, curves = read_run(of.folder), of.equity
    elif isinstance(of, Backtest):
        data, curves = _of_backtest(of), of.equity
    else:
        curves = checked_curves(of)
        data = _of_curves(curves, title, periods_per_year)
    page = contents(data)
    return Page(page.verdict.finding, page.verdict.caveat, render_html(page), curves)


def checked_curves(of: object) -> pd.DataFrame:
    """Return equity curves with times in UTC and names as text, if they are equity curves."""
    curves = of.to_frame(of.name or "strategy") if isinstance(of, pd.Series) else of
    if not isinstance(curves, pd.DataFrame) or not isinstance(curves.index, pd.DatetimeIndex):
        raise DataError(
            f"a report needs an equity curve with a DatetimeIndex, a Run or a Backtest. "
            f"Got {type(of).__name__} instead."
        )
    index = curves.index if curves.index.tz is not None else curves.index.tz_localize("UTC")
    if len(index) < 2 or not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("an equity curve needs two or more closes in strictly increasing order.")
    if not (curves.iloc[0] > 0).all():
        raise DataError(f"an equity curve must begin above 0. Got {curves.iloc[0].min()} instead.")
    curves = curves.set_axis(utc_index(index), axis=0).rename(columns=str)
    return curves.astype(np.float64)


def _of_curves(curves: pd.DataFrame, title: str, periods_per_year: float | None) -> ReportData:
    index = pd.DatetimeIndex(curves.index)
    if periods_per_year is None:
        periods_per_year = infer_periods_per_year(index)
    performances = {
        str(name): metrics.performance_of(curve.to_numpy(), periods_per_year, index, str(name))
        for name, curve in curves.items()
    }
    known = [m for m in METRICS.values() if m.key in metrics.__all__]
    values = {name: {m.key: m(p) for m in known} for name, p in performances.items()}
    judged = next(iter(performances))
    results = {title: {name: p.result for name, p in performances.items()}}
    periods = {title: periods_per_year}
    judgement = Judgement(
        judged,
        "",
        periods,
        {title: values},
        {},
        Decision(()),
        compare_with_hold(results, judged, periods),
        too_good({title: values}, judged, periods),
    )
    return ReportData(title, _now(), __version__, results, judgement, False, knows_trades=False)


def _of_backtest(found: Backtest) -> ReportData:
    judgement = Judgement(
        found.strategy,
        found.policy.describe(),
        found.periods_per_year,
        found.values,
        found.random_percentile,
        Decision(()),
        found.excess,
        too_good(found.values, found.strategy, found.periods_per_year),
    )
    prices = {
        symbol: found.bars[symbol].loc[strategies[found.strategy].timestamps]
        for symbol, strategies in found.results.items()
        if symbol != PORTFOLIO
    }
    return ReportData(
        f"backtest of {found.strategy}",
        _now(),
        __version__,
        found.results,
        judgement,
        decided=False,
        costs=dataclasses.asdict(found.rules.costs),
        positions=found.rules.positions,
        rebalance=found.rules.rebalance,
        features=found.policy.inputs.names,
        prices=prices,
        notes=(*found.bars.notes, *found.notes),
        provenance=found.bars.provenance,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
