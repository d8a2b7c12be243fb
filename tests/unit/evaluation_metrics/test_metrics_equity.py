"""Equity metrics against empyrical, and against hand-worked curves."""

import math

import empyrical.stats as oracle
import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MetricValue,
    compute_metrics,
    format_value,
    rank,
)
from reinforcestrategycreator_pipeline.backtesting.results import TRADE_COLUMNS, StrategyResult
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError


def result_of(equity, exposure=None, turnover=None, costs=None, trades=()):
    bars = len(equity) - 1
    return StrategyResult(
        "s",
        "X",
        pd.date_range("2020-01-01", periods=bars + 1, tz="UTC"),
        np.array(equity, dtype=float),
        np.zeros(bars) if exposure is None else np.array(exposure, dtype=float),
        np.zeros(bars) if turnover is None else np.array(turnover, dtype=float),
        np.zeros(bars) if costs is None else np.array(costs, dtype=float),
        pd.DataFrame(list(trades), columns=list(TRADE_COLUMNS)),
    )


def value(key, equity, ppy=252.0):
    return compute_metrics(result_of(equity), ppy, [key])[key]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ppy", [12.0, 251.3, 8766.0])
@pytest.mark.parametrize(
    ("key", "function"),
    [
        ("total_return", lambda r, p: oracle.cum_returns_final(r)),
        ("annual_return", lambda r, p: oracle.annual_return(r, annualization=p)),
        ("volatility", lambda r, p: oracle.annual_volatility(r, annualization=p)),
        ("sharpe", lambda r, p: oracle.sharpe_ratio(r, annualization=p)),
        ("sortino", lambda r, p: oracle.sortino_ratio(r, annualization=p)),
        ("calmar", lambda r, p: oracle.calmar_ratio(r, annualization=p)),
        ("max_drawdown", lambda r, p: oracle.max_drawdown(r)),
        ("value_at_risk", lambda r, p: oracle.value_at_risk(r)),
        ("expected_shortfall", lambda r, p: oracle.conditional_value_at_risk(r)),
    ],
)
def test_agrees_with_empyrical(key, function, seed, ppy):
    rng = np.random.default_rng(seed)
    returns = rng.normal(1e-4, 0.01, 300 + 77 * seed)
    equity = 1e5 * np.cumprod(np.concatenate([[1.0], 1 + returns]))
    mine = value(key, equity, ppy).value
    exact = equity[1:] / equity[:-1] - 1
    assert mine == pytest.approx(float(function(exact, ppy)), rel=1e-12, abs=1e-13)


# 100 -> 120 -> 90 -> 108 -> 121: peak at bar 1, trough at 2, recovered at 4.
CURVE = [100.0, 120.0, 90.0, 108.0, 121.0]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("total_return", 0.21),
        ("annual_return", 0.1),  # 4 bars at 2 a year: two years, 1.1 ** 2 = 1.21
        ("log_growth", math.log(1.21)),
        ("max_drawdown", -0.25),
        ("max_drawdown_bars", 3),
        ("longest_drawdown_bars", 3),
        ("calmar", 0.4),
    ],
)
def test_by_hand(key, expected):
    assert value(key, CURVE, ppy=2.0).value == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("equity", "deepest", "longest"),
    [
        ([10, 5, 10, 9, 9, 9, 10, 11], 2, 4),  # deep and short, then shallow and long
        ([10, 9, 8, 7], 3, 3),  # never recovered: to the end
        ([10, 12, 9, 11, 13, 12], 3, 3),
        ([10, 11, 12, 13], 0, 0),
        ([10, 10, 10], 0, 0),
        ([10, 12, 12, 6, 7], 2, 2),  # the last of two equal peaks
        ([10, 9, 10, 8, 9], 2, 2),
    ],
)
def test_drawdown_lengths_by_hand(equity, deepest, longest):
    assert value("max_drawdown_bars", equity).value == deepest
    assert value("longest_drawdown_bars", equity).value == longest


def test_sharpe_and_sortino_by_hand():
    # Returns +10%, -10%: mean 0. Then +20%, -10%: mean 5%, sd sqrt(0.045), downside sqrt(0.005).
    assert value("sharpe", [100, 110, 99]).value == pytest.approx(0, abs=1e-12)
    equity = [100, 120, 108]
    assert value("sharpe", equity, 4).value == pytest.approx(0.05 / math.sqrt(0.045) * 2)
    assert value("sortino", equity, 4).value == pytest.approx(0.05 / math.sqrt(0.005) * 2)


@pytest.mark.parametrize(
    ("key", "equity", "reason"),
    [
        ("total_return", [100], "no bars"),
        ("volatility", [100, 101], "too short: 1 returns, 2 are needed"),
        ("sharpe", [100, 100, 100], "zero variance"),
        ("sharpe", list(100 * 1.001 ** np.arange(50)), "zero variance"),  # only rounding varies
        ("sortino", [100, 101, 103], "no losing bars"),
        ("calmar", [100, 101, 103], "no drawdown"),
        ("value_at_risk", list(range(100, 120)), "too short: 19 returns, 20 are needed"),
        ("expected_shortfall", [100, 99], "too short: 1 returns, 20 are needed"),
        ("annual_return", [1.0, 1e6], "too short to annualize: the rate overflows"),
    ],
)
def test_undefined_says_why(key, equity, reason):
    assert value(key, equity) == MetricValue(None, reason)


def test_flat_has_zero_risk_which_is_a_value():
    for key in ("volatility", "max_drawdown", "total_return", "log_growth"):
        assert value(key, [100.0] * 30).value == 0


@pytest.mark.parametrize("last", [0.0, -5.0])
def test_ruin(last):
    # Whatever follows the bar of ruin is not looked at, NaN neither.
    metrics = compute_metrics(result_of([100, 50, last, np.nan, 7] + [7] * 30), 252.0)
    assert metrics["total_return"].value == last / 100 - 1
    assert metrics["annual_return"].value == -1
    assert metrics["max_drawdown"].value == last / 100 - 1
    for key in ("log_growth", "volatility", "sharpe", "sortino", "calmar"):
        assert metrics[key] == MetricValue(None, "ruined: equity reached zero")
    assert rank({"ruined": metrics["sharpe"], "poor": MetricValue(-3.0)}, "sharpe")[-1] == "ruined"


@pytest.mark.parametrize("field", ["equity", "exposure", "turnover", "costs"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_is_refused(field, bad):
    result = result_of(CURVE)
    getattr(result, field)[2] = bad
    with pytest.raises(NonFiniteError, match=rf"s on X: {field} must be finite.* at index 2"):
        compute_metrics(result, 252.0)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="exposure must have shape"):
        compute_metrics(result_of(CURVE, exposure=[1.0]), 252.0)
    with pytest.raises(ValueError, match="begin above 0"):
        compute_metrics(result_of([0.0, 1.0]), 252.0)
    for ppy in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="periods_per_year"):
            compute_metrics(result_of(CURVE), ppy)
    with pytest.raises(ConfigError, match=r"unknown metric 'sharp'\. Did you mean 'sharpe'"):
        compute_metrics(result_of(CURVE), 252.0, ["sharp"])


def test_metric_value_holds_a_number_or_a_reason():
    with pytest.raises(ValueError, match="either"):
        MetricValue(None)
    with pytest.raises(ValueError, match="either"):
        MetricValue(1.0, "because")
    with pytest.raises(NonFiniteError):
        MetricValue(float("nan"))
    assert MetricValue(None, "no trades").to_json() == {"value": None, "reason": "no trades"}
    assert MetricValue(1).to_json() == {"value": 1.0}


def test_rank_puts_undefined_last_in_both_directions():
    values = {"none": MetricValue(None, "x"), "low": MetricValue(1.0), "high": MetricValue(2.0)}
    assert rank(values, "sharpe") == ["high", "low", "none"]
    assert rank(values, "volatility") == ["low", "high", "none"]
    with pytest.raises(ConfigError, match="no better direction"):
        rank(values, "trades")


def test_deeper_drawdown_and_larger_loss_rank_lower():
    values = {"mild": MetricValue(-0.1), "deep": MetricValue(-0.5)}
    for key in ("max_drawdown", "value_at_risk", "expected_shortfall", "average_loss"):
        assert rank(values, key) == ["mild", "deep"]


@pytest.mark.parametrize(
    ("unit", "number", "text"),
    [
        ("percent", 0.12345, "12.35%"),
        ("percent", -0.00001, "0.00%"),
        ("percent", 250.0, "25,000%"),
        ("percent", 3e7, "3e+09%"),
        ("ratio", -1.005, "-1.00"),
        ("multiple", 3.25, "3.25x"),
        ("money", 1234567.891, "1,234,567.89"),
        ("count", 1200.0, "1,200"),
        ("bars", 7.0, "7"),
    ],
)
def test_format(unit, number, text):
    assert format_value(unit, number) == text
