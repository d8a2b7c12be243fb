"""The tear sheet of QuantStats, of returns and bars per year as this package has them."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.errors import DataError, needs

EXTRA = "quantstats"
_FEWEST = 30  # bars
_ICON = re.compile(r"<link\b[^>]*\bhref=\"https?:[^>]*>")


def render_tear_sheet(
    equity: pd.Series[float],
    benchmark: pd.Series[float] | None,
    periods_per_year: float,
    title: str,
) -> str:
    """Return the HTML tear sheet that QuantStats makes of an equity curve.

    The risk-free rate is 0. The bars per year are those of this package's metrics, to two digits
    after the point: QuantStats takes 252 by itself.

    Parameters
    ----------
    equity : Series
        Equity at each close, in money, > 0, with a DatetimeIndex; its name is shown.
    benchmark : Series or None
        The same of a benchmark, with the same index.
    periods_per_year : float
        Bars per year, > 0.
    title : str
        Heading of the page.

    Returns
    -------
    str
        The page, which loads nothing: 0.5 to 3 MB.

    Raises
    ------
    ConfigError
        If the extra ``quantstats`` is not installed.
    DataError
        If there are fewer than 30 bars, or equity was ever 0.
    """
    for curve in (equity,) if benchmark is None else (equity, benchmark):
        if len(curve) <= _FEWEST:
            raise DataError(
                f"a tear sheet needs {_FEWEST} bars or more. Got {len(curve) - 1} instead."
            )
        if not (curve > 0.0).all():
            raise DataError(f"a tear sheet needs an equity above 0; {curve.name!r} was ruined.")
    # Their own code warns of what pandas and matplotlib will change, and of fonts.
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            with needs(EXTRA, "a tear sheet"):
                import matplotlib as mpl  # pyright: ignore[reportMissingImports]
                import quantstats  # pyright: ignore[reportMissingImports]
            page = Path(folder) / "tear_sheet.html"
            with mpl.rc_context():
                quantstats.reports.html(
                    _returns(equity),
                    benchmark=None if benchmark is None else _returns(benchmark),
                    title=escape(title),
                    strategy_title=escape(str(equity.name)),
                    benchmark_title=None if benchmark is None else escape(str(benchmark.name)),
                    output=str(page),
                    # Their annotation says int; they take roots and products of it.
                    periods_per_year=round(periods_per_year, 2),  # pyright: ignore[reportArgumentType]
                    match_dates=False,
                )
            return _ICON.sub("", page.read_text(encoding="utf-8"))
    finally:
        fonts.setLevel(level)


def _returns(curve: pd.Series[float]) -> pd.Series[float]:
    """Return the returns per bar, with times in UTC that do not say so, as QuantStats wants."""
    index = pd.DatetimeIndex(curve.index)
    values = curve.to_numpy(np.float64)
    naive = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
    return pd.Series(values[1:] / values[:-1] - 1.0, naive[1:], name=curve.name)
