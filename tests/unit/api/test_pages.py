"""``report``: the page of a run's kind for anybody's equity curve."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline import strategies
from reinforcestrategycreator_pipeline.api.backtests import backtest
from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.api.pages import report
from reinforcestrategycreator_pipeline.errors import DataError, NonFiniteError

DAYS = pd.date_range("2020-01-01", periods=801, freq="D")


def doubling() -> pd.Series:
    """Equity that doubles in a year of 365 days, evenly but for a bump every other day."""
    bump = np.where(np.arange(801) % 2, 1.001, 1.0)
    return pd.Series(2.0 ** (np.arange(801) / 365.25) * bump, DAYS, name="mine")


def test_the_page_of_an_equity_curve(tmp_path):
    page = report(doubling(), title="My <fund>")
    assert "annual return on My <fund>, net of costs, was 99." in page.finding or (
        "was 100." in page.finding
    )
    assert page.caveat.startswith("One test split cannot prove an edge")
    path = page.save(tmp_path / "page.html")
    html = path.read_text(encoding="utf-8")
    assert "<h1>My &lt;fund&gt;</h1>" in html
    assert "My <fund>" not in html
    for absent in (
        "Promoted",
        "h-trades",
        "h-config",
        "Costs paid",
        "h-chart-positions",
        "oracle is",
    ):
        assert absent not in html, absent
    assert "<svg" in page._repr_html_()


def test_the_first_column_is_under_test_beside_its_benchmarks():
    curves = pd.DataFrame({"mine": doubling(), "buy and hold": np.linspace(1, 2, 801)}, DAYS)
    page = report(curves)
    assert "(buy and hold: " in page.finding


def test_the_page_of_a_backtest_shows_trades_and_costs():
    bars = read_bars(source="sample", symbols=["IBM", "MSFT"])
    page = report(backtest(strategies.MovingAverageCrossover(), bars))
    for heading in ("h-trades", "Costs paid", "h-chart-positions", "commission_bps 1"):
        assert heading in page.html, heading
    assert "trades.csv" not in page.html


@pytest.mark.parametrize(
    ("curve", "kind", "message"),
    [
        ([1.0, 2.0], DataError, "needs an equity curve with a DatetimeIndex"),
        (pd.Series([1.0, 2.0]), DataError, "needs an equity curve with a DatetimeIndex"),
        (pd.Series([1.0], DAYS[:1]), DataError, "two or more closes"),
        (pd.Series([1.0, 2.0], DAYS[1::-1]), DataError, "strictly increasing"),
        (pd.Series([1.0, np.nan, 2.0], DAYS[:3]), NonFiniteError, "equity must be finite"),
        (pd.Series([0.0, 1.0, 2.0], DAYS[:3]), DataError, "must begin above 0"),
    ],
)
def test_wrong_curves(curve, kind, message):
    with pytest.raises(kind, match=message):
        report(curve)
