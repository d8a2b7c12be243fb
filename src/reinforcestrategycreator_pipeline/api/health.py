"""The health of market data, in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.api.bars import Frames, read_bars
from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.health.check import Health, check_health


class DataHealth:
    """Findings on the health of market data, as `check_data` returns them.

    Parameters
    ----------
    found : Health
        Findings of `check_health`.
    """

    def __init__(self, found: Health) -> None:
        self._found = found

    @property
    def data(self) -> MarketData:
        """The data."""
        return self._found.data

    @property
    def calendar(self) -> str:
        """The calendar by which gaps were measured, in words."""
        return self._found.calendar

    @property
    def table(self) -> pd.DataFrame:
        """A row for each bar that was found.

        The columns are kind, symbol, origin, row, time, value and grave. `row` is the line in a
        text file, else the row counted from 1; missing if the source has no rows. `value` is the
        factor of a bad tick, the log return of a spike or outlier, the new shares per old share of
        a split, the number of bars of a stale run or of those missing in a gap. `grave` tells
        probable errors from what is only worth a look.
        """
        return self._found.table

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what is probably wrong."""
        return tuple(text for grave, text in self._found.sentences() if grave)

    @property
    def html(self) -> str:
        """The page."""
        from reinforcestrategycreator_pipeline.reporting.health.page import render_health

        return render_health(self._found)

    def save(self, path: str | Path) -> Path:
        """Write the page, and return its path."""
        write_text(Path(path), self.html)
        return Path(path)

    def __str__(self) -> str:
        sentences = (("warning: " if grave else "") + s for grave, s in self._found.sentences())
        return "\n".join((f"health, with gaps by {self.calendar}", *sentences))

    def __repr__(self) -> str:
        found = self._found
        return f"DataHealth({len(found.findings)} findings, {len(found.grave)} of them grave)"


def check_data(
    path: str | Path | Frames | None = None,
    *,
    source: str | None = None,
    calendar: str | None = None,
    seed: int = 7,
    **params: Any,
) -> DataHealth:
    """Look for what is missing, odd or suspicious in market data, with the rows of the file.

    Parameters
    ----------
    path, source, seed, **params
        The data, as for `read_bars`.
    calendar : str, optional
        Calendar for gaps: ``24/7``, ``24/5``, ``forex``, or an exchange such as ``XNYS`` with the
        extra `calendars`. By default, the days and times at which bars mostly are.

    Raises
    ------
    DataError
        If the data break a rule and no run can read them.
    ConfigError
        If there is no such source, parameter or calendar.

    Examples
    --------
    >>> health = check_data(source="sample")
    >>> health.warnings
    ()
    >>> health.table.query("kind == 'outlier'")[["symbol", "value"]].round(2).values.tolist()
    [['AAPL', -0.73]]
    """
    data = read_bars(path, source=source, seed=seed, **params)
    return DataHealth(check_health(data, calendar))
