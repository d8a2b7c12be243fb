"""The results of a backtest or a run, as DataFrames and as a notebook shows them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MAIN_METRICS,
    Metric,
    MetricInfo,
    MetricValue,
    find_metric,
    format_value,
)
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, PORTFOLIO, Results

_COLORS = ("#0b6e4f", "#8a8f98")
_WIDTH, _HEIGHT, _POINTS = 640, 160, 400


class Outcome:
    """Results of one strategy and its benchmarks over one span of bars.

    Attributes
    ----------
    strategy : str
        Label of the strategy under test.
    results : mapping of str to mapping of str to StrategyResult
        Symbol, or ``"PORTFOLIO"``, to strategy to result.
    values : mapping of str to mapping of str to mapping of str to MetricValue
        The same with metrics by key; one that is undefined says why.
    """

    strategy: str
    results: Results
    values: Mapping[str, Mapping[str, Mapping[str, MetricValue]]]

    @property
    def headline(self) -> str:
        """One sentence on the outcome."""
        return self.strategy

    @property
    def equity(self) -> pd.DataFrame:
        """Equity of the portfolio, in money: one row per close, one column per strategy."""
        portfolio = self.results[PORTFOLIO]
        index = portfolio[self.strategy].timestamps
        return pd.DataFrame({name: r.equity for name, r in portfolio.items()}, index=index)

    @property
    def exposure(self) -> pd.DataFrame:
        """Target exposure per symbol, as a fraction of equity, at the close that decides it."""
        columns = {
            symbol: pd.Series(r[self.strategy].exposure, r[self.strategy].timestamps[:-1])
            for symbol, r in self.results.items()
            if symbol != PORTFOLIO
        }
        return pd.DataFrame(columns)

    @property
    def trades(self) -> pd.DataFrame:
        """Round trips of the strategy under test, in order of entry."""
        return self.results[PORTFOLIO][self.strategy].trades

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics of the portfolio: one row per metric, one column per strategy.

        Percentages are fractions. NaN marks a metric that is undefined; `values` has the reason.
        """
        columns = {
            name: {key: np.nan if v.value is None else v.value for key, v in found.items()}
            for name, found in self.values[PORTFOLIO].items()
        }
        return pd.DataFrame(columns, dtype=np.float64).rename_axis("metric")

    def _shown(self) -> list[str]:
        """Return the columns of the notebook's table: the strategy and buy and hold."""
        return [n for n in (self.strategy, BUY_AND_HOLD) if n in self.values[PORTFOLIO]]

    def __repr__(self) -> str:
        found = self.values[PORTFOLIO][self.strategy]
        texts = [f"{m.key}={_text(m, found[m.key])}" for m in _infos() if m.key in found]
        return f"{type(self).__name__}({self.strategy!r}, {', '.join(texts)})"

    def _repr_html_(self) -> str:
        names = dict.fromkeys(self._shown())
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = []
        for metric in _infos():
            cells = (self.values[PORTFOLIO][name].get(metric.key) for name in names)
            texts = "".join(f"<td>{'' if c is None else _text(metric, c)}</td>" for c in cells)
            rows.append(f"<tr><th>{escape(metric.label)}</th>{texts}</tr>")
        curves = self.equity[list(names)]
        return (
            f"<p><b>{escape(self.headline)}</b></p>"
            f"<table><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>{equity_svg(curves)}"
        )


def _infos() -> list[Metric]:
    return [find_metric(key) for key in MAIN_METRICS]


def _text(metric: MetricInfo, found: MetricValue) -> str:
    if found.value is None:
        return f"undefined ({escape(found.reason)})"
    return format_value(metric.unit, found.value)


def equity_svg(curves: pd.DataFrame) -> str:
    """Draw equity curves, each scaled to start at 1, as a small SVG for a notebook.

    Parameters
    ----------
    curves : DataFrame
        One column per curve, at most as many as there are colors (2).
    """
    scaled = (curves / curves.iloc[0]).to_numpy(np.float64)
    rows = np.unique(np.linspace(0, len(scaled) - 1, _POINTS).astype(int))
    low, high = float(scaled.min()), float(scaled.max())
    x = rows / max(len(scaled) - 1, 1) * _WIDTH
    y = _HEIGHT - 8 - (scaled[rows] - low) / max(high - low, 1e-12) * (_HEIGHT - 16)
    lines, legend = [], []
    for k, (name, color) in enumerate(zip(curves.columns, _COLORS, strict=False)):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, k], strict=True))
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        )
        legend.append(f'<span style="color:{color}">&#9644; {escape(str(name))}</span>')
    first, last = curves.index[0], curves.index[-1]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" style="max-width:100%" role="img" '
        f'aria-label="Equity from {first:%Y-%m-%d} to {last:%Y-%m-%d}">{"".join(lines)}</svg>'
        f"<p>{' '.join(legend)} &nbsp; {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
        f"{low:.2f}x to {high:.2f}x</p>"
    )
