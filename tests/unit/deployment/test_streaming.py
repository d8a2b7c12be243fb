"""What is computed bar by bar is what was computed in one go."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from deployment_cases import on_paper as paper_trade
from policy_cases import random_policy

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.live_bars import BarRules, LiveBarError
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream, recorded
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, FeatureError, RunError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars, with_halt
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, asset_of

HERE = __name__
START = 100_000.0
EVERY = (
    *DEFAULT_FEATURES,
    FeatureSpec("column", {"columns": ("sentiment", "rate")}),
    FeatureSpec("talib", {"function": "ADX", "parameters": {"timeperiod": 14}}),
)


@feature
def drift(bars, period=10):
    """A user's feature that declares its lookback."""
    close = bars["close"]
    out = np.full(len(close), np.nan)
    out[period:] = close[period:] / close[:-period] - 1.0
    return out


drift.lookback = 10


@feature
def age(bars):
    """A user's feature that depends on all bars since the start, and declares nothing."""
    mean = np.cumsum(bars["close"]) / np.arange(1, len(bars["close"]) + 1)
    out = bars["close"] / mean - 1.0
    out[:3] = np.nan
    return out


@feature
def peek(bars):
    """Planted: the return of tomorrow."""
    close = bars["close"]
    return np.concatenate([close[1:] / close[:-1] - 1.0, [0.0]])


peek.lookback = 0


@feature
def leaky(bars):
    """Planted: claims a window of one bar, but averages the whole past."""
    return bars["close"] / (np.cumsum(bars["close"]) / np.arange(1, len(bars["close"]) + 1)) - 1.0


leaky.lookback = 0


@feature
def slow(bars):
    """An exponential mean with alpha = 2/61."""
    close = pd.Series(bars["close"])
    return (close / close.ewm(span=60, adjust=False).mean() - 1.0).to_numpy()


def stream_of(specs, frame, symbol="A"):
    """Return a stream of bars like these."""
    return FeatureStream(specs, BarRules.of(frame, symbol))


def stream_rows(specs, frame):
    stream = stream_of(specs, frame)
    rows, names = [], None
    for bar in recorded(frame, "A"):
        stream.push(bar, confirmed=True)
        row = stream.row()
        rows.append(None if row is None else row[1])
        names = names if row is None else row[0]
    return names, rows


def assert_same_bits(specs, frame):
    table = compute_features(frame, specs)
    names, rows = stream_rows(specs, frame)
    assert names == table.names
    assert [row is None for row in rows] == [t < table.lookback for t in range(len(frame))]
    streamed = np.array(rows[table.lookback :])
    assert streamed.tobytes() == table.values[table.lookback :].tobytes()


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_every_feature_has_the_bits_of_the_batch(spec):
    lookback = compute_features(make_bars(400), [spec]).lookback
    assert_same_bits([spec], with_halt(make_bars(lookback + 400)))


def test_the_default_features_together_have_the_bits_of_the_batch():
    assert_same_bits(DEFAULT_FEATURES, make_bars(700))


@pytest.mark.parametrize("function", ["drift", "age"])
def test_a_users_feature_has_the_bits_of_the_batch(function):
    assert_same_bits([FeatureSpec(f"{HERE}:{function}")], make_bars(700))


def test_a_stream_adds_the_calendar_by_itself():
    specs = [FeatureSpec("calendar", {"zone": "America/New_York"}), FeatureSpec("rsi")]
    frame = make_bars(400)
    whole = joined({"A": frame}, specs)["A"]
    table = compute_features(whole, specs)
    stream = FeatureStream(specs, BarRules.of(whole, "A"))
    stream.warm_up(frame.iloc[:390])
    for time, bar in zip(frame.index[390:], recorded(frame.iloc[390:], "A"), strict=True):
        stream.push(bar, confirmed=True)
        names, row = stream.row()
        assert names == table.names
        assert row.tobytes() == table.values[frame.index.get_loc(time)].tobytes()
    with pytest.raises(LiveBarError, match="must be a date and time with a time zone"):
        stream.push(bar._replace(time="soon"))


def test_a_stream_keeps_what_the_features_need_and_no_more():
    frame = make_bars(3000)
    stream = stream_of(DEFAULT_FEATURES, frame)
    size = stream._store.nbytes
    stream.warm_up(frame)
    assert stream._store.nbytes == size
    assert stream.count == 3000
    table = compute_features(frame, DEFAULT_FEATURES)
    assert stream.row()[1].tobytes() == table.values[-1].tobytes()
    stream = FeatureStream(DEFAULT_FEATURES, BarRules.of(frame, "A"), history=1000)
    stream.warm_up(frame)
    assert stream.latest(1000)["close"].tobytes() == frame["close"].to_numpy()[-1000:].tobytes()
    assert stream.row()[1].tobytes() == table.values[-1].tobytes()


def policy_for(frame, specs, start, grid=(-1.0, 0.0, 1.0), seed=0):
    """Return a policy over the specs' features, and their table."""
    table = compute_features(frame, specs)
    policy = dataclasses.replace(
        random_policy(len(table.names), grid, seed, names=table.names),
        scaler=ScalerConfig().fit(table.values[table.lookback : start]),
        inputs=Inputs(table.names, table.lookback, tuple(spec.to_mapping() for spec in specs)),
    )
    return policy, table


def on_paper(policy, frame, start):
    return paper_trade(policy, frame, start, PaperMarket("A", START, DEAR))


def batch_and_stream(specs, frame, start, seed=0):
    """Return a backtest that decides from the table, paper trading, and the table's rows."""
    policy, table = policy_for(frame, specs, start, seed=seed)
    test, rows = frame.iloc[start:], table.values[start:]
    asset = asset_of(test["open"], test["close"], test.index.as_unit("ns").asi8, rows)
    path = follow(policy.table(asset), policy.flat)
    batch = run_backtest("x", asset, np.array(policy.positions)[path], DEAR, START)
    return batch, on_paper(policy, frame, start), pd.DataFrame(rows, columns=list(table.names))


@pytest.mark.parametrize("seed", [0, 1])
def test_paper_trading_from_bars_is_the_backtest_from_the_table(seed):
    frame = make_bars(900, seed)
    batch, stream, table = batch_and_stream(DEFAULT_FEATURES, frame, 350, seed)
    assert len(np.unique(batch.exposure)) == 3
    assert stream.exposure.tolist() == batch.exposure.tolist()
    assert stream.features.tobytes() == table.to_numpy()[:-1].tobytes()
    assert max(stream.require_equal(batch.equity, batch.exposure, table)) <= 1e-9


@pytest.mark.parametrize("planted", ["peek", "leaky"])
def test_a_feature_that_breaks_its_promise_is_named_with_its_first_bar(planted):
    specs = [FeatureSpec("returns", {"horizons": (1, 2)}), FeatureSpec(f"{HERE}:{planted}")]
    batch, stream, table = batch_and_stream(specs, make_bars(600), 100)
    assert np.abs(stream.equity / batch.equity - 1).max() > 1e-3
    # The peek is wrong from the first bar on: tomorrow's return is never known.
    bar = 0 if planted == "peek" else r"\d+"
    with pytest.raises(RunError, match=rf"A: .* from bar {bar} \(.* the feature '{planted}' is"):
        stream.require_equal(batch.equity, batch.exposure, table)


def test_an_exponential_mean_is_as_in_the_table_from_the_lookback_that_it_needs_and_restarts():
    """alpha = 2/61: after 60 bars 13% of the weight is older, after 600 two billionths."""
    frame = make_bars(1300, seed=2)
    batch, stream, table = batch_and_stream(
        [FeatureSpec(f"{HERE}:slow", {"lookback": 600})], frame, 650
    )
    assert max(stream.require_equal(batch.equity, batch.exposure, table)) < 1e-7
    policy, _ = policy_for(frame, [FeatureSpec(f"{HERE}:slow", {"lookback": 600})], 650)
    later = on_paper(policy, frame.iloc[900 - policy.inputs.lookback :], policy.inputs.lookback)
    assert later.features.tobytes() == stream.features[250:].tobytes()
    batch, stream, table = batch_and_stream(
        [FeatureSpec(f"{HERE}:slow", {"lookback": 60})], frame, 650
    )
    with pytest.raises(RunError, match=r"from bar 0 \(.* the feature 'slow' is"):
        stream.require_equal(batch.equity, batch.exposure, table)


def test_the_policys_own_specifications_are_used():
    frame = make_bars(300)
    policy, _ = policy_for(frame, [FeatureSpec("returns", {"horizons": (1, 2)})], 100)
    swapped = dataclasses.replace(
        policy,
        inputs=dataclasses.replace(policy.inputs, specs=({"name": "returns", "horizons": [2, 1]},)),
    )
    with pytest.raises(ConfigError, match=r"A: the policy's features are .* Got .*, .* instead"):
        on_paper(swapped, frame, 100)


def test_the_warm_up_may_be_just_long_enough():
    frame = make_bars(300)
    policy, table = policy_for(frame, DEFAULT_FEATURES, 280)
    assert len(on_paper(policy, frame, table.lookback).exposure) == 300 - table.lookback - 1
    with pytest.raises(
        DataError,
        match=f"A: the features need {table.lookback} bars before .* Got {table.lookback - 1}",
    ):
        on_paper(policy, frame, table.lookback - 1)


def test_a_stream_needs_features():
    with pytest.raises(ConfigError, match="at least one feature"):
        stream_of([], make_bars(9))


@feature
def broken(bars):
    out = np.zeros(len(bars["close"]))
    out[-1] = np.inf
    return out


broken.lookback = 0


def test_a_feature_that_gives_no_number_is_refused_with_the_bars_time():
    stream = stream_of([FeatureSpec(f"{HERE}:broken")], make_bars(9), "AAPL")
    stream.push(next(recorded(make_bars(9), "AAPL")))
    with pytest.raises(FeatureError, match=r"AAPL: .*Got inf at row 0 \(2001-01-02 21:00"):
        stream.row()


def test_features_may_not_change_the_bars():
    stream = stream_of([FeatureSpec(f"{HERE}:vandal")], make_bars(9))
    stream.push(next(recorded(make_bars(9), "A")))
    with pytest.raises(FeatureError, match="read-only"):
        stream.row()


@feature
def vandal(bars):
    bars["close"][0] = 1.0
    return bars["close"]
