"""Metrics on plain returns, against arithmetic done by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline import metrics
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, NonFiniteError


def test_hand_worked_values():
    # Equity 1, 1.1, 0.88, 1.1: mean 0.05, squared deviations 0.0025 + 0.0625 + 0.04 = 0.105.
    returns = [0.1, -0.2, 0.25]
    assert metrics.total_return(returns) == pytest.approx(0.1)
    assert metrics.max_drawdown(returns) == pytest.approx(-0.2)
    assert metrics.max_drawdown_bars(returns) == 2
    assert metrics.log_growth(returns) == pytest.approx(math.log(1.1))
    assert metrics.volatility(returns, 4) == pytest.approx(2 * math.sqrt(0.105 / 2))
    assert metrics.sharpe(returns, 4) == pytest.approx(2 * 0.05 / math.sqrt(0.105 / 2))
    assert metrics.sortino(returns, 4) == pytest.approx(2 * 0.05 / math.sqrt(0.04 / 3))
    assert metrics.annual_return(returns, 3) == pytest.approx(0.1)
    assert metrics.calmar(returns, 3) == pytest.approx(0.5)


def test_a_year_is_inferred_from_the_closes():
    days = pd.date_range("2020-01-01", periods=731, tz="UTC")
    returns = pd.Series(np.where(np.arange(731) % 2, 0.01, -0.005), index=days)
    assert metrics.sharpe(returns) == pytest.approx(metrics.sharpe(returns, 365.25), rel=1e-9)
    with pytest.raises(ConfigError, match="sharpe needs periods_per_year, or a Series"):
        metrics.sharpe(returns.to_numpy())


def test_what_has_no_value_says_why():
    with pytest.raises(metrics.UndefinedMetricError, match="zero variance"):
        metrics.sharpe([0.01, 0.01, 0.01], 252)
    with pytest.raises(metrics.UndefinedMetricError, match="no bars"):
        metrics.total_return([])
    with pytest.raises(NonFiniteError, match=r"returns must be finite\. Got nan at index 1"):
        metrics.sharpe([0.01, float("nan")], 252)
    with pytest.raises(NonFiniteError, match=r"at index 0\. pct_change\(\) leaves it there"):
        metrics.sharpe([float("nan"), 0.01], 252)
    with pytest.raises(DataError, match=r"looks like prices or equity: use \.pct_change"):
        metrics.max_drawdown([1.12, 1.13, 1.11])
    with pytest.raises(DataError, match="one dimension"):
        metrics.sharpe([[0.01]], 252)


def test_ruin_ends_the_account():
    assert metrics.total_return([0.1, -1.0, 5.0]) == -1.0


def test_every_metric_of_the_curve_is_there():
    from reinforcestrategycreator_pipeline.backtesting.metrics import equity
    from reinforcestrategycreator_pipeline.backtesting.metrics.base import METRICS

    own = {m.key for m in METRICS.values() if m.function.__module__ == equity.__name__}
    assert own == {
        n for n in metrics.__all__ if isinstance(getattr(metrics, n), metrics.ReturnMetric)
    }
