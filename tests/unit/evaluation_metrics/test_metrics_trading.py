"""Trading metrics by hand, own metrics, and bars per year."""

import itertools

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    METRICS,
    MetricValue,
    all_metrics,
    compute_metrics,
    metric,
    rank,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import TRADE_COLUMNS, StrategyResult
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    DataError,
    NonFiniteError,
    RunError,
)

STAMPS = pd.date_range("2020-01-01", periods=5, tz="UTC", name="timestamp")


def trade(pnl, fraction, still_open=False):
    row = ("X", "long", STAMPS[0], STAMPS[1], 1.0, 1.0, 1.0, 1, pnl, fraction, 0.5, still_open)
    return dict(zip(TRADE_COLUMNS, row, strict=True))


def metrics_of(trades, equity=(100.0, 101.0, 102.0, 101.0, 103.0)):
    result = StrategyResult(
        "s",
        "X",
        STAMPS,
        np.array(equity),
        np.array([1.0, -0.5, 0.0, 0.0]),
        np.array([1.0, 1.5, 0.5, 0.0]),
        np.array([0.1, 0.2, 0.0, 0.3]),
        pd.DataFrame(trades, columns=list(TRADE_COLUMNS)),
    )
    return compute_metrics(result, 250.0)


def test_by_hand():
    found = metrics_of([trade(6, 0.06), trade(-2, -0.02), trade(0, 0.0), trade(3, 0.01, True)])
    expected = {
        "turnover": 0.75 * 250,
        "exposure": 0.375,
        "time_in_market": 0.5,
        "costs_paid": 0.6,
        "trades": 4,
        "win_rate": 0.5,
        "profit_factor": 4.5,
        "average_win": 0.035,
        "average_loss": -0.02,
    }
    for key, number in expected.items():
        assert found[key].value == pytest.approx(number, rel=1e-14), key


def test_without_trades_nothing_is_zero_but_the_count():
    found = metrics_of([])
    assert found["trades"] == MetricValue(0.0)
    for key in ("win_rate", "profit_factor", "average_win", "average_loss"):
        assert found[key] == MetricValue(None, "no trades")


def test_one_sided_trades():
    won = metrics_of([trade(5, 0.05)])
    assert won["profit_factor"] == MetricValue(None, "no losing trades")
    assert won["average_loss"] == MetricValue(None, "no losing trades")
    assert won["win_rate"].value == 1
    lost = metrics_of([trade(-5, -0.05)])
    assert lost["profit_factor"].value == 0  # a true zero: nothing won, something lost
    assert lost["average_win"] == MetricValue(None, "no winning trades")


def test_nan_in_a_trade_is_refused():
    with pytest.raises(NonFiniteError, match="trades pnl must be finite"):
        metrics_of([trade(float("nan"), 0.0)])


def test_trading_until_ruin_only():
    found = metrics_of([trade(-100, -1.0)], equity=(100.0, 50.0, 0.0, 0.0, 0.0))
    assert found["exposure"].value == 0.75
    assert found["costs_paid"].value == pytest.approx(0.3)


@pytest.fixture
def own_metric(monkeypatch):
    """Register metrics for one test, with what it needs of the decorator."""
    monkeypatch.setattr(METRICS, "_members", dict(METRICS._members))

    def add(function, key="own", unit="ratio", group="Return"):
        return metric(key, "Own", unit=unit, group=group, higher_is_better=True)(function)

    return add


def test_an_own_metric_joins_its_group(own_metric):
    def last(p):
        """Last return.

        Of the span.

        Notes
        -----
        Not shown.
        """
        return p.returns[-1]

    shipped = [m.key for m in all_metrics()]
    own_metric(last)
    keys = [m.key for m in all_metrics()]
    assert keys.index("own") == keys.index("sharpe") - 1  # the last of "Return"
    assert [key for key in keys if key != "own"] == shipped
    assert METRICS.get("own").definition == "Last return.\nOf the span."
    assert metrics_of([])["own"].value == pytest.approx(2 / 101)


def test_the_metrics_are_in_the_order_of_their_groups():
    runs = [group for group, _ in itertools.groupby(m.group for m in all_metrics())]
    assert runs == ["Return", "Return for risk", "Risk", "Trading", "Trades"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: 1 / len(p.result.trades), "raised ZeroDivisionError"),
        (lambda p: p.retruns, "raised AttributeError: 'Performance' object has no attribute"),
        (lambda p: None, "raised TypeError"),
        (lambda p, q: 1.0, "raised TypeError"),
    ],
)
def test_an_own_metric_that_raises_is_named(own_metric, function, message):
    def fail(p):
        raise ValueError(f"no {p.periods_per_year:.0f}")

    own_metric(fail)
    line = fail.__code__.co_firstlineno + 1
    with pytest.raises(
        RunError, match=rf"the metric 'own' raised ValueError: no 250 \(.*:{line}\)"
    ):
        metrics_of([])
    METRICS._members.pop("own")
    own_metric(function)
    with pytest.raises(RunError, match=f"the metric 'own' {message}"):
        metrics_of([])


def test_an_own_metric_is_checked(own_metric):
    own_metric(lambda p: float("nan"))
    with pytest.raises(NonFiniteError, match="the metric 'own' must be finite"):
        metrics_of([])
    message = "The unit parameter of the metric 'odd' must be 'percent', .*Did you mean 'percen"
    with pytest.raises(ConfigError, match=message):
        own_metric(lambda p: 0.0, "odd", unit="percents")
    with pytest.raises(
        ConfigError, match="The group parameter of the metric 'odd' must be 'Return', "
    ):
        own_metric(lambda p: 0.0, "odd", group="Risks")


def test_ranking_by_what_has_no_better_direction_is_refused():
    with pytest.raises(ConfigError, match="the metric 'turnover' has no better direction"):
        rank({"a": MetricValue(1.0)}, "turnover")


@pytest.mark.parametrize(
    ("stamps", "expected", "tolerance"),
    [
        (pd.bdate_range("2010-01-04", "2019-12-31", tz="UTC"), 260.9, 0.3),
        (pd.date_range("2010-01-01", periods=2000, tz="UTC"), 365.25, 1e-6),
        (pd.date_range("2010-01-01", periods=9000, freq="h", tz="UTC"), 8766, 1e-6),
        (pd.date_range("2000-01-07", periods=500, freq="7D", tz="UTC"), 52.18, 0.01),
        (pd.date_range("2000-01-31", periods=120, freq="ME", tz="UTC"), 12.0, 0.02),
        # 13 weeks: 65 steps in 91 days.
        (pd.bdate_range("2010-01-04", periods=66, tz="UTC"), 65 / 91 * 365.25, 1e-9),
        # Too short to observe: estimated.
        (pd.bdate_range("2010-01-04", periods=5, tz="UTC"), 252.0, 1e-9),
        (pd.date_range("2010-01-01", periods=20, tz="UTC"), 365.25, 1e-9),
        (pd.date_range("2010-01-04", periods=8, freq="7D", tz="UTC"), 52.18, 0.01),
        (pd.date_range("2021-01-02", periods=72, freq="h", tz="UTC"), 8766, 1e-6),
        # Friday's bar closes at midnight, when Saturday begins.
        (pd.bdate_range("2010-01-04", periods=20, tz="UTC") + pd.Timedelta(days=1), 252.0, 1e-9),
    ],
)
def test_bars_per_year(stamps, expected, tolerance):
    assert infer_periods_per_year(stamps) == pytest.approx(expected, abs=tolerance)


def test_bars_per_year_of_us_sessions():
    # 2012 had 250 sessions, 2011 and 2013 252 each (NYSE): holidays made by hand for one year.
    holidays = ["2012-01-02", "2012-01-16", "2012-02-20", "2012-04-06", "2012-05-28", "2012-07-04"]
    holidays += ["2012-09-03", "2012-10-29", "2012-10-30", "2012-11-22", "2012-12-25"]
    days = pd.bdate_range("2011-12-30", "2012-12-31", freq="C", holidays=holidays, tz="UTC")
    assert infer_periods_per_year(days) == pytest.approx(250 / 367 * 365.25)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_bars_per_year_of_any_resolution(unit):
    stamps = pd.date_range("2010-01-01", periods=400, tz="UTC").as_unit(unit)
    assert infer_periods_per_year(stamps) == pytest.approx(365.25)


def test_intraday_sessions_of_a_few_days():
    # Seven hourly bars on each of four weekdays, the first day partial.
    days = [
        pd.date_range(f"2021-03-0{d} 15:00", periods=7, freq="h", tz="UTC") for d in (1, 2, 3, 4)
    ]
    stamps = days[0][4:].append(days[1:])
    assert infer_periods_per_year(stamps) == pytest.approx(7 * 252)


def test_dense_then_sparse_counts_the_bars_in_the_elapsed_time():
    # A year of days, then four years of weeks: 365 + 208 steps in 365 + 1,456 days.
    days = pd.date_range("2010-01-01", periods=366, tz="UTC")
    weeks = days[-1] + pd.to_timedelta(7 * np.arange(1, 209), unit="D")
    assert infer_periods_per_year(days.append(weeks)) == pytest.approx(573 / 1821 * 365.25)
    assert infer_periods_per_year(weeks) == pytest.approx(365.25 / 7)
    # Months are not holes in what once was daily: 365 + 36 steps in 365 + 36 * 30 days.
    months = days[-1] + pd.to_timedelta(30 * np.arange(1, 37), unit="D")
    assert infer_periods_per_year(days.append(months)) == pytest.approx(401 / 1445 * 365.25)


def test_bad_timestamps_are_refused():
    stamps = pd.date_range("2010-01-01", periods=3, tz="UTC")
    with pytest.raises(DataError, match="at least 2"):
        infer_periods_per_year(stamps[:1])
    with pytest.raises(DataError, match="strictly increasing"):
        infer_periods_per_year(stamps[[0, 2, 1]])
