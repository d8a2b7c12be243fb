"""``backtest``: the rules and the accounting of a run, in one call."""

import numpy as np
import pandas as pd
import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline import strategies
from reinforcestrategycreator_pipeline.api.backtests import backtest
from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.market.windows import SplitConfig

FREE = CostConfig(commission_bps=0, spread_bps=0, slippage_bps=0)


@pytest.fixture(scope="module")
def bars():
    return read_bars(source="sample", symbols=["IBM"])


def test_a_hand_worked_account():
    # Bought at the open of bar 1 (11) for all equity, worth 12 / 11, then 13 / 11 at the closes.
    price = pd.DataFrame(
        {"open": [10.0, 11, 12], "high": 20.0, "low": 1.0, "close": [10.0, 12, 13], "volume": 1.0},
        index=pd.date_range("2024-01-01", periods=3, tz="UTC"),
    )
    found = backtest("buy_and_hold", price, costs=FREE, initial_equity=1_100, benchmarks=())
    assert found.equity["buy and hold"].tolist() == pytest.approx([1100, 1200, 1300])
    assert found.trades["entry_price"].tolist() == [11.0]
    assert found.exposure["bars"].tolist() == [1.0, 1.0]
    assert found.metrics.loc["total_return", "buy and hold"] == pytest.approx(2 / 11)
    costly = backtest("buy_and_hold", price, costs=CostConfig(100, 0, 0), initial_equity=1_100)
    assert costly.equity["buy and hold"].iloc[-1] < 1300 / 1.0099


def test_a_crossover_is_tested_on_all_bars(bars):
    strategy = strategies.MovingAverageCrossover(fast=20, slow=100)
    found = backtest(strategy, bars, costs=CostConfig(commission_bps=1))
    assert len(found.equity) == len(bars["IBM"])
    assert list(found.equity) == [
        "moving-average crossover",
        "buy and hold",
        "random (same turnover)",
    ]
    close = bars["IBM"]["close"]
    above = close.rolling(20).mean() > close.rolling(100).mean()
    np.testing.assert_array_equal(found.exposure["IBM"] > 0, above.iloc[:-1])
    assert 0 <= found.random_percentile["PORTFOLIO"] <= 100
    assert "moving-average crossover" in found.headline
    assert repr(found).startswith("Backtest('moving-average crossover', total_return=")


def test_what_learns_is_tested_on_bars_it_has_not_seen(bars):
    stamps = bars["IBM"].index
    changed = {"IBM": bars["IBM"].copy()}
    changed["IBM"].iloc[-300:, :4] *= 2.0  # the future must not change what was learned
    for split, share in (("single", 0.75), ("walk_forward", 0.5)):
        found = backtest(strategies.Linear(), bars, split=SplitConfig(split))
        assert "train from 2001-02-12 " in found.notes[0]
        assert found.equity.index[0] > stamps[int(len(stamps) * share)]
        again = backtest(strategies.Linear(), changed, split=SplitConfig(split))
        for one, other in zip(again.policies, found.policies, strict=True):
            np.testing.assert_array_equal(one.weights, other.weights)
    assert [note[:9] for note in found.notes] == [f"window {k}:" for k in range(1, 6)]
    assert found.policy is found.policies[4]
    default = backtest(strategies.Linear(), bars)
    pd.testing.assert_frame_equal(default.equity, found.equity)


def test_a_fitted_policy_brings_its_features(bars):
    split = SplitConfig("single")
    fitted = backtest(strategies.Linear(), bars, features=["rsi", "atr"], split=split)
    again = backtest(fitted.policy, bars)
    assert again.strategy == "policy"
    assert again.policy.inputs.names == ("rsi_14", "atr_14")
    tail = fitted.exposure["IBM"]
    np.testing.assert_array_equal(again.exposure["IBM"].loc[tail.index[5] :], tail.iloc[5:])


def test_the_seed_decides(bars):
    runs = [backtest("flat", bars, benchmarks=["moving_average_crossover"], seed=s) for s in (1, 1)]
    pd.testing.assert_frame_equal(runs[0].equity, runs[1].equity)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"strategy": "buy_and_hol"}, ConfigError, "Did you mean 'buy_and_hold'"),
        ({"strategy": "linear", "features": ["rsii"]}, ConfigError, "Did you mean 'rsi'"),
        ({"strategy": "flat", "positions": [1.0]}, ConfigError, "positions"),
        ({"strategy": "linear", "bars": "short"}, DataError, "bars"),
    ],
)
def test_wrong_calls(bars, arguments, kind, message):
    chosen = {"bars": bars, **arguments}
    if chosen["bars"] == "short":
        chosen["bars"] = {"IBM": bars["IBM"].iloc[:50]}
    with pytest.raises(kind, match=message):
        backtest(**chosen)


def test_a_notebook_shows_a_table_and_the_curves(bars):
    page = backtest("flat", bars)._repr_html_()
    assert page.count("<polyline") == 2
    assert "<th>buy and hold</th>" in page
    assert "Sharpe ratio" in page
    assert "undefined" in page  # flat has no dispersion


def frame(opens, closes, start="2024-01-01"):
    return pd.DataFrame(
        {"open": opens, "high": 99.0, "low": 1.0, "close": closes, "volume": 1.0},
        index=pd.date_range(start, periods=len(opens), tz="UTC"),
    ).astype(float)


def test_a_rebalanced_portfolio_by_hand():
    # A doubles on day 1, and B gains a tenth on day 2: with 150 each, or with 200 and 100.
    bars = {"A": frame([9, 10, 20], [9, 20, 20]), "B": frame([9, 10, 10], [9, 10, 11])}
    ends = {"never": 200 + 110, "daily": 150 + 165, 1: 150 + 165, 2: 150 + 165, 3: 200 + 110}
    for rule, end in ends.items():
        found = backtest(
            "buy_and_hold", bars, costs=FREE, initial_equity=200, benchmarks=(), rebalance=rule
        )
        assert found.equity["buy and hold"].tolist() == pytest.approx([200, 300, end])
        assert found.rules.rebalance == rule
        assert found.trades["pnl"].sum() == pytest.approx(end - 200)


def test_symbols_that_share_no_bar_cannot_be_rebalanced():
    bars = {"A": frame([9, 10, 20], [9, 20, 20]), "B": frame([9, 9, 9], [9, 9, 9], "2024-02-01")}
    with pytest.raises(DataError, match=r"trading\.rebalance: .*Got A and B without such a bar"):
        backtest("buy_and_hold", bars, rebalance="weekly")
    with pytest.raises(ConfigError, match=r"must be 'never', .* Did you mean 'weekly'\?"):
        backtest("buy_and_hold", bars, rebalance="weekli")


def test_a_class_is_no_strategy_and_no_symbol_names_the_nearest(bars):
    with pytest.raises(ConfigError, match=r"write MovingAverageCrossover\(\.\.\.\)"):
        backtest(strategies.MovingAverageCrossover, bars)
    with pytest.raises(KeyError, match="there is no symbol 'IBN'"):
        bars["IBN"]
    assert "IBN" not in bars


def test_bars_in_a_configuration_name_the_argument(bars):
    for data in (bars, {"source": bars["IBM"]}):
        with pytest.raises(ConfigError, match=r"pass them as rsc\.run\(bars=\.\.\.\)"):
            rsc.run({"data": data})
